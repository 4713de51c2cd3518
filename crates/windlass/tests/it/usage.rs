//! The command line itself: help, wrong flags, no project, colours.

use expect_test::expect;

use crate::run::SHOP;
use crate::support::Project;

#[test]
fn without_a_project() {
    let folder = Project::bare();
    folder.windlass(["run"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0905]: no project here: no `windlass.yml` in this folder or above it
          hint: go to the folder of a `windlass.yml`, name it with -p, or make one: windlass init
        windlass explain E0905
    "#]]);
    folder.windlass(["-p", "nowhere", "ls"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0905]: no project in `nowhere`: it has no `windlass.yml`
          hint: go to the folder of a `windlass.yml`, name it with -p, or make one: windlass init
        windlass explain E0905
    "#]]);
}

#[test]
fn a_project_is_found_from_below_and_by_name() {
    let project = Project::new(SHOP);
    let mut below = project.command(&["ls", "spending"]);
    let answer = project.answer(below.current_dir(project.path("transforms")));
    assert_eq!(answer.stdout, "spending  table\n");
    let folder = Project::bare();
    let path = project.path("").display().to_string();
    assert_eq!(folder.windlass_with(["ls", "spending"], &[("WINDLASS_PROJECT", &path)]).stdout, "spending  table\n");
    assert_eq!(folder.windlass(["ls", "spending", "-p", &path]).stdout, "spending  table\n");
}

#[test]
fn wrong_command_lines() {
    let project = Project::new(SHOP);
    project.windlass(["frobnicate"]).check(expect![[r#"
        exit 2
        -- stderr
        error: unrecognized subcommand 'frobnicate'

        Usage: windlass [OPTIONS] <COMMAND>

        For more information, try '--help'.
    "#]]);
    project.windlass(["run", "--thread", "2"]).check(expect![[r#"
        exit 2
        -- stderr
        error: unexpected argument '--thread' found

          tip: a similar argument exists: '--threads'

        Usage: windlass run --threads <N> [SELECT]...

        For more information, try '--help'.
    "#]]);
    project.windlass(["run", "--threads", "0"]).check(expect![[r#"
        exit 2
        -- stderr
        error: invalid value '0' for '--threads <N>': 0 is not in 1..=1024

        For more information, try '--help'.
    "#]]);
    project.windlass(["ls", "-t", "nowhere"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0208]: no target `nowhere`
         |
         = help: targets of `targets.yml`: `local`
        windlass explain E0208
    "#]]);
    project.windlass(["ls", "-e", "a/b"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0203]: `a/b` cannot be the name of an environment
         |
         = help: an environment is a folder of the lake: letters, digits, `_`, `-` and `.`
        windlass explain E0203
    "#]]);
    project.windlass_with(["ls"], &[("WINDLASS_TEST_HOLD_AT", "x")]).check(expect![[r#"
        exit 2
        -- stderr
        error: `x` is no point at which a build can be held
          hint: WINDLASS_TEST_HOLD_AT takes staging:NODE, staged:NODE or committed:NODE
    "#]]);
}

#[test]
fn help_ends_with_examples() {
    let folder = Project::bare();
    folder.windlass(["gc", "--help"]).check(expect![[r#"
        exit 0
        -- stdout
        Remove files that no table uses any more

        Usage: windlass gc [OPTIONS]

        Options:
              --dry-run
                  Say what would be removed, and remove nothing

              --keep-versions-for <TIME>
                  How long files of replaced versions are kept for their readers: a number and s, m, h, d or
                  w

                  [default: 7d]

              --format <FORMAT>
                  How to print it

                  Possible values:
                  - text: For people
                  - json: One object with stable names

                  [default: text]

          -h, --help
                  Print help (see a summary with '-h')

        Global options:
          -p, --project <DIR>
                  The project's folder; else WINDLASS_PROJECT, else the nearest `windlass.yml` upwards

          -t, --target <NAME>
                  The target of `targets.yml`; else WINDLASS_TARGET, else its default

          -e, --env <NAME>
                  The environment, the first folder below the lake; else WINDLASS_ENV, else the target's

          -v, --verbose...
                  Log what happens to stderr; twice for more. WINDLASS_LOG takes a filter such as `debug`

          -q, --quiet
                  Print results and errors only

              --locked
                  Fail where the lock of a Python environment is missing or out of date; also
                  WINDLASS_LOCKED=1

              --offline
                  Make Python environments without the network; also WINDLASS_OFFLINE=1

              --color <WHEN>
                  When to use colours; NO_COLOR turns them off as well

                  Possible values:
                  - auto:   On a terminal
                  - always: Always
                  - never:  Never

                  [default: auto]

              --no-progress
                  Print a line for each event in place of moving progress

        Examples:
          windlass gc --dry-run
          windlass gc --keep-versions-for 30d
    "#]]);
    for command in ["init", "run", "plan", "show", "lineage", "ls", "runs", "gc", "explain", "completions"] {
        let answer = folder.windlass([command, "--help"]);
        let (_, examples) = answer.stdout.split_once("Examples:\n").unwrap();
        assert!(
            answer.code == 0 && examples.lines().take_while(|line| line.starts_with("  ")).count() == 2,
            "{answer}"
        );
    }
}

#[test]
fn colours_are_there_when_asked_for() {
    let folder = Project::bare();
    assert!(folder.windlass(["run", "--color", "always"]).stderr.contains("\u{1b}["));
    assert!(!folder.windlass(["run"]).stderr.contains("\u{1b}["));
    assert!(!folder.windlass_with(["run"], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]).stderr.contains("\u{1b}["));
}

#[test]
fn logs_are_there_when_asked_for() {
    let project = Project::new("-- transforms/a.sql --\nselect 1 as x\n");
    assert!(project.windlass(["run", "-v"]).stderr.contains("run started"));
    assert!(
        project.windlass_with(["run"], &[("WINDLASS_LOG", "windlass_runner=info")]).stderr.contains("node finished")
    );
}
