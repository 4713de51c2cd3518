//! Reads checks out of YAML, in our form and in dbt's.
//!
//! A list of names and of maps, or a map by name. The keys of a check stand below its name, beside
//! it, or below `arguments:` and `config:`; all mean the same.

use windlass_error::{Code, Diagnostic, Location, nearest};

use super::arguments::Arguments;
use super::kinds::{KINDS, Kind};
use super::values::{from_one, share, threshold, whole, word, written};
use super::{CheckDefinition, CheckKind, CheckSeverity, Comparison, OnFail, Threshold, Written};
use crate::decode::{Fields, expected, flag, list};
use crate::problems::Problems;
use crate::yaml::{Entry, Value, Yaml, duplicate};

/// Keys under which checks stand.
pub(crate) const CHECK_KEYS: [&str; 3] = ["checks", "tests", "data_tests"];
/// Keys that every check knows.
pub(super) const COMMON: [&str; 15] = [
    "name",
    "description",
    "owner",
    "column",
    "column_name",
    "severity",
    "warn_if",
    "error_if",
    "where",
    "limit",
    "on_fail",
    "max_rate",
    "max_rows",
    "sample_rows",
    "store_failures",
];
/// Keys of dbt that say where it stores what; they change nothing here.
const IGNORED: [&str; 7] = ["enabled", "store_failures_as", "tags", "meta", "alias", "database", "docs"];
const PREFIXES: [&str; 3] = ["dbt_utils.", "dbt_expectations.", "dbt."];
/// Offending rows that are kept as examples unless told otherwise.
pub(super) const SAMPLE_ROWS: usize = 5;

/// A check before its keys are read.
struct Item<'a> {
    kind: String,
    at: Location,
    body: Option<&'a Yaml>,
    beside: Vec<&'a Entry>,
}

/// Decodes the checks that stand under any of [`CHECK_KEYS`]. Names are settled later, by [`settle`].
pub(crate) fn decode_checks(
    fields: Fields<'_>,
    column: Option<&Written>,
    problems: &mut Problems,
) -> Vec<CheckDefinition> {
    let entries = fields.entries().iter().filter(|entry| CHECK_KEYS.contains(&entry.key.as_str()));
    let mut checks = Vec::new();
    for entry in entries.filter(|entry| !entry.value.is_null()) {
        for item in items(entry, problems) {
            checks.extend(decode_item(&item, column, problems));
        }
    }
    checks
}

/// Decodes the checks of the columns under `columns:`.
pub(crate) fn decode_column_checks(fields: Fields<'_>, problems: &mut Problems) -> Vec<CheckDefinition> {
    let Some(columns) = fields.value("columns") else { return Vec::new() };
    // What is wrong with the columns themselves is said where they are decoded.
    let mut said = Problems::default();
    let mut checks = Vec::new();
    for column in crate::decode::named(columns, "`columns`", &mut said) {
        let Some(Value::Map(entries)) = column.body().map(|body| &body.value) else { continue };
        let keys: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
        let Some(fields) = column.fields("", &keys, &mut said) else { continue };
        let name = Written { text: column.name.clone(), location: column.at.clone() };
        checks.extend(decode_checks(fields, Some(&name), problems));
    }
    checks
}

fn items<'a>(entry: &'a Entry, problems: &mut Problems) -> Vec<Item<'a>> {
    let by_name = |entry: &'a Entry| Item {
        kind: entry.key.clone(),
        at: entry.key_at.clone(),
        body: (!entry.value.is_null()).then_some(&entry.value),
        beside: Vec::new(),
    };
    match &entry.value.value {
        Value::Map(entries) => entries.iter().map(by_name).collect(),
        Value::List(items) => items.iter().filter_map(|item| list_item(item, problems)).collect(),
        Value::Scalar(_) => {
            problems.push(expected("a list or a map of checks", &format!("`{}`", entry.key), &entry.value));
            Vec::new()
        }
    }
}

fn list_item<'a>(item: &'a Yaml, problems: &mut Problems) -> Option<Item<'a>> {
    let entries = match &item.value {
        Value::Scalar(scalar) if !scalar.is_null() => {
            return Some(Item { kind: scalar.text.clone(), at: item.at.clone(), body: None, beside: Vec::new() });
        }
        Value::Map(entries) => entries,
        _ => {
            problems.push(expected("the name of a check or a map", "a check", item));
            return None;
        }
    };
    let is_beside = |entry: &&Entry| {
        let key = entry.key.as_str();
        COMMON.contains(&key) || IGNORED.contains(&key) || ["arguments", "config"].contains(&key)
    };
    if let Some(named) = entries.iter().find(|entry| entry.key == "test_name") {
        let kind = crate::decode::text(&named.value, "test_name", problems)?;
        let beside = entries.iter().filter(|entry| entry.key != "test_name").collect();
        return Some(Item { kind, at: named.value.at.clone(), body: None, beside });
    }
    let kinds: Vec<&Entry> = entries.iter().filter(|entry| !is_beside(entry)).collect();
    let [kind] = kinds.as_slice() else {
        let message = match kinds.as_slice() {
            [] => "a check without a kind".to_string(),
            [first, second, ..] => format!("one check has two kinds, `{}` and `{}`", first.key, second.key),
            [_] => unreachable!("one kind is matched above"),
        };
        let at = kinds.get(1).map_or(&item.at, |entry| &entry.key_at);
        let problem = Diagnostic::error(Code::INVALID_VALUE, message).at(at.clone());
        problems.push(problem.hint("write `- not_null`, or `- range: {min: 0}` with its keys below"));
        return None;
    };
    let beside = entries.iter().filter(is_beside).collect();
    let body = (!kind.value.is_null()).then_some(&kind.value);
    Some(Item { kind: kind.key.clone(), at: kind.key_at.clone(), body, beside })
}

fn decode_item(item: &Item<'_>, column: Option<&Written>, problems: &mut Problems) -> Option<CheckDefinition> {
    let name = PREFIXES.iter().find_map(|prefix| item.kind.strip_prefix(prefix)).unwrap_or(&item.kind);
    let Some(kind) = KINDS.iter().find(|kind| kind.names.contains(&name)) else {
        problems.push(unknown_kind(&item.kind, name, &item.at));
        return None;
    };
    let what = format!("check `{}`", item.kind);
    let flat = Yaml { value: Value::Map(flatten(item, kind, &what, problems)?), at: item.at.clone() };
    let known: Vec<&str> = kind.keys.iter().copied().chain(COMMON).chain(IGNORED).collect();
    let fields = Fields::open(&flat, &what, &known, problems)?;
    if fields.value("enabled").and_then(|value| flag(value, "enabled", problems)) == Some(false) {
        return None;
    }
    let named = ["column", "column_name"].iter().find_map(|key| Some((*key, fields.value(key)?)));
    let own = named.and_then(|(key, value)| written(value, key, problems));
    let column = own.as_ref().or(column);
    let kind = (kind.decode)(&mut Arguments { kind: name, at: &item.at, column, fields, problems })?;
    let settings = Common::decode(fields, problems);
    Some(settings.define(kind, column, &item.at))
}

/// Returns all keys of a check in one list; what stands nearer to its name comes first.
fn flatten(item: &Item<'_>, kind: &Kind, what: &str, problems: &mut Problems) -> Option<Vec<Entry>> {
    let mut flat: Vec<Entry> = Vec::new();
    let mut add = |entries: &[Entry]| {
        for entry in entries {
            if !flat.iter().any(|known| known.key == entry.key) {
                flat.push(entry.clone());
            }
        }
    };
    let mut all: Vec<&Entry> = Vec::new();
    match item.body.map(|body| (&body.value, body)) {
        None => {}
        Some((Value::Map(entries), _)) => all.extend(entries),
        Some((Value::Scalar(scalar), _)) if scalar.as_bool() == Some(true) && kind.short.is_none() => {}
        Some((_, body)) => match kind.short {
            Some(short) => {
                add(&[Entry { key: short.to_string(), key_at: item.at.clone(), value: body.clone() }]);
            }
            None => {
                problems.push(expected("a map of keys", what, body));
                return None;
            }
        },
    }
    all.extend(item.beside.iter().copied());
    for entry in all {
        match entry.key.as_str() {
            "arguments" | "config" => {
                let what = format!("`{}` of {what}", entry.key);
                add(crate::decode::entries(&entry.value, &what, problems)?);
            }
            _ => add(std::slice::from_ref(entry)),
        }
    }
    Some(flat)
}

fn unknown_kind(written: &str, name: &str, at: &Location) -> Diagnostic {
    let problem = Diagnostic::error(Code::UNKNOWN_KEY, format!("unknown check `{written}`")).at(at.clone());
    let names = KINDS.iter().flat_map(|kind| kind.names.iter().copied());
    match nearest(name, names) {
        Some(near) => problem.label(format!("did you mean `{near}`?")),
        None => {
            let ours: Vec<&str> = KINDS.iter().map(|kind| kind.names[0]).collect();
            problem.hint(format!("checks: {}", list(&ours)))
        }
    }
}

/// What every check may say.
#[derive(Debug, Default)]
pub(super) struct Common {
    name: Option<String>,
    severity: Option<CheckSeverity>,
    on_fail: Option<OnFail>,
    error_if: Option<Threshold>,
    warn_if: Option<Threshold>,
    tolerance: Option<Threshold>,
    filter: Option<Written>,
    limit: Option<u64>,
    sample_rows: Option<u64>,
    store_failures: bool,
}

impl Common {
    pub(super) fn decode(fields: Fields<'_>, problems: &mut Problems) -> Self {
        let severities = [("error", CheckSeverity::Error), ("warn", CheckSeverity::Warn)];
        let ways = [
            ("error", OnFail::Error),
            ("block", OnFail::Error),
            ("warn", OnFail::Warn),
            ("quarantine", OnFail::Quarantine),
        ];
        let value = |key: &str| fields.value(key);
        let above = |value, is_share| Threshold { comparison: Comparison::Greater, value, upper: None, is_share };
        let rate = value("max_rate").and_then(|found| share(found, "max_rate", problems));
        let rows = value("max_rows").and_then(|found| whole(found, "max_rows", problems));
        if let (Some(_), Some(entry)) = (rate, fields.get("max_rows")) {
            let problem = Diagnostic::error(Code::INVALID_VALUE, "`max_rate` and `max_rows` exclude each other");
            problems.push(problem.at(entry.key_at.clone()));
        }
        let error_if = value("error_if").and_then(|found| threshold(found, "error_if", problems));
        if let (Some(_), Some(key)) = (error_if, ["max_rate", "max_rows"].into_iter().find_map(|key| fields.get(key))) {
            let message = format!("`error_if` and `{}` exclude each other", key.key);
            problems.push(Diagnostic::error(Code::INVALID_VALUE, message).at(key.key_at.clone()));
        }
        Self {
            name: fields.text("name", problems),
            severity: value("severity").and_then(|found| word(found, "severity", &severities, problems)),
            on_fail: value("on_fail").and_then(|found| word(found, "on_fail", &ways, problems)),
            error_if,
            warn_if: value("warn_if").and_then(|found| threshold(found, "warn_if", problems)),
            tolerance: rate.map(|rate| above(rate, true)).or(rows.map(|rows| above(rows as f64, false))),
            filter: value("where").and_then(|found| written(found, "where", problems)),
            limit: value("limit").and_then(|found| from_one(found, "limit", problems)),
            store_failures: value("store_failures").and_then(|found| flag(found, "store_failures", problems))
                == Some(true),
            sample_rows: value("sample_rows").and_then(|found| whole(found, "sample_rows", problems)),
        }
    }

    pub(super) fn define(self, kind: CheckKind, column: Option<&Written>, at: &Location) -> CheckDefinition {
        // Rows that are diverted do no harm, unless the check says how many are too many.
        let is_diverting = self.on_fail == Some(OnFail::Quarantine);
        let harmless = if is_diverting { Threshold::NEVER } else { Threshold::ANY };
        let severity = self.severity.unwrap_or(match self.on_fail {
            Some(OnFail::Warn) => CheckSeverity::Warn,
            _ => CheckSeverity::Error,
        });
        CheckDefinition {
            name: self.name.unwrap_or_default(),
            column: column.map(|column| column.text.clone()),
            kind,
            severity,
            on_fail: self.on_fail.unwrap_or(match severity {
                CheckSeverity::Error => OnFail::Error,
                CheckSeverity::Warn => OnFail::Warn,
            }),
            error_if: self.error_if.or(self.tolerance).unwrap_or(harmless),
            warn_if: self.warn_if.or(self.tolerance.filter(|_| !is_diverting)).unwrap_or(Threshold::ANY),
            filter: self.filter,
            limit: self.limit,
            sample_rows: self.sample_rows.map_or(SAMPLE_ROWS, |rows| rows.min(1000) as usize),
            store_failures: self.store_failures,
            location: at.clone(),
        }
    }
}

/// Gives every check of a node a name of its own; reports names that users gave twice.
pub(crate) fn settle(checks: &mut [CheckDefinition], problems: &mut Problems) {
    let mut taken: Vec<(String, Location)> = Vec::new();
    for check in checks.iter().filter(|check| !check.name.is_empty()) {
        match taken.iter().find(|(name, _)| *name == check.name) {
            Some((name, first)) => problems.push(duplicate(&format!("check `{name}`"), first, &check.location)),
            None => taken.push((check.name.clone(), check.location.clone())),
        }
    }
    for check in checks.iter_mut().filter(|check| check.name.is_empty()) {
        let usual = usual_name(check);
        let is_taken = |name: &str| taken.iter().any(|(known, _)| known == name);
        let mut name = usual.clone();
        let mut number = 2;
        while is_taken(&name) {
            name = format!("{usual}_{number}");
            number += 1;
        }
        taken.push((name.clone(), check.location.clone()));
        check.name = name;
    }
}

fn usual_name(check: &CheckDefinition) -> String {
    let joined = |columns: &[Written]| columns.iter().map(|column| column.text.as_str()).collect::<Vec<_>>().join("_");
    let about = match &check.kind {
        CheckKind::Unique { columns, .. } | CheckKind::RowsPerKey { columns, .. } => joined(columns),
        CheckKind::Relationships { columns, to, .. } => format!("{}_{}", joined(columns), to.text.replace('.', "_")),
        CheckKind::SameRowCount { to, .. } => to.text.replace('.', "_"),
        CheckKind::Reconcile(rule) => rule.to.text.replace('.', "_"),
        CheckKind::Coverage { of, .. } => of.text.replace('.', "_"),
        CheckKind::Pair { left, right, .. } => format!("{}_{}", left.text, right.text),
        _ => check.column.clone().unwrap_or_default(),
    };
    let kind = check.kind.name();
    if about.is_empty() { kind.to_string() } else { format!("{kind}_{about}") }
}
