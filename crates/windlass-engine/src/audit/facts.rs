//! What checks compare with: other tables, earlier versions, their own history.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::prelude::lit;
use futures::TryStreamExt;
use windlass_project::checks::{CheckDefinition, CheckKind};

use super::{Subject, queries::first_number};
use crate::checks::facts::{Baselines, Facts};
use crate::checks::program::{Answer, Program};
use crate::session::PlanStyle;
use crate::tables::published::PublishedTable;
use crate::{Engine, Error};

/// So many versions are looked at for the history of a figure.
const VERSIONS: usize = 200;

impl Engine {
    /// Returns what the checks of a program compare with. What is not there is left out: the checks
    /// say so themselves.
    pub(super) async fn facts(
        &self,
        subject: &Subject<'_>,
        program: &Program,
        stored: Option<&Arc<Baselines>>,
    ) -> Result<Facts, Error> {
        let mut facts = Facts { now_us: subject.now_us, ..Facts::default() };
        let definitions = || program.checks.iter().map(|check| check.definition.as_ref());
        if definitions().any(needs_published)
            && let Some(published) = self.version_before(subject).await?
        {
            facts.previous_rows = published.size().0;
            facts.history = history(&published, &subject.node.name).await?;
        }
        facts.baselines = self.baselines(subject, program, stored).await?;
        for check in &program.checks {
            let is_counted = matches!(check.answer, Answer::Measure(_));
            let names_keys = matches!(check.definition.kind, CheckKind::Relationships { .. });
            for table in check.definition.tables().filter(|_| is_counted && !names_keys) {
                if let Some(rows) = self.rows_of(subject, &table.text).await? {
                    facts.other_rows.insert(table.text.clone(), rows);
                }
            }
        }
        Ok(facts)
    }

    /// Returns the version that the rows are compared with.
    pub(super) async fn version_before(&self, subject: &Subject<'_>) -> Result<Option<PublishedTable>, Error> {
        let name = &subject.node.name;
        let Some(newest) = self.open_table(name).await? else { return Ok(None) };
        match (subject.is_published, newest.version()) {
            (false, _) => Ok(Some(newest)),
            (true, 0) => Ok(None),
            (true, version) => newest.at(name, version - 1).await,
        }
    }

    /// Returns what reads a table that a check names.
    pub(super) async fn other(
        &self,
        subject: &Subject<'_>,
        name: &str,
    ) -> Result<Option<Arc<dyn TableProvider>>, Error> {
        let Some(planned) = subject.reading.plan.nodes.get(name) else { return Ok(None) };
        let mut read = Default::default();
        self.input_provider(name, planned, &subject.reading, &mut read).await.map(Some)
    }

    async fn rows_of(&self, subject: &Subject<'_>, name: &str) -> Result<Option<u64>, Error> {
        let Some(provider) = self.other(subject, name).await? else { return Ok(None) };
        let failed = |source| Error::Compute { node: subject.node.name.clone(), blame: None, source };
        let context = self.session.context(PlanStyle::Fast);
        let rows = context.read_table(provider).and_then(|frame| frame.aggregate(vec![], vec![count(lit(1))]));
        let stream = rows.map_err(failed)?.execute_stream().await.map_err(failed)?;
        Ok(first_number(stream).await.map_err(failed)?.map(|rows| rows as u64))
    }
}

fn needs_published(definition: &CheckDefinition) -> bool {
    match &definition.kind {
        CheckKind::RowCountChange(_) | CheckKind::Anomaly(_) => true,
        CheckKind::Statistic { change, .. } => change.is_some(),
        _ => false,
    }
}

/// Returns what checks have observed in the versions of a table, oldest first. Only versions that were
/// published count: a broken one never teaches what is usual.
async fn history(published: &PublishedTable, table: &str) -> Result<HashMap<String, Vec<f64>>, Error> {
    let failed = |source| Error::OpenTable { table: table.to_string(), source };
    let commits: Vec<_> = published.delta().history(Some(VERSIONS)).try_collect().await.map_err(failed)?;
    let mut history: HashMap<String, Vec<f64>> = HashMap::new();
    for commit in commits.iter().rev() {
        let Some(info) = commit.info.get("windlass") else { continue };
        // A version that says what changed checks have found has the rows of the one before.
        let Some(checks) =
            info.get("checks").and_then(|checks| checks.as_array()).filter(|_| info["computed"] != false)
        else {
            continue;
        };
        for check in checks {
            if let (Some(name), Some(observed)) = (check["name"].as_str(), check["observed"].as_f64()) {
                history.entry(name.to_string()).or_default().push(observed);
            }
        }
    }
    Ok(history)
}
