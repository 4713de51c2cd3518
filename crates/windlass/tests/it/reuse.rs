//! What a second run leaves alone, what it builds, and the reasons that `plan` gives.

use expect_test::{Expect, expect};

use crate::support::Project;

/// Five nodes: a seed, a view with a macro and a variable, and three tables, one below the other.
const CHAIN: &str = "
-- windlass.yml --
name: test
version: 1
vars: {least: 2}
-- sources.yml --
sources:
  raw:
    path: data/{name}
    tables:
      orders: {path: data/orders/*.csv, columns: {id: bigint, customer: varchar, amount: double}}
-- data/orders/a.csv --
id,customer,amount
1,ada,10.5
2,grace,7
3,ada,0.25
4,linus,3
-- seeds/people.csv --
customer,country
ada,UK
grace,US
-- macros/money.sql --
{% macro cents(column) %}
cast({{ column }} * 100 as bigint)
{% endmacro %}
-- transforms/large.sql --
{{ config(materialized='view') }}
select id, customer, {{ cents('amount') }} as cents
from {{ source('raw', 'orders') }}
where amount >= {{ var('least') }}
-- transforms/spending.sql --
select customer, sum(cents) as cents
from {{ ref('large') }}
group by customer
-- transforms/known.sql --
select s.customer, p.country, s.cents
from {{ ref('spending') }} s
join {{ ref('people') }} p on p.customer = s.customer
-- transforms/total.sql --
select count(*) as customers, sum(cents) > 0 as any from {{ ref('known') }}
";

/// Returns the nodes that a run would build, with the reasons.
fn plan(project: &Project) -> String {
    let plan = project.json(["plan"]);
    let builds = plan["nodes"].as_array().unwrap().iter().filter(|node| node["action"] == "build");
    let line = |node: &serde_json::Value| {
        let reason = &node["reason"];
        format!("{}: {} ({})\n", node["name"].as_str().unwrap(), reason["text"].as_str().unwrap(), reason["kind"])
    };
    builds.map(line).collect()
}

/// Compares what a run would build with what is expected, and runs. Answers the tables that it published.
#[track_caller]
fn check(project: &Project, expected: Expect) -> String {
    expected.assert_eq(&plan(project));
    published(project)
}

/// Runs, and returns the tables that were published.
#[track_caller]
fn published(project: &Project) -> String {
    let run = project.json(["run"]);
    let nodes = run["nodes"].as_array().unwrap().iter();
    let built = nodes.filter(|node| node["outcome"] == "success" && node["kind"] != "view");
    built.map(|node| node["name"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

#[test]
fn nothing_is_built_twice() {
    let project = Project::new(CHAIN);
    project.windlass(["run", "-q"]).check(expect![[r#"
        exit 0
    "#]]);
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ people    unchanged  version 0
          ✓ large     view
          ✓ spending  unchanged  version 0
          ✓ known     unchanged  version 0
          ✓ total     unchanged  version 0
        Nothing has changed, 4 tables of prod stay  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    project.windlass(["plan"]).check(expect![[r#"
        exit 0
        -- stdout
        target local, env prod, planned in [TIME]

          reuse  people     2 columns  unchanged, version 0
          view   large      3 columns
          reuse  spending   2 columns  unchanged, version 0
          reuse  known      3 columns  unchanged, version 0
          reuse  total      2 columns  unchanged, version 0

        0 to build, 4 unchanged, 1 view. Names and types fit; not checked: values, divisions by zero, casts of text.
    "#]]);
    project.windlass(["run", "spending", "--no-cache"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ spending            3 rows  [SIZE]  version 1  [TIME]
        Published 1 of 1 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
}

#[test]
fn plan_tells_scripts_whether_there_is_anything_to_do() {
    let project = Project::new(CHAIN);
    let code = || project.windlass(["plan", "--exit-code"]).code;
    assert_eq!(code(), 10);
    project.windlass(["run", "-q"]);
    assert_eq!(code(), 0);
    assert_eq!(project.windlass(["plan", "--exit-code", "--full-refresh"]).code, 10);
    project.write("transforms/total.sql", "select count(*) as n from {{ ref('nowhere') }}\n");
    assert_eq!(code(), 2);
}

#[test]
fn comments_case_layout_and_folders_build_nothing() {
    let project = Project::new(CHAIN);
    project.windlass(["run", "-q"]);
    project.write(
        "transforms/spending.sql",
        "-- what everybody has spent\nSELECT  CUSTOMER,\n  Sum(cents) AS cents /* no euros */\nfrom {{ ref('large') }}\n\n\
         {# nobody twice #}\nGROUP   BY 1\n",
    );
    std::fs::rename(project.path("transforms/known.sql"), project.path("transforms/moved_known.sql")).unwrap();
    std::fs::create_dir_all(project.path("transforms/marts")).unwrap();
    std::fs::rename(project.path("transforms/moved_known.sql"), project.path("transforms/marts/known.sql")).unwrap();
    assert_eq!(check(&project, expect![""]), "");
}

#[test]
fn an_edit_builds_its_node_and_what_reads_it() {
    let project = Project::new(CHAIN);
    project.windlass(["run", "-q"]);
    project.write(
        "transforms/spending.sql",
        "select customer,\n  -- halves\n  sum(cents) / 2 as cents\nfrom {{ ref('large') }}\ngroup by customer\n",
    );
    assert_eq!(
        check(
            &project,
            expect![[r#"
        spending: sql changed: line 1 ("sql")
        known: reads `spending`, which is built ("upstream")
        total: reads `known`, which is built ("upstream")
    "#]]
        ),
        "spending known total"
    );
}

#[test]
fn edits_of_views_macros_and_variables_are_told_from_each_other() {
    let project = Project::new(CHAIN);
    project.windlass(["run", "-q"]);
    project.write("macros/money.sql", "{% macro cents(column) %}\ncast({{ column }} * 10 as bigint)\n{% endmacro %}\n");
    assert_eq!(
        check(
            &project,
            expect![[r#"
        spending: view `large` changed: macros/money.sql:2 ("sql")
        known: reads `spending`, which is built ("upstream")
        total: reads `known`, which is built ("upstream")
    "#]]
        ),
        "spending known total"
    );
    let view = std::fs::read_to_string(project.path("transforms/large.sql")).unwrap();
    project.write("transforms/large.sql", &view.replace("where amount", "where id < 4 and amount"));
    assert_eq!(
        check(
            &project,
            expect![[r#"
        spending: view `large` changed: line 4 ("sql")
        known: reads `spending`, which is built ("upstream")
        total: reads `known`, which is built ("upstream")
    "#]]
        ),
        "spending known"
    );
    project.write("windlass.yml", "name: test\nversion: 1\nvars: {least: 0}\n");
    assert_eq!(
        check(
            &project,
            expect![[r#"
        spending: var least: 2 → 0 ("var")
        known: reads `spending`, which is built ("upstream")
        total: reads `known`, which is built ("upstream")
    "#]]
        ),
        "spending known total"
    );
    // Tags, owners and descriptions decide on no row.
    project.write("windlass.yml", "name: test\nversion: 1\nvars: {least: 0}\ntransforms: {+owner: ada, +tags: [x]}\n");
    assert_eq!(check(&project, expect![""]), "");
    project.write("transforms/t.yml", "transforms: {known: {sort_by: [country]}}\n");
    assert_eq!(
        check(
            &project,
            expect![[r#"
        known: sort_by changed ("setting")
        total: reads `known`, which is built ("upstream")
    "#]]
        ),
        "known"
    );
}

#[test]
fn equal_rows_stop_the_wave() {
    let project = Project::new(CHAIN);
    project.windlass(["run", "-q"]);
    // The sum over two parts of the same rows, in another order.
    project.write("data/orders/a.csv", "id,customer,amount\n4,linus,3\n3,ada,0.25\n2,grace,7\n1,ada,10.5\n");
    assert_eq!(
        check(
            &project,
            expect![[r#"
        spending: source raw.orders: 1 changed file ("input")
        known: reads `spending`, which is built ("upstream")
        total: reads `known`, which is built ("upstream")
    "#]]
        ),
        "spending"
    );
    assert_eq!(published(&project), "");
}

#[test]
fn equal_lists_and_structs_stop_the_wave() {
    let nested = |tags: &str, note: &str| {
        format!(
            "select value as id, {tags} as tags, named_struct('note', {note}, 'tags', [value]) as facts\n\
             from generate_series(1, 50) t(value)\n"
        )
    };
    let project = Project::new("-- transforms/above.sql --\nselect id, tags[1] as first from {{ ref('nested') }}\n");
    let built = |tags: &str, note: &str| {
        project.write("transforms/nested.sql", &nested(tags, note));
        let answer = project.windlass(["run", "--format", "json"]);
        assert_eq!(answer.code, 0, "{answer}");
        let report = crate::support::parsed(&answer.stdout);
        let nodes = report["data"]["nodes"].as_array().unwrap().iter();
        let built = nodes.filter(|node| node["outcome"] == "success");
        built.map(|node| node["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(built("[value, value + 1]", "'a'"), ["nested", "above"]);
    assert_eq!(built("[value, 1 + value]", "concat('a', '')"), ["nested"]);
    assert_eq!(built("[value + 1, value]", "'a'"), ["nested", "above"]);
    assert_eq!(built("[value + 1, value]", "'b'"), ["nested", "above"]);
}

#[test]
fn sources_are_told_by_their_files() {
    let project = Project::new(CHAIN);
    project.windlass(["run", "-q"]);
    project.write("data/orders/b.csv", "id,customer,amount\n5,ada,100\n");
    assert_eq!(
        check(
            &project,
            expect![[r#"
        spending: source raw.orders: 1 new file ("input")
        known: reads `spending`, which is built ("upstream")
        total: reads `known`, which is built ("upstream")
    "#]]
        ),
        "spending known total"
    );
    std::fs::remove_file(project.path("data/orders/b.csv")).unwrap();
    project.write("seeds/people.csv", "customer,country\nada,FR\ngrace,US\n");
    assert_eq!(
        check(
            &project,
            expect![[r#"
        people: people changed ("input")
        spending: source raw.orders: 1 removed file ("input")
        known: reads `spending`, which is built ("upstream")
        total: reads `known`, which is built ("upstream")
    "#]]
        ),
        "people spending known total"
    );
    // Another time of the same text says nothing.
    project.write("seeds/people.csv", "customer,country\nada,FR\ngrace,US\n");
    assert_eq!(check(&project, expect![""]), "");
}

#[test]
fn a_deleted_table_is_built_again() {
    let project = Project::new(CHAIN);
    project.windlass(["run", "-q"]);
    std::fs::remove_dir_all(project.path("lake/prod/spending")).unwrap();
    assert_eq!(
        check(
            &project,
            expect![[r#"
        spending: not published yet ("missing")
        known: reads `spending`, which is built ("upstream")
        total: reads `known`, which is built ("upstream")
    "#]]
        ),
        "spending"
    );
    expect![[r#"
        {"customer":"ada","cents":1050}
        {"customer":"grace","cents":700}
        {"customer":"linus","cents":300}"#]]
    .assert_eq(&project.rows("select * from spending order by customer"));
}

#[test]
fn what_answers_anew_every_time_is_built_every_time() {
    let project = Project::new(CHAIN);
    project.write("transforms/stamped.sql", "select customer, now() as at from {{ ref('spending') }}\n");
    project.windlass(["run", "-q"]);
    assert_eq!(
        check(
            &project,
            expect![[r#"
        stamped: new every time: it calls now() ("volatile")
    "#]]
        ),
        "stamped"
    );
    project.write("transforms/stamped.sql", "select customer, random() as at from {{ ref('spending') }}\n");
    assert_eq!(
        check(
            &project,
            expect![[r#"
        stamped: new every time: it calls random() ("volatile")
    "#]]
        ),
        "stamped"
    );
}

/// A plan does not show what a table function is called with.
#[test]
fn arguments_of_table_functions_count() {
    let project = Project::new("-- transforms/n.sql --\nselect * from generate_series(1, 3) t(n)\n");
    project.windlass(["run", "-q"]);
    project.write("transforms/n.sql", "select * from generate_series(1,  3) t(n) -- the same\n");
    assert_eq!(check(&project, expect![""]), "");
    project.write("transforms/n.sql", "select *\nfrom generate_series(1, 4) t(n)\n");
    assert_eq!(
        check(
            &project,
            expect![[r#"
        n: sql changed: line 1 ("sql")
    "#]]
        ),
        "n"
    );
    let many: Vec<String> = (0..9).map(|n| format!("({n})")).collect();
    project.write("transforms/n.sql", &format!("select * from (values {}) t(n)\n", many.join(", ")));
    published(&project);
    project.write("transforms/n.sql", &format!("select * from (values {}) t(n)\n", many.join(", ").replace('8', "9")));
    assert_eq!(
        check(
            &project,
            expect![[r#"
        n: sql changed: line 1 ("sql")
    "#]]
        ),
        "n"
    );
}

/// An upgrade may plan the same text differently. That alone builds nothing.
#[test]
fn another_version_of_windlass_builds_nothing() {
    let project = Project::new(CHAIN);
    project.windlass(["run", "-q"]);
    let log = project.path("lake/prod/spending/_delta_log/00000000000000000000.json");
    let text = std::fs::read_to_string(&log).unwrap();
    let mut lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines[0]["commitInfo"]["windlass"]["definition"]["plan"] = "of an older version".into();
    lines[0]["commitInfo"]["windlass"]["version"] = "0.0.1".into();
    let text: Vec<String> = lines.iter().map(ToString::to_string).collect();
    std::fs::write(&log, text.join("\n")).unwrap();
    assert_eq!(check(&project, expect![""]), "");
    // An edit is still seen.
    project.write(
        "transforms/spending.sql",
        "select customer, sum(cents) + 1 as cents from {{ ref('large') }} group by 1\n",
    );
    assert_eq!(
        check(
            &project,
            expect![[r#"
        spending: sql changed: line 1 ("sql")
        known: reads `spending`, which is built ("upstream")
        total: reads `known`, which is built ("upstream")
    "#]]
        ),
        "spending known total"
    );
}

/// What a run before definitions were kept has published is built once more.
#[test]
fn a_table_of_unknown_origin_is_built_again() {
    let project = Project::new(CHAIN);
    project.windlass(["run", "-q"]);
    let log = project.path("lake/prod/spending/_delta_log/00000000000000000000.json");
    let text = std::fs::read_to_string(&log).unwrap();
    let mut lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines[0]["commitInfo"]["windlass"].as_object_mut().unwrap().remove("definition");
    let text: Vec<String> = lines.iter().map(ToString::to_string).collect();
    std::fs::write(&log, text.join("\n")).unwrap();
    assert_eq!(
        check(
            &project,
            expect![[r#"
        spending: nothing is known of how it was made ("missing")
        known: reads `spending`, which is built ("upstream")
        total: reads `known`, which is built ("upstream")
    "#]]
        ),
        "spending"
    );
}

/// A changed check is made on the rows that are there; nothing is built for it, and it is made once.
#[test]
fn a_changed_check_is_made_without_a_build() {
    let project = Project::new(CHAIN);
    let with = |least: u64| {
        format!("transforms: {{spending: {{checks: [row_count: {{min: {least}}}, unique: [customer]]}}}}\n")
    };
    project.write("transforms/t.yml", &with(1));
    project.windlass(["run", "-q"]);
    assert_eq!(published(&project), "");
    project.write("transforms/t.yml", &with(2));
    project.windlass(["plan"]).check(expect![[r#"
        exit 0
        -- stdout
        target local, env prod, planned in [TIME]

          reuse  people     2 columns  unchanged, version 0
          view   large      3 columns
          check  spending   2 columns  unchanged, version 0; check row_count is to be made
          reuse  known      3 columns  unchanged, version 0
          reuse  total      2 columns  unchanged, version 0

        0 to build, 4 unchanged, 1 view. Names and types fit; not checked: values, divisions by zero, casts of text.
    "#]]);
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ people    unchanged  version 0
          ✓ large     view
          ✓ spending  unchanged  version 1
          ✓ known     unchanged  version 0
          ✓ total     unchanged  version 0
        spending 1 check passed
        Nothing has changed, 4 tables of prod stay  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    assert_eq!(published(&project), "");
    project.write("transforms/t.yml", &with(4));
    project.windlass(["run"]).check(expect![[r#"
        exit 1
        -- stderr
          ✓ people    unchanged  version 0
          ✓ large     view
          ✗ spending  failed  [TIME]
        error[E0604]: table `spending` breaks a check
          fail row_count: rows 3, at least 4 (transforms/t.yml:1:34)
          - known     skipped, it needs `spending`
          - total     skipped, it needs `spending`
        windlass explain E0604
        spending 0 checks passed, 1 failed
        Published 0 of 4 to prod, 1 unchanged, 1 failed, 2 skipped  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    project.windlass(["run"]).check(expect![[r#"
        exit 1
        -- stderr
          ✓ people    unchanged  version 0
          ✓ large     view
          ✗ spending  failed  [TIME]
        error[E0604]: table `spending` breaks a check
          fail row_count: rows 3, at least 4 (transforms/t.yml:1:34)
          - known     skipped, it needs `spending`
          - total     skipped, it needs `spending`
        windlass explain E0604
        spending 0 checks passed, 1 failed
        Published 0 of 4 to prod, 1 unchanged, 1 failed, 2 skipped  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"{"n":3}"#]].assert_eq(&project.rows("select count(*) as n from spending"));
}

/// Checks of sources and views are made once for the same rows.
#[test]
fn checks_of_sources_and_views_are_made_once() {
    let project = Project::new(CHAIN);
    project.write("transforms/t.yml", "transforms: {large: {checks: [row_count: {min: 1}]}}\n");
    let sources = std::fs::read_to_string(project.path("sources.yml")).unwrap();
    project.write("sources.yml", &sources.replace("columns: {id", "checks: [unique: [id]], columns: {id"));
    let looked_at = || {
        let run = project.json(["run"]);
        let nodes = run["nodes"].as_array().unwrap().iter();
        let looked = nodes.filter(|node| node["checks"].as_array().is_some_and(|checks| !checks.is_empty()));
        looked.map(|node| node["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(looked_at(), "raw.orders large");
    assert_eq!(looked_at(), "");
    project.write("data/orders/b.csv", "id,customer,amount\n5,ada,100\n");
    assert_eq!(looked_at(), "raw.orders large");
    project.write("transforms/t.yml", "transforms: {large: {checks: [row_count: {min: 2}]}}\n");
    assert_eq!(looked_at(), "large");
}

/// Finished nodes stay; what failed and what needs it is done by the next run.
#[test]
fn a_run_after_a_failure_does_the_rest() {
    let project = Project::new(CHAIN);
    let good = "select s.customer, p.country, s.cents\nfrom {{ ref('spending') }} s\n\
                join {{ ref('people') }} p on p.customer = s.customer\n";
    project.write("transforms/known.sql", &good.replace("s.cents", "cast(s.customer as bigint) as cents"));
    assert_eq!(project.windlass(["run", "-q"]).code, 1);
    project.write("transforms/known.sql", good);
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ people    unchanged  version 0
          ✓ large     view
          ✓ spending  unchanged  version 0
          ✓ known               2 rows  [SIZE]  version 0  [TIME]
          ✓ total                1 row  [SIZE]  version 0  [TIME]
        Published 2 of 4 to prod, 2 unchanged  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
}

const SCORED: &str = "
-- transforms/numbers.sql --
select * from (values (1, 2.0), (2, 3.0), (3, 4.0)) t(id, value)
-- lib/scale.py --
FACTOR = 2
-- transforms/scored.py --
from scale import FACTOR
from windlass import ref, transform


@transform(input=ref('numbers'), columns={'id': 'bigint', 'score': 'double'}, key=['id'], on_error='fail')
def scored(batch):
    return {'id': batch['id'], 'score': batch['value'] * FACTOR}
-- functions/double.py --
from windlass import udf


@udf(returns='double', args={'value': 'double'})
def doubled(value):
    return value * 2
-- transforms/called.sql --
select id, doubled(value) as value from {{ ref('numbers') }}
";

#[test]
fn python_is_known_by_its_syntax_tree_and_its_modules() {
    let project = Project::with_python(SCORED);
    project.windlass(["run", "-q"]).check(expect![[r#"
        exit 0
    "#]]);
    assert_eq!(check(&project, expect![""]), "");
    project.write("lib/scale.py", "# How much larger.\nFACTOR = (2)\n");
    assert_eq!(check(&project, expect![""]), "");
    project.write("lib/scale.py", "FACTOR = 3\n");
    assert_eq!(
        check(
            &project,
            expect![[r#"
        scored: lib/scale.py changed ("python")
    "#]]
        ),
        "scored"
    );
    let function = std::fs::read_to_string(project.path("functions/double.py")).unwrap();
    project.write("functions/double.py", &function.replace("value * 2", "value + value"));
    assert_eq!(
        check(
            &project,
            expect![[r#"
        called: functions/double.py changed ("python")
    "#]]
        ),
        "called"
    );
    let code = std::fs::read_to_string(project.path("transforms/scored.py")).unwrap();
    project.write("transforms/scored.py", &code.replace("on_error='fail'", "on_error='fail', batch_size=2"));
    assert_eq!(check(&project, expect![""]), "");
    project.write("transforms/scored.py", &code.replace("on_error='fail'", "on_error='null'"));
    assert_eq!(
        check(
            &project,
            expect![[r#"
        scored: transforms/scored.py changed ("python")
    "#]]
        ),
        "scored"
    );
    let random = code.replace("batch['value'] * FACTOR", "np.random.rand(len(batch['id']))");
    project.write("transforms/scored.py", &format!("import numpy as np\n{random}"));
    published(&project);
    assert_eq!(
        check(
            &project,
            expect![[r#"
        scored: new every time: scored calls np.random.rand() ("volatile")
    "#]]
        ),
        "scored"
    );
    project.write(
        "transforms/scored.py",
        &format!("import numpy as np\n{}", random.replace("on_error='fail'", "on_error='fail', deterministic=True")),
    );
    published(&project);
    assert_eq!(check(&project, expect![""]), "");
}

#[test]
fn a_package_that_changes_is_named() {
    let project = Project::with_python(SCORED);
    let code = std::fs::read_to_string(project.path("transforms/scored.py")).unwrap();
    let with = |version: &str| format!("# /// script\n# dependencies = ['six=={version}']\n# ///\n{code}");
    project.write("transforms/scored.py", &with("1.16.0"));
    project.windlass(["run", "-q"]).check(expect![[r#"
        exit 0
    "#]]);
    project.write("transforms/scored.py", &with("1.17.0"));
    assert_eq!(
        check(
            &project,
            expect![[r#"
        scored: six 1.16.0 → 1.17.0 ("environment")
    "#]]
        ),
        "scored"
    );
}

#[test]
fn what_is_new_every_time_is_kept_where_that_is_said() {
    let project = crate::environments::published("");
    project.write("windlass.yml", "name: test\nversion: 1\ntransforms:\n  +on_volatile: keep\n");
    project.write("transforms/stamped.sql", "select customer, now() as at from {{ ref('spending') }}\n");
    project.write("transforms/fresh.sql", "{{ config(on_volatile='rebuild') }}\nselect now() as at\n");
    assert_eq!(project.windlass(["run", "-q"]).code, 0);
    let before = project.rows("select at from stamped limit 1");
    let planned = project.windlass(["plan", "stamped", "fresh"]);
    planned.check(expect![[r#"
        exit 0
        -- stdout
        target local, env prod, planned in [TIME]

          build  fresh      1 column  new every time: it calls now()  last time 1 row in [TIME]
          reuse  stamped   2 columns  unchanged, version 0; volatile and kept: it calls now()

        1 to build, [TIME] last time, 1 unchanged, 0 views. Names and types fit; not checked: values, divisions by zero, casts of text.
    "#]]);
    let plan = project.json(["plan", "stamped", "spending"]);
    let volatile: Vec<String> =
        plan["nodes"].as_array().unwrap().iter().map(|node| node["volatile"].to_string()).collect();
    assert_eq!(volatile, ["null", r#""it calls now()""#]);
    assert_eq!(project.windlass(["run", "stamped", "-q"]).code, 0);
    assert_eq!(project.rows("select at from stamped limit 1"), before);
    // Code and inputs are looked at all the same.
    project.write("transforms/stamped.sql", "select customer, now() as at, 1 as one from {{ ref('spending') }}\n");
    assert_eq!(project.windlass(["run", "stamped", "-q"]).code, 0);
    assert_ne!(project.rows("select at from stamped limit 1"), before);
    project.write("transforms/fresh.sql", "{{ config(on_volatile='never') }}\nselect now() as at\n");
    project.windlass(["plan", "fresh"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0203]: expected one of `rebuild`, `keep` for `on_volatile`, found `never`
         --> transforms/fresh.sql:1:23
          |
        1 | {{ config(on_volatile='never') }}
          |                       ^^^^^^^
        windlass explain E0203
    "#]]);
}
