//! Environments on top of a base: what an environment has no table for is read from its base.
//!
//! `carry` takes a table from one to the other, `lookup` opens tables, `note` keeps in the lake which base an environment stands on, `overview` holds an
//! environment against its base, `promote` makes its tables versions of the base and `promote_models` the models that these read, `remove` ends it.
//!
//! Must stay true: reading looks into the environment first and then into its base; writing never
//! touches the base.

mod carry;
mod lookup;
mod note;
mod overview;
mod promote;
mod promote_models;
mod remove;

use std::sync::Arc;

pub use lookup::StandingTable;
pub use overview::{Environment, EnvironmentTable, TableChange};
pub use promote::{Below, Obstacle, Promotable, PromoteRequest, Promoted};
pub use promote_models::PromotableModel;
pub use remove::{Removal, RemovedEnvironment};

use crate::storage::Place;

/// The environment below another one.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    /// Its name.
    pub(crate) env: Arc<str>,
    /// Its folder.
    pub(crate) place: Place,
}
