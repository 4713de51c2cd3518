//! What changes the hash of a file, and what does not.

use std::path::Path;

use proptest::prelude::*;
use windlass_error::SourceFile;

use super::fingerprint;
use crate::python::module::with_module;

fn hash(text: &str) -> String {
    let file = SourceFile::new(Path::new("x.py"), text.to_owned());
    with_module(&file, fingerprint).unwrap_or_else(|problem| panic!("{}: {text}", problem.message))
}

const FILE: &str = "\
import numpy as np
from windlass import transform

def f(batch, *, n=1):
    if n > 0:
        return {\"a\": batch[\"a\"] + n, \"b\": [1, 2.5]}
    return f\"{n:>3}\"
";

#[test]
fn layout_comments_and_docstrings_do_not_count() {
    let same = [
        FILE.replace("    ", "  "),
        FILE.replace('\n', "\r\n"),
        FILE.replace("\"a\"", "'a'"),
        FILE.replace("[1, 2.5]", "[\n  1,  # one\n  2.5,\n]"),
        FILE.replace("if n > 0:", "if (n > 0):\n        # why\n"),
        format!("#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n\n{FILE}\n\n# end"),
        format!("\"\"\"A module.\"\"\"\n{FILE}"),
        FILE.replace("    if n", "    '''Adds n.'''\n    if n"),
        FILE.replace("return {", "return \\\n            {"),
    ];
    for text in same {
        assert_eq!(hash(&text), hash(FILE), "{text}");
    }
}

#[test]
fn everything_else_counts() {
    let mut hashes = vec![hash(FILE)];
    for (old, new) in [
        ("import numpy as np", "import numpy"),
        ("import numpy as np", "import numpy as nq"),
        ("*, n=1", "n=1"),
        ("n=1", "n=1.0"),
        ("n=1", "n=True"),
        ("n > 0", "n >= 0"),
        ("\"a\": batch", "\"A\": batch"),
        ("[1, 2.5]", "(1, 2.5)"),
        ("[1, 2.5]", "[2.5, 1]"),
        ("[1, 2.5]", "[12.5]"),
        ("{n:>3}", "{n:>4}"),
        ("{n:>3}", "{n!r:>3}"),
        ("f\"{n:>3}\"", "\"{n:>3}\""),
        ("def f", "async def f"),
        ("    return f\"", "        return f\""),
        ("from windlass", "from .windlass"),
        ("batch[\"a\"] + n", "(batch[\"a\"] + n)()"),
        ("batch[\"a\"] + n", "b\"a\""),
    ] {
        assert!(FILE.contains(old), "{old}");
        hashes.push(hash(&FILE.replacen(old, new, 1)));
    }
    let found = hashes.len();
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), found);
}

#[test]
fn docstrings_that_are_read_count() {
    let file = |doc: &str| format!("def f():\n    '{doc}'\n    return f.__doc__\n");
    assert_ne!(hash(&file("a")), hash(&file("b")));
    // A text that is no docstring.
    assert_ne!(hash("x = 1\n'a'\n"), hash("x = 1\n'b'\n"));
}

#[test]
fn how_work_is_done_does_not_count() {
    let file = |arguments: &str| {
        format!(
            "import windlass as w\n@w.transform(w.ref('a'), columns={{'a': 'int'}}, {arguments})\ndef f(b): ...\n\
             @w.udf(returns='int', {arguments})\ndef g(b): ...\nx = w.transform({arguments})(f)\n"
        )
    };
    let plain = hash(&file(""));
    for arguments in [
        "tags=['x'], owner='me', retries=1",
        "concurrency=(1, 2), timeout=3, memory='1GiB'",
        "batch_size=5",
        "max_errors=3",
    ] {
        assert_eq!(hash(&file(arguments)), plain, "{arguments}");
    }
    for arguments in [
        "key=['a']",
        "rows='many'",
        "num_gpus=1",
        "on_error='null'",
        "rowwise=False, batch_size=5",
        "deterministic=False",
    ] {
        assert_ne!(hash(&file(arguments)), plain, "{arguments}");
    }
    let (few, many) = (hash(&file("rowwise=False, batch_size=5")), hash(&file("rowwise=False, batch_size=6")));
    assert_ne!(few, many);
    let other = "@other(tags=['x'])\ndef f(b): ...\n";
    assert_ne!(hash(other), hash(&other.replace("'x'", "'y'")));
}

proptest! {
    #[test]
    fn blank_lines_and_comments_anywhere_do_not_count(
        noise in proptest::collection::vec((0..7_usize, "[ -~]{0,12}", proptest::bool::ANY), 0..6)
    ) {
        let mut lines: Vec<String> = FILE.lines().map(str::to_owned).collect();
        for (at, text, is_comment) in noise {
            lines.insert(at, if is_comment { format!("    # {text}") } else { String::new() });
        }
        prop_assert_eq!(hash(&lines.join("\n")), hash(FILE));
    }

    #[test]
    fn texts_that_differ_hash_differently(left in "[a-c'\\\\ ]{0,6}", right in "[a-c'\\\\ ]{0,6}") {
        let file = |text: &str| format!("x = {}\n", serde_json::Value::from(text));
        prop_assert_eq!(hash(&file(&left)) == hash(&file(&right)), left == right);
    }
}
