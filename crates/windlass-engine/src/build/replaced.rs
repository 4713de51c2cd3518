//! What of a table goes when rows are added to it, and the commit that does both.
//!
//! Files whose rows all go are removed, files whose rows all stay are left alone, and only files that hold
//! both are written anew, without the rows that go. The statistics of the log say which is which; where
//! they do not, the file is read.
//!
//! Must stay true: a row of the table before is in the table after exactly if no new row replaces it.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use datafusion::common::stats::Precision;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::{Expr, JoinType, try_cast};
use datafusion::prelude::{SessionContext, ident, lit};
use deltalake_core::kernel::{Add, Remove, Version};
use futures::TryStreamExt;
use windlass_project::{Node, Strategy, error_table};

use super::commit::content_text;
use super::step_errors::keys_of_errors;
use super::steps::{Base, Span, Step};
use super::{Audited, BuildRequest, Built, Prepared, Staged, run};
use crate::audit::{CheckFailure, Subject, shorten};
use crate::checks::outcome::CheckOutcome;
use crate::fingerprint::Provenance;
use crate::operators::content::Content;
use crate::operators::write::{StagedTable, WriteExec};
use crate::planner::{Reading, Tables};
use crate::session::PlanStyle;
use crate::tables::files::FilesTable;
use crate::tables::publish::{Mode, Origin, Publication, Replaced, publish};
use crate::tables::published::PublishedFile;
use crate::tables::staged;
use crate::{Engine, Error};

/// The column that counts rows of one key.
const TIMES: &str = "__windlass_times";
/// The name under which keys of new rows stand beside the rows of the table.
const NEW_KEY: &str = "__windlass_key_";

/// What becomes of the files of a table.
#[derive(Default)]
pub(super) struct Files {
    /// Files that stay.
    kept: Vec<FilesTable>,
    /// Files that go.
    removed: Vec<Remove>,
    /// What reads these.
    gone: Vec<FilesTable>,
    /// What is left of those of which some rows stay.
    rewritten: StagedTable,
}

impl Files {
    /// Returns how many rows of the table stay.
    pub(super) fn rows(&self) -> u64 {
        self.kept.iter().filter_map(FilesTable::rows).sum::<u64>() + self.rewritten.rows
    }

    /// Returns the files that are added for rows that stay, and what becomes of those of a version.
    pub(super) fn replacing(self, base: Version, predicate: Option<String>, step: u32) -> (Vec<Add>, Mode) {
        let Self { removed, rewritten, .. } = self;
        (rewritten.files, Mode::Some(Replaced { base, removed, predicate, step }))
    }
}

/// Which rows of a file go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Share {
    None,
    All,
    /// Some, or it is not known.
    Some,
}

impl Engine {
    /// Finds out what of a table goes for the staged rows, and writes what is left of files anew.
    pub(super) async fn replaced(
        &self,
        request: &BuildRequest<'_>,
        prepared: &Prepared,
        staged: &Staged,
        step: &Step,
    ) -> Result<Files, Error> {
        let node = request.node;
        let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
        let Some(base) = &step.base else { return Ok(Files::default()) };
        let files = base.table.each_file(&node.name)?;
        let strategy = node.config.incremental.as_ref().map(|incremental| &incremental.strategy);
        match (strategy, &step.span) {
            (Some(Strategy::Merge { key }), _) if staged.result.rows + staged.errors.rows > 0 => {
                let new = self.new_keys(request, prepared, staged, key).await?;
                let mut shares = Vec::with_capacity(files.len());
                for file in &files {
                    let mut share = Share::None;
                    for new in &new {
                        if share == Share::None {
                            share = self.share_of_keys(file, new, key).await.map_err(failed)?;
                        }
                    }
                    shares.push(share);
                }
                let stays = |context: &SessionContext, rows: DataFrame| {
                    new.iter().try_fold(rows, |rows, new| {
                        let keys = keys_of(context, new, &rows, key)?;
                        join(rows, keys, key, JoinType::LeftAnti)
                    })
                };
                self.divide(request, prepared, files.into_iter().zip(shares), stays).await
            }
            (Some(Strategy::ByInterval(_)), Some(span)) => {
                let shares = files.iter().map(|file| share_of_span(&file.table, span));
                let shares = shares.collect::<Result<Vec<Share>, DataFusionError>>().map_err(failed)?;
                let stays = |_: &SessionContext, rows: DataFrame| {
                    let data_type = rows.schema().field_with_unqualified_name(span.column())?.data_type().clone();
                    let ((from, to), time) = (span.bounds(&data_type)?, || ident(span.column()));
                    rows.filter(time().lt(lit(from)).or(time().gt_eq(lit(to))).or(time().is_null()))
                };
                self.divide(request, prepared, files.into_iter().zip(shares), stays).await
            }
            _ => Ok(Files { kept: files.into_iter().map(|file| file.table).collect(), ..Files::default() }),
        }
    }

    /// Returns the tables whose keys replace rows: that of the new rows, and that of rows that have failed, which are in
    /// the error table instead.
    async fn new_keys(
        &self,
        request: &BuildRequest<'_>,
        prepared: &Prepared,
        staged: &Staged,
        key: &[String],
    ) -> Result<Vec<Arc<FilesTable>>, Error> {
        let mut tables = Vec::new();
        if staged.result.rows > 0 {
            let new = self.staged_table(request, prepared, &staged.result)?;
            self.check_key(request.node, &new, key).await?;
            tables.push(new);
        }
        if let Some(errors) = prepared.errors.as_ref().filter(|_| staged.errors.rows > 0) {
            let (schema, name) = (errors.schema(), error_table(&request.node.name));
            if keys_of_errors(key, &schema).len() == key.len() {
                let rows = staged::table(&name, &self.place(&name), &schema, &[], &staged.errors.files)?;
                tables.push(Arc::new(rows));
            }
        }
        Ok(tables)
    }

    /// Sorts files by what becomes of them, and writes anew those of which a share stays.
    async fn divide(
        &self,
        request: &BuildRequest<'_>,
        prepared: &Prepared,
        files: impl Iterator<Item = (PublishedFile, Share)>,
        stays: impl Fn(&SessionContext, DataFrame) -> Result<DataFrame, DataFusionError>,
    ) -> Result<Files, Error> {
        let mut divided = Files::default();
        let mut mixed: Option<FilesTable> = None;
        for (PublishedFile { remove, table }, share) in files {
            if share == Share::None {
                divided.kept.push(table);
                continue;
            }
            divided.gone.push(table.clone());
            match share {
                Share::None | Share::All => {}
                Share::Some => {
                    mixed = Some(match mixed.take() {
                        Some(others) => others.with_files_of([&table]),
                        None => table,
                    });
                }
            }
            divided.removed.push(remove);
        }
        let Some(mixed) = mixed else { return Ok(divided) };
        let mixed = Arc::new(mixed);
        let mut style = PlanStyle::Fast;
        divided.rewritten = loop {
            let rows = Arc::clone(&mixed) as Arc<dyn TableProvider>;
            match (self.write_rest(request, prepared, (rows, style), &stays).await, style.next()) {
                (Err(error), Some(next)) if super::out_of_memory(&error) => style = next,
                (rewritten, _) => {
                    let node = request.node.name.clone();
                    break rewritten.map_err(|source| Error::Compute { node, blame: None, source })?;
                }
            }
        };
        Ok(divided)
    }

    async fn write_rest(
        &self,
        request: &BuildRequest<'_>,
        prepared: &Prepared,
        (rows, style): (Arc<dyn TableProvider>, PlanStyle),
        stays: impl Fn(&SessionContext, DataFrame) -> Result<DataFrame, DataFusionError>,
    ) -> Result<StagedTable, DataFusionError> {
        let context = self.session.context(style);
        let rows = stays(&context, context.read_table(rows)?)?;
        let (state, query) = rows.into_parts();
        let plan = state.create_physical_plan(&query).await?;
        let plan = self.lay_out(request.node, plan)?;
        let spec = self.write_spec(request, &prepared.published, None);
        Ok(run(&(Arc::new(WriteExec::new(plan, spec)) as _), &state, None).await?.result)
    }

    fn staged_table(
        &self,
        request: &BuildRequest<'_>,
        prepared: &Prepared,
        staged: &StagedTable,
    ) -> Result<Arc<FilesTable>, Error> {
        let (node, place) = (request.node, self.place(&request.node.name));
        let table = staged::table(&node.name, &place, &prepared.published, &node.config.partition_by, &staged.files)?;
        Ok(Arc::new(table))
    }

    /// Fails where rows of a table that is computed from nothing have one key, or none.
    pub(super) async fn check_keys_of(
        &self,
        request: &BuildRequest<'_>,
        prepared: &Prepared,
        staged: &Staged,
    ) -> Result<(), Error> {
        let incremental = request.node.config.incremental.as_ref();
        match incremental.map(|incremental| &incremental.strategy) {
            Some(Strategy::Merge { key }) if staged.result.rows > 0 => {
                let rows = self.staged_table(request, prepared, &staged.result)?;
                self.check_key(request.node, &rows, key).await
            }
            _ => Ok(()),
        }
    }

    /// Fails where new rows have one key, or none.
    async fn check_key(&self, node: &Node, new: &Arc<FilesTable>, key: &[String]) -> Result<(), Error> {
        let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
        let context = self.session.context(PlanStyle::Fast);
        let columns = || key.iter().map(ident).collect::<Vec<Expr>>();
        let rows = || context.read_table(Arc::clone(new) as _);
        let is_null = key.iter().map(|name| ident(name).is_null()).reduce(Expr::or).unwrap_or_else(|| lit(false));
        let without = rows().and_then(|rows| rows.filter(is_null)?.select(columns())?.limit(0, Some(1)));
        if let Some(found) = first_row(without.map_err(failed)?, key).await.map_err(failed)? {
            let problem = format!("a new row has no key, {found}");
            return Err(Error::MergeKey { node: node.name.clone(), problem });
        }
        let several = rows().and_then(|rows| {
            let counted = rows.aggregate(columns(), vec![count(lit(1)).alias(TIMES)])?;
            counted.filter(ident(TIMES).gt(lit(1)))?.limit(0, Some(1))
        });
        match first_row(several.map_err(failed)?, key).await.map_err(failed)? {
            Some(found) => {
                let problem = format!("several new rows have the key {found}");
                Err(Error::MergeKey { node: node.name.clone(), problem })
            }
            None => Ok(()),
        }
    }

    /// Returns whether some row of a file has the key of a new row.
    async fn share_of_keys(
        &self,
        file: &PublishedFile,
        new: &Arc<FilesTable>,
        key: &[String],
    ) -> Result<Share, DataFusionError> {
        if key.iter().any(|column| are_apart(&file.table, new, column)) {
            return Ok(Share::None);
        }
        let context = self.session.context(PlanStyle::Fast);
        let alone: FilesTable = file.table.clone();
        let rows = context.read_table(Arc::new(alone))?;
        let keys = keys_of(&context, new, &rows, key)?;
        let found = join(rows, keys, key, JoinType::LeftSemi)?.limit(0, Some(1))?;
        let found: Vec<_> = found.execute_stream().await?.try_collect().await?;
        Ok(if found.iter().any(|batch| batch.num_rows() > 0) { Share::Some } else { Share::None })
    }

    /// Makes checks of the table as it will be.
    pub(super) async fn audit_whole(
        &self,
        request: &BuildRequest<'_>,
        node: &Node,
        prepared: &Prepared,
        (staged, files): (&Staged, &Files),
    ) -> Result<Vec<CheckOutcome>, Error> {
        if node.checks.is_empty() {
            return Ok(Vec::new());
        }
        let (place, partition_by) = (self.place(&node.name), &node.config.partition_by);
        let new: Vec<_> = staged.result.files.iter().chain(&files.rewritten.files).cloned().collect();
        let table = staged::table(&node.name, &place, &prepared.published, partition_by, &new)?;
        let rows = Arc::new(table.with_files_of(&files.kept));
        let reading = Reading { project: request.project, plan: request.plan, tables: Tables::Unnoted };
        let subject = Subject { node, rows, reading, now_us: request.started_us, is_published: false, whole: None };
        let mut outcomes = self.look_at_all(&subject).await?;
        shorten(node, &mut outcomes);
        if outcomes.iter().any(CheckOutcome::blocks) {
            let failure = CheckFailure::default();
            return Err(Error::Checks { table: node.name.clone(), outcomes, failure });
        }
        Ok(outcomes)
    }

    /// Returns what the rows of a table hash to when new ones have taken the place of others.
    pub(super) async fn content_after(
        &self,
        node: &Node,
        known: &Provenance,
        files: &Files,
        new: Content,
    ) -> Result<Content, Error> {
        let before = known.content().map(|text| Content::parse(text.split('.').next().unwrap_or_default()));
        let Some(before) = before.filter(|before| before.is_known()) else { return Ok(Content::unknown()) };
        let gone = self.content_of_files(node, &files.gone).await?;
        Ok(before.minus(gone).plus(files.rewritten.content).plus(new))
    }

    /// Publishes new rows in place of those that they replace.
    pub(super) async fn commit_step(
        &self,
        request: &BuildRequest<'_>,
        prepared: &Prepared,
        (mut staged, files, audited): (Staged, Files, Audited),
        step: &Step,
    ) -> Result<Built, Error> {
        let node = request.node;
        let not_published = || Error::NotPublished { table: node.name.clone() };
        let Base { table, known, reads_inputs } = step.base.as_ref().ok_or_else(not_published)?;
        let before = known.inputs();
        let origin = Origin {
            run_id: request.run_id,
            sequence: request.sequence,
            fingerprint: &prepared.fingerprint,
            rows: 0,
            inputs: if *reads_inputs { &prepared.read } else { &before },
            definition: &prepared.definition,
            content: None,
            columns: None,
            errors: None,
            verdicts: &[],
            incremental: None,
            is_computed: true,
            promoted: None,
        };
        // As in any build: error rows count once the result names their version.
        let errors = self.publish_step_errors(request, prepared, &mut staged, (step, origin)).await?;
        let Staged { result, nulls, .. } = staged;
        let (bytes, count) = (result.files.iter().map(|file| file.size as u64).sum(), result.files.len() as u64);
        let rows = files.rows() + result.rows;
        let content = self.content_after(node, known, &files, result.content).await?;
        let content = content_text(content, &prepared.published);
        let (verdicts, ledger) = (self.verdicts(request, &audited.checks).await?, step.ledger_of(prepared));
        let place = self.place(&node.name);
        let (predicate, offset) = (step.span.as_ref().map(Span::spell), step.span.as_ref().map_or(0, Span::offset));
        let (rest, mode) = files.replacing(table.version(), predicate, offset);
        let version = publish(Publication {
            table: &node.name,
            place: &place,
            schema: &prepared.published,
            partition_by: &node.config.partition_by,
            files: result.files.into_iter().chain(rest).collect(),
            mode,
            origin: Origin {
                rows,
                content: content.as_deref(),
                errors,
                verdicts: &verdicts,
                incremental: Some(&ledger),
                ..origin
            },
        })
        .await?;
        let (nulls, fingerprint) = (nulls.map(Into::into), prepared.fingerprint.clone());
        let Audited { checks, failures } = audited;
        Ok(Built { version, rows: result.rows, bytes, files: count, fingerprint, failures, nulls, checks })
    }
}

/// Returns which rows of a file are in a span of intervals, as far as its statistics tell.
fn share_of_span(file: &FilesTable, span: &Span) -> Result<Share, DataFusionError> {
    let schema: SchemaRef = file.schema();
    let at = schema.index_of(span.column())?;
    let (from, to) = span.bounds(schema.field(at).data_type())?;
    let Some((smallest, largest, has_nulls)) = bounds_of(file, at) else { return Ok(Share::Some) };
    // Other writers may cut times to milliseconds, which no bound of an interval falls between.
    Ok(if largest < from || smallest >= to {
        Share::None
    } else if smallest >= from && largest < to && !has_nulls {
        Share::All
    } else {
        Share::Some
    })
}

/// Returns the smallest and largest value of a column, and whether it may be NULL in some row.
fn bounds_of(file: &FilesTable, column: usize) -> Option<(ScalarValue, ScalarValue, bool)> {
    let statistics = file.statistics()?;
    let column = statistics.column_statistics.get(column)?;
    let has_nulls = !matches!(column.null_count, Precision::Exact(0));
    let (smallest, largest) = (column.min_value.get_value()?.clone(), column.max_value.get_value()?.clone());
    (!smallest.is_null() && !largest.is_null()).then_some((smallest, largest, has_nulls))
}

/// Returns whether no value of a column can be in both.
fn are_apart(file: &FilesTable, new: &FilesTable, column: &str) -> bool {
    let (Ok(left), Ok(right)) = (file.schema().index_of(column), new.schema().index_of(column)) else { return false };
    // Bounds of text may be cut short by other writers.
    if file.schema().field(left).data_type().is_string() {
        return false;
    }
    match (bounds_of(file, left), bounds_of(new, right)) {
        (Some((smallest, largest, _)), Some((first, last, _))) => largest < first || last < smallest,
        _ => false,
    }
}

/// Returns the keys of new rows under names of their own, in the types of the rows that they replace.
fn keys_of(
    context: &SessionContext,
    new: &Arc<FilesTable>,
    replaced: &DataFrame,
    key: &[String],
) -> Result<DataFrame, DataFusionError> {
    let mut columns = Vec::with_capacity(key.len());
    for (at, name) in key.iter().enumerate() {
        let data_type = replaced.schema().field_with_unqualified_name(name)?.data_type().clone();
        let is_same = new.schema().field_with_name(name).is_ok_and(|field| *field.data_type() == data_type);
        let value = if is_same { ident(name) } else { try_cast(ident(name), data_type) };
        columns.push(value.alias(format!("{NEW_KEY}{at}")));
    }
    context.read_table(Arc::clone(new) as _)?.select(columns)
}

fn join(rows: DataFrame, keys: DataFrame, key: &[String], kind: JoinType) -> Result<DataFrame, DataFusionError> {
    let same = key.iter().enumerate().map(|(at, name)| ident(name).eq(ident(format!("{NEW_KEY}{at}"))));
    rows.join_on(keys, kind, same)
}

/// Returns the key of the first row, for people: `id=7, day=2013-05-01`.
pub(super) async fn first_row(rows: DataFrame, key: &[String]) -> Result<Option<String>, DataFusionError> {
    let mut stream = rows.execute_stream().await?;
    while let Some(batch) = stream.try_next().await? {
        if batch.num_rows() == 0 {
            continue;
        }
        let options = FormatOptions::default().with_null("null");
        let mut parts = Vec::new();
        for (name, column) in key.iter().zip(batch.columns()) {
            parts.push(format!("{name}={}", ArrayFormatter::try_new(column.as_ref(), &options)?.value(0)));
        }
        return Ok(Some(parts.join(", ")));
    }
    Ok(None)
}
