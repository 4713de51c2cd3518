//! What a commit says about where a table comes from, as JSON in its commit info.
//!
//! Fields are only ever added: a commit of an older Windlass lacks some, and what is missing equals
//! nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::columns::ColumnContents;
use super::hash;

/// Everything but its inputs that decides a node's rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Definition {
    /// Hash of the query as it is planned, before it is optimised.
    pub(crate) plan: String,
    /// The rendered SQL of the node and of the views that it reads through, by name.
    pub(crate) sql: BTreeMap<String, SqlText>,
    /// Hash of the columns of each table that is read.
    pub(crate) columns: BTreeMap<String, String>,
    /// The same of the columns that it reads of each, where the project goes by those.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) read_columns: BTreeMap<String, String>,
    /// Variables that the SQL names. They say why a plan has changed.
    pub(crate) sql_vars: BTreeMap<String, String>,
    /// Variables that Python reads.
    pub(crate) vars: BTreeMap<String, String>,
    /// Settings that decide on rows or their layout.
    pub(crate) settings: BTreeMap<String, String>,
    /// Hash of how each Python callable is called: its arguments, columns and rules.
    pub(crate) calls: BTreeMap<String, String>,
    /// Hash of each Python file, by path.
    pub(crate) files: BTreeMap<String, String>,
    /// The packages of each Python file that is called.
    pub(crate) environments: BTreeMap<String, EnvironmentRecord>,
}

/// Rendered SQL, without what layout and comments do to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SqlText {
    /// Hash of all words.
    pub(crate) words: String,
    /// Short hashes of the lines that have any.
    pub(crate) lines: Vec<String>,
}

/// The packages that a Python file is run with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct EnvironmentRecord {
    /// Hash of the lock and what it is for.
    pub(crate) lock: String,
    /// Versions by package.
    pub(crate) packages: BTreeMap<String, String>,
}

/// Which state of an input was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct InputVersion {
    /// A Delta version, or a line of path, size and tag for each file.
    pub(crate) identity: String,
    /// Hash of its rows in any order; `None` where it is not known.
    pub(crate) content: Option<String>,
    /// The columns that are read, with the hash of the rows of these alone; `None` where it is not known.
    pub(crate) columns: Option<String>,
}

/// The state of everything that was read, by table.
pub(crate) type Inputs = BTreeMap<String, InputVersion>;

/// What the newest commit of ours says about a table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Provenance {
    /// The object of the commit info.
    info: Value,
    /// Whether others have changed rows since.
    is_changed: bool,
}

impl Definition {
    /// Returns its hash; the same for equal definitions of this version of Windlass.
    pub(crate) fn hash(&self) -> String {
        hash([serde_json::to_string(self).unwrap_or_default().as_str()])
    }
}

impl InputVersion {
    /// Returns what only an identity is known of.
    pub(crate) fn of_identity(identity: impl Into<String>) -> Self {
        Self { identity: identity.into(), ..Self::default() }
    }

    /// Returns whether both are known to hold the same, wherever they stand.
    pub(crate) fn is_same_content(&self, other: &Self) -> bool {
        self.content.is_some() && self.content == other.content
    }

    /// Returns whether both stand for the same rows.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let is_same = |own: &Option<String>, other: &Option<String>| own.is_some() && own == other;
        self.identity == other.identity
            || is_same(&self.content, &other.content)
            || is_same(&self.columns, &other.columns)
    }
}

impl Provenance {
    /// Reads what a commit of ours says.
    pub(crate) fn new(info: Value, is_changed: bool) -> Self {
        Self { info, is_changed }
    }

    /// Returns whether other writers have changed rows since that commit.
    pub(crate) fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Returns the definition; `None` for a commit from before definitions were kept.
    pub(crate) fn definition(&self) -> Option<Definition> {
        serde_json::from_value(self.info.get("definition")?.clone()).ok()
    }

    /// Returns the hash of the table's rows, where they are still those of the commit.
    pub(crate) fn content(&self) -> Option<String> {
        self.info.get("content")?.as_str().filter(|_| !self.is_changed).map(str::to_string)
    }

    /// Returns the hash of the table's rows of some columns, by the name of these; `None` where it is not known.
    pub(crate) fn content_of(&self, columns: &str) -> Option<String> {
        self.info.get("columns")?.get(columns)?.as_str().filter(|_| !self.is_changed).map(str::to_string)
    }

    /// Returns what the rows of sets of columns hash to, by the names of these.
    pub(crate) fn column_contents(&self) -> ColumnContents {
        let known = self.info.get("columns").filter(|_| !self.is_changed);
        known.and_then(|known| serde_json::from_value(known.clone()).ok()).unwrap_or_default()
    }

    /// Returns the run of the commit.
    pub(crate) fn run_id(&self) -> &str {
        self.info["runId"].as_str().unwrap_or_default()
    }

    /// Returns what is done of an incremental table; NULL where it is none.
    pub(crate) fn incremental(&self) -> &Value {
        &self.info["incremental"]
    }

    /// Returns definition and inputs as one hash.
    pub(crate) fn fingerprint(&self) -> String {
        self.info["fingerprint"].as_str().unwrap_or_default().to_string()
    }

    /// Returns the rows of the version.
    pub(crate) fn rows(&self) -> u64 {
        self.info["rows"].as_u64().unwrap_or_default()
    }

    /// Returns what was read.
    pub(crate) fn inputs(&self) -> Inputs {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        let noted = |what: &str, name: &str| Some(text(self.info.get(what)?.get(name)?));
        let known = self.info["inputs"].as_object().into_iter().flatten();
        let version = |(name, identity): (&String, &Value)| {
            let (content, columns) = (noted("contents", name), noted("columnsRead", name));
            (name.clone(), InputVersion { identity: text(identity), content, columns })
        };
        known.map(version).collect()
    }

    /// Returns the checks that the rows have passed, each with what it said.
    pub(crate) fn passed_checks(&self) -> BTreeMap<String, String> {
        let is_passed = |verdict: &Value| ["pass", "warn"].contains(&verdict["status"].as_str().unwrap_or_default());
        let text = |verdict: &Value, key: &str| Some(verdict.get(key)?.as_str()?.to_string());
        let verdicts = self.verdicts().into_iter().filter(is_passed);
        verdicts.filter_map(|verdict| Some((text(&verdict, "name")?, text(&verdict, "identity")?))).collect()
    }

    /// Returns what each check has found.
    pub(crate) fn verdicts(&self) -> Vec<Value> {
        self.info["checks"].as_array().cloned().unwrap_or_default()
    }

    /// Returns whether the files are those of a version of another environment.
    pub(crate) fn is_promoted_from(&self, env: &str, version: u64, table: &str) -> bool {
        let known = &self.info["promoted"];
        !self.is_changed && known["env"] == env && known["version"] == version && known["table"] == table
    }

    /// Returns the version of the error table that belongs to the table's, and its rows.
    pub(crate) fn errors(&self) -> Option<(u64, u64)> {
        let errors = self.info.get("errors")?;
        Some((errors.get("version")?.as_u64()?, errors["rows"].as_u64().unwrap_or_default()))
    }
}

/// Returns definition and inputs as one hash.
pub(crate) fn fingerprint(definition: &Definition, inputs: &Inputs) -> String {
    let definition = definition.hash();
    let parts = inputs.iter().flat_map(|(name, version)| [name.as_str(), version.identity.as_str()]);
    hash([definition.as_str()].into_iter().chain(parts))
}
