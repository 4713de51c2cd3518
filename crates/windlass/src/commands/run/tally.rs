//! Keeps count of how each node of a run ended, for the last line and for JSON.

use std::time::Duration;

use indexmap::IndexMap;
use windlass_engine::IntervalsDone;
use windlass_error::Fault;
use windlass_project::Project;
use windlass_runner::{
    Attempt, NodeOutcome, Observer, OutcomeKind, RunEvent, RunId, RunReason, RunSummary, SharedError,
};

use crate::verdicts::Verdicts;
use crate::wire::{RunNode, RunReport, WireError};
use crate::{human, report, usage};

/// How each node ended, in the order of the run.
pub(super) struct Tally {
    nodes: IndexMap<String, RunNode>,
    kinds: IndexMap<String, &'static str>,
    /// Rows that were tried and did not fail, of nodes with an error table.
    passed: IndexMap<String, u64>,
    /// The environment of the run.
    env: String,
}

impl Tally {
    /// Returns a tally in which nothing has happened.
    pub(super) fn new(project: &Project) -> Self {
        let kinds = project.nodes.values().map(|node| (node.name.clone(), node.kind_name())).collect();
        Self { nodes: IndexMap::new(), kinds, passed: IndexMap::new(), env: project.target.env.clone() }
    }

    /// Returns the tables that an attempt began to build and did not publish, and those that took
    /// more than one attempt.
    pub(super) fn unpublished(&self) -> impl Iterator<Item = &str> {
        let is_left = |node: &&RunNode| match node.kind {
            // A model stages nothing in the lake.
            "view" | "source" | "model" => false,
            _ => node.attempts > 1 || (node.attempts > 0 && !["success", "reused"].contains(&node.outcome)),
        };
        self.nodes.values().filter(is_left).map(|node| node.name.as_str())
    }

    /// Returns the tables that were published, each with the rows that were tried and did not fail: those of the table
    /// where no error table tells.
    pub(super) fn published(&self) -> impl Iterator<Item = (&RunNode, u64)> {
        let published = self.nodes.values().filter(|node| node.outcome == "success" && node.kind != "model");
        published.map(|node| (node, self.passed.get(&node.name).copied().or(node.rows).unwrap_or_default()))
    }

    /// Returns the run in a few words: `Published 5 of 6 to prod, 1 failed`.
    pub(super) fn headline(&self, env: &str, summary: &RunSummary) -> String {
        let tables: Vec<&RunNode> =
            self.nodes.values().filter(|node| !["view", "source"].contains(&node.kind)).collect();
        let published = tables.iter().filter(|node| node.outcome == "success").count();
        let counts = summary.counts;
        if !tables.is_empty() && counts.reused == tables.len() {
            return stays(&tables, env);
        }
        let mut text = format!("Published {published} of {} to {env}", tables.len());
        let parts = [
            (counts.reused, "unchanged"),
            (counts.failed, "failed"),
            (counts.skipped, "skipped"),
            (counts.cancelled, "cancelled"),
        ];
        for (count, word) in parts.into_iter().filter(|(count, _)| *count > 0) {
            text.push_str(&format!(", {count} {word}"));
        }
        if summary.reason == Some(RunReason::Stopped(windlass_runner::CancelReason::LeaseLost)) {
            text.push_str(", stopped because another run took over the lease");
        }
        text
    }

    /// Returns the run for JSON.
    pub(super) fn report(
        &self,
        project: &Project,
        run_id: &RunId,
        selection: Option<String>,
        (summary, verdicts): (&RunSummary, &Verdicts),
    ) -> RunReport {
        let target = &project.target;
        RunReport {
            run_id: run_id.to_string(),
            target: target.name.clone(),
            env: target.env.clone(),
            lake: target.lake.clone(),
            selection,
            sample: None,
            resumes: None,
            outcome: summary.outcome.as_str(),
            reason: summary.reason.map(RunReason::as_str),
            rows: summary.rows,
            bytes: summary.bytes,
            files: summary.files,
            error_rows: summary.error_rows,
            null_rows: self.nodes.values().filter_map(|node| node.null_rows).sum(),
            retries: summary.retries,
            elapsed_ms: milliseconds(summary.elapsed),
            cpu_ms: usage::cpu_time().map(milliseconds),
            peak_memory_bytes: windlass_engine::peak_memory_bytes(),
            nodes: self
                .nodes
                .values()
                .map(|node| RunNode { checks: verdicts.of(&node.name), ..node.clone() })
                .collect(),
        }
    }

    /// Notes how many rows without a time a node has left out.
    pub(super) fn left_out(&mut self, name: &str, rows: u64) {
        self.node(name).left_out_rows = Some(rows);
    }

    /// Notes how far a table by interval has come.
    pub(super) fn intervals(&mut self, name: &str, intervals: &IntervalsDone) {
        let node = self.node(name);
        node.intervals = Some(intervals.into());
        node.left_out_rows.get_or_insert(0);
    }

    /// Returns what is to be said of rows without a time, a line for each node that has left out some.
    pub(super) fn without_time(&self, project: &Project) -> Vec<String> {
        let line = |node: &RunNode| {
            let rows = node.left_out_rows.filter(|rows| *rows > 0)?;
            let column = &project.nodes.get(&node.name)?.by_interval()?.time_column;
            let are = if rows == 1 { "is" } else { "are" };
            Some(format!(
                "{}  {} {are} in no interval and left out: `{column}` is NULL",
                node.name,
                human::counted(rows, "row")
            ))
        };
        self.nodes.values().filter_map(line).collect()
    }

    fn node(&mut self, name: &str) -> &mut RunNode {
        let kind = self.kinds.get(name).copied().unwrap_or("table");
        self.nodes.entry(name.to_owned()).or_insert_with(|| RunNode {
            name: name.to_owned(),
            kind,
            outcome: "cancelled",
            reason: None,
            failed_node: None,
            attempts: 0,
            last_good: Vec::new(),
            rows: None,
            error_rows: None,
            null_rows: None,
            bytes: None,
            files: None,
            table_version: None,
            table_env: None,
            intervals: None,
            left_out_rows: None,
            elapsed_ms: None,
            error: None,
            checks: Vec::new(),
        })
    }

    fn finish(&mut self, name: &str, outcome: &NodeOutcome, elapsed: Duration) {
        let table_env = outcome.version.map(|_| outcome.env.clone().unwrap_or_else(|| self.env.clone()));
        let node = self.node(name);
        (node.outcome, node.reason) = match outcome.kind {
            OutcomeKind::Reused => ("reused", Some("unchanged")),
            OutcomeKind::Published | OutcomeKind::View | OutcomeKind::Replayed => ("success", None),
        };
        node.error = None;
        node.elapsed_ms = Some(milliseconds(elapsed));
        node.table_version = outcome.version;
        node.table_env = table_env;
        let passed = outcome.errors.as_ref().map(|errors| errors.of.saturating_sub(errors.rows));
        if matches!(outcome.kind, OutcomeKind::Published | OutcomeKind::Replayed) {
            node.rows = Some(outcome.rows);
            node.error_rows = outcome.errors.as_ref().map(|errors| errors.rows);
            node.null_rows = outcome.nulls.as_ref().map(|nulls| nulls.rows);
            node.bytes = Some(outcome.bytes);
            node.files = Some(outcome.files);
        }
        self.passed.extend(passed.map(|rows| (name.to_owned(), rows)));
    }

    fn attempt(&mut self, name: &str, attempt: Attempt) {
        self.node(name).attempts = attempt.number();
    }
}

impl Observer for Tally {
    fn observe(&mut self, event: &RunEvent) {
        match event {
            RunEvent::RunStarted { nodes } => {
                for name in nodes {
                    self.node(name);
                }
            }
            RunEvent::NodeStarted { node, attempt, last_good, .. } => {
                self.attempt(node, *attempt);
                self.node(node).last_good.clone_from(last_good);
            }
            RunEvent::NodeFinished { node, outcome, elapsed, .. } => self.finish(node, outcome, *elapsed),
            RunEvent::NodeFailed { node, error, elapsed, .. } => {
                let node = self.node(node);
                node.outcome = "failed";
                node.elapsed_ms = Some(milliseconds(*elapsed));
                node.error = Some(wire_error(error));
            }
            RunEvent::NodeSkipped { node, reason } => {
                let node = self.node(node);
                node.outcome = "skipped";
                node.reason = Some(reason.as_str());
                node.failed_node = reason.failed_node().map(str::to_owned);
            }
            RunEvent::NodeCancelled { node, elapsed, .. } => {
                let node = self.node(node);
                node.outcome = "cancelled";
                node.elapsed_ms = Some(milliseconds(*elapsed));
            }
            RunEvent::Stopping { .. } | RunEvent::RunFinished { .. } => {}
        }
    }
}

/// Returns that no table is another one: `Nothing has changed, 1 table of dev and 3 tables of prod stay`.
fn stays(tables: &[&RunNode], env: &str) -> String {
    let mut places: IndexMap<&str, usize> = IndexMap::from([(env, 0)]);
    for table in tables {
        *places.entry(table.table_env.as_deref().unwrap_or(env)).or_default() += 1;
    }
    let counted = |(env, tables): (&str, usize)| match tables {
        1 => format!("1 table of {env}"),
        _ => format!("{tables} tables of {env}"),
    };
    let parts: Vec<String> = places.into_iter().filter(|(_, tables)| *tables > 0).map(counted).collect();
    let verb = if tables.len() == 1 { "stays" } else { "stay" };
    format!("Nothing has changed, {} {verb}", parts.join(" and "))
}

fn wire_error(error: &SharedError) -> WireError {
    WireError {
        code: error.code().map(|code| code.0),
        message: report::in_a_line(report::as_error(error)),
        fault: match error.fault() {
            Fault::User => "user",
            Fault::External => "external",
            Fault::Internal => "internal",
        },
        hint: error.hint(),
        diagnostic: report::blame(report::as_error(error)).map(Into::into),
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
