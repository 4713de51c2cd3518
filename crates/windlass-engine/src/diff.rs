//! Compares a published table with another version of it, with that of another environment, or with
//! another table.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use windlass_error::{Code, Diagnostic, nearest};

use crate::reconcile::{Answer, Example, Question, common_type, compare};
use crate::session::PlanStyle;
use crate::show::ColumnInfo;
use crate::tables::contract::listing;
use crate::tables::published::PublishedTable;
use crate::tables::schema::sql_type;
use crate::{Engine, Error};

/// What is compared.
#[derive(Debug, Clone)]
pub struct DiffRequest<'a> {
    /// The table, at its newest version.
    pub table: &'a str,
    /// The other table.
    pub other: OtherTable<'a>,
    /// What tells rows apart.
    pub key: DiffKey<'a>,
    /// How many rows that differ are wanted.
    pub examples: usize,
}

/// With what a table is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherTable<'a> {
    /// The version before.
    Before,
    /// A version of it.
    Version(u64),
    /// The newest version in another environment of the lake.
    Env(&'a str),
    /// The newest version of another table.
    Table(&'a str),
}

/// The columns that identify a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiffKey<'a> {
    /// These, and it is a mistake where a table lacks one.
    Wanted(&'a [String]),
    /// These, where both tables have them.
    Usual(&'a [&'a str]),
}

/// How a table differs from another one.
#[derive(Debug)]
pub struct TableDiff {
    /// Its version.
    pub version: u64,
    /// Its rows.
    pub rows: u64,
    /// The environment that it stands in, where that is the base.
    pub base: Option<String>,
    /// The version of the other table.
    pub other_version: u64,
    /// The rows of the other table.
    pub other_rows: u64,
    /// The environment that the other table stands in, where that is a base.
    pub other_base: Option<String>,
    /// Columns that are not the same on both sides.
    pub columns: Vec<ColumnChange>,
    /// Columns that identify a row; none where whole rows were compared.
    pub key: Vec<String>,
    /// Whether several rows of a table have one key, so that whole rows were compared in spite of it.
    pub has_doubles: bool,
    /// Rows that only the other table has.
    pub missing: u64,
    /// Rows that only it has.
    pub extra: u64,
    /// Rows of one key whose other columns differ.
    pub changed: u64,
    /// Columns whose values differ, and in how many rows where a key tells.
    pub differing: Vec<(String, Option<u64>)>,
    /// The columns of the examples.
    pub compared: Vec<String>,
    /// Some rows that differ.
    pub examples: Vec<DifferingRow>,
}

/// A column that is not the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnChange {
    /// Only the table has it.
    Added(ColumnInfo),
    /// Only the other table has it.
    Removed(ColumnInfo),
    /// It has another type there.
    Retyped {
        /// As it is.
        column: ColumnInfo,
        /// Its type in the other table.
        other_type: String,
        /// Whether values of the two types could be compared.
        is_compared: bool,
    },
}

/// A row that differs.
#[derive(Debug, Clone)]
pub struct DifferingRow {
    /// The row of the table; `None` where only the other one has it.
    pub own: Option<RecordBatch>,
    /// The row of the other table.
    pub other: Option<RecordBatch>,
    /// The places of the columns that differ in a row that both have.
    pub columns: Vec<usize>,
    /// How often more one side has it.
    pub times: u64,
}

impl TableDiff {
    /// Returns whether the two tables hold the same.
    pub fn is_equal(&self) -> bool {
        self.columns.is_empty() && self.missing + self.extra + self.changed == 0
    }
}

impl Engine {
    /// Compares a published table with another one. Both are streamed; what does not fit spills.
    ///
    /// # Errors
    ///
    /// [`Error::NotPublished`] and [`Error::NoVersion`] for what is not there, [`Error::Mistakes`] for a key
    /// that a table lacks.
    pub async fn diff(&self, request: &DiffRequest<'_>) -> Result<TableDiff, Error> {
        let table = request.table;
        let own = self.table_at(table, None).await?;
        let other = self.open_other(request, &own).await?;
        let context = self.session.context(PlanStyle::Fast);
        let failed = |source| Error::Compute { node: table.to_string(), blame: None, source };
        let frame = async |opened: &PublishedTable| {
            let provider = opened.provider(table).await?;
            context.read_table(provider).map_err(failed)
        };
        let (here, there) = (frame(&own).await?, frame(&other).await?);
        let (schema, other_schema) =
            (SchemaRef::clone(here.schema().inner()), SchemaRef::clone(there.schema().inner()));
        let columns = changes(&schema, &other_schema);
        let compared: Vec<String> = compared(&schema, &columns);
        let key = key(request, &schema, &compared)?;
        let wanted = request.examples;
        let question = Question { columns: compared.clone(), key, tolerances: Vec::new(), wanted };
        let mut answer = compare(here.clone(), there.clone(), &question).await.map_err(failed)?;
        let has_doubles = answer.has_doubles;
        if has_doubles {
            let whole = Question { key: Vec::new(), ..question.clone() };
            answer = compare(here, there, &whole).await.map_err(failed)?;
        }
        let Answer { rows, other_rows, missing, extra, changed, columns: differing, examples, .. } = answer;
        let one = |Example { own, other, columns, times }| DifferingRow { own, other, columns, times };
        let examples = examples.into_iter().map(one).collect();
        let (version, other_version, key) = (own.version(), other.version(), question.key);
        let base = |table: &PublishedTable| table.base().map(str::to_string);
        let (base, other_base) = (base(&own), base(&other));
        Ok(TableDiff {
            version,
            rows,
            base,
            other_version,
            other_rows,
            other_base,
            columns,
            key,
            has_doubles,
            missing,
            extra,
            changed,
            differing,
            compared,
            examples,
        })
    }

    async fn open_other(&self, request: &DiffRequest<'_>, own: &PublishedTable) -> Result<PublishedTable, Error> {
        let table = request.table;
        match request.other {
            OtherTable::Before => match own.version().checked_sub(1) {
                Some(version) => self.table_at(table, Some(version)).await,
                None => {
                    let message = format!("table `{table}` has one version only");
                    let mistake = Diagnostic::error(Code::UNKNOWN_TABLE, message);
                    let mistake = mistake.hint("name what to compare it with: another environment or table");
                    Err(Error::Mistakes { diagnostics: vec![mistake] })
                }
            },
            OtherTable::Version(version) => self.table_at(table, Some(version)).await,
            OtherTable::Env(env) => {
                let opened = self.open_in(env, table).await?;
                opened.ok_or_else(|| {
                    let message = format!("table `{table}` has not been published in environment `{env}`");
                    let mistake = Diagnostic::error(Code::UNKNOWN_TABLE, message);
                    Error::Mistakes {
                        diagnostics: vec![mistake.hint(format!("publish it there: windlass run -e {env} +{table}"))],
                    }
                })
            }
            OtherTable::Table(other) => self.table_at(other, None).await,
        }
    }
}

fn changes(own: &Schema, other: &Schema) -> Vec<ColumnChange> {
    let info = |field: &datafusion::arrow::datatypes::FieldRef| ColumnInfo {
        name: field.name().clone(),
        data_type: sql_type(field.data_type()),
    };
    let mut changes = Vec::new();
    for field in own.fields() {
        match other.field_with_name(field.name()) {
            Err(_) => changes.push(ColumnChange::Added(info(field))),
            Ok(there) => {
                let (column, other_type) = (info(field), sql_type(there.data_type()));
                if column.data_type != other_type {
                    let is_compared = common_type(field.data_type(), there.data_type()).is_some();
                    changes.push(ColumnChange::Retyped { column, other_type, is_compared });
                }
            }
        }
    }
    let removed = other.fields().iter().filter(|field| own.field_with_name(field.name()).is_err());
    changes.extend(removed.map(|field| ColumnChange::Removed(info(field))));
    changes
}

/// Returns the columns that both tables have, with types that can be compared.
fn compared(own: &Schema, changes: &[ColumnChange]) -> Vec<String> {
    let is_left_out = |name: &String| {
        changes.iter().any(|change| match change {
            ColumnChange::Added(column) | ColumnChange::Retyped { column, is_compared: false, .. } => {
                column.name == *name
            }
            ColumnChange::Removed(_) | ColumnChange::Retyped { .. } => false,
        })
    };
    own.fields().iter().map(|field| field.name().clone()).filter(|name| !is_left_out(name)).collect()
}

fn key(request: &DiffRequest<'_>, own: &Schema, compared: &[String]) -> Result<Vec<String>, Error> {
    let wanted = match request.key {
        DiffKey::Usual(columns) => {
            let columns: Vec<String> = columns.iter().map(ToString::to_string).collect();
            let is_known = columns.iter().all(|column| compared.contains(column));
            return Ok(if is_known { columns } else { Vec::new() });
        }
        DiffKey::Wanted(columns) => columns,
    };
    let known: Vec<&str> = compared.iter().map(String::as_str).collect();
    let mistake = |column: &String| {
        let message = match own.field_with_name(column) {
            Ok(_) => format!("the key names column `{column}`, which the other table does not have"),
            Err(_) => format!("the key names column `{column}`, which `{}` does not have", request.table),
        };
        let mistake = Diagnostic::error(Code::UNKNOWN_COLUMN, message).note(format!("columns: {}", listing(&known)));
        match nearest(column, known.iter().copied()) {
            Some(near) => mistake.hint(format!("did you mean `{near}`?")),
            None => mistake,
        }
    };
    let mistakes: Vec<Diagnostic> = wanted.iter().filter(|column| !compared.contains(column)).map(mistake).collect();
    if mistakes.is_empty() { Ok(wanted.to_vec()) } else { Err(Error::Mistakes { diagnostics: mistakes }) }
}
