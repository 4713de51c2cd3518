//! `windlass models compare`: what differs between two versions.

use std::collections::{BTreeMap, BTreeSet};

use windlass_model::{ModelVersion, Registry, VersionRef};

use super::{Models, text};
use crate::cli::Format;
use crate::cli::models::ModelsCompareArgs;
use crate::printer::Printer;
use crate::wire::models::{ComparedFact, ComparedMetric, ComparedVersion, ModelComparison};

/// The version that a name alone means.
const CHAMPION: &str = "champion";

impl Models {
    pub(super) fn compare(&self, args: &ModelsCompareArgs, printer: &Printer) -> anyhow::Result<()> {
        let comparison = self.session.block_on(async {
            let first = self.version(&args.first, VersionRef::Alias(CHAMPION.to_owned())).await?;
            let second = match &args.second {
                Some(second) => self.version(second, VersionRef::Latest).await?,
                None => self.registry.get(&args.first.model, &VersionRef::Latest).await?,
            };
            Ok::<_, windlass_model::Error>(ModelComparison {
                env: self.env.clone(),
                first: side(&self.registry, &first).await?,
                second: side(&self.registry, &second).await?,
                metrics: metrics(&first, &second),
                params: facts(&first.params, &second.params),
                inputs: facts(&inputs(&first), &inputs(&second)),
                columns: facts(&columns(&first), &columns(&second)),
            })
        })?;
        match args.format {
            Format::Json => printer.json("models.compare", &comparison)?,
            Format::Text => printer.data(&as_text(&comparison))?,
        }
        Ok(())
    }
}

async fn side(registry: &Registry, version: &ModelVersion) -> Result<ComparedVersion, windlass_model::Error> {
    let aliases = registry.aliases(&version.model).await?;
    Ok(ComparedVersion {
        model: version.model.clone(),
        version: version.version,
        aliases: aliases.of(version.version).into_iter().map(str::to_owned).collect(),
        created: version.created.clone(),
        missed_gate: version.missed_gate().map(windlass_model::Gate::describe),
    })
}

fn metrics(first: &ModelVersion, second: &ModelVersion) -> Vec<ComparedMetric> {
    let names: BTreeSet<&String> = first.metrics.keys().chain(second.metrics.keys()).collect();
    let metric = |name: &String| {
        let (first, second) = (first.metrics.get(name).copied(), second.metrics.get(name).copied());
        let difference = first.zip(second).map(|(first, second)| second - first);
        ComparedMetric { name: name.clone(), first, second, difference }
    };
    names.into_iter().map(metric).collect()
}

/// Returns the facts that are not the same.
fn facts(first: &BTreeMap<String, String>, second: &BTreeMap<String, String>) -> Vec<ComparedFact> {
    let names: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    let fact = |name: &String| ComparedFact {
        name: name.clone(),
        first: first.get(name).cloned(),
        second: second.get(name).cloned(),
    };
    names.into_iter().map(fact).filter(|fact| fact.first != fact.second).collect()
}

fn inputs(version: &ModelVersion) -> BTreeMap<String, String> {
    version.inputs.iter().map(|input| (input.table.clone(), input.version.clone())).collect()
}

fn columns(version: &ModelVersion) -> BTreeMap<String, String> {
    let signature = &version.signature;
    let all = signature.inputs.iter().chain(&signature.outputs);
    all.map(|column| (column.name.clone(), column.data_type.to_string())).collect()
}

fn as_text(comparison: &ModelComparison) -> String {
    let head = |side: &ComparedVersion| {
        let aliases = if side.aliases.is_empty() { String::new() } else { format!(" ({})", side.aliases.join(", ")) };
        format!("{} version {}{aliases}", side.model, side.version)
    };
    let mut rows = vec![[String::new(), head(&comparison.first), head(&comparison.second), String::new()]];
    let created = |side: &ComparedVersion| text::date(&side.created);
    rows.push(["created".to_owned(), created(&comparison.first), created(&comparison.second), String::new()]);
    let gate = |side: &ComparedVersion| side.missed_gate.as_ref().map_or("met", |_| "missed").to_owned();
    rows.push(["gates".to_owned(), gate(&comparison.first), gate(&comparison.second), String::new()]);
    let shown = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), text::number);
    for metric in &comparison.metrics {
        let difference = metric.difference.map(|difference| {
            let sign = if difference > 0.0 { "+" } else { "" };
            format!("{sign}{}", text::number(difference))
        });
        rows.push([metric.name.clone(), shown(metric.first), shown(metric.second), difference.unwrap_or_default()]);
    }
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    for (kind, facts) in
        [("parameter", &comparison.params), ("trained on", &comparison.inputs), ("column", &comparison.columns)]
    {
        for fact in facts {
            rows.push([format!("{kind} {}", fact.name), text(&fact.first), text(&fact.second), String::new()]);
        }
    }
    let width = |at: usize| rows.iter().map(|row: &[String; 4]| row[at].chars().count()).max().unwrap_or_default();
    let (a, b, c) = (width(0), width(1), width(2));
    let line = |row: &[String; 4]| {
        let [name, first, second, difference] = row;
        format!("{name:a$}  {first:>b$}  {second:>c$}  {difference}").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
