//! Shares out CPU slots and GPUs between the workers of all pools.
//!
//! Counts in thousandths. A pool's first worker gets its CPU slots even where none are left, so that
//! pools which feed each other never wait for each other's CPU; GPUs are never promised twice. Asks for
//! GPUs are served strictly in order, so that a large one is not starved by small ones; the others
//! are served in order among themselves.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Thousandths in a CPU slot or GPU.
pub(crate) const WHOLE: u32 = 1000;

/// What a worker needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) cpus: u32,
    pub(crate) gpus: u32,
    pub(crate) place: Place,
}

/// Which of its pool's workers asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    First,
    Further,
}

/// What a worker has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    cpus: u32,
    /// GPUs by place, with the share of each.
    gpus: Vec<(usize, u32)>,
}

/// What is left, and who waits.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// Below 0 where pools got their first worker in spite of it.
    cpus: i64,
    gpus: Vec<u32>,
    waiting: VecDeque<(u64, Ask)>,
    granted: HashMap<u64, Grant>,
}

impl Ledger {
    pub(crate) fn new(cpus: u32, gpus: usize) -> Self {
        let cpus = i64::from(cpus) * i64::from(WHOLE);
        Self { cpus, gpus: vec![WHOLE; gpus], waiting: VecDeque::new(), granted: HashMap::new() }
    }

    /// Puts an ask in line. [`Ledger::take`] tells when it is granted.
    pub(crate) fn ask(&mut self, id: u64, ask: Ask) {
        self.waiting.push_back((id, ask));
        self.serve();
    }

    /// Takes what was granted.
    pub(crate) fn take(&mut self, id: u64) -> Option<Grant> {
        self.granted.remove(&id)
    }

    /// Takes an ask back, granted or not.
    pub(crate) fn cancel(&mut self, id: u64) {
        self.waiting.retain(|(waiting, _)| *waiting != id);
        if let Some(grant) = self.granted.remove(&id) {
            self.release(&grant);
        } else {
            self.serve();
        }
    }

    /// Gives back what a worker had.
    pub(crate) fn release(&mut self, grant: &Grant) {
        self.cpus += i64::from(grant.cpus);
        for (place, share) in &grant.gpus {
            self.gpus[*place] += share;
        }
        self.serve();
    }

    /// Returns whether somebody waits for what idle workers hold.
    pub(crate) fn is_short(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn serve(&mut self) {
        let (mut gpus_open, mut cpus_open) = (true, true);
        let mut still_waiting = VecDeque::new();
        for (id, ask) in std::mem::take(&mut self.waiting) {
            let open = if ask.gpus > 0 { &mut gpus_open } else { &mut cpus_open };
            // A pool's first worker passes those that wait for CPU slots.
            let may_pass = ask.gpus == 0 && ask.place == Place::First;
            match if *open || may_pass { grant(self.cpus, &self.gpus, ask) } else { None } {
                Some(grant) => {
                    self.cpus -= i64::from(grant.cpus);
                    for (place, share) in &grant.gpus {
                        self.gpus[*place] -= share;
                    }
                    self.granted.insert(id, grant);
                }
                None => {
                    *open = false;
                    still_waiting.push_back((id, ask));
                }
            }
        }
        self.waiting = still_waiting;
    }
}

fn grant(cpus: i64, gpus: &[u32], ask: Ask) -> Option<Grant> {
    if ask.place == Place::Further && cpus < i64::from(ask.cpus) {
        return None;
    }
    let gpus = match ask.gpus {
        0 => Vec::new(),
        share if share < WHOLE => {
            // The fullest GPU that will do, so that whole ones stay whole.
            let best = (0..gpus.len()).filter(|place| gpus[*place] >= share).min_by_key(|place| gpus[*place])?;
            vec![(best, share)]
        }
        share => {
            let count = (share / WHOLE) as usize;
            let whole: Vec<_> =
                (0..gpus.len()).filter(|place| gpus[*place] == WHOLE).take(count).map(|p| (p, WHOLE)).collect();
            if whole.len() < count {
                return None;
            }
            whole
        }
    };
    Some(Grant { cpus: ask.cpus, gpus })
}

/// A ledger that pools share.
#[derive(Debug)]
pub(crate) struct SharedLedger {
    inner: Mutex<(Ledger, HashMap<u64, Arc<Notify>>)>,
}

/// What a worker has, until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    ledger: Arc<SharedLedger>,
    grant: Grant,
}

/// An ask in line; taken back when dropped.
#[derive(Debug)]
pub(crate) struct Asked {
    ledger: Arc<SharedLedger>,
    id: u64,
}

impl SharedLedger {
    pub(crate) fn new(ledger: Ledger) -> Arc<Self> {
        Arc::new(Self { inner: Mutex::new((ledger, HashMap::new())) })
    }

    /// Puts an ask in line; `wake` is notified when it is granted.
    pub(crate) fn ask(self: &Arc<Self>, ask: Ask, wake: &Arc<Notify>) -> Asked {
        let mut guard = self.lock();
        let (ledger, wakes) = &mut *guard;
        // Ids only have to differ from those in line.
        let id = wakes.keys().max().map_or(0, |last| last + 1);
        wakes.insert(id, Arc::clone(wake));
        ledger.ask(id, ask);
        Asked { ledger: Arc::clone(self), id }
    }

    /// Returns whether somebody waits for what idle workers hold.
    pub(crate) fn is_short(&self) -> bool {
        self.lock().0.is_short()
    }

    fn lock(&self) -> MutexGuard<'_, (Ledger, HashMap<u64, Arc<Notify>>)> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_granted(guard: &(Ledger, HashMap<u64, Arc<Notify>>)) {
        for id in guard.0.granted.keys() {
            if let Some(wake) = guard.1.get(id) {
                wake.notify_one();
            }
        }
    }
}

impl Asked {
    /// Takes what was granted.
    pub(crate) fn take(&self) -> Option<Permit> {
        let grant = self.ledger.lock().0.take(self.id)?;
        Some(Permit { ledger: Arc::clone(&self.ledger), grant })
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let mut guard = self.ledger.lock();
        guard.0.cancel(self.id);
        guard.1.remove(&self.id);
        SharedLedger::wake_granted(&guard);
    }
}

impl Permit {
    /// Returns the places of the GPUs.
    pub(crate) fn gpus(&self) -> impl Iterator<Item = usize> {
        self.grant.gpus.iter().map(|(place, _)| *place)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut guard = self.ledger.lock();
        guard.0.release(&self.grant);
        SharedLedger::wake_granted(&guard);
    }
}

#[cfg(test)]
mod tests;
