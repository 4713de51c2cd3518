//! What is to be done for an incremental table: nothing, some more of it, or all of it.
//!
//! Unlike any other table it does not follow its inputs: what is done stays, and what has changed behind it
//! shows only where `lookback` reaches, or where a run is asked to look.

use std::collections::BTreeSet;
use std::ops::Range;

use windlass_project::{ByInterval, Incremental, Node, OnDefinitionChange, OnVolatile, Project, Strategy, error_table};

use super::{Ask, IntervalsToDo, Ledger, Refresh, Spans};
use crate::fingerprint::{Difference, Provenance, changed_definition, changed_input};
use crate::planner::Plan;
use crate::reuse::{Reason, ReasonKind, first_upcoming, told, volatile};
use crate::tables::published::PublishedTable;
use crate::{Engine, Error};

/// A node, and what is known around it.
#[derive(Clone, Copy)]
pub(crate) struct Prospect<'a> {
    /// The project.
    pub(crate) project: &'a Project,
    /// Its plan.
    pub(crate) plan: &'a Plan,
    /// The node.
    pub(crate) node: &'a Node,
    /// How it is computed bit by bit.
    pub(crate) incremental: &'a Incremental,
    /// The nodes that the run builds before it.
    pub(crate) upcoming: &'a BTreeSet<String>,
    /// What the run asks for.
    pub(crate) ask: &'a Ask<'a>,
}

/// What is to be done.
pub(crate) enum Todo {
    /// The table is computed from nothing. Whether there is one that stays until then.
    Rebuild(Reason, TableBefore),
    /// Rows are added to it.
    Extend(Box<Extension>),
    /// What is published stays.
    Nothing(Box<PublishedTable>, Box<Provenance>),
}

/// Whether a table is there whose rows readers keep until it is computed anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TableBefore {
    Absent,
    There,
}

/// What is added to a table.
pub(crate) struct Extension {
    /// Why.
    pub(crate) reason: Reason,
    /// The table as it is.
    pub(crate) table: PublishedTable,
    /// What its commit says.
    pub(crate) known: Provenance,
    /// Intervals to compute, where there are such.
    pub(crate) spans: Spans,
    /// The intervals that are done.
    pub(crate) ledger: Ledger,
    /// Whether late rows have been looked for once the intervals are done, so that the inputs of now count
    /// as read.
    pub(crate) reads_inputs: bool,
}

impl Engine {
    /// Says what is to be done for an incremental table.
    ///
    /// # Errors
    ///
    /// Those of storage, and [`Error::KeptColumns`] where rows that stay do not fit the new ones.
    pub(crate) async fn todo(&self, prospect: &Prospect<'_>) -> Result<Todo, Error> {
        let Prospect { project, plan, node, incremental, ask, .. } = *prospect;
        let rebuild = |kind, text: &str, before| Ok(Todo::Rebuild(anew(prospect, kind, text), before));
        let Some(table) = self.open_table(&node.name).await? else {
            return rebuild(ReasonKind::Missing, "not published yet", TableBefore::Absent);
        };
        let there = TableBefore::There;
        let provenance = table.provenance().await;
        let Some((definition, known)) = provenance.and_then(|known| Some((known.definition()?, known))) else {
            return rebuild(ReasonKind::Missing, "nothing is known of how it was made", there);
        };
        let is_of_run = ask.is_by(known.run_id());
        if ask.refresh == Refresh::Whole && !is_of_run {
            return rebuild(ReasonKind::Forced, "asked for by --full-refresh", there);
        }
        if let Some(difference) = changed_definition(&definition, &self.definition(project, plan, node).await?) {
            // Rows of a sample and rows of everything are not rows of one table.
            let is_sample = matches!(difference, Difference::Sample { .. });
            if is_sample || incremental.on_definition_change == OnDefinitionChange::Rebuild {
                let reason = told(project, &difference);
                return rebuild(reason.kind, &reason.text, there);
            }
            self.fits(prospect, &table)?;
        }
        if known.is_changed() || !table.is_plain() {
            return rebuild(ReasonKind::OtherWriter, "another writer has changed its rows", there);
        }
        if known.errors().is_some() && self.errors_of(&node.name, &table).await?.is_none() {
            return rebuild(ReasonKind::Missing, &format!("`{}` is gone", error_table(&node.name)), there);
        }
        match &incremental.strategy {
            Strategy::ByInterval(by_interval) => {
                let ledger = Ledger::from_json(known.incremental(), by_interval.unit);
                if ledger.done.first().is_some_and(|first| first < by_interval.first) {
                    return rebuild(ReasonKind::Setting, "start is later than before", there);
                }
                self.intervals_to_do(prospect, by_interval, (table, known, ledger)).await
            }
            Strategy::Merge { .. } | Strategy::Append => {
                let reason = if is_of_run { None } else { self.why_again(prospect, (&table, &known)).await? };
                Ok(match reason {
                    Some(reason) => Todo::Extend(Box::new(Extension {
                        reason,
                        table,
                        known,
                        spans: Spans::default(),
                        ledger: Ledger::default(),
                        reads_inputs: true,
                    })),
                    None => Todo::Nothing(Box::new(table), Box::new(known)),
                })
            }
        }
    }

    async fn intervals_to_do(
        &self,
        prospect: &Prospect<'_>,
        by_interval: &ByInterval,
        (table, known, ledger): (PublishedTable, Provenance, Ledger),
    ) -> Result<Todo, Error> {
        let ask = prospect.ask;
        let all = Spans::of(wanted(by_interval, ask.now_us));
        let is_of_run = ask.is_by(known.run_id());
        let of_run = if is_of_run { ledger.of_run.clone() } else { Spans::default() };
        let ledger = Ledger { of_run: of_run.clone(), ..ledger };
        let (spans, why) = match ask.range {
            Some(range) => (asked(by_interval, range).within(&all), "asked for"),
            None => {
                let missing = all.without(&ledger.done);
                let (open, why) = match by_interval.lookback > 0 || ask.refresh == Refresh::Always {
                    true => (newest(by_interval, &all), self.why_again(prospect, (&table, &known)).await?),
                    false => (Spans::default(), None),
                };
                match why {
                    Some(why) if why.kind == ReasonKind::Forced => (missing.with(&open), "asked for"),
                    Some(_) => (missing.with(&open), "for late rows"),
                    None => (missing, ""),
                }
            }
        };
        let spans = spans.without(&of_run);
        if spans.is_empty() {
            return Ok(Todo::Nothing(Box::new(table), Box::new(known)));
        }
        let (missing, again) = (spans.without(&ledger.done), spans.within(&ledger.done));
        let reason = reason_of(by_interval, all.count(), (&missing, &again, why));
        let reads_inputs = ask.range.is_none();
        Ok(Todo::Extend(Box::new(Extension { reason, table, known, spans, ledger, reads_inputs })))
    }

    /// Returns why rows may be others than when the table was last extended.
    async fn why_again(
        &self,
        prospect: &Prospect<'_>,
        (table, known): (&PublishedTable, &Provenance),
    ) -> Result<Option<Reason>, Error> {
        let Prospect { project, plan, node, upcoming, ask, .. } = *prospect;
        if ask.refresh == Refresh::Always {
            return Ok(Some(Reason::forced("--no-cache")));
        }
        let is_built = table.base().is_none() && node.config.on_volatile == OnVolatile::Rebuild;
        if let Some(what) = volatile(project, plan, node).filter(|_| is_built) {
            return Ok(Some(Reason::new(ReasonKind::Volatile, format!("new every time: {what}"))));
        }
        if let Some(parent) = first_upcoming(project, node, upcoming) {
            return Ok(Some(Reason::new(ReasonKind::Upstream, format!("reads `{parent}`, which is built"))));
        }
        let inputs = table.inputs(known);
        let difference = changed_input(&inputs, &self.inputs_now(project, plan, node, &inputs).await?);
        Ok(difference.map(|difference| told(project, &difference)))
    }

    /// Fails where rows that stay and rows of the new definition do not fit into one table.
    fn fits(&self, prospect: &Prospect<'_>, table: &PublishedTable) -> Result<(), Error> {
        let Prospect { plan, node, .. } = *prospect;
        let change = plan.nodes.get(&node.name).and_then(|planned| table.changed_columns(&planned.schema));
        let is_split = !table.is_partitioned_by(&node.config.partition_by);
        match change.or_else(|| is_split.then(|| "partition_by is another one".to_string())) {
            Some(change) => Err(Error::KeptColumns { node: node.name.clone(), change }),
            None => Ok(()),
        }
    }
}

/// Returns the numbers of all intervals that are over by now.
pub(crate) fn wanted(by_interval: &ByInterval, now_us: i64) -> Range<i64> {
    let now = by_interval.unit.number(now_us);
    let end = by_interval.end.map_or(now, |end| end.min(now));
    by_interval.first..end.max(by_interval.first)
}

/// Returns the intervals that begin in a span of time, or hold its start.
pub(crate) fn asked(by_interval: &ByInterval, (from_us, to_us): (i64, i64)) -> Spans {
    let unit = by_interval.unit;
    Spans::of(unit.number(from_us)..unit.number(to_us - 1) + 1)
}

/// Returns the newest interval and those before it that late rows may reach.
fn newest(by_interval: &ByInterval, all: &Spans) -> Spans {
    let end = all.iter().last().map_or(0, |span| span.end);
    Spans::of(end - 1 - i64::from(by_interval.lookback)..end).within(all)
}

/// Returns the reason to compute a table from nothing.
fn anew(prospect: &Prospect<'_>, kind: ReasonKind, text: &str) -> Reason {
    let Strategy::ByInterval(by_interval) = &prospect.incremental.strategy else { return Reason::new(kind, text) };
    let all = Spans::of(wanted(by_interval, prospect.ask.now_us));
    let unit = by_interval.unit;
    let told = match all.count() {
        0 => format!("{text}; no {} is over yet", unit.name()),
        count => format!("{text}; {}: {}", counted(count, unit.name()), all.spell(unit)),
    };
    let intervals = IntervalsToDo::new(unit, all.count(), (&all, &Spans::default()));
    Reason { intervals: Some(intervals), ..Reason::new(kind, told) }
}

fn reason_of(by_interval: &ByInterval, total: u64, (missing, again, why): (&Spans, &Spans, &str)) -> Reason {
    let unit = by_interval.unit;
    let mut parts = Vec::new();
    if !missing.is_empty() {
        let of = counted(total, unit.name());
        parts.push(format!("{} of {of} to do: {}", missing.count(), missing.spell(unit)));
    }
    if !again.is_empty() {
        let count = match parts.is_empty() {
            true => counted(again.count(), unit.name()),
            false => again.count().to_string(),
        };
        parts.push(format!("{count} again, {why}: {}", again.spell(unit)));
    }
    let intervals = Some(IntervalsToDo::new(unit, total, (missing, again)));
    Reason { intervals, ..Reason::new(ReasonKind::Interval, parts.join("; ")) }
}

fn counted(count: u64, what: &str) -> String {
    format!("{} {what}{}", crate::checks::text::count(count), if count == 1 { "" } else { "s" })
}
