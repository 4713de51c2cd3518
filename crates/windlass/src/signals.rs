//! Watches beside a run: Ctrl-C and `kill`, a lease that is lost, and what moves on the screen.
//!
//! On a thread and runtime of its own: the threads that compute may all be busy for a while, and
//! with them the clock and the signals of their runtime.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use anyhow::Context;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use windlass_runner::{CancelReason, CancelSignal, LeaseWatch};

use crate::progress::{Display, REFRESH_EVERY};

/// A watch over a run, until it is dropped.
pub(crate) struct Watch {
    asked: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread owns.
struct Watcher {
    cancel: CancelSignal,
    lease: LeaseWatch,
    display: Display,
    asked: Arc<AtomicUsize>,
    interrupt: Signal,
    terminate: Signal,
}

impl Watch {
    /// Begins to watch. From here on signals no longer end the process by themselves: the first asks
    /// the run to stop in good order, the second at once.
    pub(crate) fn start(cancel: CancelSignal, lease: LeaseWatch, display: Display) -> anyhow::Result<Self> {
        let failed = "cannot listen to signals";
        let runtime = Builder::new_current_thread().enable_all().build().context(failed)?;
        let asked = Arc::new(AtomicUsize::new(0));
        let watcher = {
            let _inside = runtime.enter();
            let interrupt = signal(SignalKind::interrupt()).context(failed)?;
            let terminate = signal(SignalKind::terminate()).context(failed)?;
            Watcher { cancel, lease, display, asked: Arc::clone(&asked), interrupt, terminate }
        };
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("watch".to_owned());
        let thread = thread.spawn(move || watcher.run(&runtime, stopped)).context(failed)?;
        Ok(Self { asked, stop: Some(stop), thread: Some(thread) })
    }

    /// Returns whether the run was asked to stop at once.
    pub(crate) fn was_aborted(&self) -> bool {
        self.asked.load(Ordering::Acquire) > 1
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic there was printed, and the run is over.
            let _ = thread.join();
        }
    }
}

impl Watcher {
    fn run(self, runtime: &Runtime, stopped: oneshot::Receiver<()>) {
        runtime.block_on(async {
            tokio::select! {
                _ = stopped => {}
                () = self.watch() => {}
            }
        });
    }

    /// Never returns.
    async fn watch(mut self) {
        let mut ticks = tokio::time::interval(REFRESH_EVERY);
        let mut is_held = true;
        loop {
            tokio::select! {
                Some(()) = self.interrupt.recv() => self.stop(),
                Some(()) = self.terminate.recv() => self.stop(),
                () = self.lease.lost(), if is_held => {
                    is_held = false;
                    self.cancel.interrupt(CancelReason::LeaseLost);
                }
                _ = ticks.tick() => self.display.refresh(),
            }
        }
    }

    fn stop(&self) {
        self.asked.fetch_add(1, Ordering::AcqRel);
        self.cancel.raise(CancelReason::Interrupted);
    }
}
