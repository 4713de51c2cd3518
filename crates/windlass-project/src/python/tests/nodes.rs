//! Python nodes in their project: error tables, properties beside them, selections, and files that are broken.

use expect_test::expect;
use proptest::prelude::*;

use super::{SCORE, check, check_argument, text, with};
use crate::fixture::{load, problems, project};
use crate::{InputPart, NodeKind, Selection};

#[test]
fn error_tables() {
    let text =
        format!("{}-- transforms/r.sql --\nselect 1 from {{{{ ref('x') }}}}, {{{{ ref('x__errors') }}}}\n", with(""));
    let loaded = project(&super::text(&text));
    let inputs = loaded.nodes["r"].inputs();
    let read: Vec<_> = inputs.iter().map(|input| (input.node.as_str(), input.part, input.table())).collect();
    assert_eq!(read, [("x", InputPart::Result, "x".to_owned()), ("x", InputPart::Errors, "x__errors".to_owned())]);
    assert_eq!(inputs[1].reference, "x__errors");
    assert_eq!(loaded.graph.parents("r"), ["x"]);
    let taken = format!("{}-- transforms/x__errors.sql --\nselect 1\n", with(""));
    check(
        &taken,
        expect![[r#"
        error[E0205]: `x__errors` is the error table of `x`
          transforms/x__errors.sql:1:1
          | select 1
          | ^
          transforms/x.py:4:5
          | def score(batch):
          |     ----- its rows that fail go there
          hint: give this node another name
          node: x__errors
        broken: x__errors
    "#]],
    );
    let free = format!("{}-- transforms/x__errors.sql --\nselect 1\n", with("on_error='fail'"));
    check(&free, expect![[r#""#]]);
    check(
        &format!("{}-- transforms/r.sql --\nselect 1 from {{{{ ref('x__errors') }}}}\n", with("on_error='fail'")),
        expect![[r#"
            error[E0302]: `x` has no error table
              transforms/r.sql:1:22
              | select 1 from {{ ref('x__errors') }}
              |                      ^^^^^^^^^^^
              hint: Python transforms of batches with `on_error="quarantine"` have one, and tables with a check of `on_fail: quarantine` or that score with a model
              node: r
            broken: r
        "#]],
    );
}

#[test]
fn properties_beside() {
    let beside = |yaml: &str| format!("{}-- transforms/p.yml --\ntransforms: {{x: {yaml}}}\n", with(""));
    check(&beside("{columns: {id: BIGINT, p: {description: b}}, tags: [a], retries: 1}"), expect![""]);
    check(
        &beside("{columns: {id: varchar, q: {}, zzz: int}}"),
        expect![[r#"
            error[E0203]: column `id` is declared as `bigint` and as `varchar`
              transforms/p.yml:1:28
              | transforms: {x: {columns: {id: varchar, q: {}, zzz: int}}}
              |                            ^^
              transforms/x.py:2:44
              | @transform(input=ref("features"), columns={"id": "bigint", "p": "double"},
              |                                            ---- declared here
              hint: the type in the Python file decides: remove the one beside it
              node: x
            error[E0203]: the Python file declares no column `q`
              transforms/p.yml:1:41
              | transforms: {x: {columns: {id: varchar, q: {}, zzz: int}}}
              |                                         ^
              hint: its `columns` are `id`, `p`
              node: x
            error[E0203]: the Python file declares no column `zzz`
              transforms/p.yml:1:48
              | transforms: {x: {columns: {id: varchar, q: {}, zzz: int}}}
              |                                                ^^^
              hint: its `columns` are `id`, `p`
              node: x
            broken: x
        "#]],
    );
    check(&beside("{materialized: table}"), expect![""]);
    check(
        &beside("{config: {materialized: view}, delimiter: x}"),
        expect![[r#"
            error[E0202]: unknown key `delimiter` in the properties of `x`
              transforms/p.yml:1:48
              | transforms: {x: {config: {materialized: view}, delimiter: x}}
              |                                                ^^^^^^^^^
              hint: known keys: `batch_intervals`, `description`, `end`, `interval`, `lookback`, `materialized`, `max_error_rate`, `max_errors`, `on_definition_change`, `on_upstream_failure`, `on_volatile`, `owner`, `partition_by`, `retries`, `sort_by`, `start`, `strategy`, `tags`, `time_column`, `columns`, `config`, `checks`, `tests`, `data_tests`
              node: x
            error[E0203]: expected `table` or `incremental` for `materialized`, found `view`
              transforms/p.yml:1:41
              | transforms: {x: {config: {materialized: view}, delimiter: x}}
              |                                         ^^^^
              hint: what Python computes is always published
              node: x
            broken: x
        "#]],
    );
    check_argument(
        "materialized='view'",
        expect![[r#"
            error[E0203]: expected `table` or `incremental` for `materialized`, found `view`
              transforms/x.py:3:18
              |     materialized='view')
              |                  ^^^^^^
              hint: what Python computes is always published
              node: x
            broken: x
        "#]],
    );
    let both = format!("{}-- transforms/x.sql --\nselect 1\n-- transforms/y.py --\nx = (\n", with(""));
    check(
        &both,
        expect![[r#"
            error[E0205]: duplicate node `x`
              transforms/x.sql:1:1
              | select 1
              | ^ again here
              transforms/x.py:1:1
              | from windlass import ref, source, transform, var
              | - first here
              note: `transforms/x.py` and `transforms/x.sql`
              hint: a node is named after its file, whatever its folder; rename one
              node: x
            error[E0401]: the Python file cannot be parsed: unexpected EOF while parsing
              transforms/y.py:2:1
              | 
              | ^
              node: y
            broken: x, y
        "#]],
    );
}

#[test]
fn selections_and_the_graph_know_python() {
    let project = project(&text(SCORE));
    for (selection, expected) in [
        ("kind:python", "score"),
        ("kind:transform", "features, score, late"),
        ("kind:table", "score"),
        ("config.materialized:table", "score"),
        ("tag:scoring+", "score, late"),
        ("path:transforms/ml/score.py", "score"),
        ("owner:ml-team", "features, score, late"),
        ("+late", "features, score, late"),
    ] {
        let names = Selection::parse(selection).unwrap().apply(&project).unwrap();
        assert_eq!(names.into_iter().collect::<Vec<_>>().join(", "), expected, "{selection}");
    }
    assert!(project.functions.is_empty());
    assert_eq!(project.lib, [std::path::PathBuf::from("/p/lib")]);
    assert!(matches!(project.nodes["score"].kind, NodeKind::Python(_)));
}

#[test]
fn a_broken_python_file_leaves_the_others() {
    let loaded = load(&text(&format!("{}-- transforms/bad.py --\nx = (\n", with(""))));
    assert_eq!(loaded.broken, ["bad"]);
    assert!(loaded.blockers("x").is_empty());
    assert!(loaded.project.expect("it loads").nodes.contains_key("x"));
}

#[test]
fn deep_files_do_not_overflow() {
    let chain = |terms: usize| format!("x = {}", vec!["1"; terms].join(" + "));
    for (line, is_too_deep) in [
        (chain(20_000), true),
        (chain(4_900), false),
        (format!("x = {}1{}", "(".repeat(5_000), ")".repeat(5_000)), false),
        (format!("x = {}1", "-".repeat(20_000)), true),
        (format!("x = {}1", "-".repeat(4_900)), false),
        (format!("x = a{}", ".b(1)".repeat(10_000)), true),
        (format!("x = a{}", ".b(1)".repeat(2_000)), false),
        (format!("x = {}1{}", "[".repeat(4_900), "]".repeat(4_900)), false),
    ] {
        let loaded = load(&text(&with("fn_args=x").replace("@transform", &format!("{line}\n@transform"))));
        let found = loaded.diagnostics.iter().any(|problem| problem.message == "the Python file is nested too deep");
        assert_eq!(found, is_too_deep, "{}", &line[..40]);
    }
}

proptest! {
    #[test]
    fn broken_files_never_panic(
        cut in any::<prop::sample::Index>(),
        length in 0..12_usize,
        put in "[-a-z0-9_()\\[\\]{}:,.=+*@#'\"\\\\ \\n\u{e9}]{0,6}",
        is_block in any::<bool>(),
    ) {
        let block = "# /// script\n# dependencies = ['a>=1', 'b']\n# requires-python = '>=3.11'\n# ///\n";
        let block = if is_block { block } else { "" };
        let file = SCORE.trim_start().replace("\"\"\"Scores", &format!("{block}\"\"\"Scores"));
        let (head, body) = file.split_once('\n').unwrap();
        let (body, rest) = body.split_once("-- lib").unwrap();
        let start = cut.index(body.len());
        let end = (start + length).min(body.len());
        let text = text(&format!("{head}\n{}{put}{}\n-- lib{rest}", &body[..start], &body[end..]));
        // Rendering slices every place out of its file.
        problems(&text);
    }
}
