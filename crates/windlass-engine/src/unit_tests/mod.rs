//! Unit tests of transforms: given rows in, expected rows out, and nothing else is read or written.
//!
//! `types` finds the columns of everything that a test names without the lake, `values` reads what is
//! written there, the transform runs as it does in a build, and `compare` holds the rows against each
//! other.
//!
//! Must stay true: a test reads no published table and no row of a source, and leaves nothing behind.

mod compare;
mod types;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::{CastOptions, cast_with_options, concat_batches};
use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::execute_stream;
use futures::TryStreamExt;
use windlass_error::{Code, Diagnostic, nearest};
use windlass_project::checks::Tolerance;
use windlass_project::unit_tests::{TestRows, UnitTest};
use windlass_project::{Node, Project, Transform};

use crate::errors::{ErrorCause, group};
use crate::models;
use crate::operators::{Leave, specialise};
use crate::planner::{Plan, Reading, Tables, blame};
use crate::python::functions::Caller;
use crate::python::{self, Trial};
use crate::session::PlanStyle;
use crate::{Engine, Error};
use types::SourceTypes;

pub use compare::{Comparison, Difference};

/// Rows of a result that are compared; no person writes so many by hand.
const MOST_ROWS: usize = 10_000;

/// A unit test whose values fit their columns.
#[derive(Debug)]
pub struct PreparedTest {
    /// The test.
    pub test: UnitTest,
    /// Tables that it reads and that the test does not give: they are empty.
    pub empty_inputs: Vec<String>,
    project: Arc<Project>,
    plan: Plan,
    rows: Option<Wanted>,
    errors: Option<Wanted>,
}

/// Rows that a test expects.
#[derive(Debug)]
struct Wanted {
    rows: RecordBatch,
    /// Which of their values the test names, by row and column.
    is_named: Vec<Vec<bool>>,
    /// For each of their columns how far numbers may be apart; `None` compares exactly.
    tolerances: Vec<Option<Tolerance>>,
}

/// What came of a test.
#[derive(Debug)]
pub struct TestResult {
    /// How it ended.
    pub outcome: TestOutcome,
    /// Why rows of a Python transform failed, most rows first.
    pub failures: Vec<ErrorCause>,
    /// How long it took.
    pub elapsed: Duration,
}

/// How a test ended.
#[derive(Debug)]
pub enum TestOutcome {
    /// All is as expected.
    Passed,
    /// Rows of the result or rows that fail are others than expected.
    Different {
        /// The rows of the result, where they differ.
        rows: Option<Comparison>,
        /// The rows that fail, where they differ.
        errors: Option<Comparison>,
    },
    /// It failed as a whole, or with another message than expected.
    Failed(Error),
    /// It should have failed, and did not.
    NotFailed,
    /// The result has more rows than are compared.
    TooManyRows,
}

/// What a transform made of the given rows.
struct Computed {
    rows: Vec<RecordBatch>,
    errors: Vec<RecordBatch>,
}

impl Engine {
    /// Type-checks tests of one project, and reads their values.
    ///
    /// # Errors
    ///
    /// [`Error::Mistakes`] with everything that is wrong with the tests and what they run.
    pub async fn prepare_tests(&self, project: &Arc<Project>, tests: &[&UnitTest]) -> Result<Vec<PreparedTest>, Error> {
        // A contract is known without a look at the files, and mostly says enough.
        match self.prepare_with(project, tests, SourceTypes::Declared).await {
            Ok(prepared) => Ok(prepared),
            Err(_) => self.prepare_with(project, tests, SourceTypes::OfFiles).await,
        }
        .map_err(|diagnostics| Error::Mistakes { diagnostics })
    }

    async fn prepare_with(
        &self,
        project: &Arc<Project>,
        tests: &[&UnitTest],
        types: SourceTypes,
    ) -> Result<Vec<PreparedTest>, Vec<Diagnostic>> {
        let plan = self.plan_types(project, tests, types).await;
        let mut prepared = Vec::with_capacity(tests.len());
        let mut mistakes = plan.diagnostics.clone();
        for test in tests {
            if let Some(node) = project.nodes.get(&test.node.text).filter(|node| plan.nodes.contains_key(&node.name)) {
                match prepare_test(project, &plan, node, test) {
                    Ok(test) => prepared.push(test),
                    Err(found) => mistakes.extend(found.into_iter().map(|mistake| mistake.node(&node.name))),
                }
            }
        }
        if mistakes.is_empty() { Ok(prepared) } else { Err(mistakes) }
    }

    /// Runs a test. That the transform fails is a result.
    pub async fn run_test(&self, prepared: &PreparedTest) -> TestResult {
        let started = Instant::now();
        let node = &prepared.project.nodes[&prepared.test.node.text];
        let reading = Reading { project: &prepared.project, plan: &prepared.plan, tables: Tables::Unnoted };
        let computed = match (node.python(), node.transform()) {
            (Some(python), _) => {
                let tested = self.python_trial(&reading, node, python, Trial::AllRows).await;
                tested.map(|tested| Computed { rows: tested.rows, errors: tested.errors })
            }
            (None, Some(transform)) => self.compute_given(&reading, node, transform).await,
            (None, None) => Err(Error::NotPublished { table: node.name.clone() }),
        };
        let mut known = BTreeMap::new();
        let judged = computed.and_then(|computed| {
            let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
            computed.errors.iter().try_for_each(|errors| group(errors, &mut known)).map_err(failed)?;
            judge(prepared, &computed).map_err(|error| failed(error.into()))
        });
        let outcome = match (judged, &prepared.test.expected.failure) {
            (Ok(outcome), _) => outcome,
            (Err(error), Some(wanted)) if says(&error, &wanted.text) => TestOutcome::Passed,
            (Err(error), _) => TestOutcome::Failed(error),
        };
        let mut failures: Vec<ErrorCause> = known.into_values().collect();
        failures.sort_by_key(|cause| std::cmp::Reverse(cause.rows));
        TestResult { outcome, failures, elapsed: started.elapsed() }
    }

    async fn compute_given(
        &self,
        reading: &Reading<'_>,
        node: &Node,
        transform: &Transform,
    ) -> Result<Computed, Error> {
        let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
        let context = self.session.context(PlanStyle::Fast);
        self.register_inputs(&context, &transform.inputs, reading).await?;
        let caller = Caller { node: &node.name, sql: &transform.sql };
        self.register_functions(&context, reading.project, caller).await;
        let state = context.state();
        let query = models::logical_plan(&state, &transform.sql).await.map_err(failed)?;
        let leave = Leave { room: self.session.room(PlanStyle::Fast), may_reorder: false };
        let rows = async {
            let plan = specialise(state.create_physical_plan(&query).await?, leave)?;
            let mut stream = execute_stream(plan, state.task_ctx())?;
            let mut batches = Vec::new();
            let mut count = 0;
            while let Some(batch) = stream.try_next().await? {
                count += batch.num_rows();
                batches.push(batch);
                if count > MOST_ROWS {
                    break;
                }
            }
            Ok::<_, DataFusionError>(batches)
        };
        match rows.await {
            Ok(rows) => Ok(Computed { rows, errors: Vec::new() }),
            Err(source) => {
                let blame = match python::python_error(&source) {
                    Some(error) => Some(python::diagnose(reading.project, node, error)),
                    None => blame::find(reading.project, node, &query, &state, &source).await,
                };
                Err(Error::Compute { node: node.name.clone(), blame: blame.map(Box::new), source })
            }
        }
    }
}

fn prepare_test(
    project: &Arc<Project>,
    plan: &Plan,
    node: &Node,
    test: &UnitTest,
) -> Result<PreparedTest, Vec<Diagnostic>> {
    let planned = &plan.nodes[&node.name];
    let mut mistakes = Vec::new();
    let given = match types::given_tables(project, plan, test) {
        Ok(given) => given,
        Err(found) => {
            mistakes.extend(found);
            Default::default()
        }
    };
    mistakes.extend(unknown_tolerances(test, &planned.schema));
    let mut wanted = |rows: &Option<TestRows>, schema: &SchemaRef, table: &str| {
        let rows = rows.as_ref()?;
        match values::expected(rows, schema, table) {
            Ok((rows, is_named)) => Some(Wanted { tolerances: tolerances(test, rows.schema_ref()), rows, is_named }),
            Err(found) => {
                mistakes.extend(found);
                None
            }
        }
    };
    let rows = wanted(&test.expected.rows, &planned.schema, &node.name);
    let errors = match (planned.errors.as_ref().filter(|_| node.python().is_some()), &test.expected.errors) {
        (Some(schema), errors) => wanted(errors, schema, &windlass_project::error_table(&node.name)),
        (None, Some(_)) => {
            let message = format!("`{}` has no error table", node.name);
            let mistake = Diagnostic::error(Code::INVALID_VALUE, message).at(test.location.clone());
            let hint =
                "only Python transforms of batches with `on_error=\"quarantine\"` have one; of others say `error`";
            mistakes.push(mistake.hint(hint));
            None
        }
        (None, None) => None,
    };
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let plan = Plan { nodes: plan.nodes.clone(), diagnostics: Vec::new(), given: given.tables, ..Plan::default() };
    let (project, test) = (Arc::clone(project), test.clone());
    Ok(PreparedTest { test, empty_inputs: given.empty, project, plan, rows, errors })
}

fn unknown_tolerances(test: &UnitTest, schema: &Schema) -> Vec<Diagnostic> {
    let known: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let unknown = test.expected.tolerances.iter().filter(|(column, _)| !known.contains(&column.text.as_str()));
    let mistake = |column: &windlass_project::checks::Written| {
        let message = format!("`tolerance` names column `{}`, which `{}` does not have", column.text, test.node.text);
        let mistake = Diagnostic::error(Code::UNKNOWN_COLUMN, message).at(column.location.clone());
        match nearest(&column.text, known.iter().copied()) {
            Some(near) => mistake.label(format!("did you mean `{near}`?")),
            None => mistake,
        }
    };
    unknown.map(|(column, _)| mistake(column)).collect()
}

/// Returns how far numbers may be apart: what the test says of the column, else of all floats, else
/// what sums in another order make of them.
fn tolerances(test: &UnitTest, schema: &Schema) -> Vec<Option<Tolerance>> {
    let relative = |relative| Some(Tolerance { absolute: 0.0, relative });
    let of = |name: &str, data_type: &DataType| {
        let own = test.expected.tolerances.iter().find(|(column, _)| column.text == name).map(|(_, found)| *found);
        match data_type {
            data_type if own.is_some() && data_type.is_numeric() => own,
            DataType::Float64 => test.expected.tolerance.or(relative(1e-9)),
            DataType::Float16 | DataType::Float32 => test.expected.tolerance.or(relative(1e-5)),
            _ => None,
        }
    };
    schema.fields().iter().map(|field| of(field.name(), field.data_type())).collect()
}

fn judge(prepared: &PreparedTest, computed: &Computed) -> Result<TestOutcome, ArrowError> {
    if prepared.test.expected.failure.is_some() {
        return Ok(TestOutcome::NotFailed);
    }
    if computed.rows.iter().map(RecordBatch::num_rows).sum::<usize>() > MOST_ROWS {
        return Ok(TestOutcome::TooManyRows);
    }
    let differing = |wanted: &Option<Wanted>, found: &[RecordBatch]| {
        let Some(Wanted { rows, is_named, tolerances }) = wanted else { return Ok(None) };
        let found = in_types_of(rows.schema_ref(), found)?;
        let comparison = compare::compare(rows.clone(), found, tolerances, is_named)?;
        Ok::<_, ArrowError>((!comparison.differences.is_empty()).then_some(comparison))
    };
    let rows = differing(&prepared.rows, &computed.rows)?;
    let errors = differing(&prepared.errors, &computed.errors)?;
    Ok(match (&rows, &errors) {
        (None, None) => TestOutcome::Passed,
        _ => TestOutcome::Different { rows, errors },
    })
}

/// Returns the wanted columns of batches as one, in the types under which they are published.
fn in_types_of(wanted: &SchemaRef, batches: &[RecordBatch]) -> Result<RecordBatch, ArrowError> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let mut cast = Vec::with_capacity(batches.len());
    for batch in batches {
        let columns = wanted.fields().iter().map(|field| {
            let column = batch.column(batch.schema_ref().index_of(field.name())?);
            cast_with_options(column, field.data_type(), &strict)
        });
        cast.push(RecordBatch::try_new(Arc::clone(wanted), columns.collect::<Result<_, _>>()?)?);
    }
    concat_batches(wanted, &cast)
}

/// Returns whether an error says something, in any letter case.
fn says(error: &Error, wanted: &str) -> bool {
    let mut said = error.to_string();
    if let Error::Compute { blame, source, .. } = error {
        said.push_str(&source.strip_backtrace());
        for mistake in blame.iter() {
            said.push_str(&format!("\n{}\n{}", mistake.message, mistake.notes.join("\n")));
        }
    }
    said.to_lowercase().contains(&wanted.to_lowercase())
}
