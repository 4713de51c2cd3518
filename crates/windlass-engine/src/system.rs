//! Tables about runs, which queries name `system.<table>`.
//!
//! `system.checks` is a Delta table of the environment, below [`SYSTEM_FOLDER`]: what every check of
//! every run, and of every `windlass check`, has found, whichever checkout it came from. Each adds a file;
//! `compact` merges them. Other tables are given by the
//! caller.
//!
//! Must stay true: a run is recorded by one commit that only adds, so that runs of several checkouts
//! all find their place.

mod compact;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use chrono::{DateTime, Utc};
use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::dataframe::DataFrame;
use datafusion::datasource::empty::EmptyTable;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use windlass_error::{Classify, Code};
use windlass_project::SYSTEM_FOLDER;

use crate::checks::outcome::CheckOutcome;
use crate::fingerprint::{Definition, Inputs};
use crate::operators::write::{StagedTable, WriteExec, WriteSpec, staged_files};
use crate::planner::register;
use crate::session::PlanStyle;
use crate::storage::Place;
use crate::tables::publish::{Mode, Origin, Publication, publish};
use crate::tables::published::PublishedTable;
use crate::tables::schema;
use crate::{Engine, Error};

/// The schema under which queries find these tables.
pub const SYSTEM_SCHEMA: &str = "system";
/// What all checks of all runs have found.
const CHECKS: &str = "system.checks";
/// How often a commit is tried that others were faster than.
const TRIES: usize = 20;

/// What the checks of a node have found.
#[derive(Debug, Clone)]
pub struct CheckedNode {
    /// The node.
    pub node: String,
    /// The version that was published; `None` where none was.
    pub version: Option<u64>,
    /// When they were looked at.
    pub checked_at: DateTime<Utc>,
    /// The outcome of each.
    pub outcomes: Vec<CheckOutcome>,
}

impl Engine {
    /// Adds what the checks of a run have found to `system.checks`, and merges its files where there are many.
    /// Nothing to add writes nothing.
    ///
    /// # Errors
    ///
    /// Those of storage and [`Error::Commit`]; the run has no place in the history then.
    pub async fn record_checks(&self, run_id: &str, sequence: i64, checked: &[CheckedNode]) -> Result<(), Error> {
        let rows = rows(run_id, checked);
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let place = self.checks_place();
        let failed = |source| Error::Compute { node: CHECKS.to_string(), blame: None, source };
        let staged = self.stage_rows(&place, run_id, rows).await.map_err(failed)?;
        let (schema, inputs, definition) = (checks_schema(), Inputs::new(), Definition::default());
        let origin = Origin {
            run_id,
            sequence,
            fingerprint: "",
            rows: staged.rows,
            inputs: &inputs,
            definition: &definition,
            content: None,
            columns: None,
            errors: None,
            verdicts: &[],
            incremental: None,
            is_computed: true,
            promoted: None,
        };
        let mut tries = 1;
        let version = loop {
            let published = publish(Publication {
                table: CHECKS,
                place: &place,
                schema: &schema,
                partition_by: &[],
                files: staged.files.clone(),
                mode: Mode::Append,
                origin,
            });
            match published.await {
                // Another run was faster; what it added stays, and this comes behind it.
                Err(error) if error.code() == Some(Code::COMMIT_CONFLICT) && tries < TRIES => tries += 1,
                published => break published?,
            }
        };
        // A version adds one file at most: before this one there cannot be many.
        if version >= compact::FEW_FILES as u64 {
            self.compact_checks(run_id).await;
        }
        Ok(())
    }

    /// Stages a few rows as files of a table with their columns.
    pub(crate) async fn stage_rows(
        &self,
        place: &Place,
        run_id: &str,
        rows: RecordBatch,
    ) -> Result<StagedTable, DataFusionError> {
        let schema = rows.schema();
        let frame = self.session.context(PlanStyle::Fast).read_batch(rows)?;
        self.stage_frame(place, run_id, schema, frame).await
    }

    /// Stages the rows of a query as files of a table with these columns.
    async fn stage_frame(
        &self,
        place: &Place,
        run_id: &str,
        schema: SchemaRef,
        rows: DataFrame,
    ) -> Result<StagedTable, DataFusionError> {
        let (state, plan) = rows.into_parts();
        let spec = WriteSpec {
            store: place.store_url.clone(),
            folder: place.path.clone(),
            schema,
            partition_by: Vec::new(),
            sorted: false,
            run_id: run_id.to_string(),
            errors: None,
        };
        let plan = WriteExec::new(state.create_physical_plan(&plan).await?, spec);
        let mut staged = StagedTable::default();
        let mut answers = execute_stream(Arc::new(plan), state.task_ctx())?;
        while let Some(answer) = answers.try_next().await? {
            staged.extend(staged_files(&answer)?.0);
        }
        Ok(staged)
    }

    /// Makes rows known to queries as `system.<name>`.
    pub fn provide(&self, name: &str, rows: RecordBatch) {
        let mut provided = self.provided.lock().unwrap_or_else(PoisonError::into_inner);
        provided.insert(format!("{SYSTEM_SCHEMA}.{name}"), rows);
    }

    /// Makes those system tables known that are among `names`.
    pub(crate) async fn register_system(
        &self,
        context: &SessionContext,
        names: &BTreeSet<String>,
    ) -> Result<(), Error> {
        let failed = |source| Error::Start { source };
        for name in names {
            let provided = self.provided.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
            if let Some(rows) = provided {
                let table = MemTable::try_new(rows.schema(), vec![vec![rows]]).map_err(failed)?;
                register(context, name, Arc::new(table))?;
            } else if name == CHECKS {
                register(context, name, self.checks_provider().await?)?;
            }
        }
        Ok(())
    }

    async fn checks_provider(&self) -> Result<Arc<dyn TableProvider>, Error> {
        let own = PublishedTable::open(CHECKS, &self.checks_place(), None).await?;
        let known = match (own, &self.base) {
            // No run has checked anything here yet.
            (None, Some(base)) => PublishedTable::open(CHECKS, &checks_in(&base.place), None).await?,
            (own, _) => own,
        };
        match known {
            Some(table) => table.provider(CHECKS).await,
            None => Ok(Arc::new(EmptyTable::new(schema::reading(&checks_schema())))),
        }
    }

    fn checks_place(&self) -> Place {
        checks_in(&self.lake)
    }

    /// Returns the system tables that stand in the lake, with their places.
    pub(crate) fn system_tables(&self) -> [(&'static str, Place); 1] {
        [(CHECKS, self.checks_place())]
    }
}

/// Returns where an environment keeps what its checks have found.
fn checks_in(env: &Place) -> Place {
    env.join(SYSTEM_FOLDER).join("checks")
}

fn checks_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let number = |name: &str| Field::new(name, DataType::Int64, true);
    Arc::new(Schema::new(vec![
        text("run_id"),
        Field::new("checked_at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        text("node"),
        number("table_version"),
        text("check_name"),
        text("kind"),
        text("column_name"),
        text("severity"),
        text("status"),
        Field::new("blocks", DataType::Boolean, true),
        Field::new("observed", DataType::Float64, true),
        text("bound"),
        number("failing"),
        number("rows"),
        text("reason"),
        text("detail"),
        text("figures"),
    ]))
}

/// Returns a row for each outcome.
fn rows(run_id: &str, checked: &[CheckedNode]) -> RecordBatch {
    let all: Vec<(&CheckedNode, &CheckOutcome)> =
        checked.iter().flat_map(|node| node.outcomes.iter().map(move |outcome| (node, outcome))).collect();
    let nodes = || all.iter().map(|(node, _)| *node);
    let outcomes = || all.iter().map(|(_, outcome)| *outcome);
    let text = |of: &dyn Fn(&CheckOutcome) -> Option<String>| -> ArrayRef {
        Arc::new(outcomes().map(of).collect::<StringArray>())
    };
    let number = |of: &dyn Fn(&CheckOutcome) -> Option<u64>| -> ArrayRef {
        Arc::new(outcomes().map(|outcome| of(outcome).map(|value| value as i64)).collect::<Int64Array>())
    };
    let times = TimestampMicrosecondArray::from_iter_values(nodes().map(|node| node.checked_at.timestamp_micros()));
    let columns: Vec<ArrayRef> = vec![
        text(&|_| Some(run_id.to_string())),
        Arc::new(times.with_timezone("UTC")),
        Arc::new(StringArray::from_iter_values(nodes().map(|node| &node.node))),
        Arc::new(nodes().map(|node| node.version.map(|version| version as i64)).collect::<Int64Array>()),
        text(&|outcome| Some(outcome.check.clone())),
        text(&|outcome| Some(outcome.kind.to_string())),
        text(&|outcome| outcome.column.clone()),
        text(&|outcome| Some(outcome.severity.name().to_string())),
        text(&|outcome| Some(outcome.status.name().to_string())),
        Arc::new(outcomes().map(|outcome| Some(outcome.blocks())).collect::<BooleanArray>()),
        Arc::new(outcomes().map(|outcome| outcome.observed).collect::<Float64Array>()),
        text(&|outcome| (!outcome.bound.is_empty()).then(|| outcome.bound.clone())),
        number(&|outcome| outcome.failing),
        number(&|outcome| Some(outcome.rows)),
        text(&|outcome| outcome.reason.map(str::to_string)),
        text(&|outcome| Some(outcome.detail.clone())),
        text(&figures),
    ];
    RecordBatch::try_new(checks_schema(), columns).expect("a column for each field, a value for each outcome")
}

/// Returns the further figures of an outcome as JSON; `None` where there are none.
fn figures(outcome: &CheckOutcome) -> Option<String> {
    let figures: BTreeMap<&str, f64> = outcome.figures.iter().copied().collect();
    (!figures.is_empty()).then(|| serde_json::json!(figures).to_string())
}
