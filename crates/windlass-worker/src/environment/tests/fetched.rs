//! uv is taken from the path or the cache, or fetched with pip.

use expect_test::expect;

use super::bench::{Bench, write_program};

const FETCHES: &str = r#"#!/bin/sh
while [ "$1" != "--target" ]; do shift; done
mkdir -p "$2/bin" && printf '#!/bin/sh\necho uv 0.13.8\n' > "$2/bin/uv" && chmod +x "$2/bin/uv"
"#;

impl Bench {
    /// A bench with nothing on its path but these programs.
    async fn with_programs(programs: &[(&str, &str)]) -> Self {
        let mut bench = Self::without_index().await;
        for (name, text) in programs {
            write_program(&bench.path("programs").join(name), text);
        }
        // The scripts use these.
        for tool in ["mkdir", "chmod"] {
            let found = ["/bin", "/usr/bin"].map(|folder| std::path::Path::new(folder).join(tool));
            let found = found.iter().find(|path| path.is_file()).unwrap();
            std::fs::create_dir_all(bench.path("programs")).unwrap();
            std::os::unix::fs::symlink(found, bench.path("programs").join(tool)).unwrap();
        }
        bench.config.env.insert("PATH".into(), bench.path("programs").display().to_string());
        bench
    }

    async fn find_uv(&self) -> String {
        match crate::environment::uv::Uv::find(&self.config).await {
            Ok(uv) => uv.program().display().to_string().replace(&self.folder.path().display().to_string(), "BENCH"),
            Err(error) => self.told(&error),
        }
    }
}

#[tokio::test]
async fn uv_of_the_path_is_taken_if_it_is_new_enough() {
    let new = Bench::with_programs(&[("uv", "#!/bin/sh\necho 'uv 0.9.2 (abc 2026-01-01)'\n")]).await;
    assert_eq!(new.find_uv().await, "BENCH/programs/uv");
    let old = Bench::with_programs(&[("uv", "#!/bin/sh\necho uv 0.4.30\n"), ("python3", FETCHES)]).await;
    assert_eq!(old.find_uv().await, "BENCH/cache/uv/0.13.8/bin/uv");
}

#[tokio::test]
async fn uv_is_fetched_once() {
    let bench = Bench::with_programs(&[("python3", FETCHES)]).await;
    assert_eq!(bench.find_uv().await, "BENCH/cache/uv/0.13.8/bin/uv");
    assert_eq!(bench.notices(), "fetched uv 0.13.8 into the cache\n");
    std::fs::remove_file(bench.path("programs/python3")).unwrap();
    assert_eq!(bench.find_uv().await, "BENCH/cache/uv/0.13.8/bin/uv");
    assert_eq!(bench.notices(), "");
}

#[tokio::test]
async fn what_was_tried_is_told() {
    let mut bench = Bench::with_programs(&[]).await;
    expect![[r#"
        E0504 uv is not installed and cannot be fetched
        | there is no `uv` on the path
        | there is none at `BENCH/cache/uv/0.13.8/bin/uv`
        | there is no `python3` on the path to fetch it with
        hint: install uv (https://docs.astral.sh/uv), or a `python3` with pip to fetch it with
    "#]]
    .assert_eq(&bench.find_uv().await);
    let pip = "#!/bin/sh\necho 'ERROR: No matching distribution found for uv==0.13.8' >&2\nexit 1\n";
    write_program(&bench.path("programs/python3"), pip);
    expect![[r#"
        E0504 uv is not installed and cannot be fetched
        | there is no `uv` on the path
        | there is none at `BENCH/cache/uv/0.13.8/bin/uv`
        | `BENCH/programs/python3 -m pip install uv==0.13.8` failed: No matching distribution found for uv==0.13.8
        hint: install uv (https://docs.astral.sh/uv), or a `python3` with pip to fetch it with
    "#]]
    .assert_eq(&bench.find_uv().await);
    let pip =
        "#!/bin/sh\necho 'ERROR: Exception:\nTraceback:\nOSError: [Errno 28] No space left on device' >&2\nexit 2\n";
    write_program(&bench.path("programs/python3"), pip);
    let told = bench.find_uv().await;
    assert!(told.contains("failed: OSError: [Errno 28] No space left on device\n"), "{told}");
    bench.config.offline = true;
    expect![[r#"
        E0504 uv is not installed and cannot be fetched
        | there is no `uv` on the path
        | there is none at `BENCH/cache/uv/0.13.8/bin/uv`
        | offline, it may not be fetched
        hint: install uv (https://docs.astral.sh/uv), or a `python3` with pip to fetch it with
    "#]]
    .assert_eq(&bench.find_uv().await);
}
