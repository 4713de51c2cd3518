//! Plans and executes SQL on DataFusion and publishes Delta tables.
//!
//! [`Engine::plan`] type-checks a project and finds every mistake; [`Engine::build`] computes one
//! node, stages its files and publishes them in one commit; [`Engine::show`] reads. Sources are
//! listed and held against their contract in `tables`, mistakes are led back to the user's file in
//! `planner`, and what we add to DataFusion's plans stands in `operators`; `models` trains models and lets SQL score with
//! them.
//!
//! Must stay true: nothing is visible to a reader before the one commit of a build; no table is
//! collected into memory; no name of the run store, the terminal or the clock appears here.

mod attempt;
mod audit;
mod build;
mod checks;
mod diff;
mod engine;
mod environments;
mod error;
mod errors;
mod estimates;
mod fingerprint;
mod incremental;
mod lineage;
mod memory;
mod models;
mod operators;
mod planner;
mod profile;
mod python;
mod reconcile;
mod reuse;
mod sampling;
mod session;
mod show;
mod spill;
mod storage;
mod system;
mod tables;
mod unit_tests;

pub use attempt::Tried;
pub use audit::{CheckFailure, Inspected, line as outcome_line};
pub use build::{BuildProgress, BuildRequest, Built, Continuation, FailedRows, LeftOut, Phase, Rechecked};
pub use checks::outcome::{CheckOutcome, CheckStatus};
pub use diff::{ColumnChange, DiffKey, DiffRequest, DifferingRow, OtherTable, TableDiff};
pub use engine::{Engine, EngineConfig};
pub use environments::{
    Below, Environment, EnvironmentTable, Obstacle, Promotable, PromotableModel, PromoteRequest, Promoted, Removal,
    RemovedEnvironment, StandingTable, TableChange,
};
pub use error::Error;
pub use errors::{ErrorCause, ErrorCauses, Replayed};
pub use incremental::{Ask, IntervalsDone, IntervalsToDo, Refresh};
pub use lineage::{ColumnInputs, ColumnLineage, ColumnRef, Direction, Edge, End, Lineage, TableLineage, Use};
pub use memory::peak_memory_bytes;
pub use models::{Scored, UsedInput};
pub use planner::{Plan, PlannedNode};
pub use profile::{Accepted, Bar, ColumnProfile, Figure, TableProfile};
pub use python::PythonSettings;
pub use reuse::{Decision, Reason, ReasonKind, Standing};
pub use sampling::{Sample, Sampling};
pub use show::{ColumnInfo, Shown, columns};
pub use storage::is_storage_setting;
pub use system::{CheckedNode, SYSTEM_SCHEMA};
pub use tables::gc::{Garbage, GarbageReason, GcOptions};
pub use tables::schema::sql_type;
pub use unit_tests::{Comparison, Difference, PreparedTest, TestOutcome, TestResult};

#[cfg(test)]
mod tests;
