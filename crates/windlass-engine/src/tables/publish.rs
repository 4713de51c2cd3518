//! Publication: one Delta commit makes staged files the table's content.
//!
//! The commit replaces all files of the table, carries run id, fingerprint and the application
//! transaction that makes a repeated attempt find its own commit. Nothing before it is visible to
//! any reader, and nothing after it can undo it.
//!
//! Must stay true: a failure or a dropped future before the log entry is written leaves the last
//! version as it was; the staged files are then leftovers that `gc` removes.

use std::collections::{BTreeMap, HashMap};

use datafusion::arrow::datatypes::{DataType, Schema};
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties, TransactionError};
use deltalake_core::kernel::{
    Action, Add, MetadataExt, Protocol, Remove, StructType, Transaction, Version, new_metadata,
};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use serde_json::{Value, json};

use super::published::PublishedTable;
use super::statistics;
use crate::Error;
use crate::checks::outcome::CheckOutcome;
use crate::fingerprint::{ColumnContents, Definition, Inputs};
use crate::storage::Place;

/// What is about to be published.
#[derive(Debug)]
pub(crate) struct Publication<'a> {
    /// Table name.
    pub(crate) table: &'a str,
    /// Where the table stands.
    pub(crate) place: &'a Place,
    /// The table's columns, as Delta holds them.
    pub(crate) schema: &'a Schema,
    /// Columns that split the table into folders.
    pub(crate) partition_by: &'a [String],
    /// The staged files.
    pub(crate) files: Vec<Add>,
    /// What becomes of the files that are there.
    pub(crate) mode: Mode,
    /// What the commit says about its origin.
    pub(crate) origin: Origin<'a>,
}

/// What becomes of the files of the last version.
#[derive(Debug)]
pub(crate) enum Mode {
    /// They are replaced.
    Replace,
    /// They stay.
    Append,
    /// Some of them are replaced.
    Some(Replaced),
}

/// The files of one version that the next one does without, in a step of several that a run makes.
#[derive(Debug)]
pub(crate) struct Replaced {
    /// The version that was looked at; on any other nothing is published.
    pub(crate) base: Version,
    /// What removes the files.
    pub(crate) removed: Vec<Remove>,
    /// Which rows they held that are gone, in SQL, for people.
    pub(crate) predicate: Option<String>,
    /// What tells the step from others of its run.
    pub(crate) step: u32,
}

/// Steps that a run may make; runs are a millisecond apart at least.
const STEPS: i64 = 1_000_000;

/// Where a version of a table comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    /// The run.
    pub(crate) run_id: &'a str,
    /// Grows from run to run and stays the same for all attempts of one.
    pub(crate) sequence: i64,
    /// What the node's definition and inputs hash to.
    pub(crate) fingerprint: &'a str,
    /// Rows of the new version.
    pub(crate) rows: u64,
    /// Which versions and files were read, by node.
    pub(crate) inputs: &'a Inputs,
    /// What the node is made from beside its inputs.
    pub(crate) definition: &'a Definition,
    /// Hash of the rows of the new version; `None` where it is not known.
    pub(crate) content: Option<&'a str>,
    /// Hashes of the rows of some columns of the new version.
    pub(crate) columns: Option<&'a ColumnContents>,
    /// The version of the error table that belongs to the new version, and its rows.
    pub(crate) errors: Option<(Version, u64)>,
    /// What the checks found, each by [`verdict`]; empty where there are none.
    pub(crate) verdicts: &'a [Value],
    /// What is done of an incremental table.
    pub(crate) incremental: Option<&'a Value>,
    /// Whether the rows were computed for this version; if not, they are those of the one before.
    pub(crate) is_computed: bool,
    /// Where the files come from, where another environment has computed them.
    pub(crate) promoted: Option<PromotedFrom<'a>>,
}

/// The version of another environment whose files a version has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PromotedFrom<'a> {
    /// The environment.
    pub(crate) env: &'a str,
    /// The version there.
    pub(crate) version: Version,
    /// Delta's id of the table there.
    pub(crate) id: &'a str,
}

/// Publishes and returns the new version. A repeated attempt of one run changes nothing.
///
/// # Errors
///
/// [`Error::Commit`]; the last version stays in place.
pub(crate) async fn publish(publication: Publication<'_>) -> Result<Version, Error> {
    let current = PublishedTable::open(publication.table, publication.place, None).await?;
    let (app_id, sequence) = match &publication.mode {
        Mode::Replace | Mode::Append => (format!("windlass/{}", publication.table), publication.origin.sequence),
        Mode::Some(replaced) => {
            let sequence = publication.origin.sequence.saturating_mul(STEPS) + i64::from(replaced.step);
            (format!("windlass/{}/steps", publication.table), sequence)
        }
    };
    if let Some(current) = &current
        && committed_by(current, &app_id, sequence).await
    {
        return Ok(current.version());
    }
    let next = current.as_ref().map_or(0, |table| table.version() + 1);
    let failed = |source| Error::Commit { table: publication.table.to_string(), version: next, source };
    if let Mode::Some(replaced) = &publication.mode
        && current.as_ref().is_none_or(|current| current.version() != replaced.base)
    {
        // What goes was looked up in a version that is no longer the last.
        return Err(failed(DeltaTableError::VersionAlreadyExists(replaced.base + 1)));
    }
    let actions = actions(&publication, current.as_ref()).map_err(failed)?;
    let partition_by = (!publication.partition_by.is_empty()).then(|| publication.partition_by.to_vec());
    let transaction = Transaction { app_id, version: sequence, last_updated: None };
    let properties = CommitProperties::default()
        .with_metadata(commit_info(&publication.origin))
        .with_application_transaction(transaction);
    let (mode, predicate) = match &publication.mode {
        Mode::Replace => (SaveMode::Overwrite, None),
        Mode::Some(replaced) if replaced.predicate.is_some() => (SaveMode::Overwrite, replaced.predicate.clone()),
        Mode::Append | Mode::Some(_) => (SaveMode::Append, None),
    };
    let operation = DeltaOperation::Write { mode, partition_by, predicate };
    let log_store = publication.place.log_store();
    let snapshot = current.as_ref().map(|table| table.delta().snapshot().expect("`open` has loaded the table"));
    if snapshot.is_none() {
        // Without a snapshot a lost race for version 0 would be retried blindly on top of the winner.
        let entry = CommitBuilder::from(properties).with_max_retries(0).with_actions(actions);
        let done = entry.build(None, log_store, operation).await.map_err(failed)?;
        return Ok(done.version());
    }
    let entry = CommitBuilder::from(properties).with_actions(actions);
    let entry = match publication.mode {
        Mode::Replace | Mode::Append => entry,
        // A commit of others in between may hold rows of the same intervals or keys.
        Mode::Some(_) => entry.with_max_retries(0),
    };
    let done = entry.build(snapshot.map(|state| state as _), log_store, operation).await.map_err(failed)?;
    Ok(done.version())
}

async fn committed_by(table: &PublishedTable, app_id: &str, sequence: i64) -> bool {
    let log_store = table.delta().log_store();
    let known = table.snapshot().transaction_version(log_store.as_ref(), app_id).await;
    matches!(known, Ok(Some(version)) if version == sequence)
}

fn commit_info(origin: &Origin<'_>) -> HashMap<String, Value> {
    let identities: BTreeMap<&String, &String> =
        origin.inputs.iter().map(|(name, version)| (name, &version.identity)).collect();
    let contents: BTreeMap<&String, &String> =
        origin.inputs.iter().filter_map(|(name, version)| Some((name, version.content.as_ref()?))).collect();
    let read: BTreeMap<&String, &String> =
        origin.inputs.iter().filter_map(|(name, version)| Some((name, version.columns.as_ref()?))).collect();
    let mut ours = json!({
        "runId": origin.run_id,
        "fingerprint": origin.fingerprint,
        "rows": origin.rows,
        "inputs": identities,
        "contents": contents,
        "definition": origin.definition,
        "content": origin.content,
        "checks": origin.verdicts,
        "computed": origin.is_computed,
        "version": env!("CARGO_PKG_VERSION"),
    });
    if !read.is_empty() {
        ours["columnsRead"] = json!(read);
    }
    if let Some(columns) = origin.columns.filter(|columns| !columns.is_empty()) {
        ours["columns"] = json!(columns);
    }
    if let Some(incremental) = origin.incremental {
        ours["incremental"] = incremental.clone();
    }
    if let Some((version, rows)) = origin.errors {
        ours["errors"] = json!({"version": version, "rows": rows});
    }
    if let Some(PromotedFrom { env, version, id }) = origin.promoted {
        ours["promoted"] = json!({"env": env, "version": version, "table": id});
    }
    HashMap::from([("windlass".to_string(), ours)])
}

/// Returns what later runs want to know of a check: how it ended, and the figure it compared.
pub(crate) fn verdict(outcome: &CheckOutcome) -> Value {
    json!({
        "name": outcome.check,
        "status": outcome.status.name(),
        "observed": outcome.observed,
        "failing": outcome.failing,
        "rows": outcome.rows,
    })
}

/// Returns the log entry's actions: what changed in protocol and metadata, then all new files, then
/// all old ones as removed.
fn actions(publication: &Publication<'_>, current: Option<&PublishedTable>) -> Result<Vec<Action>, DeltaTableError> {
    let schema: StructType = publication.schema.try_into_kernel().map_err(DeltaTableError::from)?;
    let protocol = protocol(publication.schema)?;
    let (property, indexed) = statistics::indexed_property(publication.schema, publication.partition_by);
    let metadata = new_metadata(&schema, publication.partition_by, [(property, indexed)])?
        .with_name(publication.table.to_string())?;
    let mut actions = Vec::with_capacity(publication.files.len() + 2);
    match current {
        None => actions.extend([Action::Protocol(protocol), Action::Metadata(metadata)]),
        Some(table) => {
            let snapshot = table.snapshot();
            if upgrades(snapshot.protocol(), &protocol) {
                actions.push(Action::Protocol(protocol));
            }
            let known = snapshot.metadata();
            let same = known.partition_columns() == metadata.partition_columns()
                && known.configuration() == metadata.configuration()
                && *snapshot.schema() == schema;
            if !same {
                actions.push(Action::Metadata(metadata.with_table_id(known.id().to_string())?));
            }
        }
    }
    actions.extend(publication.files.iter().cloned().map(Action::Add));
    match (current, &publication.mode) {
        (Some(table), Mode::Replace) => {
            actions.extend(table.snapshot().log_data().iter().map(|file| Action::Remove(file.remove_action(true))));
        }
        (_, Mode::Some(replaced)) => actions.extend(replaced.removed.iter().cloned().map(Action::Remove)),
        (None, Mode::Replace) | (_, Mode::Append) => {}
    }
    Ok(actions)
}

/// Returns what readers must understand: plain tables stay with the versions that every reader knows;
/// timestamps without a zone are a table feature (Delta protocol, "Timestamp without timezone").
fn protocol(schema: &Schema) -> Result<Protocol, DeltaTableError> {
    let wanted = match schema.fields().iter().any(|field| has_local_time(field.data_type())) {
        false => json!({"minReaderVersion": 1, "minWriterVersion": 2}),
        true => json!({
            "minReaderVersion": 3,
            "minWriterVersion": 7,
            "readerFeatures": ["timestampNtz"],
            "writerFeatures": ["appendOnly", "invariants", "timestampNtz"],
        }),
    };
    serde_json::from_value(wanted).map_err(|error| DeltaTableError::GenericError { source: Box::new(error) })
}

fn has_local_time(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(_, None) => true,
        DataType::List(item) => has_local_time(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_local_time(field.data_type())),
        _ => false,
    }
}

/// Returns whether a table must move to `wanted` to hold the new columns.
fn upgrades(known: &Protocol, wanted: &Protocol) -> bool {
    wanted.min_reader_version() > known.min_reader_version() || wanted.min_writer_version() > known.min_writer_version()
}

/// Returns whether an error says that another writer was faster.
pub(crate) fn is_conflict(error: &DeltaTableError) -> bool {
    matches!(
        error,
        DeltaTableError::VersionAlreadyExists(_)
            | DeltaTableError::Transaction {
                source: TransactionError::CommitConflict(_)
                    | TransactionError::VersionAlreadyExists(_)
                    | TransactionError::MaxCommitAttempts(_)
            }
    )
}
