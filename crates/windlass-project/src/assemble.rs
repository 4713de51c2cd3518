//! Puts a project together from the text of its files.
//!
//! The steps build on each other: manifest, target, names, sources, properties, Python, SQL and models, graph. A step
//! that finds problems reports them and leaves out what cannot be used; the names stay known, so
//! that no problem is reported twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use indexmap::IndexMap;
use windlass_error::{Code, Diagnostic, Location, SourceFile};

use crate::checks::{attach, read_singular};
use crate::columns::describe;
use crate::config::{Patch, Settings, Subject};
use crate::graph::{self, Graph};
use crate::load::{FileSet, LoadOptions, Loaded, MANIFEST};
use crate::location::resolve_path;
use crate::manifest::{FolderDefaults, Manifest};
use crate::models::{Import, read_create_model, read_imports, settle_unscored};
use crate::names::Names;
use crate::problems::Problems;
use crate::properties::Properties;
use crate::python::{Draft, LIB, ModelDraft, PythonReader, refuse_increments};
use crate::sources::{Sources, read_sources};
use crate::targets::{Wanted, default_target, read_target};
use crate::template::{FileScope, Scope, SqlTemplates, YamlTemplates, to_jinja};
use crate::transforms::SqlFile;
use crate::yaml::{self, Yaml};
use crate::{Input, Model, Node, NodeKind, Project, Seed, Target, error_table};

mod declared;

pub(crate) use declared::start_of;
use declared::{Declared, check_folders, declare, declare_imports, is_yaml, of_subject, properties, select, stem};

/// Variables over all others.
pub(crate) type Overrides = IndexMap<String, Yaml>;

/// Puts a project together; pure.
pub(crate) fn assemble(files: &FileSet, options: &LoadOptions) -> Loaded {
    assemble_with(files, options, &Overrides::new())
}

/// Puts a project together with other values of its variables; pure.
pub(crate) fn assemble_with(files: &FileSet, options: &LoadOptions, overrides: &Overrides) -> Loaded {
    let mut problems = Problems::default();
    let (project, broken) = build(files, options, overrides, &mut problems);
    Loaded { project, diagnostics: problems.list, broken: broken.into_iter().collect() }
}

fn build(
    files: &FileSet,
    options: &LoadOptions,
    overrides: &Overrides,
    problems: &mut Problems,
) -> (Option<Project>, BTreeSet<String>) {
    let mut broken = BTreeSet::new();
    report_unread(files, &mut broken, problems);
    let Some(manifest) = manifest(files, options, problems) else { return (None, broken) };
    let mut vars = vars(&manifest, options, problems);
    vars.extend(overrides.iter().map(|(name, value)| (name.clone(), to_jinja(value))));
    let (target, is_usable) = target(files, options, &vars, problems);
    let place = Some((target.name.clone(), target.env.clone()));
    let scope = || Scope { vars: vars.clone(), env: options.env.clone(), target: place.clone(), ..Scope::default() };

    let mut imports =
        read_imports(&select(files, |path| path.starts_with("models/") && is_yaml(path)), &options.root, problems);
    let scoring = imports.values().filter_map(|import| import.class_file.clone()).collect();
    let mut declared = declare(files, &scoring, problems);
    declare_imports(&imports, &mut declared, problems);
    broken.extend(declared.iter().filter(|(_, node)| !node.is_usable).map(|(name, _)| name.clone()));
    let source_files: Vec<Arc<SourceFile>> =
        select(files, |path| path == "sources.yml" || path.starts_with("sources/"));
    let yaml_templates = YamlTemplates::new(scope());
    let sources = read_sources(&source_files, &options.root, &yaml_templates, problems);
    broken.extend(sources.broken.iter().cloned());

    let properties = properties(files, &declared, problems);
    check_folders(&manifest, &declared, problems);
    let mut reader = PythonReader::new(files, &options.root, &manifest.python, &vars);
    let drafts = drafts(&mut reader, &declared);
    let trained = model_drafts(&mut reader, &declared);
    read_classes(&mut reader, &mut imports, problems);
    let functions = reader.functions(problems);
    let coded = reader.checks(problems);
    let shared = reader.finish(problems);
    let with_errors = error_tables(&drafts, &properties);
    reserve(&with_errors, &mut declared, problems);
    let names = names(&declared, with_errors.into_keys().collect(), &sources);
    let macros = select(files, |path| path.starts_with("macros/"));
    let templates = SqlTemplates::new(Scope { names: names.clone(), ..scope() }, macros, problems);
    let is_query = |path: &str| path.starts_with("checks/") && path.ends_with(".sql");
    let mut singular = read_singular(&select(files, is_query), &templates, problems);
    singular.extend(coded.into_iter().filter_map(|check| check.resolve(&names, problems)));
    let parts =
        Parts { manifest: &manifest, properties, templates, options, names, blocked: blocked(&shared), imports };
    let mut nodes = nodes(&parts, &declared, (drafts, trained), problems);
    settle_unscored(&mut nodes, problems);
    let known = tables(&declared, &sources);
    nodes.extend(sources.nodes.into_iter().map(|node| (node.name.clone(), node)));
    broken.extend(attach(&mut nodes, singular, &parts.templates, &known, problems));
    broken.extend(declared.keys().filter(|name| !nodes.contains_key(*name)).cloned());

    let shared: Vec<(String, Vec<String>)> = sources.broken_sources.into_iter().chain(shared).collect();
    let graph = connect(&mut nodes, &shared, &mut broken, problems);
    nodes.sort_by_cached_key(|name, _| graph.order().iter().position(|known| known == name));
    let lib = if files.has_lib { vec![options.root.join(LIB)] } else { Vec::new() };
    let (name, reuse) = (manifest.name, manifest.reuse);
    let project = Project { name, root: options.root.clone(), target, nodes, graph, functions, lib, reuse };
    (is_usable.then_some(project), broken)
}

fn report_unread(files: &FileSet, broken: &mut BTreeSet<String>, problems: &mut Problems) {
    for (path, problem) in &files.problems {
        let is_transform = path.starts_with("transforms/") && (path.ends_with(".sql") || path.ends_with(".py"));
        if is_transform || (path.starts_with("models/") && !is_yaml(path)) {
            broken.insert(stem(path).to_owned());
            problems.push(problem.clone().node(stem(path)));
        } else {
            problems.push(problem.clone());
        }
    }
}

fn manifest(files: &FileSet, options: &LoadOptions, problems: &mut Problems) -> Option<Manifest> {
    let Some(file) = files.files.get(MANIFEST) else {
        if !files.problems.iter().any(|(path, _)| path == MANIFEST) {
            let message = format!("no `{MANIFEST}` in `{}`", options.root.display());
            let problem = Diagnostic::error(Code::NO_PROJECT, message);
            problems.push(problem.hint("run `windlass init` to make a project, or name its folder with `--project`"));
        }
        return None;
    };
    Manifest::read(file, &options.version, problems)
}

/// Returns the variables, those of the command line over those of the file.
fn vars(manifest: &Manifest, options: &LoadOptions, problems: &mut Problems) -> IndexMap<String, minijinja::Value> {
    let mut vars: IndexMap<String, minijinja::Value> =
        manifest.vars.iter().map(|(name, value)| (name.clone(), to_jinja(value))).collect();
    for (name, text) in &options.vars {
        let file = SourceFile::new(std::path::Path::new("--vars"), text.clone());
        let mut found = Vec::new();
        let value = yaml::parse(&file, &mut found);
        if found.is_empty() {
            vars.insert(name.clone(), value.as_ref().map_or_else(|| minijinja::Value::from(()), to_jinja));
        } else {
            let message = format!("the value of `--vars {name}=...` cannot be parsed");
            let problem = Diagnostic::error(Code::INVALID_VALUE, message);
            problems.push(problem.hint("it is read as YAML: put a text with special characters in quotes"));
        }
    }
    vars
}

/// Returns the target, and whether it can be used; if not, a stand-in lets the rest be checked.
fn target(
    files: &FileSet,
    options: &LoadOptions,
    vars: &IndexMap<String, minijinja::Value>,
    problems: &mut Problems,
) -> (Target, bool) {
    let templates = YamlTemplates::new(Scope { vars: vars.clone(), env: options.env.clone(), ..Scope::default() });
    let wanted = Wanted { target: options.target.as_deref(), env: options.env_name.as_deref() };
    let file = files.files.get("targets.yml");
    match read_target(file, wanted, &options.root, &templates, problems) {
        Some(target) => (target, true),
        None => (default_target(&options.root), false),
    }
}

/// What a Python file says, with what is wrong with it.
struct PythonDraft {
    draft: Option<Draft>,
    problems: Problems,
}

impl PythonDraft {
    /// Returns whether the node has an error table, as far as its file can be read.
    fn has_error_table(&self) -> bool {
        self.draft.as_ref().is_none_or(Draft::has_error_table)
    }
}

/// Reads the Python transforms.
fn drafts(reader: &mut PythonReader<'_>, declared: &BTreeMap<String, Declared>) -> BTreeMap<String, PythonDraft> {
    let mut drafts = BTreeMap::new();
    for (name, node) in declared.iter().filter(|(_, node)| node.subject == Subject::Python) {
        let mut own = Problems::of_node(name);
        let draft = if node.is_read { reader.transform(name, &node.path, &node.file, &mut own) } else { None };
        drafts.insert(name.clone(), PythonDraft { draft, problems: own });
    }
    drafts
}

/// What a model in Python says, with what is wrong with it.
type ModelDrafts = BTreeMap<String, (Option<ModelDraft>, Problems)>;

/// Reads the models in Python.
fn model_drafts(reader: &mut PythonReader<'_>, declared: &BTreeMap<String, Declared>) -> ModelDrafts {
    let mut drafts = BTreeMap::new();
    for (name, node) in declared.iter().filter(|(_, node)| node.is_read && node.is_python_model()) {
        let mut own = Problems::of_node(name);
        let draft = reader.model(name, &node.path, &node.file, &mut own);
        drafts.insert(name.clone(), (draft, own));
    }
    drafts
}

/// Reads the classes that score models.
fn read_classes(reader: &mut PythonReader<'_>, imports: &mut IndexMap<String, Import>, problems: &mut Problems) {
    for (name, import) in imports {
        let Some(draft) = import.class.take() else { continue };
        let mut own = Problems::of_node(name);
        let code = reader.class(name, &draft, &mut own);
        import.model = code.filter(|_| !own.has_errors()).map(|code| draft.with_code(code));
        problems.absorb(own);
    }
}

/// Returns the nodes that have an error table, as far as their files can be read, with what says so.
fn error_tables(
    drafts: &BTreeMap<String, PythonDraft>,
    properties: &IndexMap<String, Properties>,
) -> BTreeMap<String, Option<Location>> {
    let mut found: BTreeMap<String, Option<Location>> = BTreeMap::new();
    for (name, properties) in properties {
        if let Some(check) = properties.checks.iter().find(|check| check.quarantines()) {
            found.insert(name.clone(), Some(check.location.clone()));
        }
    }
    for (name, read) in drafts.iter().filter(|(_, read)| read.has_error_table()) {
        found.insert(name.clone(), read.draft.as_ref().map(|draft| draft.location.clone()));
    }
    found
}

/// Reports nodes that have the name of an error table.
fn reserve(
    with_errors: &BTreeMap<String, Option<Location>>,
    declared: &mut BTreeMap<String, Declared>,
    problems: &mut Problems,
) {
    for (name, said_at) in with_errors {
        let (Some(taken), Some(said_at)) = (declared.get_mut(&error_table(name)), said_at) else { continue };
        taken.is_usable = false;
        let message = format!("`{}` is the error table of `{name}`", error_table(name));
        let problem = Diagnostic::error(Code::DUPLICATE_NAME, message).at(start_of(&taken.file));
        let problem = problem.related(said_at.clone(), "its rows that fail go there");
        problems.push(problem.node(error_table(name)).hint("give this node another name"));
    }
}

/// Returns the nodes of which only their SQL says whether they have an error table: those that score with a model.
/// Returns the names that files may refer to.
fn names(declared: &BTreeMap<String, Declared>, with_errors: BTreeSet<String>, sources: &Sources) -> Names {
    Names {
        nodes: declared.keys().cloned().collect(),
        models: of_subject(declared, Subject::Model),
        with_errors,
        may_have_errors: may_have_errors(declared),
        sources: sources.names.clone(),
    }
}

/// Returns everything that has rows: nodes, and tables of sources as `shop.orders`.
fn tables(declared: &BTreeMap<String, Declared>, sources: &Sources) -> BTreeSet<String> {
    let of_sources =
        sources.names.iter().flat_map(|(source, tables)| tables.iter().map(move |name| format!("{source}.{name}")));
    declared.keys().cloned().chain(of_sources).collect()
}

fn may_have_errors(declared: &BTreeMap<String, Declared>) -> BTreeSet<String> {
    match of_subject(declared, Subject::Model).is_empty() {
        true => BTreeSet::new(),
        false => of_subject(declared, Subject::Transform),
    }
}

fn blocked(shared: &[(String, Vec<String>)]) -> BTreeSet<String> {
    shared.iter().flat_map(|(_, nodes)| nodes.iter().cloned()).collect()
}

/// What nodes are made from, besides their files.
struct Parts<'a> {
    manifest: &'a Manifest,
    properties: IndexMap<String, Properties>,
    templates: SqlTemplates,
    options: &'a LoadOptions,
    names: Names,
    /// Nodes that need a file which cannot be used.
    blocked: BTreeSet<String>,
    /// Models that were trained elsewhere.
    imports: IndexMap<String, Import>,
}

fn nodes(
    parts: &Parts<'_>,
    declared: &BTreeMap<String, Declared>,
    (mut drafts, mut trained): (BTreeMap<String, PythonDraft>, ModelDrafts),
    problems: &mut Problems,
) -> IndexMap<String, Node> {
    let mut nodes = IndexMap::new();
    for (name, node) in declared {
        let mut own = Problems::of_node(name);
        let made = match (node.is_read, drafts.remove(name), trained.remove(name)) {
            (true, Some(read), _) => parts.python(name, node, read, &mut own),
            (true, None, Some(read)) => parts.python_model(name, node, read, &mut own),
            (true, None, None) => parts.node(name, node, &mut own),
            (false, ..) => None,
        };
        let is_broken = own.has_errors() || parts.properties.get(name).is_some_and(|found| found.is_broken);
        problems.absorb(own);
        if let Some(made) = made.filter(|_| node.is_usable && !is_broken) {
            nodes.insert(name.clone(), made);
        }
    }
    nodes
}

impl Parts<'_> {
    fn node(&self, name: &str, declared: &Declared, problems: &mut Problems) -> Option<Node> {
        let properties = self.properties.get(name);
        let place = declared.place();
        let (settings, kind) = if declared.subject == Subject::Seed {
            let settings = resolve(&self.manifest.seeds, &place, properties, &Patch::default());
            let path = resolve_path(&self.options.root, &declared.path);
            let seed = Seed { path, delimiter: settings.delimiter };
            (settings, NodeKind::Seed(seed))
        } else if let Some(import) = self.imports.get(name) {
            if self.blocked.contains(name) {
                return None;
            }
            let settings = resolve(&self.manifest.models, &place, properties, &Patch::default());
            (settings, NodeKind::Imported(Box::new(import.model.clone()?)))
        } else if declared.subject == Subject::Model {
            let (model, patch) = self.model(name, &declared.file, problems)?;
            let settings = resolve(&self.manifest.models, &place, properties, &patch);
            (settings, NodeKind::Model(Box::new(model)))
        } else {
            let file = SqlFile { name, file: &declared.file, templates: &self.templates };
            let (transform, patch) = file.render(problems)?;
            let mut settings = resolve(&self.manifest.transforms, &place, properties, &patch);
            settings.settle_incremental(problems);
            let mut transform = file.with_increments(transform, settings.config.incremental.as_ref(), problems)?;
            transform.on_error = settings.on_error;
            (settings, NodeKind::Transform(transform))
        };
        Some(Node {
            name: name.to_owned(),
            file: Arc::clone(&declared.file),
            location: self.imports.get(name).map_or_else(|| start_of(&declared.file), |import| import.at.clone()),
            kind,
            config: settings.config,
            columns: properties.map(|found| found.columns.clone()).unwrap_or_default(),
            checks: properties.map(|found| found.checks.clone()).unwrap_or_default(),
        })
    }

    fn python(&self, name: &str, declared: &Declared, read: PythonDraft, problems: &mut Problems) -> Option<Node> {
        problems.absorb(read.problems);
        let draft = read.draft?;
        let transform = draft.resolve(&self.names, problems);
        let properties = self.properties.get(name);
        let mut settings = resolve(&self.manifest.transforms, &declared.place(), properties, &draft.patch);
        settings.settle_python((&transform.key, &draft.key_at), problems);
        refuse_increments(&transform, &settings.config, &draft.location, problems);
        let mut columns = draft.columns;
        describe(&mut columns, properties.map_or(&[], |found| &found.columns), problems);
        let node = Node {
            name: name.to_owned(),
            file: Arc::clone(&declared.file),
            location: draft.location,
            kind: NodeKind::Python(Box::new(transform)),
            config: settings.config,
            columns,
            checks: properties.map(|found| found.checks.clone()).unwrap_or_default(),
        };
        (!self.blocked.contains(name)).then_some(node)
    }

    fn python_model(
        &self,
        name: &str,
        declared: &Declared,
        (draft, said): (Option<ModelDraft>, Problems),
        problems: &mut Problems,
    ) -> Option<Node> {
        problems.absorb(said);
        let draft = draft?;
        let properties = self.properties.get(name);
        let settings = resolve(&self.manifest.models, &declared.place(), properties, &draft.patch);
        let location = draft.location.clone();
        let model = draft.resolve(&self.names, &self.templates, problems)?;
        let node = Node {
            name: name.to_owned(),
            file: Arc::clone(&declared.file),
            location,
            kind: NodeKind::Model(Box::new(model)),
            config: settings.config,
            columns: properties.map(|found| found.columns.clone()).unwrap_or_default(),
            checks: properties.map(|found| found.checks.clone()).unwrap_or_default(),
        };
        (!self.blocked.contains(name)).then_some(node)
    }

    fn model(&self, name: &str, file: &Arc<SourceFile>, problems: &mut Problems) -> Option<(Model, Patch)> {
        let rendered = self.templates.render(file, FileScope { this: None, has_interval: false }, problems)?;
        let mut patch = Patch::default();
        for entry in &rendered.config {
            patch.set(Subject::Model, &entry.key, entry, problems);
        }
        let model = read_create_model(name, rendered.into(), &start_of(file), problems)?;
        Some((model, patch))
    }
}

fn resolve(defaults: &FolderDefaults, place: &[String], properties: Option<&Properties>, in_file: &Patch) -> Settings {
    let near = properties.map(|found| &found.patch).into_iter().chain([in_file]);
    Settings::resolve(defaults.patches(place).into_iter().chain(near))
}

/// Builds the graph; nodes in circles are reported and taken out. A table of a broken source reads
/// that source, and a Python node a broken file that it shares with others, so that whoever needs
/// them finds the one diagnostic.
fn connect(
    nodes: &mut IndexMap<String, Node>,
    shared: &[(String, Vec<String>)],
    broken: &mut BTreeSet<String>,
    problems: &mut Problems,
) -> Graph {
    let inputs: IndexMap<String, Vec<Input>> = nodes
        .iter()
        .map(|(name, node)| {
            let mut inputs = node.inputs().to_vec();
            // What a check looks at must be there before it.
            inputs.extend(node.checks.iter().flat_map(|check| check.inputs(name)));
            (name.clone(), inputs)
        })
        .collect();
    for (cycle, members) in graph::find_cycles(&inputs) {
        problems.push(cycle);
        nodes.retain(|name, _| !members.contains(name));
        broken.extend(members);
    }
    let edges = inputs.iter().map(|(name, reads)| {
        let reads = reads.iter().map(|input| input.node.as_str());
        (name.as_str(), reads.collect())
    });
    let shared =
        shared.iter().flat_map(|(needed, users)| users.iter().map(|user| (user.as_str(), vec![needed.as_str()])));
    let alone = broken.iter().map(|name| (name.as_str(), Vec::new()));
    let mut graph = Graph::new(edges.chain(shared).chain(alone));
    graph.retain_order(|name| nodes.contains_key(name));
    graph
}

#[cfg(test)]
mod tests;
