//! Paths and URLs as users write them.

use std::path::{Component, Path, PathBuf};

/// Returns whether a text names an object store or another scheme, such as `s3://lake/x`.
pub(crate) fn is_url(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

/// Returns a URL unchanged, and a path absolute, from `root` where it is relative.
pub(crate) fn resolve(root: &Path, text: &str) -> String {
    if is_url(text) { text.to_owned() } else { resolve_path(root, text).to_string_lossy().into_owned() }
}

/// Returns an absolute path without `.` and `..`. Only the text is looked at, no links.
pub(crate) fn resolve_path(root: &Path, text: &str) -> PathBuf {
    let mut path = PathBuf::new();
    for component in root.join(text).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                path.pop();
            }
            other => path.push(other),
        }
    }
    path
}
