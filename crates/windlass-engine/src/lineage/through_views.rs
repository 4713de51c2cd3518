//! Takes tables that nobody can open, such as views, out of the lineage of those that read them.

use super::{ColumnInputs, ColumnLineage, Lineage, TableLineage};

impl Lineage {
    /// Returns a table's lineage in which only tables that are kept stand; in place of another one
    /// stands what that is computed from.
    pub fn through(&self, table: &str, is_kept: &dyn Fn(&str) -> bool) -> TableLineage {
        let Some(lineage) = self.tables.get(table) else { return TableLineage::default() };
        let mut resolved = TableLineage::default();
        let mut views = Vec::new();
        for read in &lineage.reads {
            let (reads, rows) = match self.tables.contains_key(read) && !is_kept(read) {
                true => {
                    let view = self.through(read, is_kept);
                    let found = (view.reads.clone(), view.rows.clone());
                    views.push((read.as_str(), view));
                    found
                }
                false => (vec![read.clone()], ColumnInputs::default()),
            };
            resolved.rows.merge(rows);
            for read in reads {
                if !resolved.reads.contains(&read) {
                    resolved.reads.push(read);
                }
            }
        }
        let resolve = |inputs: &ColumnInputs| resolve(inputs, &views);
        resolved.rows.merge(resolve(&lineage.rows));
        let columns = lineage.columns.iter();
        resolved.columns = columns
            .map(|known| ColumnLineage { column: known.column.clone(), inputs: resolve(&known.inputs) })
            .collect();
        resolved
    }
}

fn resolve(inputs: &ColumnInputs, views: &[(&str, TableLineage)]) -> ColumnInputs {
    let mut resolved = ColumnInputs::default();
    for (column, uses) in inputs.iter() {
        let view = views.iter().find(|(name, _)| *name == column.table);
        for usage in uses {
            match view.map(|(_, view)| view.column(&column.column)) {
                Some(known) => {
                    resolved.merge(known.map(|known| known.inputs.clone()).unwrap_or_default().used_as(*usage))
                }
                None => resolved.add(column.clone(), *usage),
            }
        }
    }
    resolved
}
