//! What becomes of rows that models of a SQL transform cannot score, while its table is built.

use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use windlass_error::{Code, Diagnostic};
use windlass_project::{NodeKind, OnError, models_named};

use super::{BuildRequest, RowsFrom};
use crate::error::source_of;
use crate::models;
use crate::operators::python::Cause;
use crate::operators::unscored::{CarryExec, Unscored, UnscoredError, UnscoredSink};
use crate::tables::error_rows::ErrorRows;
use crate::{Engine, Error};

/// Causes that are told of a node that has lost too many rows.
const CAUSES: usize = 3;

/// Where rows wait that cannot be scored, and what is kept of them.
pub(super) struct UnscoredRows {
    sink: Arc<UnscoredSink>,
    row: Schema,
}

impl UnscoredRows {
    /// Returns the columns that are kept of such a row.
    pub(super) fn row(&self) -> &Schema {
        &self.row
    }

    /// Returns a plan that carries such rows on beside its own, where the node keeps them.
    pub(super) fn carried(
        this: Option<&Self>,
        plan: Arc<dyn ExecutionPlan>,
        errors: Option<&ErrorRows>,
    ) -> Arc<dyn ExecutionPlan> {
        match (this, errors.filter(|errors| errors.is_scored)) {
            (Some(this), Some(errors)) => {
                Arc::new(CarryExec::new(plan, Arc::new(errors.clone()), Arc::clone(&this.sink)))
            }
            _ => plan,
        }
    }
}

impl Engine {
    /// Takes rows out of the queries of a node that its models cannot score, where it says so. The context learns where
    /// they go.
    pub(super) fn divert_unscored(
        &self,
        request: &BuildRequest<'_>,
        context: &SessionContext,
        queries: &mut [LogicalPlan],
        rows: &RowsFrom,
    ) -> Result<Option<UnscoredRows>, Error> {
        let node = request.node;
        let way = match (&node.kind, rows) {
            (NodeKind::Transform(transform), RowsFrom::Inputs | RowsFrom::Step(_)) => match transform.on_error {
                OnError::Null => return Ok(None),
                OnError::Fail => Unscored::Fail,
                OnError::Quarantine => Unscored::Quarantine,
            },
            _ => return Ok(None),
        };
        let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
        let sink = Arc::new(UnscoredSink::new(way, rows.limit(node), &context.runtime_env().memory_pool));
        context.state_ref().write().config_mut().set_extension(Arc::clone(&sink));
        let mut row = Schema::empty();
        for query in queries {
            *query = models::divert(std::mem::take(query), &node.key()).map_err(failed)?;
            let columns: SchemaRef = Arc::new(query.schema().as_arrow().clone());
            row = models::unscored_row(query, &columns).map_err(failed)?;
        }
        Ok(Some(UnscoredRows { sink, row }))
    }

    /// Returns the failure of a node whose models could not score its rows, at the mention of the model.
    pub(super) fn blame_unscored(&self, request: &BuildRequest<'_>, source: DataFusionError) -> Error {
        let node = request.node;
        let blame = unscored_error(&source).map(|error| {
            let message = match error {
                UnscoredError::Row { .. } => error.to_string(),
                UnscoredError::Budget(_) => format!("rows of `{}` cannot be scored: {error}", node.name),
            };
            let place = node.transform().and_then(|transform| {
                let named = models_named(request.project, &transform.sql);
                let is_meant = |reference: &str| error.reference().is_none_or(|meant| meant == reference);
                let (.., span) = named.into_iter().find(|(_, reference, _)| is_meant(reference))?;
                transform.map.locate(span)
            });
            let mistake = Diagnostic::error(error.code(), message).at(place.unwrap_or_else(|| node.location.clone()));
            let mistake = causes(error).into_iter().fold(mistake, Diagnostic::note);
            Box::new(mistake.hint(error.hint()).node(&node.name))
        });
        Error::Compute { node: node.name.clone(), blame, source }
    }
}

fn causes(error: &UnscoredError) -> Vec<String> {
    let UnscoredError::Budget(verdict) = error else { return Vec::new() };
    let told = |cause: &Cause| format!("{} × {}", cause.rows, cause.summary());
    verdict.causes.iter().take(CAUSES).map(told).collect()
}

/// Returns the failure of models in an error.
pub(super) fn unscored_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a UnscoredError> {
    std::iter::successors(Some(error), |current| source_of(*current)).find_map(|cause| cause.downcast_ref())
}

/// Returns the code of such a failure; `None` for any other.
pub(crate) fn unscored_code(error: &(dyn std::error::Error + 'static)) -> Option<Code> {
    error.downcast_ref::<UnscoredError>().map(UnscoredError::code)
}
