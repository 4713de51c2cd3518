//! The files of the repository as the checks see them: everything git tracks or would track.
//!
//! Loaded once. Tests build a [`Tree`] from inline texts, so checks never read the disk themselves.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cargo::{self, Member};
use crate::rust_text;

/// The repository.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// Paths of all files, texts or not, relative to the root, with forward slashes.
    pub paths: BTreeSet<String>,
    /// The text files, in order of their paths.
    pub files: Vec<TextFile>,
    /// The crates.
    pub members: Vec<Member>,
}

/// A text file.
#[derive(Debug)]
pub(crate) struct TextFile {
    /// Relative to the root, with forward slashes.
    pub path: String,
    /// Its content.
    pub text: String,
}

impl Tree {
    /// Reads the repository.
    pub(crate) fn load() -> Result<Self> {
        let root = cargo::root()?;
        let mut tree = Self { members: cargo::members()?, ..Self::default() };
        for path in listed(&root)? {
            match std::fs::read(root.join(&path)) {
                Ok(bytes) => {
                    if let Ok(text) = String::from_utf8(bytes) {
                        tree.files.push(TextFile { path: path.clone(), text });
                    }
                    tree.paths.insert(path);
                }
                // Deleted but still in the index, or removed while we read.
                Err(err) if err.kind() == ErrorKind::NotFound => {}
                Err(err) => return Err(err).with_context(|| format!("cannot read `{path}`")),
            }
        }
        Ok(tree)
    }

    /// Returns the Rust sources.
    pub(crate) fn rust_files(&self) -> impl Iterator<Item = &TextFile> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    /// Returns the text of a file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|file| file.path == path).map(|file| file.text.as_str())
    }

    /// Returns whether a file or folder of this path is in the repository; the empty path is its root.
    pub(crate) fn contains(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        path.is_empty() || self.paths.contains(path) || self.paths.iter().any(|known| known.starts_with(&folder))
    }

    /// Returns a tree of the given files, for tests.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let mut tree = Self::default();
        for (path, text) in files {
            tree.paths.insert(path.to_string());
            tree.files.push(TextFile { path: path.to_string(), text: text.to_string() });
        }
        tree
    }
}

impl TextFile {
    /// Returns the Rust code with comments and literals blanked; lines and offsets stay the same.
    pub(crate) fn code(&self) -> String {
        rust_text::mask(&self.text)
    }

    /// Returns [`TextFile::code`] with test code blanked too.
    pub(crate) fn production_code(&self) -> String {
        if self.is_test() {
            return rust_text::blank(&self.text);
        }
        rust_text::without_test_modules(&self.code())
    }

    /// Returns whether the whole file is test code.
    pub(crate) fn is_test(&self) -> bool {
        let mut parts = self.path.rsplit('/');
        parts.next() == Some("tests.rs") || parts.any(|folder| folder == "tests" || folder == "benches")
    }
}

fn listed(root: &Path) -> Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("cannot start git")?;
    if !output.status.success() {
        bail!("cannot list the repository's files: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8(output.stdout).context("a path is not UTF-8")?;
    let mut paths: Vec<String> = text.split('\0').filter(|path| !path.is_empty()).map(str::to_string).collect();
    paths.sort();
    paths.dedup();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_files_are_known_by_their_path() {
        for (path, expected) in [
            ("crates/a/src/lib.rs", false),
            ("crates/a/src/tests.rs", true),
            ("crates/a/src/tests/slt.rs", true),
            ("crates/a/tests/it/run.rs", true),
            ("crates/a/src/contests.rs", false),
        ] {
            assert_eq!(TextFile { path: path.to_string(), text: String::new() }.is_test(), expected, "{path}");
        }
    }

    #[test]
    fn folders_of_files_are_contained() {
        let tree = Tree::of(&[("docs/guide/a.md", "")]);
        for (path, expected) in [("docs/guide", true), ("docs/guide/a.md", true), ("docs/gui", false), ("", true)] {
            assert_eq!(tree.contains(path), expected, "{path}");
        }
    }
}
