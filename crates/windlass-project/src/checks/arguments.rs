//! What a check says about itself, with the problems of reading it.

use windlass_error::{Code, Diagnostic, Location};

use super::values::{count, lacks, number, number_from};
use super::{Interval, Written};
use crate::decode::{Fields, flag};
use crate::problems::Problems;
use crate::yaml::Yaml;

/// The keys of an exact figure, its lower and its upper bound.
const BOUNDS: [&[&str]; 3] = [&["equals", "value"], &["min", "min_value"], &["max", "max_value"]];

/// What a check says about itself.
pub(super) struct Arguments<'a> {
    /// The name of its kind, as written.
    pub(super) kind: &'a str,
    /// Where that stands.
    pub(super) at: &'a Location,
    /// The column below which it stands, or that it names.
    pub(super) column: Option<&'a Written>,
    /// Its keys.
    pub(super) fields: Fields<'a>,
    /// Where problems go.
    pub(super) problems: &'a mut Problems,
}

impl<'a> Arguments<'a> {
    /// Returns the value of the first key that is there.
    pub(super) fn value(&self, keys: &[&'static str]) -> Option<(&'static str, &'a Yaml)> {
        keys.iter().find_map(|key| Some((*key, self.fields.value(key)?)))
    }

    pub(super) fn needed(&mut self, keys: &[&'static str]) -> Option<(&'static str, &'a Yaml)> {
        let found = self.value(keys);
        if found.is_none() {
            self.problems.push(lacks(self.kind, &format!("the key `{}`", keys[0]), self.at));
        }
        found
    }

    pub(super) fn own_column(&mut self) -> Option<Written> {
        if self.column.is_none() {
            let problem = lacks(self.kind, "a column", self.at);
            self.problems.push(problem.hint("move it below a column, or name one with `column:`"));
        }
        self.column.cloned()
    }

    pub(super) fn number(&mut self, keys: &[&'static str]) -> Option<f64> {
        let (key, yaml) = self.value(keys)?;
        number(yaml, key, self.problems)
    }

    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        self.fields.value(key).and_then(|yaml| flag(yaml, key, self.problems))
    }

    /// Returns a number from 0.
    pub(super) fn not_negative(&mut self, keys: &[&'static str]) -> Option<f64> {
        let (key, yaml) = self.value(keys)?;
        number_from(0.0, "a number from 0", (yaml, key), self.problems)
    }

    /// Returns a number of rows or values.
    pub(super) fn count(&mut self, keys: &[&'static str]) -> Option<f64> {
        let (key, yaml) = self.value(keys)?;
        count(yaml, key, self.problems)
    }

    /// Returns the bounds of a figure.
    pub(super) fn interval(&mut self) -> Interval {
        let [exact, min, max] = BOUNDS.map(|keys| self.number(keys));
        self.checked(Interval { min: min.or(exact), max: max.or(exact) })
    }

    /// Returns the bounds of a number of rows or values.
    pub(super) fn counts(&mut self) -> Interval {
        let [exact, min, max] = BOUNDS.map(|keys| self.count(keys));
        self.checked(Interval { min: min.or(exact), max: max.or(exact) })
    }

    /// Returns both bounds as they are written.
    pub(super) fn written_bounds(&self) -> [Option<String>; 2] {
        let text = |keys: &[&'static str]| Some(self.value(keys)?.1.scalar()?.text.clone());
        let [exact, min, max] = BOUNDS.map(text);
        [min.or_else(|| exact.clone()), max.or(exact)]
    }

    /// Returns whether any bound is there, also one that cannot be read.
    pub(super) fn has_bounds(&self) -> bool {
        BOUNDS.iter().any(|keys| self.value(keys).is_some())
    }

    pub(super) fn checked(&mut self, interval: Interval) -> Interval {
        if let (Some(min), Some(max)) = (interval.min, interval.max)
            && min > max
        {
            let message = format!("`min` of `{}` is larger than `max`", self.kind);
            let problem = Diagnostic::error(Code::INVALID_VALUE, message);
            self.problems.push(problem.at(self.at.clone()));
        }
        interval
    }

    /// Returns the bounds of a number of rows, of which there has to be one.
    pub(super) fn required_counts(&mut self) -> Option<Interval> {
        if !self.has_bounds() {
            self.problems.push(lacks(self.kind, "`min`, `max` or `equals`", self.at));
            return None;
        }
        Some(self.counts()).filter(|bounds| *bounds != Interval::default())
    }
}

/// A key that is not there is fine; one that is there and does not fit is not.
pub(super) trait TransposeAll<T> {
    fn transpose_all(self) -> Option<Option<T>>;
}

impl<T> TransposeAll<T> for Option<Option<T>> {
    fn transpose_all(self) -> Option<Option<T>> {
        match self {
            None => Some(None),
            Some(None) => None,
            Some(Some(value)) => Some(Some(value)),
        }
    }
}
