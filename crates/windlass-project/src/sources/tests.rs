//! Paths, formats, and what a source inherits to its tables.

use expect_test::{Expect, expect};

use crate::NodeKind;
use crate::fixture::{load, problems, render};

fn check(sources: &str, expected: Expect) {
    let loaded = load(&format!("-- sources.yml --\n{sources}\n"));
    let mut out = render(&loaded.diagnostics);
    for node in loaded.project.iter().flat_map(|project| project.nodes.values()) {
        let NodeKind::Source(table) = &node.kind else { continue };
        let partitions =
            if table.partitioned_by.is_empty() { String::new() } else { format!(" {:?}", table.partitioned_by) };
        out.push_str(&format!("{}: {} {:?}{partitions}\n", node.name, table.path, table.format));
    }
    if !loaded.broken.is_empty() {
        out.push_str(&format!("broken: {}\n", loaded.broken.join(", ")));
    }
    expected.assert_eq(&out);
}

#[test]
fn formats_come_from_endings() {
    check(
        "\
sources:
  s:
    path: data/{name}.parquet
    tables:
      a:
      b: {path: /abs/b.TSV.gz}
      c: {path: 's3://bucket/c/*.jsonl.zst'}
      d: {path: delta://lake/d}
      e: {path: 'file:///x/{name}.csv', options: {delimiter: tab, header: false}}
      f: {path: ../up/f, format: delta}
      g: {path: 'parts/**/*.ndjson'}
      h: {path: parts/, format: parquet, partitioned_by: [year, month]}
      i: {path: 's3://{{ env_var(\"USER\") }}/{{ target.env }}/{name}.csv'}
      j: {path: folder/without/ending}
",
        expect![[r#"
            error[E0204]: the path's ending does not tell the format of its files
              sources.yml:14:17
              |       j: {path: folder/without/ending}
              |                 ^^^^^^^^^^^^^^^^^^^^^
              hint: set `format` to one of `parquet`, `csv`, `json`, `delta`
              node: s.j
            s.a: /p/data/a.parquet Parquet
            s.b: /abs/b.TSV.gz Csv { delimiter: 9, header: true }
            s.c: s3://bucket/c/*.jsonl.zst Json
            s.d: /p/lake/d Delta
            s.e: file:///x/e.csv Csv { delimiter: 9, header: false }
            s.f: /up/f Delta
            s.g: /p/parts/**/*.ndjson Json
            s.h: /p/parts Parquet ["year", "month"]
            s.i: s3://ana/prod/i.csv Csv { delimiter: 44, header: true }
            broken: s.j
        "#]],
    );
}

#[test]
fn tables_inherit_and_override() {
    check(
        "\
sources:
  - name: s
    path: in/{name}
    format: csv
    options: {delimiter: ';'}
    owner: ana
    tags: [raw]
    tables:
      - a
      - name: b
        options: {delimiter: '|'}
        columns: [{name: id, type: bigint}, {name: x}]
      - name: c
        path: c.parquet
",
        expect![[r#"
            s.a: /p/in/a Csv { delimiter: 59, header: true }
            s.b: /p/in/b Csv { delimiter: 124, header: true }
            s.c: /p/c.parquet Parquet
        "#]],
    );
}

#[test]
fn mistakes_are_located() {
    check(
        "sources:\n  s:\n    tables: {a: {}}",
        expect![[r#"
        error[E0204]: source table `s.a` needs the key `path`
          sources.yml:3:14
          |     tables: {a: {}}
          |              ^
          hint: set it here, or for all tables of the source: `path: data/{name}.parquet`
          node: s.a
        broken: s.a
    "#]],
    );
    check(
        "sources:\n  s:\n    path: x.parquet",
        expect![[r#"
        error[E0204]: source `s` needs the key `tables`
          sources.yml:2:3
          |   s:
          |   ^
    "#]],
    );
    check(
        "sourcs: {}",
        expect![[r#"
        error[E0202]: unknown key `sourcs` in `sources.yml`
          sources.yml:1:1
          | sourcs: {}
          | ^^^^^^ did you mean `sources`?
        error[E0204]: `sources.yml` needs the key `sources`
          sources.yml:1:1
          | sourcs: {}
          | ^^^^^^^^^^
    "#]],
    );
    check(
        "sources: {s: {path: x.csv, tabels: {a: }}}",
        expect![[r#"
        error[E0202]: unknown key `tabels` in source `s`
          sources.yml:1:28
          | sources: {s: {path: x.csv, tabels: {a: }}}
          |                            ^^^^^^ did you mean `tables`?
        error[E0204]: source `s` needs the key `tables`
          sources.yml:1:11
          | sources: {s: {path: x.csv, tabels: {a: }}}
          |           ^
    "#]],
    );
    check(
        "sources: {s: {path: x.csv, tables: {a: {chekcs: 1, checks: [x], tests: [y]}, b: }}}",
        expect![[r#"
            error[E0202]: unknown key `chekcs` in source table `s.a`
              sources.yml:1:41
              | sources: {s: {path: x.csv, tables: {a: {chekcs: 1, checks: [x], tests: [y]}, b: }}}
              |                                         ^^^^^^ did you mean `checks`?
              node: s.a
            error[E0202]: unknown check `x`
              sources.yml:1:61
              | sources: {s: {path: x.csv, tables: {a: {chekcs: 1, checks: [x], tests: [y]}, b: }}}
              |                                                             ^
              hint: checks: `not_null`, `null_rate`, `unique`, `accepted_values`, `rejected_values`, `range`, `length`, `regex`, `not_regex`, `monotonic`, `pair`, `expression`, `relationships`, `row_count`, `row_count_change`, `same_row_count`, `freshness`, `mean`, `stddev`, `sum`, `min`, `max`, `median`, `quantile`, `distinct_count`, `drift`, `anomaly`, `reconcile`, `coverage`, `rows_per_key`, `sql`, `schema`
              node: s.a
            error[E0202]: unknown check `y`
              sources.yml:1:73
              | sources: {s: {path: x.csv, tables: {a: {chekcs: 1, checks: [x], tests: [y]}, b: }}}
              |                                                                         ^
              hint: checks: `not_null`, `null_rate`, `unique`, `accepted_values`, `rejected_values`, `range`, `length`, `regex`, `not_regex`, `monotonic`, `pair`, `expression`, `relationships`, `row_count`, `row_count_change`, `same_row_count`, `freshness`, `mean`, `stddev`, `sum`, `min`, `max`, `median`, `quantile`, `distinct_count`, `drift`, `anomaly`, `reconcile`, `coverage`, `rows_per_key`, `sql`, `schema`
              node: s.a
            s.b: /p/x.csv Csv { delimiter: 44, header: true }
            broken: s.a
        "#]],
    );
    check(
        "sources: {s: {path: x.csv, tables: [a, b, a]}}",
        expect![[r#"
        error[E0205]: duplicate name `a`
          sources.yml:1:43
          | sources: {s: {path: x.csv, tables: [a, b, a]}}
          |                                           ^ again here
          sources.yml:1:37
          | sources: {s: {path: x.csv, tables: [a, b, a]}}
          |                                     - first here
        s.a: /p/x.csv Csv { delimiter: 44, header: true }
        s.b: /p/x.csv Csv { delimiter: 44, header: true }
    "#]],
    );
    check(
        "sources: {my-s: {path: x.csv, tables: [a]}, s: {path: x.csv, tables: [a.b]}}",
        expect![[r#"
        error[E0203]: the name of source `my-s` is not an identifier
          sources.yml:1:11
          | sources: {my-s: {path: x.csv, tables: [a]}, s: {path: x.csv, tables: [a.b]}}
          |           ^^^^
          hint: names consist of letters, digits and `_`, and do not start with a digit
        error[E0203]: the name of source table `s.a.b` is not an identifier
          sources.yml:1:71
          | sources: {my-s: {path: x.csv, tables: [a]}, s: {path: x.csv, tables: [a.b]}}
          |                                                                       ^^^
          hint: names consist of letters, digits and `_`, and do not start with a digit
          node: s.a.b
        broken: s.a.b
    "#]],
    );
    check(
        "sources: {s: {path: x.parquet, options: {header: false}, tables: {a: , b: {options: {header: true}}}}}",
        expect![[r#"
        error[E0203]: `options` apply to `csv` files, not to `parquet`
          sources.yml:1:76
          | sources: {s: {path: x.parquet, options: {header: false}, tables: {a: , b: {options: {header: true}}}}}
          |                                                                            ^^^^^^^
          node: s.b
        s.a: /p/x.parquet Parquet
        broken: s.b
    "#]],
    );
    check(
        "sources: {s: {path: x.parquet, options: {header: false}, format: avro, tables: [a, b]}}",
        expect![[r#"
            error[E0203]: expected one of `parquet`, `csv`, `json`, `delta` for `format`, found `avro`
              sources.yml:1:66
              | sources: {s: {path: x.parquet, options: {header: false}, format: avro, tables: [a, b]}}
              |                                                                  ^^^^
              node: s.*
            broken: s.a, s.b
        "#]],
    );
    check(
        "sources: {s: {path: x.csv, options: {header: maybe, delimiter: '||', quote: x}, tables: [a]}}",
        expect![[r#"
            error[E0202]: unknown key `quote` in `options`
              sources.yml:1:70
              | sources: {s: {path: x.csv, options: {header: maybe, delimiter: '||', quote: x}, tables: [a]}}
              |                                                                      ^^^^^
              hint: known keys: `delimiter`, `header`
              node: s.*
            error[E0203]: expected one ASCII character or `tab` for `delimiter`, found `||`
              sources.yml:1:64
              | sources: {s: {path: x.csv, options: {header: maybe, delimiter: '||', quote: x}, tables: [a]}}
              |                                                                ^^^^
              node: s.*
            error[E0203]: expected `true` or `false` for `header`, found `maybe`
              sources.yml:1:46
              | sources: {s: {path: x.csv, options: {header: maybe, delimiter: '||', quote: x}, tables: [a]}}
              |                                              ^^^^^
              node: s.*
            broken: s.a
        "#]],
    );
    check(
        "sources: {s: {path: x.csv, tables: {a: {columns: {id: {typ: int}, id2: [a], id3: }}}}}",
        expect![[r#"
        error[E0202]: unknown key `typ` in column `id`
          sources.yml:1:56
          | sources: {s: {path: x.csv, tables: {a: {columns: {id: {typ: int}, id2: [a], id3: }}}}}
          |                                                        ^^^ did you mean `type`?
          node: s.a
        error[E0203]: expected a type or a map for column `id2`, found a list
          sources.yml:1:72
          | sources: {s: {path: x.csv, tables: {a: {columns: {id: {typ: int}, id2: [a], id3: }}}}}
          |                                                                        ^^^
          node: s.a
        broken: s.a
    "#]],
    );
    check(
        "sources: {s: {path: x.csv, tables: {a: {columns: [id, id, {type: x}]}}}}",
        expect![[r#"
        error[E0205]: duplicate name `id`
          sources.yml:1:55
          | sources: {s: {path: x.csv, tables: {a: {columns: [id, id, {type: x}]}}}}
          |                                                       ^^ again here
          sources.yml:1:51
          | sources: {s: {path: x.csv, tables: {a: {columns: [id, id, {type: x}]}}}}
          |                                                   -- first here
          node: s.a
        error[E0204]: an item of `columns` needs the key `name`
          sources.yml:1:59
          | sources: {s: {path: x.csv, tables: {a: {columns: [id, id, {type: x}]}}}}
          |                                                           ^^^^^^^^^
          node: s.a
        broken: s.a
    "#]],
    );
}

#[test]
fn variables_that_are_not_set_break_only_their_tables() {
    check(
        "sources:\n  s: {path: \"{{ env_var('NOPE') }}/{name}.csv\", tables: [a, b]}\n  t: {path: x.csv, tables: {ok: , bad: {path: \"{{ var('lak') }}/x.csv\"}}}",
        expect![[r#"
            error[E0306]: the environment variable `NOPE` is not set
              sources.yml:2:25
              |   s: {path: "{{ env_var('NOPE') }}/{name}.csv", tables: [a, b]}
              |                         ^^^^^^
              hint: set it, or give a default: `env_var('NOPE', '...')`
              node: s.*
            error[E0304]: no variable `lak`
              sources.yml:3:55
              |   t: {path: x.csv, tables: {ok: , bad: {path: "{{ var('lak') }}/x.csv"}}}
              |                                                       ^^^^^
              hint: set it under `vars:` in `windlass.yml`, pass `--vars lak=...`, or give a default
              node: t.bad
            t.ok: /p/x.csv Csv { delimiter: 44, header: true }
            broken: s.a, s.b, t.bad
        "#]],
    );
}

#[test]
fn who_needs_a_table_of_a_broken_source_finds_why() {
    let loaded = load(
        "-- sources.yml --\nsources: {s: {path: \"{{ env_var('NOPE') }}\", tables: [a, b]}}\n-- transforms/x.sql --\nselect * from {{ source('s', 'b') }}\n-- transforms/y.sql --\nselect 1\n",
    );
    let found: Vec<_> = loaded.problems_for(["x"]).iter().map(|problem| problem.node.clone()).collect();
    assert_eq!(found, [Some("s.*".to_owned())]);
    assert_eq!(loaded.blockers("x"), ["s.b"]);
    assert!(loaded.problems_for(["y"]).is_empty());
}

#[test]
fn several_files_share_the_names() {
    let text = "-- sources.yml --\nsources: {s: {path: a.csv, tables: [a]}}\n-- sources/more.yml --\nsources: {t: {path: a.csv, tables: [a]}, s: {path: b.csv, tables: [b]}}\n-- sources/empty.yml --\n\n";
    expect![[r#"
        error[E0205]: duplicate source `s`
          sources/more.yml:1:42
          | sources: {t: {path: a.csv, tables: [a]}, s: {path: b.csv, tables: [b]}}
          |                                          ^ again here
          sources.yml:1:11
          | sources: {s: {path: a.csv, tables: [a]}}
          |           - first here
    "#]]
    .assert_eq(&problems(text));
}

#[test]
fn a_sample_key_is_inherited_and_taken_back() {
    let loaded = load(
        "-- sources.yml --\nsources:\n  s:\n    path: data/{name}.csv\n    sample_key: id\n    tables:\n      a:\n      \
         b: {sample_key: [id, day]}\n      c: {sample_key: []}\n      d: {sample_key: [id, id]}\n      e: {sample_key: {x: 1}}\n",
    );
    let keys = |name: &str| match &loaded.project.as_ref().unwrap().nodes[name].kind {
        NodeKind::Source(table) => table.sample_key.join(" "),
        _ => unreachable!(),
    };
    assert_eq!(["s.a", "s.b", "s.c"].map(keys), ["id", "id day", ""]);
    expect![[r#"
        error[E0203]: `sample_key` names column `id` twice
          sources.yml:9:23
          |       d: {sample_key: [id, id]}
          |                       ^^^^^^^^
          node: s.d
        error[E0203]: expected a text or a list of texts for `sample_key`, found a map
          sources.yml:10:23
          |       e: {sample_key: {x: 1}}
          |                       ^^^^^^
          node: s.e
    "#]]
    .assert_eq(&render(&loaded.diagnostics));
}
