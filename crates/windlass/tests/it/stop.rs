//! Ctrl-C, a second writer, and a process that is killed.

use expect_test::expect;

use crate::support::Project;

const TWO: &str = "
-- transforms/a.sql --
select 1 as x
-- transforms/b.sql --
select x + 1 as y from {{ ref('a') }}
";

#[test]
fn a_second_writer_is_kept_out() {
    let project = Project::new(TWO);
    let mut first = project.start(["run"], &[("WINDLASS_TEST_HOLD_AT", "staged:a")]);
    first.wait_for("held at staged:a");
    let answer = project.windlass(["run"]);
    assert_eq!(answer.code, 2, "{answer}");
    assert!(answer.stderr.contains("error[E0901]: another run is writing to environment `prod`"), "{answer}");
    assert_eq!(project.windlass(["gc"]).code, 2);
    // What only reads goes on.
    assert_eq!(project.windlass(["plan"]).code, 0);
    first.signal("KILL");
    assert_eq!(first.wait().code, -1);
    let answer = project.windlass(["run"]);
    assert_eq!(answer.code, 0, "{answer}");
}

#[test]
fn a_second_interrupt_stops_at_once() {
    let project = Project::new(TWO);
    assert_eq!(project.windlass(["run"]).code, 0);
    let mut run = project.start(["run", "--no-cache"], &[("WINDLASS_TEST_HOLD_AT", "staging:a")]);
    run.wait_for("held at staging:a");
    run.signal("INT");
    run.wait_for("Stopping");
    run.signal("INT");
    run.wait().check(expect![[r#"
        exit 1
        -- stderr
        held at staging:a
          - b  skipped, the run was stopped
        Stopping; Ctrl-C again stops at once
          ! a  cancelled, its published version is as it was
        Published 0 of 2 to prod, 1 skipped, 1 cancelled  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    assert_eq!(project.json(["show", "a"])["table_version"], 0);
    project.windlass(["runs", "ls", "-n", "1"]).check(expect![[r#"
        exit 0
        -- stdout
        [RUN]  [AT]  cancelled  [TIME]            0 rows  local to prod: everything
    "#]]);
}

#[test]
fn an_interrupt_lets_a_commit_end() {
    let project = Project::new(TWO);
    let mut run = project.start(["run"], &[("WINDLASS_TEST_HOLD_AT", "committed:a")]);
    run.wait_for("held at committed:a");
    run.signal("INT");
    run.wait_for("Stopping");
    run.signal("KILL");
    assert_eq!(run.wait().code, -1);
    assert_eq!(project.rows("select * from a"), "{\"x\":1}");
    project.windlass(["runs", "ls", "-n", "1"]).check(expect![[r#"
        exit 0
        -- stdout
        [RUN]  [AT]  failed  [TIME]                    local to prod: everything
    "#]]);
}

#[test]
fn an_interrupt_cancels_what_is_not_publishing() {
    let project = Project::new("-- seeds/n.csv --\nn\n1\n");
    project.add(
        "-- transforms/long.sql --\nwith recursive counted as (\n  select n from {{ ref('n') }}\n\
         union all select n + 1 from counted where n < 1000000000\n)\nselect sum(n) as s from counted\n",
    );
    let mut run = project.start(["run"], &[]);
    run.wait_for("✓ n");
    std::thread::sleep(std::time::Duration::from_millis(300));
    run.signal("INT");
    run.wait().check(expect![[r#"
        exit 1
        -- stderr
          ✓ n                1 row  [SIZE]  version 0  [TIME]
        Stopping; Ctrl-C again stops at once
          ! long  cancelled, its published version is as it was
        Published 1 of 2 to prod, 1 cancelled  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    assert_eq!(project.files("lake/prod/long"), Vec::<String>::new());
}
