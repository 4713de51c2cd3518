//! The log of a run: what Python code printed, a file for each node.
//!
//! `.windlass/logs/<run>/<node>.log`, a line each: time, worker, stream, text. It holds what was
//! printed to the letter; who shows it makes it harmless.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat, Utc};
use windlass_worker::OutputStream;

/// The most bytes that are kept of a node.
const MAX_BYTES: u64 = 16 << 20;
/// What the last line of a full log says.
const FULL: &str = "what was printed from here on was not kept: the log of a node holds 16 MiB";
const ENDING: &str = "log";

/// A printed line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// When it came.
    pub(crate) at: DateTime<Utc>,
    /// Whose code printed it.
    pub(crate) node: String,
    /// The worker, from 1; 0 for a word of ours.
    pub(crate) worker: u32,
    /// Where to.
    pub(crate) stream: Stream,
    /// What, without the end of the line.
    pub(crate) text: String,
}

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// `print`.
    Stdout,
    /// `logging`, warnings, stack dumps.
    Stderr,
    /// Windlass itself.
    Windlass,
}

/// Writes the log of a run.
pub(super) struct LogWriter {
    folder: PathBuf,
    files: HashMap<String, LogFile>,
}

struct LogFile {
    file: BufWriter<File>,
    bytes: u64,
    is_full: bool,
}

/// The lines of a run, in the order of their times.
pub(crate) struct Lines {
    sources: Vec<Source>,
}

/// A file, and the line that comes next.
struct Source {
    node: String,
    file: BufReader<File>,
    next: Option<Line>,
}

/// Returns the folder that holds the log of a run.
pub(crate) fn folder(state: &Path, run_id: &str) -> PathBuf {
    state.join("logs").join(run_id)
}

impl Line {
    /// Returns where it came from: `score_flights[w2]`.
    pub(crate) fn origin(&self) -> String {
        format!("{}[w{}]", self.node, self.worker)
    }

    fn entry(&self) -> String {
        let at = self.at.to_rfc3339_opts(SecondsFormat::Millis, true);
        // Workers hand over single lines; a log that can be read again does not depend on it.
        let text = self.text.replace('\n', "\\n");
        format!("{at} w{} {} {text}\n", self.worker, self.stream.as_str())
    }

    /// Reads a line of a log. One that is no entry was cut off by a crash: it is taken as text, of the
    /// time of the line before.
    fn parse(node: &str, entry: String, before: DateTime<Utc>) -> Self {
        let node = node.to_owned();
        let parsed = || {
            let mut parts = entry.splitn(4, ' ');
            let at = DateTime::parse_from_rfc3339(parts.next()?).ok()?.to_utc();
            let worker = parts.next()?.strip_prefix('w')?.parse().ok()?;
            let stream = Stream::parse(parts.next()?)?;
            Some((at, worker, stream, parts.next()?.to_owned()))
        };
        match parsed() {
            Some((at, worker, stream, text)) => Self { at, node, worker, stream, text },
            None => Self { at: before, node, worker: 0, stream: Stream::Windlass, text: entry },
        }
    }
}

impl Stream {
    /// Returns the stable name: `stdout`, `stderr` or `windlass`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Windlass => "windlass",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Stdout, Self::Stderr, Self::Windlass].into_iter().find(|stream| stream.as_str() == name)
    }
}

impl From<OutputStream> for Stream {
    fn from(stream: OutputStream) -> Self {
        match stream {
            OutputStream::Stdout => Self::Stdout,
            OutputStream::Stderr => Self::Stderr,
        }
    }
}

impl LogWriter {
    /// Returns a log in a folder that is made with the first line.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, files: HashMap::new() }
    }

    /// Writes a line, unless its node has printed too much already.
    pub(super) fn keep(&mut self, line: &Line) -> io::Result<()> {
        if !self.files.contains_key(&line.node) {
            let file = self.open(&line.node)?;
            self.files.insert(line.node.clone(), file);
        }
        match self.files.get_mut(&line.node) {
            Some(file) => file.keep(line),
            None => Ok(()),
        }
    }

    /// Hands everything over to the system, so that others can read it.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.files.values_mut().try_for_each(|file| file.file.flush())
    }

    fn open(&self, node: &str) -> io::Result<LogFile> {
        std::fs::create_dir_all(&self.folder)?;
        let path = self.folder.join(node).with_added_extension(ENDING);
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(LogFile { file: BufWriter::new(file), bytes: 0, is_full: false })
    }
}

impl LogFile {
    fn keep(&mut self, line: &Line) -> io::Result<()> {
        if self.is_full {
            return Ok(());
        }
        let mut entry = line.entry();
        self.bytes += entry.len() as u64;
        if self.bytes > MAX_BYTES {
            self.is_full = true;
            entry = Line { worker: 0, stream: Stream::Windlass, text: FULL.to_owned(), ..line.clone() }.entry();
        }
        self.file.write_all(entry.as_bytes())
    }
}

impl Lines {
    /// Opens the log of a run: of one node, or of all. A run without a log has no lines.
    pub(crate) fn open(folder: &Path, node: Option<&str>) -> io::Result<Self> {
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self { sources: Vec::new() }),
            Err(error) => return Err(error),
        };
        let mut sources = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if path.extension().is_some_and(|ending| ending == ENDING) && node.is_none_or(|node| node == name) {
                sources.push(Source::open(name, &path)?);
            }
        }
        sources.sort_by(|a, b| a.node.cmp(&b.node));
        Ok(Self { sources })
    }
}

/// Lines of a node keep their order; those of several nodes are merged by time.
impl Iterator for Lines {
    type Item = io::Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        let waiting = self.sources.iter_mut().filter(|source| source.next.is_some());
        let source = waiting.min_by_key(|source| source.next.as_ref().map(|line| line.at))?;
        let line = source.next.take()?;
        Some(source.read(line.at).map(|()| line))
    }
}

impl Source {
    fn open(node: String, path: &Path) -> io::Result<Self> {
        let mut source = Self { node, file: BufReader::new(File::open(path)?), next: None };
        source.read(DateTime::UNIX_EPOCH)?;
        Ok(source)
    }

    /// Reads the line after one of the time `before`.
    fn read(&mut self, before: DateTime<Utc>) -> io::Result<()> {
        let mut entry = Vec::new();
        self.next = match self.file.read_until(b'\n', &mut entry)? {
            0 => None,
            _ => {
                let entry = entry.strip_suffix(b"\n").unwrap_or(&entry);
                Some(Line::parse(&self.node, String::from_utf8_lossy(entry).into_owned(), before))
            }
        };
        Ok(())
    }
}
