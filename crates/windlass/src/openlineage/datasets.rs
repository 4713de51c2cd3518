//! Tables and files as OpenLineage names and describes them.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use windlass_engine::{ColumnInputs, Lineage, TableLineage, Use};
use windlass_project::{Node, NodeKind, Project, SYSTEM_FOLDER};

use super::Dataset;
use super::events::facet;

/// Column lineage with more entries than this is left out: it would be megabytes in each event.
const MOST_ENTRIES: usize = 10_000;

/// Knows the datasets of a project.
#[derive(Clone, Copy)]
pub(super) struct Datasets<'a> {
    pub(super) project: &'a Project,
    pub(super) lineage: &'a Lineage,
}

impl Datasets<'_> {
    /// Returns a table with its columns. `lineage` adds what they are computed from.
    pub(super) fn table(&self, table: &str, lineage: Option<&TableLineage>) -> Dataset {
        let mut dataset = place(&self.location(table));
        let mut facets = Map::new();
        let (namespace, _) = split(&self.location(table));
        facets.insert(
            "dataSource".to_owned(),
            facet("1-0-1/DatasourceDatasetFacet", json!({"name": namespace, "uri": self.location(table)})),
        );
        if let Some(known) = self.lineage.tables.get(table) {
            facets.insert("schema".to_owned(), self.schema(table, known));
        }
        if let Some(lineage) = lineage.and_then(|lineage| self.column_lineage(lineage)) {
            facets.insert("columnLineage".to_owned(), lineage);
        }
        dataset["facets"] = Value::Object(facets);
        dataset
    }

    /// Returns a model, by its name or a reference to one of its versions: the folder of its versions.
    pub(super) fn model(&self, reference: &str) -> Dataset {
        let (name, _) = reference.split_once('@').unwrap_or((reference, ""));
        let mut dataset = place(&self.location(&format!("{SYSTEM_FOLDER}/models/{name}")));
        dataset["facets"] = json!({});
        dataset
    }

    fn schema(&self, table: &str, known: &TableLineage) -> Value {
        let declared = self.project.nodes.get(table).map_or(&[][..], |node| &node.columns);
        let field = |name: &str, data_type: &str| {
            let column = declared.iter().find(|column| column.name == name);
            match column.and_then(|column| column.description.as_deref()) {
                Some(description) => json!({"name": name, "type": data_type, "description": description}),
                None => json!({"name": name, "type": data_type}),
            }
        };
        let fields = known.columns.iter().map(|known| field(&known.column.name, &known.column.data_type));
        facet("1-2-0/SchemaDatasetFacet", json!({"fields": fields.collect::<Vec<_>>()}))
    }

    fn column_lineage(&self, lineage: &TableLineage) -> Option<Value> {
        let entries = |inputs: &ColumnInputs| inputs.iter().count();
        let all = lineage.columns.iter().map(|column| entries(&column.inputs)).sum::<usize>() + entries(&lineage.rows);
        if all == 0 || all > MOST_ENTRIES {
            return None;
        }
        let columns = lineage.columns.iter().filter(|column| !column.inputs.is_empty());
        let field = |inputs: &ColumnInputs| json!({"inputFields": self.input_fields(inputs)});
        let fields = columns.map(|column| (column.column.name.clone(), field(&column.inputs)));
        let body = json!({"fields": fields.collect::<Map<_, _>>(), "dataset": self.input_fields(&lineage.rows)});
        Some(facet("1-2-0/ColumnLineageDatasetFacet", body))
    }

    fn input_fields(&self, inputs: &ColumnInputs) -> Vec<Value> {
        let field = |(column, uses): (&windlass_engine::ColumnRef, &BTreeSet<Use>)| {
            let (namespace, name) = split(&self.location(&column.table));
            let transformations: Vec<Value> = uses.iter().map(|usage| transformation(*usage)).collect();
            json!({"namespace": namespace, "name": name, "field": column.column, "transformations": transformations})
        };
        inputs.iter().map(field).collect()
    }

    /// Returns where a table stands: the path or pattern of a source's files, since others may stand in
    /// their folder, else its folder in the lake.
    fn location(&self, table: &str) -> String {
        let target = &self.project.target;
        match self.project.nodes.get(table).map(|node| &node.kind) {
            Some(NodeKind::Source(source)) => source.path.trim_start_matches("delta://").to_owned(),
            _ => format!("{}/{}/{table}", target.lake.trim_end_matches('/'), target.env),
        }
    }
}

/// Returns whether a table is there to be opened; the others are views.
pub(super) fn is_dataset(project: &Project, table: &str) -> bool {
    let is_view = |node: &Node| node.transform().is_some() && !node.is_published();
    !project.nodes.get(table).is_some_and(is_view)
}

/// Returns a dataset that is known by its place alone.
pub(super) fn place(location: &str) -> Dataset {
    let (namespace, name) = split(location);
    json!({"namespace": namespace, "name": name})
}

/// Returns a location's namespace and name, as OpenLineage's rules for naming want them.
fn split(location: &str) -> (String, String) {
    let location = location.strip_prefix("file://").unwrap_or(location);
    let shortened = |path: &str| if path.len() > 1 { path.trim_end_matches('/').to_owned() } else { path.to_owned() };
    match location.split_once("://") {
        None => ("file".to_owned(), shortened(location)),
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            let name = shortened(path);
            (format!("{scheme}://{authority}"), if name.is_empty() { "/".to_owned() } else { name })
        }
    }
}

/// Returns a use as OpenLineage puts it.
fn transformation(usage: Use) -> Value {
    let subtype = match usage {
        Use::Identity => "IDENTITY",
        Use::Transformation => "TRANSFORMATION",
        Use::Aggregation => "AGGREGATION",
        Use::Conditional => "CONDITIONAL",
        Use::Filter => "FILTER",
        Use::Join => "JOIN",
        Use::GroupBy => "GROUP_BY",
        Use::Sort => "SORT",
        Use::Window => "WINDOW",
    };
    let kind = if usage.is_direct() { "DIRECT" } else { "INDIRECT" };
    json!({"type": kind, "subtype": subtype, "description": "", "masking": false})
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn locations_are_named_as_their_stores_are() {
        let check = |location: &str, namespace: &str, name: &str| {
            assert_eq!(split(location), (namespace.to_owned(), name.to_owned()), "{location}");
        };
        check("/lake/prod/t", "file", "/lake/prod/t");
        check("file:///lake/prod/t/", "file", "/lake/prod/t");
        check("/", "file", "/");
        check("s3://bucket/lake/prod/t", "s3://bucket", "lake/prod/t");
        check("s3://bucket", "s3://bucket", "/");
        check("abfss://c@a.dfs.core.windows.net/x/", "abfss://c@a.dfs.core.windows.net", "x");
    }
}
