//! Rows that kill or hold up their worker, and Windlass that is killed while Python works.

use std::time::{Duration, Instant};

use expect_test::expect;

use crate::support::{Project, is_there};

/// How long a test waits for what takes a second on an idle machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the row with number 11 does is a variable.
const DEADLY: &str = r#"
-- windlass.yml --
name: test
version: 1
vars: {deed: none}
-- transforms/numbers.sql --
select value as id, value * 0.5 as x from generate_series(1, 16) t(value)
-- transforms/deadly.py --
import ctypes
import hashlib
import os
import signal
import time

from windlass import ref, transform, var

DEEDS = {
    "none": lambda: None,
    "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "null pointer": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "exit": lambda: os._exit(3),
    "exit 0": lambda: os._exit(0),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "sleep": lambda: time.sleep(100_000),
    "hash": lambda: hashlib.pbkdf2_hmac("sha256", b"", b"", 1 << 30),
    "memory": lambda: bytearray(64 << 30),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
}


@transform(
    input=ref("numbers"),
    columns={"id": "bigint", "y": "double"},
    key=["id"],
    timeout="1s",
    memory="1GiB",
)
class Deadly:
    def __init__(self):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.deed = DEEDS[var("deed")]

    def __call__(self, batch):
        if 11 in batch["id"]:
            self.deed()
        if 12 in batch["id"] and var("deed") == "crash":
            raise ValueError("beside it")
        return {"id": batch["id"], "y": batch["x"] * 2}
-- transforms/all_rows.sql --
select id, y, cast(null as varchar) as stage from {{ ref('deadly') }} union all select id, null, stage from {{ ref('deadly__errors') }}
"#;

/// Runs with a deed; every row is published or an error row, and returns the error rows.
fn deed(deed: &str, limit: &str) -> String {
    let project = Project::with_python(DEADLY);
    let code = std::fs::read_to_string(project.path("transforms/deadly.py")).unwrap();
    project.write("transforms/deadly.py", &code.replace("key=[\"id\"],", &format!("key=[\"id\"], {limit},")));
    let answer = project.windlass(["run", "--vars", &format!("deed={deed}")]);
    assert_eq!(answer.code, 0, "{answer}");
    let all = project.rows(
        "select count(*) as n, count(distinct id) as ids, sum(abs(y - id)) as off, min(id) as a, max(id) as z from all_rows",
    );
    assert_eq!(all, r#"{"n":16,"ids":16,"off":0.0,"a":1,"z":16}"#, "{answer}");
    project.rows("select id, stage, error_type, error from deadly__errors order by id")
}

/// Runs with each of the deeds, side by side: most of the time they wait.
fn deeds(names: &[&str]) -> String {
    std::thread::scope(|scope| {
        let running: Vec<_> = names.iter().map(|name| scope.spawn(move || deed(name, "max_errors=1"))).collect();
        let rows = names.iter().zip(running).map(|(name, row)| format!("{name}: {}", row.join().unwrap()));
        rows.collect::<Vec<_>>().join("\n")
    })
}

#[test]
fn a_crash_takes_one_row_and_an_exception_beside_it_another() {
    expect![[r#"
        {"id":11,"stage":"crash","error_type":"SIGSEGV","error":"the worker was killed by SIGSEGV while it worked on this row"}
        {"id":12,"stage":"python","error_type":"ValueError","error":"beside it"}"#]].assert_eq(&deed("crash", "max_errors=2"));
}

#[test]
fn a_death_takes_one_row() {
    expect![[r#"
        null pointer: {"id":11,"stage":"crash","error_type":"SIGSEGV","error":"the worker was killed by SIGSEGV while it worked on this row"}
        abort: {"id":11,"stage":"crash","error_type":"SIGABRT","error":"the worker was killed by SIGABRT while it worked on this row"}
        kill: {"id":11,"stage":"crash","error_type":"SIGKILL","error":"the worker was killed by SIGKILL while it worked on this row, perhaps for want of memory"}
        exit: {"id":11,"stage":"crash","error_type":"Exit","error":"the worker ended itself with exit code 3 while it worked on this row"}
        exit 0: {"id":11,"stage":"crash","error_type":"Exit","error":"the worker ended itself with exit code 0 while it worked on this row"}"#]].assert_eq(&deeds(&["null pointer", "abort", "kill", "exit", "exit 0"]));
}

#[test]
fn a_call_that_does_not_end_takes_one_row() {
    expect![[r#"
        sleep: {"id":11,"stage":"timeout","error_type":"Timeout","error":"worked on this row for longer than the timeout of 1 s"}
        hash: {"id":11,"stage":"timeout","error_type":"Timeout","error":"worked on this row for longer than the timeout of 1 s"}
        stop: {"id":11,"stage":"timeout","error_type":"Timeout","error":"worked on this row for longer than the timeout of 1 s"}"#]].assert_eq(&deeds(&["sleep", "hash", "stop"]));
}

#[test]
fn a_row_that_wants_too_much_memory_fails_alone() {
    expect![[r#"{"id":11,"stage":"memory","error_type":"MemoryError","error":"MemoryError"}"#]]
        .assert_eq(&deed("memory", "max_errors=1"));
}

#[test]
fn a_crash_fails_a_node_that_says_so() {
    let project = Project::with_python(DEADLY);
    let code = std::fs::read_to_string(project.path("transforms/deadly.py")).unwrap();
    project.write("transforms/deadly.py", &code.replace("key=[\"id\"],", "key=[\"id\"], on_error=\"fail\","));
    project.write("transforms/all_rows.sql", "select * from {{ ref('deadly') }}\n");
    let said = |deed: &str| {
        let answer = project.windlass(["run", "+deadly", "--vars", &format!("deed={deed}")]);
        assert_eq!(answer.code, 1, "{answer}");
        // What the worker wrote while it died comes in between.
        let lines = answer.stderr.lines().filter(|line| !line.starts_with("deadly[w"));
        lines.take_while(|line| !line.contains("= note")).collect::<Vec<_>>().join("\n")
    };
    expect![[r#"
          ✓ numbers           16 rows  [SIZE]  version 0  [TIME]
          ✗ deadly   failed  [TIME]
        error[E0407]: a worker of `deadly` died: killed by SIGSEGV
          --> transforms/deadly.py:11:5
           |
        11 |     "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
           |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |"#]]
    .assert_eq(&said("crash"));
    expect![[r#"
          ✓ numbers  unchanged  version 0
          ✗ deadly   failed  [TIME]
        error[E0408]: a call of `deadly` took longer than its timeout of [TIME]
          --> transforms/deadly.py:17:5
           |
        17 |     "sleep": lambda: time.sleep(100_000),
           |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |"#]]
    .assert_eq(&said("sleep"));
    expect![[r#"
          ✓ numbers  unchanged  version 0
          ✗ deadly   failed  [TIME]
        error[E0404]: MemoryError
          --> transforms/deadly.py:19:5
           |
        19 |     "memory": lambda: bytearray(64 << 30),
           |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |"#]]
    .assert_eq(&said("memory"));
    assert!(!is_there(&project.path("lake/prod/deadly/_delta_log")));
}

#[test]
fn a_constructor_that_dies_or_hangs_fails_the_node() {
    let project = Project::with_python(DEADLY);
    let code = std::fs::read_to_string(project.path("transforms/deadly.py")).unwrap();
    let code = code
        .replace("self.deed = DEEDS[var(\"deed\")]", "DEEDS[var(\"deed\")]()")
        .replace("timeout=\"1s\"", "start_timeout=\"3s\"");
    project.write("transforms/deadly.py", &code);
    let said = |deed: &str| {
        let answer = project.windlass(["run", "+deadly", "--vars", &format!("deed={deed}")]);
        assert_eq!(answer.code, 1, "{answer}");
        let lines = answer.stderr.lines().filter(|line| !line.starts_with("deadly[w"));
        lines.take_while(|line| !line.contains("= note")).collect::<Vec<_>>().join("\n")
    };
    expect![[r#"
          ✓ numbers           16 rows  [SIZE]  version 0  [TIME]
          ✗ deadly   failed  [TIME]
        error[E0407]: a worker of `deadly` died: exited with code 3 before it was ready
          --> transforms/deadly.py:31:7
           |
        31 | class Deadly:
           |       ^^^^^^
        windlass explain E0407
        Published 1 of 2 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]"#]]
    .assert_eq(&said("exit"));
    expect![[r#"
          ✓ numbers  unchanged  version 0
          ✗ deadly   failed  [TIME]
        error[E0408]: a worker of `deadly` was not ready after [TIME]
          --> transforms/deadly.py:17:5
           |
        17 |     "sleep": lambda: time.sleep(100_000),
           |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |"#]]
    .assert_eq(&said("sleep"));
}

/// Each worker leaves a child behind that has left its session, says who it is, and never ends.
const STUCK: &str = r#"
-- windlass.yml --
name: test
version: 1
vars: {how: none}
-- transforms/numbers.sql --
select value as id from generate_series(1, 100) t(value)
-- transforms/stuck.py --
import hashlib
import os
import subprocess
import time

from windlass import ref, transform, var


@transform(input=ref("numbers"), columns={"id": "bigint"}, key=["id"])
def stuck(batch):
    if var("how") != "none":
        subprocess.Popen(["sleep", "100000"], start_new_session=True)
        print("stuck", flush=True)
    if var("how") == "sleep":
        time.sleep(100_000)
    if var("how") == "hash":
        hashlib.pbkdf2_hmac("sha256", b"", b"", 1 << 40)
    return batch
"#;

/// Returns the processes that were started for a project, by their environment.
fn processes(mark: &str) -> Vec<String> {
    let mark = format!("TEST_MARK={mark}");
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap() {
        let path = entry.unwrap().path();
        // Processes end while they are looked at.
        let Ok(environment) = std::fs::read(path.join("environ")) else { continue };
        if environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()) {
            let command = std::fs::read_to_string(path.join("cmdline")).unwrap_or_default().replace('\0', " ");
            found.push(format!("{} {command}", path.display()));
        }
    }
    found
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) -> Duration {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
    started.elapsed()
}

/// Ends a run with a signal while its worker is stuck, and looks at what is left.
fn ended_by(signal: &str, how: &str) -> (i32, String) {
    let project = Project::with_python(STUCK);
    let mark = project.path("").display().to_string();
    let temporary = project.path("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let temporary_text = temporary.display().to_string();
    let how = format!("how={how}");
    let mut run = project.start(["run", "--vars", &how], &[("TEST_MARK", &mark), ("TMPDIR", &temporary_text)]);
    run.wait_for("stuck[w1] stuck");
    wait_until("windlass, its zygote, the worker and its child run", || processes(&mark).len() >= 4);
    let before = processes(&mark);
    let sent = Instant::now();
    run.signal(signal);
    let answer = run.wait();
    let took = sent.elapsed();
    assert!(took < Duration::from_secs(if signal == "KILL" { 20 } else { 2 }), "{took:?}");
    let gone_after = wait_until("the processes are gone", || processes(&mark).is_empty());
    assert!(gone_after < Duration::from_secs(1), "{gone_after:?}, these were there: {before:?}");
    let left: Vec<_> = std::fs::read_dir(&temporary).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, Vec::<std::path::PathBuf>::new(), "temporary files or folders are left");
    assert!(!is_there(&project.path("lake/prod/stuck/_delta_log")), "nothing is published");
    // The next run is not disturbed.
    let next = project.windlass(["run", "-q"]);
    assert_eq!(next.code, 0, "{next}");
    assert_eq!(project.rows("select count(*) as n, sum(id) as ids from stuck"), r#"{"n":100,"ids":5050}"#);
    (answer.code, answer.stderr)
}

#[test]
fn nothing_outlives_a_windlass_that_was_killed_while_python_sleeps() {
    assert_eq!(ended_by("KILL", "sleep").0, -1);
}

#[test]
fn nothing_outlives_a_windlass_that_was_killed_while_python_is_stuck_in_c() {
    assert_eq!(ended_by("KILL", "hash").0, -1);
}

#[test]
fn an_interrupt_ends_python_that_sleeps() {
    let (code, stderr) = ended_by("INT", "sleep");
    assert_eq!(code, 1);
    expect![[r#"
          ✓ numbers          100 rows  [SIZE]  version 0  [TIME]
        stuck[w1] stuck
        Stopping; Ctrl-C again stops at once
          ! stuck    cancelled, its published version is as it was
        Published 1 of 2 to prod, 1 cancelled  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]
    .assert_eq(&stderr);
}

#[test]
fn an_interrupt_ends_python_that_is_stuck_in_c() {
    assert_eq!(ended_by("INT", "hash").0, 1);
}
