//! Seeds, transforms and models by their files, and what properties files and folders say about them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::IndexMap;
use windlass_error::{Code, Diagnostic, Location, SourceFile};

use crate::SYSTEM_FOLDER;
use crate::config::Subject;
use crate::decode::is_identifier;
use crate::load::FileSet;
use crate::manifest::Manifest;
use crate::models::Import;
use crate::problems::Problems;
use crate::properties::{KnownNodes, Properties, read_properties};
use crate::python::is_module;
use crate::yaml;

const TRANSFORMS: [Subject; 2] = [Subject::Transform, Subject::Python];

/// A seed, transform or model by its file; what it holds is not looked at yet.
pub(super) struct Declared {
    pub(super) file: Arc<SourceFile>,
    pub(super) path: String,
    pub(super) subject: Subject,
    pub(super) is_read: bool,
    pub(super) is_usable: bool,
}

impl Declared {
    /// Returns whether it is a model that Python trains.
    pub(super) fn is_python_model(&self) -> bool {
        self.subject == Subject::Model && self.path.ends_with(".py")
    }

    /// Returns the folders that lead to the file, and its name.
    pub(super) fn place(&self) -> Vec<String> {
        let below = self.path.split_once('/').map_or(self.path.as_str(), |(_, below)| below);
        let mut place: Vec<String> = below.split('/').map(str::to_owned).collect();
        if let Some(last) = place.last_mut() {
            *last = stem(last).to_owned();
        }
        place
    }
}

/// Returns seeds, transforms and models by name; reports names that are taken or no identifiers.
/// Files of `scoring` hold classes that score, which entries of properties files name.
pub(super) fn declare(
    files: &FileSet,
    scoring: &BTreeSet<String>,
    problems: &mut Problems,
) -> BTreeMap<String, Declared> {
    let mut declared: BTreeMap<String, Declared> = BTreeMap::new();
    let unread = files.unread.iter().map(|path| (path, SourceFile::new(std::path::Path::new(path), String::new())));
    let read = files.files.iter().map(|(path, file)| (path, Arc::clone(file)));
    let mut all: Vec<(&String, Arc<SourceFile>)> = read.chain(unread).collect();
    all.sort_by(|left, right| left.0.cmp(right.0));
    for (path, file) in all {
        let subject = match path.split('/').next() {
            Some("transforms") if path.ends_with(".sql") => Subject::Transform,
            Some("transforms") if is_module(path, &file) => Subject::Python,
            Some("seeds") if path.ends_with(".csv") => Subject::Seed,
            Some("models") if scoring.contains(path) => continue,
            Some("models") if path.ends_with(".sql") || is_module(path, &file) => Subject::Model,
            _ => continue,
        };
        let name = stem(path).to_owned();
        let is_read = !files.problems.iter().any(|(unread, _)| unread == path);
        let mut node = Declared { file, path: path.clone(), subject, is_read, is_usable: is_read };
        if !is_identifier(&name) {
            let message = format!("the file name `{name}` is not a name for a node");
            let problem = Diagnostic::error(Code::INVALID_VALUE, message).at(start_of(&node.file)).node(&name);
            problems.push(problem.hint("names consist of letters, digits and `_`, and do not start with a digit"));
            node.is_usable = false;
        }
        if name == SYSTEM_FOLDER {
            let message =
                format!("no node may be called `{name}`: that folder of the lake holds the history of checks");
            let problem = Diagnostic::error(Code::INVALID_VALUE, message).at(start_of(&node.file)).node(&name);
            problems.push(problem.hint("rename the file"));
            node.is_usable = false;
        }
        if let Some(first) = declared.get_mut(&name) {
            first.is_usable = false;
            let problem = yaml::duplicate(&format!("node `{name}`"), &start_of(&first.file), &start_of(&node.file));
            let paths = format!("`{}` and `{}`", first.path, node.path);
            problems.push(
                problem.node(&name).note(paths).hint("a node is named after its file, whatever its folder; rename one"),
            );
            continue;
        }
        declared.insert(name, node);
    }
    declared
}

/// Adds models that were trained elsewhere; reports names that are taken or no identifiers.
pub(super) fn declare_imports(
    imports: &IndexMap<String, Import>,
    declared: &mut BTreeMap<String, Declared>,
    problems: &mut Problems,
) {
    for (name, import) in imports {
        let path = import.file.path.to_string_lossy().into_owned();
        let mut node = Declared {
            file: Arc::clone(&import.file),
            path,
            subject: Subject::Model,
            is_read: true,
            is_usable: import.model.is_some() || import.class.is_some(),
        };
        if !is_identifier(name) {
            let message = format!("`{name}` is not a name for a model");
            let problem = Diagnostic::error(Code::INVALID_VALUE, message).at(import.at.clone()).node(name);
            problems.push(problem.hint("names consist of letters, digits and `_`, and do not start with a digit"));
            node.is_usable = false;
        }
        if let Some(first) = declared.get_mut(name) {
            first.is_usable = false;
            let problem = yaml::duplicate(&format!("node `{name}`"), &start_of(&first.file), &import.at);
            problems.push(problem.node(name).hint("an import with `path` is a node of its own; rename one of them"));
            continue;
        }
        declared.insert(name.clone(), node);
    }
}

/// Returns whether a path is that of a YAML file.
pub(super) fn is_yaml(path: &str) -> bool {
    path.ends_with(".yml") || path.ends_with(".yaml")
}

pub(super) fn properties(
    files: &FileSet,
    declared: &BTreeMap<String, Declared>,
    problems: &mut Problems,
) -> IndexMap<String, Properties> {
    let names = |subjects: &[Subject]| -> Vec<&str> {
        let of_subjects = declared.iter().filter(|(_, node)| subjects.contains(&node.subject));
        of_subjects.map(|(name, _)| name.as_str()).collect()
    };
    let others = |subjects: &[Subject]| {
        let of_others = declared.iter().filter(|(_, node)| !subjects.contains(&node.subject));
        of_others.map(|(name, node)| (name.as_str(), node.subject.folder())).collect()
    };
    let known = |subjects: &[Subject], python| KnownNodes { names: names(subjects), python, others: others(subjects) };
    let of = |folder: &str| select(files, |path| path.starts_with(folder) && is_yaml(path));
    let mut found = read_properties(Subject::Seed, &of("seeds/"), &known(&[Subject::Seed], Vec::new()), problems);
    let transforms = known(&TRANSFORMS, names(&[Subject::Python]));
    found.extend(read_properties(Subject::Transform, &of("transforms/"), &transforms, problems));
    let models = known(&[Subject::Model], Vec::new());
    found.extend(read_properties(Subject::Model, &of("models/"), &models, problems));
    found
}

pub(super) fn check_folders(manifest: &Manifest, declared: &BTreeMap<String, Declared>, problems: &mut Problems) {
    let all = [
        (Subject::Transform, &manifest.transforms),
        (Subject::Seed, &manifest.seeds),
        (Subject::Model, &manifest.models),
    ];
    for (subject, defaults) in all {
        let of_subject = declared.values().filter(|node| node.subject.folder() == subject.folder());
        let paths: Vec<Vec<String>> = of_subject.map(Declared::place).collect();
        defaults.check(subject, &manifest.name, &paths, problems);
    }
}

/// Returns the nodes of one kind.
pub(super) fn of_subject(declared: &BTreeMap<String, Declared>, subject: Subject) -> BTreeSet<String> {
    declared.iter().filter(|(_, node)| node.subject == subject).map(|(name, _)| name.clone()).collect()
}

pub(super) fn select(files: &FileSet, wanted: impl Fn(&str) -> bool) -> Vec<Arc<SourceFile>> {
    files.files.iter().filter(|(path, _)| wanted(path)).map(|(_, file)| Arc::clone(file)).collect()
}

pub(crate) fn start_of(file: &Arc<SourceFile>) -> Location {
    Location::new(file, 0..0)
}

pub(super) fn stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}
