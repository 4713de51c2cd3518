//! `windlass env`: listing, comparing, promoting and dropping environments.

use expect_test::expect;

use crate::environments::{self, CHAIN, TARGETS};
use crate::support::{Project, is_there};

/// Another way to rank, which changes `ranks` and leaves `total` as it is.
const RANKS: &str = "
-- transforms/ranks.sql --
select customer, spent, row_number() over (order by spent) as place from {{ ref('spending') }}
";

/// Returns a project whose `dev` has tables of its own.
fn developed(more: &str) -> Project {
    let project = environments::published("");
    project.add(RANKS);
    project.add(more);
    assert_eq!(project.windlass(["run", "-q", "-e", "dev"]).code, 0);
    project
}

#[test]
fn what_was_built_is_published_without_being_computed() {
    let project = developed("");
    project.windlass(["env", "ls"]).check(expect![[r#"
        exit 0
        -- stdout
        dev   on prod    2 tables  [SIZE]  last run [AT]
        prod             3 tables  [SIZE]  last run [AT], this one
    "#]]);
    project.windlass(["env", "diff", "dev", "--rows"]).check(expect![[r#"
        exit 0
        -- stdout
        dev against prod
          changed  ranks          3 rows  sql changed: line 1; 3 rows in prod; 2 rows missing; 2 rows extra
          same     total           1 row  1 row in prod
    "#]]);
    project.windlass(["env", "promote", "dev", "--dry-run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ ranks            3 rows  [SIZE]  version 0 of dev
          ✓ total             1 row  [SIZE]  version 0 of dev
        Would promote 2 tables of dev to prod
    "#]]);
    project.windlass(["env", "promote", "dev"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ ranks            3 rows  [SIZE]  version 1 of prod  [TIME]
          ✓ total             1 row  [SIZE]  version 1 of prod  [TIME]
        Promoted 2 of 2 tables of dev to prod  [TIME]  run [RUN]
    "#]]);
    project.windlass(["runs", "show"]).check(expect![[r#"
        exit 0
        -- stdout
        run        [RUN]
        outcome    success
        started    [AT], [TIME]
        selection  everything
        target     local, env prod, lake [DIR]/lake
        written    4 rows, [SIZE]
        process    [PROCESS]

          success    ranks  3 rows  [SIZE]  version 1  [TIME]
          success    total  1 row  [SIZE]  version 1  [TIME]
    "#]]);
    let inode = |env: &str| {
        use std::os::unix::fs::MetadataExt;
        let files = project.files(&format!("lake/{env}/ranks"));
        let newest = files.iter().filter(|file| file.starts_with("part-")).map(|file| {
            let metadata = std::fs::metadata(project.path(&format!("lake/{env}/ranks/{file}"))).unwrap();
            (metadata.nlink(), metadata.ino())
        });
        newest.max().unwrap()
    };
    assert_eq!(inode("dev"), inode("prod"));
    // What was promoted is what the base would build now.
    project.windlass(["plan"]).check(expect![[r#"
        exit 0
        -- stdout
        target local, env prod, planned in [TIME]

          view   large      3 columns
          reuse  spending   2 columns  unchanged, version 0
          reuse  ranks      3 columns  unchanged, version 1
          reuse  total       1 column  unchanged, version 1

        0 to build, 3 unchanged, 1 view. Names and types fit; not checked: values, divisions by zero, casts of text.
    "#]]);
    project.windlass(["env", "promote", "dev"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ ranks  the same in prod
          ✓ total  the same in prod
        Nothing to promote: prod has what dev has built
    "#]]);
    project.windlass(["env", "diff", "dev"]).check(expect![[r#"
        exit 0
        -- stdout
        dev against prod
          same     ranks          3 rows  3 rows in prod
          same     total           1 row  1 row in prod
    "#]]);
    assert_eq!(project.rows("select place from ranks where customer = 'linus'"), "{\"place\":1}");
    project.windlass(["gc", "--keep-versions-for", "0s"]);
    assert_eq!(project.rows("select place from ranks where customer = 'linus'"), "{\"place\":1}");
}

#[test]
fn inputs_that_have_moved_refuse() {
    let project = developed("");
    project.write("data/orders.csv", "id,customer,amount\n1,ada,10.5\n2,grace,8\n");
    project.windlass(["run", "-q", "spending"]);
    project.windlass(["env", "promote", "dev"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0907]: cannot promote dev to prod
          ranks: spending: version 0 → 1
          hint: bring it up to date: windlass run -e dev, or publish what there is: --allow-stale
        windlass explain E0907
    "#]]);
    project.windlass(["env", "promote", "dev", "ranks"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0907]: cannot promote dev to prod
          ranks: spending: version 0 → 1
          hint: bring it up to date: windlass run -e dev, or publish what there is: --allow-stale
        windlass explain E0907
    "#]]);
    project.windlass(["env", "promote", "dev", "ranks", "--allow-stale"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ ranks            3 rows  [SIZE]  version 1 of prod  [TIME]
        Promoted 1 of 1 table of dev to prod  [TIME]  run [RUN]
    "#]]);
    // The base sees that its input is another one.
    project.windlass(["plan", "ranks"]).check(expect![[r#"
        exit 0
        -- stdout
        target local, env prod, planned in [TIME]

          build  ranks   3 columns  spending: version 0 → 1  last time 3 rows in [TIME]

        1 to build, [TIME] last time, 0 unchanged, 0 views. Names and types fit; not checked: values, divisions by zero, casts of text.
    "#]]);
}

#[test]
fn what_a_table_reads_is_promoted_with_it() {
    let more = "-- transforms/total.sql --\nselect count(*) as customers, max(place) as last from {{ ref('ranks') }}\n";
    let spending = "
-- transforms/spending.sql --
select customer, sum(amount) + 1 as spent from {{ ref('large') }} group by customer
";
    let project = developed(&format!("{more}{spending}"));
    project.windlass(["env", "promote", "dev", "ranks"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0907]: cannot promote dev to prod
          ranks: it reads `spending` of this environment, which is not promoted
          hint: bring it up to date: windlass run -e dev, or publish what there is: --allow-stale
        windlass explain E0907
    "#]]);
    project.windlass(["env", "promote", "dev", "+ranks", "-q"]).check(expect![[r#"
        exit 0
    "#]]);
    project.windlass(["env", "promote", "dev"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ spending  the same in prod
          ✓ ranks     the same in prod
          ✓ total                1 row  [SIZE]  version 1 of prod  [TIME]
        Promoted 1 of 3 tables of dev to prod  [TIME]  run [RUN]
    "#]]);
    project.windlass(["plan", "--exit-code", "-q"]).check(expect![[r#"
        exit 0
        -- stdout
        target local, env prod, planned in [TIME]

          view   large      3 columns
          reuse  spending   2 columns  unchanged, version 1
          reuse  ranks      3 columns  unchanged, version 1
          reuse  total      2 columns  unchanged, version 1

        0 to build, 3 unchanged, 1 view. Names and types fit; not checked: values, divisions by zero, casts of text.
    "#]]);
}

#[test]
fn what_was_not_checked_is_not_promoted() {
    let project = developed("");
    project.add("-- transforms/ranks.yml --\ntransforms: {ranks: {checks: [{row_count: {min: 9}}]}}\n");
    project.windlass(["env", "promote", "dev", "--allow-stale"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0907]: cannot promote dev to prod
          ranks: not checked yet: row_count
          hint: bring it up to date: windlass run -e dev
        windlass explain E0907
    "#]]);
}

#[test]
fn error_rows_come_with_their_table() {
    let quarantine = "
-- transforms/spending.yml --
transforms: {spending: {columns: {spent: {checks: [{range: {min: 5, on_fail: quarantine}}]}}, config: {max_error_rate: 100%}}}
-- transforms/lost.sql --
select count(*) as n from {{ ref('spending__errors') }}
";
    let project = environments::published("");
    project.add(quarantine);
    assert_eq!(project.windlass(["run", "-q", "-e", "dev"]).code, 0);
    project.windlass(["env", "promote", "dev", "-q"]).check(expect![[r#"
        exit 0
    "#]]);
    project.windlass(["plan"]).check(expect![[r#"
        exit 0
        -- stdout
        target local, env prod, planned in [TIME]

          view   large      3 columns
          reuse  spending   2 columns  unchanged, version 1
          reuse  lost        1 column  unchanged, version 0
          reuse  ranks      3 columns  unchanged, version 1
          reuse  total       1 column  unchanged, version 1

        0 to build, 4 unchanged, 1 view. Names and types fit; not checked: values, divisions by zero, casts of text.
    "#]]);
    project.windlass(["errors", "spending"]).check(expect![[r#"
        exit 0
        -- stdout
        spending  1 of 3 rows failed (33.33%), version 1

          1  check  range_spent
                    such as {"customer":"linus","spent":3.0}
        -- stderr

        run them again with the code as it is now: windlass errors spending --replay
    "#]]);
}

#[test]
fn a_promotion_that_is_killed_is_repeated() {
    let spending = "
-- transforms/spending.sql --
{{ config(partition_by=['customer']) }}
select customer, sum(amount) + 1 as spent from {{ ref('large') }} group by customer
";
    for point in ["staged:spending", "committed:spending", "staged:ranks", "committed:total"] {
        let project = developed(spending);
        let before = project.rows("select * from total");
        let mut promotion = project.start(["env", "promote", "dev"], &[("WINDLASS_TEST_HOLD_AT", point)]);
        promotion.wait_for(&format!("held at {point}"));
        // Nothing is half done: whatever is there can be read.
        assert_eq!(project.rows("select * from total"), before);
        project.rows("select * from ranks, spending");
        promotion.signal("KILL");
        promotion.wait();
        project.windlass(["env", "promote", "dev", "-q"]).check(expect![[r#"
            exit 0
        "#]]);
        assert_eq!(project.windlass(["plan", "--exit-code"]).code, 0, "{point}");
        project.windlass(["gc", "-q"]);
        let files = project.files("lake/prod/spending").into_iter().filter(|file| file.contains("part-")).count();
        assert_eq!(files, 1 + 3, "{point}: one file of the first version and one for each customer");
    }
}

#[test]
fn an_environment_is_dropped_with_what_is_ours() {
    let project = developed("");
    project.windlass(["env", "drop", "de"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0103]: the lake has no environment `de`
          hint: did you mean `dev`?
        windlass explain E0103
    "#]]);
    project.windlass(["env", "drop", "prod", "--yes"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0906]: environment `prod` is the base of dev
          hint: drop those first
        windlass explain E0906
    "#]]);
    project.windlass(["env", "drop", "dev"]).check(expect![[r#"
        exit 2
        -- stderr
        error: nobody is here to ask: to be removed is dev: 2 tables, 5 files, [SIZE]
          hint: say so: windlass env drop dev --yes
    "#]]);
    project.write("lake/dev/notes/readme.txt", "of somebody");
    project.windlass(["env", "drop", "dev", "--yes"]).check(expect![[r#"
        exit 0
        -- stderr
        Removed dev: 2 tables, 5 files, [SIZE]; dev/notes/readme.txt stays, which is not ours
    "#]]);
    assert_eq!(project.files("lake/dev"), ["notes/readme.txt"]);
    assert!(!is_there(&project.path("lake/dev/ranks")));
    project.windlass(["env", "ls"]).check(expect![[r#"
        exit 0
        -- stdout
        prod      3 tables  [SIZE]  last run [AT], this one
    "#]]);
    project.windlass(["show", "total", "-e", "dev", "-q"]).check(expect![[r#"
        exit 0
        -- stdout
        +-----------+
        | customers |
        +-----------+
        | 3         |
        +-----------+
    "#]]);
}

#[test]
fn without_a_base_there_is_nothing_to_compare_with() {
    let project = Project::new(CHAIN);
    project.windlass(["env", "diff", "dev"]).check(expect![[r#"
        exit 2
        -- stderr
        error: environment `dev` has no base
          hint: name it: --to prod, or `base: prod` of the target in targets.yml
    "#]]);
    project.windlass(["env", "ls"]).check(expect![[r#"
        exit 0
        -- stderr
        the lake has no environment yet
    "#]]);
    project.add(TARGETS);
    project.windlass(["env", "promote", "prod"]).check(expect![[r#"
        exit 2
        -- stderr
        error: environment `prod` has no base
          hint: name it: --to prod, or `base: prod` of the target in targets.yml
    "#]]);
    project.windlass(["env", "promote", "dev"]).check(expect![[r#"
        exit 0
        -- stderr
        Nothing to promote: dev has no table of its own among those
    "#]]);
}

/// Runs a command on a pseudo-terminal, types a line and returns the exit code and what stands on the screen.
fn on_a_terminal(project: &Project, args: &[&str], typed: &str) -> (i32, String) {
    const SCRIPT: &str = "
import os, pty, sys
typed, command = sys.argv[1], sys.argv[2:]
child, screen = pty.fork()
if child == 0:
    os.execv(command[0], command)
os.write(screen, typed.encode() + b'\\n')
shown = b''
while True:
    try:
        part = os.read(screen, 4096)
    except OSError:
        break
    if not part:
        break
    shown += part
sys.stdout.write(shown.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
";
    let command = project.command(args);
    let mut python = std::process::Command::new("python3");
    python.args(["-c", SCRIPT, typed]).arg(command.get_program()).args(command.get_args());
    let output = python.current_dir(project.path("")).env_clear().output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn who_sits_at_a_terminal_is_asked() {
    let project = developed("");
    let (code, shown) = on_a_terminal(&project, &["env", "drop", "dev", "--color", "never"], "n");
    assert!(code == 0 && shown.contains("? [y/N]") && shown.contains("Nothing was removed"), "{code} {shown}");
    assert!(is_there(&project.path("lake/dev/ranks")));
    let (code, shown) = on_a_terminal(&project, &["env", "drop", "dev", "--color", "never"], "y");
    assert!(code == 0 && shown.contains("Removed dev: 2 tables"), "{code} {shown}");
    assert!(!is_there(&project.path("lake/dev/ranks")));
}

#[test]
fn the_environment_of_the_target_is_dropped_by_its_name() {
    let project = Project::new(CHAIN);
    assert_eq!(project.windlass(["run", "-q"]).code, 0);
    project.windlass(["env", "drop", "prod", "--yes"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0906]: environment `prod` is the one that target `local` names
          hint: if all of its tables are to go, name it once more: windlass env drop prod --yes --confirm prod
        windlass explain E0906
    "#]]);
    project.windlass(["env", "drop", "prod", "--yes", "--confirm", "dev"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0906]: environment `prod` is the one that target `local` names
          hint: if all of its tables are to go, name it once more: windlass env drop prod --yes --confirm prod
        windlass explain E0906
    "#]]);
    project.windlass(["env", "drop", "prod"]).check(expect![[r#"
        exit 2
        -- stderr
        error: nobody is here to ask: to be removed is prod: 3 tables, 9 files, [SIZE]
          hint: say so: windlass env drop prod --yes --confirm prod
    "#]]);
    // Whichever was chosen with -e.
    assert_eq!(project.windlass(["env", "drop", "prod", "-e", "dev", "--yes"]).code, 2);
    let (code, shown) = on_a_terminal(&project, &["env", "drop", "prod", "--color", "never"], "y");
    assert!(
        code == 0 && shown.contains("To go on, type its name:") && shown.contains("Nothing was removed"),
        "{code} {shown}"
    );
    assert!(is_there(&project.path("lake/prod/ranks")));
    let (code, shown) = on_a_terminal(&project, &["env", "drop", "prod", "--color", "never"], "prod");
    assert!(code == 0 && shown.contains("Removed prod: 3 tables"), "{code} {shown}");
    assert_eq!(project.windlass(["run", "-q"]).code, 0);
    project.windlass(["env", "drop", "prod", "--yes", "--confirm", "prod"]).check(expect![[r#"
        exit 0
        -- stderr
        Removed prod: 3 tables, 9 files, [SIZE]
    "#]]);
}
