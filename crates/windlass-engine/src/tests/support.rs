//! A project in a temporary folder, and an engine for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::util::pretty::pretty_format_batches;
use indexmap::IndexMap;
use windlass_error::Diagnostic;
use windlass_project::{LoadOptions, MemoryLimit, Project, load};
use windlass_worker::{LockMode, OutputStream, WorkerOutput};

use crate::{
    Ask, BuildProgress, BuildRequest, Built, Engine, EngineConfig, Error, Phase, Plan, PythonSettings, Sample,
};

/// Publishes whenever it is asked.
pub(super) struct Willing;

impl BuildProgress for Willing {
    fn phase(&self, _: Phase) {}
    fn expected_rows(&self, _: u64) {}
    fn rows_read(&self, _: u64) {}
    fn rows_written(&self, _: u64) {}
    fn rows_failed(&self, _: u64) {}
    fn begin_commit(&self) -> bool {
        true
    }
    fn begin_step(&self) -> bool {
        true
    }
}

/// A project with its folder and engine.
pub(super) struct World {
    folder: tempfile::TempDir,
    pub(super) project: Project,
    pub(super) engine: Engine,
    /// The time of the next run, in microseconds of UTC.
    pub(super) now_us: i64,
    /// What it asks of incremental tables.
    pub(super) ask: Ask<'static>,
    pub(super) run: i64,
}

impl World {
    /// Writes files given as `-- path --` lines, each followed by its text, and loads them.
    pub(super) fn new(text: &str) -> Self {
        Self::with_memory(text, MemoryLimit::Bytes(256 << 20))
    }

    pub(super) fn with_memory(text: &str, memory: MemoryLimit) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("windlass.yml"), "name: test\n").unwrap();
        write_files(folder.path(), text);
        let project = load_project(folder.path());
        let engine = engine(folder.path(), memory, "prod");
        Self { folder, project, engine, now_us: 1_700_000_000_000_000, ask: Ask::default(), run: 0 }
    }

    pub(super) fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    /// Changes files and loads the project again.
    pub(super) fn edit(&mut self, text: &str) {
        write_files(self.folder.path(), text);
        self.project = load_project(self.folder.path());
    }

    /// Returns an engine whose tables stand in another environment.
    pub(super) fn engine_of(&self, env: &str) -> Engine {
        engine(self.folder.path(), MemoryLimit::Bytes(256 << 20), env)
    }

    /// Returns an engine that reads a share of the rows of sources.
    pub(super) fn engine_on_sample(&self, sample: &str) -> Engine {
        sampled_engine(self.folder.path(), MemoryLimit::Bytes(256 << 20), "sampled", Some(sample.parse().unwrap()))
    }

    pub(super) async fn plan(&self) -> Plan {
        let all: BTreeSet<String> = self.project.nodes.keys().cloned().collect();
        self.engine.plan(&self.project, &all).await
    }

    /// Builds everything that is published and trains all models, in order.
    pub(super) async fn run(&mut self) -> Result<IndexMap<String, Built>, Error> {
        self.run += 1;
        let plan = self.plan().await;
        if !plan.diagnostics.is_empty() {
            return Err(Error::Mistakes { diagnostics: plan.diagnostics });
        }
        let mut built = IndexMap::new();
        for name in self.project.graph.order() {
            let node = &self.project.nodes[name];
            if node.is_kept() {
                built.insert(name.clone(), self.build(name, &plan).await?.unwrap());
            }
        }
        Ok(built)
    }

    pub(super) async fn build(&self, name: &str, plan: &Plan) -> Result<Option<Built>, Error> {
        self.build_watched(name, plan, Arc::new(Willing)).await
    }

    pub(super) async fn build_watched(
        &self,
        name: &str,
        plan: &Plan,
        progress: Arc<dyn BuildProgress>,
    ) -> Result<Option<Built>, Error> {
        let run_id = format!("00000000-0000-7000-8000-{:012}", self.run);
        let request = BuildRequest {
            project: &self.project,
            plan,
            node: &self.project.nodes[name],
            run_id: &run_id,
            sequence: self.run,
            started_us: self.now_us,
            ask: self.ask,
            progress,
        };
        self.engine.build(&request).await
    }

    /// Returns a query's answer as a table of text.
    pub(super) async fn sql(&self, sql: &str) -> String {
        let shown = self.engine.show_sql(&self.project, sql, 1000).await.unwrap();
        pretty_format_batches(&shown.batches).unwrap().to_string()
    }

    /// Returns the files below the lake, sorted.
    pub(super) fn files(&self, below: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut waiting = vec![self.root().join("lake/prod").join(below)];
        while let Some(folder) = waiting.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    waiting.push(path);
                } else {
                    found.push(path.strip_prefix(self.root().join("lake/prod")).unwrap().display().to_string());
                }
            }
        }
        found.sort();
        found
    }
}

fn write_files(root: &Path, text: &str) {
    let mut current: Option<(PathBuf, String)> = None;
    let flush = |file: Option<(PathBuf, String)>| {
        if let Some((path, text)) = file {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    };
    for line in text.lines() {
        match line.strip_prefix("-- ").and_then(|rest| rest.strip_suffix(" --")) {
            Some(path) => flush(current.replace((root.join(path), String::new()))),
            None => {
                if let Some((_, text)) = &mut current {
                    text.push_str(line);
                    text.push('\n');
                }
            }
        }
    }
    flush(current);
}

fn load_project(root: &Path) -> Project {
    let loaded = load(&LoadOptions {
        root: root.canonicalize().unwrap(),
        target: None,
        env_name: None,
        vars: IndexMap::new(),
        env: BTreeMap::new(),
        version: "0.1.0".to_string(),
    });
    assert!(loaded.diagnostics.is_empty(), "{}", plain(&loaded.diagnostics));
    loaded.project.unwrap()
}

fn engine(root: &Path, memory: MemoryLimit, env: &str) -> Engine {
    sampled_engine(root, memory, env, None)
}

fn sampled_engine(root: &Path, memory: MemoryLimit, env: &str, sample: Option<Sample>) -> Engine {
    Engine::try_new(EngineConfig {
        lake: root.canonicalize().unwrap().join("lake").display().to_string(),
        env: env.to_string(),
        base: None,
        sample,
        memory,
        threads: 2,
        spill: root.join("spill"),
        storage: IndexMap::new(),
        environment: BTreeMap::new(),
        python: python(root),
        mlflow: None,
    })
    .unwrap()
}

fn python(root: &Path) -> PythonSettings {
    PythonSettings {
        cache_dir: root.join("cache"),
        lock_dir: root.join("locks"),
        lock_mode: LockMode::Update,
        offline: true,
        interpreter: None,
        gpus: Vec::new(),
        piece: Duration::from_secs(20),
        env: BTreeMap::new(),
        output: Arc::new(Silent),
        notices: Arc::new(|_| {}),
    }
}

/// Forgets what user code prints.
struct Silent;

impl WorkerOutput for Silent {
    fn line(&self, _: &str, _: u32, _: OutputStream, _: &str) {}
}

/// Renders diagnostics for comparison: place and message, the marked text, then what helps.
pub(super) fn plain(diagnostics: &[Diagnostic]) -> String {
    let mut text = String::new();
    for diagnostic in diagnostics {
        text.push_str(&format!("error[{}]: {}\n", diagnostic.code, diagnostic.message));
        if let Some(location) = &diagnostic.location {
            let marked = location.file.text.get(location.span.clone()).unwrap_or_default();
            let marked = marked.lines().next().unwrap_or_default();
            text.push_str(&format!("  --> {location} `{marked}`"));
            match &diagnostic.label {
                Some(label) => text.push_str(&format!(" {label}\n")),
                None => text.push('\n'),
            }
        }
        for (location, related) in &diagnostic.related {
            text.push_str(&format!("  ::: {location} {related}\n"));
        }
        for note in &diagnostic.notes {
            text.push_str(&format!("  note: {note}\n"));
        }
        if let Some(hint) = &diagnostic.hint {
            text.push_str(&format!("  hint: {hint}\n"));
        }
    }
    text
}
