//! `windlass profile`: statistics of every column of a table, in one pass.
//!
//! `--accept` stores them, and from then on they are what drift with `baseline: stored` is measured from.
//! Nothing else ever changes that.

use windlass_engine::{Accepted, ColumnProfile, Figure, TableProfile};
use windlass_error::Code;
use windlass_runner::{Clock, SystemClock};

use crate::cli::{Format, ProfileArgs};
use crate::output::{Output, Prefix};
use crate::printer::Printer;
use crate::refusal::Refusal;
use crate::report::{Mistakes, Status};
use crate::session::Session;
use crate::settings::Settings;
use crate::style::Paint;
use crate::wire::ProfileReport;
use crate::{check, choice, human, open};

/// Heights of the bars of a histogram.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Characters of a value at most.
const VALUE_WIDTH: usize = 40;
/// The most frequent values that are printed.
const TOP: usize = 5;

/// Prints a profile, and stores it where that is wanted.
pub(super) fn run(args: &ProfileArgs, settings: &Settings, printer: &Printer) -> anyhow::Result<Status> {
    let loaded = open::load(settings, &args.vars.vars)?;
    let Some(project) = &loaded.project else { return Err(Mistakes { diagnostics: loaded.diagnostics }.into()) };
    let found = choice::find(&loaded, &args.node)?;
    if !found.node.is_published() && check::has_errors(&found.obstacles) {
        return Err(Mistakes { diagnostics: found.obstacles }.into());
    }
    if !found.node.is_published() && args.version.is_some() {
        let refusal = Refusal::new(format!("`{}` is a {} and has no versions", args.node, found.node.kind_name()));
        return Err(refusal.hint("leave out --version: it is looked at as it is now").into());
    }
    let session = Session::open(settings, project, args.threads, Output::new(printer, Prefix::Worker))?;
    let engine = &session.engine;
    let profile = session.block_on(Box::pin(engine.profile(project, &args.node, args.version)))?;
    let now = SystemClock::new().now();
    if args.accept {
        if profile.rows == 0 {
            let refusal = Refusal::new(format!("`{}` has no rows, so nothing can be measured from it", args.node));
            return Err(refusal.code(Code::INVALID_VALUE).hint("accept a profile of a table with rows").into());
        }
        session.block_on(Box::pin(engine.accept_profile(&profile, now)))?;
    }
    let baseline = match args.accept {
        true => Some(Accepted { version: profile.version, at: now }),
        false => profile.accepted,
    };
    match args.format {
        Format::Json => printer.json("profile", &ProfileReport::new(&profile, args.accept, baseline))?,
        Format::Text => {
            printer.data(&text(&profile, printer.data_paint()))?;
            printer.note(&about_baseline(args.accept, baseline));
        }
    }
    Ok(Status::Done)
}

fn about_baseline(accepted: bool, baseline: Option<Accepted>) -> String {
    let of = |baseline: Accepted| match baseline.version {
        Some(version) => format!("version {version}"),
        None => "these rows".to_owned(),
    };
    match baseline {
        Some(baseline) if accepted => format!("Accepted: `baseline: stored` is {} from now on", of(baseline)),
        Some(baseline) => {
            format!("`baseline: stored` is {}, accepted {}", of(baseline), baseline.at.format("%Y-%m-%d %H:%M"))
        }
        None => "No profile is stored; --accept makes this one the baseline of drift".to_owned(),
    }
}

fn text(profile: &TableProfile, paint: Paint) -> String {
    let facts = [
        profile.version.map(|version| format!("version {version}")),
        Some(human::counted(profile.rows, "row")),
        Some(human::counted(profile.columns.len() as u64, "column")),
    ];
    let facts: Vec<String> = facts.into_iter().flatten().collect();
    let mut text = format!("{}  {}\n", paint.strong(&profile.table), paint.faint(&facts.join(", ")));
    for column in &profile.columns {
        text.push_str(&format!("\n{}  {}\n", paint.strong(&printable(&column.name)), paint.faint(&column.data_type)));
        for line in lines(column, profile.rows) {
            text.push_str(&format!("  {line}\n"));
        }
    }
    text
}

/// Returns the lines about a column: how many values, which, and how they are spread.
fn lines(column: &ColumnProfile, rows: u64) -> Vec<String> {
    let mut lines = vec![counts(column, rows), values(column)];
    if column.histogram.len() > 1 {
        lines.push(bars(column));
    }
    let frequent = column.top.iter().take(TOP);
    let frequent =
        frequent.map(|(value, count)| format!("{} {}", shown(value), human::percent(*count, rows))).collect::<Vec<_>>();
    lines.push(frequent.join(", "));
    lines.retain(|line| !line.is_empty());
    lines
}

fn counts(column: &ColumnProfile, rows: u64) -> String {
    let part = |word: &str, count: u64| match count {
        0 => format!("no {word}"),
        count => format!("{} {word} ({})", human::count(count), human::percent(count, rows)),
    };
    let mut parts = vec![part("NULL", column.nulls)];
    parts.extend((column.nans > 0).then(|| part("NaN", column.nans)));
    parts.extend(
        column.distinct.map(|(count, is_exact)| {
            format!("{}{} different", if is_exact { "" } else { "about " }, human::count(count))
        }),
    );
    parts.join(", ")
}

fn values(column: &ColumnProfile) -> String {
    let quantile = |wanted: f64| column.quantiles.iter().find(|(at, _)| *at == wanted).map(|(_, value)| value);
    let number = |value: f64| Figure::Float(value);
    let parts = [
        ("min", column.min.clone()),
        ("p25", quantile(0.25).cloned()),
        ("median", quantile(0.5).cloned()),
        ("p75", quantile(0.75).cloned()),
        ("max", column.max.clone()),
        ("mean", column.mean.map(number)),
        ("stddev", column.stddev.map(number)),
    ];
    let mut parts: Vec<String> =
        parts.iter().filter_map(|(word, value)| Some(format!("{word} {}", shown(value.as_ref()?)))).collect();
    parts.extend(column.lengths.map(|(shortest, longest)| format!("{shortest} to {longest} characters")));
    parts.join("  ")
}

fn bars(column: &ColumnProfile) -> String {
    let most = column.histogram.iter().map(|bar| bar.rows).max().unwrap_or(1).max(1);
    let height = |rows: u64| match rows {
        0 => ' ',
        rows => HEIGHTS[((rows as f64 / most as f64 * HEIGHTS.len() as f64).ceil() as usize).clamp(1, 8) - 1],
    };
    let bars: String = column.histogram.iter().map(|bar| height(bar.rows)).collect();
    match (column.histogram.first(), column.histogram.last()) {
        (Some(first), Some(last)) => format!("{}▕{bars}▏{}", shown(&first.from), shown(&last.to)),
        _ => bars,
    }
}

fn shown(value: &Figure) -> String {
    let text = printable(&value.to_string());
    match text.char_indices().nth(VALUE_WIDTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None if text.is_empty() => "''".to_owned(),
        None => text,
    }
}

/// Returns a text without what a terminal would obey.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
