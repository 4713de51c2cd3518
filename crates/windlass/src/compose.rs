//! Joins the layers: the runner's port for work, done by the engine.
//!
//! A view is defined by its readers, so there is nothing to do for it; seeds and tables are built, models trained.
//! Must stay true: nothing is published without leave of both the driver and the lease.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use windlass_engine::{
    Ask, BuildProgress, BuildRequest, Built, CheckFailure, CheckOutcome, CheckedNode, Decision, Engine, FailedRows,
    Inspected, LeftOut, Phase, Plan, Reason, Refresh, Replayed, Sample, Standing,
};
use windlass_error::{Classify, Code, Diagnostic, Fault, Retry};
use windlass_project::{Node, NodeKind, Project};
use windlass_runner::{
    Attempt, Backend, BackendError, Clock, ErrorRows, LeaseWatch, NodeOutcome, NodeProgress, OutcomeKind, RunId,
};

use crate::human;
use crate::printer::Printer;
use crate::refusal::Refusal;
use crate::settings::HoldPoint;
use crate::verdicts::Verdicts;

/// What is done with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// It is computed and published, unless what is published is right as it is.
    Build,
    /// It is computed and published in any case.
    Rebuild,
    /// Its error rows are computed again, and what comes of them is merged into its table.
    Replay,
}

/// What earlier runs have done that counts as this one's.
#[derive(Debug, Clone, Default)]
pub(crate) struct Continued {
    /// The runs, the newest first.
    pub(crate) runs: Vec<String>,
    /// The nodes that they got done.
    pub(crate) done: BTreeSet<String>,
}

/// Rows that incremental tables have left out because they have no time, by node.
#[derive(Debug, Clone, Default)]
pub(crate) struct LeftOutRows(Arc<Mutex<BTreeMap<String, u64>>>);

impl LeftOutRows {
    /// Returns how many rows each node has left out.
    pub(crate) fn by_node(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, node: &str, rows: u64, left: LeftOut) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.entry(node.to_owned()).or_default();
        *known = match left {
            LeftOut::More => *known + rows,
            LeftOut::Same => (*known).max(rows),
        };
    }
}

/// Runs nodes on an engine.
pub(crate) struct EngineBackend {
    /// The engine of this process.
    pub(crate) engine: Arc<Engine>,
    /// The project.
    pub(crate) project: Arc<Project>,
    /// Its plan.
    pub(crate) plan: Plan,
    /// What is done with a node.
    pub(crate) work: Work,
    /// What is asked of incremental tables.
    pub(crate) ask: Ask<'static>,
    /// The share of rows of sources that is read, where not all of them are.
    pub(crate) sample: Option<Sample>,
    /// What earlier runs have done that counts as this one's.
    pub(crate) continued: Continued,
    /// The run.
    pub(crate) run_id: RunId,
    /// When the run began; later than that of every run that had the lease before.
    pub(crate) started_at: DateTime<Utc>,
    /// What checks have found so far.
    pub(crate) verdicts: Verdicts,
    /// Rows without a time that incremental tables have left out so far.
    pub(crate) left_out: LeftOutRows,
    /// Says when they found it.
    pub(crate) clock: Arc<dyn Clock>,
    /// Asked before every commit.
    pub(crate) lease: LeaseWatch,
    /// Where a test holds the process.
    pub(crate) hold_at: Option<HoldPoint>,
    /// Tells the test that it is held.
    pub(crate) printer: Printer,
}

/// A build that failed, told by the mistake that is to blame where one is: this is what the run store
/// keeps.
#[derive(Debug)]
pub(crate) struct BuildError(windlass_engine::Error);

/// Gives leave to publish a promoted table while both environments are ours.
pub(crate) struct PromotionLeave {
    /// The table.
    pub(crate) node: String,
    /// The leases of both environments.
    pub(crate) leases: Vec<LeaseWatch>,
    /// Where a test holds the process.
    pub(crate) hold_at: Option<HoldPoint>,
    /// Tells the test that it is held.
    pub(crate) printer: Printer,
}

/// Passes a build's progress on to the runner, and asks for leave to publish.
struct Reporter {
    node: String,
    progress: Arc<NodeProgress>,
    lease: LeaseWatch,
    left_out: LeftOutRows,
    hold_at: Option<HoldPoint>,
    printer: Printer,
}

#[async_trait]
impl Backend for EngineBackend {
    async fn run_node(
        &self,
        node: &str,
        _attempt: Attempt,
        progress: Arc<NodeProgress>,
    ) -> Result<NodeOutcome, BackendError> {
        let Some(node) = self.project.nodes.get(node) else {
            return Err(Box::new(Refusal::new(format!("node `{node}` is not part of the project"))));
        };
        if !node.is_kept() {
            return self.look_at(node).await;
        }
        let changed = match self.decided(node).await? {
            Decision::Reuse(standing) => {
                self.engine.forget_candidates(&node.name).await;
                return Ok(reused(standing));
            }
            Decision::Check(standing, changed) => Some((standing, changed)),
            // Why it fails, the build says.
            Decision::Build(_) | Decision::Fail(_) => None,
        };
        let reporter = Reporter {
            node: node.name.clone(),
            progress,
            lease: self.lease.clone(),
            left_out: self.left_out.clone(),
            hold_at: self.hold_at.clone(),
            printer: self.printer.clone(),
        };
        let request = BuildRequest {
            project: &self.project,
            plan: &self.plan,
            node,
            run_id: self.run_id.as_str(),
            sequence: self.started_at.timestamp_millis(),
            started_us: self.started_at.timestamp_micros(),
            ask: self.ask(node),
            progress: Arc::new(reporter),
        };
        match self.work_on(&request, changed).await {
            Ok(Some(outcome)) => Ok(outcome),
            Ok(None) => Err(Box::new(withheld(&node.name))),
            Err(error) => {
                if let windlass_engine::Error::Checks { outcomes, .. } = &error {
                    self.note(node, None, outcomes.clone());
                }
                Err(Box::new(BuildError(error)))
            }
        }
    }
}

impl EngineBackend {
    /// Looks at a node's changed checks again, where there are any, or does what the run is for; `None` where nothing
    /// may be published any more.
    async fn work_on(
        &self,
        request: &BuildRequest<'_>,
        changed: Option<(Standing, Vec<String>)>,
    ) -> Result<Option<NodeOutcome>, windlass_engine::Error> {
        let node = request.node;
        match (self.work, changed) {
            (_, Some((standing, changed))) => {
                let rechecked = Box::pin(self.engine.recheck(request, &changed)).await?;
                Ok(rechecked.map(|rechecked| {
                    self.note(node, Some(rechecked.version), rechecked.checks);
                    reused(Standing { version: rechecked.version, ..standing })
                }))
            }
            (Work::Build | Work::Rebuild, None) => {
                let built = Box::pin(self.engine.build(request)).await?;
                Ok(built.map(|mut built| {
                    self.note(node, Some(built.version), std::mem::take(&mut built.checks));
                    published(built)
                }))
            }
            (Work::Replay, None) => Ok(Box::pin(self.engine.replay(request)).await?.map(merged)),
        }
    }

    fn ask(&self, node: &Node) -> Ask<'_> {
        let refresh = if self.is_done(node) { Refresh::IfChanged } else { self.ask.refresh };
        let (now_us, run_id) = (self.started_at.timestamp_micros(), Some(self.run_id.as_str()));
        Ask { refresh, now_us, run_id, resumes: &self.continued.runs, ..self.ask }
    }

    /// Returns whether a run that is continued has done a node: then it is not done again for its own sake.
    fn is_done(&self, node: &Node) -> bool {
        self.continued.done.contains(&node.name)
    }

    /// Decides what is done with a node. What it reads is in its final state by now.
    async fn decided(&self, node: &Node) -> Result<Decision, BackendError> {
        match self.work {
            Work::Rebuild if self.is_done(node) => {}
            Work::Build => {}
            Work::Rebuild => return Ok(Decision::Build(Reason::forced("--no-cache"))),
            Work::Replay => return Ok(Decision::Build(Reason::forced("--replay"))),
        }
        let decided =
            Box::pin(self.engine.decide(&self.project, &self.plan, node, (&BTreeSet::new(), &self.ask(node)))).await;
        let decision = decided.map_err(|error| Box::new(BuildError(error)) as BackendError)?;
        if let Decision::Build(reason) = &decision {
            tracing::info!(node = %node.name, kind = reason.kind.as_str(), reason = %reason.text, "node must be built");
        }
        Ok(decision)
    }

    /// Looks at a source or view that has checks; nothing else is to be done for it.
    async fn look_at(&self, node: &Node) -> Result<NodeOutcome, BackendError> {
        let failed = |error| Box::new(BuildError(error)) as BackendError;
        let (engine, project, plan) = (&self.engine, &self.project, &self.plan);
        // Checks of a source say something of all its rows.
        let is_sampled = self.sample.is_some() && matches!(node.kind, NodeKind::Source(_));
        if node.checks.is_empty() || is_sampled {
            return Ok(view());
        }
        if self.work == Work::Build && Box::pin(engine.has_passed(project, plan, node)).await.map_err(failed)? {
            return Ok(view());
        }
        let inspected =
            Box::pin(self.engine.inspect(&self.project, &self.plan, node, (Inspected::Current, self.started_at))).await;
        let outcomes = inspected.map_err(failed)?;
        self.note(node, None, outcomes.clone());
        let remembered = outcomes.clone();
        if outcomes.iter().any(CheckOutcome::blocks) {
            return Err(failed(windlass_engine::Error::Checks {
                table: node.name.clone(),
                outcomes,
                failure: CheckFailure { stays: true, ..CheckFailure::default() },
            }));
        }
        Box::pin(engine.remember_passed(project, plan, node, &remembered)).await.map_err(failed)?;
        Ok(view())
    }

    /// Notes what the checks of a node have found, and the version that they let pass.
    fn note(&self, node: &Node, version: Option<u64>, outcomes: Vec<CheckOutcome>) {
        self.verdicts.add(CheckedNode { node: node.name.clone(), version, checked_at: self.clock.now(), outcomes });
    }
}

impl BuildError {
    /// Returns the mistake in the user's SQL that made the build fail, where one was found.
    pub(crate) fn blame(&self) -> Option<&Diagnostic> {
        match &self.0 {
            windlass_engine::Error::Compute { blame, .. } => blame.as_deref(),
            _ => None,
        }
    }
}

impl std::fmt::Display for BuildError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.blame() {
            Some(Diagnostic { message, location: Some(location), .. }) => write!(f, "{message} ({location})"),
            Some(Diagnostic { message, location: None, .. }) => f.write_str(message),
            None => self.0.fmt(f),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.blame() {
            // It says the same in the engine's words.
            Some(_) => None,
            None => self.0.source(),
        }
    }
}

impl Classify for BuildError {
    fn fault(&self) -> Fault {
        self.0.fault()
    }

    fn retry(&self) -> Retry {
        self.0.retry()
    }

    fn code(&self) -> Option<Code> {
        self.0.code()
    }

    fn hint(&self) -> Option<String> {
        self.0.hint()
    }
}

impl BuildProgress for Reporter {
    fn phase(&self, phase: Phase) {
        if phase == Phase::Staging {
            self.progress.begin_staging();
        }
        hold(self.hold_at.as_ref(), phase, &self.node, &self.printer);
    }

    fn expected_rows(&self, rows: u64) {
        // None at all means that a format does not tell.
        if rows > 0 {
            self.progress.expect_rows(rows);
        }
    }

    fn rows_read(&self, total: u64) {
        self.progress.set_read(total, 0);
    }

    fn rows_written(&self, added: u64) {
        self.progress.add_written(added);
    }

    fn rows_failed(&self, added: u64) {
        self.progress.add_failed(added);
    }

    fn continues(&self, rows: u64, of: u64) {
        let (node, done) = (&self.node, human::continued(rows, of));
        self.printer.note(&format!("`{node}` continues: {done}"));
    }

    fn rows_left_out(&self, rows: u64, left: LeftOut) {
        self.left_out.add(&self.node, rows, left);
    }

    fn begin_commit(&self) -> bool {
        self.lease.is_held() && self.progress.begin_commit()
    }

    fn begin_step(&self) -> bool {
        self.lease.is_held() && self.progress.begin_part()
    }
}

impl BuildProgress for PromotionLeave {
    fn phase(&self, phase: Phase) {
        hold(self.hold_at.as_ref(), phase, &self.node, &self.printer);
    }

    fn expected_rows(&self, _: u64) {}

    fn rows_read(&self, _: u64) {}

    fn rows_written(&self, _: u64) {}

    fn rows_failed(&self, _: u64) {}

    fn begin_commit(&self) -> bool {
        self.leases.iter().all(LeaseWatch::is_held)
    }

    fn begin_step(&self) -> bool {
        self.begin_commit()
    }
}

/// Stops for good where a test wants to kill the process.
fn hold(point: Option<&HoldPoint>, phase: Phase, node: &str, printer: &Printer) {
    if let Some(point) = point.filter(|point| point.phase == phase && point.node == node) {
        printer.problem(&format!("held at {point}"));
        loop {
            std::thread::park();
        }
    }
}

fn view() -> NodeOutcome {
    let (rows, bytes, files) = (0, 0, 0);
    let (version, env, fingerprint, errors, nulls) = (None, None, None, None, None);
    NodeOutcome { kind: OutcomeKind::View, rows, bytes, files, version, env, fingerprint, errors, nulls }
}

fn reused(standing: Standing) -> NodeOutcome {
    let Standing { version, rows: _, fingerprint, base: env } = standing;
    let (rows, bytes, files) = (0, 0, 0);
    let (version, fingerprint, errors, nulls) = (Some(version), Some(fingerprint), None, None);
    NodeOutcome { kind: OutcomeKind::Reused, rows, bytes, files, version, env, fingerprint, errors, nulls }
}

fn published(built: Built) -> NodeOutcome {
    let Built { version, rows, bytes, files, fingerprint, failures, nulls, checks: _ } = built;
    let told = |FailedRows { rows, of, causes }| ErrorRows { rows, of, causes };
    let (errors, nulls) = (failures.map(told), nulls.map(told));
    let (version, env, fingerprint) = (Some(version), None, Some(fingerprint));
    NodeOutcome { kind: OutcomeKind::Published, rows, bytes, files, version, env, fingerprint, errors, nulls }
}

fn merged(replayed: Replayed) -> NodeOutcome {
    let Replayed { replayed, still_failing, version, errors_version: _, causes } = replayed;
    NodeOutcome {
        kind: OutcomeKind::Replayed,
        rows: replayed,
        bytes: 0,
        files: 0,
        version: Some(version),
        env: None,
        fingerprint: None,
        nulls: None,
        errors: Some(ErrorRows { rows: still_failing, of: replayed + still_failing, causes }),
    }
}

/// The driver reports a cancelled node as such whatever it answers; this one lost its lease.
fn withheld(node: &str) -> Refusal {
    Refusal::new(format!("`{node}` was not published: another run took over the lease of the lake"))
        .code(Code::LEASE_HELD)
        .hint("run again when the other run has ended")
        .external()
}
