//! Locks: written where they may be, refused where they do not fit, never used for something else.

use expect_test::expect;

use super::bench::Bench;

#[tokio::test]
async fn a_missing_lock_is_refused_under_locked() {
    let bench = Bench::new().await.locked();
    expect![[r#"
        E0501 `locks/897eb3d2dd25.lock`, the lock of `flights`, is missing
        hint: run once without `--locked` and commit `locks/897eb3d2dd25.lock`
    "#]]
    .assert_eq(&bench.refusal(&["tiny"]).await);
    assert_eq!((bench.calls().as_str(), bench.locks().len()), ("", 0));
}

#[tokio::test]
async fn a_committed_lock_is_used_as_it_is() {
    let bench = Bench::new().await;
    bench.prepare(&["tiny"]).await.unwrap();
    let lock = std::fs::read_to_string(&bench.locks()[0]).unwrap();
    let heading: String = lock.lines().take(4).map(|line| format!("{line}\n")).collect();
    expect![[r#"
        # Locked by Windlass for Python >=3.11 with
        #   tiny

        version = 1
    "#]]
    .assert_eq(&heading);
    let cache = bench.path("cache/environments");
    std::fs::remove_dir_all(cache).unwrap();
    bench.calls();

    let bench = bench.locked();
    bench.prepare(&["tiny"]).await.unwrap();
    assert_eq!(bench.calls(), "lock venv sync");
    assert_eq!(std::fs::read_to_string(&bench.locks()[0]).unwrap(), lock);
}

#[tokio::test]
async fn changed_requirements_get_a_lock_of_their_own() {
    let bench = Bench::new().await;
    bench.prepare(&["tiny"]).await.unwrap();
    bench.prepare(&["tiny", "other"]).await.unwrap();
    assert_eq!(bench.locks().len(), 2);
}

#[tokio::test]
async fn an_edited_lock_is_refused_under_locked_and_made_again_otherwise() {
    let bench = Bench::new().await;
    bench.prepare(&["tiny<2"]).await.unwrap();
    let file = bench.locks().remove(0);
    let lock = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, lock.replace("specifier = \"<2\"", "specifier = \"<3\"")).unwrap();
    let mut bench = bench.locked();
    expect![[r#"
        E0501 `locks/1082df1e83ab.lock` does not fit the requirements of `flights`
        hint: run once without `--locked` and commit the file: it was edited, or made with other indexes
    "#]]
    .assert_eq(&bench.refusal(&["tiny<2"]).await);

    bench.config.lock_mode = crate::LockMode::Update;
    bench.notices();
    bench.prepare(&["tiny<2"]).await.unwrap();
    expect![[r#"
        locked the environment of `flights` again, its lock did not fit: locks/1082df1e83ab.lock
        built the environment of `flights`: 1 package
    "#]]
    .assert_eq(&bench.notices());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), lock);
}

#[tokio::test]
async fn a_lock_with_an_unfinished_merge_is_refused() {
    let bench = Bench::new().await;
    bench.prepare(&["tiny"]).await.unwrap();
    let file = bench.locks().remove(0);
    let lock = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, lock.replace("version = 1\n", "<<<<<<< HEAD\nversion = 1\n=======\n")).unwrap();
    expect![[r#"
        E0501 `locks/897eb3d2dd25.lock`, the lock of `flights`, holds a merge that is not finished
        hint: take `locks/897eb3d2dd25.lock` back from version control, or remove it to lock anew
    "#]]
    .assert_eq(&bench.refusal(&["tiny"]).await);

    std::fs::write(&file, lock.replace("version = 1\n", "version = 9\n")).unwrap();
    expect![[r#"
        E0501 `locks/897eb3d2dd25.lock`, the lock of `flights`, was written by a newer uv
        hint: bring uv up to date
    "#]]
    .assert_eq(&bench.refusal(&["tiny"]).await);
}

#[tokio::test]
async fn a_lock_names_folders_of_this_machine_only_when_there_is_no_other_way() {
    let mut bench = Bench::new().await;
    let mut folders = bench.path("index/simple/other").display().to_string();
    bench.config.env.insert("PIP_FIND_LINKS".into(), folders.clone());
    bench.prepare(&["other"]).await.unwrap();
    let lock = std::fs::read_to_string(&bench.locks()[0]).unwrap();
    assert!(lock.contains("registry = \"http://127.0.0.1"), "{lock}");
    bench.notices();

    bench.config.env.insert("PIP_NO_INDEX".into(), "1".into());
    folders.push_str(&format!(" {}", bench.path("index/simple/tiny").display()));
    bench.config.env.insert("PIP_FIND_LINKS".into(), folders);
    std::fs::remove_file(&bench.locks()[0]).unwrap();
    bench.prepare(&["other"]).await.unwrap();
    expect![[r#"
        locked the environment of `flights`: locks/fe2023cc84a7.lock
        locks/fe2023cc84a7.lock names folders of this machine: other machines cannot use it
        built the environment of `flights`: 2 packages
    "#]]
    .assert_eq(&bench.notices());
    std::fs::remove_dir_all(bench.path("cache/environments")).unwrap();
    bench.locked().prepare(&["other"]).await.unwrap();
}
