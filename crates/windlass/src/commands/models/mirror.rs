//! Points an alias of MLflow's registry where that of ours points, where a server is named.

use windlass_model::VersionRef;
use windlass_model::mlflow::REFERENCE;

use super::Models;
use crate::printer::Printer;
use crate::settings::Settings;
use crate::{report, tracking};

impl Models {
    /// Moves the alias at the server, and says so. Our registry has changed already: a server that is away is told of, and
    /// fails nothing.
    pub(super) fn mirror(
        &self,
        model: &str,
        alias: &str,
        version: Option<u64>,
        (settings, printer): (&Settings, &Printer),
    ) {
        let Some(version) = version else { return };
        let client = match tracking::client(&settings.environment, &self.target) {
            Ok(Some(client)) => client,
            Ok(None) => return,
            Err(error) => return printer.note(&format!("MLflow does not know of it: {error}")),
        };
        let moved = self.session.block_on(async {
            let record = self.registry.get(model, &VersionRef::Number(version)).await?;
            // What comes from a server follows the alias there.
            if record.params.contains_key(REFERENCE) {
                return Ok(None);
            }
            let Some(theirs) = client.version_of(&record).await? else {
                return Ok(Some(format!("MLflow has no version of `{model}` that is version {version} here")));
            };
            client.set_alias(model, alias, &theirs).await?;
            Ok::<_, windlass_model::Error>(Some(format!("`{model}@{alias}` is version {theirs} at {}", client.shown())))
        });
        match moved {
            Ok(Some(text)) => printer.note(&text),
            Ok(None) => {}
            Err(error) => printer.note(&format!("MLflow does not know of it: {}", report::in_a_line(&error))),
        }
    }
}
