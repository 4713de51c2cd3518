//! `sources.yml`: tables that others write, and where their files are.

use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use windlass_error::{Code, Diagnostic, Location, SourceFile};

use crate::checks::{CheckDefinition, decode_checks, decode_column_checks};
use crate::columns::decode_columns;
use crate::config::{Patch, Settings, Subject, columns};
use crate::decode::{Fields, Named, delimiter, expected, flag, is_identifier, list, missing_key, named};
use crate::location::{is_url, resolve};
use crate::manifest::parse_file;
use crate::problems::Problems;
use crate::template::YamlTemplates;
use crate::yaml::{Yaml, duplicate};
use crate::{FileFormat, Node, NodeKind, SourceTable};

const TOP_KEYS: [&str; 2] = ["sources", "version"];
const SOURCE_KEYS: [&str; 12] = [
    "checks",
    "data_tests",
    "description",
    "format",
    "options",
    "owner",
    "partitioned_by",
    "path",
    "sample_key",
    "tables",
    "tags",
    "tests",
];
const TABLE_KEYS: [&str; 12] = [
    "checks",
    "columns",
    "data_tests",
    "description",
    "format",
    "options",
    "owner",
    "partitioned_by",
    "path",
    "sample_key",
    "tags",
    "tests",
];
const FORMATS: [&str; 4] = ["parquet", "csv", "json", "delta"];

/// The tables of all sources.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// Tables by source, also those that cannot be used.
    pub(crate) names: IndexMap<String, Vec<String>>,
    pub(crate) nodes: Vec<Node>,
    /// Names of tables that cannot be used.
    pub(crate) broken: Vec<String>,
    /// Sources that cannot be used, as `nyc.*`, each with its tables.
    pub(crate) broken_sources: Vec<(String, Vec<String>)>,
}

/// Reads all files of sources.
pub(crate) fn read_sources(
    files: &[Arc<SourceFile>],
    root: &Path,
    templates: &YamlTemplates,
    problems: &mut Problems,
) -> Sources {
    let mut sources = Sources::default();
    let mut places: IndexMap<String, Location> = IndexMap::new();
    for file in files {
        let Some(Some(yaml)) = parse_file(file, problems) else { continue };
        let what = format!("`{}`", file.path.display());
        let Some(fields) = Fields::open(&yaml, &what, &TOP_KEYS, problems) else { continue };
        let Some(entry) = fields.get("sources") else {
            problems.push(missing_key("sources", &what, &yaml.at));
            continue;
        };
        for source in named(&entry.value, "`sources`", problems) {
            if let Some(first) = places.get(&source.name) {
                problems.push(duplicate(&format!("source `{}`", source.name), first, &source.at));
                continue;
            }
            places.insert(source.name.clone(), source.at.clone());
            Reader { root, templates, sources: &mut sources }.source(&source, problems);
        }
    }
    sources
}

/// What a source says for its tables, or a table for itself.
#[derive(Debug, Clone, Default)]
struct Place {
    /// The rendered path, still with `{name}`, and where it is written.
    path: Option<(String, Location)>,
    format: Option<String>,
    delimiter: Option<u8>,
    header: Option<bool>,
    /// Where the first of the options stands.
    options_at: Option<Location>,
    partitioned_by: Option<Vec<String>>,
    /// An empty one takes back that of the source.
    sample_key: Option<(Vec<String>, Location)>,
}

/// What a source says for all its tables.
#[derive(Debug, Default)]
struct Common {
    source: String,
    place: Place,
    patch: Patch,
    /// Checks that every table has.
    checks: Vec<CheckDefinition>,
    is_broken: bool,
}

struct Reader<'a> {
    root: &'a Path,
    templates: &'a YamlTemplates,
    sources: &'a mut Sources,
}

impl Reader<'_> {
    fn source(&mut self, source: &Named<'_>, problems: &mut Problems) {
        let what = format!("source `{}`", source.name);
        if !is_identifier(&source.name) {
            problems.push(bad_name(&what, &source.at));
            return;
        }
        let raw = source.fields(&what, &SOURCE_KEYS, problems);
        let tables = match raw.and_then(|fields| fields.get("tables")) {
            Some(entry) => named(&entry.value, &format!("the tables of {what}"), problems),
            None => {
                problems.push(missing_key("tables", &what, &source.at));
                return;
            }
        };
        let names: Vec<String> = tables.iter().map(|table| table.name.clone()).collect();
        self.sources.names.insert(source.name.clone(), names.clone());

        // What is wrong here is wrong for every table, and said once.
        let whole = format!("{}.*", source.name);
        let mut own = Problems::of_node(&whole);
        let common = self.common(source, &what, &mut own);
        problems.absorb(own);
        if common.is_broken {
            let tables = names.iter().map(|table| format!("{}.{table}", source.name)).collect();
            self.sources.broken_sources.push((whole, tables));
        }
        for table in &tables {
            let mut own = Problems::of_node(&format!("{}.{}", source.name, table.name));
            match self.table(&common, table, &mut own) {
                Some(node) if !own.has_errors() => self.sources.nodes.push(node),
                _ => self.sources.broken.push(format!("{}.{}", source.name, table.name)),
            }
            problems.absorb(own);
        }
    }

    /// Reads what a source says for all its tables.
    fn common(&self, source: &Named<'_>, what: &str, problems: &mut Problems) -> Common {
        let mut common = Common { source: source.name.clone(), ..Common::default() };
        let Some(body) = source.body() else { return common };
        let body = self.templates.render(&without_tables(body), problems);
        // Its keys have been checked with the tables among them.
        let mut seen = Problems::default();
        if let Some(fields) = source.with_body(Some(&body)).fields(what, &SOURCE_KEYS, &mut seen) {
            common.place = Place::read(fields, problems);
            common.patch = Patch::of_properties(Subject::Source, fields.entries(), problems).without_description();
            common.checks = decode_checks(fields, None, problems);
        }
        common.is_broken = problems.has_errors();
        common
    }

    /// Reads a table; `None` where it or its source cannot be used.
    fn table(&self, common: &Common, table: &Named<'_>, problems: &mut Problems) -> Option<Node> {
        let name = format!("{}.{}", common.source, table.name);
        let what = format!("source table `{name}`");
        if !is_identifier(&table.name) {
            problems.push(bad_name(&what, &table.at));
            return None;
        }
        let body = table.body().map(|body| self.templates.render(body, problems));
        let rendered = table.with_body(body.as_ref());
        let fields = rendered.fields(&what, &TABLE_KEYS, problems)?;
        let own = Patch::of_properties(Subject::Source, fields.entries(), problems);
        let columns = decode_columns(fields, problems);
        let mut checks = decode_column_checks(fields, problems);
        checks.extend(decode_checks(fields, None, problems));
        checks.extend(common.checks.iter().cloned());
        let place = Place::read(fields, problems).or(&common.place);
        if common.is_broken {
            return None;
        }
        let Some((path, path_at)) = &place.path else {
            let problem = missing_key("path", &what, &table.at);
            problems.push(problem.hint("set it here, or for all tables of the source: `path: data/{name}.parquet`"));
            return None;
        };
        let (format, path) = place.format(&path.replace("{name}", &table.name), path_at, problems)?;
        let (sample_key, sample_key_at) = place.sample_key.unzip();
        let kind = NodeKind::Source(SourceTable {
            source: common.source.clone(),
            table: table.name.clone(),
            path: resolve(self.root, &path),
            format,
            partitioned_by: place.partitioned_by.unwrap_or_default(),
            sample_key: sample_key.unwrap_or_default(),
            sample_key_at,
        });
        let (file, location) = (Arc::clone(&table.at.file), table.at.clone());
        let config = Settings::resolve([&common.patch, &own]).config;
        Some(Node { name, file, location, kind, config, columns, checks })
    }
}

impl Place {
    fn read(fields: Fields<'_>, problems: &mut Problems) -> Self {
        let mut place = Self::default();
        if let Some(value) = fields.value("path") {
            place.path = fields.text("path", problems).map(|path| (path, value.at.clone()));
        }
        if let Some(value) = fields.value("format") {
            place.format = format_name(value, problems);
        }
        if let Some(entry) = fields.get("options")
            && let Some(options) = Fields::open(&entry.value, "`options`", &["delimiter", "header"], problems)
        {
            place.options_at = Some(entry.key_at.clone());
            place.delimiter = options.value("delimiter").and_then(|value| delimiter(value, problems));
            place.header = options.value("header").and_then(|value| flag(value, "header", problems));
        }
        place.partitioned_by = fields.texts("partitioned_by", problems);
        if let Some(value) = fields.value("sample_key") {
            place.sample_key = columns(value, "sample_key", problems).map(|names| (names, value.at.clone()));
        }
        place
    }

    /// Fills what is not said here from what the source says.
    fn or(self, common: &Self) -> Self {
        let own_path = self.path.is_some();
        Self {
            path: self.path.or_else(|| common.path.clone()),
            // A path of its own may well have another format; then its ending decides.
            format: self.format.or_else(|| common.format.clone().filter(|_| !own_path)),
            delimiter: self.delimiter.or(common.delimiter),
            header: self.header.or(common.header),
            // Those of a source are for its `csv` tables, whatever else it has.
            options_at: self.options_at,
            partitioned_by: self.partitioned_by.or_else(|| common.partitioned_by.clone()),
            sample_key: self.sample_key.or_else(|| common.sample_key.clone()),
        }
    }

    /// Returns the format, and the path without `delta://`.
    fn format(&self, path: &str, at: &Location, problems: &mut Problems) -> Option<(FileFormat, String)> {
        let delta = path.strip_prefix("delta://");
        let rest = delta.unwrap_or(path);
        let ending = ending(rest);
        let name = match (&self.format, delta) {
            (Some(format), _) => format.as_str(),
            (None, Some(_)) => "delta",
            (None, None) => match ending.as_str() {
                "parquet" => "parquet",
                "csv" | "tsv" => "csv",
                "json" | "jsonl" | "ndjson" => "json",
                _ => {
                    let message = "the path's ending does not tell the format of its files";
                    problems.push(
                        Diagnostic::error(Code::MISSING_KEY, message)
                            .at(at.clone())
                            .hint(format!("set `format` to one of {}", list(&FORMATS))),
                    );
                    return None;
                }
            },
        };
        let format = match name {
            "parquet" => FileFormat::Parquet,
            "json" => FileFormat::Json,
            "delta" => FileFormat::Delta,
            _ => FileFormat::Csv {
                delimiter: self.delimiter.unwrap_or(if ending == "tsv" { b'\t' } else { b',' }),
                header: self.header.unwrap_or(true),
            },
        };
        if let (Some(at), false) = (&self.options_at, name == "csv") {
            let message = format!("`options` apply to `csv` files, not to `{name}`");
            problems.push(Diagnostic::error(Code::INVALID_VALUE, message).at(at.clone()));
        }
        Some((format, rest.to_owned()))
    }
}

fn bad_name(what: &str, at: &Location) -> Diagnostic {
    Diagnostic::error(Code::INVALID_VALUE, format!("the name of {what} is not an identifier"))
        .at(at.clone())
        .hint("names consist of letters, digits and `_`, and do not start with a digit")
}

fn format_name(value: &Yaml, problems: &mut Problems) -> Option<String> {
    let name = value.scalar().map(|scalar| scalar.text.to_ascii_lowercase());
    if let Some(name) = name.filter(|name| FORMATS.contains(&name.as_str())) {
        return Some(name);
    }
    problems.push(expected(&format!("one of {}", list(&FORMATS)), "`format`", value));
    None
}

/// Returns the ending that tells the format, in lower case: `csv` of `data/*.csv.gz`.
fn ending(path: &str) -> String {
    let path = if is_url(path) { path.split(['?', '#']).next().unwrap_or(path) } else { path };
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    name.rsplit_once('.').map_or("", |(_, ending)| ending).to_owned()
}

/// Returns a source's own settings; tables are rendered one by one, so that one may fail alone.
fn without_tables(body: &Yaml) -> Yaml {
    let mut body = body.clone();
    if let crate::yaml::Value::Map(entries) = &mut body.value {
        entries.retain(|entry| entry.key != "tables");
    }
    body
}

#[cfg(test)]
mod tests;
