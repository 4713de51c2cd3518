//! What mistakes and failures look like.

use std::path::Path;

use expect_test::{Expect, expect};
use windlass_error::SourceFile;

use super::*;

const PLAIN: Paint = Paint { colors: false };

fn check(diagnostic: &Diagnostic, expected: Expect) {
    expected.assert_eq(&diagnostics([diagnostic], PLAIN, &mut BTreeSet::new()));
}

fn file(text: &str) -> Arc<SourceFile> {
    SourceFile::new(Path::new("transforms/a.sql"), text.to_owned())
}

#[test]
fn a_mistake_has_its_line_a_caret_and_the_way_out() {
    let file = file("select\n  w.temp, w.visibility\nfrom w\n");
    let mistake = Diagnostic::error(Code::UNKNOWN_COLUMN, "no column `visibility` in `w`")
        .at(Location::new(&file, 17..29))
        .label("did you mean `w.visib`?")
        .note("columns: temp, visib")
        .hint("name a column that is there");
    check(
        &mistake,
        expect![[r#"
        error[E0102]: no column `visibility` in `w`
         --> transforms/a.sql:2:11
          |
        2 |   w.temp, w.visibility
          |           ^^^^^^^^^^^^ did you mean `w.visib`?
          |
          = note: columns: temp, visib
          = help: name a column that is there
    "#]],
    );
}

#[test]
fn related_places_of_other_files_follow() {
    let first = file("select 1\n");
    let second = SourceFile::new(Path::new("seeds/a.csv"), "x\n".to_owned());
    let mistake = Diagnostic::error(Code::DUPLICATE_NAME, "two nodes have the name `a`")
        .at(Location::new(&first, 0..0))
        .related(Location::new(&second, 0..1), "the other one");
    check(
        &mistake,
        expect![[r#"
        error[E0205]: two nodes have the name `a`
         --> transforms/a.sql:1:1
          |
        1 | select 1
          | ^
          |
         ::: seeds/a.csv:1:1
          |
        1 | x
          | - the other one
    "#]],
    );
}

#[test]
fn odd_places_are_drawn_as_well() {
    for (text, span) in
        [("", 0..0), ("select 1", 8..8), ("a\nb\nc\n", 0..6), ("é\n", 0..2), ("a\n", 2..2), ("\t\r\nx", 0..3)]
    {
        let mistake = Diagnostic::warning(Code::SQL_SYNTAX, "odd").at(Location::new(&file(text), span));
        assert!(diagnostics([&mistake], PLAIN, &mut BTreeSet::new()).starts_with("warning[E0101]: odd\n"));
    }
}

#[test]
fn a_failure_says_what_why_and_the_way_out() {
    let refusal = Refusal::new("cannot do `x`").code(Code::NO_PROJECT).hint("do `y`");
    let mut codes = BTreeSet::new();
    expect![[r#"
        error[E0905]: cannot do `x`
          hint: do `y`
    "#]]
    .assert_eq(&failure(&refusal, PLAIN, &mut codes));
    assert_eq!(more(&codes, PLAIN).as_deref(), Some("windlass explain E0905"));
}

#[test]
fn causes_that_were_said_are_left_out() {
    let inner = std::io::Error::other("disk on fire");
    let outer = std::io::Error::other(format!("cannot write: {inner}"));
    let error = anyhow::Error::from(inner).context("cannot write: disk on fire").context("cannot publish `x`");
    assert_eq!(causes(&outer), Vec::<String>::new());
    assert_eq!(causes(error.as_ref()), ["cannot write: disk on fire"]);
}
