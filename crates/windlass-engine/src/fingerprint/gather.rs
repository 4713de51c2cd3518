//! Looks up what a node is made from now: its definition, and the versions of what it reads.
//!
//! Reads logs and locks, never rows, and runs no Python. Tables that the same run publishes are known
//! by their schema, so that a definition is the same before and after its inputs are built.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::logical_expr::LogicalPlan;
use windlass_project::{
    Algorithm, Input, InputPart, Node, OnError, Project, PythonCode, PythonMode, Strategy, error_table,
};

use super::record::{Definition, EnvironmentRecord, InputVersion, Inputs};
use super::{columns, hash, sql};
use crate::operators::python::PythonError;
use crate::planner::{Content, Plan, Reading, Tables, calls};
use crate::sampling::SETTING;
use crate::session::PlanStyle;
use crate::{Engine, Error, python};

/// Follows the name of an incremental node where its SQL stands that adds rows.
pub(crate) const ADDING: &str = " (incremental)";

impl Engine {
    /// Returns everything but its inputs that decides a node's rows. The node and what it reads
    /// through views must be part of the plan.
    pub(crate) async fn definition(&self, project: &Project, plan: &Plan, node: &Node) -> Result<Definition, Error> {
        let queries = self.known_queries(project, plan, node).await?;
        let read = self.columns_read(project, plan, node).await;
        let mut definition = Definition {
            read_columns: columns::types(&read, &queries.iter().flat_map(sql::schemas).collect()),
            columns: queries.iter().flat_map(sql::columns).collect(),
            settings: settings(node),
            ..Definition::default()
        };
        if let Some(sample) = self.sample_of(project, node) {
            definition.settings.insert(SETTING.to_string(), sample.to_string());
        }
        if let Some(Content::Files(files)) = plan.nodes.get(&node.name).map(|planned| &planned.content) {
            definition.columns.insert(node.name.clone(), sql::schema(&files.provider.schema()));
        }
        for transform in read_through(project, node).iter().filter_map(|node| Some((&node.name, node.transform()?))) {
            let (name, transform) = transform;
            definition.sql.insert(name.clone(), sql::text(&transform.sql));
            if let Some(adding) = &transform.incremental {
                definition.sql.insert(format!("{name}{ADDING}"), sql::text(&adding.sql));
            }
            definition.sql_vars.extend(transform.vars.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        let mut inputs: BTreeSet<String> =
            read_through(project, node).iter().flat_map(|node| node.inputs()).map(Input::table).collect();
        // An incremental table may read itself.
        inputs.extend(node.config.incremental.iter().map(|_| node.name.clone()));
        let mut plans: Vec<String> = queries.iter().map(sql::plan).collect();
        if queries.iter().any(|query| sql::reads_others(query, &inputs)) {
            plans.extend(definition.sql.values().map(|text| text.words.clone()));
        }
        definition.plan = hash(plans.iter().map(String::as_str));
        if let Some(code) = node.python() {
            definition.calls.insert(code.code.object.clone(), hash([python::definition(node, code).as_str()]));
            self.add_code(project, node, &code.code, &mut definition).await?;
        }
        if let Some(python) = node.python_model() {
            self.add_code(project, node, &python.code, &mut definition).await?;
        }
        // The code of checks that quarantine decides which rows the table has.
        for (_, check) in python::in_python(node).filter(|(definition, _)| definition.quarantines()) {
            self.add_code(project, node, &check.code, &mut definition).await?;
        }
        for (name, function) in queries.iter().flat_map(calls::functions_in).collect::<BTreeMap<_, _>>() {
            let text = python::functions::definition(function.definition());
            definition.calls.insert(format!("function {name}"), hash([text.as_str()]));
            self.add_code(project, node, &function.definition().code, &mut definition).await?;
        }
        Ok(definition)
    }

    /// Returns the state of everything that a node reads, as it is now. Bytes of files are looked at only
    /// where `known`, the state that was read before, does not tell without.
    pub(crate) async fn inputs_now(
        &self,
        project: &Project,
        plan: &Plan,
        node: &Node,
        known: &Inputs,
    ) -> Result<Inputs, Error> {
        let mut inputs = Inputs::new();
        if let Some(Content::Files(files)) = plan.nodes.get(&node.name).map(|planned| &planned.content) {
            inputs.insert(node.name.clone(), InputVersion::of_identity(&files.identity));
        }
        let views = node.diverting_tables().filter_map(|table| project.nodes.get(table));
        let views = views.filter(|other| other.kind_name() == "view").flat_map(|view| read_through(project, view));
        let through: Vec<&Node> = read_through(project, node).into_iter().chain(views).collect();
        let inputs_of = through.iter().flat_map(|node| node.inputs());
        for input in inputs_of.clone().filter(|input| input.part == InputPart::Model) {
            let found = self.found_model(&input.reference).await?;
            inputs.insert(input.reference.clone(), found.input_version());
        }
        let tables = inputs_of.filter(|input| input.part != InputPart::Model);
        let reads = tables.map(|input| (input.node.as_str(), input.part));
        let diverting = node.diverting_tables().map(|table| (table, InputPart::Result));
        for (name, part) in reads.chain(diverting).filter(|(name, _)| *name != node.name) {
            let table = match part {
                InputPart::Result => name.to_string(),
                InputPart::Errors => error_table(name),
                InputPart::Model => continue,
            };
            if inputs.contains_key(&table) {
                continue;
            }
            let Some(planned) = plan.nodes.get(name) else { continue };
            let version = match (part, &planned.content) {
                (InputPart::Errors, _) => match self.open_errors(name).await? {
                    Some(errors) => Some(InputVersion::of_identity(errors.identity())),
                    None => return Err(Error::NotPublished { table }),
                },
                (InputPart::Model, _) => None,
                (InputPart::Result, Content::Files(files)) if !planned.is_published => {
                    let identity = files.state();
                    let is_new = known.get(&table).is_some_and(|known| known.identity != identity);
                    let content = if is_new { files.content().await } else { None };
                    Some(InputVersion { identity, content, columns: None })
                }
                (InputPart::Result, Content::Query(_)) if !planned.is_published => None,
                (InputPart::Result, _) => match self.open_table(name).await? {
                    Some(published) => Some(published.input_version().await),
                    None => return Err(Error::NotPublished { table }),
                },
            };
            inputs.extend(version.map(|version| (table, version)));
        }
        Box::pin(self.note_columns(project, plan, node, &mut inputs)).await?;
        Ok(inputs)
    }

    /// Returns the queries of a node over tables that are known by their schema.
    pub(super) async fn known_queries(
        &self,
        project: &Project,
        plan: &Plan,
        node: &Node,
    ) -> Result<Vec<LogicalPlan>, Error> {
        if let Some(planned) = plan.nodes.get(&node.name)
            && let Content::Query(query) = &planned.content
        {
            return Ok(std::iter::once(query)
                .chain(&planned.incremental)
                .map(|query| query.as_ref().clone())
                .collect());
        }
        if let Some(Content::Model(_, Some(query))) = plan.nodes.get(&node.name).map(|planned| &planned.content) {
            return Ok(vec![query.as_ref().clone()]);
        }
        let Some(code) = node.python() else { return Ok(Vec::new()) };
        let context = self.session.context(PlanStyle::Fast);
        let reading = Reading { project, plan, tables: Tables::BySchema };
        self.register_inputs(&context, &code.inputs, &reading).await?;
        match code.mode {
            PythonMode::Batch => Ok(vec![python::input_query(&context, project, node, code).await?]),
            PythonMode::Table { .. } => python::table_queries(&context, node, code).await,
        }
    }

    /// Adds files, variables and packages of a Python callable.
    async fn add_code(
        &self,
        project: &Project,
        node: &Node,
        code: &PythonCode,
        definition: &mut Definition,
    ) -> Result<(), Error> {
        definition.files.extend(code.sources.iter().map(|(path, hash)| (path.clone(), hash.clone())));
        definition.vars.extend(code.vars.iter().map(|(name, value)| (name.clone(), value.to_string())));
        let file = code.path.strip_prefix(&project.root).unwrap_or(&code.path).display().to_string();
        let locked = self.workers.locked(&python::environment_request(&file, &code.environment)).await;
        let locked = locked.map_err(|error| {
            let error = PythonError::from(error);
            let blame = Some(Box::new(python::diagnose(project, node, &error)));
            Error::Compute { node: node.name.clone(), blame, source: error.into() }
        })?;
        // Without a lock nothing is known, which differs from everything that is.
        let locked = locked.unwrap_or_default();
        let record = EnvironmentRecord { lock: locked.digest, packages: locked.packages };
        definition.environments.insert(file, record);
        Ok(())
    }
}

/// Changes with what training makes of the same rows.
const TRAINER: &str = "trainer 1";

/// Returns a node and the views that it reads through.
pub(crate) fn read_through<'a>(project: &'a Project, node: &'a Node) -> Vec<&'a Node> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    let mut waiting = vec![node];
    while let Some(next) = waiting.pop() {
        if !seen.insert(next.name.as_str()) {
            continue;
        }
        found.push(next);
        let inputs = next.inputs().iter().filter_map(|input| project.nodes.get(&input.node));
        waiting.extend(inputs.filter(|input| input.kind_name() == "view"));
    }
    found
}

/// Returns the settings that decide on rows or their layout.
fn settings(node: &Node) -> BTreeMap<String, String> {
    let config = &node.config;
    let mut settings = BTreeMap::from([
        ("partition_by".to_string(), config.partition_by.join(", ")),
        (
            "sort_by".to_string(),
            config
                .sort_by
                .iter()
                .map(|key| format!("{} {}", key.column, key.descending))
                .collect::<Vec<_>>()
                .join(", "),
        ),
    ]);
    if let Some(incremental) = &node.config.incremental {
        // When it starts and ends, and how far it looks back, changes no row that is there.
        let strategy = &incremental.strategy;
        settings.insert("strategy".to_string(), strategy.name().to_string());
        match strategy {
            Strategy::ByInterval(by_interval) => {
                settings.insert("time_column".to_string(), by_interval.time_column.clone());
                settings.insert("interval".to_string(), by_interval.unit.name().to_string());
            }
            Strategy::Merge { key } => {
                settings.insert("key".to_string(), key.join(", "));
            }
            Strategy::Append => {}
        }
        if let Some(column) = &incremental.later_by {
            settings.insert("time_column".to_string(), column.clone());
        }
    }
    if let windlass_project::NodeKind::Transform(transform) = &node.kind
        && transform.on_error != OnError::Null
    {
        settings.insert("on_error".to_string(), format!("{:?}", transform.on_error).to_lowercase());
    }
    if node.quarantines() {
        settings.insert("checks that quarantine".to_string(), node.diversions());
    }
    if let Some(model) = node.model() {
        let options = format!("{} {:?} {}", model.algorithm.identity(), model.split, model.seed);
        let gates: Vec<&str> = model.gates.iter().map(|gate| gate.rule.as_str()).collect();
        let library = match &model.algorithm {
            Algorithm::Trees(trees) => trees.library.requirement(),
            _ => "",
        };
        settings.insert("options".to_string(), format!("{options} {TRAINER}{library}"));
        settings.insert("gates".to_string(), gates.join(", "));
    }
    if let windlass_project::NodeKind::Seed(seed) = &node.kind {
        settings.insert("delimiter".to_string(), char::from(seed.delimiter).to_string());
    }
    settings
}
