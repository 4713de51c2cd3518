//! Requirements, settings of pip and messages of uv, read from text.

use expect_test::{Expect, expect};

use crate::environment::pip::{Folders, PipSettings};
use crate::environment::requirements::{BasePackage, RequirementSet};
use crate::environment::says::{self, Meaning};

fn set(dependencies: &[&str]) -> Result<RequirementSet, String> {
    let dependencies: Vec<String> = dependencies.iter().map(|text| (*text).to_owned()).collect();
    let base = [BasePackage { name: "pyarrow", minimum: Some(16) }, BasePackage { name: "numpy", minimum: None }];
    RequirementSet::try_new(None, &dependencies, &base)
}

fn listed(dependencies: &[&str]) -> String {
    let heading = set(dependencies).unwrap().heading();
    heading.lines().skip(1).map(|line| line.trim_start_matches("#   ")).collect::<Vec<_>>().join(" | ")
}

#[test]
fn requirements_have_one_spelling() {
    let cases = [
        ("", "numpy | pyarrow>=16"),
        ("Scikit_Learn==1.9.1", "numpy | pyarrow>=16 | scikit-learn==1.9.1"),
        ("zope.interface ( >= 5 , < 7 )", "numpy | pyarrow>=16 | zope-interface<7,>=5"),
        ("NumPy >= 2", "numpy>=2 | pyarrow>=16"),
        ("pyarrow;  python_version  < '3.14'", "numpy | pyarrow; python_version < '3.14'"),
        ("ray[ Serve,data ]~=2.40", "numpy | pyarrow>=16 | ray[data,serve]~=2.40"),
        (
            "six @ https://e.org/a_b/six.whl ; os_name=='posix'",
            "numpy | pyarrow>=16 | six @ https://e.org/a_b/six.whl ; os_name=='posix'",
        ),
    ];
    for (text, expected) in cases {
        let dependencies: Vec<&str> = Some(text).filter(|text| !text.is_empty()).into_iter().collect();
        assert_eq!(listed(&dependencies), expected);
    }
}

#[test]
fn equal_sets_share_a_lock_and_others_do_not() {
    let stem = |dependencies: &[&str]| set(dependencies).unwrap().stem();
    assert_eq!(stem(&["a", "b>=1,<2"]), stem(&["B <2, >=1", "A", "a"]));
    let different = [&["a"][..], &["a", "b"], &["ab"], &["a>=1"], &["a>=1 ; os_name=='nt'"], &[]];
    let stems: std::collections::BTreeSet<String> = different.iter().map(|one| stem(one)).collect();
    assert_eq!(stems.len(), different.len());
    let python = |text: &str| RequirementSet::try_new(Some(text), &[], &[]).unwrap().stem();
    assert_eq!(python(">=3.11"), RequirementSet::try_new(None, &[], &[]).unwrap().stem());
    assert_eq!(python(">= 3.11, <4"), python("<4,>=3.11"));
    assert_ne!(python(">=3.11"), python(">=3.12"));
    // Names are committed: a change here orphans the locks of every project.
    expect!["5f6dfb7ef2c4"].assert_eq(&stem(&["scikit-learn==1.9.1"]));
}

#[test]
fn what_is_no_requirement_is_refused() {
    for text in
        ["", "==1", "-e .", "./wheel.whl", "tiny 2", "tiny==new", "tiny>", "tiny[a", "tiny @", "tiny=1", "ti/ny"]
    {
        assert!(set(&[text]).is_err(), "{text}");
    }
    for text in ["3.11", "", ">=", "python>=3"] {
        assert!(RequirementSet::try_new(Some(text), &[], &[]).is_err(), "{text}");
    }
}

#[test]
fn the_project_that_uv_sees() {
    let set = RequirementSet::try_new(Some(">=3.12"), &["six; os_name == \"posix\"".to_owned()], &[]).unwrap();
    expect![[r#"
        [project]
        name = "windlass-environment"
        version = "0"
        requires-python = ">=3.12"
        dependencies = [
            "six; os_name == \"posix\"",
        ]

        [tool.uv]
        package = false

        [tool.uv.workspace]
    "#]]
    .assert_eq(&set.pyproject());
}

fn check_pip(env: &[(&str, &str)], file: &str, expected: Expect) {
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("wheels")).unwrap();
    std::fs::write(folder.path().join("pip.conf"), file).unwrap();
    let at = |text: &str| text.replace("HERE", &folder.path().display().to_string());
    let mut all = [("PIP_CONFIG_FILE", "HERE/pip.conf"), ("XDG_CONFIG_HOME", "HERE")].to_vec();
    all.extend_from_slice(env);
    let env = all.into_iter().map(|(name, value)| (name.to_owned(), at(value))).collect();
    let settings = PipSettings::read(&env);
    let mut lines = Vec::new();
    for (what, additions) in [
        ("new lock", settings.for_new_lock(Folders::Unnamed)),
        ("with folders", settings.for_new_lock(Folders::Named)),
        ("lock of pypi", settings.for_lock("source = { registry = \"https://pypi.org/simple\" }")),
        ("lock of m", settings.for_lock("source = { registry = \"https://m.example/simple\" }")),
        ("project", settings.for_project()),
    ] {
        let variables = additions.variables.iter().map(|(name, value)| format!(" {name}={value}"));
        let no_index = if additions.no_index { " --no-index" } else { "" };
        lines.push(format!("{what}:{}{no_index}\n", variables.collect::<String>()));
    }
    expected.assert_eq(&lines.concat().replace(&folder.path().display().to_string(), "HERE"));
}

#[test]
fn settings_of_pip_are_translated() {
    check_pip(
        &[],
        "",
        expect![[r#"
        new lock:
        with folders:
        lock of pypi:
        lock of m:
        project:
    "#]],
    );
    let env = [
        ("PIP_INDEX_URL", "https://ana:secret@m.example/simple/"),
        ("PIP_CERT", "/etc/own.pem"),
        ("PIP_FIND_LINKS", "HERE/wheels HERE/gone https://links.example/all"),
    ];
    check_pip(
        &env,
        "",
        expect![[r#"
        new lock: SSL_CERT_FILE=/etc/own.pem UV_DEFAULT_INDEX=https://ana:secret@m.example/simple/ UV_FIND_LINKS=https://links.example/all
        with folders: SSL_CERT_FILE=/etc/own.pem UV_DEFAULT_INDEX=https://ana:secret@m.example/simple/ UV_FIND_LINKS=https://links.example/all,HERE/wheels
        lock of pypi: SSL_CERT_FILE=/etc/own.pem
        lock of m: SSL_CERT_FILE=/etc/own.pem UV_DEFAULT_INDEX=https://ana:secret@m.example/simple/
        project: SSL_CERT_FILE=/etc/own.pem
    "#]],
    );
    let file = "[global]\nindex-url = https://m.example/simple\n# more\nextra-index-url =\n    https://one.example\n    \
                https://two.example\n[list]\nindex-url = https://unused.example\n[install]\nno_index: true\n";
    check_pip(
        &[],
        file,
        expect![[r#"
        new lock: UV_DEFAULT_INDEX=https://m.example/simple UV_INDEX=https://one.example https://two.example --no-index
        with folders: UV_DEFAULT_INDEX=https://m.example/simple UV_INDEX=https://one.example https://two.example --no-index
        lock of pypi:
        lock of m: UV_DEFAULT_INDEX=https://m.example/simple
        project:
    "#]],
    );
    check_pip(
        &[("PIP_INDEX_URL", "https://wins.example/simple")],
        file,
        expect![[r#"
        new lock: UV_DEFAULT_INDEX=https://wins.example/simple UV_INDEX=https://one.example https://two.example --no-index
        with folders: UV_DEFAULT_INDEX=https://wins.example/simple UV_INDEX=https://one.example https://two.example --no-index
        lock of pypi:
        lock of m:
        project:
    "#]],
    );
}

#[test]
fn settings_of_uv_win_over_those_of_pip() {
    let env = [
        ("PIP_INDEX_URL", "https://m.example/simple"),
        ("PIP_EXTRA_INDEX_URL", "https://n.example/simple"),
        ("PIP_CERT", "/etc/own.pem"),
        ("UV_DEFAULT_INDEX", "https://u.example/simple"),
        ("SSL_CERT_FILE", "/etc/other.pem"),
    ];
    check_pip(
        &env,
        "",
        expect![[r#"
        new lock: UV_INDEX=https://n.example/simple
        with folders: UV_INDEX=https://n.example/simple
        lock of pypi:
        lock of m:
        project:
    "#]],
    );
}

#[test]
fn explanations_are_kept_and_noise_is_not() {
    let cases = [
        (
            "warning: Failed to inspect Python interpreter from search path at `/shims/python3.10`\n  cause: exit 127\n\n  \
             [stderr]\n  pyenv: not found\nUsing CPython 3.11.7\n\u{1b}[1m\u{1b}[31merror\u{1b}[39m\u{1b}[0m: No solution found \
             when resolving dependencies\n  cause: Because there is no version of six==9.9 and your project depends on \
             six==9.9, we can conclude that your project's requirements are unsatisfiable.\n\nhint: use `--no-build`\n",
            expect![[r#"
                No solution found when resolving dependencies
                Because there is no version of six==9.9 and your project depends on six==9.9, we can conclude that your project's requirements are unsatisfiable."#]],
        ),
        (
            "  × No solution found when resolving dependencies:\n  ╰─▶ Because six was not found\n      we can conclude.\n",
            expect![[r#"
                No solution found when resolving dependencies:
                Because six was not found
                we can conclude."#]],
        ),
        ("Killed\n", expect!["Killed"]),
        ("", expect!["uv gave no reason"]),
    ];
    for (stderr, expected) in cases {
        expected.assert_eq(&says::explain(stderr));
    }
    let long: String = (0..1000).map(|n| format!("  line {n}\n")).collect();
    let kept = says::explain(&format!("error: Failed to build `x`\n{long}"));
    assert_eq!((kept.lines().count(), kept.lines().next_back()), (24, Some("  line 999")));
}

#[test]
fn what_uv_says_of_a_lock_is_understood() {
    let cases = [
        ("error: The lockfile at `uv.lock` needs to be updated, but `--check` was provided.", Meaning::Stale),
        ("error: Failed to parse `uv.lock`\n  cause: TOML parse error", Meaning::Unreadable),
        ("error: The lockfile at `uv.lock` uses an unsupported schema version (v9)", Meaning::Unreadable),
        ("error: No solution found", Meaning::Failure),
    ];
    for (said, expected) in cases {
        assert_eq!(says::meaning(said), expected, "{said}");
    }
}
