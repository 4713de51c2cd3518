//! Reads the Python files of a project: each on its own, and then what it reaches in `lib/`.
//!
//! A module of `lib/`, a `requirements.txt` or a `pyproject.toml` serves several nodes. What is wrong
//! with one is said once, under its path, and every node that needs it is out of use.

mod checks;
mod models;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use windlass_error::{Diagnostic, SourceFile};

use super::environment::{Environments, SharedFault};
use super::facts::Facts;
use super::module::{Import, with_module};
use super::{
    Draft, Function, PythonBatchFormat, PythonCode, PythonEnvironment, PythonOrigin, WorkerSettings, function,
    transform,
};
use crate::load::FileSet;
use crate::location::resolve_path;
use crate::manifest::PythonDefaults;
use crate::problems::Problems;
use crate::template::to_json;
use crate::yaml::duplicate;

/// The folder that modules are imported from.
pub(crate) const LIB: &str = "lib";
/// How often a name may be imported from a module that imports it itself.
const MAX_RE_EXPORTS: usize = 8;

/// What Python files are read with.
pub(crate) struct PythonReader<'a> {
    environments: Environments<'a>,
    files: &'a FileSet,
    root: &'a Path,
    vars: Map<String, Value>,
    modules: BTreeMap<String, Facts>,
    shared: BTreeMap<String, Shared>,
}

/// A file that several nodes need, with what is wrong with it.
#[derive(Debug, Default)]
struct Shared {
    problems: Vec<Diagnostic>,
    /// Nodes that need it.
    nodes: BTreeSet<String>,
    /// Whether a function for SQL needs it: then nobody knows which nodes do.
    functions: bool,
}

/// Who needs a file that cannot be used.
#[derive(Debug, Clone, Copy)]
enum User<'a> {
    Node(&'a str),
    Functions,
}

/// A file with what it says by itself.
struct Own<'a> {
    path: &'a str,
    file: &'a Arc<SourceFile>,
    facts: Facts,
    user: User<'a>,
}

/// What is called, without what the file as a whole contributes.
struct Called {
    object: String,
    is_class: Option<bool>,
    batch_format: PythonBatchFormat,
    workers: WorkerSettings,
}

/// What all definitions of a file have in common.
struct Common {
    sources: IndexMap<String, String>,
    volatile: Option<String>,
    vars: Map<String, Value>,
    environment: PythonEnvironment,
}

impl<'a> PythonReader<'a> {
    pub(crate) fn new(
        files: &'a FileSet,
        root: &'a Path,
        defaults: &'a PythonDefaults,
        vars: &IndexMap<String, minijinja::Value>,
    ) -> Self {
        Self {
            environments: Environments { files, root, defaults },
            files,
            root,
            vars: vars.iter().map(|(name, value)| (name.clone(), to_json(value))).collect(),
            modules: BTreeMap::new(),
            shared: BTreeMap::new(),
        }
    }

    /// Reads the transform of a node; `None` where there is none, or none that can be used.
    pub(crate) fn transform(
        &mut self,
        name: &str,
        path: &str,
        file: &Arc<SourceFile>,
        problems: &mut Problems,
    ) -> Option<Draft> {
        let vars = &self.vars;
        let read = with_module(file, |module| {
            let decorated = transform::read(module, vars, problems);
            (Facts::of(module, vars, problems), decorated)
        });
        let (facts, decorated) = match read {
            Ok((facts, decorated)) => (facts, decorated?),
            Err(problem) => {
                problems.push(*problem);
                return None;
            }
        };
        let own = Own { path, file, facts, user: User::Node(name) };
        let common = self.common(&own, problems);
        let called = Called {
            object: decorated.object.clone(),
            is_class: decorated.is_class,
            batch_format: decorated.batch_format,
            workers: decorated.workers.clone(),
        };
        let code = self.code(&own, called, &common);
        Some(Draft::new(decorated, code))
    }

    /// Reads the functions of all files below `functions/`.
    pub(crate) fn functions(&mut self, problems: &mut Problems) -> IndexMap<String, Function> {
        let mut functions: IndexMap<String, Function> = IndexMap::new();
        let files = self.files.files.iter();
        let files = files.filter(|(path, file)| path.starts_with("functions/") && is_module(path, file));
        for (path, file) in files {
            let vars = &self.vars;
            let read = with_module(file, |module| {
                let decorated = function::read(module, vars, problems);
                (Facts::of(module, vars, problems), decorated)
            });
            let (facts, decorated) = match read {
                Ok(read) => read,
                Err(problem) => {
                    problems.push(*problem);
                    continue;
                }
            };
            let own = Own { path, file, facts, user: User::Functions };
            let common = self.common(&own, problems);
            for found in decorated {
                if let Some(first) = functions.get(&found.name) {
                    problems.push(duplicate(&format!("function `{}`", found.name), &first.location, &found.location));
                    continue;
                }
                let function = self.function(&own, found, &common);
                functions.insert(function.name.clone(), function);
            }
        }
        functions
    }

    fn function(&self, own: &Own<'_>, found: function::Decorated, common: &Common) -> Function {
        let function::Decorated {
            name,
            location,
            parameters,
            returns,
            deterministic,
            sees_nulls,
            on_error,
            batch_format,
            workers,
        } = found;
        let called = Called { object: name.clone(), is_class: Some(false), batch_format, workers };
        let code = self.code(own, called, common);
        Function { name, code, parameters, returns, deterministic, sees_nulls, on_error, location }
    }

    /// Reports what is wrong with files that several nodes need. Returns each with these nodes.
    pub(crate) fn finish(self, problems: &mut Problems) -> Vec<(String, Vec<String>)> {
        let mut broken = Vec::new();
        for (path, shared) in self.shared {
            let mut own = if shared.functions { Problems::default() } else { Problems::of_node(&path) };
            own.extend(shared.problems);
            if own.has_errors() {
                broken.push((path, shared.nodes.into_iter().collect()));
            }
            problems.absorb(own);
        }
        broken
    }

    fn common(&mut self, own: &Own<'_>, problems: &mut Problems) -> Common {
        let environment = match self.environments.of(own.path, own.file, problems) {
            Ok(environment) => environment,
            Err(fault) => {
                self.blame(fault, own.user);
                let (origin, dependencies) = (PythonOrigin::Defaults, Vec::new());
                PythonEnvironment { origin, requires_python: None, dependencies }
            }
        };
        let mut sources = IndexMap::from([(own.path.to_owned(), own.facts.hash.clone())]);
        let mut vars = own.facts.vars.clone();
        let mut volatile = own.facts.volatile.clone();
        for path in self.reach(own) {
            let Some(facts) = self.modules.get(&path) else { continue };
            sources.insert(path, facts.hash.clone());
            volatile = volatile.or_else(|| facts.volatile.clone());
            vars.extend(facts.vars.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        Common { sources, volatile, vars, environment }
    }

    fn code(&self, own: &Own<'_>, called: Called, common: &Common) -> PythonCode {
        let Called { object, is_class, batch_format, workers } = called;
        let is_class = is_class.unwrap_or_else(|| self.names_class(own.path, &own.facts, &object));
        PythonCode {
            path: resolve_path(self.root, own.path),
            object,
            is_class,
            batch_format,
            sources: common.sources.clone(),
            volatile: common.volatile.clone(),
            vars: common.vars.clone(),
            environment: common.environment.clone(),
            workers,
        }
    }

    /// Returns the paths of all modules that a file reaches, reading them on the way.
    fn reach(&mut self, own: &Own<'_>) -> BTreeSet<String> {
        let mut reached = BTreeSet::new();
        let mut queue = VecDeque::from(self.imported(own.path, &own.facts));
        while let Some(path) = queue.pop_front() {
            if path == own.path || !reached.insert(path.clone()) {
                continue;
            }
            self.read_module(&path, own.user);
            if let Some(facts) = self.modules.get(&path) {
                queue.extend(self.imported(&path, facts));
            }
        }
        reached
    }

    fn read_module(&mut self, path: &str, user: User<'_>) {
        if !self.modules.contains_key(path)
            && let Some(file) = self.files.files.get(path)
        {
            let mut problems = Problems::default();
            let facts = Facts::read(file, &self.vars, &mut problems).unwrap_or_else(|problem| {
                problems.push(*problem);
                Facts { hash: hash_text(&file.text), ..Facts::default() }
            });
            self.modules.insert(path.to_owned(), facts);
            // A file beside the node may be a node itself and speaks for itself.
            if is_shared(path) && !problems.list.is_empty() {
                self.shared.entry(path.to_owned()).or_default().problems = problems.list;
            }
        }
        if let Some(shared) = self.shared.get_mut(path) {
            shared.add(user);
        }
    }

    fn blame(&mut self, fault: SharedFault, user: User<'_>) {
        let shared = self.shared.entry(fault.path).or_default();
        shared.problems = fault.problems;
        shared.add(user);
    }

    /// Returns the files that the imports of a file lead to.
    fn imported(&self, path: &str, facts: &Facts) -> Vec<String> {
        if facts.imports_anything {
            let is_python = |path: &&String| is_shared(path) && path.ends_with(".py");
            return self.files.files.keys().filter(is_python).cloned().collect();
        }
        facts.imports.iter().flat_map(|import| self.import(path, import)).collect()
    }

    /// Returns the files that one import leads to: the module, the packages around it, and what is
    /// taken from it where that is a module.
    fn import(&self, path: &str, import: &Import) -> Vec<String> {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let roots: Vec<&str> = if import.level > 0 {
            let above = (1..import.level).try_fold(folder, |folder, _| folder.rsplit_once('/').map(|(above, _)| above));
            above.into_iter().collect()
        } else if is_shared(path) || folder == LIB {
            vec![LIB]
        } else {
            vec![LIB, folder]
        };
        let mut found = Vec::new();
        for root in roots {
            let mut here = root.to_owned();
            let relative = import.level > 0 && is_shared(path);
            if relative && root != LIB {
                found.push(format!("{here}/__init__.py"));
            }
            for part in import.module.split('.').filter(|part| !part.is_empty()) {
                here = format!("{here}/{part}");
                found.extend([format!("{here}.py"), format!("{here}/__init__.py")]);
            }
            for (name, _) in import.taken.iter().flatten() {
                found.extend([format!("{here}/{name}.py"), format!("{here}/{name}/__init__.py")]);
            }
        }
        found.retain(|path| self.files.files.contains_key(path));
        found
    }

    /// Returns whether an imported name is a class: by its definition where that is in the project,
    /// else by its first letter.
    fn names_class(&self, path: &str, facts: &Facts, name: &str) -> bool {
        let looks_like_one = name.trim_start_matches('_').starts_with(char::is_uppercase);
        let (mut path, mut facts, mut name) = (path.to_owned(), facts, name.to_owned());
        for _ in 0..MAX_RE_EXPORTS {
            if let Some(is_class) = facts.definitions.get(&name) {
                return *is_class;
            }
            let taken = facts.imports.iter().find_map(|import| {
                let (original, _) = import.taken.as_ref()?.iter().find(|(_, local)| *local == name)?;
                Some((import, original.clone()))
            });
            let Some((import, original)) = taken else { break };
            let next = self.import(&path, import).pop().and_then(|path| Some((self.modules.get(&path)?, path)));
            let Some((found, found_path)) = next else { break };
            (path, facts, name) = (found_path, found, original);
        }
        looks_like_one
    }
}

impl Shared {
    fn add(&mut self, user: User<'_>) {
        match user {
            User::Node(name) => {
                self.nodes.insert(name.to_owned());
            }
            User::Functions => self.functions = true,
        }
    }
}

/// Returns whether a Python file holds anything; an empty `__init__.py` only marks a package.
pub(crate) fn is_module(path: &str, file: &SourceFile) -> bool {
    path.ends_with(".py") && !(path.ends_with("/__init__.py") && file.text.trim().is_empty())
}

fn is_shared(path: &str) -> bool {
    path.starts_with("lib/")
}

fn hash_text(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
