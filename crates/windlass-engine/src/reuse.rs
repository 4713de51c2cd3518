//! Says whether a node must be built, or whether what is published is right as it is.
//!
//! The commit of a table says what it was made from; that is held against what it would be made from
//! now. Nothing but logs and locks is read, and the run store is not asked: the lake is the memory.

use std::collections::BTreeSet;

use windlass_project::{Node, OnVolatile, Project, error_table};

use crate::build::Continuation;
use crate::fingerprint::{
    ADDING, Difference, InputVersion, Provenance, changed_definition, changed_input, place_of_line, volatile_function,
};
use crate::incremental::{Ask, IntervalsToDo, Prospect, Refresh, Todo};
use crate::planner::{Content, Plan, calls};
use crate::sampling::divided;
use crate::tables::published::PublishedTable;
use crate::{Engine, Error};

/// Characters of a variable's value that are shown.
const VALUE_WIDTH: usize = 40;

/// What a run does with a node that publishes a table or trains a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is computed and published.
    Build(Reason),
    /// What is published stays, and its rows are looked at with these checks, which have changed.
    Check(Standing, Vec<String>),
    /// What is published stays.
    Reuse(Standing),
    /// A run would fail here, as far as is known without reading rows.
    Fail(Reason),
}

/// A version that stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Delta version, or that of the model.
    pub version: u64,
    /// Its rows.
    pub rows: u64,
    /// What definition and inputs hash to.
    pub fingerprint: String,
    /// The environment that it stands in, where that is the base.
    pub base: Option<String>,
}

/// Why a node is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// What kind of thing it is.
    pub kind: ReasonKind,
    /// For people: `sql changed: line 6`.
    pub text: String,
    /// The intervals that are computed, where the table has such.
    pub intervals: Option<IntervalsToDo>,
    /// What an earlier attempt has done of it.
    pub continues: Option<Continuation>,
}

/// What becomes of a node whose result is another one every time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Volatile {
    /// It is built.
    Builds,
    /// It stands while what it is made from does.
    Stands,
}

/// What makes a build necessary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasonKind {
    /// There is no table, or none of ours.
    Missing,
    /// It was asked for.
    Forced,
    /// Its result is another one every time.
    Volatile,
    /// SQL, of the node or of a view that it reads through.
    Sql,
    /// A variable.
    Var,
    /// A setting.
    Setting,
    /// Python code, or how it is called.
    Python,
    /// Packages.
    Environment,
    /// Rows of what it reads.
    Input,
    /// The run builds what it reads.
    Upstream,
    /// Others have written to the table.
    OtherWriter,
    /// Intervals that are not done, or are asked for.
    Interval,
    /// A gate that the model has missed.
    Gate,
    /// The share of rows of sources that is read.
    Sample,
    /// Columns, where rows of other columns are to stay.
    Columns,
}

impl Engine {
    /// Decides what a run does with a node that publishes a table or trains a model. `upcoming` are the nodes that the
    /// run builds before it; `ask` counts for incremental tables only.
    ///
    /// # Errors
    ///
    /// Errors of storage, and [`Error::NotPublished`] for an input that is in neither lake nor run.
    pub async fn decide(
        &self,
        project: &Project,
        plan: &Plan,
        node: &Node,
        (upcoming, ask): (&BTreeSet<String>, &Ask<'_>),
    ) -> Result<Decision, Error> {
        let mut decision = self.decide_about(project, plan, node, (upcoming, ask, Volatile::Builds)).await?;
        if let Decision::Build(reason) = &mut decision
            && ask.refresh == Refresh::IfChanged
            && first_upcoming(project, node, upcoming).is_none()
        {
            reason.continues = self.continuation(project, plan, node).await;
        }
        Ok(decision)
    }

    /// Returns what makes a node's result another one every time, for people: `it calls now()`; `None` where the same inputs
    /// give the same result.
    pub fn volatile(&self, project: &Project, plan: &Plan, node: &Node) -> Option<String> {
        volatile(project, plan, node)
    }

    pub(crate) async fn decide_about(
        &self,
        project: &Project,
        plan: &Plan,
        node: &Node,
        (upcoming, ask, of_volatile): (&BTreeSet<String>, &Ask<'_>, Volatile),
    ) -> Result<Decision, Error> {
        if let Some(imported) = node.imported() {
            return self.decide_import(node, imported).await;
        }
        if node.model().is_some() {
            return self.decide_model(project, plan, node, upcoming).await;
        }
        if let Some(incremental) = &node.config.incremental {
            return self.decide_steps(&Prospect { project, plan, node, incremental, upcoming, ask }).await;
        }
        let build = |kind, text: String| Ok(Decision::Build(Reason::new(kind, text)));
        let Some(table) = self.open_table(&node.name).await? else {
            return build(ReasonKind::Missing, "not published yet".to_string());
        };
        let provenance = table.provenance().await;
        let Some((known, provenance)) = provenance.and_then(|provenance| Some((provenance.definition()?, provenance)))
        else {
            return build(ReasonKind::Missing, "nothing is known of how it was made".to_string());
        };
        // What the base has is made anew by its own runs, and what is done is not done again.
        let is_built = of_volatile == Volatile::Builds
            && table.base().is_none()
            && node.config.on_volatile == OnVolatile::Rebuild
            && !ask.is_by(provenance.run_id());
        if let Some(what) = volatile(project, plan, node).filter(|_| is_built) {
            return build(ReasonKind::Volatile, format!("new every time: {what}"));
        }
        if let Some(difference) = changed_definition(&known, &self.definition(project, plan, node).await?) {
            return Ok(Decision::Build(told(project, &difference)));
        }
        if provenance.is_changed() {
            return build(ReasonKind::OtherWriter, "another writer has changed its rows".to_string());
        }
        if provenance.errors().is_some() && self.errors_of(&node.name, &table).await?.is_none() {
            return build(ReasonKind::Missing, format!("`{}` is gone", error_table(&node.name)));
        }
        if let Some(parent) = first_upcoming(project, node, upcoming) {
            return build(ReasonKind::Upstream, format!("reads `{parent}`, which is built"));
        }
        let known = table.inputs(&provenance);
        if let Some(difference) = changed_input(&known, &self.inputs_now(project, plan, node, &known).await?) {
            return Ok(Decision::Build(told(project, &difference)));
        }
        self.stands(project, plan, node, (&table, &provenance)).await
    }

    /// Decides about a table that is computed bit by bit.
    async fn decide_steps(&self, prospect: &Prospect<'_>) -> Result<Decision, Error> {
        let Prospect { project, plan, node, .. } = *prospect;
        match Box::pin(self.todo(prospect)).await {
            Ok(Todo::Rebuild(reason, _)) => Ok(Decision::Build(reason)),
            Ok(Todo::Extend(extension)) => Ok(Decision::Build(extension.reason)),
            Ok(Todo::Nothing(table, provenance)) => self.stands(project, plan, node, (&table, &provenance)).await,
            Err(Error::KeptColumns { change, .. }) => Ok(Decision::Fail(Reason::new(
                ReasonKind::Columns,
                format!("rows are to stay, but {change}; all of them anew: --full-refresh"),
            ))),
            Err(error) => Err(error),
        }
    }

    /// Decides about a table whose rows are right: checks may have to be made.
    async fn stands(
        &self,
        project: &Project,
        plan: &Plan,
        node: &Node,
        (table, provenance): (&PublishedTable, &Provenance),
    ) -> Result<Decision, Error> {
        let (version, fingerprint) = (table.version(), provenance.fingerprint());
        let base = table.base().map(str::to_string);
        let standing = Standing { version, rows: provenance.rows(), fingerprint, base };
        let checks = self.open_checks(project, plan, node, (table, provenance)).await?;
        Ok(if checks.is_empty() { Decision::Reuse(standing) } else { Decision::Check(standing, checks) })
    }
}

impl ReasonKind {
    /// Returns the stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Forced => "forced",
            Self::Volatile => "volatile",
            Self::Sql => "sql",
            Self::Var => "var",
            Self::Setting => "setting",
            Self::Python => "python",
            Self::Environment => "environment",
            Self::Input => "input",
            Self::Upstream => "upstream",
            Self::OtherWriter => "other_writer",
            Self::Interval => "interval",
            Self::Gate => "gate",
            Self::Sample => "sample",
            Self::Columns => "columns",
        }
    }
}

impl Reason {
    /// Returns the reason of who asks for a build whatever has changed.
    pub fn forced(flag: &str) -> Self {
        Self::new(ReasonKind::Forced, format!("asked for by {flag}"))
    }

    pub(crate) fn new(kind: ReasonKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), intervals: None, continues: None }
    }
}

/// Returns what makes a node's result another one every time.
pub(crate) fn volatile(project: &Project, plan: &Plan, node: &Node) -> Option<String> {
    if let Some(what) = node.python().and_then(|python| python.volatile()) {
        return Some(what);
    }
    if let Some(what) = node.python_model().and_then(|python| python.volatile()) {
        return Some(what);
    }
    let (Some(Content::Query(query)) | Some(Content::Model(_, Some(query)))) =
        plan.nodes.get(&node.name).map(|planned| &planned.content)
    else {
        // A Python node reads views as they are planned.
        return node.inputs().iter().find_map(|input| {
            let view = project.nodes.get(&input.node).filter(|input| input.kind_name() == "view")?;
            volatile(project, plan, view)
        });
    };
    let functions = calls::functions_in(query);
    let python = functions.values().find_map(|function| function.definition().volatile());
    python.or_else(|| volatile_function(query).map(|name| format!("it calls {name}")))
}

/// Returns the first input that the run builds, looking through views.
pub(crate) fn first_upcoming<'a>(project: &'a Project, node: &'a Node, upcoming: &BTreeSet<String>) -> Option<&'a str> {
    node.inputs().iter().find_map(|input| {
        if upcoming.contains(&input.node) {
            return Some(input.node.as_str());
        }
        let view = project.nodes.get(&input.node).filter(|input| input.kind_name() == "view")?;
        first_upcoming(project, view, upcoming)
    })
}

/// Tells a difference in words.
pub(crate) fn told(project: &Project, difference: &Difference) -> Reason {
    let (kind, text) = match difference {
        Difference::Sql { node, line } => (ReasonKind::Sql, sql_text(project, node, *line)),
        Difference::Plan => (ReasonKind::Sql, "its query is planned differently".to_string()),
        Difference::Columns { table } => (ReasonKind::Input, format!("columns of `{table}` changed")),
        Difference::Var { name, old, new } => (ReasonKind::Var, format!("var {name}: {}", change(old, new))),
        Difference::Setting { name } => (ReasonKind::Setting, format!("{name} changed")),
        Difference::Sample { old, new } => {
            let of = |sample: &Option<String>| sample.clone().unwrap_or_else(|| "all rows".to_string());
            (ReasonKind::Sample, format!("sample: {} → {}", of(old), of(new)))
        }
        Difference::Call { name } => (ReasonKind::Python, format!("declaration of {name} changed")),
        Difference::File { path } => (ReasonKind::Python, format!("{path} changed")),
        Difference::Package { name, old, new } => (ReasonKind::Environment, format!("{name} {}", change(old, new))),
        Difference::Lock { file } => (ReasonKind::Environment, format!("lock of {file} changed")),
        Difference::Input { table, old, new } => {
            (ReasonKind::Input, input_text(project, table, old.as_ref(), new.as_ref()))
        }
    };
    Reason::new(kind, text)
}

fn sql_text(project: &Project, node: &str, line: usize) -> String {
    let (name, is_adding) = node.strip_suffix(ADDING).map_or((node, false), |name| (name, true));
    let known = project.nodes.get(name);
    let place = known.and_then(|known| {
        let whole = known.transform()?;
        place_of_line(if is_adding { whole.incremental.as_deref()? } else { whole }, line)
    });
    let what = match known.map(Node::kind_name) {
        Some("view") => format!("view `{node}` changed"),
        _ => "sql changed".to_string(),
    };
    match (place, known) {
        (Some(place), Some(known)) if place.file.path == known.file.path => {
            format!("{what}: line {}", place.position().0)
        }
        (Some(place), _) => format!("{what}: {}:{}", place.file.path.display(), place.position().0),
        (None, _) => what,
    }
}

fn input_text(project: &Project, table: &str, old: Option<&InputVersion>, new: Option<&InputVersion>) -> String {
    let is_source = project.nodes.get(table).is_some_and(|node| node.kind_name() == "source");
    let name = if is_source { format!("source {table}") } else { table.to_string() };
    let (Some(old), Some(new)) = (old, new) else {
        return format!("{name} {}", if new.is_some() { "is read now" } else { "is read no more" });
    };
    if project.nodes.get(table).is_some_and(|node| node.kind_name() == "seed") && !old.identity.contains(' ') {
        return format!("{name} changed");
    }
    let ((old, old_sample), (new, new_sample)) = (divided(&old.identity), divided(&new.identity));
    if old == new && old_sample != new_sample {
        return format!("{name}: sample_key changed");
    }
    let version = |state: &str| Some(state.rsplit_once("version ")?.1.to_string());
    match (version(old), version(new)) {
        (Some(old), Some(new)) => format!("{name}: version {old} → {new}"),
        _ => format!("{name}: {}", files_text(old, new)),
    }
}

/// Counts the files of a source that are new, gone, or not what they were.
fn files_text(old: &str, new: &str) -> String {
    let path = |line: &str| line.rsplitn(3, ' ').last().unwrap_or_default().to_string();
    let paths = |text: &str| text.lines().map(path).collect::<BTreeSet<String>>();
    let lines = |text: &str| text.lines().map(str::to_string).collect::<BTreeSet<String>>();
    let (old_paths, new_paths) = (paths(old), paths(new));
    let added = new_paths.difference(&old_paths).count();
    let removed = old_paths.difference(&new_paths).count();
    let changed = lines(new).difference(&lines(old)).count().saturating_sub(added);
    let counted = |count: usize, what: &str| {
        (count > 0).then(|| format!("{count} {what} file{}", if count == 1 { "" } else { "s" }))
    };
    let parts = [counted(added, "new"), counted(changed, "changed"), counted(removed, "removed")];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn change(old: &Option<String>, new: &Option<String>) -> String {
    let short = |text: &String| {
        let shown: String = text.chars().take(VALUE_WIDTH).collect();
        if shown.len() < text.len() { format!("{shown}…") } else { shown }
    };
    match (old, new) {
        (Some(old), Some(new)) => format!("{} → {}", short(old), short(new)),
        (None, Some(new)) => format!("{} is new", short(new)),
        (Some(old), None) => format!("{} is gone", short(old)),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_counted() {
        let check = |old: &str, new: &str, expected: &str| assert_eq!(files_text(old, new), expected);
        check("a.csv 1 t1\nb.csv 2 t2", "a.csv 1 t1\nb.csv 2 t2\nc.csv 3 t3", "1 new file");
        check(
            "a.csv 1 t1\nb.csv 2 t2",
            "b.csv 2 t9\nc d.csv 3 t3\ne.csv 1 t",
            "2 new files, 1 changed file, 1 removed file",
        );
    }

    #[test]
    fn values_are_cut() {
        let text = |text: &str| Some(text.to_string());
        assert_eq!(change(&text("15"), &text("20")), "15 → 20");
        assert_eq!(change(&None, &text("1.17.1")), "1.17.1 is new");
        assert_eq!(change(&text(&"x".repeat(50)), &text("y")), format!("{}… → y", "x".repeat(40)));
    }
}
