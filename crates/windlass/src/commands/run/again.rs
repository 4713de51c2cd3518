//! Runs that go on from an earlier one: `run --failed` and `runs resume`.
//!
//! What a run was asked for, and which nodes it was to do, stands in the run store; what is published stands in the lake.
//! So a continued run does what any run does, with the selection of the one before.

use std::collections::{BTreeMap, BTreeSet};

use windlass_project::{NodeKind, Project, parse_time, spell_time};
use windlass_runner::{RunArguments, RunDetail, RunStore};

use crate::choice::Choice;
use crate::cli::{Format, IntervalArgs, RunArgs, SelectArgs, SubsetArgs, VarsArgs};
use crate::compose::Continued;
use crate::open;
use crate::refusal::Refusal;

/// The command whose runs can be continued.
pub(in crate::commands) const COMMAND: &str = "run";

/// The nodes of an earlier run that are to be done again.
pub(in crate::commands) struct Failed {
    /// What is left of the choice.
    pub(in crate::commands) choice: Choice,
    /// The run.
    pub(in crate::commands) run_id: String,
}

/// Leaves of chosen nodes those that the last run of the environment did not get done, and what they need of its nodes.
pub(in crate::commands) fn failed(choice: Choice) -> anyhow::Result<Failed> {
    let target = &choice.project.target;
    let refused = |what: &str| {
        let refusal = Refusal::new(format!("no run of `{}` {what}, so nothing is known to have failed", target.env));
        anyhow::Error::from(refusal.hint("run everything that has changed: windlass run"))
    };
    let store = open::existing_store(&choice.project)?.ok_or_else(|| refused("yet"))?;
    let last = last_run(&store, |run| run.env == target.env && run.lake == target.lake)?;
    let last = last.ok_or_else(|| refused("yet"))?;
    let Some(arguments) = &last.run.arguments else { return Err(refused("says which nodes it was to do")) };
    let ends = last.ends();
    let of_run: BTreeSet<&str> = arguments.nodes.iter().map(String::as_str).collect();
    let mut again = BTreeSet::new();
    let is_open = |name: &&str| !ends.get(name).copied().unwrap_or_default();
    let mut waiting: Vec<&str> = of_run.iter().copied().filter(is_open).collect();
    while let Some(name) = waiting.pop() {
        if of_run.contains(name) && again.insert(name.to_owned()) {
            waiting.extend(choice.project.graph.parents(name).iter().map(String::as_str));
        }
    }
    let nodes: BTreeSet<String> = choice.nodes.intersection(&again).cloned().collect();
    let text = Some(names(&choice.project, &nodes).join(" ")).filter(|text| !text.is_empty());
    let run_id = last.run.run_id;
    Ok(Failed { choice: Choice { nodes, text, ..choice }, run_id })
}

/// Returns what a run is asked for, as the store keeps it.
pub(super) fn arguments(args: &RunArgs, choice: &Choice, continued: &Continued) -> RunArguments {
    let RunArgs { select, vars, intervals, no_cache, full_refresh, subset, fail_fast, .. } = args;
    let nodes = names(&choice.project, &choice.nodes);
    // What has failed before is known to the run before only.
    let select = match subset.failed {
        true => SelectArgs { select: nodes.clone(), ..SelectArgs::default() },
        false => select.clone(),
    };
    RunArguments {
        select: select.selections.into_iter().chain(select.select).collect(),
        exclude: select.exclude,
        vars: vars.vars.clone(),
        from: intervals.from.map(spell_time),
        to: intervals.to.map(spell_time),
        sample: subset.sample.map(|sample| sample.to_string()),
        no_cache: *no_cache,
        full_refresh: *full_refresh,
        fail_fast: *fail_fast,
        nodes,
        resumes: continued.runs.first().cloned(),
    }
}

/// Returns the flags of a run that is asked for the same again.
pub(in crate::commands) fn flags(
    arguments: &RunArguments,
    (yes, threads, format): (bool, Option<u16>, Format),
) -> RunArgs {
    let RunArguments { select, exclude, vars, from, to, sample, no_cache, full_refresh, fail_fast, .. } =
        arguments.clone();
    let time = |text: Option<String>| text.and_then(|text| parse_time(&text));
    RunArgs {
        select: SelectArgs { selections: Vec::new(), select, exclude },
        vars: VarsArgs { vars },
        intervals: IntervalArgs { from: time(from), to: time(to) },
        subset: SubsetArgs { failed: false, sample: sample.and_then(|sample| sample.parse().ok()) },
        no_cache,
        full_refresh,
        fail_fast,
        yes,
        threads,
        format,
    }
}

/// Returns what a run and those that it continues have done. Of each node the newest word counts.
pub(in crate::commands) fn done_by(store: &RunStore, last: &RunDetail) -> anyhow::Result<Continued> {
    let mut continued = Continued::default();
    let mut ends: BTreeMap<String, bool> = BTreeMap::new();
    let mut next = Some(last.clone());
    while let Some(detail) = next {
        for (node, is_done) in detail.ends() {
            ends.entry(node.to_owned()).or_insert(is_done);
        }
        let before = detail.run.arguments.and_then(|arguments| arguments.resumes);
        continued.runs.push(detail.run.run_id);
        next = before.filter(|id| !continued.runs.contains(id)).map(|id| store.run(&id)).transpose()?;
    }
    continued.done = ends.into_iter().filter(|(_, is_done)| *is_done).map(|(node, _)| node).collect();
    Ok(continued)
}

/// Returns the newest run of `windlass run` that fits.
pub(in crate::commands) fn last_run(
    store: &RunStore,
    fits: impl Fn(&windlass_runner::RunRow) -> bool,
) -> anyhow::Result<Option<RunDetail>> {
    let runs = store.runs(usize::MAX)?;
    let last = runs.into_iter().find(|run| run.command == COMMAND && fits(run));
    Ok(last.map(|run| store.run(&run.run_id)).transpose()?)
}

/// Returns the nodes that a run does something for, in order.
fn names(project: &Project, nodes: &BTreeSet<String>) -> Vec<String> {
    let is_done = |name: &&String| {
        nodes.contains(*name) && project.nodes.get(*name).is_some_and(|node| !matches!(node.kind, NodeKind::Source(_)))
    };
    project.graph.order().iter().filter(is_done).cloned().collect()
}
