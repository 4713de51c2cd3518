//! Finds the staged files that hold rows which leave the table for their key, so that only those are
//! written anew.
//!
//! Each file is looked at alone, and of it the columns that the keys and their conditions read.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::dataframe::DataFrame;
use datafusion::error::Result;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::ident;
use futures::TryStreamExt;
use windlass_project::Node;
use windlass_project::checks::{CheckDefinition, CheckKind, KeptDuplicate, Written};

use super::Looking;
use crate::checks::suspects::Suspected;
use crate::operators::check::CheckSink;
use crate::session::PlanStyle;
use crate::tables::files::FilesTable;
use crate::{Engine, Error};

impl Engine {
    /// Returns, for each file of a table, whether it holds a row that leaves for its key.
    pub(crate) async fn touched(
        &self,
        node: &Node,
        table: &FilesTable,
        suspected: &Suspected,
    ) -> std::result::Result<Vec<bool>, Error> {
        let checks = node.checks.iter().filter(|check| suspected.contains_key(&check.name)).cloned().collect();
        let keys = Node { checks, ..node.clone() };
        let mut touched = Vec::new();
        for (_, file) in table.each() {
            let found = self.is_touched(&keys, file, suspected).await;
            touched.push(found.map_err(|source| Error::Compute { node: node.name.clone(), blame: None, source })?);
        }
        Ok(touched)
    }

    async fn is_touched(&self, keys: &Node, file: FilesTable, suspected: &Suspected) -> Result<bool> {
        let context = self.session.context(PlanStyle::Fast);
        let sink = Arc::new(CheckSink::default());
        context.state_ref().write().config_mut().set_extension(Arc::clone(&sink));
        let rows = context.read_table(Arc::new(file))?;
        let columns = columns(&rows, &keys.checks)?;
        let (state, plan) = rows.select(columns.iter().map(ident).collect::<Vec<_>>())?.into_parts();
        let plan = state.create_physical_plan(&plan).await?;
        let plan =
            self.with_checks(keys, plan, &state, Looking { suspects: suspected.clone(), ..Looking::default() })?;
        let mut stream = execute_stream(plan, state.task_ctx())?;
        while stream.try_next().await?.is_some() {}
        // Without an answer the file counts as one that must be written anew.
        Ok(sink.take().is_none_or(|gathered| gathered.part.tallies.iter().any(|tally| tally.failing > 0)))
    }
}

/// Returns the columns that checks on keys read.
fn columns(rows: &DataFrame, checks: &[CheckDefinition]) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for check in checks {
        let (key, order): (&[Written], Option<&Written>) = match &check.kind {
            CheckKind::Unique { columns, keep: KeptDuplicate::First { by, .. } } => (columns, Some(by)),
            CheckKind::Unique { columns, .. } | CheckKind::Relationships { columns, .. } => (columns, None),
            CheckKind::Python(check) => match &check.columns {
                Some(columns) => (columns, None),
                None => return Ok(rows.schema().fields().iter().map(|field| field.name().clone()).collect()),
            },
            _ => (&[], None),
        };
        found.extend(key.iter().chain(order).map(|column| column.text.clone()));
        if let Some(filter) = &check.filter {
            let condition = rows.parse_sql_expr(&filter.text)?;
            found.extend(condition.column_refs().into_iter().map(|column| column.name.clone()));
        }
    }
    Ok(found)
}
