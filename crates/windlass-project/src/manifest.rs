//! `windlass.yml`: the project's name, variables, and defaults for folders.

use std::sync::Arc;

use indexmap::IndexMap;
use windlass_error::{Code, Diagnostic, Location, SourceFile, nearest};

use crate::Reuse;
use crate::config::{Patch, Subject};
use crate::decode::{Fields, entries, expected, missing_key, unknown_key};
use crate::problems::Problems;
use crate::yaml::{self, Entry, Value, Yaml};

const KEYS: [&str; 9] = ["name", "version", "requires", "vars", "reuse", "transforms", "seeds", "models", "python"];
const PYTHON_KEYS: [&str; 2] = ["dependencies", "requires-python"];

/// What `windlass.yml` says.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) name: String,
    pub(crate) vars: IndexMap<String, Yaml>,
    pub(crate) reuse: Reuse,
    pub(crate) transforms: FolderDefaults,
    pub(crate) seeds: FolderDefaults,
    pub(crate) models: FolderDefaults,
    pub(crate) python: PythonDefaults,
}

/// What every Python file of the project needs.
#[derive(Debug, Default)]
pub(crate) struct PythonDefaults {
    /// The versions of Python that will do, such as `>=3.11`.
    pub(crate) requires_python: Option<String>,
    /// Requirements as written.
    pub(crate) dependencies: Vec<String>,
}

/// Defaults for the nodes of a folder and of the folders in it.
#[derive(Debug, Default)]
pub(crate) struct FolderDefaults {
    patch: Patch,
    folders: IndexMap<String, (Location, FolderDefaults)>,
}

impl Manifest {
    /// Decodes the file. `None` where nothing can be made of it, or where it asks for another
    /// version of Windlass, since then its other keys may well be unknown.
    pub(crate) fn read(file: &Arc<SourceFile>, version: &str, problems: &mut Problems) -> Option<Self> {
        let root = parse_file(file, problems);
        let whole = Location::new(file, 0..0);
        let Some(root) = root? else {
            problems.push(missing_key("name", "`windlass.yml`", &whole));
            return None;
        };
        let top = entries(&root, "`windlass.yml`", problems)?;
        if let Some(requires) = top.iter().find(|entry| entry.key == "requires") {
            check_version(&requires.value, version, problems)?;
        }
        let fields = Fields::open(&root, "`windlass.yml`", &KEYS, problems)?;
        let name = match fields.get("name") {
            Some(entry) => project_name(&entry.value, problems),
            None => {
                problems.push(missing_key("name", "`windlass.yml`", &whole));
                None
            }
        };
        let vars = match fields.get("vars") {
            Some(entry) => entries(&entry.value, "`vars`", problems).unwrap_or_default(),
            None => &[],
        };
        Some(Self {
            name: name.unwrap_or_default(),
            vars: vars.iter().map(|entry| (entry.key.clone(), entry.value.clone())).collect(),
            reuse: fields.get("reuse").and_then(|entry| reuse(&entry.value, problems)).unwrap_or_default(),
            transforms: FolderDefaults::read(Subject::Transform, fields.get("transforms"), problems),
            seeds: FolderDefaults::read(Subject::Seed, fields.get("seeds"), problems),
            models: FolderDefaults::read(Subject::Model, fields.get("models"), problems),
            python: PythonDefaults::read(fields.get("python"), problems),
        })
    }
}

impl PythonDefaults {
    fn read(entry: Option<&Entry>, problems: &mut Problems) -> Self {
        let fields = entry.and_then(|entry| Fields::open(&entry.value, "`python`", &PYTHON_KEYS, problems));
        let Some(fields) = fields else { return Self::default() };
        Self {
            requires_python: fields.text("requires-python", problems),
            dependencies: fields.texts("dependencies", problems).unwrap_or_default(),
        }
    }
}

impl FolderDefaults {
    fn read(subject: Subject, entry: Option<&Entry>, problems: &mut Problems) -> Self {
        let mut defaults = Self::default();
        let Some(entry) = entry else { return defaults };
        let what = format!("`{}` of `windlass.yml`", entry.key);
        for entry in entries(&entry.value, &what, problems).unwrap_or_default() {
            if let Some(key) = entry.key.strip_prefix('+') {
                defaults.patch.set(subject, key, entry, problems);
            } else if matches!(entry.value.value, Value::Map(_)) {
                let below = Self::read(subject, Some(entry), problems);
                defaults.folders.insert(entry.key.clone(), (entry.key_at.clone(), below));
            } else if !entry.value.is_null() {
                problems.push(not_a_folder(subject, entry, &what));
            }
        }
        defaults
    }

    /// Returns what applies to a node, from far to near; `path` holds the folders that lead to
    /// it and its name.
    pub(crate) fn patches(&self, path: &[String]) -> Vec<&Patch> {
        let mut patches = vec![&self.patch];
        let mut here = self;
        for name in path {
            let Some((_, below)) = here.folders.get(name) else { break };
            patches.push(&below.patch);
            here = below;
        }
        patches
    }

    /// Reports folders that do not exist; `paths` holds [`FolderDefaults::patches`]' paths.
    pub(crate) fn check(&self, subject: Subject, project: &str, paths: &[Vec<String>], problems: &mut Problems) {
        self.check_below(&mut Vec::new(), &Check { subject, project, paths }, problems);
    }

    fn check_below(&self, prefix: &mut Vec<String>, check: &Check<'_>, problems: &mut Problems) {
        for (name, (at, below)) in &self.folders {
            prefix.push(name.clone());
            if check.paths.iter().any(|path| path.starts_with(prefix)) {
                below.check_below(prefix, check, problems);
            } else {
                problems.push(check.missing(prefix, at));
            }
            prefix.pop();
        }
    }
}

struct Check<'a> {
    subject: Subject,
    project: &'a str,
    paths: &'a [Vec<String>],
}

impl Check<'_> {
    fn missing(&self, path: &[String], at: &Location) -> Diagnostic {
        let folder = self.subject.folder();
        let (name, parent) = path.split_last().map_or(("", path), |(name, parent)| (name.as_str(), parent));
        let problem = Diagnostic::error(Code::UNKNOWN_KEY, format!("no folder or node `{folder}/{}`", path.join("/")))
            .at(at.clone());
        let siblings = self.paths.iter().filter(|known| known.len() > parent.len() && known.starts_with(parent));
        let near = nearest(name, siblings.map(|known| known[parent.len()].as_str()));
        match near {
            Some(near) => problem.label(format!("did you mean `{near}`?")),
            None if name == self.project => {
                problem.hint(format!("folders stand directly below `{folder}:`, without the project's name"))
            }
            None => problem.hint("settings start with `+`, such as `+materialized: view`"),
        }
    }
}

fn not_a_folder(subject: Subject, entry: &Entry, what: &str) -> Diagnostic {
    let key = entry.key.as_str();
    if subject.settings().contains(&key) {
        return Diagnostic::error(Code::UNKNOWN_KEY, format!("the setting `{key}` in {what} needs a `+`"))
            .at(entry.key_at.clone())
            .label(format!("did you mean `+{key}`?"));
    }
    let known: Vec<String> = subject.settings().iter().map(|key| format!("+{key}")).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    unknown_key(key, &entry.key_at, what, &known)
}

fn reuse(yaml: &Yaml, problems: &mut Problems) -> Option<Reuse> {
    match crate::decode::text(yaml, "reuse", problems)?.as_str() {
        "tables" => Some(Reuse::Tables),
        "columns" => Some(Reuse::Columns),
        _ => {
            problems.push(expected("`tables` or `columns`", "`reuse`", yaml));
            None
        }
    }
}

fn project_name(yaml: &Yaml, problems: &mut Problems) -> Option<String> {
    let name = crate::decode::text(yaml, "name", problems)?;
    if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
        return Some(name);
    }
    problems.push(expected("letters, digits, `_` and `-`", "`name`", yaml));
    None
}

/// Checks `requires: ">=0.1, <0.3"` against the version of this binary.
fn check_version(yaml: &Yaml, version: &str, problems: &mut Problems) -> Option<()> {
    let wanted = crate::decode::text(yaml, "requires", problems)?;
    for part in wanted.split(',').map(str::trim) {
        let digits = part.trim_start_matches(['<', '>', '=', '!', ' ']);
        let operator = part[..part.len() - digits.len()].trim();
        let order = numbers(digits).map(|wanted| compare(&numbers(version).unwrap_or_default(), &wanted));
        let fits = match (operator, order) {
            (">=", Some(order)) => order.is_ge(),
            (">", Some(order)) => order.is_gt(),
            ("<=", Some(order)) => order.is_le(),
            ("<", Some(order)) => order.is_lt(),
            ("=" | "==", Some(order)) => order.is_eq(),
            ("!=", Some(order)) => order.is_ne(),
            _ => {
                problems.push(expected("version bounds such as `>=0.1, <0.3`", "`requires`", yaml));
                return None;
            }
        };
        if !fits {
            let message = format!("the project requires Windlass {wanted}, this is {version}");
            problems.push(
                Diagnostic::error(Code::REQUIRES_VERSION, message)
                    .at(yaml.at.clone())
                    .hint("install a version that fits, or change `requires` in `windlass.yml`"),
            );
            return None;
        }
    }
    Some(())
}

/// Returns the numbers of `1.2.3-rc1+x`, without what follows them.
fn numbers(version: &str) -> Option<Vec<u64>> {
    let release = version.trim().split(['-', '+']).next()?;
    release.split('.').map(|number| number.parse().ok()).collect()
}

fn compare(left: &[u64], right: &[u64]) -> std::cmp::Ordering {
    let at = |numbers: &[u64], index: usize| numbers.get(index).copied().unwrap_or(0);
    let length = left.len().max(right.len());
    (0..length)
        .map(|index| at(left, index).cmp(&at(right, index)))
        .find(|order| order.is_ne())
        .unwrap_or(std::cmp::Ordering::Equal)
}

/// Parses a file; the outer `None` says that it cannot be parsed, the inner one that it is empty.
pub(crate) fn parse_file(file: &Arc<SourceFile>, problems: &mut Problems) -> Option<Option<Yaml>> {
    let mut found = Vec::new();
    let root = yaml::parse(file, &mut found);
    let broken = root.is_none() && !found.is_empty();
    for problem in found {
        problems.push(problem);
    }
    (!broken).then_some(root)
}

#[cfg(test)]
mod tests;
