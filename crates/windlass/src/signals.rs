//! Watches beside a command: Ctrl-C and `kill`, a lease that is lost, and what moves on the screen.
//!
//! On a thread and runtime of its own: the threads that compute may all be busy for a while, and
//! with them the clock and the signals of their runtime.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use anyhow::Context;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};
use windlass_runner::{CancelReason, CancelSignal, LeaseWatch};

use crate::progress::{Display, REFRESH_EVERY};

/// Tells when the user wants a command to end that has nothing to finish.
pub(crate) struct Stop {
    asked: watch::Receiver<bool>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

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

impl Stop {
    /// Begins to listen. From here on signals no longer end the process by themselves.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let failed = "cannot listen to signals";
        let runtime = Builder::new_current_thread().enable_all().build().context(failed)?;
        let (mut interrupt, mut terminate) = {
            let _inside = runtime.enter();
            let interrupt = signal(SignalKind::interrupt()).context(failed)?;
            (interrupt, signal(SignalKind::terminate()).context(failed)?)
        };
        let (sender, asked) = watch::channel(false);
        let (end, ended) = oneshot::channel();
        let listen = async move {
            tokio::select! {
                Some(()) = interrupt.recv() => {}
                Some(()) = terminate.recv() => {}
                _ = ended => {}
            }
            // Whoever does not wait any more has ended.
            let _ = sender.send(true);
        };
        let thread = std::thread::Builder::new().name("stop".to_owned());
        let thread = thread.spawn(move || runtime.block_on(listen)).context(failed)?;
        Ok(Self { asked, end: Some(end), thread: Some(thread) })
    }

    /// Returns whether the command should end.
    pub(crate) fn is_asked(&self) -> bool {
        *self.asked.borrow()
    }

    /// Waits until the command should end.
    pub(crate) async fn asked(&self) {
        // Fails only when the listening thread has died; then nobody can ask any more.
        if self.asked.clone().wait_for(|asked| *asked).await.is_err() {
            std::future::pending().await
        }
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            // A panic there was printed, and the command is over.
            let _ = thread.join();
        }
    }
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
