//! Delivers events beside a run.
//!
//! Events wait in a bounded queue and are sent one by one, in order. What does not fit or does not get
//! through is counted. A destination that cannot be reached is given up for the rest of the run.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, StatusCode, Url};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::destination::{Destination, Way};
use crate::human;
use crate::open::VERSION;

/// Events that may wait.
const QUEUE: usize = 4096;
/// How long a server may take to take a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a server may take for one event.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(4);
/// How often an event is sent before it is lost.
const TRIES: u32 = 3;
/// How long to wait before the second try; twice as long before the third.
const PAUSE: Duration = Duration::from_millis(200);

/// A queue, and who empties it.
pub(super) struct Delivery {
    shown: String,
    queue: mpsc::Sender<String>,
    /// Dropping it stops what is under way.
    work: JoinSet<()>,
    taken: u64,
    progress: Arc<Mutex<Progress>>,
}

/// What has become of events.
#[derive(Default)]
struct Progress {
    delivered: u64,
    /// The first reason why one was lost.
    failure: Option<String>,
}

/// An event that did not get through.
struct Failure {
    text: String,
    scope: Scope,
}

/// What a failure says about later events.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Nothing.
    Event,
    /// They will not get through either.
    Destination,
}

/// Where events are put.
enum Sink {
    Http { client: Client, url: Url, authorization: Option<HeaderValue> },
    File(File),
}

impl Delivery {
    /// Starts to deliver.
    pub(super) fn start(destination: Destination) -> Self {
        let shown = destination.shown();
        let (queue, events) = mpsc::channel(QUEUE);
        let progress = Arc::new(Mutex::new(Progress::default()));
        let mut work = JoinSet::new();
        work.spawn(deliver(destination.way, events, Arc::clone(&progress)));
        Self { shown, queue, work, taken: 0, progress }
    }

    /// Takes an event. Never waits.
    pub(super) fn take(&mut self, event: String) {
        self.taken += 1;
        if let Err(mpsc::error::TrySendError::Full(_)) = self.queue.try_send(event) {
            note(&self.progress, &format!("{QUEUE} events were waiting already"));
        }
    }

    /// Waits at most so long for events that are under way; returns what to tell about lost ones.
    pub(super) async fn finish(self, patience: Duration) -> Option<String> {
        let Self { shown, queue, mut work, taken, progress } = self;
        drop(queue);
        if tokio::time::timeout(patience, work.join_next()).await.is_err() {
            note(&progress, "it takes too long");
        }
        work.shutdown().await;
        let progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = taken.saturating_sub(progress.delivered);
        let why = progress.failure.as_deref().unwrap_or("unknown");
        let events = human::counted(taken, "OpenLineage event");
        (lost > 0).then(|| format!("{lost} of {events} not delivered to {shown}: {why}"))
    }
}

async fn deliver(way: Way, mut events: mpsc::Receiver<String>, progress: Arc<Mutex<Progress>>) {
    let mut sink = match Sink::open(way).await {
        Ok(sink) => sink,
        Err(text) => return note(&progress, &text),
    };
    while let Some(event) = events.recv().await {
        match sink.put(event).await {
            Ok(()) => progress.lock().unwrap_or_else(PoisonError::into_inner).delivered += 1,
            Err(failure) => {
                note(&progress, &failure.text);
                if failure.scope == Scope::Destination {
                    return;
                }
            }
        }
    }
}

fn note(progress: &Mutex<Progress>, failure: &str) {
    let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
    if progress.failure.is_none() {
        tracing::warn!(error = failure, "openlineage events not delivered");
        progress.failure = Some(failure.to_owned());
    }
}

impl Sink {
    async fn open(way: Way) -> Result<Self, String> {
        match way {
            Way::Http { url, authorization } => {
                let client = Client::builder()
                    .connect_timeout(CONNECT_TIMEOUT)
                    .timeout(ANSWER_TIMEOUT)
                    // The key is for this server alone.
                    .redirect(reqwest::redirect::Policy::none())
                    .user_agent(format!("windlass/{VERSION}"));
                let client = client.build().map_err(reason)?;
                Ok(Self::Http { client, url, authorization })
            }
            Way::File(path) => {
                if let Some(folder) = path.parent() {
                    tokio::fs::create_dir_all(folder).await.map_err(|error| error.to_string())?;
                }
                let file = tokio::fs::OpenOptions::new().create(true).append(true).open(&path).await;
                file.map(Self::File).map_err(|error| error.to_string())
            }
        }
    }

    async fn put(&mut self, event: String) -> Result<(), Failure> {
        match self {
            Self::File(file) => {
                let written = async {
                    file.write_all(format!("{event}\n").as_bytes()).await?;
                    file.flush().await
                };
                written.await.map_err(|error| Failure { text: error.to_string(), scope: Scope::Destination })
            }
            Self::Http { client, url, authorization } => {
                let mut request = client.post(url.clone()).header(CONTENT_TYPE, "application/json");
                if let Some(authorization) = authorization {
                    request = request.header(AUTHORIZATION, authorization.clone());
                }
                post(request.body(event)).await
            }
        }
    }
}

/// Sends an event until it is taken or there is no hope left.
async fn post(request: reqwest::RequestBuilder) -> Result<(), Failure> {
    let mut tries = 0;
    loop {
        let again = request.try_clone().expect("a text can be sent again");
        let text = match again.send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) if !is_passing(answer.status()) => {
                let scope = match answer.status() {
                    StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {
                        Scope::Event
                    }
                    _ => Scope::Destination,
                };
                return Err(Failure { text: format!("the server answers {}", answer.status()), scope });
            }
            Ok(answer) => format!("the server answers {}", answer.status()),
            Err(error) => reason(error),
        };
        tries += 1;
        if tries == TRIES {
            return Err(Failure { text, scope: Scope::Destination });
        }
        tokio::time::sleep(PAUSE * tries).await;
    }
}

/// Returns whether it may be different the next time.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT
}

/// Returns what failed, without the URL, which may hold a password.
fn reason(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let error = error.without_url();
    let mut deepest: &dyn std::error::Error = &error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
