//! Members name dependencies, the root manifest says which version and which features.
//!
//! A feature added in one member would be missing when another is selected alone, and DataFusion
//! would be built twice. Members also take the workspace's lints.

use super::Finding;
use crate::tree::Tree;

pub(super) fn find(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in tree.files.iter().filter(|file| file.path != "Cargo.toml" && file.path.ends_with("/Cargo.toml")) {
        let mut section = "";
        let mut takes_lints = false;
        for (index, line) in member.text.lines().enumerate() {
            let line = line.trim();
            if line.starts_with('[') {
                section = line.trim_matches(['[', ']']);
            } else if section == "lints" {
                takes_lints |= line == "workspace = true";
            } else if is_dependencies(section) && !line.is_empty() && !line.starts_with('#') && !is_inherited(line) {
                let message = format!("write `name.workspace = true`; the rest stands in the root manifest: `{line}`");
                findings.push(Finding::error(&member.path, message).at(index + 1));
            }
            if let Some((table, _)) = section.rsplit_once('.').filter(|(table, _)| is_dependencies(table)) {
                let message = format!("write dependencies as lines of `[{table}]`");
                findings.push(Finding::error(&member.path, message).at(index + 1));
                section = "";
            }
        }
        if !takes_lints {
            findings.push(Finding::error(&member.path, "`[lints]` lacks `workspace = true`".to_string()));
        }
    }
    findings
}

fn is_dependencies(section: &str) -> bool {
    section.rsplit('.').next().is_some_and(|name| name == "dependencies" || name.ends_with("-dependencies"))
}

fn is_inherited(line: &str) -> bool {
    let Some((name, value)) = line.split_once('=') else { return false };
    let value: String = value.split('#').next().unwrap_or_default().split_whitespace().collect();
    match name.trim().strip_suffix(".workspace") {
        Some(_) => value == "true",
        None => value == "{workspace=true}" || value == "{workspace=true,optional=true}",
    }
}

#[cfg(test)]
mod tests {
    use super::super::assert_found;
    use super::*;

    fn check(manifest: &str, expected: &[&str]) {
        let with_lints = format!("{manifest}\n[lints]\nworkspace = true\n");
        assert_found(&find(&Tree::of(&[("crates/a/Cargo.toml", &with_lints)])), expected);
    }

    #[test]
    fn dependencies_are_inherited() {
        check(
            "[package]\nversion = \"1\"\n\n[dependencies]\n# why\nserde.workspace = true # data\nurl = { workspace = true }",
            &[],
        );
        check(
            "[target.'cfg(unix)'.dependencies]\nrustix = \"1\"",
            &[
                "crates/a/Cargo.toml:2: write `name.workspace = true`; the rest stands in the root manifest: `rustix = \"1\"`",
            ],
        );
        check(
            "[dev-dependencies]\nurl = { workspace = true, features = [\"serde\"] }",
            &["crates/a/Cargo.toml:2: write `name.workspace = true`; the rest stands in the root manifest: \
               `url = { workspace = true, features = [\"serde\"] }`"],
        );
        check(
            "[dependencies.url]\nworkspace = true\nfeatures = [\"serde\"]",
            &["crates/a/Cargo.toml:1: write dependencies as lines of `[dependencies]`"],
        );
    }

    #[test]
    fn lints_are_inherited() {
        let tree = Tree::of(&[
            ("crates/a/Cargo.toml", "[package]\n"),
            ("Cargo.toml", "[workspace.dependencies]\na = \"1\"\n"),
        ]);
        assert_found(&find(&tree), &["crates/a/Cargo.toml: `[lints]` lacks `workspace = true`"]);
    }
}
