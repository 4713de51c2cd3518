//! Rows that failed, as the input of a build: those of Python's input go through Python once more, those
//! that broke checks are held against the checks as they are now.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Fields};
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::ViewTable;
use datafusion::error::DataFusionError;
use datafusion::functions::core::expr_fn::get_field;
use datafusion::logical_expr::{Expr, LogicalPlan, cast};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::union::UnionExec;
use datafusion::prelude::{SessionContext, ident, lit};
use windlass_project::{Node, Project};

use crate::planner::register;
use crate::tables::error_layout;
use crate::tables::error_rows::{Broken, CARRIER, CHECK_STAGE, ErrorRows, RESULT, ROW, STAGE};
use crate::{Error, python};

/// Returns what a build computes over error rows in place of its inputs: the input of Python, or rows of
/// the result that are there already.
///
/// # Errors
///
/// [`Error::NoErrors`] where the error table holds no rows.
pub(super) async fn rows_of_input(
    project: &Project,
    node: &Node,
    context: &SessionContext,
    errors: Arc<dyn TableProvider>,
) -> Result<LogicalPlan, Error> {
    let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
    let table = context.read_table(errors).map_err(failed)?;
    let fields = fields_of(&table, ROW).ok_or_else(|| Error::NoErrors { node: node.name.clone() })?;
    let of_python = node.python().filter(|_| error_layout::fails_by_row(node));
    let table = match of_python {
        Some(_) => table.filter(ident(STAGE).not_eq(lit(CHECK_STAGE))).map_err(failed)?,
        None => table,
    };
    let rows = table.select(columns_of(ROW, &fields)).map_err(failed)?.into_unoptimized_plan();
    let Some(python) = of_python else { return Ok(rows) };
    let input = &python.inputs[0];
    register(context, &input.table(), Arc::new(ViewTable::new(rows, None)))?;
    python::input_query(context, project, node, python).await
}

/// Returns the plan of Python's answers with the rows of its earlier result that broke checks.
pub(super) async fn with_rows_of_result(
    answers: Arc<dyn ExecutionPlan>,
    context: &SessionContext,
    errors: Arc<dyn TableProvider>,
    kind: &ErrorRows,
) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let Broken::InResult(result) = &kind.broken else { return Ok(answers) };
    let table = context.read_table(errors)?;
    // A table from before its checks diverted rows has none.
    if fields_of(&table, RESULT).is_none() {
        return Ok(answers);
    }
    let columns = result.fields().iter().map(|field| {
        cast(get_field(ident(RESULT), field.name().as_str()), field.data_type().clone()).alias(field.name())
    });
    let carrier = lit(ScalarValue::Binary(None)).alias(CARRIER);
    let rows =
        table.filter(ident(STAGE).eq(lit(CHECK_STAGE)))?.select(columns.chain([carrier]).collect::<Vec<Expr>>())?;
    UnionExec::try_new(vec![answers, rows.create_physical_plan().await?])
}

fn fields_of(table: &DataFrame, column: &str) -> Option<Fields> {
    match table.schema().field_with_unqualified_name(column).map(|field| field.data_type()) {
        Ok(DataType::Struct(fields)) => Some(fields.clone()),
        _ => None,
    }
}

fn columns_of(column: &str, fields: &Fields) -> Vec<Expr> {
    fields.iter().map(|field| get_field(ident(column), field.name().as_str()).alias(field.name())).collect()
}
