//! Environments are built once, whoever asks, and found again without starting a process.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::bench::{Bench, config, own_env, python, request};
use crate::environment::EnvironmentStore;

#[tokio::test]
async fn an_environment_is_locked_and_built_and_then_found() {
    let bench = Bench::new().await;
    let built = bench.prepare(&["tiny"]).await.unwrap();
    assert_eq!(bench.calls(), "lock venv sync");
    assert_eq!(python(&built, "import tiny; print(tiny.VERSION)"), "2.0");
    assert_eq!(built.packages, [("tiny".to_owned(), "2.0".to_owned())].into());
    let lock = bench.locks()[0].file_name().unwrap().to_str().unwrap().to_owned();
    let expected =
        format!("locked the environment of `flights`: locks/{lock}\nbuilt the environment of `flights`: 1 package\n");
    assert_eq!(bench.notices(), expected);

    let found = bench.prepare(&["tiny"]).await.unwrap();
    assert_eq!(found, built);
    assert_eq!((bench.calls().as_str(), bench.notices().as_str()), ("", ""));
    assert_eq!(bench.counts(), (1, 0));
}

#[tokio::test]
async fn what_is_there_is_found_in_milliseconds() {
    let bench = Bench::new().await;
    bench.prepare(&["tiny"]).await.unwrap();
    let store = bench.store();
    let mut fastest = Duration::MAX;
    for _ in 0..20 {
        let start = Instant::now();
        store.prepare(&request(&["tiny"])).await.unwrap();
        fastest = fastest.min(start.elapsed());
    }
    assert!(fastest < Duration::from_millis(5), "{fastest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_of_one_process_share_a_build() {
    let bench = Bench::new().await;
    let (one, two) = (bench.store(), bench.store());
    let (written, reordered) = (request(&["tiny", "other"]), request(&["Other", "tiny ", "other"]));
    let all = futures::future::join_all(
        (0..8).map(|n| if n % 2 == 0 { one.prepare(&written) } else { two.prepare(&reordered) }),
    );
    let environments: Vec<_> = all.await.into_iter().map(Result::unwrap).collect();
    assert!(environments.iter().all(|environment| *environment == environments[0]));
    assert_eq!(bench.calls(), "lock venv sync");
}

#[tokio::test]
async fn environments_of_one_run_may_hold_two_versions_of_a_package() {
    let bench = Bench::new().await;
    let store = bench.store();
    let (requests, mut versions) = ([request(&["tiny<2"]), request(&["tiny>=2"])], Vec::new());
    for environment in futures::future::join_all(requests.iter().map(|one| store.prepare(one))).await {
        versions.push(python(&environment.unwrap(), "import tiny; print(tiny.VERSION)"));
    }
    assert_eq!(versions, ["1.0", "2.0"]);
    assert_eq!(bench.counts(), (2, 0));
}

#[tokio::test]
async fn processes_share_a_build() {
    let bench = Bench::new().await;
    let mut children = [start_process(&bench), start_process(&bench), start_process(&bench)];
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(bench.calls(), "lock venv sync");
    assert_eq!(bench.counts(), (1, 0));
}

#[tokio::test]
async fn a_build_that_is_killed_leaves_nothing_that_lasts() {
    let bench = Bench::new().await;
    std::fs::write(bench.path("hold"), "").unwrap();
    let mut child = start_process(&bench);
    let held = until_held(&bench).await;
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::remove_file(bench.path("hold")).unwrap();
    assert_eq!(bench.counts(), (0, 1), "what was killed is unfinished");

    // Another environment is built next: rubbish goes, whoever made it.
    bench.prepare(&["other"]).await.unwrap();
    assert_eq!(bench.counts(), (1, 0));
    bench.prepare(&["tiny"]).await.unwrap();
    assert_eq!(bench.counts(), (2, 0));
    Command::new("kill").arg(held.trim()).status().unwrap();
}

#[tokio::test]
async fn giving_up_kills_uv_and_lets_the_next_one_build() {
    let bench = Bench::new().await;
    std::fs::write(bench.path("hold"), "").unwrap();
    let store = bench.store();
    let held = {
        let asked = request(&["tiny"]);
        let work = store.prepare(&asked);
        tokio::pin!(work);
        tokio::select! {
            _ = &mut work => panic!("uv is held"),
            held = until_held(&bench) => held,
        }
    };
    assert_eq!(bench.counts(), (0, 0));
    let is_gone = || !Command::new("kill").args(["-0", held.trim()]).stderr(Stdio::null()).status().unwrap().success();
    let start = Instant::now();
    while !is_gone() {
        assert!(start.elapsed() < Duration::from_secs(10), "uv lives on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    std::fs::remove_file(bench.path("hold")).unwrap();
    store.prepare(&request(&["tiny"])).await.unwrap();
}

#[tokio::test]
async fn a_chosen_interpreter_gets_an_environment_of_its_own() {
    let mut bench = Bench::new().await;
    let usual = bench.prepare(&["tiny"]).await.unwrap();
    bench.config.python = Some(usual.python.canonicalize().unwrap());
    let chosen = bench.prepare(&["tiny"]).await.unwrap();
    assert_eq!(chosen.key, usual.key);
    assert_ne!(chosen.python, usual.python);
    assert_eq!(bench.prepare(&["tiny"]).await.unwrap(), chosen);
    assert_eq!((bench.counts(), bench.locks().len()), ((2, 0), 1));
}

#[tokio::test]
async fn an_environment_whose_python_is_gone_is_built_again() {
    let bench = Bench::new().await;
    let built = bench.prepare(&["tiny"]).await.unwrap();
    bench.calls();
    std::fs::remove_file(&built.python).unwrap();
    std::os::unix::fs::symlink("gone", &built.python).unwrap();
    let again = bench.prepare(&["tiny"]).await.unwrap();
    assert_eq!(again, built);
    assert_eq!(bench.calls(), "lock venv sync");
    assert_eq!(python(&again, "import tiny; print(tiny.VERSION)"), "2.0");
    assert_eq!(bench.counts(), (1, 0));
}

#[tokio::test]
async fn offline_an_environment_is_built_from_caches() {
    let mut bench = Bench::new().await;
    bench.prepare(&["tiny"]).await.unwrap();
    bench.index = None;
    std::fs::remove_dir_all(bench.path("cache/environments")).unwrap();
    bench.config.offline = true;
    let mut bench = bench.locked();
    let environment = bench.prepare(&["tiny"]).await.unwrap();
    assert_eq!(python(&environment, "import tiny; print(tiny.VERSION)"), "2.0");

    std::fs::remove_dir_all(bench.path("cache/environments")).unwrap();
    std::fs::remove_dir_all(bench.path("uv-cache")).unwrap();
    bench.config.env.insert("UV_CACHE_DIR".into(), bench.path("empty").display().to_string());
    let told = bench.refusal(&["tiny"]).await;
    assert!(told.contains("hint: run once without `--offline`"), "{told}");
    assert_eq!(bench.counts(), (0, 0));
}

/// Starts this test binary anew, to prepare `tiny` on the bench.
fn start_process(bench: &Bench) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "environment::tests::built::prepares_in_a_process_of_its_own"]);
    command.env_clear().envs(&bench.config.env).env("WINDLASS_TEST_BENCH", bench.folder.path());
    command.stdout(Stdio::null()).spawn().unwrap()
}

/// Runs in the processes that `start_process` starts, and does nothing elsewhere.
#[tokio::test]
async fn prepares_in_a_process_of_its_own() {
    let env = own_env();
    let Some(folder) = env.get("WINDLASS_TEST_BENCH").cloned() else { return };
    let config = config(folder.as_ref(), env, &std::sync::Arc::default());
    EnvironmentStore::with_base(&config, &[]).prepare(&request(&["tiny"])).await.unwrap();
}

async fn until_held(bench: &Bench) -> String {
    loop {
        match std::fs::read_to_string(bench.path("held")) {
            Ok(pid) if pid.ends_with('\n') => return pid,
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}
