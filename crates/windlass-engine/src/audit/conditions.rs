//! Plans the SQL conditions of checks over the columns of their table.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::{DFSchema, SchemaError};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::physical_expr::PhysicalExpr;
use windlass_error::{Code, Diagnostic, nearest};
use windlass_project::checks::{CheckDefinition, CheckKind, Written};

use crate::operators::check::Conditions;
use crate::tables::contract::listing;
use crate::tables::schema::sql_type;

/// Plans the conditions of a node's checks. Answers what could be planned, and one diagnostic for each
/// condition that could not.
pub(super) fn plan(
    node: &str,
    checks: &[CheckDefinition],
    schema: &SchemaRef,
    state: &SessionState,
) -> (Conditions, Vec<Diagnostic>) {
    let mut conditions = Conditions::new();
    let mut mistakes = Vec::new();
    for check in checks {
        for condition in of(check) {
            match one(condition, schema, state) {
                Ok(planned) => {
                    conditions.insert(condition.text.clone(), planned);
                }
                Err(mistake) => mistakes.push(mistake.node(node)),
            }
        }
    }
    (conditions, mistakes)
}

/// Returns the conditions of a check.
pub(super) fn of(check: &CheckDefinition) -> impl Iterator<Item = &Written> {
    let expression = match &check.kind {
        CheckKind::Expression { sql } => Some(sql),
        _ => None,
    };
    check.filter.iter().chain(expression)
}

fn one(condition: &Written, schema: &SchemaRef, state: &SessionState) -> Result<Arc<dyn PhysicalExpr>, Diagnostic> {
    let mistake = |error: DataFusionError| explain(condition, schema, &error);
    let columns = DFSchema::try_from(Arc::clone(schema)).map_err(mistake)?;
    let logical = state.create_logical_expr(&condition.text, &columns).map_err(mistake)?;
    let planned = state.create_physical_expr(logical, &columns).map_err(mistake)?;
    match planned.data_type(schema).map_err(mistake)? {
        DataType::Boolean => Ok(planned),
        other => {
            let message = format!("the condition is {}, not true or false", sql_type(&other));
            Err(Diagnostic::error(Code::TYPE_MISMATCH, message).at(condition.location.clone()))
        }
    }
}

fn explain(condition: &Written, schema: &SchemaRef, error: &DataFusionError) -> Diagnostic {
    let at = condition.location.clone();
    let known: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    match error.find_root() {
        DataFusionError::SchemaError(missing, _) => {
            let SchemaError::FieldNotFound { field, .. } = missing.as_ref() else {
                return Diagnostic::error(Code::INVALID_SQL, missing.to_string()).at(at);
            };
            let mistake = Diagnostic::error(Code::UNKNOWN_COLUMN, format!("no column `{}`", field.name)).at(at);
            match nearest(&field.name, known.iter().copied()) {
                Some(near) => mistake.label(format!("did you mean `{near}`?")),
                None => mistake.note(format!("columns: {}", listing(&known))),
            }
        }
        DataFusionError::SQL(parser, _) => {
            Diagnostic::error(Code::SQL_SYNTAX, "the condition cannot be parsed").at(at).note(parser.to_string())
        }
        other => {
            let text = other.strip_backtrace();
            Diagnostic::error(Code::INVALID_SQL, "the condition cannot be planned").at(at).note(text)
        }
    }
}
