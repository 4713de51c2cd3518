//! What a commit says of the intervals of its table, as JSON in its commit info.
//!
//! Runs of intervals stand there by the times at which they start and end, so that any reader
//! understands them.

use serde_json::{Value, json};
use windlass_project::{IntervalUnit, Strategy, parse_time, spell_time};

use super::Spans;

/// Intervals that are done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// All of them.
    pub(crate) done: Spans,
    /// Those that the run of the commit has computed.
    pub(crate) of_run: Spans,
}

impl Ledger {
    /// Returns the ledger with some more intervals of the same run.
    #[must_use]
    pub(crate) fn with(&self, spans: &Spans) -> Self {
        Self { done: self.done.with(spans), of_run: self.of_run.with(spans) }
    }

    /// Returns what a commit says.
    pub(crate) fn to_json(&self, strategy: &Strategy) -> Value {
        let Strategy::ByInterval(by_interval) = strategy else { return json!({"strategy": strategy.name()}) };
        let unit = by_interval.unit;
        let text = |number| spell_time(unit.start_us(number));
        let runs =
            |spans: &Spans| spans.iter().map(|span| json!([text(span.start), text(span.end)])).collect::<Value>();
        json!({
            "strategy": strategy.name(),
            "interval": unit.name(),
            "done": runs(&self.done),
            "run": runs(&self.of_run),
        })
    }

    /// Reads what a commit says; what cannot be read is not done.
    pub(crate) fn from_json(value: &Value, unit: IntervalUnit) -> Self {
        if value["interval"] != unit.name() {
            return Self::default();
        }
        let number = |text: &Value| Some(unit.number(parse_time(text.as_str()?)?));
        let span = |run: &Value| Some(Spans::of(number(&run[0])?..number(&run[1])?));
        let runs = |key: &str| {
            let runs = value[key].as_array().into_iter().flatten().filter_map(span);
            runs.fold(Spans::default(), |all, span| all.with(&span))
        };
        Self { done: runs("done"), of_run: runs("run") }
    }
}

#[cfg(test)]
mod tests {
    use windlass_project::ByInterval;

    use super::*;

    #[test]
    fn a_ledger_survives_its_commit() {
        for (_, unit) in IntervalUnit::ALL {
            let ledger = Ledger::default().with(&Spans::of(40..43)).with(&Spans::of(50..51));
            let by_interval = ByInterval {
                time_column: "t".to_string(),
                unit,
                first: 0,
                end: None,
                lookback: 0,
                batch_intervals: None,
            };
            let json = ledger.to_json(&Strategy::ByInterval(by_interval));
            assert_eq!(Ledger::from_json(&json, unit), ledger, "{json}");
        }
    }

    #[test]
    fn a_ledger_of_other_intervals_says_nothing() {
        let json = json!({"interval": "day", "done": [["2013-01-01T00:00:00Z", "2013-02-01T00:00:00Z"]]});
        assert_eq!(Ledger::from_json(&json, IntervalUnit::Day).done.count(), 31);
        assert_eq!(Ledger::from_json(&json, IntervalUnit::Month), Ledger::default());
        assert_eq!(Ledger::from_json(&json!(null), IntervalUnit::Month), Ledger::default());
    }
}
