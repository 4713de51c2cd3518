//! Memory, output, and results of unusual size.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::DataType;
use windlass_worker::Error;

use crate::support::{code, eventually, floats, numbers, numbers_from, run, setup, shared};

#[test]
fn results_may_be_a_thousand_times_their_input() {
    run(async {
        let text = "
            def f(batch):
                return {'y': [text * 1000 for text in batch['s'].to_pylist()]}
            ";
        let code = code("f", text).output(&[("y", DataType::Utf8)]);
        let pool = code.pool().await;
        for _ in 0..3 {
            let answer = pool.call(numbers(2000)).await.unwrap().rows;
            assert_eq!(answer.column(0).as_string::<i32>().value(1999), "row 1999".repeat(1000));
        }
    });
}

#[test]
fn batches_behind_a_result_that_grows_wait() {
    run(async {
        let text = "
            def f(batch):
                many = batch['id'][0].as_py()
                return {'y': ['x' * many] * len(batch)}
            ";
        let code = code("f", text).output(&[("y", DataType::Utf8)]);
        let pool = code.pool().await;
        let sizes = [1, 3000, 10, 9000, 20_000, 5];
        let answers = futures::future::join_all(sizes.map(|size| pool.call(numbers_from(size, 500)))).await;
        for (answer, size) in answers.into_iter().zip(sizes) {
            assert_eq!(answer.unwrap().rows.column(0).as_string::<i32>().value(499).len(), size);
        }
    });
}

#[test]
fn memory_is_asked_for_and_given_back() {
    run(async {
        let setup = setup(8, 0, 3 << 20);
        let code = code("f", "def f(batch):\n    return {'y': batch['x'].to_numpy() + 1.0}").workers(4, 4);
        let pool = code.pool_in(&setup).await;
        // Eight calls of four workers want more than there is: they take turns.
        let calls = (0..40).map(|first| {
            let pool = Arc::clone(&pool);
            async move { (first, pool.call(numbers_from(first, 20_000)).await.unwrap().rows) }
        });
        for (first, rows) in futures::future::join_all(calls).await {
            assert_eq!(floats(&rows, 0)[19_999], (first + 19_999) as f64 / 2.0 + 1.0);
        }
        assert!(setup.budget.most() <= 3 << 20);
        // One that can never fit is refused, and the pool lives on.
        let err = pool.call(numbers(1_000_000)).await.unwrap_err();
        assert!(matches!(err, Error::SharedMemory { .. }), "{err:?}");
        pool.call(numbers(10)).await.unwrap();
        setup.workers.dismiss_idle();
        eventually("all memory is back", || setup.budget.used() == 0).await;
    });
}

#[test]
fn a_result_that_never_fits_is_refused() {
    run(async {
        let setup = setup(8, 0, 2 << 20);
        let text = "def f(batch):\n    return {'y': ['x' * batch['id'][0].as_py()] * len(batch)}";
        let code = code("f", text).output(&[("y", DataType::Utf8)]);
        let pool = code.pool_in(&setup).await;
        pool.call(numbers_from(5, 1)).await.unwrap();
        let began = Instant::now();
        let err = pool.call(numbers_from(100_000, 100)).await.unwrap_err();
        assert!(matches!(err, Error::SharedMemory { .. }), "{err:?}");
        assert!(began.elapsed() < Duration::from_secs(30));
        assert_eq!(pool.call(numbers_from(5, 1)).await.unwrap().rows.num_rows(), 1);
    });
}

#[test]
fn floods_of_output_are_cut() {
    run(async {
        let text = "
            def f(batch):
                chunk = b'x' * (1 << 20)
                for _ in range(200): os.write(1, chunk)
                return {'y': batch['x']}
            ";
        let code = code("f", text);
        code.pool().await.call(numbers(1)).await.unwrap();
        let heard = || shared().heard.of(code.node());
        eventually("the rest is counted", || heard().iter().any(|line| line.contains("left out"))).await;
        let bytes: usize = heard().iter().map(String::len).sum();
        assert!(bytes < 2 << 20, "{bytes}");
    });
}

#[test]
fn output_of_every_kind_arrives() {
    run(async {
        let text = r"
            import atexit, logging, subprocess
            logging.basicConfig(level='INFO')
            atexit.register(lambda: print('the end'))
            print('imported')
            def f(batch):
                print('on stdout'); print('on stderr', file=sys.stderr)
                logging.info('logged')
                os.write(1, b'\xff\xfe\x00 binary\n')
                subprocess.run(['echo', 'from a child'])
                print('no newline', end='')
                return {'y': batch['x']}
            def g(batch):
                os.close(1); os.close(2); sys.stdout.close()
                return {'y': batch['x']}
            ";
        let one = code("f", text);
        one.pool().await.call(numbers(1)).await.unwrap();
        shared().workers.pool(one.program.clone()).await.unwrap();
        let heard = || shared().heard.of(one.node());
        eventually("the last line", || heard().iter().any(|line| line.contains("from a child"))).await;
        for expected in ["imported", "on stdout", "on stderr", "logged", "binary"] {
            assert!(heard().iter().any(|line| line.contains(expected)), "{expected}: {:?}", heard());
        }
        let two = code("g", text);
        let pool = two.pool().await;
        for _ in 0..2 {
            // Closed streams are its own business. The second call fails in Python or works.
            let _ = pool.call(numbers(1)).await;
        }
    });
}

#[test]
fn many_small_batches_do_not_pile_up() {
    run(async {
        let code = code("f", "def f(batch):\n    return {'y': batch['x']}").workers(2, 2);
        let pool = code.pool().await;
        let calls = (0..2000).map(|first| {
            let pool = Arc::clone(&pool);
            async move {
                assert_eq!(floats(&pool.call(numbers_from(first, 1)).await.unwrap().rows, 0), [first as f64 / 2.0])
            }
        });
        futures::future::join_all(calls).await;
        assert!(pool.snapshot().slot_bytes <= 16 << 18, "{:?}", pool.snapshot());
    });
}

#[test]
fn inputs_cannot_be_written_to() {
    run(async {
        let text = "
            import ctypes
            def f(batch):
                view = batch['x'].chunk(0).to_numpy()
                view[0] = 1
            def g(batch):
                if batch['id'][0].as_py() == 5:
                    ctypes.memset(batch['x'].chunk(0).buffers()[1].address, 7, 8)
                return {'y': batch['x']}
            ";
        let Err(Error::Call { failure, .. }) = code("f", text).pool().await.call(numbers(3)).await else {
            panic!("it is read-only")
        };
        assert!(failure.message.contains("read-only"), "{}", failure.message);
        let native = code("g", text);
        let pool = native.pool().await;
        assert!(matches!(pool.call(numbers_from(5, 1)).await, Err(Error::Died { .. })));
        pool.call(numbers(1)).await.unwrap();
    });
}
