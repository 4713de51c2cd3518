//! Compares two tables, and names the rows and columns that differ.
//!
//! One scan of each side says whether they differ at all (`checksums`). Only then the rows that belong
//! together are joined by their key (`by_key`); without one each row must be there as often on both
//! sides (`as_bags`). The check `reconcile` and `windlass diff` both ask here.
//!
//! Must stay true: NULL equals NULL, NaN equals NaN, `-0.0` equals `0.0`, decimals and timestamps are
//! compared by value. Nothing is collected but the examples; joins and aggregations spill.

mod as_bags;
mod by_key;
mod checksums;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::DataType;
use datafusion::dataframe::DataFrame;
use datafusion::error::{DataFusionError, Result};
use datafusion::functions::math::expr_fn::isnan;
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::{Expr, cast, when};
use datafusion::prelude::{ident, lit};
use windlass_project::checks::Tolerance;

/// Names of the queries' own columns begin so; no user's column does.
pub(crate) const OWN: &str = "\u{1}";

/// What is asked of two tables.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// The columns that are compared, those of the key included.
    pub(crate) columns: Vec<String>,
    /// Those that identify a row; none compares whole rows.
    pub(crate) key: Vec<String>,
    /// How far numbers may be apart.
    pub(crate) tolerances: Vec<(String, Tolerance)>,
    /// How many rows that differ are wanted as examples.
    pub(crate) wanted: usize,
}

/// How a table differs from another one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    /// Its rows.
    pub(crate) rows: u64,
    /// Rows of the other table.
    pub(crate) other_rows: u64,
    /// Rows that only the other table has.
    pub(crate) missing: u64,
    /// Rows that only it has.
    pub(crate) extra: u64,
    /// Rows of one key whose other columns differ.
    pub(crate) changed: u64,
    /// Columns that differ, and in how many rows where a key tells.
    pub(crate) columns: Vec<(String, Option<u64>)>,
    /// Whether several rows of a table have one key, so that nothing tells which rows belong together.
    pub(crate) has_doubles: bool,
    /// Some rows that differ.
    pub(crate) examples: Vec<Example>,
}

/// A row that differs.
#[derive(Debug, Clone)]
pub(crate) struct Example {
    /// The row of the table; `None` where only the other one has it.
    pub(crate) own: Option<RecordBatch>,
    /// The row of the other table.
    pub(crate) other: Option<RecordBatch>,
    /// The columns that differ in a row that both have.
    pub(crate) columns: Vec<usize>,
    /// How often more one side has it; 1 where a key identifies it.
    pub(crate) times: u64,
}

impl Answer {
    /// Returns how many rows differ for any reason.
    pub(crate) fn differing(&self) -> u64 {
        self.missing + self.extra + self.changed
    }
}

/// Compares a table with another one.
pub(crate) async fn compare(own: DataFrame, other: DataFrame, question: &Question) -> Result<Answer> {
    let columns = shared(&own, &other, &question.columns)?;
    let (own, other) = (plain(own, &columns)?, plain(other, &columns)?);
    let (here, there) = (checksums::of(own.clone()).await?, checksums::of(other.clone()).await?);
    let mut answer = Answer { rows: here.rows, other_rows: there.rows, ..Answer::default() };
    if here.is_equal(&there) {
        return Ok(answer);
    }
    match question.key.is_empty() {
        true => {
            let differing = here.differing(&there).into_iter().map(|at| (question.columns[at].clone(), None));
            answer.columns = differing.collect();
            as_bags::compare(own, other, question, answer).await
        }
        false => by_key::compare(own, other, question, answer).await,
    }
}

/// Returns the type in which values of two columns are compared; `None` where they cannot be.
pub(crate) fn common_type(left: &DataType, right: &DataType) -> Option<DataType> {
    if left == right { Some(left.clone()) } else { comparison_coercion(left, right) }
}

/// Returns columns with the types in which they are compared.
fn shared(own: &DataFrame, other: &DataFrame, columns: &[String]) -> Result<Vec<(String, DataType)>> {
    let of = |frame: &DataFrame, name: &str| {
        let found = frame.schema().field_with_unqualified_name(name)?;
        Ok::<_, DataFusionError>(found.data_type().clone())
    };
    let shared = columns.iter().map(|name| {
        let (here, there) = (of(own, name)?, of(other, name)?);
        let common = common_type(&here, &there);
        let message = || format!("column `{name}` has types that cannot be compared: {here} and {there}");
        Ok((name.clone(), common.ok_or_else(|| DataFusionError::Plan(message()))?))
    });
    shared.collect()
}

/// Returns columns under which equal values are equal: `-0.0` is `0.0`, and there is one NaN.
fn plain(frame: DataFrame, columns: &[(String, DataType)]) -> Result<DataFrame> {
    let columns = columns.iter().map(|(name, data_type)| {
        let column = cast(ident(name), data_type.clone());
        let column = match data_type.is_floating() {
            true => {
                let number = |value: f64| cast(lit(value), data_type.clone());
                when(isnan(column.clone()), number(f64::NAN)).otherwise(column + number(0.0))?
            }
            false => column,
        };
        Ok(column.alias(name))
    });
    frame.select(columns.collect::<Result<Vec<Expr>>>()?)
}
