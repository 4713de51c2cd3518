//! Workers that die, in every way and at every time.

use std::time::{Duration, Instant};

use windlass_worker::{Error, FailureKind};

use crate::support::{code, eventually, floats, ints, is_running, numbers, numbers_from, run};
use arrow::datatypes::DataType;

const WAYS: [(&str, &str); 4] = [
    ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
    ("os.abort()", "SIGABRT"),
    ("os._exit(3)", "code 3"),
    ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
];

#[test]
fn a_batch_that_kills_twice_has_no_answer() {
    run(async {
        for (way, name) in WAYS {
            let text = format!(
                "
            def f(batch):
                print('working on', batch['id'][0].as_py())
                if batch['id'][0].as_py() == 5: {way}
                return {{'y': batch['x']}}
            "
            );
            let code = code("f", &text);
            let pool = code.pool().await;
            let Err(Error::Died { how, output, .. }) = pool.call(numbers_from(5, 10)).await else { panic!("{way}") };
            assert!(how.contains(name), "{how}");
            assert!(output.contains("working on 5"), "{output}");
            if name == "SIGSEGV" {
                assert!(output.contains("code.py"), "the stack is told: {output}");
            }
            assert_eq!(pool.snapshot().restarts, 2, "{way}");
            pool.call(numbers(10)).await.unwrap();
        }
    });
}

#[test]
fn a_batch_that_kills_once_is_tried_again() {
    run(async {
        let text = "
            def f(batch):
                if not os.path.exists(__file__ + '.mark'):
                    open(__file__ + '.mark', 'w').close()
                    os._exit(1)
                return {'y': batch['x']}
            ";
        let code = code("f", text);
        let answer = code.pool().await.call(numbers(10)).await.unwrap();
        assert_eq!(floats(&answer.rows, 0), floats(&numbers(10), 1));
    });
}

#[test]
fn batches_behind_a_killer_are_not_blamed() {
    run(async {
        let text = "
            def f(batch):
                time.sleep(0.01)
                if batch['id'][0].as_py() == 0: os._exit(1)
                return {'y': batch['x']}
            ";
        let code = code("f", text);
        let pool = code.pool().await;
        let killer = pool.call(numbers_from(0, 10));
        let others = futures::future::join_all((1..6).map(|first| pool.call(numbers_from(first, 10))));
        let (killer, others) = tokio::join!(killer, others);
        assert!(matches!(killer, Err(Error::Died { .. })));
        for (answer, first) in others.into_iter().zip(1..) {
            assert_eq!(floats(&answer.unwrap().rows, 0), floats(&numbers_from(first, 10), 1));
        }
    });
}

#[test]
fn deaths_before_the_first_batch_end_the_pool() {
    run(async {
        let import = code("f", "print('so far'); os._exit(7)\ndef f(batch): return batch");
        let Err(Error::Died { how, output, .. }) = import.pool().await.call(numbers(1)).await else {
            panic!("it died")
        };
        assert!(how.contains("code 7"), "{how}");
        assert!(output.contains("so far"), "{output}");
        let pool = import.pool().await;
        assert!(pool.snapshot().restarts <= 3, "it is not tried for ever");

        let construct = code(
            "F",
            "class F:\n    def __init__(self): raise ValueError('no model')\n    def __call__(self, b): return b",
        );
        let pool = construct.pool().await;
        for _ in 0..2 {
            let Err(Error::Start { failure, .. }) = pool.call(numbers(1)).await else { panic!("it cannot start") };
            assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Construct, "no model"));
        }
        assert_eq!(pool.snapshot().restarts, 1, "an error in user code is not tried again");

        let syntax = code("f", "def f(batch:\n  pass");
        let Err(Error::Start { failure, .. }) = syntax.pool().await.call(numbers(1)).await else { panic!("no Python") };
        assert_eq!(failure.kind, FailureKind::Import);
    });
}

#[test]
fn a_worker_that_dies_with_nothing_to_do_is_replaced() {
    run(async {
        let text = "def f(batch):\n    return {'y': np.full(len(batch), os.getpid())}";
        let code = code("f", text).output(&[("y", DataType::Int64)]);
        let pool = code.pool().await;
        let pid = ints(&pool.call(numbers(1)).await.unwrap().rows, 0)[0];
        kill(pid, "KILL");
        let other = ints(&pool.call(numbers(1)).await.unwrap().rows, 0)[0];
        assert_ne!(pid, other);
        eventually("the worker is gone", || !is_running(pid)).await;

        // Stopped is as good as dead: it does not answer the ping.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        kill(other, "STOP");
        let began = Instant::now();
        let third = ints(&pool.call(numbers(1)).await.unwrap().rows, 0)[0];
        assert_ne!(other, third);
        assert!(began.elapsed() < Duration::from_secs(30));
    });
}

#[test]
fn the_zygote_may_die() {
    run(async {
        let setup = crate::support::setup(4, 0, usize::MAX);
        let text = "def f(batch):\n    time.sleep(0.05)\n    return {'y': np.full(len(batch), os.getppid())}";
        let code = code("f", text).output(&[("y", DataType::Int64)]).workers(2, 2);
        let pool = code.pool_in(&setup).await;
        let zygote = ints(&pool.call(numbers(1)).await.unwrap().rows, 0)[0];
        let calls = futures::future::join_all((0..6).map(|_| pool.call(numbers(3))));
        let (_, answers) = tokio::join!(
            async {
                tokio::time::sleep(Duration::from_millis(60)).await;
                kill(zygote, "KILL");
            },
            calls
        );
        for answer in answers {
            assert_eq!(answer.unwrap().rows.num_rows(), 3);
        }
        assert_ne!(ints(&pool.call(numbers(1)).await.unwrap().rows, 0)[0], zygote);
    });
}

#[test]
fn a_batch_that_kills_the_zygote_is_found_out() {
    run(async {
        let setup = crate::support::setup(4, 0, usize::MAX);
        let text = "
            def f(batch):
                os.kill(os.getppid(), signal.SIGKILL)
                time.sleep(10)
            ";
        let code = code("f", text);
        let pool = code.pool_in(&setup).await;
        assert!(matches!(pool.call(numbers(1)).await, Err(Error::Died { .. })));
    });
}

#[test]
fn random_deaths_change_no_row() {
    run(async {
        let text =
            "def f(batch):\n    return {'y': np.full(len(batch), os.getpid()), 'id': batch['id'].to_numpy() + 1}";
        let columns = [("y", DataType::Int64), ("id", DataType::Int64)];
        let code = code("f", text).output(&columns).workers(2, 2);
        let pool = code.pool().await;
        let mut first = 0;
        let mut random = 12_345_u64;
        while pool.snapshot().restarts < 5 || pool.snapshot().calls < 200 {
            let calls = futures::future::join_all((0..4).map(|call| pool.call(numbers_from(first + call * 700, 700))));
            let answers = calls.await;
            for (answer, call) in answers.into_iter().zip(0..) {
                let answer = answer.unwrap().rows;
                let expected: Vec<_> = (1..=700).map(|row| (first + call * 700 + row) as i64).collect();
                assert_eq!(ints(&answer, 1), expected);
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                if call == 0 && random >> 62 == 0 {
                    let pid = ints(&answer, 0)[0];
                    std::thread::spawn(move || {
                        std::thread::sleep(Duration::from_micros(random >> 32 & 1023));
                        kill(pid, "KILL");
                    });
                }
            }
            first += 2800;
        }
    });
}

#[test]
fn running_out_of_memory_is_told() {
    run(async {
        let text = "
            def f(batch):
                if batch['id'][0].as_py() == 5:
                    kept = [np.ones(1 << 20) for _ in range(200)]
                return {'y': batch['x']}
            ";
        let code = code("f", text).with(|program| program.settings.memory = Some(200 << 20));
        let pool = code.pool().await;
        pool.call(numbers(1)).await.unwrap();
        match pool.call(numbers_from(5, 1)).await {
            Err(Error::Call { failure, .. }) => assert_eq!(failure.kind, FailureKind::Memory),
            other => panic!("{other:?}"),
        }
        pool.call(numbers(1)).await.unwrap();
        eventually("the worker is replaced", || pool.snapshot().workers <= 1).await;
    });
}

#[test]
fn memory_that_the_limit_does_not_see_is_watched() {
    run(async {
        // User code that lifts its own limit.
        let text = "
            import resource
            def f(batch):
                if batch['id'][0].as_py() == 5:
                    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
                    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
                    kept = []
                    for _ in range(100):
                        kept.append(np.ones(1 << 20))
                        time.sleep(0.02)
                    time.sleep(5)
                return {'y': batch['x']}
            ";
        let code = code("f", text).with(|program| program.settings.memory = Some(200 << 20));
        let pool = code.pool().await;
        pool.call(numbers(1)).await.unwrap();
        match pool.call(numbers_from(5, 1)).await {
            Err(Error::Died { how, .. }) => assert!(how.contains("limit is 200 MiB"), "{how}"),
            other => panic!("{other:?}"),
        }
        pool.call(numbers(1)).await.unwrap();
    });
}

pub(crate) fn kill(pid: i64, signal: &str) {
    let done = std::process::Command::new("kill").args([format!("-{signal}"), pid.to_string()]).output().unwrap();
    drop(done);
}
