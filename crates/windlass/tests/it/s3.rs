//! A lake and sources in an S3-compatible object store.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use expect_test::expect;

use crate::python;
use crate::support::{Answer, Project, parsed};

/// Credentials; the store takes any, and none may appear anywhere.
const SECRETS: [&str; 3] = ["AKIDOFTHETEST0451", "a-very-secret-key-0451", "a-session-token-0451"];
const CREDENTIALS: [(&str, &str); 3] =
    [("AWS_ACCESS_KEY_ID", SECRETS[0]), ("AWS_SECRET_ACCESS_KEY", SECRETS[1]), ("STORE_TOKEN", SECRETS[2])];

/// `PORT` stands for the store's, `MORE` for further settings.
const TARGETS: &str = "
targets:
  local:
    lake: s3://bucket/lake
    state: ./.windlass
    threads: 2
    memory: 512MiB
    env: prod
    storage: {endpoint: \"http://127.0.0.1:PORT\", region: us-east-1, token: \"{{ env_var('STORE_TOKEN', '') }}\"MORE}
";

const PROJECT: &str = "
-- sources.yml --
sources:
  raw:
    path: s3://bucket/raw/{name}
    tables:
      orders:
        path: s3://bucket/raw/orders/*.csv
        columns: {id: {type: bigint}, customer: {type: varchar}, carrier: {type: varchar}, amount: {type: \"decimal(9, 2)\"}}
      airlines: {path: s3://bucket/raw/airlines.parquet}
-- raw/orders/1.csv --
id,customer,carrier,amount
1,ada,UA,10.50
2,grace,DL,7
-- raw/orders/2.csv --
id,customer,carrier,amount
3,ada,UA,0.25
-- transforms/spending.sql --
{{ config(partition_by=['customer']) }}
select o.customer, a.name as airline, sum(o.amount) as spent
from {{ source('raw', 'orders') }} o join {{ source('raw', 'airlines') }} a on a.carrier = o.carrier
group by 1, 2
-- transforms/total.sql --
select sum(spent) as spent from {{ ref('spending') }}
";

/// A store that ends with the test: it serves until its stdin closes.
struct Store {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    port: String,
}

impl Store {
    fn start() -> Self {
        let mut command = python::python();
        command.arg(python::root().join("tests/s3/server.py"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut store = Self { stdin: child.stdin.take(), stdout, child, port: String::new() };
        let endpoint = store.line();
        store.port = endpoint.rsplit(':').next().unwrap().to_owned();
        store
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.stdout.read_line(&mut line).unwrap() > 0, "the object store of the test has ended");
        line.trim_end().to_owned()
    }

    fn upload(&mut self, folder: &Path, prefix: &str) {
        self.command(&format!("upload {} {prefix}", folder.display()));
    }

    fn download(&mut self, folder: &Path) {
        self.command(&format!("download {}", folder.display()));
    }

    fn command(&mut self, command: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{command}").unwrap();
        assert_eq!(self.line(), "done");
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.stdin = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A project over a store on this port.
fn project(port: &str, more: &str) -> Project {
    let project = Project::new(PROJECT);
    project.write("targets.yml", &TARGETS.replace("PORT", port).replace("MORE", more));
    project
}

fn filled(store: &mut Store) -> Project {
    let project = project(&store.port, "");
    let airlines = python::root().join("examples/flights/data/airlines.parquet");
    std::fs::copy(airlines, project.path("raw/airlines.parquet")).unwrap();
    store.upload(&project.path("raw"), "raw");
    project
}

fn windlass<const N: usize>(project: &Project, args: [&str; N]) -> Answer {
    project.windlass_with(args, &CREDENTIALS)
}

fn rows(project: &Project, sql: &str) -> String {
    let answer = windlass(project, ["show", "--sql", sql, "--format", "json"]);
    assert_eq!(answer.code, 0, "{answer}");
    let rows = parsed(&answer.stdout)["data"]["rows"].take();
    rows.as_array().unwrap().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Returns the data files of the store's lake.
fn data_files(store: &mut Store, project: &Project, copy: &str) -> Vec<String> {
    store.download(&project.path(copy));
    let files = project.files(&format!("{copy}/lake"));
    files.into_iter().filter(|path| !path.contains("/_delta_log/")).collect()
}

#[test]
fn tables_live_in_an_object_store() {
    let mut store = Store::start();
    let project = filled(&mut store);
    windlass(&project, ["run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ spending            2 rows  [SIZE]  version 0  [TIME]
          ✓ total                1 row  [SIZE]  version 0  [TIME]
        Published 2 of 2 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    let spending = "select * from spending order by customer";
    expect![[r#"
        {"customer":"ada","airline":"United Air Lines Inc.","spent":10.75}
        {"customer":"grace","airline":"Delta Air Lines Inc.","spent":7.0}"#]]
    .assert_eq(&rows(&project, spending));
    expect![[r#"{"id":3}"#]].assert_eq(&rows(&project, "select id from raw.orders where amount < 1"));

    project.write("raw/orders/2.csv", "id,customer,carrier,amount\n3,linus,AA,1\n");
    store.upload(&project.path("raw"), "raw");
    let answer = windlass(&project, ["run"]);
    assert_eq!(answer.code, 0, "{answer}");
    expect![[r#"{"spent":18.5}"#]].assert_eq(&rows(&project, "select * from total"));
    assert_eq!(data_files(&mut store, &project, "copy1").len(), 5 + 2, "files of the old versions are kept");

    windlass(&project, ["gc"]).check(expect![[r#"
        exit 0
        -- stderr
        Nothing to remove
    "#]]);
    windlass(&project, ["gc", "--keep-versions-for", "0s"]).check(expect![[r#"
        exit 0
        -- stdout
        spending       2 files  [SIZE]  replaced
        total           1 file  [SIZE]  replaced
        -- stderr
        Removed 3 files, [SIZE]
    "#]]);
    assert_eq!(data_files(&mut store, &project, "copy2").len(), 4);
    expect![[r#"{"n":3}"#]].assert_eq(&rows(&project, "select count(*) as n from spending"));
}

#[test]
fn promotions_copy_within_the_store() {
    let mut store = Store::start();
    let project = filled(&mut store);
    project.write("targets.yml", &TARGETS.replace("PORT", &store.port).replace("MORE}", "}\n    base: prod"));
    assert_eq!(windlass(&project, ["run"]).code, 0);
    let sql = std::fs::read_to_string(project.path("transforms/spending.sql")).unwrap();
    project.write("transforms/spending.sql", &sql.replace("sum(o.amount)", "max(o.amount)"));
    windlass(&project, ["run", "-e", "dev", "spending"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ spending            2 rows  [SIZE]  version 0  [TIME]
        Published 1 of 1 to dev  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    windlass(&project, ["env", "promote", "dev"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ spending            2 rows  [SIZE]  version 1 of prod  [TIME]
        Promoted 1 of 1 table of dev to prod  [TIME]  run [RUN]
    "#]]);
    let named = |files: Vec<String>, env: &str| -> Vec<String> {
        let below = format!("{env}/spending/customer=ada/");
        files.into_iter().filter(|path| path.starts_with(&below)).collect()
    };
    let files = data_files(&mut store, &project, "copy");
    assert_eq!((named(files.clone(), "prod").len(), named(files, "dev").len()), (2, 1));
    windlass(&project, ["env", "drop", "dev", "--yes", "-q"]).check(expect![[r#"
        exit 0
    "#]]);
    expect![[r#"
        {"customer":"ada","spent":10.5}
        {"customer":"grace","spent":7.0}"#]]
    .assert_eq(&rows(&project, "select customer, spent from spending order by 1"));
    expect![[r#"{"n":2}"#]].assert_eq(&rows(&project, "select count(*) as n from spending"));
}

#[test]
fn a_killed_run_leaves_nothing_that_readers_see() {
    let mut store = Store::start();
    let project = filled(&mut store);
    let environment: Vec<(&str, &str)> =
        CREDENTIALS.into_iter().chain([("WINDLASS_TEST_HOLD_AT", "staged:spending")]).collect();
    for (copy, before) in [("first", None), ("second", Some("2"))] {
        let mut run = project.start(["run", "--no-cache"], &environment);
        run.wait_for("held at staged:spending");
        run.signal("KILL");
        assert_eq!(run.wait().code, -1);
        let shown = windlass(&project, ["show", "spending", "--format", "csv"]);
        match before {
            None => assert!(shown.stderr.contains("has not been published yet"), "{shown}"),
            Some(_) => assert!(shown.stdout.contains("10.75"), "{shown}"),
        }
        let staged = data_files(&mut store, &project, copy).len();
        let dry = windlass(&project, ["gc", "--dry-run"]);
        assert!(dry.stdout.starts_with("spending       2 files") && dry.stdout.contains("leftover"), "{dry}");
        assert_eq!(windlass(&project, ["gc"]).stdout, dry.stdout);
        assert_eq!(data_files(&mut store, &project, &format!("{copy}_after")).len(), staged - 2);
        assert_eq!(windlass(&project, ["run"]).code, 0);
        expect![[r#"{"spent":17.75}"#]].assert_eq(&rows(&project, "select * from total"));
    }
}

#[test]
fn secrets_appear_nowhere() {
    let mut store = Store::start();
    let project = filled(&mut store);
    let verbose: Vec<(&str, &str)> = CREDENTIALS.into_iter().chain([("WINDLASS_LOG", "trace")]).collect();
    let mut said = String::new();
    let commands: [&[&str]; 9] = [
        &["run", "-vv"],
        &["run", "--format", "json"],
        &["plan", "--format", "json"],
        &["ls", "--format", "json"],
        &["show", "spending", "--explain"],
        &["runs", "ls", "--format", "json"],
        &["runs", "show", "latest"],
        &["gc", "--format", "json", "--keep-versions-for", "0s"],
        &["show", "--sql", "select nothing from spending"],
    ];
    for arguments in commands {
        let answer = project.answer(project.command(arguments).envs(verbose.iter().copied()));
        assert_eq!(answer.code, if arguments.contains(&"--sql") { 2 } else { 0 }, "{answer}");
        said.push_str(&answer.to_string());
    }
    // Where the store is gone, the errors name addresses and requests.
    let gone = self::project(UNUSED_PORT, "");
    for arguments in [["run", "-vv"], ["gc", "-vv"], ["show", "total"]] {
        let answer = gone.answer(gone.command(&arguments).envs(verbose.iter().copied()));
        assert_eq!(answer.code, 2, "{answer}");
        said.push_str(&answer.to_string());
    }
    assert!(said.contains("s3://bucket/lake"), "there is something to look at");
    store.download(&project.path("copy"));
    for file in project.files("copy/lake").iter().map(|path| format!("copy/lake/{path}")) {
        said.push_str(&String::from_utf8_lossy(&std::fs::read(project.path(&file)).unwrap()));
    }
    for file in project.files(".windlass").iter().map(|path| format!(".windlass/{path}")) {
        said.push_str(&String::from_utf8_lossy(&std::fs::read(project.path(&file)).unwrap()));
    }
    assert!(said.contains("PAR1") && said.contains("SQLite format 3"), "lake and run store were looked at");
    for secret in SECRETS {
        let found = said.lines().find(|line| line.contains(secret));
        assert_eq!(found, None, "`{secret}` was found");
    }
}

/// A port that nobody listens to: it belongs to a service of 1988.
const UNUSED_PORT: &str = "1";

/// Returns an answer and checks that it came in time; ports and times of requests are left out.
fn in_time(project: &Project, arguments: &[&str], port: &str, limit: Duration) -> (i32, String) {
    let started = Instant::now();
    let answer = project.answer(project.command(arguments).envs(CREDENTIALS));
    assert!(started.elapsed() < limit, "{:?}: {answer}", started.elapsed());
    let text = answer.stderr.replace(&format!(":{port}/"), ":[PORT]/");
    let lines = text.lines().map(|line| match (line.find(" in "), line.find(", after ")) {
        (Some(from), Some(to)) if from < to => format!("{} in [TIME]{}", &line[..from], &line[to..]),
        _ => line.to_owned(),
    });
    (answer.code, lines.collect::<Vec<_>>().join("\n"))
}

#[test]
fn a_store_that_refuses_is_named_soon() {
    let (port, project) = (UNUSED_PORT, project(UNUSED_PORT, ""));
    let (code, text) = in_time(&project, &["run"], port, Duration::from_secs(30));
    assert_eq!(code, 2);
    expect![[r#"
        error[E0703]: cannot list `s3://bucket/raw/airlines.parquet`
         --> sources.yml:8:7
          |
        8 |       airlines: {path: s3://bucket/raw/airlines.parquet}
          |       ^^^^^^^^
          |
          = note: cause: Generic S3 error: Error performing HEAD http://127.0.0.1:[PORT]/bucket/raw/airlines.parquet in [TIME], after 5 retries, max_retries: 5, retry_timeout: 20s  - HTTP error: error sending request
          = note: cause: client error (Connect)
          = note: cause: tcp connect error
          = note: cause: Connection refused (os error 111)

        error[E0703]: cannot list `s3://bucket/raw/orders/*.csv`
         --> sources.yml:5:7
          |
        5 |       orders:
          |       ^^^^^^
          |
          = note: cause: Generic S3 error: Error performing list request: Error performing GET http://127.0.0.1:[PORT]/bucket?list-type=2&prefix=raw%2Forders%2F in [TIME], after 5 retries, max_retries: 5, retry_timeout: 20s  - HTTP error: error sending request
          = note: cause: client error (Connect)
          = note: cause: tcp connect error
          = note: cause: Connection refused (os error 111)

        2 mistakes, nothing was done
        windlass explain E0703"#]].assert_eq(&text);
    let (code, text) = in_time(&project, &["gc"], port, Duration::from_secs(30));
    assert_eq!(code, 2);
    expect![[r#"
        error[E0703]: cannot list `s3://bucket/lake/prod`
          cause: Generic S3 error: Error performing list request: Error performing GET http://127.0.0.1:[PORT]/bucket?delimiter=%2F&list-type=2&prefix=lake%2Fprod%2F in [TIME], after 5 retries, max_retries: 5, retry_timeout: 20s  - HTTP error: error sending request
          cause: client error (Connect)
          cause: tcp connect error
          cause: Connection refused (os error 111)
        windlass explain E0703"#]].assert_eq(&text);
    let (code, text) = in_time(&project, &["show", "total"], port, Duration::from_secs(30));
    assert_eq!(code, 2);
    assert!(text.starts_with("error[E0703]: cannot open table `total`"), "{text}");
}

/// A node that has begun is tried again; then the run has finished with a failure.
#[test]
fn a_store_that_goes_away_fails_the_node() {
    let store = Store::start();
    let project = project(&store.port, "");
    project.write("sources.yml", "sources: {}\n");
    project.write("transforms/spending.sql", "select 1 as spent\n");
    let port = store.port.clone();
    assert_eq!(windlass(&project, ["run"]).code, 0);

    project.write(
        "transforms/long.sql",
        "{{ config(retries=1) }}\nselect value as id, sin(value) as noise from generate_series(1, 100000000000) t(value)\n",
    );
    let run = project.start(["run", "long", "--format", "json"], &CREDENTIALS);
    let started = Instant::now();
    while project.json(["runs", "show", "latest"])["nodes"][0]["node"] != "long" {
        assert!(started.elapsed() < Duration::from_secs(60), "the node has not begun");
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(store);
    let answer = run.wait();
    assert!(started.elapsed() < Duration::from_secs(120), "{:?}: {answer}", started.elapsed());
    assert_eq!(answer.code, 1, "{answer}");
    // The first attempt was about to open the table, or had begun to compute; the second does not get that far.
    let tried = |what: &str| answer.stderr.contains(&format!("attempt 1 failed, next in 0.5 s: {what} `long`"));
    assert!(tried("cannot compute") || tried("cannot open table"), "{answer}");
    assert!(answer.stderr.contains("error[E0703]: cannot open table `long`"), "{answer}");
    let nodes = project.json(["runs", "show", "latest"])["nodes"].take();
    let attempts: Vec<_> = nodes.as_array().unwrap().iter().map(|node| node["error_code"].clone()).collect();
    assert_eq!(attempts, ["E0703", "E0703"], "{nodes}");

    // Before the first row, the same is a refusal.
    let (code, text) = in_time(&project, &["run"], &port, Duration::from_secs(60));
    assert_eq!(code, 2);
    assert!(text.starts_with("error[E0703]: cannot write to the lake `s3://bucket/lake/prod`\n"), "{text}");
    assert!(text.contains("  cause: Connection refused"), "{text}");
}

/// A store that takes the connection and never answers is given up after `timeout`.
#[test]
fn a_store_that_does_not_answer_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let project = project(&port, ", timeout: 1s");
    let (code, text) = in_time(&project, &["gc"], &port, Duration::from_secs(60));
    assert_eq!(code, 2);
    expect![[r#"
        error[E0703]: cannot list `s3://bucket/lake/prod`
          cause: Generic S3 error: Error performing list request: Error performing GET http://127.0.0.1:[PORT]/bucket?delimiter=%2F&list-type=2&prefix=lake%2Fprod%2F in [TIME], after 5 retries, max_retries: 5, retry_timeout: 20s  - HTTP error: error sending request
          cause: operation timed out
        windlass explain E0703"#]].assert_eq(&text);
}

#[test]
fn missing_credentials_are_told() {
    let project = project(UNUSED_PORT, ", metadata_endpoint: \"http://127.0.0.1:1\"");
    let answer = project.windlass(["gc"]);
    assert_eq!(answer.code, 2);
    assert!(answer.stderr.starts_with("error[E0703]: cannot list `s3://bucket/lake/prod`"), "{answer}");
    assert!(answer.stderr.contains("  hint: no credentials were found: set AWS_ACCESS_KEY_ID"), "{answer}");
}

#[test]
fn a_bucket_or_file_that_is_not_there() {
    let mut store = Store::start();
    let project = filled(&mut store);
    project.write("transforms/total.sql", "select * from {{ source('raw', 'missing') }}\n");
    project.write("sources.yml", "sources:\n  raw:\n    tables:\n      missing: {path: s3://bucket/raw/missing.csv}\n");
    project.write("transforms/spending.sql", "select 1 as x\n");
    windlass(&project, ["run"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0207]: source `raw.missing` has no file at `s3://bucket/raw/missing.csv`
         --> sources.yml:4:7
          |
        4 |       missing: {path: s3://bucket/raw/missing.csv}
          |       ^^^^^^^
          |
          = help: correct `path:`, or put the file there
        windlass explain E0207
    "#]]);
    let targets = std::fs::read_to_string(project.path("targets.yml")).unwrap();
    project.write("targets.yml", &targets.replace("s3://bucket/", "s3://no-such-bucket/"));
    let answer = windlass(&project, ["run", "spending"]);
    assert_eq!(answer.code, 2, "{answer}");
    expect!["error[E0701]: cannot write to the lake `s3://no-such-bucket/lake/prod`"]
        .assert_eq(answer.stderr.lines().next().unwrap());
}
