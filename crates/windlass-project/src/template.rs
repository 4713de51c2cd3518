//! Renders templates: SQL files with a map back to them, and the strings of YAML files.
//!
//! SQL is rendered twice. The first rendering is the SQL and collects what the template mentions;
//! the second carries marks (`marks`) that say where each part came from. If the marks changed
//! what was rendered, a coarser way is tried.
//!
//! Must stay true: templates reach nothing but what their [`Scope`] holds.

mod calls;
mod faults;
mod functions;
mod lexer;
mod marks;
mod values;

use std::ops::Range;
use std::sync::Arc;

use indexmap::IndexMap;
use minijinja::{Environment, Error, Value as Jinja, context};
use windlass_error::{Code, Diagnostic, Location, SourceFile};

pub(crate) use faults::Copied;
pub(crate) use functions::{Scope, Secrets};
pub(crate) use values::{to_jinja, to_json};

use crate::checks::{CHECK_KEYS, QUERY, Written};
use crate::models;
use crate::names::quoted;
use crate::problems::Problems;
use crate::yaml::{Entry, Scalar, Value, Yaml, duplicate};
use crate::{INTERVAL_END, INTERVAL_START, Input, InputPart, OnError, SourceMap, Transform};
use faults::{MACRO_FOLDER, SQL_FUNCTIONS, TemplateText, Texts, YAML_FUNCTIONS};
use functions::{Recorder, Shared};
use marks::{Mark, Reach};

/// Renders the strings of `targets.yml` and `sources.yml`.
pub(crate) struct YamlTemplates {
    env: Environment<'static>,
    shared: Arc<Shared>,
}

/// Renders SQL files.
pub(crate) struct SqlTemplates {
    plain: Environment<'static>,
    marked: Environment<'static>,
    shared: Arc<Shared>,
    macro_files: Vec<Arc<SourceFile>>,
    macro_texts: Vec<TemplateText>,
    macro_marks: Vec<Mark>,
    names: Vec<String>,
}

/// What a SQL file finds beside the functions.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FileScope<'a> {
    /// The table that it calls `this`, which is there where rows of it are kept: `is_incremental()`.
    pub(crate) this: Option<&'a str>,
    /// Whether there are `interval_start` and `interval_end`.
    pub(crate) has_interval: bool,
}

impl FileScope<'_> {
    fn values(self) -> Jinja {
        let this = self.this.map(|this| ("this", Jinja::from(reference(this))));
        let ends = [("interval_start", INTERVAL_START), ("interval_end", INTERVAL_END)];
        let ends = ends.map(|(name, text)| (name, Jinja::from(text)));
        Jinja::from_pairs(this.into_iter().chain(ends.into_iter().filter(|_| self.has_interval)))
    }
}

/// A rendered SQL file.
#[derive(Debug)]
pub(crate) struct Rendered {
    pub(crate) sql: String,
    pub(crate) map: SourceMap,
    pub(crate) inputs: Vec<Input>,
    /// What `config()` set.
    pub(crate) config: Vec<Entry>,
    pub(crate) vars: IndexMap<String, String>,
}

impl From<Rendered> for Transform {
    fn from(rendered: Rendered) -> Self {
        let Rendered { sql, map, inputs, config: _, vars } = rendered;
        Self { sql, map, inputs, vars, incremental: None, on_error: OnError::Null }
    }
}

impl YamlTemplates {
    pub(crate) fn new(scope: Scope) -> Self {
        let shared = Shared::new(scope);
        Self { env: functions::environment(&shared, Secrets::Allowed), shared }
    }

    /// Returns the value with every string rendered. Strings from a template keep what was
    /// written there for messages, and count as if they stood without quotes.
    pub(crate) fn render(&self, yaml: &Yaml, problems: &mut Problems) -> Yaml {
        let value = match &yaml.value {
            Value::List(items) => Value::List(items.iter().map(|item| self.render(item, problems)).collect()),
            Value::Map(entries) => {
                let mut render = |entry: &Entry| match CHECK_KEYS.contains(&entry.key.as_str()) {
                    true => self.render_checks(&entry.value, problems),
                    false => self.render(&entry.value, problems),
                };
                Value::Map(entries.iter().map(|entry| Entry { value: render(entry), ..entry.clone() }).collect())
            }
            Value::Scalar(scalar) => Value::Scalar(self.render_scalar(scalar, &yaml.at, problems)),
        };
        Yaml { value, at: yaml.at.clone() }
    }

    /// Renders checks but for their queries, which are rendered as SQL when all tables are known.
    fn render_checks(&self, yaml: &Yaml, problems: &mut Problems) -> Yaml {
        let value = match &yaml.value {
            Value::List(items) => Value::List(items.iter().map(|item| self.render_checks(item, problems)).collect()),
            Value::Map(entries) => {
                let mut render = |entry: &Entry| match entry.key == QUERY {
                    true => entry.value.clone(),
                    false => self.render(&entry.value, problems),
                };
                Value::Map(entries.iter().map(|entry| Entry { value: render(entry), ..entry.clone() }).collect())
            }
            Value::Scalar(_) => return self.render(yaml, problems),
        };
        Yaml { value, at: yaml.at.clone() }
    }

    fn render_scalar(&self, scalar: &Scalar, at: &Location, problems: &mut Problems) -> Scalar {
        if !["{{", "{%", "{#"].iter().any(|tag| scalar.text.contains(tag)) {
            return scalar.clone();
        }
        let text = TemplateText::of_scalar(&scalar.text, at);
        let rendered = self.env.render_named_str(&text.name, &scalar.text, ());
        let recorder = std::mem::take(&mut *self.shared.recorder());
        let texts = Texts { main: &text, macros: &[] };
        let rendered = finish(rendered, recorder, texts, &YAML_FUNCTIONS, problems).map(|(rendered, _)| rendered);
        Scalar { text: rendered.unwrap_or_default(), plain: true, written: Some(scalar.text.clone()) }
    }
}

impl SqlTemplates {
    /// Compiles the project's macro files.
    pub(crate) fn new(scope: Scope, macro_files: Vec<Arc<SourceFile>>, problems: &mut Problems) -> Self {
        let shared = Shared::new(scope);
        let mut plain = functions::environment(&shared, Secrets::Refused);
        functions::add_sql_functions(&mut plain, &shared);
        let mut marked = plain.clone();
        let macro_texts: Vec<TemplateText> = macro_files.iter().map(TemplateText::of_file).collect();
        let mut names: Vec<String> = SQL_FUNCTIONS.map(str::to_owned).to_vec();
        let mut macro_marks = Vec::new();
        for (at, (file, text)) in macro_files.iter().zip(&macro_texts).enumerate() {
            if let Err(err) = add_file(&mut plain, &text.name, &file.text) {
                problems.push(faults::of_error(&err, Texts { main: text, macros: &[] }, &[]));
                continue;
            }
            let with_marks = marks::instrument(&file.text, at, Reach::All, &mut macro_marks);
            let with_marks = with_marks.unwrap_or_else(|| file.text.clone());
            // A failure shows as a difference between the two renderings.
            let _ = add_file(&mut marked, &text.name, &with_marks);
        }
        for (name, file) in unique_macros(&macro_texts, problems) {
            for env in [&mut plain, &mut marked] {
                functions::add_macro(env, &shared, &name, &file);
            }
            names.push(name);
        }
        Self { plain, marked, shared, macro_files, macro_texts, macro_marks, names }
    }

    /// Renders a SQL file; `None` where it has problems.
    pub(crate) fn render(
        &self,
        file: &Arc<SourceFile>,
        scope: FileScope<'_>,
        problems: &mut Problems,
    ) -> Option<Rendered> {
        self.shared.keep_rows(scope.this.is_some());
        let rendered = self.render_text(file, &TemplateText::of_file(file), &scope.values(), problems);
        self.shared.keep_rows(false);
        rendered
    }

    /// Renders a query that stands in a YAML file, for the table that it calls `this`.
    pub(crate) fn render_query(&self, query: &Written, this: &str, problems: &mut Problems) -> Option<Rendered> {
        let text = TemplateText::of_scalar(&query.text, &query.location);
        let alone = SourceFile::new(&query.location.file.path, query.text.clone());
        let mut rendered = self.render_text(&alone, &text, &context! { this => reference(this) }, problems)?;
        rendered.map = rendered.map.moved(&text.copies, &query.location);
        if !rendered.inputs.iter().any(|input| input.node == this && input.part == InputPart::Result) {
            let (node, location) = (this.to_owned(), query.location.clone());
            rendered.inputs.push(Input { node, reference: reference(this), location, part: InputPart::Result });
        }
        Some(rendered)
    }

    fn render_text(
        &self,
        file: &Arc<SourceFile>,
        text: &TemplateText,
        scope: &Jinja,
        problems: &mut Problems,
    ) -> Option<Rendered> {
        let texts = Texts { main: text, macros: &self.macro_texts };
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let rendered = self.plain.render_named_str(&text.name, &file.text, scope);
        let recorder = std::mem::take(&mut *self.shared.recorder());
        let (sql, recorder) = finish(rendered, recorder, texts, &names, problems)?;
        let map = self.map(file, &text.name, &sql, scope);
        let Recorder { mentions, config, vars, .. } = recorder;
        let inputs = mentions.into_iter().map(|mention| {
            let last = mention.literals.len() - 1;
            let location = faults::locate_call(texts, mention.function, &mention.literals, last);
            Input { node: mention.node, reference: mention.reference, location, part: mention.part }
        });
        let place = |span| match map.locate(span) {
            Some(place) if Arc::ptr_eq(&place.file, file) => text.locate(place.span),
            Some(place) => place,
            None => text.at.clone(),
        };
        let inputs = self.with_models(inputs.collect(), &sql, place, problems)?;
        let config = config.into_iter().map(|(key, value)| config_entry(&key, &value, texts)).collect();
        Some(Rendered { sql, map, inputs, config, vars })
    }

    /// Adds the models that some SQL names; `None` where one of them means nothing.
    fn with_models(
        &self,
        mut inputs: Vec<Input>,
        sql: &str,
        place: impl Fn(Range<usize>) -> Location,
        problems: &mut Problems,
    ) -> Option<Vec<Input>> {
        let (found, faults) = models::mentions(sql, &self.shared.scope.names.models);
        let mut is_usable = faults.is_empty();
        problems.extend(faults.into_iter().map(|(fault, span)| fault.at(place(span))));
        // A `ref` of a model gives its name; what it is there for shows in the text.
        let (refs, tables): (Vec<Input>, Vec<Input>) =
            inputs.into_iter().partition(|input| input.part == InputPart::Model);
        inputs = tables;
        for unused in refs.into_iter().filter(|input| !found.iter().any(|found| found.node == input.node)) {
            problems.push(models::no_table(&unused.node, unused.location));
            is_usable = false;
        }
        inputs.extend(found.into_iter().map(|found| Input {
            node: found.node,
            reference: found.reference,
            location: place(found.span),
            part: InputPart::Model,
        }));
        is_usable.then_some(inputs)
    }

    /// Returns the finest map that agrees with `sql`.
    fn map(&self, file: &Arc<SourceFile>, name: &str, sql: &str, scope: &Jinja) -> SourceMap {
        if file.text.starts_with(sql) {
            return SourceMap::identity(file);
        }
        let ways = [(&self.marked, Reach::All), (&self.plain, Reach::Output)];
        for (env, reach) in ways {
            let mut files = self.macro_files.clone();
            let mut marks = self.macro_marks.clone();
            let Some(source) = marks::instrument(&file.text, files.len(), reach, &mut marks) else { continue };
            files.push(Arc::clone(file));
            let rendered = env.render_named_str(name, &source, scope);
            *self.shared.recorder() = Recorder::default();
            let Ok(rendered) = rendered else { continue };
            let (text, map) = marks::strip(&rendered, &marks, &files);
            if text == sql {
                return map;
            }
        }
        SourceMap::by_lines(file, sql)
    }
}

/// Returns how SQL refers to a node; a source's table has two names.
fn reference(node: &str) -> String {
    node.split('.').map(quoted).collect::<Vec<_>>().join(".")
}

/// Reports what went wrong in a rendering; returns its text where nothing did.
fn finish(
    rendered: Result<String, Error>,
    mut recorder: Recorder,
    texts: Texts<'_>,
    names: &[&str],
    problems: &mut Problems,
) -> Option<(String, Recorder)> {
    let faults = std::mem::take(&mut recorder.faults);
    let found_mistakes = !faults.is_empty();
    for fault in faults {
        problems.push(faults::of_call(fault, texts));
    }
    match rendered {
        Ok(text) if !found_mistakes => return Some((text, recorder)),
        // After a mistake the stand-in value may well have led to this.
        Ok(_) => {}
        Err(_) if found_mistakes => {}
        Err(err) => {
            let mut problem = faults::of_error(&err, texts, names);
            for secret in recorder.secrets.iter().filter(|secret| !secret.is_empty()) {
                problem.message = problem.message.replace(secret.as_str(), "***");
            }
            problems.push(problem);
        }
    }
    None
}

fn config_entry(key: &str, value: &minijinja::Value, texts: Texts<'_>) -> Entry {
    let found = texts.iter().find_map(|text| {
        let (key_at, value_at) = text.calls.keyword("config", key)?;
        Some((text.locate(key_at), text.locate(value_at)))
    });
    let (key_at, value_at) = found.unwrap_or_else(|| (texts.main.at.clone(), texts.main.at.clone()));
    Entry { key: key.to_owned(), key_at, value: values::to_yaml(value, &value_at) }
}

/// Adds a macro file under its path and, for `import`, under its path below `macros/`.
fn add_file(env: &mut Environment<'static>, path: &str, source: &str) -> Result<(), Error> {
    env.add_template_owned(path.to_owned(), source.to_owned())?;
    if let Some(short) = path.strip_prefix(MACRO_FOLDER) {
        env.add_template_owned(short.to_owned(), source.to_owned())?;
    }
    Ok(())
}

/// Returns every macro with its file; reports names that stand twice or are taken.
fn unique_macros(texts: &[TemplateText], problems: &mut Problems) -> Vec<(String, String)> {
    let mut found: IndexMap<String, (Location, String)> = IndexMap::new();
    for text in texts {
        for (name, span) in &text.calls.macros {
            let at = text.locate(span.clone());
            if SQL_FUNCTIONS.contains(&name.as_str()) {
                let message = format!("the macro `{name}` has the name of a built-in function");
                problems.push(Diagnostic::error(Code::DUPLICATE_NAME, message).at(at).hint("give it another name"));
            } else if let Some((first, _)) = found.get(name) {
                problems.push(duplicate(&format!("macro `{name}`"), first, &at));
            } else {
                found.insert(name.clone(), (at, text.name.clone()));
            }
        }
    }
    found.into_iter().map(|(name, (_, file))| (name, file)).collect()
}

#[cfg(test)]
mod tests;
