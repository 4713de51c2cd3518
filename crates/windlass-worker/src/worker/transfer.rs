//! Batches out, answers in.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arrow::buffer::Buffer;
use tokio::time::Instant;

use super::answer::{Unusable, spans};
use super::{Cause, Flight, Growth, Phase, Worker};
use crate::pool::{Answer, Job, Mode};
use crate::protocol::{ALL_ROWS, Direction, Done, Failed, Run, RunMode, ToWorker};
use crate::shm::lend;
use crate::slots::{Slot, Taking};
use crate::{BatchOutcome, Error};

/// How long memory that readers hold is waited for when no batch is at work that could free any.
const LENT_LIMIT: Duration = Duration::from_secs(5);
/// The same for memory that idle workers hold.
const SPARE_LIMIT: Duration = Duration::from_millis(500);

/// What came of asking for a slot.
enum Room {
    Slot(Slot),
    /// The budget is used up.
    Short,
    Failed(io::Error),
}

impl Worker {
    /// Hands a batch to the process, as soon as there is memory for it.
    pub(super) async fn begin(&mut self, job: Job) {
        if job.is_abandoned() {
            return self.core.finish(self.seat, job, Answer::nothing());
        }
        if self.phase == Phase::Gone || self.is_short() {
            return self.held.push_back(job);
        }
        if let Err(job) = self.try_begin(job).await {
            self.held.push_front(job);
        }
    }

    async fn try_begin(&mut self, job: Job) -> Result<(), Job> {
        let part = job.part();
        let batch = job.batch.slice(part.start as usize, part.len());
        let parts = match self.encoder.encode(&batch) {
            Ok(parts) => parts,
            Err(err) => {
                let (node, source) = (self.core.program.node.clone(), io::Error::other(err));
                self.fail(job, Error::Process { node, operation: "encode a batch", source });
                return Ok(());
            }
        };
        let bytes = parts.iter().map(Buffer::len).sum::<usize>();
        let input = match self.slot(Direction::Input, bytes).await {
            Room::Slot(slot) => slot,
            Room::Short => return self.hold(job, bytes),
            Room::Failed(source) => return self.refuse(job, bytes, source),
        };
        let output = match self.slot(Direction::Output, self.last_result.max(1)).await {
            Room::Slot(slot) => slot,
            other => {
                self.slots.put_input(input);
                return match other {
                    Room::Failed(source) => self.refuse(job, self.last_result, source),
                    _ => self.hold(job, self.last_result),
                };
            }
        };
        self.short_since = None;
        let mut flight = Flight { job, batch, seq: self.next_seq, input, output };
        self.next_seq += 1;
        flight.input.region.write(&parts);
        self.run_flight(flight, bytes as u64);
        Ok(())
    }

    fn run_flight(&mut self, flight: Flight, bytes: u64) {
        if self.flights.is_empty() {
            if let Some(token) = self.clock.ping(Instant::now()) {
                self.send(ToWorker::Ping { token }, None);
            }
            self.clock.next_turn(Instant::now());
        }
        let timeout = self.core.program.settings.timeout.map_or(0, |timeout| timeout.as_millis().max(1));
        let run = Run {
            input: flight.input.id,
            bytes,
            seq: flight.seq,
            output: flight.output.id,
            first: 0,
            rows: ALL_ROWS,
            mode: if matches!(flight.job.mode, Mode::Careful) { RunMode::Careful } else { RunMode::Normal },
            probe_timeout_ms: u64::try_from(timeout).unwrap_or(u64::MAX),
        };
        self.core.memory.in_flight.fetch_add(1, Ordering::Relaxed);
        self.flights.push_back(flight);
        self.send(ToWorker::Run(run), None);
    }

    /// Finds or makes a slot.
    async fn slot(&mut self, direction: Direction, bytes: usize) -> Room {
        if let Some(slot) = self.slots.take(direction, bytes) {
            return Room::Slot(slot);
        }
        let mut made = self.slots.create(direction, bytes).await;
        if matches!(made, Ok(None)) {
            // Others give back what they do not need; they are asked once, and we ask again later.
            self.give_back();
            self.core.memory.squeeze.notify_waiters();
            made = self.slots.create(direction, bytes).await;
        }
        match made {
            Ok(Some((slot, file))) => {
                let size = slot.region.len() as u64;
                self.send(ToWorker::Map { slot: slot.id, size, direction }, Some(file));
                Room::Slot(slot)
            }
            Ok(None) => Room::Short,
            Err(err) => Room::Failed(err),
        }
    }

    /// Gives all free slots back.
    pub(super) fn give_back(&mut self) {
        for slot in self.slots.trim_all() {
            self.send(ToWorker::Forget { slot }, None);
        }
    }

    /// Keeps a batch until memory comes back, or fails it where none can.
    fn hold(&mut self, job: Job, bytes: usize) -> Result<(), Job> {
        if self.may_wait() {
            return Err(job);
        }
        let source = io::Error::new(io::ErrorKind::OutOfMemory, "the memory limit is reached");
        self.refuse(job, bytes, source)
    }

    /// Returns whether memory may still come back, and so whether waiting makes sense.
    fn may_wait(&mut self) -> bool {
        let memory = &self.core.memory;
        if memory.is_moving() {
            self.short_since = None;
            return true;
        }
        // Other workers may have spare slots, which they were just asked for; readers may take longer.
        let limit = if memory.is_lent() { LENT_LIMIT } else { SPARE_LIMIT };
        self.short_since.get_or_insert_with(Instant::now).elapsed() < limit
    }

    fn refuse(&mut self, job: Job, bytes: usize, source: io::Error) -> Result<(), Job> {
        self.short_since = None;
        self.fail(job, Error::SharedMemory { node: self.core.program.node.clone(), bytes, source });
        Ok(())
    }

    /// Asks again for the memory that something waits for.
    pub(super) async fn retry_memory(&mut self) -> Result<(), Cause> {
        if let Some(growth) = self.growth {
            self.grow_to(growth.bytes).await?;
        }
        while self.growth.is_none()
            && let Some(job) = self.held.pop_front()
        {
            if let Err(job) = self.try_begin(job).await {
                self.held.push_front(job);
                break;
            }
        }
        Ok(())
    }

    /// Makes room for a result that does not fit into its slot.
    pub(super) async fn grow(&mut self, bytes: u64) -> Result<(), Cause> {
        match u32::try_from(bytes) {
            Ok(bytes) => self.grow_to(bytes as usize).await,
            // More than an answer can say where it lies: no worker of ours asks for it.
            Err(_) => Err(Cause::Malformed(format!("an answer of {bytes} bytes"))),
        }
    }

    async fn grow_to(&mut self, bytes: usize) -> Result<(), Cause> {
        let source = match self.slot(Direction::Output, bytes).await {
            Room::Slot(slot) => {
                self.set_growth(None);
                let Some(flight) = self.flights.front_mut() else { return Ok(()) };
                let id = slot.id;
                let small = std::mem::replace(&mut flight.output, slot);
                self.short_since = None;
                self.send(ToWorker::Forget { slot: small.id }, None);
                self.send(ToWorker::Grown { slot: id }, None);
                return Ok(());
            }
            Room::Short => {
                self.set_growth(Some(bytes));
                if self.may_wait() {
                    return Ok(());
                }
                io::Error::new(io::ErrorKind::OutOfMemory, "the memory limit is reached")
            }
            Room::Failed(source) => source,
        };
        self.set_growth(None);
        if let Some(flight) = self.take_flight() {
            let node = self.core.program.node.clone();
            self.fail(flight.job, Error::SharedMemory { node, bytes, source });
        }
        // It still has the result and waits to be rid of it.
        Err(Cause::Deserted)
    }

    /// Takes note of a result that waits for memory, or that none does.
    pub(super) fn set_growth(&mut self, bytes: Option<usize>) {
        let stalled = &self.core.memory.stalled;
        if let Some(growth) = self.growth.take() {
            stalled.fetch_sub(growth.stalled, Ordering::Relaxed);
        }
        if let Some(bytes) = bytes {
            let growth = Growth { bytes, stalled: self.flights.len() };
            stalled.fetch_add(growth.stalled, Ordering::Relaxed);
            self.growth = Some(growth);
        }
    }

    /// Checks that an answer is about the batch in turn.
    pub(super) fn check_turn(&self, slot: u32, seq: u64) -> Result<(), Cause> {
        match self.flights.front() {
            Some(flight) if flight.input.id == slot && flight.seq == seq && self.growth.is_none() => Ok(()),
            _ => Err(Cause::Malformed(format!("an answer to call {seq} in slot {slot}, which is not at work"))),
        }
    }

    pub(super) fn take_flight(&mut self) -> Option<Flight> {
        let flight = self.flights.pop_front()?;
        self.core.memory.in_flight.fetch_sub(1, Ordering::Relaxed);
        Some(flight)
    }

    /// Handles an answer.
    pub(super) async fn on_done(&mut self, done: &Done) -> Result<(), Cause> {
        self.check_turn(done.slot, done.seq)?;
        self.slots.release(&done.released).map_err(Cause::Malformed)?;
        let head = self.flights.front().expect("the call in turn is there, as checked");
        let (result, errors) = spans(done, head.output.region.len()).map_err(Cause::Malformed)?;
        let flight = self.take_flight().expect("the call in turn is there, as checked");
        let elapsed = self.clock.next_turn(Instant::now());
        self.output.next_batch();
        let Flight { mut job, batch, input, output, .. } = flight;
        let errors = output.region.copy(errors).unwrap_or_default();
        self.last_result = usize::try_from(done.used).unwrap_or(0);
        let result = match self.slots.taking(result.len(), output.region.len()) {
            Taking::Lend => lend(self.slots.lease(output), result).unwrap_or_default(),
            Taking::Copy => {
                let copy = output.region.copy(result).unwrap_or_default();
                self.slots.put_output(output);
                copy
            }
        };
        self.settle_input(input, done.input_released);
        if done.recycle {
            // What it has at hand it may finish.
            self.core.retire(self.seat);
        }
        let program = Arc::clone(&self.core.program);
        let answer = match self.reader.read(done, &batch, &result, errors) {
            Ok((rows, errors)) => match job.absorb(rows, errors, &program.output) {
                Some(Ok((rows, errors))) => Ok(BatchOutcome { rows, errors, elapsed, worker: self.seat }),
                Some(Err(err)) => Err(Error::Answer { node: program.node.clone(), message: err.to_string() }),
                None => {
                    self.begin(job).await;
                    return Ok(());
                }
            },
            Err(Unusable::Undeclared(failure)) => Err(Error::Call { node: program.node.clone(), failure }),
            Err(Unusable::Malformed(message)) => {
                self.fail(job, Error::Answer { node: program.node.clone(), message: message.clone() });
                return Err(Cause::Malformed(message));
            }
        };
        self.core.finish(self.seat, job, Answer::of(answer, elapsed));
        Ok(())
    }

    /// Handles a call without an answer.
    pub(super) fn on_failed(&mut self, failed: Failed) -> Result<(), Cause> {
        self.check_turn(failed.slot, failed.seq)?;
        self.slots.release(&failed.released).map_err(Cause::Malformed)?;
        let flight = self.take_flight().expect("the call in turn is there, as checked");
        let elapsed = self.clock.next_turn(Instant::now());
        self.output.next_batch();
        self.slots.put_output(flight.output);
        self.settle_input(flight.input, failed.input_released);
        if failed.recycle {
            self.core.retire(self.seat);
        }
        let error = Error::Call { node: self.core.program.node.clone(), failure: failed.failure };
        self.core.finish(self.seat, flight.job, Answer::of(Err(error), elapsed));
        Ok(())
    }

    fn settle_input(&mut self, slot: Slot, is_released: bool) {
        if is_released {
            self.slots.put_input(slot);
        } else if let Some(slot) = self.slots.pin(slot) {
            self.core.warn_of_hoarding();
            self.send(ToWorker::Forget { slot }, None);
        }
        for slot in self.slots.trim() {
            self.send(ToWorker::Forget { slot }, None);
        }
    }

    /// Fails a batch; the worker stays.
    fn fail(&mut self, job: Job, error: Error) {
        self.core.finish(self.seat, job, Answer::of(Err(error), Duration::ZERO));
    }
}
