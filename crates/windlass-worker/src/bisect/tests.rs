//! Tests.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{AsArray, UInt32Array};
use arrow::datatypes::{DataType, Field, Schema, UInt32Type};
use proptest::prelude::*;

use super::*;
use crate::Stage;

fn blame() -> RowError {
    RowError {
        row: 0,
        stage: Stage::Crash,
        error_type: String::new(),
        message: String::new(),
        traceback: String::new(),
        attempts: 1,
        worker: 0,
    }
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("row", DataType::UInt32, false)]))
}

/// Searches `rows` rows of which `killers` kill. Returns rows that came back, rows that failed, and deaths.
fn search(rows: u32, killers: &BTreeSet<u32>) -> (Vec<u32>, Vec<u32>, usize) {
    let mut bisection = Bisection::new(rows);
    let mut deaths = 0;
    while let Some(part) = bisection.next() {
        if killers.range(part.clone()).next().is_some() {
            deaths += 1;
            bisection.killed(&blame(), |_| RecordBatch::new_empty(schema()));
        } else {
            let array = Arc::new(UInt32Array::from_iter_values(part));
            bisection.answered(RecordBatch::try_new(schema(), vec![array]).unwrap(), Vec::new());
        }
    }
    let (good, errors) = bisection.finish(&schema()).unwrap();
    let good = good.column(0).as_primitive::<UInt32Type>().values().to_vec();
    (good, errors.into_iter().map(|error| error.row).collect(), deaths)
}

#[test]
fn one_killer_costs_a_death_per_halving() {
    let (good, bad, deaths) = search(8192, &BTreeSet::from([4711]));
    assert_eq!((good.len(), bad), (8191, vec![4711]));
    assert_eq!(deaths, 13);
}

#[test]
fn many_killers_are_given_up() {
    let (good, bad, deaths) = search(1024, &(0..1024).collect());
    assert_eq!((good.len(), bad.len()), (0, 1024));
    assert!(deaths < 40, "{deaths}");
}

proptest! {
    #[test]
    fn every_row_is_in_one_place(rows in 1..500_u32, killers in prop::collection::btree_set(0..500_u32, 0..12)) {
        let killers: BTreeSet<u32> = killers.into_iter().filter(|row| *row < rows).collect();
        let (good, bad, _) = search(rows, &killers);
        prop_assert!(good.is_sorted() && bad.is_sorted());
        let all: BTreeSet<u32> = good.iter().chain(&bad).copied().collect();
        prop_assert_eq!(all.len() as u32, rows);
        prop_assert_eq!(good.len() + bad.len(), rows as usize);
        prop_assert!(killers.iter().all(|row| bad.contains(row)));
        if killers.len() < MOST_KILLERS {
            prop_assert_eq!(bad.len(), killers.len());
        }
    }
}

#[test]
fn errors_of_a_part_count_from_its_start() {
    let mut bisection = Bisection::new(10);
    bisection.answered(RecordBatch::new_empty(schema()), vec![RowError { row: 4, ..blame() }]);
    bisection.answered(RecordBatch::new_empty(schema()), vec![RowError { row: 0, ..blame() }]);
    let (_, errors) = bisection.finish(&schema()).unwrap();
    assert_eq!(errors.iter().map(|error| error.row).collect::<Vec<_>>(), [4, 5]);
}
