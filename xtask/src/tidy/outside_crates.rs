//! Which crate of ours may name which outside crate.
//!
//! These absences hold the design up: most of our code builds and tests without DataFusion, the
//! pure crates cannot block or look at a clock, and only the binary knows a terminal.

use super::Finding;
use crate::cargo::Member;

/// A family of outside crates.
struct Rule {
    /// The crate's name; a `*` at the end stands for any rest.
    names: &'static [&'static str],
    /// Who may use them.
    users: Users,
    /// Whether tests are bound too.
    tests: bool,
}

enum Users {
    Only(&'static [&'static str]),
    AllBut(&'static [&'static str]),
}

/// `windlass-pins` is free to name anything: it holds no code.
const RULES: &[Rule] = &[
    Rule {
        names: &["datafusion*", "deltalake*"],
        users: Users::Only(&["windlass-engine", "windlass-cluster"]),
        tests: true,
    },
    Rule { names: &["ballista*"], users: Users::Only(&["windlass-cluster"]), tests: true },
    Rule { names: &["clap*", "indicatif", "annotate-snippets"], users: Users::Only(&["windlass"]), tests: true },
    Rule { names: &["tracing-subscriber"], users: Users::Only(&["windlass"]), tests: false },
    Rule { names: &["anyhow"], users: Users::Only(&["windlass", "xtask"]), tests: false },
    Rule { names: &["rusqlite"], users: Users::Only(&["windlass-runner"]), tests: false },
    Rule { names: &["axum*"], users: Users::Only(&["windlass-server"]), tests: false },
    Rule { names: &["pyo3*"], users: Users::Only(&[]), tests: true },
    Rule {
        names: &["tokio*", "async-std", "smol", "chrono", "time", "object_store", "reqwest"],
        users: Users::AllBut(&["windlass-error", "windlass-project", "windlass-stream"]),
        tests: false,
    },
];

pub(super) fn find(members: &[Member]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in members.iter().filter(|member| member.name != "windlass-pins") {
        for dependency in &member.dependencies {
            let broken = RULES.iter().any(|rule| {
                rule.names.iter().any(|name| fits(name, &dependency.name))
                    && !rule.users.allow(&member.name)
                    && (rule.tests || !dependency.dev)
            });
            if broken {
                let message = format!("`{}` may not name `{}`", member.name, dependency.name);
                findings.push(Finding::error(&member.manifest, message));
            }
        }
    }
    findings
}

impl Users {
    fn allow(&self, member: &str) -> bool {
        match self {
            Self::Only(members) => members.contains(&member),
            Self::AllBut(members) => !members.contains(&member),
        }
    }
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::super::assert_found;
    use super::*;

    #[test]
    fn outside_crates_stay_where_they_belong() {
        for (name, uses, allowed) in [
            ("windlass-engine", "datafusion", true),
            ("windlass", "datafusion-common", false),
            ("windlass-runner", "deltalake-core", false),
            ("windlass-runner", "tokio", true),
            ("windlass-project", "tokio", false),
            ("windlass-stream", "chrono", false),
            ("windlass", "clap_complete", true),
            ("windlass-runner", "clap", false),
            ("windlass-engine", "anyhow", false),
            ("windlass-worker", "pyo3", false),
            ("windlass-pins", "datafusion", true),
        ] {
            let message = format!("Cargo.toml: `{name}` may not name `{uses}`");
            let expected = if allowed { vec![] } else { vec![message.as_str()] };
            assert_found(&find(&[Member::using(name, &[uses])]), &expected);
        }
    }

    #[test]
    fn tests_may_use_anyhow() {
        let mut member = Member::using("windlass-engine", &["anyhow", "clap"]);
        member.dependencies.iter_mut().for_each(|dependency| dependency.dev = true);
        assert_found(&find(&[member]), &["Cargo.toml: `windlass-engine` may not name `clap`"]);
    }
}
