//! Decides what runs, when and again, and keeps the run store.
//!
//! [`step`] decides, [`Driver`] performs, [`RunStore`] remembers and [`LeaseGuard`] keeps a second
//! run out. The work itself is behind the [`Backend`] port: this crate knows neither the engine nor
//! the project's files, only names of nodes and who waits for whom.

mod backend;
mod cancel;
mod clock;
mod driver;
mod error;
mod lease;
mod observer;
mod process;
mod progress;
mod recorder;
mod run_id;
mod state;
mod store;

pub use backend::{Attempt, Backend, BackendError, ErrorRows, NodeOutcome, OutcomeKind};
pub use cancel::{CancelReason, CancelSignal};
pub use clock::{Clock, ManualClock, SystemClock};
pub use driver::Driver;
pub use error::Error;
pub use lease::{LEASE_TERM, LeaseGuard, LeaseRequest, LeaseWatch, RENEW_EVERY};
pub use observer::{Observer, RunEvent, RunReason, RunSummary, SharedError};
pub use process::ProcessId;
pub use progress::{NodeProgress, Phase, ProgressSnapshot};
pub use recorder::Recorder;
pub use run_id::RunId;
pub use state::{
    Action, Event, FailurePolicy, Leaves, NodeSpec, NodeState, RunOptions, RunOutcome, RunState, SkipReason,
    StateCounts, backoff, step,
};
pub use store::{NewRun, NodeHistory, NodeRunRow, RunArguments, RunDetail, RunEnd, RunRow, RunStore};
