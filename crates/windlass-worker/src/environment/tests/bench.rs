//! A cache, a project's folder for locks, a package index, and a uv that notes what it is told.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use windlass_error::Classify as _;

use crate::environment::requirements::BasePackage;
use crate::environment::uv::Uv;
use crate::environment::{Environment, EnvironmentOrigin, EnvironmentRequest, EnvironmentStore};
use crate::{Error, LockMode, MemoryBudget, OutputStream, WorkerOutput, WorkersConfig};

/// Serves packages until it is dropped.
pub(super) struct Index(Child);

impl Drop for Index {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) struct Bench {
    pub(super) folder: TempDir,
    pub(super) config: WorkersConfig,
    pub(super) base: &'static [BasePackage],
    pub(super) index: Option<Index>,
    notices: Arc<Mutex<Vec<String>>>,
}

impl Bench {
    /// Lays a bench out with an index of packages.
    pub(super) async fn new() -> Self {
        let mut bench = Self::without_index().await;
        let script = bench.path("index.py");
        std::fs::write(&script, include_str!("index.py")).unwrap();
        let mut server = Command::new("python3");
        server.arg(script).arg(bench.path("index")).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut server = server.spawn().unwrap();
        let mut port = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut port).unwrap();
        bench.config.env.insert("PIP_INDEX_URL".into(), format!("http://127.0.0.1:{}/simple/", port.trim()));
        bench.index = Some(Index(server));
        bench
    }

    pub(super) async fn without_index() -> Self {
        let real = uv_folder().await;
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        let script = format!(
            "#!/bin/sh\necho \"$1\" >> {calls}\nif [ \"$1\" = sync ] && [ -e {hold} ]; then\n  echo $$ > {held}\n  \
             exec sleep 1000\nfi\nPATH={real}:$PATH\nexec uv \"$@\"\n",
            calls = at("calls").display(),
            hold = at("hold").display(),
            held = at("held").display(),
            real = real.display(),
        );
        write_program(&at("bin/uv"), &script);
        let mut env = own_env();
        env.retain(|name, _| !["PIP_", "UV_", "XDG_"].iter().any(|prefix| name.starts_with(prefix)));
        env.insert("PATH".into(), format!("{}:{}", at("bin").display(), env["PATH"]));
        env.insert("PIP_CONFIG_FILE".into(), "/dev/null".into());
        env.insert("UV_NO_CONFIG".into(), "1".into());
        env.insert("UV_CACHE_DIR".into(), at("uv-cache").display().to_string());
        env.insert("UV_PYTHON_DOWNLOADS".into(), "never".into());
        env.insert("UV_HTTP_RETRIES".into(), "0".into());
        let notices = Arc::new(Mutex::new(Vec::new()));
        let config = config(folder.path(), env, &notices);
        Self { folder, config, base: &[], index: None, notices }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn store(&self) -> EnvironmentStore {
        EnvironmentStore::with_base(&self.config, self.base)
    }

    pub(super) fn locked(mut self) -> Self {
        self.config.lock_mode = LockMode::Locked;
        self
    }

    pub(super) async fn prepare(&self, requirements: &[&str]) -> Result<Environment, Error> {
        self.store().prepare(&request(requirements)).await
    }

    /// Returns what is said of a request that fails: code, message, uv's words, the way out.
    pub(super) async fn refusal(&self, requirements: &[&str]) -> String {
        let error = self.prepare(requirements).await.expect_err("the request fails");
        self.told(&error)
    }

    pub(super) fn told(&self, error: &Error) -> String {
        let mut lines = vec![format!("{} {error}", error.code().unwrap().0)];
        if let Error::Environment { output, .. } | Error::Uv { output } | Error::Fetch { output, .. } = error {
            lines.extend(output.lines().map(|line| format!("| {line}")));
        }
        if let Error::Cache { source, .. } = error {
            lines.push(format!("cause: {source}"));
        }
        lines.extend(error.hint().map(|hint| format!("hint: {hint}")));
        let text = lines.join("\n") + "\n";
        let text = text.replace(&self.folder.path().display().to_string(), "BENCH");
        match self.config.env.get("PIP_INDEX_URL") {
            Some(index) => text.replace(index.trim_end_matches('/'), "INDEX"),
            None => text,
        }
    }

    /// Returns what uv was told to do, and forgets it.
    pub(super) fn calls(&self) -> String {
        let calls = std::fs::read_to_string(self.path("calls")).unwrap_or_default();
        let _ = std::fs::remove_file(self.path("calls"));
        calls.split_whitespace().filter(|call| *call != "--version").collect::<Vec<_>>().join(" ")
    }

    /// Returns what the user was told, without times and what only slow machines say, and forgets it.
    pub(super) fn notices(&self) -> String {
        let said = std::mem::take(&mut *self.notices.lock().unwrap());
        let without_time = |line: &String| line.split(" for Python").next().unwrap().to_owned() + "\n";
        let said = said.iter().filter(|line| !line.starts_with("still ") && !line.starts_with("waiting "));
        said.map(without_time).collect::<String>().replace(&self.folder.path().display().to_string(), "BENCH")
    }

    /// Returns the names of the lock files.
    pub(super) fn locks(&self) -> Vec<PathBuf> {
        files(&self.config.lock_dir).into_iter().map(|name| self.config.lock_dir.join(name)).collect()
    }

    /// Returns how many environments and unfinished ones the cache holds.
    pub(super) fn counts(&self) -> (usize, usize) {
        let names = files(&self.path("cache/environments"));
        let unfinished = names.iter().filter(|name| name.starts_with("tmp-")).count();
        (names.len() - unfinished - names.iter().filter(|name| *name == "index").count(), unfinished)
    }
}

pub(super) fn request(requirements: &[&str]) -> EnvironmentRequest {
    let dependencies = requirements.iter().map(|text| (*text).to_owned()).collect();
    EnvironmentRequest {
        node: "flights".to_owned(),
        origin: EnvironmentOrigin::Requirements { requires_python: None, dependencies },
    }
}

/// Returns the names in a folder, sorted.
pub(super) fn files(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub(super) fn write_program(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Returns what an environment's Python prints.
pub(super) fn python(environment: &Environment, code: &str) -> String {
    let output = Command::new(&environment.python).args(["-c", code]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[expect(clippy::disallowed_methods, reason = "tests stand in for the settings of the command line")]
pub(super) fn own_env() -> BTreeMap<String, String> {
    std::env::vars().collect()
}

/// Returns the folder with a real uv, fetched once for all tests.
async fn uv_folder() -> PathBuf {
    let env = own_env();
    let cache = Path::new(&env["HOME"]).join(".cache/windlass/test-uv");
    let config = config(&cache, env.clone(), &Arc::default());
    Uv::find(&config).await.expect("the tests need uv, or pip to fetch it with").program().parent().unwrap().to_owned()
}

pub(super) fn config(folder: &Path, env: BTreeMap<String, String>, notices: &Arc<Mutex<Vec<String>>>) -> WorkersConfig {
    let notices = Arc::clone(notices);
    WorkersConfig {
        cache_dir: folder.join("cache"),
        lock_dir: folder.join("project/locks"),
        lock_mode: LockMode::Update,
        offline: false,
        python: None,
        cpus: 1,
        gpus: Vec::new(),
        env,
        memory: Arc::new(Unlimited),
        output: Arc::new(Silent),
        notices: Arc::new(move |text: &str| notices.lock().unwrap().push(text.to_owned())),
    }
}

struct Unlimited;

impl MemoryBudget for Unlimited {
    fn try_grow(&self, _bytes: usize) -> bool {
        true
    }

    fn shrink(&self, _bytes: usize) {}
}

struct Silent;

impl WorkerOutput for Silent {
    fn line(&self, _node: &str, _worker: u32, _stream: OutputStream, _text: &str) {}
}
