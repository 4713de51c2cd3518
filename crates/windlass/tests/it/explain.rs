//! `windlass explain`.

use expect_test::expect;

use crate::support::Project;

#[test]
fn codes_are_explained() {
    let folder = Project::bare();
    let answer = folder.windlass(["explain", "e0801", "E0102"]);
    assert_eq!(answer.code, 0);
    assert!(answer.stdout.starts_with("E0801: a division by zero\n\n"), "{answer}");
    assert!(answer.stdout.contains("\n\nE0102: a column does not exist\n\n"), "{answer}");
    assert!(folder.windlass(["explain"]).stdout.lines().count() > 40);
    let explained = folder.json(["explain", "E0102"]);
    assert_eq!(explained["codes"][0]["title"], "a column does not exist");
    folder.windlass(["explain", "E0120"]).check(expect![[r#"
        exit 2
        -- stderr
        error: no code `E0120`
          hint: did you mean E0102? `windlass explain` lists all codes
    "#]]);
}
