//! The step after staging where checks divert rows by key: duplicates, rows that refer to nothing, and those
//! that a check in Python calls bad.
//!
//! Which rows these are is known once all are staged. The files that hold any are then written anew
//! without them; the others stay as they are. All rows go through the same checks once more, so that every
//! other check judges what remains.
//!
//! Must stay true: a row that was diverted before stays so and is counted once; every row that remains is
//! in one file, and looked at once.

use std::sync::Arc;

use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use windlass_project::checks::CheckDefinition;

use super::{BuildRequest, Prepared, RowsFrom, Staged, run};
use crate::audit::{Looking, Subject};
use crate::checks::suspects::Suspected;
use crate::operators::check::{CheckSink, Gathered, Writing};
use crate::operators::python::Limit;
use crate::operators::write::{StagedTable, WriteExec};
use crate::planner::{Reading, Tables};
use crate::session::PlanStyle;
use crate::tables::error_rows::ErrorRows;
use crate::tables::files::FilesTable;
use crate::tables::{gc, staged};
use crate::{Engine, Error};

impl Engine {
    /// Takes rows out of staged files that break checks by their key.
    pub(super) async fn second_look(
        &self,
        request: &BuildRequest<'_>,
        prepared: &Prepared,
        mut staged: Staged,
        rows: &RowsFrom,
    ) -> Result<Staged, Error> {
        let node = request.node;
        let is_wanted =
            |first: &mut Gathered| node.checks.iter().any(CheckDefinition::diverts_keys) && !first.is_cut_short;
        let Some(mut first) = staged.gathered.take_if(is_wanted) else { return Ok(staged) };
        let place = self.place(&node.name);
        let partition_by = &node.config.partition_by;
        let table = staged::table(&node.name, &place, &prepared.published, partition_by, &staged.result.files)?;
        let table = Arc::new(table);
        let reading = Reading { project: request.project, plan: request.plan, tables: Tables::Unnoted };
        let (rows_of, now_us) = (Arc::clone(&table) as _, request.started_us);
        let subject = Subject { node, rows: rows_of, reading, now_us, is_published: false, whole: None };
        let context = self.session.context(PlanStyle::Fast);
        let there = self.rows_there(&context, request, rows).await?;
        let suspected = self.suspects(&subject, &mut first, there.as_ref()).await?;
        if suspected.values().all(|suspects| suspects.keys.is_empty()) {
            staged.gathered = Some(first);
            return Ok(staged);
        }
        let touched = match staged.result.files.len() {
            1 => vec![true],
            _ => self.touched(node, &table, &suspected).await?,
        };
        let (written, kept) = apart(std::mem::take(&mut staged.result), &touched);
        let table_of =
            |files: &StagedTable| staged::table(&node.name, &place, &prepared.published, partition_by, &files.files);
        let tables = (table_of(&written)?, table_of(&kept)?);
        let again = self.write_anew(request, prepared, &context, (tables, suspected)).await?;
        for file in &written.files {
            gc::remove(&place, &file.path).await?;
        }
        staged.result = kept;
        staged.result.extend(again.result);
        staged.errors.extend(again.errors);
        let Some(mut second) = again.gathered else {
            let source = DataFusionError::Internal("no partition was looked at".to_string());
            return Err(Error::Compute { node: node.name.clone(), blame: None, source });
        };
        // A check that could not answer is not asked again.
        second.answered = std::mem::take(&mut first.answered);
        staged.gathered = Some(together(first, second));
        Ok(staged)
    }

    /// Returns the rows to which those of a build are added; `None` where they replace them.
    async fn rows_there(
        &self,
        context: &SessionContext,
        request: &BuildRequest<'_>,
        rows: &RowsFrom,
    ) -> Result<Option<DataFrame>, Error> {
        let node = &request.node.name;
        let (RowsFrom::Errors(_), Some(table)) = (rows, self.open_table(node).await?) else { return Ok(None) };
        let rows = context.read_table(table.provider(node).await?);
        rows.map(Some).map_err(|source| Error::Compute { node: node.clone(), blame: None, source })
    }

    /// Writes staged rows anew, but for those of some keys, which become error rows. Looks at the rows of
    /// other files as well, which stay where they are.
    async fn write_anew(
        &self,
        request: &BuildRequest<'_>,
        prepared: &Prepared,
        context: &SessionContext,
        ((written, kept), suspected): ((FilesTable, FilesTable), Suspected),
    ) -> Result<Staged, Error> {
        let node = request.node;
        let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
        context.state_ref().write().config_mut().set_extension(Arc::new(CheckSink::default()));
        // The rows are there: stopping now would only leave a part of them to be looked at.
        let writing = Writing { errors: prepared.errors.clone(), limit: Limit::None, ends_early: false };
        let how = || Looking { writing: Some(writing.clone()), suspects: suspected.clone(), ..Looking::default() };
        if !kept.each().is_empty() {
            let (state, plan) = context.read_table(Arc::new(kept)).map_err(failed)?.into_parts();
            let plan = state.create_physical_plan(&plan).await.map_err(failed)?;
            let plan = self.with_checks(node, plan, &state, how()).map_err(failed)?;
            let mut rows = execute_stream(plan, state.task_ctx()).map_err(failed)?;
            while rows.try_next().await.map_err(failed)?.is_some() {}
        }
        let (state, plan) = context.read_table(Arc::new(written)).map_err(failed)?.into_parts();
        let plan = state.create_physical_plan(&plan).await.map_err(failed)?;
        let plan = self.lay_out(node, plan).map_err(failed)?;
        let plan = self.with_checks(node, plan, &state, how()).map_err(failed)?;
        let errors = prepared.errors.as_ref().map(ErrorRows::schema);
        let spec = self.write_spec(request, &prepared.published, errors.as_ref());
        run(&(Arc::new(WriteExec::new(plan, spec)) as _), &state, None).await.map_err(failed)
    }
}

/// Returns the files that are written anew, and those that stay.
fn apart(all: StagedTable, is_touched: &[bool]) -> (StagedTable, StagedTable) {
    let (mut written, mut kept) = (StagedTable::default(), StagedTable::default());
    for ((file, (rows, content)), is_touched) in all.files.into_iter().zip(all.each).zip(is_touched) {
        let side = if *is_touched { &mut written } else { &mut kept };
        side.extend(StagedTable { files: vec![file], rows, content, each: vec![(rows, content)] });
    }
    (written, kept)
}

/// Returns what both looks have seen: the second what remains, the first what had left before.
fn together(first: Gathered, mut second: Gathered) -> Gathered {
    second.part.diverted += first.part.diverted;
    for (rule, tally) in first.part.program().rules.iter().zip(&first.part.tallies).filter(|(rule, _)| rule.diverts) {
        let same = second.part.program().rules.iter().position(|other| other.check == rule.check);
        if let Some(at) = same {
            second.part.tallies[at] = tally.clone();
        }
    }
    second
}
