//! Every code has a text that `windlass explain` can print, and every text has a code.

use super::Finding;
use crate::tree::Tree;

const LIST: &str = "crates/windlass-error/src/code.rs";
const TEXTS: &str = "crates/windlass-error/codes/";
const SHORTEST: usize = 8;

pub(super) fn find(tree: &Tree) -> Vec<Finding> {
    let codes = codes(tree.text(LIST).unwrap_or_default());
    let mut findings = Vec::new();
    for (index, code) in codes.iter().enumerate() {
        let path = format!("{TEXTS}{code}.md");
        let lines = tree.text(&path).map_or(0, |text| text.lines().count());
        if lines < SHORTEST {
            let message = format!("{lines} lines do not explain a code: say what it means, when, and the way out");
            findings.push(Finding::error(&path, message));
        }
        if codes[..index].contains(code) {
            findings.push(Finding::error(LIST, format!("`{code}` is listed twice")));
        }
    }
    for path in tree.paths.iter().filter(|path| path.starts_with(TEXTS)) {
        let name = path[TEXTS.len()..].trim_end_matches(".md");
        if !codes.contains(&name) {
            findings.push(Finding::error(path, format!("`{name}` is not listed in {LIST}")));
        }
    }
    findings
}

/// Reads lines such as `CYCLE = "E0206", "transforms need each other in a circle";`.
fn codes(list: &str) -> Vec<&str> {
    list.lines()
        .filter(|line| line.ends_with("\";"))
        .filter_map(|line| line.split_once(" = \"E").map(|(name, _)| &line[name.len() + 4..]))
        .filter_map(|rest| rest.split('"').next())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::assert_found;
    use super::*;

    #[test]
    fn codes_and_texts_belong_together() {
        let list = "codes! {\n    A = \"E0101\", \"first\";\n    B = \"E0102\", \"second\";\n    C = \"E0101\", \"again\";\n}\n";
        let text = "A line.\n".repeat(8);
        let tree = Tree::of(&[
            (LIST, list),
            ("crates/windlass-error/codes/E0101.md", &text),
            ("crates/windlass-error/codes/E0102.md", "(later)\n"),
            ("crates/windlass-error/codes/E0999.md", &text),
        ]);
        assert_found(
            &find(&tree),
            &[
                "crates/windlass-error/codes/E0102.md: 1 lines do not explain a code: say what it means, when, and the way out",
                "crates/windlass-error/src/code.rs: `E0101` is listed twice",
                "crates/windlass-error/codes/E0999.md: `E0999` is not listed in crates/windlass-error/src/code.rs",
            ],
        );
    }
}
