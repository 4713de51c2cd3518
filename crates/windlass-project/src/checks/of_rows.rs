//! Reads the rules on rows and keys.

use windlass_error::{Code, Diagnostic};

use super::arguments::{Arguments, TransposeAll};
use super::values::{all_written, bound, lacks, share, table, whole, word, written};
use super::{CheckKind, Comparison, Interval, KeptDuplicate, Written};
use crate::decode::expected;

pub(super) fn null_rate(found: &mut Arguments<'_>) -> Option<CheckKind> {
    found.own_column()?;
    let mut of = |key: &'static str| found.fields.value(key).and_then(|yaml| share(yaml, key, found.problems));
    // dbt_utils bounds the share that is not null.
    let (min, max) = match found.kind.ends_with("proportion") {
        true => (of("at_most").map(rest), of("at_least").map(rest)),
        false => (of("min"), of("max")),
    };
    if (min, max) == (None, None) {
        if ["min", "max", "at_least", "at_most"].into_iter().all(|key| found.value(&[key]).is_none()) {
            found.problems.push(lacks(found.kind, "the key `max`", found.at));
        }
        return None;
    }
    Some(CheckKind::NullRate(found.checked(Interval { min, max })))
}

/// Returns what a share leaves, without the bit that a subtraction may add: of 0.9 that is 0.1.
fn rest(share: f64) -> f64 {
    const DIGITS: f64 = 1e15;
    ((1.0 - share) * DIGITS).round() / DIGITS
}

pub(super) fn unique(found: &mut Arguments<'_>) -> Option<CheckKind> {
    let columns = match found.value(&["columns", "combination_of_columns", "column_list"]) {
        Some((key, yaml)) => all_written(yaml, key, found.problems)?,
        None => vec![found.own_column()?],
    };
    let keep = match found.value(&["keep"]) {
        Some((key, yaml)) => word(yaml, key, &[("none", false), ("first", true)], found.problems)?,
        None => false,
    };
    let order = found.value(&["order_by"]).map(|(key, yaml)| written(yaml, key, found.problems)).transpose_all()?;
    match (keep, order) {
        (false, None) => Some(CheckKind::Unique { columns, keep: KeptDuplicate::None }),
        (true, Some(order)) => {
            let keep = first(order, &columns, found)?;
            Some(CheckKind::Unique { columns, keep })
        }
        (true, None) => {
            found.problems.push(lacks(found.kind, "the key `order_by`, which says what row is the first", found.at));
            None
        }
        (false, Some(_)) => {
            found.problems.push(lacks(found.kind, "`keep: first` for `order_by`", found.at));
            None
        }
    }
}

/// Returns what makes a row the first of its key: `day`, `day asc` or `day desc`.
fn first(mut order: Written, key: &[Written], found: &mut Arguments<'_>) -> Option<KeptDuplicate> {
    let words: Vec<String> = order.text.split_whitespace().map(str::to_owned).collect();
    let is_descending = match words.iter().map(String::as_str).collect::<Vec<&str>>().as_slice() {
        [_] | [_, "asc"] => false,
        [_, "desc"] => true,
        _ => {
            found.problems.push(lacks(found.kind, "one column for `order_by`: `day` or `day desc`", &order.location));
            return None;
        }
    };
    order.text.clone_from(&words[0]);
    if key.iter().any(|column| column.text == order.text) {
        let message = format!("`order_by` names `{}`, in which the rows of a key do not differ", order.text);
        found.problems.push(Diagnostic::error(Code::INVALID_VALUE, message).at(order.location));
        return None;
    }
    Some(KeptDuplicate::First { by: order, is_descending })
}

pub(super) fn values(found: &mut Arguments<'_>, are_accepted: bool) -> Option<CheckKind> {
    found.own_column()?;
    let (key, yaml) = found.needed(&["values", "value_set"])?;
    Some(CheckKind::Values { values: all_written(yaml, key, found.problems)?, are_accepted })
}

pub(super) fn range(found: &mut Arguments<'_>) -> Option<CheckKind> {
    found.own_column()?;
    let is_strict = found.flag("strictly").unwrap_or(false);
    let is_inclusive = found.flag("inclusive").unwrap_or(!is_strict);
    let mut of =
        |keys: &[&'static str]| found.value(keys).map(|(key, yaml)| bound(yaml, key, is_inclusive, found.problems));
    let (min, max) = (of(&["min", "min_value"]), of(&["max", "max_value"]));
    if min.is_none() && max.is_none() {
        found.problems.push(lacks(found.kind, "`min` or `max`", found.at));
    }
    Some(CheckKind::Range { min: min.transpose_all()?, max: max.transpose_all()? })
}

pub(super) fn length(found: &mut Arguments<'_>) -> Option<CheckKind> {
    found.own_column()?;
    let mut of = |keys: &[&'static str]| found.value(keys).map(|(key, yaml)| whole(yaml, key, found.problems));
    let exact = of(&["equals", "value"]).transpose_all()?;
    let (min, max) = (of(&["min", "min_value"]).transpose_all()?, of(&["max", "max_value"]).transpose_all()?);
    let (min, max) = (min.or(exact), max.or(exact));
    if (min, max) == (None, None) {
        found.problems.push(lacks(found.kind, "`min`, `max` or `equals`", found.at));
        return None;
    }
    let bound = |length: Option<u64>| length.map(|length| length as f64);
    found.checked(Interval { min: bound(min), max: bound(max) });
    Some(CheckKind::Length { min, max })
}

pub(super) fn regex(found: &mut Arguments<'_>, must_match: bool) -> Option<CheckKind> {
    found.own_column()?;
    let (key, yaml) = found.needed(&["pattern", "regex"])?;
    Some(CheckKind::Regex { pattern: written(yaml, key, found.problems)?, must_match })
}

pub(super) fn monotonic(found: &mut Arguments<'_>) -> Option<CheckKind> {
    found.own_column()?;
    let words = [("increasing", false), ("asc", false), ("decreasing", true), ("desc", true)];
    let descending = match found.fields.value("direction") {
        Some(yaml) => word(yaml, "direction", &words, found.problems)?,
        None => false,
    };
    let strict = found.flag("strict").unwrap_or(false);
    let order_by = found.fields.value("order_by").map(|yaml| written(yaml, "order_by", found.problems));
    Some(CheckKind::Monotonic { descending, strict, order_by: order_by.transpose_all()? })
}

pub(super) fn pair(found: &mut Arguments<'_>) -> Option<CheckKind> {
    let left = match found.value(&["left"]) {
        Some((key, yaml)) => written(yaml, key, found.problems)?,
        None => found.own_column()?,
    };
    let (key, yaml) = found.needed(&["right", "other"])?;
    let right = written(yaml, key, found.problems)?;
    let (key, yaml) = found.needed(&["operator"])?;
    let operator = written(yaml, key, found.problems)?;
    let Some(comparison) = Comparison::of_symbol(operator.text.trim()) else {
        found.problems.push(expected("one of `=`, `<>`, `<`, `<=`, `>`, `>=`", "`operator`", yaml));
        return None;
    };
    Some(CheckKind::Pair { left, comparison, right })
}

pub(super) fn expression(found: &mut Arguments<'_>) -> Option<CheckKind> {
    let (key, yaml) = found.needed(&["expression", "sql"])?;
    let mut sql = written(yaml, key, found.problems)?;
    // Below a column dbt_utils puts the column's name before the condition: `expression: ">= 0"`.
    if let Some(column) = found.column
        && sql.text.trim_start().starts_with(['<', '>', '=', '!'])
    {
        sql.text = format!("\"{}\" {}", column.text.replace('"', "\"\""), sql.text);
    }
    Some(CheckKind::Expression { sql })
}

pub(super) fn relationships(found: &mut Arguments<'_>) -> Option<CheckKind> {
    let columns = match found.value(&["columns"]) {
        Some((key, yaml)) => all_written(yaml, key, found.problems)?,
        None => vec![found.own_column()?],
    };
    let (key, yaml) = found.needed(&["to"])?;
    let to = table(yaml, key, found.problems)?;
    let fields = match found.value(&["field", "fields"]) {
        Some((key, yaml)) => all_written(yaml, key, found.problems)?,
        None => columns.clone(),
    };
    if fields.len() != columns.len() {
        found.problems.push(lacks(found.kind, "as many `fields` as columns", found.at));
        return None;
    }
    Some(CheckKind::Relationships { columns, to, fields })
}
