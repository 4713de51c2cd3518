//! Folders with a project of the user's: read, never written to.

use std::path::PathBuf;
use std::process::Command;

use expect_test::expect;

use super::bench::{Bench, files, python};
use crate::environment::requirements::BasePackage;
use crate::environment::{Environment, EnvironmentOrigin, EnvironmentRequest};
use crate::{Error, LockMode};

const BASE: &[BasePackage] =
    &[BasePackage { name: "pyarrow", minimum: Some(16) }, BasePackage { name: "numpy", minimum: None }];

impl Bench {
    fn model(&self, dependencies: &str) -> PathBuf {
        let folder = self.path("model");
        std::fs::create_dir_all(&folder).unwrap();
        let text = format!(
            "[project]\nname = \"model\"\nversion = \"1.0\"\nrequires-python = \">=3.11\"\n\
             dependencies = [{dependencies}]\n"
        );
        std::fs::write(folder.join("pyproject.toml"), text).unwrap();
        folder
    }

    fn lock_model(&self) {
        let mut uv = Command::new(self.path("bin/uv"));
        uv.args(["lock", "--quiet", "--default-index", &self.config.env["PIP_INDEX_URL"]]);
        uv.current_dir(self.path("model")).env_clear().envs(&self.config.env);
        assert!(uv.status().unwrap().success());
        self.calls();
    }

    async fn prepare_model(&self) -> Result<Environment, Error> {
        let origin = EnvironmentOrigin::Project { folder: self.path("model") };
        self.store().prepare(&EnvironmentRequest { node: "score".to_owned(), origin }).await
    }

    /// A bench whose uv knows the index: a project's lock is made and used with the user's settings.
    async fn for_models() -> Self {
        let mut bench = Self::new().await;
        let index = bench.config.env["PIP_INDEX_URL"].clone();
        bench.config.env.insert("UV_DEFAULT_INDEX".into(), index);
        bench
    }
}

#[tokio::test]
async fn a_project_is_built_in_the_cache_and_left_alone() {
    let bench = Bench::for_models().await;
    let folder = bench.model("\"tiny<2\"");
    bench.lock_model();
    let environment = bench.prepare_model().await.unwrap();
    assert_eq!(bench.calls(), "lock venv sync");
    assert_eq!(python(&environment, "import tiny; print(tiny.VERSION)"), "1.0");
    assert_eq!(files(&folder), ["pyproject.toml", "uv.lock"]);
    assert_eq!(bench.locks().len(), 0);
    assert_eq!(bench.prepare_model().await.unwrap(), environment);
    assert_eq!(bench.calls(), "");
}

#[tokio::test]
async fn a_lock_of_the_users_is_never_made_or_changed() {
    let mut bench = Bench::for_models().await;
    let folder = bench.model("\"tiny<2\"");
    let told = bench.told(&bench.prepare_model().await.unwrap_err());
    expect![[r#"
        E0501 `model/uv.lock`, the lock of `score`, is missing
        hint: run `uv lock` in `BENCH/model` and commit the file
    "#]]
    .assert_eq(&told);

    bench.lock_model();
    let lock = std::fs::read_to_string(folder.join("uv.lock")).unwrap();
    bench.model("\"tiny\", \"other\"");
    let mut stale = String::new();
    for mode in [LockMode::Locked, LockMode::Update] {
        bench.config.lock_mode = mode;
        let told = bench.told(&bench.prepare_model().await.unwrap_err());
        assert!(told.starts_with("E0501"), "{told}");
        stale = told;
    }
    expect![[r#"
        E0501 `model/uv.lock` of `score` does not fit its `pyproject.toml`
        hint: run `uv lock` in `BENCH/model` and commit the file
    "#]]
    .assert_eq(&stale);
    assert_eq!(std::fs::read_to_string(folder.join("uv.lock")).unwrap(), lock);
    assert_eq!(bench.counts(), (0, 0));
}

#[tokio::test]
async fn pyarrow_must_be_there_and_new_enough() {
    let mut bench = Bench::for_models().await;
    bench.base = BASE;
    bench.model("\"tiny\"");
    bench.lock_model();
    let told = bench.told(&bench.prepare_model().await.unwrap_err());
    expect![[r#"
        E0503 the environment of `score` has no `pyarrow>=16`
        hint: name it among the node's requirements; beside a `uv.lock`, in `pyproject.toml`, and run `uv lock`
    "#]]
    .assert_eq(&told);
    expect![[r#"
        E0503 the environment of `flights` has pyarrow 14.0.2, not `pyarrow>=16`
        hint: name it among the node's requirements; beside a `uv.lock`, in `pyproject.toml`, and run `uv lock`
    "#]]
    .assert_eq(&bench.refusal(&["pyarrow<15"]).await);
    // What is built stays refused.
    expect![[r#"
        E0503 the environment of `flights` has pyarrow 14.0.2, not `pyarrow>=16`
        hint: name it among the node's requirements; beside a `uv.lock`, in `pyproject.toml`, and run `uv lock`
    "#]]
    .assert_eq(&bench.refusal(&["pyarrow<15"]).await);

    let environment = bench.prepare(&["tiny"]).await.unwrap();
    let names: Vec<_> = environment.packages.iter().map(|(name, version)| format!("{name} {version}")).collect();
    assert_eq!(names, ["numpy 2.4.0", "pyarrow 26.0.1", "tiny 2.0"]);
}
