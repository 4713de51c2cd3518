//! Runs the user's Python in processes of its own: environments, workers, shared memory, pools.
//!
//! A [`Program`] says what to call and in which [`Environment`]; [`Workers::pool`] answers a pool that
//! holds worker processes for it; [`Pool::call`] hands one Arrow batch over and answers the rows that
//! came back together with the rows that failed. Batches travel as Arrow IPC in shared memory that
//! both sides map; a socket carries 24-byte frames that say where they lie.
//!
//! Must stay true: every row of a call ends up in exactly one of result and errors; nothing that user
//! code does (die, hang, print, keep arrays) takes this process along or changes rows that it has
//! already answered; when this process dies, all of its workers die.

mod bisect;
mod channel;
mod config;
mod environment;
mod error;
mod failure;
mod init;
mod ledger;
mod outcome;
mod output;
mod pool;
mod program;
mod protocol;
mod scale;
mod sdk;
mod shm;
mod slots;
mod worker;
mod workers;
mod zygote;

pub use config::{Gpu, LockMode, MemoryBudget, OutputStream, WorkerOutput, WorkersConfig};
pub use environment::{Environment, EnvironmentOrigin, EnvironmentRequest, LockedPackages, fetch_wheel};
pub use error::Error;
pub use failure::{Failure, FailureKind};
pub use outcome::{BatchOutcome, RowError, Stage};
pub use pool::{Pool, PoolSnapshot};
pub use program::{
    BatchFormat, Call, CallArgument, CallErrors, InputMode, Nulls, PoolSettings, Program, Role, RowsMode, StartMode,
    TrainingCode, TransformCode,
};
pub use workers::Workers;
