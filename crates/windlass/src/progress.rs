//! Shows how a run goes: a moving line for each running node, or plain lines.
//!
//! [`Display`] is an observer of the run's events, and is polled by [`Display::refresh`] for what
//! moves in between. Finished lines scroll up. All of it goes to stderr.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use indicatif::{ProgressBar, ProgressStyle};
use windlass_error::Code;
use windlass_runner::{
    Attempt, ErrorRows, NodeHistory, NodeOutcome, NodeProgress, Observer, OutcomeKind, RunEvent, SharedError,
    SkipReason,
};

use crate::human;
use crate::printer::Printer;
use crate::report;
use crate::style::Paint;

mod line;

use line::Moment;

/// How often moving lines are drawn.
pub(crate) const REFRESH_EVERY: Duration = Duration::from_millis(100);
/// How often a long node says that it lives where nothing moves.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(30);
/// Causes of failed rows that are named when a node ends.
const NAMED_CAUSES: usize = 3;
/// Characters of a cause that are shown then.
const CAUSE_WIDTH: usize = 60;

/// Shows a run. Clones show the same one.
#[derive(Clone)]
pub(crate) struct Display {
    board: Arc<Mutex<Board>>,
}

struct Board {
    printer: Printer,
    paint: Paint,
    name_width: usize,
    history: HashMap<String, NodeHistory>,
    running: IndexMap<String, Running>,
    /// Codes of all failures shown.
    codes: BTreeSet<Code>,
}

/// A node at work.
struct Running {
    progress: Arc<NodeProgress>,
    /// Nodes that have no new version, of which it reads what is published.
    last_good: Vec<String>,
    started: Instant,
    last_beat: Instant,
    bar: Option<ProgressBar>,
}

impl Display {
    /// Returns a display of a run over nodes of which something is known from earlier runs.
    pub(crate) fn new(printer: &Printer, history: HashMap<String, NodeHistory>) -> Self {
        let board = Board {
            printer: printer.clone(),
            paint: printer.paint(),
            name_width: 0,
            history,
            running: IndexMap::new(),
            codes: BTreeSet::new(),
        };
        Self { board: Arc::new(Mutex::new(board)) }
    }

    /// Draws what has moved, or says that long nodes live.
    pub(crate) fn refresh(&self) {
        self.board().refresh();
    }

    /// Returns the codes of all failures shown.
    pub(crate) fn codes(&self) -> BTreeSet<Code> {
        self.board().codes.clone()
    }

    fn board(&self) -> std::sync::MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Display {
    fn observe(&mut self, event: &RunEvent) {
        self.board().observe(event);
    }
}

impl Board {
    fn observe(&mut self, event: &RunEvent) {
        match event {
            RunEvent::RunStarted { nodes } => {
                self.name_width = nodes.iter().map(|node| node.chars().count()).max().unwrap_or_default();
            }
            RunEvent::NodeStarted { node, attempt, progress, last_good } => {
                self.start(node, *attempt, progress, last_good);
            }
            RunEvent::NodeFinished { node, outcome, elapsed, .. } => {
                let last_good = self.end(node);
                let text = finished(outcome, *elapsed);
                self.say(&line::ended(&self.paint.good("✓"), &self.name(node), &text));
                if !last_good.is_empty() {
                    let names: Vec<String> = last_good.iter().map(|name| format!("`{name}`")).collect();
                    let text = format!("computed from the last good version of {}", names.join(", "));
                    self.say(&line::ended(&self.paint.odd("!"), &self.name(node), &text));
                }
                let errors = outcome.errors.as_ref().and_then(|errors| lost(node, outcome.kind, errors));
                for text in errors.into_iter().chain(outcome.nulls.as_ref().and_then(nulled)) {
                    self.say(&line::ended(&self.paint.odd("!"), &self.name(node), &text));
                }
            }
            RunEvent::NodeFailed { node, attempt, error, elapsed, will_retry_in } => {
                self.end(node);
                match will_retry_in {
                    Some(delay) => self.retry(node, *attempt, error, *delay),
                    None => self.fail(node, error, *elapsed),
                }
            }
            RunEvent::NodeSkipped { node, reason } => {
                let text = self.paint.faint(&skipped(reason));
                self.say(&line::ended(&self.paint.faint("-"), &self.name(node), &text));
            }
            RunEvent::NodeCancelled { node, .. } => {
                self.end(node);
                let text = self.paint.faint("cancelled, its published version is as it was");
                self.say(&line::ended(&self.paint.odd("!"), &self.name(node), &text));
            }
            RunEvent::Stopping { committing } => self.stopping(committing),
            RunEvent::RunFinished { .. } => {
                for (_, running) in self.running.drain(..) {
                    running.clear();
                }
            }
        }
    }

    fn start(&mut self, node: &str, attempt: Attempt, progress: &Arc<NodeProgress>, last_good: &[String]) {
        let bar = self.printer.bars().map(|bars| {
            let style = ProgressStyle::with_template("  {spinner} {wide_msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            bars.add(ProgressBar::new_spinner().with_style(style))
        });
        let now = Instant::now();
        tracing::debug!(node, attempt = attempt.number(), "node shown");
        let (progress, last_good) = (Arc::clone(progress), last_good.to_vec());
        let running = Running { progress, last_good, started: now, last_beat: now, bar };
        self.running.insert(node.to_owned(), running);
    }

    /// Forgets a node that is over; answers of which nodes it has read the last good version.
    fn end(&mut self, node: &str) -> Vec<String> {
        let Some(mut running) = self.running.shift_remove(node) else { return Vec::new() };
        let last_good = std::mem::take(&mut running.last_good);
        running.clear();
        last_good
    }

    fn fail(&mut self, node: &str, error: &SharedError, elapsed: Duration) {
        let text = format!("{}  {}", self.paint.bad("failed"), human::duration(elapsed));
        let line = line::ended(&self.paint.bad("✗"), &self.name(node), &text);
        let details = report::failure(report::as_error(error), self.paint, &mut self.codes);
        self.printer.problem(&format!("{line}\n{details}"));
    }

    fn retry(&mut self, node: &str, attempt: Attempt, error: &SharedError, delay: Duration) {
        let when = human::duration(delay);
        let text = format!("attempt {attempt} failed, next in {when}: {error}");
        self.say(&line::ended(&self.paint.odd("!"), &self.name(node), &text));
    }

    fn stopping(&mut self, committing: &[String]) {
        let waits = match committing {
            [] => String::new(),
            [one] => format!(" after `{one}` is published"),
            several => format!(" after {} are published", several.join(", ")),
        };
        self.say(&self.paint.odd(&format!("Stopping{waits}; Ctrl-C again stops at once")));
    }

    fn refresh(&mut self) {
        let (paint, width) = (self.paint, self.name_width);
        let mut beats = Vec::new();
        for (node, running) in &mut self.running {
            let moment = Moment {
                snapshot: running.progress.snapshot(),
                elapsed: running.started.elapsed(),
                last: self.history.get(node).map(|history| history.elapsed),
            };
            let name = format!("{node:width$}");
            match &running.bar {
                Some(bar) => {
                    bar.set_message(moment.moving_line(&name, paint));
                    bar.tick();
                }
                None if running.last_beat.elapsed() >= HEARTBEAT_EVERY => {
                    running.last_beat = Instant::now();
                    beats.push(line::ended("…", &name, &moment.facts().join("  ")));
                }
                None => {}
            }
        }
        for beat in beats {
            self.say(&beat);
        }
    }

    /// Returns a node's name, as wide as the widest.
    fn name(&self, node: &str) -> String {
        let width = self.name_width;
        format!("{node:width$}")
    }

    fn say(&self, text: &str) {
        if !self.printer.is_quiet() {
            self.printer.problem(text);
        }
    }
}

impl Running {
    fn clear(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn finished(outcome: &NodeOutcome, elapsed: Duration) -> String {
    match outcome.kind {
        OutcomeKind::View => "view".to_owned(),
        OutcomeKind::Reused => {
            let version = outcome.version.map(|version| format!("  version {version}")).unwrap_or_default();
            let env = outcome.env.as_ref().map(|env| format!(" of {env}")).unwrap_or_default();
            format!("unchanged{version}{env}")
        }
        OutcomeKind::Published => {
            let rows = format!("{:>16}", human::counted(outcome.rows, "row"));
            let size = format!("{:>8}", human::bytes(outcome.bytes));
            let version = outcome.version.map(|version| format!("  version {version}")).unwrap_or_default();
            format!("{rows}  {size}{version}  {}", human::duration(elapsed))
        }
        OutcomeKind::Replayed => {
            let rows = format!("{:>16}", human::counted(outcome.rows, "row"));
            let version = outcome.version.map(|version| format!("  version {version}")).unwrap_or_default();
            format!("{rows}  merged{version}  {}", human::duration(elapsed))
        }
    }
}

/// Returns what to say of rows that failed; `None` where none did.
fn lost(node: &str, kind: OutcomeKind, errors: &ErrorRows) -> Option<String> {
    if errors.rows == 0 {
        return None;
    }
    let what = match kind {
        OutcomeKind::Replayed => {
            format!("{} of {} failed again", human::count(errors.rows), human::counted(errors.of, "row"))
        }
        _ => format!("{} of rows quarantined", human::percent(errors.rows, errors.of)),
    };
    Some(format!("{what}{}   see: windlass errors {node}", causes(errors)))
}

/// Returns what to say of rows that failed and stayed; `None` where none did.
fn nulled(nulls: &ErrorRows) -> Option<String> {
    let rows = human::counted(nulls.rows, "row");
    let have = if nulls.rows == 1 { "has" } else { "have" };
    (nulls.rows > 0).then(|| format!("{rows} {have} NULL because Python failed{}", causes(nulls)))
}

/// Returns the causes of most rows, behind a colon.
fn causes(errors: &ErrorRows) -> String {
    let mut causes: Vec<String> = errors.causes.iter().take(NAMED_CAUSES).map(cause).collect();
    let others = errors.causes.len().saturating_sub(NAMED_CAUSES) as u64;
    if others > 0 {
        causes.push(human::counted(others, "other cause"));
    }
    match causes.is_empty() {
        true => String::new(),
        false => format!(": {}", causes.join(" · ")),
    }
}

fn cause((text, rows): &(String, u64)) -> String {
    let text = text.lines().next().unwrap_or_default();
    let short: String = text.chars().take(CAUSE_WIDTH).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("{}{dots} {}", crate::output::harmless(&short), human::count(*rows))
}

fn skipped(reason: &SkipReason) -> String {
    match reason {
        SkipReason::UpstreamFailed { node } => format!("skipped, it needs `{node}`"),
        SkipReason::FailFast { node } => format!("skipped, `{node}` failed"),
        SkipReason::Cancelled => "skipped, the run was stopped".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(rows: u64, causes: &[(&str, u64)]) -> ErrorRows {
        ErrorRows { rows, of: 328_521, causes: causes.iter().map(|(text, rows)| ((*text).to_owned(), *rows)).collect() }
    }

    #[test]
    fn lost_rows_are_told_with_their_causes() {
        let said = |kind, errors: &ErrorRows| lost("score", kind, errors).unwrap_or_default();
        let causes = [("`temp` is null", 3_000), ("ValueError: a\nb", 2_000), ("x\u{1b}[2J", 200), ("y", 60), ("z", 1)];
        assert_eq!(
            said(OutcomeKind::Published, &errors(5_261, &causes)),
            "1.60% of rows quarantined: `temp` is null 3,000 · ValueError: a 2,000 · x\\x1b[2J 200 · 2 other causes   \
             see: windlass errors score"
        );
        assert_eq!(
            said(OutcomeKind::Replayed, &errors(1, &causes[4..])),
            "1 of 328,521 rows failed again: z 1   see: windlass errors score"
        );
        assert_eq!(said(OutcomeKind::Published, &errors(0, &[])), "");
        assert_eq!(nulled(&errors(1, &causes[4..])).unwrap_or_default(), "1 row has NULL because Python failed: z 1");
        assert_eq!(nulled(&errors(0, &[])), None);
    }
}
