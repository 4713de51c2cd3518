//! A crate of ours may use crates on lower lines of [`LAYERS`], never one on its own line.

use super::Finding;
use crate::cargo::Member;

/// Our crates, lowest line first. A crate that is not created yet keeps its place free.
const LAYERS: &[&[&str]] = &[
    &["windlass-error", "windlass-pins"],
    &["windlass-project", "windlass-stream"],
    &["windlass-runner", "windlass-worker", "windlass-model"],
    &["windlass-engine", "windlass-server"],
    &["windlass-cluster"],
    &["windlass"],
];

/// Chores: uses no crate of ours, and no crate of ours uses it.
const APART: &str = "xtask";

pub(super) fn find(members: &[Member]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in members.iter().filter(|member| member.name != APART) {
        let Some(layer) = layer_of(&member.name) else {
            let message = format!("`{}` has no place in `LAYERS` of xtask/src/tidy/layers.rs", member.name);
            findings.push(Finding::error(&member.manifest, message));
            continue;
        };
        for dependency in &member.dependencies {
            if layer_of(&dependency.name).is_some_and(|other| other >= layer) || dependency.name == APART {
                let message = format!("`{}` may not use `{}`: only lower layers", member.name, dependency.name);
                findings.push(Finding::error(&member.manifest, message));
            }
        }
    }
    for member in members.iter().filter(|member| member.name == APART) {
        for dependency in member.dependencies.iter().filter(|dependency| layer_of(&dependency.name).is_some()) {
            let message = format!("`{APART}` may not use `{}`: it checks the product from outside", dependency.name);
            findings.push(Finding::error(&member.manifest, message));
        }
    }
    findings
}

fn layer_of(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::super::assert_found;
    use super::*;

    #[test]
    fn edges_lead_down() {
        for (name, uses, expected) in [
            ("windlass-engine", "windlass-project", None),
            ("windlass-engine", "serde", None),
            (
                "windlass-project",
                "windlass-engine",
                Some("`windlass-project` may not use `windlass-engine`: only lower layers"),
            ),
            (
                "windlass-server",
                "windlass-engine",
                Some("`windlass-server` may not use `windlass-engine`: only lower layers"),
            ),
            ("windlass", "xtask", Some("`windlass` may not use `xtask`: only lower layers")),
            (
                "xtask",
                "windlass-error",
                Some("`xtask` may not use `windlass-error`: it checks the product from outside"),
            ),
            ("windlass-utils", "serde", Some("`windlass-utils` has no place in `LAYERS` of xtask/src/tidy/layers.rs")),
        ] {
            let expected: Vec<String> = expected.iter().map(|text| format!("Cargo.toml: {text}")).collect();
            let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
            assert_found(&find(&[Member::using(name, &[uses])]), &expected);
        }
    }
}
