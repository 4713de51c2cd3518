//! Mistakes and failures on screen, and exit codes.
//!
//! A [`Diagnostic`] is drawn as rustc draws it, with the user's own line and a caret. Any other
//! failure says what failed, why, and the way out. Whose fault it is comes from `Classify`.

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::process::ExitCode;
use std::sync::Arc;

use annotate_snippets::renderer::DEFAULT_TERM_WIDTH;
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};
use windlass_error::{Classify, Code, Diagnostic, Location, Severity};
use windlass_runner::SharedError;

use crate::compose::BuildError;
use crate::printer::Printer;
use crate::refusal::Refusal;
use crate::style::Paint;

/// How a command ended that could do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// All is done.
    Done,
    /// The run finished with failures, or was stopped.
    Failures,
    /// A run would build something; told only to those who ask.
    Changes,
}

/// Mistakes in the project's files that stand in the way.
#[derive(Debug)]
pub(crate) struct Mistakes {
    /// All of them, at least one.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl std::fmt::Display for Mistakes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the project has mistakes")
    }
}

impl StdError for Mistakes {}

/// Prints why a command could not do its work, and returns the exit code.
pub(crate) fn exit_code(status: anyhow::Result<Status>, printer: &Printer) -> ExitCode {
    let error = match status {
        Ok(Status::Done) => return ExitCode::SUCCESS,
        Ok(Status::Failures) => return ExitCode::from(1),
        Ok(Status::Changes) => return ExitCode::from(10),
        Err(error) => error,
    };
    if is_closed_pipe(&error) {
        return ExitCode::SUCCESS;
    }
    let mut codes = BTreeSet::new();
    printer.problem(&failure(error.as_ref(), printer.paint(), &mut codes));
    if let Some(line) = more(&codes, printer.paint()) {
        printer.problem(&line);
    }
    ExitCode::from(2)
}

/// Prints help, the version or how the command line is wrong, and returns the exit code.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    // A reader that has gone away is no failure.
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// Returns diagnostics one below the other, and notes their codes.
pub(crate) fn diagnostics<'a>(
    all: impl IntoIterator<Item = &'a Diagnostic>,
    paint: Paint,
    codes: &mut BTreeSet<Code>,
) -> String {
    let mut texts: Vec<String> = Vec::new();
    for one in all {
        codes.insert(one.code);
        let text = diagnostic(one, paint);
        // The same line of a macro may be wrong in many transforms.
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts.join("\n")
}

/// Returns a failure with its causes and the way out, and notes its code.
pub(crate) fn failure(error: &(dyn StdError + 'static), paint: Paint, codes: &mut BTreeSet<Code>) -> String {
    if let Some(all) = mistakes(error) {
        return with_count(diagnostics(all, paint, codes), all, paint);
    }
    if let Some(blame) = blame(error) {
        return diagnostics([blame], paint, codes);
    }
    let classified = classified(error);
    let code = classified.and_then(Classify::code);
    codes.extend(code);
    let title = match code {
        Some(code) => paint.bad(&format!("error[{code}]")),
        None => paint.bad("error"),
    };
    let mut text = format!("{title}{}\n", paint.strong(&format!(": {}", indented(&error.to_string(), "  "))));
    for cause in causes(error) {
        text.push_str(&format!("  {}: {}\n", paint.faint("cause"), indented(&cause, "    ")));
    }
    if let Some(hint) = classified.and_then(Classify::hint) {
        text.push_str(&format!("  {}: {}\n", paint.help("hint"), indented(&hint, "    ")));
    }
    text
}

/// Returns the mistakes that a failure stands for, where it does.
fn mistakes<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a [Diagnostic]> {
    if let Some(Mistakes { diagnostics }) = error.downcast_ref::<Mistakes>() {
        return Some(diagnostics);
    }
    match error.downcast_ref::<windlass_engine::Error>()? {
        windlass_engine::Error::Mistakes { diagnostics } => Some(diagnostics),
        _ => None,
    }
}

/// Returns the mistake in the user's SQL that a failure comes from, where one was found.
pub(crate) fn blame<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Diagnostic> {
    if let Some(failed) = error.downcast_ref::<BuildError>() {
        return failed.blame();
    }
    match error.downcast_ref::<windlass_engine::Error>()? {
        windlass_engine::Error::Compute { blame, .. } => blame.as_deref(),
        _ => None,
    }
}

/// Returns a failure and its causes in one line.
pub(crate) fn one_line(error: &(dyn StdError + 'static)) -> String {
    let all: Vec<String> = [error.to_string()].into_iter().chain(causes(error)).collect();
    all.join(": ").replace('\n', " ")
}

/// Returns the mistake that is to blame, or the failure and its causes, in one line.
pub(crate) fn in_a_line(error: &(dyn StdError + 'static)) -> String {
    blame(error).map_or_else(|| one_line(error), |blame| blame.message.clone())
}

/// Returns a failure of a node as an error that can be looked into.
pub(crate) fn as_error(error: &SharedError) -> &(dyn StdError + 'static) {
    let classified: &(dyn Classify + Send + Sync) = error.as_ref();
    classified
}

/// Returns the line that says where more is said about these codes.
pub(crate) fn more(codes: &BTreeSet<Code>, paint: Paint) -> Option<String> {
    let codes: Vec<&str> = codes.iter().map(|code| code.0).collect();
    (!codes.is_empty()).then(|| paint.faint(&format!("windlass explain {}", codes.join(" "))))
}

fn with_count(mut text: String, all: &[Diagnostic], paint: Paint) -> String {
    let errors = all.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    if errors > 1 {
        text.push_str(&format!("\n{}\n", paint.strong(&format!("{errors} mistakes, nothing was done"))));
    }
    text
}

/// Returns a diagnostic as rustc draws it.
fn diagnostic(diagnostic: &Diagnostic, paint: Paint) -> String {
    let level = match diagnostic.severity {
        Severity::Warning => Level::WARNING,
        Severity::Error => Level::ERROR,
    };
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code.0);
    let mut group = Group::with_title(title);
    for snippet in snippets(diagnostic) {
        group = group.element(snippet);
    }
    for note in &diagnostic.notes {
        group = group.element(Level::NOTE.message(note.as_str()));
    }
    if let Some(hint) = &diagnostic.hint {
        group = group.element(Level::HELP.message(hint.as_str()));
    }
    let renderer = if paint.colors { Renderer::styled() } else { Renderer::plain() };
    let mut text = renderer.term_width(DEFAULT_TERM_WIDTH).render(&[group]);
    text.push('\n');
    text
}

/// Returns the places of a diagnostic, one snippet a file, the file to blame first.
fn snippets(diagnostic: &Diagnostic) -> Vec<Snippet<'_, Annotation<'_>>> {
    let primary = diagnostic.location.iter().map(|location| {
        let label = diagnostic.label.as_deref();
        (location, AnnotationKind::Primary, label)
    });
    let related =
        diagnostic.related.iter().map(|(location, text)| (location, AnnotationKind::Context, Some(text.as_str())));
    let mut files: Vec<(&Location, Vec<Annotation<'_>>)> = Vec::new();
    for (location, kind, label) in primary.chain(related) {
        let annotation = kind.span(first_line(location)).label(label);
        match files.iter_mut().find(|(first, _)| Arc::ptr_eq(&first.file, &location.file)) {
            Some((_, annotations)) => annotations.push(annotation),
            None => files.push((location, vec![annotation])),
        }
    }
    files.into_iter().map(|(location, annotations)| snippet(location, annotations)).collect()
}

fn snippet<'a>(location: &'a Location, annotations: Vec<Annotation<'a>>) -> Snippet<'a, Annotation<'a>> {
    let path = location.file.path.to_string_lossy().into_owned();
    Snippet::source(location.file.text.as_str()).path(path).annotations(annotations)
}

/// Returns the part of a place that stands on its first line: a caret below ten lines helps nobody.
fn first_line(location: &Location) -> std::ops::Range<usize> {
    let text = &location.file.text[location.span.clone()];
    let length = text.find('\n').unwrap_or(text.len());
    location.span.start..location.span.start + text[..length].trim_end().len()
}

/// Returns the texts of what lies behind an error, without those that the text before says already.
fn causes(error: &(dyn StdError + 'static)) -> Vec<String> {
    let mut said = error.to_string();
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string().trim().to_owned();
        if !text.is_empty() && !said.contains(&text) {
            said.clone_from(&text);
            causes.push(text);
        }
        next = cause.source();
    }
    causes
}

fn indented(text: &str, indent: &str) -> String {
    text.replace('\n', &format!("\n{indent}"))
}

/// Returns the answers of an error that is one of ours.
fn classified<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a dyn Classify> {
    fn one<'a, E: Classify + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a dyn Classify> {
        error.downcast_ref::<E>().map(|error| error as &dyn Classify)
    }
    one::<BuildError>(error)
        .or_else(|| one::<windlass_engine::Error>(error))
        .or_else(|| one::<windlass_model::Error>(error))
        .or_else(|| one::<windlass_runner::Error>(error))
        .or_else(|| one::<windlass_project::SelectionError>(error))
        .or_else(|| one::<Refusal>(error))
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests;
