//! Scripts of events with the actions they must cause, and made-up runs that must keep every promise.

use std::collections::{BTreeMap, BTreeSet};

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

/// Reads nodes written as `name:parent,parent/retries`. A name that ends in `*` makes do with what failed
/// nodes have published; one that begins with `?` has only its parents to offer, one with `!` nothing.
fn specs(text: &str) -> Vec<NodeSpec> {
    text.split_whitespace()
        .map(|node| {
            let (node, retries) = node.split_once('/').unwrap_or((node, "0"));
            let (name, parents) = node.split_once(':').unwrap_or((node, ""));
            let parents = parents.split(',').filter(|parent| !parent.is_empty()).map(str::to_owned).collect();
            let leaves = match name.chars().next() {
                Some('?') => Leaves::Parents,
                Some('!') => Leaves::Nothing,
                _ => Leaves::LastGood,
            };
            let uses_last_good = name.ends_with('*');
            let name = name.trim_matches(['?', '!', '*']).to_owned();
            NodeSpec { name, parents, retries: retries.parse().unwrap(), uses_last_good, leaves }
        })
        .collect()
}

fn options(max_parallel: usize, failure_policy: FailurePolicy) -> RunOptions {
    RunOptions { max_parallel: NonZeroUsize::new(max_parallel).unwrap(), failure_policy }
}

fn event(text: &str) -> Event {
    let (word, node) = text.split_once(' ').unwrap_or((text, ""));
    let node = node.to_owned();
    let failed = |node, fault, retry| Event::Failed { node, fault, retry };
    match word {
        "start" => Event::Started,
        "ok" => Event::Finished { node, kind: OutcomeKind::Published },
        "same" => Event::Finished { node, kind: OutcomeKind::Reused },
        "user" => failed(node, Fault::User, Retry::Never),
        "bug" => failed(node, Fault::Internal, Retry::Backoff),
        "down" => failed(node, Fault::External, Retry::Backoff),
        "gone" => failed(node, Fault::External, Retry::Never),
        "stopped" => Event::Cancelled { node },
        "waited" => Event::BackoffElapsed { node },
        "interrupt" => Event::Interrupted,
        "abort" => Event::Aborted,
        _ => panic!("no event {text}"),
    }
}

fn show(action: &Action) -> String {
    match action {
        Action::Start { node, attempt, last_good } if last_good.is_empty() => format!("start {node} #{attempt}"),
        Action::Start { node, attempt, last_good } => {
            format!("start {node} #{attempt} (last good of {})", last_good.join(" "))
        }
        Action::Wait { node, delay } => format!("wait {node} {} ms", delay.as_millis()),
        Action::Skip { node, reason } => match reason.failed_node() {
            Some(failed) => format!("skip {node} ({} {failed})", reason.as_str()),
            None => format!("skip {node} ({})", reason.as_str()),
        },
        Action::Cancel { node } => format!("cancel {node}"),
        Action::CancelRunning => "cancel running".to_owned(),
        Action::Done => "done".to_owned(),
    }
}

/// Applies `events`, separated by `;`, and compares each one's actions and the outcome.
fn check_with(nodes: &str, options: RunOptions, events: &str, expected: Expect) {
    let mut state = RunState::try_new(specs(nodes), options).unwrap();
    let mut trace = String::new();
    for text in events.split(';').map(str::trim) {
        let actions: Vec<String> = step(&mut state, event(text)).iter().map(show).collect();
        trace.push_str(&format!("{text}: {}\n", actions.join(", ")));
    }
    trace.push_str(&format!("= {}", state.outcome().map_or("open", RunOutcome::as_str)));
    expected.assert_eq(&trace);
}

fn check(nodes: &str, events: &str, expected: Expect) {
    check_with(nodes, options(2, FailurePolicy::KeepGoing), events, expected);
}

#[test]
fn nodes_start_after_their_parents() {
    check(
        "a b:a c:a d:b,c",
        "start; ok a; ok c; ok b; ok d",
        expect![[r#"
            start: start a #1
            ok a: start b #1, start c #1
            ok c: 
            ok b: start d #1
            ok d: done
            = success"#]],
    );
}

#[test]
fn what_is_published_is_read_where_a_parent_fails() {
    check(
        "a b*:a c:a d*:b,c",
        "start; user a; ok b; ok d",
        expect![[r#"
        start: start a #1
        user a: skip c (upstream_failed a), start b #1 (last good of a)
        ok b: start d #1 (last good of c)
        ok d: done
        = failed"#]],
    );
    // A view has its parents to offer, unless it failed itself; a node that was never published has nothing.
    check(
        "a ?v:a b*:v,a c:v",
        "start; user a; ok b",
        expect![[r#"
        start: start a #1
        user a: skip v (upstream_failed a), skip c (upstream_failed a), start b #1 (last good of a)
        ok b: done
        = failed"#]],
    );
    check(
        "a ?v:a b*:v,a",
        "start; ok a; user v",
        expect![[r#"
        start: start a #1
        ok a: start v #1
        user v: skip b (upstream_failed v), done
        = failed"#]],
    );
    check(
        "!a b*:a",
        "start; user a",
        expect![[r#"
        start: start a #1
        user a: skip b (upstream_failed a), done
        = failed"#]],
    );
    // One parent that cannot be done without is enough.
    check(
        "a !b c*:a,b",
        "start; user a; user b",
        expect![[r#"
        start: start a #1, start b #1
        user a: 
        user b: skip c (upstream_failed b), done
        = failed"#]],
    );
}

#[test]
fn at_most_max_parallel_run_and_earlier_nodes_go_first() {
    check(
        "a b c d",
        "start; ok b; ok a; ok c; ok d",
        expect![[r#"
            start: start a #1, start b #1
            ok b: start c #1
            ok a: start d #1
            ok c: 
            ok d: done
            = success"#]],
    );
}

#[test]
fn nothing_selected_is_a_success() {
    check(
        "",
        "start",
        expect![[r#"
        start: done
        = success"#]],
    );
}

#[test]
fn reused_parents_count_as_done() {
    check(
        "a b:a",
        "start; same a; ok b",
        expect![[r#"
            start: start a #1
            same a: start b #1
            ok b: done
            = success"#]],
    );
}

#[test]
fn descendants_of_a_failure_are_skipped_and_the_rest_finishes() {
    check(
        "a x b:a c:b,x d:x",
        "start; user a; ok x; ok d",
        expect![[r#"
            start: start a #1, start x #1
            user a: skip b (upstream_failed a), skip c (upstream_failed a)
            ok x: start d #1
            ok d: done
            = failed"#]],
    );
}

#[test]
fn only_outside_failures_that_may_pass_are_tried_again() {
    check(
        "a/1 b/1 c/1",
        "start; user a; bug b; gone c",
        expect![[r#"
            start: start a #1, start b #1
            user a: start c #1
            bug b: 
            gone c: done
            = failed"#]],
    );
}

#[test]
fn tries_end_with_the_retries() {
    check(
        "a/2 b:a",
        "start; down a; waited a; down a; waited a; down a",
        expect![[r#"
            start: start a #1
            down a: wait a 500 ms
            waited a: start a #2
            down a: wait a 1000 ms
            waited a: start a #3
            down a: skip b (upstream_failed a), done
            = failed"#]],
    );
}

#[test]
fn a_waiting_node_leaves_its_place_to_others() {
    check_with(
        "a/1 b c",
        options(1, FailurePolicy::KeepGoing),
        "start; down a; waited a; ok b; ok a; ok c",
        expect![[r#"
            start: start a #1
            down a: wait a 500 ms, start b #1
            waited a: 
            ok b: start a #2
            ok a: start c #1
            ok c: done
            = success"#]],
    );
}

#[test]
fn fail_fast_stops_what_runs() {
    check_with(
        "a b c:a d e/1",
        options(3, FailurePolicy::FailFast),
        "start; user a; stopped b; ok d",
        expect![[r#"
            start: start a #1, start b #1, start d #1
            user a: skip c (upstream_failed a), skip e (fail_fast a), cancel running
            stopped b: 
            ok d: done
            = failed"#]],
    );
}

#[test]
fn interrupt_waits_for_what_runs() {
    check(
        "a b c:a d/1",
        "start; interrupt; ok a; interrupt; stopped b",
        expect![[r#"
            start: start a #1, start b #1
            interrupt: skip c (cancelled), skip d (cancelled), cancel running
            ok a: 
            interrupt: 
            stopped b: done
            = cancelled"#]],
    );
}

#[test]
fn interrupt_ends_waiting_nodes_and_their_retries() {
    check(
        "a/3 b/3 c",
        "start; down a; ok c; interrupt; down b; waited a",
        expect![[r#"
            start: start a #1, start b #1
            down a: wait a 500 ms, start c #1
            ok c: 
            interrupt: cancel a, cancel running
            down b: done
            waited a: 
            = failed"#]],
    );
}

#[test]
fn a_node_between_attempts_is_cancelled_even_when_it_waits_for_a_place() {
    check_with(
        "a/1 b",
        options(1, FailurePolicy::KeepGoing),
        "start; down a; waited a; interrupt; ok b",
        expect![[r#"
            start: start a #1
            down a: wait a 500 ms, start b #1
            waited a: 
            interrupt: cancel a, cancel running
            ok b: done
            = cancelled"#]],
    );
}

#[test]
fn interrupt_before_the_start_skips_everything() {
    check(
        "a b:a",
        "interrupt; start",
        expect![[r#"
            interrupt: skip a (cancelled), skip b (cancelled), done
            start: 
            = cancelled"#]],
    );
}

#[test]
fn interrupt_that_comes_too_late_to_stop_anything_is_a_success() {
    check(
        "a",
        "start; interrupt; ok a",
        expect![[r#"
            start: start a #1
            interrupt: cancel running
            ok a: done
            = success"#]],
    );
}

#[test]
fn abort_waits_for_nothing() {
    check(
        "a b c:a",
        "start; abort; ok a",
        expect![[r#"
            start: start a #1, start b #1
            abort: skip c (cancelled), cancel a, cancel b, done
            ok a: 
            = cancelled"#]],
    );
    check(
        "a b",
        "start; interrupt; ok a; abort",
        expect![[r#"
            start: start a #1, start b #1
            interrupt: cancel running
            ok a: 
            abort: cancel b, done
            = cancelled"#]],
    );
}

#[test]
fn late_and_unknown_events_change_nothing() {
    check(
        "a b:a",
        "ok a; start; ok b; waited a; ok nobody; ok a; user a; ok b",
        expect![[r#"
            ok a: 
            start: start a #1
            ok b: 
            waited a: 
            ok nobody: 
            ok a: start b #1
            user a: 
            ok b: done
            = success"#]],
    );
}

#[test]
fn graphs_that_cannot_run_are_refused() {
    let cases = [
        ("a a", "cannot order the nodes: `a` comes twice"),
        ("a:b", "cannot order the nodes: `a` waits for a node that was not selected"),
        ("x a:b b:a", "cannot order the nodes: `a` waits for itself"),
        ("a:a", "cannot order the nodes: `a` waits for itself"),
    ];
    for (nodes, message) in cases {
        let refused = RunState::try_new(specs(nodes), options(1, FailurePolicy::KeepGoing));
        assert_eq!(refused.unwrap_err().to_string(), message, "{nodes}");
    }
}

#[test]
fn backoff_doubles_up_to_a_limit() {
    let mut attempt = Attempt::FIRST;
    let mut delays = Vec::new();
    for _ in 0..8 {
        delays.push(backoff(attempt).as_millis());
        attempt = attempt.next();
    }
    assert_eq!(delays, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
    for _ in 0..100 {
        attempt = attempt.next();
    }
    assert_eq!(backoff(attempt), Duration::from_secs(30));
}

/// A made-up run: a graph, what becomes of every attempt, and in which order it happens.
#[derive(Debug, Clone)]
struct Story {
    nodes: Vec<NodeSpec>,
    options: RunOptions,
    /// What each attempt answers, by node and then by attempt; the last answer repeats.
    answers: BTreeMap<String, Vec<&'static str>>,
    /// Picks which of the possible events comes next.
    order: Vec<usize>,
    interrupt_at: Option<usize>,
    abort_at: Option<usize>,
}

fn stories() -> impl Strategy<Value = Story> {
    let answer = prop::sample::select(vec!["ok", "ok", "same", "user", "bug", "down", "down", "gone"]);
    let leaves = prop::sample::select(vec![Leaves::LastGood, Leaves::Nothing]);
    let node = (any::<u16>(), 0u32..3, prop::collection::vec(answer, 1..4), any::<bool>(), leaves);
    (
        prop::collection::vec(node, 0..12),
        1usize..5,
        any::<bool>(),
        prop::collection::vec(any::<usize>(), 60),
        prop::option::of(0usize..30),
        prop::option::of(0usize..30),
    )
        .prop_map(|(nodes, max_parallel, fail_fast, order, interrupt_at, abort_at)| {
            let name = |at: usize| format!("n{at}");
            let mut specs = Vec::new();
            let mut answers = BTreeMap::new();
            for (at, (parents, retries, script, uses_last_good, leaves)) in nodes.into_iter().enumerate() {
                let parents = (0..at).filter(|parent| parents & (1 << parent) != 0).map(name).collect();
                specs.push(NodeSpec { name: name(at), parents, retries, uses_last_good, leaves });
                answers.insert(name(at), script);
            }
            let policy = if fail_fast { FailurePolicy::FailFast } else { FailurePolicy::KeepGoing };
            let options = options(max_parallel, policy);
            Story { nodes: specs, options, answers, order, interrupt_at, abort_at }
        })
}

/// Plays the driver's part and checks every promise on the way.
struct World<'a> {
    story: &'a Story,
    state: RunState,
    running: BTreeMap<String, Attempt>,
    waiting: BTreeSet<String>,
    /// Nodes that have waited and may start again.
    queued: BTreeSet<String>,
    succeeded: BTreeSet<String>,
    finals: BTreeMap<String, NodeState>,
    stopping: bool,
    /// `CancelRunning` came, so running nodes may answer that they were stopped.
    cancelling: bool,
    done: bool,
}

impl<'a> World<'a> {
    fn new(story: &'a Story) -> Self {
        Self {
            story,
            state: RunState::try_new(story.nodes.clone(), story.options).unwrap(),
            running: BTreeMap::new(),
            waiting: BTreeSet::new(),
            queued: BTreeSet::new(),
            succeeded: BTreeSet::new(),
            finals: BTreeMap::new(),
            stopping: false,
            cancelling: false,
            done: false,
        }
    }

    fn play(&mut self) {
        self.apply(Event::Started);
        for (turn, choice) in self.story.order.iter().cycle().take(1000).enumerate() {
            if self.done {
                break;
            }
            let event = match turn {
                _ if self.story.abort_at == Some(turn) => Event::Aborted,
                _ if self.story.interrupt_at == Some(turn) => Event::Interrupted,
                _ => self.next(*choice).expect("a run that is not done has something to wait for"),
            };
            self.apply(event);
        }
        assert!(self.done, "the run does not end");
    }

    /// Turns a choice into the next event; `None` when nothing can happen.
    fn next(&mut self, choice: usize) -> Option<Event> {
        let at = choice.checked_rem(self.waiting.len() + self.running.len())?;
        if let Some(node) = self.waiting.iter().nth(at).cloned() {
            return Some(Event::BackoffElapsed { node });
        }
        let (node, attempt) = self.running.iter().nth(at - self.waiting.len())?;
        if self.cancelling && choice.is_multiple_of(2) {
            return Some(Event::Cancelled { node: node.clone() });
        }
        let answers = &self.story.answers[node];
        let answer = answers.get(attempt.number() as usize - 1).or(answers.last())?;
        Some(event(&format!("{answer} {node}")))
    }

    fn apply(&mut self, event: Event) {
        self.before(&event);
        let actions = step(&mut self.state, event.clone());
        let retried = actions.iter().any(|action| matches!(action, Action::Wait { .. }));
        let may_pass = matches!(event, Event::Failed { fault: Fault::External, retry: Retry::Backoff, .. });
        assert!(!retried || may_pass, "{event:?} is tried again");
        for action in actions {
            self.perform(action);
        }
        for spec in &self.story.nodes {
            let now = self.state.node_state(&spec.name).unwrap();
            let before = self.finals.get(&spec.name);
            assert!(before.is_none_or(|before| *before == now), "{} leaves its final state", spec.name);
            if now.is_final() {
                self.finals.insert(spec.name.clone(), now);
            }
        }
    }

    fn before(&mut self, event: &Event) {
        match event {
            Event::Started => {}
            Event::Finished { node, .. } => {
                self.running.remove(node);
                self.succeeded.insert(node.clone());
            }
            Event::Failed { node, .. } | Event::Cancelled { node } => {
                self.running.remove(node);
            }
            Event::BackoffElapsed { node } => {
                self.waiting.remove(node);
                self.queued.insert(node.clone());
            }
            Event::Interrupted | Event::Aborted => self.stopping = true,
        }
    }

    fn perform(&mut self, action: Action) {
        assert!(!self.done, "{action:?} comes after the end");
        match action {
            Action::Start { node, attempt, last_good } => {
                let spec = self.story.nodes.iter().find(|spec| spec.name == node).unwrap();
                assert!(!self.stopping, "{node} starts after the interrupt");
                let is_without = |parent: &String| {
                    let state = self.state.node_state(parent);
                    let has_failed = matches!(state, Some(NodeState::Failed | NodeState::Skipped));
                    spec.uses_last_good && has_failed && last_good.contains(parent)
                };
                let is_settled = |parent: &String| self.succeeded.contains(parent) || is_without(parent);
                assert!(spec.parents.iter().all(is_settled), "{node} starts early");
                assert!(attempt.number() <= spec.retries + 1, "{node} is tried too often");
                assert_eq!(self.queued.remove(&node), attempt != Attempt::FIRST, "{node} starts out of turn");
                assert!(self.running.insert(node, attempt).is_none());
                assert!(self.running.len() <= self.story.options.max_parallel.get(), "too many nodes run");
            }
            Action::Wait { node, .. } => assert!(self.waiting.insert(node)),
            Action::Skip { node, .. } => {
                let known =
                    [self.running.contains_key(&node), self.waiting.contains(&node), self.queued.contains(&node)];
                assert_eq!(known, [false; 3], "{node} was started and is skipped");
            }
            Action::Cancel { node } => {
                let known =
                    self.running.remove(&node).is_some() || self.waiting.remove(&node) || self.queued.remove(&node);
                assert!(known, "{node} is cancelled without having started");
            }
            Action::CancelRunning => {
                self.cancelling = true;
                self.stopping = true;
            }
            Action::Done => self.done = true,
        }
    }
}

proptest! {
    #[test]
    fn every_run_keeps_the_promises(story in stories()) {
        let mut world = World::new(&story);
        world.play();
        prop_assert_eq!(world.finals.len(), story.nodes.len());
        let StateCounts { succeeded, reused, failed, skipped, cancelled } = world.state.counts();
        prop_assert_eq!(succeeded + reused + failed + skipped + cancelled, story.nodes.len());
        prop_assert_eq!(succeeded + reused, world.succeeded.len());
        prop_assert!(world.running.is_empty() && world.waiting.is_empty() && world.queued.is_empty());
    }
}
