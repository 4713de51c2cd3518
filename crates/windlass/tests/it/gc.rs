//! `windlass gc`.

use expect_test::expect;

use crate::support::{Project, pretty};

#[test]
fn replaced_files_go_when_nobody_needs_them() {
    let project = Project::new("-- transforms/a.sql --\nselect 1 as x\n");
    for _ in 0..2 {
        assert_eq!(project.windlass(["run", "--no-cache"]).code, 0);
    }
    project.windlass(["gc"]).check(expect![[r#"
        exit 0
        -- stderr
        Nothing to remove
    "#]]);
    project.windlass(["gc", "--dry-run", "--keep-versions-for", "0s"]).check(expect![[r#"
        exit 0
        -- stdout
        a        1 file  [SIZE]  replaced
        -- stderr
        Would remove 1 file, [SIZE]
    "#]]);
    expect![[r#"
        {
          "lake": "[LAKE]",
          "env": "prod",
          "dry_run": false,
          "files": [
            {
              "table": "a",
              "path": "[PATH]",
              "bytes": "[BYTES]",
              "reason": "replaced"
            }
          ],
          "bytes": "[BYTES]"
        }"#]]
    .assert_eq(&pretty(project.json(["gc", "--keep-versions-for", "0s"])));
    project.windlass(["gc", "--keep-versions-for", "0s"]).check(expect![[r#"
        exit 0
        -- stderr
        Nothing to remove
    "#]]);
    assert_eq!(project.rows("select * from a"), "{\"x\":1}");
    project.windlass(["gc", "--keep-versions-for", "soon"]).check(expect![[r#"
        exit 2
        -- stderr
        error: invalid value 'soon' for '--keep-versions-for <TIME>': write a number and one of s, m, h, d and w, such as 7d

        For more information, try '--help'.
    "#]]);
}
