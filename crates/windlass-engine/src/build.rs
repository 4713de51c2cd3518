//! Builds one node: computes its query, stages the files, publishes them.
//!
//! The path of a batch: scans give batches, the node's plan turns them over, [`WriteExec`] encodes
//! them to staged files, and the rows that it answers become one Delta commit. A plan that does not
//! fit the memory limit is computed again in a style that needs less; see [`PlanStyle`].
//!
//! Must stay true: dropping the future at any `.await` leaves the published version as it was; what
//! was staged is found by run id.

mod audited;
mod candidate;
mod commit;
mod failures;
mod gone;
mod parts;
mod pieces;
mod prepare;
mod recheck;
mod replaced;
mod replay;
mod second_look;
mod slices;
mod step_errors;
mod steps;
mod unscored;

pub use pieces::Continuation;
pub use recheck::Rechecked;
pub(crate) use unscored::unscored_code;

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::{ExecutionPlan, execute_stream_partitioned};
use futures::{FutureExt, TryStreamExt};
use tokio::task::JoinSet;
use windlass_error::Code;
use windlass_project::{Node, Project};

use crate::checks::outcome::CheckOutcome;
use crate::fingerprint::{Definition, Inputs};
use crate::incremental::Ask;
use crate::operators::check::{CheckExec, CheckSink, Gathered};
use crate::operators::python::{PythonError, PythonExec, Verdict};
use crate::operators::unscored::{CarryExec, UnscoredError};
use crate::operators::write::{StagedTable, staged_files};
use crate::planner::{Content, Plan, blame};
use crate::python;
use crate::session::PlanStyle;
use crate::tables::error_rows::ErrorRows;
use crate::tables::published::PublishedTable;
use crate::{Engine, Error};
use prepare::Ground;
use steps::Step;
use unscored::unscored_error;

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
    /// So many more rows have failed.
    fn rows_failed(&self, added: u64);
    /// Rows that an earlier attempt has finished are taken over: so many of all that are read.
    fn continues(&self, rows: u64, of: u64) {
        let _ = (rows, of);
    }
    /// So many rows of an incremental table by interval have no time and were left out: more of them, or the same that
    /// other parts of the table have left out too.
    fn rows_left_out(&self, _rows: u64, _left: LeftOut) {}
    /// Asks to publish; `false` means that nothing may be published any more.
    fn begin_commit(&self) -> bool;
    /// Asks to go on with the next step of an incremental table after one that is published; `false` means
    /// that the build ends there.
    fn begin_step(&self) -> bool;
}

/// Which rows a part of an incremental table has left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// Rows that no other part has seen.
    More,
    /// Rows that every part sees.
    Same,
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
    /// When the run began, in microseconds of UTC.
    pub started_us: i64,
    /// What the run asks for, of incremental tables.
    pub ask: Ask<'a>,
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
    /// Rows that failed, where the node has an error table.
    pub failures: Option<FailedRows>,
    /// Rows that failed and have NULL for what Python should have answered, where it may leave such.
    pub nulls: Option<FailedRows>,
    /// What its checks found.
    pub checks: Vec<CheckOutcome>,
}

/// Rows that failed and did not end the build.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedRows {
    /// How many.
    pub rows: u64,
    /// Rows that Python was to answer, or rows of the result where only checks divert rows.
    pub of: u64,
    /// Why, with the number of rows of each cause, most first.
    pub causes: Vec<(String, u64)>,
}

impl From<Verdict> for FailedRows {
    fn from(verdict: Verdict) -> Self {
        let causes = verdict.causes.iter().map(|cause| (cause.summary(), cause.rows)).collect();
        Self { rows: verdict.failed, of: verdict.seen, causes }
    }
}

/// Where the rows of a build come from.
pub(crate) enum RowsFrom {
    /// The inputs, as they are now; the result replaces the table.
    Inputs,
    /// The inputs as well, for a part of an incremental table.
    Step(Box<Step>),
    /// Rows that failed before; the result is added to the table.
    Errors(Box<PublishedTable>),
}

/// What staged files were made from.
struct Prepared {
    read: Inputs,
    definition: Definition,
    fingerprint: String,
    published: SchemaRef,
    /// What the error table holds, where there is one.
    errors: Option<ErrorRows>,
    /// How far rows of an input reach that a later step goes on from.
    until: Option<String>,
}

/// Staged files.
#[derive(Default)]
struct Staged {
    result: StagedTable,
    errors: StagedTable,
    failures: Option<Verdict>,
    nulls: Option<Verdict>,
    /// What checks have seen.
    gathered: Option<Gathered>,
    /// Rows that were left out because they have no time.
    without_time: u64,
}

/// What is known of staged files that may be published.
struct Audited {
    checks: Vec<CheckOutcome>,
    /// Rows that failed, in Python and in checks.
    failures: Option<FailedRows>,
}

impl Engine {
    /// Builds and publishes a node, or trains a model and registers the version. `None` when the progress forbids to publish; nothing is then.
    ///
    /// # Errors
    ///
    /// [`Error::Compute`] with the user's line where one is to blame, and errors of storage; the
    /// published version is as it was.
    pub async fn build(&self, request: &BuildRequest<'_>) -> Result<Option<Built>, Error> {
        if let Some(imported) = request.node.imported() {
            return Box::pin(self.import(request, imported)).await;
        }
        if let Some(model) = request.node.model() {
            return Box::pin(self.train(request, model)).await;
        }
        self.warm_readers(request);
        match &request.node.config.incremental {
            Some(incremental) => Box::pin(self.build_steps(request, incremental)).await,
            None => self.build_from(request, &RowsFrom::Inputs).await,
        }
    }

    /// Gets Python ready for the transforms that read a node, while that is computed.
    fn warm_readers(&self, request: &BuildRequest<'_>) {
        for reader in request.plan.nodes.keys().filter_map(|name| request.project.nodes.get(name)) {
            let Some(python) = reader.python() else { continue };
            if python.inputs.iter().any(|input| input.node == request.node.name) {
                self.workers.warm(python::environment_request(&reader.name, &python.code.environment));
            }
        }
    }

    pub(crate) async fn build_from(&self, request: &BuildRequest<'_>, rows: &RowsFrom) -> Result<Option<Built>, Error> {
        let (prepared, staged) = self.stage_fitting(request, rows).await?;
        request.progress.phase(Phase::Staged);
        let mut staged = self.second_look(request, &prepared, staged, rows).await?;
        self.check_keys_of(request, &prepared, &staged).await?;
        if let RowsFrom::Step(step) = rows {
            self.check_times(request, &prepared, &staged, step).await?;
        }
        let audited = match (self.audit_staged(request, &prepared, &mut staged, rows).await, rows) {
            (Err(error), RowsFrom::Inputs | RowsFrom::Step(_)) => {
                return Err(self.keep_candidate(request, &prepared, staged, error).await);
            }
            (audited, _) => audited?,
        };
        if !request.progress.begin_commit() {
            return Ok(None);
        }
        let without_time = staged.without_time;
        let built = match rows {
            RowsFrom::Inputs => self.commit(request, &prepared, (staged, audited), None).await?,
            RowsFrom::Step(step) => {
                let ledger = step.ledger_of(&prepared);
                self.commit(request, &prepared, (staged, audited), Some(&ledger)).await?
            }
            RowsFrom::Errors(_) => self.commit_replay(request, &prepared, staged, audited).await?,
        };
        request.progress.phase(Phase::Committed);
        if let RowsFrom::Step(step) = rows {
            steps::tell_left_out(request, without_time, step);
        }
        if let RowsFrom::Inputs | RowsFrom::Step(_) = rows {
            self.forget_pieces(request.node).await;
            self.forget_candidates(&request.node.name).await;
        }
        Ok(Some(built))
    }

    /// Stages the rows of a build by the fastest plan that fits the memory limit.
    async fn stage_fitting(&self, request: &BuildRequest<'_>, rows: &RowsFrom) -> Result<(Prepared, Staged), Error> {
        let mut style = PlanStyle::Fast;
        loop {
            match (self.stage(request, rows, style).await, style.next()) {
                (Err(Error::Compute { source, .. }), Some(next)) if out_of_memory(&source) => {
                    tracing::warn!(node = %request.node.name, style = ?next, "memory limit hit, computing again");
                    self.discard(&request.node.name, request.run_id, chrono::DateTime::UNIX_EPOCH).await?;
                    style = next;
                }
                (other, _) => return other,
            }
        }
    }

    async fn stage(
        &self,
        request: &BuildRequest<'_>,
        rows: &RowsFrom,
        style: PlanStyle,
    ) -> Result<(Prepared, Staged), Error> {
        let ground = self.look_up(request, rows, style).await?;
        if let Some(table) = ground.pieced.clone() {
            return Box::pin(self.stage_in_pieces(request, ground, &table)).await;
        }
        let (plan, errors) = self.plan_rows(request, rows, &ground, None).await?;
        request.progress.expected_rows(expected_rows(&plan));
        request.progress.phase(Phase::Staging);
        let ran = run(&plan, &ground.context.state(), Some(request.progress.as_ref())).await;
        match ran {
            Ok(staged) => {
                let without_time = if let RowsFrom::Step(step) = rows { steps::rows_left_out(&plan, step) } else { 0 };
                Ok((ground.prepared(errors), Staged { without_time, ..staged }))
            }
            Err(source) => Err(self.blame(request, &ground, source).await),
        }
    }

    /// Returns a failure with the line of the user's that is to blame, where one is.
    async fn blame(&self, request: &BuildRequest<'_>, ground: &Ground, source: DataFusionError) -> Error {
        if python::python_error(&source).is_some() {
            return self.blame_python(request, source);
        }
        if unscored_error(&source).is_some() {
            return self.blame_unscored(request, source);
        }
        let state = ground.context.state();
        let blame = match (crate::error::code_of(&source), ground.queries.first()) {
            (Some(Code::BAD_FILE), _) => {
                let sources = text_sources(request, &ground.read);
                blame::find_file(request.project, &sources, &state).await
            }
            (_, Some(query)) => blame::find(request.project, request.node, query, &state, &source).await,
            (_, None) => None,
        };
        Error::Compute { node: request.node.name.clone(), blame: blame.map(Box::new), source }
    }

    fn blame_python(&self, request: &BuildRequest<'_>, source: DataFusionError) -> Error {
        let diagnose = |error| Box::new(python::diagnose(request.project, request.node, error));
        let blame = python::python_error(&source).map(diagnose);
        Error::Compute { node: request.node.name.clone(), blame, source }
    }
}

/// Runs all partitions of a plan and gathers what they staged; an error where more rows failed than may.
async fn run(
    plan: &Arc<dyn ExecutionPlan>,
    state: &SessionState,
    progress: Option<&dyn BuildProgress>,
) -> Result<Staged, DataFusionError> {
    let report = |rows| {
        if let Some(progress) = progress {
            progress.rows_read(rows);
        }
    };
    let mut staged = gather(plan, state, &report).await?;
    judge(plan, &mut staged)?;
    Ok(staged)
}

/// Runs all partitions of a plan and gathers what they staged, whatever failed.
async fn gather(
    plan: &Arc<dyn ExecutionPlan>,
    state: &SessionState,
    report_rows: &(dyn Fn(u64) + Sync),
) -> Result<Staged, DataFusionError> {
    let mut partitions = JoinSet::new();
    for stream in execute_stream_partitioned(Arc::clone(plan), state.task_ctx())? {
        partitions.spawn(stream.try_collect::<Vec<_>>());
    }
    let mut report = tokio::time::interval(REPORT_EVERY);
    report.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut staged = Staged::default();
    loop {
        let joined = futures::select_biased! {
            joined = partitions.join_next().fuse() => joined,
            _ = report.tick().fuse() => {
                report_rows(rows_read(plan));
                continue;
            }
        };
        let Some(joined) = joined else { break };
        let answers = joined.map_err(|error| DataFusionError::Internal(panic_text(error)))??;
        for answer in answers {
            let (result, errors) = staged_files(&answer)?;
            staged.result.extend(result);
            staged.errors.extend(errors);
        }
    }
    report_rows(rows_read(plan));
    staged.gathered = state.config().get_extension::<CheckSink>().and_then(|sink| sink.take());
    Ok(staged)
}

/// Notes how many rows failed in Python operators; an error where more failed than may.
fn judge(plan: &Arc<dyn ExecutionPlan>, staged: &mut Staged) -> Result<(), DataFusionError> {
    let mut was_cut_short = false;
    plan.apply(|operator| {
        if let Some(check) = operator.downcast_ref::<CheckExec>() {
            // Rows that were not handed over any more say nothing about shares.
            was_cut_short = check.was_cut_short();
        }
        if let Some(carry) = operator.downcast_ref::<CarryExec>() {
            let verdict = carry.verdict();
            if verdict.is_over && !was_cut_short {
                return Err(UnscoredError::Budget(verdict).into());
            }
            staged.failures = Some(verdict);
        }
        let Some(python) = operator.downcast_ref::<PythonExec>() else { return Ok(TreeNodeRecursion::Continue) };
        let verdict = python.verdict();
        if verdict.is_over && !was_cut_short {
            return Err(PythonError::Budget(verdict).into());
        }
        if python.leaves_nulls() {
            staged.nulls = Some(match staged.nulls.take() {
                Some(others) => others.and(verdict),
                None => verdict,
            });
        } else if python.carries_errors() {
            staged.failures = Some(verdict);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

/// Returns the sources among what a node read whose files are text.
fn text_sources<'a>(
    request: &BuildRequest<'a>,
    read: &Inputs,
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
