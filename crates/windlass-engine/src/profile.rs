//! Profiles: statistics of every column of a table, in one pass over its rows.
//!
//! What is gathered is what checks gather. A profile that somebody accepts is stored and is then what
//! drift is measured from.

mod figures;
mod stored;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::arrow::datatypes::SchemaRef;
use indexmap::IndexMap;
use windlass_project::Project;

use figures::Layout;
pub use figures::{Bar, ColumnProfile, Figure};
use stored::StoredProfile;

use crate::audit::gather;
use crate::checks::part::Part;
use crate::checks::profile::Profile;
use crate::checks::stats::NotEvaluable;
use crate::session::PlanStyle;
use crate::show::quoted;
use crate::{Engine, Error};

/// The statistics of a table.
#[derive(Debug)]
pub struct TableProfile {
    /// The node.
    pub table: String,
    /// The version that was looked at; `None` for views and sources.
    pub version: Option<u64>,
    /// Its rows.
    pub rows: u64,
    /// Its columns.
    pub columns: Vec<ColumnProfile>,
    /// The profile that drift is measured from so far.
    pub accepted: Option<Accepted>,
    spreads: IndexMap<String, Result<Profile, NotEvaluable>>,
}

/// A profile that somebody has accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The version that it was taken of.
    pub version: Option<u64>,
    /// When it was accepted.
    pub at: DateTime<Utc>,
}

impl Engine {
    /// Returns the statistics of a node: of its table as published or at a version, of a view or source
    /// as it is now.
    ///
    /// # Errors
    ///
    /// [`Error::NotPublished`] and [`Error::NoVersion`] for what is not there, and those of reading.
    pub async fn profile(&self, project: &Project, node: &str, version: Option<u64>) -> Result<TableProfile, Error> {
        let failed = |source| Error::Compute { node: node.to_string(), blame: None, source };
        let is_published = project.nodes.get(node).is_some_and(|node| node.is_published());
        let table = if is_published { Some(self.table_at(node, version).await?) } else { None };
        let frame = match &table {
            Some(table) => {
                let rows = table.provider(node).await?;
                self.session.context(PlanStyle::Fast).read_table(rows).map_err(failed)?
            }
            None => self.frame(project, &format!("select * from {}", quoted(node))).await?,
        };
        let (state, plan) = frame.into_parts();
        let plan = state.create_physical_plan(&plan).await.map_err(failed)?;
        let schema = plan.schema();
        let layout = Layout::of(&schema);
        let seen = gather(plan, state.task_ctx(), &Arc::new(layout.program.clone())).await.map_err(failed)?;
        let accepted = self.stored_profile(node).await?;
        Ok(TableProfile {
            table: node.to_string(),
            version: table.map(|table| table.version()),
            rows: seen.rows,
            columns: layout.columns(&schema, &seen),
            accepted: accepted.map(|stored| Accepted { version: stored.version, at: stored.accepted_at }),
            spreads: spreads(&schema, &layout, &seen),
        })
    }

    /// Makes a profile the one that drift is measured from.
    ///
    /// # Errors
    ///
    /// [`Error::StoreProfile`]; the profile before it stays.
    pub async fn accept_profile(&self, profile: &TableProfile, at: DateTime<Utc>) -> Result<(), Error> {
        let (version, columns) = (profile.version, profile.spreads.clone());
        let stored = StoredProfile { version, accepted_at: at, rows: profile.rows, columns };
        self.store_profile(&profile.table, &stored).await?;
        tracing::info!(table = %profile.table, version, columns = profile.spreads.len(), "profile accepted as baseline");
        Ok(())
    }
}

/// Returns how the columns are spread that drift can be measured of, in the form that is stored.
fn spreads(schema: &SchemaRef, layout: &Layout, seen: &Part) -> IndexMap<String, Result<Profile, NotEvaluable>> {
    let of = |(at, field): (usize, &Arc<datafusion::arrow::datatypes::Field>)| {
        let state = &seen.states[layout.spread_of(at)?];
        Some((field.name().clone(), Profile::of(state).and_then(Profile::compact)))
    };
    schema.fields().iter().enumerate().filter_map(of).collect()
}
