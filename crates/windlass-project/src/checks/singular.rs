//! Checks in files of their own: `checks/*.sql`, queries that return the rows which should not be there,
//! and `checks/*.py`, once their code has been read.
//!
//! A file is the check of one table: the one that `config(on='orders')` names, else the only one that
//! it reads. In its own check a table is what has just been computed, not what is published.

use std::sync::Arc;

use windlass_error::{Code, Diagnostic, Location, SourceFile};

use super::decode::{COMMON, Common};
use super::values::table;
use super::{CheckDefinition, CheckKind, Written};
use crate::decode::Fields;
use crate::problems::Problems;
use crate::template::{FileScope, SqlTemplates};
use crate::yaml::{Entry, Value, Yaml};
use crate::{PythonCheck, Transform};

/// A check in a file of its own.
pub(crate) struct Singular {
    /// The table that it is for.
    pub(crate) on: Written,
    /// The check; its name is that of the file.
    pub(crate) definition: CheckDefinition,
}

/// Reads the files of checks. What is wrong with one is reported and leaves it out.
pub(crate) fn read_singular(
    files: &[Arc<SourceFile>],
    templates: &SqlTemplates,
    problems: &mut Problems,
) -> Vec<Singular> {
    files.iter().filter_map(|file| read_file(file, templates, problems)).collect()
}

/// Returns the check of a table that a decorator describes; `entries` is what it says as any check may.
pub(crate) fn in_python(
    entries: Vec<Entry>,
    check: PythonCheck,
    (on, name): (Written, String),
    at: &Location,
    problems: &mut Problems,
) -> Option<Singular> {
    let settings = Yaml { value: Value::Map(entries), at: at.clone() };
    let mut own = Problems::default();
    let fields = Fields::open(&settings, "`@check`", &COMMON, &mut own)?;
    let common = Common::decode(fields, &mut own);
    let is_broken = own.has_errors();
    problems.absorb(own);
    let column =
        check.columns.as_deref().and_then(|columns| if let [one] = columns { Some(one.clone()) } else { None });
    let mut definition = common.define(CheckKind::Python(Box::new(check)), column.as_ref(), at);
    if definition.name.is_empty() {
        definition.name = name;
    }
    (!is_broken).then_some(Singular { on, definition })
}

fn read_file(file: &Arc<SourceFile>, templates: &SqlTemplates, problems: &mut Problems) -> Option<Singular> {
    let rendered = templates.render(file, FileScope::default(), problems)?;
    let start = Location::new(file, 0..0);
    let path = file.path.display().to_string();
    let settings = Yaml { value: Value::Map(rendered.config.clone()), at: start.clone() };
    let known: Vec<&str> = ["on", "tags", "enabled"].into_iter().chain(COMMON).collect();
    let mut own = Problems::default();
    let fields = Fields::open(&settings, &format!("the settings of `{path}`"), &known, &mut own)?;
    let on = match fields.value("on") {
        Some(value) => table(value, "on", &mut own),
        None => only_input(&rendered.inputs, &start, &path, &mut own),
    };
    let common = Common::decode(fields, &mut own);
    let is_broken = own.has_errors();
    problems.absorb(own);
    let name = file.path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let query = Transform::from(rendered);
    let mut definition = common.define(CheckKind::Sql { query: Box::new(query) }, None, &start);
    if definition.name.is_empty() {
        definition.name = name;
    }
    Some(Singular { on: on.filter(|_| !is_broken)?, definition })
}

fn only_input(inputs: &[crate::Input], start: &Location, path: &str, problems: &mut Problems) -> Option<Written> {
    let mut names: Vec<&crate::Input> = Vec::new();
    for input in inputs {
        if !names.iter().any(|known| known.node == input.node) {
            names.push(input);
        }
    }
    if let [input] = names.as_slice() {
        return Some(Written { text: input.node.clone(), location: input.location.clone() });
    }
    let message = match names.as_slice() {
        [] => format!("the check `{path}` reads no table"),
        _ => format!("the check `{path}` reads {} tables, and does not say which one it is for", names.len()),
    };
    let hint = match names.first() {
        Some(first) => format!("name it: {{{{ config(on='{}') }}}}", first.node),
        None => "read the table with {{ ref('...') }}".to_string(),
    };
    problems.push(Diagnostic::error(Code::MISSING_KEY, message).at(start.clone()).hint(hint));
    None
}
