//! Properties files: what `transforms/**/*.yml`, `models/**/*.yml` and `seeds/*.yml` say about the nodes beside them.

use std::sync::Arc;

use indexmap::IndexMap;
use windlass_error::{Code, Diagnostic, Location, SourceFile, nearest};

use crate::Column;
use crate::checks::{CHECK_KEYS, CheckDefinition, decode_checks, decode_column_checks};
use crate::columns::decode_columns;
use crate::config::{Patch, Subject};
use crate::decode::{Fields, Named, missing_key, named};
use crate::manifest::parse_file;
use crate::models::IMPORT_KEYS;
use crate::problems::Problems;
use crate::unit_tests::UNIT_TESTS;
use crate::yaml::duplicate;

/// What a properties file says about one node.
#[derive(Debug)]
pub(crate) struct Properties {
    pub(crate) at: Location,
    pub(crate) patch: Patch,
    pub(crate) columns: Vec<Column>,
    pub(crate) checks: Vec<CheckDefinition>,
    /// Whether something in it cannot be used.
    pub(crate) is_broken: bool,
}

/// The nodes that properties files may describe.
#[derive(Debug)]
pub(crate) struct KnownNodes<'a> {
    /// All nodes of the kind.
    pub(crate) names: Vec<&'a str>,
    /// Those of them that are written in Python.
    pub(crate) python: Vec<&'a str>,
    /// The nodes of other kinds, each with the folder that its properties stand in.
    pub(crate) others: Vec<(&'a str, &'static str)>,
}

/// Reads the properties files of one kind of nodes.
pub(crate) fn read_properties(
    subject: Subject,
    files: &[Arc<SourceFile>],
    known: &KnownNodes<'_>,
    problems: &mut Problems,
) -> IndexMap<String, Properties> {
    let mut found: IndexMap<String, Properties> = IndexMap::new();
    let key = subject.folder();
    for file in files {
        let what = format!("`{}`", file.path.display());
        let Some(Some(yaml)) = parse_file(file, problems) else { continue };
        let keys: &[&str] = match subject {
            Subject::Transform => &[key, "version", UNIT_TESTS],
            _ => &[key, "version"],
        };
        let Some(fields) = Fields::open(&yaml, &what, keys, problems) else { continue };
        let Some(entry) = fields.get(key) else {
            if fields.get(UNIT_TESTS).is_none() {
                problems.push(missing_key(key, &what, &yaml.at));
            }
            continue;
        };
        for item in named(&entry.value, &format!("`{key}`"), problems) {
            if !known.names.contains(&item.name.as_str()) {
                problems.push(unknown_node(subject, &item, known));
            } else if let Some(first) = found.get(&item.name) {
                problems.push(duplicate(&format!("properties of `{}`", item.name), &first.at, &item.at));
            } else {
                let mut own = Problems::of_node(&item.name);
                let subject = if known.python.contains(&item.name.as_str()) { Subject::Python } else { subject };
                let properties = read_item(subject, &item, &mut own);
                problems.absorb(own);
                found.insert(item.name, properties);
            }
        }
    }
    found
}

fn read_item(subject: Subject, item: &Named<'_>, problems: &mut Problems) -> Properties {
    let settings = subject.settings().iter().copied();
    let mut known: Vec<&str> = match subject {
        Subject::Model => settings.chain(["config"]).chain(IMPORT_KEYS).collect(),
        _ => settings.chain(["columns", "config"]).chain(CHECK_KEYS).collect(),
    };
    if subject == Subject::Python && item.has("key") {
        // Refused below, with its reason.
        known.push("key");
    }
    let fields = item.fields(&format!("the properties of `{}`", item.name), &known, problems);
    let (patch, columns) = match fields {
        Some(fields) => (Patch::of_properties(subject, fields.entries(), problems), decode_columns(fields, problems)),
        None => Default::default(),
    };
    let mut checks = fields.map(|fields| decode_column_checks(fields, problems)).unwrap_or_default();
    checks.extend(fields.map(|fields| decode_checks(fields, None, problems)).unwrap_or_default());
    Properties { at: item.at.clone(), patch, columns, checks, is_broken: problems.has_errors() }
}

fn unknown_node(subject: Subject, item: &Named<'_>, known: &KnownNodes<'_>) -> Diagnostic {
    let kind = subject.folder().trim_end_matches('s');
    let problem = Diagnostic::error(Code::UNKNOWN_NODE, format!("no {kind} `{}`", item.name)).at(item.at.clone());
    if let Some((_, folder)) = known.others.iter().find(|(name, _)| *name == item.name) {
        let other = folder.trim_end_matches('s');
        return problem.hint(format!("it is a {other}: its properties stand in a file below `{folder}/`"));
    }
    match nearest(&item.name, known.names.iter().copied()) {
        Some(near) => problem.label(format!("did you mean `{near}`?")),
        None => problem.hint(format!("a {kind} is named after its file below `{}/`", subject.folder())),
    }
}

#[cfg(test)]
mod tests;
