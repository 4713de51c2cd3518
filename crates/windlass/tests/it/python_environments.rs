//! The packages of Python code: where they are named, how they are locked, and who shares them.

use expect_test::expect;

use crate::support::{Project, is_there};

/// Two nodes and two functions, each with another version of a package.
const CONFLICT: &str = r#"
-- transforms/one.sql --
select 1 as id
-- transforms/old.py --
# /// script
# dependencies = ["six==1.16.0"]
# ///
import six
from windlass import ref, transform


@transform(input=ref("one"), columns={"id": "bigint", "version": "varchar"}, key=["id"])
def old(batch):
    return {"id": batch["id"], "version": [six.__version__]}
-- transforms/new/requirements.txt --
six==1.17.0
-- transforms/new/new.py --
import six
from windlass import ref, transform


@transform(input=ref("old"), columns={"id": "bigint", "old": "varchar", "version": "varchar"}, key=["id"])
def new(batch):
    return {"id": batch["id"], "old": batch["version"], "version": [six.__version__]}
-- functions/of_old.py --
# /// script
# dependencies = ["six==1.16.0"]
# ///
import six
from windlass import udf


@udf(returns="varchar")
def old_version(value):
    return six.__version__
-- functions/of_new.py --
# /// script
# dependencies = ["six==1.17.0"]
# ///
import six
from windlass import udf


@udf(returns="varchar")
def new_version(value):
    return six.__version__
-- transforms/both.sql --
select old, version, old_version(id) as by_old, new_version(id) as by_new, old_version(length(new_version(id))) as nested
from {{ ref('new') }}
"#;

#[test]
fn versions_that_conflict_run_side_by_side() {
    let project = Project::with_python(CONFLICT);
    project.windlass(["run", "--locked", "--offline"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ one              1 row  [SIZE]  version 0  [TIME]
          ✓ old              1 row  [SIZE]  version 0  [TIME]
          ✓ new              1 row  [SIZE]  version 0  [TIME]
          ✓ both             1 row  [SIZE]  version 0  [TIME]
        Published 4 of 4 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"{"old":"1.16.0","version":"1.17.0","by_old":"1.16.0","by_new":"1.17.0","nested":"1.16.0"}"#]]
        .assert_eq(&project.rows("select * from both"));
}

const LOCKED: &str = r#"
-- transforms/one.sql --
select 1 as id
-- transforms/packed.py --
# /// script
# requires-python = ">=3.11"
# dependencies = ["six==1.17.0"]
# ///
import six
from windlass import ref, transform


@transform(input=ref("one"), columns={"id": "bigint", "version": "varchar"}, key=["id"])
def packed(batch):
    return {"id": batch["id"], "version": [six.__version__]}
"#;

#[test]
fn a_lock_that_is_missing_is_refused_or_written() {
    let project = Project::unlocked(LOCKED);
    let refused = project.windlass(["run", "--locked"]);
    refused.check(expect![[r#"
        exit 2
        -- stderr
        error[E0501]: `locks/beeb9b4ee06b.lock`, the lock of `packed`, is missing
          --> transforms/packed.py:10:5
           |
        10 | def packed(batch):
           |     ^^^^^^
           |
           = help: run once without `--locked` and commit `locks/beeb9b4ee06b.lock`
        windlass explain E0501
    "#]]);
    assert_eq!(project.windlass(["plan", "--locked"]).to_string(), refused.to_string());
    let by_variable = project.windlass_with(["run", "+packed"], &[("WINDLASS_LOCKED", "1")]);
    assert_eq!(by_variable.to_string(), refused.to_string());
    assert!(!is_there(&project.path(".windlass")), "no run has begun");
    let answer = project.windlass(["run", "one", "--locked"]);
    assert_eq!(answer.code, 0, "no Python is selected: {answer}");
    assert!(!is_there(&project.path("locks")), "nothing is locked");
    assert!(!is_there(&project.path("lake/prod/packed")), "nothing has run");

    let answer = project.windlass(["run"]);
    assert_eq!(answer.code, 0, "{answer}");
    assert!(answer.stderr.contains("locked the environment of `packed`: locks/beeb9b4ee06b.lock\n"), "{answer}");
    assert_eq!(project.files("locks"), ["beeb9b4ee06b.lock"]);
    let lock = std::fs::read_to_string(project.path("locks/beeb9b4ee06b.lock")).unwrap();
    assert!(
        lock.starts_with("# Locked by Windlass for Python >=3.11 with\n#   numpy\n#   pyarrow>=16\n#   six==1.17.0\n"),
        "{lock}"
    );
    assert_eq!(project.rows("select version from packed"), r#"{"version":"1.17.0"}"#);

    // From now on it is used as it is, without a word and without the network.
    project.windlass(["run", "--no-cache", "--locked", "--offline"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ one                1 row  [SIZE]  version 1  [TIME]
          ✓ packed             1 row  [SIZE]  version 1  [TIME]
        Published 2 of 2 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    assert_eq!(std::fs::read_to_string(project.path("locks/beeb9b4ee06b.lock")).unwrap(), lock);

    // Another set of packages is another lock.
    let code = std::fs::read_to_string(project.path("transforms/packed.py")).unwrap();
    project.write("transforms/packed.py", &code.replace("1.17.0", "1.15.0"));
    project.windlass(["run", "packed", "--locked", "-q"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0501]: `locks/0167c06b9933.lock`, the lock of `packed`, is missing
          --> transforms/packed.py:10:5
           |
        10 | def packed(batch):
           |     ^^^^^^
           |
           = help: run once without `--locked` and commit `locks/0167c06b9933.lock`
        windlass explain E0501
    "#]]);
}

#[test]
fn locks_of_functions_are_asked_for_as_well() {
    // `version` is a view: `marked` calls its function while it is computed.
    let project = Project::unlocked(
        r#"
-- transforms/version.sql --
{{ config(materialized='view') }}
select 1 as id, six_version(1) as version
-- transforms/marked.py --
from windlass import ref, transform


@transform(input=ref("version"), columns={"id": "bigint", "version": "varchar"}, key=["id"])
def marked(batch):
    return {"id": batch["id"], "version": batch["version"]}
-- functions/of_six.py --
# /// script
# dependencies = ["six==1.17.0"]
# ///
import six
from windlass import udf


@udf(returns="varchar")
def six_version(value):
    return [six.__version__] * len(value)
-- functions/idle.py --
# /// script
# dependencies = ["six==1.15.0"]
# ///
from windlass import udf


@udf(returns="varchar")
def nobody_calls_it(value):
    return value
"#,
    );
    project.windlass(["run", "marked", "--locked"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0501]: `locks/a7f0470b3f7b.lock`, the lock of `marked`, is missing
         --> transforms/marked.py:5:5
          |
        5 | def marked(batch):
          |     ^^^^^^
          |
          = help: run once without `--locked` and commit `locks/a7f0470b3f7b.lock`

        error[E0501]: `locks/beeb9b4ee06b.lock`, the lock of `functions/of_six.py`, is missing
         --> functions/of_six.py:9:5
          |
        9 | def six_version(value):
          |     ^^^^^^^^^^^
          |
          = help: run once without `--locked` and commit `locks/beeb9b4ee06b.lock`

        2 mistakes, nothing was done
        windlass explain E0501
    "#]]);
}

#[test]
fn a_lock_that_was_tampered_with_is_refused() {
    let project = Project::with_python(LOCKED);
    let lock = std::fs::read_to_string(project.path("locks/beeb9b4ee06b.lock")).unwrap();
    project.write("locks/beeb9b4ee06b.lock", &lock.replace("specifier = \"==1.17.0\"", "specifier = \"==1.16.0\""));
    let refused = project.windlass(["run", "--locked", "-q"]);
    refused.check(expect![[r#"
        exit 2
        -- stderr
        error[E0501]: `locks/beeb9b4ee06b.lock` does not fit the requirements of `packed`
          --> transforms/packed.py:10:5
           |
        10 | def packed(batch):
           |     ^^^^^^
           |
           = help: run once without `--locked` and commit the file: it was edited, or made with other indexes
        windlass explain E0501
    "#]]);
    assert_eq!(project.windlass(["plan", "--locked"]).to_string(), refused.to_string());
    assert!(!is_there(&project.path(".windlass")), "no run has begun");
    project.write("locks/beeb9b4ee06b.lock", "<<<<<<< ours\n=======\n>>>>>>> theirs\n");
    project.windlass(["run", "-q"]).check(expect![[r#"
        exit 1
        -- stderr
          ✗ packed  failed  [TIME]
        error[E0501]: `locks/beeb9b4ee06b.lock`, the lock of `packed`, holds a merge that is not finished
          --> transforms/packed.py:10:5
           |
        10 | def packed(batch):
           |     ^^^^^^
           |
           = help: take `locks/beeb9b4ee06b.lock` back from version control, or remove it to lock anew
        windlass explain E0501
    "#]]);
}

#[test]
fn what_cannot_be_resolved_is_told() {
    let project = Project::with_python(LOCKED);
    let code = std::fs::read_to_string(project.path("transforms/packed.py")).unwrap();
    project.write("transforms/packed.py", &code.replace("six==1.17.0", "six==1.17.0 oops"));
    project.windlass(["run", "--offline", "-q"]).check(expect![[r#"
        exit 1
        -- stderr
          ✗ packed  failed  [TIME]
        error[E0502]: cannot resolve the environment of `packed`
          --> transforms/packed.py:10:5
           |
        10 | def packed(batch):
           |     ^^^^^^
           |
           = note: uv says:
                   `six==1.17.0 oops` is no requirement: expected a package and versions, such as `numpy>=2`
           = help: requirements are written as in `requirements.txt` and PEP 723, one package each
        windlass explain E0502
    "#]]);
    project.write("transforms/packed.py", &code.replace("six==1.17.0", "six==1.17.0oops"));
    project.windlass(["run", "packed", "--offline", "-q"]).check(expect![[r#"
        exit 1
        -- stderr
          ✗ packed  failed  [TIME]
        error[E0502]: cannot resolve the environment of `packed`
          --> transforms/packed.py:10:5
           |
        10 | def packed(batch):
           |     ^^^^^^
           |
           = note: uv says:
                   `numpy` or `pyarrow>=16` or `six==1.17.0oops` is no requirement: its version cannot be read
           = help: requirements are written as in `requirements.txt` and PEP 723, one package each
        windlass explain E0502
    "#]]);
    project.write("transforms/packed.py", &code.replace("\"six==1.17.0\"", "\"six==1.17.0\", \"six<1\""));
    project.windlass(["run", "packed", "--offline", "-q"]).check(expect![[r#"
        exit 1
        -- stderr
          ✗ packed  failed  [TIME]
        error[E0502]: cannot resolve the environment of `packed`
          --> transforms/packed.py:10:5
           |
        10 | def packed(batch):
           |     ^^^^^^
           |
           = note: uv says:
                   No solution found when resolving dependencies
                   Because your project depends on six<1 and six==1.17.0, we can conclude that your project's requirements are unsatisfiable.
           = help: change the requirements so that one version of each package fits all
        windlass explain E0502
    "#]]);
    project.write("transforms/packed.py", &code.replace("dependencies = [\"six==1.17.0\"]", "dependencies = [\"six"));
    project.windlass(["run", "packed", "--offline", "-q"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0502]: the `script` block is not TOML: unclosed array, expected `]`
         --> transforms/packed.py:3:23
          |
        3 | # dependencies = ["six
          |                       ^
        windlass explain E0502
    "#]]);
}

#[test]
fn a_project_of_the_users_own_is_used_as_it_is() {
    let project = Project::with_python(LOCKED);
    project.write(
        "transforms/packed.py",
        &std::fs::read_to_string(project.path("transforms/packed.py")).unwrap().replace("# ///", "#"),
    );
    let project_file = "[project]\nname = \"own\"\nversion = \"0\"\nrequires-python = \">=3.11\"\ndependencies = [\"six==1.17.0\", \"numpy\", \"pyarrow>=16\"]\n";
    project.write("transforms/pyproject.toml", project_file);
    project.windlass(["run", "-q"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0501]: `transforms/pyproject.toml` has no `uv.lock` beside it
         --> transforms/pyproject.toml:1:1
          |
        1 | [project]
          | ^
          |
          = help: run `uv lock` in `transforms` and keep the file
        windlass explain E0501
    "#]]);
    // The same packages, locked for a project of that name.
    let lock = std::fs::read_to_string(project.path("locks/beeb9b4ee06b.lock")).unwrap();
    project.write("transforms/uv.lock", &lock.replace("windlass-environment", "own"));
    let answer = project.windlass(["run", "-q"]);
    assert_eq!(answer.code, 0, "{answer}");
    assert_eq!(project.rows("select version from packed"), r#"{"version":"1.17.0"}"#);
}

#[test]
fn own_modules_do_not_shadow_those_of_python() {
    let project = Project::with_python(LOCKED);
    project.write("lib/json.py", "raise RuntimeError('of the project')\n");
    let code = std::fs::read_to_string(project.path("transforms/packed.py")).unwrap();
    project.write("transforms/packed.py", &code.replace("import six\n", "import json\n\nimport six\n"));
    let answer = project.windlass(["run"]);
    assert_eq!(answer.code, 0, "{answer}");
    let warning =
        "packed[w1] warning: json.py in [DIR]/lib is named like a module of Python, which `import json` finds first";
    assert!(answer.stderr.contains(warning), "{answer}");
}
