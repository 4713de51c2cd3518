//! `windlass errors`: why rows failed, out of the lake as a file, and once more through the code.

use windlass_engine::{Engine, ErrorCause, ErrorCauses};
use windlass_error::Code;
use windlass_project::{Loaded, Node, Project, PythonRows, error_table};
use windlass_runner::FailurePolicy;

use super::run::{self, Order};
use super::show;
use crate::causes::{self, Detail};
use crate::cli::{ErrorsArgs, Format, SelectArgs};
use crate::compose::Work;
use crate::output::{Output, Prefix};
use crate::printer::Printer;
use crate::refusal::Refusal;
use crate::report::{Mistakes, Status};
use crate::session::Session;
use crate::settings::Settings;
use crate::style::Paint;
use crate::wire::{ErrorsReport, NodeErrors};
use crate::{check, choice, human, open, protection};

/// Endings of files that error rows are written to.
const ENDINGS: [&str; 3] = ["csv", "json", "parquet"];
/// Who has a table of error rows.
const WHO: &str = "Python transforms of batches with `on_error=\"quarantine\"` have one, and tables with a check of \
                   `on_fail: quarantine` or that score with a model";

/// A node with its error rows.
struct Failed<'a> {
    node: &'a Node,
    errors: ErrorCauses,
    table_rows: Option<u64>,
}

/// Prints, exports or replays error rows.
pub(super) fn run(args: &ErrorsArgs, settings: &Settings, printer: &Printer) -> anyhow::Result<Status> {
    let loaded = open::load(settings, &args.vars.vars)?;
    let Some(name) = &args.node else { return list(&loaded, args, settings, printer) };
    let node = choice::find(&loaded, name)?.node;
    if !node.has_error_table() {
        return Err(no_table(node).into());
    }
    match (args.replay, &args.export) {
        (true, _) => replay(loaded, name, args, settings, printer),
        (false, None) => show_node(&loaded, node, args, settings, printer),
        (false, Some(_)) => export(&loaded, node, args, settings, printer),
    }
}

/// Prints every node that has error rows.
fn list(loaded: &Loaded, args: &ErrorsArgs, settings: &Settings, printer: &Printer) -> anyhow::Result<Status> {
    let project = usable(loaded)?;
    let session = open_session(project, settings, printer)?;
    let nodes = session.block_on(Box::pin(async {
        let mut nodes = Vec::new();
        for node in project.nodes.values().filter(|node| node.has_error_table()) {
            nodes.extend(failed(&session.engine, project, node).await?.filter(|failed| failed.errors.rows > 0));
        }
        anyhow::Ok(nodes)
    }))?;
    let target = &project.target;
    match args.format {
        Format::Json => {
            let nodes = nodes.iter().map(wire).collect();
            printer
                .json("errors", &ErrorsReport::Nodes { env: target.env.clone(), lake: target.lake.clone(), nodes })?;
        }
        Format::Text if nodes.is_empty() => printer.note(&format!("no error rows in {}", target.env)),
        Format::Text => {
            printer.data(&table(&nodes, printer.data_paint()))?;
            printer.note(&printer.paint().faint("windlass errors NODE says more"));
        }
    }
    Ok(Status::Done)
}

/// Prints why rows of a node failed.
fn show_node(
    loaded: &Loaded,
    node: &Node,
    args: &ErrorsArgs,
    settings: &Settings,
    printer: &Printer,
) -> anyhow::Result<Status> {
    let project = usable(loaded)?;
    let session = open_session(project, settings, printer)?;
    let failed = session.block_on(Box::pin(published(&session.engine, project, node)))?;
    let causes: &[ErrorCause] = &failed.errors.causes;
    let shown = &causes[..causes.len().min(args.limit)];
    match args.format {
        Format::Json => {
            let causes = shown.iter().map(Into::into).collect();
            let cause_count = failed.errors.causes.len();
            printer.json("errors", &ErrorsReport::Causes { node: wire(&failed), causes, cause_count })?;
        }
        Format::Text if failed.errors.rows == 0 => printer.note(&nothing(node)),
        Format::Text => {
            let (paint, detail) =
                (printer.data_paint(), if args.traceback { Detail::Traceback } else { Detail::Example });
            let text = format!("{}\n\n{}", headline(&failed, paint), causes::text(shown, detail, paint));
            printer.data(&text)?;
            let others = (causes.len() - shown.len()) as u64;
            if others > 0 {
                printer.note(&format!("  and {}: -n {}", human::counted(others, "other cause"), causes.len()));
            }
            let way_out = match node.diverts_unscored() {
                true => {
                    format!("\ncompute it with the model and the input as they are now: windlass run {}", node.name)
                }
                false => format!("\nrun them again with the code as it is now: windlass errors {} --replay", node.name),
            };
            printer.note(&printer.paint().faint(&way_out));
        }
    }
    Ok(Status::Done)
}

/// Writes the error rows of a node to a file.
fn export(
    loaded: &Loaded,
    node: &Node,
    args: &ErrorsArgs,
    settings: &Settings,
    printer: &Printer,
) -> anyhow::Result<Status> {
    let name = args.export.clone().unwrap_or_default();
    let ending = name.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
    if !ENDINGS.contains(&ending.as_str()) {
        let refusal = Refusal::new(format!("the ending of `{}` does not say how to write it", name.display()));
        return Err(refusal.hint("name a file that ends in .csv, .json or .parquet").into());
    }
    let project = usable(loaded)?;
    let session = open_session(project, settings, printer)?;
    let file = settings.current.join(&name);
    let rows = session.block_on(Box::pin(async {
        published(&session.engine, project, node).await?;
        anyhow::Ok(session.engine.export_errors(project, &node.name, &file).await?)
    }))?;
    match args.format {
        Format::Json => {
            let (node, error_table) = (node.name.clone(), error_table(&node.name));
            let file = file.display().to_string();
            printer.json("errors", &ErrorsReport::Exported { node, error_table, file, error_rows: rows })?;
        }
        Format::Text => {
            let rows = human::counted(rows, "error row");
            printer.note(&format!("wrote {rows} of `{}` to `{}`", node.name, name.display()));
        }
    }
    Ok(Status::Done)
}

/// Runs the error rows of a node again and merges what comes of them.
fn replay(
    loaded: Loaded,
    name: &str,
    args: &ErrorsArgs,
    settings: &Settings,
    printer: &Printer,
) -> anyhow::Result<Status> {
    if choice::find(&loaded, name)?.node.diverts_unscored() {
        let refusal = Refusal::new(format!("error rows of `{name}` cannot be run again: a model could not score them"));
        let refusal =
            refusal.hint(format!("compute it with the model and the input as they are now: windlass run {name}"));
        return Err(refusal.into());
    }
    let select = SelectArgs { selections: vec![name.to_owned()], ..SelectArgs::default() };
    let choice = choice::choose(loaded, &select)?;
    let command = format!("windlass errors {name} --replay");
    protection::permit(&choice.project.target, &command, args.yes)?;
    let checked = check::check(choice, check::Purpose::Compute, args.threads, settings, printer)?;
    let project = &checked.choice.project;
    let node = project.nodes.get(name).ok_or_else(|| Refusal::new(format!("no node `{name}`")))?;
    let engine = &checked.session.engine;
    let failed = checked.session.block_on(Box::pin(published(engine, project, node)))?;
    if failed.errors.rows == 0 && args.format == Format::Text {
        printer.note(&nothing(node));
        return Ok(Status::Done);
    }
    if failed.errors.rows == 0 {
        let report = ErrorsReport::Causes { node: wire(&failed), causes: Vec::new(), cause_count: 0 };
        printer.json("errors", &report)?;
        return Ok(Status::Done);
    }
    let order = Order {
        command: "errors --replay",
        work: Work::Replay,
        ask: Default::default(),
        sample: None,
        arguments: None,
        continued: Default::default(),
        failure_policy: FailurePolicy::KeepGoing,
        format: args.format,
    };
    run::carry_out(order, checked, settings, printer)
}

fn usable(loaded: &Loaded) -> anyhow::Result<&Project> {
    loaded.project.as_ref().ok_or_else(|| Mistakes { diagnostics: loaded.diagnostics.clone() }.into())
}

fn open_session(project: &Project, settings: &Settings, printer: &Printer) -> anyhow::Result<Session> {
    Session::open(settings, project, None, Output::new(printer, Prefix::Worker))
}

/// Returns the error rows of a node; `None` where its newest version has no table of them.
async fn failed<'a>(engine: &Engine, project: &Project, node: &'a Node) -> anyhow::Result<Option<Failed<'a>>> {
    let Some(errors) = engine.error_causes(project, &node.name).await? else { return Ok(None) };
    let table_rows = engine.published(&node.name).await?.and_then(|table| table.rows);
    Ok(Some(Failed { node, errors, table_rows }))
}

/// Returns the error rows of a node, or says why there can be none.
async fn published<'a>(engine: &Engine, project: &Project, node: &'a Node) -> anyhow::Result<Failed<'a>> {
    if engine.published(&node.name).await?.is_none() {
        return Err(show::not_published(&node.name).into());
    }
    failed(engine, project, node).await?.ok_or_else(|| no_table(node).into())
}

fn no_table(node: &Node) -> Refusal {
    Refusal::new(format!("`{}` has no error table", node.name)).code(Code::UNKNOWN_TABLE).hint(WHO)
}

fn nothing(node: &Node) -> String {
    format!("`{}` has no error rows", node.name)
}

/// Returns how many rows failed: `score  5,261 of 328,521 rows failed (1.60%), version 3`.
fn headline(failed: &Failed<'_>, paint: Paint) -> String {
    let rows = failed.errors.rows;
    let of = match tried(failed) {
        Some(of) => {
            format!("{} of {} failed ({})", human::count(rows), human::counted(of, "row"), human::percent(rows, of))
        }
        None => format!("{} failed", human::counted(rows, "row")),
    };
    format!("{}  {of}, version {}", paint.strong(&failed.node.name), failed.errors.table_version)
}

/// Returns how many rows the node was given, where result and error rows make up its input.
fn tried(failed: &Failed<'_>) -> Option<u64> {
    let is_one_to_one = failed.node.python().is_none_or(|python| python.rows == PythonRows::OneToOne);
    failed.table_rows.filter(|_| is_one_to_one).map(|rows| rows + failed.errors.rows)
}

fn table(nodes: &[Failed<'_>], paint: Paint) -> String {
    let width = nodes.iter().map(|failed| failed.node.name.chars().count()).max().unwrap_or_default();
    let line = |failed: &Failed<'_>| {
        let rows = failed.errors.rows;
        let share = tried(failed).map(|of| human::percent(rows, of)).unwrap_or_default();
        let cause = failed.errors.causes.first().map(causes::title).unwrap_or_default();
        let rows = human::counted(rows, "error row");
        format!("{:width$}  {rows:>18}  {share:>7}  {}", failed.node.name, paint.faint(&cause))
    };
    nodes.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn wire(failed: &Failed<'_>) -> NodeErrors {
    NodeErrors {
        node: failed.node.name.clone(),
        error_table: error_table(&failed.node.name),
        error_rows: failed.errors.rows,
        table_rows: failed.table_rows,
        table_version: failed.errors.table_version,
    }
}
