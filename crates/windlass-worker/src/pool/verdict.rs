//! What becomes of a batch whose worker died.

use crate::program::StartMode;

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Once more, on a new worker: it may have been chance.
    Retry,
    /// On a new worker that tries it in child processes.
    Careful,
    /// Part by part on new workers.
    Bisect,
    /// The part in turn is split, or given up.
    SplitPart,
    /// All of its rows are error rows.
    ErrorRows,
    /// The call fails.
    Fail,
}

/// How a batch was gone about when its worker died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tried {
    Normal,
    Careful,
    Bisect,
}

/// Who pays for a batch that kills workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The rows that kill, told apart from the others.
    Rows,
    /// All rows of the batch: the code looks across them.
    Batch,
    /// The caller: no row may fail.
    Call,
}

/// Decides what follows when a batch has killed `deaths` workers.
pub(crate) fn after_death(tried: Tried, deaths: u32, blame: Blame, start: StartMode) -> Verdict {
    match (tried, blame) {
        (Tried::Normal, _) if deaths < 2 => Verdict::Retry,
        (_, Blame::Call) => Verdict::Fail,
        (_, Blame::Batch) => Verdict::ErrorRows,
        (Tried::Normal, Blame::Rows) => match start {
            StartMode::Fork => Verdict::Careful,
            StartMode::Spawn => Verdict::Bisect,
        },
        (Tried::Careful, Blame::Rows) => Verdict::ErrorRows,
        (Tried::Bisect, Blame::Rows) => Verdict::SplitPart,
    }
}

#[cfg(test)]
mod tests;
