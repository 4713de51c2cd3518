//! `windlass diff`: how a published table differs from an earlier version, from that of another
//! environment, or from another table.

use windlass_engine::{ColumnChange, DiffKey, DiffRequest, OtherTable, TableDiff};
use windlass_project::{Loaded, Node, Project, error_table};

use crate::cli::{DiffArgs, Format};
use crate::differences::{self, Cell, Line, spelled};
use crate::output::{Output, Prefix};
use crate::printer::Printer;
use crate::refusal::Refusal;
use crate::report::{Mistakes, Status};
use crate::session::Session;
use crate::settings::Settings;
use crate::style::Paint;
use crate::wire::DiffReport;
use crate::{choice, human, open};

/// How `--to` names another environment.
const ENV: &str = "env:";

/// Compares a table.
pub(super) fn run(args: &DiffArgs, settings: &Settings, printer: &Printer) -> anyhow::Result<Status> {
    let loaded = open::load(settings, &args.vars.vars)?;
    let Some(project) = &loaded.project else {
        return Err(Mistakes { diagnostics: loaded.diagnostics.clone() }.into());
    };
    let node = published(&loaded, project, &args.table)?;
    let other = match (&args.to, &args.with) {
        (Some(to), _) => parse(to)?,
        (None, Some(table)) => {
            published(&loaded, project, table)?;
            OtherTable::Table(table)
        }
        (None, None) => OtherTable::Before,
    };
    let usual = if node.name == args.table { node.key() } else { Vec::new() };
    let key = if args.key.is_empty() { DiffKey::Usual(&usual) } else { DiffKey::Wanted(&args.key) };
    let request = DiffRequest { table: &args.table, other, key, examples: args.limit };
    let session = Session::open(settings, project, None, Output::new(printer, Prefix::Worker))?;
    let diff = session.block_on(Box::pin(session.engine.diff(&request)))?;
    let label = label(&request.other, &diff);
    match args.format {
        Format::Json => printer.json("diff", &DiffReport::new(&request, &project.target.env, &diff))?,
        Format::Text => printer.data(&text(&args.table, &label, &diff, printer.data_paint())?)?,
    }
    Ok(if args.exit_code && !diff.is_equal() { Status::Failures } else { Status::Done })
}

/// Returns the node whose result or error rows a table holds.
fn published<'a>(loaded: &'a Loaded, project: &'a Project, table: &str) -> anyhow::Result<&'a Node> {
    let of_errors = project.nodes.values().find(|node| node.has_error_table() && error_table(&node.name) == table);
    if let (Some(node), false) = (of_errors, project.nodes.contains_key(table)) {
        return Ok(node);
    }
    let node = choice::find(loaded, table)?.node;
    match node.is_published() {
        true => Ok(node),
        false => {
            let refusal = Refusal::new(format!("`{table}` is a {} and has no versions", node.kind_name()));
            Err(refusal.hint("only published tables can be compared").into())
        }
    }
}

fn parse(to: &str) -> anyhow::Result<OtherTable<'_>> {
    if let Some(env) = to.strip_prefix(ENV).filter(|env| !env.is_empty()) {
        return Ok(OtherTable::Env(env));
    }
    let refusal = || Refusal::new(format!("`{to}` is neither a version nor an environment"));
    let version =
        to.parse().map_err(|_| refusal().hint("write --to 3 or --to env:dev; another table goes behind --with"))?;
    Ok(OtherTable::Version(version))
}

fn label(other: &OtherTable<'_>, diff: &TableDiff) -> String {
    let version = diff.other_version;
    match (other, &diff.other_base) {
        (OtherTable::Env(env), Some(base)) => format!("version {version} in {base}, the base of {env}"),
        (OtherTable::Env(env), None) => format!("version {version} in {env}"),
        (OtherTable::Table(table), base) => format!("{table} version {version}{}", in_base(base)),
        (OtherTable::Before | OtherTable::Version(_), base) => format!("version {version}{}", in_base(base)),
    }
}

fn in_base(base: &Option<String>) -> String {
    base.as_ref().map(|base| format!(" of {base}")).unwrap_or_default()
}

fn text(table: &str, other: &str, diff: &TableDiff, paint: Paint) -> anyhow::Result<String> {
    let mut lines =
        vec![format!("{} version {}{} against {other}", paint.strong(table), diff.version, in_base(&diff.base))];
    if diff.is_equal() {
        lines.push(format!("  equal, {}", human::counted(diff.rows, "row")));
        return Ok(lines.join("\n"));
    }
    lines.push(format!("  {}, {} there", human::counted(diff.rows, "row"), human::count(diff.other_rows)));
    lines.extend(diff.columns.iter().map(|change| format!("  {}", column(change))));
    let counts = [("missing", diff.missing), ("extra", diff.extra), ("changed", diff.changed)];
    let counts: Vec<String> = counts
        .into_iter()
        .filter(|(_, rows)| *rows > 0)
        .map(|(word, rows)| format!("{} {word}", human::counted(rows, "row")))
        .collect();
    let by = match (diff.key.as_slice(), diff.has_doubles) {
        ([], _) => ", whole rows compared: no key is known, --key names one".to_owned(),
        (key, true) => format!(", whole rows compared: several have the same {}", key.join(", ")),
        (key, false) => format!(", by {}", key.join(", ")),
    };
    match counts.is_empty() {
        true => lines.push("  the columns that both have are equal".to_owned()),
        false => lines.push(format!("  {}{by}", counts.join(", "))),
    }
    for (name, rows) in &diff.differing {
        let rows =
            rows.map_or_else(|| "differs".to_owned(), |rows| format!("differs in {}", human::counted(rows, "row")));
        lines.push(format!("  {} {rows}", paint.strong(name)));
    }
    if !diff.examples.is_empty() {
        lines.push(examples(diff, paint)?);
        let shown: u64 = diff.examples.iter().map(|example| example.times).sum();
        let all = diff.missing + diff.extra + diff.changed;
        if shown < all {
            lines.push(format!("and {} more", human::count(all - shown)));
        }
    }
    Ok(lines.join("\n"))
}

fn column(change: &ColumnChange) -> String {
    match change {
        ColumnChange::Added(column) => format!("column {} {} is new", column.name, column.data_type),
        ColumnChange::Removed(column) => format!("column {} {} is gone", column.name, column.data_type),
        ColumnChange::Retyped { column, other_type, is_compared } => {
            let note = if *is_compared { "" } else { ", not compared" };
            format!("column {} was {other_type}, is {}{note}", column.name, column.data_type)
        }
    }
}

fn examples(diff: &TableDiff, paint: Paint) -> anyhow::Result<String> {
    let columns: Vec<&str> = diff.compared.iter().map(String::as_str).collect();
    let mut lines = Vec::new();
    for example in &diff.examples {
        let (mark, row) = match (&example.own, &example.other) {
            (Some(own), Some(_)) => ("changed", own),
            (Some(own), None) => ("extra", own),
            (None, Some(other)) => ("missing", other),
            (None, None) => continue,
        };
        let mark = if example.times > 1 { format!("{} {mark}", human::count(example.times)) } else { mark.to_owned() };
        let cell = |at: usize| {
            let value = spelled(row, at, 0)?;
            match example.other.as_ref().filter(|_| example.columns.contains(&at)) {
                Some(other) => Ok(Cell::Changed(spelled(other, at, 0)?, value)),
                None => Ok(Cell::Same(value)),
            }
        };
        lines.push(Line { mark, cells: (0..columns.len()).map(cell).collect::<anyhow::Result<_>>()? });
    }
    Ok(differences::table(&columns, &lines, paint))
}
