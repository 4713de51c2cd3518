//! What Python code prints: shown at once, and kept with the run.
//!
//! Workers hand over lines from tasks that must not wait for a terminal or a disk, so one thread takes
//! them from a bounded queue and writes them in groups. Where it cannot keep up, printing slows down
//! as it does in any program; nothing is left out.
//!
//! Must stay true: the log holds what was printed; a terminal never gets a control character of it.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

use windlass_runner::{Clock, SystemClock};
use windlass_worker::{OutputStream, WorkerOutput};

use crate::printer::Printer;

pub(crate) mod log;
mod text;

use log::{Line, LogWriter};
pub(crate) use text::harmless;

/// Lines that wait to be written.
const QUEUE: usize = 4096;
/// Lines that are written at once.
const GROUP: usize = 512;

/// What stands before a line on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prefix {
    /// The node and its worker: `score_flights[w2]`.
    Worker,
    /// Nothing.
    None,
}

/// Takes the lines of all workers of a process.
pub(crate) struct Output {
    printer: Printer,
    prefix: Prefix,
    clock: SystemClock,
    folder: OnceLock<PathBuf>,
    writer: Mutex<Option<Writer>>,
}

/// The thread that writes; it starts with the first line.
struct Writer {
    queue: SyncSender<Message>,
    thread: JoinHandle<()>,
}

enum Message {
    Line(Line),
    /// Answered when all lines before it are written.
    Flush(SyncSender<()>),
}

/// What the thread owns.
struct Writing {
    printer: Printer,
    prefix: Prefix,
    log: Option<LogWriter>,
    has_failed: bool,
}

impl Output {
    /// Returns an output that shows lines and keeps none.
    pub(crate) fn new(printer: &Printer, prefix: Prefix) -> Self {
        Self {
            printer: printer.clone(),
            prefix,
            clock: SystemClock::new(),
            folder: OnceLock::new(),
            writer: Mutex::new(None),
        }
    }

    /// Keeps lines from now on, in a file for each node below a folder. The folder is made with the
    /// first line; the first call counts.
    pub(crate) fn keep_in(&self, folder: PathBuf) {
        // A second folder for the same process would be a mistake of ours, and harms nobody.
        let _ = self.folder.set(folder);
    }

    /// Shows something that the user should know about the workers.
    pub(crate) fn notice(&self, text: &str) {
        self.printer.note(&self.printer.paint().faint(&harmless(text)));
    }

    /// Waits until all lines that were handed over are written.
    pub(crate) fn flush(&self) {
        let Some(queue) = self.lock().as_ref().map(|writer| writer.queue.clone()) else { return };
        let (done, written) = sync_channel(1);
        if queue.send(Message::Flush(done)).is_ok() {
            // The thread ends without an answer only by a panic, which was printed.
            let _ = written.recv();
        }
    }

    fn queue(&self) -> std::io::Result<SyncSender<Message>> {
        let mut writer = self.lock();
        if let Some(writer) = writer.as_ref() {
            return Ok(writer.queue.clone());
        }
        let writing = Writing {
            printer: self.printer.clone(),
            prefix: self.prefix,
            log: self.folder.get().map(|folder| LogWriter::new(folder.clone())),
            has_failed: false,
        };
        let (queue, messages) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new().name("output".to_owned()).spawn(move || writing.run(&messages))?;
        *writer = Some(Writer { queue: queue.clone(), thread });
        Ok(queue)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Writer>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WorkerOutput for Output {
    fn line(&self, node: &str, worker: u32, stream: OutputStream, text: &str) {
        let line =
            Line { at: self.clock.now(), node: node.to_owned(), worker, stream: stream.into(), text: text.into() };
        match self.queue() {
            // Fails where the thread has panicked, which was printed.
            Ok(queue) => drop(queue.send(Message::Line(line))),
            Err(error) => tracing::warn!(%error, "printed line lost: its thread cannot be started"),
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let writer = self.lock().take();
        if let Some(Writer { queue, thread }) = writer {
            drop(queue);
            // A panic there was printed, and the command is over.
            let _ = thread.join();
        }
    }
}

impl Writing {
    fn run(mut self, messages: &Receiver<Message>) {
        while let Ok(first) = messages.recv() {
            let mut screen = String::new();
            let mut flushes = Vec::new();
            let others = std::iter::from_fn(|| messages.try_recv().ok()).take(GROUP);
            for message in std::iter::once(first).chain(others) {
                match message {
                    Message::Line(line) => {
                        self.keep(&line);
                        self.show(&line, &mut screen);
                    }
                    Message::Flush(done) => flushes.push(done),
                }
            }
            if !screen.is_empty() {
                self.printer.note(&screen);
            }
            self.flush_log();
            for done in flushes {
                // Nobody waits any more.
                let _ = done.send(());
            }
        }
    }

    fn show(&self, line: &Line, screen: &mut String) {
        if self.printer.is_quiet() {
            return;
        }
        if self.prefix == Prefix::Worker {
            screen.push_str(&self.printer.paint().faint(&line.origin()));
            screen.push(' ');
        }
        screen.push_str(&harmless(text::last_turn(&line.text)));
        screen.push('\n');
    }

    fn keep(&mut self, line: &Line) {
        let kept = self.log.as_mut().map_or(Ok(()), |log| log.keep(line));
        self.report(kept);
    }

    fn flush_log(&mut self) {
        let flushed = self.log.as_mut().map_or(Ok(()), LogWriter::flush);
        self.report(flushed);
    }

    /// A log that cannot be written stops no run.
    fn report(&mut self, kept: std::io::Result<()>) {
        if let (Err(error), false) = (kept, self.has_failed) {
            self.has_failed = true;
            self.printer.note(&format!("what Python prints cannot be kept with the run: {error}"));
        }
    }
}

#[cfg(test)]
mod tests;
