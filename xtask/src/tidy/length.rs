//! Files end before 500 lines without their tests, functions before 60.

use super::Finding;
use crate::rust_text::{functions, test_modules, without_test_modules};
use crate::tree::Tree;

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 60;

pub(super) fn find(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust_files().filter(|file| !file.is_test()) {
        let code = file.code();
        let tests: usize = test_modules(&code).into_iter().map(|range| code[range].matches('\n').count()).sum();
        let lines = file.text.lines().count() - tests;
        if lines > FILE_LINES {
            let message = format!("{lines} lines without tests: split by subject before {FILE_LINES}");
            findings.push(Finding::error(&file.path, message));
        }
        for function in functions(&without_test_modules(&code)) {
            if function.lines > FUNCTION_LINES {
                let message =
                    format!("`{}` has {} lines: split before {FUNCTION_LINES}", function.name, function.lines);
                findings.push(Finding::warning(&file.path, message).at(function.line));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::assert_found;
    use super::*;

    #[test]
    fn long_files_and_functions_are_found() {
        let body = "    call();\n".repeat(60);
        let long_tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    fn f() {}\n".repeat(600));
        let tree = Tree::of(&[
            ("function.rs", &format!("//! A.\nfn long() {{\n{body}}}\n")),
            ("file.rs", &"const A: u8 = 1;\n".repeat(501)),
            ("tested.rs", &long_tests),
            ("tests/it.rs", &"const A: u8 = 1;\n".repeat(501)),
        ]);
        assert_found(
            &find(&tree),
            &[
                "function.rs:2: `long` has 62 lines: split before 60",
                "file.rs: 501 lines without tests: split by subject before 500",
            ],
        );
    }
}
