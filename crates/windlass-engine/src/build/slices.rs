//! Which rows of its input a step of a Python transform gets.
//!
//! SQL says itself which rows are new; Python is given them. By interval these are the rows whose time is in the
//! intervals of the step. By key, and where a table only grows, they are those that are later than all that was read
//! before, where a column says what later is, or else all rows.
//!
//! Must stay true: of rows that have a time, each is given to the steps of one interval, or to one step; what a step was
//! given stands in its commit.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::functions_aggregate::expr_fn::max;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::{SessionContext, ident, lit};
use futures::TryStreamExt;
use serde_json::Value;
use windlass_project::{Incremental, Node};

use super::replaced::first_row;
use super::steps::{Base, Span, Step};
use super::{BuildRequest, Prepared, Staged};
use crate::session::PlanStyle;
use crate::tables::staged;
use crate::{Engine, Error};

/// Where the commit of a step says up to which value it has read.
const UNTIL: &str = "until";

/// Rows that are later than those that were read before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Later {
    /// The column of the input that says so.
    column: String,
    /// The latest value that was read before; `None` where nothing was.
    than: Option<String>,
}

/// What a step gets of the rows of an input.
pub(super) struct Slice {
    /// The rows, and those without a time, which are counted before they are left out.
    pub(super) rows: LogicalPlan,
    /// The latest value that it reads, where the next step reads later ones.
    pub(super) until: Option<String>,
}

impl Later {
    /// Returns what comes after what a table was made from; `None` where no column says what is later.
    pub(super) fn than_known(incremental: &Incremental, known: Option<&Value>) -> Option<Self> {
        let column = incremental.later_by.clone()?;
        let than = known.and_then(|known| known[UNTIL].as_str()).map(str::to_string);
        Some(Self { column, than })
    }

    /// Returns the column of the input.
    pub(super) fn column(&self) -> &str {
        &self.column
    }
}

impl Step {
    /// Returns the column of the input or result whose NULLs belong to no step.
    pub(super) fn time_column(&self) -> Option<&str> {
        self.span.as_ref().map(Span::column).or_else(|| self.later.as_ref().map(Later::column))
    }

    /// Returns what its commit says is done, with how far its rows reach.
    pub(super) fn ledger_of(&self, prepared: &Prepared) -> Value {
        let mut ledger = self.ledger.clone();
        if let Some(until) = &prepared.until {
            ledger[UNTIL] = until.clone().into();
        }
        ledger
    }

    /// Returns the step that adds rows to a table outside of its intervals; what is done stays done.
    pub(super) fn beside(base: Base) -> Self {
        let ledger = base.known.incremental().clone();
        Self { base: Some(base), span: None, later: None, ledger }
    }
}

impl Engine {
    /// Returns what a step gets of the rows of `query`, the input of a Python transform.
    pub(super) async fn slice(
        &self,
        node: &Node,
        context: &SessionContext,
        query: LogicalPlan,
        step: &Step,
    ) -> Result<Slice, Error> {
        let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
        let Some(column) = step.time_column() else { return Ok(Slice { rows: query, until: None }) };
        let field = query.schema().field_with_unqualified_name(column);
        let data_type = field.map_err(failed)?.data_type().clone();
        let (wanted, until) = match (&step.span, &step.later) {
            (Some(span), _) => (span.may_hold(&data_type).map_err(failed)?, None),
            (None, Some(later)) => later_rows(context, &query, (later, &data_type)).await.map_err(failed)?,
            (None, None) => return Ok(Slice { rows: query, until: None }),
        };
        let rows = LogicalPlanBuilder::from(query).filter(wanted).and_then(LogicalPlanBuilder::build);
        Ok(Slice { rows: rows.map_err(failed)?, until })
    }

    /// Fails where rows of a Python transform are in another interval than those of its input: no later step would
    /// replace them.
    pub(super) async fn check_times(
        &self,
        request: &BuildRequest<'_>,
        prepared: &Prepared,
        staged: &Staged,
        step: &Step,
    ) -> Result<(), Error> {
        let node = request.node;
        let (Some(span), Some(_)) = (&step.span, node.python().filter(|_| staged.result.rows > 0)) else {
            return Ok(());
        };
        let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
        let place = self.place(&node.name);
        let (published, files) = (&prepared.published, &staged.result.files);
        let rows = staged::table(&node.name, &place, published, &node.config.partition_by, files)?;
        let field = published.field_with_name(span.column()).map_err(|error| failed(error.into()))?;
        let (from, to) = span.bounds(field.data_type()).map_err(failed)?;
        let time = || ident(span.column());
        let context = self.session.context(PlanStyle::Fast);
        let outside = time().lt(lit(from)).or(time().gt_eq(lit(to))).or(time().is_null());
        let outside = context
            .read_table(Arc::new(rows))
            .and_then(|rows| rows.filter(outside)?.select(vec![time()])?.limit(0, Some(1)));
        let key = [span.column().to_string()];
        match first_row(outside.map_err(failed)?, &key).await.map_err(failed)? {
            None => Ok(()),
            Some(row) => {
                let row = format!("{row} is not where {}", span.spell());
                Err(Error::OutsideIntervals { node: node.name.clone(), row })
            }
        }
    }
}

/// Returns which rows are later than those before and no later than the latest there is now, or have no time; and that
/// latest value.
async fn later_rows(
    context: &SessionContext,
    query: &LogicalPlan,
    (later, data_type): (&Later, &DataType),
) -> Result<(Expr, Option<String>), DataFusionError> {
    let time = || ident(later.column());
    let than = match &later.than {
        Some(text) => Some(ScalarValue::from(text.as_str()).cast_to(data_type)?),
        None => None,
    };
    let is_later = than.map_or_else(|| time().is_not_null(), |than| time().gt(lit(than)));
    let rows = DataFrame::new(context.state(), query.clone()).filter(is_later.clone())?;
    let latest = first_value(rows.aggregate(Vec::new(), vec![max(time())])?).await?.filter(|value| !value.is_null());
    let Some(latest) = latest else { return Ok((time().is_null(), later.than.clone())) };
    let until = match latest.cast_to(&DataType::Utf8)? {
        ScalarValue::Utf8(text) => text,
        _ => None,
    };
    Ok((is_later.and(time().lt_eq(lit(latest))).or(time().is_null()), until))
}

/// Returns the first value of the first column; `None` where there are no rows.
async fn first_value(rows: DataFrame) -> Result<Option<ScalarValue>, DataFusionError> {
    let mut stream = rows.execute_stream().await?;
    while let Some(batch) = stream.try_next().await? {
        if batch.num_rows() > 0 {
            return ScalarValue::try_from_array(batch.column(0), 0).map(Some);
        }
    }
    Ok(None)
}
