//! Takes calls out of the expressions of one plan node, and puts what computes them below it.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, JoinType, Spans};
use datafusion::error::Result;
use datafusion::logical_expr::{EmptyRelation, Expr, Join, LogicalPlan, Projection, ScalarUDF, Subquery};

use super::{CallMistake, PythonCall, PythonCalls, PythonFunction, python_call};
use crate::models::ModelFunction;

/// The calls that one plan node needs of one input.
pub(super) struct Extraction {
    input: LogicalPlan,
    calls: Vec<PythonCall>,
}

impl Extraction {
    /// Returns an extraction that has found no call.
    pub(super) fn new(input: LogicalPlan) -> Self {
        Self { input, calls: Vec::new() }
    }

    /// Returns whether the input has a column.
    pub(super) fn offers(&self, column: &Column) -> bool {
        self.input.schema().has_column(column)
    }

    /// Returns an expression with columns in place of its calls.
    pub(super) fn rewrite(&mut self, expr: Expr) -> Result<Expr> {
        let expr = match is_one_row(&self.input) {
            true => expr,
            false => once(expr)?,
        };
        let replaced = expr.transform_up(|expr| match python_call(&expr) {
            None => Ok(Transformed::no(expr)),
            Some((function, arguments)) => {
                let column = self.column(function, arguments, &expr)?;
                let column = Expr::Column(Column::from_name(column));
                // What workers answer for a model is not yet what SQL asks it for.
                let asked = match &expr {
                    Expr::ScalarFunction(call) => call.func.inner().downcast_ref::<ModelFunction>(),
                    _ => None,
                };
                Ok(Transformed::yes(match asked {
                    Some(model) => ScalarUDF::new_from_impl(model.over_answers()).call(vec![column]),
                    None => column,
                }))
            }
        });
        Ok(replaced?.data)
    }

    /// Returns the input with the calls above it. Calls that can share a worker share a node, unless
    /// one needs what another gives.
    pub(super) fn finish(self) -> Result<LogicalPlan> {
        let Self { mut input, calls: mut waiting } = self;
        while let Some(first) = waiting.first().map(|call| call.function.clone()) {
            let missing: HashSet<String> = waiting.iter().map(|call| call.column.clone()).collect();
            let is_ready = |call: &PythonCall| {
                let mut needed = call.arguments.iter().flat_map(|argument| argument.column_refs());
                !needed.any(|column| column.relation.is_none() && missing.contains(&column.name))
            };
            let (now, later) =
                waiting.into_iter().partition(|call| call.function.shares_workers(&first) && is_ready(call));
            input = PythonCalls::try_new(input, now)?.into_plan();
            waiting = later;
        }
        Ok(input)
    }

    fn column(&mut self, function: &PythonFunction, arguments: &[Expr], call: &Expr) -> Result<String> {
        refuse(function, arguments)?;
        if function.is_deterministic() {
            if let Some(known) = self.calls.iter().find(|known| known.is_same(function, arguments)) {
                return Ok(known.column.clone());
            }
            if let Some((input, column)) = carried(&self.input, function, arguments)
                && !self.is_taken(&column)
            {
                self.input = input;
                return Ok(column);
            }
        }
        let column = self.free_name(&call.schema_name().to_string());
        let (function, arguments) = (function.clone(), arguments.to_vec());
        self.calls.push(PythonCall { function, arguments, column: column.clone() });
        Ok(column)
    }

    fn is_taken(&self, name: &str) -> bool {
        let in_calls = self.calls.iter().any(|call| call.column == name);
        in_calls || self.input.schema().fields().iter().any(|field| field.name() == name)
    }

    /// Returns a name that no other column has. It follows from the input and the calls before.
    fn free_name(&self, wanted: &str) -> String {
        let numbered = (2..).map(|number| format!("{wanted} {number}"));
        let mut names = std::iter::once(wanted.to_string()).chain(numbered);
        names.find(|name| !self.is_taken(name)).unwrap_or_default()
    }
}

/// Returns a relation of one row without columns.
pub(super) fn one_row() -> LogicalPlan {
    LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: true, schema: Arc::new(DFSchema::empty()) })
}

fn is_one_row(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: true, .. }))
}

/// Fails for a call whose arguments are no columns of the input.
fn refuse(function: &PythonFunction, arguments: &[Expr]) -> Result<()> {
    let mistake = |what: &str, way_out| {
        Err(CallMistake { function: function.name().to_string(), what: what.to_string(), way_out }.into())
    };
    for argument in arguments {
        if argument.contains_outer() {
            return mistake(
                "gets a column of the outer query, which is not possible in this subquery",
                "join the tables and call it on the result",
            );
        }
        if argument.exists(|expr| Ok(matches!(expr, Expr::LambdaVariable(_))))? {
            return mistake(
                "cannot be called for each element of an array",
                "`unnest` the array and call it on the rows, or give it the whole array",
            );
        }
    }
    Ok(())
}

/// Puts a subquery of one row in the place of calls that are the same for all rows. It runs once for
/// a whole query.
fn once(expr: Expr) -> Result<Expr> {
    let replaced = expr.transform_down(|expr| {
        if python_call(&expr).is_none() || !is_constant(&expr)? {
            return Ok(Transformed::no(expr));
        }
        let mut extraction = Extraction::new(one_row());
        let value = extraction.rewrite(expr)?;
        let row = Projection::try_new(vec![value], Arc::new(extraction.finish()?))?;
        let subquery = Subquery {
            subquery: Arc::new(LogicalPlan::Projection(row)),
            outer_ref_columns: Vec::new(),
            spans: Spans::new(),
        };
        Ok(Transformed::new(Expr::ScalarSubquery(subquery), true, TreeNodeRecursion::Jump))
    });
    Ok(replaced?.data)
}

fn is_constant(expr: &Expr) -> Result<bool> {
    let varies = expr.exists(|expr| {
        Ok(match expr {
            Expr::ScalarSubquery(subquery) => !subquery.outer_ref_columns.is_empty(),
            Expr::Column(_)
            | Expr::OuterReferenceColumn(..)
            | Expr::LambdaVariable(_)
            | Expr::Lambda(_)
            | Expr::Placeholder(_)
            | Expr::ScalarVariable(..)
            | Expr::Exists(_)
            | Expr::InSubquery(_)
            | Expr::SetComparison(_)
            | Expr::AggregateFunction(_)
            | Expr::WindowFunction(_) => true,
            _ => false,
        })
    })?;
    Ok(!varies && !expr.is_volatile())
}

/// Looks for the same call below nodes that keep rows as they are; answers the plan with its column
/// handed up, and the column's name.
fn carried(plan: &LogicalPlan, function: &PythonFunction, arguments: &[Expr]) -> Option<(LogicalPlan, String)> {
    // A column of this name further down may be another one.
    let is_visible =
        |argument: &Expr| argument.column_refs().into_iter().all(|column| plan.schema().has_column(column));
    if !arguments.iter().all(is_visible) {
        return None;
    }
    match plan {
        LogicalPlan::Extension(_) => {
            let node = PythonCalls::of(plan)?;
            if let Some(known) = node.calls.iter().find(|known| known.is_same(function, arguments)) {
                return Some((plan.clone(), known.column.clone()));
            }
            let (input, column) = carried(&node.input, function, arguments)?;
            Some((PythonCalls::try_new(input, node.calls.clone()).ok()?.into_plan(), column))
        }
        LogicalPlan::Filter(_) | LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => {
            let [input] = plan.inputs().try_into().ok()?;
            let (input, column) = carried(input, function, arguments)?;
            Some((plan.with_new_exprs(plan.expressions(), vec![input]).ok()?, column))
        }
        LogicalPlan::Projection(projection) if projection.expr.iter().all(|expr| matches!(expr, Expr::Column(_))) => {
            let (input, column) = carried(&projection.input, function, arguments)?;
            let mut exprs = projection.expr.clone();
            let carried = Expr::Column(Column::from_name(&column));
            if !exprs.contains(&carried) {
                exprs.push(carried);
            }
            Some((LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input)).ok()?), column))
        }
        LogicalPlan::Join(join) => carried_by_join(join, function, arguments),
        _ => None,
    }
}

/// A side whose rows a join completes with NULLs would have NULL where the call gives something else.
fn carried_by_join(join: &Join, function: &PythonFunction, arguments: &[Expr]) -> Option<(LogicalPlan, String)> {
    let keeps_left =
        matches!(join.join_type, JoinType::Inner | JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti);
    let keeps_right =
        matches!(join.join_type, JoinType::Inner | JoinType::Right | JoinType::RightSemi | JoinType::RightAnti);
    let left = || keeps_left.then(|| carried(&join.left, function, arguments)).flatten();
    let right = || keeps_right.then(|| carried(&join.right, function, arguments)).flatten();
    let (join, column) = match left() {
        Some((left, column)) => (Join { left: Arc::new(left), ..join.clone() }, column),
        None => {
            let (right, column) = right()?;
            (Join { right: Arc::new(right), ..join.clone() }, column)
        }
    };
    Some((LogicalPlan::Join(join).recompute_schema().ok()?, column))
}
