//! What decides a table's rows, and whether it would come out the same again.
//!
//! `record` is what a commit keeps: the definition and the versions of what was read, `identity` how those are
//! written in an environment and above it; `sql` brings
//! queries into a form that layout does not change; `gather` looks up what a node is made from now;
//! `compare` finds the first thing that differs;
//! `columns` is about readers of some columns of a table.
//!
//! Must stay true: two nodes that may publish different rows have different records. Nothing in a
//! record is secret: rendered SQL is kept as hashes only.

mod columns;
mod compare;
mod gather;
mod identity;
mod record;
mod sql;

use sha2::{Digest, Sha256};

pub(crate) use columns::ColumnContents;
pub(crate) use compare::{Difference, changed_definition, changed_input};
pub(crate) use gather::{ADDING, read_through};
pub(crate) use identity::{base_text, is_own_version, seen_from_above, seen_from_base, version_text};
pub(crate) use record::{Definition, InputVersion, Inputs, Provenance, fingerprint};
pub(crate) use sql::{place_of_line, reads, schema, volatile_function};

/// Returns the hash of several texts, each with its length, in hex.
pub(crate) fn hash<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
