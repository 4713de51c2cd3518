//! Plans `ML.PREDICT`, `ML.EVALUATE` and `ML.WEIGHTS` where a table may stand.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{Column, DFSchema, ScalarValue, ToDFSchema};
use datafusion::error::Result;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{EmptyRelation, Expr, LogicalPlan, LogicalPlanBuilder, ScalarUDF, cast, ident, lit};
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::{Expr as Ast, FunctionArg, FunctionArgExpr, Query, TableFactor, Value};
use windlass_error::nearest;
use windlass_model::{Encoding, Estimator, NativeModel, Task};

use super::answer::answer;
use super::evaluate::{Evaluated, metric_names};
use super::function::ModelFunction;
use super::{KnownModel, ModelMistake};
use crate::tables::schema::sql_type;

/// The column that holds all answers of a model on the way.
const SCORES: &str = "__windlass_scores__";
/// What stands for the intercept among weights.
const INTERCEPT: &str = "__INTERCEPT__";

/// The models that a context knows, by how SQL names them.
#[derive(Debug)]
struct ModelRelations {
    models: BTreeMap<String, Arc<KnownModel>>,
}

/// A call of `ML`.
struct Call {
    function: String,
    model: Arc<KnownModel>,
    query: Option<Box<Query>>,
    threshold: Option<f64>,
}

/// Makes models known to a context: to `ML`, and as functions of their names.
pub(crate) fn register(context: &SessionContext, models: BTreeMap<String, Arc<KnownModel>>) {
    for model in models.values() {
        context.register_udf(ScalarUDF::new_from_impl(ModelFunction::value(model)));
    }
    let planner = Arc::new(ModelRelations { models });
    let state = context.state_ref();
    // A planner that cannot be added leaves calls of `ML` unknown, which is told where they stand.
    let _ = state.write().register_relation_planner(planner);
}

impl RelationPlanner for ModelRelations {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let TableFactor::Table { name, args: Some(arguments), alias, .. } = &relation else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let function = name.to_string().to_lowercase();
        let Some(function) = function.strip_prefix("ml.") else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let call = self.call(function, &arguments.args)?;
        let alias = alias.clone();
        let plan = call.plan(context)?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation { plan, alias })))
    }
}

impl ModelRelations {
    fn call(&self, function: &str, arguments: &[FunctionArg]) -> Result<Call> {
        let mistake = |reference: &str, what: String, way_out: &str| ModelMistake {
            reference: reference.to_string(),
            what,
            way_out: Some(way_out.to_string()),
        };
        let form = format!("write `ml.{function}(model name, table t)`");
        let (reference, rest) = match arguments {
            [first, rest @ ..] => match expression(first) {
                Some(Ast::Value(value)) => match &value.value {
                    Value::SingleQuotedString(reference) => (reference.clone(), rest),
                    _ => return Err(mistake("ml", format!("`ml.{function}` needs a model"), &form).into()),
                },
                _ => return Err(mistake("ml", format!("`ml.{function}` needs a model"), &form).into()),
            },
            [] => return Err(mistake("ml", format!("`ml.{function}` needs a model"), &form).into()),
        };
        let Some(model) = self.models.get(&reference) else {
            let way_out = "name it in a file of `transforms/`, where it becomes an input";
            return Err(mistake(&reference, format!("model `{reference}` is not an input here"), way_out).into());
        };
        let mut call = Call { function: function.to_string(), model: Arc::clone(model), query: None, threshold: None };
        for argument in rest {
            match expression(argument) {
                Some(Ast::Subquery(query)) if call.query.is_none() => call.query = Some(query.clone()),
                Some(Ast::Struct { values, .. }) => call.threshold = Some(threshold(&reference, values)?),
                _ => {
                    let what = format!("`ml.{function}` does not understand `{argument}`");
                    let way_out = "give it `table t` or a query in brackets, then options: `struct(0.6 as threshold)`";
                    return Err(mistake(&reference, what, way_out).into());
                }
            }
        }
        Ok(call)
    }
}

impl Call {
    fn plan(mut self, context: &mut dyn RelationPlannerContext) -> Result<LogicalPlan> {
        let query = self.query.take();
        let rows = |context: &mut dyn RelationPlannerContext, query: Box<Query>| {
            context.plan(TableFactor::Derived { lateral: false, subquery: query, alias: None, sample: None })
        };
        match (self.function.as_str(), query) {
            ("predict", Some(query)) => {
                let rows = rows(context, query)?;
                self.predict(rows)
            }
            ("predict", None) => Err(self.mistake(
                "`ml.predict` needs rows to score".to_string(),
                format!("write `ml.predict(model {}, table t)`", self.model.reference),
            )),
            ("evaluate", Some(query)) => {
                let rows = rows(context, query)?;
                self.evaluate(rows)
            }
            ("evaluate", None) => self.metrics(),
            ("weights", None) => self.weights(),
            (other, _) => Err(self.mistake(
                format!("no function `ml.{other}` of this form"),
                "there are `ml.predict(model m, table t)`, `ml.evaluate(model m)`, `ml.evaluate(model m, table t)` and \
                 `ml.weights(model m)`"
                    .to_string(),
            )),
        }
    }

    fn mistake(&self, what: String, way_out: String) -> datafusion::error::DataFusionError {
        ModelMistake { reference: self.model.reference.clone(), what, way_out: Some(way_out) }.into()
    }

    /// Adds what the model answers to the columns of the rows, which keep the names of their tables: DataFusion moves
    /// fields of structs about, and takes a name without its table beside one with it for two.
    fn predict(&self, rows: LogicalPlan) -> Result<LogicalPlan> {
        let outputs = self.model.shape.outputs();
        let arguments = self.arguments(rows.schema())?;
        let function = ScalarUDF::new_from_impl(ModelFunction::row(&self.model, self.threshold));
        let columns: Vec<Column> = rows.schema().columns();
        let mut all: Vec<Expr> = columns.iter().cloned().map(Expr::Column).collect();
        all.push(function.call(arguments).alias(SCORES));
        let is_kept = |column: &&Column| !outputs.iter().any(|output| output.name() == column.name());
        let kept = columns.iter().filter(is_kept).cloned().map(Expr::Column);
        let scores = || Expr::Column(Column::from_name(SCORES));
        let answers = outputs.iter().map(|output| answer(output, scores()).alias(output.name()));
        let chosen: Vec<Expr> = kept.chain(answers).collect();
        LogicalPlanBuilder::from(rows).project(all)?.project(chosen)?.build()
    }

    /// Returns the metrics of the model over rows that have its label.
    fn evaluate(&self, rows: LogicalPlan) -> Result<LogicalPlan> {
        let Some((label, _)) = self.model.shape.label.as_ref() else {
            let way_out = format!("`ml.evaluate(model {})` tells what was measured in training", self.model.reference);
            return Err(self.mistake(format!("`{}` predicts no label to compare with", self.model.reference), way_out));
        };
        let arguments = self.arguments(rows.schema())?;
        let Some(label) = find(rows.schema(), label).map(|(column, _)| column) else {
            let what = format!("the rows have no column `{label}`, which `{}` predicts", self.model.reference);
            return Err(self.mistake(what, "select it beside the features".to_string()));
        };
        let is_class = self.model.shape.task == Task::Classification;
        let label = cast(Expr::Column(label), if is_class { DataType::Utf8 } else { DataType::Float64 });
        let score = ScalarUDF::new_from_impl(ModelFunction::value(&self.model)).call(arguments);
        let function = Evaluated::function(&self.model, self.threshold);
        let measured =
            function.call(vec![Expr::Column(Column::from_name("label")), Expr::Column(Column::from_name("score"))]);
        let scores = || Expr::Column(Column::from_name(SCORES));
        let value = |name: &&str| answer(&Field::new(*name, DataType::Float64, true), scores()).alias(*name);
        LogicalPlanBuilder::from(rows)
            .project([label.alias("label"), score.alias("score")])?
            .aggregate(Vec::<Expr>::new(), [measured.alias(SCORES)])?
            .project(metric_names(self.model.shape.task).iter().map(value).collect::<Vec<_>>())?
            .build()
    }

    /// Returns what was measured when the model was trained.
    fn metrics(&self) -> Result<LogicalPlan> {
        let names = metric_names(self.model.shape.task);
        let fields: Vec<Field> = names.iter().map(|name| Field::new(*name, DataType::Float64, true)).collect();
        let row = self.model.record.as_ref().map(|record| {
            let value = |name: &&str| lit(ScalarValue::Float64(record.metrics.get(*name).copied()));
            names.iter().map(value).collect()
        });
        table(fields, row.into_iter().collect())
    }

    /// Returns the weights of a linear model in the units of its columns.
    fn weights(&self) -> Result<LogicalPlan> {
        if !matches!(self.model.shape.task, Task::Regression | Task::Classification) {
            let what = format!("`{}` has no weights: it is no linear model", self.model.reference);
            return Err(self.mistake(what, "`ml.weights` is for linear and logistic regression".to_string()));
        }
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        let fields = vec![text("processed_input"), text("category"), Field::new("weight", DataType::Float64, true)];
        let rows = self.model.native.as_ref().map(weights_of).unwrap_or_default();
        let row = |(input, category, weight): (String, Option<String>, f64)| {
            vec![lit(input), lit(ScalarValue::Utf8(category)), lit(weight)]
        };
        table(fields, rows.into_iter().map(row).collect())
    }

    /// Returns the model's inputs out of columns.
    fn arguments(&self, columns: &DFSchema) -> Result<Vec<Expr>> {
        let reference = &self.model.reference;
        let mut arguments = Vec::with_capacity(self.model.shape.inputs.len());
        let shape = &self.model.shape;
        for (at, input) in shape.inputs.iter().enumerate() {
            let Some((column, data_type)) = find(columns, &input.name) else {
                let known: Vec<String> = columns.fields().iter().map(|field| field.name().clone()).collect();
                let what = format!("model `{reference}` has an input `{}`, the rows do not", input.name);
                let way_out = match nearest(&input.name, known.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`? rename it with `as {}`", input.name),
                    None => format!("it reads {}", self.model.shape.parameters()),
                };
                return Err(self.mistake(what, way_out));
            };
            if shape.takes(at, &data_type).is_none() {
                let (expected, found) = (shape.input_word(at), sql_type(&data_type));
                let what =
                    format!("model `{reference}` expects a {expected} in `{}`, the rows have {found}", input.name);
                return Err(self.mistake(what, "cast it as it was in training".to_string()));
            }
            arguments.push(Expr::Column(column));
        }
        Ok(arguments)
    }
}

/// Returns the column of a name, as written or the only one in another letter case.
fn find(columns: &DFSchema, name: &str) -> Option<(Column, DataType)> {
    let all = || columns.iter().map(|(qualifier, field)| (Column::from((qualifier, field)), field.data_type().clone()));
    all().find(|(column, _)| column.name() == name).or_else(|| {
        let mut alike = all().filter(|(column, _)| column.name().eq_ignore_ascii_case(name));
        alike.next().filter(|_| alike.next().is_none())
    })
}

fn expression(argument: &FunctionArg) -> Option<&Ast> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => Some(expression),
        _ => None,
    }
}

/// Reads `struct(0.6 as threshold)`.
fn threshold(reference: &str, values: &[Ast]) -> Result<f64> {
    let found = match values {
        [Ast::Named { expr, name }] if name.value.eq_ignore_ascii_case("threshold") => expr.to_string().parse().ok(),
        _ => None,
    };
    found.filter(|threshold| (0.0..=1.0).contains(threshold)).ok_or_else(|| {
        let (reference, what) = (reference.to_string(), "the options of the call are not understood".to_string());
        let way_out = Some("write `struct(0.6 as threshold)`, with a number from 0 to 1".to_string());
        ModelMistake { reference, what, way_out }.into()
    })
}

/// Returns a table of constants.
fn table(fields: Vec<Field>, rows: Vec<Vec<Expr>>) -> Result<LogicalPlan> {
    let schema = Arc::new(Schema::new(fields).to_dfschema()?);
    if rows.is_empty() {
        return Ok(LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema }));
    }
    let name = |(at, field): (usize, &Arc<Field>)| ident(format!("column{}", at + 1)).alias(field.name());
    let columns: Vec<Expr> = schema.fields().iter().enumerate().map(name).collect();
    LogicalPlanBuilder::values_with_schema(rows, &schema)?.project(columns)?.build()
}

/// Returns input, category and weight of each weight, the intercept last.
fn weights_of(model: &NativeModel) -> Vec<(String, Option<String>, f64)> {
    let (weights, mut intercept) = match &model.estimator {
        Estimator::Linear { intercept, weights } => (weights, *intercept),
        Estimator::Logistic { intercepts, weights, .. } => match (weights.first(), intercepts.first()) {
            (Some(weights), Some(intercept)) => (weights, *intercept),
            _ => return Vec::new(),
        },
        Estimator::KMeans { .. } | Estimator::Pca { .. } => return Vec::new(),
    };
    let mut rows = Vec::with_capacity(weights.len() + 1);
    let mut remaining = weights.iter();
    for feature in &model.features {
        match &feature.encoding {
            Encoding::Number { mean, scale, .. } => {
                let weight = remaining.next().copied().unwrap_or_default() / scale;
                intercept -= weight * mean;
                rows.push((feature.column.clone(), None, weight));
            }
            Encoding::OneHot { categories, has_null } => {
                let named = categories.iter().cloned().map(Some).chain(has_null.then_some(None));
                rows.extend(named.zip(&mut remaining).map(|(category, weight)| {
                    (feature.column.clone(), Some(category.unwrap_or_else(|| "NULL".to_string())), *weight)
                }));
            }
        }
    }
    rows.push((INTERCEPT.to_string(), None, intercept));
    rows
}
