//! The selection grammar.

use expect_test::{Expect, expect};
use proptest::prelude::*;
use windlass_error::Classify;

use super::{Selection, SelectionError, choose};
use crate::Project;
use crate::fixture::{load, project};

fn flights() -> Project {
    project(
        "\
-- windlass.yml --
name: demo
transforms: {staging: {+materialized: view, +tags: [staging]}, features: {+owner: ml-team@x.com}}
-- sources.yml --
sources: {nyc: {path: '{name}.csv', tables: [flights, weather]}, old: {path: x.csv, tables: [flights]}}
-- seeds/codes.csv --
-- transforms/staging/stg_flights.sql --
select * from {{ source('nyc', 'flights') }}
-- transforms/features/feat_plane.sql --
select * from {{ ref('codes') }}
-- transforms/features/feat_flight.sql --
{{ config(tags=['hourly']) }} select * from {{ ref('stg_flights') }}, {{ ref('feat_plane') }}, {{ source('nyc', 'weather') }}
-- transforms/late.sql --
select * from {{ ref('feat_flight') }}
",
    )
}

fn show(result: Result<indexmap::IndexSet<String>, SelectionError>) -> String {
    match result {
        Ok(names) => names.into_iter().collect::<Vec<_>>().join(" "),
        Err(err) => {
            let hint = err.hint().map(|hint| format!("\n  hint: {hint}")).unwrap_or_default();
            format!("{}: {err}{hint}", err.code().map_or("", |code| code.0))
        }
    }
}

fn apply(text: &str) -> String {
    show(choose(&flights(), Some(text), None))
}

#[test]
fn selections() {
    for (text, expected) in [
        ("late", "late"),
        ("feat_*", "feat_plane feat_flight"),
        ("late stg_flights", "stg_flights late"),
        ("late or stg_flights", "stg_flights late"),
        ("+stg_flights", "nyc.flights stg_flights"),
        ("stg_flights+", "stg_flights feat_flight late"),
        ("stg_flights+1", "stg_flights feat_flight"),
        ("1+feat_flight", "nyc.weather stg_flights feat_plane feat_flight"),
        ("2+feat_flight+1", "codes feat_plane nyc.flights nyc.weather stg_flights feat_flight late"),
        ("@stg_flights", "codes feat_plane nyc.flights nyc.weather stg_flights feat_flight late"),
        ("@codes", "codes feat_plane nyc.flights nyc.weather stg_flights feat_flight late"),
        ("tag:staging", "stg_flights"),
        ("tag:s*,kind:view", "stg_flights"),
        ("tag:staging+,tag:hourly", "feat_flight"),
        ("owner:ml-team@*", "feat_plane feat_flight"),
        ("path:transforms/features", "feat_plane feat_flight"),
        ("path:./transforms/features/", "feat_plane feat_flight"),
        ("transforms/staging/stg_flights.sql", "stg_flights"),
        ("path:transforms/*.sql", "late"),
        ("path:transforms/f*", "feat_plane feat_flight"),
        ("kind:source", "nyc.flights nyc.weather old.flights"),
        ("resource_type:seed", "codes"),
        ("kind:table", "feat_plane feat_flight late"),
        ("kind:transform and not kind:table", "stg_flights"),
        ("source:nyc", "nyc.flights nyc.weather"),
        ("source:nyc.flights+", "nyc.flights stg_flights feat_flight late"),
        ("*.flights", "nyc.flights old.flights"),
        ("config.materialized:view", "stg_flights"),
        ("not kind:source", "codes feat_plane stg_flights feat_flight late"),
        ("(late or codes) and not late", "codes"),
        ("late or codes and not late", "codes late"),
        ("not (kind:transform seed or kind:source kind:seed) or late", "E0902"),
        ("not not late", "late"),
        ("'late'", "late"),
        ("path:\"transforms/late.sql\"", "late"),
    ] {
        let found = apply(text);
        if expected == "E0902" {
            assert!(found.starts_with(expected), "{text}: {found}");
        } else {
            let sorted = |text: &str| {
                let mut names: Vec<String> = text.split(' ').map(str::to_owned).collect();
                names.sort();
                names
            };
            assert_eq!(sorted(&found), sorted(expected), "{text}");
        }
    }
}

fn check(text: &str, expected: Expect) {
    expected.assert_eq(&apply(text));
}

#[test]
fn nothing_matches() {
    check(
        "late feat_fliht+",
        expect![[r#"
        E0902: no node matches `feat_fliht`
          late feat_fliht+
               ^^^^^^^^^^^
          hint: did you mean `feat_flight`?"#]],
    );
    check(
        "tag:hourl",
        expect![[r#"
        E0902: no node has the tag `hourl`
          tag:hourl
          ^^^^^^^^^
          hint: did you mean `hourly`?"#]],
    );
    check(
        "tag:zzzzzz",
        expect![[r#"
        E0902: no node has the tag `zzzzzz`
          tag:zzzzzz
          ^^^^^^^^^^
          hint: there are `hourly`, `staging`"#]],
    );
    check(
        "kind:viwe",
        expect![[r#"
        E0902: no node is of the kind `viwe`
          kind:viwe
          ^^^^^^^^^
          hint: did you mean `view`?"#]],
    );
    check(
        "source:nyc.planes",
        expect![[r#"
        E0902: no source matches `nyc.planes`
          source:nyc.planes
          ^^^^^^^^^^^^^^^^^
          hint: did you mean `nyc`?"#]],
    );
    check(
        "path:transforms/feature",
        expect![[r#"
        E0902: no node stands below `transforms/feature`
          path:transforms/feature
          ^^^^^^^^^^^^^^^^^^^^^^^
          hint: did you mean `transforms`?"#]],
    );
    check(
        "owner:bob",
        expect![[r#"
        E0902: no node has the owner `bob`
          owner:bob
          ^^^^^^^^^
          hint: there are `ml-team@x.com`"#]],
    );
    check(
        "config.materialized:incremental",
        expect![[r#"
        E0902: no node has `incremental` for `config.materialized`
          config.materialized:incremental
          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
          hint: there are `table`, `view`"#]],
    );
    check(
        "late,tag:staging",
        expect![[r#"
        E0902: the selection matches no node
          late,tag:staging
          ^^^^^^^^^^^^^^^^"#]],
    );
    check(
        "not *",
        expect![[r#"
        E0902: the selection matches no node
          not *
          ^^^^^"#]],
    );
}

#[test]
fn syntax() {
    check("", expect!["E0903: the selection is empty"]);
    check(
        "late and",
        expect![[r#"
        E0903: expected a name or method here
          late and
                  ^"#]],
    );
    check(
        "late,,codes",
        expect![[r#"
        E0903: expected a name or method here
          late,,codes
               ^"#]],
    );
    check(
        "(late or codes",
        expect![[r#"
        E0903: this bracket is never closed
          (late or codes
          ^"#]],
    );
    check(
        "late)",
        expect![[r#"
        E0903: this bracket was never opened
          late)
              ^"#]],
    );
    check(
        "tg:hourly",
        expect![[r#"
        E0903: no selection method `tg`
          tg:hourly
          ^^^^^^^^^
          hint: did you mean `tag:`?"#]],
    );
    check(
        "colour:red",
        expect![[r#"
        E0903: no selection method `colour`
          colour:red
          ^^^^^^^^^^
          hint: methods are `tag:`, `path:`, `owner:`, `kind:`, `resource_type:`, `source:`, `config.<setting>:`"#]],
    );
    check(
        "tag:",
        expect![[r#"
        E0903: expected a value after `:`
          tag:
          ^^^^"#]],
    );
    check(
        "+",
        expect![[r#"
        E0903: expected a name or method beside this sign
          +
          ^"#]],
    );
    check(
        "@+late",
        expect![[r#"
        E0903: `@` takes what is before already; leave out the `+`
          @+late
          ^^^^^^"#]],
    );
    check(
        "größe 'late",
        expect![[r#"
        E0903: this quote is never closed
          größe 'late
                ^"#]],
    );
    check(
        "late[",
        expect![[r#"
        E0903: this pattern cannot be read
          late[
          ^^^^^"#]],
    );
    check(
        "config.colour:red",
        expect![[r#"
            E0903: no setting `colour` to select by
              config.colour:red
              ^^^^^^^^^^^^^^^^^
              hint: settings are `materialized`, `owner`, `partition_by`, `retries`, `strategy`, `tags`"#]],
    );
    check(
        &"(".repeat(100),
        expect![[r#"
        E0903: brackets are nested too deeply
          ((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((
                                                                          ^"#]],
    );
}

#[test]
fn exclusion() {
    let project = flights();
    let chosen = |select, exclude| show(choose(&project, select, exclude));
    assert_eq!(chosen(None, Some("kind:source kind:seed stg_flights")), "feat_plane feat_flight late");
    assert_eq!(chosen(Some("feat_*"), Some("feat_plane")), "feat_flight");
    expect![[r#"
        E0902: nothing is left after leaving these nodes out
          late+
          ^^^^^"#]]
    .assert_eq(&chosen(Some("late"), Some("late+")));
    expect![[r#"
        E0902: no node matches `lat`
          lat
          ^^^
          hint: did you mean `late`?"#]]
    .assert_eq(&chosen(Some("late"), Some("lat")));
}

#[test]
fn broken_nodes_are_named_as_such() {
    let loaded = load("-- transforms/a.sql --\nselect {{ var('x') }}\n-- transforms/b.sql --\nselect 1\n");
    let project = loaded.project.expect("it loads");
    expect![[r#"
        E0902: node `a` has errors and cannot be selected
          b a
            ^"#]]
    .assert_eq(&show(choose(&project, Some("b a"), None)));
}

proptest! {
    #[test]
    fn parsing_never_panics(text in "[ab+@:,()*\\[\\]{}'\" 0-9é!]{0,30}|(and|or|not|a| |\\(|\\)|,){0,12}") {
        if let Err(err) = Selection::parse(&text) {
            let _ = err.to_string();
        }
    }

    #[test]
    fn parsed_selections_apply_without_panics(text in "(late|feat_\\*|tag:s|\\+| |,|not |\\(|\\)|@|1){0,10}") {
        let _ = show(choose(&flights(), Some(&text), None));
    }
}
