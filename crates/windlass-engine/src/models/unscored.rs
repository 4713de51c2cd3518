//! Takes the rows out of a query that its models cannot score.
//!
//! A call of a model becomes a column below the clause where it stands, with [`UnscoredRows`] above it: a row goes on or
//! is handed to the writer of error rows. So this is a part of what the query means, as a WHERE is: rows that are
//! taken out are in no join, group or count above.
//!
//! Must stay true: a call that the query itself guards (CASE, COALESCE, AND, OR, IS NULL) is left alone and answers NULL,
//! and so is one in a join's condition, or whose arguments are those of an outer query; names and types of the query's
//! columns stay.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchemaRef};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Expr, ExprSchemable, Extension, Filter, LogicalPlan, Operator, Projection, ScalarUDF, Sort,
    SortExpr, UserDefinedLogicalNodeCore, Window,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;

use super::answer::answer;
use super::function::{ANSWER, ModelFunction};
use crate::operators::unscored::{DivertExec, Diverted, UnscoredSink};
use crate::planner::calls::{restore, restore_places};
use crate::tables::error_rows::ScoredBy;

/// Begins the names of columns that hold answers on the way.
const SCORED: &str = "__windlass_scored";

/// Returns a query without the rows that its models cannot score; `key` are columns that these are told with.
pub(crate) fn divert(query: LogicalPlan, key: &[&str]) -> Result<LogicalPlan> {
    Ok(query.transform_up(|plan| take_out(plan, key))?.data)
}

/// Returns the columns that are kept of rows which models of a query cannot score: all that the models read, and the key.
/// Those of the result where no model is asked for rows.
pub(crate) fn unscored_row(diverted: &LogicalPlan, published: &SchemaRef) -> Result<Schema> {
    let mut columns: BTreeMap<String, (usize, DataType)> = BTreeMap::new();
    diverted.apply(|plan| {
        let Some(node) = UnscoredRows::of(plan) else { return Ok(TreeNodeRecursion::Continue) };
        for (name, data_type) in node.columns()? {
            let next = columns.len();
            let known = columns.entry(name).or_insert((next, data_type.clone()));
            // A column that one model takes for a number and another for a text is kept as text.
            if data_type == DataType::Utf8 {
                known.1 = data_type;
            } else if known.1 != data_type {
                let both_numbers = known.1.is_numeric() && data_type.is_numeric();
                known.1 = if both_numbers { DataType::Float64 } else { DataType::Utf8 };
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    if columns.is_empty() {
        return Ok(published.as_ref().clone());
    }
    let mut columns: Vec<(String, (usize, DataType))> = columns.into_iter().collect();
    columns.sort_by_key(|(_, (place, _))| *place);
    let fields = columns.into_iter().map(|(name, (_, data_type))| Field::new(name, data_type, true));
    Ok(Schema::new(fields.collect::<Vec<_>>()))
}

/// Returns whether a query asks models for rows.
pub(crate) fn asks_models(query: &LogicalPlan) -> bool {
    let mut found = false;
    let _ = query.apply_with_subqueries(|plan| {
        found = found || plan.expressions().iter().any(has_call);
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found
}

fn has_call(expr: &Expr) -> bool {
    expr.exists(|expr| Ok(model_call(expr).is_some())).unwrap_or(false)
}

/// Returns function and arguments of a call of a model.
fn model_call(expr: &Expr) -> Option<(&ModelFunction, &[Expr])> {
    match expr {
        Expr::ScalarFunction(call) => Some((call.func.inner().downcast_ref()?, &call.args)),
        _ => None,
    }
}

/// Takes calls out of the expressions of one plan node.
fn take_out(plan: LogicalPlan, key: &[&str]) -> Result<Transformed<LogicalPlan>> {
    if !plan.expressions().iter().any(has_call) {
        return Ok(Transformed::no(plan));
    }
    Ok(Transformed::yes(match plan {
        LogicalPlan::Projection(node) => projection(node, key)?,
        LogicalPlan::Filter(node) => filter(node, key)?,
        LogicalPlan::Aggregate(node) => aggregate(node, key)?,
        LogicalPlan::Sort(node) => sort(node, key)?,
        LogicalPlan::Window(node) => window(node, key)?,
        other => return Ok(Transformed::no(other)),
    }))
}

fn projection(node: Projection, key: &[&str]) -> Result<LogicalPlan> {
    let mut asking = Asking::of(node.input);
    let names = NamePreserver::new_for_projection();
    let exprs = node.expr.into_iter().map(|expr| {
        let name = names.save(&expr);
        Ok(name.restore(asking.rewrite(expr)?))
    });
    let exprs = exprs.collect::<Result<Vec<_>>>()?;
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(asking.finish(key)?))?))
}

/// Plain conditions go below: what a WHERE leaves out is not scored.
fn filter(node: Filter, key: &[&str]) -> Result<LogicalPlan> {
    let wanted = Arc::clone(node.input.schema());
    let (asked, plain): (Vec<Expr>, Vec<Expr>) =
        split_conjunction_owned(node.predicate).into_iter().partition(has_call);
    let mut input = node.input;
    if let Some(plain) = conjunction(plain) {
        input = Arc::new(LogicalPlan::Filter(Filter::try_new(plain, input)?));
    }
    let mut asking = Asking::of(input);
    let asked = asked.into_iter().map(|expr| asking.rewrite(expr)).collect::<Result<Vec<_>>>()?;
    let input = asking.finish(key)?;
    match conjunction(asked) {
        Some(asked) => restore(LogicalPlan::Filter(Filter::try_new(asked, Arc::new(input))?), &wanted),
        None => Ok(input),
    }
}

fn aggregate(node: Aggregate, key: &[&str]) -> Result<LogicalPlan> {
    let wanted = node.schema;
    let mut asking = Asking::of(node.input);
    let groups = node.group_expr.into_iter().map(|expr| asking.rewrite(expr)).collect::<Result<_>>()?;
    let values = node.aggr_expr.into_iter().map(|expr| asking.rewrite(expr)).collect::<Result<_>>()?;
    let node = Aggregate::try_new(Arc::new(asking.finish(key)?), groups, values)?;
    restore_places(LogicalPlan::Aggregate(node), &wanted, Some)
}

fn sort(node: Sort, key: &[&str]) -> Result<LogicalPlan> {
    let wanted = Arc::clone(node.input.schema());
    let mut asking = Asking::of(node.input);
    let keys = node.expr.into_iter().map(|sorted| Ok(SortExpr { expr: asking.rewrite(sorted.expr)?, ..sorted }));
    let expr = keys.collect::<Result<_>>()?;
    let input = Arc::new(asking.finish(key)?);
    restore(LogicalPlan::Sort(Sort { expr, input, fetch: node.fetch }), &wanted)
}

fn window(node: Window, key: &[&str]) -> Result<LogicalPlan> {
    let (wanted, kept) = (node.schema, node.input.schema().fields().len());
    let mut asking = Asking::of(node.input);
    let exprs = node.window_expr.into_iter().map(|expr| asking.rewrite(expr)).collect::<Result<_>>()?;
    let input = asking.finish(key)?;
    let added = input.schema().fields().len();
    let plan = LogicalPlan::Window(Window::try_new(exprs, Arc::new(input))?);
    // Answers of models stand behind the columns of the input, and before those of the window.
    restore_places(plan, &wanted, |place| Some(if place < kept { place } else { place - kept + added }))
}

/// The calls that one plan node makes over its input.
struct Asking {
    input: Arc<LogicalPlan>,
    calls: Vec<(ModelFunction, Vec<Expr>, String)>,
}

impl Asking {
    fn of(input: Arc<LogicalPlan>) -> Self {
        Self { input, calls: Vec::new() }
    }

    /// Returns an expression with columns in place of its calls.
    fn rewrite(&mut self, expr: Expr) -> Result<Expr> {
        let replaced = expr.transform_down(|expr| {
            if is_guard(&expr) {
                return Ok(Transformed::new(expr, false, TreeNodeRecursion::Jump));
            }
            let Some((function, arguments)) = model_call(&expr) else { return Ok(Transformed::no(expr)) };
            if !is_of_rows(arguments) {
                return Ok(Transformed::new(expr, false, TreeNodeRecursion::Jump));
            }
            let field = Field::new(ANSWER, function.answered()?, true);
            let column = Expr::Column(Column::from_name(self.column(function, arguments)));
            Ok(Transformed::new(answer(&field, column), true, TreeNodeRecursion::Jump))
        });
        Ok(replaced?.data)
    }

    /// Returns the column of a call; equal calls have one.
    fn column(&mut self, function: &ModelFunction, arguments: &[Expr]) -> String {
        let is_same = |(known, given, _): &&(ModelFunction, Vec<Expr>, String)| known == function && given == arguments;
        if let Some((.., column)) = self.calls.iter().find(is_same) {
            return column.clone();
        }
        let is_taken = |name: &String| self.input.schema().fields().iter().any(|field| field.name() == name);
        let count = self.calls.len();
        let mut names = (count..).map(|number| format!("{SCORED}_{number}__"));
        let known: HashSet<&String> = self.calls.iter().map(|(.., column)| column).collect();
        let column = names.find(|name| !is_taken(name) && !known.contains(name)).unwrap_or_default();
        self.calls.push((function.clone(), arguments.to_vec(), column.clone()));
        column
    }

    /// Returns the input with the calls above it, and without the rows that they fail for.
    fn finish(self, key: &[&str]) -> Result<LogicalPlan> {
        let Self { input, calls } = self;
        if calls.is_empty() {
            return Ok(Arc::unwrap_or_clone(input));
        }
        let kept = input.schema().columns();
        let key: Vec<Column> =
            key.iter().filter_map(|name| kept.iter().find(|column| column.name() == *name).cloned()).collect();
        let call = |(function, arguments, column): &(ModelFunction, Vec<Expr>, String)| {
            ScalarUDF::new_from_impl(function.telling()).call(arguments.clone()).alias(column)
        };
        let exprs = kept.into_iter().map(Expr::Column).chain(calls.iter().map(call)).collect();
        let scored = LogicalPlan::Projection(Projection::try_new(exprs, input)?);
        let asked =
            calls.into_iter().map(|(function, arguments, column)| Asked::new(&function, arguments, column, &key));
        Ok(UnscoredRows { asked: asked.collect(), input: scored }.into_plan())
    }
}

/// Whether arguments are values of the rows at hand.
fn is_of_rows(arguments: &[Expr]) -> bool {
    let is_foreign = |expr: &Expr| matches!(expr, Expr::LambdaVariable(_) | Expr::OuterReferenceColumn(..));
    let is_foreign = |argument: &Expr| argument.exists(|expr| Ok(is_foreign(expr))).unwrap_or(true);
    arguments.iter().any(|argument| !argument.column_refs().is_empty()) && !arguments.iter().any(is_foreign)
}

/// Whether an expression says itself what becomes of rows that a call in it answers NULL for, or spares it rows.
fn is_guard(expr: &Expr) -> bool {
    match expr {
        Expr::Case(_) | Expr::IsNull(_) | Expr::IsNotNull(_) => true,
        Expr::BinaryExpr(BinaryExpr { op, .. }) => matches!(op, Operator::And | Operator::Or),
        Expr::ScalarFunction(call) => ["coalesce", "ifnull", "nvl", "nvl2"].contains(&call.name()),
        _ => false,
    }
}

/// A call whose failures are told.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd)]
struct Asked {
    /// The column of its answers.
    scores: Expr,
    /// What a row that failed is told with.
    row: Vec<(String, Expr)>,
    /// The types of those among these that the model reads, as it takes them.
    types: Vec<DataType>,
    by: ScoredBy,
}

impl Asked {
    fn new(function: &ModelFunction, arguments: Vec<Expr>, column: String, key: &[Column]) -> Self {
        let model = function.model();
        let inputs = &model.shape.inputs;
        let types = (0..inputs.len()).map(|at| model.shape.input_type(at)).collect();
        let mut row: Vec<(String, Expr)> = inputs.iter().map(|input| input.name.clone()).zip(arguments).collect();
        for column in key {
            if !row.iter().any(|(name, _)| name == column.name()) {
                row.push((column.name().to_string(), Expr::Column(column.clone())));
            }
        }
        Self { scores: Expr::Column(Column::from_name(column)), row, types, by: model.scored_by() }
    }
}

/// Passes on the rows of its input that models could score.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct UnscoredRows {
    asked: Vec<Asked>,
    input: LogicalPlan,
}

impl UnscoredRows {
    /// Returns what hands these rows of its input to the writer of error rows; `compiled` compiles expressions over it.
    pub(crate) fn operator(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        session: &dyn Session,
        compiled: impl Fn(&Expr) -> Result<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(sink) = session.config().get_extension::<UnscoredSink>() else {
            return Err(DataFusionError::Internal("no place for rows that cannot be scored".to_string()));
        };
        let mut diverted = Vec::with_capacity(self.asked.len());
        for asked in &self.asked {
            let row = asked.row.iter().map(|(name, value)| Ok((name.clone(), compiled(value)?)));
            let row = row.collect::<Result<Vec<_>>>()?;
            diverted.push(Diverted { scores: compiled(&asked.scores)?, row, by: asked.by.clone() });
        }
        Ok(Arc::new(DivertExec::new(Arc::clone(input), diverted.into(), sink)))
    }

    fn of(plan: &LogicalPlan) -> Option<&Self> {
        match plan {
            LogicalPlan::Extension(Extension { node }) => node.as_any().downcast_ref(),
            _ => None,
        }
    }

    fn into_plan(self) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(self) })
    }

    /// Returns name and type of what rows that fail are told with.
    fn columns(&self) -> Result<Vec<(String, DataType)>> {
        let mut columns = Vec::new();
        for asked in &self.asked {
            for (at, (name, value)) in asked.row.iter().enumerate() {
                let data_type = match asked.types.get(at) {
                    Some(data_type) => data_type.clone(),
                    None => value.get_type(self.input.schema())?,
                };
                columns.push((name.clone(), data_type));
            }
        }
        Ok(columns)
    }
}

impl UserDefinedLogicalNodeCore for UnscoredRows {
    fn name(&self) -> &str {
        "UnscoredRows"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        let of = |asked: &Asked| {
            let row: Vec<Expr> = asked.row.iter().map(|(_, value)| value.clone()).collect();
            std::iter::once(asked.scores.clone()).chain(row)
        };
        self.asked.iter().flat_map(of).collect()
    }

    /// Whether a row is there may depend on what a model answers, and on nothing else.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        let names = self.asked.iter().filter_map(|asked| asked.scores.try_as_col());
        names.map(|column| column.name().to_string()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let models: Vec<&str> = self.asked.iter().map(|asked| asked.by.reference.as_str()).collect();
        write!(f, "UnscoredRows: {}", models.join(", "))
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let lost =
            || DataFusionError::Internal("rows that cannot be scored lost an expression or their input".to_string());
        let (Some(input), true) = (inputs.pop(), inputs.is_empty()) else { return Err(lost()) };
        let mut exprs = exprs.into_iter();
        let mut asked = Vec::with_capacity(self.asked.len());
        for known in &self.asked {
            let scores = exprs.next().ok_or_else(lost)?;
            let names = known.row.iter().map(|(name, _)| name.clone());
            let row: Vec<(String, Expr)> = names.zip(exprs.by_ref().take(known.row.len())).collect();
            if row.len() != known.row.len() {
                return Err(lost());
            }
            asked.push(Asked { scores, row, ..known.clone() });
        }
        Ok(Self { asked, input })
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        // What its expressions read is added to this.
        Some(vec![output_columns.to_vec()])
    }
}

impl PartialOrd for UnscoredRows {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let order = self.asked.partial_cmp(&other.asked)?.then(self.input.partial_cmp(&other.input)?);
        (order != Ordering::Equal || self == other).then_some(order)
    }
}
