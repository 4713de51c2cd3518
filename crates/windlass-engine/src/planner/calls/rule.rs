//! The rule that takes calls out of every node of a plan.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, JoinType};
use datafusion::error::Result;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    Aggregate, Expr, Filter, Join, LogicalPlan, Projection, Sort, SortExpr, Union, Values, Window,
};
use datafusion::optimizer::optimize_projections::OptimizeProjections;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use super::extraction::{Extraction, one_row};
use super::{CallMistake, called_in, calls_python, has_call, python_call};

/// Takes calls out of expressions; see the module above. Runs at most once over a call.
#[derive(Debug)]
pub(super) struct ExtractPythonCalls;

impl OptimizerRule for ExtractPythonCalls {
    fn name(&self) -> &str {
        "extract_python_calls"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        None
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        if !calls_python(&plan) {
            return Ok(Transformed::no(plan));
        }
        // What nobody reads is not called: once a call is a column, no rule takes it away.
        let plan = OptimizeProjections::new().rewrite(plan, config)?.data;
        plan.transform_up_with_subqueries(extract)
    }
}

fn extract(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let Some(function) = called_in(&plan) else { return Ok(Transformed::no(plan)) };
    let extracted = match plan {
        LogicalPlan::Projection(node) => projection(node),
        LogicalPlan::Filter(node) => filter(node),
        LogicalPlan::Aggregate(node) => aggregate(node),
        LogicalPlan::Sort(node) => sort(node),
        LogicalPlan::Window(node) => window(node),
        LogicalPlan::Join(node) => join(node),
        LogicalPlan::Values(node) => values(node),
        _ => Err(CallMistake {
            function: function.name().to_string(),
            what: "cannot be called in this clause".to_string(),
            way_out: "call it in a subquery and use the column here",
        }
        .into()),
    };
    Ok(Transformed::yes(extracted?))
}

fn projection(node: Projection) -> Result<LogicalPlan> {
    let mut calls = Extraction::new(Arc::unwrap_or_clone(node.input));
    let names = NamePreserver::new_for_projection();
    let exprs = node.expr.into_iter().map(|expr| {
        let name = names.save(&expr);
        Ok(name.restore(calls.rewrite(expr)?))
    });
    let exprs = exprs.collect::<Result<Vec<_>>>()?;
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(calls.finish()?))?))
}

/// Plain conditions go below the calls, so that fewer rows are handed over.
fn filter(node: Filter) -> Result<LogicalPlan> {
    let wanted = Arc::clone(node.input.schema());
    let (python, plain): (Vec<Expr>, Vec<Expr>) =
        split_conjunction_owned(node.predicate).into_iter().partition(has_call);
    let mut input = Arc::unwrap_or_clone(node.input);
    if let Some(plain) = conjunction(plain) {
        input = LogicalPlan::Filter(Filter::try_new(plain, Arc::new(input))?);
    }
    let mut calls = Extraction::new(input);
    let python = python.into_iter().map(|expr| calls.rewrite(expr)).collect::<Result<Vec<_>>>()?;
    let input = calls.finish()?;
    match conjunction(python) {
        Some(python) => restore(LogicalPlan::Filter(Filter::try_new(python, Arc::new(input))?), &wanted),
        None => Ok(input),
    }
}

fn aggregate(node: Aggregate) -> Result<LogicalPlan> {
    let wanted = node.schema;
    let mut calls = Extraction::new(Arc::unwrap_or_clone(node.input));
    let groups = node.group_expr.into_iter().map(|expr| calls.rewrite(expr)).collect::<Result<_>>()?;
    let values = node.aggr_expr.into_iter().map(|expr| calls.rewrite(expr)).collect::<Result<_>>()?;
    let node = Aggregate::try_new(Arc::new(calls.finish()?), groups, values)?;
    restore_places(LogicalPlan::Aggregate(node), &wanted, Some)
}

fn sort(node: Sort) -> Result<LogicalPlan> {
    let wanted = Arc::clone(node.input.schema());
    let mut calls = Extraction::new(Arc::unwrap_or_clone(node.input));
    let keys = node.expr.into_iter().map(|key| Ok(SortExpr { expr: calls.rewrite(key.expr)?, ..key }));
    let expr = keys.collect::<Result<_>>()?;
    let input = Arc::new(calls.finish()?);
    restore(LogicalPlan::Sort(Sort { expr, input, fetch: node.fetch }), &wanted)
}

fn window(node: Window) -> Result<LogicalPlan> {
    let (wanted, kept) = (node.schema, node.input.schema().fields().len());
    let mut calls = Extraction::new(Arc::unwrap_or_clone(node.input));
    let exprs = node.window_expr.into_iter().map(|expr| calls.rewrite(expr)).collect::<Result<_>>()?;
    let input = calls.finish()?;
    let added = input.schema().fields().len();
    let plan = LogicalPlan::Window(Window::try_new(exprs, Arc::new(input))?);
    let schema = Arc::clone(plan.schema());
    restore_places(plan, &wanted, |place| match place < kept {
        true => schema.maybe_index_of_column(&column_at(&wanted, place)),
        false => Some(place - kept + added),
    })
}

/// Keys are computed on their own side, before the join. Other conditions of an inner join are those
/// of a WHERE after it; in an outer join they decide which rows go unmatched, and each call stays on
/// its side.
fn join(node: Join) -> Result<LogicalPlan> {
    let wanted = Arc::clone(&node.schema);
    let conditions = node.filter.map(split_conjunction_owned).unwrap_or_default();
    let (python, mut inside): (Vec<Expr>, Vec<Expr>) = conditions.into_iter().partition(has_call);
    let mut left = Extraction::new(Arc::unwrap_or_clone(node.left));
    let mut right = Extraction::new(Arc::unwrap_or_clone(node.right));
    let on = node.on.into_iter().map(|(of_left, of_right)| Ok((left.rewrite(of_left)?, right.rewrite(of_right)?)));
    let on = on.collect::<Result<_>>()?;
    let mut after = None;
    if node.join_type == JoinType::Inner {
        after = conjunction(python);
    } else {
        for condition in python {
            inside.push(by_side(condition, node.join_type, &mut left, &mut right)?);
        }
    }
    let joined = Join::try_new(
        Arc::new(left.finish()?),
        Arc::new(right.finish()?),
        on,
        conjunction(inside),
        node.join_type,
        node.join_constraint,
        node.null_equality,
        node.null_aware,
    )?;
    let joined = LogicalPlan::Join(joined);
    match after {
        Some(condition) => restore(filter(Filter::try_new(condition, Arc::new(joined))?)?, &wanted),
        None => restore(joined, &wanted),
    }
}

fn by_side(condition: Expr, kind: JoinType, left: &mut Extraction, right: &mut Extraction) -> Result<Expr> {
    let replaced = condition.transform_down(|expr| {
        let Some((function, _)) = python_call(&expr) else { return Ok(Transformed::no(expr)) };
        let columns = expr.column_refs();
        let side = if columns.iter().all(|column| left.offers(column)) {
            &mut *left
        } else if columns.iter().all(|column| right.offers(column)) {
            &mut *right
        } else {
            return Err(of_both_sides(function.name(), kind).into());
        };
        Ok(Transformed::new(side.rewrite(expr)?, true, TreeNodeRecursion::Jump))
    });
    Ok(replaced?.data)
}

fn of_both_sides(function: &str, kind: JoinType) -> CallMistake {
    let (what, way_out) = match kind {
        JoinType::Left | JoinType::Right | JoinType::Full => (
            "gets columns of both sides of an outer join, in the condition of that join",
            "call it on one side, or join in a subquery without this condition first",
        ),
        _ => (
            "gets columns of the outer query and of the subquery in one condition",
            "join the tables in place of the subquery and call it on the result",
        ),
    };
    CallMistake { function: function.to_string(), what: what.to_string(), way_out }
}

/// A row becomes a query of its own, since values are evaluated while a query is planned.
fn values(node: Values) -> Result<LogicalPlan> {
    let row = |row: Vec<Expr>| {
        let named = row.into_iter().zip(node.schema.fields()).map(|(expr, field)| expr.alias(field.name()));
        projection(Projection::try_new(named.collect(), Arc::new(one_row()))?)
    };
    let mut rows = node.values.into_iter().map(row).collect::<Result<Vec<_>>>()?;
    match rows.len() {
        1 => Ok(rows.swap_remove(0)),
        _ => Ok(LogicalPlan::Union(Union::try_new(rows.into_iter().map(Arc::new).collect())?)),
    }
}

/// Returns a plan with the wanted columns alone.
pub(crate) fn restore(plan: LogicalPlan, wanted: &DFSchema) -> Result<LogicalPlan> {
    let schema = Arc::clone(plan.schema());
    restore_places(plan, wanted, |place| schema.maybe_index_of_column(&column_at(wanted, place)))
}

/// Returns a plan with the wanted columns alone, under their names. `place` says where each stands.
pub(crate) fn restore_places(
    plan: LogicalPlan,
    wanted: &DFSchema,
    place: impl Fn(usize) -> Option<usize>,
) -> Result<LogicalPlan> {
    let schema = Arc::clone(plan.schema());
    let mut exprs = Vec::with_capacity(wanted.fields().len());
    let mut is_same = schema.fields().len() == wanted.fields().len();
    for (at, (table, field)) in wanted.iter().enumerate() {
        let from = place(at).filter(|from| *from < schema.fields().len());
        let from = from.ok_or_else(|| super::lost_column(field.name()))?;
        let found = column_at(&schema, from);
        let keeps_name = found.relation.as_ref() == table && found.name == *field.name();
        is_same = is_same && keeps_name && from == at;
        exprs.push(match keeps_name {
            true => Expr::Column(found),
            false => Expr::Column(found).alias_qualified(table.cloned(), field.name()),
        });
    }
    match is_same {
        true => Ok(plan),
        false => Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?)),
    }
}

fn column_at(schema: &DFSchema, place: usize) -> Column {
    Column::from(schema.qualified_field(place))
}
