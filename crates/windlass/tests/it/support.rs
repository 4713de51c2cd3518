//! Small projects as text, and the binary run on them.
//!
//! What changes from run to run (times, sizes of files, paths, ids) is replaced by names such as
//! `[TIME]`, so that everything else can be compared to the letter.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::LazyLock;

use expect_test::Expect;
use serde_json::Value;
use tempfile::TempDir;

mod filter;

/// What a project has unless its text says otherwise. One thread makes the order of lines certain.
const MANIFEST: &str = "name: test\nversion: 1\n";
const TARGETS: &str = "targets:\n  local: {lake: ./lake, state: ./.windlass, threads: 1, memory: 512MiB, env: prod}\n";

/// Builds the environments of `tests/locks` where they are not built yet, which takes a while and prints
/// lines that tests do not expect.
static ENVIRONMENTS: LazyLock<()> = LazyLock::new(|| {
    let project = Project::unlocked("-- transforms/one.sql --\nselect 1 as id\n");
    project.copy_locks();
    for (number, packages) in
        ["", "'pandas==3.1.1', 'polars==2.1.0'", "'six==1.16.0'", "'six==1.17.0'"].iter().enumerate()
    {
        let block = format!("# /// script\n# dependencies = [{packages}]\n# ///\n");
        let code = "from windlass import ref, transform\n\n\n@transform(input=ref('one'), columns={'id': 'bigint'})\n\
                    def same(batch):\n    return batch\n";
        project.write(&format!("transforms/same_{number}.py"), &(block + code));
    }
    let answer = project.windlass(["run"]);
    assert_eq!(answer.code, 0, "cannot build the Python environments of tests:\n{answer}");
    assert!(!answer.stderr.contains("locked the environment"), "`tests/locks` lacks a lock:\n{answer}");
});

/// A project in a folder of its own, removed at the end.
pub(crate) struct Project {
    folder: TempDir,
    /// What its commands find in their environment.
    environment: Vec<(OsString, OsString)>,
}

/// What a command answered, with what changes replaced.
pub(crate) struct Answer {
    /// The exit code; -1 for a process that was killed.
    pub(crate) code: i32,
    /// Its results.
    pub(crate) stdout: String,
    /// Everything else.
    pub(crate) stderr: String,
}

/// A command that goes on.
pub(crate) struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
    folder: PathBuf,
    read: String,
}

impl Project {
    /// Returns a project of files given as one text, each below a line `-- path --`.
    pub(crate) fn new(text: &str) -> Self {
        let project = Self::bare();
        project.write("windlass.yml", MANIFEST);
        project.write("targets.yml", TARGETS);
        project.add(text);
        project
    }

    /// Returns a project whose commands find uv, Python and the index of packages as the user does.
    ///
    /// The locks of `tests/locks` are copied into it, so that it takes the same packages everywhere and
    /// finds environments that are built without asking an index.
    pub(crate) fn with_python(text: &str) -> Self {
        LazyLock::force(&ENVIRONMENTS);
        let project = Self::unlocked(text);
        project.copy_locks();
        project
    }

    fn copy_locks(&self) {
        for lock in std::fs::read_dir(crate::python::root().join("tests/locks")).unwrap() {
            let lock = lock.unwrap();
            let text = std::fs::read_to_string(lock.path()).unwrap();
            self.write(&format!("locks/{}", lock.file_name().display()), &text);
        }
    }

    /// Returns a project as [`Project::with_python`] does, but without locks.
    #[expect(clippy::disallowed_methods, reason = "commands find uv and packages as the user's do")]
    pub(crate) fn unlocked(text: &str) -> Self {
        let mut project = Self::new(text);
        let ours = ["WINDLASS_", "AWS_", "PYTHON", "CUDA_"];
        let is_foreign = |name: &OsString| !ours.iter().any(|prefix| name.to_string_lossy().starts_with(prefix));
        project.environment = std::env::vars_os().filter(|(name, _)| is_foreign(name)).collect();
        project
    }

    /// Returns a folder without any file.
    pub(crate) fn bare() -> Self {
        Self { folder: TempDir::new().unwrap(), environment: Vec::new() }
    }

    /// Adds or replaces files.
    pub(crate) fn add(&self, text: &str) {
        let mut current: Option<(String, String)> = None;
        for line in text.lines() {
            match line.strip_prefix("-- ").and_then(|line| line.strip_suffix(" --")) {
                Some(path) => {
                    if let Some((path, text)) = current.replace((path.to_owned(), String::new())) {
                        self.write(&path, &text);
                    }
                }
                None => {
                    if let Some((_, text)) = &mut current {
                        text.push_str(line);
                        text.push('\n');
                    }
                }
            }
        }
        if let Some((path, text)) = current {
            self.write(&path, &text);
        }
    }

    /// Writes one file.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Returns the path of a file.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Runs a command in the project's folder.
    pub(crate) fn windlass<const N: usize>(&self, args: [&str; N]) -> Answer {
        self.windlass_with(args, &[])
    }

    /// Runs a command with environment variables.
    pub(crate) fn windlass_with<const N: usize>(&self, args: [&str; N], env: &[(&str, &str)]) -> Answer {
        self.answer(self.command(&args).envs(env.iter().copied()))
    }

    /// Runs a command that was made by [`Project::command`].
    pub(crate) fn answer(&self, command: &mut Command) -> Answer {
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| filter::filtered(&String::from_utf8_lossy(bytes), self.folder.path());
        Answer { code: output.status.code().unwrap_or(-1), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Starts a command, to be watched and stopped.
    pub(crate) fn start<const N: usize>(&self, args: [&str; N], env: &[(&str, &str)]) -> Running {
        let mut command = self.command(&args);
        command.envs(env.iter().copied()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Running { child, stderr, folder: self.folder.path().to_path_buf(), read: String::new() }
    }

    /// Returns the binary with its arguments, in the project's folder, with an environment of its own.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
        command.args(args).current_dir(self.folder.path()).env_clear().stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command that prints JSON and succeeds; returns its `data`.
    pub(crate) fn json<const N: usize>(&self, args: [&str; N]) -> Value {
        let answer = self.answer(self.command(&args).args(["--format", "json"]));
        assert_eq!(answer.code, 0, "{answer}");
        parsed(&answer.stdout)["data"].take()
    }

    /// Returns the rows of a query in the order that it gives them, a line each.
    pub(crate) fn rows(&self, sql: &str) -> String {
        let shown = self.json(["show", "--sql", sql, "-n", "100000"]);
        let rows = shown["rows"].as_array().unwrap().iter();
        rows.map(|row| row.to_string()).collect::<Vec<_>>().join("\n")
    }

    /// Returns the paths of the files below a folder of the project, in order.
    pub(crate) fn files(&self, folder: &str) -> Vec<String> {
        let mut files = Vec::new();
        let mut waiting = vec![self.path(folder)];
        while let Some(current) = waiting.pop() {
            let Ok(entries) = std::fs::read_dir(&current) else { continue };
            for entry in entries {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => waiting.push(path),
                    false => files.push(path.strip_prefix(self.path(folder)).unwrap().display().to_string()),
                }
            }
        }
        files.sort();
        files
    }
}

impl Answer {
    /// Compares exit code, stdout and stderr.
    #[track_caller]
    pub(crate) fn check(&self, expected: Expect) {
        expected.assert_eq(&self.to_string());
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "exit {}", self.code)?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                write!(f, "-- {name}\n{text}")?;
                if !text.ends_with('\n') {
                    writeln!(f)?;
                }
            }
        }
        Ok(())
    }
}

impl Running {
    /// Reads stderr until a line holds a text.
    pub(crate) fn wait_for(&mut self, text: &str) {
        loop {
            let mut line = String::new();
            let length = self.stderr.read_line(&mut line).unwrap();
            self.read.push_str(&line);
            assert!(length > 0, "the process ended before it said `{text}`:\n{}", self.read);
            if line.contains(text) {
                return;
            }
        }
    }

    /// Sends a signal, such as `INT` or `KILL`.
    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([format!("-{signal}"), self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Waits for the end.
    pub(crate) fn wait(mut self) -> Answer {
        self.stderr.read_to_string(&mut self.read).unwrap();
        let status = self.child.wait().unwrap();
        let stderr = filter::filtered(&self.read, &self.folder);
        Answer { code: status.code().unwrap_or(-1), stdout: String::new(), stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Only matters when a test has failed; a process that has ended cannot be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns JSON with what changes replaced.
pub(crate) fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Returns JSON in lines, with the values of fields that change replaced.
pub(crate) fn pretty(mut value: Value) -> String {
    filter::replace_fields(&mut value);
    serde_json::to_string_pretty(&value).unwrap()
}

/// Returns whether a path is there.
pub(crate) fn is_there(path: &Path) -> bool {
    path.try_exists().unwrap()
}
