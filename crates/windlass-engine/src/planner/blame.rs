//! Finds the expression that made a running query fail.
//!
//! Arrow says "divide by zero" without saying where. When a query has failed for such a reason, the
//! expressions of its plan that can fail so are tried again, one after the other and innermost
//! first, each as a query of its own over the rows that reach it; the first that fails is to blame.
//! Those whose rows come through Python are not tried: user code does not run twice for a message.
//! Costs time only after a failure, and at most [`PATIENCE`].

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::error::ArrowError;
use datafusion::catalog::TableProvider;
use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Operator};
use datafusion::physical_plan::execute_stream;
use datafusion::sql::unparser::expr_to_sql;
use futures::StreamExt;
use windlass_error::{Code, Diagnostic};
use windlass_project::{Node, NodeKind, Project};

use super::calls::{calls_python, has_call};
use super::diagnose::{lower_first, sql_words};
use super::spans::Places;
use crate::tables::files::FilesTable;
use crate::tables::source::short_location;

/// How long the search may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// An expression that can fail, and the plan whose rows it sees.
struct Suspect {
    input: Arc<LogicalPlan>,
    expr: Expr,
}

impl Suspect {
    fn needs_python(&self) -> bool {
        has_call(&self.expr) || calls_python(&self.input)
    }
}

/// Returns the diagnostic for a failure that an expression of the user's SQL caused; `None` for
/// any other failure.
pub(crate) async fn find(
    project: &Project,
    node: &Node,
    query: &LogicalPlan,
    state: &SessionState,
    error: &DataFusionError,
) -> Option<Diagnostic> {
    let cause = arrow_cause(error)?;
    let code = match &cause {
        ArrowError::DivideByZero => Code::DIVISION_BY_ZERO,
        ArrowError::CastError(_) => Code::CAST,
        ArrowError::ArithmeticOverflow(_) => Code::OVERFLOW,
        _ => return None,
    };
    let all = suspects(query, code);
    let (untried, tried): (Vec<&Suspect>, Vec<&Suspect>) = all.iter().partition(|suspect| suspect.needs_python());
    let guilty = match (tokio::time::timeout(PATIENCE, first_failing(&tried, state)).await, untried.as_slice()) {
        (Ok(Some(guilty)), _) => Some(guilty),
        // The others are innocent.
        (Ok(None), [guilty]) => Some(*guilty),
        // Out of time, or the failure does not repeat: only a single suspect is certain.
        _ if all.len() == 1 => all.first(),
        _ => None,
    };
    Some(report(project, node, code, &cause, guilty))
}

/// Returns the diagnostic for a value in a text file that its column cannot take: reads the files of
/// the node's sources one by one until one fails.
pub(crate) async fn find_file(
    project: &Project,
    sources: &[(&Node, Arc<FilesTable>)],
    state: &SessionState,
) -> Option<Diagnostic> {
    for (source, table) in sources {
        for (location, file) in table.each() {
            let schema = file.schema();
            let Ok(Some(cause)) = tokio::time::timeout(PATIENCE, first_error(file, state)).await else { continue };
            let path = short_location(&project.root, &location);
            return Some(bad_value(source, &path, &cause.strip_backtrace(), &schema));
        }
    }
    None
}

async fn first_error(file: FilesTable, state: &SessionState) -> Option<DataFusionError> {
    let scan = async {
        let plan = file.scan(state, None, &[], None).await?;
        let mut rows = execute_stream(plan, state.task_ctx())?;
        while rows.next().await.transpose()?.is_some() {}
        Ok::<(), DataFusionError>(())
    };
    scan.await.err()
}

/// Arrow says "Error while parsing value 'two' as type 'Int64' for column 0 at line 2. Row data: ..."
/// where the line counts rows below the header.
fn bad_value(source: &Node, path: &str, cause: &str, schema: &Schema) -> Diagnostic {
    let quoted = |after: &str| cause.split(after).nth(1).and_then(|rest| rest.split('\'').next());
    let number = |after: &str| {
        let digits = cause.split(after).nth(1)?.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse::<usize>().ok()
    };
    let column = number("for column ").and_then(|index| schema.fields().get(index));
    let parts = (quoted("parsing value '"), quoted("as type '"), column, number("at line "));
    let (message, place) = match parts {
        (Some(value), Some(wanted), Some(column), Some(line)) => {
            let wanted = sql_words(wanted);
            let message = format!("`{value}` is not a {wanted}: column `{}`, row {line} of `{path}`", column.name());
            (message, source.columns.iter().find(|declared| declared.name == *column.name()))
        }
        _ => (format!("`{path}` cannot be decoded: {}", sql_words(&lower_first(cause))), None),
    };
    Diagnostic::error(Code::BAD_FILE, message)
        .at(place.map_or_else(|| source.location.clone(), |declared| declared.location.clone()))
        .hint("correct the file, or declare the column as varchar and use `try_cast(...)`")
        .node(&source.name)
}

fn report(project: &Project, node: &Node, code: Code, cause: &ArrowError, guilty: Option<&Suspect>) -> Diagnostic {
    let text = guilty.map(|suspect| as_sql(&suspect.expr));
    let what = match code {
        Code::DIVISION_BY_ZERO => "division by zero".to_string(),
        _ => sql_words(&lower_first(cause.to_string().trim_start_matches("Cast error: "))),
    };
    let message = match &text {
        Some(text) => format!("{what} in `{text}` of `{}`", node.name),
        None => format!("{what} in `{}`", node.name),
    };
    let hint = match code {
        Code::DIVISION_BY_ZERO => "divide by `nullif(x, 0)` to get NULL for such rows",
        Code::CAST => "use `try_cast(...)` to get NULL for such rows",
        _ => "cast to a wider type first, for example `cast(x as double)`",
    };
    let place = text.and_then(|text| locate(project, node, &text));
    let diagnostic = Diagnostic::error(code, message).hint(hint).node(&node.name);
    diagnostic.at(place.unwrap_or_else(|| node.location.clone()))
}

/// Looks for an expression in the node's SQL, then in the views that it reads.
fn locate(project: &Project, node: &Node, text: &str) -> Option<windlass_error::Location> {
    let transform = node.transform()?;
    let texts = std::iter::once(transform).chain(transform.incremental.as_deref());
    if let Some(found) = texts.into_iter().find_map(|transform| Places::new(transform).of_expression(text)) {
        return Some(found);
    }
    transform.inputs.iter().find_map(|input| {
        let input = project.nodes.get(&input.node)?;
        let is_view = matches!(input.kind, NodeKind::Transform(_)) && !input.is_published();
        if is_view { locate(project, input, text) } else { None }
    })
}

fn arrow_cause(error: &DataFusionError) -> Option<ArrowError> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = next {
        match current.downcast_ref::<ArrowError>() {
            Some(ArrowError::DivideByZero) => return Some(ArrowError::DivideByZero),
            Some(ArrowError::CastError(text)) => return Some(ArrowError::CastError(text.clone())),
            Some(ArrowError::ArithmeticOverflow(text)) => return Some(ArrowError::ArithmeticOverflow(text.clone())),
            Some(other) if let Some(text) = crate::error::decimal_overflow(other) => {
                return Some(ArrowError::CastError(text));
            }
            _ => next = crate::error::source_of(current),
        }
    }
    None
}

/// Returns the suspects, innermost first: what they cannot compute never reached the others.
fn suspects(query: &LogicalPlan, code: Code) -> Vec<Suspect> {
    let mut suspects = Vec::new();
    let _ = query.apply_with_subqueries(|node| {
        let inputs = node.inputs();
        let [input] = inputs.as_slice() else { return Ok(TreeNodeRecursion::Continue) };
        for root in node.expressions() {
            root.apply(|expr| {
                if can_fail(expr, code) {
                    suspects.push(Suspect { input: Arc::new((*input).clone()), expr: expr.clone() });
                }
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        Ok(TreeNodeRecursion::Continue)
    });
    suspects.reverse();
    suspects
}

fn can_fail(expr: &Expr, code: Code) -> bool {
    match (expr, code) {
        (Expr::BinaryExpr(binary), Code::DIVISION_BY_ZERO) => matches!(binary.op, Operator::Divide | Operator::Modulo),
        (Expr::Cast(_), Code::CAST) => true,
        (Expr::BinaryExpr(binary), Code::OVERFLOW) => {
            matches!(binary.op, Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide)
        }
        (Expr::Negative(_), Code::OVERFLOW) => true,
        _ => false,
    }
}

/// Returns the first suspect that fails on its own input.
async fn first_failing<'a>(suspects: &[&'a Suspect], state: &SessionState) -> Option<&'a Suspect> {
    for suspect in suspects {
        if try_alone(suspect, state).await.is_err_and(|error| arrow_cause(&error).is_some()) {
            return Some(suspect);
        }
    }
    None
}

async fn try_alone(suspect: &Suspect, state: &SessionState) -> Result<()> {
    let query = LogicalPlanBuilder::from(Arc::clone(&suspect.input)).project([suspect.expr.clone()])?.build()?;
    let plan = state.create_physical_plan(&query).await?;
    let mut rows = execute_stream(plan, state.task_ctx())?;
    while rows.next().await.transpose()?.is_some() {}
    Ok(())
}

/// Returns an expression as the user is likely to have written it: without the tables of columns.
fn as_sql(expr: &Expr) -> String {
    let plain = expr.clone().transform(|expr| match expr {
        Expr::Column(column) => Ok(Transformed::yes(Expr::Column(Column::from_name(column.name)))),
        other => Ok(Transformed::no(other)),
    });
    let plain = plain.map_or_else(|_| expr.clone(), |plain| plain.data);
    let text = expr_to_sql(&plain).map_or_else(|_| plain.to_string(), |sql| sql.to_string().replace(['"', '`'], ""));
    match text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(inner) => inner.to_string(),
        None => text,
    }
}
