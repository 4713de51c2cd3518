//! Which packages a file needs: its own block, or else the files beside it, or else the project's.
//!
//! A `# /// script` block (PEP 723) is part of the file. `requirements.txt` and `pyproject.toml`
//! serve all files of their folder, so what is wrong with them is said once.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use windlass_error::{Code, Diagnostic, Location, SourceFile};

use super::script::{Block, find_block};
use super::{PythonEnvironment, PythonOrigin};
use crate::decode::unknown_key;
use crate::load::FileSet;
use crate::location::resolve_path;
use crate::manifest::PythonDefaults;
use crate::problems::Problems;

const BLOCK_KEYS: [&str; 3] = ["dependencies", "requires-python", "tool"];

/// What is wrong with a file that others share.
#[derive(Debug)]
pub(super) struct SharedFault {
    /// The file, relative to the project.
    pub(super) path: String,
    pub(super) problems: Vec<Diagnostic>,
}

/// Where environments are looked for.
pub(super) struct Environments<'a> {
    pub(super) files: &'a FileSet,
    pub(super) root: &'a Path,
    pub(super) defaults: &'a PythonDefaults,
}

impl Environments<'_> {
    /// Returns what a file needs. Problems of its own block are reported, problems of a file beside
    /// it are returned.
    pub(super) fn of(
        &self,
        path: &str,
        file: &Arc<SourceFile>,
        problems: &mut Problems,
    ) -> Result<PythonEnvironment, SharedFault> {
        if let Some(block) = find_block(file, problems) {
            return Ok(self.script(&block, problems));
        }
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let beside = |name: &str| format!("{folder}/{name}");
        let (requirements, pyproject) = (beside("requirements.txt"), beside("pyproject.toml"));
        match (self.files.files.get(&requirements), self.files.files.get(&pyproject)) {
            (Some(requirements), Some(pyproject)) => Err(two_files(requirements, pyproject)),
            (Some(requirements), None) => self.requirements(requirements),
            (None, Some(pyproject)) => self.project(folder, pyproject),
            (None, None) => Ok(self.environment(PythonOrigin::Defaults, None, Vec::new())),
        }
    }

    fn environment(
        &self,
        origin: PythonOrigin,
        requires_python: Option<String>,
        own: Vec<String>,
    ) -> PythonEnvironment {
        let bounds: Vec<String> = unique(self.defaults.requires_python.iter().cloned().chain(requires_python));
        PythonEnvironment {
            origin,
            requires_python: (!bounds.is_empty()).then(|| bounds.join(", ")),
            dependencies: unique(self.defaults.dependencies.iter().cloned().chain(own)),
        }
    }

    fn script(&self, block: &Block, problems: &mut Problems) -> PythonEnvironment {
        let parsed = match DeTable::parse(&block.text) {
            Ok(table) => table,
            Err(err) => {
                let at = block.at(err.span().unwrap_or(0..0));
                let message = format!("the `script` block is not TOML: {}", first_line(err.message()));
                problems.push(Diagnostic::error(Code::ENVIRONMENT, message).at(at));
                return self.environment(PythonOrigin::Script, None, Vec::new());
            }
        };
        let table = parsed.get_ref();
        for key in table.keys().filter(|key| !BLOCK_KEYS.contains(&key.get_ref().as_ref())) {
            problems.push(unknown_key(key.get_ref(), &block.at(key.span()), "the `script` block", &BLOCK_KEYS));
        }
        if let Some(DeValue::Table(tools)) = table.get("tool").map(Spanned::get_ref)
            && let Some((uv, _)) = tools.iter().find(|(key, _)| key.get_ref() == "uv")
        {
            let problem = Diagnostic::error(Code::ENVIRONMENT, "`tool.uv` of a `script` block is not supported");
            let hint = "move it to a `pyproject.toml` beside the file, with its `uv.lock`";
            problems.push(problem.at(block.at(uv.span())).hint(hint));
        }
        let requires_python = table.get("requires-python").and_then(|value| match value.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            _ => {
                problems.push(expected("a text such as `\">=3.11\"`", "requires-python", block.at(value.span())));
                None
            }
        });
        let dependencies = table.get("dependencies").map(|value| dependencies(value, block, problems));
        self.environment(PythonOrigin::Script, requires_python, dependencies.unwrap_or_default())
    }

    fn requirements(&self, file: &Arc<SourceFile>) -> Result<PythonEnvironment, SharedFault> {
        let mut problems = Vec::new();
        let mut dependencies = Vec::new();
        for (text, span) in requirement_lines(&file.text) {
            if text.starts_with('-') || text.contains(" --") {
                let message = "`requirements.txt` holds names of packages alone, no options";
                let hint = "name the packages here, or use `pyproject.toml` with `uv.lock`";
                problems.push(Diagnostic::error(Code::ENVIRONMENT, message).at(Location::new(file, span)).hint(hint));
            } else {
                dependencies.push(text);
            }
        }
        if problems.is_empty() {
            return Ok(self.environment(PythonOrigin::Requirements, None, dependencies));
        }
        Err(SharedFault { path: path_of(file), problems })
    }

    fn project(&self, folder: &str, file: &Arc<SourceFile>) -> Result<PythonEnvironment, SharedFault> {
        let fault = |problem: Diagnostic| SharedFault { path: path_of(file), problems: vec![problem] };
        if let Err(err) = DeTable::parse(&file.text) {
            let at = Location::new(file, err.span().unwrap_or(0..0));
            let message = format!("`{}` is not TOML: {}", file.path.display(), first_line(err.message()));
            return Err(fault(Diagnostic::error(Code::ENVIRONMENT, message).at(at)));
        }
        let lock = format!("{folder}/uv.lock");
        if !self.files.unread.contains(&lock) {
            let message = format!("`{}` has no `uv.lock` beside it", file.path.display());
            let problem = Diagnostic::error(Code::LOCK, message).at(Location::new(file, 0..0));
            return Err(fault(problem.hint(format!("run `uv lock` in `{folder}` and keep the file"))));
        }
        Ok(PythonEnvironment {
            origin: PythonOrigin::Project { folder: resolve_path(self.root, folder) },
            requires_python: None,
            dependencies: Vec::new(),
        })
    }
}

fn dependencies(value: &Spanned<DeValue<'_>>, block: &Block, problems: &mut Problems) -> Vec<String> {
    let what = "a list of texts such as `[\"numpy>=2\"]`";
    let DeValue::Array(items) = value.get_ref() else {
        problems.push(expected(what, "dependencies", block.at(value.span())));
        return Vec::new();
    };
    let mut found = Vec::new();
    for item in items.iter() {
        match item.get_ref() {
            DeValue::String(text) => found.push(text.to_string()),
            _ => problems.push(expected(what, "dependencies", block.at(item.span()))),
        }
    }
    found
}

fn expected(what: &str, key: &str, at: Location) -> Diagnostic {
    Diagnostic::error(Code::ENVIRONMENT, format!("expected {what} for `{key}` of the `script` block")).at(at)
}

fn two_files(requirements: &Arc<SourceFile>, pyproject: &Arc<SourceFile>) -> SharedFault {
    let message = "two files name the packages of one folder";
    let problem = Diagnostic::error(Code::ENVIRONMENT, message)
        .at(Location::new(requirements, 0..0))
        .related(Location::new(pyproject, 0..0), "the other one")
        .note(format!("`{}` and `{}`", requirements.path.display(), pyproject.path.display()))
        .hint("keep one of them");
    SharedFault { path: path_of(requirements), problems: vec![problem] }
}

/// Returns the logical lines of a `requirements.txt`, without comments and empty ones.
fn requirement_lines(text: &str) -> Vec<(String, Range<usize>)> {
    let mut lines: Vec<(String, Range<usize>)> = Vec::new();
    let mut open: Option<(String, usize)> = None;
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let start = offset + (line.len() - line.trim_start().len()).min(line.trim_end().len());
        let end = offset + line.trim_end().len();
        offset += line.len();
        let (content, goes_on) = match line.trim_end().strip_suffix('\\') {
            Some(content) => (content, true),
            None => (line, false),
        };
        let content = without_comment(content).trim();
        let (mut text, start) = open.take().unwrap_or((String::new(), start));
        text.push_str(content);
        if goes_on {
            open = Some((text, start));
        } else if !text.is_empty() {
            lines.push((text, start..end.max(start)));
        }
    }
    lines.extend(open.filter(|(text, _)| !text.is_empty()).map(|(text, start)| (text, start..offset)));
    lines
}

/// A `#` starts a comment at the start of a line or after a space.
fn without_comment(line: &str) -> &str {
    let starts = line.match_indices('#').map(|(at, _)| at);
    let mut comments = starts.filter(|at| line[..*at].chars().next_back().is_none_or(char::is_whitespace));
    comments.next().map_or(line, |at| &line[..at])
}

fn unique(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for text in texts {
        if !found.contains(&text) {
            found.push(text);
        }
    }
    found
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn path_of(file: &SourceFile) -> String {
    file.path.to_string_lossy().replace('\\', "/")
}

#[cfg(test)]
mod tests;
