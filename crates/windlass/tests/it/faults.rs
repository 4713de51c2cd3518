//! What goes wrong outside and inside a query, as users see it, and data at the edges.

use std::fmt::Write;
use std::process::Command;

use expect_test::expect;

use crate::support::{Answer, Project};

/// Doubles that do not compress: 8 bytes a row.
const NOISE: &str = "
-- transforms/noise.sql --
select value as id, sin(value) as noise from generate_series(1, 1000000) t(value)
";

/// Runs windlass where a folder of the project is a disk of its own, made by `mount` with these options:
/// in a namespace of the process, so that nobody else sees it and nothing is left. `None` where that is
/// not allowed, as in most containers. What a shell does afterwards, on that disk, follows.
fn on_disk(project: &Project, folder: &str, options: &str, then: &str) -> Option<Answer> {
    std::fs::create_dir_all(project.path(folder)).unwrap();
    let allowed = |kind: &&str| {
        let mount = format!("mount -t tmpfs -o {options} tmpfs {folder}");
        let tried = Command::new("unshare").args([kind, "sh", "-c", &mount]).current_dir(project.path("")).output();
        tried.is_ok_and(|output| output.status.success())
    };
    let Some(kind) = ["-m", "-rm"].into_iter().find(allowed) else {
        // `a_write_that_fails_in_the_middle_is_cleaned_up` takes the same path and runs everywhere.
        return None;
    };
    let script = format!("mount -t tmpfs -o {options} tmpfs {folder} && \"$0\" run; code=$?; {then}; exit $code");
    let mut command = Command::new("unshare");
    command.args([kind, "sh", "-c", &script, env!("CARGO_BIN_EXE_windlass")]);
    command.current_dir(project.path("")).env("TMPDIR", project.path("spill"));
    std::fs::create_dir_all(project.path("spill")).unwrap();
    Some(project.answer(&mut command))
}

#[test]
fn a_lake_below_a_file() {
    let project = Project::new("-- lake --\nno folder\n-- transforms/a.sql --\nselect 1 as x\n");
    project.windlass(["run"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0701]: cannot write to the lake `[DIR]/lake/prod`
          cause: Generic local error: Not a directory (os error 20)
          hint: check the folder's permissions, or set `lake:` of the target in targets.yml
        windlass explain E0701
    "#]]);
    project.windlass(["show", "a"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0703]: cannot open table `a`
          cause: Kernel error: Invalid table location: Path does not exist: "[DIR]/lake/prod/a/".
        windlass explain E0703
    "#]]);
    project.windlass(["gc"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0703]: cannot list `[DIR]/lake/prod`
          cause: Generic LocalFileSystem error: Unable to walk dir: IO error for operation on [DIR]/lake/prod: Not a directory (os error 20)
        windlass explain E0703
    "#]]);
}

#[test]
fn a_lake_that_is_read_only() {
    let project = Project::new("-- transforms/a.sql --\nselect 1 as x\n");
    if let Some(answer) = on_disk(&project, "lake", "ro", "true") {
        answer.check(expect![[r#"
            exit 2
            -- stderr
            error[E0701]: cannot write to the lake `[DIR]/lake/prod`
              cause: Generic local error: Read-only file system (os error 30)
              hint: check the folder's permissions, or set `lake:` of the target in targets.yml
            windlass explain E0701
        "#]]);
    }
    // Permissions do not stop root.
    let folder = project.path("lake");
    std::fs::create_dir_all(&folder).unwrap();
    let permissions = std::fs::metadata(&folder).unwrap().permissions();
    let mut closed = permissions.clone();
    closed.set_readonly(true);
    std::fs::set_permissions(&folder, closed).unwrap();
    let refuses = std::fs::write(folder.join("probe"), "").is_err();
    let answer = project.windlass(["run"]);
    std::fs::set_permissions(&folder, permissions).unwrap();
    match refuses {
        true => {
            assert_eq!(answer.code, 2, "{answer}");
            assert!(answer.stderr.starts_with("error[E0701]: cannot write to the lake `[DIR]/lake/prod`"), "{answer}");
        }
        false => assert_eq!(answer.code, 0, "{answer}"),
    }
}

#[test]
fn a_full_disk_fails_the_node_and_leaves_nothing() {
    let project = Project::new(NOISE);
    project.add("-- transforms/small.sql --\nselect 1 as x\n");
    if let Some(answer) = on_disk(&project, "lake", "size=4m", "find lake/prod/noise -type f") {
        answer.check(expect![[r#"
            exit 1
            -- stderr
              ✗ noise  failed  [TIME]
            error[E0702]: cannot compute `noise`
              cause: Parquet error: External: Generic LocalFileSystem error: Unable to copy data to file: No space left on device (os error 28)
              hint: free some space; `windlass gc` removes files that no table uses any more
              ✓ small             1 row  [SIZE]  version 0  [TIME]
            windlass explain E0702
            Published 1 of 2 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
        "#]]);
    }
}

#[test]
fn a_full_folder_for_spilled_data_says_so() {
    let project = Project::new(NOISE);
    project.write(
        "targets.yml",
        "targets:\n  local: {lake: ./lake, state: ./.windlass, threads: 1, memory: 16MiB, env: prod}\n",
    );
    project.write("transforms/sorted.sql", "select * from {{ ref('noise') }} order by noise\n");
    if let Some(answer) = on_disk(&project, "spill", "size=2m", "find spill -type f") {
        answer.check(expect![[r#"
            exit 1
            -- stderr
              ✓ noise     1,000,000 rows  [SIZE]  version 0  [TIME]
              ✗ sorted  failed  [TIME]
            error[E0702]: cannot compute `sorted`
              cause: Arrow error: Io error: No space left on device (os error 28)
              hint: the temporary folder is full, where large queries spill: set TMPDIR to a larger disk, or raise `memory:` of the target
            windlass explain E0702
            Published 1 of 2 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
        "#]]);
    }
    // With room, the same finishes.
    let mut run = project.command(&["run", "sorted"]);
    let answer = project.answer(run.env("TMPDIR", project.path("spill")));
    assert_eq!(answer.code, 0, "{answer}");
    assert_eq!(project.files("spill"), Vec::<String>::new(), "spilled data is removed");
}

/// A limit on the size of files needs no rights, so this runs everywhere: the write fails in the middle.
#[test]
fn a_write_that_fails_in_the_middle_is_cleaned_up() {
    let project = Project::new(NOISE);
    project.add("-- transforms/small.sql --\nselect 1 as x\n");
    // The signal that goes with the limit is ignored, so that the write fails instead.
    let script = "trap '' XFSZ; ulimit -f 4000; exec \"$0\" run";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_windlass")]).current_dir(project.path(""));
    project.answer(&mut command).check(expect![[r#"
        exit 1
        -- stderr
          ✗ noise  failed  [TIME]
        error[E0703]: cannot compute `noise`
          cause: Parquet error: External: Generic LocalFileSystem error: Unable to copy data to file: File too large (os error 27)
          ✓ small             1 row  [SIZE]  version 0  [TIME]
        windlass explain E0703
        Published 1 of 2 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    assert_eq!(project.files("lake/prod/noise"), Vec::<String>::new());
    assert_eq!(project.rows("select * from small"), "{\"x\":1}");
    assert_eq!(project.windlass(["run"]).code, 0);
}

/// Each in a file with Jinja around the mistake, so that lines and columns are mapped back.
const MISTAKES: &str = r#"
-- windlass.yml --
name: test
version: 1
vars: {limit: 10}
-- macros/shares.sql --
{% macro share(part, whole) -%}
  {{ part }} / {{ whole }}
{%- endmacro %}
-- seeds/trips.csv --
id,km,hours,day
1,10,2,2024-01-01
2,7,0,2024-01-02
3,300,1,never
"#;

/// Returns what a run says of one transform over the seed.
fn said_of(name: &str, sql: &str) -> Answer {
    let project = Project::new(MISTAKES);
    project.write(&format!("transforms/{name}.sql"), sql);
    assert_eq!(project.windlass(["run", "trips", "-q"]).code, 0);
    project.windlass(["run", name])
}

#[test]
fn rows_that_cannot_be_computed() {
    said_of(
        "speed",
        "{% set unit = 'km' %}\n{# a comment #}\nselect\n  id,\n  {{ unit }} / hours as {{ unit }}_per_hour\nfrom {{ ref('trips') }}\n\
         where id < {{ var('limit') }}\n",
    )
    .check(expect![[r#"
        exit 1
        -- stderr
          ✗ speed  failed  [TIME]
        error[E0801]: division by zero in `km / hours` of `speed`
         --> transforms/speed.sql:5:6
          |
        5 |   {{ unit }} / hours as {{ unit }}_per_hour
          |      ^^^^
          |
          = help: divide by `nullif(x, 0)` to get NULL for such rows
        windlass explain E0801
        Published 0 of 1 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    said_of("by_macro", "select\n  id,\n  {{ share('km', 'hours') }} as speed\nfrom {{ ref('trips') }}\n").check(
        expect![[r#"
            exit 1
            -- stderr
              ✗ by_macro  failed  [TIME]
            error[E0801]: division by zero in `km / hours` of `by_macro`
             --> macros/shares.sql:2:6
              |
            2 |   {{ part }} / {{ whole }}
              |      ^^^^
              |
              = help: divide by `nullif(x, 0)` to get NULL for such rows
            windlass explain E0801
            Published 0 of 1 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
        "#]],
    );
    said_of(
        "narrow",
        "select id,\n  {% for unit in ['km', 'hours'] -%}\n  cast({{ unit }} as tinyint) as {{ unit }}{{ ',' if not loop.last }}\n  {% endfor -%}\n\
         from {{ ref('trips') }}\n",
    )
    .check(expect![[r#"
        exit 1
        -- stderr
          ✗ narrow  failed  [TIME]
        error[E0802]: can't cast value 300 to type tinyint in `CAST(km AS TINYINT)` of `narrow`
         --> transforms/narrow.sql:3:11
          |
        3 |   cast({{ unit }} as tinyint) as {{ unit }}{{ ',' if not loop.last }}
          |           ^^^^
          |
          = help: use `try_cast(...)` to get NULL for such rows
        windlass explain E0802
        Published 0 of 1 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    said_of("days", "select cast(day as date) as day from {{ ref('trips') }} -- {{ var('limit') }}\n").check(expect![
        [r#"
            exit 1
            -- stderr
              ✗ days  failed  [TIME]
            error[E0802]: cannot cast string 'never' to value of date type in `CAST(day AS DATE)` of `days`
             --> transforms/days.sql:1:13
              |
            1 | select cast(day as date) as day from {{ ref('trips') }} -- {{ var('limit') }}
              |             ^^^
              |
              = help: use `try_cast(...)` to get NULL for such rows
            windlass explain E0802
            Published 0 of 1 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
        "#]
    ]);
    said_of("digits", "select cast(km as decimal(3, 1)) as km from {{ ref('trips') }}\n").check(expect![[r#"
        exit 1
        -- stderr
          ✗ digits  failed  [TIME]
        error[E0802]: 300.0 does not fit a decimal of 3 digits in `CAST(km AS DECIMAL(3,1))` of `digits`
         --> transforms/digits.sql:1:13
          |
        1 | select cast(km as decimal(3, 1)) as km from {{ ref('trips') }}
          |             ^^
          |
          = help: use `try_cast(...)` to get NULL for such rows
        windlass explain E0802
        Published 0 of 1 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
}

#[test]
fn names_and_types_that_are_wrong() {
    said_of("t", "{% set column = 'kms' %}\nselect id, {{ column }} as km from {{ ref('trips') }}\n").check(expect![[
        r#"
            exit 2
            -- stderr
            error[E0102]: no column `kms`
             --> transforms/t.sql:2:15
              |
            2 | select id, {{ column }} as km from {{ ref('trips') }}
              |               ^^^^^^ did you mean `km`?
              |
              = note: columns: `id`, `km`, `hours`, `day`
            windlass explain E0102
        "#
    ]]);
    said_of("t", "select id\nfrom {{ ref('trisp') }}\n").check(expect![[r#"
        exit 2
        -- stderr
        error[E0302]: no node `trisp`
         --> transforms/t.sql:2:13
          |
        2 | from {{ ref('trisp') }}
          |             ^^^^^^^ did you mean `trips`?
          |
          = help: a node is named after its file in `transforms/` or `seeds/`
        windlass explain E0302
    "#]]);
    said_of("t", "select id\nfrom {{ source('raw', 'trips') }}\n").check(expect![[r#"
        exit 2
        -- stderr
        error[E0303]: no source `raw`
         --> transforms/t.sql:2:16
          |
        2 | from {{ source('raw', 'trips') }}
          |                ^^^^^
          |
          = help: declare it in `sources.yml`
        windlass explain E0303
    "#]]);
    said_of("t", "select {{ var('limits') }} as x\n").check(expect![[r#"
        exit 2
        -- stderr
        error[E0304]: no variable `limits`
         --> transforms/t.sql:1:15
          |
        1 | select {{ var('limits') }} as x
          |               ^^^^^^^^ did you mean `limit`?
          |
          = help: set it under `vars:` in `windlass.yml`, pass `--vars limits=...`, or give a default
        windlass explain E0304
    "#]]);
    said_of("t", "select {{ sahre('km', 'hours') }} as x from {{ ref('trips') }}\n").check(expect![[r#"
        exit 2
        -- stderr
        error[E0305]: no macro or function `sahre`
         --> transforms/t.sql:1:11
          |
        1 | select {{ sahre('km', 'hours') }} as x from {{ ref('trips') }}
          |           ^^^^^^^^^^^^^^^^^^^^ did you mean `share`?
        windlass explain E0305
    "#]]);
    said_of("t", "{# one #}\nselect {{ 'id' }}, rond(km) as km from {{ ref('trips') }}\n").check(expect![[r#"
        exit 2
        -- stderr
        error[E0104]: no function `rond`
         --> transforms/t.sql:2:20
          |
        2 | select {{ 'id' }}, rond(km) as km from {{ ref('trips') }}
          |                    ^^^^ did you mean `rand`?
        windlass explain E0104
    "#]]);
    said_of("t", "{# one #}\nselect id {{ '' }} km, hours as\nfrom {{ ref('trips') }}\n").check(expect![[r#"
        exit 2
        -- stderr
        error[E0101]: expected end of statement, found `trips`
         --> transforms/t.sql:3:9
          |
        3 | from {{ ref('trips') }}
          |         ^^^^^^^^^^^^
        windlass explain E0101
    "#]]);
    said_of(
        "t",
        "select a.id from {{ ref('trips') }} a\njoin {{ ref('trips') }} b on a.id = b.day and {{ 'a.km' }} = [b.km]\n",
    )
    .check(expect![[r#"
        exit 2
        -- stderr
        error[E0105]: `a.km = make_array(b.km)` has types that do not fit: bigint and array<bigint>
         --> transforms/t.sql:1:1
          |
        1 | select a.id from {{ ref('trips') }} a
          | ^
          |
          = help: cast one side, for example `cast(x as bigint)`
        windlass explain E0105
    "#]]);
    said_of("t", "select id from {{ ref('trips') }}\nunion all\nselect [1] from {{ ref('trips') }}\n")
        .check(expect![[r#"
            exit 2
            -- stderr
            error[E0105]: the queries of a UNION have columns whose types do not fit
             --> transforms/t.sql:1:1
              |
            1 | select id from {{ ref('trips') }}
              | ^
              |
              = note: previous inputs were of type bigint, but got incompatible type List(bigint) on column 'make_array(bigint(1))'
              = help: cast the column to one type in every query of the UNION
            windlass explain E0105
        "#]]);
}

#[test]
fn a_memory_limit_that_is_too_small() {
    let project = Project::new(NOISE);
    project.write(
        "targets.yml",
        "targets:\n  local: {lake: ./lake, state: ./.windlass, threads: 1, memory: 1MiB, env: prod}\n",
    );
    project.write("transforms/listed.sql", "select array_agg(noise) as all_of_it from {{ ref('noise') }}\n");
    let answer = project.windlass(["run"]);
    assert_eq!(answer.code, 1, "{answer}");
    let lines: Vec<&str> = answer.stderr.lines().collect();
    let at = lines.iter().position(|line| line.starts_with("error")).unwrap();
    assert_eq!(lines[at], "error[E0804]: cannot compute `listed`");
    assert!(lines[at + 1].starts_with("  cause: Resources exhausted: "), "{answer}");
    assert!(lines.contains(&"  hint: raise `memory:` of the target, lower `threads:`, or split the query"), "{answer}");
    assert!(lines.contains(&"windlass explain E0804"), "{answer}");
    assert!(!answer.stderr.contains("attempt 1 failed"), "more tries would not help: {answer}");
}

#[test]
fn a_thousand_mistakes_stay_readable() {
    let project = Project::new("-- seeds/t.csv --\nid\n1\n");
    let mut sql = String::from("select\n");
    for index in 0..1000 {
        writeln!(sql, "  missing_{index},").unwrap();
    }
    sql.push_str("  id\nfrom {{ ref('t') }}\n");
    for index in 0..200 {
        project.write(&format!("transforms/broken_{index:03}.sql"), &sql);
    }
    let answer = project.windlass(["run"]);
    assert_eq!(answer.code, 2);
    assert!(answer.stderr.starts_with("error[E0102]: no column `missing_0`"), "{:.500}", answer.stderr);
    assert!(answer.stderr.ends_with("200 mistakes, nothing was done\nwindlass explain E0102\n"), "{answer}");
    let lines = answer.stderr.lines().count();
    assert!(lines < 2000, "{lines} lines");
    assert!(answer.stderr.lines().all(|line| line.len() < 500), "{answer}");
}

#[test]
fn two_thousand_columns() {
    let mut sql = String::from("select 1 as id");
    for index in 0..2000 {
        write!(sql, ",\n  {index} as column_{index}").unwrap();
    }
    let project = Project::new("");
    project.write("transforms/wide.sql", &sql);
    project.write("transforms/copy.sql", "select * from {{ ref('wide') }} where column_1999 = 1999\n");
    let answer = project.windlass(["run"]);
    assert_eq!(answer.code, 0, "{answer}");
    assert_eq!(
        project.rows("select id, column_0, column_1999 from copy"),
        r#"{"id":1,"column_0":0,"column_1999":1999}"#
    );
    let shown = project.json(["show", "copy", "-n", "1"]);
    assert_eq!(shown["columns"].as_array().unwrap().len(), 2001);
    // A wrong name among them is found, with its neighbour.
    project.write("transforms/copy.sql", "select colum_1999 from {{ ref('wide') }}\n");
    let answer = project.windlass(["run", "copy"]);
    assert_eq!(answer.code, 2);
    assert!(answer.stderr.contains("did you mean `column_1999`?"), "{answer}");
    assert!(answer.stderr.len() < 4000, "not all columns are listed: {answer}");
}

const EDGES: &str = "
-- sources.yml --
sources:
  raw:
    path: data/{name}.csv
    tables:
      declared: {columns: {id: {type: bigint}, name: {type: varchar}}}
      bare: {}
      nulls: {}
-- data/declared.csv --
id,name
-- data/bare.csv --
a,b
-- data/nulls.csv --
id,nothing
1,
2,
-- transforms/declared_copy.sql --
select * from {{ source('raw', 'declared') }}
-- transforms/bare_copy.sql --
select * from {{ source('raw', 'bare') }}
-- transforms/nulls_copy.sql --
select *, cast(null as double) as never from {{ source('raw', 'nulls') }}
-- transforms/by_nothing.sql --
{{ config(partition_by=['nothing']) }}
select * from {{ ref('nulls_copy') }}
-- transforms/floats.sql --
select * from (values
  (1, double 'NaN', cast('NaN' as float)), (2, double 'Infinity', cast('inf' as float)),
  (3, double '-Infinity', cast('-inf' as float)), (4, -0.0, cast(-0.0 as float)),
  (5, 1.7976931348623157e308, cast(3.4028235e38 as float)), (6, 5e-324, cast(1e-45 as float)), (7, null, null)
) t(id, x, y)
-- transforms/floats_copy.sql --
select * from {{ ref('floats') }} where x > 0 or x <= 0 or x is null
-- transforms/one_nan.sql --
select value as id, case when value = 10 then double 'NaN' else 1.0 end as x from generate_series(1, 20) t(value)
";

#[test]
fn empty_files_and_columns_and_odd_floats_come_back() {
    let project = Project::new(EDGES);
    let answer = project.windlass(["run"]);
    assert_eq!(answer.code, 0, "{answer}");
    for (table, columns) in [("declared_copy", "id bigint, name varchar"), ("bare_copy", "a varchar, b varchar")] {
        let shown = project.json(["show", table]);
        assert_eq!((&shown["table_rows"], &shown["row_count"]), (&0.into(), &0.into()), "{table}");
        let found = shown["columns"].as_array().unwrap().iter();
        let found =
            found.map(|column| format!("{} {}", column["name"].as_str().unwrap(), column["type"].as_str().unwrap()));
        assert_eq!(found.collect::<Vec<_>>().join(", "), columns);
    }
    let nulls = "{\"id\":1,\"nothing\":null,\"never\":null}\n{\"id\":2,\"nothing\":null,\"never\":null}";
    assert_eq!(project.rows("select * from nulls_copy order by id"), nulls);
    assert_eq!(project.rows("select * from by_nothing where nothing is null order by id"), nulls);
    project.windlass(["show", "--sql", "select * from floats_copy order by id"]).check(expect![[r#"
        exit 0
        -- stdout
        +----+------------------------+--------------+
        | id | x                      | y            |
        +----+------------------------+--------------+
        | 1  | NaN                    | NaN          |
        | 2  | inf                    | inf          |
        | 3  | -inf                   | -inf         |
        | 4  | -0.0                   | -0.0         |
        | 5  | 1.7976931348623157e308 | 3.4028235e38 |
        | 6  | 5e-324                 | 1e-45        |
        | 7  |                        |              |
        +----+------------------------+--------------+
        -- stderr
        7 rows
    "#]]);
    // NaN is larger than every number; files must not be skipped for bounds that do not count it.
    for (condition, rows) in
        [("x > 5", 1), ("x <> 1", 1), ("isnan(x)", 1), ("not x < 2", 1), ("x >= 1", 20), ("x < 5", 19)]
    {
        let found = project.rows(&format!("select count(*) as n from one_nan where {condition}"));
        assert_eq!(found, format!("{{\"n\":{rows}}}"), "{condition}");
    }
}
