//! What `--format json` prints: one object on stdout, described field by field in `docs/json.md`.
//!
//! Names and meanings are stable: fields are only ever added. A new meaning takes a new name, and a
//! change that breaks readers raises the number behind the command's name. Times are UTC in
//! RFC 3339, sizes are bytes, durations are milliseconds; what is not known is `null`.

mod lineage;

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::json::writer::{LineDelimited, WriterBuilder};
use serde::Serialize;
use serde_json::value::RawValue;
use windlass_engine::CheckOutcome;
use windlass_error::{Classify, Diagnostic, Location, Severity};
use windlass_runner::{RunDetail, RunRow};

use crate::open::VERSION;
pub(crate) use lineage::{LineageReport, LineageTable};

mod diff;
mod env;
pub(crate) mod models;
mod plan;
mod profile;
mod sample;
mod unit_tests;

pub(crate) use diff::DiffReport;
pub(crate) use env::{
    EnvDiffReport, EnvDiffTable, EnvDropReport, EnvListing, EnvPromoteReport, EnvRun, ListedEnv, PromotedTable,
};
pub(crate) use plan::{Continues, PlanReason, WireIntervals};
pub(crate) use profile::ProfileReport;
pub(crate) use sample::WireSample;
pub(crate) use unit_tests::TestReport;

/// What stands around every result.
#[derive(Debug, Serialize)]
pub(crate) struct Envelope<'a, T> {
    schema: String,
    version: &'static str,
    data: &'a T,
}

impl<'a, T: Serialize> Envelope<'a, T> {
    /// Returns the result of a command in its envelope.
    pub(crate) fn new(command: &str, data: &'a T) -> Self {
        Self { schema: format!("windlass.{command}/1"), version: VERSION, data }
    }
}

/// `windlass.ls/1`.
#[derive(Debug, Serialize)]
pub(crate) struct Listing {
    pub(crate) project: String,
    pub(crate) target: String,
    pub(crate) env: String,
    pub(crate) nodes: Vec<ListedNode>,
}

/// A node as its files define it.
#[derive(Debug, Serialize)]
pub(crate) struct ListedNode {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) inputs: Vec<String>,
    pub(crate) description: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) owner: Option<String>,
    pub(crate) partition_by: Vec<String>,
    pub(crate) sort_by: Vec<String>,
    pub(crate) columns: Vec<DeclaredColumn>,
}

/// A column that a file declares.
#[derive(Debug, Serialize)]
pub(crate) struct DeclaredColumn {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) data_type: Option<String>,
    pub(crate) description: Option<String>,
}

/// `windlass.plan/1`.
#[derive(Debug, Serialize)]
pub(crate) struct PlanReport {
    pub(crate) target: String,
    pub(crate) env: String,
    pub(crate) base: Option<String>,
    pub(crate) lake: String,
    pub(crate) sample: Option<WireSample>,
    pub(crate) nodes: Vec<PlannedNode>,
    pub(crate) not_checked: Vec<&'static str>,
    pub(crate) diagnostics: Vec<WireDiagnostic>,
}

/// What a run would do for a node.
#[derive(Debug, Serialize)]
pub(crate) struct PlannedNode {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) action: &'static str,
    pub(crate) reason: Option<PlanReason>,
    pub(crate) table_version: Option<u64>,
    pub(crate) table_env: Option<String>,
    pub(crate) volatile: Option<String>,
    pub(crate) inputs: Vec<String>,
    pub(crate) columns: Vec<TypedColumn>,
    pub(crate) last_run: Option<LastRun>,
}

/// A node's last success in this lake and environment.
#[derive(Debug, Serialize)]
pub(crate) struct LastRun {
    pub(crate) started_at: String,
    pub(crate) elapsed_ms: u64,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

/// A column of a result.
#[derive(Debug, Serialize)]
pub(crate) struct TypedColumn {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) data_type: String,
}

/// A mistake in a file of the project.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct WireDiagnostic {
    pub(crate) severity: &'static str,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) node: Option<String>,
    pub(crate) place: Option<Place>,
    pub(crate) label: Option<String>,
    pub(crate) related: Vec<RelatedPlace>,
    pub(crate) notes: Vec<String>,
    pub(crate) hint: Option<String>,
}

/// A place in a file; lines and columns count from 1, columns count characters, the end is the
/// first place behind it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Place {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) end_line: usize,
    pub(crate) end_column: usize,
}

/// Another place that matters, and why.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RelatedPlace {
    pub(crate) place: Place,
    pub(crate) text: String,
}

/// `windlass.show/1`: rows, or what was asked for instead.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Shown {
    /// The first rows.
    Rows {
        node: Option<String>,
        sql: Option<String>,
        columns: Vec<TypedColumn>,
        rows: Box<RawValue>,
        row_count: usize,
        table_version: Option<u64>,
        table_env: Option<String>,
        table_rows: Option<u64>,
    },
    /// `--compiled`.
    Compiled { node: String, compiled: String },
    /// `--schema`.
    Schema { node: Option<String>, sql: Option<String>, columns: Vec<TypedColumn> },
    /// `--explain`.
    Explained { node: Option<String>, sql: Option<String>, logical_plan: String, physical_plan: String },
}

/// `windlass.try/1`.
#[derive(Debug, Serialize)]
pub(crate) struct TryReport {
    pub(crate) node: String,
    pub(crate) columns: Vec<TypedColumn>,
    pub(crate) rows: Box<RawValue>,
    pub(crate) row_count: usize,
    pub(crate) rows_in: Option<u64>,
    pub(crate) error_rows: u64,
    pub(crate) causes: Vec<WireCause>,
    pub(crate) prepare_ms: u64,
    pub(crate) compute_ms: u64,
}

/// `windlass.errors/1`: nodes with error rows, why rows of one failed, or what was exported.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum ErrorsReport {
    /// Without a node.
    Nodes { env: String, lake: String, nodes: Vec<NodeErrors> },
    /// With a node.
    Causes {
        #[serde(flatten)]
        node: NodeErrors,
        causes: Vec<WireCause>,
        cause_count: usize,
    },
    /// `--export`.
    Exported { node: String, error_table: String, file: String, error_rows: u64 },
}

/// Error rows of a node.
#[derive(Debug, Serialize)]
pub(crate) struct NodeErrors {
    pub(crate) node: String,
    pub(crate) error_table: String,
    pub(crate) error_rows: u64,
    pub(crate) table_rows: Option<u64>,
    pub(crate) table_version: u64,
}

/// Rows that failed for one reason.
#[derive(Debug, Serialize)]
pub(crate) struct WireCause {
    pub(crate) error_rows: u64,
    pub(crate) stage: String,
    pub(crate) error_type: Option<String>,
    pub(crate) message: String,
    pub(crate) traceback: Option<String>,
    pub(crate) example_key: Option<String>,
    pub(crate) example_row: Box<RawValue>,
}

/// `windlass.run/1`.
#[derive(Debug, Serialize)]
pub(crate) struct RunReport {
    pub(crate) run_id: String,
    pub(crate) target: String,
    pub(crate) env: String,
    pub(crate) lake: String,
    pub(crate) selection: Option<String>,
    pub(crate) sample: Option<WireSample>,
    pub(crate) resumes: Option<String>,
    pub(crate) outcome: &'static str,
    pub(crate) reason: Option<&'static str>,
    pub(crate) rows: u64,
    pub(crate) error_rows: u64,
    pub(crate) null_rows: u64,
    pub(crate) bytes: u64,
    pub(crate) files: u64,
    pub(crate) retries: usize,
    pub(crate) elapsed_ms: u64,
    pub(crate) cpu_ms: Option<u64>,
    pub(crate) peak_memory_bytes: Option<u64>,
    pub(crate) nodes: Vec<RunNode>,
}

/// How a node ended.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RunNode {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) outcome: &'static str,
    pub(crate) reason: Option<&'static str>,
    pub(crate) failed_node: Option<String>,
    pub(crate) attempts: u32,
    pub(crate) last_good: Vec<String>,
    pub(crate) rows: Option<u64>,
    pub(crate) error_rows: Option<u64>,
    pub(crate) null_rows: Option<u64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) files: Option<u64>,
    pub(crate) table_version: Option<u64>,
    pub(crate) table_env: Option<String>,
    pub(crate) intervals: Option<WireIntervals>,
    pub(crate) left_out_rows: Option<u64>,
    pub(crate) elapsed_ms: Option<u64>,
    pub(crate) error: Option<WireError>,
    pub(crate) checks: Vec<WireCheck>,
}

/// What a check found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct WireCheck {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) column: Option<String>,
    pub(crate) severity: &'static str,
    pub(crate) on_fail: &'static str,
    pub(crate) status: &'static str,
    pub(crate) blocks: bool,
    pub(crate) observed: Option<f64>,
    pub(crate) bound: String,
    pub(crate) failing: Option<u64>,
    pub(crate) rows: u64,
    pub(crate) reason: Option<&'static str>,
    pub(crate) detail: String,
    pub(crate) figures: BTreeMap<&'static str, f64>,
    pub(crate) examples: Vec<Box<RawValue>>,
    pub(crate) stored_in: Option<String>,
    pub(crate) place: Place,
}

impl From<&CheckOutcome> for WireCheck {
    fn from(outcome: &CheckOutcome) -> Self {
        Self {
            name: outcome.check.clone(),
            kind: outcome.kind,
            column: outcome.column.clone(),
            severity: outcome.severity.name(),
            on_fail: outcome.on_fail.name(),
            status: outcome.status.name(),
            blocks: outcome.blocks(),
            observed: outcome.observed,
            bound: outcome.bound.clone(),
            failing: outcome.failing,
            rows: outcome.rows,
            reason: outcome.reason,
            detail: outcome.detail.clone(),
            figures: outcome.figures.iter().copied().collect(),
            examples: outcome.examples.iter().flat_map(json_rows).collect(),
            stored_in: outcome.stored_in.clone(),
            place: (&outcome.location).into(),
        }
    }
}

/// `windlass.check/1`.
#[derive(Debug, Serialize)]
pub(crate) struct CheckReport {
    pub(crate) target: String,
    pub(crate) env: String,
    pub(crate) lake: String,
    pub(crate) outcome: &'static str,
    pub(crate) nodes: Vec<WireNode>,
}

/// A node that was looked at.
#[derive(Debug, Serialize)]
pub(crate) struct WireNode {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) checks: Vec<WireCheck>,
    pub(crate) error: Option<WireFailure>,
}

/// Why a node could not be looked at.
#[derive(Debug, Serialize)]
pub(crate) struct WireFailure {
    pub(crate) code: Option<&'static str>,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl WireFailure {
    /// Returns a failure in a line.
    pub(crate) fn new(error: &windlass_engine::Error) -> Self {
        Self { code: error.code().map(|code| code.0), message: crate::report::one_line(error), hint: error.hint() }
    }
}

/// Why a node failed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct WireError {
    pub(crate) code: Option<&'static str>,
    pub(crate) message: String,
    pub(crate) fault: &'static str,
    pub(crate) hint: Option<String>,
    pub(crate) diagnostic: Option<WireDiagnostic>,
}

/// `windlass.runs.ls/1`.
#[derive(Debug, Serialize)]
pub(crate) struct RunsListing {
    pub(crate) runs: Vec<RunRow>,
}

/// `windlass.runs.show/1`.
pub(crate) type RunsDetail = RunDetail;

/// `windlass.runs.logs/1`.
#[derive(Debug, Serialize)]
pub(crate) struct RunsLog {
    pub(crate) run_id: String,
    pub(crate) lines: Vec<LogLine>,
}

/// A line that Python code has printed.
#[derive(Debug, Serialize)]
pub(crate) struct LogLine {
    pub(crate) at: String,
    pub(crate) node: String,
    pub(crate) worker: u32,
    pub(crate) stream: &'static str,
    pub(crate) text: String,
}

/// `windlass.gc/1`.
#[derive(Debug, Serialize)]
pub(crate) struct GcReport {
    pub(crate) lake: String,
    pub(crate) env: String,
    pub(crate) dry_run: bool,
    pub(crate) files: Vec<RemovedFile>,
    pub(crate) bytes: u64,
}

/// A file that was, or would be, removed.
#[derive(Debug, Serialize)]
pub(crate) struct RemovedFile {
    pub(crate) table: String,
    pub(crate) path: String,
    pub(crate) bytes: u64,
    pub(crate) reason: &'static str,
}

/// `windlass.explain/1`.
#[derive(Debug, Serialize)]
pub(crate) struct Explanations {
    pub(crate) codes: Vec<Explanation>,
}

/// What a code means.
#[derive(Debug, Serialize)]
pub(crate) struct Explanation {
    pub(crate) code: &'static str,
    pub(crate) title: &'static str,
    pub(crate) explanation: &'static str,
}

/// Returns each row as an object. A row that cannot be shown is left out.
fn json_rows(rows: &RecordBatch) -> Vec<Box<RawValue>> {
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(Vec::new());
    let written = writer.write(rows).and_then(|()| writer.finish());
    let text = written.ok().and_then(|()| String::from_utf8(writer.into_inner()).ok()).unwrap_or_default();
    text.lines().filter_map(|line| RawValue::from_string(line.to_owned()).ok()).collect()
}

impl From<&Location> for Place {
    fn from(location: &Location) -> Self {
        let (line, column) = location.position();
        let (end_line, end_column) = location.file.position(location.span.end);
        let file = location.file.path.to_string_lossy().into_owned();
        Self { file, line, column, end_line, end_column }
    }
}

impl From<&Diagnostic> for WireDiagnostic {
    fn from(diagnostic: &Diagnostic) -> Self {
        let related = diagnostic.related.iter();
        Self {
            severity: match diagnostic.severity {
                Severity::Warning => "warning",
                Severity::Error => "error",
            },
            code: diagnostic.code.0,
            message: diagnostic.message.clone(),
            node: diagnostic.node.clone(),
            place: diagnostic.location.as_ref().map(Place::from),
            label: diagnostic.label.clone(),
            related: related.map(|(at, text)| RelatedPlace { place: at.into(), text: text.clone() }).collect(),
            notes: diagnostic.notes.clone(),
            hint: diagnostic.hint.clone(),
        }
    }
}

impl From<&windlass_engine::ErrorCause> for WireCause {
    fn from(cause: &windlass_engine::ErrorCause) -> Self {
        let known = |text: &String| (!text.is_empty()).then(|| text.clone());
        Self {
            error_rows: cause.rows,
            stage: cause.stage.clone(),
            error_type: known(&cause.error_type),
            message: cause.message.clone(),
            traceback: known(&cause.traceback),
            example_key: known(&cause.key),
            example_row: RawValue::from_string(cause.row.clone()).unwrap_or_else(|_| RawValue::NULL.to_owned()),
        }
    }
}

impl From<windlass_engine::ColumnInfo> for TypedColumn {
    fn from(column: windlass_engine::ColumnInfo) -> Self {
        Self { name: column.name, data_type: column.data_type }
    }
}
