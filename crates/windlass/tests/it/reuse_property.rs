//! Whatever is edited, and in whatever order: tables after runs that build only what has changed equal
//! tables that are built from nothing, and nothing is built that no edit can have reached.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::Project;

/// Who reads whom; each node after what it reads.
const READS: [(&str, &[&str]); 8] = [
    ("seeded", &[]),
    ("loaded", &[]),
    ("plain", &["loaded"]),
    ("seen", &["loaded"]),
    ("joined", &["plain", "seeded", "seen"]),
    ("scored", &["joined"]),
    ("called", &["plain"]),
    ("last", &["scored", "called"]),
];
const SEQUENCES: u64 = 3;
const EDITS: usize = 7;

/// Numbers that look random and are the same every time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// What may be edited: the value of each knob, and what it writes into the project.
#[derive(Default)]
struct Knobs(BTreeMap<&'static str, u64>);

/// The knobs, with the nodes that they are about. An empty list is for what changes no row.
const KNOBS: [(&str, &[&str]); 12] = [
    ("comment", &[]),
    ("seed", &["seeded"]),
    ("data", &["loaded"]),
    ("expression", &["plain"]),
    ("view", &["seen"]),
    ("view_comment", &[]),
    ("var", &["joined"]),
    ("lib", &["scored"]),
    ("python_comment", &[]),
    ("function", &["called"]),
    ("owner", &[]),
    ("check", &[]),
];

impl Knobs {
    fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    fn write(&self, project: &Project) {
        let of = |name: &str| self.of(name);
        project.write("windlass.yml", &format!("name: test\nversion: 1\nvars: {{add: {}}}\n", of("var")));
        project.write("sources.yml", "sources: {raw: {path: 'data/{name}.csv', tables: {rows: {}}}}\n");
        let data: String = (0..40).map(|id| format!("{id},{}\n", (id * 7 + of("data")) % 11)).collect();
        project.write("data/rows.csv", &format!("id,n\n{data}"));
        let seed: String = (0..11).map(|n| format!("{n},{}\n", (n + of("seed")) % 3)).collect();
        project.write("seeds/seeded.csv", &format!("n,class\n{seed}"));
        project.write("transforms/loaded.sql", "select id, n from {{ source('raw', 'rows') }}\n");
        project.write(
            "transforms/plain.sql",
            &format!(
                "-- {}\nselect id, n, n % {} as part from {{{{ ref('loaded') }}}}\n",
                of("comment"),
                of("expression") + 2
            ),
        );
        project.write(
            "transforms/seen.sql",
            &format!(
                "{{{{ config(materialized='view') }}}}\nselect n, count(*) as times -- {}\nfrom {{{{ ref('loaded') }}}} where id > {} group by n\n",
                of("view_comment"),
                of("view")
            ),
        );
        project.write(
            "transforms/joined.sql",
            "select p.id, p.part, s.class, v.times + {{ var('add') }} as times from {{ ref('plain') }} p\n\
             join {{ ref('seeded') }} s on s.n = p.n join {{ ref('seen') }} v on v.n = p.n\n",
        );
        project.write("lib/weight.py", &format!("WEIGHT = {}\n", of("lib")));
        project.write(
            "transforms/scored.py",
            &format!(
                "# {}\nfrom weight import WEIGHT\nfrom windlass import ref, transform\n\n\n\
                 @transform(input=ref('joined'), columns={{'id': 'bigint', 'score': 'bigint'}}, key=['id'], on_error='fail')\n\
                 def scored(batch):\n    return {{'id': batch['id'], 'score': batch['times'] + WEIGHT}}\n",
                of("python_comment")
            ),
        );
        project.write(
            "functions/shift.py",
            &format!(
                "from windlass import udf\n\n\n@udf(returns='bigint', args={{'n': 'bigint'}})\ndef shifted(n):\n    return n + {}\n",
                of("function")
            ),
        );
        project.write("transforms/called.sql", "select id, shifted(part) as part from {{ ref('plain') }}\n");
        project.write(
            "transforms/last.sql",
            "select s.id, s.score, c.part from {{ ref('scored') }} s join {{ ref('called') }} c on c.id = s.id\n",
        );
        project.write(
            "transforms/t.yml",
            &format!(
                "transforms: {{last: {{owner: team_{}, checks: [row_count: {{min: {}}}]}}}}\n",
                of("owner"),
                of("check") % 5
            ),
        );
    }
}

/// Returns nodes and everything that reads them.
fn with_readers(nodes: &[&'static str]) -> BTreeSet<&'static str> {
    let mut reached: BTreeSet<&str> = nodes.iter().copied().collect();
    for (node, reads) in READS {
        if reads.iter().any(|read| reached.contains(read)) {
            reached.insert(node);
        }
    }
    reached
}

fn run(project: &Project, args: &[&str]) -> BTreeSet<String> {
    let answer = project.answer(project.command(&["run", "--format", "json"]).args(args));
    assert_eq!(answer.code, 0, "{answer}");
    let report = crate::support::parsed(&answer.stdout);
    let nodes = report["data"]["nodes"].as_array().unwrap().iter();
    let built = nodes.filter(|node| node["outcome"] == "success" && node["kind"] != "view");
    built.map(|node| node["name"].as_str().unwrap().to_owned()).collect()
}

/// Returns the rows of all tables of an environment.
fn rows(project: &Project, env: &str) -> BTreeMap<&'static str, String> {
    let tables = READS.iter().map(|(name, _)| *name);
    let read = |table: &str| {
        let sql = format!("select * from {table} order by 1, 2");
        let answer = project.windlass(["-e", env, "show", "--sql", &sql, "-n", "1000", "--format", "csv"]);
        assert_eq!(answer.code, 0, "{answer}");
        answer.stdout
    };
    tables.map(|table| (table, read(table))).collect()
}

#[test]
fn tables_equal_those_of_a_full_run_after_any_edits() {
    for sequence in 0..SEQUENCES {
        let project = Project::with_python("");
        let (mut numbers, mut knobs) = (Numbers(sequence * 977 + 1), Knobs::default());
        knobs.write(&project);
        run(&project, &[]);
        let mut told = Vec::new();
        for _ in 0..EDITS {
            let mut edited = Vec::new();
            for _ in 0..=numbers.below(2) {
                let (knob, nodes) = KNOBS[numbers.below(KNOBS.len() as u64) as usize];
                *knobs.0.entry(knob).or_default() = numbers.below(4);
                edited.extend(nodes);
                told.push(format!("{knob}={}", knobs.of(knob)));
            }
            knobs.write(&project);
            let built = run(&project, &[]);
            let reached = with_readers(&edited);
            let beyond: Vec<&String> = built.iter().filter(|name| !reached.contains(name.as_str())).collect();
            assert!(beyond.is_empty(), "built {beyond:?} for no reason after {told:?}");
            assert_eq!(run(&project, &[]), BTreeSet::new(), "built twice after {told:?}");
            run(&project, &["-e", "full", "--no-cache"]);
            assert_eq!(rows(&project, "prod"), rows(&project, "full"), "after {told:?}");
        }
    }
}
