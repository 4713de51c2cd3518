//! Every Rust file opens with `//!`: what it does, where it sits, what must stay true.

use super::Finding;
use crate::tree::Tree;

pub(super) fn find(tree: &Tree) -> Vec<Finding> {
    tree.rust_files()
        .filter(|file| !file.text.starts_with("//! "))
        .map(|file| Finding::error(&file.path, "open the file with `//!`: what it does and what must stay true".into()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::assert_found;
    use super::*;

    #[test]
    fn a_file_without_a_header_is_found() {
        let tree = Tree::of(&[
            ("a.rs", "//! Does a thing.\n"),
            ("b.rs", "use std::fmt;\n"),
            ("c.rs", "// A comment.\n"),
            ("d.py", "import os\n"),
        ]);
        let message = "open the file with `//!`: what it does and what must stay true";
        assert_found(&find(&tree), &[&format!("b.rs: {message}"), &format!("c.rs: {message}")]);
    }
}
