//! Plans SQL transforms. An incremental one has two texts, and both are planned: the table must have the
//! same columns whichever way a run computes it.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::empty::EmptyTable;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use datafusion::prelude::SessionContext;
use windlass_error::{Code, Diagnostic, nearest};
use windlass_project::{IntervalUnit, Materialized, Node, Project, Strategy, Transform};

use super::output::{place_in, published};
use super::{Content, Plan, PlannedNode, Reading, Tables, calls, diagnose, error_schema, register};
use crate::models;
use crate::python::functions::Caller;
use crate::session::PlanStyle;
use crate::tables::contract::listing;
use crate::tables::schema::{self, sql_type};
use crate::{Engine, Error};

impl Engine {
    pub(super) async fn plan_transform(
        &self,
        project: &Project,
        node: &Node,
        transform: &Transform,
        plan: &Plan,
    ) -> Result<PlannedNode, Error> {
        let context = self.session.context(PlanStyle::Fast);
        let reading = Reading { project, plan, tables: Tables::BySchema };
        self.register_inputs(&context, &transform.inputs, &reading).await?;
        let (query, checked) = self.plan_text(project, node, transform, &context).await?;
        let published = published(&context, node, transform, checked.schema().as_arrow()).await?;
        let incremental = match &transform.incremental {
            Some(adding) => {
                refuse(strategy_mistakes(node, &published))?;
                refuse(foreign_zone(node, &checked).into_iter().collect())?;
                let this = EmptyTable::new(schema::reading(&published));
                register(&context, &node.name, Arc::new(this))?;
                let (query, checked) = self.plan_text(project, node, adding, &context).await?;
                refuse(foreign_zone(node, &checked).into_iter().collect())?;
                let columns = checked.schema().as_arrow();
                refuse(other_columns(node, &published, schema::published(&node.name, columns)?.as_ref()))?;
                Some(Arc::new(query))
            }
            None => None,
        };
        let schema = match node.config.materialized {
            Materialized::View => Arc::clone(checked.schema().inner()),
            Materialized::Table | Materialized::Incremental => schema::reading(&published),
        };
        let told = self.told_of_unscored(node, &query, &published)?;
        Ok(PlannedNode {
            schema,
            rows: None,
            is_published: node.is_published(),
            errors: error_schema(node, told.as_ref(), &published)?,
            content: Content::Query(Arc::new(query)),
            incremental,
        })
    }

    /// Returns the columns that are kept of rows which the models of a node cannot score, where it keeps any.
    fn told_of_unscored(
        &self,
        node: &Node,
        query: &LogicalPlan,
        published: &SchemaRef,
    ) -> Result<Option<Schema>, Error> {
        if !node.diverts_unscored() {
            return Ok(None);
        }
        let told = models::divert(query.clone(), &node.key()).and_then(|query| models::unscored_row(&query, published));
        told.map(Some).map_err(|source| Error::Compute { node: node.name.clone(), blame: None, source })
    }

    /// Plans a text; also returns it with its types settled.
    pub(super) async fn plan_text(
        &self,
        project: &Project,
        node: &Node,
        transform: &Transform,
        context: &SessionContext,
    ) -> Result<(LogicalPlan, LogicalPlan), Error> {
        let caller = Caller { node: &node.name, sql: &transform.sql };
        self.register_functions(context, project, caller).await;
        let state: SessionState = context.state();
        let mistakes = |diagnostic: Diagnostic| Error::Mistakes { diagnostics: vec![diagnostic] };
        if let Some(mistake) = diagnose::shape(node, transform) {
            return Err(mistakes(mistake));
        }
        let query = match models::logical_plan(&state, &transform.sql).await {
            Ok(query) => query,
            Err(error) => return Err(mistakes(diagnose::planning(project, node, transform, &state, &error))),
        };
        let checked = state.analyzer().execute_and_check(query.clone(), state.config_options(), |_, _| {});
        let checked =
            checked.map_err(|error| mistakes(diagnose::planning(project, node, transform, &state, &error)))?;
        if calls::calls_python(&checked)
            && let Err(error) = state.optimize(&query)
        {
            // Where Python can be called shows when calls are taken out of their clauses.
            return Err(mistakes(diagnose::planning(project, node, transform, &state, &error)));
        }
        Ok((query, checked))
    }
}

pub(super) fn refuse(mistakes: Vec<Diagnostic>) -> Result<(), Error> {
    if mistakes.is_empty() { Ok(()) } else { Err(Error::Mistakes { diagnostics: mistakes }) }
}

/// Returns what stands in the way of computing a table bit by bit: columns that its settings name.
pub(super) fn strategy_mistakes(node: &Node, published: &SchemaRef) -> Vec<Diagnostic> {
    let Some(incremental) = &node.config.incremental else { return Vec::new() };
    let result = ("the result", published.as_ref());
    match &incremental.strategy {
        Strategy::ByInterval(by_interval) => {
            column_mistake(node, result, ("time_column", &by_interval.time_column), |field| {
                no_interval(by_interval.unit, field)
            })
            .into_iter()
            .collect()
        }
        Strategy::Merge { key } => {
            let is_nested =
                |field: &Field| field.data_type().is_nested().then_some("name a column of numbers, text or times");
            key.iter().filter_map(|name| column_mistake(node, result, ("key", name), is_nested)).collect()
        }
        Strategy::Append => Vec::new(),
    }
}

/// Returns that the input of a Python transform has no column that says which rows a run gives it, where it is computed
/// bit by bit.
pub(super) fn slice_mistakes(node: &Node, reference: &str, input: &Schema) -> Vec<Diagnostic> {
    let Some(column) = node.slices_by() else { return Vec::new() };
    let has_no_order = |field: &Field| {
        let data_type = field.data_type();
        let fits = matches!(data_type, DataType::Timestamp(..) | DataType::Date32) || data_type.is_integer();
        (!fits).then_some("name a column of dates, timestamps or whole numbers")
    };
    let refused = |field: &Field| match node.by_interval() {
        Some(by_interval) => no_interval(by_interval.unit, field),
        None => has_no_order(field),
    };
    column_mistake(node, (&format!("`{reference}`"), input), ("time_column", column), refused).into_iter().collect()
}

/// Returns what to do about a column that does not say to which interval a row belongs.
fn no_interval(unit: IntervalUnit, field: &Field) -> Option<&'static str> {
    let fits = match field.data_type() {
        DataType::Timestamp(..) => true,
        DataType::Date32 => unit != IntervalUnit::Hour,
        _ => false,
    };
    (!fits).then_some(match unit {
        IntervalUnit::Hour => "cast it to timestamp: a date does not say which hour it belongs to",
        _ => "cast it to date or timestamp",
    })
}

fn column_mistake(
    node: &Node,
    (table, columns): (&str, &Schema),
    (key, column): (&str, &str),
    refused: impl Fn(&Field) -> Option<&'static str>,
) -> Option<Diagnostic> {
    let origin = node.config.origins.get(key);
    let place = origin.and_then(|origin| place_in(node, origin));
    let mistake = |code, message: String| {
        let mistake = Diagnostic::error(code, message).node(&node.name);
        match (&place, origin) {
            (Some(place), _) => mistake.at(place.clone()),
            (None, Some(origin)) => mistake.at(node.location.clone()).note(format!("`{key}` is set at {origin}")),
            (None, None) => mistake.at(node.location.clone()),
        }
    };
    let Ok(field) = columns.field_with_name(column) else {
        let known: Vec<&str> = columns.fields().iter().map(|field| field.name().as_str()).collect();
        let message = format!("`{key}` of `{}` names column `{column}`, which {table} does not have", node.name);
        let mistake = mistake(Code::UNKNOWN_COLUMN, message).note(format!("columns: {}", listing(&known)));
        return Some(match nearest(column, known.iter().copied()) {
            Some(near) => mistake.hint(format!("did you mean `{near}`?")),
            None => mistake,
        });
    };
    let hint = refused(field)?;
    let message = format!("`{key}` of `{}` names column `{column}` of type {}", node.name, sql_type(field.data_type()));
    Some(mistake(Code::TYPE_MISMATCH, message).hint(hint))
}

/// Returns that a time without a zone, such as `interval_start`, is compared with times of a zone that is
/// not UTC, which would make it a time of that zone.
fn foreign_zone(node: &Node, checked: &LogicalPlan) -> Option<Diagnostic> {
    node.by_interval()?;
    let mut found = None;
    let _ = checked.apply_with_subqueries(|operator| {
        operator.apply_expressions(|root| {
            root.apply(|expr| {
                if let Expr::Cast(cast) = expr
                    && let DataType::Timestamp(_, Some(zone)) = cast.field.data_type()
                    && !["UTC", "+00:00", "Z", "Etc/UTC", "GMT"].contains(&zone.as_ref())
                    && cast.expr.column_refs().is_empty()
                    && matches!(cast.expr.get_type(&DFSchema::empty()), Ok(DataType::Timestamp(_, None)))
                {
                    found = Some(zone.to_string());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    let zone = found?;
    let message = format!("`{}` compares intervals, which are UTC, with times of the zone {zone}", node.name);
    let mistake = Diagnostic::error(Code::TYPE_MISMATCH, message).at(node.location.clone()).node(&node.name);
    Some(mistake.hint("cast them first: `at time zone 'UTC'` behind the column"))
}

/// Returns that the text that adds rows has other columns than the one that computes the table.
fn other_columns(node: &Node, whole: &Schema, adding: &Schema) -> Vec<Diagnostic> {
    let spelled = |schema: &Schema| -> Vec<String> {
        schema.fields().iter().map(|field| format!("{} {}", field.name(), sql_type(field.data_type()))).collect()
    };
    let (whole, adding) = (spelled(whole), spelled(adding));
    if whole == adding {
        return Vec::new();
    }
    let message = format!("`{}` has other columns where `is_incremental()` holds", node.name);
    let mistake = Diagnostic::error(Code::TYPE_MISMATCH, message).at(node.location.clone()).node(&node.name);
    let mistake = mistake.note(format!("without: {}", whole.join(", "))).note(format!("with: {}", adding.join(", ")));
    vec![
        mistake
            .hint("rows that are added go into the same table: let both ways of the template select the same columns"),
    ]
}
