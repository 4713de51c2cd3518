//! Which batch goes to which worker.

/// A batch that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// Any worker will do.
    Plain,
    /// Has killed a worker: needs one that has not worked yet, to itself.
    Suspect,
}

/// A worker that is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) id: u32,
    /// Batches it has.
    pub(crate) load: usize,
    /// Batches it ever had.
    pub(crate) calls: u64,
    /// Whether one of them is suspect.
    pub(crate) has_suspect: bool,
}

/// Batches that a worker has at a time: one at work, one at hand.
pub(crate) const DEPTH: usize = 2;

/// Picks the next batch and its worker, by their places: the longest waiting batch that some worker
/// can take, and the worker with the least to do.
pub(crate) fn choose(waiting: impl Iterator<Item = Waiting>, seats: &[Seat]) -> Option<(usize, u32)> {
    let plain = seats.iter().filter(|seat| seat.load < DEPTH && !seat.has_suspect).min_by_key(|seat| seat.load);
    let fresh = seats.iter().find(|seat| seat.calls == 0 && seat.load == 0);
    for (place, waiting) in waiting.enumerate() {
        let seat = match waiting {
            Waiting::Plain => plain,
            Waiting::Suspect => fresh,
        };
        if let Some(seat) = seat {
            return Some((place, seat.id));
        }
        if waiting == Waiting::Plain && fresh.is_none() {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests;
