//! From Python nodes and functions of the project to work for the operator.
//!
//! Nothing here runs user code: environments are prepared and programs put together, workers start
//! when the operator is executed.

mod blame;
mod check;
pub(crate) mod functions;
mod locks;
mod requires;
mod settings;
mod stack;
mod transform;
mod trial;
mod work;

pub(crate) use blame::{diagnose, python_error};
pub(crate) use check::{CheckRequest, check_mistake, in_python, standing};
pub(crate) use requires::requirements;
pub use settings::PythonSettings;
pub(crate) use settings::workers;
pub(crate) use transform::{definition, handed_over, input_query, planned_columns, reference, table_queries};
pub(crate) use trial::Trial;
use work::for_trying;
pub(crate) use work::{WorkRequest, whole_tables};

use std::time::Duration;

use windlass_project::{Project, PythonBatchFormat, PythonCode, PythonEnvironment, PythonOrigin, WorkerSettings};
use windlass_worker::{BatchFormat, EnvironmentOrigin, EnvironmentRequest, PoolSettings, StartMode};

/// Returns what to ask for the packages of a node.
pub(crate) fn environment_request(node: &str, environment: &PythonEnvironment) -> EnvironmentRequest {
    let origin = match &environment.origin {
        PythonOrigin::Project { folder } => EnvironmentOrigin::Project { folder: folder.clone() },
        PythonOrigin::Defaults | PythonOrigin::Script | PythonOrigin::Requirements => EnvironmentOrigin::Requirements {
            requires_python: environment.requires_python.clone(),
            dependencies: environment.dependencies.clone(),
        },
    };
    EnvironmentRequest { node: node.to_string(), origin }
}

/// Returns what the files of a callable hash to.
pub(crate) fn code_hash(code: &PythonCode) -> String {
    let files: Vec<String> = code.sources.iter().map(|(path, hash)| format!("{path}={hash}")).collect();
    files.join(",")
}

/// Returns how many workers run a callable, on a machine with so many threads.
pub(crate) fn pool_settings(workers: &WorkerSettings, threads: usize) -> PoolSettings {
    let all = u32::try_from(threads).unwrap_or(u32::MAX).max(1);
    let start = if workers.spawn || workers.num_gpus > 0.0 { StartMode::Spawn } else { StartMode::Fork };
    PoolSettings {
        concurrency: workers.concurrency.unwrap_or((1, all)),
        num_cpus: workers.num_cpus,
        num_gpus: workers.num_gpus,
        timeout: workers.timeout.filter(|timeout| *timeout > Duration::ZERO),
        start_timeout: workers.start_timeout,
        memory: workers.memory,
        start,
    }
}

/// Returns the worker's word for a batch format.
pub(crate) fn batch_format(format: PythonBatchFormat) -> BatchFormat {
    match format {
        PythonBatchFormat::Numpy => BatchFormat::Numpy,
        PythonBatchFormat::Pandas => BatchFormat::Pandas,
        PythonBatchFormat::Polars => BatchFormat::Polars,
        PythonBatchFormat::Pyarrow => BatchFormat::Pyarrow,
    }
}

/// Returns the folders that a project's modules are imported from.
pub(crate) fn lib_folders(project: &Project) -> Vec<std::path::PathBuf> {
    project.lib.clone()
}
