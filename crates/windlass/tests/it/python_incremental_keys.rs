//! Python transforms by key and those that only grow, and all of them against tables that are computed from nothing.

use crate::support::{Answer, Project};

/// The last state of each order, and what a run is given of them.
const ORDERS: &str = r#"
-- sources.yml --
sources: {raw: {path: 'data/{name}.csv', tables: {events: {columns: {seq: bigint, id: bigint, n: bigint}}}}}
-- transforms/latest.sql --
select id, seq, n from {{ source('raw', 'events') }} qualify row_number() over (partition by id order by seq desc) = 1
-- transforms/priced.py --
from windlass import ref, reject, transform, var


@transform(
    input=ref("latest"),
    columns={"id": "bigint", "seq": "bigint", "price": "double"},
    key=["id"],
    materialized="incremental",
    strategy="merge",
    time_column="seq",
    max_error_rate="90%",
)
def priced(batch):
    with open(var("log"), "a") as log:
        log.write("".join(f"{id}\n" for id in batch["id"]))
    reject(batch["n"] < 0, "is negative")
    return {"id": batch["id"], "seq": batch["seq"], "price": batch["n"] * 1.5}
"#;

fn orders(events: &str) -> Project {
    let project = Project::with_python(ORDERS);
    let log = project.path("log").display().to_string();
    project.write("windlass.yml", &format!("name: test\nversion: 1\nvars: {{log: '{log}'}}\n"));
    project.write("data/events.csv", &format!("seq,id,n\n{events}"));
    project
}

fn given(project: &Project) -> String {
    let text = std::fs::read_to_string(project.path("log")).unwrap_or_default();
    project.write("log", "");
    let mut ids: Vec<&str> = text.lines().collect();
    ids.sort_unstable();
    ids.join(" ")
}

fn edit(project: &Project, from: &str, to: &str) {
    let code = std::fs::read_to_string(project.path("transforms/priced.py")).unwrap();
    assert!(code.contains(from), "{code}");
    project.write("transforms/priced.py", &code.replace(from, to));
}

#[track_caller]
fn succeed(answer: &Answer) {
    assert_eq!(answer.code, 0, "{answer}");
}

fn prices(project: &Project) -> (String, String) {
    let rows = |sql: &str| project.rows(sql).replace('\n', " ");
    (rows("select id, price from priced order by id"), rows("select id, row['n'] as n from priced__errors order by id"))
}

#[test]
fn later_rows_replace_those_of_their_key() {
    let first = "1,1,2\n2,2,4\n3,3,-1\n";
    let project = orders(first);
    succeed(&project.windlass(["run", "-q"]));
    assert_eq!(given(&project), "1 2 3");
    assert_eq!(prices(&project), (r#"{"id":1,"price":3.0} {"id":2,"price":6.0}"#.into(), r#"{"id":3,"n":-1}"#.into()));
    // One that fails leaves the table, one that has failed joins it.
    project.write("data/events.csv", &format!("seq,id,n\n{first}4,2,-4\n5,3,6\n6,4,8\n"));
    succeed(&project.windlass(["run", "-q"]));
    assert_eq!(given(&project), "2 3 4", "order 1 is no later than before");
    let expected = (
        r#"{"id":1,"price":3.0} {"id":3,"price":9.0} {"id":4,"price":12.0}"#.to_owned(),
        r#"{"id":2,"n":-4}"#.to_owned(),
    );
    assert_eq!(prices(&project), expected);
    succeed(&project.windlass(["run", "-q", "--no-cache"]));
    assert_eq!((given(&project), prices(&project)), (String::new(), expected));
    // What does not fail again joins the table.
    edit(&project, "time_column=\"seq\",", "time_column=\"seq\",\n    on_definition_change=\"forward\",");
    edit(&project, "batch[\"n\"] < 0", "batch[\"n\"] < -9");
    succeed(&project.windlass(["errors", "priced", "--replay"]));
    assert_eq!(prices(&project).1, "");
    assert_eq!(project.rows("select count(*) as n, count(distinct id) as ids from priced"), r#"{"n":4,"ids":4}"#);
    given(&project);
    project.write("data/events.csv", &format!("seq,id,n\n{first}4,2,-4\n5,3,6\n6,4,8\n7,2,2\n"));
    succeed(&project.windlass(["run", "-q"]));
    assert_eq!(given(&project), "2", "how far rows were read is not forgotten");
    assert_eq!(project.rows("select price from priced where id = 2"), r#"{"price":3.0}"#);
}

/// Without a column that says what is later, all rows of the input are new; those that have gone from it stay.
#[test]
fn all_rows_replace_those_of_their_key() {
    let project = orders("1,1,2\n2,2,-4\n");
    edit(&project, "    time_column=\"seq\",\n", "    requires={\"not_null\": [\"id\"]},\n");
    succeed(&project.windlass(["run", "-q"]));
    given(&project);
    project.write("data/events.csv", "seq,id,n\n2,2,4\n3,3,-1\n4,,-1\n");
    succeed(&project.windlass(["run", "-q"]));
    assert_eq!(given(&project), "2 3");
    let expected =
        (r#"{"id":1,"price":3.0} {"id":2,"price":6.0}"#.to_owned(), r#"{"id":3,"n":-1} {"id":null,"n":-1}"#.to_owned());
    assert_eq!(prices(&project), expected);
    succeed(&project.windlass(["run", "-q", "--no-cache"]));
    assert_eq!(prices(&project), expected, "rows without a key fail once more, and not twice");
}

#[test]
fn later_rows_are_added() {
    let project = orders("1,1,2\n2,2,-4\n");
    edit(&project, "strategy=\"merge\"", "strategy=\"append\"");
    edit(&project, "ref(\"latest\")", "source(\"raw\", \"events\")");
    edit(&project, "import ref,", "import source,");
    succeed(&project.windlass(["run", "-q"]));
    project.write("data/events.csv", "seq,id,n\n1,1,2\n2,2,-4\n3,1,4\n,5,5\n4,2,-6\n");
    given(&project);
    let run = project.json(["run", "priced"]);
    assert_eq!(run["nodes"][0]["left_out_rows"], 1, "{run}");
    assert_eq!(given(&project), "1 2");
    let rows = |sql: &str| project.rows(sql).replace('\n', " ");
    assert_eq!(rows("select seq, price from priced order by seq"), r#"{"seq":1,"price":3.0} {"seq":3,"price":6.0}"#);
    assert_eq!(rows("select row['seq'] as seq from priced__errors order by 1"), r#"{"seq":2} {"seq":4}"#);
}

/// Numbers that look random and are the same every time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// What may be edited.
struct Knobs {
    events: String,
    count: u64,
    factor: u64,
    batch: u64,
    /// The day of May before which the table of days ends.
    end: u64,
}

impl Knobs {
    /// Adds an event of some day; numbers that end in 7 are rejected, and 13 makes the code fail.
    fn add(&mut self, numbers: &mut Numbers, (first_day, end_day): (u64, u64)) {
        let day = first_day + numbers.below(end_day - first_day);
        let (hour, id, n) = (numbers.below(24), numbers.below(12), numbers.below(40));
        self.count += 1;
        self.events.push_str(&format!("{},2013-05-{day:02}T{hour:02}:00:00,{id},{n}\n", self.count));
    }

    fn write(&self, project: &Project) {
        let Self { events, factor, batch, end, .. } = self;
        project.write("data/events.csv", &format!("seq,at,id,n\n{events}"));
        let by_day = format!(
            "strategy='by_interval', time_column='at', interval='day', start='2013-05-01', end='2013-05-{end:02}', \
             lookback=2, batch_intervals={batch}"
        );
        for (name, input, how) in [
            ("days", "source('raw', 'events')", by_day.as_str()),
            ("last", "ref('latest')", "strategy='merge', time_column='seq'"),
            ("whole", "ref('latest')", "strategy='merge'"),
            ("grown", "source('raw', 'events')", "strategy='append', time_column='seq'"),
        ] {
            let key = if name == "days" || name == "grown" { "seq" } else { "id" };
            project.write(
                &format!("transforms/{name}.py"),
                &format!(
                    "from windlass import ref, reject, source, transform\n\n\n@transform(input={input}, columns={{'seq': \
                     'bigint', 'at': 'timestamp', 'id': 'bigint', 'm': 'bigint'}}, key=['{key}'], max_error_rate='90%',\n\
                     \x20   materialized='incremental', {how})\ndef {name}(batch):\n    reject(batch['n'] % 10 == 7, 'ends in \
                     7')\n    if (batch['n'] == 13).any():\n        raise ValueError('thirteen')\n    kept = \
                     {{name: batch[name] for name in ('seq', 'at', 'id')}}\n    return {{**kept, 'm': batch['n'] * {factor}}}\n"
                ),
            );
        }
    }
}

fn rows(project: &Project, env: &str, table: &str) -> String {
    let sql = format!("select seq, at, id, m from \"{table}\" order by 1");
    let errors = format!("select row['seq'] as seq, row['n'] as n, error from \"{table}__errors\" order by 1");
    let read = |sql: &str| {
        let answer = project.windlass(["-e", env, "show", "--sql", sql, "-n", "10000", "--format", "csv"]);
        assert_eq!(answer.code, 0, "{answer}");
        answer.stdout
    };
    read(&sql) + &read(&errors)
}

/// Whatever arrives, and in whatever steps: rows and error rows are those of tables that are computed from nothing.
#[test]
fn tables_equal_those_that_are_computed_from_nothing() {
    let project = Project::with_python(
        "-- sources.yml --\nsources: {raw: {path: 'data/{name}.csv', tables: {events: {columns: {seq: bigint, at: \
         timestamp, id: bigint, n: bigint}}}}}\n-- transforms/latest.sql --\nselect * from {{ source('raw', 'events') }} \
         qualify row_number() over (partition by id order by seq desc) = 1\n",
    );
    let mut numbers = Numbers(11);
    let mut knobs = Knobs { events: String::new(), count: 0, factor: 1, batch: 2, end: 5 };
    (0..20).for_each(|_| knobs.add(&mut numbers, (1, 5)));
    let mut told = Vec::new();
    for _ in 0..6 {
        knobs.write(&project);
        succeed(&project.windlass(["run", "-q"]));
        succeed(&project.windlass(["-e", "full", "run", "-q", "--full-refresh"]));
        for table in ["days", "last", "whole", "grown"] {
            assert_eq!(rows(&project, "prod", table), rows(&project, "full", table), "`{table}` after {told:#?}");
        }
        let what = numbers.below(6);
        match what {
            0 => knobs.factor += 1,
            1 => knobs.batch = 1 + numbers.below(3),
            _ => knobs.end += 1 + numbers.below(3),
        }
        // Late rows, as far back as is looked, and those of now.
        let late = knobs.end - 3;
        (0..1 + numbers.below(6)).for_each(|_| knobs.add(&mut numbers, (late, knobs.end)));
        told.push(format!("{what}, until day {}", knobs.end));
    }
}
