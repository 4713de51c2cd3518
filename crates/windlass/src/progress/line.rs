//! The text of a line of progress. Pure: numbers in, text out.

use std::time::Duration;

use windlass_runner::{Phase, ProgressSnapshot};

use crate::human;
use crate::style::Paint;

/// Cells of the bar that shows how much is read.
const CELLS: usize = 10;
/// Before this there is too little to tell a rate or the time left from.
const TOO_EARLY: Duration = Duration::from_secs(1);

/// A running node at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// Its numbers.
    pub(super) snapshot: ProgressSnapshot,
    /// How long it has been running.
    pub(super) elapsed: Duration,
    /// How long its last success took.
    pub(super) last: Option<Duration>,
}

/// Returns the line of something that is over.
pub(super) fn ended(sign: &str, name: &str, text: &str) -> String {
    format!("  {sign} {name}  {text}")
}

impl Moment {
    /// Returns the moving line, without its sign.
    pub(super) fn moving_line(&self, name: &str, paint: Paint) -> String {
        let bar = self.share_read().map(|share| format!("{} {:>3.0}%  ", cells(share), share * 100.0));
        let facts = self.facts().join("  ");
        format!("{}  {}{}", paint.strong(name), bar.unwrap_or_default(), paint.faint(&facts))
    }

    /// Returns what is known: phase, rows, rate, rows that failed, time so far, time left.
    pub(super) fn facts(&self) -> Vec<String> {
        let mut facts = vec![phase(self.snapshot.phase).to_owned()];
        let rows = self.snapshot.rows_written;
        if rows > 0 {
            facts.push(human::counted(rows, "row"));
            if self.elapsed >= TOO_EARLY {
                facts.push(human::rate(rows as f64 / self.elapsed.as_secs_f64()));
            }
        }
        if self.snapshot.rows_error > 0 {
            facts.push(format!("{} quarantined", human::count(self.snapshot.rows_error)));
        }
        facts.push(human::duration(self.elapsed));
        if let Some(left) = self.time_left() {
            facts.push(format!("{} left", human::duration(left)));
        }
        facts
    }

    /// Returns how much of the input is read, from 0 to 1; never quite 1 while the node runs.
    fn share_read(&self) -> Option<f64> {
        let expected = self.snapshot.expected_rows.filter(|rows| *rows > 0)?;
        (self.snapshot.rows_read > 0).then(|| (self.snapshot.rows_read as f64 / expected as f64).min(0.99))
    }

    /// Returns the time left: from what is read, else from what the last success took.
    fn time_left(&self) -> Option<Duration> {
        if self.snapshot.phase == Phase::Committing || self.elapsed < TOO_EARLY {
            return None;
        }
        match self.share_read() {
            // All is read and something else goes on: a sort or an aggregation.
            Some(share) if share >= 0.99 => self.last?.checked_sub(self.elapsed),
            Some(share) => Some(self.elapsed.mul_f64((1.0 - share) / share)),
            None => self.last?.checked_sub(self.elapsed),
        }
    }
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Planning => "planning",
        Phase::Reading => "reading",
        Phase::Staging => "computing",
        Phase::Committing => "publishing",
    }
}

fn cells(share: f64) -> String {
    let full = (share * CELLS as f64).round() as usize;
    format!("{}{}", "▇".repeat(full), "▁".repeat(CELLS.saturating_sub(full)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(rows_read: u64, expected_rows: Option<u64>, rows_written: u64) -> Moment {
        let (phase, rows_error) = (Phase::Staging, 0);
        let snapshot = ProgressSnapshot { phase, rows_read, bytes_read: 0, rows_written, rows_error, expected_rows };
        Moment { snapshot, elapsed: Duration::from_secs(4), last: Some(Duration::from_secs(10)) }
    }

    fn check(moment: &Moment, line: &str) {
        assert_eq!(moment.moving_line("feat", Paint { colors: false }), line);
    }

    #[test]
    fn the_time_left_comes_from_what_is_read() {
        check(
            &moment(250_000, Some(1_000_000), 80_000),
            "feat  ▇▇▇▁▁▁▁▁▁▁  25%  computing  80,000 rows  20 k rows/s  4.0 s  12.0 s left",
        );
    }

    #[test]
    fn the_time_left_comes_from_the_last_run_otherwise() {
        check(&moment(5, None, 0), "feat  computing  4.0 s  6.0 s left");
        check(&moment(7, Some(7), 0), "feat  ▇▇▇▇▇▇▇▇▇▇  99%  computing  4.0 s  6.0 s left");
    }

    #[test]
    fn rows_that_failed_are_counted() {
        let mut moment = moment(5, None, 8_000);
        moment.snapshot.rows_error = 5_261;
        check(&moment, "feat  computing  8,000 rows  2.0 k rows/s  5,261 quarantined  4.0 s  6.0 s left");
    }

    #[test]
    fn nothing_is_made_up() {
        let slow = Moment { last: Some(Duration::from_secs(2)), ..moment(0, None, 0) };
        check(&slow, "feat  computing  4.0 s");
        let young = Moment { elapsed: Duration::from_millis(300), ..moment(10, Some(20), 3) };
        check(&young, "feat  ▇▇▇▇▇▁▁▁▁▁  50%  computing  3 rows  0.3 s");
    }
}
