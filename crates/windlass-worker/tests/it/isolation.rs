//! Rows that fail, told apart from those that do not.

use std::collections::BTreeSet;

use arrow::array::{AsArray, Float64Array};
use arrow::datatypes::{DataType, Float64Type};
use windlass_worker::{BatchFormat, BatchOutcome, Call, CallArgument, CallErrors, Nulls, Role, Stage, StartMode};

use crate::support::{Code, code, ints, numbers, numbers_from, run};

/// A program that does something to rows whose id is in a set, and returns the id.
fn rogue(ids: &[usize], what: &str) -> Code {
    let text = format!(
        "
            ROGUE = set({ids:?})
            def bad(id):
                {what}
            def f(batch):
                for id in ROGUE.intersection(batch['id'].to_pylist()):
                    bad(id)
                return {{'id': batch['id']}}
            "
    );
    code("f", &text).output(&[("id", DataType::Int64)]).isolate()
}

/// Checks that exactly the rogue rows are error rows, and all others came back.
fn check(outcome: &BatchOutcome, rows: usize, ids: &[usize], stage: Stage) {
    let rogue: BTreeSet<usize> = ids.iter().copied().collect();
    let failed: Vec<_> = outcome.errors.iter().map(|error| error.row as usize).collect();
    assert_eq!(failed, rogue.iter().copied().collect::<Vec<_>>(), "{:?}", outcome.errors);
    let good: Vec<i64> = (0..rows).filter(|id| !rogue.contains(id)).map(|id| id as i64).collect();
    assert_eq!(ints(&outcome.rows, 0), good);
    for error in &outcome.errors {
        assert_eq!(error.stage, stage, "{error:?}");
        assert!(!error.message.is_empty() && error.attempts > 0, "{error:?}");
    }
}

#[test]
fn rows_that_raise() {
    run(async {
        let half: Vec<usize> = (0..500).map(|id| id * 2).collect();
        let all: Vec<usize> = (0..200).collect();
        for (rows, ids) in
            [(2000, vec![0]), (2000, vec![1999]), (4096, (0..16).map(|k| k * 255).collect()), (1000, half), (200, all)]
        {
            let code = rogue(&ids, "raise ValueError(f'row {id} is bad')");
            let outcome = code.pool().await.call(numbers(rows)).await.unwrap();
            check(&outcome, rows, &ids, Stage::Python);
            let error = &outcome.errors[0];
            assert_eq!((error.error_type.as_str(), error.worker), ("ValueError", 1));
            assert!(error.traceback.contains("code.py"), "{}", error.traceback);
        }
    });
}

#[test]
fn rows_that_crash() {
    run(async {
        for (rows, ids) in [(1000, vec![777]), (256, vec![0, 100, 255])] {
            let code = rogue(&ids, "import ctypes; ctypes.string_at(0)");
            let pool = code.pool().await;
            let outcome = pool.call(numbers(rows)).await.unwrap();
            check(&outcome, rows, &ids, Stage::Crash);
            assert_eq!(pool.snapshot().restarts, 2, "two deaths, then children try");
            let good = pool.call(numbers_from(5000, 10)).await.unwrap();
            assert_eq!((good.rows.num_rows(), good.errors.len()), (10, 0));
        }
    });
}

#[test]
fn rows_that_take_too_long() {
    run(async {
        let code = rogue(&[9], "time.sleep(60)").timeout(800);
        let outcome = code.pool().await.call(numbers(16)).await.unwrap();
        check(&outcome, 16, &[9], Stage::Timeout);
    });
}

#[test]
fn rows_that_take_all_memory() {
    run(async {
        let code = rogue(&[3], "np.empty(400 << 20)");
        let code = code.with(|program| program.settings.memory = Some(300 << 20));
        let outcome = code.pool().await.call(numbers(16)).await.unwrap();
        check(&outcome, 16, &[3], Stage::Memory);
    });
}

#[test]
fn rows_that_crash_and_rows_that_raise() {
    run(async {
        let text = "
            def f(batch):
                ids = set(batch['id'].to_pylist())
                if 7 in ids: os._exit(1)
                if 9 in ids: raise KeyError('nine')
                return {'id': batch['id']}
            ";
        let code = code("f", text).output(&[("id", DataType::Int64)]).isolate();
        let outcome = code.pool().await.call(numbers(64)).await.unwrap();
        let failed: Vec<_> = outcome.errors.iter().map(|error| (error.row, error.stage)).collect();
        assert_eq!(failed, [(7, Stage::Crash), (9, Stage::Python)]);
        assert_eq!(outcome.rows.num_rows(), 62);
    });
}

#[test]
fn more_crashing_rows_than_are_worth_it() {
    run(async {
        let ids: Vec<usize> = (0..64).filter(|id| id % 2 == 0).collect();
        let code = rogue(&ids, "os._exit(9)");
        let outcome = code.pool().await.call(numbers(64)).await.unwrap();
        // Segments are given up: some good rows with them, but no bad row comes back and none is lost.
        let good = ints(&outcome.rows, 0);
        assert!(good.iter().all(|id| id % 2 == 1));
        assert_eq!(good.len() + outcome.errors.len(), 64);
    });
}

#[test]
fn crashes_in_workers_that_cannot_fork() {
    run(async {
        let code = rogue(&[11], "os._exit(9)").with(|program| program.settings.start = StartMode::Spawn);
        let pool = code.pool().await;
        let outcome = pool.call(numbers(16)).await.unwrap();
        check(&outcome, 16, &[11], Stage::Crash);
        assert!(pool.snapshot().restarts >= 5, "{:?}", pool.snapshot());
        assert_eq!(pool.call(numbers_from(100, 5)).await.unwrap().rows.num_rows(), 5);
    });
}

/// A function of SQL that answers NULL for rows that fail, and does something to the row whose id is 11.
fn function(what: &str) -> Code {
    let text = format!(
        "
            def f(id):
                if 11 in id:
                    {what}
                return id * 2.0
            "
    );
    let mut code = code("f", &text).isolate();
    let call = Call {
        file: code.transform().file.clone(),
        object: "f".to_owned(),
        arguments: vec![CallArgument::Column(0)],
        batch_format: BatchFormat::Numpy,
        nulls: Nulls::Skip,
        on_error: CallErrors::Null,
        model: None,
    };
    code.with(|program| program.role = Role::Functions { calls: vec![call], constants: None })
}

#[test]
fn functions_that_kill_answer_null() {
    run(async {
        for (what, start, stage) in [
            ("os._exit(9)", StartMode::Fork, Stage::Crash),
            ("os._exit(9)", StartMode::Spawn, Stage::Crash),
            ("time.sleep(60)", StartMode::Fork, Stage::Timeout),
        ] {
            let code = function(what).timeout(800).with(|program| program.settings.start = start);
            let outcome = code.pool().await.call(numbers(16)).await.unwrap();
            let column = outcome.rows.column(0).as_primitive::<Float64Type>();
            let expected: Float64Array = (0..16).map(|id| (id != 11).then_some(f64::from(id) * 2.0)).collect();
            assert_eq!(column, &expected, "{what} {start:?}");
            let failed: Vec<_> = outcome.errors.iter().map(|error| (error.row, error.stage)).collect();
            assert_eq!(failed, [(11, stage)], "{what} {start:?}");
        }
    });
}

#[test]
fn a_row_that_fails_now_and_then() {
    run(async {
        let code = rogue(
            &[5],
            "bad.calls = getattr(bad, 'calls', 0) + 1\n                if bad.calls % 3 == 1: raise OSError('flaky')",
        );
        let outcome = code.pool().await.call(numbers(100)).await.unwrap();
        let mut ids = ints(&outcome.rows, 0);
        ids.extend(outcome.errors.iter().map(|error| i64::from(error.row)));
        ids.sort_unstable();
        assert_eq!(ids, (0..100).collect::<Vec<_>>(), "each row once");
    });
}

#[test]
fn functions_of_whole_batches_are_not_taken_apart() {
    run(async {
        for (what, is_died) in [("raise ValueError('no')", false), ("os._exit(1)", true)] {
            let text = format!(
                "
            def f(batch):
                open(__file__ + '.calls', 'a').write(f'{{len(batch)}} ')
                {what}
            "
            );
            let mut code = code("f", &text).isolate();
            code.transform().rowwise = false;
            let outcome = code.pool().await.call(numbers(100)).await.unwrap();
            assert_eq!((outcome.rows.num_rows(), outcome.errors.len()), (0, 100));
            let stage = if is_died { Stage::Crash } else { Stage::Python };
            for error in &outcome.errors {
                assert_eq!(error.stage, stage);
                assert!(error.message.starts_with("the batch of 100 rows failed as a whole: "), "{}", error.message);
            }
            let calls = std::fs::read_to_string(code.program.root.join("code.py.calls")).unwrap();
            assert_eq!(calls.trim(), if is_died { "100 100" } else { "100" });
        }
    });
}

#[test]
fn odd_exceptions_are_told() {
    run(async {
        for (what, error_type, message) in [
            ("raise SystemExit(3)", "SystemExit", "3"),
            ("raise KeyboardInterrupt()", "KeyboardInterrupt", ""),
            ("raise GeneratorExit()", "GeneratorExit", ""),
            ("raise StopIteration(5)", "StopIteration", "5"),
            ("bad(id)", "RecursionError", "recursion"),
            (
                "raise type('Odd', (Exception,), {'__str__': lambda self: 1 / 0, '__repr__': lambda self: 1 / 0})()",
                "Odd",
                "",
            ),
            ("raise ValueError('x' * 100_000_000)", "ValueError", "xxx"),
            ("raise ExceptionGroup('many', [ValueError('one'), KeyError('two')])", "ExceptionGroup", "many"),
            ("raise ValueError(lambda: 1)", "ValueError", "lambda"),
            ("raise ValueError(chr(0xd800))", "ValueError", ""),
        ] {
            let code = rogue(&[3], what);
            let outcome = code.pool().await.call(numbers(8)).await.unwrap_or_else(|err| panic!("{what}: {err:?}"));
            check_one(&outcome, what);
            let error = &outcome.errors[0];
            assert_eq!(error.error_type, error_type, "{what}");
            assert!(error.message.contains(message) && error.message.len() <= 8192, "{what}: {:.100}", error.message);
        }
    });
}

fn check_one(outcome: &BatchOutcome, what: &str) {
    let failed: Vec<_> = outcome.errors.iter().map(|error| error.row).collect();
    assert_eq!((failed, outcome.rows.num_rows()), (vec![3], 7), "{what}");
}

#[test]
fn rejected_rows_are_error_rows() {
    run(async {
        let text = "
            import windlass
            def f(batch):
                ids = batch['id'].to_numpy()
                windlass.reject(ids % 10 == 3, 'three')
                return {'id': ids}
            ";
        let code = code("f", text).output(&[("id", DataType::Int64)]);
        let outcome = code.pool().await.call(numbers(100)).await.unwrap();
        check(&outcome, 100, &[3, 13, 23, 33, 43, 53, 63, 73, 83, 93], Stage::Reject);
    });
}
