//! The wish to stop a run, from Ctrl-C, a lost lease or a time limit.
//!
//! It only ever gets more urgent: go on, interrupt, abort. The first reason stays.

use tokio::sync::watch;

/// Why a run is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CancelReason {
    /// A person or the operating system asked for it.
    Interrupted,
    /// Another run took the lease, so nothing may be published any more.
    LeaseLost,
    /// The run's time limit is over.
    TimedOut,
}

/// How urgent the wish is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Go on.
    None,
    /// Start nothing new, cancel what is not publishing, wait for the rest.
    Interrupt,
    /// Stop at once.
    Abort,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) level: Level,
    pub(crate) reason: CancelReason,
}

/// A handle through which anybody asks a run to stop. Clones share one state.
#[derive(Debug, Clone)]
pub struct CancelSignal {
    wish: watch::Sender<Wish>,
}

impl CancelSignal {
    /// Returns a signal that asks for nothing yet.
    pub fn new() -> Self {
        let wish = Wish { level: Level::None, reason: CancelReason::Interrupted };
        Self { wish: watch::Sender::new(wish) }
    }

    /// Asks more urgently: the first call interrupts, the second aborts. Never blocks.
    pub fn raise(&self, reason: CancelReason) {
        self.wish.send_modify(|wish| match wish.level {
            Level::None => *wish = Wish { level: Level::Interrupt, reason },
            Level::Interrupt | Level::Abort => wish.level = Level::Abort,
        });
    }

    /// Asks to stop in good order, whatever was asked before.
    pub fn interrupt(&self, reason: CancelReason) {
        self.wish.send_if_modified(|wish| {
            let first = wish.level == Level::None;
            if first {
                *wish = Wish { level: Level::Interrupt, reason };
            }
            first
        });
    }

    /// Returns why the run was asked to stop, if it was.
    pub fn reason(&self) -> Option<CancelReason> {
        let wish = *self.wish.borrow();
        (wish.level > Level::None).then_some(wish.reason)
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Wish> {
        self.wish.subscribe()
    }
}

impl Default for CancelSignal {
    fn default() -> Self {
        Self::new()
    }
}
