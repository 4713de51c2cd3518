//! Rules, chunks and budgets of the Python operator, without Python.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{binary, col, is_not_null, lit};
use windlass_worker::{RowError, Stage};

use super::chunks::Chunks;
use super::preconditions::{Precondition, sift};
use super::{Budget, Limit, Spent, Together};

fn batch(values: Vec<Option<i64>>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([("a", Arc::new(Int64Array::from(values)) as ArrayRef, true)]).unwrap()
}

fn errors(count: u32, stage: Stage) -> Vec<RowError> {
    let error = |row| RowError {
        row,
        stage,
        error_type: "ValueError".to_string(),
        message: format!("bad {row}"),
        traceback: "  File \"t.py\", line 3, in f\n".to_string(),
        attempts: 1,
        worker: 1,
    };
    (0..count).map(error).collect()
}

#[test]
fn a_row_is_told_the_first_rule_that_it_breaks() {
    let rows = batch(vec![Some(1), None, Some(-5), Some(2)]);
    let schema = rows.schema();
    let a = col("a", &schema).unwrap();
    let rules = [
        Precondition { holds: is_not_null(Arc::clone(&a)).unwrap(), violation: "`a` is null".to_string() },
        Precondition {
            // NULL is no answer, so the row does not pass.
            holds: binary(a, Operator::Gt, lit(0_i64), &schema).unwrap(),
            violation: "not: a > 0".to_string(),
        },
    ];
    let (good, broken) = sift(&rules, &rows).unwrap();
    assert_eq!(good, batch(vec![Some(1), Some(2)]));
    let told: Vec<(u32, &str)> = broken.iter().map(|error| (error.row, error.message.as_str())).collect();
    assert_eq!(told, [(1, "`a` is null"), (2, "not: a > 0")]);
}

#[test]
fn rows_that_meet_all_rules_are_not_copied() {
    let rows = batch(vec![Some(1), Some(2)]);
    let rule = Precondition { holds: lit(true), violation: String::new() };
    let (good, broken) = sift(&[rule], &rows).unwrap();
    assert!(broken.is_empty());
    assert!(Arc::ptr_eq(good.column(0), rows.column(0)));
}

#[test]
fn chunks_keep_all_rows_in_order() {
    let sizes = [3, 0, 1, 7, 2];
    for wanted in [1, 2, 4, 5, 100] {
        let mut chunks = Chunks::default();
        let mut next = 0;
        for size in sizes {
            chunks.push(batch((next..next + size).map(Some).collect()));
            next += size;
        }
        let mut seen = Vec::new();
        while let Some(taken) = chunks.take(wanted).unwrap() {
            assert!(taken.num_rows() <= wanted);
            assert!(taken.num_rows() == wanted || chunks.rows() == 0, "only the last may be short");
            seen.push(taken);
        }
        let all = datafusion::arrow::compute::concat_batches(&seen[0].schema(), &seen).unwrap();
        assert_eq!(all, batch((0..13).map(Some).collect()), "in chunks of {wanted}");
    }
}

#[test]
fn a_share_is_over_as_soon_as_no_later_row_can_mend_it() {
    let budget = Budget::new(Limit::Rate(0.02), Together::Row, Some(10_000));
    assert!(budget.spend(1_000, &errors(200, Stage::Python)).is_none(), "200 of 10,000 is 2 %");
    let verdict = budget.spend(1_000, &errors(1, Stage::Python)).unwrap();
    assert!(verdict.is_over);
    assert_eq!(verdict.to_string(), "201 of 2000 rows failed (10.05 %), more than the 2 % of `max_error_rate`");
    assert_eq!(verdict.causes.len(), 1, "one place is one cause");
}

#[test]
fn a_share_of_an_unknown_number_of_rows_is_judged_at_the_end() {
    let budget = Budget::new(Limit::Rate(0.02), Together::Row, None);
    assert!(budget.spend(1_000, &errors(500, Stage::Python)).is_none());
    assert!(budget.verdict().is_over);
    assert!(budget.spend(49_000, &[]).is_none());
    assert!(!budget.verdict().is_over, "500 of 50,000 is 1 %");
}

#[test]
fn a_thousand_rows_that_all_fail_are_enough() {
    let budget = Budget::new(Limit::Rate(1.0), Together::Row, None);
    assert!(budget.spend(999, &errors(999, Stage::Python)).is_none());
    let verdict = budget.spend(1, &errors(1, Stage::Python)).unwrap();
    assert!(verdict.hint().contains("the code and not the data"), "{}", verdict.hint());
    let early = Budget::new(Limit::Rate(0.02), Together::Row, Some(1_000_000));
    assert!(early.spend(5_000, &errors(5_000, Stage::Requires)).is_none(), "no call has come back yet");
    let counting = Budget::new(Limit::None, Together::Row, None);
    assert!(counting.spend(5_000, &errors(5_000, Stage::Python)).is_none(), "a replay wants to know them all");
}

#[test]
fn a_batch_that_fails_whole_is_one_event() {
    let budget = Budget::new(Limit::Rate(1.0), Together::Batch, None);
    for _ in 0..9 {
        assert!(budget.spend(5_000, &errors(5_000, Stage::Python)).is_none());
    }
    assert!(budget.spend(5_000, &errors(5_000, Stage::Python)).is_some_and(|verdict| verdict.is_over));
}

#[test]
fn preconditions_are_told_apart_by_their_rule() {
    let budget = Budget::new(Limit::Rows(10), Together::Row, None);
    let mut broken = errors(3, Stage::Requires);
    broken[0].message = "`a` is null".to_string();
    broken[1].message = "`b` is null".to_string();
    broken[2].message = "`b` is null".to_string();
    assert!(budget.spend(100, &broken).is_none());
    let verdict = budget.verdict();
    let causes: Vec<(String, u64)> = verdict.causes.iter().map(|cause| (cause.summary(), cause.rows)).collect();
    assert_eq!(causes, [("`b` is null".to_string(), 2), ("`a` is null".to_string(), 1)]);
}

#[test]
fn what_an_earlier_attempt_has_counted_counts() {
    let budget = || Budget::new(Limit::Rate(0.02), Together::Row, Some(10_000));
    let whole = budget();
    whole.spend(1_000, &errors(100, Stage::Python));
    let first = whole.spent();
    whole.spend(500, &errors(20, Stage::Python));
    whole.spend(300, &errors(3, Stage::Requires));
    let second = whole.spent().since(&first);
    assert_eq!((second.seen, second.failed, second.called, second.calls_failed), (800, 23, 500, 20));
    assert_eq!(second.causes.iter().map(|cause| cause.rows).collect::<Vec<_>>(), [1, 1, 1, 20]);
    assert_eq!(first.clone().since(&first), Spent::default());

    let continued = budget();
    continued.take_over(second);
    continued.take_over(first);
    assert_eq!((continued.verdict(), continued.spent().called), (whole.verdict(), whole.spent().called));
}
