//! Carries a table from one environment to another: its files by links or copies, its error rows beside it,
//! and one commit that says what they were made from.
//!
//! Promotions carry tables down to the base. A table of the base is carried up where rows are to be added
//! to it, since nothing but a promotion writes to a base.

use windlass_project::error_table;

use crate::build::Phase;
use crate::fingerprint::{Inputs, Provenance, fingerprint};
use crate::storage::Place;
use crate::tables::publish::{Mode, Origin, PromotedFrom, Publication, publish};
use crate::tables::published::PublishedTable;
use crate::tables::{copy, gc, schema};
use crate::{BuildProgress, BuildRequest, Engine, Error};

/// What is carried, and where.
pub(super) struct Carry<'a> {
    /// The table's name.
    pub(super) name: &'a str,
    /// The table, and the environment that it stands in.
    pub(super) from: (&'a PublishedTable, &'a str),
    /// What its commit says.
    pub(super) known: &'a Provenance,
    /// The folder of the other environment.
    pub(super) to: &'a Place,
    /// What it was made from, in the words of the other environment.
    pub(super) inputs: &'a Inputs,
    /// The run, and what grows from run to run.
    pub(super) run: (&'a str, i64),
    /// Whether the other environment has not had these rows before.
    pub(super) is_new: bool,
    /// Asked for leave before the commit, where somebody is to be asked.
    pub(super) progress: Option<&'a dyn BuildProgress>,
}

/// What was published.
pub(super) struct Carried {
    pub(super) version: u64,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) files: u64,
}

impl Engine {
    /// Publishes a table in another environment. `None` when the progress forbids to publish.
    pub(super) async fn carry(&self, carry: &Carry<'_>) -> Result<Option<Carried>, Error> {
        let done = self.try_carry(carry).await;
        if !matches!(done, Ok(Some(_))) {
            for table in [carry.name.to_string(), error_table(carry.name)] {
                let place = carry.to.join(&table);
                if let Err(error) = gc::discard(&table, &place, carry.run.0, chrono::DateTime::UNIX_EPOCH).await {
                    tracing::warn!(table, %error, "copied files not removed, gc will");
                }
            }
        }
        done
    }

    async fn try_carry(&self, carry: &Carry<'_>) -> Result<Option<Carried>, Error> {
        let Carry { name, from: (table, env), known, to, inputs, run: (run_id, sequence), is_new, progress } = *carry;
        let definition = known.definition().unwrap_or_default();
        let fingerprint = fingerprint(&definition, inputs);
        let (verdicts, id) = (known.verdicts(), table.id());
        let origin = Origin {
            // What the run adds to a table that it has carried up is still to be done.
            run_id: if is_new { run_id } else { known.run_id() },
            sequence,
            fingerprint: &fingerprint,
            rows: 0,
            inputs,
            definition: &definition,
            content: None,
            columns: None,
            errors: None,
            verdicts: &[],
            incremental: None,
            is_computed: is_new,
            promoted: Some(PromotedFrom { env, version: table.version(), id: &id }),
        };
        let place = to.join(name);
        let copied = copy::copy(name, table, &place, run_id).await?;
        let (files, bytes) = (copied.len() as u64, copied.iter().map(|file| file.size as u64).sum());
        let errors = match self.errors_of(name, table).await? {
            None => None,
            Some(errors) => {
                let name = error_table(name);
                let place = to.join(&name);
                let copied = copy::copy(&name, &errors, &place, run_id).await?;
                Some((errors, place, copied))
            }
        };
        if let Some(progress) = progress {
            progress.phase(Phase::Staged);
            if !progress.begin_commit() {
                return Ok(None);
            }
        }
        // As in a build: error rows count once the result names their version.
        let errors = match errors {
            None => None,
            Some((errors, place, copied)) => {
                let rows = known.errors().map_or(0, |(_, rows)| rows);
                let origin = Origin { rows, ..origin };
                Some((republish(&error_table(name), &errors, &place, copied, origin).await?, rows))
            }
        };
        let (rows, content) = (known.rows(), known.content());
        let incremental = Some(known.incremental()).filter(|known| !known.is_null());
        let (content, contents) = (content.as_deref(), known.column_contents());
        let columns = Some(&contents);
        let origin = Origin { rows, content, columns, errors, verdicts: &verdicts, incremental, ..origin };
        let version = republish(name, table, &place, copied, origin).await?;
        if let Some(progress) = progress {
            progress.phase(Phase::Committed);
        }
        Ok(Some(Carried { version, rows, bytes, files }))
    }

    /// Makes a table of the base one of the environment's own, so that rows can be added to it.
    ///
    /// # Errors
    ///
    /// [`Error::NotPublished`] for a table of whose origin nothing is known, and those of [`Engine::promote_table`].
    pub(crate) async fn adopt(&self, request: &BuildRequest<'_>, table: &PublishedTable) -> Result<(), Error> {
        let name = &request.node.name;
        let Some(env) = table.base() else { return Ok(()) };
        let known = table.provenance().await.ok_or_else(|| Error::NotPublished { table: name.clone() })?;
        let inputs = table.inputs(&known);
        // The commit that adds rows is another one of the same run.
        let run = (request.run_id, request.sequence - 1);
        let (from, to) = ((table, env), &self.lake);
        let carry = Carry { name, from, known: &known, to, inputs: &inputs, run, is_new: false, progress: None };
        self.carry(&carry).await.map(|_| ())
    }
}

/// Publishes copied files as the next version of a table.
async fn republish(
    table: &str,
    from: &PublishedTable,
    place: &Place,
    files: Vec<deltalake_core::kernel::Add>,
    origin: Origin<'_>,
) -> Result<u64, Error> {
    let snapshot = from.snapshot();
    let schema = schema::published(table, &snapshot.arrow_schema())?;
    let partition_by = snapshot.metadata().partition_columns().to_vec();
    let mode = Mode::Replace;
    publish(Publication { table, place, schema: &schema, partition_by: &partition_by, files, mode, origin }).await
}
