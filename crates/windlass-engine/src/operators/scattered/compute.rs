//! Computes window functions: groups rows, puts each group in order, and says where the value of each row is.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch, UInt32Array, new_null_array};
use datafusion::arrow::compute::{concat, take};
use datafusion::arrow::datatypes::{DataType, Field, Float64Type, Schema, SchemaRef};
use datafusion::arrow::row::{self, RowConverter, SortField};
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::window::WindowExpr;
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};

use super::packed::{OrderColumn, pack};
use super::shares::{Numbered, number, shares, side_by_side, split};
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

/// The values of a function, in the order of its window.
#[derive(Debug, Clone)]
pub(super) struct Column {
    values: ArrayRef,
    /// Where the value of each row is.
    places: UInt32Array,
}

impl Column {
    /// Returns the values of some rows.
    pub(super) fn of_rows(&self, start: usize, count: usize) -> Result<ArrayRef> {
        Ok(take(&self.values, &self.places.slice(start, count), None)?)
    }

    /// Returns the bytes that it holds.
    pub(super) fn bytes(&self) -> usize {
        self.values.get_array_memory_size() + self.places.get_array_memory_size()
    }
}

/// The rows that windows are computed over.
pub(super) struct Rows {
    pub(super) batches: Vec<RecordBatch>,
    pub(super) schema: SchemaRef,
    /// The first row of each batch, and the end.
    starts: Vec<usize>,
    /// Shares that the work on a window is split into.
    shares: usize,
}

impl Rows {
    pub(super) fn new(batches: Vec<RecordBatch>, schema: SchemaRef, threads: usize) -> Self {
        let mut starts = vec![0];
        starts.extend(batches.iter().scan(0, |end, batch| {
            *end += batch.num_rows();
            Some(*end)
        }));
        let shares = shares(starts.last().copied().unwrap_or_default(), threads);
        Self { batches, schema, starts, shares }
    }

    fn count(&self) -> usize {
        self.starts.last().copied().unwrap_or_default()
    }

    /// Returns an expression's values.
    fn gather(&self, expr: &Arc<dyn PhysicalExpr>) -> Result<ArrayRef> {
        let parts = self.batches.iter().map(|batch| expr.evaluate(batch)?.into_array(batch.num_rows()));
        let parts = parts.collect::<Result<Vec<_>>>()?;
        let data_type: DataType = expr.data_type(&self.schema)?;
        match parts.is_empty() {
            true => Ok(new_null_array(&data_type, 0)),
            false => Ok(concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>())?),
        }
    }
}

/// Returns a column for each function; windows are worked on side by side, each by several threads. Blocks.
pub(super) fn compute(windows: &[Window], rows: &Rows) -> Result<Vec<Column>> {
    let columns = side_by_side(windows.iter().collect(), |window| columns(window, rows))?;
    Ok(columns.into_iter().flatten().collect())
}

fn columns(window: &Window, rows: &Rows) -> Result<Vec<Column>> {
    let order = Order::try_new(window, rows)?;
    let values = window.functions.iter().map(|function| order.evaluate(function, window, rows));
    let values = values.collect::<Result<Vec<_>>>()?;
    let places = order.places(rows.shares)?;
    Ok(values.into_iter().map(|values| Column { values, places: places.clone() }).collect())
}

/// The rows of a window, one group after the other, each in order.
struct Order {
    rows: UInt32Array,
    /// Where groups begin, and the end.
    starts: Vec<usize>,
}

impl Order {
    fn try_new(window: &Window, rows: &Rows) -> Result<Self> {
        let count = rows.count();
        if u32::try_from(count).is_err() {
            // Taken for a lack of memory, the node is computed again with sorts.
            return Err(DataFusionError::ResourcesExhausted(format!("{count} rows of windows are too many to hold")));
        }
        let (mut order, starts) = grouped(window, rows)?;
        if !window.order_by.is_empty() {
            let keys = OrderKeys::of(window, rows)?;
            let mut rest = order.as_mut_slice();
            let mut work = Vec::new();
            for groups in split(&starts, rows.shares) {
                let (run, others) = rest.split_at_mut(starts[groups.end] - starts[groups.start]);
                rest = others;
                work.push((&starts[groups.start..=groups.end], run));
            }
            side_by_side(work, |(starts, run)| {
                let mut room = Vec::new();
                let first = starts[0];
                starts.windows(2).for_each(|group| keys.sort(&mut run[group[0] - first..group[1] - first], &mut room));
                Ok(())
            })?;
        }
        Ok(Self { rows: order.into(), starts })
    }

    /// Returns a function's values in this order.
    fn evaluate(&self, function: &Function, window: &Window, rows: &Rows) -> Result<ArrayRef> {
        match function {
            Function::Mean(mean) => self.means(mean, rows),
            Function::Standard(expr) => self.standard(expr, window, rows),
        }
    }

    /// Calls `work` with the first rows of groups and the end, and the rows of all of them in order; puts the values
    /// that it returns for each together. `None` where there are no rows.
    fn by_group(
        &self,
        shares: usize,
        work: impl Fn(&[usize], UInt32Array) -> Result<Vec<ArrayRef>> + Sync,
    ) -> Result<Option<ArrayRef>> {
        let values = side_by_side(split(&self.starts, shares), |groups| {
            let starts = &self.starts[groups.start..=groups.end];
            let first = starts[0];
            let rows = self.rows.slice(first, starts[starts.len() - 1] - first);
            work(&starts.iter().map(|start| start - first).collect::<Vec<_>>(), rows)
        })?;
        let values: Vec<&dyn Array> = values.iter().flatten().map(AsRef::as_ref).collect();
        if values.is_empty() { Ok(None) } else { Ok(Some(concat(&values)?)) }
    }

    fn means(&self, mean: &MovingMean, rows: &Rows) -> Result<ArrayRef> {
        let argument = rows.gather(mean.argument())?;
        let means = self.by_group(rows.shares, |starts, rows| {
            let argument = take(&argument, &rows, None)?;
            let argument = argument.as_primitive::<Float64Type>();
            let of_group = |group: &[usize]| mean.means(&argument.slice(group[0], group[1] - group[0]), 0);
            Ok(starts.windows(2).map(|group| Arc::new(of_group(group)) as ArrayRef).collect())
        })?;
        Ok(means.unwrap_or_else(|| Arc::new(Float64Array::new_null(0))))
    }

    /// Has DataFusion compute a function for one group after the other. It sees the columns that the function reads;
    /// the others are NULL.
    fn standard(&self, expr: &Arc<dyn WindowExpr>, window: &Window, rows: &Rows) -> Result<ArrayRef> {
        let fields = rows.schema.fields();
        let order_by = window.order_by.iter().map(|key| Arc::clone(&key.expr));
        let read = expr.expressions().into_iter().chain(order_by).flat_map(|expr| collect_columns(&expr));
        let read: Vec<usize> = read.map(|column| column.index()).collect();
        let whole = |(index, field): (usize, &Arc<Field>)| match read.contains(&index) {
            true => {
                let parts: Vec<&dyn Array> = rows.batches.iter().map(|batch| batch.column(index).as_ref()).collect();
                let whole = if parts.is_empty() { new_null_array(field.data_type(), 0) } else { concat(&parts)? };
                Ok(Some(whole))
            }
            false => Ok(None),
        };
        let columns = fields.iter().enumerate().map(whole).collect::<Result<Vec<_>>>()?;
        let nullable = fields.iter().map(|field| field.as_ref().clone().with_nullable(true));
        let schema = Arc::new(Schema::new(nullable.collect::<Vec<_>>()));
        let values = self.by_group(rows.shares, |starts, rows| {
            let largest = starts.windows(2).map(|group| group[1] - group[0]).max().unwrap_or_default();
            let seen = columns.iter().zip(fields).map(|(column, field)| match column {
                Some(whole) => Ok(Seen::Values(take(whole, &rows, None)?)),
                None => Ok(Seen::Nothing(new_null_array(field.data_type(), largest))),
            });
            let seen = seen.collect::<Result<Vec<_>>>()?;
            let groups = starts.windows(2).filter(|group| group[0] < group[1]);
            let values = groups.map(|group| {
                let (start, count) = (group[0], group[1] - group[0]);
                let of_group = seen.iter().map(|column| match column {
                    Seen::Values(values) => values.slice(start, count),
                    Seen::Nothing(nulls) => nulls.slice(0, count),
                });
                expr.evaluate(&RecordBatch::try_new(Arc::clone(&schema), of_group.collect())?)
            });
            values.collect()
        })?;
        match values {
            Some(values) => Ok(values),
            None => Ok(new_null_array(expr.field()?.data_type(), 0)),
        }
    }

    /// Returns where in this order each row is.
    fn places(&self, shares: usize) -> Result<UInt32Array> {
        let places: Vec<AtomicU32> = std::iter::repeat_with(AtomicU32::default).take(self.rows.len()).collect();
        side_by_side(split(&self.starts, shares), |groups| {
            let places_of = self.starts[groups.start]..self.starts[groups.end];
            for (place, row) in places_of.clone().zip(&self.rows.values()[places_of]) {
                // Each row has one place, so no two threads write the same one; they meet at the end.
                places[*row as usize].store(place as u32, Ordering::Relaxed);
            }
            Ok(())
        })?;
        Ok(places.into_iter().map(AtomicU32::into_inner).collect::<Vec<_>>().into())
    }
}

/// A column as a function sees it.
enum Seen {
    Values(ArrayRef),
    Nothing(ArrayRef),
}

/// Returns the rows, one group after the other in the order in which they came, and where groups begin.
fn grouped(window: &Window, rows: &Rows) -> Result<(Vec<u32>, Vec<usize>)> {
    let count = rows.count();
    if window.partition_by.is_empty() {
        return Ok(((0..count as u32).collect(), vec![0, count]));
    }
    let field = |key: &Arc<dyn PhysicalExpr>| Ok(key.return_field(&rows.schema)?.as_ref().clone().with_nullable(true));
    let fields = window.partition_by.iter().map(field).collect::<Result<Vec<_>>>()?;
    let keys = |batch: usize| {
        let batch = &rows.batches[batch];
        window.partition_by.iter().map(|key| key.evaluate(batch)?.into_array(batch.num_rows())).collect()
    };
    let numbered = number(&Arc::new(Schema::new(fields)), &rows.starts, (rows.shares, usize::MAX), keys)?;
    let Some(Numbered { numbers, known }) = numbered else { unreachable!("there is no limit") };
    let mut starts = vec![0; known.len() + 1];
    numbers.iter().for_each(|group| starts[*group as usize + 1] += 1);
    (1..starts.len()).for_each(|group| starts[group] += starts[group - 1]);
    let mut next = starts.clone();
    let mut order = vec![0; count];
    for (row, group) in numbers.into_iter().enumerate() {
        let place = &mut next[group as usize];
        order[*place] = row as u32;
        *place += 1;
    }
    Ok((order, starts))
}

/// What rows are ordered by.
enum OrderKeys {
    /// A number for each.
    Numbers(Vec<u64>),
    /// A form that compares as bytes.
    Bytes(row::Rows),
}

impl OrderKeys {
    fn of(window: &Window, rows: &Rows) -> Result<Self> {
        let column = |key: &PhysicalSortExpr| {
            let parts = rows.batches.iter().map(|batch| key.expr.evaluate(batch)?.into_array(batch.num_rows()));
            Ok(OrderColumn { parts: parts.collect::<Result<Vec<_>>>()?, options: key.options })
        };
        let columns = window.order_by.iter().map(column).collect::<Result<Vec<_>>>()?;
        if let Some(numbers) = pack(&columns, &rows.starts, rows.shares)? {
            return Ok(Self::Numbers(numbers));
        }
        let field = |column: &OrderColumn| {
            let part = column.parts.first().map(|part| part.data_type().clone()).unwrap_or(DataType::Null);
            SortField::new_with_options(part, column.options)
        };
        let converter = RowConverter::new(columns.iter().map(field).collect())?;
        let mut keys = converter.empty_rows(rows.count(), rows.count() * ORDER_KEY_BYTES);
        for batch in 0..rows.batches.len() {
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
