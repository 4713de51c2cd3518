//! The libraries that train models and MLflow's server, in the Python environment of `tests/models`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// The interpreter; its environment is made on first use, which takes minutes.
static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| {
    let requirements = root().join("tests/models/requirements.txt");
    let output = Command::new("python3").arg(root().join("tests/python-env")).arg(requirements).output();
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

/// Runs a script of `tests/models` and returns what it prints.
pub(crate) fn script(name: &str, args: &[&str]) -> String {
    let output = python().arg(root().join("tests/models").join(name)).args(args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {args:?}: {}\n{stderr}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the library of ONNX Runtime in the environment.
pub(crate) fn onnx_library() -> PathBuf {
    let code = "import onnxruntime, pathlib; print(pathlib.Path(onnxruntime.__file__).parent.parent)";
    let output = python().args(["-c", code]).output().unwrap();
    let folder = String::from_utf8(output.stdout).unwrap();
    windlass_model::onnx::library_of_wheel(Path::new(folder.trim_end()))
}

/// Returns the repository's folder.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
