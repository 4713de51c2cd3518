//! Checks of a table: planned with it, looked at while it is written, judged before it is published.
//!
//! `conditions` plans the SQL of `where` and `expression`; the operator `CheckExec` gathers; here the
//! rest is fetched that an answer needs (`facts`, `queries`), and every check gets its outcome.
//!
//! Must stay true: nothing is written, and a check that cannot be looked at is an error of its own.

mod baselines;
mod conditions;
mod duplicates;
mod facts;
mod inspect;
mod known;
mod python;
mod queries;
mod reconcile;
mod references;
mod suspects;
mod touched;

pub use inspect::Inspected;
pub(crate) use queries::numbers;

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::catalog::TableProvider;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::physical_plan::ExecutionPlan;
use windlass_error::Diagnostic;
use windlass_project::checks::{CheckDefinition, CheckKind, OnFail};
use windlass_project::{Node, Project};

pub(crate) use baselines::gather;

use crate::checks::evaluate::evaluate;
use crate::checks::facts::{Baselines, Facts, Unanswered};
use crate::checks::outcome::CheckOutcome;
use crate::checks::part::State;
use crate::checks::program::Answer;
use crate::checks::suspects::Suspected;
use crate::checks::text::count;
use crate::operators::check::{CheckExec, CheckSpec, Gathered, Writing};
use crate::planner::{Plan, Reading, Tables};
use crate::session::PlanStyle;
use crate::{Engine, Error};

/// A table that is looked at.
pub(crate) struct Subject<'a> {
    /// Its node.
    pub(crate) node: &'a Node,
    /// Its rows.
    pub(crate) rows: Arc<dyn TableProvider>,
    /// What else there is to read.
    pub(crate) reading: Reading<'a>,
    /// The time of the run, in microseconds since 1970.
    pub(crate) now_us: i64,
    /// Whether its rows are those of the published version, so that the one before is the last.
    pub(crate) is_published: bool,
    /// All rows of the table as it will be, with their number, where those that are looked at are added to it.
    pub(crate) whole: Option<(Arc<dyn TableProvider>, u64)>,
}

/// How rows are looked at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Looking {
    /// What becomes of rows that are about to be written.
    pub(crate) writing: Option<Writing>,
    /// Which keys leave the table.
    pub(crate) suspects: Suspected,
    /// The stored profiles that drift is measured from, where they have been read. All plans over parts of a table
    /// must be given the same ones.
    pub(crate) stored: Option<Arc<Baselines>>,
}

/// Leaves as many offending rows with each outcome as its check wants to be shown.
pub(crate) fn shorten(node: &Node, outcomes: &mut [CheckOutcome]) {
    for outcome in outcomes {
        let check = node.checks.iter().find(|check| check.name == outcome.check);
        let mut room = check.map_or(0, |check| check.sample_rows);
        outcome.examples.retain_mut(|rows| {
            *rows = rows.slice(0, room.min(rows.num_rows()));
            room -= rows.num_rows();
            rows.num_rows() > 0
        });
    }
}

/// Why checks keep a table from being published, besides their outcomes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckFailure {
    /// That more rows failed than may, where they did.
    pub over_budget: Option<String>,
    /// After how many rows the work was ended, where that was before the last.
    pub stopped_after: Option<u64>,
    /// Whether its rows can be looked at as `<table>@candidate`.
    pub has_candidate: bool,
    /// Whether its rows were there already and stay: a check has changed, or they are those of others.
    pub stays: bool,
}

impl CheckFailure {
    /// Returns whether the table cannot be published, whatever its checks say.
    pub(crate) fn blocks(&self) -> bool {
        self.over_budget.is_some() || self.stopped_after.is_some()
    }
}

impl Engine {
    /// Returns what is wrong with the checks of a node whose columns are known.
    pub(crate) async fn check_mistakes(&self, project: &Project, node: &Node, plan: &Plan) -> Vec<Diagnostic> {
        let Some(planned) = plan.nodes.get(&node.name).filter(|_| !node.checks.is_empty()) else {
            return Vec::new();
        };
        let (schema, reading) = (&planned.schema, &Reading { project, plan, tables: Tables::BySchema });
        let state = self.session.context(PlanStyle::Fast).state();
        let (conditions, mut mistakes) = conditions::plan(&node.name, &node.checks, schema, &state);
        let is_planned =
            |check: &&CheckDefinition| conditions::of(check).all(|text| conditions.contains_key(&text.text));
        let checks: Vec<CheckDefinition> = node.checks.iter().filter(is_planned).cloned().collect();
        let spec = CheckSpec { node: node.name.clone(), checks: checks.into(), conditions, ..CheckSpec::default() };
        mistakes.extend(spec.compile(schema).err().unwrap_or_default());
        for check in node.checks.iter() {
            mistakes.extend(crate::python::check_mistake(node, check, schema));
            if let CheckKind::Sql { query } = &check.kind {
                mistakes.extend(self.query_mistake(node, (query, &check.location.file), reading).await);
            }
        }
        mistakes
    }

    /// Returns a plan that looks at the rows of `plan` on their way.
    pub(crate) fn with_checks(
        &self,
        node: &Node,
        plan: Arc<dyn ExecutionPlan>,
        state: &SessionState,
        looking: Looking,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        if node.checks.is_empty() {
            return Ok(plan);
        }
        let spec = spec(&node.name, &node.checks, &plan.schema(), state)
            .map_err(|diagnostics| DataFusionError::External(Box::new(Error::Mistakes { diagnostics })))?;
        let Looking { writing, suspects, stored } = looking;
        Ok(Arc::new(CheckExec::try_new(plan, CheckSpec { writing, suspects, stored, ..spec })?))
    }

    /// Returns the outcome of every check of a table whose rows have been looked at.
    pub(crate) async fn audit(
        &self,
        subject: &Subject<'_>,
        mut gathered: Gathered,
    ) -> Result<Vec<CheckOutcome>, Error> {
        if gathered.is_cut_short {
            let facts = Facts { is_cut_short: true, ..Facts::default() };
            return Ok(evaluate(&gathered.part, &gathered.schema, &facts));
        }
        gathered.part.settle();
        let mut facts = self.facts(subject, gathered.part.program(), gathered.stored.as_ref()).await?;
        let program = Arc::clone(gathered.part.program());
        for check in &program.checks {
            let state = match check.answer {
                Answer::Measure(at) => Some(&gathered.part.states[at]),
                _ => None,
            };
            let answer = match state {
                Some(State::KeyCounts(counts)) if matches!(check.definition.kind, CheckKind::Relationships { .. }) => {
                    self.look_up_keys(subject, &check.definition, counts).await
                }
                Some(State::Unique(set)) if set.is_abandoned => self.look(subject, &check.definition).await,
                None if check.answer == Answer::Query => match gathered.answered.remove(&check.definition.name) {
                    Some(answer) => answer,
                    None => self.look(subject, &check.definition).await,
                },
                _ => continue,
            };
            let answer = self.among_those_looked_at(subject, &check.definition, answer).await;
            facts.queried.insert(check.definition.name.clone(), answer);
        }
        let mut outcomes = evaluate(&gathered.part, &gathered.schema, &facts);
        for (outcome, check) in outcomes.iter_mut().zip(&gathered.part.program().checks) {
            let Answer::Measure(at) = check.answer else { continue };
            let State::Unique(set) = &gathered.part.states[at] else { continue };
            if outcome.examples.is_empty()
                && outcome.failing.is_some_and(|failing| failing > 0)
                && let Some(found) = set.finish()
                && let Ok(examples) = self.named(subject, &check.definition, &found.frequent).await
            {
                outcome.examples = examples;
            }
        }
        Ok(outcomes)
    }
}

/// Returns why a table was not published, for people: each check that stands in the way, and too many
/// error rows with those that made them.
pub(crate) fn told(table: &str, outcomes: &[CheckOutcome], failure: &CheckFailure) -> String {
    let blocking = outcomes.iter().filter(|outcome| outcome.blocks()).count();
    let why = match blocking {
        0 => "has too many error rows",
        1 => "breaks a check",
        _ => "breaks checks",
    };
    let is_to_blame = |outcome: &&CheckOutcome| {
        let diverts = outcome.on_fail == OnFail::Quarantine && outcome.failing.is_some_and(|rows| rows > 0);
        outcome.blocks() || (failure.over_budget.is_some() && diverts)
    };
    let end = if failure.stays { "" } else { " and was not published" };
    let mut lines = vec![format!("table `{table}` {why}{end}")];
    lines.extend(outcomes.iter().filter(is_to_blame).map(line));
    lines.extend(failure.over_budget.clone());
    lines.extend(failure.stopped_after.map(|rows| format!("stopped after {} rows", count(rows))));
    lines.join("\n")
}

/// Returns an outcome in one line, with an example where there is one.
pub fn line(outcome: &CheckOutcome) -> String {
    let mut text = format!("{} {}: {}", outcome.status.name(), outcome.check, outcome.detail);
    if !outcome.bound.is_empty() {
        text.push_str(&format!(", {}", outcome.bound));
    }
    if let Some(example) = outcome.examples.first().and_then(spell) {
        text.push_str(&format!(", such as {example}"));
    }
    if let Some(table) = &outcome.stored_in {
        text.push_str(&format!(", more in {table}"));
    }
    text.push_str(&format!(" ({})", outcome.location));
    text
}

/// Spells the first row of a batch: `id=3, amount=null`.
fn spell(rows: &RecordBatch) -> Option<String> {
    const COLUMNS: usize = 8;
    let options = FormatOptions::default().with_null("null");
    let mut parts = Vec::new();
    for (field, column) in rows.schema().fields().iter().zip(rows.columns()).take(COLUMNS) {
        let value = ArrayFormatter::try_new(column.as_ref(), &options).ok()?.value(0).to_string();
        let value: String = value.chars().take(40).collect();
        parts.push(format!("{}={value}", field.name()));
    }
    if rows.num_columns() > COLUMNS {
        parts.push("...".to_string());
    }
    Some(parts.join(" "))
}

/// Returns what the operator needs to look at some checks of a node.
fn spec(
    node: &str,
    checks: &[CheckDefinition],
    schema: &SchemaRef,
    state: &SessionState,
) -> Result<CheckSpec, Vec<Diagnostic>> {
    let (conditions, mistakes) = conditions::plan(node, checks, schema, state);
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    Ok(CheckSpec { node: node.to_string(), checks: checks.into(), conditions, ..CheckSpec::default() })
}

/// Returns why a check could not be looked at: in the user's code with the line that is to blame.
fn unanswered(error: &Error) -> Unanswered {
    let blame = match error {
        Error::Compute { blame: Some(blame), .. } => Some(blame.as_ref()),
        _ => None,
    };
    let why = blame.map_or_else(|| reason(error), |blame| blame.message.clone());
    Unanswered { why: format!("cannot be looked at: {why}"), at: blame.and_then(|blame| blame.location.clone()) }
}

/// Returns why something could not be looked at, in a line.
fn reason(error: &Error) -> String {
    match error {
        Error::Compute { source, .. } => source.strip_backtrace(),
        Error::ReadProfile { source, .. } => format!("{error}: {source}"),
        Error::OpenTable { source, .. } => format!("{error}: {source}"),
        other => other.to_string(),
    }
}
