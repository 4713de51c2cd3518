//! One word per thing: words that another word of ours has replaced do not come back.
//!
//! Holds only words that have no other meaning here. A Markdown table may list them.

use super::Finding;
use crate::tree::Tree;

/// A replaced word, as its parts, and the word to say. Parts may be joined by `_`, `-`, a space or
/// nothing, so this list never matches itself.
const BANNED: &[(&[&str], &str)] = &[
    (&["bad", "record"], "error row"),
    (&["error", "record"], "error row"),
    (&["failed", "record"], "error row"),
    (&["dead", "letter"], "error table"),
    (&["save", "point"], "checkpoint"),
    (&["pipeline", "step"], "node"),
    (&["retry", "number"], "attempt"),
];

const ENDINGS: &[&str] = &[".rs", ".py", ".md", ".toml", ".yml", ".yaml", ".sql", ".slt"];

pub(super) fn find(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| ENDINGS.iter().any(|ending| file.path.ends_with(ending))) {
        let is_markdown = file.path.ends_with(".md");
        for (index, line) in file.text.lines().enumerate() {
            if is_markdown && line.starts_with('|') {
                continue;
            }
            let line = line.to_lowercase();
            for (parts, say) in BANNED.iter().filter(|(parts, _)| holds(&line, parts)) {
                let message = format!("say `{say}`, not `{}`", parts.join(" "));
                findings.push(Finding::error(&file.path, message).at(index + 1));
            }
        }
    }
    findings
}

fn holds(line: &str, parts: &[&str]) -> bool {
    ["", "_", "-", " "].iter().any(|joint| {
        let word = parts.join(joint);
        line.match_indices(&word).any(|(at, _)| !line[..at].chars().next_back().is_some_and(char::is_alphanumeric))
    })
}

#[cfg(test)]
mod tests {
    use super::super::assert_found;
    use super::*;

    #[test]
    fn replaced_words_are_found_however_written() {
        for part in ["_", "-", " ", ""] {
            let tree = Tree::of(&[("a.rs", &format!("//! A.\nfn write_dead{part}Letters() {{}}\n"))]);
            let word = ["dead", "letter"].join(" ");
            assert_found(&find(&tree), &[&format!("a.rs:2: say `error table`, not `{word}`")]);
        }
    }

    #[test]
    fn parts_of_other_words_and_tables_are_not() {
        let word = ["dead", "letter"].join(" ");
        let tree = Tree::of(&[
            ("a.rs", "//! A nosave_points_here, autosavepointer.\n"),
            ("STYLE.md", &format!("| error table | {word} |\n")),
            ("data.csv", &word),
        ]);
        assert_found(&find(&tree), &[]);
    }
}
