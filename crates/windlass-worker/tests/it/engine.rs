//! This process as the one that is killed, or that runs out of descriptors: played by a copy of it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use arrow::datatypes::DataType;
use windlass_worker::Error;

use crate::support::{code, eventually, ints, is_running, numbers, run};

const ROLE: &str = "WINDLASS_TEST_ROLE";

/// Runs one test of this file in a process of its own, in which [`is_played`] holds.
fn play(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("engine::{test}"), "--nocapture", "--test-threads=1"]).env(ROLE, "played");
    command
}

#[expect(clippy::disallowed_methods, reason = "tells a test that it is the process under test")]
fn is_played() -> bool {
    std::env::var_os(ROLE).is_some()
}

/// Starts a worker that is stuck in C and has a child in another session, says who is who, and hangs.
#[expect(clippy::print_stdout, reason = "the test reads it")]
async fn get_stuck() {
    let text = "
        import subprocess
        class F:
            def __init__(self):
                self.child = subprocess.Popen(['sleep', '300'], start_new_session=True).pid
            def __call__(self, batch):
                if len(batch) == 1:
                    import re; re.match(r'(a+)+$', 'a' * 60 + 'b')
                return {'y': np.array([os.getpid(), self.child, os.getppid()])}
        ";
    let code = code("F", text).output(&[("y", DataType::Int64)]);
    let pool = code.pool().await;
    let pids = ints(&pool.call(numbers(3)).await.unwrap().rows, 0);
    println!("pids {} {} {}", pids[0], pids[1], pids[2]);
    let _ = pool.call(numbers(1)).await;
}

#[test]
fn nothing_is_left_when_the_engine_is_killed() {
    if is_played() {
        return run(get_stuck());
    }
    let mut engine = play("nothing_is_left_when_the_engine_is_killed").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(engine.stdout.take().unwrap()).lines();
    let pids = lines.find_map(|line| line.unwrap().split_once("pids ").map(|(_, pids)| pids.to_owned())).unwrap();
    let pids: Vec<i64> = pids.split(' ').map(|pid| pid.parse().unwrap()).collect();
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert!(pids.iter().all(|pid| is_running(*pid)));
    engine.kill().unwrap();
    engine.wait().unwrap();
    run(async {
        for pid in pids {
            eventually("everyone below the engine is gone", || !is_running(pid)).await;
        }
    });
}

/// Opens files until there are no more descriptors, calls, closes them, and calls again.
async fn run_dry() {
    let code = code("f", "def f(batch):\n    return {'y': batch['x'].to_numpy() + 1.0}");
    let pool = code.pool().await;
    pool.call(numbers(10)).await.unwrap();
    let other = crate::support::code("f", "def f(batch):\n    return {'y': batch['x']}");
    let mut open = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        open.push(file);
    }
    // A larger batch needs a new slot, and that a descriptor.
    let err = pool.call(numbers(100_000)).await.unwrap_err();
    assert!(matches!(err, Error::SharedMemory { .. }), "{err:?}");
    // What is there already still works.
    pool.call(numbers(10)).await.unwrap();
    let err = other.pool().await.call(numbers(1)).await.unwrap_err();
    assert!(matches!(err, Error::Process { .. }), "{err:?}");
    drop(open);
    pool.call(numbers(100_000)).await.unwrap();
    other.pool().await.call(numbers(1)).await.unwrap();
}

#[test]
fn running_out_of_descriptors_is_survived() {
    if is_played() {
        return run(run_dry());
    }
    let this = std::env::current_exe().unwrap();
    let status = Command::new("sh")
        .args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""])
        .arg(this)
        .args(["--exact", "engine::running_out_of_descriptors_is_survived", "--nocapture", "--test-threads=1"])
        .env(ROLE, "played")
        .output()
        .unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
}
