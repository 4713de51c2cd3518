//! Projects as text, and diagnostics as text, for tests.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use windlass_error::{Diagnostic, Location, Severity, SourceFile};

use crate::assemble::assemble;
use crate::load::FileSet;
use crate::{LoadOptions, Loaded, Project};

/// Returns the files of a text with `-- path --` before each.
pub(crate) fn files(text: &str) -> FileSet {
    let mut set = FileSet::default();
    for (path, content) in split(text) {
        set.has_lib |= path.starts_with("lib/");
        if path.ends_with(".csv") || path.ends_with(".lock") {
            set.unread.push(path);
        } else {
            set.files.insert(path.clone(), SourceFile::new(Path::new(&path), content));
        }
    }
    set
}

pub(crate) fn split(text: &str) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = Vec::new();
    for line in text.split_inclusive('\n') {
        match line.trim_end().strip_prefix("-- ").and_then(|rest| rest.strip_suffix(" --")) {
            Some(path) => files.push((path.to_owned(), String::new())),
            None => files.last_mut().expect("a fixture starts with a path").1.push_str(line),
        }
    }
    files
}

pub(crate) fn options() -> LoadOptions {
    LoadOptions {
        root: PathBuf::from("/p"),
        env: [("USER", "ana"), ("S3_KEY", "hunter2"), ("WINDLASS_SECRET_TOKEN", "s3cr3t")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        version: "0.1.0".into(),
        ..LoadOptions::default()
    }
}

/// Loads a project from text; a `windlass.yml` is added where there is none.
pub(crate) fn load(text: &str) -> Loaded {
    load_with(text, &options())
}

pub(crate) fn load_with(text: &str, options: &LoadOptions) -> Loaded {
    let mut set = files(text);
    if !text.contains("-- windlass.yml --") {
        let manifest = SourceFile::new(Path::new("windlass.yml"), "name: demo\n".into());
        set.files.insert("windlass.yml".into(), manifest);
    }
    assemble(&set, options)
}

/// Returns a project that has no problems.
pub(crate) fn project(text: &str) -> Project {
    let loaded = load(text);
    assert_eq!(render(&loaded.diagnostics), "");
    loaded.project.expect("a project without problems loads")
}

/// Returns the problems of a project, and which nodes it leaves.
pub(crate) fn problems(text: &str) -> String {
    let loaded = load(text);
    let mut out = render(&loaded.diagnostics);
    if loaded.project.is_none() {
        out.push_str("no project\n");
    }
    if !loaded.broken.is_empty() {
        let _ = writeln!(out, "broken: {}", loaded.broken.join(", "));
    }
    out
}

/// Returns diagnostics as plain text with carets.
pub(crate) fn render(diagnostics: &[Diagnostic]) -> String {
    let mut out = String::new();
    for diagnostic in diagnostics {
        let severity = match diagnostic.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        let _ = writeln!(out, "{severity}[{}]: {}", diagnostic.code, diagnostic.message);
        if let Some(at) = &diagnostic.location {
            render_location(&mut out, at, diagnostic.label.as_deref().unwrap_or_default(), '^');
        } else if let Some(label) = &diagnostic.label {
            let _ = writeln!(out, "  label: {label}");
        }
        for (at, text) in &diagnostic.related {
            render_location(&mut out, at, text, '-');
        }
        for note in &diagnostic.notes {
            let _ = writeln!(out, "  note: {note}");
        }
        if let Some(hint) = &diagnostic.hint {
            let _ = writeln!(out, "  hint: {hint}");
        }
        if let Some(node) = &diagnostic.node {
            let _ = writeln!(out, "  node: {node}");
        }
    }
    out
}

fn render_location(out: &mut String, at: &Location, label: &str, sign: char) {
    let (line, column) = at.position();
    let text = at.file.text.split('\n').nth(line - 1).unwrap_or_default().trim_end();
    let width = at.file.text[at.span.clone()].chars().count().max(1);
    let _ = writeln!(out, "  {at}");
    let _ = writeln!(out, "  | {text}");
    let marks: String = std::iter::repeat_n(sign, width).collect();
    let _ = writeln!(out, "  | {}{marks} {label}", " ".repeat(column - 1)).map(|()| ());
    while out.ends_with(" \n") {
        out.truncate(out.len() - 2);
        out.push('\n');
    }
}
