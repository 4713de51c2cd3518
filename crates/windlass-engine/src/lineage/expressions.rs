//! Follows the columns that an expression reads.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{AggregateFunctionParams, WindowFunctionParams};
use datafusion::logical_expr::{Case, Expr, LogicalPlan, WindowFunctionDefinition};

use super::inputs::{ColumnInputs, Use};
use super::plans::{STACK, Scope, Tracer};

impl Tracer {
    /// Returns what the values of an expression are computed from.
    pub(super) fn expression(&mut self, expr: &Expr, scope: &Scope<'_>) -> Result<ColumnInputs> {
        stacker::maybe_grow(STACK, STACK, || self.value(expr, scope))
    }

    fn value(&mut self, expr: &Expr, scope: &Scope<'_>) -> Result<ColumnInputs> {
        match expr {
            Expr::Column(column) => Ok(scope.column(column)),
            Expr::OuterReferenceColumn(_, column) => Ok(scope.outer_column(column)),
            Expr::Alias(alias) => self.expression(&alias.expr, scope),
            Expr::Case(case) => self.case(case, scope),
            Expr::AggregateFunction(call) => {
                let AggregateFunctionParams { args, filter, order_by, distinct: _, null_treatment: _ } = &call.params;
                let mut inputs = self.used(args, Use::Aggregation, scope)?;
                inputs.merge(self.used(filter.as_deref(), Use::Filter, scope)?);
                inputs.merge(self.keys(order_by, scope)?.used_as(Use::Sort));
                Ok(inputs)
            }
            Expr::WindowFunction(call) => {
                let values = match call.fun {
                    WindowFunctionDefinition::AggregateUDF(_) => Use::Aggregation,
                    WindowFunctionDefinition::WindowUDF(_) => Use::Transformation,
                };
                self.window(&call.params, values, scope)
            }
            Expr::ScalarSubquery(subquery) => self.subquery(&subquery.subquery, scope),
            Expr::Exists(exists) => Ok(self.plan(&exists.subquery.subquery, Some(scope))?.rows),
            Expr::InSubquery(within) => self.compared(&within.expr, &within.subquery.subquery, scope),
            Expr::SetComparison(comparison) => self.compared(&comparison.expr, &comparison.subquery.subquery, scope),
            other => {
                let mut inputs = ColumnInputs::default();
                other.apply_children(|child| {
                    inputs.merge(self.expression(child, scope)?);
                    Ok(TreeNodeRecursion::Continue)
                })?;
                Ok(inputs.used_as(Use::Transformation))
            }
        }
    }

    fn case(&mut self, case: &Case, scope: &Scope<'_>) -> Result<ColumnInputs> {
        let whens = case.when_then_expr.iter().map(|(when, _)| when.as_ref());
        let thens = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
        let mut inputs = self.used(whens.chain(case.expr.as_deref()), Use::Conditional, scope)?;
        inputs.merge(self.used(thens.chain(case.else_expr.as_deref()), Use::Transformation, scope)?);
        Ok(inputs)
    }

    fn window(&mut self, params: &WindowFunctionParams, values: Use, scope: &Scope<'_>) -> Result<ColumnInputs> {
        let WindowFunctionParams {
            args,
            partition_by,
            order_by,
            filter,
            window_frame: _,
            null_treatment: _,
            distinct: _,
        } = params;
        let mut inputs = self.used(args, values, scope)?;
        inputs.merge(self.used(partition_by, Use::Window, scope)?);
        inputs.merge(self.keys(order_by, scope)?.used_as(Use::Window));
        inputs.merge(self.used(filter.as_deref(), Use::Filter, scope)?);
        Ok(inputs)
    }

    /// Returns what the one column of a subquery is computed from, and what decides about its rows.
    fn subquery(&mut self, plan: &LogicalPlan, scope: &Scope<'_>) -> Result<ColumnInputs> {
        let traced = self.plan(plan, Some(scope))?;
        Ok(ColumnInputs::union(traced.columns.into_iter().chain([traced.rows])))
    }

    fn compared(&mut self, expr: &Expr, plan: &LogicalPlan, scope: &Scope<'_>) -> Result<ColumnInputs> {
        let sides = [self.expression(expr, scope)?, self.subquery(plan, scope)?];
        Ok(ColumnInputs::union(sides).used_as(Use::Transformation))
    }

    fn used<'a>(
        &mut self,
        exprs: impl IntoIterator<Item = &'a Expr>,
        usage: Use,
        scope: &Scope<'_>,
    ) -> Result<ColumnInputs> {
        let mut inputs = ColumnInputs::default();
        for expr in exprs {
            inputs.merge(self.expression(expr, scope)?);
        }
        Ok(inputs.used_as(usage))
    }
}
