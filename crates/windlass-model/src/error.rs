//! What can go wrong with models, their registry and their scoring.

use windlass_error::{Classify, Code, Fault, Retry};

/// An operation that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The registry has no such model.
    #[error("there is no model `{model}`")]
    UnknownModel {
        /// What was asked for.
        model: String,
        /// The models that there are.
        known: Vec<String>,
    },
    /// A model has no such version or alias.
    #[error("model `{model}` has no version or alias `{wanted}`")]
    UnknownVersion {
        /// The model.
        model: String,
        /// What was asked for.
        wanted: String,
        /// Its aliases and versions.
        known: Vec<String>,
    },
    /// A name cannot be used.
    #[error("`{name}` cannot be the name of {what}: {why}")]
    Name {
        /// The name.
        name: String,
        /// `a model` or `an alias`.
        what: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An alias is not where a change expected it.
    #[error("alias `{alias}` of model `{model}` is {}, not {}", .found, .expected)]
    AliasConflict {
        /// The model.
        model: String,
        /// The alias.
        alias: String,
        /// Where it was expected, in words.
        expected: String,
        /// Where it is, in words.
        found: String,
    },
    /// An alias has no earlier version to go back to.
    #[error("alias `{alias}` of model `{model}` has no earlier version to go back to")]
    NoEarlierVersion {
        /// The model.
        model: String,
        /// The alias.
        alias: String,
    },
    /// A version missed a gate.
    #[error("version {version} of model `{model}` missed a gate: {gate}")]
    GateMissed {
        /// The model.
        model: String,
        /// The version.
        version: u64,
        /// The gate and what was found.
        gate: String,
    },
    /// A file of the registry cannot be read, written or listed.
    #[error("cannot {operation} `{path}` of the model registry")]
    Store {
        /// `read`, `write` or `list`.
        operation: &'static str,
        /// The file or folder, below the store's root.
        path: String,
        /// Why.
        source: object_store::Error,
    },
    /// A file of the registry is not what such a file holds.
    #[error("`{path}` of the model registry cannot be understood")]
    Record {
        /// The file.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A file of a version is not what was registered.
    #[error("`{file}` of version {version} of model `{model}` is not what was registered")]
    Artifact {
        /// The model.
        model: String,
        /// The version.
        version: u64,
        /// The file.
        file: String,
    },
    /// A version has no file of this name.
    #[error("version {version} of model `{model}` has no file `{file}`")]
    NoArtifact {
        /// The model.
        model: String,
        /// The version.
        version: u64,
        /// The file.
        file: String,
    },
    /// A model's file cannot be read.
    #[error("cannot read the {format} model: {message}")]
    Format {
        /// The format.
        format: &'static str,
        /// What is wrong.
        message: String,
    },
    /// A model uses something that is not scored natively.
    #[error("the {format} model uses {feature}, which is not scored natively")]
    Unsupported {
        /// The format.
        format: &'static str,
        /// What it uses.
        feature: String,
    },
    /// A format is scored in Python alone.
    #[error("a model of format `{format}` is scored in Python workers, not natively")]
    NotNative {
        /// The format.
        format: &'static str,
    },
    /// The library of ONNX Runtime cannot be used.
    #[error("cannot use ONNX Runtime from `{library}`: {why}")]
    OnnxRuntime {
        /// Its file.
        library: String,
        /// Why.
        why: String,
    },
    /// The address of MLflow cannot be used. It is not shown, as it may have a password.
    #[error("the tracking URI of MLflow cannot be used: {why}")]
    TrackingUri {
        /// Why.
        why: &'static str,
    },
    /// MLflow did not do what it was asked for.
    #[error("`{call}` failed at MLflow, {server}: {why}")]
    Mlflow {
        /// The server.
        server: String,
        /// What was asked for.
        call: String,
        /// What it says.
        why: String,
        /// Its own code.
        code: Option<String>,
        /// Whether it may be different the next time.
        is_passing: bool,
    },
    /// The folder of what waits for MLflow cannot be used.
    #[error("cannot {operation} `{path}`, which waits for MLflow")]
    Queue {
        /// What was tried.
        operation: &'static str,
        /// The file or folder.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A table lacks an input.
    #[error("the model has an input `{column}`, the table does not")]
    MissingInput {
        /// The input.
        column: String,
        /// The table's columns.
        available: Vec<String>,
    },
    /// An input has a type that the model cannot use.
    #[error("the model expects {expected} in its input `{column}`, the table has {found}")]
    InputType {
        /// The input.
        column: String,
        /// What it expects, in words.
        expected: &'static str,
        /// The table's type.
        found: String,
    },
    /// A result cannot be made into columns.
    #[error("cannot make columns of what the model answers")]
    Output {
        /// Why.
        source: arrow::error::ArrowError,
    },
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        match self {
            Self::Store { .. } | Self::Record { .. } | Self::Artifact { .. } => Fault::External,
            Self::OnnxRuntime { .. } | Self::Mlflow { .. } | Self::Queue { .. } => Fault::External,
            Self::Output { .. } => Fault::Internal,
            _ => Fault::User,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Store { .. } | Self::Mlflow { is_passing: true, .. } => Retry::Backoff,
            _ => Retry::Never,
        }
    }

    fn code(&self) -> Option<Code> {
        Some(match self {
            Self::UnknownModel { .. } | Self::UnknownVersion { .. } => Code::UNKNOWN_MODEL,
            Self::NoArtifact { .. } | Self::NoEarlierVersion { .. } => Code::UNKNOWN_MODEL,
            Self::Name { .. } => Code::MODEL_NAME,
            Self::AliasConflict { .. } => Code::ALIAS_CONFLICT,
            Self::GateMissed { .. } => Code::MODEL_GATE,
            Self::Store { .. } => Code::STORAGE,
            Self::Record { .. } | Self::Artifact { .. } => Code::ARTIFACT,
            Self::Format { .. } | Self::Unsupported { .. } | Self::NotNative { .. } => Code::MODEL_FILE,
            Self::MissingInput { .. } | Self::InputType { .. } => Code::MODEL_INPUT,
            Self::OnnxRuntime { .. } => Code::ONNX_RUNTIME,
            Self::TrackingUri { .. } | Self::Mlflow { .. } => Code::TRACKING,
            Self::Queue { .. } => Code::STORAGE,
            Self::Output { .. } => return None,
        })
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownModel { known, .. } if known.is_empty() => {
                Some("no model is registered in this environment: train one with `windlass run`".to_owned())
            }
            Self::UnknownModel { model, known } => near(model, known),
            Self::UnknownVersion { wanted, known, .. } => near(wanted, known),
            Self::MissingInput { column, available } => near(column, available),
            Self::AliasConflict { .. } => {
                Some("somebody else changed it: look again, then repeat the change if it is still right".to_owned())
            }
            Self::GateMissed { .. } => {
                Some("the version is kept; train a better one, or promote it with `--force`".to_owned())
            }
            Self::Artifact { .. } => {
                Some("restore the file, promote another version, or train the model again".to_owned())
            }
            Self::Unsupported { .. } => Some("train without it, or score the model in Python".to_owned()),
            _ => None,
        }
    }
}

impl Error {
    /// Returns whether a server of MLflow answered with this code.
    pub fn has_code(&self, wanted: &str) -> bool {
        matches!(self, Self::Mlflow { code: Some(code), .. } if code == wanted)
    }
}

/// Returns the known name that is meant, or all of them where they are few.
fn near(wanted: &str, known: &[String]) -> Option<String> {
    let wanted = wanted.to_lowercase();
    let distance = |name: &String| strsim::damerau_levenshtein(&wanted, &name.to_lowercase());
    let nearest =
        known.iter().min_by_key(|name| distance(name)).filter(|name| distance(name) <= 2.max(wanted.len() / 3));
    match nearest {
        Some(name) => Some(format!("did you mean `{name}`?")),
        None if known.is_empty() => None,
        None => {
            let names: Vec<String> = known.iter().take(8).map(|name| format!("`{name}`")).collect();
            Some(format!("there is {}{}", names.join(", "), if known.len() > 8 { " and others" } else { "" }))
        }
    }
}
