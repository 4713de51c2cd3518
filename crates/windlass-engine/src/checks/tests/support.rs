//! One check over one column, and its outcome as a line of text.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float64Array, Int64Array, RecordBatch,
    StringArray, StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Int32Type, Schema};
use windlass_error::{Diagnostic, Location, SourceFile};
use windlass_project::checks::{
    Bound, CheckDefinition, CheckKind, CheckSeverity, Interval, KeptDuplicate, OnFail, Statistic, Threshold, Written,
};

use super::super::compile::{Target, compile};
use super::super::evaluate::evaluate;
use super::super::facts::{Baselines, Facts};
use super::super::outcome::CheckOutcome;
use super::super::part::Part;
use super::super::program::Program;
use super::super::rules::Condition;
use super::super::text::number;

pub(super) fn written(text: &str) -> Written {
    let file = SourceFile::new(std::path::Path::new("t.yml"), text.to_string());
    Written { text: text.to_string(), location: Location::new(&file, 0..text.len()) }
}

/// Returns a check of column `x`.
pub(super) fn check(kind: CheckKind) -> CheckDefinition {
    CheckDefinition {
        name: kind.name().to_string(),
        column: Some("x".to_string()),
        kind,
        severity: CheckSeverity::Error,
        on_fail: OnFail::Error,
        error_if: Threshold::ANY,
        warn_if: Threshold::ANY,
        filter: None,
        limit: None,
        sample_rows: 2,
        store_failures: false,
        location: written("x").location,
    }
}

pub(super) fn range(min: Option<&str>, max: Option<&str>) -> CheckKind {
    let bound = |text: Option<&str>| text.map(|text| Bound { value: written(text), is_inclusive: true });
    CheckKind::Range { min: bound(min), max: bound(max) }
}

pub(super) fn values(texts: &[&str]) -> CheckKind {
    CheckKind::Values { values: texts.iter().map(|text| written(text)).collect(), are_accepted: true }
}

pub(super) fn unique(columns: &[&str]) -> CheckKind {
    CheckKind::Unique { columns: columns.iter().map(|name| written(name)).collect(), keep: KeptDuplicate::None }
}

pub(super) fn statistic(statistic: Statistic, min: f64, max: f64) -> CheckKind {
    CheckKind::Statistic {
        statistic,
        bounds: Interval { min: Some(min), max: Some(max) },
        written: [None, None],
        change: None,
    }
}

pub(super) fn batch(columns: &[(&str, ArrayRef)]) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.iter().map(|(name, array)| (*name, ArrayRef::clone(array), true)))
        .unwrap()
}

pub(super) fn x(array: ArrayRef) -> RecordBatch {
    batch(&[("x", array)])
}

pub(super) fn floats(values: &[f64]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

pub(super) fn maybe_floats(values: &[Option<f64>]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

pub(super) fn integers(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

pub(super) fn maybe_integers(values: &[Option<i64>]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

pub(super) fn booleans(values: &[Option<bool>]) -> ArrayRef {
    Arc::new(BooleanArray::from(values.to_vec()))
}

pub(super) fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// Returns a text column in each of its layouts.
pub(super) fn every_text(values: &[Option<&str>]) -> Vec<ArrayRef> {
    let dictionary: DictionaryArray<Int32Type> = values.iter().copied().collect();
    let large = arrow::compute::cast(&texts(values), &DataType::LargeUtf8).unwrap();
    vec![texts(values), Arc::new(StringViewArray::from(values.to_vec())), Arc::new(dictionary), large]
}

pub(super) fn decimals(values: &[Option<i128>], precision: u8, scale: i8) -> ArrayRef {
    Arc::new(Decimal128Array::from(values.to_vec()).with_precision_and_scale(precision, scale).unwrap())
}

pub(super) fn dates(values: &[Option<i32>]) -> ArrayRef {
    Arc::new(Date32Array::from(values.to_vec()))
}

pub(super) fn timestamps(values: &[Option<i64>], zone: Option<&str>) -> ArrayRef {
    let array = TimestampMicrosecondArray::from(values.to_vec());
    Arc::new(array.with_timezone_opt(zone.map(str::to_string)))
}

/// Conditions of tests are `true`, `false`, `null`, and names of boolean columns.
fn condition(schema: Arc<Schema>) -> impl Fn(&Written) -> Result<Condition, Diagnostic> {
    move |text: &Written| {
        let column = schema.index_of(&text.text).ok();
        let name = text.text.clone();
        Ok(Arc::new(move |batch: &RecordBatch| {
            let rows = batch.num_rows();
            Ok(match (column, name.as_str()) {
                (Some(column), _) => arrow::array::AsArray::as_boolean(batch.column(column)).clone(),
                (None, "true") => BooleanArray::from(vec![true; rows]),
                (None, "null") => BooleanArray::new_null(rows),
                (None, _) => BooleanArray::from(vec![false; rows]),
            })
        }))
    }
}

pub(super) fn mistakes(definition: &CheckDefinition, batch: &RecordBatch) -> String {
    let schema = batch.schema();
    let condition = condition(Arc::clone(&schema));
    let target = Target {
        node: "t",
        schema: &schema,
        type_name: |data_type| data_type.to_string(),
        suspects: &Default::default(),
        stored: &Default::default(),
        condition: &condition,
    };
    match compile(std::slice::from_ref(definition), &target) {
        Ok(_) => "none".to_string(),
        Err(mistakes) => mistakes.iter().map(|mistake| mistake.message.clone()).collect::<Vec<_>>().join("; "),
    }
}

/// Returns the program of checks that fit a batch.
pub(super) fn compiled(definitions: &[CheckDefinition], batch: &RecordBatch, stored: &Baselines) -> Program {
    let schema = batch.schema();
    let condition = condition(Arc::clone(&schema));
    let target = Target {
        node: "t",
        schema: &schema,
        type_name: |data_type| data_type.to_string(),
        suspects: &Default::default(),
        stored,
        condition: &condition,
    };
    compile(definitions, &target).expect("the checks fit")
}

pub(super) fn outcome(definition: &CheckDefinition, batches: &[RecordBatch], facts: &Facts) -> CheckOutcome {
    let schema = batches[0].schema();
    // A baseline is known from the beginning where it is a stored profile; the check says whether it is.
    let program = Arc::new(compiled(std::slice::from_ref(definition), &batches[0], &facts.baselines));
    let mut all = Part::new(Arc::clone(&program));
    for batch in batches {
        let mut part = Part::new(Arc::clone(&program));
        part.add(batch).expect("the batch can be looked at");
        all.merge(part);
    }
    evaluate(&all, &schema, facts).remove(0)
}

/// Returns the outcome of a check over a batch: status, figure, offending rows of rows, reason.
pub(super) fn line_with(definition: &CheckDefinition, batch: &RecordBatch, facts: &Facts) -> String {
    let whole = describe(&outcome(definition, std::slice::from_ref(batch), facts));
    let is_order = matches!(definition.kind, CheckKind::Monotonic { .. });
    if batch.num_rows() > 0 && !is_order {
        let rows: Vec<RecordBatch> = (0..batch.num_rows()).map(|row| batch.slice(row, 1)).collect();
        assert_eq!(describe(&outcome(definition, &rows, facts)), whole, "merged rows differ from the batch");
    }
    whole
}

pub(super) fn line(kind: CheckKind, batch: &RecordBatch) -> String {
    line_with(&check(kind), batch, &Facts::default())
}

fn describe(outcome: &CheckOutcome) -> String {
    let mut text = outcome.status.name().to_string();
    if let Some(observed) = outcome.observed {
        text.push_str(&format!(" {}", number(observed)));
    }
    if let Some(failing) = outcome.failing {
        text.push_str(&format!(" ({failing} of {})", outcome.rows));
    }
    if let Some(reason) = outcome.reason {
        text.push_str(&format!(" {reason}"));
    }
    let examples: usize = outcome.examples.iter().map(RecordBatch::num_rows).sum();
    assert!(examples <= 2, "more examples than wanted");
    text
}

/// Returns a query that nobody runs.
pub(super) fn query() -> windlass_project::Transform {
    let file = &written("select 1").location.file;
    windlass_project::Transform {
        sql: "select 1".to_string(),
        map: windlass_project::SourceMap::identity(file),
        inputs: Vec::new(),
        vars: Default::default(),
        incremental: None,
        on_error: windlass_project::OnError::Null,
    }
}
