//! No text names a folder of somebody's machine.

use super::Finding;
use crate::tree::Tree;

/// Written in halves, so that this file passes its own check.
const FOLDERS: &[&str] = &[concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/wo", "rk/"), concat!("/Us", "ers/")];

pub(super) fn find(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        for (index, line) in file.text.lines().enumerate() {
            if let Some(folder) = FOLDERS.iter().find(|folder| names(line, folder)) {
                let message = format!("`{folder}` belongs to one machine: use a relative path or `$HOME`");
                findings.push(Finding::error(&file.path, message).at(index + 1));
            }
        }
    }
    findings
}

/// `docs/work/a.md` and `example.com/home/` are other things: a path starts at its slash.
fn names(line: &str, folder: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || "_-.})*".contains(c);
    line.match_indices(folder).any(|(at, _)| !line[..at].chars().next_back().is_some_and(inside))
}

#[cfg(test)]
mod tests {
    use super::super::assert_found;
    use super::*;

    #[test]
    fn absolute_paths_are_found() {
        let (home, work) = (FOLDERS[1], FOLDERS[2]);
        let tree = Tree::of(&[
            ("a.md", &format!("see\n`{home}ana/notes`\n")),
            ("b.sh", &format!("cd docs{work}x https://example.com{home}x ${{ROOT}}{home}x **{work}x\n")),
        ]);
        assert_found(
            &find(&tree),
            &[&format!("a.md:2: `{home}` belongs to one machine: use a relative path or `$HOME`")],
        );
    }
}
