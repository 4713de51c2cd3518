//! `windlass env diff`: how the tables of an environment differ from those of its base.

use windlass_engine::{DiffKey, DiffRequest, Engine, EnvironmentTable, OtherTable, TableChange, TableDiff};
use windlass_project::Project;

use super::{load, open_session};
use crate::cli::{EnvDiffArgs, Format};
use crate::human;
use crate::printer::Printer;
use crate::report::Status;
use crate::settings::Settings;
use crate::style::Paint;
use crate::wire::{EnvDiffReport, EnvDiffTable};

/// Prints the tables.
pub(super) fn run(args: &EnvDiffArgs, settings: &Settings, printer: &Printer) -> anyhow::Result<Status> {
    let (loaded, settings) = load(args.name.as_ref(), args.to.as_ref(), (settings, &args.vars.vars), printer)?;
    let Some(project) = &loaded.project else { return Ok(Status::Done) };
    let session = open_session(project, &settings, printer)?;
    let engine = &session.engine;
    let tables = session.block_on(Box::pin(async {
        let mut tables = Vec::new();
        for table in engine.environment_tables(project).await? {
            let diff = if args.rows { rows(engine, project, &table).await? } else { None };
            tables.push(wire(table, diff));
        }
        Ok::<_, windlass_engine::Error>(tables)
    }))?;
    let (env, base) = (project.target.env.clone(), project.target.base.clone().unwrap_or_default());
    match args.format {
        Format::Json => printer.json("env.diff", &EnvDiffReport { env, base, tables })?,
        Format::Text if tables.is_empty() => printer.note(&format!("{env} has no table of its own")),
        Format::Text => printer.data(&text(&env, &base, &tables, printer.data_paint()))?,
    }
    Ok(Status::Done)
}

/// Compares the rows of a table that both have and that is not known to be the same.
async fn rows(
    engine: &Engine,
    project: &Project,
    table: &EnvironmentTable,
) -> Result<Option<TableDiff>, windlass_engine::Error> {
    if table.below.is_none() || table.change == TableChange::Same {
        return Ok(None);
    }
    let usual = project.nodes.get(&table.table).map(|node| node.key()).unwrap_or_default();
    let base = project.target.base.as_deref().unwrap_or_default();
    let (other, key) = (OtherTable::Env(base), DiffKey::Usual(&usual));
    engine.diff(&DiffRequest { table: &table.table, other, key, examples: 0 }).await.map(Some)
}

fn wire(table: EnvironmentTable, diff: Option<TableDiff>) -> EnvDiffTable {
    let counts = diff.map(|diff| (diff.missing, diff.extra, diff.changed));
    EnvDiffTable {
        name: table.table,
        change: table.change.as_str(),
        reason: Some(table.reason).filter(|reason| !reason.is_empty()),
        version: table.own.0,
        rows: table.own.1,
        base_version: table.below.map(|(version, _)| version),
        base_rows: table.below.and_then(|(_, rows)| rows),
        missing_rows: counts.map(|counts| counts.0),
        extra_rows: counts.map(|counts| counts.1),
        changed_rows: counts.map(|counts| counts.2),
    }
}

fn text(env: &str, base: &str, tables: &[EnvDiffTable], paint: Paint) -> String {
    let width = tables.iter().map(|table| table.name.chars().count()).max().unwrap_or_default();
    let mut lines = vec![format!("{env} against {base}")];
    for table in tables {
        let rows = table.rows.map(|rows| human::counted(rows, "row")).unwrap_or_default();
        let mut facts: Vec<String> = table.reason.iter().cloned().collect();
        facts.extend(table.base_rows.map(|rows| format!("{} in {base}", human::counted(rows, "row"))));
        let counts = [("missing", table.missing_rows), ("extra", table.extra_rows), ("changed", table.changed_rows)];
        let counts = counts.iter().filter_map(|(word, rows)| Some((word, rows.filter(|rows| *rows > 0)?)));
        facts.extend(counts.map(|(word, rows)| format!("{} {word}", human::counted(rows, "row"))));
        let change = match table.change {
            "definition" => "changed",
            other => other,
        };
        let facts = facts.join("; ");
        let line = format!("  {change:7}  {}  {rows:>14}  {}", paint.strong(&format!("{:width$}", table.name)), facts);
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n")
}
