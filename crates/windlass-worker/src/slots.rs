//! The shared memory of one worker: slots that are free, that user code still looks at, that are lent.
//!
//! A slot carries one batch one way. An input slot is free again when the worker says that the last
//! view of it died; if user code keeps views, the slot is pinned, and beyond a number of pinned slots
//! the oldest is left to the worker: the kernel frees it with the last view. An output slot is lent to
//! the arrays that were made over it and comes home when the last of them is dropped.
//!
//! Must stay true: a slot is in one place only, so nothing is written where somebody still reads.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::MemoryBudget;
use crate::protocol::Direction;
use crate::shm::Region;
use crate::zygote::lock;

/// The smallest slot.
const SMALLEST: usize = 256 * 1024;
/// The largest slot; what is larger is a mistake.
const LARGEST: usize = 1 << 40;
/// Slots that a worker keeps for later, each way.
const SPARE: usize = 3;
/// Batches after which a slot that none of them needed goes.
const STALE: u64 = 64;
/// Pinned slots before the oldest is given up.
const PINNED: usize = 16;
/// Lent slots before answers are copied out.
const LENT: usize = 16;
/// Answers up to this size are copied out: that is cheaper than a slot out of reach.
const SMALL: usize = 16 * 1024;
/// Regions from this size on are made off the runtime's threads, since their pages take a while.
const SLOW: usize = 32 << 20;

/// The memory of all workers.
pub(crate) struct Memory {
    budget: Arc<dyn MemoryBudget>,
    /// Told when memory came back.
    pub(crate) freed: Notify,
    /// Told when memory is short: spare slots should go.
    pub(crate) squeeze: Notify,
    /// Batches with workers, of all pools.
    pub(crate) in_flight: AtomicUsize,
    /// Those of them that wait for memory.
    pub(crate) stalled: AtomicUsize,
    /// Output slots that are lent, of all pools.
    lent: AtomicUsize,
}

impl Memory {
    pub(crate) fn new(budget: Arc<dyn MemoryBudget>) -> Arc<Self> {
        let [in_flight, stalled, lent] = [const { AtomicUsize::new(0) }; 3];
        Arc::new(Self { budget, freed: Notify::new(), squeeze: Notify::new(), in_flight, stalled, lent })
    }

    /// Returns whether a batch is at work that does not wait for memory, and so will free some.
    pub(crate) fn is_moving(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) > self.stalled.load(Ordering::Relaxed)
    }

    /// Returns whether output slots are with readers, which will give them back some time.
    pub(crate) fn is_lent(&self) -> bool {
        self.lent.load(Ordering::Relaxed) > 0
    }
}

/// What a pool's slots add up to.
#[derive(Debug, Default)]
pub(crate) struct SlotCounts {
    pub(crate) bytes: AtomicU64,
    pub(crate) abandoned: AtomicU64,
}

/// A share of the budget; given back when dropped.
struct Charge {
    memory: AssertUnwindSafe<Arc<Memory>>,
    counts: Arc<SlotCounts>,
    bytes: usize,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.memory.budget.shrink(self.bytes);
        self.counts.bytes.fetch_sub(self.bytes as u64, Ordering::Relaxed);
        self.memory.freed.notify_waiters();
    }
}

/// Shared memory that carries one batch.
pub(crate) struct Slot {
    pub(crate) id: u32,
    pub(crate) region: Region,
    /// When it was taken last, in batches.
    taken: u64,
    _charge: Charge,
}

/// An output slot with readers.
pub(crate) struct Lease {
    slot: Option<Slot>,
    home: Arc<Home>,
}

impl AsRef<Region> for Lease {
    fn as_ref(&self) -> &Region {
        &self.slot.as_ref().expect("a lease has its slot until it is dropped").region
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.home.count.fetch_sub(1, Ordering::Relaxed);
            self.home.memory.lent.fetch_sub(1, Ordering::Relaxed);
            lock(&self.home.free).push(slot);
            self.home.memory.freed.notify_waiters();
        }
    }
}

/// Where output slots come back to.
struct Home {
    free: Mutex<Vec<Slot>>,
    count: AtomicUsize,
    memory: AssertUnwindSafe<Arc<Memory>>,
}

/// How an answer is to be taken out of its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taking {
    Lend,
    Copy,
}

/// A worker's slots.
pub(crate) struct Slots {
    memory: Arc<Memory>,
    counts: Arc<SlotCounts>,
    next: u32,
    /// Batches so far.
    batches: u64,
    inputs: Vec<Slot>,
    pinned: VecDeque<Slot>,
    abandoned: HashSet<u32>,
    outputs: Arc<Home>,
}

impl Slots {
    pub(crate) fn new(memory: Arc<Memory>, counts: Arc<SlotCounts>) -> Self {
        let shared = AssertUnwindSafe(Arc::clone(&memory));
        let outputs = Arc::new(Home { free: Mutex::default(), count: AtomicUsize::new(0), memory: shared });
        let (inputs, pinned, abandoned) = (Vec::new(), VecDeque::new(), HashSet::new());
        Self { memory, counts, next: 0, batches: 0, inputs, pinned, abandoned, outputs }
    }

    /// Takes a free slot that holds `bytes`: the smallest that will do.
    pub(crate) fn take(&mut self, direction: Direction, bytes: usize) -> Option<Slot> {
        let mut slot = match direction {
            Direction::Input => {
                self.batches += 1;
                take_fitting(&mut self.inputs, bytes)
            }
            Direction::Output => take_fitting(&mut lock(&self.outputs.free), bytes),
        }?;
        slot.taken = self.batches;
        Some(slot)
    }

    /// Makes a slot for `bytes`, with the descriptor for the worker; `None` where the budget says no.
    pub(crate) async fn create(&mut self, direction: Direction, bytes: usize) -> io::Result<Option<(Slot, OwnedFd)>> {
        let Some(size) = slot_size(bytes) else {
            return Err(io::Error::new(
                io::ErrorKind::OutOfMemory,
                format!("{bytes} bytes are more than a slot holds"),
            ));
        };
        if !self.memory.budget.try_grow(size) {
            return Ok(None);
        }
        self.counts.bytes.fetch_add(size as u64, Ordering::Relaxed);
        let memory = AssertUnwindSafe(Arc::clone(&self.memory));
        let charge = Charge { memory, counts: Arc::clone(&self.counts), bytes: size };
        let (region, file) = if size < SLOW {
            Region::create(size, direction)?
        } else {
            tokio::task::spawn_blocking(move || Region::create(size, direction)).await.map_err(io::Error::other)??
        };
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        Ok(Some((Slot { id, region, taken: self.batches, _charge: charge }, file)))
    }

    /// Takes back an input slot that the worker holds nothing of.
    pub(crate) fn put_input(&mut self, slot: Slot) {
        self.inputs.push(slot);
    }

    /// Takes back an output slot that was not lent.
    pub(crate) fn put_output(&mut self, slot: Slot) {
        lock(&self.outputs.free).push(slot);
    }

    /// Keeps an input slot that user code still looks at. Returns a slot to be given up, if they are
    /// too many: the worker is to forget it.
    pub(crate) fn pin(&mut self, slot: Slot) -> Option<u32> {
        self.pinned.push_back(slot);
        if self.pinned.len() <= PINNED {
            return None;
        }
        let given_up = self.pinned.pop_front()?.id;
        self.abandoned.insert(given_up);
        self.counts.abandoned.fetch_add(1, Ordering::Relaxed);
        Some(given_up)
    }

    /// Frees pinned slots. An id that is not pinned or given up is an error.
    pub(crate) fn release(&mut self, ids: &[u32]) -> Result<(), String> {
        for id in ids {
            if let Some(place) = self.pinned.iter().position(|slot| slot.id == *id) {
                self.inputs.extend(self.pinned.remove(place));
            } else if !self.abandoned.remove(id) {
                return Err(format!("slot {id} is released but not in use"));
            }
        }
        Ok(())
    }

    /// Says how an answer of `bytes` bytes in a slot of `size` is to be taken.
    pub(crate) fn taking(&self, bytes: usize, size: usize) -> Taking {
        let is_lendable = bytes > SMALL && self.outputs.count.load(Ordering::Relaxed) < LENT && self.has_other(size);
        if is_lendable { Taking::Lend } else { Taking::Copy }
    }

    /// Returns whether there is, or could be, another output slot: readers may keep a lent one for long,
    /// and the next batch needs one.
    fn has_other(&self, size: usize) -> bool {
        if !lock(&self.outputs.free).is_empty() {
            return true;
        }
        let budget = &self.memory.budget;
        let is_free = budget.try_grow(size);
        if is_free {
            budget.shrink(size);
        }
        is_free
    }

    /// Lends an output slot; it comes home by itself.
    pub(crate) fn lease(&self, slot: Slot) -> Arc<Lease> {
        self.outputs.count.fetch_add(1, Ordering::Relaxed);
        self.memory.lent.fetch_add(1, Ordering::Relaxed);
        Arc::new(Lease { slot: Some(slot), home: Arc::clone(&self.outputs) })
    }

    /// Drops free slots that are not worth keeping: too many, or not needed for long. Returns their ids:
    /// the worker is to forget them.
    pub(crate) fn trim(&mut self) -> Vec<u32> {
        let oldest = self.batches.saturating_sub(STALE);
        self.trim_to(SPARE, oldest)
    }

    /// Drops all free slots.
    pub(crate) fn trim_all(&mut self) -> Vec<u32> {
        self.trim_to(0, 0)
    }

    /// Returns whether there are free slots.
    pub(crate) fn has_spare(&self) -> bool {
        !self.inputs.is_empty() || !lock(&self.outputs.free).is_empty()
    }

    fn trim_to(&mut self, spare: usize, oldest: u64) -> Vec<u32> {
        let mut outputs = lock(&self.outputs.free);
        let mut gone: Vec<Slot> = Vec::new();
        for free in [&mut self.inputs, &mut *outputs] {
            gone.extend(free.drain(..free.len().saturating_sub(spare)));
            gone.extend(free.extract_if(.., |slot| slot.taken < oldest));
        }
        drop(outputs);
        gone.iter().map(|slot| slot.id).collect()
    }
}

/// Returns the size of a slot for `bytes`: a power of two.
fn slot_size(bytes: usize) -> Option<usize> {
    (bytes <= LARGEST).then(|| bytes.next_power_of_two().max(SMALLEST))
}

fn take_fitting(free: &mut Vec<Slot>, bytes: usize) -> Option<Slot> {
    let fitting = free.iter().enumerate().filter(|(_, slot)| slot.region.len() >= bytes);
    let (place, _) = fitting.min_by_key(|(_, slot)| slot.region.len())?;
    // Order is age: the front was used longest ago.
    Some(free.remove(place))
}

#[cfg(test)]
mod tests;
