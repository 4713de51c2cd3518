//! Leads a failure of Python back to the user's own file and line.

use std::error::Error as StdError;
use std::path::Path;
use std::sync::Arc;

use windlass_error::{Classify, Code, Diagnostic, Location, SourceFile};
use windlass_project::{Node, Project, models_named};
use windlass_worker::{Error as WorkerError, Failure};

use super::functions;
use super::stack::{frames, frames_of_dump};
use crate::error::source_of;
use crate::operators::python::{PythonError, Verdict};

/// Causes that an error names.
const NAMED_CAUSES: usize = 3;
/// Characters of a cause that are shown then.
const CAUSE_WIDTH: usize = 160;
/// Lines of a stack that an error shows.
const STACK_LINES: usize = 24;
/// Lines of the stack of one cause among several.
const CAUSE_STACK_LINES: usize = 12;

/// Returns the failure of a Python operator inside an error.
pub(crate) fn python_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a PythonError> {
    std::iter::successors(Some(error), |current| source_of(*current)).find_map(|cause| cause.downcast_ref())
}

/// Returns a failure of Python as a mistake at the user's line.
pub(crate) fn diagnose(project: &Project, node: &Node, error: &PythonError) -> Diagnostic {
    let mut mistake = Diagnostic::error(error.code().unwrap_or(Code::PYTHON_FAILED), message(node, error));
    let called = failure(error).and_then(|failure| functions::called(project, node, failure));
    let place = place(project, node, error);
    // A wrong result has no stack, but the function that gave it is named.
    let place = place.or_else(|| called.as_ref().map(|(function, _)| function.location.clone()));
    let place = place.or_else(|| functions::first_call(project, node)).or_else(|| first_model(project, node));
    mistake = mistake.at(place.unwrap_or_else(|| node.location.clone())).node(&node.name);
    match called {
        Some((function, Some(call))) => mistake = mistake.related(call, format!("`{}` is called here", function.name)),
        Some((function, None)) => {
            mistake = mistake.note(format!("`{}` is called by a view that `{}` reads", function.name, node.name));
        }
        None => {}
    }
    for note in notes(error) {
        mistake = mistake.note(note);
    }
    match error.hint() {
        Some(hint) => mistake.hint(hint),
        None => mistake,
    }
}

/// Returns where a node's SQL names a model first.
fn first_model(project: &Project, node: &Node) -> Option<Location> {
    let transform = node.transform()?;
    let (.., span) = models_named(project, &transform.sql).into_iter().next()?;
    transform.map.locate(span)
}

fn message(node: &Node, error: &PythonError) -> String {
    match error {
        PythonError::Worker(worker) => worker.to_string(),
        PythonError::TableLimit { .. } | PythonError::TrainingLimit { .. } => error.to_string(),
        PythonError::Budget(verdict) => format!("`{}`: {verdict}", node.name),
        other => format!("`{}`: {other}", node.name),
    }
}

fn failure(error: &PythonError) -> Option<&Failure> {
    match error {
        PythonError::Worker(worker) => match worker.as_ref() {
            WorkerError::Call { failure, .. } | WorkerError::Start { failure, .. } => Some(failure),
            _ => None,
        },
        _ => None,
    }
}

/// Returns the innermost line of the project that is known.
fn place(project: &Project, node: &Node, error: &PythonError) -> Option<Location> {
    let frames = match error {
        PythonError::Worker(worker) => match worker.as_ref() {
            WorkerError::Call { failure, .. } | WorkerError::Start { failure, .. } => {
                failure.file.clone().zip(failure.line).into_iter().collect()
            }
            WorkerError::Died { output: stack, .. }
            | WorkerError::StartTimeout { output: stack, .. }
            | WorkerError::Timeout { stack, .. } => frames_of_dump(stack),
            _ => Vec::new(),
        },
        PythonError::Budget(verdict) => {
            verdict.causes.first().map(|cause| frames(&cause.traceback)).unwrap_or_default()
        }
        _ => Vec::new(),
    };
    frames.into_iter().find_map(|(file, line)| at_line(project, node, Path::new(&file), line))
}

fn at_line(project: &Project, node: &Node, path: &Path, line: u32) -> Option<Location> {
    let below = path.strip_prefix(&project.root).ok()?;
    let known = std::iter::once(&node.file).chain(project.functions.values().map(|function| &function.location.file));
    let known = known.into_iter().find(|file| file.path == below).cloned();
    let file: Arc<SourceFile> = match known {
        Some(file) => file,
        // A module of `lib/`: shown as it is now, which is what ran a moment ago.
        None => SourceFile::new(below, std::fs::read_to_string(path).ok()?),
    };
    let start: usize = file.text.split_inclusive('\n').take(line.saturating_sub(1) as usize).map(str::len).sum();
    let text = file.text.get(start..)?.lines().next()?;
    let indent = text.len() - text.trim_start().len();
    Some(Location::new(&file, start + indent..start + text.len()))
}

fn notes(error: &PythonError) -> Vec<String> {
    match error {
        PythonError::Budget(verdict) => causes(verdict),
        PythonError::Worker(worker) => match worker.as_ref() {
            WorkerError::Call { failure, .. } | WorkerError::Start { failure, .. } => {
                stack(&failure.traceback, STACK_LINES).into_iter().collect()
            }
            WorkerError::Died { output, .. } | WorkerError::StartTimeout { output, .. } => tail("it wrote", output),
            WorkerError::Timeout { stack, .. } => tail("it was here", stack),
            WorkerError::Environment { output, .. } | WorkerError::Uv { output } => tail("uv says", output),
            _ => source_note(worker.as_ref()),
        },
        PythonError::Requires { .. } | PythonError::Account { .. } => Vec::new(),
        PythonError::TableLimit { .. } | PythonError::TrainingLimit { .. } => Vec::new(),
    }
}

fn source_note(error: &WorkerError) -> Vec<String> {
    error.source().map(|cause| format!("cause: {cause}")).into_iter().collect()
}

/// Returns the causes with the most rows, how many others there are, and the first one's stack.
fn causes(verdict: &Verdict) -> Vec<String> {
    let (named, others) = verdict.causes.split_at(verdict.causes.len().min(NAMED_CAUSES));
    let rows = |count: u64| format!("{count} row{}", if count == 1 { "" } else { "s" });
    let mut notes: Vec<String> =
        named.iter().map(|cause| format!("{}: {}", rows(cause.rows), shortened(&cause.summary()))).collect();
    if !others.is_empty() {
        let plural = if others.len() == 1 { "" } else { "s" };
        let count = rows(others.iter().map(|cause| cause.rows).sum());
        notes.push(format!("{count}: {} other cause{plural}", others.len()));
    }
    if let Some(cause) = named.first() {
        notes.extend(stack(&cause.traceback, CAUSE_STACK_LINES));
    }
    notes
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(CAUSE_WIDTH) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_string(),
    }
}

/// Returns the last lines of a stack, each cut to the width of a cause.
fn stack(traceback: &str, most: usize) -> Option<String> {
    let lines: Vec<&str> = traceback.trim_end().lines().collect();
    let skipped = lines.len().saturating_sub(most);
    let shown: Vec<String> = lines[skipped..].iter().map(|line| shortened(line)).collect();
    (!lines.is_empty()).then(|| shown.join("\n"))
}

fn tail(what: &str, text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let skipped = lines.len().saturating_sub(STACK_LINES);
    match lines.is_empty() {
        true => Vec::new(),
        false => vec![format!("{what}:\n{}", lines[skipped..].join("\n"))],
    }
}
