//! The end of a worker: makes sure of it, and says what it was.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::{Cause, Command, Worker};
use crate::pool::Job;
use crate::protocol::{Exit, ToWorker};
use crate::zygote::ProcessEvent;
use crate::{Error, Failure, RowError, Stage};

/// How long a worker may take to stop when told so.
const STOP_LIMIT: Duration = Duration::from_secs(2);
/// How long one that has closed its socket may take to exit by itself: its exit code says more than ours.
const EXIT_LIMIT: Duration = Duration::from_millis(500);
/// How long a killed one may take to be gone.
const KILL_LIMIT: Duration = Duration::from_secs(5);
/// How long writing down the stack takes.
const DUMP_TIME: Duration = Duration::from_millis(100);

/// A worker that has ended, and the batches that it leaves.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) seat: u32,
    pub(crate) end: End,
    /// The batch that was at work, if the end is put down to it.
    pub(crate) culprit: Option<Job>,
    /// Batches that can go to another worker.
    pub(crate) others: Vec<Job>,
}

/// How a worker has ended.
#[derive(Debug)]
pub(crate) enum End {
    /// As it was told.
    Stopped,
    /// Because nobody waited for what it did.
    Deserted,
    /// For a reason that lies outside of its batches.
    Lost,
    /// Under a batch, or with nothing to do.
    Died(Death),
    /// Before it was ready.
    DiedEarly(Death),
    /// It was not ready in time.
    StartTimeout { output: String },
    /// User code failed before the first batch.
    InitFailed(Failure),
    /// Its answers cannot be read.
    Malformed { message: String },
    /// There was no process in the first place.
    Unable(Error),
}

/// A death, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Death {
    pub(crate) stage: Stage,
    /// Short, such as `SIGSEGV`.
    pub(crate) name: String,
    /// In words.
    pub(crate) how: String,
    /// The last lines, or the stack where time was up.
    pub(crate) output: String,
}

impl Death {
    /// Returns the error of a row that is the reason.
    pub(crate) fn blame(&self, attempts: u32) -> RowError {
        RowError {
            row: 0,
            stage: self.stage,
            error_type: self.name.clone(),
            message: self.how.clone(),
            traceback: self.output.clone(),
            attempts,
            worker: 0,
        }
    }
}

impl Worker {
    /// Ends the process if it still runs, and waits until it is reaped.
    pub(super) async fn end(mut self, cause: Cause) -> Ended {
        self.core.retire(self.seat);
        if !matches!(cause, Cause::Stopped) {
            tracing::warn!(node = self.core.program.node, worker = self.seat, ?cause, "worker ends");
        }
        let mark = self.output.mark();
        let exit = self.finish_process(&cause).await;
        self.output.finish().await;
        let is_timeout = matches!(cause, Cause::CallTimeout | Cause::StartTimeout);
        let output = self.output.since(if is_timeout { mark } else { 0 });
        let is_early = !self.has_been_ready;
        let end = match cause {
            Cause::Stopped => End::Stopped,
            Cause::Deserted => End::Deserted,
            Cause::Silent | Cause::ZygoteGone => End::Lost,
            Cause::Malformed(message) => End::Malformed { message },
            Cause::InitFailed(failure) => End::InitFailed(failure),
            Cause::StartTimeout => End::StartTimeout { output },
            Cause::CallTimeout => End::Died(self.timed_out(output)),
            Cause::Memory { bytes } => End::Died(self.out_of_memory(bytes, output)),
            Cause::Lost | Cause::Exited(_) if is_early => End::DiedEarly(death(exit, output)),
            Cause::Lost | Cause::Exited(_) => End::Died(death(exit, output)),
        };
        self.leave(end)
    }

    /// Sorts the batches that are left.
    fn leave(mut self, end: End) -> Ended {
        self.set_growth(None);
        let mut jobs = Vec::new();
        while let Some(flight) = self.take_flight() {
            jobs.push(flight.job);
        }
        let culprit = match &end {
            End::Died(_) | End::Malformed { .. } if !jobs.is_empty() => Some(jobs.remove(0)),
            _ => None,
        };
        jobs.extend(self.held.drain(..));
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            if let Command::Run(job) = command {
                jobs.push(job);
            }
        }
        Ended { seat: self.seat, end, culprit, others: jobs }
    }

    async fn finish_process(&mut self, cause: &Cause) -> Option<Exit> {
        match cause {
            Cause::Exited(exit) => return Some(*exit),
            Cause::ZygoteGone => return None,
            Cause::Stopped => {
                self.send(ToWorker::Stop, None);
                if let Some(exit) = self.wait_for_exit(STOP_LIMIT).await {
                    return Some(exit);
                }
            }
            Cause::Lost | Cause::InitFailed(_) => {
                if let Some(exit) = self.wait_for_exit(EXIT_LIMIT).await {
                    return Some(exit);
                }
            }
            Cause::CallTimeout | Cause::StartTimeout => {
                self.process.signal(Signal::SIGUSR1);
                tokio::time::sleep(DUMP_TIME).await;
            }
            Cause::Memory { .. } | Cause::Silent | Cause::Deserted | Cause::Malformed(_) => {}
        }
        self.process.signal(Signal::SIGKILL);
        let exit = self.wait_for_exit(KILL_LIMIT).await;
        if exit.is_none() {
            // Neither the worker nor its zygote react: the zygote ends and takes all it has along.
            self.process.give_up_zygote();
        }
        exit
    }

    async fn wait_for_exit(&mut self, limit: Duration) -> Option<Exit> {
        let exited = async {
            loop {
                match self.process.event().await {
                    Some(ProcessEvent::Exited(exit)) => return Some(exit),
                    Some(ProcessEvent::Started { .. }) => {}
                    None => return None,
                }
            }
        };
        tokio::time::timeout(limit, exited).await.ok().flatten()
    }

    fn timed_out(&self, output: String) -> Death {
        let limit = self.core.program.settings.timeout.unwrap_or_default();
        let how = format!("took longer than its timeout of {} ms", limit.as_millis());
        Death { stage: Stage::Timeout, name: "Timeout".to_owned(), how, output }
    }

    fn out_of_memory(&self, bytes: u64, output: String) -> Death {
        let limit = self.core.program.settings.memory.unwrap_or_default() >> 20;
        let how = format!("has {} MiB of memory, its limit is {limit} MiB more than at its start", bytes >> 20);
        Death { stage: Stage::Memory, name: "OutOfMemory".to_owned(), how, output }
    }
}

/// Says how a process ended by itself.
fn death(exit: Option<Exit>, output: String) -> Death {
    let (name, how) = match exit {
        Some(Exit { signal: 0, code }) => (format!("Exit{code}"), format!("exited with code {code}")),
        Some(Exit { signal, .. }) => {
            let name = Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |s| s.to_string());
            let hint = if signal == Signal::SIGKILL as i32 { ", as the system does when memory runs out" } else { "" };
            (name.clone(), format!("killed by {name}{hint}"))
        }
        None => ("Lost".to_owned(), "closed its socket and was killed".to_owned()),
    };
    Death { stage: Stage::Crash, name, how, output }
}

#[cfg(test)]
mod tests;
