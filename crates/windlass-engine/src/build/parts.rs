//! Adds to an incremental table: parts of it are computed side by side and published one after the other.
//!
//! A part is one commit: intervals that follow one another, or what a query returns. Parts that do not
//! read the table itself are computed while those before them are published.
//!
//! Must stay true: parts are published in order, each on the version of the one before; when one fails,
//! those before it stay.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::DateTime;
use futures::StreamExt;
use futures::stream::FuturesOrdered;
use serde_json::Value;
use windlass_project::checks::CheckDefinition;
use windlass_project::{Incremental, Node, Strategy};

use super::slices::Later;
use super::steps::{Base, Span, Step, batch_end, tell_left_out, together};
use super::{Audited, BuildProgress, BuildRequest, Built, LeftOut, Phase, Prepared, RowsFrom, Staged, out_of_memory};
use crate::fingerprint::Provenance;
use crate::incremental::{Extension, Spans};
use crate::session::PlanStyle;
use crate::tables::published::PublishedTable;
use crate::{Engine, Error};

/// Parts that are computed at the same time at most: enough to keep threads busy that small parts do not.
const SIDE_BY_SIDE: usize = 4;

/// How parts are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// One after the other.
    Alone,
    /// So many at the same time.
    SideBySide(usize),
}

/// What adding to a table came to.
pub(super) struct More {
    /// What was published; `None` where nothing was.
    pub(super) built: Option<Built>,
    /// Whether the build ends here, whatever is left.
    pub(super) is_over: bool,
    /// How it goes on.
    pub(super) pace: Pace,
}

/// A part whose rows are staged.
struct Part {
    span: Option<Span>,
    prepared: Prepared,
    staged: Staged,
    /// Checks of its rows.
    of_rows: Vec<CheckDefinition>,
    /// Checks of the table as it will be.
    of_table: Vec<CheckDefinition>,
}

impl Engine {
    /// Returns how fast parts of a table can be computed: those that read the table wait for one another.
    pub(super) fn pace(&self, request: &BuildRequest<'_>) -> Pace {
        let planned = request.plan.nodes.get(&request.node.name).and_then(|planned| planned.incremental.as_ref());
        let reads_itself = planned.is_none_or(|query| crate::fingerprint::reads(query, &request.node.name));
        match self.session.settings().threads.min(SIDE_BY_SIDE) {
            2.. if reads_itself => Pace::Alone,
            count @ 2.. => Pace::SideBySide(count),
            _ => Pace::Alone,
        }
    }

    /// Computes what is to be added to a table and publishes it, part by part.
    pub(super) async fn extend(
        &self,
        request: &BuildRequest<'_>,
        incremental: &Incremental,
        extension: Extension,
        pace: Pace,
    ) -> Result<More, Error> {
        let Extension { reason: _, table, known, spans, mut ledger, reads_inputs } = extension;
        let mut waiting = parts(&incremental.strategy, &spans).into_iter();
        let count = waiting.len();
        let width = if let Pace::SideBySide(count) = pace { count } else { 1 };
        let read = Arc::new(AtomicU64::default());
        let mut base = Base { table, known, reads_inputs: false };
        let mut staging = FuturesOrdered::new();
        let mut built: Option<Built> = None;
        for number in 0..count {
            while staging.len() < width
                && let Some(span) = waiting.next()
            {
                let part = self.stage_part(request, (base.clone(), span), (pace, Arc::clone(&read)));
                staging.push_back(Box::pin(part));
            }
            let part = match staging.next().await {
                None => break,
                Some(Ok(part)) => part,
                Some(Err(Error::Compute { source, .. })) if pace != Pace::Alone && out_of_memory(&source) => {
                    drop(staging);
                    self.discard(&request.node.name, request.run_id, DateTime::UNIX_EPOCH).await?;
                    return Ok(More { built, is_over: false, pace: Pace::Alone });
                }
                Some(Err(error)) => return Err(error),
            };
            if let Some(span) = &part.span {
                ledger = ledger.with(&Spans::of(span.numbers()));
            }
            // Late rows are looked for in the last intervals, so with the last part all inputs are read.
            base.reads_inputs = reads_inputs && number + 1 == count;
            let said = (base.clone(), ledger.to_json(&incremental.strategy));
            let Some(done) = Box::pin(self.publish_part(request, part, said)).await? else {
                return Ok(More { built: None, is_over: false, pace });
            };
            let version = done.version;
            built = together(built, Some(done));
            if number + 1 < count {
                if !request.progress.begin_step() {
                    drop(staging);
                    self.discard(&request.node.name, request.run_id, DateTime::UNIX_EPOCH).await?;
                    return Ok(More { built, is_over: true, pace });
                }
                let (table, known) = self.published_part(&request.node.name, version).await?;
                base = Base { table, known, reads_inputs: false };
            }
        }
        Ok(More { built, is_over: false, pace })
    }

    /// Stages the rows of a part.
    async fn stage_part(
        &self,
        request: &BuildRequest<'_>,
        (base, span): (Base, Option<Span>),
        (pace, read): (Pace, Arc<AtomicU64>),
    ) -> Result<Part, Error> {
        self.prepare_checks(request.project, request.node).await?;
        let (of_rows, of_table) = self.divided_checks(request, &base.known).await?;
        let node = Node { checks: of_rows.clone(), ..request.node.clone() };
        let whole = Arc::clone(&request.progress);
        let progress = Arc::new(PartProgress { whole, read, own: AtomicU64::default() });
        let on_rows = on(request, &node, progress);
        let how = node.config.incremental.as_ref();
        let later = how.and_then(|how| Later::than_known(how, Some(base.known.incremental())));
        let step = Step { base: Some(base), span: span.clone(), later, ledger: Value::Null };
        let rows = RowsFrom::Step(Box::new(step));
        let (prepared, staged) = match pace {
            Pace::Alone => self.stage_fitting(&on_rows, &rows).await?,
            // What does not fit is computed again without the others.
            Pace::SideBySide(_) => self.stage(&on_rows, &rows, PlanStyle::Fast).await?,
        };
        Ok(Part { span, prepared, staged, of_rows, of_table })
    }

    /// Judges staged rows and publishes them in place of those that they replace. `None` when the progress
    /// forbids to publish.
    async fn publish_part(
        &self,
        request: &BuildRequest<'_>,
        part: Part,
        (base, ledger): (Base, Value),
    ) -> Result<Option<Built>, Error> {
        let Part { span, prepared, mut staged, of_rows, of_table } = part;
        let step = Step { base: Some(base), span, later: None, ledger };
        request.progress.phase(Phase::Staged);
        let node = Node { checks: of_rows, ..request.node.clone() };
        if let Some(change) = step.base.as_ref().and_then(|base| base.table.changed_columns(&prepared.published)) {
            return Err(Error::KeptColumns { node: node.name, change });
        }
        self.check_times(request, &prepared, &staged, &step).await?;
        let on_rows = on(request, &node, Arc::clone(&request.progress));
        let audited = match self.audit_staged(&on_rows, &prepared, &mut staged, &RowsFrom::Inputs).await {
            Ok(audited) => audited,
            Err(error) => return Err(self.keep_candidate(request, &prepared, staged, error).await),
        };
        let replaced = self.replaced(request, &prepared, &staged, &step).await?;
        let of_table = Node { checks: of_table, ..request.node.clone() };
        let checks = match self.audit_whole(request, &of_table, &prepared, (&staged, &replaced)).await {
            Ok(checks) => checks,
            Err(error) => return Err(self.keep_candidate(request, &prepared, staged, error).await),
        };
        if !request.progress.begin_commit() {
            return Ok(None);
        }
        let without_time = staged.without_time;
        let audited = Audited { checks: [audited.checks, checks].concat(), failures: audited.failures };
        let built = self.commit_step(request, &prepared, (staged, replaced, audited), &step).await?;
        tracing::info!(node = %node.name, version = built.version, rows = built.rows, "part published");
        request.progress.phase(Phase::Committed);
        tell_left_out(request, without_time, &step);
        self.forget_candidates(&node.name).await;
        Ok(Some(built))
    }

    /// Opens the version that a part has published.
    async fn published_part(&self, node: &str, version: u64) -> Result<(PublishedTable, Provenance), Error> {
        let table = PublishedTable::open(node, &self.place(node), Some(version)).await?;
        let not_published = || Error::NotPublished { table: node.to_string() };
        let table = table.ok_or_else(not_published)?;
        let known = table.provenance().await.ok_or_else(not_published)?;
        Ok((table, known))
    }

    /// Returns the checks that need to look at the new rows only, and those that look at the whole table:
    /// what they say is about all rows, or rows that stay have not passed them as they are now.
    async fn divided_checks(
        &self,
        request: &BuildRequest<'_>,
        known: &Provenance,
    ) -> Result<(Vec<CheckDefinition>, Vec<CheckDefinition>), Error> {
        let checks = &request.node.checks;
        if checks.is_empty() {
            return Ok(Default::default());
        }
        let passed = known.passed_checks();
        let now = self.check_identities(request.project, request.plan, request.node).await?;
        let is_known = |check: &CheckDefinition| {
            let before = passed.get(&check.name);
            before.is_some() && before == now.get(&check.name)
        };
        Ok(checks.iter().cloned().partition(|check| check.kind.is_on_rows() && is_known(check)))
    }
}

/// Returns the parts of what is to be added: intervals that follow one another, a batch each.
fn parts(strategy: &Strategy, spans: &Spans) -> Vec<Option<Span>> {
    let Strategy::ByInterval(by_interval) = strategy else { return vec![None] };
    let mut parts = Vec::new();
    for span in spans.iter() {
        let mut start = span.start;
        while start < span.end {
            let end = span.end.min(batch_end(by_interval, start));
            parts.push(Some(Span::new(by_interval, Range { start, end })));
            start = end;
        }
    }
    parts
}

/// Returns a request for the same run and another node.
fn on<'a>(request: &BuildRequest<'a>, node: &'a Node, progress: Arc<dyn BuildProgress>) -> BuildRequest<'a> {
    let BuildRequest { project, plan, run_id, sequence, started_us, ask, .. } = *request;
    BuildRequest { project, plan, node, run_id, sequence, started_us, ask, progress }
}

/// Adds what one part has read to what the others have.
struct PartProgress {
    whole: Arc<dyn BuildProgress>,
    read: Arc<AtomicU64>,
    own: AtomicU64,
}

impl BuildProgress for PartProgress {
    fn phase(&self, phase: Phase) {
        self.whole.phase(phase);
    }

    fn expected_rows(&self, _: u64) {
        // Parts that are yet to come have rows as well, and nobody knows how many.
    }

    fn rows_read(&self, total: u64) {
        let added = total.saturating_sub(self.own.swap(total, Ordering::Relaxed));
        self.whole.rows_read(self.read.fetch_add(added, Ordering::Relaxed) + added);
    }

    fn rows_written(&self, added: u64) {
        self.whole.rows_written(added);
    }

    fn rows_failed(&self, added: u64) {
        self.whole.rows_failed(added);
    }

    fn rows_left_out(&self, rows: u64, left: LeftOut) {
        self.whole.rows_left_out(rows, left);
    }

    fn begin_commit(&self) -> bool {
        self.whole.begin_commit()
    }

    fn begin_step(&self) -> bool {
        self.whole.begin_step()
    }
}
