//! Environments that cannot be made: what is said, and that nothing is left behind.

use expect_test::expect;

use super::bench::{Bench, request};
use crate::environment::EnvironmentOrigin;

#[tokio::test]
async fn what_cannot_be_resolved_is_explained() {
    let bench = Bench::new().await;
    expect![[r#"
        E0502 cannot resolve the environment of `flights`
        | No solution found when resolving dependencies
        | Because nothing-of-that-name was not found in the package registry and your project depends on nothing-of-that-name, we can conclude that your project's requirements are unsatisfiable.
        hint: check the spelling; a package that is not on PyPI needs its index in `UV_INDEX`
    "#]].assert_eq(&bench.refusal(&["nothing-of-that-name"]).await);
    expect![[r#"
        E0502 cannot resolve the environment of `flights`
        | No solution found when resolving dependencies
        | Because there is no version of tiny==7 and your project depends on tiny==7, we can conclude that your project's requirements are unsatisfiable.
        hint: change the requirements so that one version of each package fits all
    "#]].assert_eq(&bench.refusal(&["tiny==7"]).await);
    expect![[r#"
        E0502 cannot resolve the environment of `flights`
        | No solution found when resolving dependencies
        | Because all versions of other depend on tiny<2 and your project depends on other, we can conclude that your project depends on tiny<2.
        | And because your project depends on tiny>=2, we can conclude that your project's requirements are unsatisfiable.
        hint: change the requirements so that one version of each package fits all
    "#]].assert_eq(&bench.refusal(&["other", "tiny>=2"]).await);
    assert_eq!(bench.counts(), (0, 0));
    assert_eq!(bench.locks().len(), 0);
}

#[tokio::test]
async fn what_is_no_requirement_is_named() {
    let bench = Bench::without_index().await;
    expect![[r#"
        E0502 cannot resolve the environment of `flights`
        | `tiny ==new` is no requirement: expected a package and versions, such as `numpy>=2`
        hint: requirements are written as in `requirements.txt` and PEP 723, one package each
    "#]]
    .assert_eq(&bench.refusal(&["tiny", "tiny ==new"]).await);
    expect![[r#"
        E0502 cannot resolve the environment of `flights`
        | `-r more.txt` is no requirement: expected a package and versions, such as `numpy>=2`
        hint: requirements are written as in `requirements.txt` and PEP 723, one package each
    "#]]
    .assert_eq(&bench.refusal(&["-r more.txt"]).await);
    expect![[r#"
        E0502 cannot resolve the environment of `flights`
        | `tiny; os is linux` is no requirement: its address or its marker cannot be read
        hint: requirements are written as in `requirements.txt` and PEP 723, one package each
    "#]]
    .assert_eq(&bench.refusal(&["tiny; os is linux"]).await);
}

#[tokio::test]
async fn python_must_fit() {
    let mut bench = Bench::new().await;
    let mut asked = request(&["tiny"]);
    let requires = |text: &str| EnvironmentOrigin::Requirements {
        requires_python: Some(text.to_owned()),
        dependencies: vec!["tiny".to_owned()],
    };
    asked.origin = requires(">=3.99");
    let error = bench.store().prepare(&asked).await.unwrap_err();
    expect![[r#"
        E0502 cannot resolve the environment of `flights`
        | No interpreter found for Python >=3.99 in search path or managed installations
        hint: install such a Python, or change what the node requires
    "#]]
    .assert_eq(&bench.told(&error));

    let python = bench.prepare(&["tiny"]).await.unwrap().python;
    bench.config.python = Some(python);
    let error = bench.store().prepare(&asked).await.unwrap_err();
    let told = bench.told(&error);
    assert!(told.contains("incompatible with the project's Python requirement: `>=3.99`"), "{told}");
    assert!(told.contains("hint: name an interpreter that `requires-python` allows"), "{told}");

    asked.origin = requires("3.12");
    let error = bench.store().prepare(&asked).await.unwrap_err();
    expect![[r#"
        E0502 cannot resolve the environment of `flights`
        | `3.12` names no versions of Python: expected comparisons, such as `>=3.11`
        hint: requirements are written as in `requirements.txt` and PEP 723, one package each
    "#]]
    .assert_eq(&bench.told(&error));
    bench.config.python = Some(bench.path("no-python"));
    expect![[r#"
        E0502 cannot resolve the environment of `flights`
        | No interpreter found at path `BENCH/no-python`
        hint: install such a Python, or change what the node requires
    "#]]
    .assert_eq(&bench.refusal(&["tiny"]).await);
}

#[tokio::test]
async fn a_package_that_is_gone_from_the_index_is_named() {
    let bench = Bench::new().await;
    bench.prepare(&["tiny"]).await.unwrap();
    std::fs::remove_dir_all(bench.path("cache/environments")).unwrap();
    std::fs::remove_dir_all(bench.path("uv-cache")).unwrap();
    std::fs::remove_file(bench.path("index/simple/tiny/tiny-2.0-py3-none-any.whl")).unwrap();
    let told = bench.locked().refusal_of_download().await;
    expect![[r#"
        E0502 cannot build the environment of `flights`
        | Failed to download `tiny==2.0`
        | Failed to fetch: INDEX/tiny/tiny-2.0-py3-none-any.whl
        | HTTP status client error (404 File not found) for url (INDEX/tiny/tiny-2.0-py3-none-any.whl)
        hint: the index no longer has a file that the lock names: lock anew, or ask for another version
    "#]]
    .assert_eq(&told);
}

impl Bench {
    async fn refusal_of_download(&self) -> String {
        let told = self.refusal(&["tiny"]).await;
        assert_eq!(self.counts(), (0, 0));
        told
    }
}

#[tokio::test]
async fn folders_that_cannot_be_written_are_named() {
    let mut bench = Bench::new().await;
    std::fs::write(bench.path("file"), "").unwrap();
    let (cache, locks) = (bench.config.cache_dir.clone(), bench.config.lock_dir.clone());
    bench.config.cache_dir = bench.path("file/cache");
    expect![[r#"
        E0703 cannot create `BENCH/file/cache/environments/index`
        cause: Not a directory (os error 20)
    "#]]
    .assert_eq(&bench.refusal(&["tiny"]).await);

    bench.config.cache_dir = cache;
    bench.config.lock_dir = bench.path("file/locks");
    expect![[r#"
        E0703 cannot read `BENCH/file/locks/897eb3d2dd25.lock`
        cause: Not a directory (os error 20)
    "#]]
    .assert_eq(&bench.refusal(&["tiny"]).await);
    assert_eq!(bench.counts(), (0, 0));

    bench.config.lock_dir = locks;
    bench.config.env.insert("UV_CACHE_DIR".into(), bench.path("file").display().to_string());
    let told = bench.refusal(&["tiny"]).await;
    assert!(told.starts_with("E0502 cannot resolve the environment of `flights`\n| "), "{told}");
    assert_eq!(bench.counts(), (0, 0));
}
