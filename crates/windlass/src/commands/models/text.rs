//! Models for people: lists, one version, a change.

use windlass_model::{ModelVersion, Verdict};

use crate::human;
use crate::style::Paint;
use crate::wire::models::{AliasChanged, ListedModel, ModelDetail};

/// Metrics that a line has room for.
const METRICS_IN_LINE: usize = 3;

/// Returns a line for each model.
pub(super) fn listing(models: &[ListedModel], paint: Paint) -> String {
    let width = models.iter().map(|model| model.name.chars().count()).max().unwrap_or_default();
    let line = |model: &ListedModel| {
        let aliases: Vec<String> = model.aliases.iter().map(|(alias, version)| format!("{alias} {version}")).collect();
        let versions = human::counted(model.versions as u64, "version");
        let facts = format!("{} {}", model.newest.format.name(), model.newest.task.name());
        let line = format!("{:width$}  {versions:>12}  {facts:24}  {}", model.name, aliases.join(", "));
        format!("{}  {}", line.trim_end(), paint.faint(&date(&model.newest.created)))
    };
    models.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Returns all about a version, then the others and the history of aliases.
pub(super) fn detail(detail: &ModelDetail, paint: Paint) -> String {
    let version = &detail.version;
    let mut lines = Vec::new();
    let mut fact = |name: &str, value: String| lines.push(format!("{name:11}  {value}"));
    fact("model", paint.strong(&detail.name));
    fact("version", format!("{}{}", version.version, in_brackets(&aliases_of(detail, version))));
    fact("created", date(&version.created));
    fact("kind", format!("{}, {}", version.task.name(), version.format.name()));
    if let Some(run) = &version.run_id {
        fact("run", run.clone());
    }
    for artifact in &version.artifacts {
        fact("file", format!("{}, {}, sha256 {}", artifact.path, human::bytes(artifact.bytes), &artifact.sha256));
    }
    if let Some(classes) = &version.classes {
        fact("classes", classes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    }
    for input in &version.inputs {
        fact("trained on", format!("{} at {}", input.table, input.version));
    }
    for (title, columns) in [("reads", &version.signature.inputs), ("answers", &version.signature.outputs)] {
        for column in columns {
            let optional = if column.nullable { "" } else { ", not NULL" };
            fact(title, format!("{} {}{optional}", column.name, paint.faint(&column.data_type.to_string())));
        }
    }
    for (name, value) in &version.metrics {
        fact("metric", format!("{name} {}", number(*value)));
    }
    for gate in &version.gates {
        let verdict = match gate.verdict {
            Verdict::Pass => paint.good("met"),
            Verdict::Fail | Verdict::Error => paint.bad("missed"),
        };
        fact("gate", format!("{verdict}  {}", gate.describe()));
    }
    for (name, value) in &version.params {
        fact("parameter", format!("{name} {value}"));
    }
    lines.push(String::new());
    lines.extend(detail.versions.iter().rev().map(|version| version_line(detail, version, paint)));
    if !detail.history.is_empty() {
        lines.push(String::new());
    }
    for entry in detail.history.iter().rev() {
        let place = |version: Option<u64>| version.map_or_else(|| "nothing".to_owned(), |version| version.to_string());
        let how = match (entry.is_rollback, entry.is_forced) {
            (true, _) => ", back",
            (false, true) => ", forced",
            (false, false) => "",
        };
        let change = format!("{} from {} to {}{how}", entry.alias, place(entry.previous), place(entry.version));
        lines.push(format!("{}  {change}  {}", date(&entry.at), paint.faint(&format!("by {}", entry.by))));
    }
    lines.join("\n")
}

/// Returns what became of an alias.
pub(super) fn changed(changed: &AliasChanged) -> String {
    let AliasChanged { model, alias, env, .. } = changed;
    let place =
        |version: Option<u64>| version.map_or_else(|| "nothing".to_owned(), |version| format!("version {version}"));
    if !changed.changed {
        return format!("`{alias}` of `{model}` is at {} already", place(changed.version));
    }
    let forced = if changed.forced { ", though it missed a gate" } else { "" };
    let (from, to) = (place(changed.previous), place(changed.version));
    format!("`{alias}` of `{model}` in `{env}`: from {from} to {to}{forced}")
}

/// Returns a number with the digits that matter.
pub(super) fn number(number: f64) -> String {
    if number == 0.0 || (1e-3..1e7).contains(&number.abs()) {
        let text = format!("{number:.6}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    format!("{number:.4e}")
}

/// Returns a moment to the second.
pub(super) fn date(moment: &str) -> String {
    moment.get(..19).unwrap_or(moment).replace('T', " ")
}

fn version_line(detail: &ModelDetail, version: &ModelVersion, paint: Paint) -> String {
    let gate = if version.missed_gate().is_some() { paint.bad("missed a gate") } else { String::new() };
    let metrics = version.metrics.iter().take(METRICS_IN_LINE);
    let metrics: Vec<String> = metrics.map(|(name, value)| format!("{name} {}", number(*value))).collect();
    let parts = [
        format!("{:>4}", version.version),
        date(&version.created),
        metrics.join(", "),
        aliases_of(detail, version),
        gate,
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ")
}

fn aliases_of(detail: &ModelDetail, version: &ModelVersion) -> String {
    let aliases = detail.aliases.iter().filter(|(_, target)| **target == version.version);
    aliases.map(|(alias, _)| alias.as_str()).collect::<Vec<_>>().join(", ")
}

fn in_brackets(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" ({text})") }
}
