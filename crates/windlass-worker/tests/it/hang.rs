//! Calls that take too long, and callers that go away.

use std::time::{Duration, Instant};

use arrow::datatypes::DataType;
use windlass_worker::Error;

use crate::death::kill;
use crate::support::{code, eventually, ints, is_running, numbers, numbers_from, run, setup};

#[test]
fn calls_that_hang_are_ended_and_their_stack_is_told() {
    run(async {
        for (what, hang) in [
            ("Python", "while True: pass"),
            ("C without the GIL", "time.sleep(60)"),
            ("C with the GIL", "import re; re.match(r'(a+)+$', 'a' * 60 + 'b')"),
            (
                "ignored signals",
                "[signal.signal(s, signal.SIG_IGN) for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]; time.sleep(60)",
            ),
            ("a caught interrupt", "signal.signal(signal.SIGALRM, lambda *_: None); time.sleep(60)"),
        ] {
            let text = format!(
                "
            def hang():
                {hang}
            def f(batch):
                if batch['id'][0].as_py() == 5: hang()
                return {{'y': batch['x']}}
            "
            );
            let code = code("f", &text).timeout(700);
            let pool = code.pool().await;
            pool.call(numbers(1)).await.unwrap();
            let began = Instant::now();
            let Err(Error::Timeout { limit, stack, .. }) = pool.call(numbers_from(5, 1)).await else {
                panic!("{what}")
            };
            assert!(began.elapsed() < Duration::from_secs(30), "{what}: {:?}", began.elapsed());
            assert_eq!(limit, Duration::from_millis(700));
            assert!(stack.contains("in hang"), "{what}: {stack}");
            pool.call(numbers(1)).await.unwrap();
        }
    });
}

#[test]
fn a_stopped_worker_runs_into_its_timeout() {
    run(async {
        let text = "
            def f(batch):
                if batch['id'][0].as_py() == 5: os.kill(os.getpid(), signal.SIGSTOP)
                return {'y': batch['x']}
            ";
        let code = code("f", text).timeout(700);
        let pool = code.pool().await;
        assert!(matches!(pool.call(numbers_from(5, 1)).await, Err(Error::Timeout { .. })));
        pool.call(numbers(1)).await.unwrap();
    });
}

#[test]
fn starts_that_hang_are_ended() {
    run(async {
        for text in [
            "time.sleep(60)\nclass F:\n    def __call__(self, batch): return batch",
            "class F:\n    def __init__(self): time.sleep(60)\n    def __call__(self, batch): return batch",
        ] {
            let code = code("F", text).with(|program| program.settings.start_timeout = Duration::from_millis(1500));
            let began = Instant::now();
            let Err(Error::StartTimeout { output, .. }) = code.pool().await.call(numbers(1)).await else {
                panic!("{text}")
            };
            assert!(output.contains("code.py"), "{output}");
            assert!(began.elapsed() < Duration::from_secs(30));
        }
    });
}

#[test]
fn the_timeout_is_for_one_call() {
    run(async {
        let code = code("f", "def f(batch):\n    time.sleep(0.5)\n    return {'y': batch['x']}").timeout(1200);
        let pool = code.pool().await;
        // Together they take longer, and the second of two waits in the worker.
        for answer in futures::future::join_all((0..4).map(|_| pool.call(numbers(1)))).await {
            answer.unwrap();
        }
    });
}

#[test]
fn callers_may_go_away() {
    run(async {
        let text = "
            def f(batch):
                time.sleep(batch['id'][0].as_py() / 1000)
                return {'y': np.full(len(batch), os.getpid())}
            ";
        let code = code("f", text).output(&[("y", DataType::Int64)]);
        let pool = code.pool().await;
        let pid = ints(&pool.call(numbers_from(0, 1)).await.unwrap().rows, 0)[0];
        // A short call is left to end.
        let gone = tokio::time::timeout(Duration::from_millis(20), pool.call(numbers_from(100, 1))).await;
        assert!(gone.is_err());
        assert_eq!(ints(&pool.call(numbers_from(0, 1)).await.unwrap().rows, 0)[0], pid);
        // A long one is not waited for.
        let began = Instant::now();
        let gone = tokio::time::timeout(Duration::from_millis(20), pool.call(numbers_from(60_000, 1))).await;
        assert!(gone.is_err());
        assert_ne!(ints(&pool.call(numbers_from(0, 1)).await.unwrap().rows, 0)[0], pid);
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
        eventually("the old worker is gone", || !is_running(pid)).await;
    });
}

#[test]
fn shutdown_takes_everyone_along() {
    run(async {
        let text = "
            import atexit, subprocess, threading
            class F:
                def __init__(self):
                    self.child = subprocess.Popen(['sleep', '300'], start_new_session=True).pid
                    atexit.register(lambda: time.sleep(300))
                def __del__(self): time.sleep(300)
                def __call__(self, batch):
                    return {'y': np.array([os.getpid(), self.child, os.getppid()])}
            ";
        let setup = setup(4, 0, usize::MAX);
        let code = code("F", text).output(&[("y", DataType::Int64)]);
        let pool = code.pool_in(&setup).await;
        let pids = ints(&pool.call(numbers(3)).await.unwrap().rows, 0);
        assert!(pids.iter().all(|pid| is_running(*pid)));
        let began = Instant::now();
        setup.workers.shutdown().await;
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
        for pid in pids {
            eventually("all are gone", || !is_running(pid)).await;
        }
        assert!(matches!(pool.call(numbers(1)).await, Err(Error::Closed { .. })));
        assert_eq!(setup.budget.used(), 0, "all memory is back");
    });
}

#[test]
fn dropping_the_workers_kills_them() {
    run(async {
        let setup = setup(4, 0, usize::MAX);
        let text = "def f(batch):\n    return {'y': np.array([os.getpid(), os.getppid()])}";
        let code = code("f", text).output(&[("y", DataType::Int64)]);
        let pool = code.pool_in(&setup).await;
        let pids = ints(&pool.call(numbers(2)).await.unwrap().rows, 0);
        let crate::support::Setup { workers, .. } = setup;
        drop(workers);
        for pid in pids {
            eventually("all are gone", || !is_running(pid)).await;
        }
        assert!(matches!(pool.call(numbers(1)).await, Err(Error::Closed { .. })));
    });
}

#[test]
fn a_child_that_holds_the_socket_does_not_hide_the_death() {
    run(async {
        let text = "
            import subprocess
            def f(batch):
                if batch['id'][0].as_py() == 5:
                    child = subprocess.Popen(['sleep', '300'], close_fds=False, start_new_session=True)
                    print('child', child.pid)
                    sys.stdout.flush()
                    os._exit(1)
                return {'y': batch['x']}
            ";
        let code = code("f", text);
        let pool = code.pool().await;
        let began = Instant::now();
        let Err(Error::Died { output, .. }) = pool.call(numbers_from(5, 1)).await else { panic!("it died") };
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
        let child = output.lines().find_map(|line| line.strip_prefix("child ")).unwrap();
        kill(child.parse().unwrap(), "KILL");
    });
}
