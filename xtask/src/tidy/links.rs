//! Relative links of Markdown files lead to files of the repository.

use super::Finding;
use crate::tree::Tree;

pub(super) fn find(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.ends_with(".md")) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut in_code = false;
        for (index, line) in file.text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                in_code = !in_code;
            } else if !in_code {
                for target in targets(line).filter(|target| !leads_somewhere(tree, folder, target)) {
                    let message = format!("the link `{target}` leads to no file of the repository");
                    findings.push(Finding::error(&file.path, message).at(index + 1));
                }
            }
        }
    }
    findings
}

/// Returns the targets of links such as `[text](target "title")` that stand outside of inline code.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("](")
        .filter(|(at, _)| line[..*at].matches('`').count().is_multiple_of(2))
        .filter_map(|(at, mark)| line[at + mark.len()..].split([')', ' ']).next())
}

fn leads_somewhere(tree: &Tree, folder: &str, target: &str) -> bool {
    let path = target.split('#').next().unwrap_or_default();
    if path.is_empty() || target.contains("://") || target.starts_with("mailto:") {
        return true;
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.is_empty() => return false,
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    tree.contains(&parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::super::assert_found;
    use super::*;

    #[test]
    fn dead_links_are_found() {
        let text = "[a](guide.md#top) [b](../README.md) [c](https://example.com/x) [d](#here) `x[0](y)`\n\
                    [e](missing.md) and [f](../../README.md)\n```\n[g](code.md)\n```\n[h](.)\n";
        let tree = Tree::of(&[("docs/index.md", text), ("docs/guide.md", ""), ("README.md", "")]);
        assert_found(
            &find(&tree),
            &[
                "docs/index.md:2: the link `missing.md` leads to no file of the repository",
                "docs/index.md:2: the link `../../README.md` leads to no file of the repository",
            ],
        );
    }
}
