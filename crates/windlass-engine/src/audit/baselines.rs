//! What drift is measured from: a stored profile, or earlier versions of the table.
//!
//! Checks that name the same baseline share one pass over it, which reads their columns alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::dataframe::DataFrame;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, execute_stream_partitioned};
use datafusion::prelude::ident;
use futures::TryStreamExt;
use tokio::task::JoinSet;
use windlass_error::{Classify, Code, Retry};
use windlass_project::Node;
use windlass_project::checks::{Baseline, CheckDefinition, CheckKind};

use super::{Subject, reason, spec};
use crate::checks::facts::{Baselines, NoProfile};
use crate::checks::part::Part;
use crate::checks::profile::Profile;
use crate::checks::program::{Answer, Compiled, Program};
use crate::session::PlanStyle;
use crate::tables::published::PublishedTable;
use crate::{Engine, Error};

/// So many versions of a window are looked at.
const VERSIONS: usize = 200;

/// What is gathered from the versions that checks are compared with.
struct Sample<'a> {
    checks: Vec<&'a CheckDefinition>,
    schema: SchemaRef,
    program: Arc<Program>,
    seen: Option<Part>,
}

impl Engine {
    /// Returns the stored profiles that checks of a node are measured from; `None` where none of them is.
    pub(crate) async fn stored_baselines(&self, node: &Node) -> std::result::Result<Option<Arc<Baselines>>, Error> {
        let is_stored = |check: &&CheckDefinition| match &check.kind {
            CheckKind::Drift(rule) => rule.baseline == Baseline::Stored,
            _ => false,
        };
        let checks: Vec<&CheckDefinition> = node.checks.iter().filter(is_stored).collect();
        if checks.is_empty() {
            return Ok(None);
        }
        let found = self.stored_baselines_of(node, &checks).await;
        found_or_unreadable(found, &checks).map(|found| Some(Arc::new(found)))
    }

    /// Returns what drift is measured from, the stored profiles where they have been read already. A check without an
    /// entry has nothing to compare with.
    pub(super) async fn baselines(
        &self,
        subject: &Subject<'_>,
        program: &Program,
        stored: Option<&Arc<Baselines>>,
    ) -> std::result::Result<Baselines, Error> {
        let mut groups: Vec<(&Baseline, Vec<&CheckDefinition>)> = Vec::new();
        for check in &program.checks {
            let CheckKind::Drift(rule) = &check.definition.kind else { continue };
            match groups.iter_mut().find(|(baseline, _)| **baseline == rule.baseline) {
                Some((_, checks)) => checks.push(&check.definition),
                None => groups.push((&rule.baseline, vec![&check.definition])),
            }
        }
        let mut found = Baselines::new();
        for (baseline, checks) in groups {
            let profiles = match (baseline, stored) {
                (Baseline::Stored, Some(stored)) => Ok(stored.as_ref().clone()),
                (Baseline::Stored, None) => self.stored_baselines_of(subject.node, &checks).await,
                _ => self.baselines_of_versions(subject, baseline, &checks).await,
            };
            found.extend(found_or_unreadable(profiles, &checks)?);
        }
        Ok(found)
    }

    async fn stored_baselines_of(
        &self,
        node: &Node,
        checks: &[&CheckDefinition],
    ) -> std::result::Result<Baselines, Error> {
        let Some(stored) = self.stored_profile(&node.name).await? else { return Ok(Baselines::new()) };
        let of = |check: &&CheckDefinition| {
            let profile = stored.columns.get(check.column.as_deref()?)?.clone();
            Some((check.name.clone(), profile.map_err(NoProfile::Reason)))
        };
        Ok(checks.iter().filter_map(of).collect())
    }

    async fn baselines_of_versions(
        &self,
        subject: &Subject<'_>,
        baseline: &Baseline,
        checks: &[&CheckDefinition],
    ) -> std::result::Result<Baselines, Error> {
        let name = &subject.node.name;
        let failed = |source| Error::Compute { node: name.clone(), blame: None, source };
        let versions = self.versions(subject, baseline).await?;
        let mut sample = None;
        for version in &versions {
            let frame =
                self.session.context(PlanStyle::Fast).read_table(version.provider(name).await?).map_err(failed)?;
            match look(subject, checks, frame, &mut sample).await {
                // Of an old version of a window the files may have been removed; the others still say something.
                Err(error) if versions.len() > 1 && crate::error::code_of(&error) == Some(Code::MISSING_FILE) => {
                    tracing::warn!(table = %name, version = version.version(), "version of a window is gone");
                }
                looked => looked.map_err(failed)?,
            }
        }
        Ok(sample.map(Sample::profiles).unwrap_or_default())
    }

    /// Returns the versions of a table that a baseline names, the newest first.
    async fn versions(
        &self,
        subject: &Subject<'_>,
        baseline: &Baseline,
    ) -> std::result::Result<Vec<PublishedTable>, Error> {
        let name = &subject.node.name;
        let newest = match baseline {
            Baseline::Stored => None,
            Baseline::Version(version) => match self.open_table(name).await? {
                None => None,
                Some(_) => Some(self.table_at(name, Some(*version)).await?),
            },
            Baseline::Previous | Baseline::Window(_) => self.version_before(subject).await?,
        };
        let (Some(newest), Baseline::Window(span)) = (&newest, baseline) else {
            return Ok(newest.into_iter().collect());
        };
        let since_ms = subject.now_us / 1000 - i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 2);
        let mut versions = Vec::new();
        for version in newest.published_since(since_ms, VERSIONS).await {
            versions.extend(newest.at(name, version).await?);
        }
        Ok(versions)
    }
}

/// Returns the profiles of some checks, or for each why they cannot be read. What may be read later is an error.
fn found_or_unreadable(
    found: std::result::Result<Baselines, Error>,
    checks: &[&CheckDefinition],
) -> std::result::Result<Baselines, Error> {
    let error = match found {
        Err(error) if error.retry() != Retry::Backoff => error,
        found => return found,
    };
    let why = format!("the baseline cannot be read: {}", reason(&error));
    Ok(checks.iter().map(|check| (check.name.clone(), Err(NoProfile::Unreadable(why.clone())))).collect())
}

/// Adds the rows of a version to a sample. A version with other columns is left out.
async fn look<'a>(
    subject: &Subject<'_>,
    checks: &[&'a CheckDefinition],
    frame: DataFrame,
    sample: &mut Option<Sample<'a>>,
) -> Result<()> {
    let read: BTreeSet<String> = checks.iter().filter_map(|check| columns_of(check, &frame)).flatten().collect();
    if read.is_empty() {
        return Ok(());
    }
    let (state, plan) = frame.select(read.iter().map(ident))?.into_parts();
    let plan = state.create_physical_plan(&plan).await?;
    if sample.is_none() {
        let compiled = |checks: &[CheckDefinition]| {
            spec(&subject.node.name, checks, &plan.schema(), &state).and_then(|spec| spec.compile(&plan.schema()))
        };
        // In an old version a column may have been missing, or of a type that a check cannot compare.
        let fits = |check: &&&CheckDefinition| compiled(std::slice::from_ref(**check)).is_ok();
        let checks: Vec<&CheckDefinition> = checks.iter().filter(fits).copied().collect();
        let owned: Vec<CheckDefinition> = checks.iter().copied().cloned().collect();
        let program = compiled(&owned)
            .map_err(|diagnostics| DataFusionError::External(Box::new(Error::Mistakes { diagnostics })))?;
        *sample = Some(Sample { checks, schema: plan.schema(), program: Arc::new(program), seen: None });
    }
    let Some(sample) = sample.as_mut().filter(|sample| sample.schema.fields() == plan.schema().fields()) else {
        return Ok(());
    };
    let part = gather(plan, state.task_ctx(), &sample.program).await?;
    match &mut sample.seen {
        Some(seen) => seen.merge(part),
        None => sample.seen = Some(part),
    }
    Ok(())
}

impl Sample<'_> {
    fn profiles(self) -> Baselines {
        let Some(seen) = self.seen else { return Baselines::new() };
        let of = |(check, compiled): (&&CheckDefinition, &Compiled)| {
            let Answer::Measure(at) = compiled.answer else { return None };
            Some((check.name.clone(), Profile::of(&seen.states[at]).map_err(NoProfile::Reason)))
        };
        self.checks.iter().zip(&self.program.checks).filter_map(of).collect()
    }
}

/// Returns the columns that a check reads; `None` where one is not there.
fn columns_of(check: &CheckDefinition, frame: &DataFrame) -> Option<BTreeSet<String>> {
    let mut columns = BTreeSet::from([check.column.clone()?]);
    if let Some(filter) = &check.filter {
        let condition = frame.parse_sql_expr(&filter.text).ok()?;
        columns.extend(condition.column_refs().into_iter().map(|column| column.name.clone()));
    }
    columns.iter().all(|column| frame.schema().has_column_with_unqualified_name(column)).then_some(columns)
}

/// Looks at all rows of a plan, each partition in a task of its own.
pub(crate) async fn gather(
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    program: &Arc<Program>,
) -> Result<Part> {
    let mut partitions = JoinSet::new();
    for mut rows in execute_stream_partitioned(plan, context)? {
        let mut part = Part::new(Arc::clone(program));
        partitions.spawn(async move {
            while let Some(batch) = rows.try_next().await? {
                part.add(&batch)?;
            }
            Ok::<_, DataFusionError>(part)
        });
    }
    let mut whole = Part::new(Arc::clone(program));
    while let Some(joined) = partitions.join_next().await {
        whole.merge(joined.map_err(|error| DataFusionError::Internal(error.to_string()))??);
    }
    Ok(whole)
}
