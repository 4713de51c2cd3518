//! What workers print: two pipes that are drained always, cut into lines, and bounded.
//!
//! A full pipe would stop the worker, so reading never waits for anyone. A batch may print
//! [`MOST_BYTES`]; what is beyond is counted. The last lines are kept for the message that a worker's
//! death needs. The end of a pipe says nothing about its worker: its children may hold it open.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::task::JoinSet;

use crate::{OutputStream, WorkerOutput};

/// What a batch may print.
const MOST_BYTES: u64 = 1 << 20;
/// Longer lines are cut.
const LONGEST_LINE: usize = 8 * 1024;
/// What is kept for messages: lines, and bytes of each.
const TAIL_LINES: usize = 40;
const TAIL_LINE: usize = 500;
/// How long output may take to arrive after its process is gone.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Who prints.
#[derive(Clone)]
pub(crate) struct Speaker {
    pub(crate) node: String,
    pub(crate) worker: u32,
    pub(crate) sink: Arc<dyn WorkerOutput>,
}

/// The output of one process, while it lives and shortly after.
pub(crate) struct Output {
    speaker: Speaker,
    meter: Arc<Meter>,
    tail: Arc<Tail>,
    drains: JoinSet<()>,
}

impl Output {
    /// Makes the pipes; their other ends are standard output and standard error for the process.
    pub(crate) fn open(speaker: Speaker) -> std::io::Result<(Self, OwnedFd, OwnedFd)> {
        let (meter, tail) = (Arc::<Meter>::default(), Arc::<Tail>::default());
        let mut drains = JoinSet::new();
        let mut open = |stream| -> std::io::Result<OwnedFd> {
            let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
            nix::fcntl::fcntl(&reader, nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
            let reader = pipe::Receiver::from_owned_fd(reader)?;
            let (speaker, meter, tail) = (speaker.clone(), Arc::clone(&meter), Arc::clone(&tail));
            drains.spawn(drain(reader, Drain { speaker, stream, meter, tail }));
            Ok(writer)
        };
        let (stdout, stderr) = (open(OutputStream::Stdout)?, open(OutputStream::Stderr)?);
        Ok((Self { speaker, meter, tail, drains }, stdout, stderr))
    }

    /// Starts a new allowance, and tells how much went over the last one.
    pub(crate) fn next_batch(&self) {
        if let Some(over) = self.meter.reset() {
            let text = format!("(windlass: {over} more bytes of output of one batch are left out)");
            self.speaker.sink.line(&self.speaker.node, self.speaker.worker, OutputStream::Stderr, &text);
        }
    }

    /// Returns a mark for [`Output::since`].
    pub(crate) fn mark(&self) -> u64 {
        self.tail.lock().count
    }

    /// Returns the lines kept since a mark.
    pub(crate) fn since(&self, mark: u64) -> String {
        let tail = self.tail.lock();
        let new = usize::try_from(tail.count.saturating_sub(mark)).unwrap_or(usize::MAX);
        let skip = tail.lines.len().saturating_sub(new);
        tail.lines.iter().skip(skip).map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// Reads what a process that is gone has left behind.
    pub(crate) async fn finish(&mut self) {
        let all = async { while self.drains.join_next().await.is_some() {} };
        // A grandchild may hold the pipes open for ever.
        let _ = tokio::time::timeout(LAST_WORDS, all).await;
        self.drains.abort_all();
        self.next_batch();
    }
}

/// Counts what a batch prints.
#[derive(Default)]
struct Meter {
    seen: AtomicU64,
}

impl Meter {
    /// Returns whether `bytes` more may pass.
    fn pass(&self, bytes: usize) -> bool {
        self.seen.fetch_add(bytes as u64, Ordering::Relaxed) < MOST_BYTES
    }

    fn reset(&self) -> Option<u64> {
        if self.seen.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.seen.swap(0, Ordering::Relaxed).checked_sub(MOST_BYTES).filter(|over| *over > 0)
    }
}

/// The last lines.
#[derive(Default)]
struct Tail(Mutex<TailLines>);

#[derive(Default)]
struct TailLines {
    lines: VecDeque<String>,
    count: u64,
}

impl Tail {
    fn lock(&self) -> std::sync::MutexGuard<'_, TailLines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &str) {
        let mut tail = self.lock();
        tail.count += 1;
        if tail.lines.len() == TAIL_LINES {
            tail.lines.pop_front();
        }
        let end = line.floor_char_boundary(TAIL_LINE);
        tail.lines.push_back(line[..end].to_owned());
    }
}

struct Drain {
    speaker: Speaker,
    stream: OutputStream,
    meter: Arc<Meter>,
    tail: Arc<Tail>,
}

async fn drain(mut pipe: pipe::Receiver, drain: Drain) {
    let mut lines = Lines::default();
    let mut chunk = vec![0; 64 * 1024];
    let mut emit = |line: &[u8]| {
        let text = readable(line);
        drain.tail.push(&text);
        if drain.meter.pass(line.len() + 1) {
            drain.speaker.sink.line(&drain.speaker.node, drain.speaker.worker, drain.stream, &text);
        }
    };
    while let Ok(length @ 1..) = pipe.read(&mut chunk).await {
        lines.push(&chunk[..length], &mut emit);
    }
    lines.end(&mut emit);
}

/// Cuts bytes into lines.
#[derive(Default)]
struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    fn push(&mut self, mut bytes: &[u8], emit: &mut impl FnMut(&[u8])) {
        while !bytes.is_empty() {
            let room = LONGEST_LINE - self.partial.len();
            let reach = &bytes[..bytes.len().min(room)];
            if let Some(end) = reach.iter().position(|byte| *byte == b'\n') {
                self.partial.extend_from_slice(&reach[..end]);
                bytes = &bytes[end + 1..];
            } else {
                self.partial.extend_from_slice(reach);
                bytes = &bytes[reach.len()..];
                if self.partial.len() < LONGEST_LINE {
                    return;
                }
            }
            emit(&self.partial);
            self.partial.clear();
        }
    }

    fn end(&mut self, emit: &mut impl FnMut(&[u8])) {
        if !self.partial.is_empty() {
            emit(&self.partial);
            self.partial.clear();
        }
    }
}

/// Returns a line as a terminal would show it in the end: without what a carriage return goes back
/// over, and without bytes that are no text.
fn readable(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let start = line.iter().rposition(|byte| *byte == b'\r').map_or(0, |place| place + 1);
    let text = String::from_utf8_lossy(&line[start..]);
    // Escape stays: it starts colours.
    text.chars().filter(|c| !c.is_control() || matches!(c, '\t' | '\u{1b}')).collect()
}

#[cfg(test)]
mod tests;
