//! The arguments that transforms and functions share: workers and the form of a batch.

use std::time::Duration;

use super::arguments::{Arguments, count};
use super::literal::{ListKind, Literal, LiteralValue};
use super::{PythonBatchFormat, WorkerSettings};
use crate::parse_time;
use crate::problems::Problems;

/// How long a worker may take to get ready: models load.
const START_TIMEOUT: Duration = Duration::from_secs(300);

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            concurrency: None,
            num_cpus: 1.0,
            num_gpus: 0.0,
            memory: None,
            timeout: None,
            start_timeout: START_TIMEOUT,
            spawn: false,
        }
    }
}

/// The names of these arguments.
pub(super) const SHARED: &[&str] = &[
    "batch_format",
    "concurrency",
    "deterministic",
    "memory",
    "num_cpus",
    "num_gpus",
    "on_error",
    "start",
    "start_timeout",
    "timeout",
];

/// How workers start; of a transform also the time at which its first interval does.
pub(super) const START: &str = "start";

const FORMATS: [(&str, PythonBatchFormat); 4] = [
    ("numpy", PythonBatchFormat::Numpy),
    ("pandas", PythonBatchFormat::Pandas),
    ("polars", PythonBatchFormat::Polars),
    ("pyarrow", PythonBatchFormat::Pyarrow),
];

pub(super) fn batch_format(arguments: &Arguments, problems: &mut Problems) -> PythonBatchFormat {
    arguments.choice("batch_format", &FORMATS, problems).unwrap_or(PythonBatchFormat::Numpy)
}

pub(super) fn workers(arguments: &Arguments, problems: &mut Problems) -> WorkerSettings {
    let num_cpus = arguments.number("num_cpus", problems).unwrap_or(1.0);
    if num_cpus == 0.0 {
        problems.extend(arguments.get("num_cpus").map(|literal| literal.expected("a number above 0", "num_cpus")));
    }
    let num_gpus = arguments.number("num_gpus", problems).unwrap_or(0.0);
    let spawn = !starts_at_a_time(arguments)
        && arguments.choice(START, &[("fork", false), ("spawn", true)], problems).unwrap_or(false);
    WorkerSettings {
        concurrency: concurrency(arguments, problems),
        num_cpus,
        num_gpus,
        memory: arguments.size("memory", problems),
        timeout: arguments.duration("timeout", problems),
        start_timeout: arguments.duration("start_timeout", problems).unwrap_or(START_TIMEOUT),
        // A forked process cannot use a GPU.
        spawn: spawn || num_gpus > 0.0,
    }
}

/// Returns whether `start` says when the first interval of a transform starts, and nothing of its workers.
pub(super) fn starts_at_a_time(arguments: &Arguments) -> bool {
    if arguments.what != "`@transform`" {
        return false;
    }
    let Some(text) = arguments.get(START).and_then(Literal::as_text) else { return false };
    let has_intervals = arguments.has("interval") || arguments.has("strategy");
    parse_time(text).is_some() || (has_intervals && !["fork", "spawn"].contains(&text))
}

fn concurrency(arguments: &Arguments, problems: &mut Problems) -> Option<(u32, u32)> {
    let literal = arguments.get("concurrency")?;
    let range = range(literal);
    if range.is_none() {
        problems.push(
            literal.expected("a number of workers such as `4`, or fewest and most such as `(1, 8)`", "concurrency"),
        );
    }
    range
}

fn range(literal: &Literal) -> Option<(u32, u32)> {
    if let Some(workers) = count(literal, 1) {
        return Some((workers, workers));
    }
    match &literal.value {
        LiteralValue::List(ListKind::List | ListKind::Tuple, items) => match items.as_slice() {
            [fewest, most] => Some((count(fewest, 1)?, count(most, 1)?)).filter(|(fewest, most)| fewest <= most),
            _ => None,
        },
        _ => None,
    }
}
