//! The DataFusion session: configuration, memory pool, spill folder.
//!
//! One [`Session`] a process. Every node gets its own catalog on top of the shared state, so that a
//! node can only see what it declares, while memory, spill space and file metadata are shared.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::catalog::{CatalogProviderList, MemoryCatalogProviderList};
use datafusion::config::ConfigOptions;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::DiskManagerBuilder;
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::planner::calls;
use crate::spill::SpillFolder;
use crate::{Error, estimates};

/// The largest consumers that an out-of-memory message names.
const NAMED_CONSUMERS: std::num::NonZeroUsize = std::num::NonZeroUsize::new(3).expect("three is not zero");

/// Rows of a batch at least, DataFusion's own choice.
const SMALLEST_BATCH_ROWS: usize = 8_192;
/// Rows of a batch at most. Sorting 10 million rows of 16 columns in batches of this size takes a
/// third less processor time than in the smallest: fewer, longer runs to merge.
const LARGEST_BATCH_ROWS: usize = 131_072;
/// Bytes of a batch at most, at [`CELL_BYTES`] a value: what keeps wide tables in small batches.
const BATCH_BYTES: usize = 64 << 20;
/// What a value takes in memory, roughly.
const CELL_BYTES: usize = 16;
/// Memory for each thread that one row of a batch asks for: some dozen batches are in flight.
const MEMORY_PER_BATCH_ROW: usize = 32 << 10;

/// The largest build side that one partition makes for all.
const SHARED_BUILD_BYTES: usize = 256 << 20;
/// The same in rows, for tables whose bytes are not known: one thread hashes them in half a second.
const SHARED_BUILD_ROWS: usize = 4_000_000;

/// Rows of a batch in the frugal styles: merging keeps two batches of each spilled run in memory.
const FRUGAL_BATCH_ROWS: usize = 1_024;

/// How a session is set up.
#[derive(Debug, Clone)]
pub(crate) struct SessionSettings {
    /// Bytes that queries may use together.
    pub(crate) memory_bytes: u64,
    /// Partitions that work at the same time.
    pub(crate) threads: usize,
    /// Folder for spilled data; made when first used, and always empty to look at.
    pub(crate) spill: PathBuf,
}

/// The shared part of all queries of this process.
pub(crate) struct Session {
    settings: SessionSettings,
    runtime: Arc<RuntimeEnv>,
    base: SessionContext,
}

/// How a plan uses memory; each style needs less than the one before and takes longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlanStyle {
    /// Hash joins; a join's build side must fit the memory limit.
    Fast,
    /// Sort-merge joins, which spill, and small batches, so that merging many spilled runs needs
    /// little.
    Frugal,
    /// The same in two partitions, which share the limit with no other.
    Narrow,
}

impl PlanStyle {
    /// Returns the style to try when this one hit the memory limit.
    pub(crate) fn next(self) -> Option<Self> {
        match self {
            Self::Fast => Some(Self::Frugal),
            Self::Frugal => Some(Self::Narrow),
            Self::Narrow => None,
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Session {
    /// Returns a session. Makes no file until something spills.
    pub(crate) fn try_new(settings: SessionSettings) -> Result<Self, Error> {
        let limit = usize::try_from(settings.memory_bytes).unwrap_or(usize::MAX);
        let pool = TrackConsumersPool::new(FairSpillPool::new(limit), NAMED_CONSUMERS);
        let files = Arc::new(SpillFolder { path: settings.spill.clone() });
        let disk = DiskManagerBuilder::default().with_temp_file_factory(files);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            .with_disk_manager_builder(disk)
            .build_arc()
            .map_err(|source| Error::Start { source })?;
        let base = SessionStateBuilder::new()
            .with_config(config(&settings, PlanStyle::Fast))
            .with_runtime_env(Arc::clone(&runtime))
            .with_default_features()
            .with_optimizer_rules(calls::optimizer_rules())
            .with_query_planner(Arc::new(calls::PythonQueryPlanner))
            .with_statistics_registry(estimates::registry())
            .build();
        Ok(Self { settings, runtime, base: SessionContext::new_with_state(base) })
    }

    /// Returns the runtime that all queries share.
    pub(crate) fn runtime(&self) -> Arc<RuntimeEnv> {
        Arc::clone(&self.runtime)
    }

    /// Returns the settings.
    pub(crate) fn settings(&self) -> &SessionSettings {
        &self.settings
    }

    /// Returns how many rows a batch of a plan may have whose widest operator has so many columns.
    pub(crate) fn batch_rows(&self, style: PlanStyle, columns: usize) -> usize {
        if style != PlanStyle::Fast {
            return FRUGAL_BATCH_ROWS;
        }
        let by_memory = self.settings.memory_bytes as usize / self.settings.threads / MEMORY_PER_BATCH_ROW;
        let by_width = BATCH_BYTES / (columns.max(1) * CELL_BYTES);
        let rows = by_memory.min(by_width).clamp(SMALLEST_BATCH_ROWS, LARGEST_BATCH_ROWS);
        1 << rows.ilog2()
    }

    /// Returns the bytes that an operator may hold in place of one that spills.
    pub(crate) fn room(&self, style: PlanStyle) -> usize {
        match style {
            PlanStyle::Fast => self.settings.memory_bytes as usize / 2,
            PlanStyle::Frugal | PlanStyle::Narrow => 0,
        }
    }

    /// Returns a context with an empty catalog of its own.
    pub(crate) fn context(&self, style: PlanStyle) -> SessionContext {
        let catalogs: Arc<dyn CatalogProviderList> = Arc::new(MemoryCatalogProviderList::new());
        let state = SessionStateBuilder::new_from_existing(self.base.state())
            .with_config(config(&self.settings, style))
            .with_catalog_list(Arc::clone(&catalogs))
            .build();
        let catalog = Arc::new(datafusion::catalog::MemoryCatalogProvider::new());
        datafusion::catalog::CatalogProvider::register_schema(
            catalog.as_ref(),
            "public",
            Arc::new(datafusion::catalog::MemorySchemaProvider::new()),
        )
        .expect("a new in-memory catalog takes any schema");
        catalogs.register_catalog("datafusion".to_string(), catalog);
        SessionContext::new_with_state(state)
    }
}

fn config(settings: &SessionSettings, style: PlanStyle) -> SessionConfig {
    let mut options = ConfigOptions::new();
    options.sql_parser.collect_spans = true;
    options.execution.target_partitions = settings.threads;
    options.execution.collect_statistics = true;
    // Tables are UTC; a zone of the machine would make results depend on where they are computed.
    options.execution.time_zone = Some("+00:00".to_string());
    options.catalog.information_schema = false;
    options.optimizer.use_statistics_registry = true;
    options.optimizer.prefer_hash_join = style == PlanStyle::Fast;
    // A build side that fits is shared by all partitions, so that the large side of the join is not
    // shuffled and keeps its order.
    options.optimizer.hash_join_single_partition_threshold = SHARED_BUILD_BYTES.min(settings.memory_bytes as usize / 8);
    options.optimizer.hash_join_single_partition_threshold_rows = SHARED_BUILD_ROWS;
    if style != PlanStyle::Fast {
        // What a sort holds back for merging its spilled runs: room for all sorts of a plan at once.
        options.execution.sort_spill_reservation_bytes = settings.memory_bytes as usize / 64;
        // With one partition the planner knows hash joins only.
        options.execution.target_partitions = settings.threads.max(2);
    }
    if style == PlanStyle::Narrow {
        options.execution.target_partitions = 2;
    }
    SessionConfig::from(options)
}
