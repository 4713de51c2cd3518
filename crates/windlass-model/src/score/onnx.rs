//! Scores ONNX models with ONNX Runtime, one session for each thread.
//!
//! An input of the graph is a column, or several that stand side by side in its matrix. Columns of the right
//! type without gaps are handed over as they lie in memory. What a model cannot score fails by halves until
//! the rows that are to blame stand alone.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::{cast, concat};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int32Type, Int64Type};
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, Tensor, TensorElementType, TensorRef, ValueType};

use super::answer::Raw;
use super::{RowFailure, Scores, inputs};
use crate::{Column, ColumnType, Error, Label};

const FORMAT: &str = "onnx";

/// A session and what goes in and out.
#[derive(Debug)]
pub(super) struct Onnx {
    session: Session,
    /// The model's file, from which other threads open sessions of their own.
    bytes: Arc<[u8]>,
    inputs: Vec<Input>,
    outputs: Vec<Column>,
}

/// An input of the graph.
#[derive(Debug, Clone)]
struct Input {
    name: String,
    kind: Kind,
    /// The columns that stand side by side in it.
    columns: Vec<String>,
    /// Whether it is a list rather than a matrix.
    is_flat: bool,
}

/// The types of inputs that columns are brought to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Float,
    Double,
    Integer,
    Long,
    Boolean,
    Text,
}

/// A tensor's values: a column's own memory, or rows that were put together.
enum Values {
    Float(arrow::buffer::ScalarBuffer<f32>),
    Double(arrow::buffer::ScalarBuffer<f64>),
    Integer(arrow::buffer::ScalarBuffer<i32>),
    Long(arrow::buffer::ScalarBuffer<i64>),
    Boolean(Vec<bool>),
    Text(Vec<String>),
}

impl Onnx {
    pub(super) fn open(bytes: Arc<[u8]>) -> Result<Self, Error> {
        let session = session(&bytes)?;
        let inputs = session.inputs().iter().map(|input| Input::of(input.name(), input.dtype()));
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        let outputs = session.outputs().iter().map(|output| output_column(output.name(), output.dtype()));
        let outputs = outputs.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { session, bytes, inputs, outputs })
    }

    pub(super) fn fork(&self) -> Result<Self, Error> {
        let session = session(&self.bytes)?;
        let (inputs, outputs) = (self.inputs.clone(), self.outputs.clone());
        Ok(Self { session, bytes: Arc::clone(&self.bytes), inputs, outputs })
    }

    pub(super) fn inputs(&self) -> Vec<Column> {
        let column = |input: &Input, name: &str| {
            let (data_type, nullable) = match input.kind {
                Kind::Float => (ColumnType::Float, true),
                Kind::Double => (ColumnType::Double, true),
                Kind::Integer => (ColumnType::Integer, false),
                Kind::Long => (ColumnType::Long, false),
                Kind::Boolean => (ColumnType::Boolean, false),
                Kind::Text => (ColumnType::String, false),
            };
            Column::new(name, data_type, nullable)
        };
        let columns = |input: &'_ Input| input.columns.iter().map(|name| column(input, name)).collect::<Vec<_>>();
        self.inputs.iter().flat_map(columns).collect()
    }

    pub(super) fn outputs(&self) -> &[Column] {
        &self.outputs
    }

    /// Returns which output has the probabilities of classes, and how many: the only vector beside a label.
    pub(super) fn probabilities(&self) -> Option<(usize, usize)> {
        let vectors = self.outputs.iter().enumerate().filter_map(|(at, output)| match output.data_type {
            ColumnType::Vector(width) => Some((at, width)),
            _ => None,
        });
        let vectors: Vec<(usize, usize)> = vectors.collect();
        (vectors.len() == 1 && self.outputs.len() <= 2).then(|| vectors[0])
    }

    pub(super) fn score(&mut self, batch: &RecordBatch) -> Result<Scores, Error> {
        let mut raw = Raw::new(batch.num_rows(), 0);
        let values = self.inputs.iter().map(|input| input.values(batch, &mut raw)).collect::<Result<Vec<_>, _>>()?;
        let mut failures = raw.failures();
        let columns = self.score_rows(&values, 0..batch.num_rows(), &mut failures)?;
        let failed: Vec<usize> = failures.iter().map(|failure| failure.row).collect();
        let columns = columns.into_iter().map(|column| with_nulls(&column, &failed)).collect::<Result<_, _>>()?;
        failures.sort_by_key(|failure| failure.row);
        failures.dedup_by_key(|failure| failure.row);
        Ok(Scores { columns, failures })
    }

    /// Scores rows; halves them where the model fails, until a single one is to blame.
    fn score_rows(
        &mut self,
        values: &[Values],
        rows: std::ops::Range<usize>,
        failures: &mut Vec<RowFailure>,
    ) -> Result<Vec<ArrayRef>, Error> {
        if rows.is_empty() {
            return Ok(self
                .outputs
                .iter()
                .map(|output| arrow::array::new_empty_array(&output.data_type.arrow()))
                .collect());
        }
        match self.run(values, rows.clone()) {
            Ok(columns) => columns,
            Err(message) if rows.len() == 1 => {
                failures.push(RowFailure { row: rows.start, message });
                let column = |output: &Column| arrow::array::new_null_array(&output.data_type.arrow(), 1);
                Ok(self.outputs.iter().map(column).collect())
            }
            Err(_) => {
                let middle = rows.start + rows.len() / 2;
                let first = self.score_rows(values, rows.start..middle, failures)?;
                let second = self.score_rows(values, middle..rows.end, failures)?;
                let join = |(a, b): (&ArrayRef, &ArrayRef)| concat(&[a.as_ref(), b.as_ref()]);
                let joined: Result<Vec<ArrayRef>, _> = first.iter().zip(&second).map(join).collect();
                joined.map_err(|source| Error::Output { source })
            }
        }
    }

    /// Runs the graph. The outer error is the runtime's message, which may be about a row.
    fn run(&mut self, values: &[Values], rows: std::ops::Range<usize>) -> Result<Result<Vec<ArrayRef>, Error>, String> {
        let mut given: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = Vec::with_capacity(values.len());
        for (input, values) in self.inputs.iter().zip(values) {
            let tensor = input.tensor(values, rows.clone()).map_err(|error| error.to_string())?;
            given.push((Cow::Borrowed(input.name.as_str()), tensor));
        }
        let answer = self.session.run(given).map_err(|error| error.to_string())?;
        let column = |output: &Column| {
            let value =
                answer.get(&output.name).ok_or_else(|| malformed(format!("it has no output `{}`", output.name)))?;
            column(output, value, rows.len())
        };
        Ok(self.outputs.iter().map(column).collect())
    }
}

fn session(bytes: &[u8]) -> Result<Session, Error> {
    let open = || -> ort::Result<Session> {
        let builder =
            Session::builder(crate::onnx::environment().map_err(|error| ort::Error::new(error.to_string()))?)?;
        let builder = builder.with_optimization_level(GraphOptimizationLevel::Level3)?;
        // Threads are the caller's: each has a session of its own.
        builder.with_intra_threads(1)?.with_inter_threads(1)?.commit_from_memory(bytes)
    };
    crate::onnx::environment()?;
    open().map_err(|error| malformed(error.to_string()))
}

impl Input {
    fn of(name: &str, kind: &ValueType) -> Result<Self, Error> {
        let ValueType::Tensor { ty, shape, .. } = kind else {
            return Err(unsupported(format!("the input `{name}`, which is no tensor")));
        };
        let kind = match ty {
            TensorElementType::Float32 => Kind::Float,
            TensorElementType::Float64 => Kind::Double,
            TensorElementType::Int32 => Kind::Integer,
            TensorElementType::Int64 => Kind::Long,
            TensorElementType::Bool => Kind::Boolean,
            TensorElementType::String => Kind::Text,
            other => return Err(unsupported(format!("the input `{name}` of type {other}"))),
        };
        let columns = match shape.as_ref() as &[i64] {
            [_] | [_, 1] => vec![name.to_owned()],
            [_, width] if *width > 1 => (0..*width).map(|at| format!("{name}_{at}")).collect(),
            shape => return Err(unsupported(format!("the input `{name}` of shape {shape:?}"))),
        };
        Ok(Self { name: name.to_owned(), kind, columns, is_flat: shape.len() == 1 })
    }

    fn values(&self, batch: &RecordBatch, raw: &mut Raw) -> Result<Values, Error> {
        match self.kind {
            Kind::Text => {
                let columns =
                    self.columns.iter().map(|name| inputs::texts(batch, name)).collect::<Result<Vec<_>, _>>()?;
                self.tell_gaps(&columns, raw);
                let cell =
                    |row: usize, column: &StringArray| column.is_valid(row).then(|| column.value(row).to_owned());
                let cells = rows_of(batch).flat_map(|row| columns.iter().map(move |column| cell(row, column)));
                Ok(Values::Text(cells.map(Option::unwrap_or_default).collect()))
            }
            Kind::Boolean => {
                let columns = self.numbers(batch)?;
                self.tell_gaps(&columns, raw);
                let cells = rows_of(batch).flat_map(|row| columns.iter().map(move |column| column.value(row) != 0.0));
                Ok(Values::Boolean(cells.collect()))
            }
            Kind::Integer | Kind::Long => {
                let to = if self.kind == Kind::Integer { DataType::Int32 } else { DataType::Int64 };
                let columns = self.cast(batch, &to)?;
                self.tell_gaps(&columns, raw);
                Ok(match self.kind {
                    Kind::Integer => Values::Integer(side_by_side::<Int32Type>(&columns, 0)),
                    _ => Values::Long(side_by_side::<Int64Type>(&columns, 0)),
                })
            }
            Kind::Float => {
                Ok(Values::Float(side_by_side::<Float32Type>(&self.cast(batch, &DataType::Float32)?, f32::NAN)))
            }
            Kind::Double => {
                Ok(Values::Double(side_by_side::<Float64Type>(&self.cast(batch, &DataType::Float64)?, f64::NAN)))
            }
        }
    }

    fn numbers(&self, batch: &RecordBatch) -> Result<Vec<Float64Array>, Error> {
        self.columns.iter().map(|name| inputs::numbers(batch, name)).collect()
    }

    /// Returns columns of a type; one that has it already is not touched.
    fn cast(&self, batch: &RecordBatch, to: &DataType) -> Result<Vec<ArrayRef>, Error> {
        let column = |name: &String| {
            let array = inputs::column(batch, name)?;
            if array.data_type() == to {
                return Ok(Arc::clone(array));
            }
            let numbers: ArrayRef = match array.data_type() {
                data_type if data_type.is_integer() => Arc::clone(array),
                _ => Arc::new(inputs::numbers(batch, name)?),
            };
            cast(&numbers, to).map_err(|source| Error::Output { source })
        };
        self.columns.iter().map(column).collect()
    }

    /// Tells rows with NULL in an input that has no word for it.
    fn tell_gaps<A: Array>(&self, columns: &[A], raw: &mut Raw) {
        for (column, name) in columns.iter().zip(&self.columns) {
            for row in (0..column.len()).filter(|row| column.is_null(*row)) {
                raw.fail(row, || format!("input `{name}` is NULL"));
            }
        }
    }

    fn tensor<'v>(&self, values: &'v Values, rows: std::ops::Range<usize>) -> ort::Result<SessionInputValue<'v>> {
        let width = self.columns.len();
        let count = rows.len() as i64;
        let shape = if self.is_flat { vec![count] } else { vec![count, width as i64] };
        let span = rows.start * width..rows.end * width;
        Ok(match values {
            Values::Float(values) => TensorRef::from_array_view((shape, &values[span]))?.into(),
            Values::Double(values) => TensorRef::from_array_view((shape, &values[span]))?.into(),
            Values::Integer(values) => TensorRef::from_array_view((shape, &values[span]))?.into(),
            Values::Long(values) => TensorRef::from_array_view((shape, &values[span]))?.into(),
            Values::Boolean(values) => TensorRef::from_array_view((shape, &values[span]))?.into(),
            Values::Text(values) => Tensor::from_string_array((shape, &values[span]))?.into(),
        })
    }
}

fn rows_of(batch: &RecordBatch) -> std::ops::Range<usize> {
    0..batch.num_rows()
}

/// Returns the rows of a matrix whose columns these are; a single one without gaps is its own memory.
fn side_by_side<T: arrow::datatypes::ArrowPrimitiveType>(
    columns: &[ArrayRef],
    gap: T::Native,
) -> arrow::buffer::ScalarBuffer<T::Native> {
    let columns: Vec<_> = columns.iter().map(|column| column.as_primitive::<T>()).collect();
    if let [column] = columns.as_slice()
        && column.null_count() == 0
    {
        return column.values().clone();
    }
    let rows = columns.first().map_or(0, |column| column.len());
    let mut cells = vec![gap; rows * columns.len()];
    for (at, column) in columns.iter().enumerate() {
        let places = cells.iter_mut().skip(at).step_by(columns.len());
        places.zip(column.iter()).for_each(|(place, value)| *place = value.unwrap_or(gap));
    }
    cells.into()
}

fn output_column(name: &str, kind: &ValueType) -> Result<Column, Error> {
    let ValueType::Tensor { ty, shape, .. } = kind else {
        return Err(unsupported(format!("the output `{name}`, which is a map: export it with `zipmap` off")));
    };
    let one = match ty {
        TensorElementType::Float32 | TensorElementType::Float64 => ColumnType::Double,
        TensorElementType::Int32 | TensorElementType::Int64 => ColumnType::Long,
        TensorElementType::Bool => ColumnType::Boolean,
        TensorElementType::String => ColumnType::String,
        other => return Err(unsupported(format!("the output `{name}` of type {other}"))),
    };
    let data_type = match shape.as_ref() as &[i64] {
        // Converters declare the labels of LightGBM as a single one, whatever the rows.
        [_] | [_, 1] => one,
        [_, width] if *width > 1 && one == ColumnType::Double => ColumnType::Vector(*width as usize),
        shape => return Err(unsupported(format!("the output `{name}` of shape {shape:?}"))),
    };
    Ok(Column::new(name, data_type, true))
}

/// Makes a tensor into a column; fails where it has not a row for each row.
fn column(output: &Column, value: &DynValue, rows: usize) -> Result<ArrayRef, Error> {
    let wrong = |error: ort::Error| malformed(format!("its output `{}`: {error}", output.name));
    let ValueType::Tensor { ty, .. } = value.dtype() else {
        return Err(malformed(format!("its output `{}` is no tensor", output.name)));
    };
    let column: ArrayRef = match ty {
        TensorElementType::Float32 => {
            let (_, values) = value.try_extract_tensor::<f32>().map_err(wrong)?;
            Arc::new(Float64Array::from_iter_values(values.iter().map(|value| f64::from(*value))))
        }
        TensorElementType::Float64 => Arc::new(Float64Array::from_iter_values(
            value.try_extract_tensor::<f64>().map_err(wrong)?.1.iter().copied(),
        )),
        TensorElementType::Int32 => {
            let (_, values) = value.try_extract_tensor::<i32>().map_err(wrong)?;
            Arc::new(Int64Array::from_iter_values(values.iter().map(|value| i64::from(*value))))
        }
        TensorElementType::Int64 => {
            Arc::new(Int64Array::from_iter_values(value.try_extract_tensor::<i64>().map_err(wrong)?.1.iter().copied()))
        }
        TensorElementType::Bool => {
            Arc::new(BooleanArray::from(value.try_extract_tensor::<bool>().map_err(wrong)?.1.to_vec()))
        }
        _ => Arc::new(StringArray::from(value.try_extract_strings().map_err(wrong)?.1)),
    };
    let width = if let ColumnType::Vector(width) = output.data_type { width } else { 1 };
    if column.len() != rows * width {
        let message = format!("its output `{}` has {} values for {rows} rows", output.name, column.len());
        return Err(malformed(message));
    }
    if width == 1 {
        return Ok(column);
    }
    let mut raw = Raw::new(rows, width);
    raw.values = column.as_primitive::<Float64Type>().values().to_vec();
    raw.vectors()
}

/// Returns a column with NULL in rows that failed.
fn with_nulls(column: &ArrayRef, failed: &[usize]) -> Result<ArrayRef, Error> {
    if failed.is_empty() {
        return Ok(Arc::clone(column));
    }
    let mut is_failed = vec![false; column.len()];
    failed.iter().for_each(|row| is_failed[*row] = true);
    arrow::compute::nullif(column, &BooleanArray::from(is_failed)).map_err(|source| Error::Output { source })
}

/// Returns predictions and probabilities under the classes of training.
pub(super) fn classified(scores: Scores, at: usize, classes: &[Label], threshold: f64) -> Result<Scores, Error> {
    let vectors = scores.columns[at].as_fixed_size_list();
    let mut raw = Raw::new(vectors.len(), classes.len());
    raw.values = vectors.values().as_primitive::<Float64Type>().values().to_vec();
    for failure in &scores.failures {
        raw.fail(failure.row, || failure.message.clone());
    }
    Ok(Scores { columns: raw.classification(classes, threshold)?, failures: scores.failures })
}

fn malformed(message: impl Into<String>) -> Error {
    Error::Format { format: FORMAT, message: message.into() }
}

fn unsupported(feature: String) -> Error {
    Error::Unsupported { format: FORMAT, feature }
}
