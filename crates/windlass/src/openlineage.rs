//! Tells an OpenLineage server or file how a run goes (<https://openlineage.io/spec/2-0-2>).
//!
//! [`destination`] says where events go, `describe` what each node reads and writes, `events` puts
//! events together, and `delivery` sends them beside the run.
//!
//! Must stay true: no run fails or waits long because of an event, and no key is ever printed.

mod datasets;
mod delivery;
mod describe;
mod destination;
mod events;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::SecondsFormat;
use serde_json::Value;
use windlass_engine::Lineage;
use windlass_project::Project;
use windlass_runner::{Clock, NodeOutcome, Observer, RunEvent, RunId, RunOutcome, RunSummary, SharedError};

use self::delivery::Delivery;
use self::describe::Described;
pub(crate) use self::destination::{Destination, destination};
use self::events::{Event, Job, Transition};
use crate::report;
use crate::verdicts::Verdicts;

/// What events are made from.
pub(crate) struct Telling {
    /// Where they go.
    pub(crate) destination: Destination,
    /// The project.
    pub(crate) project: Arc<Project>,
    /// What its columns are computed from.
    pub(crate) lineage: Lineage,
    /// The run.
    pub(crate) run_id: RunId,
    /// What checks have found so far.
    pub(crate) verdicts: Verdicts,
    /// Gives the time of events.
    pub(crate) clock: Arc<dyn Clock>,
}

/// Makes events of what an observer is told, and has them delivered.
pub(crate) struct Emitter {
    delivery: Delivery,
    /// The job that all nodes are part of.
    job: Job,
    run_id: RunId,
    nodes: HashMap<String, Described>,
    /// The attempts that go on.
    attempts: HashMap<String, RunId>,
    verdicts: Verdicts,
    clock: Arc<dyn Clock>,
}

impl Emitter {
    /// Returns an emitter for one run, and starts to deliver.
    pub(crate) fn start(telling: Telling) -> Self {
        let Telling { destination, project, lineage, run_id, verdicts, clock } = telling;
        let namespace = destination.namespace.clone().unwrap_or_else(|| project.name.clone());
        let job = Job::of_run(namespace, &project);
        let nodes = describe::nodes(&project, &lineage, &job);
        let delivery = Delivery::start(destination);
        Self { delivery, job, run_id, nodes, attempts: HashMap::new(), verdicts, clock }
    }

    /// Waits at most so long for the last events; returns what to tell where some were not delivered.
    pub(crate) async fn finish(self, patience: Duration) -> Option<String> {
        self.delivery.finish(patience).await
    }

    fn now(&self) -> String {
        self.clock.now().to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    fn of_run(&mut self, transition: Transition, error: Option<String>) {
        let event = Event {
            transition,
            time: self.now(),
            run_id: self.run_id.clone(),
            parent: None,
            job: self.job.clone(),
            error: error.map(|message| (message, "SQL")),
            inputs: Vec::new(),
            outputs: Vec::new(),
        };
        self.delivery.take(event.to_json());
    }

    fn begin(&mut self, node: &str) {
        let Some(described) = self.nodes.get(node) else { return };
        let run_id = RunId::generate(self.clock.now());
        let event = self.of_node(described, &run_id, Transition::Start);
        self.attempts.insert(node.to_owned(), run_id);
        self.delivery.take(event.to_json());
    }

    fn end(&mut self, node: &str, transition: Transition, told: Told<'_>) {
        let (Some(described), Some(run_id)) = (self.nodes.get(node), self.attempts.remove(node)) else { return };
        let mut event = self.of_node(described, &run_id, transition);
        match told {
            Told::Nothing => {}
            Told::Failure(error) => {
                event.error = Some((report::in_a_line(report::as_error(error)), described.language));
            }
            Told::Outcome(outcome) => {
                describe::with_outcome(&mut event.outputs, described.has_rows, outcome);
            }
        }
        let mut events = vec![event];
        let checks = self.verdicts.of(node);
        if !checks.is_empty() && !matches!(told, Told::Nothing) {
            let is_blocked = checks.iter().any(|check| check.blocks);
            let transition = if is_blocked { Transition::Fail } else { Transition::Complete };
            let inputs = vec![describe::checked(described, &checks)];
            match &described.checks_job {
                // What is done with a source is looking at it.
                None => events[0].inputs = inputs,
                Some(job) => {
                    let run_id = RunId::generate(self.clock.now());
                    let of_checks = |transition, inputs| Event {
                        job: job.clone(),
                        inputs,
                        outputs: Vec::new(),
                        ..self.of_node(described, &run_id, transition)
                    };
                    events.push(of_checks(Transition::Start, inputs.clone()));
                    events.push(of_checks(transition, inputs));
                }
            }
        }
        for event in events {
            self.delivery.take(event.to_json());
        }
    }

    fn of_node(&self, described: &Described, run_id: &RunId, transition: Transition) -> Event {
        Event {
            transition,
            time: self.now(),
            run_id: run_id.clone(),
            parent: Some((self.run_id.clone(), self.job.clone())),
            job: described.job.clone(),
            error: None,
            inputs: described.inputs.clone(),
            outputs: described.outputs.clone(),
        }
    }

    fn end_run(&mut self, summary: &RunSummary) {
        let failed = summary.counts.failed;
        match summary.outcome {
            RunOutcome::Success => self.of_run(Transition::Complete, None),
            RunOutcome::Failed => {
                self.of_run(Transition::Fail, Some(format!("{} failed", crate::human::counted(failed as u64, "node"))));
            }
            RunOutcome::Cancelled => self.of_run(Transition::Abort, None),
        }
    }
}

/// What is told of an attempt that has ended.
#[derive(Clone, Copy)]
enum Told<'a> {
    Nothing,
    Failure(&'a SharedError),
    Outcome(&'a NodeOutcome),
}

impl Observer for Emitter {
    fn observe(&mut self, event: &RunEvent) {
        match event {
            RunEvent::RunStarted { .. } => self.of_run(Transition::Start, None),
            RunEvent::NodeStarted { node, .. } => self.begin(node),
            RunEvent::NodeFinished { node, outcome, .. } => {
                self.end(node, Transition::Complete, Told::Outcome(outcome));
            }
            RunEvent::NodeFailed { node, error, .. } => self.end(node, Transition::Fail, Told::Failure(error)),
            RunEvent::NodeCancelled { node, .. } => self.end(node, Transition::Abort, Told::Nothing),
            RunEvent::RunFinished { summary } => self.end_run(summary),
            RunEvent::NodeSkipped { .. } | RunEvent::Stopping { .. } => {}
        }
    }
}

/// A JSON object of a dataset.
type Dataset = Value;
