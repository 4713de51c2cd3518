//! Runs a program over the batches of one part of a table.
//!
//! A part is what one partition has seen. Parts merge in any order to the same result, up to the
//! choice of example rows. Nothing here blocks, and nothing grows with the table but key sets.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::take_record_batch;
use arrow::error::ArrowError;

use super::binned::Binned;
use super::columns::{Reading, Values, View, normalise};
use super::distinct::Distinct;
use super::hash::{self, Keys};
use super::key_counts::KeyCounts;
use super::keys::{KeySet, Prehashed, each};
use super::mask::RuleMask;
use super::numbers::Numbers;
use super::order::Order;
use super::program::{Measure, MeasureKind, Program};
use super::rules::Condition;
use super::texts::Texts;

/// Rows by category.
pub(crate) type Categories = HashMap<Vec<u8>, u64, Prehashed>;

/// What the checks of a table have seen so far.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    program: Arc<Program>,
    /// Rows seen that stay in the table.
    pub(crate) rows: u64,
    /// Rows seen that leave it.
    pub(crate) diverted: u64,
    /// By the number of the rule.
    pub(crate) tallies: Vec<Tally>,
    /// By the number of the measure.
    pub(crate) states: Vec<State>,
}

/// Rows that break a rule.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    /// Rows looked at.
    pub(crate) rows: u64,
    /// Rows that break it.
    pub(crate) failing: u64,
    /// Some of them.
    pub(crate) examples: Examples,
}

/// Some rows, copied out of their batches.
#[derive(Debug, Clone, Default)]
pub(crate) struct Examples {
    pub(crate) batches: Vec<RecordBatch>,
    rows: usize,
}

/// What a measure has gathered.
#[derive(Debug, Clone)]
pub(crate) enum State {
    Rows(u64),
    Numbers(Box<Numbers>),
    Binned(Box<Binned>),
    /// Rows by category; those without one; `None` once there were too many categories.
    Categories(Option<Categories>, u64),
    Texts(Texts),
    Unique(KeySet),
    KeyCounts(KeyCounts),
    Distinct(Distinct),
    Newest(Option<i64>),
    Order(Order, Examples),
}

/// The rows of a batch that leave the table.
#[derive(Debug, Clone)]
pub(crate) struct Leaving {
    /// Which rows.
    pub(crate) rows: BooleanBuffer,
    /// The rules that rows break, also those that divert none.
    pub(crate) broken: RuleMask,
}

impl Part {
    /// Returns a part that has seen nothing.
    pub(crate) fn new(program: Arc<Program>) -> Self {
        let states = program.measures.iter().map(State::of).collect();
        let tallies = vec![Tally::default(); program.rules.len()];
        Self { program, rows: 0, diverted: 0, tallies, states }
    }

    /// Returns what the checks look for.
    pub(crate) fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// Looks at a batch. Answers which of its rows leave the table, where any does; checks that divert
    /// none judge the others.
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<Option<Leaving>, ArrowError> {
        let program = Arc::clone(&self.program);
        let mut arrays: Vec<Option<(ArrayRef, Reading)>> = vec![None; batch.num_columns()];
        for (column, reading) in program.columns() {
            let array = batch.column(column);
            let array = if reading == Reading::Values { normalise(array)? } else { ArrayRef::clone(array) };
            arrays[column] = Some((array, reading));
        }
        let views: Vec<Option<View<'_>>> =
            arrays.iter().map(|array| array.as_ref().map(|(array, reading)| View::reading(array, *reading))).collect();
        let view = |column: usize| views[column].as_ref().expect("`Program::columns` names all that are used");
        let selections = selections(&program, batch)?;
        let mut broken = Vec::with_capacity(program.rules.len());
        for check in &program.rules {
            let rows = check.rule.broken(batch, view)?;
            let among = |rows: BooleanBuffer| match check.filter {
                Some(filter) => &rows & &selections[filter],
                None => rows,
            };
            broken.push(rows.map(among).filter(|rows| rows.count_set_bits() > 0));
        }
        let leaving = leaving(&program, batch.num_rows(), &broken);
        let gone = leaving.as_ref().map_or(0, |leaving| leaving.rows.count_set_bits());
        self.rows += (batch.num_rows() - gone) as u64;
        self.diverted += gone as u64;
        let staying = leaving.as_ref().map(|leaving| !&leaving.rows);
        let all: Vec<Option<BooleanBuffer>> = selections.iter().cloned().map(Some).chain([None]).collect();
        let remaining: Vec<Option<BooleanBuffer>> = match &staying {
            None => all.clone(),
            Some(staying) => all
                .iter()
                .map(|rows| Some(rows.as_ref().map_or_else(|| staying.clone(), |rows| rows & staying)))
                .collect(),
        };
        let without_filter = selections.len();
        for ((check, tally), broken) in program.rules.iter().zip(&mut self.tallies).zip(broken) {
            let judged = if check.diverts { &all } else { &remaining };
            let judged = judged[check.filter.unwrap_or(without_filter)].as_ref();
            tally.rows += judged.map_or(batch.num_rows(), BooleanBuffer::count_set_bits) as u64;
            let Some(mut broken) = broken else { continue };
            if let (Some(judged), false) = (judged, check.diverts) {
                broken = &broken & judged;
            }
            tally.failing += broken.count_set_bits() as u64;
            tally.examples.add(batch, &broken, check.sample_rows)?;
        }
        for (measure, state) in program.measures.iter().zip(&mut self.states) {
            let selection = remaining[measure.filter.unwrap_or(without_filter)].as_ref();
            state.add(measure, batch, view, selection)?;
        }
        Ok(leaving)
    }

    /// Adds what another part has seen.
    pub(crate) fn merge(&mut self, other: Self) {
        self.rows += other.rows;
        self.diverted += other.diverted;
        for ((mine, theirs), check) in self.tallies.iter_mut().zip(other.tallies).zip(&self.program.rules) {
            mine.rows += theirs.rows;
            mine.failing += theirs.failing;
            mine.examples.merge(theirs.examples, check.sample_rows);
        }
        for ((mine, theirs), measure) in self.states.iter_mut().zip(other.states).zip(&self.program.measures) {
            mine.merge(theirs, measure);
        }
    }

    /// Returns the checks that diverted rows, with how many break each, most first.
    pub(crate) fn diversions(&self) -> Vec<(String, u64)> {
        let counted = self.program.rules.iter().zip(&self.tallies);
        let mut found: Vec<(String, u64)> = counted
            .filter(|(rule, tally)| rule.diverts && tally.failing > 0)
            .map(|(rule, tally)| (self.program.checks[rule.check].definition.name.clone(), tally.failing))
            .collect();
        found.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows));
        found
    }

    /// Returns the bytes of what grows with the table.
    pub(crate) fn bytes(&self) -> usize {
        self.states.iter().map(State::bytes).sum()
    }

    /// Counts what keys come to, which frees their memory.
    pub(crate) fn settle(&mut self) {
        for state in &mut self.states {
            if let State::Unique(set) = state {
                set.settle();
            }
        }
    }

    /// Gives up what takes most memory: sets of keys, which a query over the staged files replaces.
    /// Answers whether that freed any.
    pub(crate) fn shrink(&mut self) -> bool {
        let sets = self.states.iter_mut().filter_map(|state| match state {
            State::Unique(set) if set.bytes() > 0 => Some(set),
            _ => None,
        });
        sets.max_by_key(|set| set.bytes()).map(KeySet::abandon).is_some()
    }
}

/// Returns the rows for which each condition holds.
fn selections(program: &Program, batch: &RecordBatch) -> Result<Vec<BooleanBuffer>, ArrowError> {
    let selected = |filter: &Condition| {
        let holds = filter(batch)?;
        // A condition that is NULL does not hold, as in SQL.
        Ok(match holds.nulls() {
            Some(nulls) => holds.values() & nulls.inner(),
            None => holds.values().clone(),
        })
    };
    program.filters.iter().map(selected).collect()
}

/// Returns the rows that leave the table for the rules that they break.
fn leaving(program: &Program, rows: usize, broken: &[Option<BooleanBuffer>]) -> Option<Leaving> {
    let is_diverting = |rule: &usize| program.rules[*rule].diverts && broken[*rule].is_some();
    if !(0..broken.len()).any(|rule| is_diverting(&rule)) {
        return None;
    }
    let mut mask = RuleMask::new(rows, broken.len());
    for (rule, rows) in broken.iter().enumerate() {
        rows.iter().for_each(|rows| mask.mark(rule, rows));
    }
    Some(Leaving { rows: mask.breaking((0..broken.len()).filter(is_diverting)), broken: mask })
}

impl Examples {
    fn add(&mut self, batch: &RecordBatch, broken: &BooleanBuffer, wanted: usize) -> Result<(), ArrowError> {
        let room = wanted.saturating_sub(self.rows);
        if room == 0 {
            return Ok(());
        }
        let rows: UInt32Array = broken.set_indices().take(room).map(|row| row as u32).collect::<Vec<_>>().into();
        self.rows += rows.len();
        self.batches.push(take_record_batch(batch, &rows)?);
        Ok(())
    }

    fn merge(&mut self, other: Self, wanted: usize) {
        for batch in other.batches {
            let room = wanted.saturating_sub(self.rows).min(batch.num_rows());
            if room > 0 {
                self.rows += room;
                self.batches.push(batch.slice(0, room));
            }
        }
    }
}

impl State {
    fn of(measure: &Measure) -> Self {
        match &measure.kind {
            MeasureKind::Rows => Self::Rows(0),
            MeasureKind::Numbers { wanted, .. } => Self::Numbers(Box::new(Numbers::new(*wanted))),
            MeasureKind::Binned { grid, .. } => Self::Binned(Box::new(Binned::new(grid))),
            MeasureKind::Categories { .. } => Self::Categories(Some(Categories::default()), 0),
            MeasureKind::Texts { .. } => Self::Texts(Texts::default()),
            MeasureKind::Unique { .. } => Self::Unique(KeySet::default()),
            MeasureKind::KeyCounts { hashes, .. } => Self::KeyCounts(KeyCounts::new(*hashes)),
            MeasureKind::Distinct { .. } => Self::Distinct(Distinct::default()),
            MeasureKind::Newest { .. } => Self::Newest(None),
            MeasureKind::Order { .. } => Self::Order(Order::default(), Examples::default()),
        }
    }

    fn add<'v, 'a: 'v>(
        &mut self,
        measure: &Measure,
        batch: &RecordBatch,
        view: impl Fn(usize) -> &'v View<'a>,
        selection: Option<&BooleanBuffer>,
    ) -> Result<(), ArrowError> {
        match (self, &measure.kind) {
            (Self::Rows(rows), _) => *rows += selection.map_or(batch.num_rows(), BooleanBuffer::count_set_bits) as u64,
            (Self::Numbers(numbers), MeasureKind::Numbers { column, .. }) => numbers.add(view(*column), selection),
            (Self::Binned(binned), MeasureKind::Binned { column, .. }) => binned.add(view(*column), selection),
            (Self::Categories(known, missing), MeasureKind::Categories { column, most }) => {
                *missing += add_categories(known, *most, view(*column), selection);
            }
            (Self::Texts(texts), MeasureKind::Texts { column }) => texts.add(view(*column), selection),
            (Self::Newest(newest), MeasureKind::Newest { column }) => {
                let view = view(*column);
                if let Values::Integer(values) = &view.values {
                    let found = match view.valid(selection) {
                        None => values.iter().copied().max(),
                        Some(valid) => valid.set_indices().map(|row| values[row]).max(),
                    };
                    *newest = found.max(*newest);
                }
            }
            (Self::Order(order, examples), MeasureKind::Order { column, direction, sample_rows }) => {
                if let Some(broken) = order.add(view(*column), selection, *direction) {
                    examples.add(batch, &broken, *sample_rows)?;
                }
            }
            (
                state,
                MeasureKind::Unique { columns }
                | MeasureKind::KeyCounts { columns, .. }
                | MeasureKind::Distinct { columns },
            ) => {
                let views: Vec<&View<'_>> = columns.iter().map(|column| view(*column)).collect();
                state.add_keys(&views, selection);
            }
            _ => {}
        }
        Ok(())
    }

    fn add_keys(&mut self, views: &[&View<'_>], selection: Option<&BooleanBuffer>) {
        // A key of one column is left out where that is NULL; of several, NULL is like any value,
        // save for rows per key, where it stands for no key.
        let needs_value = views.len() == 1 || matches!(self, Self::KeyCounts(_));
        let mut counted = selection.cloned();
        for nulls in views.iter().filter_map(|view| view.nulls.as_ref()).filter(|_| needs_value) {
            counted = Some(counted.map_or_else(|| nulls.inner().clone(), |rows| &rows & nulls.inner()));
        }
        let counted = counted.as_ref();
        match (self, views) {
            (Self::Unique(set), [View { values: Values::Integer(values), .. }]) => set.add_integers(values, counted),
            (Self::Unique(set), _) => set.add(&hash::keys(views), counted),
            (Self::KeyCounts(counts), [View { values: Values::Integer(values), .. }]) => {
                counts.add_integers(values, counted);
            }
            (Self::KeyCounts(counts), _) => counts.add(&hash::short_keys(views), counted, |row| spell(views, row)),
            (Self::Distinct(distinct), _) => match &hash::short_keys(views) {
                Keys::Narrow(keys) => each(keys.len(), counted, |row| distinct.add(keys[row])),
                Keys::Wide(keys) => each(keys.len(), counted, |row| distinct.add(keys[row] as u64)),
            },
            _ => {}
        }
    }

    fn merge(&mut self, other: Self, measure: &Measure) {
        match (self, other) {
            (Self::Rows(mine), Self::Rows(theirs)) => *mine += theirs,
            (Self::Numbers(mine), Self::Numbers(theirs)) => mine.merge(*theirs),
            (Self::Binned(mine), Self::Binned(theirs)) => mine.merge(&theirs),
            (Self::Categories(mine, missing), Self::Categories(theirs, more)) => {
                *missing += more;
                let MeasureKind::Categories { most, .. } = measure.kind else { return };
                match theirs {
                    None => *mine = None,
                    Some(theirs) => {
                        theirs.into_iter().for_each(|(value, count)| count_category(mine, most, &value, count));
                    }
                }
            }
            (Self::Texts(mine), Self::Texts(theirs)) => mine.merge(&theirs),
            (Self::Unique(mine), Self::Unique(theirs)) => mine.merge(theirs),
            (Self::KeyCounts(mine), Self::KeyCounts(theirs)) => mine.merge(theirs),
            (Self::Distinct(mine), Self::Distinct(theirs)) => mine.merge(theirs),
            (Self::Newest(mine), Self::Newest(theirs)) => *mine = theirs.max(*mine),
            (Self::Order(mine, examples), Self::Order(theirs, more)) => {
                mine.merge(&theirs);
                if let MeasureKind::Order { sample_rows, .. } = measure.kind {
                    examples.merge(more, sample_rows);
                }
            }
            _ => {}
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Unique(set) => set.bytes(),
            Self::KeyCounts(counts) => counts.bytes(),
            Self::Numbers(numbers) => numbers.distribution.bytes(),
            Self::Binned(binned) => binned.bytes(),
            Self::Categories(Some(known), _) => known.len() * 64,
            _ => 0,
        }
    }
}

/// Counts the categories of a batch, and returns its rows without one.
fn add_categories(
    known: &mut Option<Categories>,
    most: usize,
    view: &View<'_>,
    selection: Option<&BooleanBuffer>,
) -> u64 {
    let valid = view.valid(selection);
    let looked_at = selection.map_or(view.rows, BooleanBuffer::count_set_bits);
    let with_value = valid.as_ref().map_or(view.rows, BooleanBuffer::count_set_bits);
    match &view.values {
        Values::Text(text) => {
            text.for_each_count(valid.as_ref(), |value, count| count_category(known, most, value, count));
        }
        Values::Boolean(array) => {
            let are_true = match &valid {
                None => array.values().count_set_bits(),
                Some(valid) => (array.values() & valid).count_set_bits(),
            };
            for (value, count) in [("true", are_true), ("false", with_value - are_true)] {
                if count > 0 {
                    count_category(known, most, value.as_bytes(), count as u64);
                }
            }
        }
        _ => {}
    }
    (looked_at - with_value) as u64
}

fn count_category(known: &mut Option<Categories>, most: usize, value: &[u8], count: u64) {
    let Some(counts) = known else { return };
    if let Some(sum) = counts.get_mut(value) {
        *sum += count;
    } else if counts.len() < most {
        counts.insert(value.to_vec(), count);
    } else {
        *known = None;
    }
}

/// Spells the key of a row.
fn spell(views: &[&View<'_>], row: usize) -> String {
    let one = |view: &&View<'_>| match &view.values {
        Values::Text(text) => String::from_utf8_lossy(text.value(row)).into_owned(),
        Values::Integer(values) => values[row].to_string(),
        Values::Float(values) => values[row].to_string(),
        Values::Boolean(array) => array.value(row).to_string(),
        Values::Decimal(values, scale) => super::rules::decimal(values[row], *scale).to_string(),
        Values::Opaque => String::new(),
    };
    views.iter().map(one).collect::<Vec<_>>().join(", ")
}
