//! The settings of nodes, and which of several values wins.
//!
//! A [`Patch`] is what one place says: a folder of `windlass.yml`, a properties file, or `config()`
//! in the file itself. Patches are applied from far to near and the nearest value wins; tags add up,
//! as in dbt.

mod incremental;

use indexmap::IndexMap;
use windlass_error::{Code, Diagnostic, Location, nearest};

use crate::checks::{share, word};
use crate::decode::{count, delimiter, expected, text, texts, unknown_key};
use crate::problems::Problems;
use crate::yaml::{Entry, Yaml, duplicate};
use crate::{ErrorLimit, Materialized, NodeConfig, OnError, OnUpstreamFailure, OnVolatile, SortKey};
pub(crate) use incremental::name_here;
use incremental::{IncrementalPatch, Language};

const DEFAULT_RETRIES: u32 = 2;

/// Which settings a node may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    Source,
    Seed,
    Transform,
    /// A transform written in Python.
    Python,
    Model,
}

impl Subject {
    /// Returns the names of its settings.
    pub(crate) fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Source => &["description", "owner", "tags"],
            Self::Model => &["description", "on_upstream_failure", "owner", "retries", "tags"],
            Self::Seed => &[
                "delimiter",
                "description",
                "max_error_rate",
                "max_errors",
                "owner",
                "partition_by",
                "retries",
                "sort_by",
                "tags",
            ],
            Self::Transform => &[
                "batch_intervals",
                "description",
                "end",
                "interval",
                "key",
                "lookback",
                "materialized",
                "max_error_rate",
                "max_errors",
                "on_definition_change",
                "on_error",
                "on_upstream_failure",
                "on_volatile",
                "owner",
                "partition_by",
                "retries",
                "sort_by",
                "start",
                "strategy",
                "tags",
                "time_column",
            ],
            // `key` is an argument of the decorator, which says more with it.
            Self::Python => &[
                "batch_intervals",
                "description",
                "end",
                "interval",
                "lookback",
                "materialized",
                "max_error_rate",
                "max_errors",
                "on_definition_change",
                "on_upstream_failure",
                "on_volatile",
                "owner",
                "partition_by",
                "retries",
                "sort_by",
                "start",
                "strategy",
                "tags",
                "time_column",
            ],
        }
    }

    /// Returns the folder of such nodes, which is also their key in YAML.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Source => "sources",
            Self::Seed => "seeds",
            Self::Transform | Self::Python => "transforms",
            Self::Model => "models",
        }
    }
}

/// The settings of one place, each with where it stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Patch {
    materialized: Option<(Materialized, Location)>,
    partition_by: Option<(Vec<String>, Location)>,
    sort_by: Option<(Vec<SortKey>, Location)>,
    tags: Option<(Vec<String>, Location)>,
    owner: Option<(String, Location)>,
    description: Option<(String, Location)>,
    retries: Option<(u32, Location)>,
    error_limit: Option<(ErrorLimit, Location)>,
    on_upstream_failure: Option<(OnUpstreamFailure, Location)>,
    on_error: Option<(OnError, Location)>,
    on_volatile: Option<(OnVolatile, Location)>,
    delimiter: Option<(u8, Location)>,
    incremental: IncrementalPatch,
}

impl Patch {
    /// Decodes `value` into the setting `key`; refuses keys that `subject` does not have.
    pub(crate) fn set(&mut self, subject: Subject, key: &str, entry: &Entry, problems: &mut Problems) {
        let value = &entry.value;
        if !subject.settings().contains(&key) {
            problems.push(unknown_setting(subject, key, &entry.key_at));
            return;
        }
        // YAML takes `null` without quotes for nothing, and here it is a word.
        let is_word = key == "on_error" && value.scalar().is_some_and(|scalar| scalar.text == "null");
        if value.is_null() && !is_word {
            return;
        }
        let at = || value.at.clone();
        match key {
            "materialized" => self.materialized = materialized(subject, value, problems).map(|kept| (kept, at())),
            "partition_by" => self.partition_by = columns(value, key, problems).map(|names| (names, at())),
            "sort_by" => self.sort_by = sort_by(value, problems).map(|keys| (keys, at())),
            "tags" => self.tags = texts(value, key, problems).map(|tags| (tags, at())),
            "owner" => self.owner = text(value, key, problems).map(|owner| (owner, at())),
            "description" => self.description = text(value, key, problems).map(|text| (text, at())),
            "retries" => self.retries = count(value, key, problems).map(|retries| (retries, at())),
            "max_error_rate" => {
                let limit = share(value, key, problems).map(ErrorLimit::Rate);
                self.limit_errors(limit, at(), problems);
            }
            "max_errors" => {
                let limit = count(value, key, problems).map(|rows| ErrorLimit::Rows(u64::from(rows)));
                self.limit_errors(limit, at(), problems);
            }
            "on_upstream_failure" => {
                let ways = [("skip", OnUpstreamFailure::Skip), ("use_last_good", OnUpstreamFailure::UseLastGood)];
                self.on_upstream_failure = word(value, key, &ways, problems).map(|way| (way, at()));
            }
            "on_error" => {
                let ways = [("quarantine", OnError::Quarantine), ("fail", OnError::Fail), ("null", OnError::Null)];
                self.on_error = word(value, key, &ways, problems).map(|way| (way, at()));
            }
            "on_volatile" => {
                let ways = [("rebuild", OnVolatile::Rebuild), ("keep", OnVolatile::Keep)];
                self.on_volatile = word(value, key, &ways, problems).map(|way| (way, at()));
            }
            "delimiter" => self.delimiter = delimiter(value, problems).map(|byte| (byte, at())),
            key if incremental::SETTINGS.contains(&key) => self.incremental.set(key, value, problems),
            _ => {}
        }
    }

    /// Takes how many rows may fail; one place says it once.
    pub(crate) fn limit_errors(&mut self, limit: Option<ErrorLimit>, at: Location, problems: &mut Problems) {
        let Some(limit) = limit else { return };
        if let Some((_, first)) = self.error_limit.replace((limit, at.clone())) {
            let message = "`max_errors` and `max_error_rate` are two answers to one question";
            let problem = Diagnostic::error(Code::INVALID_VALUE, message).at(at);
            problems.push(problem.related(first, "also here").hint("keep one of them"));
        }
    }

    /// Leaves out what describes one thing and no other.
    pub(crate) fn without_description(self) -> Self {
        Self { description: None, ..self }
    }

    /// Decodes the settings among `entries`, from both `config:` and the keys beside it.
    pub(crate) fn of_properties(subject: Subject, entries: &[Entry], problems: &mut Problems) -> Self {
        let mut patch = Self::default();
        let mut seen: Vec<&Entry> = Vec::new();
        let config = entries.iter().find(|entry| entry.key == "config");
        let below = match config.map(|entry| crate::decode::entries(&entry.value, "`config`", problems)) {
            Some(Some(entries)) => entries,
            _ => &[],
        };
        for entry in below {
            seen.push(entry);
            patch.set(subject, entry.key.trim_start_matches('+'), entry, problems);
        }
        let is_setting = |key: &str| subject.settings().contains(&key) || (subject == Subject::Python && key == "key");
        for entry in entries.iter().filter(|entry| is_setting(&entry.key)) {
            match seen.iter().find(|known| known.key == entry.key) {
                Some(first) => {
                    problems.push(duplicate(&format!("setting `{}`", entry.key), &first.key_at, &entry.key_at));
                }
                None => patch.set(subject, &entry.key, entry, problems),
            }
        }
        patch
    }
}

/// The settings of a node, with those that only seeds have.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) config: NodeConfig,
    pub(crate) delimiter: u8,
    /// What becomes of rows that a model of a SQL transform cannot score.
    pub(crate) on_error: OnError,
    incremental: IncrementalPatch,
    materialized_at: Option<Location>,
}

impl Settings {
    /// Applies patches from far to near.
    pub(crate) fn resolve<'a>(patches: impl IntoIterator<Item = &'a Patch>) -> Self {
        let config = NodeConfig { retries: DEFAULT_RETRIES, ..NodeConfig::default() };
        let (incremental, materialized_at) = (IncrementalPatch::default(), None);
        let on_error = OnError::Quarantine;
        let mut settings = Self { config, delimiter: b',', on_error, incremental, materialized_at };
        for patch in patches {
            settings.apply(patch);
        }
        settings
    }

    /// Says how the table of a Python transform is computed. What a folder says about views is left out: Python
    /// transforms are tables. `key` is what the decorator says.
    pub(crate) fn settle_python(&mut self, (key, key_at): (&[String], &Location), problems: &mut Problems) {
        if self.config.materialized == Materialized::View {
            self.config.materialized = Materialized::Table;
            self.config.origins.shift_remove("materialized");
        }
        let is_incremental = self.config.materialized == Materialized::Incremental;
        self.incremental.identify_by(if is_incremental { key } else { &[] }, key_at);
        self.settle(Language::Python, problems);
    }

    /// Says how the table of a SQL transform is computed bit by bit, where it is.
    pub(crate) fn settle_incremental(&mut self, problems: &mut Problems) {
        self.settle(Language::Sql, problems);
    }

    fn settle(&mut self, language: Language, problems: &mut Problems) {
        let materialized = (self.config.materialized, self.materialized_at.as_ref());
        self.config.incremental = self.incremental.settle(materialized, language, problems);
        for (name, at) in self.incremental.given() {
            self.config.origins.insert(name.to_owned(), at.to_string());
        }
    }

    fn apply(&mut self, patch: &Patch) {
        let Patch {
            materialized,
            partition_by,
            sort_by,
            tags,
            owner,
            description,
            retries,
            error_limit,
            on_upstream_failure,
            on_error,
            on_volatile,
            delimiter,
            incremental,
        } = patch;
        let Self { config, delimiter: kept_delimiter, on_error: kept_on_error, .. } = self;
        let (kept_incremental, materialized_at) = (&mut self.incremental, &mut self.materialized_at);
        kept_incremental.apply(incremental);
        if let Some((_, at)) = materialized {
            *materialized_at = Some(at.clone());
        }
        let error_limit_key = match error_limit {
            Some((ErrorLimit::Rows(_), _)) => "max_errors",
            _ => "max_error_rate",
        };
        let origins = &mut config.origins;
        take(origins, "materialized", materialized, |value| config.materialized = *value);
        take(origins, "partition_by", partition_by, |value| config.partition_by.clone_from(value));
        take(origins, "sort_by", sort_by, |value| config.sort_by.clone_from(value));
        take(origins, "owner", owner, |value| config.owner = Some(value.clone()));
        take(origins, "description", description, |value| config.description = Some(value.clone()));
        take(origins, "retries", retries, |value| config.retries = *value);
        take(origins, error_limit_key, error_limit, |value| config.error_limit = *value);
        take(origins, "on_upstream_failure", on_upstream_failure, |value| config.on_upstream_failure = *value);
        take(origins, "on_error", on_error, |value| *kept_on_error = *value);
        take(origins, "on_volatile", on_volatile, |value| config.on_volatile = *value);
        take(origins, "delimiter", delimiter, |value| *kept_delimiter = *value);
        take(origins, "tags", tags, |value| {
            for tag in value {
                if !config.tags.contains(tag) {
                    config.tags.push(tag.clone());
                }
            }
        });
    }
}

/// Takes a setting where it is given, and notes where that was.
fn take<T>(origins: &mut IndexMap<String, String>, key: &str, given: &Option<(T, Location)>, keep: impl FnOnce(&T)) {
    if let Some((value, at)) = given {
        origins.insert(key.to_owned(), at.to_string());
        keep(value);
    }
}

fn unknown_setting(subject: Subject, key: &str, at: &Location) -> Diagnostic {
    if subject == Subject::Seed && key == "materialized" {
        return Diagnostic::error(Code::UNKNOWN_KEY, "`materialized` does not apply to seeds")
            .at(at.clone())
            .hint("a seed is always a table; remove the key");
    }
    if subject == Subject::Python && key == "key" {
        return Diagnostic::error(Code::UNKNOWN_KEY, "the `key` of a Python transform stands in its decorator")
            .at(at.clone())
            .hint("write `@transform(..., key=[\"id\"])`, and remove it here");
    }
    unknown_key(key, at, &format!("the settings of {}", subject.folder()), subject.settings())
}

fn materialized(subject: Subject, yaml: &Yaml, problems: &mut Problems) -> Option<Materialized> {
    let word = yaml.scalar().map(|scalar| scalar.text.as_str());
    match word {
        Some("view") if subject != Subject::Python => return Some(Materialized::View),
        Some("table") => return Some(Materialized::Table),
        Some("incremental") => return Some(Materialized::Incremental),
        _ => {}
    }
    let (words, all): (&[&str], _) = match subject {
        Subject::Python => (&["table", "incremental"], "`table` or `incremental`"),
        _ => (&["view", "table", "incremental"], "`view`, `table` or `incremental`"),
    };
    let problem = expected(all, "`materialized`", yaml);
    problems.push(match word.and_then(|word| nearest(word, words.iter().copied())) {
        _ if word == Some("view") => problem.hint("what Python computes is always published"),
        Some(near) => problem.label(format!("did you mean `{near}`?")),
        None => problem,
    });
    None
}

/// Decodes names of columns, none of them twice.
pub(crate) fn columns(yaml: &Yaml, key: &str, problems: &mut Problems) -> Option<Vec<String>> {
    let names = texts(yaml, key, problems)?;
    if let Some(name) = first_repeated(&names) {
        let problem = Diagnostic::error(Code::INVALID_VALUE, format!("`{key}` names column `{name}` twice"));
        problems.push(problem.at(yaml.at.clone()));
        return None;
    }
    Some(names)
}

fn sort_by(yaml: &Yaml, problems: &mut Problems) -> Option<Vec<SortKey>> {
    let mut keys = Vec::new();
    for item in texts(yaml, "sort_by", problems)? {
        let words: Vec<&str> = item.split_whitespace().collect();
        let direction = words.get(1).map(|word| word.to_ascii_lowercase());
        let descending = match (words.len(), direction.as_deref()) {
            (1, _) | (2, Some("asc")) => false,
            (2, Some("desc")) => true,
            _ => {
                let message = format!("expected `column`, `column asc` or `column desc` for `sort_by`, found `{item}`");
                problems.push(Diagnostic::error(Code::INVALID_VALUE, message).at(yaml.at.clone()));
                return None;
            }
        };
        keys.push(SortKey { column: words[0].to_owned(), descending });
    }
    let names: Vec<String> = keys.iter().map(|key| key.column.clone()).collect();
    if let Some(name) = first_repeated(&names) {
        let problem = Diagnostic::error(Code::INVALID_VALUE, format!("`sort_by` names column `{name}` twice"));
        problems.push(problem.at(yaml.at.clone()));
        return None;
    }
    Some(keys)
}

fn first_repeated(names: &[String]) -> Option<&String> {
    names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests;
