//! Computes window functions: groups rows, puts each group in order, and hands values back to the rows.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch, UInt32Array, new_null_array};
use datafusion::arrow::compute::{concat, take};
use datafusion::arrow::datatypes::{DataType, Field, Float64Type, Schema, SchemaRef};
use datafusion::arrow::row::{RowConverter, Rows, SortField};
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::window::WindowExpr;
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::aggregates::group_values::new_group_values;
use datafusion::physical_plan::aggregates::order::GroupOrdering;
use tokio::task::JoinSet;

use super::packed::{OrderColumn, pack};
use crate::operators::moving_mean::MovingMean;

/// Bytes of an order key, roughly: what is made room for.
const ORDER_KEY_BYTES: usize = 40;

/// Functions over the same partitions in the same order.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) functions: Vec<Function>,
    pub(super) partition_by: Vec<Arc<dyn PhysicalExpr>>,
    pub(super) order_by: Vec<PhysicalSortExpr>,
}

/// How a column is computed.
#[derive(Debug, Clone)]
pub(super) enum Function {
    /// By DataFusion, one partition at a time.
    Standard(Arc<dyn WindowExpr>),
    /// A mean over a short frame.
    Mean(MovingMean),
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let functions = self.functions.iter().map(|function| match function {
            Function::Standard(expr) => expr.name().split(" PARTITION BY").next().unwrap_or_default().to_string(),
            Function::Mean(mean) => mean.to_string(),
        });
        let partition_by = self.partition_by.iter().map(ToString::to_string);
        let order_by = self.order_by.iter().map(ToString::to_string);
        write!(
            f,
            "{} by [{}] order [{}]",
            functions.collect::<Vec<_>>().join(", "),
            partition_by.collect::<Vec<_>>().join(", "),
            order_by.collect::<Vec<_>>().join(", ")
        )
    }
}

impl Function {
    fn arguments(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        match self {
            Self::Standard(expr) => expr.expressions(),
            Self::Mean(mean) => vec![Arc::clone(mean.argument())],
        }
    }
}

impl Window {
    /// Returns all expressions over the input's columns.
    pub(super) fn expressions(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        let order = self.order_by.iter().map(|key| Arc::clone(&key.expr));
        let arguments = self.functions.iter().flat_map(Function::arguments);
        self.partition_by.iter().cloned().chain(order).chain(arguments).collect()
    }
}

/// Returns a column for each function, over the rows of all batches; a thread for each window.
pub(super) async fn compute(
    windows: &Arc<[Window]>,
    batches: Arc<[RecordBatch]>,
    schema: &SchemaRef,
) -> Result<Vec<ArrayRef>> {
    let mut tasks = JoinSet::new();
    for index in 0..windows.len() {
        let (windows, batches, schema) = (Arc::clone(windows), Arc::clone(&batches), Arc::clone(schema));
        tasks.spawn_blocking(move || (index, columns(&windows[index], &batches, &schema)));
    }
    let mut found: Vec<Vec<ArrayRef>> = vec![Vec::new(); windows.len()];
    while let Some(joined) = tasks.join_next().await {
        let (index, columns) = joined.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?;
        found[index] = columns?;
    }
    Ok(found.into_iter().flatten().collect())
}

fn columns(window: &Window, batches: &[RecordBatch], schema: &SchemaRef) -> Result<Vec<ArrayRef>> {
    let order = Order::try_new(window, batches, schema)?;
    window.functions.iter().map(|function| order.scatter(&order.evaluate(function, window, batches, schema)?)).collect()
}

/// The rows of a window, one group after the other, each in order.
struct Order {
    rows: UInt32Array,
    /// Where groups begin, and the end.
    starts: Vec<usize>,
}

impl Order {
    fn try_new(window: &Window, batches: &[RecordBatch], schema: &SchemaRef) -> Result<Self> {
        let count: usize = batches.iter().map(RecordBatch::num_rows).sum();
        if u32::try_from(count).is_err() {
            // Taken for a lack of memory, the node is computed again with sorts.
            return Err(DataFusionError::ResourcesExhausted(format!("{count} rows of windows are too many to hold")));
        }
        let (mut rows, starts) = grouped(window, batches, schema, count)?;
        if !window.order_by.is_empty() {
            let keys = OrderKeys::of(window, batches, count)?;
            let mut room = Vec::new();
            for group in starts.windows(2) {
                keys.sort(&mut rows[group[0]..group[1]], &mut room);
            }
        }
        Ok(Self { rows: rows.into(), starts })
    }

    /// Returns a function's values in this order.
    fn evaluate(
        &self,
        function: &Function,
        window: &Window,
        batches: &[RecordBatch],
        schema: &SchemaRef,
    ) -> Result<ArrayRef> {
        match function {
            Function::Mean(mean) => self.means(mean, batches, schema),
            Function::Standard(expr) => self.standard(expr, window, batches, schema),
        }
    }

    fn means(&self, mean: &MovingMean, batches: &[RecordBatch], schema: &SchemaRef) -> Result<ArrayRef> {
        let argument = take(&gather(mean.argument(), batches, schema)?, &self.rows, None)?;
        let argument = argument.as_primitive::<Float64Type>();
        let means = self.starts.windows(2).map(|group| mean.means(&argument.slice(group[0], group[1] - group[0]), 0));
        let means: Vec<Float64Array> = means.collect();
        let means: Vec<&dyn Array> = means.iter().map(|means| means as &dyn Array).collect();
        if means.is_empty() { Ok(Arc::new(Float64Array::new_null(0))) } else { Ok(concat(&means)?) }
    }

    /// Has DataFusion compute a function for one group after the other. It sees the columns that the function reads;
    /// the others are NULL.
    fn standard(
        &self,
        expr: &Arc<dyn WindowExpr>,
        window: &Window,
        batches: &[RecordBatch],
        schema: &SchemaRef,
    ) -> Result<ArrayRef> {
        let order_by = window.order_by.iter().map(|key| Arc::clone(&key.expr));
        let read = expr.expressions().into_iter().chain(order_by).flat_map(|expr| collect_columns(&expr));
        let read: Vec<usize> = read.map(|column| column.index()).collect();
        let largest = self.starts.windows(2).map(|group| group[1] - group[0]).max().unwrap_or_default();
        let column = |(index, field): (usize, &Arc<Field>)| match read.contains(&index) {
            true => {
                let parts: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(index).as_ref()).collect();
                let whole = if parts.is_empty() { new_null_array(field.data_type(), 0) } else { concat(&parts)? };
                Ok(Seen::Values(take(&whole, &self.rows, None)?))
            }
            false => Ok(Seen::Nothing(new_null_array(field.data_type(), largest))),
        };
        let columns = schema.fields().iter().enumerate().map(column).collect::<Result<Vec<_>>>()?;
        let nullable = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
        let schema = Arc::new(Schema::new(nullable.collect::<Vec<_>>()));
        let values = self.starts.windows(2).filter(|group| group[0] < group[1]).map(|group| {
            let (start, count) = (group[0], group[1] - group[0]);
            let of_group = columns.iter().map(|column| match column {
                Seen::Values(values) => values.slice(start, count),
                Seen::Nothing(nulls) => nulls.slice(0, count),
            });
            expr.evaluate(&RecordBatch::try_new(Arc::clone(&schema), of_group.collect())?)
        });
        let values = values.collect::<Result<Vec<_>>>()?;
        match values.is_empty() {
            true => Ok(new_null_array(expr.field()?.data_type(), 0)),
            false => Ok(concat(&values.iter().map(AsRef::as_ref).collect::<Vec<_>>())?),
        }
    }

    /// Returns values that are in this order in the order of the rows.
    fn scatter(&self, values: &ArrayRef) -> Result<ArrayRef> {
        let mut places = vec![0; self.rows.len()];
        for (place, row) in self.rows.values().iter().enumerate() {
            places[*row as usize] = place as u32;
        }
        Ok(take(values, &UInt32Array::from(places), None)?)
    }
}

/// A column as a function sees it.
enum Seen {
    Values(ArrayRef),
    Nothing(ArrayRef),
}

/// Returns the rows, one group after the other in the order in which they came, and where groups begin.
fn grouped(
    window: &Window,
    batches: &[RecordBatch],
    schema: &SchemaRef,
    count: usize,
) -> Result<(Vec<u32>, Vec<usize>)> {
    if window.partition_by.is_empty() {
        return Ok(((0..count as u32).collect(), vec![0, count]));
    }
    let field = |key: &Arc<dyn PhysicalExpr>| Ok(key.return_field(schema)?.as_ref().clone().with_nullable(true));
    let fields = window.partition_by.iter().map(field).collect::<Result<Vec<_>>>()?;
    let mut known = new_group_values(Arc::new(Schema::new(fields)), &GroupOrdering::None)?;
    let mut group_of: Vec<u32> = Vec::with_capacity(count);
    let mut groups = Vec::new();
    for batch in batches {
        let keys = window.partition_by.iter().map(|key| key.evaluate(batch)?.into_array(batch.num_rows()));
        known.intern(&keys.collect::<Result<Vec<_>>>()?, &mut groups)?;
        group_of.extend(groups.iter().map(|group| *group as u32));
    }
    let mut starts = vec![0; known.len() + 1];
    group_of.iter().for_each(|group| starts[*group as usize + 1] += 1);
    (1..starts.len()).for_each(|group| starts[group] += starts[group - 1]);
    let mut next = starts.clone();
    let mut rows = vec![0; count];
    for (row, group) in group_of.into_iter().enumerate() {
        let place = &mut next[group as usize];
        rows[*place] = row as u32;
        *place += 1;
    }
    Ok((rows, starts))
}

/// What rows are ordered by.
enum OrderKeys {
    /// A number for each.
    Numbers(Vec<u64>),
    /// A form that compares as bytes.
    Bytes(Rows),
}

impl OrderKeys {
    fn of(window: &Window, batches: &[RecordBatch], count: usize) -> Result<Self> {
        let column = |key: &PhysicalSortExpr| {
            let parts = batches.iter().map(|batch| key.expr.evaluate(batch)?.into_array(batch.num_rows()));
            Ok(OrderColumn { parts: parts.collect::<Result<Vec<_>>>()?, options: key.options })
        };
        let columns = window.order_by.iter().map(column).collect::<Result<Vec<_>>>()?;
        if let Some(numbers) = pack(&columns, count)? {
            return Ok(Self::Numbers(numbers));
        }
        let field = |column: &OrderColumn| {
            let part = column.parts.first().map(|part| part.data_type().clone()).unwrap_or(DataType::Null);
            SortField::new_with_options(part, column.options)
        };
        let converter = RowConverter::new(columns.iter().map(field).collect())?;
        let mut keys = converter.empty_rows(count, count * ORDER_KEY_BYTES);
        for batch in 0..batches.len() {
            let parts: Vec<ArrayRef> = columns.iter().map(|column| Arc::clone(&column.parts[batch])).collect();
            converter.append(&mut keys, &parts)?;
        }
        Ok(Self::Bytes(keys))
    }

    /// Sorts rows, which stand in the order in which they came; rows of equal keys stay in it. `room` is of use again.
    fn sort(&self, rows: &mut [u32], room: &mut Vec<(u64, u32)>) {
        match self {
            Self::Numbers(keys) => {
                if rows.is_sorted_by_key(|row| keys[*row as usize]) {
                    return;
                }
                room.clear();
                room.extend(rows.iter().map(|row| (keys[*row as usize], *row)));
                room.sort_unstable();
                rows.iter_mut().zip(room.iter()).for_each(|(row, (_, sorted))| *row = *sorted);
            }
            Self::Bytes(keys) => {
                let key = |row: u32| keys.row(row as usize);
                if !rows.is_sorted_by(|left, right| key(*left) <= key(*right)) {
                    rows.sort_by(|left, right| key(*left).cmp(&key(*right)));
                }
            }
        }
    }
}

/// Returns an expression's values over all batches.
fn gather(expr: &Arc<dyn PhysicalExpr>, batches: &[RecordBatch], schema: &SchemaRef) -> Result<ArrayRef> {
    let parts = batches.iter().map(|batch| expr.evaluate(batch)?.into_array(batch.num_rows()));
    let parts = parts.collect::<Result<Vec<_>>>()?;
    let data_type: DataType = expr.data_type(schema)?;
    match parts.is_empty() {
        true => Ok(new_null_array(&data_type, 0)),
        false => Ok(concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>())?),
    }
}
