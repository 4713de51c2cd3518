//! Leads a failure of Python back to the user's own file and line.

use std::error::Error as StdError;
use std::path::Path;
use std::sync::Arc;

use windlass_error::{Classify, Code, Diagnostic, Location, SourceFile};
use windlass_project::{Node, Project};
use windlass_worker::{Error as WorkerError, Failure};

use super::functions;
use crate::error::source_of;
use crate::operators::python::{PythonError, Verdict};

/// Causes that an error names.
const NAMED_CAUSES: usize = 5;
/// Lines of a stack that an error shows.
const STACK_LINES: usize = 24;

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
    let place = place.or_else(|| functions::first_call(project, node));
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

fn message(node: &Node, error: &PythonError) -> String {
    match error {
        PythonError::Worker(worker) => worker.to_string(),
        PythonError::TableLimit { .. } => error.to_string(),
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
    let of_failure = failure(error).and_then(|failure| Some((failure.file.clone()?, failure.line?)));
    let found = of_failure.or_else(|| match error {
        PythonError::Budget(verdict) => verdict.causes.first().and_then(|cause| innermost(&cause.traceback)),
        _ => None,
    });
    found.and_then(|(file, line)| at_line(project, node, Path::new(&file), line))
}

/// Returns file and line of the innermost frame of a stack as Python prints it.
fn innermost(traceback: &str) -> Option<(String, u32)> {
    let frame = traceback.lines().rfind(|line| line.trim_start().starts_with("File \""))?;
    let rest = frame.trim_start().strip_prefix("File \"")?;
    let (file, rest) = rest.split_once("\", line ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((file.to_string(), digits.parse().ok()?))
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
                stack(&failure.traceback).into_iter().collect()
            }
            WorkerError::Died { output, .. } | WorkerError::StartTimeout { output, .. } => tail("it wrote", output),
            WorkerError::Timeout { stack, .. } => tail("it was here", stack),
            WorkerError::Environment { output, .. } | WorkerError::Uv { output } => tail("uv says", output),
            _ => source_note(worker.as_ref()),
        },
        PythonError::Requires { .. } | PythonError::Account { .. } | PythonError::TableLimit { .. } => Vec::new(),
    }
}

fn source_note(error: &WorkerError) -> Vec<String> {
    error.source().map(|cause| format!("cause: {cause}")).into_iter().collect()
}

fn causes(verdict: &Verdict) -> Vec<String> {
    let mut notes: Vec<String> = verdict
        .causes
        .iter()
        .take(NAMED_CAUSES)
        .map(|cause| format!("{} row{}: {}", cause.rows, if cause.rows == 1 { "" } else { "s" }, cause.summary()))
        .collect();
    if let Some(cause) = verdict.causes.first() {
        notes.extend(stack(&cause.traceback));
    }
    notes
}

fn stack(traceback: &str) -> Option<String> {
    let lines: Vec<&str> = traceback.trim_end().lines().collect();
    let skipped = lines.len().saturating_sub(STACK_LINES);
    (!lines.is_empty()).then(|| lines[skipped..].join("\n"))
}

fn tail(what: &str, text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let skipped = lines.len().saturating_sub(STACK_LINES);
    match lines.is_empty() {
        true => Vec::new(),
        false => vec![format!("{what}:\n{}", lines[skipped..].join("\n"))],
    }
}
