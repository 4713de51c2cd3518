//! What a table is checked for: rules on rows and measures of the whole, each found once.
//!
//! `compile` makes it from definitions, `part` runs it over batches, `evaluate` holds the results
//! against the bounds. It is plain data apart from SQL conditions, and the same for all partitions.

use std::sync::Arc;

use windlass_project::checks::CheckDefinition;

use super::binned::Grid;
use super::columns::Reading;
use super::numbers::Wanted;
use super::order::Direction;
use super::rules::{Condition, Rule};

/// The compiled checks of a table.
#[derive(Clone, Default)]
pub(crate) struct Program {
    /// The checks, in the order of their definition.
    pub(crate) checks: Vec<Compiled>,
    /// Rules on rows.
    pub(crate) rules: Vec<RowCheck>,
    /// What is gathered over all rows.
    pub(crate) measures: Vec<Measure>,
    /// Conditions of `where`, which checks refer to by number.
    pub(crate) filters: Vec<Condition>,
    /// The texts of the conditions.
    pub(crate) filter_texts: Vec<String>,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.checks.iter().map(|check| check.definition.name.as_str()).collect();
        f.debug_struct("Program").field("checks", &names).field("measures", &self.measures).finish_non_exhaustive()
    }
}

/// A check with what answers it.
#[derive(Debug, Clone)]
pub(crate) struct Compiled {
    /// The check.
    pub(crate) definition: Arc<CheckDefinition>,
    /// What answers it.
    pub(crate) answer: Answer,
}

/// What answers a check.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// The rows that break a rule, by its number.
    Rule(usize),
    /// A measure, by its number.
    Measure(usize),
    /// The table's columns alone: what is wrong with them.
    Known(Vec<String>),
    /// A query over the staged files and other tables.
    Query,
}

/// A rule with the rows it is for.
#[derive(Clone)]
pub(crate) struct RowCheck {
    pub(crate) rule: Rule,
    pub(crate) filter: Option<usize>,
    /// Its check, by place.
    pub(crate) check: usize,
    /// Whether rows that break it leave the table.
    pub(crate) diverts: bool,
    /// How many offending rows are kept.
    pub(crate) sample_rows: usize,
}

/// What is gathered over all rows, or those of a filter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Measure {
    pub(crate) filter: Option<usize>,
    pub(crate) kind: MeasureKind,
}

/// What is gathered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum MeasureKind {
    /// The number of rows.
    Rows,
    /// Numbers of a column.
    Numbers { column: usize, wanted: Wanted },
    /// Numbers of a column by the bins of a stored profile.
    Binned { column: usize, grid: Arc<Grid> },
    /// Categories of a column with their rows, unless there are more than this.
    Categories { column: usize, most: usize },
    /// Bounds of texts.
    Texts { column: usize },
    /// Rows that share their key.
    Unique { columns: Vec<usize> },
    /// Rows of each key; `hashes` where also those of keys that have no counter side by side.
    KeyCounts { columns: Vec<usize>, hashes: bool },
    /// Different values.
    Distinct { columns: Vec<usize> },
    /// The largest date or timestamp, in its own unit.
    Newest { column: usize },
    /// Rows out of order.
    Order { column: usize, direction: Direction, sample_rows: usize },
}

impl Program {
    /// Returns the number of a measure, which is added where it is new.
    pub(crate) fn measure(&mut self, measure: Measure) -> usize {
        if let MeasureKind::Numbers { column, wanted } = measure.kind {
            let same = |known: &Measure| known.filter == measure.filter && known.column_of_numbers() == Some(column);
            if let Some(at) = self.measures.iter().position(same) {
                if let MeasureKind::Numbers { wanted: known, .. } = &mut self.measures[at].kind {
                    known.moments = known.moments.max(wanted.moments);
                    known.distribution |= wanted.distribution;
                }
                return at;
            }
        }
        if let MeasureKind::KeyCounts { columns, hashes } = &measure.kind {
            for (at, known) in self.measures.iter_mut().enumerate().filter(|(_, known)| known.filter == measure.filter)
            {
                if let MeasureKind::KeyCounts { columns: same, hashes: known } = &mut known.kind
                    && same == columns
                {
                    *known |= hashes;
                    return at;
                }
            }
        }
        match self.measures.iter().position(|known| *known == measure) {
            Some(at) => at,
            None => {
                self.measures.push(measure);
                self.measures.len() - 1
            }
        }
    }

    /// Returns the columns that suffice for all checks; `None` where one shows whole rows, or its answer comes from
    /// elsewhere.
    pub(crate) fn suffices(&self) -> Option<Vec<usize>> {
        let is_gathered = |check: &Compiled| matches!(check.answer, Answer::Rule(_) | Answer::Measure(_));
        let shows_rows = |measure: &Measure| match measure.kind {
            MeasureKind::Order { sample_rows, .. } => sample_rows > 0,
            _ => false,
        };
        let is_alone = self.checks.iter().all(is_gathered)
            && self.rules.iter().all(|rule| rule.sample_rows == 0 && !matches!(rule.rule, Rule::Condition { .. }))
            && !self.measures.iter().any(shows_rows);
        is_alone.then(|| self.columns().into_iter().map(|(column, _)| column).collect())
    }

    /// Returns the columns that are looked at, each once, and what is read of them.
    pub(crate) fn columns(&self) -> Vec<(usize, Reading)> {
        let of_rules = self.rules.iter().flat_map(|check| {
            let reading = if let Rule::NotNull { .. } = check.rule { Reading::Nulls } else { Reading::Values };
            check.rule.columns().into_iter().map(move |column| (column, reading))
        });
        let of_measures = self.measures.iter().flat_map(Measure::columns).map(|column| (column, Reading::Values));
        let mut columns: Vec<(usize, Reading)> = of_rules.chain(of_measures).collect();
        // What is read most comes first, and is what stays.
        columns.sort_unstable_by(|left, right| left.0.cmp(&right.0).then(right.1.cmp(&left.1)));
        columns.dedup_by_key(|(column, _)| *column);
        columns
    }
}

impl Measure {
    fn column_of_numbers(&self) -> Option<usize> {
        match self.kind {
            MeasureKind::Numbers { column, .. } => Some(column),
            _ => None,
        }
    }

    fn columns(&self) -> Vec<usize> {
        match &self.kind {
            MeasureKind::Rows => Vec::new(),
            MeasureKind::Numbers { column, .. }
            | MeasureKind::Binned { column, .. }
            | MeasureKind::Categories { column, .. }
            | MeasureKind::Texts { column }
            | MeasureKind::Newest { column }
            | MeasureKind::Order { column, .. } => vec![*column],
            MeasureKind::Unique { columns }
            | MeasureKind::KeyCounts { columns, .. }
            | MeasureKind::Distinct { columns } => columns.clone(),
        }
    }
}
