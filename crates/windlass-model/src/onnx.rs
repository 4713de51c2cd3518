//! The library of ONNX Runtime: loaded once, where it stands.
//!
//! It is no part of this program: whoever composes the process fetches the wheel of `onnxruntime` and says
//! here where its library is. Formats other than ONNX do not need it.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ort::environment::Environment;
use ort::logging::LogLevel;

use crate::Error;

/// The version of the wheel that this program is tested with.
pub const VERSION: &str = "1.32.0";

static LIBRARY: OnceLock<Environment> = OnceLock::new();

/// Returns where the library lies in the folder that a wheel of [`VERSION`] was unpacked to.
pub fn library_of_wheel(folder: &Path) -> PathBuf {
    folder.join(format!("onnxruntime/capi/libonnxruntime.so.{VERSION}"))
}

/// Loads the library for the whole process. Where one is loaded already that one stays.
///
/// # Errors
///
/// [`Error::OnnxRuntime`] where it is no library of ONNX Runtime, or one that is too old.
pub fn use_library(path: &Path) -> Result<(), Error> {
    if LIBRARY.get().is_some() {
        return Ok(());
    }
    let failed = |why: String| Error::OnnxRuntime { library: path.display().to_string(), why };
    let builder = ort::init_from(path).map_err(|error| failed(error.to_string()))?;
    let environment = builder.with_name("windlass").with_telemetry(false).build();
    let environment = environment.map_err(|error| failed(error.to_string()))?;
    // A row that a graph cannot score is no error of the process: what the library says of it goes with the row.
    environment.set_log_level(LogLevel::Fatal);
    // Of two threads that load at once the second drops its own.
    LIBRARY.get_or_init(|| environment);
    Ok(())
}

/// Returns the loaded library.
pub(crate) fn environment() -> Result<&'static Environment, Error> {
    LIBRARY.get().ok_or_else(|| Error::OnnxRuntime {
        library: "libonnxruntime.so".to_owned(),
        why: "it has not been loaded".to_owned(),
    })
}
