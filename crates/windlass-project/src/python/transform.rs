//! `transforms/**/*.py`: the one `@transform` of a file.
//!
//! What it reads is looked up later, in [`super::Draft`].

use std::sync::Arc;

use serde_json::{Map, Value};
use windlass_error::{Code, Diagnostic, Location, SourceFile, nearest};

use super::arguments::{Arguments, Known, SettingShape, texts};
use super::definitions::{Callable, Definition, find, lacks_import};
use super::draft::{Decorated, Parts};
use super::literal::{Literal, LiteralValue, Reference};
use super::module::Module;
use super::settings::{SHARED, START, batch_format, starts_at_a_time, workers};
use super::{BatchSize, OnError, PythonMode, PythonRows, Requirement, Rule};
use crate::config::{Patch, Subject};
use crate::decode::{is_identifier, list};
use crate::problems::Problems;
use crate::{Column, ErrorLimit};

const EXAMPLE: &str =
    "write `@transform(input=ref(\"a_node\"), columns={\"id\": \"bigint\"})` above a function or class";
const TABLE_BYTES: u64 = 1 << 30;

const KNOWN: Known = Known { decorator: "transform", positional: Some("input"), names: &[SHARED, NODE_SETTINGS, OWN] };

const OWN: &[&str] = &[
    "batch_size",
    "columns",
    "fn_args",
    "fn_constructor_args",
    "fn_constructor_kwargs",
    "fn_kwargs",
    "input",
    "input_columns",
    "inputs",
    "key",
    "max_bytes",
    "max_error_rate",
    "max_errors",
    "mode",
    "requires",
    "rows",
    "rowwise",
    "zero_copy_batch",
];

/// Settings that `config()` of a SQL file knows as well; `start` is one of [`SHARED`].
const NODE_SETTINGS: &[&str] = &[
    "batch_intervals",
    "description",
    "end",
    "interval",
    "lookback",
    "materialized",
    "on_definition_change",
    "on_upstream_failure",
    "owner",
    "partition_by",
    "retries",
    "sort_by",
    "strategy",
    "tags",
    "time_column",
];

/// Reads the transform of a file; `None` where there is not exactly one.
pub(super) fn read(module: &Module<'_>, vars: &Map<String, Value>, problems: &mut Problems) -> Option<Decorated> {
    let found_before = problems.list.len();
    let mut found = find(module, "transform", problems);
    if found.len() > 1 {
        problems.push(several(module, &found));
        return None;
    }
    let Some(definition) = found.pop() else {
        if problems.list.len() == found_before {
            problems.push(none(module));
        }
        return None;
    };
    let Some(call) = definition.call else {
        let problem = Diagnostic::error(Code::DECORATOR, "`@transform` needs arguments").at(module.at(&definition.at));
        problems.push(problem.hint(EXAMPLE));
        return None;
    };
    let arguments = Arguments::read(module, call, &KNOWN, vars, problems);
    let is_class = check_callable(module, &definition, &arguments, problems);
    let workers = workers(&arguments, problems);
    let batch_format = batch_format(&arguments, problems);
    let parts = parts(&arguments, problems);
    let location = module.at(&definition.object_at);
    Some(Decorated { object: definition.object, is_class, location, batch_format, workers, parts })
}

fn none(module: &Module<'_>) -> Diagnostic {
    let file = &module.file.path.display();
    let problem =
        Diagnostic::error(Code::NO_TRANSFORM, format!("`{file}` defines no transform")).at(start(module.file));
    if lacks_import(module, "transform") {
        return problem.hint("import the decorator: `from windlass import transform`");
    }
    if !find(module, "udf", &mut Problems::default()).is_empty() {
        return problem.hint("functions for SQL belong into a file of `functions/`");
    }
    problem
        .hint("decorate one function or class at module level with `@transform(...)`; shared code belongs into `lib/`")
}

fn several(module: &Module<'_>, found: &[Definition<'_>]) -> Diagnostic {
    let message = format!("`{}` defines {} transforms", module.file.path.display(), found.len());
    let mut problem = Diagnostic::error(Code::NO_TRANSFORM, message);
    for (index, definition) in found.iter().enumerate() {
        let at = module.at(&definition.object_at);
        problem = match index {
            0 => problem.at(at).label("the first"),
            _ => problem.related(at, "another"),
        };
    }
    problem.hint("a node is named after its file: give each transform a file of its own")
}

/// Checks what is decorated; returns whether it is a class, where the file says so.
pub(super) fn check_callable(
    module: &Module<'_>,
    definition: &Definition<'_>,
    arguments: &Arguments,
    problems: &mut Problems,
) -> Option<bool> {
    let name = &definition.object;
    let at = || module.at(&definition.object_at);
    match definition.callable {
        Callable::Function { is_async, parameters } => {
            if is_async {
                let problem = Diagnostic::error(Code::DECORATOR, format!("`{name}` is an async function")).at(at());
                problems.push(problem.hint("write `def`: workers call it and wait"));
            }
            let takes_batch =
                !parameters.posonlyargs.is_empty() || !parameters.args.is_empty() || parameters.vararg.is_some();
            let takes_names =
                arguments.has("inputs") && !(parameters.kwonlyargs.is_empty() && parameters.kwarg.is_none());
            if !takes_batch && !takes_names {
                let problem = Diagnostic::error(Code::DECORATOR, format!("`{name}` takes no argument")).at(at());
                problems.push(problem.hint(format!("it gets its input as the first one: `def {name}(batch):`")));
            }
            let reason = "is for classes, and this is a function";
            arguments.refuse(&["fn_constructor_args", "fn_constructor_kwargs"], reason, problems);
            Some(false)
        }
        Callable::Class { has_bases, body } => {
            let has_call = body.iter().any(|stmt| match stmt {
                ruff_python_ast::Stmt::FunctionDef(method) => method.name.as_str() == "__call__",
                // Assigned, or made by a branch.
                _ => !matches!(stmt, ruff_python_ast::Stmt::Expr(_) | ruff_python_ast::Stmt::Pass(_)),
            });
            if !has_call && !has_bases {
                let message = format!("class `{name}` cannot be called");
                let problem = Diagnostic::error(Code::DECORATOR, message).at(at());
                problems.push(problem.hint("give it a method `def __call__(self, batch):`, called for each batch"));
            }
            Some(true)
        }
        Callable::Elsewhere => None,
    }
}

fn parts(arguments: &Arguments, problems: &mut Problems) -> Parts {
    let mode = mode(arguments, problems);
    let is_table = matches!(mode, PythonMode::Table { .. });
    let rows = arguments.choice("rows", &[("one_to_one", PythonRows::OneToOne), ("many", PythonRows::Many)], problems);
    let rows = rows.unwrap_or(if is_table { PythonRows::Many } else { PythonRows::OneToOne });
    let columns = columns(arguments, problems);
    let parts = Parts {
        reads: reads(arguments, is_table, problems),
        mode,
        patch: patch(arguments, problems),
        input_columns: arguments.columns("input_columns", problems),
        key: key(arguments, &columns, problems),
        key_at: arguments.at("key"),
        columns,
        requires: requires(arguments, problems),
        batch_size: batch_size(arguments, problems),
        rows,
        rowwise: arguments.flag("rowwise", problems).unwrap_or(!is_table),
        on_error: on_error(arguments, is_table, problems),
        constructor_args: arguments.values("fn_constructor_args", problems),
        constructor_kwargs: arguments.named_values("fn_constructor_kwargs", problems),
        fn_args: arguments.values("fn_args", problems),
        fn_kwargs: arguments.named_values("fn_kwargs", problems),
        copy_inputs: arguments.flag("zero_copy_batch", problems).is_some_and(|zero_copy| !zero_copy),
        deterministic: arguments.flag("deterministic", problems),
    };
    check_together(arguments, &parts, problems);
    parts
}

/// Checks arguments that depend on each other.
fn check_together(arguments: &Arguments, parts: &Parts, problems: &mut Problems) {
    let wrong = |name: &str, message: &str| Diagnostic::error(Code::DECORATOR, message).at(arguments.at(name));
    if matches!(parts.mode, PythonMode::Table { .. }) {
        let only_batches =
            ["batch_size", "input_columns", "max_error_rate", "max_errors", "requires", "rows", "rowwise"];
        arguments.refuse(&only_batches, "does not apply to `mode=\"table\"`", problems);
    } else {
        arguments.refuse(&["max_bytes"], "applies to `mode=\"table\"` alone", problems);
    }
    if parts.on_error == OnError::Null && arguments.get("on_error").is_some() {
        if parts.key.is_empty() && !arguments.has("key") {
            let problem = wrong("on_error", "`on_error=\"null\"` needs `key`");
            problems.push(problem.hint("rows that fail keep their key columns, so that they can be told apart"));
        }
        if parts.rows == PythonRows::Many && arguments.get("rows").is_some() {
            let problem = wrong("on_error", "`on_error=\"null\"` does not go with `rows=\"many\"`");
            let hint = "a row that fails has no row of its own in the result: use `on_error=\"quarantine\"`";
            problems.push(problem.related(arguments.at("rows"), "any number of rows").hint(hint));
        }
    }
    if arguments.get("max_errors").is_some() && arguments.get("max_error_rate").is_some() {
        let problem = wrong("max_errors", "`max_errors` and `max_error_rate` are two answers to one question");
        problems.push(problem.related(arguments.at("max_error_rate"), "also here").hint("keep one of them"));
    }
}

fn mode(arguments: &Arguments, problems: &mut Problems) -> PythonMode {
    let is_table = arguments.choice("mode", &[("batch", false), ("table", true)], problems);
    let max_bytes = arguments.size("max_bytes", problems).unwrap_or(TABLE_BYTES);
    match is_table {
        Some(true) => PythonMode::Table { max_bytes },
        _ => PythonMode::Batch,
    }
}

/// Returns what is read, each with the argument that it is handed over as.
fn reads(arguments: &Arguments, is_table: bool, problems: &mut Problems) -> Vec<(String, Reference)> {
    let hint = "write `ref(\"a_node\")` or `source(\"a_source\", \"a_table\")`";
    let reference = |literal: &Literal, key: &str, problems: &mut Problems| match &literal.value {
        LiteralValue::Reference(reference) => Some(reference.clone()),
        _ => {
            problems.push(literal.expected("`ref(...)` or `source(...)`", key).hint(hint));
            None
        }
    };
    if arguments.has("inputs") {
        if arguments.has("input") {
            let message = "`input` and `inputs` are given";
            let problem = Diagnostic::error(Code::DECORATOR, message).at(arguments.name_at("inputs"));
            problems.push(problem.related(arguments.name_at("input"), "also here").hint("keep one of them"));
        } else if !is_table && arguments.get("inputs").is_some() {
            let message = "`inputs` applies to `mode=\"table\"` alone";
            let problem = Diagnostic::error(Code::DECORATOR, message).at(arguments.name_at("inputs"));
            problems
                .push(problem.hint(
                    "a batch has rows of one table: join the inputs in a SQL transform, or add `mode=\"table\"`",
                ));
        }
        let Some(literal) = arguments.get("inputs") else { return Vec::new() };
        let LiteralValue::Dict(entries) = &literal.value else {
            problems.push(literal.expected("a dict of `ref(...)` and `source(...)` by argument", "inputs"));
            return Vec::new();
        };
        if entries.is_empty() {
            problems.push(literal.expected("at least one input", "inputs").hint(hint));
        }
        return entries
            .iter()
            .filter_map(|(name, value)| {
                let name = argument_name(name, problems)?;
                reference(value, "inputs", problems).map(|reference| (name, reference))
            })
            .collect();
    }
    arguments.require("input", hint, problems);
    let read = arguments.get("input").and_then(|literal| reference(literal, "input", problems));
    read.map(|reference| ("input".to_owned(), reference)).into_iter().collect()
}

fn argument_name(literal: &Literal, problems: &mut Problems) -> Option<String> {
    let name = literal.as_text().filter(|name| is_identifier(name));
    if name.is_none() {
        problems.push(literal.expected("the name of an argument", "inputs"));
    }
    name.map(str::to_owned)
}

fn columns(arguments: &Arguments, problems: &mut Problems) -> Vec<Column> {
    let hint = "name each column of the result with its SQL type: `columns={\"id\": \"bigint\"}`";
    arguments.require("columns", hint, problems);
    let Some(literal) = arguments.get("columns") else { return Vec::new() };
    let LiteralValue::Dict(entries) = &literal.value else {
        problems.push(literal.expected("a dict of types by column", "columns").hint(hint));
        return Vec::new();
    };
    if entries.is_empty() {
        problems.push(Diagnostic::error(Code::DECORATOR, "`columns` is empty").at(literal.at.clone()).hint(hint));
    }
    let mut columns: Vec<Column> = Vec::with_capacity(entries.len());
    for (name, data_type) in entries {
        let Some(text) = name.as_text().filter(|name| !name.is_empty()) else {
            problems.push(name.expected("the name of a column", "columns"));
            continue;
        };
        let Some(written) = data_type.as_text().filter(|written| !written.trim().is_empty()) else {
            let problem = data_type.expected("a SQL type", "columns");
            problems.push(problem.hint("types are texts such as `\"bigint\"`, `\"double\"` or `\"varchar\"`"));
            continue;
        };
        if let Some(first) = columns.iter().find(|known| known.name == text) {
            let message = format!("`columns` names column `{text}` twice");
            let problem = Diagnostic::error(Code::DECORATOR, message).at(name.at.clone()).label("again here");
            problems.push(problem.related(first.location.clone(), "first here"));
            continue;
        }
        columns.push(Column {
            name: text.to_owned(),
            data_type: Some(written.to_owned()),
            description: None,
            location: name.at.clone(),
        });
    }
    columns
}

fn key(arguments: &Arguments, columns: &[Column], problems: &mut Problems) -> Vec<String> {
    let Some(key) = arguments.columns("key", problems) else { return Vec::new() };
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    for (name, at) in arguments.texts("key", &mut Problems::default()).unwrap_or_default() {
        if names.is_empty() || names.contains(&name.as_str()) {
            continue;
        }
        let problem =
            Diagnostic::error(Code::DECORATOR, format!("`key` names `{name}`, which `columns` does not have"));
        let problem = problem.at(at);
        problems.push(match nearest(&name, names.iter().copied()) {
            Some(near) => problem.label(format!("did you mean `{near}`?")),
            None => problem.hint(format!("the result keeps its key; its columns are {}", list(&names))),
        });
    }
    key
}

fn requires(arguments: &Arguments, problems: &mut Problems) -> Vec<Requirement> {
    let hint = "write `requires={\"not_null\": [\"a\"], \"sql\": [\"b > 0\"]}`";
    let Some(literal) = arguments.get("requires") else { return Vec::new() };
    let LiteralValue::Dict(entries) = &literal.value else {
        problems.push(literal.expected("a dict", "requires").hint(hint));
        return Vec::new();
    };
    let mut requires = Vec::new();
    for (kind, value) in entries {
        let rule: fn(String) -> Rule = match kind.as_text() {
            Some("not_null") => Rule::NotNull,
            Some("sql") => Rule::Sql,
            found => {
                let problem = kind.expected("`\"not_null\"` or `\"sql\"`", "requires");
                problems.push(match found.and_then(|found| nearest(found, ["not_null", "sql"])) {
                    Some(near) => problem.label(format!("did you mean `\"{near}\"`?")),
                    None => problem.hint(hint),
                });
                continue;
            }
        };
        for (text, location) in texts(value, "requires", problems).unwrap_or_default() {
            if text.trim().is_empty() {
                let problem = Diagnostic::error(Code::DECORATOR, "a rule of `requires` is empty").at(location);
                problems.push(problem.hint(hint));
                continue;
            }
            requires.push(Requirement { rule: rule(text), location });
        }
    }
    requires
}

pub(super) fn batch_size(arguments: &Arguments, problems: &mut Problems) -> BatchSize {
    let Some(literal) = arguments.get("batch_size") else { return BatchSize::Auto };
    match (&literal.value, super::arguments::count(literal, 1)) {
        (_, Some(rows)) => BatchSize::Rows(rows),
        (LiteralValue::Text(text), _) if text == "auto" => BatchSize::Auto,
        _ => {
            problems.push(literal.expected("a number of rows from 1, or `\"auto\"`", "batch_size"));
            BatchSize::Auto
        }
    }
}

fn on_error(arguments: &Arguments, is_table: bool, problems: &mut Problems) -> OnError {
    let options = [("quarantine", OnError::Quarantine), ("fail", OnError::Fail), ("null", OnError::Null)];
    let chosen = arguments.choice("on_error", &options, problems);
    if is_table {
        if chosen.is_some_and(|chosen| chosen != OnError::Fail) {
            let message = "`mode=\"table\"` has no rows that could fail one by one";
            let problem = Diagnostic::error(Code::DECORATOR, message).at(arguments.at("on_error"));
            problems.push(problem.hint("an exception fails the node: write `on_error=\"fail\"`, or leave it out"));
        }
        return OnError::Fail;
    }
    chosen.unwrap_or(OnError::Quarantine)
}

fn patch(arguments: &Arguments, problems: &mut Problems) -> Patch {
    let mut patch = Patch::default();
    for name in NODE_SETTINGS.iter().chain(starts_at_a_time(arguments).then_some(&START)) {
        let shape = match *name {
            "batch_intervals" | "lookback" | "retries" => SettingShape::Count,
            "partition_by" | "sort_by" | "tags" => SettingShape::Texts,
            _ => SettingShape::Text,
        };
        if let Some(entry) = arguments.setting(name, shape, problems) {
            patch.set(Subject::Python, name, &entry, problems);
        }
    }
    let rows = arguments.count("max_errors", 0, problems).map(|rows| ErrorLimit::Rows(u64::from(rows)));
    let rate = arguments.rate("max_error_rate", problems).map(ErrorLimit::Rate);
    if rows.is_some() != rate.is_some() {
        let name = if rows.is_some() { "max_errors" } else { "max_error_rate" };
        patch.limit_errors(rows.or(rate), arguments.at(name), problems);
    }
    patch
}

fn start(file: &Arc<SourceFile>) -> Location {
    Location::new(file, 0..0)
}
