//! Other programs that tests run against Windlass, in the Python environment of `tests/python-env`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// The interpreter; its environment is made on first use, which takes a minute.
static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| {
    let output = Command::new("python3").arg(root().join("tests/python-env")).output();
    let output = output.unwrap_or_else(|error| panic!("these tests need `python3`, 3.11 or later: {error}"));
    assert!(
        output.status.success(),
        "cannot make the Python environment of these tests, which takes packages from PyPI on first use:\n{}",
        String::from_utf8_lossy(&output.stderr),
    );
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
});

/// Returns the interpreter as a command.
pub(crate) fn python() -> Command {
    Command::new(PYTHON.as_path())
}

/// Runs a script of `tests/readers` and returns what it prints.
pub(crate) fn script(name: &str, args: &[&str]) -> String {
    let output = python().arg(root().join("tests/readers").join(name)).args(args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {args:?}: {}\n{stderr}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the repository's folder.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
