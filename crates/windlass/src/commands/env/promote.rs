//! `windlass env promote`: publishes what an environment has built in its base.
//!
//! Takes the leases of both, so that no run writes to either meanwhile. A table is published as soon as
//! what it reads is; a promotion that ends early is repeated, and finds what it has done.

use std::sync::Arc;
use std::time::Instant;

use windlass_engine::{Below, Promotable, PromotableModel, PromoteRequest, Promoted};
use windlass_error::Code;
use windlass_project::{Project, Target};
use windlass_runner::{
    Clock, LeaseGuard, LeaseRequest, NewRun, NodeRunRow, RunEnd, RunId, RunOutcome, RunStore, SystemClock,
};

use super::load;
use crate::check::{self, Checked, Purpose};
use crate::choice;
use crate::cli::{EnvPromoteArgs, Format, SelectArgs};
use crate::compose::PromotionLeave;
use crate::printer::Printer;
use crate::refusal::Refusal;
use crate::report::{self, Status};
use crate::settings::Settings;
use crate::wire::{EnvPromoteReport, PromotedTable};
use crate::{human, open};

/// What became of a table, and how long that took.
type Told = (PromotedTable, Option<String>);

/// A promotion at work.
struct Promotion<'a> {
    checked: &'a Checked,
    printer: &'a Printer,
    settings: &'a Settings,
    leases: [LeaseGuard; 2],
    store: Arc<RunStore>,
    clock: SystemClock,
    run_id: RunId,
    width: usize,
}

/// Promotes.
pub(super) fn run(args: &EnvPromoteArgs, settings: &Settings, printer: &Printer) -> anyhow::Result<Status> {
    let begun = Instant::now();
    let (loaded, settings) = load(args.name.as_ref(), args.to.as_ref(), (settings, &args.vars.vars), printer)?;
    let select = SelectArgs { selections: args.selections.clone(), ..SelectArgs::default() };
    let choice = choice::choose(loaded, &select)?;
    let checked = check::check(choice, Purpose::Look, None, &settings, printer)?;
    let project = &checked.choice.project;
    let Target { env, base, .. } = project.target.clone();
    let base = base.unwrap_or_default();
    let clock = SystemClock::new();
    let store = open::store(project)?;
    let run_id = RunId::generate(clock.now());
    let leases = [lease(&store, project, &base, &run_id)?, lease(&store, project, &env, &run_id)?];
    let engine = &checked.session.engine;
    let found = checked.session.block_on(Box::pin(engine.promotions(
        project,
        &checked.plan,
        (&checked.choice.nodes, clock.now()),
    )))?;
    if !args.dry_run {
        refuse(&found, (&env, &base), args.allow_stale)?;
    }
    let width = found.iter().map(|table| table.table.chars().count()).max().unwrap_or_default();
    let is_done = found.iter().all(|table| table.below == Below::Same);
    let (tables, is_whole, run_id) = if args.dry_run || is_done {
        (found.iter().map(|table| (would(table), None)).collect(), true, None)
    } else {
        let promotion =
            Promotion { checked: &checked, printer, settings: &settings, leases, store, clock, run_id, width };
        let (tables, is_whole) = promotion.run(&found, &base)?;
        (tables, is_whole, Some(promotion.run_id.to_string()))
    };
    tell(args, printer, (&env, &base), (tables, width, run_id, begun))?;
    Ok(if is_whole { Status::Done } else { Status::Failures })
}

fn lease(store: &RunStore, project: &Project, env: &str, run_id: &RunId) -> anyhow::Result<LeaseGuard> {
    let request = LeaseRequest {
        lake: project.target.lake.clone(),
        env: env.to_owned(),
        run_id: run_id.clone(),
        command: "env promote".to_owned(),
    };
    Ok(LeaseGuard::acquire(store, &request)?)
}

/// Refuses where a table must not be published, or only by who says that it may.
fn refuse(found: &[Promotable], (env, base): (&str, &str), allow_stale: bool) -> anyhow::Result<()> {
    let stands =
        |table: &&Promotable| table.obstacle.as_ref().is_some_and(|obstacle| !(allow_stale && obstacle.may_be_ignored));
    let kept: Vec<&Promotable> = found.iter().filter(stands).collect();
    if kept.is_empty() {
        return Ok(());
    }
    let line = |table: &&Promotable| {
        let text = table.obstacle.as_ref().map(|obstacle| obstacle.text.as_str()).unwrap_or_default();
        format!("{}: {text}", table.table)
    };
    let lines: Vec<String> = kept.iter().map(line).collect();
    let refusal = Refusal::new(format!("cannot promote {env} to {base}\n{}", lines.join("\n")));
    let may_all = kept.iter().all(|table| table.obstacle.as_ref().is_some_and(|obstacle| obstacle.may_be_ignored));
    let way_out = if may_all { ", or publish what there is: --allow-stale" } else { "" };
    Err(refusal.code(Code::PROMOTION).hint(format!("bring it up to date: windlass run -e {env}{way_out}")).into())
}

impl Promotion<'_> {
    /// Promotes the tables in their order and writes it down; stops at the first that fails.
    fn run(&self, found: &[Promotable], base: &str) -> anyhow::Result<(Vec<Told>, bool)> {
        let target = &self.checked.choice.project.target;
        self.store.begin_run(&NewRun {
            run_id: self.run_id.clone(),
            command: "env promote".to_owned(),
            selection: self.checked.choice.text.clone(),
            target: target.name.clone(),
            env: base.to_owned(),
            lake: target.lake.clone(),
            version: open::VERSION.to_owned(),
            arguments: None,
        })?;
        let started_at = self.clock.now();
        let mut tables = Vec::new();
        let (mut rows, mut bytes, mut is_whole) = (0, 0, true);
        for table in found {
            if table.below == Below::Same {
                tables.push((would(table), None));
                continue;
            }
            let (begun, timer) = (self.clock.now(), Instant::now());
            let promoted = self.checked.session.block_on(Box::pin(self.promote(table, started_at.timestamp_millis())));
            let mut row = NodeRunRow::begun(self.run_id.as_str(), &table.table, 1, begun);
            row.elapsed_ms = u64::try_from(timer.elapsed().as_millis()).ok();
            match promoted {
                Ok(Some(done)) => {
                    (rows, bytes) = (rows + done.rows, bytes + done.bytes);
                    self.store.record_node(&published(row, &done))?;
                    let base_version = Some(done.version);
                    let one = PromotedTable { outcome: "promoted", base_version, ..would(table) };
                    tables.push((one, Some(human::duration(timer.elapsed()))));
                }
                other => {
                    row.outcome = Some(if other.is_ok() { "cancelled" } else { "failed" }.to_owned());
                    row.error_message = other.as_ref().err().map(|error| report::one_line(error));
                    self.store.record_node(&row)?;
                    tables.push((PromotedTable { outcome: "failed", ..would(table) }, None));
                    let why = match &other {
                        Err(error) => report::failure(error, self.printer.paint(), &mut Default::default()),
                        Ok(_) => "another run took over the lease of the lake; promote again when it has ended".into(),
                    };
                    self.printer.problem(&format!("  ✗ {:1$}  failed\n{why}", table.table, self.width));
                    is_whole = false;
                    break;
                }
            }
        }
        let outcome = if is_whole { RunOutcome::Success } else { RunOutcome::Failed };
        let reason = (!is_whole).then_some("node_failed");
        self.store.finish_run(&self.run_id, &RunEnd { outcome, reason, peak_memory_bytes: None, rows, bytes })?;
        Ok((tables, is_whole))
    }

    async fn promote(&self, table: &Promotable, sequence: i64) -> Result<Option<Promoted>, windlass_engine::Error> {
        let leave = PromotionLeave {
            node: table.table.clone(),
            leases: self.leases.iter().map(LeaseGuard::watch).collect(),
            hold_at: self.settings.hold_at.clone(),
            printer: self.printer.clone(),
        };
        let request = PromoteRequest { found: table, run_id: self.run_id.as_str(), sequence, progress: &leave };
        self.checked.session.engine.promote_to_base(&request).await
    }
}

fn published(row: NodeRunRow, done: &Promoted) -> NodeRunRow {
    NodeRunRow {
        kind: Some("promoted".to_owned()),
        outcome: Some("success".to_owned()),
        rows: Some(done.rows),
        bytes: Some(done.bytes),
        files: Some(done.files),
        table_version: Some(done.version),
        ..row
    }
}

fn would(table: &Promotable) -> PromotedTable {
    PromotedTable {
        name: table.table.clone(),
        kind: if table.model.is_some() { "model" } else { "table" },
        aliases: table.model.as_ref().map(PromotableModel::aliases).unwrap_or_default(),
        outcome: match (table.below, &table.obstacle) {
            (Below::Same, _) => "same",
            (_, Some(_)) => "refused",
            _ => "ready",
        },
        version: table.version,
        base_version: None,
        rows: table.rows,
        bytes: table.bytes,
        obstacle: table.obstacle.as_ref().map(|obstacle| obstacle.text.clone()),
    }
}

fn tell(
    args: &EnvPromoteArgs,
    printer: &Printer,
    (env, base): (&str, &str),
    (tables, width, run_id, begun): (Vec<Told>, usize, Option<String>, Instant),
) -> anyhow::Result<()> {
    if args.format == Format::Json {
        let (env, base, tables) = (env.to_owned(), base.to_owned(), tables.into_iter().map(|(one, _)| one).collect());
        return printer.json("env.promote", &EnvPromoteReport { env, base, run_id, dry_run: args.dry_run, tables });
    }
    if tables.is_empty() {
        printer.note(&format!("Nothing to promote: {env} has no table of its own among those"));
        return Ok(());
    }
    let mut count = 0;
    for (table, took) in tables.iter().filter(|(table, _)| table.outcome != "failed") {
        let (rows, aliases) = match table.kind {
            "model" => ("model".to_owned(), table.aliases.iter().map(|alias| format!("{alias} ")).collect()),
            _ => (human::counted(table.rows, "row"), String::new()),
        };
        let rows = format!("{rows:>16}  {:>8}", human::bytes(table.bytes));
        let text = match (table.outcome, table.base_version) {
            ("promoted", Some(version)) => {
                count += 1;
                format!("{rows}  {aliases}version {version} of {base}  {}", took.as_deref().unwrap_or_default())
            }
            ("same", _) => format!("the same in {base}"),
            ("refused", _) => format!("refused: {}", table.obstacle.as_deref().unwrap_or_default()),
            _ => format!("{rows}  {aliases}version {} of {env}", table.version),
        };
        let sign = if table.outcome == "refused" { "✗" } else { "✓" };
        printer.note(&format!("  {sign} {:width$}  {text}", table.name));
    }
    let is_done = tables.iter().all(|(table, _)| table.outcome == "same");
    let tables = counted(&tables);
    if is_done {
        printer.note(&format!("Nothing to promote: {base} has what {env} has built"));
        return Ok(());
    }
    let facts = [Some(human::duration(begun.elapsed())), run_id.map(|run| format!("run {run}"))];
    let facts = printer.paint().faint(&facts.into_iter().flatten().collect::<Vec<_>>().join("  "));
    match args.dry_run {
        true => printer.note(&format!("Would promote {tables} of {env} to {base}")),
        false => printer.note(&format!("Promoted {count} of {tables} of {env} to {base}  {facts}")),
    }
    Ok(())
}

/// Counts tables, and models where there are any, for people.
fn counted(all: &[Told]) -> String {
    match all.iter().any(|(one, _)| one.kind == "model") {
        true => format!("{} tables and models", all.len()),
        false => human::counted(all.len() as u64, "table"),
    }
}
