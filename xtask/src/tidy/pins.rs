//! Whatever is selected, a package below DataFusion gets the same features.
//!
//! Cargo unites features over the selected crates only, so `-p windlass-engine` could resolve to
//! fewer than `--workspace` and build DataFusion a second time. `windlass-pins` names the packages
//! whose features differ; the root manifest gives them the union. Crates that do not reach
//! DataFusion are left alone: what they build twice takes seconds.

use std::collections::BTreeSet;

use anyhow::Result;

use super::Finding;
use crate::cargo::{self, Features, Member};

const PINS: &str = "windlass-pins";
const MANIFEST: &str = "crates/windlass-pins/Cargo.toml";
const HEAVY: &[&str] = &["datafusion", "deltalake-core", "ballista"];

/// Where a package is used, and with it the table of the pin crate's manifest that reaches it.
struct Side {
    edges: &'static str,
    table: &'static str,
}

/// The target's packages, then those of build scripts and procedural macros besides.
const SIDES: &[Side] = &[
    Side { edges: "normal,no-proc-macro", table: "dependencies" },
    Side { edges: "normal,build", table: "build-dependencies" },
];

pub(super) fn find(members: &[Member]) -> Result<Vec<Finding>> {
    let heavy = heavy(members);
    let mut findings: Vec<Finding> = heavy
        .iter()
        .filter(|member| uses(member, HEAVY) && !uses(member, &[PINS]))
        .map(|member| Finding::error(&member.manifest, format!("names DataFusion: add `{PINS}.workspace = true`")))
        .collect();
    let mut told = BTreeSet::new();
    for side in SIDES {
        let with_tests = format!("{},dev", side.edges);
        let whole = cargo::features(&["--workspace"], &with_tests)?;
        for member in &heavy {
            for edges in [side.edges, &with_tests] {
                let alone = cargo::features(&["-p", &member.name], edges)?;
                findings.extend(
                    differences(&alone, &whole)
                        .into_iter()
                        .filter(|difference| told.insert(difference.package.clone()))
                        .map(|difference| Finding::error(MANIFEST, difference.advice(&member.name, side.table))),
                );
            }
        }
    }
    Ok(findings)
}

/// Returns the members that reach DataFusion, through other members too.
fn heavy(members: &[Member]) -> Vec<&Member> {
    let mut found: Vec<&Member> = Vec::new();
    loop {
        let names: Vec<&str> = HEAVY.iter().copied().chain(found.iter().map(|member| member.name.as_str())).collect();
        let more: Vec<&Member> = members
            .iter()
            .filter(|member| member.name != PINS && uses(member, &names) && !names.contains(&member.name.as_str()))
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

fn uses(member: &Member, names: &[&str]) -> bool {
    member.dependencies.iter().any(|dependency| names.contains(&dependency.name.as_str()))
}

/// A package that resolves to fewer features in a selection than in the whole workspace.
struct Difference {
    /// Name and version, as cargo prints them: `rustix v1.1.6`.
    package: String,
    alone: String,
    whole: String,
}

fn differences(alone: &Features, whole: &Features) -> Vec<Difference> {
    let mut found = Vec::new();
    for (package, sets) in alone {
        let Some(known) = whole.get(package) else { continue };
        for set in sets.iter().filter(|set| !known.contains(set)) {
            let whole = known.iter().max_by_key(|set| set.len()).cloned().unwrap_or_default();
            found.push(Difference { package: package.clone(), alone: set.clone(), whole });
        }
    }
    found
}

impl Difference {
    fn advice(&self, member: &str, table: &str) -> String {
        let (name, version) = self.package.split_once(" v").unwrap_or((&self.package, "*"));
        let alone: BTreeSet<&str> = self.alone.split(',').collect();
        let missing: Vec<String> = self
            .whole
            .split(',')
            .filter(|feature| !alone.contains(feature) && !feature.is_empty())
            .map(|feature| format!("\"{feature}\""))
            .collect();
        let part = version.split('.').take(if version.starts_with("0.") { 2 } else { 1 }).collect::<Vec<_>>().join(".");
        format!(
            "`-p {member}` alone builds `{name}` without {missing}; add\n  \
             to [{table}] of {MANIFEST}:\n    {name}.workspace = true\n  \
             to [workspace.dependencies] of Cargo.toml, unless it is there:\n    \
             {name} = {{ version = \"{part}\", features = [{missing}] }}",
            missing = missing.join(", "),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo::parse_tree;

    #[test]
    fn a_difference_prints_the_lines_to_add() {
        let alone = parse_tree("rustix v1.1.6 [fs,std]\nmemchr v2.8.0 [std]\nlone v0.3.1 []\n");
        let whole = parse_tree("rustix v1.1.6 [fs,std,termios]\nmemchr v2.8.0 [alloc,std]\nmemchr v2.8.0 [std]\n");
        let found: Vec<String> = differences(&alone, &whole)
            .iter()
            .map(|difference| difference.advice("windlass-engine", "dependencies"))
            .collect();
        assert_eq!(
            found,
            ["`-p windlass-engine` alone builds `rustix` without \"termios\"; add\n  \
              to [dependencies] of crates/windlass-pins/Cargo.toml:\n    rustix.workspace = true\n  \
              to [workspace.dependencies] of Cargo.toml, unless it is there:\n    \
              rustix = { version = \"1\", features = [\"termios\"] }"]
        );
    }

    #[test]
    fn members_reach_datafusion_through_each_other() {
        let members = [
            Member::using("windlass", &["windlass-engine", "windlass-runner"]),
            Member::using("windlass-engine", &["datafusion", PINS]),
            Member::using("windlass-runner", &["tokio"]),
            Member::using(PINS, &["datafusion"]),
        ];
        let mut names: Vec<&str> = heavy(&members).into_iter().map(|member| member.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["windlass", "windlass-engine"]);
    }
}
