//! `windlass test`: unit tests of transforms, with nothing but the project's files.
//!
//! All mistakes in the tests and in what they run are told before the first test runs. Exit code 1 says
//! that a test did not pass.

use std::collections::BTreeSet;
use std::sync::Arc;

use windlass_engine::{Engine, PreparedTest, TestOutcome, TestResult};
use windlass_error::Diagnostic;
use windlass_project::Project;
use windlass_project::unit_tests::{TestSuite, UnitTest};

use crate::cli::{Format, TestArgs};
use crate::output::{Output, Prefix};
use crate::printer::Printer;
use crate::report::{Mistakes, Status};
use crate::session::Session;
use crate::settings::Settings;
use crate::wire::TestReport;
use crate::{check, choice, human, open, unit_tests};

/// Runs the unit tests of the selected transforms.
pub(super) fn run(args: &TestArgs, settings: &Settings, printer: &Printer) -> anyhow::Result<Status> {
    let suite = open::load_tests(settings, &args.vars.vars)?;
    let (tests, diagnostics) = wanted(&suite, args)?;
    let projects: Vec<Option<Arc<Project>>> =
        suite.projects.into_iter().map(|loaded| loaded.project.map(Arc::new)).collect();
    let Some(first) = tests.iter().find_map(|test| projects[test.project].clone()) else {
        return if check::has_errors(&diagnostics) {
            Err(Mistakes { diagnostics }.into())
        } else {
            answer(&[], args, printer)
        };
    };
    let session = Session::open(settings, &first, args.threads, Output::new(printer, Prefix::Worker))?;
    let prepared = session.block_on(Box::pin(prepare(&session.engine, &projects, &tests, diagnostics)))?;
    let results = session.block_on(Box::pin(run_all(&session.engine, prepared, session.threads)))?;
    answer(&results, args, printer)
}

/// Returns the selected tests, and every mistake in the files that concerns them.
fn wanted(suite: &TestSuite, args: &TestArgs) -> anyhow::Result<(Vec<UnitTest>, Vec<Diagnostic>)> {
    let Some(as_it_runs) = suite.projects.first() else { return Ok(Default::default()) };
    let selected = choice::selected(as_it_runs, &args.select)?;
    let is_everything = args.select.is_everything();
    let is_wanted = |node: &String| is_everything || selected.contains(node);
    let is_known = |node: &String| {
        let is_usable = as_it_runs.project.as_ref().is_some_and(|project| project.nodes.contains_key(node));
        is_usable || as_it_runs.broken.contains(node)
    };
    let tests: Vec<UnitTest> = suite.tests.iter().filter(|test| is_wanted(&test.node.text)).cloned().collect();
    let concerns = |found: &&Diagnostic| found.node.as_ref().is_none_or(|node| is_wanted(node) || !is_known(node));
    let mut diagnostics: Vec<Diagnostic> = suite.diagnostics.iter().filter(concerns).cloned().collect();
    for (at, loaded) in suite.projects.iter().enumerate() {
        let nodes: BTreeSet<&str> =
            tests.iter().filter(|test| test.project == at).map(|test| test.node.text.as_str()).collect();
        let found = if nodes.is_empty() { Vec::new() } else { loaded.problems_for(nodes) };
        for problem in found {
            if !diagnostics.contains(problem) {
                diagnostics.push(problem.clone());
            }
        }
    }
    Ok((tests, diagnostics))
}

/// Type-checks tests against the project that each of them wants. Mistakes that are known already do not
/// keep others from being found.
async fn prepare(
    engine: &Engine,
    projects: &[Option<Arc<Project>>],
    tests: &[UnitTest],
    known: Vec<Diagnostic>,
) -> anyhow::Result<Vec<PreparedTest>> {
    let mut prepared = Vec::with_capacity(tests.len());
    let mut diagnostics = known;
    for (at, project) in projects.iter().enumerate() {
        let own: Vec<&UnitTest> = tests.iter().filter(|test| test.project == at).collect();
        let Some(project) = project.as_ref().filter(|_| !own.is_empty()) else { continue };
        match engine.prepare_tests(project, &own).await {
            Ok(ready) => prepared.extend(ready),
            Err(windlass_engine::Error::Mistakes { diagnostics: found }) => {
                let new: Vec<Diagnostic> = found.into_iter().filter(|found| !diagnostics.contains(found)).collect();
                diagnostics.extend(new);
            }
            Err(other) => return Err(other.into()),
        }
    }
    if check::has_errors(&diagnostics) {
        return Err(Mistakes { diagnostics }.into());
    }
    let place = |test: &PreparedTest| tests.iter().position(|known| known.name == test.test.name);
    prepared.sort_by_key(place);
    Ok(prepared)
}

/// Runs tests side by side and returns what came of them in their order.
async fn run_all(
    engine: &Arc<Engine>,
    tests: Vec<PreparedTest>,
    threads: usize,
) -> anyhow::Result<Vec<(PreparedTest, TestResult)>> {
    let slots = Arc::new(tokio::sync::Semaphore::new(threads));
    let mut running = tokio::task::JoinSet::new();
    for (at, test) in tests.into_iter().enumerate() {
        let (engine, slots) = (Arc::clone(engine), Arc::clone(&slots));
        running.spawn(async move {
            let _slot = slots.acquire().await;
            let result = Box::pin(engine.run_test(&test)).await;
            (at, test, result)
        });
    }
    let mut results = Vec::new();
    while let Some(joined) = running.join_next().await {
        results.push(joined?);
    }
    results.sort_by_key(|(at, ..)| *at);
    Ok(results.into_iter().map(|(_, test, result)| (test, result)).collect())
}

fn answer(results: &[(PreparedTest, TestResult)], args: &TestArgs, printer: &Printer) -> anyhow::Result<Status> {
    let failed = results.iter().filter(|(_, result)| !matches!(result.outcome, TestOutcome::Passed)).count() as u64;
    match args.format {
        Format::Json => printer.json("test", &TestReport::new(results))?,
        Format::Text if results.is_empty() => printer.note("no selected transform has unit tests"),
        Format::Text => {
            printer.data(&unit_tests::text(results, printer.data_paint())?)?;
            let mut summary = format!("{} passed", human::counted(results.len() as u64 - failed, "test"));
            if failed > 0 {
                summary.push_str(&format!(", {} failed", human::count(failed)));
            }
            printer.note(&summary);
        }
    }
    Ok(if failed == 0 { Status::Done } else { Status::Failures })
}
