//! Keeps `system.checks` in few files: each run adds one, and once there are many small ones they are
//! written anew as one.
//!
//! Must stay true: one commit removes exactly the files whose rows it adds and says that no row has
//! changed, so every reader sees each row once, in the version before as in the one after.

use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::prelude::ident;
use deltalake_core::kernel::transaction::CommitBuilder;
use deltalake_core::kernel::{Action, Add, LogicalFileView};
use deltalake_core::protocol::DeltaOperation;

use super::{CHECKS, checks_schema};
use crate::session::PlanStyle;
use crate::tables::published::PublishedTable;
use crate::tables::{gc, publish};
use crate::{Engine, Error};

/// So many small files are read as fast as one.
pub(super) const FEW_FILES: usize = 32;
/// A file of this size is left as it is.
const LARGE_BYTES: i64 = 16 << 20;

impl Engine {
    /// Merges small files of `system.checks` once there are many. Where that fails, or others do it at the
    /// same moment, the next run finds them again.
    pub(super) async fn compact_checks(&self, run_id: &str) {
        if let Err(error) = self.merge_small_files(run_id).await {
            tracing::warn!(%error, "history of checks not compacted");
        }
    }

    async fn merge_small_files(&self, run_id: &str) -> Result<(), Error> {
        let place = self.checks_place();
        let failed = |source| Error::Compute { node: CHECKS.to_string(), blame: None, source };
        let Some(table) = PublishedTable::open(CHECKS, &place, None).await? else { return Ok(()) };
        let is_small = |file: &LogicalFileView| file.size() < LARGE_BYTES;
        let files: Vec<_> = table.snapshot().log_data().iter().filter(is_small).collect();
        if files.len() <= FEW_FILES {
            return Ok(());
        }
        let rows = table.files(CHECKS, is_small)?;
        let known = rows.rows();
        let context = self.session.context(PlanStyle::Fast);
        // In the order of time, so that the statistics of a file tell when its rows are from.
        let in_order = context.read_table(Arc::new(rows));
        let in_order =
            in_order.and_then(|rows| rows.sort(vec![ident("checked_at").sort(true, true)])).map_err(failed)?;
        let merged = self.stage_frame(&place, run_id, checks_schema(), in_order).await.map_err(failed)?;
        if known != Some(merged.rows) {
            let text = format!("{known:?} rows were to be written, and {} were", merged.rows);
            return Err(failed(DataFusionError::Internal(text)));
        }
        let written: Vec<String> = merged.files.iter().map(|file| file.path.clone()).collect();
        let added = merged.files.into_iter().map(|file| Action::Add(Add { data_change: false, ..file }));
        let removed = files.iter().map(|file| Action::Remove(file.remove_action(false)));
        // On top of the version that was read or not at all: delta-rs lets two commits remove the same file
        // where neither changes a row, and then every row of it would be there twice.
        let entry = CommitBuilder::default().with_max_retries(0).with_actions(added.chain(removed).collect());
        let operation = DeltaOperation::Optimize { predicate: None, target_size: LARGE_BYTES };
        let state = table.delta().snapshot().expect("`open` has loaded the table");
        let done = match entry.build(Some(state as _), place.log_store(), operation).await {
            Ok(_) => return Ok(()),
            // Another run was faster. What it wrote stands, and the next one merges it with the rest.
            Err(error) if publish::is_conflict(&error) => Ok(()),
            Err(source) => Err(Error::Commit { table: CHECKS.to_string(), version: table.version() + 1, source }),
        };
        for path in &written {
            gc::remove(&place, path).await?;
        }
        done
    }
}
