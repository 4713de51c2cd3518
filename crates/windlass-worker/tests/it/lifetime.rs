//! Memory that user code, workers and readers hold on to.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::DataType;

use crate::support::{code, floats, ints, numbers, numbers_from, run, shared};

#[test]
fn views_that_user_code_keeps_stay_what_they_were() {
    run(async {
        let code = code(
            "F",
            "
            class F:
                def __init__(self):
                    self.kept = []
                def __call__(self, batch):
                    ids = batch['id'].chunk(0)
                    if ids[0].as_py() // 1000 % 3 == 0:
                        kind = len(self.kept) % 5
                        view = [ids, ids.slice(5, 10), ids.to_numpy(), memoryview(ids.buffers()[1]), lambda: ids][kind]
                        self.kept.append((kind, view, ids.to_pylist()))
                    for kind, view, expected in self.kept[-30:]:
                        if kind == 0: seen = view.to_pylist()
                        if kind == 1: seen, expected = view.to_pylist(), expected[5:15]
                        if kind == 2: seen = view.tolist()
                        if kind == 3: seen = np.frombuffer(view, 'i8')[:len(expected)].tolist()
                        if kind == 4: seen = view().to_pylist()
                        assert seen == expected, (kind, seen[:3], expected[:3])
                    return {'y': batch['x']}
            ",
        );
        let pool = code.pool().await;
        for first in 0..400 {
            let batch = numbers_from(first * 1000, 100);
            assert_eq!(floats(&pool.call(batch.clone()).await.unwrap().rows, 0), floats(&batch, 1));
        }
        let snapshot = pool.snapshot();
        assert!(snapshot.abandoned_slots > 50, "{snapshot:?}");
        assert!(snapshot.slot_bytes < 30 << 18, "{snapshot:?}");
        let name = format!("`{}`", code.node());
        assert_eq!(shared().heard.notices().iter().filter(|notice| notice.contains(&name)).count(), 1);
    });
}

#[test]
fn tracebacks_and_cycles_do_not_corrupt_anything() {
    run(async {
        let code = code(
            "F",
            "
            class Node: pass
            class F:
                def __init__(self):
                    self.errors = []
                def __call__(self, batch):
                    node = Node(); node.me = node; node.batch = batch
                    try:
                        view = batch['id'].to_numpy()
                        raise KeyError(view)
                    except KeyError as err:
                        self.errors.append((err, view.copy()))
                    for err, expected in self.errors[-40:]:
                        assert (err.args[0] == expected).all()
                    return {'y': batch['x']}
            ",
        );
        let pool = code.pool().await;
        for first in 0..150 {
            let batch = numbers_from(first * 7, 50);
            assert_eq!(floats(&pool.call(batch.clone()).await.unwrap().rows, 0), floats(&batch, 1));
        }
    });
}

#[test]
fn threads_may_look_at_a_batch_after_its_call() {
    run(async {
        let code = code(
            "F",
            "
            import threading
            class F:
                def __init__(self):
                    self.wrong = []
                def look(self, view, expected):
                    time.sleep(0.05)
                    if view.to_pylist() != expected: self.wrong.append(expected)
                def __call__(self, batch):
                    assert not self.wrong
                    view = batch['id'].chunk(0)
                    threading.Thread(target=self.look, args=(view, view.to_pylist())).start()
                    return {'y': batch['x']}
            ",
        );
        let pool = code.pool().await;
        for first in 0..100 {
            pool.call(numbers_from(first * 50, 50)).await.unwrap();
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        pool.call(numbers(1)).await.unwrap();
    });
}

#[test]
fn columns_passed_through_are_the_right_ones() {
    run(async {
        let batch = numbers_from(3, 500);
        for (text, expected) in [
            ("batch.select(['x', 'id', 's']).rename_columns(['a', 'b', 'c'])", vec![1, 0, 2]),
            (
                "pa.table([batch['x'], batch['x'], batch['id'], batch['s']], names=['a', 'a2', 'b', 'c'])",
                vec![1, 1, 0, 2],
            ),
            ("{'c': batch['s'], 'a': batch['x'], 'b': pa.array(batch['id'].to_numpy() + 0)}", vec![1, 0, 2]),
        ] {
            let columns: &[(&str, DataType)] =
                &[("a", DataType::Float64), ("b", DataType::Int64), ("c", DataType::Utf8)];
            let mut declared = columns.to_vec();
            if expected.len() == 4 {
                declared.insert(1, ("a2", DataType::Float64));
            }
            let code = code("f", &format!("def f(batch):\n    return {text}")).output(&declared);
            let answer = code.pool().await.call(batch.clone()).await.unwrap().rows;
            for (place, source) in expected.into_iter().enumerate() {
                assert_eq!(answer.column(place), batch.column(source), "{text}");
            }
        }
    });
}

#[test]
fn parts_of_columns_are_not_taken_for_the_whole() {
    run(async {
        let code = code("f", "def f(batch):\n    return batch.slice(5, 20)").same().many();
        let batch = numbers(100);
        let pool = code.pool().await;
        assert_eq!(pool.call(batch.clone()).await.unwrap().rows, batch.slice(5, 20));
        let sliced = batch.slice(50, 40);
        assert_eq!(pool.call(sliced.clone()).await.unwrap().rows, sliced.slice(5, 20));
    });
}

#[test]
fn swapped_dictionaries_are_seen() {
    run(async {
        let text = "
            def f(batch):
                codes = pa.array((batch['id'].to_numpy() % 2).astype('i4'))
                flip = batch['id'][0].as_py() % 2
                names = pa.array(['odd', 'even'] if flip else ['even', 'odd'])
                return {'y': pa.DictionaryArray.from_arrays(codes, names)}
            ";
        let code = code("f", text).output(&[("y", DataType::Utf8)]);
        let pool = code.pool().await;
        for (first, expected) in [(0, "even"), (0, "even"), (1, "even"), (0, "even")] {
            let answer = pool.call(numbers_from(first, 10)).await.unwrap().rows;
            assert_eq!(answer.column(0).as_string::<i32>().value(0), expected);
        }
    });
}

#[test]
fn readers_may_hold_all_answers() {
    run(async {
        let code = code("f", "def f(batch):\n    return {'y': batch['x'].to_numpy() + 1.0}");
        let pool = code.pool().await;
        let mut held: Vec<RecordBatch> = Vec::new();
        for first in 0..120 {
            held.push(pool.call(numbers_from(first, 20_000)).await.unwrap().rows);
        }
        // Sixteen answers lie in slots, the others were copied out.
        assert!(pool.snapshot().slot_bytes <= 40 << 18, "{:?}", pool.snapshot());
        for (first, rows) in held.iter().enumerate() {
            let values = floats(rows, 0);
            assert_eq!((values[0], values[19_999]), (first as f64 / 2.0 + 1.0, (first + 19_999) as f64 / 2.0 + 1.0));
        }
        drop(held);
        pool.call(numbers(1)).await.unwrap();
    });
}

#[test]
fn answers_outlive_their_worker() {
    run(async {
        let code = code(
            "f",
            "
            def f(batch):
                if len(batch) == 1: os._exit(1)
                return {'y': batch['x'].to_numpy() + 1.0}
            ",
        );
        let pool = code.pool().await;
        let kept = pool.call(numbers(50_000)).await.unwrap().rows;
        assert!(pool.call(numbers(1)).await.is_err());
        pool.call(numbers(50_000)).await.unwrap();
        assert_eq!(floats(&kept, 0)[49_999], 49_999.0 / 2.0 + 1.0);
    });
}

#[test]
fn forks_of_user_code_do_no_harm() {
    run(async {
        let text = "
            def f(batch):
                pid = os.fork()
                if pid == 0:
                    sum(batch['id'].to_pylist())
                    os._exit(0)
                os.waitpid(pid, 0)
                return {'y': batch['x']}
            ";
        let code = code("f", text);
        let pool = code.pool().await;
        for first in 0..20 {
            let batch = numbers_from(first, 100);
            assert_eq!(floats(&pool.call(batch.clone()).await.unwrap().rows, 0), floats(&batch, 1));
        }
    });
}

#[test]
fn many_callers_get_their_own_answers() {
    run(async {
        let code = code("f", "def f(batch):\n    return {'y': pa.array(batch['id'].to_numpy() * 2)}");
        let code = code.output(&[("y", DataType::Int64)]).workers(2, 2);
        let pool = code.pool().await;
        let mut calls = tokio::task::JoinSet::new();
        for first in 0..300 {
            let pool = Arc::clone(&pool);
            calls.spawn(async move {
                let answer = pool.call(numbers_from(first * 10, 1 + first % 50)).await.unwrap();
                let expected: Vec<_> = (first * 10..first * 10 + 1 + first % 50).map(|id| 2 * id as i64).collect();
                assert_eq!(ints(&answer.rows, 0), expected);
            });
        }
        while let Some(call) = calls.join_next().await {
            call.unwrap();
        }
        assert_eq!(pool.snapshot().calls, 300);
    });
}
