//! `openlineage:` of a target: where events about runs go.

use std::path::{Path, PathBuf};

use windlass_error::Diagnostic;

use crate::decode::{Fields, expected, missing_key, text};
use crate::location::{is_url, resolve_path};
use crate::problems::Problems;
use crate::yaml::Yaml;

const KEYS: [&str; 5] = ["api_key", "endpoint", "file", "namespace", "url"];
const WHAT: &str = "`openlineage`";

/// Where events about runs go, and under which name.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenLineage {
    /// Where to.
    pub destination: EventDestination,
    /// Sent along as a bearer token. Secret: never print it.
    pub api_key: Option<String>,
    /// The namespace of jobs; `None` takes the project's name.
    pub namespace: Option<String>,
}

/// Where events go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventDestination {
    /// A server.
    Http {
        /// Its URL, `http` or `https`.
        url: String,
        /// The path below it that takes events; `None` takes that of the OpenLineage clients.
        endpoint: Option<String>,
    },
    /// A file, a line for each event; absolute.
    File(PathBuf),
}

/// Shows whether there is a key, never the key.
impl std::fmt::Debug for OpenLineage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { destination, api_key, namespace } = self;
        f.debug_struct("OpenLineage")
            .field("destination", destination)
            .field("api_key", &api_key.is_some())
            .field("namespace", namespace)
            .finish()
    }
}

/// Decodes a URL, a path, or a map with one of them.
pub(crate) fn decode(yaml: &Yaml, root: &Path, problems: &mut Problems) -> Option<OpenLineage> {
    if yaml.scalar().is_some() {
        let place = text(yaml, "openlineage", problems)?;
        let destination = match is_url(&place) {
            true => EventDestination::Http { url: http(yaml, place, problems)?, endpoint: None },
            false => EventDestination::File(resolve_path(root, &place)),
        };
        return Some(OpenLineage { destination, api_key: None, namespace: None });
    }
    let fields = Fields::open(yaml, WHAT, &KEYS, problems)?;
    let endpoint = fields.text("endpoint", problems);
    let destination = match (fields.value("url"), fields.value("file")) {
        (Some(url), None) => {
            let place = text(url, "url", problems)?;
            EventDestination::Http { url: http(url, place, problems)?, endpoint }
        }
        (None, Some(file)) => EventDestination::File(resolve_path(root, &text(file, "file", problems)?)),
        (Some(_), Some(file)) => {
            let problem =
                Diagnostic::error(windlass_error::Code::INVALID_VALUE, format!("{WHAT} has both `url` and `file`"));
            problems.push(problem.at(file.at.clone()).hint("events go to one place: leave out one of them"));
            return None;
        }
        (None, None) => {
            let problem = missing_key("url", WHAT, &yaml.at);
            problems.push(problem.hint("say where events go: `url: http://host:5000`, or `file: events.jsonl`"));
            return None;
        }
    };
    let api_key = fields.text("api_key", problems).filter(|key| !key.is_empty());
    Some(OpenLineage { destination, api_key, namespace: fields.text("namespace", problems) })
}

fn http(yaml: &Yaml, url: String, problems: &mut Problems) -> Option<String> {
    if url.starts_with("http://") || url.starts_with("https://") {
        return Some(url);
    }
    problems.push(expected("a URL that begins with http:// or https://", WHAT, yaml));
    None
}
