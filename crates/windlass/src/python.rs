//! What Python workers of this process get: folders, locks, GPUs, and where their output goes.

use std::path::Path;
use std::sync::Arc;

use windlass_engine::PythonSettings;
use windlass_project::Project;
use windlass_worker::{Gpu, WorkerOutput};

use crate::output::Output;
use crate::settings::Settings;

/// A folder for each GPU of this machine.
const GPU_FOLDER: &str = "/proc/driver/nvidia/gpus";

/// Returns how Python runs.
pub(crate) fn settings(settings: &Settings, project: &Project, output: &Arc<Output>) -> PythonSettings {
    let options = &settings.python;
    // Who has no folder for caches has one in the project.
    let cache_dir = options.cache.clone().unwrap_or_else(|| project.target.state.join("cache"));
    let notices = Arc::clone(output);
    PythonSettings {
        cache_dir,
        lock_dir: project.root.join("locks"),
        lock_mode: options.lock_mode,
        offline: options.offline,
        interpreter: options.interpreter.clone(),
        gpus: gpus(options.visible_gpus.as_deref(), Path::new(GPU_FOLDER)),
        piece: options.piece,
        env: settings.environment.clone(),
        output: Arc::clone(output) as Arc<dyn WorkerOutput>,
        notices: Arc::new(move |text| notices.notice(text)),
    }
}

/// Returns the GPUs to share out: those that the process was given, else all of the machine.
fn gpus(visible: Option<&[String]>, folder: &Path) -> Vec<Gpu> {
    if let Some(visible) = visible {
        return visible.iter().map(|id| Gpu { id: id.clone() }).collect();
    }
    // No folder, no driver; what cannot be looked at cannot be used.
    let count = std::fs::read_dir(folder).map_or(0, Iterator::count);
    (0..count).map(|index| Gpu { id: index.to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_those_of_the_process_or_of_the_machine() {
        let machine = tempfile::TempDir::new().unwrap();
        for name in ["0000:0f:00.0", "0000:2d:00.0"] {
            std::fs::create_dir(machine.path().join(name)).unwrap();
        }
        let ids = |visible: Option<&[&str]>, folder: &Path| -> Vec<String> {
            let visible: Option<Vec<String>> =
                visible.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
            gpus(visible.as_deref(), folder).into_iter().map(|gpu| gpu.id).collect()
        };
        assert_eq!(ids(None, machine.path()), ["0", "1"]);
        assert_eq!(ids(Some(&["GPU-a"]), machine.path()), ["GPU-a"]);
        assert_eq!(ids(Some(&[]), machine.path()), Vec::<String>::new());
        assert_eq!(ids(None, &machine.path().join("nowhere")), Vec::<String>::new());
    }
}
