//! Who a process is, and whether it still lives.
//!
//! A process id alone says little: ids are used again, and two containers count separately. So a
//! process is known by the machine it counts on, its id and its start time, all from `/proc`.
//! Where there is no `/proc`, nobody is ever declared dead from here; leases then run out by time.

use std::fs;

/// A process, recognisable from another process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessId {
    /// The host's name, for people.
    pub host: String,
    /// The running kernel and process id namespace that `pid` belongs to; empty where unknown.
    pub scope: String,
    /// The process id.
    pub pid: u32,
    /// When it started, in clock ticks since boot, where known.
    pub started: Option<u64>,
}

impl ProcessId {
    /// Returns this process.
    pub fn current() -> Self {
        Self::of(std::process::id())
    }

    /// Returns whether the process lives; `None` when that cannot be known from here.
    pub fn is_alive(&self) -> Option<bool> {
        // A `/proc` mounted with `hidepid` shows other users' processes as missing, the first
        // process among them.
        if self.scope.is_empty() || self.scope != current_scope() || stat(1).is_none() {
            return None;
        }
        Some(match stat(self.pid) {
            None => false,
            Some(Stat { state, started }) => {
                let ended = matches!(state, 'Z' | 'X' | 'x');
                !ended && self.started.is_none_or(|expected| expected == started)
            }
        })
    }

    /// Returns a process of this host.
    pub(crate) fn of(pid: u32) -> Self {
        let host = read("/proc/sys/kernel/hostname").unwrap_or_else(|| "unknown".to_owned());
        let started = stat(pid).map(|stat| stat.started);
        Self { host, scope: current_scope(), pid, started }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    started: u64,
}

fn current_scope() -> String {
    let boot = read("/proc/sys/kernel/random/boot_id");
    let namespace = fs::read_link("/proc/self/ns/pid").ok();
    match (boot, namespace) {
        (Some(boot), Some(namespace)) => format!("{boot} {}", namespace.display()),
        _ => String::new(),
    }
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&read(&format!("/proc/{pid}/stat"))?)
}

/// Reads the third and the 22nd field of `/proc/<pid>/stat`. The second is the program's name in
/// parentheses and may itself hold spaces and parentheses, so counting begins after the last one.
fn parse_stat(line: &str) -> Option<Stat> {
    let (_, rest) = line.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let started = fields.nth(18)?.parse().ok()?;
    Some(Stat { state, started })
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests;
