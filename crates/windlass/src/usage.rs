//! What this process has used up.

use std::time::Duration;

/// Linux counts processor time for `/proc` in ticks of a hundredth of a second (`proc(5)`).
const TICK: Duration = Duration::from_millis(10);

/// Returns the processor time of all threads; `None` where there is no `/proc`.
pub(crate) fn cpu_time() -> Option<Duration> {
    parse_stat(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// Adds up fields 14 and 15 of `/proc/self/stat`. The second field is the program's name in
/// parentheses and may hold spaces, so counting begins behind it.
fn parse_stat(line: &str) -> Option<Duration> {
    let (_, rest) = line.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * user.saturating_add(system))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_added() {
        let line = "7 (a) b) S 1 7 7 0 -1 4194304 100 0 0 0 150 25 0 0 20 0 1 0 9 0 0";
        assert_eq!(parse_stat(line), Some(Duration::from_millis(1750)));
        assert_eq!(parse_stat("7 (a"), None);
    }
}
