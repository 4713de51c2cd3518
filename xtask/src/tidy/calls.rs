//! What some code may not say: read the environment, read files, print, look at a clock, be unsafe.
//!
//! Compares words in code without comments and literals. `clippy.toml` holds the rules that need to
//! know what a name means.

use super::Finding;
use crate::rust_text::{line_of, words};
use crate::tree::Tree;

/// Words that only some files may hold.
struct Rule {
    words: &'static [&'static str],
    /// Where the rule holds: starts of paths, none for everywhere.
    within: &'static [&'static str],
    /// Where the words may stand all the same: starts of paths.
    but_for: &'static [&'static str],
    /// Whether tests are bound too.
    tests: bool,
    /// What to do about it.
    message: &'static str,
}

const PURE: &[&str] = &["crates/windlass-error/src/", "crates/windlass-project/src/", "crates/windlass-stream/src/"];

const RULES: &[Rule] = &[
    Rule {
        words: &["env::var", "env::var_os", "env::vars", "env::vars_os", "env::set_var", "env::remove_var"],
        within: &[],
        but_for: &["crates/windlass/src/settings"],
        tests: false,
        message: "only crates/windlass/src/settings.rs reads the environment",
    },
    Rule {
        words: &["fs::", "std::fs", "File::open", "WalkDir", ".read_dir(", ".is_file(", ".is_dir(", ".try_exists("],
        within: PURE,
        but_for: &["crates/windlass-project/src/load"],
        tests: false,
        message: "only crates/windlass-project/src/load.rs reads files",
    },
    Rule {
        words: &["Instant::now", "SystemTime::now", "Utc::now", "Local::now"],
        within: PURE,
        but_for: &[],
        tests: true,
        message: "pure crates have no clock: take the time as a value",
    },
    Rule {
        words: &["println!", "eprintln!", "print!", "eprint!"],
        within: &[],
        but_for: &["crates/windlass/src/", "xtask/"],
        tests: false,
        message: "only `windlass` prints: return a value, or log an event",
    },
    Rule {
        words: &["unsafe"],
        within: &[],
        but_for: &["crates/windlass-worker/src/shm"],
        tests: true,
        message: "`unsafe` stands in crates/windlass-worker/src/shm.rs alone",
    },
    Rule {
        words: &["#[ignore"],
        within: &[],
        but_for: &[],
        tests: true,
        message: "no ignored tests: assert today's behaviour and say why it is wrong",
    },
];

pub(super) fn find(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust_files() {
        let (all, production) = (file.code(), file.production_code());
        for rule in RULES.iter().filter(|rule| rule.holds(&file.path)) {
            let code = if rule.tests { &all } else { &production };
            let mut lines: Vec<usize> =
                rule.words.iter().flat_map(|word| words(code, word)).map(|at| line_of(code, at)).collect();
            lines.sort_unstable();
            lines.dedup();
            findings
                .extend(lines.into_iter().map(|line| Finding::error(&file.path, rule.message.to_string()).at(line)));
        }
    }
    findings
}

impl Rule {
    fn holds(&self, path: &str) -> bool {
        let under = |starts: &[&str]| starts.iter().any(|start| path.starts_with(start));
        (self.within.is_empty() || under(self.within)) && !under(self.but_for)
    }
}

#[cfg(test)]
mod tests {
    use super::super::assert_found;
    use super::*;

    fn check(path: &str, code: &str, expected: &[&str]) {
        let expected: Vec<String> = expected.iter().map(|text| format!("{path}:{text}")).collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        assert_found(&find(&Tree::of(&[(path, code)])), &expected);
    }

    #[test]
    fn the_environment_is_read_in_settings() {
        let code = "fn f() {\n    std::env::var(\"HOME\");\n}\n";
        check(
            "crates/windlass-engine/src/a.rs",
            code,
            &["2: only crates/windlass/src/settings.rs reads the environment"],
        );
        check("crates/windlass/src/settings.rs", code, &[]);
        check("crates/windlass/tests/it/main.rs", code, &[]);
        check("crates/windlass/src/main.rs", "fn f() { std::env::args(); }\n", &[]);
    }

    #[test]
    fn files_are_read_in_load() {
        let code = "use std::fs;\nfn f() { fs::read(p); x.is_dir(); }\n";
        let message = "only crates/windlass-project/src/load.rs reads files";
        check("crates/windlass-project/src/graph.rs", code, &[&format!("1: {message}"), &format!("2: {message}")]);
        check("crates/windlass-project/src/load.rs", code, &[]);
        check("crates/windlass-runner/src/store.rs", code, &[]);
        check("crates/windlass-project/src/a.rs", "#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n", &[]);
    }

    #[test]
    fn printing_is_for_the_binary() {
        let message = "1: only `windlass` prints: return a value, or log an event";
        check("crates/windlass-runner/src/a.rs", "fn f() { eprintln!(\"x\"); }", &[message]);
        check("crates/windlass-runner/src/a.rs", "/// Like `println!`.\nfn f() { g(\"println!\"); }", &[]);
        check("crates/windlass/src/printer.rs", "fn f() { println!(); }", &[]);
    }

    #[test]
    fn clocks_unsafe_and_ignored_tests() {
        let pure = "1: pure crates have no clock: take the time as a value";
        check("crates/windlass-stream/src/tests.rs", "fn f() { Instant::now(); }", &[pure]);
        let alone = "1: `unsafe` stands in crates/windlass-worker/src/shm.rs alone";
        check("crates/windlass-engine/src/a.rs", "unsafe fn f() {}", &[alone]);
        check("crates/windlass-engine/src/a.rs", "#![deny(unsafe_code)]", &[]);
        let ignored = "2: no ignored tests: assert today's behaviour and say why it is wrong";
        check("crates/windlass-engine/src/tests.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() {}", &[ignored]);
    }
}
