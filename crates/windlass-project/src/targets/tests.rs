//! Selecting, inheriting and rendering targets.

use expect_test::{Expect, expect};

use super::parse_memory;
use crate::fixture::{load_with, options, problems, render};
use crate::{LoadOptions, MemoryLimit};

fn check_with(targets: &str, options: &LoadOptions, expected: Expect) {
    let text = if targets.is_empty() { String::new() } else { format!("-- targets.yml --\n{targets}\n") };
    let loaded = load_with(&text, options);
    let mut out = render(&loaded.diagnostics);
    if let Some(project) = loaded.project {
        out.push_str(&format!("{:?}\n", project.target));
        for (key, value) in &project.target.storage {
            out.push_str(&format!("  {key}: {value}\n"));
        }
    }
    expected.assert_eq(&out);
}

fn check(targets: &str, expected: Expect) {
    check_with(targets, &options(), expected);
}

#[test]
fn without_a_file_there_is_local() {
    check(
        "",
        expect![[r#"
            Target { name: "local", lake: "/p/lake", state: "/p/.windlass", env: "prod", own_env: "prod", base: None, protected: [], memory: Fraction(0.7), threads: None, storage: [], openlineage: None, tracking: false }
        "#]],
    );
    check_with(
        "",
        &LoadOptions { target: Some("prod".into()), ..options() },
        expect![[r#"
        error[E0208]: no target `prod`
          hint: the project has no `targets.yml`; its only target is `local`
    "#]],
    );
    check_with(
        "",
        &LoadOptions { env_name: Some("dev".into()), ..options() },
        expect![[r#"
            Target { name: "local", lake: "/p/lake", state: "/p/.windlass", env: "dev", own_env: "prod", base: None, protected: [], memory: Fraction(0.7), threads: None, storage: [], openlineage: None, tracking: false }
        "#]],
    );
    check_with(
        "",
        &LoadOptions { env_name: Some("../dev".into()), ..options() },
        expect![[r#"
        error[E0203]: `../dev` cannot be the name of an environment
          hint: an environment is a folder of the lake: letters, digits, `_`, `-` and `.`
    "#]],
    );
}

const TARGETS: &str = "\
default: dev
targets:
  base:
    lake: s3://lake/{{ env_var('NOPE') }}
    memory: 4GiB
    storage: {endpoint: 'http://x', access_key_id: \"{{ env_var('S3_KEY') }}\", region: eu}
  dev:
    extends: base
    lake: lakes/../lake
    state: /var/state
    threads: \"{{ env_var('THREADS', '4') }}\"
    env: \"dev_{{ env_var('USER') }}\"
    storage: {region: us}
  prod: {extends: base, enginee: ballista}
";

#[test]
fn only_the_selected_target_is_rendered() {
    check(
        TARGETS,
        expect![[r#"
            Target { name: "dev", lake: "/p/lake", state: "/var/state", env: "dev_ana", own_env: "dev_ana", base: None, protected: [], memory: Bytes(4294967296), threads: Some(4), storage: ["region", "endpoint", "access_key_id"], openlineage: None, tracking: false }
              region: us
              endpoint: http://x
              access_key_id: hunter2
        "#]],
    );
    check_with(
        TARGETS,
        &LoadOptions { target: Some("prod".into()), ..options() },
        expect![[r#"
        error[E0306]: the environment variable `NOPE` is not set
          targets.yml:4:32
          |     lake: s3://lake/{{ env_var('NOPE') }}
          |                                ^^^^^^
          hint: set it, or give a default: `env_var('NOPE', '...')`
        error[E0202]: unknown key `enginee` in target `prod`
          targets.yml:14:25
          |   prod: {extends: base, enginee: ballista}
          |                         ^^^^^^^ did you mean `engine`?
        error[E0204]: target `prod` needs the key `lake`
          targets.yml:14:3
          |   prod: {extends: base, enginee: ballista}
          |   ^^^^
          hint: the folder or URL for tables, such as `lake: ./lake`
    "#]],
    );
    check_with(
        TARGETS,
        &LoadOptions { target: Some("prd".into()), ..options() },
        expect![[r#"
        error[E0208]: no target `prd`
          hint: did you mean `prod`?
    "#]],
    );
}

#[test]
fn one_target_needs_no_default() {
    check(
        "targets: {only: {lake: x}}",
        expect![[r#"
            Target { name: "only", lake: "/p/x", state: "/p/.windlass", env: "prod", own_env: "prod", base: None, protected: [], memory: Fraction(0.7), threads: None, storage: [], openlineage: None, tracking: false }
        "#]],
    );
    check(
        "targets: {a: {lake: x}, b: {lake: y}}",
        expect![[r#"
        error[E0204]: `targets.yml` has several targets and no `default`
          targets.yml:1:11
          | targets: {a: {lake: x}, b: {lake: y}}
          |           ^
          hint: set `default:` to one of `a`, `b`, or pass `--target`
    "#]],
    );
    check(
        "default: c\ntargets: {a: {lake: x}}",
        expect![[r#"
            error[E0208]: no target `c`
              targets.yml:1:10
              | default: c
              |          ^
              hint: targets of `targets.yml`: `a`
        "#]],
    );
}

#[test]
fn inheritance_goes_wrong() {
    check(
        "default: a\ntargets:\n  a: {extends: b}\n  b: {extends: a}",
        expect![[r#"
        error[E0203]: targets extend each other: a -> b -> a
          targets.yml:4:16
          |   b: {extends: a}
          |                ^
    "#]],
    );
    check(
        "default: a\ntargets:\n  a: {extends: bb}\n  b: {lake: x}",
        expect![[r#"
        error[E0208]: no target `bb`
          targets.yml:3:16
          |   a: {extends: bb}
          |                ^^ did you mean `b`?
    "#]],
    );
}

#[test]
fn values_are_checked() {
    check(
        "targets:\n  x:\n    engine: ballista\n    memory: lots\n    threads: 0\n    env: a/b\n    state: postgres://x\n    storage: {a: [b]}",
        expect![[r#"
        error[E0203]: the engine `ballista` is not known, only `datafusion`
          targets.yml:3:13
          |     engine: ballista
          |             ^^^^^^^^
          hint: other engines arrive in a later version of Windlass
        error[E0204]: target `x` needs the key `lake`
          targets.yml:2:3
          |   x:
          |   ^
          hint: the folder or URL for tables, such as `lake: ./lake`
        error[E0203]: expected a folder on this machine for `state`, found `postgres://x`
          targets.yml:7:12
          |     state: postgres://x
          |            ^^^^^^^^^^^^
        error[E0203]: expected a name for a folder for `env`, found `a/b`
          targets.yml:6:10
          |     env: a/b
          |          ^^^
          hint: an environment is a folder of the lake: letters, digits, `_`, `-` and `.`
        error[E0203]: expected a size such as `70%`, `4GiB` or `500MB` for `memory`, found `lots`
          targets.yml:4:13
          |     memory: lots
          |             ^^^^
    "#]],
    );
    check(
        "targets:\n  x: {engine: datafusion, threads: 2, lake: [a]}",
        expect![[r#"
        error[E0203]: expected a text for `lake`, found a list
          targets.yml:2:45
          |   x: {engine: datafusion, threads: 2, lake: [a]}
          |                                             ^^^
    "#]],
    );
    check(
        "",
        expect![[r#"
            Target { name: "local", lake: "/p/lake", state: "/p/.windlass", env: "prod", own_env: "prod", base: None, protected: [], memory: Fraction(0.7), threads: None, storage: [], openlineage: None, tracking: false }
        "#]],
    );
    check(
        "target: {}",
        expect![[r#"
        error[E0202]: unknown key `target` in `targets.yml`
          targets.yml:1:1
          | target: {}
          | ^^^^^^ did you mean `targets`?
        error[E0204]: `targets.yml` needs the key `targets`
          targets.yml:1:1
          | target: {}
          | ^^^^^^^^^^
    "#]],
    );
    check(
        "targets: [a]",
        expect![[r#"
        error[E0203]: expected a map for `targets`, found a list
          targets.yml:1:10
          | targets: [a]
          |          ^^^
    "#]],
    );
}

#[test]
fn values_of_variables_stay_hidden() {
    let text = "-- targets.yml --\ntargets:\n  x:\n    lake: x\n    memory: \"{{ env_var('S3_KEY') }}\"\n    engine: \"{{ env_var('WINDLASS_SECRET_TOKEN') }}\"\n    env: \"{{ env_var('S3_KEY').foo() }}\"\n    threads: \"{{ env_var('USER') + 1 }}\"\n";
    let found = problems(text);
    assert!(!found.contains("hunter2") && !found.contains("s3cr3t"), "{found}");
    expect![[r#"
        error[E0307]: cannot render `.foo()`: string has no method named foo
          targets.yml:6:31
          |     env: "{{ env_var('S3_KEY').foo() }}"
          |                               ^^^^^^
        error[E0307]: cannot render `env_var('USER') + 1`: tried to use + operator on unsupported types string and number
          targets.yml:7:18
          |     threads: "{{ env_var('USER') + 1 }}"
          |                  ^^^^^^^^^^^^^^^^^^^
        error[E0203]: the engine `{{ env_var('WINDLASS_SECRET_TOKEN') }}` is not known, only `datafusion`
          targets.yml:5:13
          |     engine: "{{ env_var('WINDLASS_SECRET_TOKEN') }}"
          |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
          hint: other engines arrive in a later version of Windlass
        error[E0203]: expected a size such as `70%`, `4GiB` or `500MB` for `memory`, found `{{ env_var('S3_KEY') }}`
          targets.yml:4:13
          |     memory: "{{ env_var('S3_KEY') }}"
          |             ^^^^^^^^^^^^^^^^^^^^^^^^^
        no project
    "#]].assert_eq(&found);
}

#[test]
fn debug_output_hides_secrets() {
    let loaded = load_with(&format!("-- targets.yml --\n{TARGETS}"), &options());
    let shown = format!("{:?} {:?}", loaded.project.expect("it loads").target, options());
    assert!(!shown.contains("hunter2") && !shown.contains("s3cr3t"), "{shown}");
}

#[test]
fn memory_sizes() {
    for (text, expected) in [
        ("70%", Some(MemoryLimit::Fraction(0.7))),
        ("1GiB", Some(MemoryLimit::Bytes(1 << 30))),
        ("1.5 GB", Some(MemoryLimit::Bytes(1_500_000_000))),
        ("500MB", Some(MemoryLimit::Bytes(500_000_000))),
        ("1024", Some(MemoryLimit::Bytes(1024))),
        ("64b", Some(MemoryLimit::Bytes(64))),
        ("0", None),
        ("101%", None),
        ("-1", None),
        ("GiB", None),
        ("nan", None),
        ("1e400", None),
    ] {
        assert_eq!(parse_memory(text), expected, "{text}");
    }
}

#[test]
fn events_go_to_a_server_or_a_file() {
    let one = |openlineage: &str| format!("targets:\n  x:\n    lake: x\n    openlineage: {openlineage}");
    let url = "http://localhost:5000";
    check(
        &one(url),
        expect![[r#"
            Target { name: "x", lake: "/p/x", state: "/p/.windlass", env: "prod", own_env: "prod", base: None, protected: [], memory: Fraction(0.7), threads: None, storage: [], openlineage: Some(OpenLineage { destination: Http { url: "http://localhost:5000", endpoint: None }, api_key: false, namespace: None }), tracking: false }
        "#]],
    );
    check(
        &one("events/today.jsonl"),
        expect![[r#"
            Target { name: "x", lake: "/p/x", state: "/p/.windlass", env: "prod", own_env: "prod", base: None, protected: [], memory: Fraction(0.7), threads: None, storage: [], openlineage: Some(OpenLineage { destination: File("/p/events/today.jsonl"), api_key: false, namespace: None }), tracking: false }
        "#]],
    );
    let map = format!("{{url: '{url}', api_key: \"{{{{ env_var('S3_KEY') }}}}\", endpoint: api/v2, namespace: shop}}");
    check(
        &one(&map),
        expect![[r#"
            Target { name: "x", lake: "/p/x", state: "/p/.windlass", env: "prod", own_env: "prod", base: None, protected: [], memory: Fraction(0.7), threads: None, storage: [], openlineage: Some(OpenLineage { destination: Http { url: "http://localhost:5000", endpoint: Some("api/v2") }, api_key: true, namespace: Some("shop") }), tracking: false }
        "#]],
    );
    check(
        &one("{file: a.jsonl, url: 'https://x'}"),
        expect![[r#"
        error[E0203]: `openlineage` has both `url` and `file`
          targets.yml:4:25
          |     openlineage: {file: a.jsonl, url: 'https://x'}
          |                         ^^^^^^^
          hint: events go to one place: leave out one of them
    "#]],
    );
    check(
        &one("{namespace: x}"),
        expect![[r#"
        error[E0204]: `openlineage` needs the key `url`
          targets.yml:4:18
          |     openlineage: {namespace: x}
          |                  ^^^^^^^^^^^^^^
          hint: say where events go: `url: http://host:5000`, or `file: events.jsonl`
    "#]],
    );
    check(
        &one("kafka://broker/topic"),
        expect![[r#"
        error[E0203]: expected a URL that begins with http:// or https:// for `openlineage`, found `kafka://broker/topic`
          targets.yml:4:18
          |     openlineage: kafka://broker/topic
          |                  ^^^^^^^^^^^^^^^^^^^^
    "#]],
    );
    check(
        &one("{uri: 'https://x'}"),
        expect![[r#"
        error[E0202]: unknown key `uri` in `openlineage`
          targets.yml:4:19
          |     openlineage: {uri: 'https://x'}
          |                   ^^^ did you mean `url`?
        error[E0204]: `openlineage` needs the key `url`
          targets.yml:4:18
          |     openlineage: {uri: 'https://x'}
          |                  ^^^^^^^^^^^^^^^^^^
          hint: say where events go: `url: http://host:5000`, or `file: events.jsonl`
    "#]],
    );
    check(
        &one("[a]"),
        expect![[r#"
        error[E0203]: expected a map for `openlineage`, found a list
          targets.yml:4:18
          |     openlineage: [a]
          |                  ^^^
    "#]],
    );
}

#[test]
fn an_environment_stands_on_a_base_and_is_protected_by_name() {
    let of = |text: &str, env: Option<&str>| {
        let options = LoadOptions { env_name: env.map(Into::into), ..options() };
        let loaded = load_with(&format!("-- targets.yml --\ntargets: {{t: {{lake: x, {text}}}}}\n"), &options);
        let target = loaded.project.unwrap().target;
        let is_protected = target.is_protected(&target.env);
        (target.env, target.base, is_protected)
    };
    let expected = |env: &str, base: Option<&str>, protected| (env.to_owned(), base.map(str::to_owned), protected);
    assert_eq!(of("env: prod, base: prod, protected: true", None), expected("prod", None, true));
    assert_eq!(of("env: prod, base: prod, protected: true", Some("dev")), expected("dev", Some("prod"), false));
    assert_eq!(of("env: dev, base: prod, protected: [prod]", None), expected("dev", Some("prod"), false));
    assert_eq!(of("env: dev, base: prod, protected: [prod]", Some("prod")), expected("prod", None, true));
    check(
        "targets: {t: {lake: x, base: a/b, protected: [x, ../y]}}",
        expect![[r#"
        error[E0203]: expected a name for a folder for `base`, found `a/b`
          targets.yml:1:30
          | targets: {t: {lake: x, base: a/b, protected: [x, ../y]}}
          |                              ^^^
          hint: an environment is a folder of the lake: letters, digits, `_`, `-` and `.`
        error[E0203]: expected a name for a folder for `protected`, found `../y`
          targets.yml:1:50
          | targets: {t: {lake: x, base: a/b, protected: [x, ../y]}}
          |                                                  ^^^^
          hint: an environment is a folder of the lake: letters, digits, `_`, `-` and `.`
    "#]],
    );
    check(
        "targets: {t: {lake: x, protected: prod}}",
        expect![[r#"
        error[E0203]: expected `true`, `false` or a list of environments for `protected`, found `prod`
          targets.yml:1:35
          | targets: {t: {lake: x, protected: prod}}
          |                                   ^^^^
    "#]],
    );
}

#[test]
fn a_server_of_mlflow_is_named_and_not_shown() {
    let target = |uri: &str| format!("targets:\n  local: {{lake: ./lake, tracking: '{uri}'}}\n");
    let loaded = load_with(&format!("-- targets.yml --\n{}\n", target("http://me:hidden@host:5000")), &options());
    let found = loaded.project.expect("it is a project").target;
    assert_eq!(found.tracking.as_deref(), Some("http://me:hidden@host:5000"));
    assert!(!format!("{found:?}").contains("hidden"));
    check(
        &target("sqlite:///hidden.db"),
        expect![[r#"
        error[E0203]: expected the address of an MLflow server for `tracking`
          targets.yml:2:35
          |   local: {lake: ./lake, tracking: 'sqlite:///hidden.db'}
          |                                   ^^^^^^^^^^^^^^^^^^^^^
          hint: write `http://host:5000`: files and databases of MLflow are not read
    "#]],
    );
}
