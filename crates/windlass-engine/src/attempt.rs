//! Tries a node on a few rows: what it answers, what fails, and nothing is published.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use windlass_project::{Node, Project, PythonTransform};

use crate::errors::{ErrorCause, group};
use crate::planner::{Reading, Tables};
use crate::python::Trial;
use crate::show::Shown;
use crate::{Engine, Error};

/// What a node made of a few rows.
#[derive(Debug)]
pub struct Tried {
    /// What it answers.
    pub shown: Shown,
    /// Rows that it was given; 0 for SQL, which reads what it wants.
    pub rows_in: u64,
    /// Why rows failed, most rows first.
    pub failures: Vec<ErrorCause>,
    /// Time until the first row could move: planning and the environment.
    pub prepare: Duration,
    /// Time from there to the last row, the start of a worker included.
    pub compute: Duration,
}

impl Engine {
    /// Runs a transform on the first rows of its inputs as they are published; of a SQL transform the
    /// first rows of its result are computed. Nothing is written.
    ///
    /// # Errors
    ///
    /// Those of planning, and [`Error::Compute`] with the user's line where the code fails as a whole.
    pub async fn try_node(&self, project: &Project, node: &str, rows: usize) -> Result<Tried, Error> {
        let unknown = || Error::NotPublished { table: node.to_string() };
        let definition = project.nodes.get(node).ok_or_else(unknown)?;
        match (definition.python(), definition.transform()) {
            (Some(python), _) => self.try_python(project, definition, python, rows).await,
            (None, Some(transform)) => self.try_sql(project, &transform.sql, rows).await,
            (None, None) => self.try_sql(project, &format!("select * from \"{node}\""), rows).await,
        }
    }

    async fn try_sql(&self, project: &Project, sql: &str, rows: usize) -> Result<Tried, Error> {
        let started = Instant::now();
        let shown = self.show_sql(project, sql, rows).await?;
        let compute = started.elapsed();
        Ok(Tried { shown, rows_in: 0, failures: Vec::new(), prepare: Duration::ZERO, compute })
    }

    async fn try_python(
        &self,
        project: &Project,
        node: &Node,
        python: &PythonTransform,
        rows: usize,
    ) -> Result<Tried, Error> {
        let started = Instant::now();
        let named: BTreeSet<String> = python.inputs.iter().map(|input| input.node.clone()).collect();
        let is_read_through = |name: &&String| project.nodes.get(*name).is_some_and(|node| !node.is_published());
        let through = named.iter().filter(is_read_through).cloned().collect();
        let plan = self.plan_reading(project, &named, &through).await;
        if !plan.diagnostics.is_empty() {
            return Err(Error::Mistakes { diagnostics: plan.diagnostics });
        }
        let planned = started.elapsed();
        let reading = Reading { project, plan: &plan, tables: Tables::Unnoted };
        let tested = self.python_trial(&reading, node, python, Trial::FirstRows(rows)).await?;
        let prepare = planned + tested.prepare;
        let mut known = BTreeMap::new();
        for errors in &tested.errors {
            let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
            group(errors, &mut known).map_err(failed)?;
        }
        let mut failures: Vec<ErrorCause> = known.into_values().collect();
        failures.sort_by_key(|cause| std::cmp::Reverse(cause.rows));
        let compute = started.elapsed().saturating_sub(prepare);
        let shown = Shown { schema: tested.schema, batches: tested.rows };
        Ok(Tried { shown, rows_in: tested.rows_in, failures, prepare, compute })
    }
}
