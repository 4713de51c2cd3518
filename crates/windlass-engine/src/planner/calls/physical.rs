//! Turns calls of Python into operators.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};

use super::PythonCalls;
use crate::models::UnscoredPlanner;
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
        let planner =
            DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(CallsPlanner), Arc::new(UnscoredPlanner)]);
        planner.create_physical_plan(logical_plan, session).await
    }
}

struct CallsPlanner;

#[async_trait]
impl ExtensionPlanner for CallsPlanner {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        planning_ctx: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let (Some(node), [input]) = (node.as_any().downcast_ref::<PythonCalls>(), physical_inputs) else {
            return Ok(None);
        };
        let Some(host) = session.config().get_extension::<FunctionHost>() else {
            return Err(DataFusionError::Internal("no Python functions in this session".to_string()));
        };
        let columns = node.input.schema();
        let compiled = |expr: &_| planner.create_physical_expr(expr, columns, session, planning_ctx);
        let work = host.work(node, input, compiled).await?;
        Ok(Some(Arc::new(PythonExec::new(Arc::clone(input), Arc::new(work)))))
    }
}
