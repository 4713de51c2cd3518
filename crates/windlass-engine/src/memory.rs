//! How much memory the process may use, and how much it has used.
//!
//! Linux only knows the answers as files: `/proc/meminfo`, the control group's limits
//! (<https://docs.kernel.org/admin-guide/cgroup-v2.html>) and `/proc/self/status`. Elsewhere the
//! functions answer `None` and callers fall back to a fixed limit.

use std::path::{Path, PathBuf};

use windlass_project::MemoryLimit;

/// What queries may use when nothing says how much memory there is: 4 GiB.
const FALLBACK_BYTES: u64 = 4 << 30;

/// Returns the bytes that queries may use.
pub(crate) fn resolve(limit: MemoryLimit) -> u64 {
    match limit {
        MemoryLimit::Bytes(bytes) => bytes,
        MemoryLimit::Fraction(fraction) => {
            let available = available_bytes().unwrap_or(FALLBACK_BYTES);
            // Bytes stay far below 2^52, so the product is exact enough.
            (available as f64 * fraction) as u64
        }
    }
}

/// Returns the smaller of the machine's memory and the control group's limit.
pub(crate) fn available_bytes() -> Option<u64> {
    let machine = field_kib(&std::fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")?;
    let group = std::fs::read_to_string("/proc/self/cgroup")
        .ok()
        .and_then(|text| group_limit(&text, Path::new("/sys/fs/cgroup")));
    Some(group.map_or(machine, |limit| limit.min(machine)))
}

/// Returns the largest resident size that this process has had, in bytes.
pub fn peak_memory_bytes() -> Option<u64> {
    field_kib(&std::fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// Returns a field given in KiB of a `name: value kB` file, in bytes.
fn field_kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Returns the smallest limit on the way from a process's control group up to the root; `text` is
/// its `/proc/self/cgroup`. Version 2 groups stand behind `0::`, version 1 behind `memory`.
fn group_limit(text: &str, root: &Path) -> Option<u64> {
    let mut limits = Vec::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let (base, file) = match controllers {
            "" => (root.to_path_buf(), "memory.max"),
            list if list.split(',').any(|name| name == "memory") => (root.join("memory"), "memory.limit_in_bytes"),
            _ => continue,
        };
        let mut folder: PathBuf = base.join(path.trim_start_matches('/'));
        loop {
            limits.extend(
                std::fs::read_to_string(folder.join(file)).ok().and_then(|text| text.trim().parse::<u64>().ok()),
            );
            if folder == base || !folder.pop() {
                break;
            }
        }
    }
    limits.into_iter().min()
}

#[cfg(test)]
mod tests;
