//! A pool: the workers of one program, and the batches that wait for them.
//!
//! [`Pool::call`] puts a batch on the board; whoever changes the board (a caller, a worker that has
//! answered) hands out what can be handed out. One task, the supervisor, starts and ends workers and
//! decides about batches whose worker died.
//!
//! Must stay true: a batch is on the board, with one worker, or answered.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use crate::config::Gpu;
use crate::ledger::{SharedLedger, WHOLE};
use crate::scale::BatchSizer;
use crate::slots::{Memory, SlotCounts};
use crate::worker::Command;
use crate::zygote::{Zygotes, lock};
use crate::{BatchOutcome, Error, Program, WorkerOutput};

mod board;
mod broken;
mod job;
mod supervisor;
mod verdict;

use board::{DEPTH, Waiting, choose};
use broken::Broken;
pub(crate) use job::{Job, Mode};
pub(crate) use supervisor::supervise;
pub(crate) use verdict::Blame;

/// The workers of one program. Workers start when batches come, and stay for the next run.
#[derive(Clone)]
pub struct Pool {
    core: Arc<Core>,
}

/// What a pool has done and is doing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PoolSnapshot {
    /// Workers that are ready.
    pub workers: u32,
    /// Workers that are getting ready.
    pub starting: u32,
    /// Batches that wait for a worker.
    pub queued: usize,
    /// Batches that workers have.
    pub in_flight: usize,
    /// Batches answered, also with a failure.
    pub calls: u64,
    /// Rows handed over in `calls`.
    pub rows: u64,
    /// Rows that failed.
    pub error_rows: u64,
    /// Time in `calls`, over all workers.
    pub call_seconds: f64,
    /// Time that the last worker took to get ready; 0 before the first.
    pub start_seconds: f64,
    /// Shared memory in use, in bytes.
    pub slot_bytes: u64,
    /// Slots left to user code that keeps arrays of old batches.
    pub abandoned_slots: u64,
    /// Workers replaced: they died, took too long, or asked for it.
    pub restarts: u64,
}

/// What pool, supervisor and workers share.
pub(crate) struct Core {
    pub(crate) program: Arc<Program>,
    pub(crate) zygotes: Arc<Zygotes>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) counts: Arc<SlotCounts>,
    pub(crate) gpus: Vec<Gpu>,
    pub(crate) sink: Arc<dyn WorkerOutput>,
    notices: Arc<dyn Fn(&str) + Send + Sync>,
    ledger: Arc<SharedLedger>,
    /// Wakes the supervisor.
    wake: Arc<Notify>,
    places: Arc<Semaphore>,
    state: Mutex<State>,
}

/// What a pool is made from, besides its program.
pub(crate) struct Shared {
    pub(crate) zygotes: Arc<Zygotes>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) gpus: Vec<Gpu>,
    pub(crate) sink: Arc<dyn WorkerOutput>,
    pub(crate) notices: Arc<dyn Fn(&str) + Send + Sync>,
    pub(crate) ledger: Arc<SharedLedger>,
}

/// An answer, and how long it took.
pub(crate) struct Answer {
    outcome: Option<Result<BatchOutcome, Error>>,
    elapsed: Duration,
}

impl Answer {
    pub(crate) fn of(outcome: Result<BatchOutcome, Error>, elapsed: Duration) -> Self {
        Self { outcome: Some(outcome), elapsed }
    }

    /// For a batch that nobody waits for.
    pub(crate) fn nothing() -> Self {
        Self { outcome: None, elapsed: Duration::ZERO }
    }
}

/// After this time without work, what comes is something else.
const NEW_WORK: Duration = Duration::from_secs(5);

struct State {
    queue: VecDeque<Job>,
    seats: BTreeMap<u32, Seat>,
    phase: PoolPhase,
    /// Rows still to come, as the caller says.
    remaining: Option<u64>,
    sizer: BatchSizer,
    stats: PoolSnapshot,
    /// Time in calls since the pool was last idle.
    spent: Duration,
    /// Deaths in a row before a worker was ready.
    early_deaths: u32,
    /// Since when there is nothing to do.
    idle_since: Option<Instant>,
    /// Whether workers start before there is work.
    starts_early: bool,
    warned_of_hoarding: bool,
}

enum PoolPhase {
    Open,
    /// No worker can work.
    Broken(Broken),
    /// Workers end, and no call is taken.
    Closed,
}

/// A worker as the pool sees it.
struct Seat {
    phase: SeatPhase,
    load: usize,
    calls: u64,
    has_suspect: bool,
    commands: mpsc::Sender<Command>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SeatPhase {
    Starting,
    Ready,
    /// Gets no more batches.
    Retired,
}

impl Pool {
    pub(crate) fn new(program: Program, shared: Shared) -> Self {
        let places = (DEPTH * program.settings.concurrency.1.max(1) as usize).min(Semaphore::MAX_PERMITS);
        let state = State {
            queue: VecDeque::new(),
            seats: BTreeMap::new(),
            phase: PoolPhase::Open,
            remaining: None,
            sizer: BatchSizer::new(),
            stats: PoolSnapshot::default(),
            spent: Duration::ZERO,
            early_deaths: 0,
            idle_since: Some(Instant::now()),
            starts_early: true,
            warned_of_hoarding: false,
        };
        let core = Core {
            program: Arc::new(program),
            zygotes: shared.zygotes,
            memory: shared.memory,
            counts: Arc::default(),
            gpus: shared.gpus,
            sink: shared.sink,
            notices: shared.notices,
            ledger: shared.ledger,
            wake: Arc::new(Notify::new()),
            // Twice as many as are of use: some callers may have gone away from theirs.
            places: Arc::new(Semaphore::new(2 * places)),
            state: Mutex::new(state),
        };
        Self { core: Arc::new(core) }
    }

    /// Hands a batch to a worker and answers what came of each of its rows. Waits while all workers are
    /// busy. `batch` has the schema of [`Program::input`]. May be dropped at any time: the answer is
    /// thrown away, and the next call is not affected.
    pub async fn call(&self, batch: RecordBatch) -> Result<BatchOutcome, Error> {
        let core = &self.core;
        let node = || core.program.node.clone();
        core.check(&batch)?;
        if batch.num_rows() == 0 {
            // Nothing to do, and nothing that user code would expect.
            let rows = RecordBatch::new_empty(Arc::clone(&core.program.output));
            return Ok(BatchOutcome { rows, errors: Vec::new(), elapsed: Duration::ZERO, worker: 0 });
        }
        let place = Arc::clone(&core.places).acquire_owned().await.map_err(|_| Error::Closed { node: node() })?;
        let (reply, answer) = oneshot::channel();
        core.submit(Job::new(batch, reply, place))?;
        answer.await.unwrap_or_else(|_| Err(Error::Closed { node: node() }))
    }

    /// Says how many rows are still to come, so that the pool starts as many workers as they are worth.
    pub fn expect_rows(&self, remaining: Option<u64>) {
        self.core.lock().remaining = remaining;
        self.core.wake.notify_one();
    }

    /// Ends workers that have nothing to do; new ones start when batches come.
    pub fn dismiss_idle(&self) {
        self.core.dismiss_idle();
    }

    /// Returns how many calls keep all workers busy; more only wait.
    pub fn in_flight_limit(&self) -> usize {
        DEPTH * self.core.program.settings.concurrency.1.max(1) as usize
    }

    /// Returns the number of rows that a batch should have where the user does not say.
    pub fn batch_rows(&self) -> usize {
        self.core.lock().sizer.rows()
    }

    /// Returns the program.
    pub fn program(&self) -> &Program {
        &self.core.program
    }

    /// Returns what the pool has done and is doing.
    pub fn snapshot(&self) -> PoolSnapshot {
        let state = self.core.lock();
        let count = |phase| state.seats.values().filter(|seat| seat.phase == phase).count() as u32;
        PoolSnapshot {
            workers: count(SeatPhase::Ready),
            starting: count(SeatPhase::Starting),
            queued: state.queue.len(),
            in_flight: state.seats.values().map(|seat| seat.load).sum(),
            slot_bytes: self.core.counts.bytes.load(Ordering::Relaxed),
            abandoned_slots: self.core.counts.abandoned.load(Ordering::Relaxed),
            ..state.stats.clone()
        }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("node", &self.core.program.node).finish_non_exhaustive()
    }
}

impl Core {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Checks that a batch has the columns that the workers were told of.
    fn check(&self, batch: &RecordBatch) -> Result<(), Error> {
        let types = |schema: &arrow::datatypes::Schema| {
            schema.fields().iter().map(|field| field.data_type().clone()).collect::<Vec<_>>()
        };
        let expected = &self.program.input;
        if Arc::ptr_eq(batch.schema_ref(), expected) || types(batch.schema_ref()) == types(expected) {
            return Ok(());
        }
        let message = format!("columns {} where {expected} are declared", batch.schema_ref());
        let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, message);
        Err(Error::Process { node: self.program.node.clone(), operation: "encode a batch", source })
    }

    fn submit(&self, job: Job) -> Result<(), Error> {
        let mut state = self.lock();
        match &state.phase {
            PoolPhase::Open => {}
            PoolPhase::Broken(broken) => return Err(broken.error(&self.program.node)),
            PoolPhase::Closed => return Err(Error::Closed { node: self.program.node.clone() }),
        }
        state.remaining = state.remaining.map(|remaining| remaining.saturating_sub(job.batch.num_rows() as u64));
        state.starts_early = false;
        if state.idle_since.take().is_some_and(|since| since.elapsed() > NEW_WORK) {
            state.spent = Duration::ZERO;
        }
        state.queue.push_back(job);
        state.hand_out();
        if !state.queue.is_empty() {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Takes note that a worker is ready.
    pub(crate) fn worker_ready(&self, seat: u32, took: Duration) {
        let mut state = self.lock();
        state.stats.start_seconds = took.as_secs_f64();
        state.early_deaths = 0;
        if let Some(seat) = state.seats.get_mut(&seat).filter(|seat| seat.phase == SeatPhase::Starting) {
            seat.phase = SeatPhase::Ready;
        }
        state.hand_out();
        drop(state);
        tracing::debug!(node = self.program.node, worker = seat, elapsed_ms = took.as_millis(), "worker ready");
        self.wake.notify_one();
    }

    /// Answers a batch that a worker had.
    pub(crate) fn finish(&self, seat: u32, job: Job, answer: Answer) {
        let mut state = self.lock();
        if let Some(seat) = state.seats.get_mut(&seat) {
            seat.load = seat.load.saturating_sub(1);
            seat.has_suspect &= seat.load > 0;
        }
        if let Some(outcome) = &answer.outcome {
            state.learn(&job, outcome, answer.elapsed);
        }
        state.hand_out();
        if state.is_idle() {
            state.idle_since = Some(Instant::now());
        }
        drop(state);
        if let Some(outcome) = answer.outcome {
            job.answer(outcome);
        }
    }

    /// Gives a worker no more batches; it stops when it has none left.
    pub(crate) fn retire(&self, seat: u32) {
        if let Some(seat) = self.lock().seats.get_mut(&seat) {
            seat.retire();
        }
        self.wake.notify_one();
    }

    /// Tells the user, once, that the code keeps arrays of old batches.
    pub(crate) fn warn_of_hoarding(&self) {
        if !std::mem::replace(&mut self.lock().warned_of_hoarding, true) {
            let node = &self.program.node;
            (self.notices)(&format!(
                "`{node}` keeps arrays of earlier batches, which keeps their memory: copy what it needs for longer"
            ));
        }
    }
}

impl Seat {
    fn retire(&mut self) {
        if self.phase != SeatPhase::Retired {
            self.phase = SeatPhase::Retired;
            // Full means that it is told already, or has ended.
            let _ = self.commands.try_send(Command::Stop);
        }
    }
}

impl State {
    /// Hands out what can be handed out.
    fn hand_out(&mut self) {
        self.queue.retain(|job| !job.is_abandoned());
        loop {
            let ready = self.seats.iter().filter(|(_, seat)| seat.phase == SeatPhase::Ready);
            let seats: Vec<_> = ready
                .map(|(id, seat)| board::Seat {
                    id: *id,
                    load: seat.load,
                    calls: seat.calls,
                    has_suspect: seat.has_suspect,
                })
                .collect();
            let waiting = self.queue.iter().map(|job| if job.is_suspect() { Waiting::Suspect } else { Waiting::Plain });
            let Some((place, id)) = choose(waiting, &seats) else { return };
            let Some(job) = self.queue.remove(place) else { return };
            let Some(seat) = self.seats.get_mut(&id) else { return };
            let is_suspect = job.is_suspect();
            match seat.commands.try_send(Command::Run(job)) {
                Ok(()) => {
                    seat.load += 1;
                    seat.calls += 1;
                    seat.has_suspect |= is_suspect;
                }
                Err(err) => {
                    // The worker has just ended; the supervisor will hear of it.
                    seat.phase = SeatPhase::Retired;
                    if let Command::Run(job) = err.into_inner() {
                        self.queue.insert(place, job);
                    }
                }
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.seats.values().all(|seat| seat.load == 0)
    }

    fn learn(&mut self, job: &Job, outcome: &Result<BatchOutcome, Error>, elapsed: Duration) {
        let rows = job.batch.num_rows();
        self.stats.calls += 1;
        self.stats.rows += rows as u64;
        self.stats.call_seconds += elapsed.as_secs_f64();
        self.spent += elapsed;
        if let Ok(outcome) = outcome {
            self.stats.error_rows += outcome.errors.len() as u64;
            let bytes = || job.batch.get_array_memory_size();
            self.sizer.observe(rows, bytes, elapsed);
        }
    }
}

/// Returns a number of CPUs or GPUs in thousandths.
pub(crate) fn thousandths(amount: f64) -> u32 {
    // The cast saturates; nobody has that many.
    (amount.max(0.0) * f64::from(WHOLE)).round() as u32
}
