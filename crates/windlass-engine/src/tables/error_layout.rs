//! Which error rows a node has: rows of its input, rows of its result, or both.

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use windlass_project::{Node, OnError, PythonMode};

use super::error_rows::{Broken, ErrorRows};
use super::schema;
use crate::Error;

/// What the error rows of a run have in common.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stamp<'a> {
    /// The run.
    pub(crate) run_id: &'a str,
    /// What the definition of the node hashes to.
    pub(crate) fingerprint: &'a str,
    /// When the run began, in microseconds of UTC.
    pub(crate) at_us: i64,
}

/// Returns the error rows of a node that publishes `published` columns; `None` where it has no error
/// table. `input` are the columns that a transform of Python batches gets, or those that are kept of rows that models
/// cannot score.
///
/// # Errors
///
/// [`Error::UnsupportedType`] for columns of the input that no table can hold.
pub(crate) fn of(
    node: &Node,
    input: Option<&Schema>,
    published: &SchemaRef,
    stamp: Stamp<'_>,
) -> Result<Option<ErrorRows>, Error> {
    let plain = match input.filter(|_| fails_by_row(node)) {
        Some(input) => Some(schema::published(&node.name, input)?),
        None => None,
    };
    let (row, broken) = match (plain, node.quarantines()) {
        (None, false) => return Ok(None),
        (None, true) => (SchemaRef::clone(published), Broken::InRow),
        (Some(plain), false) => (plain, Broken::Nowhere),
        (Some(plain), true) => (plain, Broken::InResult(SchemaRef::clone(published))),
    };
    Ok(Some(rows(node, row, broken, stamp)))
}

/// Returns error rows whose `row` has these columns.
pub(crate) fn rows(node: &Node, row: SchemaRef, broken: Broken, stamp: Stamp<'_>) -> ErrorRows {
    ErrorRows {
        key: node.key().into_iter().filter_map(|name| row.index_of(name).ok()).collect(),
        row,
        broken,
        is_scored: node.diverts_unscored(),
        run_id: stamp.run_id.to_string(),
        fingerprint: stamp.fingerprint.to_string(),
        at_us: stamp.at_us,
    }
}

/// Returns whether rows of a node's input fail one by one, in Python or in a model.
pub(crate) fn fails_by_row(node: &Node) -> bool {
    let fails = |python: &windlass_project::PythonTransform| {
        python.on_error == OnError::Quarantine && python.mode == PythonMode::Batch
    };
    node.diverts_unscored() || node.python().is_some_and(fails)
}
