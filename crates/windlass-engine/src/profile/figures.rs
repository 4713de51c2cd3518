//! From what a pass has gathered to the figures of columns.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::checks::columns::{is_number, is_ordered, is_text, kernel_type};
use crate::checks::distribution::Points;
use crate::checks::numbers::{Numbers, Wanted};
use crate::checks::part::{Part, State};
use crate::checks::program::{Measure, MeasureKind, Program, RowCheck};
use crate::checks::rules::{Rule, decimal};
use crate::checks::stats::summary::Depth;
use crate::checks::text::number;
use crate::tables::schema::sql_type;

/// A text column with more different values has no list of the most frequent.
const CATEGORIES: usize = 4_096;
/// The most frequent values that are told.
const TOP: usize = 10;
/// Bars of a histogram.
const BARS: usize = 20;
const QUANTILES: [f64; 7] = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99];

/// The statistics of a column. What does not apply, or has no value, is left out.
#[derive(Debug, Clone, Default)]
pub struct ColumnProfile {
    /// Its name.
    pub name: String,
    /// Its SQL type.
    pub data_type: String,
    /// Rows that are NULL.
    pub nulls: u64,
    /// Rows that are NaN.
    pub nans: u64,
    /// Different values, and whether that is exact.
    pub distinct: Option<(u64, bool)>,
    /// The smallest value.
    pub min: Option<Figure>,
    /// The largest value.
    pub max: Option<Figure>,
    /// The arithmetic mean.
    pub mean: Option<f64>,
    /// The standard deviation of a sample.
    pub stddev: Option<f64>,
    /// Values by the share of values below them.
    pub quantiles: Vec<(f64, Figure)>,
    /// The fewest and the most characters of a text.
    pub lengths: Option<(u64, u64)>,
    /// The most frequent values with their rows, where some are frequent.
    pub top: Vec<(Figure, u64)>,
    /// Rows by value, in bars of one width.
    pub histogram: Vec<Bar>,
}

/// A value of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Figure {
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// Anything else, spelled.
    Text(String),
}

impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float(value) => f.write_str(&number(*value)),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// A bar of a histogram.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// Its smallest value.
    pub from: Figure,
    /// Where the next begins.
    pub to: Figure,
    /// Rows.
    pub rows: u64,
}

/// What is gathered, and where it is found.
pub(super) struct Layout {
    pub(super) program: Program,
    columns: Vec<Found>,
}

/// The measures of a column, by their numbers.
#[derive(Default)]
struct Found {
    numbers: Option<usize>,
    texts: Option<usize>,
    categories: Option<usize>,
    distinct: Option<usize>,
    is_spread: bool,
}

impl Layout {
    /// Returns what is gathered of a table with these columns.
    pub(super) fn of(schema: &SchemaRef) -> Self {
        let mut layout = Self { program: Program::default(), columns: Vec::new() };
        for (column, field) in schema.fields().iter().enumerate() {
            layout.program.rules.push(RowCheck {
                rule: Rule::NotNull { column },
                filter: None,
                sample_rows: 0,
                check: 0,
                diverts: false,
            });
            let mut add = |kind| Some(layout.program.measure(Measure { filter: None, kind }));
            let data_type = field.data_type();
            let wanted = Wanted { moments: Some(Depth::Spread), distribution: true };
            let is_categorical = is_text(data_type) || kernel_type(data_type) == DataType::Boolean;
            let mut found = Found { is_spread: is_number(data_type) || is_categorical, ..Found::default() };
            if is_categorical {
                found.categories = add(MeasureKind::Categories { column, most: CATEGORIES });
            } else if is_ordered(data_type) {
                found.numbers = add(MeasureKind::Numbers { column, wanted });
            }
            if is_text(data_type) {
                found.texts = add(MeasureKind::Texts { column });
            }
            if is_categorical || is_ordered(data_type) {
                found.distinct = add(MeasureKind::Distinct { columns: vec![column] });
            }
            layout.columns.push(found);
        }
        layout
    }

    /// Returns the measure that says how a column is spread, where drift can be measured of it.
    pub(super) fn spread_of(&self, column: usize) -> Option<usize> {
        let found = &self.columns[column];
        found.numbers.or(found.categories).filter(|_| found.is_spread)
    }

    /// Returns the statistics of all columns.
    pub(super) fn columns(&self, schema: &SchemaRef, seen: &Part) -> Vec<ColumnProfile> {
        let one = |(column, found): (usize, &Found)| {
            let field = schema.field(column);
            let mut profile = ColumnProfile {
                name: field.name().clone(),
                data_type: sql_type(field.data_type()),
                nulls: seen.tallies[column].failing,
                ..ColumnProfile::default()
            };
            for at in [found.numbers, found.texts, found.categories, found.distinct].into_iter().flatten() {
                profile.add(&seen.states[at], field.data_type());
            }
            profile
        };
        self.columns.iter().enumerate().map(one).collect()
    }
}

impl ColumnProfile {
    fn add(&mut self, state: &State, data_type: &DataType) {
        match state {
            State::Numbers(numbers) => self.add_numbers(numbers, data_type),
            State::Texts(texts) => {
                let spell = |value: &Vec<u8>| Figure::Text(String::from_utf8_lossy(value).into_owned());
                self.min = texts.min.as_ref().map(spell);
                self.max = texts.max.as_ref().map(spell);
                self.lengths = texts.lengths;
            }
            State::Categories(Some(known), _) => {
                let spell = |value: &[u8]| Figure::Text(String::from_utf8_lossy(value).into_owned());
                let mut all: Vec<(&[u8], u64)> = known.iter().map(|(value, rows)| (value.as_slice(), *rows)).collect();
                all.sort_unstable_by(|left, right| right.1.cmp(&left.1).then(left.0.cmp(right.0)));
                self.top = frequent(all).into_iter().map(|(value, rows)| (spell(value), rows)).collect();
            }
            State::Distinct(distinct) => {
                let (count, is_exact) = distinct.count();
                self.distinct = Some((count as u64, is_exact));
            }
            _ => {}
        }
    }

    fn add_numbers(&mut self, numbers: &Numbers, data_type: &DataType) {
        let is_time = !is_number(data_type);
        let kernel = kernel_type(data_type);
        let figure = |value: f64| match is_time {
            true => spelled(value.round() as i64, &kernel),
            false => Figure::Float(value),
        };
        self.nans = numbers.missing.saturating_sub(self.nulls);
        (self.min, self.max) = match (numbers.range(), numbers.bounds()) {
            (Some(range), _) => {
                let exact = |value: i128| match (i64::try_from(value), numbers.scale()) {
                    (Ok(value), 0) if is_time => spelled(value, &kernel),
                    (Ok(value), 0) => Figure::Integer(value),
                    (_, scale) => Figure::Float(decimal(value, scale)),
                };
                (Some(exact(range.0)), Some(exact(range.1)))
            }
            (None, Ok((min, max))) => (Some(Figure::Float(min)), Some(Figure::Float(max))),
            (None, Err(_)) => (None, None),
        };
        if !is_time {
            (self.mean, self.stddev) = (numbers.mean().ok(), numbers.deviation().ok());
        }
        let points = numbers.distribution.points();
        if numbers.distribution.is_exact() {
            self.top = most_frequent(&points, is_time, &kernel);
        }
        let floats = points.into_floats();
        let quantiles = QUANTILES.iter().filter_map(|at| Some((*at, figure(floats.quantile(*at)?))));
        self.quantiles = quantiles.collect();
        let is_whole = numbers.range().is_some() && numbers.scale() == 0;
        self.histogram = bars(&floats.points, is_whole)
            .into_iter()
            .map(|(from, to, rows)| Bar { from: figure(from), to: figure(to), rows })
            .collect();
    }
}

fn most_frequent(points: &Points, is_time: bool, kernel: &DataType) -> Vec<(Figure, u64)> {
    let mut all: Vec<(Figure, u64)> = match points {
        Points::Integers(points) if is_time => {
            points.iter().map(|(value, rows)| (spelled(*value, kernel), *rows)).collect()
        }
        Points::Integers(points) => points.iter().map(|(value, rows)| (Figure::Integer(*value), *rows)).collect(),
        Points::Floats(_) if is_time => return Vec::new(),
        Points::Floats(floats) => floats.points.iter().map(|(value, rows)| (Figure::Float(*value), *rows)).collect(),
    };
    // Points come in the order of their values, which the sort keeps among equals.
    all.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows));
    frequent(all)
}

/// Returns the first of the values where any occurs more than once.
fn frequent<T>(mut sorted: Vec<(T, u64)>) -> Vec<(T, u64)> {
    let is_repeated = sorted.first().is_some_and(|(_, rows)| *rows > 1);
    sorted.truncate(if is_repeated { TOP } else { 0 });
    sorted
}

/// Returns bars of one width over finite values: from, to, rows. Few whole numbers have a bar each.
fn bars(points: &[(f64, u64)], is_whole: bool) -> Vec<(f64, f64, u64)> {
    let finite = || points.iter().filter(|(value, _)| value.is_finite());
    let (Some((low, _)), Some((high, _))) = (finite().next(), finite().next_back()) else { return Vec::new() };
    let mut bars: Vec<(f64, f64, u64)> = if is_whole && high - low < BARS as f64 {
        (0..=(high - low) as usize).map(|at| (low + at as f64, low + at as f64, 0)).collect()
    } else {
        let count = if low == high { 1 } else { BARS };
        // Shares of each bound, since their difference may be no number.
        let edge = |at: usize| low * ((count - at) as f64 / count as f64) + high * (at as f64 / count as f64);
        (0..count).map(|at| (edge(at), edge(at + 1), 0)).collect()
    };
    for (value, rows) in finite() {
        let at = bars.partition_point(|(from, ..)| from <= value).saturating_sub(1);
        bars[at].2 += rows;
    }
    bars
}

/// Spells the number behind a date, time or timestamp.
fn spelled(value: i64, data_type: &DataType) -> Figure {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![value]));
    let cast = |array: &ArrayRef, data_type: &DataType| {
        cast_with_options(array, data_type, &CastOptions { safe: false, ..CastOptions::default() })
    };
    let typed = match data_type {
        DataType::Date32 | DataType::Time32(_) => {
            cast(&numbers, &DataType::Int32).and_then(|days| cast(&days, data_type))
        }
        _ => cast(&numbers, data_type),
    };
    let options = FormatOptions::default().with_null("");
    let text =
        typed.ok().and_then(|typed| Some(ArrayFormatter::try_new(typed.as_ref(), &options).ok()?.value(0).to_string()));
    Figure::Text(text.unwrap_or_else(|| value.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_hold_every_finite_value() {
        let all = |bars: Vec<(f64, f64, u64)>| bars.iter().map(|bar| bar.2).sum::<u64>();
        let points: Vec<(f64, u64)> = (0..1000).map(|at| (f64::from(at) / 7.0, 2)).collect();
        assert_eq!((bars(&points, false).len(), all(bars(&points, false))), (BARS, 2000));
        assert_eq!(bars(&[(1.0, 3), (3.0, 1)], true), [(1.0, 1.0, 3), (2.0, 2.0, 0), (3.0, 3.0, 1)]);
        assert_eq!(bars(&[(0.5, 3)], false), [(0.5, 0.5, 3)]);
        assert_eq!(bars(&[(f64::NEG_INFINITY, 1), (f64::INFINITY, 1)], false), []);
        let extremes = bars(&[(f64::NEG_INFINITY, 1), (f64::MIN, 1), (0.0, 1), (f64::MAX, 1)], false);
        assert_eq!((extremes.len(), all(extremes)), (BARS, 3));
    }

    #[test]
    fn times_are_spelled() {
        assert_eq!(spelled(19_723, &DataType::Date32), Figure::Text("2024-01-01".to_string()));
        assert_eq!(spelled(i64::MAX, &DataType::Date32), Figure::Text(i64::MAX.to_string()));
    }
}
