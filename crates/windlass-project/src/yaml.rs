//! YAML with the place of every key and value.
//!
//! A small tree over the events of `saphyr-parser`, because diagnostics need what usual YAML
//! values lose: spans, both places of a duplicate key, and a scalar's text as written.
//!
//! Must stay true: a tree is at most [`MAX_DEPTH`] deep and [`MAX_NODES`] large, aliases included,
//! so that walking it by recursion is safe.

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};
use windlass_error::{Code, Diagnostic, Location, SourceFile};

const MAX_DEPTH: usize = 64;
const MAX_NODES: usize = 100_000;

/// A value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Yaml {
    pub(crate) value: Value,
    /// The scalar, or the first line of a list or map.
    pub(crate) at: Location,
}

#[derive(Debug, Clone)]
pub(crate) enum Value {
    Scalar(Scalar),
    List(Vec<Yaml>),
    Map(Vec<Entry>),
}

/// A scalar, not yet interpreted: its key decides whether `1` is a number or a name.
#[derive(Debug, Clone)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Whether it stood there without quotes, so that `true`, `1` and `~` have their meaning.
    pub(crate) plain: bool,
    /// What to show in messages where `text` may hold a secret.
    pub(crate) written: Option<String>,
}

/// A key of a map with its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_at: Location,
    pub(crate) value: Yaml,
}

/// Parses a file. The tree is `None` for an empty file, or where the YAML cannot be parsed; every
/// problem found is added to `problems`.
pub(crate) fn parse(file: &Arc<SourceFile>, problems: &mut Vec<Diagnostic>) -> Option<Yaml> {
    let mut builder = Builder::new(file);
    let mut parser = Parser::new_from_str(&file.text);
    while let Some(event) = parser.next_event() {
        let step = match event {
            Ok((event, span)) => builder.accept(event, span),
            Err(err) => Err(builder.syntax_error(&err)),
        };
        if let Err(problem) = step {
            problems.append(&mut builder.problems);
            problems.push(*problem);
            return None;
        }
    }
    problems.append(&mut builder.problems);
    builder.root
}

impl Yaml {
    pub(crate) fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        self.scalar().is_some_and(Scalar::is_null)
    }

    /// Returns what stands there, for a message that says what was expected instead.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a map".into(),
            Value::Scalar(scalar) if scalar.is_null() => "nothing".into(),
            Value::Scalar(scalar) => {
                let text = scalar.written.as_deref().unwrap_or(&scalar.text);
                let line = text.lines().next().unwrap_or_default();
                let short: String = line.chars().take(40).collect();
                if short.len() < text.len() { format!("`{short}...`") } else { format!("`{short}`") }
            }
        }
    }
}

impl Scalar {
    pub(crate) fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    pub(crate) fn as_bool(&self) -> Option<bool> {
        match self.text.as_str() {
            "true" | "True" | "TRUE" if self.plain => Some(true),
            "false" | "False" | "FALSE" if self.plain => Some(false),
            _ => None,
        }
    }

    pub(crate) fn as_int(&self) -> Option<i64> {
        if !self.plain {
            return None;
        }
        let text = self.text.as_str();
        if let Some(digits) = text.strip_prefix("0x") {
            return i64::from_str_radix(digits, 16).ok();
        }
        if let Some(digits) = text.strip_prefix("0o") {
            return i64::from_str_radix(digits, 8).ok();
        }
        text.parse().ok()
    }

    pub(crate) fn as_float(&self) -> Option<f64> {
        let looks_numeric = self.text.chars().all(|c| c.is_ascii_digit() || "+-.eE".contains(c))
            && self.text.contains(|c: char| c.is_ascii_digit());
        if self.plain && looks_numeric { self.text.parse().ok() } else { None }
    }
}

/// A list or map that is still open.
struct Open {
    start: usize,
    anchor: usize,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Yaml>),
    Map { entries: Vec<Entry>, key: Option<(String, Location)> },
}

struct Builder<'a> {
    file: &'a Arc<SourceFile>,
    /// Byte offset of each line's start.
    lines: Vec<usize>,
    stack: Vec<Open>,
    anchors: HashMap<usize, (Yaml, usize)>,
    nodes: usize,
    documents: usize,
    root: Option<Yaml>,
    problems: Vec<Diagnostic>,
}

type Step = Result<(), Box<Diagnostic>>;

impl<'a> Builder<'a> {
    fn new(file: &'a Arc<SourceFile>) -> Self {
        Self {
            file,
            lines: line_starts(&file.text),
            stack: Vec::new(),
            anchors: HashMap::new(),
            nodes: 0,
            documents: 0,
            root: None,
            problems: Vec::new(),
        }
    }

    fn accept(&mut self, event: Event<'_>, span: Span) -> Step {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => self.start_document(span),
            Event::Alias(id) => self.alias(id, span),
            Event::Scalar(text, style, anchor, tag) => {
                self.check_tag(tag.as_deref(), span)?;
                let forced_text = tag.is_some_and(|tag| tag.suffix == "str");
                let plain = style == ScalarStyle::Plain && !forced_text;
                let scalar = Scalar { text: text.into_owned(), plain, written: None };
                let at = self.location(span);
                self.finish(Yaml { value: Value::Scalar(scalar), at }, anchor, 1)
            }
            Event::SequenceStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), span)?;
                self.open(span, anchor, OpenKind::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), span)?;
                self.open(span, anchor, OpenKind::Map { entries: Vec::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
        }
    }

    fn start_document(&mut self, span: Span) -> Step {
        self.documents += 1;
        if self.documents == 1 {
            return Ok(());
        }
        let problem = Diagnostic::error(Code::YAML_SYNTAX, "a file holds one YAML document")
            .at(self.location(span))
            .label("a second one starts here")
            .hint("move it into a file of its own");
        Err(Box::new(problem))
    }

    fn check_tag(&self, tag: Option<&saphyr_parser::Tag>, span: Span) -> Step {
        match tag {
            Some(tag) if !tag.is_yaml_core_schema() => Err(Box::new(
                Diagnostic::error(Code::YAML_SYNTAX, format!("the YAML tag `{tag}` is not supported"))
                    .at(self.location(span))
                    .hint("write the plain value, in quotes if it starts with `!`"),
            )),
            _ => Ok(()),
        }
    }

    fn alias(&mut self, id: usize, span: Span) -> Step {
        let Some((value, size)) = self.anchors.get(&id).cloned() else {
            let problem = Diagnostic::error(Code::YAML_SYNTAX, "an alias refers to the value that it stands in")
                .at(self.location(span));
            return Err(Box::new(problem));
        };
        self.finish(value, 0, size)
    }

    fn open(&mut self, span: Span, anchor: usize, kind: OpenKind) -> Step {
        let start = self.offset(span.start.line(), span.start.col());
        if self.stack.len() >= MAX_DEPTH {
            return Err(self.too_big(span, "nested too deeply"));
        }
        self.stack.push(Open { start, anchor, kind });
        Ok(())
    }

    fn close(&mut self, span: Span) -> Step {
        let Some(open) = self.stack.pop() else { return Ok(()) };
        let end = self.offset(span.end.line(), span.end.col()).max(open.start);
        let line = self.file.text[open.start..end].split(['\n', '\r']).next().unwrap_or_default();
        // The end of `[a]` is marked after the comment that follows it.
        let flow_end = if line.starts_with(['[', '{', '&']) { line.rfind([']', '}']).map(|at| at + 1) } else { None };
        let width = flow_end.unwrap_or(line.trim_end().len());
        let at = Location::new(self.file, open.start..open.start + width);
        let value = match open.kind {
            OpenKind::List(items) => Value::List(items),
            OpenKind::Map { entries, .. } => Value::Map(self.merge(entries)),
        };
        let yaml = Yaml { value, at };
        let size = if open.anchor == 0 { 1 } else { size(&yaml) };
        self.finish(yaml, open.anchor, size)
    }

    /// Hands a complete value to the list or map around it.
    fn finish(&mut self, yaml: Yaml, anchor: usize, size: usize) -> Step {
        self.nodes += size;
        if self.nodes > MAX_NODES {
            let problem = Diagnostic::error(Code::YAML_SYNTAX, "the YAML expands to too many values").at(yaml.at);
            return Err(Box::new(problem));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, (yaml.clone(), size));
        }
        match self.stack.last_mut().map(|open| &mut open.kind) {
            None => self.root = (!yaml.is_null()).then_some(yaml),
            Some(OpenKind::List(items)) => items.push(yaml),
            Some(OpenKind::Map { entries, key }) => match key.take() {
                Some((key, key_at)) => entries.push(Entry { key, key_at, value: yaml }),
                None => {
                    let Value::Scalar(scalar) = yaml.value else { return Err(self.bad_key(yaml.at)) };
                    *key = Some((scalar.text, yaml.at));
                }
            },
        }
        Ok(())
    }

    /// Reports keys that stand there twice and resolves `<<`.
    fn merge(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let mut merged: Vec<Entry> = Vec::with_capacity(entries.len());
        let mut inherited = Vec::new();
        for entry in entries {
            if entry.key == "<<" {
                inherited.push(entry.value);
            } else if let Some(first) = merged.iter().find(|known| known.key == entry.key) {
                self.problems.push(duplicate(&format!("key `{}`", entry.key), &first.key_at, &entry.key_at));
            } else {
                merged.push(entry);
            }
        }
        for base in inherited {
            let bases = match base.value {
                Value::List(items) => items,
                _ => vec![base],
            };
            for base in bases {
                let Value::Map(entries) = base.value else {
                    let problem = Diagnostic::error(Code::INVALID_VALUE, "expected a map for `<<`").at(base.at);
                    self.problems.push(problem);
                    continue;
                };
                for entry in entries {
                    if !merged.iter().any(|known| known.key == entry.key) {
                        merged.push(entry);
                    }
                }
            }
        }
        merged
    }

    fn bad_key(&self, at: Location) -> Box<Diagnostic> {
        let problem = Diagnostic::error(Code::YAML_SYNTAX, "a key must be a plain name").at(at);
        Box::new(self.with_template_hint(problem))
    }

    fn too_big(&self, span: Span, why: &str) -> Box<Diagnostic> {
        Box::new(Diagnostic::error(Code::YAML_SYNTAX, format!("the YAML is {why}")).at(self.location(span)))
    }

    fn syntax_error(&self, err: &ScanError) -> Box<Diagnostic> {
        let start = self.offset(err.marker().line(), err.marker().col());
        let width = self.file.text[start..].chars().next().filter(|c| !c.is_control()).map_or(0, char::len_utf8);
        let problem = Diagnostic::error(Code::YAML_SYNTAX, format!("the YAML cannot be parsed: {}", err.info()))
            .at(Location::new(self.file, start..start + width));
        Box::new(self.with_template_hint(problem))
    }

    /// Adds the usual reason for odd YAML: a template without quotes.
    fn with_template_hint(&self, problem: Diagnostic) -> Diagnostic {
        let unquoted = problem.location.as_ref().is_some_and(|at| {
            let (line, _) = at.position();
            let line = self.file.text.lines().nth(line - 1).unwrap_or_default();
            line.split_once("{{").is_some_and(|(before, _)| !before.contains(['"', '\'']))
        });
        if unquoted { problem.hint("put quotes around a value with `{{ }}`") } else { problem }
    }

    fn location(&self, span: Span) -> Location {
        let start = self.offset(span.start.line(), span.start.col());
        let end = self.offset(span.end.line(), span.end.col()).max(start);
        Location::new(self.file, start..end)
    }

    /// Returns the byte offset of a marker. Its own index counts characters, so the line and the
    /// column are used: they also agree with the text after anything the scanner miscounts.
    fn offset(&self, line: usize, column: usize) -> usize {
        let text = &self.file.text;
        let Some(&start) = self.lines.get(line.saturating_sub(1)) else { return text.len() };
        let end = self.lines.get(line).copied().unwrap_or(text.len());
        text[start..end].char_indices().nth(column).map_or(end, |(at, _)| start + at)
    }
}

/// Returns the diagnostic for a name that stands in two places.
pub(crate) fn duplicate(what: &str, first: &Location, second: &Location) -> Diagnostic {
    Diagnostic::error(Code::DUPLICATE_NAME, format!("duplicate {what}"))
        .at(second.clone())
        .label("again here")
        .related(first.clone(), "first here")
}

fn size(yaml: &Yaml) -> usize {
    1 + match &yaml.value {
        Value::Scalar(_) => 0,
        Value::List(items) => items.iter().map(size).sum(),
        Value::Map(entries) => entries.iter().map(|entry| size(&entry.value)).sum(),
    }
}

/// Returns where lines start; `\n`, `\r` and `\r\n` end a line, as in YAML.
fn line_starts(text: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let mut starts = vec![0];
    for (at, byte) in bytes.iter().enumerate() {
        let ends_line = *byte == b'\n' || (*byte == b'\r' && bytes.get(at + 1) != Some(&b'\n'));
        if ends_line {
            starts.push(at + 1);
        }
    }
    starts
}

#[cfg(test)]
mod tests;
