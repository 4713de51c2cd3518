//! `windlass show`: first rows of a node or query, or how it is computed.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context;
use arrow::csv;
use arrow::json::writer::{JsonArray, WriterBuilder};
use arrow::util::pretty::pretty_format_batches_with_schema;
use serde_json::value::RawValue;
use windlass_engine::Engine;
use windlass_error::{Code, Diagnostic, nearest};
use windlass_project::{Node, Project};

use crate::cli::{ShowArgs, ShowFormat};
use crate::printer::Printer;
use crate::refusal::Refusal;
use crate::report::{Mistakes, Status};
use crate::settings::Settings;
use crate::wire::{Shown, TypedColumn};
use crate::{check, choice, human, open};

/// What to show: a node or a query.
#[derive(Clone, Copy)]
enum Subject<'a> {
    Node(&'a Node),
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
    let mut loaded = open::load(settings, &args.vars.vars)?;
    let diagnostics = std::mem::take(&mut loaded.diagnostics);
    let Some(project) = &loaded.project else { return Err(Mistakes { diagnostics }.into()) };
    let subject = match (&args.node, &args.sql) {
        (Some(name), _) => Subject::Node(find(project, name, &loaded.broken, diagnostics)?),
        (None, sql) => Subject::Sql(sql.as_deref().unwrap_or_default()),
    };
    let answer = match subject {
        Subject::Node(node) if args.compiled => compiled(node)?,
        _ => {
            let threads = open::threads(project, None);
            let runtime = open::runtime(threads)?;
            let engine = open::engine(settings, project, threads)?;
            runtime.block_on(Box::pin(async {
                if args.schema {
                    schema(&engine, project, subject).await
                } else if args.explain {
                    explain(&engine, project, subject).await
                } else {
                    rows(&engine, project, subject, args).await
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

/// Returns a node, or says what is wrong with it or which one was meant.
fn find<'a>(
    project: &'a Project,
    name: &str,
    broken: &[String],
    diagnostics: Vec<Diagnostic>,
) -> anyhow::Result<&'a Node> {
    let obstacles = choice::obstacles(project, diagnostics, &BTreeSet::from([name.to_owned()]));
    let Some(node) = project.nodes.get(name) else {
        if broken.iter().any(|broken| broken == name) {
            return Err(Mistakes { diagnostics: obstacles }.into());
        }
        let refusal = Refusal::new(format!("no node `{name}`"));
        let hint = match nearest(name, project.nodes.keys().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`windlass ls` lists the nodes; a query goes behind --sql".to_owned(),
        };
        return Err(refusal.hint(hint).into());
    };
    // What is published can be read, whatever became of the files.
    if !node.is_published() && check::has_errors(&obstacles) {
        return Err(Mistakes { diagnostics: obstacles }.into());
    }
    Ok(node)
}

fn compiled(node: &Node) -> anyhow::Result<Answer> {
    let Some(transform) = node.transform() else {
        let refusal = Refusal::new(format!("`{}` is a {} and has no SQL", node.name, node.kind_name()));
        return Err(refusal.hint("only transforms have SQL; --schema prints the columns").into());
    };
    let sql = transform.sql.trim_end().to_owned();
    let result = Shown::Compiled { node: node.name.clone(), compiled: sql.clone() };
    Ok(Answer { result, text: sql, note: None })
}

/// Plans a node with everything that it needs, so that nothing needs to be published yet.
async fn schema(engine: &Engine, project: &Project, subject: Subject<'_>) -> anyhow::Result<Answer> {
    let schema = match subject {
        Subject::Sql(sql) => engine.show_sql(project, sql, 0).await?.schema,
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

async fn rows(engine: &Engine, project: &Project, subject: Subject<'_>, args: &ShowArgs) -> anyhow::Result<Answer> {
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
    };
    let (table_version, table_rows) = table.map_or((None, None), |(version, rows, _)| (Some(version), rows));
    let row_count = shown.batches.iter().map(arrow::array::RecordBatch::num_rows).sum();
    let text = match args.format {
        ShowFormat::Json => String::new(),
        ShowFormat::Csv => as_csv(&shown)?,
        ShowFormat::Text => {
            let table = pretty_format_batches_with_schema(Arc::clone(&shown.schema), &shown.batches);
            table.context("cannot print the rows")?.to_string()
        }
    };
    let columns = windlass_engine::columns(&shown.schema).into_iter().map(Into::into).collect();
    let rows = if args.format == ShowFormat::Json { as_json(&shown)? } else { RawValue::NULL.to_owned() };
    let (node, sql) = names(subject);
    let result = Shown::Rows { node, sql, columns, rows, row_count, table_version, table_rows };
    Ok(Answer { result, text, note: Some(beside(row_count, args.limit, table_rows, table_version)) })
}

fn not_published(node: &str) -> Refusal {
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
        Subject::Sql(sql) => (None, Some(sql.to_owned())),
    }
}

fn as_json(shown: &windlass_engine::Shown) -> anyhow::Result<Box<RawValue>> {
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, JsonArray>(Vec::new());
    for batch in &shown.batches {
        writer.write(batch).context("cannot print the rows as JSON")?;
    }
    writer.finish().context("cannot print the rows as JSON")?;
    let text = String::from_utf8(writer.into_inner())?;
    Ok(RawValue::from_string(if text.is_empty() { "[]".to_owned() } else { text })?)
}

fn as_csv(shown: &windlass_engine::Shown) -> anyhow::Result<String> {
    let mut writer = csv::Writer::new(Vec::new());
    // A header stands above no rows as well.
    writer
        .write(&arrow::array::RecordBatch::new_empty(Arc::clone(&shown.schema)))
        .context("cannot print the rows as CSV")?;
    for batch in &shown.batches {
        writer.write(batch).context("cannot print the rows as CSV")?;
    }
    Ok(String::from_utf8(writer.into_inner())?)
}
