//! The process that workers are forked from: one for each environment.
//!
//! It has imported the packages, runs no user code, and is the only one to signal and reap workers, so
//! a process id never means another process. When our end of its socket closes it kills all workers
//! and whatever they left behind; when it dies, its workers die with it, and the next start gets a new
//! zygote.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::channel::Channel;
use crate::output::{Output, Speaker};
use crate::program::StartMode;
use crate::protocol::{Exit, FromZygote, SpawnOptions, ToZygote, VERSION, ZygoteAbout};
use crate::{Environment, Error, OutputStream, WorkerOutput};

/// How long a zygote has to import its packages.
const START_LIMIT: Duration = Duration::from_secs(120);

/// How long it has to kill all that it started, once it is told to end.
const END_LIMIT: Duration = Duration::from_secs(6);

/// What happens to a worker's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProcessEvent {
    Started { pid: u32 },
    Exited(Exit),
}

/// Owns the tasks of all workers, until it is dropped.
pub(crate) type Tasks = Mutex<JoinSet<()>>;

/// All zygotes of this process.
pub(crate) struct Zygotes {
    env: BTreeMap<String, String>,
    next_worker: AtomicU32,
    tasks: Weak<Tasks>,
    by_environment: Mutex<HashMap<String, Arc<Place>>>,
}

/// Where the zygote of an environment is. The lock is held while it starts: others wait for it.
type Place = tokio::sync::Mutex<Weak<Zygote>>;

/// A running zygote. It ends when the last reference is dropped.
pub(crate) struct Zygote {
    channel: Arc<Channel>,
    processes: Arc<Processes>,
}

/// The workers that want to hear of their processes; `None` when the zygote is gone.
type Processes = Mutex<Option<HashMap<u32, mpsc::Sender<ProcessEvent>>>>;

/// A worker's process. Dropping it kills the process.
pub(crate) struct Process {
    zygote: Arc<Zygote>,
    id: u32,
    events: mpsc::Receiver<ProcessEvent>,
    is_over: bool,
}

/// What a worker's process needs.
pub(crate) struct Spawn {
    pub(crate) start: StartMode,
    pub(crate) options: SpawnOptions,
    pub(crate) control: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

impl Zygotes {
    /// `env` are our environment variables, `sdk` is the folder that holds the Python package.
    pub(crate) fn new(env: &BTreeMap<String, String>, sdk: &Path, tasks: Weak<Tasks>) -> Self {
        let next_worker = AtomicU32::new(1);
        Self { env: python_env(env, sdk), next_worker, tasks, by_environment: Mutex::default() }
    }

    /// Returns a number that no worker has.
    pub(crate) fn next_worker(&self) -> u32 {
        self.next_worker.fetch_add(1, Ordering::Relaxed)
    }

    /// Answers the zygote of an environment, starting it where there is none. `node` is for messages.
    pub(crate) async fn get(&self, environment: &Environment, node: &str) -> Result<Arc<Zygote>, Error> {
        let key = format!("{}\0{}", environment.key, environment.python.display());
        let place = Arc::clone(lock(&self.by_environment).entry(key).or_default());
        let mut place = place.lock().await;
        if let Some(zygote) = place.upgrade().filter(|zygote| zygote.is_alive()) {
            return Ok(zygote);
        }
        let zygote = tokio::time::timeout(START_LIMIT, self.start(environment, node))
            .await
            .map_err(|_| Error::StartTimeout { node: node.to_owned(), limit: START_LIMIT, output: String::new() })??;
        *place = Arc::downgrade(&zygote);
        Ok(zygote)
    }

    /// Ends all zygotes.
    pub(crate) async fn close(&self) {
        let places: Vec<_> = lock(&self.by_environment).drain().map(|(_, place)| place).collect();
        for place in places {
            if let Some(zygote) = place.lock().await.upgrade() {
                let _ = zygote.channel.send(&ToZygote::Stop.encode(), &[]).await;
                zygote.channel.close();
            }
        }
    }

    async fn start(&self, environment: &Environment, node: &str) -> Result<Arc<Zygote>, Error> {
        let failed = |operation| move |source| Error::Process { node: node.to_owned(), operation, source };
        let (channel, theirs) = Channel::pair().map_err(failed("make a socket"))?;
        let speaker = Speaker { node: node.to_owned(), worker: 0, sink: Arc::new(Unheard) };
        let (mut output, stdout, stderr) = Output::open(speaker).map_err(failed("make a pipe"))?;
        let mut command = Command::new(&environment.python);
        command.args(["-P", "-m", "windlass._zygote"]).env_clear().envs(&self.env);
        command.stdin(Stdio::from(theirs)).stdout(Stdio::from(stdout)).stderr(Stdio::from(stderr));
        let child = command.spawn().map_err(failed("start Python"))?;
        // The command holds the other ends of socket and pipes.
        drop(command);
        let about = match first_word(&channel, node).await {
            Ok(about) => about,
            Err(err) => {
                output.finish().await;
                return Err(with_output(err, &output.since(0)));
            }
        };
        tracing::debug!(node, pid = about.pid, python = about.python, "zygote started");
        let processes = Arc::new(Mutex::new(Some(HashMap::new())));
        let channel = Arc::new(channel);
        let listen = listen(Arc::clone(&channel), Arc::clone(&processes), output, child);
        match self.tasks.upgrade() {
            Some(tasks) => lock(&tasks).spawn(listen),
            None => return Err(Error::Closed { node: node.to_owned() }),
        };
        Ok(Arc::new(Zygote { channel, processes }))
    }
}

impl Zygote {
    /// Starts a worker's process. `id` differs between all workers of this zygote.
    pub(crate) async fn spawn(self: &Arc<Self>, id: u32, spawn: Spawn) -> std::io::Result<Process> {
        let (sender, events) = mpsc::channel(4);
        match &mut *lock(&self.processes) {
            Some(processes) => processes.insert(id, sender),
            None => return Err(std::io::ErrorKind::BrokenPipe.into()),
        };
        let process = Process { zygote: Arc::clone(self), id, events, is_over: false };
        let frame = ToZygote::Spawn { worker: id, start: spawn.start, options: spawn.options };
        let descriptors = [spawn.control.as_fd(), spawn.stdout.as_fd(), spawn.stderr.as_fd()];
        self.channel.send(&frame.encode(), &descriptors).await?;
        Ok(process)
    }

    fn is_alive(&self) -> bool {
        lock(&self.processes).is_some()
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        self.channel.close();
    }
}

impl Process {
    /// Waits for the next event; `None` when the zygote is gone, and the process with it. Cancel safe.
    pub(crate) async fn event(&mut self) -> Option<ProcessEvent> {
        let event = self.events.recv().await;
        self.is_over |= matches!(event, None | Some(ProcessEvent::Exited(_)));
        event
    }

    /// Sends a signal, if the process still runs.
    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        if !self.is_over {
            let frame = ToZygote::Kill { worker: self.id, signal: signal as i32 };
            // Where the zygote is so busy that its socket is full, it does not answer at all.
            if let Err(error) = self.zygote.channel.try_send(&frame.encode(), &[]) {
                tracing::warn!(worker_id = self.id, %error, "cannot signal a worker");
            }
        }
    }

    /// Ends the zygote, and with it all of its workers: for one that does not answer.
    pub(crate) fn give_up_zygote(&self) {
        self.zygote.channel.close();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(nix::sys::signal::Signal::SIGKILL);
        if let Some(processes) = &mut *lock(&self.zygote.processes) {
            processes.remove(&self.id);
        }
    }
}

/// Passes the zygote's words on to the workers that they are about, until its end.
async fn listen(
    channel: Arc<Channel>,
    processes: Arc<Processes>,
    mut output: Output,
    mut child: tokio::process::Child,
) {
    let mut frame = Vec::new();
    while matches!(channel.receive(&mut frame).await, Ok(true)) {
        let (worker, event) = match FromZygote::decode(&frame) {
            Ok(FromZygote::Started { worker, pid }) => (worker, ProcessEvent::Started { pid }),
            Ok(FromZygote::Exited { worker, exit }) => (worker, ProcessEvent::Exited(exit)),
            other => {
                tracing::warn!(frame = ?other, "a zygote is out of order");
                break;
            }
        };
        let sender = lock(&processes).as_ref().and_then(|processes| processes.get(&worker).cloned());
        if let Some(sender) = sender {
            // A worker has two events, and room for more.
            let _ = sender.try_send(event);
        }
    }
    // Senders go: the workers learn that their processes are gone.
    *lock(&processes) = None;
    channel.close();
    output.finish().await;
    if tokio::time::timeout(END_LIMIT, child.wait()).await.is_err() {
        // It hangs. Its workers die with it.
        let _ = child.start_kill();
    }
    let status = child.wait().await;
    tracing::debug!(?status, output = output.since(0), "zygote ended");
}

async fn first_word(channel: &Channel, node: &str) -> Result<ZygoteAbout, Error> {
    let died = |how: &str| Error::Died { node: node.to_owned(), how: how.to_owned(), output: String::new() };
    let mut frame = Vec::new();
    match channel.receive(&mut frame).await {
        Ok(true) => {}
        _ => return Err(died("Python ended before it was ready")),
    }
    match FromZygote::decode(&frame) {
        Ok(FromZygote::Ready { version, about }) if version == u64::from(VERSION) => Ok(about),
        Ok(FromZygote::Failed(failure)) if failure.kind.ends_with("_package") || failure.kind == "python" => {
            Err(Error::Package { node: node.to_owned(), message: failure.message })
        }
        Ok(FromZygote::Failed(failure)) => Err(died(&failure.message)),
        _ => Err(died("it speaks another protocol")),
    }
}

fn with_output(mut err: Error, text: &str) -> Error {
    if let Error::Died { output, .. } = &mut err {
        text.clone_into(output);
    }
    err
}

/// Returns the environment variables of a zygote: ours, without those that would change which modules
/// are found, and with those that make Python behave the same everywhere.
fn python_env(env: &BTreeMap<String, String>, sdk: &Path) -> BTreeMap<String, String> {
    const DROPPED: [&str; 6] = [
        "PYTHONHOME",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "PYTHONINSPECT",
        // Without .pyc files every start compiles the user's imports again.
        "PYTHONDONTWRITEBYTECODE",
        "VIRTUAL_ENV",
    ];
    let mut env = env.clone();
    env.retain(|name, _| !DROPPED.contains(&name.as_str()));
    for (name, value) in [
        ("PYTHONNOUSERSITE", "1"),
        // Keeps the current folder off the path: a user's `json.py` must not shadow ours.
        ("PYTHONSAFEPATH", "1"),
        ("PYTHONUNBUFFERED", "1"),
        ("PYTHONIOENCODING", "utf-8:backslashreplace"),
    ] {
        env.insert(name.to_owned(), value.to_owned());
    }
    for name in THREADS {
        env.insert(name.to_owned(), "1".to_owned());
    }
    env.insert("PYTHONPATH".to_owned(), sdk.display().to_string());
    env
}

/// Variables that number the threads of numeric libraries.
pub(crate) const THREADS: [&str; 5] =
    ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ARROW_NUM_THREADS", "POLARS_MAX_THREADS"];

/// For zygotes, whose words are kept for messages only.
struct Unheard;

impl WorkerOutput for Unheard {
    fn line(&self, node: &str, _worker: u32, _stream: OutputStream, text: &str) {
        tracing::debug!(node, text, "zygote output");
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
