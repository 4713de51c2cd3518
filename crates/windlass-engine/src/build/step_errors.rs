//! What becomes of error rows when a step adds to an incremental table.
//!
//! The error table belongs to the table as a whole, so a step adds its error rows to those that are there. Those of rows
//! that the step has computed again go: by interval these are the rows of the intervals that were done before, by key
//! those whose key is among the new rows or new error rows. Error rows that stay are left in their files, unless some
//! go or their columns have changed; then all of them are written anew, for there are few.
//!
//! Must stay true: a row of the input that some step has read is in the table or its error table, as far as its key or
//! time tells it from others; error rows count once the commit of the table names their version.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::functions::core::expr_fn::{get_field, named_struct};
use datafusion::logical_expr::{Expr, JoinType, Operator, binary_expr, try_cast};
use datafusion::prelude::{SessionContext, ident, lit};
use deltalake_core::kernel::{Remove, Version};
use windlass_project::{Node, Strategy, error_table};

use super::steps::{Base, Span, Step};
use super::{BuildRequest, Prepared, Staged, run};
use crate::incremental::{Ledger, Spans};
use crate::operators::write::{StagedTable, WriteExec};
use crate::session::PlanStyle;
use crate::tables::error_rows::ROW;
use crate::tables::publish::{Mode, Origin, Publication, Replaced, publish};
use crate::tables::published::PublishedTable;
use crate::tables::schema::sql_type;
use crate::tables::staged;
use crate::{Engine, Error};

/// The name under which keys of rows that were computed stand beside error rows.
const COMPUTED: &str = "__windlass_computed_";

/// Which error rows a step has computed again.
enum Again<'a> {
    /// None.
    Nothing,
    /// Those of intervals that were done before.
    Times(&'a Span),
    /// Those of keys that are among the new rows.
    Keys(Vec<&'a str>),
}

/// Error rows of a table before a step, and of the step.
struct Both<'a> {
    /// The error table as it belongs to the table; `None` where it has none.
    before: Option<PublishedTable>,
    /// The newest version of the error table, which a run that died may have left behind.
    newest: Option<PublishedTable>,
    /// The columns of error rows now.
    schema: SchemaRef,
    again: Again<'a>,
}

impl Engine {
    /// Publishes the error rows of a step with those that stay. Returns the version of the error table and its rows; `None`
    /// where the table has none.
    pub(super) async fn publish_step_errors(
        &self,
        request: &BuildRequest<'_>,
        prepared: &Prepared,
        staged: &mut Staged,
        (step, origin): (&Step, Origin<'_>),
    ) -> Result<Option<(Version, u64)>, Error> {
        let node = request.node;
        let Some(Base { table, known, .. }) = &step.base else { return Ok(None) };
        let Some(kind) = &prepared.errors else { return Ok(known.errors()) };
        let (name, schema) = (error_table(&node.name), kind.schema());
        let before = self.errors_of(&node.name, table).await?;
        let newest = PublishedTable::open(&name, &self.place(&name), None).await?;
        let known_rows = known.errors().map_or(0, |(_, rows)| rows);
        let again = if known_rows > 0 { again(node, step, &schema) } else { Again::Nothing };
        let both = Both { before, newest, schema, again };
        let new = std::mem::take(&mut staged.errors);
        let is_rewritten = both.is_rewritten();
        if let (Some(before), 0, false) = (&both.before, new.rows, is_rewritten) {
            return Ok(Some((before.version(), known_rows)));
        }
        let (mut files, mut rows) = (new.files.clone(), new.rows);
        let mut removed = Vec::new();
        match (&both.before, is_rewritten) {
            (Some(before), true) => {
                let stay = self.write_errors_anew(request, prepared, (&both, before), (staged, &new)).await?;
                rows += stay.rows;
                files.extend(stay.files);
                removed = removed_files(&name, both.newest.as_ref())?;
            }
            (Some(_), false) => rows += known_rows,
            (None, _) => removed = removed_files(&name, both.newest.as_ref())?,
        }
        let offset = step.span.as_ref().map_or(0, Span::offset);
        let mode = match &both.newest {
            Some(newest) => Mode::Some(Replaced { base: newest.version(), removed, predicate: None, step: offset }),
            None => Mode::Replace,
        };
        let (place, origin) = (self.place(&name), Origin { rows, ..origin });
        let (table, schema) = (name.as_str(), both.schema.as_ref());
        let version =
            publish(Publication { table, place: &place, schema, partition_by: &[], files, mode, origin }).await?;
        Ok(Some((version, rows)))
    }

    /// Writes the error rows that stay, in the columns of now.
    async fn write_errors_anew(
        &self,
        request: &BuildRequest<'_>,
        prepared: &Prepared,
        (both, before): (&Both<'_>, &PublishedTable),
        (staged, new): (&Staged, &StagedTable),
    ) -> Result<StagedTable, Error> {
        let node = request.node;
        let name = error_table(&node.name);
        let failed = |source| Error::Compute { node: name.clone(), blame: None, source };
        let context = self.session.context(PlanStyle::Fast);
        let rows = context.read_table(before.provider(&name).await?).map_err(failed)?;
        let rows = match &both.again {
            Again::Nothing => Ok(rows),
            Again::Times(span) => outside_of(rows, span),
            Again::Keys(key) => {
                let mut computed = vec![self.staged_rows(&context, &name, &both.schema, new)?];
                if staged.result.rows > 0 {
                    computed.push(self.staged_rows(&context, &node.name, &prepared.published, &staged.result)?);
                }
                let is_read_anew = node.config.incremental.as_ref().is_some_and(|how| how.later_by.is_none());
                without_keys(rows, computed, (key, is_read_anew))
            }
        };
        let rows = rows.and_then(|rows| in_columns(rows, &both.schema)).map_err(failed)?;
        let (state, query) = rows.into_parts();
        let plan = state.create_physical_plan(&query).await.map_err(failed)?;
        let spec = self.write_spec(request, &prepared.published, Some(&both.schema));
        let spec = spec.errors.map(|spec| *spec).ok_or_else(|| failed(internal("error rows are written nowhere")))?;
        let plan = Arc::new(WriteExec::new(plan, spec)) as _;
        Ok(run(&plan, &state, None).await.map_err(failed)?.result)
    }

    fn staged_rows(
        &self,
        context: &SessionContext,
        table: &str,
        schema: &Schema,
        staged: &StagedTable,
    ) -> Result<DataFrame, Error> {
        let failed = |source| Error::Compute { node: table.to_string(), blame: None, source };
        let rows = staged::table(table, &self.place(table), schema, &[], &staged.files)?;
        context.read_table(Arc::new(rows)).map_err(failed)
    }
}

impl Both<'_> {
    /// Returns whether error rows that stay are written anew: some go, their columns are others, or the newest version
    /// holds what no table has named.
    fn is_rewritten(&self) -> bool {
        let Some(before) = &self.before else { return false };
        let is_newest = self.newest.as_ref().is_some_and(|newest| newest.version() == before.version());
        !matches!(self.again, Again::Nothing) || !is_newest || !before.has_columns(&self.schema)
    }
}

/// Returns which error rows a step has computed again.
fn again<'a>(node: &'a Node, step: &'a Step, errors: &Schema) -> Again<'a> {
    let (Some(incremental), Some(base)) = (&node.config.incremental, &step.base) else { return Again::Nothing };
    match (&incremental.strategy, &step.span) {
        (Strategy::ByInterval(by_interval), Some(span)) => {
            let done = Ledger::from_json(base.known.incremental(), by_interval.unit).done;
            let is_again = !Spans::of(span.numbers()).within(&done).is_empty();
            if is_again { Again::Times(span) } else { Again::Nothing }
        }
        (Strategy::Merge { key }, _) => {
            let of_input = keys_of_errors(key, errors);
            if of_input.is_empty() { Again::Nothing } else { Again::Keys(of_input) }
        }
        _ => Again::Nothing,
    }
}

/// Returns the columns of a key that an error table has: those of the input.
pub(super) fn keys_of_errors<'a>(key: &'a [String], errors: &Schema) -> Vec<&'a str> {
    let first_of_ours = errors.index_of(ROW).unwrap_or_default();
    let is_key = |name: &&str| errors.index_of(name).is_ok_and(|at| at < first_of_ours);
    key.iter().map(String::as_str).filter(is_key).collect()
}

/// Returns the error rows whose input row is in none of some intervals.
fn outside_of(rows: DataFrame, span: &Span) -> Result<DataFrame, DataFusionError> {
    let row = rows.schema().field_with_unqualified_name(ROW)?.data_type().clone();
    let DataType::Struct(fields) = row else { return Ok(rows) };
    // Rows of a definition without such a column are in no interval of now.
    let Some((_, field)) = fields.find(span.column()) else { return Ok(rows) };
    let (from, to) = span.bounds(field.data_type())?;
    let time = || get_field(ident(ROW), span.column());
    rows.filter(time().lt(lit(from)).or(time().gt_eq(lit(to))).or(time().is_null()))
}

/// Returns the error rows whose key is in none of some tables. Where all rows of the input are computed each time, rows
/// without a key are among them.
fn without_keys(
    rows: DataFrame,
    computed: Vec<DataFrame>,
    (key, is_read_anew): (&[&str], bool),
) -> Result<DataFrame, DataFusionError> {
    let equal = if is_read_anew { Operator::IsNotDistinctFrom } else { Operator::Eq };
    let mut rows = rows;
    for (number, table) in computed.into_iter().enumerate() {
        let name = |at: usize| format!("{COMPUTED}{number}_{at}");
        let mut columns = Vec::with_capacity(key.len());
        for (at, column) in key.iter().enumerate() {
            let data_type = rows.schema().field_with_unqualified_name(column)?.data_type().clone();
            columns.push(try_cast(ident(*column), data_type).alias(name(at)));
        }
        let same = key.iter().enumerate().map(|(at, column)| binary_expr(ident(*column), equal, ident(name(at))));
        rows = rows.join_on(table.select(columns)?, JoinType::LeftAnti, same)?;
    }
    Ok(rows)
}

/// Returns error rows in these columns; what they do not have is NULL.
fn in_columns(rows: DataFrame, schema: &Schema) -> Result<DataFrame, DataFusionError> {
    let known = rows.schema().as_arrow().clone();
    let columns = schema.fields().iter().map(|field| {
        let Ok(before) = known.field_with_name(field.name()) else { return null(field) };
        match (before.data_type(), field.data_type()) {
            (DataType::Struct(before), DataType::Struct(now)) if sql_types(before) != sql_types(now) => {
                let parts = now.iter().flat_map(|part| {
                    let value = match before.find(part.name()) {
                        Some(_) => {
                            try_cast(get_field(ident(field.name()), part.name().as_str()), part.data_type().clone())
                        }
                        None => null(part),
                    };
                    [lit(part.name().as_str()), value]
                });
                named_struct(parts.collect()).alias(field.name())
            }
            (before, now) if before.is_nested() || sql_type(before) == sql_type(now) => ident(field.name()),
            _ => try_cast(ident(field.name()), field.data_type().clone()).alias(field.name()),
        }
    });
    rows.select(columns.collect::<Vec<Expr>>())
}

fn sql_types(fields: &datafusion::arrow::datatypes::Fields) -> Vec<(String, String)> {
    fields.iter().map(|field| (field.name().clone(), sql_type(field.data_type()))).collect()
}

fn null(field: &Field) -> Expr {
    let value = ScalarValue::try_from(field.data_type()).unwrap_or(ScalarValue::Null);
    lit(value).alias(field.name())
}

fn removed_files(name: &str, table: Option<&PublishedTable>) -> Result<Vec<Remove>, Error> {
    let files = table.map(|table| table.each_file(name)).transpose()?.unwrap_or_default();
    Ok(files.into_iter().map(|file| file.remove).collect())
}

fn internal(text: &str) -> DataFusionError {
    DataFusionError::Internal(text.to_string())
}
