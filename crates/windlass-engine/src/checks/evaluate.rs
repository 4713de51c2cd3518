//! Holds what was gathered against the bounds.
//!
//! Pure: the time, earlier versions, other tables and answers of queries come in as [`Facts`].
//!
//! Must stay true: every check of the program gets exactly one outcome, and none passes unless its
//! rule was looked at and holds.

use arrow::datatypes::{DataType, Schema, TimeUnit};
use windlass_project::checks::{
    AnomalyMethod, AnomalyRule, Change, CheckDefinition, CheckKind, CheckSeverity, Interval, Statistic, Threshold,
    in_percent,
};

use super::columns::kernel_type;
use super::drift;
use super::facts::{Facts, Figures, NoProfile};
use super::outcome::{CheckOutcome, CheckStatus};
use super::part::{Part, State};
use super::profile::Profile;
use super::program::{Answer, Compiled, MeasureKind};
use super::stats::NotEvaluable;
use super::stats::anomaly::standing;
use super::stats::skew::KeySkew;
use super::text::{age, count, number, percent};

/// Returns the outcome of every check, in the order of their definition.
pub(crate) fn evaluate(part: &Part, schema: &Schema, facts: &Facts) -> Vec<CheckOutcome> {
    part.program().checks.iter().map(|check| Evaluation { check, part, schema, facts }.outcome()).collect()
}

/// Returns the outcome of a rule that `failing` rows break.
pub(crate) fn of_rows(mut outcome: CheckOutcome, definition: &CheckDefinition, failing: u64) -> CheckOutcome {
    let rows = outcome.rows;
    let is_met = |threshold: Threshold| {
        // A share is one of all offending rows, however many are counted.
        let limit = definition.limit.filter(|_| !threshold.is_share);
        threshold.is_met(limit.map_or(failing, |limit| failing.min(limit)), rows)
    };
    outcome.failing = Some(failing);
    outcome.observed = Some(failing as f64);
    let is_error = definition.severity == CheckSeverity::Error && is_met(definition.error_if);
    outcome.status = match (is_error, is_met(definition.warn_if)) {
        (true, _) => CheckStatus::Fail,
        (false, true) => CheckStatus::Warn,
        (false, false) => CheckStatus::Pass,
    };
    let threshold = if definition.severity == CheckSeverity::Error { definition.error_if } else { definition.warn_if };
    let word = if definition.severity == CheckSeverity::Error { "error if" } else { "warn if" };
    outcome.bound = format!("{word} {threshold}");
    let share = if rows == 0 { 0.0 } else { failing as f64 / rows as f64 };
    outcome.detail = format!("{} of {} rows ({})", count(failing), count(rows), percent(share));
    outcome
}

struct Evaluation<'a> {
    check: &'a Compiled,
    part: &'a Part,
    schema: &'a Schema,
    facts: &'a Facts,
}

impl Evaluation<'_> {
    fn outcome(&self) -> CheckOutcome {
        let definition = &self.check.definition;
        let outcome = CheckOutcome::new(definition, self.part.rows);
        let mut outcome = self.answered(outcome);
        if definition.quarantines() && outcome.failing.is_some() {
            outcome.bound = self.quarantine_bound();
        }
        outcome
    }

    fn answered(&self, outcome: CheckOutcome) -> CheckOutcome {
        match &self.check.answer {
            Answer::Known(problems) => of_schema(outcome, problems),
            Answer::Rule(at) if self.facts.is_cut_short => self.so_far(outcome, *at),
            Answer::Rule(at) => self.of_rule(outcome, *at),
            Answer::Query | Answer::Measure(_) if self.facts.is_cut_short => outcome.skipped(),
            Answer::Query => self.of_query(outcome),
            Answer::Measure(at) => self.of_measure(outcome, *at),
        }
    }

    fn of_rule(&self, mut outcome: CheckOutcome, at: usize) -> CheckOutcome {
        let tally = &self.part.tallies[at];
        outcome.rows = tally.rows;
        outcome.examples.clone_from(&tally.examples.batches);
        match &self.check.definition.kind {
            CheckKind::NullRate(_) if tally.rows == 0 => outcome.not_evaluable(NotEvaluable::EmptyCurrent),
            CheckKind::NullRate(bounds) => {
                let rate = tally.failing as f64 / tally.rows as f64;
                outcome.failing = Some(tally.failing);
                let shown = |share: Option<f64>| share.map(in_percent);
                let in_percent = Interval { min: shown(bounds.min), max: shown(bounds.max) };
                outcome.detail =
                    format!("{} of {} rows are NULL ({})", count(tally.failing), count(tally.rows), percent(rate));
                outcome.observed = Some(rate);
                outcome.bound = format!("{in_percent} %");
                outcome.broken_if(!bounds.contains(rate))
            }
            _ => of_rows(outcome, &self.check.definition, tally.failing),
        }
    }

    /// Returns the outcome of a rule before all rows have been looked at: what no later row can mend.
    fn so_far(&self, outcome: CheckOutcome, at: usize) -> CheckOutcome {
        let definition = &self.check.definition;
        let outcome = self.of_rule(outcome, at);
        let is_final = outcome.status == CheckStatus::Fail && definition.error_if.most().is_some();
        if is_final || definition.quarantines() { outcome } else { outcome.skipped() }
    }

    /// Returns what becomes of rows that break a rule, and how many are too many.
    fn quarantine_bound(&self) -> String {
        let diverts = match self.check.answer {
            Answer::Rule(at) => self.part.program().rules[at].diverts,
            _ => false,
        };
        let what = if diverts { "quarantined" } else { "to be quarantined" };
        let threshold = self.check.definition.error_if;
        if threshold == Threshold::NEVER { what.to_string() } else { format!("{what}, error if {threshold}") }
    }

    fn of_query(&self, mut outcome: CheckOutcome) -> CheckOutcome {
        let definition = &self.check.definition;
        match self.facts.queried.get(&definition.name) {
            None => outcome.failed("its query was not run".to_string()),
            Some(Err(unanswered)) => {
                if let Some(at) = &unanswered.at {
                    outcome.location = at.clone();
                }
                outcome.failed(unanswered.why.clone())
            }
            Some(Ok(answer)) => {
                outcome.rows = answer.rows.unwrap_or(outcome.rows);
                outcome.examples.clone_from(&answer.examples);
                outcome.figures.clone_from(&answer.figures);
                let mut outcome = of_rows(outcome, definition, answer.failing);
                if let Some(detail) = &answer.detail {
                    outcome.detail.clone_from(detail);
                }
                outcome
            }
        }
    }

    fn of_measure(&self, outcome: CheckOutcome, at: usize) -> CheckOutcome {
        let state = &self.part.states[at];
        let definition = &self.check.definition;
        match (&definition.kind, state) {
            (CheckKind::RowCount(bounds), State::Rows(rows)) => figure(outcome, *rows as f64, *bounds, "rows"),
            (CheckKind::RowCountChange(change), State::Rows(rows)) => {
                let previous = self.facts.previous_rows.map(|rows| rows as f64);
                changed(outcome, *rows as f64, previous, *change)
            }
            (CheckKind::SameRowCount { to, tolerance }, State::Rows(rows)) => {
                self.of_same_rows(outcome, *rows, &to.text, *tolerance)
            }
            (CheckKind::Coverage { of, min }, State::Rows(rows)) => self.of_coverage(outcome, *rows, &of.text, *min),
            (CheckKind::Freshness { max_age, warn_after, .. }, State::Newest(newest)) => {
                let warn = warn_after.map(|age| age.as_secs_f64());
                self.of_freshness(outcome, *newest, at, (warn, max_age.map(|age| age.as_secs_f64())))
            }
            (CheckKind::Statistic { .. }, state) => self.of_statistic(outcome, state),
            (CheckKind::Anomaly(rule), state) => self.of_anomaly(outcome, rule, state),
            (CheckKind::Drift(_), state) => self.of_drift(outcome, state),
            (CheckKind::Unique { .. }, State::Unique(set)) => match set.finish() {
                None => self.of_query(outcome),
                Some(found) => {
                    let mut outcome = CheckOutcome { rows: found.rows, ..outcome };
                    outcome.figures.push(("duplicated_keys", found.keys as f64));
                    if let Some(Ok(answer)) = self.facts.queried.get(&definition.name) {
                        outcome.examples.clone_from(&answer.examples);
                    }
                    of_rows(outcome, definition, found.failing)
                }
            },
            // The other table was asked about the keys that were counted, or all rows were.
            (CheckKind::Relationships { .. }, _) => self.of_query(outcome),
            (CheckKind::RowsPerKey { max_over_mean, mean, max_rows, .. }, State::KeyCounts(counts)) => {
                of_keys(outcome, counts.finish(), (*max_over_mean, *mean, *max_rows))
            }
            (CheckKind::Monotonic { .. }, State::Order(order, examples)) => {
                let outcome = CheckOutcome { rows: order.rows, examples: examples.batches.clone(), ..outcome };
                of_rows(outcome, definition, order.failing)
            }
            _ => outcome.failed("the check does not fit what was gathered for it".to_string()),
        }
    }

    fn of_same_rows(&self, mut outcome: CheckOutcome, rows: u64, to: &str, tolerance: f64) -> CheckOutcome {
        let Some(&other) = self.facts.other_rows.get(to) else {
            return outcome.not_evaluable(NotEvaluable::NoBaseline);
        };
        outcome.observed = Some(rows as f64);
        outcome.bound = format!("{} as in `{to}`", count(other));
        outcome.detail = format!("{} rows, `{to}` has {}", count(rows), count(other));
        let difference = rows.abs_diff(other) as f64;
        // A share by division, which is rounded once. Of no rows nothing is a share.
        outcome.broken_if(difference > 0.0 && difference / other as f64 > tolerance)
    }

    fn of_coverage(&self, mut outcome: CheckOutcome, rows: u64, of: &str, min: f64) -> CheckOutcome {
        match self.facts.other_rows.get(of) {
            None => outcome.not_evaluable(NotEvaluable::NoBaseline),
            Some(0) => outcome.not_evaluable(NotEvaluable::EmptyReference),
            Some(&all) => {
                let share = rows as f64 / all as f64;
                outcome.observed = Some(share);
                outcome.bound = format!("at least {}", percent(min));
                outcome.detail = format!("{} of {} rows of `{of}` ({})", count(rows), count(all), percent(share));
                outcome.broken_if(share < min)
            }
        }
    }

    fn of_freshness(
        &self,
        mut outcome: CheckOutcome,
        newest: Option<i64>,
        at: usize,
        (warn, error): (Option<f64>, Option<f64>),
    ) -> CheckOutcome {
        let MeasureKind::Newest { column } = self.part.program().measures[at].kind else {
            return outcome.failed("the check does not fit what was gathered for it".to_string());
        };
        let Some(newest) = newest else { return outcome.not_evaluable(NotEvaluable::EmptyCurrent) };
        let seconds = (self.facts.now_us as f64 - microseconds(newest, self.schema.field(column).data_type())) / 1e6;
        outcome.observed = Some(seconds);
        outcome.bound = match (warn, error) {
            (_, Some(error)) => format!("at most {}", age(error)),
            (Some(warn), None) => format!("at most {}", age(warn)),
            (None, None) => String::new(),
        };
        outcome.detail = format!("the newest row is {} old", age(seconds));
        let is_older = |limit: f64| seconds > limit;
        graded(outcome, is_older, warn, error)
    }

    fn of_statistic(&self, outcome: CheckOutcome, state: &State) -> CheckOutcome {
        let CheckKind::Statistic { statistic, bounds, written, change } = &self.check.definition.kind else {
            return outcome;
        };
        let (statistic, bounds, change) = (*statistic, *bounds, *change);
        let (found, figures) = match self.statistic(statistic, state) {
            Ok(found) => found,
            Err(reason) => return outcome.not_evaluable(reason),
        };
        let mut outcome = figure(outcome, found, bounds, statistic.name());
        if let State::Numbers(numbers) = state
            && let Some(is_within) = numbers.is_within(statistic, written)
        {
            outcome = outcome.broken_if(!is_within);
        }
        outcome.figures.extend(figures);
        match (outcome.status, change) {
            (CheckStatus::Pass, Some(change)) => {
                let previous =
                    self.facts.history.get(&self.check.definition.name).and_then(|known| known.last()).copied();
                changed(outcome, found, previous, change)
            }
            _ => outcome,
        }
    }

    /// Returns a figure, with what is worth knowing about it.
    fn statistic(&self, statistic: Statistic, state: &State) -> Result<(f64, Figures), NotEvaluable> {
        match (statistic, state) {
            (Statistic::DistinctCount, State::Distinct(distinct)) => {
                let (found, is_exact) = distinct.count();
                Ok((found, vec![("is_exact", f64::from(u8::from(is_exact)))]))
            }
            (Statistic::Quantile(at), State::Numbers(numbers)) => {
                let (min, max) = numbers.bounds()?;
                let is_exact = numbers.distribution.is_exact();
                let floats = numbers.distribution.points().into_floats();
                let found = floats.quantile(at).ok_or(NotEvaluable::EmptyCurrent)?;
                let found = if at <= 0.0 {
                    min
                } else if at >= 1.0 {
                    max
                } else {
                    found
                };
                Ok((found, vec![("is_exact", f64::from(u8::from(is_exact)))]))
            }
            (statistic, State::Numbers(numbers)) => {
                let found = match statistic {
                    Statistic::Mean => numbers.mean()?,
                    Statistic::Sum => numbers.sum()?,
                    Statistic::Deviation => numbers.deviation()?,
                    Statistic::Min => numbers.bounds()?.0,
                    _ => numbers.bounds()?.1,
                };
                Ok((found, vec![("missing", numbers.missing as f64)]))
            }
            (_, State::Rows(rows)) => Ok((*rows as f64, Vec::new())),
            _ => Err(NotEvaluable::ShapesDiffer),
        }
    }

    fn of_anomaly(&self, mut outcome: CheckOutcome, rule: &AnomalyRule, state: &State) -> CheckOutcome {
        let found = match (rule.statistic, state) {
            (Some(statistic), state) => self.statistic(statistic, state).map(|(found, _)| found),
            (None, State::Rows(rows)) => Ok(*rows as f64),
            (None, _) => Err(NotEvaluable::ShapesDiffer),
        };
        let found = match found {
            Ok(found) => found,
            Err(reason) => return outcome.not_evaluable(reason),
        };
        // Kept also where it cannot be judged yet: this is what later runs compare with.
        outcome.observed = Some(found);
        let history = self.facts.history.get(&self.check.definition.name).map_or(&[][..], Vec::as_slice);
        let history = &history[history.len().saturating_sub(rule.window)..];
        if history.len() < rule.min_runs.max(2) {
            return outcome.not_evaluable(NotEvaluable::ShortHistory);
        }
        let standing = match standing(history, found) {
            Ok(standing) => standing,
            Err(reason) => return outcome.not_evaluable(reason),
        };
        let score = match rule.method {
            AnomalyMethod::Mad => standing.robust_z,
            AnomalyMethod::ZScore => standing.z_score,
            AnomalyMethod::Iqr => None,
        };
        let is_far = match rule.method {
            AnomalyMethod::Iqr => found < standing.iqr_low || found > standing.iqr_high,
            _ => score.is_some_and(|score| score.abs() > rule.sensitivity),
        };
        outcome.figures.extend(score.map(|score| ("score", score)));
        outcome.bound = match rule.method {
            AnomalyMethod::Iqr => format!("{} to {}", number(standing.iqr_low), number(standing.iqr_high)),
            _ => format!("within {} deviations of {} runs", number(rule.sensitivity), history.len()),
        };
        outcome.detail = match score {
            Some(score) if score.is_infinite() => format!("{} after a history that never moved", number(found)),
            Some(score) => format!("{} is {} deviations away", number(found), number(score)),
            None => number(found),
        };
        outcome.broken_if(is_far)
    }

    fn of_drift(&self, mut outcome: CheckOutcome, state: &State) -> CheckOutcome {
        let CheckKind::Drift(rule) = &self.check.definition.kind else { return outcome };
        let reference = match self.facts.baselines.get(&self.check.definition.name) {
            None => None,
            Some(Ok(reference)) => Some(reference),
            Some(Err(NoProfile::Reason(reason))) => return outcome.not_evaluable(*reason),
            Some(Err(NoProfile::Unreadable(why))) => return outcome.failed(why.clone()),
        };
        let compared = Profile::of(state).and_then(|current| {
            // What is known of the data comes first: an empty column is that with any baseline.
            if drift::values_of(&current) + current.missing == 0 {
                return Err(NotEvaluable::EmptyCurrent);
            }
            let reference = reference.ok_or(NotEvaluable::NoBaseline)?;
            Ok((drift::compare(rule, reference, &current)?, drift::method(rule, reference)))
        });
        let (found, method) = match compared {
            Ok(found) => found,
            Err(reason) => return outcome.not_evaluable(reason),
        };
        let (warn, error) = drift::limits(rule, method);
        outcome.observed = Some(found.distance);
        outcome.figures = found.figures;
        outcome.bound = match (warn, error) {
            (_, Some(error)) => format!("below {}", number(error)),
            (Some(warn), None) => format!("below {}", number(warn)),
            (None, None) => String::new(),
        };
        outcome.detail = format!("{} {}", found.method, number(found.distance));
        if let Some(p_value) = found.p_value {
            outcome.detail.push_str(&format!(", p {}", number(p_value)));
        }
        let categories = [("new", &found.new, rule.forbids_new), ("gone", &found.missing, rule.forbids_missing)];
        let mut is_wrong = rule.p_value.zip(found.p_value).is_some_and(|(limit, found)| found < limit);
        for (word, names, is_forbidden) in categories {
            if let Some(first) = names.first() {
                outcome.detail.push_str(&format!(", {} {word} categories such as `{first}`", names.len()));
                is_wrong |= is_forbidden;
            }
        }
        let graded = graded(outcome, |limit| found.distance >= limit, warn, error);
        if is_wrong { graded.broken_if(true) } else { graded }
    }
}

fn of_schema(mut outcome: CheckOutcome, problems: &[String]) -> CheckOutcome {
    outcome.failing = None;
    outcome.detail = match problems {
        [] => "columns are as declared".to_string(),
        problems => problems.join("; "),
    };
    outcome.observed = Some(problems.len() as f64);
    outcome.broken_if(!problems.is_empty())
}

fn figure(mut outcome: CheckOutcome, found: f64, bounds: Interval, what: &str) -> CheckOutcome {
    outcome.observed = Some(found);
    outcome.bound = bounds.to_string();
    outcome.detail = format!("{what} {}", number(found));
    outcome.broken_if(!bounds.contains(found))
}

fn changed(mut outcome: CheckOutcome, found: f64, previous: Option<f64>, change: Change) -> CheckOutcome {
    outcome.observed = Some(found);
    let Some(previous) = previous else { return outcome.not_evaluable(NotEvaluable::NoBaseline) };
    if previous == 0.0 {
        return outcome.not_evaluable(NotEvaluable::EmptyReference);
    }
    let moved = (found - previous) / previous.abs();
    let is_far = change.max_drop.is_some_and(|drop| moved < -drop) || change.max_rise.is_some_and(|rise| moved > rise);
    let sides = [
        change.max_drop.map(|drop| format!("-{}", percent(drop))),
        change.max_rise.map(|rise| format!("+{}", percent(rise))),
    ];
    outcome.bound = sides.into_iter().flatten().collect::<Vec<_>>().join(" to ");
    outcome.figures.push(("change", moved));
    outcome.detail = format!(
        "{} after {} ({}{})",
        number(found),
        number(previous),
        if moved < 0.0 { "" } else { "+" },
        percent(moved)
    );
    outcome.broken_if(is_far)
}

/// Sets the status of a figure that has a bound for a warning and one for an error.
fn graded(outcome: CheckOutcome, exceeds: impl Fn(f64) -> bool, warn: Option<f64>, error: Option<f64>) -> CheckOutcome {
    let exceeds = |limit: Option<f64>| limit.is_some_and(&exceeds);
    let status = match (exceeds(error), exceeds(warn), outcome.severity) {
        (true, _, CheckSeverity::Error) => CheckStatus::Fail,
        (true, _, CheckSeverity::Warn) | (false, true, _) => CheckStatus::Warn,
        (false, false, _) => CheckStatus::Pass,
    };
    CheckOutcome { status, ..outcome }
}

fn of_keys(
    mut outcome: CheckOutcome,
    (keys, rows, largest, name): (u64, u64, u64, Option<String>),
    (max_over_mean, mean, max_rows): (Option<f64>, Interval, Option<f64>),
) -> CheckOutcome {
    let skew = match KeySkew::new(keys, rows, largest) {
        Ok(skew) => skew,
        Err(reason) => return outcome.not_evaluable(reason),
    };
    outcome.observed = Some(skew.ratio());
    outcome.figures = vec![
        ("keys", keys as f64),
        ("rows", rows as f64),
        ("mean_rows", skew.mean),
        ("max_rows", largest as f64),
        ("null_keys", (outcome.rows.saturating_sub(rows)) as f64),
    ];
    let mut bounds = Vec::new();
    bounds.extend(max_over_mean.map(|ratio| format!("at most {} times the mean", number(ratio))));
    bounds.extend(max_rows.map(|rows| format!("at most {} rows", number(rows))));
    bounds.extend((mean != Interval::default()).then(|| format!("mean {mean}")));
    outcome.bound = bounds.join(", ");
    let named = name.map(|name| format!(" `{name}`")).unwrap_or_default();
    outcome.detail = format!(
        "{} keys, {} rows on average, largest{named} has {} ({} times the mean)",
        count(keys),
        number(skew.mean),
        count(largest),
        number(skew.ratio())
    );
    let is_broken = max_over_mean.is_some_and(|limit| skew.ratio() > limit)
        || max_rows.is_some_and(|limit| largest as f64 > limit)
        || !mean.contains(skew.mean);
    outcome.broken_if(is_broken)
}

/// Returns a date or timestamp in microseconds.
fn microseconds(value: i64, data_type: &DataType) -> f64 {
    let factor = match kernel_type(data_type) {
        DataType::Date32 => 86_400e6,
        DataType::Timestamp(TimeUnit::Millisecond, _) => 1e3,
        DataType::Timestamp(TimeUnit::Second, _) => 1e6,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => 1e-3,
        _ => 1.0,
    };
    value as f64 * factor
}
