//! `windlass models`: versions of trained models, and what their aliases point at.

use std::collections::BTreeMap;

use windlass_model::{AliasChange, AliasEntry, Aliases, Expected, Gating, ModelVersion, Registry, VersionRef};
use windlass_project::Target;
use windlass_runner::{Clock, SystemClock};

use crate::cli::Format;
use crate::cli::models::{ModelsCommand, ModelsLsArgs, ModelsPromoteArgs, ModelsRollbackArgs, ModelsShowArgs};
use crate::open;
use crate::output::{Output, Prefix};
use crate::printer::Printer;
use crate::report::Status;
use crate::session::Session;
use crate::settings::Settings;
use crate::wire::models::{AliasChanged, ListedModel, ModelDetail, ModelsListing};

mod compare;
mod mirror;
mod text;

/// What these commands work with.
struct Models {
    session: Session,
    registry: Registry,
    env: String,
    target: Target,
}

/// Does what was asked for.
pub(super) fn run(command: &ModelsCommand, settings: &Settings, printer: &Printer) -> anyhow::Result<Status> {
    let project = open::project(settings)?;
    let session = Session::open(settings, &project, None, Output::new(printer, Prefix::Worker))?;
    let (registry, env, target) = (session.engine.models(), project.target.env.clone(), project.target);
    let models = Models { registry, env, target, session };
    match command {
        ModelsCommand::Ls(args) => models.list(args, printer),
        ModelsCommand::Show(args) => models.show(args, printer),
        ModelsCommand::Promote(args) => models.promote(args, settings, printer),
        ModelsCommand::Rollback(args) => models.roll_back(args, settings, printer),
        ModelsCommand::Compare(args) => models.compare(args, printer),
    }?;
    Ok(Status::Done)
}

impl Models {
    fn list(&self, args: &ModelsLsArgs, printer: &Printer) -> anyhow::Result<()> {
        let models = self.session.block_on(async {
            let mut models = Vec::new();
            for name in self.registry.models().await? {
                let mut versions = self.registry.versions(&name).await?;
                let aliases = self.registry.aliases(&name).await?.targets;
                let count = versions.len();
                let Some(newest) = versions.pop() else { continue };
                models.push(ListedModel { name, versions: count, aliases, newest });
            }
            Ok::<_, windlass_model::Error>(models)
        })?;
        match args.format {
            Format::Json => printer.json("models.ls", &ModelsListing { env: self.env.clone(), models })?,
            Format::Text if models.is_empty() => {
                printer.note(&format!("no model in `{}`: a run that trains one registers it", self.env));
            }
            Format::Text => printer.data(&text::listing(&models, printer.data_paint()))?,
        }
        Ok(())
    }

    fn show(&self, args: &ModelsShowArgs, printer: &Printer) -> anyhow::Result<()> {
        let name = &args.model.model;
        let (version, versions, aliases) = self.session.block_on(async {
            let version = self.registry.get(name, &args.model.version).await?;
            let versions = self.registry.versions(name).await?;
            Ok::<_, windlass_model::Error>((version, versions, self.registry.aliases(name).await?))
        })?;
        let Aliases { targets: aliases, history } = aliases;
        let detail = ModelDetail { env: self.env.clone(), name: name.clone(), version, versions, aliases, history };
        match args.format {
            Format::Json => printer.json("models.show", &detail)?,
            Format::Text => printer.data(&text::detail(&detail, printer.data_paint()))?,
        }
        Ok(())
    }

    fn promote(&self, args: &ModelsPromoteArgs, settings: &Settings, printer: &Printer) -> anyhow::Result<()> {
        let name = &args.model.model;
        let (version, entry) = self.session.block_on(async {
            let version = self.registry.get(name, &args.model.version).await?;
            let change = AliasChange {
                alias: args.alias.clone(),
                version: Some(version.version),
                expected: match args.expect {
                    None => Expected::Anything,
                    Some(0) => Expected::Exactly(None),
                    Some(version) => Expected::Exactly(Some(version)),
                },
                gating: if args.force { Gating::Ignored } else { Gating::Held },
                at: now(),
                by: person(&settings.environment),
            };
            Ok::<_, windlass_model::Error>((version, self.registry.set_alias(name, &change).await?))
        })?;
        let changed = self.changed(name, &args.alias, Some(version.version), entry);
        tell("models.promote", args.format, &changed, printer)?;
        self.mirror(name, &args.alias, changed.version, (settings, printer));
        Ok(())
    }

    fn roll_back(&self, args: &ModelsRollbackArgs, settings: &Settings, printer: &Printer) -> anyhow::Result<()> {
        let (at, by) = (now(), person(&settings.environment));
        let back = self.registry.roll_back(&args.model, &args.alias, &at, &by);
        let entry = self.session.block_on(back)?;
        let changed = self.changed(&args.model, &args.alias, entry.version, Some(entry));
        tell("models.rollback", args.format, &changed, printer)?;
        self.mirror(&args.model, &args.alias, changed.version, (settings, printer));
        Ok(())
    }

    /// Returns what became of an alias; without a change it is at `version` already.
    fn changed(&self, model: &str, alias: &str, version: Option<u64>, entry: Option<AliasEntry>) -> AliasChanged {
        AliasChanged {
            env: self.env.clone(),
            model: model.to_owned(),
            alias: alias.to_owned(),
            version: entry.as_ref().map_or(version, |entry| entry.version),
            previous: entry.as_ref().map_or(version, |entry| entry.previous),
            changed: entry.is_some(),
            forced: entry.as_ref().is_some_and(|entry| entry.is_forced),
        }
    }

    /// Returns a version; of a name alone the one of `otherwise`.
    async fn version(
        &self,
        reference: &windlass_model::ModelRef,
        otherwise: VersionRef,
    ) -> Result<ModelVersion, windlass_model::Error> {
        let version = match &reference.version {
            VersionRef::Latest => &otherwise,
            version => version,
        };
        self.registry.get(&reference.model, version).await
    }
}

fn tell(command: &str, format: Format, changed: &AliasChanged, printer: &Printer) -> anyhow::Result<()> {
    match format {
        Format::Json => printer.json(command, changed)?,
        Format::Text => printer.note(&text::changed(changed)),
    }
    Ok(())
}

fn now() -> String {
    SystemClock::new().now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// Returns who is at the keyboard, as the history of aliases names them.
fn person(environment: &BTreeMap<String, String>) -> String {
    let named = ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| environment.get(*name));
    named.filter(|name| !name.is_empty()).cloned().unwrap_or_else(|| "somebody".to_owned())
}
