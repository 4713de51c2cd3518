//! One MLflow server: its address, who we are there, and a call that is tried again where that can help.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde_json::Value;

use crate::Error;

/// How long a server may take to take a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long it may take for an answer, the upload of a model included.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a call is made before it has failed.
const TRIES: u32 = 3;
/// How long to wait before the second try; twice as long before the third.
const PAUSE: Duration = Duration::from_millis(250);

/// Who we are at a server. Not shown by `Debug`.
#[derive(Clone, Default)]
pub enum Credentials {
    /// Nobody.
    #[default]
    None,
    /// `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`.
    Basic {
        /// The name.
        name: String,
        /// The password.
        password: String,
    },
    /// `MLFLOW_TRACKING_TOKEN`.
    Bearer(String),
}

/// A server.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    authorization: Option<HeaderValue>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Basic { .. } => "Basic(…)",
            Self::Bearer(_) => "Bearer(…)",
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.shown()).finish_non_exhaustive()
    }
}

impl Client {
    /// Returns the server that the environment names, or `otherwise` where it names none. Nothing is sent.
    ///
    /// # Errors
    ///
    /// As [`Client::new`].
    pub fn of_environment(
        environment: &BTreeMap<String, String>,
        otherwise: Option<&str>,
    ) -> Result<Option<Self>, Error> {
        let variable = |name: &str| environment.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
        let Some(uri) = variable("MLFLOW_TRACKING_URI").or(otherwise) else { return Ok(None) };
        let credentials = match (variable("MLFLOW_TRACKING_TOKEN"), variable("MLFLOW_TRACKING_USERNAME")) {
            (Some(token), _) => Credentials::Bearer(token.to_owned()),
            (None, Some(name)) => Credentials::Basic {
                name: name.to_owned(),
                password: variable("MLFLOW_TRACKING_PASSWORD").unwrap_or_default().to_owned(),
            },
            (None, None) => Credentials::None,
        };
        Self::new(uri, credentials).map(Some)
    }

    /// Returns the server at a tracking URI. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`Error::TrackingUri`] where it is not one of http or https, or the credentials cannot stand in a header.
    pub fn new(uri: &str, credentials: Credentials) -> Result<Self, Error> {
        let bad = |why: &'static str| Error::TrackingUri { why };
        let base = Url::parse(uri).ok().filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
        let mut base = base.ok_or(bad("it is not one of http or https"))?;
        let in_uri = (base.username().to_owned(), base.password().map(str::to_owned));
        let _ = base.set_username("");
        let _ = base.set_password(None);
        let credentials = match (credentials, in_uri) {
            (Credentials::None, (name, Some(password))) => Credentials::Basic { name, password },
            (credentials, _) => credentials,
        };
        let header = match credentials {
            Credentials::None => None,
            Credentials::Basic { name, password } => Some(format!("Basic {}", base64(&format!("{name}:{password}")))),
            Credentials::Bearer(token) => Some(format!("Bearer {token}")),
        };
        let header = header.map(|header| {
            let mut header = HeaderValue::from_str(&header).map_err(|_| bad("its token cannot stand in a header"))?;
            header.set_sensitive(true);
            Ok::<_, Error>(header)
        });
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            // What lets us in is for this server alone.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("windlass/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|_| bad("the HTTP client cannot be set up"))?;
        Ok(Self { http, base, authorization: header.transpose()? })
    }

    /// Returns the address for people, without anything that may be secret.
    pub fn shown(&self) -> String {
        let port = self.base.port().map(|port| format!(":{port}")).unwrap_or_default();
        let path = self.base.path().trim_end_matches('/');
        format!("{}://{}{port}{path}", self.base.scheme(), self.base.host_str().unwrap_or_default())
    }

    /// Asks for something; `path` stands below `/api/2.0/`.
    pub(super) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Error> {
        let mut url = self.url(path)?;
        url.query_pairs_mut().extend_pairs(query);
        json(self.send(path, self.http.get(url)).await?, path, self)
    }

    /// Sends JSON; `path` stands below `/api/2.0/`.
    pub(super) async fn send_json(&self, method: Method, path: &str, body: &Value) -> Result<Value, Error> {
        let request = self.http.request(method, self.url(path)?).header(CONTENT_TYPE, "application/json");
        json(self.send(path, request.body(body.to_string())).await?, path, self)
    }

    /// Sends JSON with POST.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, Error> {
        self.send_json(Method::POST, path, body).await
    }

    /// Puts bytes; `path` stands below `/api/2.0/`.
    pub(super) async fn put(&self, path: &str, bytes: Bytes) -> Result<(), Error> {
        let request = self.http.put(self.url(path)?).header(CONTENT_TYPE, "application/octet-stream");
        self.send(path, request.body(bytes)).await.map(drop)
    }

    /// Returns bytes; `path` stands below `/api/2.0/`.
    pub(super) async fn bytes(&self, path: &str) -> Result<Bytes, Error> {
        self.send(path, self.http.get(self.url(path)?)).await
    }

    fn url(&self, path: &str) -> Result<Url, Error> {
        let mut url = self.base.clone();
        let mut segments = url.path_segments_mut().map_err(|()| Error::TrackingUri { why: "it has no host" })?;
        segments.pop_if_empty().extend(["api", "2.0"]).extend(path.split('/'));
        drop(segments);
        Ok(url)
    }

    async fn send(&self, path: &str, request: RequestBuilder) -> Result<Bytes, Error> {
        let request = match &self.authorization {
            Some(header) => request.header(AUTHORIZATION, header.clone()),
            None => request,
        };
        let failed = |why: String, code: Option<String>, is_passing: bool| Error::Mlflow {
            server: self.shown(),
            call: path.to_owned(),
            why,
            code,
            is_passing,
        };
        let mut tries = 0;
        loop {
            let again = request.try_clone().expect("bytes in memory can be sent again");
            let error = match again.send().await {
                Ok(answer) if answer.status().is_success() => match answer.bytes().await {
                    Ok(bytes) => return Ok(bytes),
                    Err(error) => failed(reason(&error), None, true),
                },
                Ok(answer) => {
                    let status = answer.status();
                    let body = answer.bytes().await.unwrap_or_default();
                    let said: Value = serde_json::from_slice(&body).unwrap_or_default();
                    let why = said["message"].as_str().map_or_else(|| format!("it answers {status}"), in_a_line);
                    let error = failed(why, said["error_code"].as_str().map(str::to_owned), is_passing(status));
                    if !is_passing(status) {
                        return Err(error);
                    }
                    error
                }
                Err(error) => failed(reason(&error), None, true),
            };
            tries += 1;
            if tries == TRIES {
                return Err(error);
            }
            tokio::time::sleep(PAUSE * tries).await;
        }
    }
}

fn json(bytes: Bytes, call: &str, client: &Client) -> Result<Value, Error> {
    serde_json::from_slice(&bytes).map_err(|error| Error::Mlflow {
        server: client.shown(),
        call: call.to_owned(),
        why: format!("its answer is no JSON: {error}"),
        code: None,
        is_passing: false,
    })
}

/// Returns whether it may be different the next time; those that MLflow's own client tries again.
fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// Returns the innermost reason of a failure; the outer ones repeat the address.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it does not answer in time".to_owned();
    }
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

fn in_a_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Returns text in base 64, as the header of basic authentication wants it.
fn base64(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * at)) as usize & 63];
            encoded.push(if at <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_used_and_not_shown() {
        for (text, expected) in
            [("", ""), ("a", "YQ=="), ("ab", "YWI="), ("abc", "YWJj"), ("user:päss", "dXNlcjpww6Rzcw==")]
        {
            assert_eq!(base64(text), expected);
        }
        let client = Client::new("http://user:hidden@host:5000/base/", Credentials::None).unwrap();
        assert_eq!(client.shown(), "http://host:5000/base");
        assert_eq!(client.authorization.as_ref().unwrap(), &format!("Basic {}", base64("user:hidden")));
        assert!(!format!("{client:?} {:?}", Credentials::Bearer("hidden".to_owned())).contains("hidden"));
        assert_eq!(
            client.url("mlflow/runs/create").unwrap().as_str(),
            "http://host:5000/base/api/2.0/mlflow/runs/create"
        );
        assert!(Client::new("sqlite:///x.db", Credentials::None).is_err());
    }
}
