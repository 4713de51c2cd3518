//! Turns nodes of ours in logical plans into operators: calls of Python, and rows that models cannot score.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};

use super::PythonCalls;
use crate::models::UnscoredRows;
use crate::operators::python::PythonExec;
use crate::python::functions::FunctionHost;

/// DataFusion's planner, which knows [`PythonCalls`] and rows that models cannot score too.
#[derive(Debug)]
pub(crate) struct PythonQueryPlanner;

#[async_trait]
impl QueryPlanner for PythonQueryPlanner {
    async fn create_physical_plan(
        &self,
        logical_plan: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(NodesOfOurs)]);
        planner.create_physical_plan(logical_plan, session).await
    }
}

/// Plans each of our nodes, all of which have one input.
struct NodesOfOurs;

#[async_trait]
impl ExtensionPlanner for NodesOfOurs {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let ([below], [input]) = (logical_inputs, physical_inputs) else { return Ok(None) };
        let compiled = |expr: &Expr| planner.create_physical_expr(expr, below.schema(), session, context);
        if let Some(calls) = node.as_any().downcast_ref::<PythonCalls>() {
            let Some(host) = session.config().get_extension::<FunctionHost>() else {
                return Err(DataFusionError::Internal("no Python functions in this session".to_string()));
            };
            let work = host.work(calls, input, compiled).await?;
            return Ok(Some(Arc::new(PythonExec::new(Arc::clone(input), Arc::new(work)))));
        }
        if let Some(rows) = node.as_any().downcast_ref::<UnscoredRows>() {
            return rows.operator(input, session, compiled).map(Some);
        }
        Ok(None)
    }
}
