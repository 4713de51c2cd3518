//! The frames on the sockets to zygotes and workers, as types and as bytes.
//!
//! A frame is a 24-byte header (`op`, `flags`, `n`, `slot`, `a`, `b`, little endian) and a tail; one
//! frame is one message of a `SOCK_SEQPACKET` socket. What is longer than a frame goes through shared
//! memory. The Python side is `python/src/windlass/_protocol.py`; the tests of both sides hold the same
//! frames as bytes.
//!
//! Must stay true: no byte that a worker sends makes this panic, and no field leaves here unparsed;
//! whether a field makes sense where it stands is for the reader to check.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::Failure;
use crate::program::StartMode;

/// What both sides must agree on.
pub(crate) const VERSION: u32 = 1;
/// The longest frame.
pub(crate) const MAX_FRAME: usize = 64 * 1024;
/// As the number of rows of a run: all of them.
pub(crate) const ALL_ROWS: u32 = u32::MAX;

const HEADER: usize = 24;
const FRESH: u16 = u16::MAX;

/// What a zygote hears.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ToZygote {
    /// Start a worker; its socket and the ends of its two output pipes come along.
    Spawn { worker: u32, start: StartMode, options: SpawnOptions },
    /// Send a signal to a worker.
    Kill { worker: u32, signal: i32 },
    /// Kill all workers and exit.
    Stop,
}

/// How a worker differs from its zygote.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct SpawnOptions {
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) preload: Vec<String>,
    pub(crate) cpus: u32,
}

/// What a zygote says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum FromZygote {
    Ready { version: u64, about: ZygoteAbout },
    Started { worker: u32, pid: u32 },
    Exited { worker: u32, exit: Exit },
    Failed(ZygoteFailure),
}

/// The interpreter of a zygote and the packages that matter to the transport.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub(crate) struct ZygoteAbout {
    pub(crate) pid: u32,
    pub(crate) python: String,
    #[serde(default)]
    pub(crate) packages: BTreeMap<String, Option<String>>,
}

/// Why a zygote cannot work.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct ZygoteFailure {
    pub(crate) kind: String,
    pub(crate) message: String,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exit {
    pub(crate) code: i32,
    /// 0 where no signal ended it.
    pub(crate) signal: i32,
}

/// What a worker hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ToWorker {
    /// What to run; a region with JSON and schemas comes along.
    Hello {
        json: u64,
        schema: u64,
    },
    /// A slot; its region comes along.
    Map {
        slot: u32,
        size: u64,
        direction: Direction,
    },
    Run(Run),
    /// The slot that a pending result is to be written to.
    Grown {
        slot: u32,
    },
    Forget {
        slot: u32,
    },
    Ping {
        token: u64,
    },
    Stop,
}

/// Which way a slot carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From here to the worker.
    Input,
    /// From the worker to here.
    Output,
}

/// A call: the batch in slot `input`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) input: u32,
    pub(crate) bytes: u64,
    pub(crate) seq: u64,
    pub(crate) output: u32,
    pub(crate) first: u32,
    pub(crate) rows: u32,
    pub(crate) mode: RunMode,
    /// 0 for none.
    pub(crate) probe_timeout_ms: u64,
}

/// How a worker goes about a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunMode {
    Normal,
    /// The batch has killed workers: child processes try slices of it first.
    Careful,
}

/// What a worker says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum FromWorker {
    Ready,
    InitFailed(Failure),
    Done(Done),
    Need { slot: u32, bytes: u64, seq: u64 },
    Failed(Failed),
    Pong { token: u64, released: Vec<u32> },
}

/// A call's answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Done {
    pub(crate) slot: u32,
    /// Whether the worker holds nothing of the input slot any more.
    pub(crate) input_released: bool,
    /// Whether the worker asks to be replaced.
    pub(crate) recycle: bool,
    pub(crate) used: u64,
    pub(crate) seq: u64,
    pub(crate) rows: u32,
    pub(crate) result: Span,
    pub(crate) errors: Span,
    pub(crate) calls: u32,
    /// Where each output column comes from.
    pub(crate) columns: Vec<Column>,
    pub(crate) released: Vec<u32>,
}

/// A part of an output slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    pub(crate) offset: u32,
    pub(crate) bytes: u32,
}

/// Where an output column comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    /// It is the input column at this place.
    Input(u16),
    /// It is the next column of the result.
    Fresh,
}

/// A call without an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failed {
    pub(crate) slot: u32,
    pub(crate) input_released: bool,
    /// Whether the worker asks to be replaced.
    pub(crate) recycle: bool,
    pub(crate) seq: u64,
    pub(crate) released: Vec<u32>,
    pub(crate) failure: Failure,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Header {
    op: u8,
    flags: u8,
    n: u16,
    slot: u32,
    a: u64,
    b: u64,
}

impl ToZygote {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Spawn { worker, start, options } => {
                let flags = u8::from(*start == StartMode::Spawn);
                let json = serde_json::to_vec(options).expect("strings and numbers are JSON");
                Header { op: 1, flags, slot: *worker, ..Header::default() }.with(&json)
            }
            Self::Kill { worker, signal } => {
                Header { op: 2, slot: *worker, a: u64::from(signal.unsigned_abs()), ..Header::default() }.with(&[])
            }
            Self::Stop => Header { op: 3, ..Header::default() }.with(&[]),
        }
    }
}

impl FromZygote {
    pub(crate) fn decode(frame: &[u8]) -> Result<Self, String> {
        let (header, tail) = Header::split(frame)?;
        let worker = header.slot;
        match header.op {
            16 => Ok(Self::Ready { version: header.a, about: json(tail)? }),
            17 => Ok(Self::Started { worker, pid: u32::try_from(header.a).map_err(|_| "a process id is too large")? }),
            18 => {
                // Exit codes are bytes and signals are small; anything else is cut, it is for messages only.
                let exit = Exit { code: header.a as i32, signal: header.b as i32 };
                Ok(Self::Exited { worker, exit })
            }
            19 => Ok(Self::Failed(json(tail)?)),
            op => Err(format!("unknown frame {op}")),
        }
    }
}

impl ToWorker {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let plain = |op, slot, a, b| Header { op, slot, a, b, ..Header::default() };
        match *self {
            Self::Hello { json, schema } => plain(1, VERSION, json, schema).with(&[]),
            Self::Map { slot, size, direction } => {
                plain(2, slot, size, u64::from(direction == Direction::Output)).with(&[])
            }
            Self::Run(run) => {
                let mut tail = Vec::with_capacity(24);
                for field in [run.output, run.first, run.rows, u32::from(run.mode == RunMode::Careful)] {
                    tail.extend_from_slice(&field.to_le_bytes());
                }
                tail.extend_from_slice(&run.probe_timeout_ms.to_le_bytes());
                plain(3, run.input, run.bytes, run.seq).with(&tail)
            }
            Self::Grown { slot } => plain(4, slot, 0, 0).with(&[]),
            Self::Forget { slot } => plain(5, slot, 0, 0).with(&[]),
            Self::Ping { token } => plain(7, 0, 0, token).with(&[]),
            Self::Stop => plain(8, 0, 0, 0).with(&[]),
        }
    }
}

impl FromWorker {
    pub(crate) fn decode(frame: &[u8]) -> Result<Self, String> {
        let (header, tail) = Header::split(frame)?;
        match header.op {
            32 => Ok(Self::Ready),
            33 => Ok(Self::InitFailed(json(tail)?)),
            34 => done(header, tail).map(Self::Done),
            35 => Ok(Self::Need { slot: header.slot, bytes: header.a, seq: header.b }),
            36 => {
                let mut tail = Tail(tail);
                let released = tail.list(usize::from(header.n))?;
                Ok(Self::Failed(Failed {
                    slot: header.slot,
                    input_released: header.flags & 1 != 0,
                    recycle: header.flags & 2 != 0,
                    seq: header.b,
                    released,
                    failure: json(tail.0)?,
                }))
            }
            37 => {
                let mut tail = Tail(tail);
                let released = tail.list(tail.0.len() / 4)?;
                tail.end()?;
                Ok(Self::Pong { token: header.b, released })
            }
            op => Err(format!("unknown frame {op}")),
        }
    }
}

fn done(header: Header, tail: &[u8]) -> Result<Done, String> {
    let mut tail = Tail(tail);
    let rows = tail.u32()?;
    let result = Span { offset: tail.u32()?, bytes: tail.u32()? };
    let errors = Span { offset: tail.u32()?, bytes: tail.u32()? };
    let calls = tail.u32()?;
    let released_count = usize::from(tail.u16()?);
    let mut columns = Vec::with_capacity(usize::from(header.n));
    for _ in 0..header.n {
        columns.push(match tail.u16()? {
            FRESH => Column::Fresh,
            place => Column::Input(place),
        });
    }
    let released = tail.list(released_count)?;
    tail.end()?;
    Ok(Done {
        slot: header.slot,
        input_released: header.flags & 1 != 0,
        recycle: header.flags & 2 != 0,
        used: header.a,
        seq: header.b,
        rows,
        result,
        errors,
        calls,
        columns,
        released,
    })
}

fn json<'a, T: Deserialize<'a>>(tail: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(tail).map_err(|err| format!("a frame's JSON does not parse: {err}"))
}

impl Header {
    fn with(self, tail: &[u8]) -> Vec<u8> {
        let mut frame = Vec::with_capacity(HEADER + tail.len());
        frame.extend_from_slice(&[self.op, self.flags]);
        frame.extend_from_slice(&self.n.to_le_bytes());
        frame.extend_from_slice(&self.slot.to_le_bytes());
        frame.extend_from_slice(&self.a.to_le_bytes());
        frame.extend_from_slice(&self.b.to_le_bytes());
        frame.extend_from_slice(tail);
        frame
    }

    fn split(frame: &[u8]) -> Result<(Self, &[u8]), String> {
        let mut fields = Tail(frame);
        let [op, flags] = fields.take::<2>()?;
        let header = Self { op, flags, n: fields.u16()?, slot: fields.u32()?, a: fields.u64()?, b: fields.u64()? };
        Ok((header, fields.0))
    }
}

/// What is left of a frame.
struct Tail<'a>(&'a [u8]);

impl Tail<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or("a frame is too short")?;
        self.0 = rest;
        Ok(*field)
    }

    fn u16(&mut self) -> Result<u16, String> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.take().map(u64::from_le_bytes)
    }

    fn list(&mut self, count: usize) -> Result<Vec<u32>, String> {
        (0..count).map(|_| self.u32()).collect()
    }

    fn end(&self) -> Result<(), String> {
        if self.0.is_empty() { Ok(()) } else { Err(format!("a frame has {} bytes too many", self.0.len())) }
    }
}

#[cfg(test)]
mod tests;
