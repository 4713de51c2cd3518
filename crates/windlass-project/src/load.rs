//! Reads the files of a project folder. The only place of this crate that touches the disk.
//!
//! What the files mean is decided in `assemble`, from the text alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;
use walkdir::WalkDir;
use windlass_error::{Code, Diagnostic, SourceFile};

use crate::Project;
use crate::assemble::assemble;
use crate::python::LIB;
use crate::unit_tests::{TestSuite, read_suite};

/// The file that makes a folder a project.
pub(crate) const MANIFEST: &str = "windlass.yml";

const SEEDS: &str = "seeds";
const FOLDERS: [(&str, &[&str]); 8] = [
    ("checks", &["py", "sql"]),
    ("functions", &["py"]),
    (LIB, &["py"]),
    ("macros", &["sql"]),
    ("models", &["py", "sql", "yml", "yaml"]),
    (SEEDS, &["csv", "yml", "yaml"]),
    ("sources", &["yml", "yaml"]),
    ("transforms", &["py", "sql", "yml", "yaml"]),
];

/// Unit tests and their tables; read for them alone, so that a mistake in one keeps nothing from running.
const TESTS: (&str, &[&str]) = ("tests", &["csv", "yml", "yaml"]);

/// Files that name the packages of the Python files beside them, in these folders.
const PACKAGE_FILES: [&str; 2] = ["requirements.txt", "pyproject.toml"];
const PACKAGE_LOCK: &str = "uv.lock";
const PYTHON_FOLDERS: [&str; 4] = ["checks", "functions", "models", "transforms"];

/// What to load, and what the process brings along.
#[derive(Clone, Default)]
pub struct LoadOptions {
    /// The folder of `windlass.yml`.
    pub root: PathBuf,
    /// The target; `None` takes the default of `targets.yml`.
    pub target: Option<String>,
    /// The environment, over that of the target.
    pub env_name: Option<String>,
    /// Variables over those of `windlass.yml`; values are read as YAML.
    pub vars: IndexMap<String, String>,
    /// The environment variables of the process.
    pub env: BTreeMap<String, String>,
    /// The version of this binary, for `requires:`.
    pub version: String,
}

/// Leaves out the environment variables, which may hold secrets.
impl std::fmt::Debug for LoadOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { root, target, env_name, vars, env: _, version } = self;
        f.debug_struct("LoadOptions")
            .field("root", root)
            .field("target", target)
            .field("env_name", env_name)
            .field("vars", vars)
            .field("version", version)
            .finish_non_exhaustive()
    }
}

/// A project and everything that is wrong with it.
#[derive(Debug)]
pub struct Loaded {
    /// The project with all usable nodes; `None` where `windlass.yml` or the target cannot be used.
    pub project: Option<Project>,
    /// All problems. One with a node leaves the others usable; one without blames the project.
    ///
    /// What is said once for several nodes names one that the others need in the graph: a circle
    /// its first node, a source `nyc.*`.
    pub diagnostics: Vec<Diagnostic>,
    /// Names of nodes that cannot be used, in order of name. What reads them cannot run either.
    pub broken: Vec<String>,
}

impl Loaded {
    /// Returns the broken nodes that keep `node` from running: itself, or what it needs.
    pub fn blockers(&self, node: &str) -> Vec<&str> {
        let needed = self.project.as_ref().map(|project| project.graph.ancestors(node)).unwrap_or_default();
        let is_needed = |name: &&String| **name == node || needed.contains(*name);
        self.broken.iter().filter(is_needed).map(String::as_str).collect()
    }

    /// Returns the problems that matter to a run of `nodes`: those of the project, and those of
    /// the nodes and of what they need.
    pub fn problems_for<'a>(&self, nodes: impl IntoIterator<Item = &'a str>) -> Vec<&Diagnostic> {
        let mut needed: BTreeSet<String> = BTreeSet::new();
        for node in nodes {
            needed.insert(node.to_owned());
            needed.extend(self.project.iter().flat_map(|project| project.graph.ancestors(node)));
        }
        let concerns = |problem: &&Diagnostic| problem.node.as_ref().is_none_or(|node| needed.contains(node));
        self.diagnostics.iter().filter(concerns).collect()
    }
}

/// The text files of a project, by path relative to its folder, with forward slashes.
#[derive(Debug, Default)]
pub(crate) struct FileSet {
    pub(crate) files: BTreeMap<String, Arc<SourceFile>>,
    /// Files that exist and were not read: seeds, locks of packages, and what cannot be read.
    pub(crate) unread: Vec<String>,
    /// Whether there is a folder for shared Python modules.
    pub(crate) has_lib: bool,
    /// Problems of reading, with the path of the file.
    pub(crate) problems: Vec<(String, Diagnostic)>,
}

/// Reads and checks a project. All problems are reported, not only the first.
pub fn load(options: &LoadOptions) -> Loaded {
    let options = with_absolute_root(options);
    let files = read_files(&options.root);
    assemble(&files, &options)
}

/// Reads a project with its unit tests.
pub fn load_tests(options: &LoadOptions) -> TestSuite {
    let options = with_absolute_root(options);
    let mut tests = FileSet::default();
    let (folder, endings) = TESTS;
    if options.root.join(folder).is_dir() {
        tests.read_folder(&options.root, folder, endings);
    }
    read_suite(&read_files(&options.root), &tests, &options)
}

/// Returns the nearest folder from `start` upwards that holds a `windlass.yml`.
pub fn find_root(start: &Path) -> Option<PathBuf> {
    let start = std::path::absolute(start).ok()?;
    start.ancestors().find(|folder| folder.join(MANIFEST).is_file()).map(Path::to_path_buf)
}

fn with_absolute_root(options: &LoadOptions) -> LoadOptions {
    let root = std::path::absolute(&options.root).unwrap_or_else(|_| options.root.clone());
    LoadOptions { root, ..options.clone() }
}

/// Whether a file must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Expected,
    Optional,
}

fn read_files(root: &Path) -> FileSet {
    let mut set = FileSet::default();
    for name in [MANIFEST, "targets.yml", "sources.yml"] {
        set.read(root, name.to_owned(), Presence::Optional);
    }
    set.has_lib = root.join(LIB).is_dir();
    for (folder, endings) in FOLDERS {
        if root.join(folder).is_dir() {
            set.read_folder(root, folder, endings);
        }
    }
    set
}

impl FileSet {
    fn read_folder(&mut self, root: &Path, folder: &str, endings: &[&str]) {
        let is_hidden = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with('.') || name == "__pycache__";
        let holds_packages = PYTHON_FOLDERS.contains(&folder);
        let walk = WalkDir::new(root.join(folder)).follow_links(true).sort_by_file_name();
        for entry in walk.into_iter().filter_entry(|entry| entry.depth() == 0 || !is_hidden(entry.file_name())) {
            match entry {
                Ok(entry) if entry.file_type().is_file() => {
                    let path = relative(root, entry.path());
                    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
                    let name = path.rsplit('/').next().unwrap_or_default();
                    let is_seed = ending == "csv" && folder == SEEDS;
                    if is_seed || (holds_packages && name == PACKAGE_LOCK) {
                        self.unread.push(path);
                    } else if endings.contains(&ending) || (holds_packages && PACKAGE_FILES.contains(&name)) {
                        self.read(root, path, Presence::Expected);
                    }
                }
                Ok(_) => {}
                Err(err) => self.cannot_walk(root, &err),
            }
        }
    }

    fn read(&mut self, root: &Path, path: String, presence: Presence) {
        let problem = match std::fs::read(root.join(&path)) {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => {
                    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
                    self.files.insert(path.clone(), SourceFile::new(Path::new(&path), text));
                    return;
                }
                Err(err) => not_text(&path, &err),
            },
            Err(err) if presence == Presence::Optional && err.kind() == ErrorKind::NotFound => return,
            Err(err) => Diagnostic::error(Code::STORAGE, format!("cannot read `{path}`")).note(err.to_string()),
        };
        self.unread.push(path.clone());
        self.problems.push((path, problem));
    }

    fn cannot_walk(&mut self, root: &Path, err: &walkdir::Error) {
        let path = err.path().map(|path| relative(root, path)).unwrap_or_default();
        let problem = if err.loop_ancestor().is_some() {
            Diagnostic::error(Code::STORAGE, format!("the link `{path}` leads back to a folder around it"))
                .hint("remove the link")
        } else {
            let problem = Diagnostic::error(Code::STORAGE, format!("cannot read `{path}`"));
            match err.io_error() {
                Some(err) => problem.note(err.to_string()),
                None => problem,
            }
        };
        self.unread.push(path.clone());
        self.problems.push((path, problem));
    }
}

fn not_text(path: &str, err: &std::string::FromUtf8Error) -> Diagnostic {
    let valid = err.utf8_error().valid_up_to();
    let line = err.as_bytes()[..valid].iter().filter(|byte| **byte == b'\n').count() + 1;
    Diagnostic::error(Code::BAD_FILE, format!("`{path}` is not UTF-8 text"))
        .note(format!("the first byte that is not stands in line {line}"))
        .hint("save the file as UTF-8")
}

/// Returns the path below `root` with forward slashes.
fn relative(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

#[cfg(test)]
mod tests;
