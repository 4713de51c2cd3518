//! Turns what goes wrong in a template into diagnostics with the user's own places.

use std::ops::Range;
use std::sync::Arc;

use minijinja::{Error, ErrorKind};
use windlass_error::{Code, Diagnostic, Location, SourceFile, nearest};

use super::calls::Calls;
use super::functions::CallFault;
use super::lexer;

/// Functions and macros that a user may mean, besides the project's own macros.
pub(crate) const SQL_FUNCTIONS: [&str; 10] =
    ["ref", "source", "config", "var", "env_var", "is_incremental", "range", "dict", "namespace", "target"];
pub(crate) const YAML_FUNCTIONS: [&str; 3] = ["var", "env_var", "target"];

/// The folder of macro files.
pub(crate) const MACRO_FOLDER: &str = "macros/";

/// What people look for where it is not, each with what to do.
const KNOWN_ABSENT: [(&str, &str); 4] = [
    ("this", "it is there in transforms with `materialized: incremental`, inside of `{% if is_incremental() %}`"),
    ("interval_start", "it is there in transforms with `strategy: by_interval`"),
    ("interval_end", "it is there in transforms with `strategy: by_interval`"),
    ("run_query", "templates cannot run queries; write the query in SQL"),
];

/// A template's text and where it stands in a file.
#[derive(Debug)]
pub(crate) struct TemplateText {
    /// The name that MiniJinja knows it by.
    pub(crate) name: String,
    /// The whole template.
    pub(crate) at: Location,
    /// Which parts of it stand where in the file, character by character.
    pub(crate) copies: Vec<Copied>,
    is_file: bool,
    pub(crate) calls: Calls,
}

/// A part of a template that stands in its file as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Copied {
    /// The part.
    pub(crate) part: Range<usize>,
    /// Where it starts in the file.
    pub(crate) start: usize,
}

impl TemplateText {
    /// Returns the template that is a whole file.
    pub(crate) fn of_file(file: &Arc<SourceFile>) -> Self {
        Self {
            name: file.path.to_string_lossy().into_owned(),
            at: Location::new(file, 0..0),
            copies: vec![Copied { part: 0..file.text.len(), start: 0 }],
            is_file: true,
            calls: Calls::scan(&file.text),
        }
    }

    /// Returns the template that is a YAML scalar; escapes and folded lines hide its places.
    pub(crate) fn of_scalar(text: &str, at: &Location) -> Self {
        let name = at.file.path.to_string_lossy().into_owned();
        Self { name, at: at.clone(), copies: copies(text, at), is_file: false, calls: Calls::scan(text) }
    }

    /// Returns whether MiniJinja means this template; macro files also go by a shorter name.
    fn has_name(&self, name: &str) -> bool {
        self.name == name || self.name.strip_prefix(MACRO_FOLDER) == Some(name)
    }

    pub(crate) fn locate(&self, range: Range<usize>) -> Location {
        match (self.place(range.start), self.place(range.end)) {
            (Some(start), Some(end)) if start <= end => Location::new(&self.at.file, start..end),
            _ => self.at.clone(),
        }
    }

    /// Returns where in the file a place of the template is.
    fn place(&self, at: usize) -> Option<usize> {
        let copied = self.copies.iter().find(|copied| (copied.part.start..=copied.part.end).contains(&at))?;
        Some(copied.start + (at - copied.part.start))
    }

    fn locate_error(&self, err: &Error) -> Location {
        match (err.range(), err.line()) {
            (Some(range), _) if self.place(range.start).is_some() => {
                let at = self.locate(range);
                // The range of `x.y` may lack its start.
                let before = &at.file.text[..at.span.start];
                match at.file.text[at.span.clone()].chars().next() {
                    Some('.' | '(') => Location::new(&at.file, start_of_word(before)..at.span.end),
                    _ => at,
                }
            }
            (_, Some(line)) if self.is_file => {
                let start = self.at.file.offset(line, 1);
                Location::new(&self.at.file, start..self.at.file.offset(line, usize::MAX))
            }
            _ => self.at.clone(),
        }
    }
}

/// Returns the parts of a scalar that stand in its file as they are: all of it, or line by line where its
/// lines are indented there.
fn copies(text: &str, at: &Location) -> Vec<Copied> {
    let written = &at.file.text[at.span.clone()];
    if let Some(start) = written.find(text) {
        return vec![Copied { part: 0..text.len(), start: at.span.start + start }];
    }
    let (mut copies, mut from, mut seen) = (Vec::new(), 0, 0);
    for line in text.split_inclusive('\n') {
        let part = seen..seen + line.trim_end().len();
        seen += line.len();
        if part.is_empty() {
            continue;
        }
        let Some(start) = written[from..].find(&text[part.clone()]) else { return Vec::new() };
        from += start + part.len();
        copies.push(Copied { start: at.span.start + from - part.len(), part });
    }
    copies
}

/// The templates that take part in a rendering.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Texts<'a> {
    pub(crate) main: &'a TemplateText,
    pub(crate) macros: &'a [TemplateText],
}

impl<'a> Texts<'a> {
    pub(crate) fn iter(self) -> impl Iterator<Item = &'a TemplateText> {
        std::iter::once(self.main).chain(self.macros)
    }
}

/// Returns where a call with these literal arguments stands: the argument itself, or else any such
/// string, or else the first call of the function.
pub(crate) fn locate_call(texts: Texts<'_>, function: &str, literals: &[String], index: usize) -> Location {
    let wanted: Vec<&str> = literals.iter().map(String::as_str).collect();
    let find = |find: &dyn Fn(&Calls) -> Option<Range<usize>>| {
        texts.iter().find_map(|text| find(&text.calls).map(|span| text.locate(span)))
    };
    find(&|calls| calls.argument(function, &wanted, index))
        .or_else(|| find(&|calls| calls.text(literals.get(index)?)))
        .or_else(|| find(&|calls| calls.first(function)))
        .unwrap_or_else(|| texts.main.at.clone())
}

/// Returns the diagnostic for a mistake that a function noted.
pub(crate) fn of_call(fault: CallFault, texts: Texts<'_>) -> Diagnostic {
    let at = locate_call(texts, fault.function, &fault.literals, fault.index);
    let mut problem = Diagnostic::error(fault.code, fault.message).at(at);
    problem.label = fault.label;
    problem.hint = fault.hint;
    problem
}

/// Returns the diagnostic for an error of MiniJinja: the innermost place is blamed, the calls that
/// led there are related.
pub(crate) fn of_error(err: &Error, texts: Texts<'_>, names: &[&str]) -> Diagnostic {
    let mut chain = vec![err];
    while let Some(inner) = chain.last().and_then(|err| std::error::Error::source(*err)) {
        let Some(inner) = inner.downcast_ref::<Error>() else { break };
        chain.push(inner);
    }
    let place = |err: &Error| {
        let text = texts.iter().find(|text| err.name().is_some_and(|name| text.has_name(name)));
        text.map(|text| text.locate_error(err))
    };
    let innermost = chain.last().copied().unwrap_or(err);
    let location = chain.iter().rev().find_map(|err| place(err)).unwrap_or_else(|| texts.main.at.clone());
    let (location, is_open) = match unclosed(innermost, texts, &location) {
        Some(at) => (at, true),
        None => (location, false),
    };
    let mut problem = describe(innermost, &location, names);
    if is_open {
        problem = problem.label("this is never closed");
    }
    for outer in chain.iter().rev().skip(1) {
        match place(outer) {
            Some(at) if at != location && !problem.related.iter().any(|(known, _)| *known == at) => {
                problem = problem.related(at, "called here")
            }
            _ => {}
        }
    }
    problem.at(location)
}

/// Returns the tag or block that is still open where MiniJinja met the end of the template.
fn unclosed(err: &Error, texts: Texts<'_>, location: &Location) -> Option<Location> {
    let at_end = err.kind() == ErrorKind::SyntaxError && err.detail()?.starts_with("unexpected end of");
    let text = texts.iter().find(|text| at_end && text.is_file && text.at.file == location.file)?;
    let source = &text.at.file.text;
    let range = lexer::open_tag(source).map(|start| start..start + 2).or_else(|| lexer::open_block(source))?;
    Some(text.locate(range))
}

fn describe(err: &Error, location: &Location, names: &[&str]) -> Diagnostic {
    let detail = err.detail().unwrap_or_default();
    let text = &location.file.text[location.span.clone()];
    match err.kind() {
        ErrorKind::SyntaxError => {
            Diagnostic::error(Code::TEMPLATE_SYNTAX, format!("the template cannot be parsed: {detail}"))
        }
        ErrorKind::UnknownFunction => {
            unknown("macro or function", word(detail.split(' ').next().unwrap_or(text)), names)
        }
        ErrorKind::UndefinedError if !word(text).is_empty() && word(text) == text => unknown("variable", text, names),
        ErrorKind::UndefinedError => {
            let what = if text.is_empty() { "a value".to_owned() } else { format!("`{text}`") };
            Diagnostic::error(Code::TEMPLATE_RENDER, format!("{what} is undefined"))
        }
        ErrorKind::UnknownFilter => unknown("filter", quoted_word(detail), &[]),
        ErrorKind::UnknownTest => unknown("template test", quoted_word(detail), &[]),
        ErrorKind::TemplateNotFound => {
            let name = detail.split(['"', '`']).nth(1).map_or(detail, |name| name);
            Diagnostic::error(Code::UNKNOWN_MACRO, format!("no macro file `{name}`"))
                .hint("name the file below `macros/`, such as `{% import 'dates.sql' as dates %}`")
        }
        kind => {
            let reason = if detail.is_empty() { kind.to_string() } else { detail.to_owned() };
            let what =
                if text.is_empty() || text.contains('\n') { "the template".to_owned() } else { format!("`{text}`") };
            Diagnostic::error(Code::TEMPLATE_RENDER, format!("cannot render {what}: {reason}"))
        }
    }
}

fn unknown(what: &str, name: &str, names: &[&str]) -> Diagnostic {
    let problem = Diagnostic::error(Code::UNKNOWN_MACRO, format!("no {what} `{name}`"));
    if let Some((_, hint)) = KNOWN_ABSENT.iter().find(|(absent, _)| *absent == name) {
        return problem.hint(*hint);
    }
    match nearest(name, names.iter().copied()) {
        Some(near) => problem.label(format!("did you mean `{near}`?")),
        None if what == "variable" => {
            problem.hint("project variables are read with `var('name')`, text stands in quotes")
        }
        None if what == "macro or function" => problem.hint("define it as a macro in a file below `macros/`"),
        None => problem.hint("see the filters and tests of MiniJinja"),
    }
}

/// Returns where the identifier starts that `text` ends with.
fn start_of_word(text: &str) -> usize {
    text.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_').len()
}

/// Returns the identifier that `text` starts with.
fn word(text: &str) -> &str {
    &text[..text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())]
}

/// Returns the first word of messages such as "filter foo is unknown".
fn quoted_word(detail: &str) -> &str {
    detail.split(' ').nth(1).map_or(detail, word)
}
