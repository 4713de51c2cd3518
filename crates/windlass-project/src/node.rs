//! What a project is made of: sources, seeds, transforms and models, as plain data.
//!
//! Everything a node says about itself is decoded, checked and rendered here already; nothing
//! below refers to YAML or Jinja any more.

use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use windlass_error::{Location, SourceFile};

use crate::checks::CheckDefinition;
use crate::{
    ByInterval, Function, Graph, ImportedModel, Incremental, Model, OnError, PythonModel, PythonTransform, SourceMap,
    Strategy, Target,
};

/// A project folder, read and checked.
#[derive(Debug)]
pub struct Project {
    /// The project's name from `windlass.yml`.
    pub name: String,
    /// The folder of `windlass.yml`, absolute.
    pub root: PathBuf,
    /// The selected target, rendered.
    pub target: Target,
    /// All nodes by name, in the order of [`Graph::order`].
    pub nodes: IndexMap<String, Node>,
    /// Who reads whom.
    pub graph: Graph,
    /// Python functions that SQL may call, by name.
    pub functions: IndexMap<String, Function>,
    /// Folders that Python modules are imported from, absolute: `lib/` where it exists.
    pub lib: Vec<PathBuf>,
    /// What of a table that is read has to be as it was for its readers to stay.
    pub reuse: Reuse,
}

/// What of a table that is read has to be as it was for its readers to stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reuse {
    /// Its rows.
    #[default]
    Tables,
    /// Its rows, of the columns that a reader reads.
    Columns,
}

/// A vertex of the graph.
#[derive(Debug, Clone)]
pub struct Node {
    /// Unique in the project: `stg_flights`, or `nyc.flights` for a table of a source.
    pub name: String,
    /// The file that defines it.
    pub file: Arc<SourceFile>,
    /// Where in `file` it is defined.
    pub location: Location,
    /// What it does.
    pub kind: NodeKind,
    /// Settings that any node may have.
    pub config: NodeConfig,
    /// Declared columns, in order. For a source they are a contract.
    pub columns: Vec<Column>,
    /// What must hold for its rows.
    pub checks: Vec<CheckDefinition>,
}

/// What a node does.
#[derive(Debug, Clone)]
pub enum NodeKind {
    /// Reads files that others wrote.
    Source(SourceTable),
    /// Publishes a small CSV file of the project.
    Seed(Seed),
    /// Publishes the result of one `SELECT`.
    Transform(Transform),
    /// Publishes what a Python function or class makes of its input.
    Python(Box<PythonTransform>),
    /// Registers a version of a model that it trains.
    Model(Box<Model>),
    /// Registers a version of a model that was trained elsewhere.
    Imported(Box<ImportedModel>),
}

/// A table of a source.
#[derive(Debug, Clone)]
pub struct SourceTable {
    /// The source's name, `nyc` in `nyc.flights`.
    pub source: String,
    /// The table's name, `flights` in `nyc.flights`.
    pub table: String,
    /// An absolute path, a glob, or a URL; rendered, `{name}` replaced, relative paths resolved
    /// against the project folder.
    pub path: String,
    /// How its files are encoded; taken from the ending where not declared.
    pub format: FileFormat,
    /// Names of the hive-style partition columns that the folders below `path` carry, in order.
    pub partitioned_by: Vec<String>,
    /// The columns whose values decide whether a run on a sample reads a row; empty where it reads all rows.
    pub sample_key: Vec<String>,
    /// Where they are named.
    pub sample_key_at: Option<Location>,
}

/// How the files of a source are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// Apache Parquet.
    Parquet,
    /// Comma-separated values.
    Csv {
        /// The byte between fields.
        delimiter: u8,
        /// Whether the first line holds the column names.
        header: bool,
    },
    /// One JSON object a line.
    Json,
    /// A Delta table.
    Delta,
}

/// A small CSV file kept in the project.
#[derive(Debug, Clone)]
pub struct Seed {
    /// Absolute path of the file.
    pub path: PathBuf,
    /// The byte between fields.
    pub delimiter: u8,
}

/// A SQL transform, rendered.
#[derive(Debug, Clone)]
pub struct Transform {
    /// The rendered SQL.
    pub sql: String,
    /// Leads from a place in `sql` back to the user's file.
    pub map: SourceMap,
    /// The nodes that it reads, in order of their first mention.
    pub inputs: Vec<Input>,
    /// Variables read while rendering, with the values used; part of the fingerprint.
    pub vars: IndexMap<String, String>,
    /// The same for runs that keep rows of the table: what it renders to where `is_incremental()` holds.
    /// `inputs` and `vars` above are those of both. Only for incremental transforms.
    pub incremental: Option<Box<Transform>>,
    /// What becomes of rows that a model cannot score: [`OnError::Null`] unless it scores and is published.
    pub on_error: OnError,
}

/// An edge: one mention of another node.
#[derive(Debug, Clone)]
pub struct Input {
    /// The node read.
    pub node: String,
    /// How the rendered SQL names it: `stg_flights` or `nyc.flights`, quoted where needed.
    pub reference: String,
    /// The first `ref()` or `source()` that mentions it.
    pub location: Location,
    /// Which of the node's tables is read.
    pub part: InputPart,
}

/// Which table of a node is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InputPart {
    /// Its result.
    #[default]
    Result,
    /// `<node>__errors`: the rows that failed.
    Errors,
    /// A version of a model, which is no table; the reference says which: `delay`, `delay@3`.
    Model,
}

impl Input {
    /// Returns the name of what is read: a table, or a model with the version that is asked for.
    pub fn table(&self) -> String {
        match self.part {
            InputPart::Result => self.node.clone(),
            InputPart::Errors => error_table(&self.node),
            InputPart::Model => self.reference.clone(),
        }
    }
}

/// The folder of an environment that holds what Windlass knows about its tables; no node is called so.
pub const SYSTEM_FOLDER: &str = "_windlass";

/// Returns the name of the table that holds a node's error rows.
pub fn error_table(node: &str) -> String {
    format!("{node}__errors")
}

/// Returns the name of the table that holds rows of a node which break checks.
pub fn failures_table(node: &str) -> String {
    format!("{node}__failures")
}

/// How a transform's result is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Materialized {
    /// Not kept: readers compute it.
    View,
    /// Published as a Delta table.
    #[default]
    Table,
    /// Published as a Delta table whose rows stay when new ones come.
    Incremental,
}

/// What becomes of a transform when a node that it reads fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUpstreamFailure {
    /// It is skipped.
    #[default]
    Skip,
    /// It reads the version that is published.
    UseLastGood,
}

/// What becomes of a transform whose result is another one every time, where nothing else has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnVolatile {
    /// Every run builds it.
    #[default]
    Rebuild,
    /// What is published stays.
    Keep,
}

/// How many rows may fail.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ErrorLimit {
    /// A share of all rows, from 0 to 1.
    Rate(f64),
    /// A number of rows.
    Rows(u64),
}

impl Default for ErrorLimit {
    /// One row in a hundred.
    fn default() -> Self {
        Self::Rate(0.01)
    }
}

/// A column to sort by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortKey {
    /// The column.
    pub column: String,
    /// Whether large values come first; written `column desc`.
    pub descending: bool,
}

/// Settings that any node may have.
#[derive(Debug, Clone, Default)]
pub struct NodeConfig {
    /// How the result is kept; seeds are always tables.
    pub materialized: Materialized,
    /// Columns whose values split the table into folders.
    pub partition_by: Vec<String>,
    /// Order of the rows within each file.
    pub sort_by: Vec<SortKey>,
    /// Labels for selection.
    pub tags: Vec<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// What it is, for people.
    pub description: Option<String>,
    /// How often a failure from outside is tried again.
    pub retries: u32,
    /// How many rows may go to the error table before nothing is published.
    pub error_limit: ErrorLimit,
    /// What becomes of it when a node that it reads fails.
    pub on_upstream_failure: OnUpstreamFailure,
    /// What becomes of it when its result is another one every time.
    pub on_volatile: OnVolatile,
    /// How it is computed bit by bit; for [`Materialized::Incremental`] only.
    pub incremental: Option<Incremental>,
    /// Where each setting came from, such as `windlass.yml:12:5`, by key.
    pub origins: IndexMap<String, String>,
}

/// A declared column.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its declared type as written, such as `bigint`; `None` leaves it open.
    pub data_type: Option<String>,
    /// What it is, for people.
    pub description: Option<String>,
    /// Where it is declared.
    pub location: Location,
}

impl Node {
    /// Returns the query of a SQL transform, or of the training rows of a model.
    pub fn transform(&self) -> Option<&Transform> {
        match &self.kind {
            NodeKind::Transform(transform) => Some(transform),
            NodeKind::Model(model) => Some(&model.query),
            _ => None,
        }
    }

    /// Returns the model of a model node.
    pub fn model(&self) -> Option<&Model> {
        match &self.kind {
            NodeKind::Model(model) => Some(model),
            _ => None,
        }
    }

    /// Returns the Python that trains a model, where it is the user's.
    pub fn python_model(&self) -> Option<&PythonModel> {
        self.model()?.algorithm.python()
    }

    /// Returns the Python transform of a Python node.
    pub fn python(&self) -> Option<&PythonTransform> {
        match &self.kind {
            NodeKind::Python(python) => Some(python),
            _ => None,
        }
    }

    /// Returns the import of a model that was trained elsewhere.
    pub fn imported(&self) -> Option<&ImportedModel> {
        match &self.kind {
            NodeKind::Imported(model) => Some(model),
            _ => None,
        }
    }

    /// Returns whether it is a model, however it came to be.
    pub fn is_model(&self) -> bool {
        matches!(self.kind, NodeKind::Model(_) | NodeKind::Imported(_))
    }

    /// Returns what a transform or model reads; nothing for sources and seeds.
    pub fn inputs(&self) -> &[Input] {
        match &self.kind {
            NodeKind::Transform(transform) => &transform.inputs,
            NodeKind::Python(python) => &python.inputs,
            NodeKind::Model(model) => &model.query.inputs,
            NodeKind::Source(_) | NodeKind::Seed(_) | NodeKind::Imported(_) => &[],
        }
    }

    /// Returns its intervals, where it is computed by such.
    pub fn by_interval(&self) -> Option<&ByInterval> {
        match &self.config.incremental.as_ref()?.strategy {
            Strategy::ByInterval(by_interval) => Some(by_interval),
            Strategy::Merge { .. } | Strategy::Append => None,
        }
    }

    /// Returns the column of its input that says which rows a step of a Python transform gets, where one does.
    pub fn slices_by(&self) -> Option<&str> {
        self.python()?;
        let by_interval = self.by_interval().map(|by_interval| by_interval.time_column.as_str());
        by_interval.or_else(|| self.config.incremental.as_ref()?.later_by.as_deref())
    }

    /// Returns the tables that its checks read, besides its own.
    pub fn check_inputs(&self) -> impl Iterator<Item = String> {
        self.checks.iter().flat_map(|check| check.inputs(&self.name)).map(|input| input.node)
    }

    /// Returns whether a run publishes a Delta table for this node.
    pub fn is_published(&self) -> bool {
        match self.kind {
            NodeKind::Source(_) => false,
            NodeKind::Seed(_) => true,
            NodeKind::Transform(_) => self.config.materialized != Materialized::View,
            NodeKind::Python(_) => true,
            NodeKind::Model(_) | NodeKind::Imported(_) => false,
        }
    }

    /// Returns whether a run makes something of this node that stays: a table, or a version of a model.
    pub fn is_kept(&self) -> bool {
        self.is_published() || self.is_model()
    }

    /// Returns the word for its kind: `source`, `seed`, `view`, `table`, `incremental`, `python` or `model`.
    pub fn kind_name(&self) -> &'static str {
        match (&self.kind, self.config.materialized) {
            (NodeKind::Source(_), _) => "source",
            (NodeKind::Seed(_), _) => "seed",
            (NodeKind::Python(_), _) => "python",
            (NodeKind::Model(_) | NodeKind::Imported(_), _) => "model",
            (NodeKind::Transform(_), Materialized::View) => "view",
            (NodeKind::Transform(_), Materialized::Table) => "table",
            (NodeKind::Transform(_), Materialized::Incremental) => "incremental",
        }
    }
}
