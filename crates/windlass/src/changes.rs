//! Which files of a project have changed, told by size and modification time.
//!
//! Looked at from time to time: a project has few files, and this works on every file system.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Files that define a project.
const FILES: [&str; 3] = ["windlass.yml", "targets.yml", "sources.yml"];
/// Folders of files that define it. Locks are left out: Windlass writes them itself.
const FOLDERS: [&str; 6] = ["functions", "lib", "macros", "seeds", "sources", "transforms"];

/// The files of a project at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    files: BTreeMap<PathBuf, (Option<SystemTime>, u64)>,
}

impl Snapshot {
    /// Looks at the files below a project's folder. What cannot be looked at counts as missing.
    pub(crate) fn take(root: &Path) -> Self {
        let mut snapshot = Self { files: BTreeMap::new() };
        for file in FILES {
            if let Ok(metadata) = std::fs::metadata(root.join(file)) {
                snapshot.add(PathBuf::from(file), &metadata);
            }
        }
        for folder in FOLDERS {
            snapshot.add_folder(root, Path::new(folder));
        }
        snapshot
    }

    /// Returns the first file that is another one in `later`, below the project's folder.
    pub(crate) fn difference<'a>(&'a self, later: &'a Self) -> Option<&'a Path> {
        let changed = later.files.iter().find(|(path, state)| self.files.get(*path) != Some(*state));
        let gone = || self.files.iter().find(|(path, _)| !later.files.contains_key(*path));
        changed.or_else(gone).map(|(path, _)| path.as_path())
    }

    fn add(&mut self, path: PathBuf, metadata: &Metadata) {
        self.files.insert(path, (metadata.modified().ok(), metadata.len()));
    }

    fn add_folder(&mut self, root: &Path, folder: &Path) {
        let Ok(entries) = std::fs::read_dir(root.join(folder)) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            // What editors and Python leave beside a file.
            if name.starts_with('.') || name.ends_with('~') || name == "__pycache__" {
                continue;
            }
            let path = folder.join(name.as_ref());
            // Links to folders are not followed, so there is no circle.
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => self.add_folder(root, &path),
                Ok(_) => {
                    if let Ok(metadata) = std::fs::metadata(entry.path()) {
                        self.add(path, &metadata);
                    }
                }
                Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_project_are_watched() {
        let folder = tempfile::TempDir::new().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let mut before = Snapshot::take(folder.path());
        let mut check = |expected: Option<&str>| {
            let after = Snapshot::take(folder.path());
            assert_eq!(before.difference(&after), expected.map(Path::new));
            before = after;
        };
        check(None);
        write("windlass.yml", "name: a\n");
        check(Some("windlass.yml"));
        write("transforms/ml/score.py", "x = 1\n");
        check(Some("transforms/ml/score.py"));
        write("transforms/ml/score.py", "x = 10\n");
        check(Some("transforms/ml/score.py"));
        std::fs::remove_file(folder.path().join("transforms/ml/score.py")).unwrap();
        check(Some("transforms/ml/score.py"));
        for path in ["lake/a.parquet", "locks/a.lock", "lib/__pycache__/a.pyc", "lib/.a.swp", "lib/a.py~"] {
            write(path, "x");
        }
        check(None);
        write("lib/a.py", "");
        check(Some("lib/a.py"));
    }
}
