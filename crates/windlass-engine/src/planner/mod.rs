//! From checked nodes to logical plans, with every mistake at the user's own line.
//!
//! A node sees the nodes that it declares and nothing else. Views are inlined; a table that the same
//! run publishes is known by its schema alone, any other as it stands in the lake. So a whole
//! project is type-checked before the first node runs, without reading a row.

pub(crate) mod blame;
pub(crate) mod calls;
pub(crate) mod diagnose;
mod model;
pub(crate) mod output;
mod shared;
mod spans;
mod transform;

pub(crate) use shared::SharedViews;
pub(crate) use spans::Places;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::datasource::ViewTable;
use datafusion::datasource::empty::EmptyTable;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use indexmap::IndexMap;
use object_store::ObjectStoreExt;
use sha2::Digest;
use windlass_error::{Classify, Code, Diagnostic};
use windlass_project::{
    FileFormat, Input, InputPart, Materialized, Node, NodeKind, Project, PythonMode, PythonTransform, Seed,
    SourceTable, error_table,
};

use crate::fingerprint::{InputVersion, Inputs};
use crate::models::{self, ModelShape};
use crate::python::functions::Caller;
use crate::python::{input_query, planned_columns};
use crate::session::PlanStyle;
use crate::tables::error_layout::{self, Stamp};
use crate::tables::error_rows::ErrorRows;
use crate::tables::published::PublishedTable;
use crate::tables::resolved::ResolvedSource;
use crate::tables::schema;
use crate::tables::source::SourceReader;
use crate::{Engine, Error, sampling};
use transform::{refuse, slice_mistakes, strategy_mistakes};

/// A project, type-checked.
#[derive(Debug, Default)]
pub struct Plan {
    /// What could be planned, in graph order.
    pub nodes: IndexMap<String, PlannedNode>,
    /// Every mistake found.
    pub diagnostics: Vec<Diagnostic>,
    /// Tables that unit tests give in place of others, by name; readers get these first.
    pub(crate) given: HashMap<String, Arc<dyn TableProvider>>,
    /// Views that the run computes once.
    pub(crate) shared: SharedViews,
}

/// A node with what its definition comes to.
#[derive(Debug, Clone)]
pub struct PlannedNode {
    /// The columns that readers get.
    pub schema: SchemaRef,
    /// Rows, where they are known without running.
    pub rows: Option<u64>,
    /// Whether readers find it in the lake.
    pub(crate) is_published: bool,
    /// The columns of its error table, where it has one that this run writes.
    pub(crate) errors: Option<SchemaRef>,
    pub(crate) content: Content,
    /// The query that adds to an incremental table.
    pub(crate) incremental: Option<Arc<LogicalPlan>>,
}

/// How a planned node is read or computed.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// Files of a source or seed.
    Files(ResolvedSource),
    /// The query of a transform, type-checked; its tables may be known by schema only.
    Query(Arc<LogicalPlan>),
    /// What a Python transform publishes; its rows are known when it has run.
    Python,
    /// A table of the lake that this run does not touch.
    Table(PublishedTable),
    /// A model: what it reads and answers, and the query of its training rows where this run may train it.
    Model(Arc<ModelShape>, Option<Arc<LogicalPlan>>),
    /// A model whose file this run may import.
    Imported(Arc<ModelShape>),
}

/// Where the tables of a query come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tables {
    /// Tables that the run publishes are known by their schema.
    BySchema,
    /// Every table is opened in the lake, and what tells its rows is noted.
    InLake,
    /// The same for those who look at rows and note nothing: small files are not read for a hash of them.
    Unnoted,
}

/// What a query may read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading<'a> {
    /// The project.
    pub(crate) project: &'a Project,
    /// What is known of its nodes.
    pub(crate) plan: &'a Plan,
    /// Where tables come from.
    pub(crate) tables: Tables,
}

impl Engine {
    /// Type-checks the selected nodes and all that they read through views.
    pub async fn plan(&self, project: &Project, selected: &BTreeSet<String>) -> Plan {
        let mut needed = needed(project, selected);
        // Sources are looked at as well, before anything reads them.
        let read: Vec<&Node> = needed.iter().filter_map(|name| project.nodes.get(name)).collect();
        let is_checked = |node: &&Node| selected.contains(&node.name) || matches!(node.kind, NodeKind::Source(_));
        let checked: Vec<&Node> = read.into_iter().filter(is_checked).collect();
        let inputs: BTreeSet<String> = checked.iter().flat_map(|node| node.check_inputs()).collect();
        let is_view = |name: &&String| project.nodes.get(*name).is_some_and(|node| node.kind_name() == "view");
        let views: BTreeSet<String> = inputs.iter().filter(is_view).cloned().collect();
        needed.extend(self::needed(project, &views));
        needed.extend(inputs);
        let mut plan = self.plan_reading(project, &needed, selected).await;
        for node in checked {
            let mistakes = self.check_mistakes(project, node, &plan).await;
            plan.diagnostics.extend(mistakes);
        }
        plan.shared = SharedViews::of(project, &plan, selected);
        plan
    }

    /// Plans the needed nodes: the selected ones from their definitions, the others as they stand in
    /// the lake.
    pub(crate) async fn plan_reading(
        &self,
        project: &Project,
        needed: &BTreeSet<String>,
        selected: &BTreeSet<String>,
    ) -> Plan {
        let mut plan = Plan { diagnostics: self.function_mistakes(project).await, ..Plan::default() };
        let mut all = needed.clone();
        all.extend(self::needed(project, selected));
        for name in project.graph.order().iter().filter(|name| all.contains(*name)) {
            let Some(node) = project.nodes.get(name) else { continue };
            match self.plan_node(project, node, selected.contains(name), &plan).await {
                Ok(Some(planned)) => {
                    plan.nodes.insert(name.clone(), planned);
                }
                // An input has mistakes of its own; they are reported there.
                Ok(None) => {}
                Err(Error::Mistakes { diagnostics }) => plan.diagnostics.extend(diagnostics),
                Err(error) => plan.diagnostics.push(unplannable(node, &error)),
            }
        }
        plan
    }

    /// Plans a node over those that it reads; `None` where one of them could not be planned.
    pub(crate) async fn plan_node(
        &self,
        project: &Project,
        node: &Node,
        selected: bool,
        plan: &Plan,
    ) -> Result<Option<PlannedNode>, Error> {
        match &node.kind {
            NodeKind::Source(source) => self.plan_files(project, node, source).await.map(Some),
            NodeKind::Seed(seed) if selected => {
                let mut planned = self.plan_files(project, node, &seed_as_source(node, seed)).await?;
                if let Content::Files(files) = &mut planned.content {
                    files.identity = self.seed_identity(seed).await?;
                }
                Ok(Some(planned))
            }
            NodeKind::Transform(transform) if selected || node.config.materialized == Materialized::View => {
                if transform.inputs.iter().any(|input| !plan.nodes.contains_key(&input.node)) {
                    return Ok(None);
                }
                self.plan_transform(project, node, transform, plan).await.map(Some)
            }
            NodeKind::Python(python) if selected => {
                if python.inputs.iter().any(|input| !plan.nodes.contains_key(&input.node)) {
                    return Ok(None);
                }
                self.plan_python(project, node, python, plan).await.map(Some)
            }
            NodeKind::Model(model) if selected => {
                if model.query.inputs.iter().any(|input| !plan.nodes.contains_key(&input.node)) {
                    return Ok(None);
                }
                self.plan_model(project, node, model, plan).await.map(Some)
            }
            NodeKind::Imported(imported) if selected => self.plan_imported(node, imported).await.map(Some),
            NodeKind::Model(_) | NodeKind::Imported(_) => self.plan_trained_model(project, node).await.map(Some),
            NodeKind::Seed(_) | NodeKind::Transform(_) | NodeKind::Python(_) => {
                self.plan_from_lake(project, node).await.map(Some)
            }
        }
    }

    pub(crate) async fn plan_files(
        &self,
        project: &Project,
        node: &Node,
        source: &SourceTable,
    ) -> Result<PlannedNode, Error> {
        let context = self.session.context(PlanStyle::Fast);
        let reader = SourceReader { storage: &self.storage, context: &context, root: &project.root };
        let mut resolved = reader.resolve(node, source).await?;
        resolved.sampled = self.sampled(source);
        let schema = resolved.provider.schema();
        let mistakes = sampling::key_mistakes(node, source, &schema);
        if !mistakes.is_empty() {
            return Err(Error::Mistakes { diagnostics: mistakes });
        }
        let errors = match node.quarantines() {
            true => error_schema(node, None, &schema::published(&node.name, &schema)?)?,
            false => None,
        };
        Ok(PlannedNode {
            schema,
            rows: resolved.rows,
            is_published: node.is_published(),
            errors,
            content: Content::Files(resolved),
            incremental: None,
        })
    }

    /// Returns what tells the rows of a seed: its text. Checkouts give the same file other times.
    async fn seed_identity(&self, seed: &Seed) -> Result<String, Error> {
        let location = seed.path.display().to_string();
        let place = self.storage.open(&location)?;
        let failed = |source| Error::List { location: location.clone(), source };
        let text = place.store.get(&place.path).await.map_err(failed)?.bytes().await.map_err(failed)?;
        let digest = sha2::Sha256::digest(&text);
        Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    async fn plan_from_lake(&self, project: &Project, node: &Node) -> Result<PlannedNode, Error> {
        let Some(table) = self.open_table(&node.name).await? else {
            let message = format!("table `{}` has not been published yet", node.name);
            let readers: Vec<&str> = project.graph.children(&node.name).iter().map(String::as_str).collect();
            let mistake = Diagnostic::error(Code::UNKNOWN_TABLE, message)
                .at(node.location.clone())
                .hint(format!("publish it too: windlass run +{}", readers.first().copied().unwrap_or(&node.name)))
                .node(&node.name);
            return Err(Error::Mistakes { diagnostics: vec![mistake] });
        };
        let schema = table.provider(&node.name).await?.schema();
        Ok(PlannedNode {
            schema,
            rows: table.size().0,
            is_published: true,
            errors: None,
            content: Content::Table(table),
            incremental: None,
        })
    }

    /// Makes a transform's inputs known to a context under the names that its SQL uses. Answers what
    /// exactly is read, by node.
    pub(crate) async fn register_inputs(
        &self,
        context: &SessionContext,
        inputs: &[Input],
        reading: &Reading<'_>,
    ) -> Result<Inputs, Error> {
        let mut read = Inputs::new();
        self.register_models(context, inputs, reading, &mut read).await?;
        for input in inputs.iter().filter(|input| input.part != InputPart::Model) {
            if let Some(given) = reading.plan.given.get(&input.table()) {
                register(context, &input.table(), Arc::clone(given))?;
                continue;
            }
            let Some(planned) = reading.plan.nodes.get(&input.node) else { continue };
            let provider = match input.part {
                InputPart::Result => self.input_provider(&input.node, planned, reading, &mut read).await?,
                InputPart::Errors => self.errors_provider(&input.node, planned, reading, &mut read).await?,
                InputPart::Model => continue,
            };
            register(context, &input.table(), provider)?;
        }
        Ok(read)
    }

    /// Returns what reads the rows of a node that failed.
    pub(crate) async fn errors_provider(
        &self,
        name: &str,
        planned: &PlannedNode,
        reading: &Reading<'_>,
        read: &mut Inputs,
    ) -> Result<Arc<dyn TableProvider>, Error> {
        if let (Some(schema), Tables::BySchema) = (&planned.errors, reading.tables) {
            return Ok(Arc::new(EmptyTable::new(schema::reading(schema))));
        }
        let errors = error_table(name);
        let table = self.open_errors(name).await?.ok_or_else(|| Error::NotPublished { table: errors.clone() })?;
        read.insert(errors.clone(), InputVersion::of_identity(table.identity()));
        table.provider(&errors).await
    }

    async fn plan_python(
        &self,
        project: &Project,
        node: &Node,
        python: &PythonTransform,
        plan: &Plan,
    ) -> Result<PlannedNode, Error> {
        let context = self.session.context(PlanStyle::Fast);
        let reading = Reading { project, plan, tables: Tables::BySchema };
        self.register_inputs(&context, &python.inputs, &reading).await?;
        let published = planned_columns(&context, node, python).await?;
        let query = match python.mode {
            PythonMode::Batch => Some(input_query(&context, project, node, python).await?),
            PythonMode::Table { .. } => None,
        };
        let input = query.as_ref().map(|query| query.schema().as_arrow());
        refuse(strategy_mistakes(node, &published))?;
        refuse(input.map(|input| slice_mistakes(node, &python.inputs[0].reference, input)).unwrap_or_default())?;
        let errors = error_schema(node, input, &published)?;
        let schema = schema::reading(&published);
        let content = Content::Python;
        Ok(PlannedNode { schema, rows: None, is_published: true, errors, content, incremental: None })
    }

    /// Returns what reads an input, and notes which version or files that are.
    pub(crate) async fn input_provider(
        &self,
        name: &str,
        planned: &PlannedNode,
        reading: &Reading<'_>,
        read: &mut Inputs,
    ) -> Result<Arc<dyn TableProvider>, Error> {
        match (&planned.content, planned.is_published, reading.tables) {
            (Content::Files(source), false, tables) => {
                let content = match tables {
                    Tables::InLake => source.content().await,
                    Tables::BySchema | Tables::Unnoted => None,
                };
                let version = InputVersion { identity: source.state(), content, columns: None };
                read.insert(name.to_string(), version);
                Ok(source.reader())
            }
            (Content::Query(plan), false, Tables::BySchema) => {
                Ok(Arc::new(ViewTable::new(plan.as_ref().clone(), None)))
            }
            (Content::Query(_), false, Tables::InLake | Tables::Unnoted) => {
                if let Some(rows) = self.shared_view(name, reading, read).await {
                    return Ok(rows);
                }
                let query = Box::pin(self.view(name, reading, read)).await?;
                Ok(Arc::new(ViewTable::new(query, None)))
            }
            (Content::Table(table), ..) => {
                read.insert(name.to_string(), table.input_version().await);
                table.provider(name).await
            }
            (Content::Model(..) | Content::Imported(_), ..) => Err(Error::NoTable { model: name.to_string() }),
            (Content::Python, _, Tables::BySchema) | (_, true, Tables::BySchema) => {
                Ok(Arc::new(EmptyTable::new(Arc::clone(&planned.schema))))
            }
            (Content::Python, ..) | (_, true, _) => {
                let table = self.open_table(name).await?;
                let table = table.ok_or_else(|| Error::NotPublished { table: name.to_string() })?;
                read.insert(name.to_string(), table.input_version().await);
                table.provider(name).await
            }
        }
    }

    /// Returns a view's query over the tables as they stand in the lake.
    async fn view(&self, name: &str, reading: &Reading<'_>, read: &mut Inputs) -> Result<LogicalPlan, Error> {
        let unknown = || Error::NotPublished { table: name.to_string() };
        let transform = reading.project.nodes.get(name).and_then(Node::transform).ok_or_else(unknown)?;
        let context = self.session.context(PlanStyle::Fast);
        read.extend(self.register_inputs(&context, &transform.inputs, reading).await?);
        self.register_functions(&context, reading.project, Caller { node: name, sql: &transform.sql }).await;
        let query = models::logical_plan(&context.state(), &transform.sql).await;
        query.map_err(|source| Error::Compute { node: name.to_string(), blame: None, source })
    }
}

/// Registers a provider as `table` or `schema.table`.
pub(crate) fn register(context: &SessionContext, name: &str, provider: Arc<dyn TableProvider>) -> Result<(), Error> {
    let failed = |source| Error::Start { source };
    let reference = match name.split_once('.') {
        None => TableReference::bare(name),
        Some((schema, table)) => {
            let catalog = context.catalog("datafusion").expect("every context has its catalog");
            if catalog.schema(schema).is_none() {
                let empty = Arc::new(datafusion::catalog::MemorySchemaProvider::new());
                catalog.register_schema(schema, empty).map_err(failed)?;
            }
            TableReference::partial(schema, table)
        }
    };
    context.register_table(reference, provider).map_err(failed)?;
    Ok(())
}

/// Returns the name that a provider was registered by.
pub(crate) fn name_of(reference: &TableReference) -> String {
    match reference.schema() {
        Some(schema) => format!("{schema}.{}", reference.table()),
        None => reference.table().to_string(),
    }
}

/// Returns the selected nodes and what planning them takes: their inputs, and through views theirs.
fn needed(project: &Project, selected: &BTreeSet<String>) -> BTreeSet<String> {
    let mut needed = BTreeSet::new();
    let mut waiting: Vec<String> = selected.iter().cloned().collect();
    while let Some(name) = waiting.pop() {
        if !needed.insert(name.clone()) {
            continue;
        }
        let Some(node) = project.nodes.get(&name) else { continue };
        let looks_through = selected.contains(&name) || node.kind_name() == "view";
        if looks_through {
            waiting.extend(node.inputs().iter().map(|input| input.node.clone()));
        }
    }
    needed
}

/// Returns the columns of a node's error table; `None` where it has none.
fn error_schema(node: &Node, input: Option<&Schema>, published: &SchemaRef) -> Result<Option<SchemaRef>, Error> {
    let rows = error_layout::of(node, input, published, Stamp::default())?;
    Ok(rows.as_ref().map(ErrorRows::schema))
}

/// Returns a seed as the CSV source that it is.
pub(crate) fn seed_as_source(node: &Node, seed: &Seed) -> SourceTable {
    SourceTable {
        source: "seeds".to_string(),
        table: node.name.clone(),
        path: seed.path.display().to_string(),
        format: FileFormat::Csv { delimiter: seed.delimiter, header: true },
        partitioned_by: Vec::new(),
        sample_key: Vec::new(),
        sample_key_at: None,
    }
}

/// Returns why a node cannot be planned, where its own text is not to blame.
pub(crate) fn unplannable(node: &Node, error: &Error) -> Diagnostic {
    let mut mistake = Diagnostic::error(error.code().unwrap_or(Code::STORAGE), error.to_string())
        .at(node.location.clone())
        .node(&node.name);
    let mut said = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let text = cause.to_string();
        // Libraries repeat their causes in their own text.
        if !said.contains(&text) {
            mistake = mistake.note(format!("cause: {text}"));
            said = text;
        }
        source = cause.source();
    }
    match error.hint() {
        Some(hint) => mistake.hint(hint),
        None => mistake,
    }
}
