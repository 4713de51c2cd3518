//! `windlass show`: first rows of a node or query, or how it is computed.

use std::collections::BTreeSet;

use serde_json::value::RawValue;
use windlass_engine::{Engine, SYSTEM_SCHEMA};
use windlass_error::Code;
use windlass_project::{Loaded, Node, Project, error_table, failures_table};

use crate::cli::{ShowArgs, ShowFormat};
use crate::output::{Output, Prefix};
use crate::printer::Printer;
use crate::refusal::Refusal;
use crate::report::{Mistakes, Status};
use crate::session::Session;
use crate::settings::Settings;
use crate::wire::{Shown, TypedColumn};
use crate::{check, choice, human, open, rows, system};

/// The end of the name of rows that a run kept back.
const CANDIDATE: &str = "@candidate";

/// What to show: a node, the rows of it that failed, or a query.
#[derive(Clone, Copy)]
enum Subject<'a> {
    Node(&'a Node),
    Errors(&'a Node),
    /// Rows that a run kept beside a table, by their name: a candidate, or failing rows of checks.
    Kept(&'a str),
    Sql(&'a str),
}

/// What is shown, and what is said beside it.
struct Answer {
    result: Shown,
    text: String,
    note: Option<String>,
}

/// Prints what was asked for.
pub(super) fn run(args: &ShowArgs, settings: &Settings, printer: &Printer) -> anyhow::Result<Status> {
    if args.format == ShowFormat::Csv && (args.compiled || args.explain || args.schema) {
        return Err(Refusal::new("only rows can be printed as CSV").hint("use --format json").into());
    }
    let loaded = open::load(settings, &args.vars.vars)?;
    let Some(project) = &loaded.project else { return Err(Mistakes { diagnostics: loaded.diagnostics }.into()) };
    let subject = match (&args.node, &args.sql) {
        (Some(name), _) => find(&loaded, project, name)?,
        (None, sql) => Subject::Sql(sql.as_deref().unwrap_or_default()),
    };
    let answer = match subject {
        Subject::Node(node) if args.compiled => compiled(node)?,
        Subject::Kept(name) if args.compiled => {
            let refusal = Refusal::new(format!("`{name}` holds rows that a run has kept, and has no SQL"));
            return Err(refusal.into());
        }
        Subject::Errors(node) if args.compiled => return Err(no_definition(node).into()),
        _ => {
            let session = Session::open(settings, project, None, Output::new(printer, Prefix::Worker))?;
            let engine = &session.engine;
            if let Subject::Sql(sql) = subject
                && sql.contains(SYSTEM_SCHEMA)
            {
                system::provide(engine, project)?;
            }
            session.block_on(Box::pin(async {
                if args.schema {
                    schema(engine, project, subject).await
                } else if args.explain {
                    explain(engine, project, subject).await
                } else {
                    first_rows(engine, project, subject, args).await
                }
            }))?
        }
    };
    match args.format {
        ShowFormat::Json => printer.json("show", &answer.result)?,
        ShowFormat::Text | ShowFormat::Csv => printer.data(&answer.text)?,
    }
    if let (Some(note), ShowFormat::Text) = (answer.note, args.format) {
        printer.note(&note);
    }
    Ok(Status::Done)
}

/// Returns a node, its error rows or what a run has kept beside it, or says what is wrong with it or which one was meant.
fn find<'a>(loaded: &'a Loaded, project: &'a Project, name: &'a str) -> anyhow::Result<Subject<'a>> {
    if let Some(table) = name.strip_suffix(CANDIDATE) {
        return match find(loaded, project, table)? {
            Subject::Node(node) if !node.is_published() => {
                let refusal = Refusal::new(format!("`{table}` is a {} and has no candidate", node.kind_name()));
                Err(refusal.hint("only tables are kept back").into())
            }
            _ => Ok(Subject::Kept(name)),
        };
    }
    if project.nodes.values().any(|node| node.stores_failures() && failures_table(&node.name) == name) {
        return Ok(Subject::Kept(name));
    }
    let with_errors = project.nodes.values().find(|node| node.has_error_table() && error_table(&node.name) == name);
    if let (Some(node), false) = (with_errors, project.nodes.contains_key(name)) {
        return Ok(Subject::Errors(node));
    }
    let found = choice::find(loaded, name)?;
    // What is published can be read, whatever became of the files.
    if !found.node.is_published() && check::has_errors(&found.obstacles) {
        return Err(Mistakes { diagnostics: found.obstacles }.into());
    }
    Ok(Subject::Node(found.node))
}

fn compiled(node: &Node) -> anyhow::Result<Answer> {
    let text = match (node.transform(), node.python()) {
        (Some(transform), _) => transform.sql.trim_end(),
        (None, Some(_)) => node.file.text.trim_end(),
        (None, None) => {
            let refusal = Refusal::new(format!("`{}` is a {} and has no SQL", node.name, node.kind_name()));
            return Err(refusal.hint("only transforms have SQL; --schema prints the columns").into());
        }
    };
    let result = Shown::Compiled { node: node.name.clone(), compiled: text.to_owned() };
    Ok(Answer { result, text: text.to_owned(), note: None })
}

fn no_definition(node: &Node) -> Refusal {
    let refusal = Refusal::new(format!("`{}` holds the error rows of `{}`", error_table(&node.name), node.name));
    refusal.hint(format!("what computes them: windlass show {} --compiled", node.name))
}

/// Plans a node with everything that it needs, so that nothing needs to be published yet.
async fn schema(engine: &Engine, project: &Project, subject: Subject<'_>) -> anyhow::Result<Answer> {
    let schema = match subject {
        Subject::Sql(sql) => engine.show_sql(project, sql, 0).await?.schema,
        Subject::Errors(node) => engine.show(project, &error_table(&node.name), 0).await?.schema,
        Subject::Kept(name) => engine.show(project, name, 0).await?.schema,
        Subject::Node(node) => {
            let mut nodes: BTreeSet<String> = project.graph.ancestors(&node.name).into_iter().collect();
            nodes.insert(node.name.clone());
            let mut plan = engine.plan(project, &nodes).await;
            match plan.nodes.swap_remove(&node.name) {
                Some(planned) => planned.schema,
                None => return Err(Mistakes { diagnostics: plan.diagnostics }.into()),
            }
        }
    };
    let columns = windlass_engine::columns(&schema);
    let width = columns.iter().map(|column| column.name.chars().count()).max().unwrap_or_default();
    let lines: Vec<String> =
        columns.iter().map(|column| format!("{:width$}  {}", column.name, column.data_type)).collect();
    let columns: Vec<TypedColumn> = columns.into_iter().map(Into::into).collect();
    let (node, sql) = names(subject);
    Ok(Answer { result: Shown::Schema { node, sql, columns }, text: lines.join("\n"), note: None })
}

async fn explain(engine: &Engine, project: &Project, subject: Subject<'_>) -> anyhow::Result<Answer> {
    let query = match subject {
        Subject::Sql(sql) => sql.to_owned(),
        Subject::Errors(node) => format!("select * from {}", error_table(&node.name)),
        Subject::Kept(name) => format!("select * from \"{name}\""),
        Subject::Node(node) => match node.transform() {
            Some(transform) => transform.sql.clone(),
            None => format!("select * from {}", node.name),
        },
    };
    let (logical_plan, physical_plan) = engine.explain(project, &query).await?;
    let text = format!("logical plan\n\n{}\n\nphysical plan\n\n{}", logical_plan.trim_end(), physical_plan.trim_end());
    let (node, sql) = names(subject);
    Ok(Answer { result: Shown::Explained { node, sql, logical_plan, physical_plan }, text, note: None })
}

async fn first_rows(
    engine: &Engine,
    project: &Project,
    subject: Subject<'_>,
    args: &ShowArgs,
) -> anyhow::Result<Answer> {
    let table = match subject {
        Subject::Node(node) if node.is_published() => match engine.published(&node.name).await? {
            None => return Err(not_published(&node.name).into()),
            table => table,
        },
        _ => None,
    };
    let shown = match subject {
        Subject::Sql(sql) => engine.show_sql(project, sql, args.limit).await?,
        Subject::Node(node) => engine.show(project, &node.name, args.limit).await?,
        Subject::Errors(node) => engine.show(project, &error_table(&node.name), args.limit).await?,
        Subject::Kept(name) => engine.show(project, name, args.limit).await?,
    };
    let (table_version, table_rows) = table.as_ref().map_or((None, None), |table| (Some(table.version), table.rows));
    let row_count = rows::count(&shown);
    let text = match args.format {
        ShowFormat::Json => String::new(),
        ShowFormat::Csv => rows::as_csv(&shown)?,
        ShowFormat::Text => rows::as_text(&shown)?,
    };
    let columns = windlass_engine::columns(&shown.schema).into_iter().map(Into::into).collect();
    let rows = if args.format == ShowFormat::Json { rows::as_json(&shown)? } else { RawValue::NULL.to_owned() };
    let mut note = beside(row_count, args.limit, table_rows, table_version);
    let base = table.and_then(|table| table.base);
    if let Some(base) = &base {
        note.push_str(&format!(" of {base}"));
    }
    let target = &project.target;
    let table_env = table_version.map(|_| base.unwrap_or_else(|| target.env.clone()));
    if let Subject::Kept(name) = subject
        && let Some(table) = name.strip_suffix(CANDIDATE)
        && let Some((run, is_whole)) = engine.candidate_run(table).await?
    {
        let part = if is_whole { "" } else { ", which ended before the last row" };
        note.push_str(&format!(", kept back by run {run}{part}"));
    }
    let (node, sql) = names(subject);
    let result = Shown::Rows { node, sql, columns, rows, row_count, table_version, table_env, table_rows };
    Ok(Answer { result, text, note: Some(note) })
}

/// Refuses to read a table that no run has published.
pub(super) fn not_published(node: &str) -> Refusal {
    Refusal::new(format!("table `{node}` has not been published yet"))
        .code(Code::UNKNOWN_TABLE)
        .hint(format!("publish it and what it needs: windlass run +{node}"))
}

/// Returns the line below the rows.
fn beside(shown: usize, limit: usize, rows: Option<u64>, version: Option<u64>) -> String {
    let (shown, limit) = (shown as u64, limit as u64);
    let of = match rows {
        Some(rows) if rows != shown => format!("{} of {}", human::count(shown), human::counted(rows, "row")),
        None if shown == limit => format!("first {}", human::counted(shown, "row")),
        _ => human::counted(shown, "row"),
    };
    match version {
        Some(version) => format!("{of}, version {version}"),
        None => of,
    }
}

fn names(subject: Subject<'_>) -> (Option<String>, Option<String>) {
    match subject {
        Subject::Node(node) => (Some(node.name.clone()), None),
        Subject::Errors(node) => (Some(error_table(&node.name)), None),
        Subject::Kept(name) => (Some(name.to_owned()), None),
        Subject::Sql(sql) => (None, Some(sql.to_owned())),
    }
}
