//! Looks at rows that are there already: files of a source, a view, a published table.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::execute_stream_partitioned;
use datafusion::prelude::{SessionContext, ident};
use futures::TryStreamExt;
use tokio::task::JoinSet;
use windlass_project::{Node, Project};

use super::{Looking, Subject, shorten, spec};
use crate::checks::facts::Baselines;
use crate::checks::outcome::CheckOutcome;
use crate::operators::check::CheckSink;
use crate::planner::{Plan, Reading, Tables};
use crate::session::PlanStyle;
use crate::{Engine, Error};

/// Which rows of a node are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inspected {
    /// Those that readers get.
    Current,
    /// Those that the last run would have published, had they passed.
    Candidate,
}

impl Engine {
    /// Returns the outcome of every check of a node, for its rows as they are now. Writes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::NotPublished`] for a table that is not there, [`Error::Compute`] where its rows cannot
    /// be read. Broken rules are outcomes, not errors.
    pub async fn inspect(
        &self,
        project: &Project,
        plan: &Plan,
        node: &Node,
        (rows, now): (Inspected, DateTime<Utc>),
    ) -> Result<Vec<CheckOutcome>, Error> {
        let mut outcomes = self.inspect_whole(project, plan, node, (rows, now)).await?;
        shorten(node, &mut outcomes);
        Ok(outcomes)
    }

    /// The same with as many offending rows as are kept.
    pub(crate) async fn inspect_whole(
        &self,
        project: &Project,
        plan: &Plan,
        node: &Node,
        (rows, now): (Inspected, DateTime<Utc>),
    ) -> Result<Vec<CheckOutcome>, Error> {
        if node.checks.is_empty() {
            return Ok(Vec::new());
        }
        let reading = Reading { project, plan, tables: Tables::Unnoted };
        let unknown = || Error::NotPublished { table: node.name.clone() };
        let planned = plan.nodes.get(&node.name).ok_or_else(unknown)?;
        let is_published = node.is_published() && rows == Inspected::Current;
        let rows = match rows {
            Inspected::Current => self.input_provider(&node.name, planned, &reading, &mut Default::default()).await?,
            Inspected::Candidate => self.candidate(&node.name).await?.1,
        };
        let subject = Subject { node, rows, reading, now_us: now.timestamp_micros(), is_published, whole: None };
        self.look_at_all(&subject).await
    }

    /// Returns the outcome of every check of a table, for all of its rows.
    pub(crate) async fn look_at_all(&self, subject: &Subject<'_>) -> Result<Vec<CheckOutcome>, Error> {
        let context = self.session.context(PlanStyle::Fast);
        let sink = Arc::new(CheckSink::default());
        context.state_ref().write().config_mut().set_extension(Arc::clone(&sink));
        let failed = |source| Error::Compute { node: subject.node.name.clone(), blame: None, source };
        let stored = self.stored_baselines(subject.node).await?;
        self.read_through(&context, subject, stored).await.map_err(failed)?;
        match sink.take() {
            Some(gathered) => self.audit(subject, gathered).await,
            None => Err(failed(DataFusionError::Internal("no partition was looked at".to_string()))),
        }
    }

    /// Reads all rows, for the sake of those who look at them on the way.
    async fn read_through(
        &self,
        context: &SessionContext,
        subject: &Subject<'_>,
        stored: Option<Arc<Baselines>>,
    ) -> Result<(), DataFusionError> {
        let frame = context.read_table(Arc::clone(&subject.rows))?;
        let (state, plan) = match columns_looked_at(subject, &context.state()) {
            Some(columns) => frame.select(columns.iter().map(ident))?.into_parts(),
            None => frame.into_parts(),
        };
        let plan = state.create_physical_plan(&plan).await?;
        let plan = self.with_checks(subject.node, plan, &state, Looking { stored, ..Looking::default() })?;
        let mut partitions = JoinSet::new();
        for mut stream in execute_stream_partitioned(plan, state.task_ctx())? {
            partitions.spawn(async move {
                while stream.try_next().await?.is_some() {}
                Ok::<(), DataFusionError>(())
            });
        }
        while let Some(joined) = partitions.join_next().await {
            joined.map_err(|error| DataFusionError::Internal(error.to_string()))??;
        }
        Ok(())
    }
}

/// Returns the columns that the checks of a table need, in its order; `None` where they need whole rows.
fn columns_looked_at(subject: &Subject<'_>, state: &SessionState) -> Option<Vec<String>> {
    let (node, schema) = (subject.node, subject.rows.schema());
    // What does not fit is reported with the plan of all columns.
    let spec = spec(&node.name, &node.checks, &schema, state).ok()?;
    let mut columns: BTreeSet<usize> = spec.compile(&schema).ok()?.suffices()?.into_iter().collect();
    let of_conditions = spec.conditions.values().flat_map(collect_columns);
    columns.extend(of_conditions.map(|column| column.index()));
    // The number of rows takes a column to be counted by.
    let first = columns.is_empty().then_some(0).filter(|_| !schema.fields().is_empty());
    Some(columns.into_iter().chain(first).map(|column| schema.field(column).name().clone()).collect())
}
