//! `cargo xtask tidy`: house rules that a compiler does not know, over the whole tree.
//!
//! Each check is a function from the [`Tree`] to findings, in a file of its own, and stands in
//! [`CHECKS`]. The same list runs as a test, so `cargo test` cannot pass on an untidy tree.

mod calls;
mod codes;
mod headers;
mod layers;
mod length;
mod links;
mod machine_paths;
mod manifests;
mod outside_crates;
mod pins;
mod words;

use anyhow::{Context, Result};

use crate::tree::Tree;

/// One rule about the tree.
struct Check {
    name: &'static str,
    find: fn(&Tree) -> Result<Vec<Finding>>,
}

/// Every check, in the order in which they run.
const CHECKS: &[Check] = &[
    Check { name: "layers", find: |tree| Ok(layers::find(&tree.members)) },
    Check { name: "outside-crates", find: |tree| Ok(outside_crates::find(&tree.members)) },
    Check { name: "manifests", find: |tree| Ok(manifests::find(tree)) },
    Check { name: "calls", find: |tree| Ok(calls::find(tree)) },
    Check { name: "headers", find: |tree| Ok(headers::find(tree)) },
    Check { name: "length", find: |tree| Ok(length::find(tree)) },
    Check { name: "words", find: |tree| Ok(words::find(tree)) },
    Check { name: "machine-paths", find: |tree| Ok(machine_paths::find(tree)) },
    Check { name: "links", find: |tree| Ok(links::find(tree)) },
    Check { name: "codes", find: |tree| Ok(codes::find(tree)) },
    Check { name: "pins", find: |tree| pins::find(&tree.members) },
];

/// Whether a [`Finding`] stops a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Warning,
    Error,
}

/// A place that breaks a rule.
#[derive(Debug)]
struct Finding {
    level: Level,
    path: String,
    line: Option<usize>,
    message: String,
}

impl Finding {
    fn error(path: &str, message: String) -> Self {
        Self { level: Level::Error, path: path.to_string(), line: None, message }
    }

    fn warning(path: &str, message: String) -> Self {
        Self { level: Level::Warning, ..Self::error(path, message) }
    }

    fn at(self, line: usize) -> Self {
        Self { line: Some(line), ..self }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.path)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Runs all checks and prints what they find; returns whether there is no error.
pub(crate) fn run() -> Result<bool> {
    let findings = find_all(&Tree::load()?)?;
    for (check, finding) in &findings {
        let level = match finding.level {
            Level::Warning => "warning",
            Level::Error => "error",
        };
        println!("{level}[{check}]: {finding}");
    }
    let errors = findings.iter().filter(|(_, finding)| finding.level == Level::Error).count();
    println!("tidy: {} checks, {errors} errors, {} warnings", CHECKS.len(), findings.len() - errors);
    Ok(errors == 0)
}

fn find_all(tree: &Tree) -> Result<Vec<(&'static str, Finding)>> {
    let mut all = Vec::new();
    for check in CHECKS {
        let findings = (check.find)(tree).with_context(|| format!("cannot run the check `{}`", check.name))?;
        all.extend(findings.into_iter().map(|finding| (check.name, finding)));
    }
    Ok(all)
}

/// Compares what a check finds with the expected lines.
#[cfg(test)]
fn assert_found(findings: &[Finding], expected: &[&str]) {
    let found: Vec<String> = findings.iter().map(Finding::to_string).collect();
    assert_eq!(found, expected);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        let findings = find_all(&Tree::load().unwrap()).unwrap();
        let errors: Vec<String> = findings
            .iter()
            .filter(|(_, finding)| finding.level == Level::Error)
            .map(|(check, finding)| format!("{check}: {finding}"))
            .collect();
        assert!(errors.is_empty(), "`cargo xtask tidy` finds:\n{}", errors.join("\n"));
    }
}
