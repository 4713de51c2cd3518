//! Holds the keys of rows, which were counted, against the table that they refer to.
//!
//! Few different keys stand for many rows. So only the other table is read, and rows of ours no more than it
//! takes to show some that refer to nothing.

use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::prelude::{ident, lit};
use futures::TryStreamExt;
use windlass_project::checks::{CheckDefinition, CheckKind, Written};

use super::queries::{offending, own_rows};
use super::{Subject, unanswered};
use crate::checks::columns::{Values, View, is_integer, normalise};
use crate::checks::facts::{Queried, Unanswered};
use crate::checks::key_counts::{Integers, KeyCounts};
use crate::session::PlanStyle;
use crate::{Engine, Error};

/// Rows to be shown are looked for by so many of their keys.
const KEYS: usize = 1_000;

impl Engine {
    /// Looks at a check whose keys were counted, by a query where they were not or cannot be compared as they are.
    pub(super) async fn look_up_keys(
        &self,
        subject: &Subject<'_>,
        definition: &CheckDefinition,
        counts: &KeyCounts,
    ) -> std::result::Result<Queried, Unanswered> {
        if let (CheckKind::Relationships { columns, to, fields }, Some(integers)) =
            (&definition.kind, counts.integers())
            && let ([column], [field]) = (columns.as_slice(), fields.as_slice())
        {
            let orphans = self.orphaned(subject, (to, field), integers).await.map_err(|error| unanswered(&error))?;
            if let Some(orphans) = orphans {
                let found = self.rows_of_orphans(subject, definition, column, &orphans).await;
                let failed = |source| Error::Compute { node: subject.node.name.clone(), blame: None, source };
                return found.map_err(|source| unanswered(&failed(source)));
            }
        }
        self.look(subject, definition).await
    }

    /// Returns the integers that are not in a column of another table; `None` where that holds no integers.
    async fn orphaned(
        &self,
        subject: &Subject<'_>,
        (to, field): (&Written, &Written),
        mut integers: Integers,
    ) -> std::result::Result<Option<Integers>, Error> {
        let failed = |source| Error::Compute { node: subject.node.name.clone(), blame: None, source };
        let missing = || Error::NotPublished { table: to.text.clone() };
        let there = self.other(subject, &to.text).await?.ok_or_else(missing)?;
        let is_comparable = |data_type: &DataType| is_integer(data_type);
        if !there.schema().field_with_name(&field.text).is_ok_and(|field| is_comparable(field.data_type())) {
            return Ok(None);
        }
        let rows = self.session.context(PlanStyle::Fast).read_table(there);
        let rows = rows.and_then(|rows| rows.select([ident(&field.text)])).map_err(failed)?;
        let mut rows = rows.execute_stream().await.map_err(failed)?;
        while let Some(batch) = rows.try_next().await.map_err(failed)? {
            let array = normalise(batch.column(0)).map_err(|error| failed(error.into()))?;
            let view = View::of(&array);
            let Values::Integer(values) = &view.values else { return Ok(None) };
            match &view.nulls {
                None => values.iter().for_each(|value| integers.remove(*value)),
                Some(nulls) => nulls.valid_indices().for_each(|row| integers.remove(values[row])),
            }
        }
        Ok(Some(integers))
    }

    /// Counts the rows of keys, and reads some of them.
    async fn rows_of_orphans(
        &self,
        subject: &Subject<'_>,
        definition: &CheckDefinition,
        column: &Written,
        orphans: &Integers,
    ) -> Result<Queried> {
        let failing = orphans.left().map(|(_, rows)| rows).sum();
        let wanted = definition.kept_rows();
        if failing == 0 || wanted == 0 {
            return Ok(Queried { failing, ..Queried::default() });
        }
        let keys = orphans.left().take(KEYS.max(wanted)).map(|(key, _)| lit(key)).collect();
        let context = self.session.context(PlanStyle::Fast);
        let rows = own_rows(&context, subject, definition)?.filter(ident(&column.text).in_list(keys, false))?;
        let examples = offending(rows.limit(0, Some(wanted))?, wanted).await?.examples;
        Ok(Queried { failing, examples, ..Queried::default() })
    }
}
