//! What the rows of a table hash to once some of them are replaced.
//!
//! The hash of a table is a sum over its rows, so the rows that go are taken off it: only the files that are removed are
//! read, and never the others. Where rows come out as they were, the hash is what it was, and readers stay.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::ident;
use futures::TryStreamExt;
use windlass_project::Node;

use crate::operators::content::Content;
use crate::session::PlanStyle;
use crate::tables::files::FilesTable;
use crate::{Engine, Error};

impl Engine {
    /// Returns what the rows of files hash to; not known where folders are named by texts, which are spelled in more than
    /// one way.
    pub(super) async fn content_of_files(&self, node: &Node, files: &[FilesTable]) -> Result<Content, Error> {
        let partition_by = &node.config.partition_by;
        let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
        let is_text = |file: &FilesTable| file.partition_values().iter().any(is_text);
        let Some(first) = files.first() else { return Ok(Content::EMPTY) };
        if files.iter().any(is_text) {
            return Ok(Content::unknown());
        }
        if partition_by.is_empty() {
            let all = first.clone().with_files_of(&files[1..]);
            return self.content_of_rows(all, partition_by).await.map_err(failed);
        }
        let mut content = Content::EMPTY;
        for file in files {
            let rows = self.content_of_rows(file.clone(), partition_by).await.map_err(failed)?;
            content = content.plus(rows.with_values(&file.partition_values()));
        }
        Ok(content)
    }

    /// Returns what rows hash to without the columns that name their folder.
    async fn content_of_rows(&self, rows: FilesTable, partition_by: &[String]) -> Result<Content, DataFusionError> {
        let schema = rows.schema();
        let stored = schema.fields().iter().map(|field| field.name()).filter(|name| !partition_by.contains(name));
        let stored = stored.map(ident).collect::<Vec<Expr>>();
        let context = self.session.context(PlanStyle::Fast);
        let (state, plan) = context.read_table(Arc::new(rows))?.select(stored)?.into_parts();
        let plan = state.create_physical_plan(&plan).await?;
        let mut batches = execute_stream(plan, state.task_ctx())?;
        let mut content = Content::EMPTY;
        while let Some(batch) = batches.try_next().await? {
            content = content.plus(Content::of(&batch)?);
        }
        Ok(content)
    }
}

fn is_text(value: &ScalarValue) -> bool {
    let data_type = value.data_type();
    data_type.is_string() || matches!(data_type, DataType::Dictionary(..))
}
