//! Computes a Python transform of rows in pieces, so that a build that ends before its time is gone on with.
//!
//! A plan runs until it has taken long enough; then its scan ends, what it has computed becomes a piece with a
//! record of its own, and a plan over the other rows goes on. A transform that is done before that has paid
//! for none of it. The pieces of earlier attempts, whose definition and inputs are the same, come first: their
//! files are taken as they are, and only checks look at their rows again. All of it is published in one commit.
//!
//! Must stay true: every row of the input is in exactly one piece, or in the rows that are still to be
//! computed; what was counted of a piece is counted once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::error::DataFusionError;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use windlass_project::{InputPart, Node, OnError, Project, PythonMode, PythonRows, PythonTransform, error_table};

use super::prepare::Ground;
use super::{BuildRequest, Phase, Prepared, RowsFrom, Staged, gather, judge};
use crate::audit::Looking;
use crate::fingerprint::{Inputs, fingerprint};
use crate::incremental::Refresh;
use crate::operators::check::{CheckSink, Gathered, Writing};
use crate::operators::meter::Meter;
use crate::operators::python::{Budget, Limit, Spent, Together};
use crate::planner::{Plan, Reading, Tables, register};
use crate::reuse::volatile;
use crate::session::PlanStyle;
use crate::tables::error_layout::{self, Stamp};
use crate::tables::files::FilesTable;
use crate::tables::pieced::{PiecedTable, Section};
use crate::tables::pieces::{self, Diverted, Piece, StagedFile};
use crate::tables::ranges::{self, Range};
use crate::tables::{gc, staged};
use crate::{Engine, Error, python};

/// Rows that are worth a partition of their own: less is read by one thread faster than Python takes it.
const PARTITION_ROWS: u64 = 131_072;
/// A piece takes at least this share of the time so far, so that a day's work makes dozens of them and not
/// thousands.
const SHARE_OF_ALL: u32 = 8;
/// A piece takes at least so many times what its end costs: the calls in flight, while workers run dry.
const TIMES_ITS_END: u32 = 20;

/// What of a transform an earlier attempt has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Continuation {
    /// Rows of the input that are done.
    pub rows: u64,
    /// All of its rows.
    pub of: u64,
}

/// What is done, and what is left.
struct Book {
    total: u64,
    left: Vec<Range<usize>>,
    staged: Staged,
    budget: Arc<Budget>,
    /// Pieces that have a record.
    kept: usize,
    least: Duration,
    begun: Instant,
    /// How long the end of the last piece took.
    end: Duration,
}

/// Makes the input of a transform one that is read in pieces. `None` where its rows cannot be computed bit by
/// bit: they depend on one another or on the moment, or the input has no fixed order of rows.
pub(super) async fn in_pieces(
    request: &BuildRequest<'_>,
    context: &SessionContext,
    python: &PythonTransform,
    rows: &RowsFrom,
) -> Result<Option<Arc<PiecedTable>>, Error> {
    if !matches!(rows, RowsFrom::Inputs) || !goes_by_row(request.project, request.plan, request.node) {
        return Ok(None);
    }
    let failed = |source| Error::Compute { node: request.node.name.clone(), blame: None, source };
    let reference = python::reference(&python.inputs[0]);
    let provider = context.table_provider(reference.clone()).await.map_err(failed)?;
    let Some(files) = provider.downcast_ref::<FilesTable>() else { return Ok(None) };
    if files.ranges().is_none_or(|ranges| ranges.is_empty()) {
        return Ok(None);
    }
    let pieced = Arc::new(PiecedTable::new(files.clone()));
    context.deregister_table(reference).map_err(failed)?;
    register(context, &python.inputs[0].table(), Arc::clone(&pieced) as _)?;
    Ok(Some(pieced))
}

/// Returns whether each row of a transform's input is answered for itself, and the same whenever that is.
fn goes_by_row(project: &Project, plan: &Plan, node: &Node) -> bool {
    let Some(python) = node.python() else { return false };
    let is_of_rows = python.mode == PythonMode::Batch && python.rowwise && python.inputs[0].part == InputPart::Result;
    // Pieces of a table in folders would be a file for each folder and piece.
    is_of_rows && node.config.partition_by.is_empty() && volatile(project, plan, node).is_none()
}

impl Engine {
    /// Stages the rows of a transform piece by piece.
    pub(super) async fn stage_in_pieces(
        &self,
        request: &BuildRequest<'_>,
        ground: Ground,
        table: &Arc<PiecedTable>,
    ) -> Result<(Prepared, Staged), Error> {
        let mut book = self.open_book(request, &ground, table.files()).await?;
        request.progress.expected_rows(book.total);
        request.progress.phase(Phase::Staging);
        loop {
            let section = book.section(self.session.settings().threads);
            table.set(section.clone());
            let (plan, errors) = self.plan_rows(request, &RowsFrom::Inputs, &ground, Some(&book.budget)).await?;
            if !book.left.is_empty() {
                self.compute_piece(request, &ground, (&plan, section, table.files()), &mut book).await?;
            }
            if book.left.is_empty() || book.is_cut_short() {
                return match judge(&plan, &mut book.staged) {
                    Ok(()) => Ok((ground.prepared(errors), book.staged)),
                    Err(source) => Err(self.blame(request, &ground, source).await),
                };
            }
        }
    }

    /// Runs a plan over some rows, and keeps what it has staged where others are left.
    async fn compute_piece(
        &self,
        request: &BuildRequest<'_>,
        ground: &Ground,
        (plan, section, files): (&Arc<dyn ExecutionPlan>, Section, &FilesTable),
        book: &mut Book,
    ) -> Result<(), Error> {
        let (before, done) = (book.budget.spent(), book.total - ranges::rows(&book.left));
        let report = |rows: u64| request.progress.rows_read(done + rows);
        let staged = match gather(plan, &ground.context.state(), &report).await {
            Ok(staged) => staged,
            Err(source) => return Err(self.blame(request, ground, source).await),
        };
        let (covered, left) = covered(&section);
        let counted = book.budget.spent().since(&before);
        let is_cut_short = staged.gathered.as_ref().is_some_and(|gathered| gathered.is_cut_short);
        if !is_cut_short {
            account(request.node, &section.meter, (&covered, &left), &staged)?;
            if book.kept > 0 || !left.is_empty() {
                let covers = covered.iter().map(|range| range.of(files.location(range.file))).collect();
                self.keep_piece(request, ground, (covers, counted), &staged).await;
                book.kept += 1;
            }
        }
        book.end = section.meter.ended().map(|ended| ended.elapsed()).unwrap_or_default();
        book.left = left;
        book.add(staged);
        Ok(())
    }

    /// Writes down what a piece is. Where that fails nothing is lost but the piece, for those who come later.
    async fn keep_piece(
        &self,
        request: &BuildRequest<'_>,
        ground: &Ground,
        (covers, counted): (Vec<Range<String>>, Spent),
        staged: &Staged,
    ) {
        let node = &request.node.name;
        let piece = Piece {
            fingerprint: ground.fingerprint.clone(),
            run_id: request.run_id.to_string(),
            covers,
            result: StagedFile::of(&staged.result),
            errors: StagedFile::of(&staged.errors),
            counted: counted.into(),
            diverted: staged.gathered.as_ref().map(diverted).unwrap_or_default(),
        };
        let rows: u64 = piece.covers.iter().map(|range| range.rows).sum();
        let errors = self.place(&error_table(node));
        match pieces::keep(&self.place(node), Some(&errors), &piece).await {
            Ok(()) => tracing::info!(%node, rows, "piece kept"),
            Err(error) => tracing::warn!(%node, rows, %error, "piece not kept"),
        }
    }

    /// Returns what earlier attempts have done of the rows of a build, and removes what no build can go on with.
    async fn open_book(&self, request: &BuildRequest<'_>, ground: &Ground, files: &FilesTable) -> Result<Book, Error> {
        let node = request.node;
        let mut book = Book::new(node, files.ranges().unwrap_or_default(), self.piece);
        let (place, errors) = (self.place(&node.name), self.place(&error_table(&node.name)));
        let found = pieces::list(&place).await?;
        if found.is_empty() {
            return Ok(book);
        }
        let published = gc::published(&node.name, &place).await?;
        let published_errors = gc::published(&error_table(&node.name), &errors).await?;
        let file_of: HashMap<String, usize> =
            book.left.iter().map(|range| range.file).map(|file| (files.location(file), file)).collect();
        let is_ours = |piece: &Piece| {
            let is_wanted = request.ask.refresh == Refresh::IfChanged || piece.run_id == request.run_id;
            piece.fingerprint == ground.fingerprint && is_wanted
        };
        let mut diverted = Vec::new();
        for (path, piece) in found {
            let left = piece.as_ref().filter(|piece| is_ours(piece)).and_then(|piece| {
                let range = |range: &Range<String>| Some(range.of(*file_of.get(&range.file)?));
                ranges::without(&book.left, &piece.covers.iter().map(range).collect::<Option<Vec<_>>>()?)
            });
            match (piece, left) {
                (Some(piece), Some(left))
                    if pieces::is_whole(&piece, (&place, &published), (&errors, &published_errors)).await =>
                {
                    book.left = left;
                    diverted.push(piece.diverted.clone());
                    book.take_over(piece);
                }
                _ => {
                    pieces::remove(&place, &path, &published).await?;
                    pieces::remove(&errors, &path, &published_errors).await?;
                }
            }
        }
        if book.kept > 0 {
            let Staged { result, errors, .. } = &book.staged;
            request.progress.continues(book.total - ranges::rows(&book.left), book.total);
            request.progress.rows_written(result.rows);
            request.progress.rows_failed(errors.rows);
            book.staged.gathered = self.look_again(request, ground, &book.staged, &diverted).await?;
        }
        Ok(book)
    }

    /// Looks at the rows of pieces with the checks as they are now.
    async fn look_again(
        &self,
        request: &BuildRequest<'_>,
        ground: &Ground,
        staged: &Staged,
        diverted: &[Diverted],
    ) -> Result<Option<Gathered>, Error> {
        let node = request.node;
        if node.checks.is_empty() {
            return Ok(None);
        }
        let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
        let stamp = Stamp { run_id: request.run_id, fingerprint: &ground.fingerprint, at_us: request.started_us };
        let input = ground.queries.first().map(|query| query.schema().as_arrow());
        let errors = error_layout::of(node, input, &ground.published, stamp)?.filter(|_| node.quarantines());
        let writing = Writing { errors, limit: Limit::None, ends_early: false };
        let place = self.place(&node.name);
        let rows = staged::table(&node.name, &place, &ground.published, &[], &staged.result.files)?;
        let context = self.session.context(PlanStyle::Fast);
        context.state_ref().write().config_mut().set_extension(Arc::new(CheckSink::default()));
        let (state, plan) = context.read_table(Arc::new(rows)).map_err(failed)?.into_parts();
        let plan = state.create_physical_plan(&plan).await.map_err(failed)?;
        let looking = Looking { writing: Some(writing), stored: ground.stored.clone(), ..Looking::default() };
        let plan = self.with_checks(node, plan, &state, looking).map_err(failed)?;
        let mut rows = execute_stream(plan, state.task_ctx()).map_err(failed)?;
        while rows.try_next().await.map_err(failed)?.is_some() {}
        let mut gathered = state.config().get_extension::<CheckSink>().and_then(|sink| sink.take());
        if let Some(gathered) = &mut gathered {
            add_diverted(gathered, diverted);
        }
        Ok(gathered)
    }

    /// Removes the records of a transform whose rows are published.
    pub(super) async fn forget_pieces(&self, node: &Node) {
        if node.python().is_none() {
            return;
        }
        for table in [node.name.clone(), error_table(&node.name)] {
            if let Err(error) = pieces::forget(&self.place(&table)).await {
                tracing::warn!(table, %error, "pieces not forgotten, the next build will");
            }
        }
    }

    /// Returns what a build of a node would go on from; `None` where it begins at the first row. Nothing that
    /// cannot be read keeps a plan from being made.
    pub(crate) async fn continuation(&self, project: &Project, plan: &Plan, node: &Node) -> Option<Continuation> {
        let python = node.python().filter(|_| goes_by_row(project, plan, node))?;
        let found = pieces::list(&self.place(&node.name)).await.ok().filter(|found| !found.is_empty())?;
        let definition = self.definition(project, plan, node).await.ok()?;
        let read = self.inputs_now(project, plan, node, &Inputs::new()).await.ok()?;
        let fingerprint = fingerprint(&definition, &read);
        let fitting =
            found.iter().filter_map(|(_, piece)| piece.as_ref()).filter(|piece| piece.fingerprint == fingerprint);
        let rows = fitting.flat_map(|piece| &piece.covers).map(|range| range.rows).sum();
        let input = &python.inputs[0].node;
        let reading = Reading { project, plan, tables: Tables::Unnoted };
        let provider = self.input_provider(input, plan.nodes.get(input)?, &reading, &mut Inputs::new()).await.ok()?;
        let of = provider.downcast_ref::<FilesTable>()?.rows()?;
        (rows > 0).then_some(Continuation { rows, of })
    }
}

impl Book {
    fn new(node: &Node, left: Vec<Range<usize>>, least: Duration) -> Self {
        let total = ranges::rows(&left);
        let limit = match node.python().map(|python| python.on_error) {
            Some(OnError::Fail) | None => Limit::None,
            Some(OnError::Quarantine | OnError::Null) => Limit::of(node.config.error_limit),
        };
        let budget = Arc::new(Budget::new(limit, Together::Row, Some(total)));
        let (staged, begun, end) = (Staged::default(), Instant::now(), Duration::ZERO);
        Self { total, left, staged, budget, kept: 0, least, begun, end }
    }

    /// Returns what comes next: all that is left, until it has taken long enough.
    fn section(&self, threads: usize) -> Section {
        let lists = ranges::rows(&self.left).div_ceil(PARTITION_ROWS).clamp(1, threads.max(1) as u64);
        let partitions = ranges::divide(&self.left, lists);
        let length = self.least.max(self.begun.elapsed() / SHARE_OF_ALL).max(self.end * TIMES_ITS_END);
        let meter = Arc::new(Meter::new(partitions.len(), length));
        Section { partitions, meter }
    }

    fn take_over(&mut self, piece: Piece) {
        self.staged.result.extend(StagedFile::together(&piece.result));
        self.staged.errors.extend(StagedFile::together(&piece.errors));
        self.budget.take_over(piece.counted.into());
        self.kept += 1;
    }

    fn add(&mut self, staged: Staged) {
        let Staged { result, errors, gathered, .. } = staged;
        self.staged.result.extend(result);
        self.staged.errors.extend(errors);
        self.staged.gathered = match (self.staged.gathered.take(), gathered) {
            (Some(mut known), Some(more)) => {
                known.add(more);
                Some(known)
            }
            (known, more) => known.or(more),
        };
    }

    fn is_cut_short(&self) -> bool {
        self.staged.gathered.as_ref().is_some_and(|gathered| gathered.is_cut_short)
    }
}

/// Returns the rows of a section that were read, and the others.
fn covered(section: &Section) -> (Vec<Range<usize>>, Vec<Range<usize>>) {
    let (mut covered, mut left) = (Vec::new(), Vec::new());
    for (partition, rows) in section.partitions.iter().zip(section.meter.passed()) {
        let (before, after) = ranges::split(partition, rows);
        covered.extend(before);
        left.extend(after);
    }
    (covered, left)
}

/// Asserts that no row of a piece was lost or invented.
fn account(
    node: &Node,
    meter: &Meter,
    (covered, left): (&[Range<usize>], &[Range<usize>]),
    staged: &Staged,
) -> Result<(), Error> {
    let (read, counted) = (ranges::rows(covered), meter.passed().iter().sum::<u64>());
    let written = staged.result.rows + staged.errors.rows;
    let is_one_to_one = node.python().is_some_and(|python| python.rows == PythonRows::OneToOne);
    let text = if read != counted {
        format!("{counted} rows were read where there are {read}")
    } else if !left.is_empty() && meter.ended().is_none() {
        format!("{} rows were not read", ranges::rows(left))
    } else if is_one_to_one && written != read {
        format!("{read} rows were read and {written} were written")
    } else {
        return Ok(());
    };
    Err(Error::Compute { node: node.name.clone(), blame: None, source: DataFusionError::Internal(text) })
}

/// Returns what checks have diverted.
fn diverted(gathered: &Gathered) -> Diverted {
    let program = gathered.part.program();
    let rules = program.rules.iter().zip(&gathered.part.tallies).filter(|(rule, _)| rule.diverts);
    let counts =
        rules.map(|(rule, tally)| (program.checks[rule.check].definition.name.clone(), (tally.rows, tally.failing)));
    Diverted { rows: gathered.part.diverted, checks: counts.collect() }
}

/// Adds rows that checks have diverted before, which the rows that stayed say nothing of.
fn add_diverted(gathered: &mut Gathered, diverted: &[Diverted]) {
    let program = Arc::clone(gathered.part.program());
    gathered.part.diverted += diverted.iter().map(|piece| piece.rows).sum::<u64>();
    for (rule, tally) in program.rules.iter().zip(&mut gathered.part.tallies).filter(|(rule, _)| rule.diverts) {
        let name = &program.checks[rule.check].definition.name;
        let counts = diverted.iter().filter_map(|piece| piece.checks.get(name));
        (tally.rows, tally.failing) = counts.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    }
}
