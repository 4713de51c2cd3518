//! `windlass run`: builds the selected nodes and publishes their tables.
//!
//! Everything that can be found out before the first row is: files, names, types, the lease, the
//! lake. From then on a failure is a result, with exit code 1, and no longer an error.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use windlass_engine::{Ask, IntervalsDone, Plan, Sample};
use windlass_project::{Node, NodeKind, OnUpstreamFailure, Project};
use windlass_runner::{
    CancelSignal, Clock, Driver, FailurePolicy, LeaseGuard, LeaseRequest, LeaseWatch, Leaves, NewRun, NodeSpec,
    Observer, Recorder, RunArguments, RunId, RunOptions, RunOutcome, RunState, RunStore, RunSummary, SystemClock,
};

use self::tally::Tally;
use super::plan;
use crate::check::{self, Checked, Purpose};
use crate::choice::{self, Choice};
use crate::cli::{Format, RunArgs};
use crate::compose::{Continued, EngineBackend, LeftOutRows, Work};
use crate::intervals::Flags;
use crate::openlineage::{self, Emitter, Telling};
use crate::output::log;
use crate::printer::Printer;
use crate::progress::Display;
use crate::report::{self, Status};
use crate::session::Session;
use crate::settings::Settings;
use crate::signals::Watch;
use crate::tracking::{self, ScoredTable, Tracked};
use crate::verdicts::{Verdicts, Wanted};
use crate::wire::{RunReport, WireSample};
use crate::{human, intervals, open, protection, sampling, usage};

pub(in crate::commands) mod again;
mod tally;

/// How long the last OpenLineage events may take when everything else is done.
const LAST_EVENTS_WAIT: Duration = Duration::from_secs(5);
/// How long MLflow may take to get what was trained; what it does not get in time it gets from the next run.
const TRACKING_WAIT: Duration = Duration::from_secs(20);
/// The same as either when the run was told to stop at once.
const ABORTED_EVENTS_WAIT: Duration = Duration::from_millis(500);

/// What a run is to do, and how.
pub(super) struct Order {
    /// The command, as the run store keeps it.
    pub(super) command: &'static str,
    /// What is done with each node.
    pub(super) work: Work,
    /// What is asked of incremental tables.
    pub(super) ask: Ask<'static>,
    /// The share of rows of sources that is read, where not all of them are.
    pub(super) sample: Option<Sample>,
    /// What the run store keeps to continue it; `None` for what is not continued.
    pub(super) arguments: Option<RunArguments>,
    /// What earlier runs have done that counts as this one's.
    pub(super) continued: Continued,
    /// What a failure stops.
    pub(super) failure_policy: FailurePolicy,
    /// How to print the end.
    pub(super) format: Format,
}

/// What a run works with.
struct Run<'a> {
    order: Order,
    settings: &'a Settings,
    printer: &'a Printer,
    project: Arc<Project>,
    nodes: BTreeSet<String>,
    selection: Option<String>,
    /// What is read of sources, where it is a share.
    sampled: Option<WireSample>,
    session: Session,
    store: Arc<RunStore>,
    clock: Arc<SystemClock>,
    run_id: RunId,
}

/// How a run went.
struct Ended {
    summary: RunSummary,
    tally: Tally,
    display: Display,
    verdicts: Verdicts,
}

/// Runs.
pub(super) fn run(args: &RunArgs, settings: &Settings, printer: &Printer) -> anyhow::Result<Status> {
    continued(args, Continued::default(), "windlass run", (settings, printer))
}

/// Runs, where earlier runs may have done some of it; `command` is how the user says it.
pub(super) fn continued(
    args: &RunArgs,
    continued: Continued,
    command: &str,
    (settings, printer): (&Settings, &Printer),
) -> anyhow::Result<Status> {
    let loaded = open::load(settings, &args.vars.vars)?;
    let mut choice = choice::choose(loaded, &args.select)?;
    let sample = args.subset.sample;
    sampling::permit(sample, &choice.project.target)?;
    protection::permit(&choice.project.target, command, args.yes)?;
    if args.subset.failed {
        let failed = again::failed(choice)?;
        choice = failed.choice;
        if choice.nodes.is_empty() {
            printer.note(&format!("nothing of this has failed in run {}, the last of its environment", failed.run_id));
        }
    }
    let RunArgs { full_refresh, no_cache, intervals, .. } = args;
    let flags = Flags { full_refresh: *full_refresh, no_cache: *no_cache, intervals };
    let ask = intervals::ask(&flags, &choice)?;
    let arguments = Some(again::arguments(args, &choice, &continued));
    let checked = check::check(choice, Purpose::Run(sample), args.threads, settings, printer)?;
    if let Some(sample) = sample {
        let (session, project) = (&checked.session, &checked.choice.project);
        session.block_on(Box::pin(sampling::permit_above(Some(sample), &project.target, &session.engine)))?;
        printer.note(&sampling::told(sample, project, &checked.plan));
    }
    let failure_policy = if args.fail_fast { FailurePolicy::FailFast } else { FailurePolicy::KeepGoing };
    let work = if args.full_refresh || args.no_cache { Work::Rebuild } else { Work::Build };
    let format = args.format;
    let order = Order { command: again::COMMAND, work, ask, sample, arguments, continued, failure_policy, format };
    carry_out(order, checked, settings, printer)
}

/// Does what was ordered with the nodes that were checked, writes it down and prints how it went.
pub(super) fn carry_out(
    order: Order,
    checked: Checked,
    settings: &Settings,
    printer: &Printer,
) -> anyhow::Result<Status> {
    let Checked { choice: Choice { project, nodes, text, .. }, plan, session } = checked;
    let store = open::store(&project)?;
    let clock = Arc::new(SystemClock::new());
    let run_id = RunId::generate(clock.now());
    let (project, selection) = (Arc::new(project), text);
    let sampled = order.sample.map(|sample| WireSample::new(sample, &project, &plan));
    let mut run = Run { order, settings, printer, project, nodes, selection, sampled, session, store, clock, run_id };
    let ended = run.session.block_on(Box::pin(run.go(plan)));
    // The last lines of workers stand above the end of the run.
    run.session.close();
    let ended = ended?;
    let told = run.tell(&ended);
    match ended.summary.outcome {
        RunOutcome::Success => told.map(|()| Status::Done),
        RunOutcome::Failed | RunOutcome::Cancelled => Ok(Status::Failures),
    }
}

fn uses_last_good(node: &Node) -> bool {
    node.config.on_upstream_failure == OnUpstreamFailure::UseLastGood
}

impl Run<'_> {
    async fn go(&self, plan: Plan) -> anyhow::Result<Ended> {
        let printer = self.printer;
        let target = &self.project.target;
        let lease = LeaseGuard::acquire(
            &self.store,
            &LeaseRequest {
                lake: target.lake.clone(),
                env: target.env.clone(),
                run_id: self.run_id.clone(),
                command: self.order.command.to_owned(),
            },
        )?;
        self.session.engine.ensure_writable().await?;
        let state = RunState::try_new(self.specs(&self.last_good().await?), self.options())?;
        self.begin()?;
        let (verdicts, left_out, started_at) = (Verdicts::default(), LeftOutRows::default(), self.clock.now());
        let mut emitter = self.telling(&plan, &verdicts).await.map(Emitter::start);
        let told = (verdicts.clone(), left_out.clone());
        let backend = self.backend(plan, started_at, told, lease.watch());
        let cancel = CancelSignal::new();
        let driver = Driver::new(Arc::new(backend), Arc::clone(&self.clock) as Arc<dyn Clock>, cancel.clone());
        let display = Display::new(printer, plan::history(&self.project));
        let mut tally = Tally::new(&self.project);
        let mut recorder =
            Recorder::new(Arc::clone(&self.store), self.run_id.clone(), windlass_engine::peak_memory_bytes);
        let watch = Watch::start(cancel, lease.watch(), display.clone())?;
        let summary = {
            let mut shown = display.clone();
            let mut observers: Vec<&mut dyn Observer> = vec![&mut recorder, &mut tally, &mut shown];
            observers.extend(emitter.as_mut().map(|emitter| emitter as &mut dyn Observer));
            driver.run(state, &mut observers).await
        };
        if let Some(emitter) = emitter {
            let patience = if watch.was_aborted() { ABORTED_EVENTS_WAIT } else { LAST_EVENTS_WAIT };
            if let Some(lost) = emitter.finish(patience).await {
                printer.note(&lost);
            }
        }
        self.track(&tally, started_at, if watch.was_aborted() { ABORTED_EVENTS_WAIT } else { TRACKING_WAIT }).await;
        if let Err(error) = recorder.into_result() {
            printer.problem(&report::failure(&error, printer.paint(), &mut BTreeSet::new()));
        }
        if !watch.was_aborted() {
            self.discard(&tally).await;
            // What is published does not depend on it, so neither does the run.
            let sequence = started_at.timestamp_millis();
            verdicts.record(&self.session.engine, (self.run_id.as_str(), sequence), self.printer).await;
        }
        for (node, rows) in left_out.by_node() {
            tally.left_out(&node, rows);
        }
        if self.order.format == Format::Json && !watch.was_aborted() {
            for (node, intervals) in self.intervals(started_at).await {
                tally.intervals(&node, &intervals);
            }
        }
        Ok(Ended { summary, tally, display, verdicts })
    }

    /// Returns what runs the nodes, and tells `verdicts` and `left_out` what came of them.
    fn backend(
        &self,
        plan: Plan,
        started_at: DateTime<Utc>,
        (verdicts, left_out): (Verdicts, LeftOutRows),
        lease: LeaseWatch,
    ) -> EngineBackend {
        EngineBackend {
            engine: Arc::clone(&self.session.engine),
            project: Arc::clone(&self.project),
            plan,
            work: self.order.work,
            ask: self.order.ask,
            sample: self.order.sample,
            continued: self.order.continued.clone(),
            run_id: self.run_id.clone(),
            started_at,
            verdicts,
            left_out,
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            lease,
            hold_at: self.settings.hold_at.clone(),
            printer: self.printer.clone(),
        }
    }

    /// Returns how far the selected tables by interval have come. What cannot be read is not told.
    async fn intervals(&self, started_at: DateTime<Utc>) -> Vec<(String, IntervalsDone)> {
        let (run_id, resumes) = (Some(self.run_id.as_str()), self.order.continued.runs.as_slice());
        let ask = Ask { now_us: started_at.timestamp_micros(), run_id, resumes, ..Ask::default() };
        let mut found = Vec::new();
        for node in self.nodes.iter().filter_map(|name| self.project.nodes.get(name)) {
            match self.session.engine.intervals_done(node, &ask).await {
                Ok(Some(intervals)) => found.push((node.name.clone(), intervals)),
                Ok(None) => {}
                Err(error) => tracing::warn!(node = %node.name, %error, "intervals not known"),
            }
        }
        found
    }

    /// Returns what events about the run are made of, where somebody wants them. Nothing that is wrong
    /// with them keeps a run from going on.
    async fn telling(&self, plan: &Plan, verdicts: &Verdicts) -> Option<Telling> {
        let target = self.project.target.openlineage.as_ref();
        let destination = match openlineage::destination(target, &self.settings.environment) {
            Ok(destination) => destination?,
            Err(text) => {
                self.printer.note(&format!("no OpenLineage events: {text}"));
                return None;
            }
        };
        match self.session.engine.lineage(&self.project, plan).await {
            Ok(lineage) => Some(Telling {
                destination,
                project: Arc::clone(&self.project),
                lineage,
                run_id: self.run_id.clone(),
                verdicts: verdicts.clone(),
                clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            }),
            Err(error) => {
                self.printer.note(&format!("no OpenLineage events: {}", report::one_line(&error)));
                None
            }
        }
    }

    /// Logs to MLflow what was trained and what was scored, where somebody wants it. Nothing that is wrong with it fails a run.
    async fn track(&self, tally: &Tally, started_at: DateTime<Utc>, patience: Duration) {
        // What was trained on a sample stays in its environment.
        if self.order.sample.is_some() {
            return;
        }
        let environment = &self.settings.environment;
        let tracking = match tracking::tracking(environment, &self.project.target) {
            Ok(Some(tracking)) => tracking,
            Ok(None) => return,
            Err(text) => return self.printer.note(&format!("not logged to MLflow: {text}")),
        };
        let tracked = Tracked {
            project: &self.project,
            registry: self.session.engine.models(),
            scored: self.scored(tally).await,
            run_id: self.run_id.as_str(),
            started_at,
            ended_at: self.clock.now(),
            user: environment.get("USER").filter(|user| !user.is_empty()).cloned(),
        };
        for note in Box::pin(tracking.log(&tracked, patience)).await {
            self.printer.note(&note);
        }
    }

    /// Returns the tables that the run has published and that score with models.
    async fn scored(&self, tally: &Tally) -> Vec<ScoredTable> {
        let mut scored = Vec::new();
        for (published, rows) in tally.published() {
            let Some(node) = self.project.nodes.get(&published.name) else { continue };
            match self.session.engine.scored(&self.project, node).await {
                Ok(Some(used)) => {
                    scored.push(ScoredTable { table: published.name.clone(), rows, failed: published.error_rows, used })
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(node = published.name, %error, "what was scored is not logged"),
            }
        }
        scored
    }

    /// Returns the nodes in order, each with those selected nodes that it waits for. Sources are
    /// there already; those with checks are looked at first. `last_good` names tables that have a version.
    fn specs(&self, last_good: &BTreeSet<String>) -> Vec<NodeSpec> {
        let looked_at = self.sources_to_look_at();
        let runs = |name: &String| match self.project.nodes.get(name) {
            Some(node) if matches!(node.kind, NodeKind::Source(_)) => looked_at.contains(name),
            Some(_) => self.nodes.contains(name),
            None => false,
        };
        let nodes = self.project.nodes.values().filter(|node| runs(&node.name));
        let spec = |node: &Node| NodeSpec {
            name: node.name.clone(),
            parents: self.parents(node).into_iter().filter(|name| runs(name)).collect(),
            retries: node.config.retries,
            uses_last_good: uses_last_good(node),
            leaves: match node.kind_name() {
                "view" => Leaves::Parents,
                _ if last_good.contains(&node.name) => Leaves::LastGood,
                _ => Leaves::Nothing,
            },
        };
        nodes.map(spec).collect()
    }

    /// Returns what a node waits for. Where it makes do with what failed nodes have published, it waits for
    /// what its views read as well: a view that is skipped says nothing of them.
    fn parents(&self, node: &Node) -> BTreeSet<String> {
        let mut parents = BTreeSet::new();
        let mut waiting: Vec<&String> = self.project.graph.parents(&node.name).iter().collect();
        while let Some(name) = waiting.pop() {
            let is_view = self.project.nodes.get(name).is_some_and(|parent| parent.kind_name() == "view");
            if parents.insert(name.clone()) && is_view && uses_last_good(node) {
                waiting.extend(self.project.graph.parents(name));
            }
        }
        parents
    }

    /// Returns the selected tables and models that have a version already, where a node would make do with one.
    async fn last_good(&self) -> Result<BTreeSet<String>, windlass_engine::Error> {
        let mut found = BTreeSet::new();
        let nodes = || self.nodes.iter().filter_map(|name| self.project.nodes.get(name));
        if !nodes().any(uses_last_good) {
            return Ok(found);
        }
        for node in nodes().filter(|node| node.is_published()) {
            if self.session.engine.has_sample_of_run(&self.project, node).await? {
                found.insert(node.name.clone());
            }
        }
        for node in nodes().filter(|node| node.is_model()) {
            if self.session.engine.champion(&node.name).await?.is_some() {
                found.insert(node.name.clone());
            }
        }
        Ok(found)
    }

    /// Returns the sources with checks that the run reads: they are looked at before that.
    fn sources_to_look_at(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut waiting: Vec<&String> = self.nodes.iter().collect();
        while let Some(name) = waiting.pop() {
            let Some(node) = self.project.nodes.get(name).filter(|_| seen.insert(name.clone())) else { continue };
            match node.kind {
                NodeKind::Source(_) if !node.checks.is_empty() => {
                    found.insert(name.clone());
                }
                NodeKind::Source(_) => {}
                // A table or model that is not selected is read as it stands.
                _ if node.is_kept() && !self.nodes.contains(name) => {}
                _ => waiting.extend(self.project.graph.parents(name)),
            }
        }
        found
    }

    fn options(&self) -> RunOptions {
        RunOptions {
            max_parallel: NonZeroUsize::new(self.session.threads).unwrap_or(NonZeroUsize::MIN),
            failure_policy: self.order.failure_policy,
        }
    }

    fn begin(&self) -> Result<(), windlass_runner::Error> {
        let target = &self.project.target;
        self.store.begin_run(&NewRun {
            run_id: self.run_id.clone(),
            command: self.order.command.to_owned(),
            selection: self.selection.clone(),
            target: target.name.clone(),
            env: target.env.clone(),
            lake: target.lake.clone(),
            version: open::VERSION.to_owned(),
            arguments: self.order.arguments.clone(),
        })?;
        self.session.output.keep_in(log::folder(&target.state, self.run_id.as_str()));
        Ok(())
    }

    /// Removes what failed and stopped attempts have staged. What remains is left to `windlass gc`.
    async fn discard(&self, tally: &Tally) {
        for node in tally.unpublished() {
            if let Err(error) = self.session.engine.discard(node, self.run_id.as_str(), self.clock.now()).await {
                tracing::warn!(node, %error, "staged files not removed");
                let text = format!("staged files of `{node}` were not removed; `windlass gc` removes them later");
                self.printer.note(&text);
            }
        }
    }

    fn tell(&self, ended: &Ended) -> anyhow::Result<()> {
        let Ended { summary, tally, display, verdicts } = ended;
        let (printer, paint) = (self.printer, self.printer.paint());
        if let Some(line) = report::more(&display.codes(), paint) {
            printer.problem(&line);
        }
        let facts = [
            Some(human::duration(summary.elapsed)),
            usage::cpu_time().map(|time| format!("CPU {}", human::duration(time))),
            windlass_engine::peak_memory_bytes().map(|bytes| format!("peak {}", human::memory(bytes))),
            Some(format!("run {}", self.run_id)),
        ];
        let facts: Vec<String> = facts.into_iter().flatten().collect();
        let headline = tally.headline(&self.project.target.env, summary);
        let headline = match summary.outcome {
            RunOutcome::Success => paint.good(&headline),
            RunOutcome::Failed => paint.bad(&headline),
            RunOutcome::Cancelled => paint.odd(&headline),
        };
        for text in tally.without_time(&self.project) {
            printer.note(&format!("  {} {text}", paint.odd("!")));
        }
        if let Some(text) = verdicts.told(paint, Wanted::Untold) {
            printer.note(&text);
        }
        printer.note(&format!("{headline}  {}", paint.faint(&facts.join("  "))));
        if self.order.format == Format::Json {
            let report = tally.report(&self.project, &self.run_id, self.selection.clone(), (summary, verdicts));
            let resumes = self.order.continued.runs.first().cloned();
            printer.json("run", &RunReport { resumes, sample: self.sampled.clone(), ..report })?;
        }
        Ok(())
    }
}
