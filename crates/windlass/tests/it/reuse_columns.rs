//! `reuse: columns`: readers stay where the columns that they read are as they were, and whatever is edited, tables
//! equal those of a run that builds everything.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::Project;

/// Nodes in order, each with what it reads of `base` (or of `above_view`, through which it reads `base`): columns, or
/// `*` for all.
const READERS: [(&str, &str); 8] = [
    ("reads_a", "a"),
    ("reads_bc", "b c"),
    ("counts", ""),
    ("reads_all", "*"),
    ("filters", "a c"),
    ("through_view", "a b"),
    ("python_a", "a id"),
    ("python_all", "*"),
];
const SEQUENCES: u64 = 3;
const EDITS: usize = 8;

/// Numbers that look random and are the same every time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// What may be edited, with the columns of `base` that this changes; `rows` is for all of them.
const KNOBS: [(&str, &str); 6] =
    [("a", "a"), ("b", "b"), ("c", "c"), ("swap", "b"), ("rows", "rows"), ("extra", "extra")];

fn python(name: &str, columns: &str) -> String {
    format!(
        "from windlass import ref, transform\n\n\n@transform(input=ref('base'), columns={{'id': 'bigint', 'y': 'bigint'}}, \
         key=['id']{columns}, on_error='fail')\ndef {name}(batch):\n    return {{'id': batch['id'], 'y': batch['a'] + 1}}\n"
    )
}

fn project() -> Project {
    let project = Project::with_python(
        "
-- windlass.yml --
name: test
version: 1
reuse: columns
-- transforms/reads_a.sql --
select sum(a) as a from {{ ref('base') }}
-- transforms/reads_bc.sql --
select b, c from {{ ref('base') }}
-- transforms/counts.sql --
select count(*) as n from {{ ref('base') }}
-- transforms/reads_all.sql --
select * from {{ ref('base') }}
-- transforms/filters.sql --
select a from {{ ref('base') }} where c > (select avg(c) from {{ ref('base') }})
-- transforms/above_view.sql --
{{ config(materialized='view') }}
select a + b as ab, c, id from {{ ref('base') }}
-- transforms/through_view.sql --
select ab, count(*) as n from {{ ref('above_view') }} group by ab
",
    );
    project.write("transforms/python_a.py", &python("python_a", ", input_columns=['id', 'a']"));
    project.write("transforms/python_all.py", &python("python_all", ""));
    project
}

fn write(project: &Project, knobs: &BTreeMap<&str, u64>) {
    let of = |name: &str| knobs.get(name).copied().unwrap_or_default();
    let extra = match of("extra") {
        0 => String::new(),
        number => format!(", id + {number} as extra"),
    };
    // Values of `b` change places between rows: each column for itself has the same values as before.
    let b = if of("swap") % 2 == 0 { format!("id % 5 + {}", of("b")) } else { format!("(id + 1) % 5 + {}", of("b")) };
    project.write(
        "transforms/base.sql",
        &format!(
            "select id, id % 7 + {} as a, {b} as b, [id % 3 + {}, 1][1] as c{extra}\n\
             from (select value as id from generate_series(1, {}) t(value)) s\n",
            of("a"),
            of("c"),
            100 + 5 * of("rows"),
        ),
    );
}

/// Returns the tables that a run has built.
fn run(project: &Project, args: &[&str]) -> BTreeSet<String> {
    let answer = project.answer(project.command(&["run", "--format", "json"]).args(args));
    assert_eq!(answer.code, 0, "{answer}");
    let report = crate::support::parsed(&answer.stdout);
    let nodes = report["data"]["nodes"].as_array().unwrap().iter();
    let built = nodes.filter(|node| node["outcome"] == "success" && node["kind"] != "view");
    built.map(|node| node["name"].as_str().unwrap().to_owned()).collect()
}

fn rows(project: &Project, env: &str) -> BTreeMap<&'static str, String> {
    let read = |table: &str| {
        let sql = format!("select * from {table}");
        let answer = project.windlass(["-e", env, "show", "--sql", &sql, "-n", "1000", "--format", "csv"]);
        assert_eq!(answer.code, 0, "{answer}");
        let mut lines: Vec<&str> = answer.stdout.lines().collect();
        lines.sort_unstable();
        lines.join("\n")
    };
    READERS.iter().map(|(table, _)| (*table, read(table))).collect()
}

/// Returns whether a reader of some columns can see an edit.
fn sees(reads: &str, edited: &BTreeSet<&str>) -> bool {
    reads == "*" || edited.contains("rows") || reads.split(' ').any(|column| edited.contains(column))
}

#[test]
fn tables_equal_those_of_a_full_run_after_any_edits() {
    for sequence in 0..SEQUENCES {
        let project = project();
        let (mut numbers, mut knobs) = (Numbers(sequence * 977 + 3), BTreeMap::new());
        write(&project, &knobs);
        run(&project, &[]);
        let mut told = Vec::new();
        for _ in 0..EDITS {
            let mut edited = BTreeSet::new();
            for _ in 0..=numbers.below(2) {
                let (knob, columns) = KNOBS[numbers.below(KNOBS.len() as u64) as usize];
                let value = numbers.below(4);
                if knobs.insert(knob, value).unwrap_or_default() != value {
                    edited.insert(columns);
                }
                told.push(format!("{knob}={value}"));
            }
            write(&project, &knobs);
            let built = run(&project, &[]);
            for (reader, reads) in READERS {
                let is_built = built.contains(reader);
                assert!(!is_built || sees(reads, &edited), "`{reader}` was built for no reason after {told:?}");
            }
            assert_eq!(run(&project, &[]), BTreeSet::new(), "built twice after {told:?}");
            run(&project, &["-e", "full", "--no-cache"]);
            assert_eq!(rows(&project, "prod"), rows(&project, "full"), "after {told:?}");
        }
    }
}

/// Without the setting each of these readers is built.
#[test]
fn only_readers_of_an_edited_column_are_built() {
    let project = project();
    let mut knobs = BTreeMap::new();
    write(&project, &knobs);
    run(&project, &[]);
    let edit = |knob: &'static str, knobs: &mut BTreeMap<&str, u64>| {
        *knobs.entry(knob).or_default() += 1;
        write(&project, knobs);
        run(&project, &[]).into_iter().collect::<Vec<_>>().join(" ")
    };
    let all = "base counts filters python_a python_all reads_a reads_all reads_bc through_view";
    assert_eq!(edit("a", &mut knobs), "base filters python_a python_all reads_a reads_all through_view");
    // Each column for itself has the same values as before, but not in the same rows.
    assert_eq!(edit("swap", &mut knobs), "base python_all reads_all reads_bc through_view");
    assert_eq!(edit("extra", &mut knobs), "base python_all reads_all");
    assert_eq!(edit("rows", &mut knobs), all);
    assert_eq!(edit("c", &mut knobs), "base filters python_all reads_all reads_bc");

    // A commit without them says nothing of columns: all readers are built, and know them from then on.
    project.write("windlass.yml", "name: test\nversion: 1\n");
    let without = edit("c", &mut knobs);
    assert_eq!(without, all);
    project.write("windlass.yml", "name: test\nversion: 1\nreuse: columns\n");
    assert_eq!(run(&project, &[]), BTreeSet::new(), "the setting alone builds nothing");
    assert_eq!(edit("c", &mut knobs), all);
    assert_eq!(edit("c", &mut knobs), "base filters python_all reads_all reads_bc");
}
