//! Views that several nodes of a run read: computed once and kept in memory, where that is cheaper.
//!
//! A view is a part of the query of each reader. Where it groups or joins and its result is small, as totals and
//! lookups are, the first node that reads it computes it for all that come later. Where the result is
//! not known to be small, or turns out not to be, it stays a part of their queries, which read no more of it than they need.
//!
//! Must stay true: what a node has read is what it would have read through the view; a view that fails fails in its
//! readers, which know whose line to blame.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::TreeNode;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream_partitioned;
use futures::TryStreamExt;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;
use windlass_project::{Node, Project};

use super::{Content, Plan, Reading, Tables, calls};
use crate::Engine;
use crate::fingerprint::{Inputs, volatile_function};
use crate::models::asks_models;
use crate::operators::{Leave, specialise};
use crate::session::PlanStyle;

/// The part of the memory limit that the result of one view may take.
const SHARE_OF_MEMORY: u64 = 32;
/// What a value takes in memory, roughly; for a result that is not there yet.
const CELL_BYTES: usize = 16;

/// Views that more than one node of a run reads, by name.
#[derive(Debug, Default)]
pub(crate) struct SharedViews(BTreeMap<String, OnceCell<Option<Rows>>>);

/// The result of a view.
#[derive(Debug)]
struct Rows {
    table: Arc<MemTable>,
    /// What it was computed from.
    read: Inputs,
    _memory: MemoryReservation,
}

impl SharedViews {
    /// Returns the views that are worth computing once when these nodes are built.
    pub(super) fn of(project: &Project, plan: &Plan, selected: &BTreeSet<String>) -> Self {
        let mut readers = BTreeMap::<&str, usize>::new();
        for node in selected.iter().filter_map(|name| project.nodes.get(name)).filter(|node| node.is_published()) {
            for view in views_read(project, node) {
                *readers.entry(view).or_default() += 1;
            }
        }
        let is_shared = |view: &str| readers.get(view).is_some_and(|readers| *readers > 1);
        let is_worth_it = |view: &str| match plan.nodes.get(view).map(|planned| &planned.content) {
            Some(Content::Query(query)) => takes_time(query),
            _ => false,
        };
        let views = readers.keys().copied().filter(|view| is_shared(view) && is_worth_it(view));
        Self(views.map(|view| (view.to_string(), OnceCell::new())).collect())
    }
}

impl Engine {
    /// Returns the rows of a view that this run computes once, and notes what they were computed from. `None` for
    /// any other view.
    pub(super) async fn shared_view(
        &self,
        name: &str,
        reading: &Reading<'_>,
        read: &mut Inputs,
    ) -> Option<Arc<dyn TableProvider>> {
        let cell = reading.plan.shared.0.get(name)?;
        let rows = cell.get_or_init(|| async {
            match Box::pin(self.compute_view(name, reading)).await {
                Ok(rows) => rows,
                // Readers meet the same failure, and know its place.
                Err(error) => {
                    tracing::debug!(view = name, %error, "view not computed for all");
                    None
                }
            }
        });
        let rows = rows.await.as_ref()?;
        read.extend(rows.read.clone());
        Some(Arc::clone(&rows.table) as _)
    }

    /// Computes a view whose result is small; `None` where it is not.
    async fn compute_view(&self, name: &str, reading: &Reading<'_>) -> Result<Option<Rows>, DataFusionError> {
        let mut read = Inputs::new();
        // Whoever comes first: what tells the rows is noted for all.
        let reading = &Reading { tables: Tables::InLake, ..*reading };
        let query =
            self.view(name, reading, &mut read).await.map_err(|error| DataFusionError::External(error.into()))?;
        let state = self.session.context(PlanStyle::Fast).state();
        let plan = state.create_physical_plan(&query).await?;
        let most = usize::try_from(self.session.settings().memory_bytes / SHARE_OF_MEMORY).unwrap_or(usize::MAX);
        let expected = state.statistics_registry().map(|registry| registry.compute(plan.as_ref())).transpose()?;
        let rows = expected.and_then(|statistics| statistics.base().num_rows.get_value().copied());
        let width = plan.schema().fields().len().max(1) * CELL_BYTES;
        // Nobody knows the rows of text files; groups of them are few as a rule.
        if rows.map_or(!groups(&query), |rows| rows.saturating_mul(width) > most) {
            return Ok(None);
        }
        let room = Leave { room: self.session.room(PlanStyle::Fast), may_reorder: true };
        let plan = specialise(plan, room)?;
        let context = state.task_ctx();
        let memory = MemoryConsumer::new(format!("view {name}")).register(context.memory_pool());
        let streams = execute_stream_partitioned(Arc::clone(&plan), context)?;
        let Some(partitions) = gather(streams, &memory, most).await? else { return Ok(None) };
        tracing::debug!(view = name, bytes = memory.size(), "view computed for all its readers");
        let table = Arc::new(MemTable::try_new(plan.schema(), partitions)?);
        Ok(Some(Rows { table, read, _memory: memory }))
    }
}

/// Returns all rows, partition by partition; `None` where they take more than `most` bytes or memory is short.
async fn gather(
    streams: Vec<datafusion::execution::SendableRecordBatchStream>,
    memory: &MemoryReservation,
    most: usize,
) -> Result<Option<Vec<Vec<RecordBatch>>>, DataFusionError> {
    let mut tasks = JoinSet::new();
    let (sender, mut batches) = tokio::sync::mpsc::channel(streams.len().max(1));
    let mut partitions = vec![Vec::new(); streams.len()];
    for (partition, mut stream) in streams.into_iter().enumerate() {
        let sender = sender.clone();
        tasks.spawn(async move {
            while let Some(batch) = stream.try_next().await? {
                if sender.send((partition, batch)).await.is_err() {
                    break;
                }
            }
            Ok::<(), DataFusionError>(())
        });
    }
    drop(sender);
    while let Some((partition, batch)) = batches.recv().await {
        let bytes = batch.get_array_memory_size();
        // Dropping the tasks ends the query.
        if memory.size() + bytes > most || memory.try_grow(bytes).is_err() {
            return Ok(None);
        }
        partitions[partition].push(batch);
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| DataFusionError::Execution(error.to_string()))??;
    }
    Ok(Some(partitions))
}

/// Returns the views that a node reads, also through views.
fn views_read<'a>(project: &'a Project, node: &'a Node) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![node];
    while let Some(node) = waiting.pop() {
        let inputs = node.inputs().iter().filter_map(|input| project.nodes.get(&input.node));
        for view in inputs.filter(|input| input.kind_name() == "view") {
            if found.insert(view.name.as_str()) {
                waiting.push(view);
            }
        }
    }
    found
}

/// Whether a query has fewer rows than what it reads, as a rule.
fn groups(query: &LogicalPlan) -> bool {
    let is_grouping = |plan: &LogicalPlan| Ok(matches!(plan, LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_)));
    query.exists(is_grouping).unwrap_or(false)
}

/// Whether computing a query is more than reading its tables, and gives the same every time. Python and models are left
/// to the readers, whose packages are prepared and whose failures are counted.
fn takes_time(query: &LogicalPlan) -> bool {
    let works = |plan: &LogicalPlan| {
        let is_work = matches!(
            plan,
            LogicalPlan::Aggregate(_) | LogicalPlan::Join(_) | LogicalPlan::Window(_) | LogicalPlan::Distinct(_)
        );
        Ok(is_work)
    };
    query.exists(works).unwrap_or(false)
        && !calls::calls_python(query)
        && !asks_models(query)
        && volatile_function(query).is_none()
}
