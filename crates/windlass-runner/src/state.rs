//! Decides which node starts next, which is tried again and which never runs.
//!
//! [`step`] is a function of the state and one event: no clock, no I/O, no threads. The driver
//! performs the actions and reports back what came of them.
//!
//! Invariants: a node starts only after all its parents succeeded or were reused, or, where it makes do with
//! them, left it the version that is published; never more than
//! `max_parallel` nodes run; every node reaches exactly one final state and keeps it; after an
//! interrupt nothing starts; [`Action::Done`] comes once, when every node is in a final state.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::time::Duration;

use windlass_error::{Fault, Retry};

use crate::{Attempt, Error, OutcomeKind};

mod event;

pub use event::{Action, Event, SkipReason};

/// A node that was selected to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSpec {
    /// The node's unique name.
    pub name: String,
    /// The selected nodes it waits for; parents outside the selection are left out.
    pub parents: Vec<String>,
    /// How many times a failed attempt may be repeated.
    pub retries: u32,
    /// Whether it runs although parents failed, on what those have published before.
    pub uses_last_good: bool,
    /// What it leaves to read where it has no new version.
    pub leaves: Leaves,
}

/// What a node leaves to read where it fails or is skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Leaves {
    /// The version that is published.
    LastGood,
    /// Nothing of its own: who reads it reads its parents. They must be among the reader's own parents.
    Parents,
    /// Nothing.
    #[default]
    Nothing,
}

/// What a run does after a node has failed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FailurePolicy {
    /// Skips the node's descendants and runs the rest.
    #[default]
    KeepGoing,
    /// Starts nothing new and cancels what runs, unless it is publishing.
    FailFast,
}

/// How a run goes about its nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunOptions {
    /// How many nodes may run at the same time.
    pub max_parallel: NonZeroUsize,
    /// What follows a failure.
    pub failure_policy: FailurePolicy,
}

/// Where a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeState {
    /// Waits for its parents or for a free place.
    Pending,
    /// Being run.
    Running,
    /// Failed, and waits to be tried again.
    Waiting,
    /// Final: done.
    Succeeded,
    /// Final: done without work, what was published is still right.
    Reused,
    /// Final: failed for good.
    Failed,
    /// Final: never started.
    Skipped,
    /// Final: started, then stopped from outside.
    Cancelled,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunOutcome {
    /// Every node succeeded or was reused.
    Success,
    /// At least one node failed.
    Failed,
    /// Nothing failed, but the run was stopped before its end.
    Cancelled,
}

/// How many nodes are in each final state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StateCounts {
    /// Nodes that are done.
    pub succeeded: usize,
    /// Nodes whose published version is still right.
    pub reused: usize,
    /// Nodes that failed for good.
    pub failed: usize,
    /// Nodes that never started.
    pub skipped: usize,
    /// Nodes that were stopped.
    pub cancelled: usize,
}

/// Where every node of a run is.
#[derive(Debug, Clone)]
pub struct RunState {
    nodes: Vec<Node>,
    index: HashMap<String, usize>,
    /// Pending nodes whose parents are all done, by position: earlier nodes start first.
    ready: BTreeSet<usize>,
    running: usize,
    unfinished: usize,
    options: RunOptions,
    mode: Mode,
}

#[derive(Debug, Clone)]
struct Node {
    name: String,
    retries: u32,
    children: Vec<usize>,
    /// Parents that are not done.
    open_parents: usize,
    state: NodeState,
    /// The attempt that runs now or comes next.
    attempt: Attempt,
    uses_last_good: bool,
    leaves: Leaves,
    /// Parents without a new version, of which it reads what is published.
    last_good: BTreeSet<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    New,
    Open,
    /// Nothing starts any more.
    Halting,
    Done,
}

const FIRST_DELAY: Duration = Duration::from_millis(500);
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// Decides what follows an event. Events about nodes that are not in the matching state come too
/// late and change nothing.
pub fn step(state: &mut RunState, event: Event) -> Vec<Action> {
    let mut actions = Vec::new();
    if state.mode == Mode::Done {
        return actions;
    }
    match event {
        Event::Started if state.mode == Mode::New => state.mode = Mode::Open,
        Event::Started => {}
        Event::Finished { node, kind } => state.finished(&node, kind),
        Event::Failed { node, fault, retry } => state.failed(&node, fault, retry, &mut actions),
        Event::Cancelled { node } => state.cancelled(&node, &mut actions),
        Event::BackoffElapsed { node } => state.backoff_elapsed(&node),
        Event::Interrupted => state.halt(&SkipReason::Cancelled, &mut actions),
        Event::Aborted => state.abort(&mut actions),
    }
    state.start_ready(&mut actions);
    if state.mode != Mode::New && state.unfinished == 0 {
        state.mode = Mode::Done;
        actions.push(Action::Done);
    }
    actions
}

/// Returns how long to wait after a failed attempt: half a second, doubling, at most 30 seconds.
pub fn backoff(failed: Attempt) -> Duration {
    let doublings = failed.number().saturating_sub(1);
    FIRST_DELAY.saturating_mul(2u32.saturating_pow(doublings)).min(LONGEST_DELAY)
}

impl NodeState {
    /// Returns whether the node never changes its state again.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Running | Self::Waiting)
    }
}

impl RunOutcome {
    /// Returns the stable name: `success`, `failed` or `cancelled`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl RunState {
    /// Returns the state before the run begins. Among nodes that could start, the earlier one in
    /// `specs` starts first. Fails when a name comes twice, a parent is missing or there is a
    /// circle.
    pub fn try_new(specs: Vec<NodeSpec>, options: RunOptions) -> Result<Self, Error> {
        let mut index = HashMap::with_capacity(specs.len());
        for (at, spec) in specs.iter().enumerate() {
            if index.insert(spec.name.clone(), at).is_some() {
                return Err(invalid(&spec.name, "comes twice"));
            }
        }
        let mut nodes: Vec<Node> = specs.iter().map(Node::new).collect();
        for (at, spec) in specs.iter().enumerate() {
            let parents: BTreeSet<&String> = spec.parents.iter().collect();
            nodes[at].open_parents = parents.len();
            for parent in parents {
                let Some(&parent) = index.get(parent) else {
                    return Err(invalid(&spec.name, "waits for a node that was not selected"));
                };
                nodes[parent].children.push(at);
            }
        }
        refuse_circle(&nodes)?;
        let ready = (0..nodes.len()).filter(|&at| nodes[at].open_parents == 0).collect();
        let unfinished = nodes.len();
        Ok(Self { nodes, index, ready, running: 0, unfinished, options, mode: Mode::New })
    }

    /// Returns the names of all nodes, in the order given.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| node.name.as_str())
    }

    /// Returns where a node is.
    pub fn node_state(&self, node: &str) -> Option<NodeState> {
        self.index.get(node).map(|&at| self.nodes[at].state)
    }

    /// Counts the nodes in final states.
    pub fn counts(&self) -> StateCounts {
        let count = |state| self.nodes.iter().filter(|node| node.state == state).count();
        StateCounts {
            succeeded: count(NodeState::Succeeded),
            reused: count(NodeState::Reused),
            failed: count(NodeState::Failed),
            skipped: count(NodeState::Skipped),
            cancelled: count(NodeState::Cancelled),
        }
    }

    /// Returns how the run ended; `None` while it goes on.
    pub fn outcome(&self) -> Option<RunOutcome> {
        let StateCounts { failed, skipped, cancelled, .. } = self.counts();
        match self.mode {
            Mode::New | Mode::Open | Mode::Halting => None,
            Mode::Done if failed > 0 => Some(RunOutcome::Failed),
            Mode::Done if skipped + cancelled > 0 => Some(RunOutcome::Cancelled),
            Mode::Done => Some(RunOutcome::Success),
        }
    }

    fn finished(&mut self, node: &str, kind: OutcomeKind) {
        let Some(at) = self.find(node, NodeState::Running) else { return };
        let state = match kind {
            OutcomeKind::Published | OutcomeKind::View | OutcomeKind::Replayed => NodeState::Succeeded,
            OutcomeKind::Reused => NodeState::Reused,
        };
        self.enter(at, state);
        for child in self.nodes[at].children.clone() {
            self.nodes[child].open_parents -= 1;
            self.make_ready(child);
        }
    }

    fn failed(&mut self, node: &str, fault: Fault, retry: Retry, actions: &mut Vec<Action>) {
        let Some(at) = self.find(node, NodeState::Running) else { return };
        let failed = self.nodes[at].attempt;
        let worth_it = fault == Fault::External && retry == Retry::Backoff;
        if worth_it && self.mode == Mode::Open && failed.number() <= self.nodes[at].retries {
            self.nodes[at].attempt = failed.next();
            self.enter(at, NodeState::Waiting);
            actions.push(Action::Wait { node: node.to_owned(), delay: backoff(failed) });
            return;
        }
        self.enter(at, NodeState::Failed);
        self.skip_below(at, &SkipReason::UpstreamFailed { node: node.to_owned() }, actions);
        if self.options.failure_policy == FailurePolicy::FailFast {
            self.halt(&SkipReason::FailFast { node: node.to_owned() }, actions);
        }
    }

    fn cancelled(&mut self, node: &str, actions: &mut Vec<Action>) {
        let Some(at) = self.find(node, NodeState::Running) else { return };
        self.enter(at, NodeState::Cancelled);
        self.skip_below(at, &SkipReason::Cancelled, actions);
    }

    fn backoff_elapsed(&mut self, node: &str) {
        if let Some(at) = self.find(node, NodeState::Waiting) {
            self.enter(at, NodeState::Pending);
            self.make_ready(at);
        }
    }

    /// Ends everything that has not started; what runs is asked to stop.
    fn halt(&mut self, reason: &SkipReason, actions: &mut Vec<Action>) {
        if self.mode == Mode::Halting {
            return;
        }
        self.mode = Mode::Halting;
        for at in 0..self.nodes.len() {
            match self.nodes[at].state {
                NodeState::Pending if self.nodes[at].attempt == Attempt::FIRST => {
                    self.skip(at, reason, actions);
                }
                NodeState::Pending | NodeState::Waiting => self.cancel(at, actions),
                _ => {}
            }
        }
        if self.running > 0 {
            actions.push(Action::CancelRunning);
        }
    }

    fn abort(&mut self, actions: &mut Vec<Action>) {
        self.halt(&SkipReason::Cancelled, actions);
        actions.retain(|action| *action != Action::CancelRunning);
        for at in 0..self.nodes.len() {
            if self.nodes[at].state == NodeState::Running {
                self.cancel(at, actions);
            }
        }
    }

    fn start_ready(&mut self, actions: &mut Vec<Action>) {
        while self.mode == Mode::Open && self.running < self.options.max_parallel.get() {
            let Some(at) = self.ready.pop_first() else { return };
            self.enter(at, NodeState::Running);
            let Node { name, attempt, last_good, .. } = &self.nodes[at];
            let last_good = last_good.iter().map(|parent| self.nodes[*parent].name.clone()).collect();
            actions.push(Action::Start { node: name.clone(), attempt: *attempt, last_good });
        }
    }

    /// Skips the pending descendants of a node that has no new version, in order, but for those that make do
    /// with what is there.
    fn skip_below(&mut self, at: usize, reason: &SkipReason, actions: &mut Vec<Action>) {
        let mut skipped = BTreeSet::new();
        let mut open = vec![at];
        while let Some(parent) = open.pop() {
            for child in self.nodes[parent].children.clone() {
                if self.nodes[child].state != NodeState::Pending || skipped.contains(&child) {
                    continue;
                }
                if self.makes_do(child, parent) {
                    self.read_last_good(child, parent);
                } else {
                    skipped.insert(child);
                    open.push(child);
                }
            }
        }
        for child in skipped {
            self.skip(child, reason, actions);
        }
    }

    /// Returns whether a node runs without a new version of a parent.
    fn makes_do(&self, child: usize, parent: usize) -> bool {
        let is_there = match self.nodes[parent].leaves {
            Leaves::LastGood => true,
            // One that failed itself would be read with what made it fail.
            Leaves::Parents => self.nodes[parent].state != NodeState::Failed,
            Leaves::Nothing => false,
        };
        self.nodes[child].uses_last_good && is_there
    }

    fn read_last_good(&mut self, child: usize, parent: usize) {
        if self.nodes[parent].leaves == Leaves::LastGood {
            self.nodes[child].last_good.insert(parent);
        }
        self.nodes[child].open_parents -= 1;
        self.make_ready(child);
    }

    fn skip(&mut self, at: usize, reason: &SkipReason, actions: &mut Vec<Action>) {
        self.enter(at, NodeState::Skipped);
        actions.push(Action::Skip { node: self.nodes[at].name.clone(), reason: reason.clone() });
    }

    fn cancel(&mut self, at: usize, actions: &mut Vec<Action>) {
        self.enter(at, NodeState::Cancelled);
        actions.push(Action::Cancel { node: self.nodes[at].name.clone() });
    }

    fn make_ready(&mut self, at: usize) {
        if self.nodes[at].state == NodeState::Pending && self.nodes[at].open_parents == 0 {
            self.ready.insert(at);
        }
    }

    /// Returns a node's position when it is in the state that an event about it supposes.
    fn find(&self, node: &str, state: NodeState) -> Option<usize> {
        self.index.get(node).copied().filter(|&at| self.nodes[at].state == state)
    }

    /// Moves a node to another state and keeps the counts right.
    fn enter(&mut self, at: usize, state: NodeState) {
        let before = std::mem::replace(&mut self.nodes[at].state, state);
        debug_assert!(!before.is_final(), "a final state is kept");
        self.ready.remove(&at);
        self.running -= usize::from(before == NodeState::Running);
        self.running += usize::from(state == NodeState::Running);
        self.unfinished -= usize::from(state.is_final());
    }
}

impl Node {
    fn new(spec: &NodeSpec) -> Self {
        Self {
            name: spec.name.clone(),
            retries: spec.retries,
            children: Vec::new(),
            open_parents: 0,
            state: NodeState::Pending,
            attempt: Attempt::FIRST,
            uses_last_good: spec.uses_last_good,
            leaves: spec.leaves,
            last_good: BTreeSet::new(),
        }
    }
}

/// Fails when some nodes wait for each other. Takes away nodes without parents until none is left.
fn refuse_circle(nodes: &[Node]) -> Result<(), Error> {
    let mut open_parents: Vec<usize> = nodes.iter().map(|node| node.open_parents).collect();
    let mut free: Vec<usize> = (0..nodes.len()).filter(|&at| open_parents[at] == 0).collect();
    while let Some(at) = free.pop() {
        for &child in &nodes[at].children {
            open_parents[child] -= 1;
            if open_parents[child] == 0 {
                free.push(child);
            }
        }
    }
    match open_parents.iter().position(|&open| open > 0) {
        Some(at) => Err(invalid(&nodes[at].name, "waits for itself")),
        None => Ok(()),
    }
}

fn invalid(node: &str, problem: &'static str) -> Error {
    Error::OrderNodes { node: node.to_owned(), problem }
}

#[cfg(test)]
mod tests;
