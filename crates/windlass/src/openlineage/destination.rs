//! Where events go: variables of the OpenLineage clients, then `openlineage:` of the target.

use std::collections::BTreeMap;
use std::path::PathBuf;

use reqwest::Url;
use reqwest::header::HeaderValue;
use windlass_project::{EventDestination, OpenLineage};

/// The path that servers take events at.
const ENDPOINT: &str = "api/v1/lineage";

/// Where events go.
pub(crate) struct Destination {
    pub(super) way: Way,
    /// The namespace of jobs, where one is given.
    pub(super) namespace: Option<String>,
}

/// How events get there.
pub(super) enum Way {
    Http {
        url: Url,
        /// The header that lets us in; marked as secret.
        authorization: Option<HeaderValue>,
    },
    File(PathBuf),
}

/// Returns where events go; `None` where nobody wants them.
///
/// # Errors
///
/// A text for people about a variable or key that cannot be used. It shows no secret.
pub(crate) fn destination(
    target: Option<&OpenLineage>,
    environment: &BTreeMap<String, String>,
) -> Result<Option<Destination>, String> {
    let variable = |name: &str| environment.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
    if variable("OPENLINEAGE_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true") || value == "1") {
        return Ok(None);
    }
    let (url, endpoint) = match (variable("OPENLINEAGE_URL"), target.map(|target| &target.destination)) {
        (Some(url), _) => (url, None),
        (None, None) => return Ok(None),
        (None, Some(EventDestination::Http { url, endpoint })) => (url.as_str(), endpoint.as_deref()),
        (None, Some(EventDestination::File(path))) => {
            let namespace = namespace(target, variable("OPENLINEAGE_NAMESPACE"));
            return Ok(Some(Destination { way: Way::File(path.clone()), namespace }));
        }
    };
    let endpoint = variable("OPENLINEAGE_ENDPOINT").or(endpoint).unwrap_or(ENDPOINT);
    let url = Url::parse(url).ok().filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
    let url = url.ok_or("the URL for OpenLineage events is not one of http or https")?;
    // A key of the project's files belongs to their URL.
    let own_key = target.filter(|_| variable("OPENLINEAGE_URL").is_none()).and_then(|target| target.api_key.as_deref());
    let key = variable("OPENLINEAGE_API_KEY").or(own_key);
    let way = Way::Http { url: with_endpoint(url, endpoint), authorization: key.map(bearer).transpose()? };
    Ok(Some(Destination { way, namespace: namespace(target, variable("OPENLINEAGE_NAMESPACE")) }))
}

impl Destination {
    /// Returns the destination for people, without anything that may be secret.
    pub(super) fn shown(&self) -> String {
        match &self.way {
            Way::File(path) => path.display().to_string(),
            Way::Http { url, .. } => {
                let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
            }
        }
    }
}

fn namespace(target: Option<&OpenLineage>, variable: Option<&str>) -> Option<String> {
    variable.map(str::to_owned).or_else(|| target.and_then(|target| target.namespace.clone()))
}

fn with_endpoint(mut url: Url, endpoint: &str) -> Url {
    let endpoint = endpoint.trim_matches('/');
    let base = url.path().trim_end_matches('/').to_owned();
    if !base.ends_with(&format!("/{endpoint}")) {
        url.set_path(&format!("{base}/{endpoint}"));
    }
    url
}

fn bearer(key: &str) -> Result<HeaderValue, String> {
    let header = HeaderValue::from_str(&format!("Bearer {key}"));
    let mut header = header.map_err(|_| "the API key for OpenLineage events cannot stand in an HTTP header")?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(target: Option<&OpenLineage>, variables: &[(&str, &str)]) -> String {
        let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        match destination(target, &environment) {
            Ok(None) => "nowhere".to_owned(),
            Err(text) => text,
            Ok(Some(destination)) => {
                let key = match &destination.way {
                    Way::Http { authorization: Some(key), .. } => format!(" {}", key.to_str().unwrap()),
                    _ => String::new(),
                };
                let namespace = destination.namespace.as_ref().map(|name| format!(" as {name}")).unwrap_or_default();
                format!("{}{key}{namespace}", destination.shown())
            }
        }
    }

    #[test]
    fn variables_win_over_the_target() {
        let check = |target: Option<&OpenLineage>, variables: &[(&str, &str)], expected: &str| {
            assert_eq!(resolved(target, variables), expected, "{variables:?}");
        };
        let own = OpenLineage {
            destination: EventDestination::Http { url: "https://own:81/base".to_owned(), endpoint: None },
            api_key: Some("own-key".to_owned()),
            namespace: Some("shop".to_owned()),
        };
        let url = ("OPENLINEAGE_URL", "http://marquez:5000");
        check(None, &[], "nowhere");
        check(None, &[("OPENLINEAGE_URL", "")], "nowhere");
        check(None, &[url], "http://marquez:5000/api/v1/lineage");
        check(None, &[url, ("OPENLINEAGE_API_KEY", "k")], "http://marquez:5000/api/v1/lineage Bearer k");
        check(None, &[url, ("OPENLINEAGE_ENDPOINT", "/v2/")], "http://marquez:5000/v2");
        check(None, &[("OPENLINEAGE_URL", "http://u:p@h/api/v1/lineage?t=1")], "http://h/api/v1/lineage");
        check(Some(&own), &[], "https://own:81/base/api/v1/lineage Bearer own-key as shop");
        check(Some(&own), &[url], "http://marquez:5000/api/v1/lineage as shop");
        check(Some(&own), &[("OPENLINEAGE_NAMESPACE", "x")], "https://own:81/base/api/v1/lineage Bearer own-key as x");
        check(Some(&own), &[("OPENLINEAGE_DISABLED", "True")], "nowhere");
        check(
            None,
            &[("OPENLINEAGE_URL", "marquez:5000")],
            "the URL for OpenLineage events is not one of http or https",
        );
        let key = "the API key for OpenLineage events cannot stand in an HTTP header";
        check(None, &[url, ("OPENLINEAGE_API_KEY", "a\nb")], key);
        let file = OpenLineage { destination: EventDestination::File("/e.jsonl".into()), ..own.clone() };
        check(Some(&file), &[], "/e.jsonl as shop");
        assert!(!format!("{own:?}").contains("own-key"));
    }
}
