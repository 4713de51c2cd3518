//! The settings that say how a table is computed bit by bit.

use windlass_error::{Code, Diagnostic, Location};

use super::columns;
use crate::checks::word;
use crate::decode::{count, expected, text};
use crate::problems::Problems;
use crate::yaml::Yaml;
use crate::{ByInterval, Incremental, IntervalUnit, Materialized, OnDefinitionChange, Strategy, parse_time};

/// Their names.
pub(super) const SETTINGS: [&str; 9] = [
    "batch_intervals",
    "end",
    "interval",
    "key",
    "lookback",
    "on_definition_change",
    "start",
    "strategy",
    "time_column",
];

/// What dbt and SQLMesh call them.
const OTHER_NAMES: [(&str, &str); 8] = [
    ("batch_size", "interval"),
    ("begin", "start"),
    ("event_time", "time_column"),
    ("forward_only", "on_definition_change: forward"),
    ("incremental_strategy", "strategy"),
    ("interval_unit", "interval"),
    ("partition_column", "time_column"),
    ("unique_key", "key"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StrategyName {
    ByInterval,
    Merge,
    Append,
}

/// In what a transform is written: SQL says itself which rows are new, Python is given them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Sql,
    Python,
}

impl StrategyName {
    /// Returns the settings that it needs, and those that it may have as well.
    fn settings(self, language: Language) -> (&'static [&'static str], &'static [&'static str]) {
        match (self, language) {
            (Self::ByInterval, _) => (&["time_column", "interval", "start"], &["end", "lookback", "batch_intervals"]),
            (Self::Merge, Language::Sql) => (&["key"], &[]),
            (Self::Merge, Language::Python) => (&["key"], &["time_column"]),
            (Self::Append, Language::Sql) => (&[], &[]),
            (Self::Append, Language::Python) => (&["time_column"], &[]),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::ByInterval => "by_interval",
            Self::Merge => "merge",
            Self::Append => "append",
        }
    }
}

/// What one place says, or several together.
#[derive(Debug, Clone, Default)]
pub(crate) struct IncrementalPatch {
    strategy: Option<(StrategyName, Location)>,
    time_column: Option<(String, Location)>,
    unit: Option<(IntervalUnit, Location)>,
    start: Option<(i64, Location)>,
    end: Option<(i64, Location)>,
    lookback: Option<(u32, Location)>,
    batch_intervals: Option<(u32, Location)>,
    key: Option<(Vec<String>, Location)>,
    on_definition_change: Option<(OnDefinitionChange, Location)>,
    /// Whether a value that was given cannot be used.
    is_broken: bool,
}

impl IncrementalPatch {
    /// Decodes `value` into the setting `key`.
    pub(super) fn set(&mut self, key: &str, value: &Yaml, problems: &mut Problems) {
        let (at, known) = (value.at.clone(), problems.list.len());
        match key {
            "strategy" => {
                let words = [StrategyName::ByInterval, StrategyName::Merge, StrategyName::Append]
                    .map(|strategy| (strategy.name(), strategy));
                self.strategy = word(value, key, &words, problems).map(|strategy| (strategy, at));
            }
            "time_column" => self.time_column = text(value, key, problems).map(|name| (name, at)),
            "interval" => self.unit = word(value, key, &IntervalUnit::ALL, problems).map(|unit| (unit, at)),
            "start" => self.start = time(value, key, problems).map(|time| (time, at)),
            "end" => self.end = time(value, key, problems).map(|time| (time, at)),
            "lookback" => self.lookback = count(value, key, problems).map(|count| (count, at)),
            "batch_intervals" => {
                self.batch_intervals = count(value, key, problems).map(|count| (count, at));
                if self.batch_intervals.as_ref().is_some_and(|(count, _)| *count == 0) {
                    problems.push(expected("a whole number from 1", &format!("`{key}`"), value));
                }
            }
            "key" => self.key = columns(value, key, problems).map(|names| (names, at)),
            "on_definition_change" => {
                let ways = [("rebuild", OnDefinitionChange::Rebuild), ("forward", OnDefinitionChange::Forward)];
                self.on_definition_change = word(value, key, &ways, problems).map(|way| (way, at));
            }
            _ => {}
        }
        self.is_broken |= problems.list.len() > known;
    }

    /// Takes what a nearer place says over what is known.
    pub(super) fn apply(&mut self, nearer: &Self) {
        fn take<T: Clone>(known: &mut Option<T>, nearer: &Option<T>) {
            if nearer.is_some() {
                known.clone_from(nearer);
            }
        }
        self.is_broken |= nearer.is_broken;
        take(&mut self.strategy, &nearer.strategy);
        take(&mut self.time_column, &nearer.time_column);
        take(&mut self.unit, &nearer.unit);
        take(&mut self.start, &nearer.start);
        take(&mut self.end, &nearer.end);
        take(&mut self.lookback, &nearer.lookback);
        take(&mut self.batch_intervals, &nearer.batch_intervals);
        take(&mut self.key, &nearer.key);
        take(&mut self.on_definition_change, &nearer.on_definition_change);
    }

    /// Returns the settings that are given, each with its place.
    pub(super) fn given(&self) -> Vec<(&'static str, &Location)> {
        fn at<T>(setting: &Option<(T, Location)>) -> Option<&Location> {
            setting.as_ref().map(|(_, at)| at)
        }
        let all = [
            ("batch_intervals", at(&self.batch_intervals)),
            ("end", at(&self.end)),
            ("interval", at(&self.unit)),
            ("key", at(&self.key)),
            ("lookback", at(&self.lookback)),
            ("on_definition_change", at(&self.on_definition_change)),
            ("start", at(&self.start)),
            ("strategy", at(&self.strategy)),
            ("time_column", at(&self.time_column)),
        ];
        all.into_iter().filter_map(|(name, at)| Some((name, at?))).collect()
    }

    /// Takes the key of a Python transform: what its decorator says and nobody else, and only where rows are merged by it.
    pub(super) fn identify_by(&mut self, key: &[String], at: &Location) {
        let merges = matches!(self.strategy, Some((StrategyName::Merge, _)));
        self.key = (merges && !key.is_empty()).then(|| (key.to_vec(), at.clone()));
    }

    /// Returns what the settings come to; reports those that are missing and those that say nothing here.
    /// Defaults of folders may say more than a node needs; what is said wrongly is reported already.
    pub(super) fn settle(
        &self,
        (materialized, at): (Materialized, Option<&Location>),
        language: Language,
        problems: &mut Problems,
    ) -> Option<Incremental> {
        if self.is_broken {
            return None;
        }
        if materialized != Materialized::Incremental {
            self.refuse(|_| true, "`materialized: incremental`", problems);
            return None;
        }
        let Some((name, at)) = &self.strategy else {
            let message = "`materialized: incremental` needs the key `strategy`";
            let problem = Diagnostic::error(Code::MISSING_KEY, message);
            let problem = at.map_or(problem.clone(), |at| problem.at(at.clone()));
            problems.push(problem.hint("say what new rows replace: `by_interval`, `merge` or `append`"));
            return None;
        };
        let (needed, possible) = name.settings(language);
        let given: Vec<&str> = self.given().into_iter().map(|(name, _)| name).collect();
        for key in needed.iter().filter(|key| !given.contains(key)) {
            let message = format!("`strategy: {}` needs the key `{key}`", name.name());
            let problem = Diagnostic::error(Code::MISSING_KEY, message).at(at.clone());
            problems.push(problem.hint(what_it_says(key, (*name, language))));
        }
        let of_all = ["strategy", "on_definition_change"];
        let others = |key: &str| !needed.contains(&key) && !possible.contains(&key) && !of_all.contains(&key);
        self.refuse(others, "another strategy", problems);
        let strategy = match name {
            StrategyName::ByInterval => Strategy::ByInterval(self.by_interval(problems)?),
            StrategyName::Merge => Strategy::Merge { key: self.key.as_ref()?.0.clone() },
            StrategyName::Append => Strategy::Append,
        };
        let on_definition_change = self.on_definition_change.as_ref().map(|(way, _)| *way).unwrap_or_default();
        let is_by_interval = *name == StrategyName::ByInterval;
        let later_by = self.time_column.as_ref().filter(|_| !is_by_interval && language == Language::Python);
        let later_by = later_by.map(|(column, _)| column.clone());
        if later_by.is_none() && *name == StrategyName::Append && language == Language::Python {
            return None;
        }
        Some(Incremental { strategy, later_by, on_definition_change })
    }

    fn by_interval(&self, problems: &mut Problems) -> Option<ByInterval> {
        let (unit, first) = (self.unit.as_ref()?.0, self.start.as_ref()?.0);
        let (first, end) = (unit.number(first), self.end.as_ref().map(|(end, at)| (unit.number(*end), at)));
        if let Some((end, at)) = end
            && end <= first
        {
            let message = format!("`end` leaves no {} after `start`", unit.name());
            let problem = Diagnostic::error(Code::INVALID_VALUE, message).at(at.clone());
            problems.push(problem.hint("the interval that `end` names is the first that is not computed"));
            return None;
        }
        Some(ByInterval {
            time_column: self.time_column.as_ref()?.0.clone(),
            unit,
            first,
            end: end.map(|(end, _)| end),
            lookback: self.lookback.as_ref().map_or(0, |(count, _)| *count),
            batch_intervals: self.batch_intervals.as_ref().map(|(count, _)| *count),
        })
    }

    /// Reports settings that belong to something else. Folders may have defaults for some of their nodes.
    fn refuse(&self, is_foreign: impl Fn(&str) -> bool, owner: &str, problems: &mut Problems) {
        for (name, at) in self.given().into_iter().filter(|(name, _)| is_foreign(name)) {
            if at.file.path.file_name().is_some_and(|file| file == "windlass.yml") {
                continue;
            }
            let message = format!("`{name}` says nothing here: it belongs to {owner}");
            problems.push(Diagnostic::error(Code::INVALID_VALUE, message).at(at.clone()).hint("remove it"));
        }
    }
}

/// Returns the name here of a setting that other tools call `key`.
pub(crate) fn name_here(key: &str) -> Option<&'static str> {
    OTHER_NAMES.iter().find(|(other, _)| *other == key).map(|(_, here)| *here)
}

fn what_it_says(key: &str, (strategy, language): (StrategyName, Language)) -> &'static str {
    match key {
        "time_column" if strategy == StrategyName::Append => {
            "name the column of the input by which new rows are later than those that were read before"
        }
        "key" if language == Language::Python => {
            "name the columns that tell rows apart in the decorator, such as `key=[\"id\"]`"
        }
        "time_column" => "name the column of the result that says to which interval a row belongs",
        "interval" => "say how long an interval is: `hour`, `day`, `month` or `year`",
        "start" => "say when the first interval starts, such as `start: 2013-01-01`",
        _ => "name the columns that tell rows apart, such as `key: [id]`",
    }
}

fn time(yaml: &Yaml, key: &str, problems: &mut Problems) -> Option<i64> {
    let time = yaml.scalar().and_then(|scalar| parse_time(&scalar.text));
    if time.is_none() {
        problems.push(expected("a time of UTC such as `2013-01-01` or `2013-01-01 06:00`", &format!("`{key}`"), yaml));
    }
    time
}
