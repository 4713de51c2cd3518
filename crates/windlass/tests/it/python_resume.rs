//! A long Python transform that ended before its time: the next run goes on from its finished pieces.

use std::time::{Duration, Instant};

use crate::python;
use crate::support::{Answer, Project, Running};

/// Rows of the input.
const ROWS: u64 = 12_000;
/// How long a test waits for what takes a second on an idle machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pieces of tests take no longer than they must.
const SHORT: [(&str, &str); 1] = [("WINDLASS_TEST_PIECE_MS", "150")];

/// Takes some seconds, notes how many rows it was given, and loses rows in every way there is.
const SLOW: &str = r#"
-- transforms/numbers.sql --
select value as id, value * 0.5 as x, 'n' || value as name from generate_series(1, 12000) t(value)
-- transforms/slow.py --
import time

from windlass import ref, reject, transform, var


@transform(
    input=ref("numbers"),
    columns={"id": "bigint", "y": "double"},
    key=["id"],
    requires={"sql": ["id % 1000 <> 1"]},
    max_error_rate="5%",
    batch_size=40,
    concurrency=1,
)
def slow(batch):
    with open(var("log"), "a") as log:
        log.write(f"{len(batch['id'])}\n")
    time.sleep(0.01)
    reject(batch["id"] % 1000 == 2, "is a two")
    return {"id": batch["id"], "y": batch["x"] * 2}
-- transforms/t.yml --
transforms:
  slow:
    checks: [{unique: [id]}, {row_count: {min: 1}}]
    columns: {y: {checks: [range: {max: 11990, on_fail: quarantine}]}}
-- transforms/above.sql --
select count(*) as n, sum(y) as total from {{ ref('slow') }}
"#;

fn project() -> Project {
    let project = Project::with_python(SLOW);
    let log = project.path("log").display().to_string();
    project.write("windlass.yml", &format!("name: test\nversion: 1\nvars: {{log: '{log}'}}\n"));
    project
}

/// Returns the project over a table of more than 10 MB in several files, which the planner divides by their bytes.
fn over_a_large_table() -> Project {
    let project = project();
    let pad =
        (1..=20).map(|part| format!("encode(sha512('{part} ' || value), 'hex')")).collect::<Vec<_>>().join(" || ");
    let numbers = "select value as id, value * 0.5 as x, 'n' || value as name";
    project
        .write("transforms/numbers.sql", &format!("{numbers}, {pad} as pad from generate_series(1, {ROWS}) t(value)"));
    project.write("targets.yml", "targets: {local: {lake: ./lake, state: ./.windlass, threads: 2, env: prod}}\n");
    project
}

/// The same over files of others, with many row groups.
fn over_large_files() -> Project {
    let project = over_a_large_table();
    python::script("write_large.py", &[project.path("data/numbers").to_str().unwrap()]);
    std::fs::remove_file(project.path("transforms/numbers.sql")).unwrap();
    project.write("sources.yml", "sources: {raw: {path: 'data/{name}/*.parquet', tables: {numbers: {}}}}\n");
    let code = std::fs::read_to_string(project.path("transforms/slow.py")).unwrap();
    let code =
        code.replace("import ref,", "import source,").replace("ref(\"numbers\")", "source(\"raw\", \"numbers\")");
    project.write("transforms/slow.py", &code);
    project
}

/// Returns how many rows Python was given since the last call.
fn computed(project: &Project) -> u64 {
    let text = std::fs::read_to_string(project.path("log")).unwrap_or_default();
    project.write("log", "");
    text.lines().map(|line| line.parse::<u64>().unwrap()).sum()
}

fn pieces(project: &Project) -> Vec<String> {
    let files = project.files("lake/prod/slow/_pieces");
    files.into_iter().filter(|name| name.ends_with(".json")).collect()
}

/// Starts a run and waits until it has kept so many pieces.
fn started(project: &Project, count: usize) -> Running {
    let run = project.start(["run"], &SHORT);
    let begun = Instant::now();
    while pieces(project).len() < count {
        assert!(begun.elapsed() < PATIENCE, "no piece within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    run
}

fn killed(count: usize) -> Project {
    let project = project();
    kill(&project, count);
    project
}

/// Kills a run that has kept so many pieces.
fn kill(project: &Project, count: usize) {
    let run = started(project, count);
    run.signal("KILL");
    assert_eq!(run.wait().code, -1);
}

/// Returns all that the lake holds of the transform, but for what differs from run to run.
fn tables(project: &Project) -> String {
    let result = project.rows("select * from slow order by id");
    let errors = project.rows("select id, row, result, stage, error, checks from slow__errors order by id");
    format!("{result}\n{errors}\n{}", project.rows("select * from above"))
}

/// Returns how many rows a run said that it goes on from.
fn continued(answer: &Answer) -> u64 {
    let line = answer.stderr.lines().find(|line| line.starts_with("`slow` continues: "));
    let line = line.unwrap_or_else(|| panic!("it begins anew:\n{answer}"));
    let words: Vec<&str> = line.split(' ').collect();
    assert_eq!(words[3..], ["of", "12,000", "rows", "are", "done"], "{line}");
    words[2].replace(',', "").parse().unwrap()
}

/// Runs to the end, and looks at what has become of the rows.
fn finish(project: &Project) -> u64 {
    finish_as(project, &self::project())
}

/// Runs to the end, and compares with a project of the same files that runs as a whole.
fn finish_as(project: &Project, undisturbed: &Project) -> u64 {
    let answer = project.windlass_with(["run"], &SHORT);
    assert_eq!(answer.code, 0, "{answer}");
    assert_eq!(undisturbed.windlass(["run"]).code, 0);
    assert!(computed(undisturbed) > ROWS - 100, "all but those that miss the precondition");
    assert!(tables(project) == tables(undisturbed), "rows differ from those of a run that nothing disturbed");
    assert!(answer.stderr.contains("not: id % 1000 <> 1 12 · is a two 12 · range_y 10"), "{answer}");
    assert_eq!(pieces(project), Vec::<String>::new());
    assert_eq!(project.files("lake/prod/slow__errors/_pieces"), Vec::<String>::new());
    // What is published stays, whatever tidies up after the run that was killed.
    assert_eq!(project.windlass(["gc"]).code, 0);
    assert!(tables(project) == tables(undisturbed));
    assert_eq!(project.json(["plan", "slow"])["nodes"][0]["action"], "reuse");
    continued(&answer)
}

#[test]
fn a_transform_that_was_killed_goes_on() {
    let project = killed(3);
    let before = computed(&project);
    assert!(before < ROWS, "it was killed before its end");
    assert_eq!(project.windlass(["gc"]).code, 0);
    assert_eq!(pieces(&project).len(), 3, "finished pieces are no garbage");
    let planned = project.windlass(["plan", "slow"]);
    let plan = project.json(["plan", "slow"]);
    let done = plan["nodes"][0]["reason"]["continues"]["rows"].as_u64().unwrap();
    assert_eq!(plan["nodes"][0]["reason"]["continues"]["of"], ROWS);
    assert!((1_024..ROWS).contains(&done), "{done}");
    assert!(planned.stdout.contains("not published yet; continues: "), "{planned}");
    assert_eq!(finish(&project), done);
    let after = computed(&project);
    assert!(after <= ROWS - done && after > 0, "{after} rows were computed where {done} of {ROWS} were done");
}

/// Inputs that the planner would divide by their bytes are read in the pieces that were counted: as a whole, in pieces, and
/// in pieces of two runs.
#[test]
fn pieces_of_a_large_input_hold_each_row_once() {
    for large in [over_a_large_table, over_large_files] {
        let in_pieces = large();
        let answer = in_pieces.windlass_with(["run"], &SHORT);
        assert_eq!(answer.code, 0, "{answer}");
        assert!(computed(&in_pieces) > ROWS - 100);
        let input = ["lake/prod/numbers", "data/numbers"].map(|folder| bytes(&in_pieces, folder)).iter().sum::<u64>();
        assert!(input > 12 << 20, "{input} bytes are not divided");
        let project = large();
        kill(&project, 3);
        let before = computed(&project);
        assert!(before < ROWS, "it was killed before its end");
        let done = finish_as(&project, &large());
        assert!(computed(&project) <= ROWS - done);
        assert!(tables(&in_pieces) == tables(&project), "rows differ from those of a run that was killed");
        let counted = project.rows("select count(*) as n, count(distinct id) as ids from slow");
        assert_eq!(counted, r#"{"n":11966,"ids":11966}"#);
    }
}

/// Returns the size of the files of a folder.
fn bytes(project: &Project, folder: &str) -> u64 {
    let size = |file: &String| std::fs::metadata(project.path(folder).join(file)).unwrap().len();
    project.files(folder).iter().filter(|file| file.ends_with(".parquet")).map(size).sum()
}

#[test]
fn a_transform_that_was_interrupted_goes_on() {
    let project = project();
    let run = started(&project, 2);
    run.signal("INT");
    let answer = run.wait();
    assert_eq!(answer.code, 1, "{answer}");
    assert!(answer.stderr.contains("cancelled"), "{answer}");
    computed(&project);
    let done = finish(&project);
    assert!(computed(&project) <= ROWS - done);
}

#[test]
fn a_piece_that_is_damaged_is_computed_again() {
    let project = killed(3);
    computed(&project);
    let folder = project.path("lake/prod/slow");
    let text = std::fs::read_to_string(folder.join("_pieces").join(&pieces(&project)[1])).unwrap();
    let piece = crate::support::parsed(&text);
    let file = piece["result"][0]["add"]["path"].as_str().unwrap();
    std::fs::remove_file(folder.join(file)).unwrap();
    let answer = finish(&project);
    assert!(answer < ROWS && computed(&project) <= ROWS - answer);
}

#[test]
fn other_code_begins_anew() {
    let project = killed(2);
    computed(&project);
    let code = std::fs::read_to_string(project.path("transforms/slow.py")).unwrap();
    project.write("transforms/slow.py", &code.replace("batch[\"x\"] * 2", "batch[\"x\"] * 2 + 0"));
    let plan = project.json(["plan", "slow"]);
    assert!(plan["nodes"][0]["reason"]["continues"].is_null(), "{plan}");
    let before = project.files("lake/prod/slow");
    let answer = project.windlass_with(["run"], &SHORT);
    assert_eq!(answer.code, 0, "{answer}");
    assert!(!answer.stderr.contains("continues"), "{answer}");
    assert!(computed(&project) > ROWS - 100);
    let after = project.files("lake/prod/slow");
    let kept: Vec<&String> = before.iter().filter(|file| file.ends_with(".parquet") && after.contains(file)).collect();
    assert!(kept.len() <= 1, "files of pieces that nobody can go on from are gone: {kept:?}");
}

#[test]
fn no_cache_computes_all_of_it() {
    let project = killed(2);
    computed(&project);
    let answer = project.windlass(["run", "--no-cache"]);
    assert_eq!(answer.code, 0, "{answer}");
    assert!(!answer.stderr.contains("continues") && computed(&project) > ROWS - 100, "{answer}");
}

/// A check that is relaxed after it has failed looks at the rows that are there; none is computed again.
#[test]
fn a_check_that_failed_costs_no_second_computation() {
    let project = project();
    let strict = std::fs::read_to_string(project.path("transforms/t.yml")).unwrap();
    project.write("transforms/t.yml", &strict.replace("{min: 1}", "{min: 12000}"));
    let answer = project.windlass_with(["run"], &SHORT);
    assert_eq!(answer.code, 1, "{answer}");
    assert!(pieces(&project).len() > 2 && computed(&project) > ROWS - 100, "{answer}");
    assert_eq!(project.rows("select count(*) as n from \"slow@candidate\""), r#"{"n":11966}"#);
    project.write("transforms/t.yml", &strict);
    assert_eq!(finish(&project), ROWS);
    assert_eq!(computed(&project), 0);
}
