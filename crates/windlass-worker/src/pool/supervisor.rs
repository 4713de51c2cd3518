//! Starts and ends a pool's workers, and places batches whose worker is gone.

use std::sync::Arc;
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::board::DEPTH;
use super::broken::Broken;
use super::verdict::{Blame, Tried, Verdict, after_death};
use super::{Core, Job, Mode, PoolPhase, Seat, SeatPhase, State, thousandths};
use crate::bisect::Bisection;
use crate::ledger::{Ask, Asked, Permit, Place};
use crate::scale::{Demand, workers_wanted};
use crate::worker::{Death, End, Ended, Launch, serve};
use crate::{BatchOutcome, Error, Role, RowError};

/// Rows that a worker is started for where that is little work.
const MANY_ROWS: u64 = 1 << 20;
/// How long workers stay without work.
const IDLE_CPU: Duration = Duration::from_secs(600);
/// The same with a GPU, which others may want.
const IDLE_GPU: Duration = Duration::from_secs(120);
/// The same where another pool waits for what they hold.
const IDLE_WANTED: Duration = Duration::from_secs(1);
/// How often the pool is looked at while batches wait, and while none do.
const LOOK_BUSY: Duration = Duration::from_millis(20);
const LOOK_IDLE: Duration = Duration::from_millis(250);
/// Deaths in a row before the first batch that end a pool.
const MOST_EARLY_DEATHS: u32 = 3;
/// Workers that may be lost under a batch before it is suspected itself.
const MOST_LOSSES: u32 = 4;
/// How long workers may take to stop when the pool is closed.
const CLOSE_LIMIT: Duration = Duration::from_secs(3);

/// Runs a pool until it is closed. Dropping this kills the workers.
pub(crate) async fn supervise(core: Arc<Core>) {
    let _closing = Closing(Arc::clone(&core));
    let mut supervisor = Supervisor { core, workers: JoinSet::new(), asked: None };
    while !supervisor.core.is_closed() {
        supervisor.staff();
        let look = supervisor.core.look();
        tokio::select! {
            () = supervisor.core.wake.notified() => {}
            Some(ended) = supervisor.workers.join_next() => supervisor.replace(ended),
            () = tokio::time::sleep(look.unwrap_or_default()), if look.is_some() => {}
        }
    }
    supervisor.close().await;
}

/// Makes sure that nobody waits for a pool without a supervisor.
struct Closing(Arc<Core>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

struct Supervisor {
    core: Arc<Core>,
    workers: JoinSet<Ended>,
    /// What the next worker needs, in line.
    asked: Option<(Place, Asked)>,
}

impl Supervisor {
    /// Starts workers that are wanted, as far as there are resources, and ends those that are not.
    fn staff(&mut self) {
        self.core.lock().dismiss(&self.core);
        loop {
            if !self.core.lock().wants_worker(&self.core) {
                self.asked = None;
                return;
            }
            let place = if self.core.lock().seats.is_empty() { Place::First } else { Place::Further };
            if self.asked.as_ref().is_none_or(|(asked, _)| *asked != place) {
                // Also where the others have ended meanwhile: the first worker need not wait for CPUs.
                self.asked = Some((place, self.core.ask(place)));
            }
            let Some(permit) = self.asked.as_ref().and_then(|(_, asked)| asked.take()) else { return };
            self.asked = None;
            self.start(permit);
        }
    }

    fn start(&mut self, permit: Permit) {
        let mut state = self.core.lock();
        let seat = (1..).find(|seat| !state.seats.contains_key(seat)).unwrap_or(u32::MAX);
        // Room for what it may have at a time, and the word to stop.
        let (sender, commands) = mpsc::channel(DEPTH + 1);
        let phase = SeatPhase::Starting;
        state.seats.insert(seat, Seat { phase, load: 0, calls: 0, has_suspect: false, commands: sender });
        drop(state);
        self.workers.spawn(serve(Launch { core: Arc::clone(&self.core), seat, permit, commands }));
    }

    /// Takes note of a worker's end and places what it leaves.
    fn replace(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        match ended {
            Ok(ended) => self.core.settle(ended),
            Err(err) => {
                // A defect of ours. Its batches are answered as closed, its seat is not known.
                tracing::error!(node = self.core.program.node, error = %err, "a worker's task failed");
                self.core.lock().seats.retain(|_, seat| !seat.commands.is_closed());
            }
        }
    }

    async fn close(&mut self) {
        self.asked = None;
        for seat in self.core.lock().seats.values_mut() {
            seat.retire();
        }
        let all = async { while self.workers.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(CLOSE_LIMIT, all).await;
        self.workers.shutdown().await;
    }
}

impl Core {
    /// Asks for what a worker needs.
    fn ask(&self, place: Place) -> Asked {
        let settings = &self.program.settings;
        let ask = Ask { cpus: thousandths(settings.num_cpus), gpus: thousandths(settings.num_gpus), place };
        self.ledger.ask(ask, &self.wake)
    }

    /// Takes no more calls and answers those that wait.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.phase = PoolPhase::Closed;
        let waiting = std::mem::take(&mut state.queue);
        drop(state);
        // Dropped jobs answer as closed.
        drop(waiting);
        self.places.close();
        self.wake.notify_one();
    }

    /// Lets workers go that have nothing to do, now instead of later.
    pub(crate) fn dismiss_idle(&self) {
        let mut state = self.lock();
        if state.is_idle() {
            state.starts_early = false;
            state.seats.values_mut().for_each(Seat::retire);
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.lock().phase, PoolPhase::Closed)
    }

    pub(crate) fn is_broken(&self) -> bool {
        matches!(self.lock().phase, PoolPhase::Broken(_))
    }

    /// Returns when to look at the pool again, if nothing happens before.
    fn look(&self) -> Option<Duration> {
        let state = self.lock();
        if !state.queue.is_empty() {
            return Some(LOOK_BUSY);
        }
        (!state.seats.is_empty()).then_some(LOOK_IDLE)
    }

    /// Frees a worker's seat and places what it leaves.
    fn settle(&self, ended: Ended) {
        let Ended { seat, end, culprit, mut others } = ended;
        let mut state = self.lock();
        state.seats.remove(&seat);
        state.starts_early &= matches!(end, End::DiedEarly(_));
        if !matches!(end, End::Stopped) {
            state.stats.restarts += 1;
        }
        let is_lost = matches!(end, End::Lost);
        let broken = match end {
            End::Stopped | End::Deserted | End::Lost => None,
            End::Died(death) => {
                if let Some(job) = culprit {
                    state.place_culprit(self, job, &death);
                }
                None
            }
            End::Malformed { message } => {
                if let Some(job) = culprit {
                    state.answered(job, Err(Error::Answer { node: self.program.node.clone(), message }));
                }
                None
            }
            End::InitFailed(failure) => Some(Broken::Init(failure)),
            End::StartTimeout { output } => {
                Some(Broken::StartTimeout { limit: self.program.settings.start_timeout, output })
            }
            End::DiedEarly(death) => Some(Broken::Death(death)),
            End::Unable(error) => Some(Broken::by(&error)),
        };
        if is_lost {
            others.retain_mut(|job| {
                job.losses += 1;
                // Who loses that many workers may be the reason.
                job.deaths = job.deaths.max(u32::from(job.losses > MOST_LOSSES));
                true
            });
        }
        for job in others.into_iter().rev() {
            state.queue.push_front(job);
        }
        if let Some(broken) = broken {
            state.early_deaths += 1;
            if broken.is_final() || state.early_deaths >= MOST_EARLY_DEATHS {
                state.give_up(self, broken);
            }
        }
        state.hand_out();
    }
}

impl State {
    /// Returns whether another worker should start.
    fn wants_worker(&self, core: &Core) -> bool {
        let (fewest, most) = core.program.settings.concurrency;
        let most = most.max(1);
        let fewest = fewest.max(1).max(self.surely_wanted(core)).min(most);
        let count = self.seats.len() as u32;
        if !matches!(self.phase, PoolPhase::Open) || count >= most {
            return false;
        }
        let waiting = self.queue.len() as u64 + self.seats.values().map(|seat| seat.load as u64).sum::<u64>();
        if waiting == 0 {
            // Before the first batch, workers get ready; later they start when there is work.
            return self.starts_early && count < fewest;
        }
        let suspects = self.queue.iter().filter(|job| job.is_suspect()).count();
        let fresh = self.seats.values().filter(|seat| seat.is_fresh()).count();
        let calls = self.stats.calls;
        let wanted = workers_wanted(Demand {
            fewest,
            most,
            waiting,
            // Batches to come are taken to be as large as those before.
            remaining: self.remaining.map(|rows| rows.saturating_mul(calls) / self.stats.rows.max(1)),
            call_seconds: (calls > 0).then(|| self.stats.call_seconds / calls as f64),
            spent_seconds: self.spent.as_secs_f64(),
            start_seconds: (self.stats.start_seconds > 0.0).then_some(self.stats.start_seconds),
        });
        let useful = self.seats.values().filter(|seat| seat.phase != SeatPhase::Retired).count() as u32;
        useful < wanted || suspects > fresh
    }

    /// Returns how many workers so many rows are worth before the first call has said what a row costs. Only where
    /// starting one is little work: a class may load a large model.
    fn surely_wanted(&self, core: &Core) -> u32 {
        let is_class = matches!(&core.program.role, Role::Transform(code) if code.is_class);
        match (self.remaining, is_class) {
            (Some(rows), false) => u32::try_from(rows / MANY_ROWS).unwrap_or(u32::MAX),
            _ => 0,
        }
    }

    /// Lets workers go: idle ones after a while, and one where a suspect batch finds no new worker.
    fn dismiss(&mut self, core: &Core) {
        let suspects = self.queue.iter().filter(|job| job.is_suspect()).count();
        let fresh = self.seats.values().filter(|seat| seat.is_fresh()).count();
        let has_room = (self.seats.len() as u32) < core.program.settings.concurrency.1.max(1);
        let is_leaving = self.seats.values().any(|seat| seat.phase == SeatPhase::Retired);
        if suspects > fresh && !has_room && !is_leaving {
            let used = self.seats.values_mut().filter(|seat| seat.phase == SeatPhase::Ready);
            if let Some(seat) = used.min_by_key(|seat| seat.load) {
                seat.retire();
            }
        }
        if self.is_idle() {
            self.idle_since.get_or_insert_with(Instant::now);
        }
        let Some(idle) = self.idle_since.map(|since| since.elapsed()) else { return };
        let limit = if core.program.settings.num_gpus > 0.0 { IDLE_GPU } else { IDLE_CPU };
        if idle > limit || idle > IDLE_WANTED && core.ledger.is_short() {
            self.starts_early = false;
            self.seats.values_mut().filter(|seat| seat.phase == SeatPhase::Ready).for_each(Seat::retire);
        }
    }

    /// Decides about a batch whose worker died.
    fn place_culprit(&mut self, core: &Core, mut job: Job, death: &Death) {
        job.deaths += 1;
        let program = &core.program;
        let blame = program.blame();
        let tried = match job.mode {
            Mode::Normal => Tried::Normal,
            Mode::Careful => Tried::Careful,
            Mode::Bisect(_) => Tried::Bisect,
        };
        let rows = u32::try_from(job.batch.num_rows()).unwrap_or(u32::MAX);
        let mut row_error = death.blame(job.deaths);
        match after_death(tried, job.deaths, blame, program.settings.start) {
            Verdict::Retry => {}
            Verdict::Careful => job.mode = Mode::Careful,
            Verdict::Bisect => {
                let mut bisection = Bisection::new(rows);
                if rows == 1 {
                    bisection.killed(&row_error, |rows| program.lost_rows(rows));
                }
                job.mode = Mode::Bisect(bisection);
            }
            Verdict::SplitPart => {
                if let Mode::Bisect(bisection) = &mut job.mode {
                    bisection.killed(&row_error, |rows| program.lost_rows(rows));
                }
            }
            Verdict::ErrorRows => {
                if blame == Blame::Batch {
                    row_error.message = format!("the batch of {rows} rows failed as a whole: {}", row_error.message);
                }
                let errors = (0..rows).map(|row| RowError { row, ..row_error.clone() }).collect();
                return self.answered(job, Ok((program.lost_rows(rows as usize), errors)));
            }
            Verdict::Fail => return self.answered(job, Err(death.error(core))),
        }
        match job.finish_bisection(&program.output) {
            Some(whole) => {
                let node = program.node.clone();
                self.answered(job, whole.map_err(|err| Error::Answer { node, message: err.to_string() }));
            }
            None => self.queue.push_front(job),
        }
    }

    /// Answers a batch that no worker has.
    fn answered(&mut self, job: Job, answer: Result<(RecordBatch, Vec<RowError>), Error>) {
        let outcome = answer.map(|(rows, errors)| BatchOutcome { rows, errors, elapsed: Duration::ZERO, worker: 0 });
        self.learn(&job, &outcome, Duration::ZERO);
        job.answer(outcome);
    }

    /// Fails all that waits.
    fn give_up(&mut self, core: &Core, broken: Broken) {
        for job in std::mem::take(&mut self.queue) {
            job.answer(Err(broken.error(&core.program.node)));
        }
        self.seats.values_mut().filter(|seat| seat.load == 0).for_each(Seat::retire);
        self.phase = PoolPhase::Broken(broken);
    }
}

impl Seat {
    fn is_fresh(&self) -> bool {
        match self.phase {
            SeatPhase::Starting => true,
            SeatPhase::Ready => self.calls == 0 && self.load == 0,
            SeatPhase::Retired => false,
        }
    }
}

impl Death {
    fn error(&self, core: &Core) -> Error {
        let node = core.program.node.clone();
        match (self.stage, core.program.settings.timeout) {
            (crate::Stage::Timeout, Some(limit)) => Error::Timeout { node, limit, stack: self.output.clone() },
            _ => Error::Died { node, how: self.how.clone(), output: self.output.clone() },
        }
    }
}
