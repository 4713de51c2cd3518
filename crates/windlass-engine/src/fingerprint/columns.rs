//! Which columns of a table a node reads, and what tells the rows of those alone.
//!
//! For projects with `reuse: columns`. The optimizer says which columns a scan must answer; no other can have a
//! part in the result. What the rows of just these columns hash to, together and not one by one, stands in the
//! commit of the table, for every set of columns that some reader of the run reads, and in the commit of the reader.
//!
//! Must stay true: where two versions have the same hash for the columns that a node reads, the node answers
//! the same; what is not known never counts as the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::ident;
use futures::TryStreamExt;
use windlass_project::{InputPart, Node, Project, Reuse};

use super::gather::read_through;
use super::record::Inputs;
use super::{hash, schema};
use crate::operators::content::Content;
use crate::planner::Plan;
use crate::session::PlanStyle;
use crate::tables::files::FilesTable;
use crate::{Engine, Error};

/// Columns by the table that they are read of.
pub(crate) type ColumnsRead = BTreeMap<String, BTreeSet<String>>;
/// What the rows of some columns hash to, by the names of the columns.
pub(crate) type ColumnContents = BTreeMap<String, String>;

/// Sets of columns that are hashed for one version: a table with more kinds of readers does without the others.
const MOST_SETS: usize = 16;

/// Returns the name of a set of columns.
pub(crate) fn name_of(columns: &BTreeSet<String>) -> String {
    serde_json::to_string(columns).unwrap_or_default()
}

/// Returns the columns that an optimized query reads, by the name of the table.
fn columns_of(query: &LogicalPlan) -> Result<ColumnsRead, DataFusionError> {
    let mut found = ColumnsRead::new();
    query.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let columns = found.entry(scan.table_name.to_string()).or_default();
            columns.extend(scan.projected_schema.fields().iter().map(|field| field.name().clone()));
            let filters = scan.filters.iter().flat_map(|filter| filter.column_refs());
            columns.extend(filters.map(|column| column.name.clone()));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

impl Engine {
    /// Returns the columns that a node reads of each published table. Nothing of a table that is read in another
    /// way as well, and nothing where the project does not ask for it.
    pub(crate) async fn columns_read(&self, project: &Project, plan: &Plan, node: &Node) -> ColumnsRead {
        if project.reuse == Reuse::Tables || node.is_model() || node.config.incremental.is_some() {
            return ColumnsRead::new();
        }
        let Ok(queries) = Box::pin(self.known_queries(project, plan, node)).await else { return ColumnsRead::new() };
        let state = self.session.context(PlanStyle::Fast).state();
        let mut found = ColumnsRead::new();
        for query in &queries {
            let Ok(read) = state.optimize(query).and_then(|query| columns_of(&query)) else {
                return ColumnsRead::new();
            };
            for (table, columns) in read {
                found.entry(table).or_default().extend(columns);
            }
        }
        // Tables that decide which rows leave it are looked at as a whole.
        found.retain(|table, _| {
            let is_published = project.nodes.get(table).is_some_and(Node::is_published);
            is_published && node.diverting_tables().all(|other| other != table)
        });
        found
    }

    /// Notes among inputs what tells the rows of the columns that a node reads of them, where that is known.
    pub(crate) async fn note_columns(
        &self,
        project: &Project,
        plan: &Plan,
        node: &Node,
        inputs: &mut Inputs,
    ) -> Result<(), Error> {
        for (table, columns) in self.columns_read(project, plan, node).await {
            let Some(version) = inputs.get_mut(&table) else { continue };
            let opened = self.open_table(&table).await?;
            let Some(opened) = opened.filter(|opened| opened.identity() == version.identity) else { continue };
            let (known, name) = (opened.provenance().await, name_of(&columns));
            let content = known.and_then(|known| known.content_of(&name));
            version.columns = content.map(|content| format!("{name} {content}"));
        }
        Ok(())
    }

    /// Returns what the staged rows of a table hash to, for each set of columns that some node of the plan reads.
    pub(crate) async fn contents_for_readers(
        &self,
        (project, plan): (&Project, &Plan),
        node: &Node,
        rows: FilesTable,
    ) -> Result<ColumnContents, Error> {
        let mut sets = BTreeSet::new();
        let reads = |reader: &&Node| {
            let inputs = read_through(project, reader).into_iter().flat_map(Node::inputs);
            reader.is_published()
                && inputs.clone().any(|input| input.node == node.name && input.part == InputPart::Result)
        };
        for reader in project.nodes.values().filter(reads) {
            sets.extend(self.columns_read(project, plan, reader).await.remove(&node.name));
        }
        let rows = Arc::new(rows);
        let mut contents = ColumnContents::new();
        for columns in sets.into_iter().take(MOST_SETS) {
            let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
            let content = Box::pin(self.content_of_columns(&rows, &columns)).await.map_err(failed)?;
            if let Some(content) = content {
                contents.insert(name_of(&columns), content);
            }
        }
        Ok(contents)
    }

    /// Returns what rows of some columns hash to; `None` where that is not known.
    async fn content_of_columns(
        &self,
        rows: &Arc<FilesTable>,
        columns: &BTreeSet<String>,
    ) -> Result<Option<String>, DataFusionError> {
        if columns.is_empty() {
            // Who reads no column counts rows.
            return Ok(rows.rows().map(|rows| format!("{rows} rows")));
        }
        let context = self.session.context(PlanStyle::Fast);
        let rows = context.read_table(Arc::clone(rows) as _)?.select(columns.iter().map(ident).collect::<Vec<_>>())?;
        let types = Schema::new(rows.schema().fields().clone());
        let (state, plan) = rows.into_parts();
        let plan = state.create_physical_plan(&plan).await?;
        let mut batches = execute_stream(plan, state.task_ctx())?;
        let mut content = Content::EMPTY;
        while let Some(batch) = batches.try_next().await? {
            content = content.plus(Content::of(&batch)?);
        }
        Ok(content.is_known().then(|| format!("{}.{}", content.text(), schema(&types))))
    }
}

/// Returns the hash of names and types of the columns that are read of each table.
pub(super) fn types(read: &ColumnsRead, known: &BTreeMap<String, SchemaRef>) -> BTreeMap<String, String> {
    let of = |(table, columns): (&String, &BTreeSet<String>)| {
        let fields = known.get(table)?.fields().iter().filter(|field| columns.contains(field.name()));
        let mut fields: Vec<_> = fields.cloned().collect();
        fields.sort_by(|left, right| left.name().cmp(right.name()));
        Some((table.clone(), hash([name_of(columns).as_str(), schema(&Schema::new(fields)).as_str()])))
    };
    read.iter().filter_map(of).collect()
}
