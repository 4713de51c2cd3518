//! Builds one node: computes its query, stages the files, publishes them.
//!
//! The path of a batch: scans give batches, the node's plan turns them over, [`WriteExec`] encodes
//! them to staged files, and the rows that it answers become one Delta commit. A plan that does not
//! fit the memory limit is computed again in a style that needs less; see [`PlanStyle`].
//!
//! Must stay true: dropping the future at any `.await` leaves the published version as it was; what
//! was staged is found by run id.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::compute::SortOptions;
use datafusion::common::config::ConfigNonZeroUsize;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning, execute_stream_partitioned};
use datafusion::prelude::SessionContext;
use deltalake_core::kernel::Add;
use futures::{FutureExt, TryStreamExt};
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;
use windlass_error::Code;
use windlass_project::{Node, Project};

use crate::operators::moving_mean::specialise;
use crate::operators::write::{WriteExec, WriteObserver, WriteSpec, staged_files};
use crate::planner::{Content, Plan, Reading, Tables, blame};
use crate::session::PlanStyle;
use crate::tables::publish::{Origin, Publication, publish};
use crate::tables::schema;
use crate::{Engine, Error};

/// How often a running build reports what it has read.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// What a build is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Reading input and staging files.
    Staging,
    /// All files are staged; nothing is published.
    Staged,
    /// The commit is done.
    Committed,
}

/// Told how a build goes; answers whether it may publish.
pub trait BuildProgress: Send + Sync {
    /// A phase begins. Called at its first moment; may block, which holds the build there.
    fn phase(&self, phase: Phase);
    /// The inputs have this many rows, as far as is known before reading.
    fn expected_rows(&self, rows: u64);
    /// So many rows have been read in all.
    fn rows_read(&self, total: u64);
    /// So many more rows have been written.
    fn rows_written(&self, added: u64);
    /// Asks to publish; `false` means that nothing may be published any more.
    fn begin_commit(&self) -> bool;
}

/// One node to build.
pub struct BuildRequest<'a> {
    /// The project.
    pub project: &'a Project,
    /// Its plan.
    pub plan: &'a Plan,
    /// The node; one that is published.
    pub node: &'a Node,
    /// The run; part of file names and the commit.
    pub run_id: &'a str,
    /// Grows from run to run and is the same for all attempts of one.
    pub sequence: i64,
    /// Told how it goes.
    pub progress: Arc<dyn BuildProgress>,
}

/// What a build published.
#[derive(Debug, Clone)]
pub struct Built {
    /// Delta version.
    pub version: u64,
    /// Rows of the table.
    pub rows: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Number of its files.
    pub files: u64,
    /// What definition and inputs hash to.
    pub fingerprint: String,
}

/// A node's plan with what it reads.
struct Prepared {
    query: LogicalPlan,
    state: SessionState,
    plan: Arc<dyn ExecutionPlan>,
    read: BTreeMap<String, String>,
    definition: String,
    published: datafusion::arrow::datatypes::SchemaRef,
}

/// Staged files.
struct Staged {
    files: Vec<Add>,
    rows: u64,
}

impl Engine {
    /// Builds and publishes a node. `None` when the progress forbids to publish; nothing is then.
    ///
    /// # Errors
    ///
    /// [`Error::Compute`] with the user's line where one is to blame, and errors of storage; the
    /// published version is as it was.
    pub async fn build(&self, request: &BuildRequest<'_>) -> Result<Option<Built>, Error> {
        let mut style = PlanStyle::Fast;
        let (prepared, staged) = loop {
            match (self.stage(request, style).await, style.next()) {
                (Err(Error::Compute { source, .. }), Some(next)) if out_of_memory(&source) => {
                    tracing::warn!(node = %request.node.name, style = ?next, "memory limit hit, computing again");
                    self.discard(&request.node.name, request.run_id, chrono::DateTime::UNIX_EPOCH).await?;
                    style = next;
                }
                (other, _) => break other?,
            }
        };
        request.progress.phase(Phase::Staged);
        if !request.progress.begin_commit() {
            return Ok(None);
        }
        let built = self.commit(request, &prepared, staged).await?;
        request.progress.phase(Phase::Committed);
        Ok(Some(built))
    }

    async fn stage(&self, request: &BuildRequest<'_>, style: PlanStyle) -> Result<(Prepared, Staged), Error> {
        let prepared = self.prepare(request, style).await?;
        request.progress.expected_rows(expected_rows(&prepared.plan));
        request.progress.phase(Phase::Staging);
        match run(&prepared, request.progress.as_ref()).await {
            Ok(staged) => Ok((prepared, staged)),
            Err(source) => {
                let blame = match crate::error::code_of(&source) {
                    Some(Code::BAD_FILE) => {
                        let sources = text_sources(request, &prepared.read);
                        blame::find_file(request.project, &sources, &prepared.state).await
                    }
                    _ => blame::find(request.project, request.node, &prepared.query, &prepared.state, &source).await,
                };
                Err(Error::Compute { node: request.node.name.clone(), blame: blame.map(Box::new), source })
            }
        }
    }

    async fn prepare(&self, request: &BuildRequest<'_>, style: PlanStyle) -> Result<Prepared, Error> {
        let node = request.node;
        let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
        let context = self.observed_context(style, &request.progress);
        let (query, read) = self.query(request, &context).await?;
        let definition = query.display_indent_schema().to_string();
        let rows = self.session.batch_rows(style, widest(&query));
        let state = context.state_ref();
        state.write().config_mut().options_mut().execution.batch_size =
            ConfigNonZeroUsize::try_new(rows).map_err(failed)?;
        let published = schema::published(&node.name, query.schema().as_arrow())?;
        let state = context.state();
        let plan = match state.create_physical_plan(&query).await {
            Ok(plan) => self.lay_out(node, specialise(plan).map_err(failed)?).map_err(failed)?,
            // Constants are computed while planning and can fail like any row.
            Err(source) => {
                let blame = blame::find(request.project, node, &query, &state, &source).await.map(Box::new);
                return Err(Error::Compute { node: node.name.clone(), blame, source });
            }
        };
        let place = self.place(&node.name);
        let spec = WriteSpec {
            store: place.store_url.clone(),
            folder: place.path.clone(),
            schema: Arc::clone(&published),
            partition_by: node.config.partition_by.clone(),
            sorted: !node.config.sort_by.is_empty(),
            run_id: request.run_id.to_string(),
        };
        let plan: Arc<dyn ExecutionPlan> = Arc::new(WriteExec::new(plan, spec));
        tracing::debug!(node = %node.name, plan = %datafusion::physical_plan::displayable(plan.as_ref()).indent(false), "planned");
        Ok(Prepared { query, state, plan, read, definition, published })
    }

    /// Returns a context whose write operators report to `progress`.
    fn observed_context(&self, style: PlanStyle, progress: &Arc<dyn BuildProgress>) -> SessionContext {
        let context = self.session.context(style);
        let progress = Arc::clone(progress);
        let observer = Arc::new(WriteObserver(Arc::new(move |rows| progress.rows_written(rows))));
        let state = context.state_ref();
        state.write().config_mut().set_extension(observer);
        context
    }

    /// Returns what a node computes, over the tables as they stand in the lake.
    async fn query(
        &self,
        request: &BuildRequest<'_>,
        context: &SessionContext,
    ) -> Result<(LogicalPlan, BTreeMap<String, String>), Error> {
        let node = request.node;
        let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
        let Some(transform) = node.transform() else {
            let Some(Content::Files(files)) = request.plan.nodes.get(&node.name).map(|planned| &planned.content) else {
                return Err(Error::NotPublished { table: node.name.clone() });
            };
            let table = context.read_table(Arc::clone(&files.provider)).map_err(failed)?;
            let read = BTreeMap::from([(node.name.clone(), files.identity.clone())]);
            return Ok((table.into_unoptimized_plan(), read));
        };
        let reading = Reading { project: request.project, plan: request.plan, tables: Tables::InLake };
        let read = self.register_inputs(context, transform, &reading).await?;
        let query = context.state().create_logical_plan(&transform.sql).await.map_err(failed)?;
        Ok((query, read))
    }

    /// Adds what `partition_by` and `sort_by` ask for, and spreads a single stream over all threads
    /// where its order is nobody's wish.
    fn lay_out(&self, node: &Node, plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let threads = self.session.settings().threads;
        let input = plan.schema();
        let mut plan = plan;
        if !node.config.partition_by.is_empty() {
            let columns = node.config.partition_by.iter().map(|name| col(name, &input)).collect::<Result<_, _>>()?;
            plan = Arc::new(RepartitionExec::try_new(plan, Partitioning::Hash(columns, threads))?);
        } else if plan.output_partitioning().partition_count() == 1 && plan.output_ordering().is_none() && threads > 1 {
            plan = Arc::new(RepartitionExec::try_new(plan, Partitioning::RoundRobinBatch(threads))?);
        }
        if node.config.sort_by.is_empty() {
            return Ok(plan);
        }
        let ascending = node.config.partition_by.iter().map(|name| (name, false));
        let keys = ascending.chain(node.config.sort_by.iter().map(|key| (&key.column, key.descending)));
        let sort = keys
            .map(|(name, descending)| {
                let options = SortOptions { descending, nulls_first: descending };
                Ok(PhysicalSortExpr::new(col(name, &input)?, options))
            })
            .collect::<Result<Vec<_>, DataFusionError>>()?;
        match LexOrdering::new(sort) {
            Some(ordering) => Ok(Arc::new(SortExec::new(ordering, plan).with_preserve_partitioning(true))),
            None => Ok(plan),
        }
    }

    async fn commit(&self, request: &BuildRequest<'_>, prepared: &Prepared, staged: Staged) -> Result<Built, Error> {
        let node = request.node;
        let fingerprint = fingerprint(node, prepared);
        let (bytes, files) = (staged.files.iter().map(|file| file.size as u64).sum(), staged.files.len() as u64);
        let place = self.place(&node.name);
        let version = publish(Publication {
            table: &node.name,
            place: &place,
            schema: &prepared.published,
            partition_by: &node.config.partition_by,
            files: staged.files,
            origin: Origin {
                run_id: request.run_id,
                sequence: request.sequence,
                fingerprint: &fingerprint,
                rows: staged.rows,
                inputs: &prepared.read,
            },
        })
        .await?;
        Ok(Built { version, rows: staged.rows, bytes, files, fingerprint })
    }
}

/// Runs all partitions and gathers what they staged.
async fn run(prepared: &Prepared, progress: &dyn BuildProgress) -> Result<Staged, DataFusionError> {
    let mut partitions = JoinSet::new();
    for stream in execute_stream_partitioned(Arc::clone(&prepared.plan), prepared.state.task_ctx())? {
        partitions.spawn(stream.try_collect::<Vec<_>>());
    }
    let mut report = tokio::time::interval(REPORT_EVERY);
    report.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut staged = Staged { files: Vec::new(), rows: 0 };
    loop {
        let joined = futures::select_biased! {
            joined = partitions.join_next().fuse() => joined,
            _ = report.tick().fuse() => {
                progress.rows_read(rows_read(&prepared.plan));
                continue;
            }
        };
        let Some(joined) = joined else { break };
        let answers = joined.map_err(|error| DataFusionError::Internal(panic_text(error)))??;
        for answer in answers {
            let (files, rows) = staged_files(&answer)?;
            staged.files.extend(files);
            staged.rows += rows;
        }
    }
    progress.rows_read(rows_read(&prepared.plan));
    Ok(staged)
}

/// Returns the sources among what a node read whose files are text.
fn text_sources<'a>(
    request: &BuildRequest<'a>,
    read: &BTreeMap<String, String>,
) -> Vec<(&'a Node, Arc<crate::tables::files::FilesTable>)> {
    let of = |name: &String| match &request.plan.nodes.get(name)?.content {
        Content::Files(source) => Some((request.project.nodes.get(name)?, Arc::clone(source.text.as_ref()?))),
        _ => None,
    };
    read.keys().filter_map(of).collect()
}

fn panic_text(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => match panic.downcast_ref::<String>() {
            Some(text) => format!("panic: {text}"),
            None => format!("panic: {}", panic.downcast_ref::<&str>().unwrap_or(&"unknown")),
        },
        Err(error) => error.to_string(),
    }
}

/// Returns the columns of the widest operator of a query.
fn widest(query: &LogicalPlan) -> usize {
    let mut columns = 0;
    let _ = query.apply_with_subqueries(|node| {
        columns = columns.max(node.schema().fields().len());
        Ok(TreeNodeRecursion::Continue)
    });
    columns
}

fn rows_read(plan: &Arc<dyn ExecutionPlan>) -> u64 {
    sum_of_leaves(plan, |leaf| leaf.metrics().and_then(|metrics| metrics.output_rows()).unwrap_or(0) as u64)
}

fn expected_rows(plan: &Arc<dyn ExecutionPlan>) -> u64 {
    sum_of_leaves(plan, |leaf| {
        let statistics = leaf.statistics_from_inputs(&[], &StatisticsArgs::new());
        statistics.ok().and_then(|known| known.num_rows.get_value().copied()).unwrap_or(0) as u64
    })
}

fn sum_of_leaves(plan: &Arc<dyn ExecutionPlan>, of: impl Fn(&Arc<dyn ExecutionPlan>) -> u64) -> u64 {
    let mut sum = 0;
    let _ = plan.apply(|operator| {
        if operator.children().is_empty() {
            sum += of(operator);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    sum
}

fn out_of_memory(error: &DataFusionError) -> bool {
    crate::error::code_of(error) == Some(Code::MEMORY)
}

/// Hashes what a node computes, how it is laid out, and what exactly it read.
fn fingerprint(node: &Node, prepared: &Prepared) -> String {
    let mut hash = Sha256::new();
    hash.update(prepared.definition.as_bytes());
    hash.update(format!("{:?} {:?}", node.config.partition_by, node.config.sort_by).as_bytes());
    for (input, version) in &prepared.read {
        hash.update(format!("\n{input}\n{version}").as_bytes());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
