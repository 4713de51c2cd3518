//! Reads one unit test, in our short form and in dbt's.

use windlass_error::{Code, Diagnostic};

use super::rows::{self, Fixtures, ROW_KEYS};
use super::{Expected, Given, TestRows, UnitTest};
use crate::assemble::Overrides;
use crate::checks::{Tolerance, Written, one_tolerance, table};
use crate::decode::{Fields, Named, entries, flag, missing_key, text};
use crate::problems::Problems;
use crate::yaml::{Value, Yaml, duplicate};

const KEYS: [&str; 9] =
    ["config", "description", "expect", "given", "model", "overrides", "tolerance", "transform", "vars"];
/// Keys of dbt that change nothing here stand beside `enabled`.
const CONFIG_KEYS: [&str; 3] = ["enabled", "meta", "tags"];

/// A test, and the variables that it wants.
pub(super) struct Draft {
    pub(super) test: UnitTest,
    pub(super) vars: Overrides,
}

/// Decodes a test. `None` where it is turned off, or has problems.
pub(super) fn decode(item: &Named<'_>, fixtures: &Fixtures, problems: &mut Problems) -> Option<Draft> {
    let what = format!("test `{}`", item.name);
    let fields = item.fields(&what, &KEYS, problems)?;
    let Some(node) = fields.value("transform").or_else(|| fields.value("model")) else {
        problems.push(missing_key("transform", &what, &item.at));
        return None;
    };
    let node = table(node, "transform", problems)?;
    // From here on its problems are those of its node.
    let mut own = Problems::of_node(&node.text);
    let decoded = Reader { what: &what, item, fields, fixtures }.decode(node, &mut own);
    let is_broken = own.has_errors();
    problems.absorb(own);
    decoded.filter(|_| !is_broken)
}

struct Reader<'a> {
    what: &'a str,
    item: &'a Named<'a>,
    fields: Fields<'a>,
    fixtures: &'a Fixtures,
}

impl Reader<'_> {
    fn decode(&self, node: Written, problems: &mut Problems) -> Option<Draft> {
        if !self.is_enabled(problems) {
            return None;
        }
        let vars = self.vars(problems);
        let given = self.given(problems);
        let (tolerance, tolerances) = self.tolerance(problems);
        let expected = self.expected(problems)?;
        let expected = Expected { tolerance, tolerances, ..expected };
        let (name, location) = (self.item.name.clone(), self.item.at.clone());
        Some(Draft { test: UnitTest { name, location, node, given, expected, project: 0 }, vars })
    }

    fn is_enabled(&self, problems: &mut Problems) -> bool {
        let config = self.fields.value("config");
        let config = config.and_then(|yaml| Fields::open(yaml, "`config`", &CONFIG_KEYS, problems));
        let enabled = config.and_then(|config| config.value("enabled"));
        enabled.and_then(|value| flag(value, "enabled", problems)).unwrap_or(true)
    }

    /// Returns the variables of `vars`, or of dbt's `overrides`.
    fn vars(&self, problems: &mut Problems) -> Overrides {
        let overrides = self.fields.value("overrides");
        let overrides = overrides.and_then(|yaml| Fields::open(yaml, "`overrides`", &["vars"], problems));
        let theirs = overrides.and_then(|overrides| overrides.value("vars"));
        let ours = self.fields.value("vars");
        let all = [theirs, ours].into_iter().flatten().filter_map(|yaml| entries(yaml, "`vars`", problems));
        all.flatten().map(|entry| (entry.key.clone(), entry.value.clone())).collect()
    }

    /// Returns the tables of `given`: a list of `- input:`, or a map from table to rows.
    fn given(&self, problems: &mut Problems) -> Vec<Given> {
        let Some(yaml) = self.fields.value("given") else { return Vec::new() };
        let mut given: Vec<Given> = Vec::new();
        let found: Vec<Option<Given>> = match &yaml.value {
            Value::List(items) => items.iter().map(|item| self.given_item(item, problems)).collect(),
            _ => {
                let tables = entries(yaml, "`given`", problems).unwrap_or_default();
                let named = tables.iter().map(|entry| {
                    let table = Written { text: entry.key.clone(), location: entry.key_at.clone() };
                    let rows = self.rows(&entry.value, &format!("`{}`", entry.key), problems)?;
                    Some(Given { table, rows })
                });
                named.collect()
            }
        };
        for one in found.into_iter().flatten() {
            match given.iter().find(|known| known.table.text == one.table.text) {
                Some(first) => {
                    let what = format!("input `{}`", one.table.text);
                    problems.push(duplicate(&what, &first.table.location, &one.table.location));
                }
                None => given.push(one),
            }
        }
        given
    }

    fn given_item(&self, yaml: &Yaml, problems: &mut Problems) -> Option<Given> {
        let known: Vec<&str> = ["input"].into_iter().chain(ROW_KEYS).collect();
        let fields = Fields::open(yaml, "an item of `given`", &known, problems)?;
        let Some(input) = fields.value("input") else {
            problems.push(missing_key("input", "an item of `given`", &yaml.at));
            return None;
        };
        let table = table(input, "input", problems)?;
        let rows = rows::decode(fields, ("an item of `given`", &yaml.at), self.fixtures, problems)?;
        Some(Given { table, rows })
    }

    /// Decodes a table: its rows alone, or a map of keys.
    fn rows(&self, yaml: &Yaml, what: &str, problems: &mut Problems) -> Option<TestRows> {
        match &yaml.value {
            Value::Map(_) => {
                let fields = Fields::open(yaml, what, &ROW_KEYS, problems)?;
                rows::decode(fields, (what, &yaml.at), self.fixtures, problems)
            }
            _ => rows::dicts(yaml, problems),
        }
    }

    fn expected(&self, problems: &mut Problems) -> Option<Expected> {
        let nothing = Expected { rows: None, errors: None, failure: None, tolerance: None, tolerances: Vec::new() };
        let Some(yaml) = self.fields.value("expect") else {
            problems.push(missing_key("expect", self.what, &self.item.at));
            return None;
        };
        let Value::Map(_) = &yaml.value else {
            return Some(Expected { rows: Some(rows::dicts(yaml, problems)?), ..nothing });
        };
        let known: Vec<&str> = ROW_KEYS.into_iter().chain(["error", "errors"]).collect();
        let fields = Fields::open(yaml, "`expect`", &known, problems)?;
        let failure = match fields.value("error") {
            Some(value) => Some(Written { text: text(value, "error", problems)?, location: value.at.clone() }),
            None => None,
        };
        let errors = match fields.value("errors") {
            Some(value) => Some(self.rows(value, "`errors`", problems)?),
            None => None,
        };
        let has_rows = ["rows", "fixture"].into_iter().any(|key| fields.value(key).is_some());
        let rows = match has_rows || (failure.is_none() && errors.is_none()) {
            true => Some(rows::decode(fields, ("`expect`", &yaml.at), self.fixtures, problems)?),
            false => None,
        };
        if let (Some(failure), true) = (&failure, rows.is_some() || errors.is_some()) {
            let message = "a transform that fails has no rows: `error` stands alone";
            problems.push(Diagnostic::error(Code::INVALID_VALUE, message).at(failure.location.clone()));
        }
        Some(Expected { rows, errors, failure, ..nothing })
    }

    /// Returns how far floats may be apart: a number or `{abs, rel}` for all, or a map by column.
    fn tolerance(&self, problems: &mut Problems) -> (Option<Tolerance>, Vec<(Written, Tolerance)>) {
        let Some(yaml) = self.fields.value("tolerance") else { return (None, Vec::new()) };
        let is_for_all = match &yaml.value {
            Value::Map(entries) => {
                let is_bound = |value: &Yaml, key: &str| value.scalar().is_some() && ["abs", "rel"].contains(&key);
                entries.iter().all(|entry| is_bound(&entry.value, &entry.key))
            }
            _ => true,
        };
        if is_for_all {
            return (one_tolerance(yaml, problems), Vec::new());
        }
        let columns = entries(yaml, "`tolerance`", problems).unwrap_or_default().iter().filter_map(|entry| {
            let column = Written { text: entry.key.clone(), location: entry.key_at.clone() };
            Some((column, one_tolerance(&entry.value, problems)?))
        });
        (None, columns.collect())
    }
}
