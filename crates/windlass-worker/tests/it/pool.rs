//! Pools: which worker serves what, how many there are, and what they share.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::DataType;
use windlass_worker::{Error, StartMode};

use crate::support::{Code, code, eventually, ints, numbers, run, setup, shared};

fn pids(text: &str) -> Code {
    code("f", text).output(&[("y", DataType::Int64)])
}

const PID: &str = "def f(batch):\n    time.sleep(0.02)\n    return {'y': np.full(len(batch), os.getpid())}";

#[test]
fn a_program_has_one_pool() {
    run(async {
        let code = pids(PID);
        let one = ints(&code.pool().await.call(numbers(1)).await.unwrap().rows, 0);
        let two = ints(&code.pool().await.call(numbers(1)).await.unwrap().rows, 0);
        assert_eq!(one, two, "its worker stays for the next run");
        let changed = code.with(|program| program.code_hash.push('!'));
        let three = ints(&changed.pool().await.call(numbers(1)).await.unwrap().rows, 0);
        assert_ne!(one, three, "changed code never meets an old worker");
    });
}

#[test]
fn what_one_program_is_told_another_does_not_see() {
    run(async {
        let text = "
            import windlass
            def f(batch):
                return {'y': [repr(sorted(os.environ.items())) + repr(sys.argv) + repr(kw) for kw in [{}] * len(batch)]}
            ";
        let mut secret = code("f", text).output(&[("y", DataType::Utf8)]);
        secret.program.vars.insert("password".to_owned(), "hunter2".into());
        let open = code("f", text).output(&[("y", DataType::Utf8)]);
        for code in [&secret, &open] {
            let answer = code.pool().await.call(numbers(1)).await.unwrap().rows;
            let seen = answer.column(0).as_string::<i32>().value(0).to_owned();
            assert!(!seen.contains("hunter2"), "{seen}");
        }
    });
}

#[test]
fn pools_grow_with_their_work_and_shrink_to_nothing() {
    run(async {
        let setup = setup(8, 0, usize::MAX);
        let code = pids(PID).workers(1, 3);
        let pool = code.pool_in(&setup).await;
        eventually("the fewest workers start early", || pool.snapshot().workers == 1).await;
        // So much that its start is worth it on a slow machine, too.
        pool.expect_rows(Some(1_000_000));
        let seen = async || {
            let calls = futures::future::join_all((0..60).map(|_| pool.call(numbers(1)))).await;
            calls.into_iter().map(|answer| ints(&answer.unwrap().rows, 0)[0]).collect::<BTreeSet<_>>()
        };
        assert_eq!(seen().await.len(), 3);
        setup.workers.dismiss_idle();
        eventually("all workers are gone", || pool.snapshot().workers + pool.snapshot().starting == 0).await;
        assert_eq!(seen().await.len(), 3);
        let snapshot = pool.snapshot();
        assert_eq!((snapshot.calls, snapshot.rows, snapshot.restarts), (120, 120, 0));
        assert!(snapshot.call_seconds > 2.0 && snapshot.start_seconds > 0.0, "{snapshot:?}");
    });
}

#[test]
fn many_rows_start_functions_at_once_and_classes_one_by_one() {
    run(async {
        let class = "
            class F:
                def __call__(self, batch): return {'y': np.full(len(batch), os.getpid())}
            ";
        let class = code("F", class).output(&[("y", DataType::Int64)]).workers(1, 3);
        for (code, expected) in [(pids(PID).workers(1, 3), 3), (class, 1)] {
            let pool = code.pool().await;
            pool.expect_rows(Some(5 << 20));
            eventually("a class may load much", || pool.snapshot().workers == expected).await;
            assert_eq!((pool.snapshot().starting, pool.snapshot().calls), (0, 0));
        }
    });
}

#[test]
fn few_batches_start_few_workers() {
    run(async {
        let text = "
            class F:
                def __init__(self): time.sleep(0.5)
                def __call__(self, batch): return {'y': np.full(len(batch), os.getpid())}
            ";
        let code = code("F", text).output(&[("y", DataType::Int64)]).workers(1, 8);
        let pool = code.pool().await;
        pool.expect_rows(Some(10));
        for _ in 0..10 {
            pool.call(numbers(1)).await.unwrap();
        }
        assert_eq!(pool.snapshot().workers, 1);
    });
}

#[test]
fn resources_that_do_not_exist_are_refused() {
    run(async {
        let setup = setup(2, 1, usize::MAX);
        for (cpus, gpus) in [(3.0, 0.0), (1.0, 2.0), (1.0, 1.5)] {
            let code = pids(PID).with(|program| {
                program.settings.num_cpus = cpus;
                program.settings.num_gpus = gpus;
            });
            let refused = setup.workers.pool(code.program.clone()).await;
            assert!(matches!(refused, Err(Error::Resources { .. })), "{cpus} {gpus}");
        }
    });
}

#[test]
fn pools_take_turns_on_a_gpu() {
    run(async {
        let setup = setup(8, 1, usize::MAX);
        let text = "def f(batch):\n    return {'y': [os.environ['CUDA_VISIBLE_DEVICES']] * len(batch)}";
        let gpu = |share: f64| {
            code("f", text).output(&[("y", DataType::Utf8)]).with(|program| {
                program.settings.num_gpus = share;
                program.settings.start = StartMode::Spawn;
            })
        };
        let codes = [gpu(0.6), gpu(0.6), gpu(0.0)];
        let mut pools = Vec::new();
        for code in &codes {
            pools.push(code.pool_in(&setup).await);
        }
        // The second pool gets the GPU when the first has had nothing to do for a second.
        for (pool, expected) in pools.iter().zip(["GPU-0", "GPU-0", ""]) {
            let answer = pool.call(numbers(1)).await.unwrap().rows;
            assert_eq!(answer.column(0).as_string::<i32>().value(0), expected);
        }
    });
}

#[test]
fn pools_that_feed_each_other_do_not_wait_for_each_other() {
    run(async {
        let setup = setup(1, 0, usize::MAX);
        let (one, two) = (pids(PID).workers(1, 4), pids(PID).workers(1, 4));
        let (one, two) = (one.pool_in(&setup).await, two.pool_in(&setup).await);
        let began = Instant::now();
        for _ in 0..10 {
            let (one, two) = tokio::join!(one.call(numbers(1)), two.call(numbers(1)));
            one.unwrap();
            two.unwrap();
        }
        assert!(began.elapsed() < Duration::from_secs(60));
        assert_eq!((one.snapshot().workers, two.snapshot().workers), (1, 1), "no more than there are CPUs");
    });
}

#[test]
fn batch_sizes_grow_where_calls_are_short() {
    run(async {
        let code = code("f", "def f(batch):\n    return {'y': batch['x']}");
        let pool = code.pool().await;
        assert_eq!(pool.batch_rows(), 8192);
        assert_eq!(pool.in_flight_limit(), 2);
        pool.call(numbers(100)).await.unwrap();
        assert_eq!(pool.batch_rows(), 8192);
        pool.call(numbers(8192)).await.unwrap();
        assert!(pool.batch_rows() >= 8192);
    });
}

#[test]
fn two_environments_live_side_by_side() {
    run(async {
        let mut other = pids("def f(batch):\n    return {'y': np.full(len(batch), os.getppid())}");
        let text = "def f(batch):\n    return {'y': np.full(len(batch), os.getppid())}";
        let one = pids(text);
        other.program.environment.key = "other".to_owned();
        let one = ints(&one.pool().await.call(numbers(1)).await.unwrap().rows, 0);
        let other = ints(&other.pool().await.call(numbers(1)).await.unwrap().rows, 0);
        assert_ne!(one, other, "each has its own zygote");
    });
}

#[test]
fn python_that_cannot_start_is_told() {
    run(async {
        let missing = pids(PID).with(|program| {
            program.environment.python = "/nowhere/python".into();
            program.environment.key = "missing".to_owned();
        });
        let err = missing.pool().await.call(numbers(1)).await.unwrap_err();
        assert!(matches!(err, Error::Process { operation: "start Python", .. }), "{err:?}");
        let wrong = pids(PID).with(|program| {
            program.environment.python = "/bin/false".into();
            program.environment.key = "wrong".to_owned();
        });
        let err = wrong.pool().await.call(numbers(1)).await.unwrap_err();
        assert!(matches!(err, Error::Died { .. }), "{err:?}");
    });
}

#[test]
fn batches_of_another_shape_are_refused() {
    run(async {
        let pool = pids(PID).pool().await;
        let other = numbers(3).project(&[0]).unwrap();
        assert!(matches!(pool.call(other).await, Err(Error::Process { operation: "encode a batch", .. })));
        let _ = Arc::strong_count(&pool);
        assert!(shared().workers.pool(pool.program().clone()).await.is_ok());
    });
}
