//! One worker: its process, its socket, its slots, and the batches it has.
//!
//! [`serve`] is the worker's task. It owns the protocol: whoever waits for a batch may go away at any
//! time without disturbing it. It ends with its process and answers why, together with the batches
//! that are left, for the pool to place again.
//!
//! Must stay true: after a timeout, a death or an answer that cannot be read nothing more is believed
//! from this process; it is killed, and its place is free once it is reaped.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use arrow::ipc::writer::StreamEncoder;
use arrow::record_batch::RecordBatch;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::Failure;
use crate::channel::Channel;
use crate::ledger::Permit;
use crate::output::Output;
use crate::pool::{Core, Job, Mode};
use crate::protocol::{Exit, FromWorker, ToWorker};
use crate::slots::{Slot, Slots};
use crate::zygote::{Process, ProcessEvent};

mod answer;
mod end;
mod start;
mod transfer;
mod watch;

use answer::Reader;
pub(crate) use end::{Death, End, Ended};
use watch::{Clock, Pace, View};

/// How often memory is asked for again while it is short.
const SHORT_LOOK: Duration = Duration::from_millis(20);

/// How long a worker without work keeps free slots.
const SPARE_TIME: Duration = Duration::from_secs(5);

/// What the pool tells a worker.
#[derive(Debug)]
pub(crate) enum Command {
    Run(Job),
    /// Finish what is at hand, then stop.
    Stop,
}

/// What a worker starts with.
pub(crate) struct Launch {
    pub(crate) core: Arc<Core>,
    /// Counts from 1 within the pool; free again when the worker has ended.
    pub(crate) seat: u32,
    pub(crate) permit: Permit,
    pub(crate) commands: mpsc::Receiver<Command>,
}

/// A batch that the worker has.
struct Flight {
    job: Job,
    /// The rows of this call: all of the job's, or the part in turn.
    batch: RecordBatch,
    seq: u64,
    input: Slot,
    output: Slot,
}

/// Why a worker ends.
#[derive(Debug)]
enum Cause {
    /// Its socket ended or broke.
    Lost,
    Exited(Exit),
    ZygoteGone,
    CallTimeout,
    StartTimeout,
    /// It took more memory than it may.
    Memory {
        bytes: u64,
    },
    /// It did not answer a ping.
    Silent,
    /// Nobody waits for what it is at.
    Deserted,
    /// An answer or frame makes no sense.
    Malformed(String),
    /// It could not get ready.
    InitFailed(Failure),
    /// It was told to stop.
    Stopped,
}

struct Worker {
    core: Arc<Core>,
    seat: u32,
    /// Held until the process is reaped.
    _permit: Permit,
    commands: mpsc::Receiver<Command>,
    channel: Channel,
    process: Process,
    output: Output,
    outbox: VecDeque<(Vec<u8>, Option<OwnedFd>)>,
    slots: Slots,
    encoder: StreamEncoder,
    reader: Reader,
    flights: VecDeque<Flight>,
    /// Batches that wait for memory.
    held: VecDeque<Job>,
    /// Bytes that the result of the first flight needs, while there is no memory for it.
    growth: Option<Growth>,
    /// Since when memory is short.
    short_since: Option<Instant>,
    next_seq: u64,
    /// Bytes of the last result: the next one is likely as large.
    last_result: usize,
    clock: Clock,
    phase: Phase,
    has_been_ready: bool,
}

/// A result that waits for memory.
#[derive(Debug, Clone, Copy)]
struct Growth {
    bytes: usize,
    /// Batches that wait with it.
    stalled: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    Ready,
    /// Takes no more batches.
    Stopping,
    /// The process is gone; what it said last is being read.
    Gone,
}

/// Runs a worker from its start to its end.
pub(crate) async fn serve(launch: Launch) -> Ended {
    let seat = launch.seat;
    match start::start(launch).await {
        Ok(mut worker) => {
            let cause = worker.run().await;
            worker.end(cause).await
        }
        Err(error) => Ended { seat, end: End::Unable(error), culprit: None, others: Vec::new() },
    }
}

impl Worker {
    /// Does what comes until the worker has to end.
    async fn run(&mut self) -> Cause {
        let mut frame = Vec::new();
        let memory = Arc::clone(&self.core.memory);
        loop {
            if self.phase == Phase::Stopping && self.flights.is_empty() && self.held.is_empty() {
                return Cause::Stopped;
            }
            let due = self.due();
            let step = tokio::select! {
                biased;
                received = self.channel.receive(&mut frame) => match received {
                    Ok(true) => self.hear(&frame).await,
                    Ok(false) | Err(_) => Err(Cause::Lost),
                },
                event = self.process.event() => self.follow(event, &mut frame).await,
                sent = self.channel.writable(), if !self.outbox.is_empty() => {
                    if sent.is_ok() {
                        self.flush();
                    }
                    Ok(())
                }
                command = self.commands.recv(), if self.phase != Phase::Stopping => {
                    match command {
                        Some(Command::Run(job)) => self.begin(job).await,
                        Some(Command::Stop) | None => self.phase = Phase::Stopping,
                    }
                    Ok(())
                }
                () = memory.freed.notified(), if self.is_short() => self.retry_memory().await,
                () = memory.squeeze.notified() => {
                    self.give_back();
                    Ok(())
                }
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.look().await
                }
            };
            if let Err(cause) = step {
                return cause;
            }
        }
    }

    /// Handles a frame.
    async fn hear(&mut self, frame: &[u8]) -> Result<(), Cause> {
        match (FromWorker::decode(frame).map_err(Cause::Malformed)?, self.phase) {
            (FromWorker::Ready, Phase::Starting) => {
                self.phase = Phase::Ready;
                self.has_been_ready = true;
                let took = self.clock.ready(Instant::now());
                self.core.worker_ready(self.seat, took);
                Ok(())
            }
            (FromWorker::InitFailed(failure), Phase::Starting) => Err(Cause::InitFailed(failure)),
            (FromWorker::Done(done), _) => self.on_done(&done).await,
            (FromWorker::Need { slot, bytes, seq }, _) => {
                self.check_turn(slot, seq)?;
                self.grow(bytes).await
            }
            (FromWorker::Failed(failed), _) => self.on_failed(failed),
            (FromWorker::Pong { token, released }, _) => {
                self.slots.release(&released).map_err(Cause::Malformed)?;
                self.clock.pong(token, Instant::now());
                Ok(())
            }
            (other, _) => Err(Cause::Malformed(format!("a frame out of turn: {other:?}"))),
        }
    }

    /// Handles what happened to the process. What it said before its end still counts.
    async fn follow(&mut self, event: Option<ProcessEvent>, frame: &mut Vec<u8>) -> Result<(), Cause> {
        let cause = match event {
            Some(ProcessEvent::Started { pid }) => {
                self.clock.started(pid);
                return Ok(());
            }
            Some(ProcessEvent::Exited(exit)) => Cause::Exited(exit),
            None => Cause::ZygoteGone,
        };
        self.phase = Phase::Gone;
        while self.channel.receive_pending(frame).is_some() {
            self.hear(frame).await?;
        }
        Err(cause)
    }

    /// Looks at the time: what takes too long, what waits for memory.
    async fn look(&mut self) -> Result<(), Cause> {
        let view = self.view();
        let now = Instant::now();
        self.clock.check(view, now).map_or(Ok(()), Err)?;
        if self.spare_until().is_some_and(|until| now >= until) {
            self.give_back();
        }
        if self.is_short() { self.retry_memory().await } else { Ok(()) }
    }

    /// Returns when to look at the time, if nothing happens before.
    fn due(&self) -> Option<Instant> {
        let short = self.is_short().then(|| Instant::now() + SHORT_LOOK);
        [short, self.clock.due(self.view()), self.spare_until()].into_iter().flatten().min()
    }

    /// Returns when free slots are to be given back.
    fn spare_until(&self) -> Option<Instant> {
        let is_idle = self.flights.is_empty() && self.held.is_empty();
        (is_idle && self.slots.has_spare()).then(|| self.clock.turn() + SPARE_TIME)
    }

    fn view(&self) -> View {
        View {
            is_starting: self.phase == Phase::Starting,
            call: self.flights.front().map(|head| match head.job.mode {
                Mode::Careful => Pace::Careful { rows: head.batch.num_rows() },
                Mode::Normal | Mode::Bisect(_) => Pace::Normal,
            }),
            waits_for_us: self.growth.is_some(),
            is_deserted: self.flights.front().is_some_and(|head| head.job.is_abandoned()),
        }
    }

    /// Returns whether a batch or a result waits for memory.
    fn is_short(&self) -> bool {
        !self.held.is_empty() || self.growth.is_some()
    }

    /// Puts a frame in line and sends what can be sent.
    fn send(&mut self, frame: ToWorker, descriptor: Option<OwnedFd>) {
        self.outbox.push_back((frame.encode(), descriptor));
        self.flush();
    }

    fn flush(&mut self) {
        while let Some((frame, descriptor)) = self.outbox.front() {
            let descriptors: Vec<_> = descriptor.iter().map(AsFd::as_fd).collect();
            match self.channel.try_send(frame, &descriptors) {
                Ok(()) => drop(self.outbox.pop_front()),
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => return,
                // The process is gone. What it said before is still to be read, and ends in its end.
                Err(_) => self.outbox.clear(),
            }
        }
    }
}
