//! `windlass env ls`: the environments of the lake.

use chrono::SecondsFormat;
use windlass_engine::Environment;
use windlass_runner::RunRow;

use super::open_session;
use crate::cli::{EnvLsArgs, Format};
use crate::printer::Printer;
use crate::report::Status;
use crate::settings::Settings;
use crate::style::Paint;
use crate::wire::{EnvListing, EnvRun, ListedEnv};
use crate::{human, open};

/// Prints the environments.
pub(super) fn run(args: &EnvLsArgs, settings: &Settings, printer: &Printer) -> anyhow::Result<Status> {
    let project = open::project(settings)?;
    let session = open_session(&project, settings, printer)?;
    let found = session.block_on(Box::pin(session.engine.list_environments()))?;
    let target = &project.target;
    let store = open::existing_store(&project)?;
    let runs = store.map(|store| store.runs(usize::MAX)).transpose()?.unwrap_or_default();
    let last = |name: &str| runs.iter().find(|run| run.env == name && run.lake == target.lake);
    let listed = |env: &Environment| ListedEnv {
        name: env.name.clone(),
        base: env.base.clone(),
        sample: env.sample.clone(),
        current: env.name == target.env,
        protected: target.is_protected(&env.name),
        tables: env.tables,
        rows: env.rows,
        bytes: env.bytes,
        last_run: last(&env.name).map(wire),
    };
    let environments: Vec<ListedEnv> = found.iter().map(listed).collect();
    match args.format {
        Format::Json => printer.json("env.ls", &EnvListing { lake: target.lake.clone(), environments })?,
        Format::Text if environments.is_empty() => printer.note("the lake has no environment yet"),
        Format::Text => printer.data(&text(&environments, printer.data_paint()))?,
    }
    Ok(Status::Done)
}

fn wire(run: &RunRow) -> EnvRun {
    EnvRun {
        run_id: run.run_id.clone(),
        command: run.command.clone(),
        started_at: run.started_at.to_rfc3339_opts(SecondsFormat::Millis, true),
        outcome: run.outcome.clone(),
    }
}

fn text(environments: &[ListedEnv], paint: Paint) -> String {
    let width = environments.iter().map(|env| env.name.chars().count()).max().unwrap_or_default();
    let on = |env: &ListedEnv| env.base.as_ref().map(|base| format!("on {base}")).unwrap_or_default();
    let base_width = environments.iter().map(|env| on(env).chars().count()).max().unwrap_or_default();
    let line = |env: &ListedEnv| {
        let tables = human::counted(env.tables, "table");
        let size = if env.tables == 0 { String::new() } else { human::bytes(env.bytes) };
        let at = |run: &EnvRun| run.started_at.get(..19).unwrap_or_default().replace('T', " ");
        let mut facts: Vec<String> = env.last_run.iter().map(|run| format!("last run {} UTC", at(run))).collect();
        facts.extend(env.sample.iter().map(|sample| format!("sample {sample}")));
        facts.extend(env.protected.then(|| "protected".to_owned()));
        facts.extend(env.current.then(|| "this one".to_owned()));
        let facts = paint.faint(&facts.join(", "));
        format!("{:width$}  {:base_width$}  {tables:>10}  {size:>9}  {facts}", env.name, on(env))
    };
    environments.iter().map(|env| line(env).trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}
