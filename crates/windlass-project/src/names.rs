//! What `ref`, `source` and `var` may name, with the same answers in SQL and in Python.
//!
//! Must stay true: a name that belongs to a node with problems of its own is known, so that no
//! mistake is reported twice.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use windlass_error::{Code, Diagnostic, Location, nearest};

use crate::decode::list;
use crate::{InputPart, error_table};

/// Who has a table of error rows.
const WITH_ERRORS: &str = "Python transforms of batches with `on_error=\"quarantine\"` have one, and tables with a check of \
                           `on_fail: quarantine` or that score with a model";

/// All names of a project.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    /// Seeds, transforms and models, also those that cannot be used.
    pub(crate) nodes: BTreeSet<String>,
    /// Those of them that are models.
    pub(crate) models: BTreeSet<String>,
    /// Those of them that have a table of error rows.
    pub(crate) with_errors: BTreeSet<String>,
    /// Those of which it shows later: SQL transforms, where the project has models.
    pub(crate) may_have_errors: BTreeSet<String>,
    /// Tables by source.
    pub(crate) sources: IndexMap<String, Vec<String>>,
}

/// A name that means nothing.
#[derive(Debug, Clone)]
pub(crate) struct NameFault {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) label: Option<String>,
    pub(crate) hint: Option<String>,
    /// Which argument of the call is wrong.
    pub(crate) index: usize,
}

impl NameFault {
    /// Returns the diagnostic for a call whose wrong argument stands at `at`.
    pub(crate) fn at(self, at: Location) -> Diagnostic {
        let mut problem = Diagnostic::error(self.code, self.message).at(at);
        problem.label = self.label;
        problem.hint = self.hint;
        problem
    }
}

impl Names {
    /// Returns what `ref(name)` reads: a node, and which of its tables.
    pub(crate) fn resolve_ref(&self, name: &str) -> Result<(String, InputPart), NameFault> {
        if self.models.contains(name) {
            return Ok((name.to_owned(), InputPart::Model));
        }
        if self.nodes.contains(name) {
            return Ok((name.to_owned(), InputPart::Result));
        }
        let owner = self.nodes.iter().find(|node| error_table(node) == name);
        match owner {
            Some(node) if self.with_errors.contains(node) || self.may_have_errors.contains(node) => {
                Ok((node.clone(), InputPart::Errors))
            }
            Some(node) => Err(no_errors(node)),
            None => Err(self.unknown_node(name)),
        }
    }

    fn unknown_node(&self, name: &str) -> NameFault {
        let near = nearest(name, self.nodes.iter().map(String::as_str));
        let table = name.rsplit('.').next().unwrap_or(name);
        let owner = self.sources.iter().find(|(_, tables)| tables.iter().any(|known| known == table));
        let hint = match owner {
            Some((source, _)) => {
                format!("`{table}` is a table of source `{source}`: write `source('{source}', '{table}')`")
            }
            None => "a node is named after its file in `transforms/` or `seeds/`".to_owned(),
        };
        NameFault {
            code: Code::UNKNOWN_REF,
            message: format!("no node `{name}`"),
            label: near.map(|near| format!("did you mean `{near}`?")),
            hint: Some(hint),
            index: 0,
        }
    }

    /// Returns the name of the node that `source(source, table)` reads.
    pub(crate) fn resolve_source(&self, source: &str, table: &str) -> Result<String, NameFault> {
        let Some(tables) = self.sources.get(source) else {
            let near = nearest(source, self.sources.keys().map(String::as_str));
            return Err(self.unknown_source(format!("no source `{source}`"), near, 0));
        };
        if tables.iter().any(|known| known == table) {
            return Ok(format!("{source}.{table}"));
        }
        let near = nearest(table, tables.iter().map(String::as_str));
        Err(self.unknown_source(format!("source `{source}` has no table `{table}`"), near, 1))
    }

    fn unknown_source(&self, message: String, near: Option<&str>, index: usize) -> NameFault {
        let sources: Vec<&String> = self.sources.keys().collect();
        let hint = match (index, sources.is_empty()) {
            (0, true) => "declare it in `sources.yml`".to_owned(),
            (0, false) => format!("declare it in `sources.yml`; known sources: {}", list(&sources)),
            _ => "declare the table in `sources.yml`".to_owned(),
        };
        let label = near.map(|near| format!("did you mean `{near}`?"));
        NameFault { code: Code::UNKNOWN_SOURCE, message, label, hint: Some(hint), index }
    }
}

/// Returns what to say of a node that has no error table.
pub(crate) fn no_errors(node: &str) -> NameFault {
    NameFault {
        code: Code::UNKNOWN_REF,
        message: format!("`{node}` has no error table"),
        label: None,
        hint: Some(WITH_ERRORS.to_owned()),
        index: 0,
    }
}

/// Returns what to say of a variable that has no value.
pub(crate) fn unknown_var<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> NameFault {
    NameFault {
        code: Code::UNKNOWN_VAR,
        message: format!("no variable `{name}`"),
        label: nearest(name, known).map(|near| format!("did you mean `{near}`?")),
        hint: Some(format!("set it under `vars:` in `windlass.yml`, pass `--vars {name}=...`, or give a default")),
        index: 0,
    }
}

/// Returns a name as SQL identifier, quoted only where needed.
pub(crate) fn quoted(name: &str) -> String {
    let mut chars = name.chars();
    let plain = chars.next().is_some_and(|c| c.is_ascii_lowercase() || c == '_')
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}
