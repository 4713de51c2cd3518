//! Error rows keep their cause, and the carrier brings them through.

use datafusion::arrow::array::{Float64Array, Int64Array};
use windlass_worker::Stage;

use super::*;

fn input() -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(Int64Array::from(vec![10, 11, 12, 13])) as ArrayRef, true),
        ("x", Arc::new(Float64Array::from(vec![Some(0.5), None, Some(2.5), Some(f64::NAN)])) as ArrayRef, true),
    ])
    .unwrap()
}

fn kind() -> ErrorRows {
    ErrorRows {
        key: vec![0],
        row: input().schema(),
        broken: Broken::Nowhere,
        is_scored: false,
        run_id: "run".to_string(),
        fingerprint: "fp".to_string(),
        at_us: 7,
    }
}

fn error(row: u32, traceback: &str) -> RowError {
    RowError {
        row,
        stage: Stage::Python,
        error_type: "ValueError".to_string(),
        message: format!("bad {row}"),
        traceback: traceback.to_string(),
        attempts: 1,
        worker: 2,
    }
}

fn result_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("y", DataType::Int64, true), carrier_field()]))
}

fn result(values: Vec<i64>) -> RecordBatch {
    RecordBatch::try_from_iter([("y", Arc::new(Int64Array::from(values)) as ArrayRef)]).unwrap()
}

#[test]
fn an_error_row_has_its_key_its_input_and_its_cause() {
    let rows = kind().batch(&input(), &[error(1, ""), error(3, "  File \"t.py\", line 3, in f\n")], 5).unwrap();
    let shown = datafusion::arrow::util::pretty::pretty_format_batches(&[rows]).unwrap().to_string();
    expect_test::expect![[r#"
        +----+------------------+--------+------------+-------+-----------------------------+------------------+----------+----------+--------+--------+-------------+-----------------------------+
        | id | row              | stage  | error_type | error | traceback                   | traceback_hash   | attempts | batch_id | worker | run_id | fingerprint | at                          |
        +----+------------------+--------+------------+-------+-----------------------------+------------------+----------+----------+--------+--------+-------------+-----------------------------+
        | 11 | {id: 11, x: }    | python | ValueError | bad 1 |                             |                  | 1        | 5        | 2      | run    | fp          | 1970-01-01T00:00:00.000007Z |
        | 13 | {id: 13, x: NaN} | python | ValueError | bad 3 |   File "t.py", line 3, in f | fc10eed2d4cbe4e9 | 1        | 5        | 2      | run    | fp          | 1970-01-01T00:00:00.000007Z |
        |    |                  |        |            |       |                             |                  |          |          |        |        |             |                             |
        +----+------------------+--------+------------+-------+-----------------------------+------------------+----------+----------+--------+--------+-------------+-----------------------------+
    "#]]
    .assert_eq(&format!("{shown}\n"));
}

#[test]
fn a_key_that_is_called_like_a_column_of_ours_stands_in_the_row_alone() {
    let clash = RecordBatch::try_from_iter([("stage", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
    let kind = ErrorRows { row: clash.schema(), ..kind() };
    let rows = kind.batch(&clash, &[error(0, "")], 0).unwrap();
    assert_eq!(rows.schema().field(0).name(), ROW);
    assert_eq!(rows.column_by_name("stage").unwrap().as_string::<i32>().value(0), "python");
}

#[test]
fn the_carrier_brings_error_rows_through_other_rows_and_leaves_none_behind() {
    let schema = result_schema();
    let errors = kind().batch(&input(), &[error(0, ""), error(2, "")], 1).unwrap();
    let good = without_errors(&result(vec![1, 2]), &schema).unwrap();
    let carried = carrying(&errors, &schema).unwrap();
    let mixed = datafusion::arrow::compute::concat_batches(&schema, [&good, &carried, &good]).unwrap();
    let (rows, found) = split(&mixed).unwrap();
    assert_eq!(rows, result(vec![1, 2, 1, 2]).with_schema(rows.schema()).unwrap());
    assert_eq!(found, vec![errors]);
    let (rows, found) = split(&good).unwrap();
    assert_eq!((rows.num_rows(), found.len()), (2, 0));
}

#[test]
fn one_place_in_the_code_is_one_cause() {
    let at = |line: u32, value: u32| format!("  File \"t.py\", line {line}, in f\nValueError: bad {value}\n");
    let hash = |line, value| traceback_hash(&error(0, &at(line, value)));
    assert_eq!(hash(3, 1), hash(3, 2));
    assert_ne!(hash(3, 1), hash(4, 1));
}
