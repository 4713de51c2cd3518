//! `windlass plan`: every check that a run makes before its first row, what it would do, and why.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use chrono::SecondsFormat;
use indexmap::IndexMap;
use windlass_engine::{Ask, Continuation, Decision, Plan, Reason, ReasonKind, Sample, Standing};
use windlass_error::Diagnostic;
use windlass_project::{Node, NodeKind, OnUpstreamFailure, Project, Target};
use windlass_runner::{Clock, NodeHistory, SystemClock};

use super::run::again;
use crate::check::{self, Checked, Purpose};
use crate::choice::{self, Choice};
use crate::cli::{Format, PlanArgs};
use crate::intervals::Flags;
use crate::printer::Printer;
use crate::report::{Mistakes, Status};
use crate::settings::Settings;
use crate::style::Paint;
use crate::wire::{Continues, LastRun, PlanReason, PlanReport, PlannedNode, WireSample};
use crate::{human, intervals, open, sampling};

/// What only a run can find out.
const NOT_CHECKED: [&str; 3] = ["values", "divisions by zero", "casts of text"];
/// What only a run of Python can find out.
const NOT_CHECKED_PYTHON: &str = "what Python answers";

/// Checks the selected nodes and prints what a run would do.
pub(super) fn run(args: &PlanArgs, settings: &Settings, printer: &Printer) -> anyhow::Result<Status> {
    let begun = Instant::now();
    let loaded = open::load(settings, &args.vars.vars)?;
    let place = loaded.project.as_ref().map(place);
    let checked = choice::choose(loaded, &args.select).and_then(|choice| {
        let PlanArgs { full_refresh, no_cache, intervals, subset, .. } = args;
        sampling::permit(subset.sample, &choice.project.target)?;
        let choice = if subset.failed { again::failed(choice)?.choice } else { choice };
        let flags = Flags { full_refresh: *full_refresh, no_cache: *no_cache, intervals };
        let ask = intervals::ask(&flags, &choice)?;
        Ok((check::check(choice, Purpose::Run(subset.sample), None, settings, printer)?, ask))
    });
    let (checked, ask) = match checked {
        Ok(checked) => checked,
        Err(error) => {
            if let (Format::Json, Some(mistakes)) = (args.format, error.downcast_ref::<Mistakes>()) {
                printer.json("plan", &failed(place, &mistakes.diagnostics))?;
            }
            return Err(error);
        }
    };
    let decisions = checked.session.block_on(Box::pin(decide(&checked, args, ask)))?;
    let history = history(&checked.choice.project);
    let Checked { choice, plan, session } = &checked;
    let volatile = |node: &Node| Some((node.name.clone(), session.engine.volatile(&choice.project, plan, node)?));
    let volatile = to_run(choice).filter_map(volatile).collect();
    let sample = args.subset.sample;
    let outlook = Outlook { choice, plan, decisions, history, volatile, sample };
    match args.format {
        Format::Json => printer.json("plan", &report(&outlook))?,
        Format::Text => printer.data(&text(&outlook, begun, printer.data_paint()))?,
    }
    let builds = outlook.decisions.values().any(|decision| !matches!(decision, Decision::Reuse(_)));
    Ok(if args.exit_code && builds { Status::Changes } else { Status::Done })
}

/// Where a run would work.
#[derive(Debug, Clone, Default)]
struct Place {
    target: String,
    env: String,
    base: Option<String>,
    lake: String,
}

/// What a run would do, and what is known from earlier ones.
struct Outlook<'a> {
    choice: &'a Choice,
    plan: &'a Plan,
    /// By node that publishes a table, in order.
    decisions: IndexMap<String, Decision>,
    history: HashMap<String, NodeHistory>,
    /// What makes nodes new every time.
    volatile: HashMap<String, String>,
    /// The share of rows of sources that is read, where not all of them are.
    sample: Option<Sample>,
}

/// Decides for each selected node that publishes a table or trains a model, in order: what is built before counts.
async fn decide(
    checked: &Checked,
    args: &PlanArgs,
    ask: Ask<'_>,
) -> Result<IndexMap<String, Decision>, windlass_engine::Error> {
    let ask = Ask { now_us: SystemClock::new().now().timestamp_micros(), ..ask };
    let Checked { choice, plan, session } = checked;
    let (mut upcoming, mut failing) = (BTreeSet::new(), BTreeSet::new());
    let mut decisions = IndexMap::new();
    for node in to_run(choice).filter(|node| node.is_kept()) {
        let is_incremental = node.config.incremental.is_some();
        let is_skipped = node.config.on_upstream_failure == OnUpstreamFailure::Skip;
        let failed = reads(&choice.project, node, &failing).filter(|_| is_skipped).map(str::to_owned);
        let decision = match (args.full_refresh, args.no_cache) {
            _ if failed.is_some() => skipped(&failed.unwrap_or_default()),
            _ if is_incremental => session.engine.decide(&choice.project, plan, node, (&upcoming, &ask)).await?,
            (true, _) => Decision::Build(Reason::forced("--full-refresh")),
            (false, true) => Decision::Build(Reason::forced("--no-cache")),
            (false, false) => session.engine.decide(&choice.project, plan, node, (&upcoming, &ask)).await?,
        };
        match decision {
            Decision::Build(_) => {
                upcoming.insert(node.name.clone());
            }
            Decision::Fail(_) => {
                failing.insert(node.name.clone());
            }
            Decision::Check(..) | Decision::Reuse(_) => {}
        }
        decisions.insert(node.name.clone(), decision);
    }
    Ok(decisions)
}

fn skipped(failed: &str) -> Decision {
    let text = format!("reads `{failed}`, which fails");
    Decision::Fail(Reason { kind: ReasonKind::Upstream, text, intervals: None, continues: None })
}

/// Returns the first of some nodes that a node reads, itself or through views.
fn reads<'a>(project: &'a Project, node: &'a Node, names: &BTreeSet<String>) -> Option<&'a str> {
    node.inputs().iter().find_map(|input| {
        if names.contains(&input.node) {
            return Some(input.node.as_str());
        }
        let view = project.nodes.get(&input.node).filter(|input| input.kind_name() == "view")?;
        reads(project, view, names)
    })
}

/// Returns the last success of each node. An estimate is not worth a failure.
pub(super) fn history(project: &Project) -> HashMap<String, NodeHistory> {
    let store = open::existing_store(project).ok().flatten();
    let target = &project.target;
    let Some(store) = store else { return HashMap::new() };
    let of = |env: &String| store.last_successes(&target.lake, env).unwrap_or_default();
    // What was never built here takes as long as in the base.
    let mut known = target.base.as_ref().map(of).unwrap_or_default();
    known.extend(of(&target.env));
    known
}

/// Returns the selected nodes that a run has something to do for, in order.
fn to_run(choice: &Choice) -> impl Iterator<Item = &Node> {
    let nodes = choice.project.nodes.values();
    nodes.filter(|node| choice.nodes.contains(&node.name) && !matches!(node.kind, NodeKind::Source(_)))
}

fn action(decision: Option<&Decision>) -> &'static str {
    match decision {
        Some(Decision::Build(_)) => "build",
        Some(Decision::Check(..)) => "check",
        Some(Decision::Reuse(_)) => "reuse",
        Some(Decision::Fail(Reason { kind: ReasonKind::Upstream, .. })) => "skip",
        Some(Decision::Fail(_)) => "fail",
        None => "view",
    }
}

fn text(outlook: &Outlook<'_>, begun: Instant, paint: Paint) -> String {
    let Outlook { choice, plan, decisions, .. } = outlook;
    let nodes: Vec<&Node> = to_run(choice).collect();
    let took = human::duration(begun.elapsed());
    let target = &choice.project.target;
    let base = target.base.as_ref().map(|base| format!(", base {base}")).unwrap_or_default();
    let mut lines = vec![format!("target {}, env {}{base}, planned in {took}", target.name, target.env)];
    lines.extend(outlook.sample.map(|sample| sampling::told(sample, &choice.project, plan)));
    lines.push(String::new());
    let width = nodes.iter().map(|node| node.name.chars().count()).max().unwrap_or_default();
    for node in &nodes {
        let columns = plan.nodes.get(&node.name).map_or(0, |planned| planned.schema.fields().len());
        let columns = human::counted(columns as u64, "column");
        let decision = decisions.get(&node.name);
        let why = match decision {
            Some(Decision::Build(reason)) => format!("  {}{}", reason.text, continues(reason)),
            Some(Decision::Fail(reason)) => format!("  {}", reason.text),
            Some(Decision::Check(standing, checks)) => {
                format!("  unchanged, {}; {}", version(standing), changed(checks))
            }
            Some(Decision::Reuse(standing)) => {
                let is_kept = node.config.on_volatile == windlass_project::OnVolatile::Keep;
                let kept = outlook.volatile.get(&node.name).filter(|_| is_kept);
                let kept = kept.map(|what| format!("; volatile and kept: {what}"));
                paint.faint(&format!("  unchanged, {}{}", version(standing), kept.unwrap_or_default()))
            }
            None => String::new(),
        };
        let facts = paint.faint(&format!("{}{}", last_time(node, outlook), code(node)));
        lines.push(format!("  {:5}  {:width$}  {columns:>10}{why}{facts}", action(decision), node.name));
    }
    lines.push(String::new());
    let counts = counts(outlook, nodes.len());
    lines.push(format!("{counts}. Names and types fit; not checked: {}.", not_checked(&nodes).join(", ")));
    lines.join("\n")
}

/// Returns how many nodes are built and how many are not: `2 to build, about 1.2 s; 4 unchanged, 1 view`.
fn counts(outlook: &Outlook<'_>, nodes: usize) -> String {
    let built = outlook.decisions.iter().filter(|(_, decision)| matches!(decision, Decision::Build(_)));
    let built: Vec<&String> = built.map(|(name, _)| name).collect();
    let known: Option<Vec<Duration>> =
        built.iter().map(|name| outlook.history.get(*name).map(|last| last.elapsed)).collect();
    let estimate = match known {
        Some(known) if !known.is_empty() => format!(", {} last time", human::duration(known.iter().sum())),
        _ => String::new(),
    };
    let failing = outlook.decisions.values().filter(|decision| matches!(decision, Decision::Fail(_))).count();
    let reused = outlook.decisions.len() - built.len() - failing;
    let fails = if failing > 0 { format!(", {failing} not possible") } else { String::new() };
    let views = human::counted((nodes - outlook.decisions.len()) as u64, "view");
    format!("{} to build{estimate}{fails}, {reused} unchanged, {views}", built.len())
}

/// Returns what a Python node calls: `python ScoreFlights in transforms/ml/score_flights.py`.
fn code(node: &Node) -> String {
    let called = node.python().map(|python| &python.code).or(node.python_model().map(|model| &model.code));
    match called {
        Some(code) => format!("  python {} in {}", code.object, node.file.path.display()),
        None => String::new(),
    }
}

fn not_checked(nodes: &[&Node]) -> Vec<&'static str> {
    let python =
        nodes.iter().any(|node| node.python().is_some() || node.python_model().is_some()).then_some(NOT_CHECKED_PYTHON);
    NOT_CHECKED.into_iter().chain(python).collect()
}

/// Returns what the last success of a node that is built wrote, and how long it took.
fn last_time(node: &Node, outlook: &Outlook<'_>) -> String {
    match (outlook.history.get(&node.name), outlook.decisions.get(&node.name)) {
        (Some(last), Some(Decision::Build(_))) => {
            format!("  last time {} in {}", human::counted(last.rows, "row"), human::duration(last.elapsed))
        }
        _ => String::new(),
    }
}

fn place(project: &Project) -> Place {
    let Target { name, env, base, lake, .. } = project.target.clone();
    Place { target: name, env, base, lake }
}

fn report(outlook: &Outlook<'_>) -> PlanReport {
    let Outlook { choice, plan, decisions, history, .. } = outlook;
    let place = place(&choice.project);
    let node = |node: &Node| {
        let planned = plan.nodes.get(&node.name);
        let columns = planned.map(|planned| windlass_engine::columns(&planned.schema)).unwrap_or_default();
        let decision = decisions.get(&node.name);
        let stays = decision.and_then(standing);
        PlannedNode {
            name: node.name.clone(),
            kind: node.kind_name(),
            action: action(decision),
            reason: decision.and_then(reason),
            table_version: stays.map(|standing| standing.version),
            table_env: stays.map(|standing| standing.base.clone().unwrap_or_else(|| place.env.clone())),
            volatile: outlook.volatile.get(&node.name).cloned(),
            inputs: choice.project.graph.parents(&node.name).to_vec(),
            columns: columns.into_iter().map(Into::into).collect(),
            last_run: history.get(&node.name).filter(|_| node.is_kept()).map(last_run),
        }
    };
    let chosen: Vec<&Node> = to_run(choice).collect();
    let not_checked = not_checked(&chosen);
    let nodes = chosen.into_iter().map(node).collect();
    let Place { target, env, base, lake } = place.clone();
    let sample = outlook.sample.map(|sample| WireSample::new(sample, &choice.project, plan));
    PlanReport { target, env, base, lake, sample, nodes, not_checked, diagnostics: Vec::new() }
}

fn reason(decision: &Decision) -> Option<PlanReason> {
    match decision {
        Decision::Build(reason) | Decision::Fail(reason) => Some(PlanReason {
            kind: reason.kind.as_str(),
            text: reason.text.clone(),
            intervals: reason.intervals.as_ref().map(Into::into),
            continues: reason.continues.map(|Continuation { rows, of }| Continues { rows, of }),
        }),
        Decision::Check(_, checks) => {
            Some(PlanReason { kind: "check", text: changed(checks), intervals: None, continues: None })
        }
        Decision::Reuse(_) => None,
    }
}

/// Returns what an earlier attempt has done of a node that is built: `; continues: 10 of 20 rows are done`.
fn continues(reason: &Reason) -> String {
    let told = |Continuation { rows, of }| format!("; continues: {}", human::continued(rows, of));
    reason.continues.map(told).unwrap_or_default()
}

fn changed(checks: &[String]) -> String {
    match checks {
        [one] => format!("check {one} is to be made"),
        several => format!("checks {} are to be made", several.join(", ")),
    }
}

/// Returns which version stays, and of which base: `version 3 of prod`.
fn version(standing: &Standing) -> String {
    let base = standing.base.as_ref().map(|base| format!(" of {base}")).unwrap_or_default();
    format!("version {}{base}", standing.version)
}

fn standing(decision: &Decision) -> Option<&Standing> {
    match decision {
        Decision::Build(_) | Decision::Fail(_) => None,
        Decision::Check(standing, _) | Decision::Reuse(standing) => Some(standing),
    }
}

fn failed(place: Option<Place>, diagnostics: &[Diagnostic]) -> PlanReport {
    let Place { target, env, base, lake } = place.unwrap_or_default();
    let diagnostics = diagnostics.iter().map(Into::into).collect();
    let not_checked = NOT_CHECKED.to_vec();
    PlanReport { target, env, base, lake, sample: None, nodes: Vec::new(), not_checked, diagnostics }
}

fn last_run(history: &NodeHistory) -> LastRun {
    LastRun {
        started_at: history.started_at.to_rfc3339_opts(SecondsFormat::Millis, true),
        elapsed_ms: u64::try_from(history.elapsed.as_millis()).unwrap_or(u64::MAX),
        rows: history.rows,
        bytes: history.bytes,
    }
}
