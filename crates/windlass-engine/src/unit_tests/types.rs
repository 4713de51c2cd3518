//! The columns of what tests name, found without the lake: from declarations and definitions.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::datasource::empty::EmptyTable;
use windlass_error::Diagnostic;
use windlass_project::unit_tests::{UnitTest, tables_read};
use windlass_project::{InputPart, Node, NodeKind, Project, SourceTable};

use super::values;
use crate::planner::{Content, Plan, PlannedNode, unplannable};
use crate::session::PlanStyle;
use crate::tables::resolved::ResolvedSource;
use crate::tables::{contract, schema};
use crate::{Engine, Error};

/// Where the columns of a source come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SourceTypes {
    /// From what is declared, where every column has its type; else from the files.
    Declared,
    /// From the files, where they are there.
    OfFiles,
}

/// What a test reads.
#[derive(Default)]
pub(super) struct GivenTables {
    /// Tables by name.
    pub(super) tables: HashMap<String, Arc<dyn TableProvider>>,
    /// Names of those that are empty because nobody gives them.
    pub(super) empty: Vec<String>,
}

impl Engine {
    /// Plans the tested nodes and all that they come from, for the sake of their columns.
    pub(super) async fn plan_types(&self, project: &Project, tests: &[&UnitTest], types: SourceTypes) -> Plan {
        let tested: BTreeSet<&str> = tests.iter().map(|test| test.node.text.as_str()).collect();
        let mut needed: BTreeSet<&str> = BTreeSet::new();
        let mut waiting: Vec<&str> = tested.iter().copied().collect();
        while let Some(name) = waiting.pop() {
            if let (true, Some(node)) = (needed.insert(name), project.nodes.get(name)) {
                waiting.extend(node.inputs().iter().map(|input| input.node.as_str()));
            }
        }
        let mut plan = Plan { diagnostics: self.function_mistakes(project).await, ..Plan::default() };
        for node in project.graph.order().iter().filter_map(|name| project.nodes.get(name)) {
            if !needed.contains(node.name.as_str()) {
                continue;
            }
            let planned = match &node.kind {
                NodeKind::Source(source) => self.plan_source_types(project, node, source, types).await.map(Some),
                _ => self.plan_node(project, node, true, &plan).await,
            };
            let stand_in = match &planned {
                Ok(Some(_)) => None,
                _ if tested.contains(node.name.as_str()) => None,
                // What its readers need to know of it is declared.
                _ => self.declared(node).await.map(|columns| known_by(schema::reading(&columns), node.is_published())),
            };
            match (planned, stand_in) {
                (Ok(Some(planned)), _) | (_, Some(planned)) => {
                    plan.nodes.insert(node.name.clone(), planned);
                }
                (Err(Error::Mistakes { diagnostics }), None) => plan.diagnostics.extend(diagnostics),
                (Err(error), None) => plan.diagnostics.push(unplannable(node, &error)),
                (Ok(None), None) => {}
            }
        }
        plan
    }

    async fn plan_source_types(
        &self,
        project: &Project,
        node: &Node,
        source: &SourceTable,
        types: SourceTypes,
    ) -> Result<PlannedNode, Error> {
        let declared = self.declared(node).await;
        if let (Some(declared), SourceTypes::Declared) = (&declared, types) {
            return Ok(known_by(Arc::clone(declared), false));
        }
        match (self.plan_files(project, node, source).await, declared) {
            (Ok(planned), _) => Ok(planned),
            (Err(_), Some(declared)) => Ok(known_by(declared, false)),
            (Err(Error::Mistakes { diagnostics }), None) => {
                let note =
                    "without its files a test knows of a source what is declared: names and types under `columns:`";
                Err(Error::Mistakes { diagnostics: diagnostics.into_iter().map(|found| found.note(note)).collect() })
            }
            (Err(error), None) => Err(error),
        }
    }

    /// Returns the declared columns of a node, where each of them has a type.
    async fn declared(&self, node: &Node) -> Option<SchemaRef> {
        let context = self.session.context(PlanStyle::Fast);
        let declared = contract::declared(&context, node).await.ok().filter(|columns| !columns.is_empty())?;
        let field = |column: &contract::DeclaredColumn<'_>| {
            Some(Field::new(&column.column.name, column.data_type.clone()?, true))
        };
        Some(Arc::new(Schema::new(declared.iter().map(field).collect::<Option<Vec<_>>>()?)))
    }
}

/// Returns a node that is known by its columns alone.
fn known_by(columns: SchemaRef, is_published: bool) -> PlannedNode {
    let provider = Arc::new(EmptyTable::new(Arc::clone(&columns)));
    let files =
        ResolvedSource { provider, text: None, identity: String::new(), small: None, rows: None, sampled: None };
    let content = Content::Files(files);
    PlannedNode { schema: columns, rows: None, is_published, errors: None, content, incremental: None }
}

/// Returns what a test reads: the tables that it gives, seeds as they are, and all others without rows.
pub(super) fn given_tables(project: &Project, plan: &Plan, test: &UnitTest) -> Result<GivenTables, Vec<Diagnostic>> {
    let given_as = |table: &str| test.given.iter().find(|given| given.table.text == table);
    let mut found = GivenTables::default();
    let mut mistakes = Vec::new();
    for (table, input) in tables_read(project, &test.node.text, |table| given_as(table).is_some()) {
        let Some(planned) = plan.nodes.get(&input.node) else { continue };
        let columns = match (input.part, &planned.errors) {
            (InputPart::Result, _) => Arc::clone(&planned.schema),
            (InputPart::Errors, Some(errors)) => schema::reading(errors),
            // A model scores as the environment has it.
            (InputPart::Errors, None) | (InputPart::Model, _) => continue,
        };
        let provider: Arc<dyn TableProvider> = match (given_as(&table), &planned.content, input.part) {
            (Some(given), ..) => match values::table(&given.rows, &columns, &table) {
                Ok(rows) => Arc::new(in_memory(rows)),
                Err(wrong) => {
                    mistakes.extend(wrong);
                    continue;
                }
            },
            // A view is computed from what it reads.
            (None, Content::Query(_), InputPart::Result) if !planned.is_published => continue,
            (None, Content::Files(seed), InputPart::Result) if is_seed(project, &input.node) => {
                Arc::clone(&seed.provider)
            }
            (None, ..) => {
                found.empty.push(table.clone());
                Arc::new(EmptyTable::new(columns))
            }
        };
        found.tables.insert(table, provider);
    }
    if mistakes.is_empty() { Ok(found) } else { Err(mistakes) }
}

fn is_seed(project: &Project, node: &str) -> bool {
    project.nodes.get(node).is_some_and(|node| matches!(node.kind, NodeKind::Seed(_)))
}

fn in_memory(rows: datafusion::arrow::array::RecordBatch) -> MemTable {
    MemTable::try_new(rows.schema(), vec![vec![rows]]).expect("a batch has its own columns")
}
