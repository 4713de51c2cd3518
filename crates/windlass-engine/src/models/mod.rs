//! Models: what SQL may do with them, how they are trained, and when they are trained again.
//!
//! `sql` lets the parser read `ML.PREDICT(MODEL m, TABLE t)`; `relation` plans it as a projection over a scalar
//! function (`function`), so that filters and columns go through it as through any SELECT; `unscored` takes rows out that
//! it cannot score. `shape` is what is known of a model without its weights: a model that the same run trains is planned
//! by it. `train` feeds staged rows to `windlass_model::train`, or has a worker train (`trainer`): `trees` with a library,
//! `python` with the user's function; `register` keeps the version and promotes it; `import` does so with files of
//! others, which `mlflow` fetches from a server. Of models that Python scores, `in_python` says what workers are told,
//! `class` reads those of the project, `local` keeps files where workers find them, and `answers` reads what comes back.
//! `decide` holds the version that a definition has led to against what it would be made from now.
//!
//! Must stay true: a version is registered by one write and never changed; a reader sees the version that an alias
//! points at, or the one that it asks for, and its fingerprint says which.

mod answer;
mod answers;
mod class;
mod decide;
mod evaluate;
mod function;
mod held;
mod import;
mod in_python;
mod known;
mod local;
mod mlflow;
mod python;
mod register;
mod relation;
mod shape;
mod sql;
mod stage;
mod train;
mod trainer;
mod trees;
mod unscored;
mod uses;

pub(crate) use decide::{definition_of, inputs_of};
pub(crate) use function::{FAILURE, ModelFunction};
pub(crate) use known::{KnownModel, parts};
pub(crate) use mlflow::MlflowModels;
pub(crate) use relation::register;
pub(crate) use shape::{ModelShape, planned_shape};
pub(crate) use sql::{logical_plan, parse, statement};
pub(crate) use trees::environment as tree_environment;
pub(crate) use unscored::{UnscoredRows, asks_models, divert, unscored_row};
pub use uses::{Scored, UsedInput};

/// The alias of the version that readers get.
pub(crate) const CHAMPION: &str = "champion";
/// The alias of the version that the definition has led to, whether or not it was promoted.
pub(crate) const TRAINED: &str = "trained";
/// The folder of the environment's own folder that holds the models.
const FOLDER: &str = "models";
/// The version's fact that holds what the model was made from.
const DEFINITION_TAG: &str = "windlass.definition";
/// The version's fact that holds the hashes of the rows of its inputs.
const CONTENTS_TAG: &str = "windlass.contents";
/// The option that names the label.
const LABEL_PARAM: &str = "input_label_cols";

/// A use of a model that cannot be; travels through DataFusion as an external error.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(crate) struct ModelMistake {
    /// The model as SQL names it.
    pub(crate) reference: String,
    /// What is wrong.
    pub(crate) what: String,
    /// What to do.
    pub(crate) way_out: Option<String>,
}

impl From<ModelMistake> for datafusion::error::DataFusionError {
    fn from(mistake: ModelMistake) -> Self {
        Self::External(Box::new(mistake))
    }
}
