//! Environments on top of a base: what they read from it, what they build, and what never changes below.

use expect_test::{Expect, expect};

use crate::support::Project;

/// `prod`, and environments on top of it.
pub(crate) const TARGETS: &str = "
-- targets.yml --
targets:
  local: {lake: ./lake, state: ./.windlass, threads: 1, memory: 512MiB, env: prod, base: prod}
";

/// A source, a view and three tables, one below the other.
pub(crate) const CHAIN: &str = "
-- sources.yml --
sources:
  raw:
    path: data/{name}.csv
    tables:
      orders:
        columns: {id: bigint, customer: varchar, amount: double}
        checks: [{unique: [id]}]
-- data/orders.csv --
id,customer,amount
1,ada,10.5
2,grace,7
3,ada,0.25
4,linus,3
-- transforms/large.sql --
{{ config(materialized='view') }}
select id, customer, amount from {{ source('raw', 'orders') }} where amount >= 1
-- transforms/spending.sql --
select customer, sum(amount) as spent from {{ ref('large') }} group by customer
-- transforms/ranks.sql --
select customer, spent, rank() over (order by spent desc) as place from {{ ref('spending') }}
-- transforms/total.sql --
select count(*) as customers from {{ ref('ranks') }}
";

/// Returns the project with everything published in `prod`.
pub(crate) fn published(more: &str) -> Project {
    let project = Project::new(CHAIN);
    project.add(TARGETS);
    project.add(more);
    assert_eq!(project.windlass(["run", "-q"]).code, 0);
    project
}

/// Returns what a run does with each table, and where the version stands: `spending: reused 0 of prod`.
#[track_caller]
fn run(project: &Project, env: &str) -> String {
    let run = project.json(["run", "-e", env]);
    let tables = run["nodes"].as_array().unwrap().iter().filter(|node| node["kind"] != "view");
    let line = |node: &serde_json::Value| {
        let text = |key: &str| node[key].as_str().unwrap_or("-").to_owned();
        format!("{}: {} {} of {}\n", text("name"), text("outcome"), node["table_version"], text("table_env"))
    };
    tables.filter(|node| node["kind"] != "source").map(line).collect()
}

#[track_caller]
fn check(project: &Project, env: &str, expected: Expect) {
    expected.assert_eq(&run(project, env));
}

#[test]
fn nothing_is_built_where_nothing_has_changed() {
    let project = published("");
    project.windlass(["plan", "-e", "dev"]).check(expect![[r#"
        exit 0
        -- stdout
        target local, env dev, base prod, planned in [TIME]

          view   large      3 columns
          reuse  spending   2 columns  unchanged, version 0 of prod
          reuse  ranks      3 columns  unchanged, version 0 of prod
          reuse  total       1 column  unchanged, version 0 of prod

        0 to build, 3 unchanged, 1 view. Names and types fit; not checked: values, divisions by zero, casts of text.
    "#]]);
    project.windlass(["run", "-e", "dev"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ raw.orders  view
          ✓ large       view
          ✓ spending    unchanged  version 0 of prod
          ✓ ranks       unchanged  version 0 of prod
          ✓ total       unchanged  version 0 of prod
        Nothing has changed, 3 tables of prod stay  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect!["_windlass/environment.json"].assert_eq(&project.files("lake/dev").join("\n"));
    project.windlass(["show", "total", "-e", "dev"]).check(expect![[r#"
        exit 0
        -- stdout
        +-----------+
        | customers |
        +-----------+
        | 3         |
        +-----------+
        -- stderr
        1 row, version 0 of prod
    "#]]);
}

#[test]
fn what_has_changed_is_built_with_its_readers() {
    let project = published("");
    let before = project.files("lake/prod");
    project.write(
        "transforms/ranks.sql",
        "select customer, spent, row_number() over (order by spent) as place from {{ ref('spending') }}\n",
    );
    project.windlass(["plan", "-e", "dev"]).check(expect![[r#"
        exit 0
        -- stdout
        target local, env dev, base prod, planned in [TIME]

          view   large      3 columns
          reuse  spending   2 columns  unchanged, version 0 of prod
          build  ranks      3 columns  sql changed: line 1  last time 3 rows in [TIME]
          build  total       1 column  reads `ranks`, which is built  last time 1 row in [TIME]

        2 to build, [TIME] last time, 1 unchanged, 1 view. Names and types fit; not checked: values, divisions by zero, casts of text.
    "#]]);
    check(
        &project,
        "dev",
        expect![[r#"
        spending: reused 0 of prod
        ranks: success 0 of dev
        total: success 0 of dev
    "#]],
    );
    // The number of customers is what it was, so its reader stays below.
    check(
        &project,
        "dev",
        expect![[r#"
        spending: reused 0 of prod
        ranks: reused 0 of dev
        total: reused 0 of dev
    "#]],
    );
    assert_eq!(project.files("lake/prod"), before);
    project.windlass(["diff", "ranks", "-e", "dev", "--to", "env:prod"]).check(expect![[r#"
        exit 0
        -- stdout
        ranks version 0 against version 0 in prod
          3 rows, 3 there
          2 rows missing, 2 rows extra, whole rows compared: no key is known, --key names one
        +---------+----------+-------+-------+
        |         | customer | spent | place |
        +---------+----------+-------+-------+
        | missing | ada      | 10.5  | 1     |
        | extra   | ada      | 10.5  | 3     |
        | extra   | linus    | 3.0   | 1     |
        | missing | linus    | 3.0   | 3     |
        +---------+----------+-------+-------+
    "#]]);
    project.windlass(["diff", "total", "-e", "prod", "--to", "env:dev"]).check(expect![[r#"
        exit 0
        -- stdout
        total version 0 against version 0 in dev
          equal, 1 row
    "#]]);
}

#[test]
fn the_base_may_move_on() {
    let project = published("");
    project.write("transforms/ranks.sql", "select customer, spent * 2 as place from {{ ref('spending') }}\n");
    check(
        &project,
        "dev",
        expect![[r#"
        spending: reused 0 of prod
        ranks: success 0 of dev
        total: success 0 of dev
    "#]],
    );
    project.write("data/orders.csv", "id,customer,amount\n1,ada,10.5\n2,grace,8\n");
    // The base has not built the new orders yet, so this environment builds them itself.
    check(
        &project,
        "dev2",
        expect![[r#"
        spending: success 0 of dev2
        ranks: success 0 of dev2
        total: success 0 of dev2
    "#]],
    );
    project.windlass(["run", "-q", "-x", "ranks+"]);
    check(
        &project,
        "dev",
        expect![[r#"
        spending: reused 1 of prod
        ranks: success 1 of dev
        total: success 1 of dev
    "#]],
    );
    check(
        &project,
        "dev2",
        expect![[r#"
        spending: reused 0 of dev2
        ranks: reused 0 of dev2
        total: reused 0 of dev2
    "#]],
    );
}

#[test]
fn readers_of_a_rebuilt_table_with_equal_rows_stay_below() {
    let project = published("");
    project.write(
        "transforms/spending.sql",
        "select customer, sum(amount) + 0 as spent from {{ ref('large') }} group by customer\n",
    );
    check(
        &project,
        "dev",
        expect![[r#"
        spending: success 0 of dev
        ranks: reused 0 of prod
        total: reused 0 of prod
    "#]],
    );
}

#[test]
fn checks_are_remembered_above_the_base() {
    let project =
        published("-- transforms/spending.yml --\ntransforms: {spending: {checks: [{row_count: {min: 1}}]}}\n");
    project.add("-- transforms/spending.yml --\ntransforms: {spending: {checks: [{row_count: {min: 2}}]}}\n");
    let before = project.files("lake/prod");
    project.windlass(["plan", "spending", "-e", "dev"]).check(expect![[r#"
        exit 0
        -- stdout
        target local, env dev, base prod, planned in [TIME]

          check  spending   2 columns  unchanged, version 0 of prod; check row_count is to be made

        0 to build, 1 unchanged, 0 views. Names and types fit; not checked: values, divisions by zero, casts of text.
    "#]]);
    project.windlass(["run", "spending", "-e", "dev", "-q"]).check(expect![[r#"
        exit 0
    "#]]);
    project.windlass(["plan", "spending", "-e", "dev"]).check(expect![[r#"
        exit 0
        -- stdout
        target local, env dev, base prod, planned in [TIME]

          reuse  spending   2 columns  unchanged, version 0 of prod

        0 to build, 1 unchanged, 0 views. Names and types fit; not checked: values, divisions by zero, casts of text.
    "#]]);
    assert_eq!(project.files("lake/prod"), before);
    // One that fails keeps its readers from being built, and is made again.
    project.add("-- transforms/spending.yml --\ntransforms: {spending: {checks: [{row_count: {min: 9}}]}}\n");
    project.windlass(["run", "spending", "-e", "dev", "-q"]).check(expect![[r#"
        exit 1
        -- stderr
          ✗ spending    failed  [TIME]
        error[E0604]: table `spending` breaks a check
          fail row_count: rows 3, at least 9 (transforms/spending.yml:1:35)
        windlass explain E0604
    "#]]);
    assert_eq!(project.files("lake/prod"), before);
}

#[test]
fn error_rows_of_the_base_are_replayed_above_it() {
    let more = "
-- transforms/spending.yml --
transforms: {spending: {columns: {spent: {checks: [{range: {min: 5, on_fail: quarantine}}]}}, config: {max_error_rate: 100%}}}
";
    let project = published(more);
    project.windlass(["errors", "spending", "-e", "dev"]).check(expect![[r#"
        exit 0
        -- stdout
        spending  1 of 3 rows failed (33.33%), version 0

          1  check  range_spent
                    such as {"customer":"linus","spent":3.0}
        -- stderr

        run them again with the code as it is now: windlass errors spending --replay
    "#]]);
    let before = project.files("lake/prod");
    project.write(
        "transforms/spending.yml",
        &std::fs::read_to_string(project.path("transforms/spending.yml")).unwrap().replace("min: 5", "min: 1"),
    );
    project.windlass(["errors", "spending", "-e", "dev", "--replay"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ raw.orders  view
          ✓ spending               1 row  merged  version 1  [TIME]
        raw.orders 1 check passed
        Published 1 of 1 to dev  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    let spending = |env: &str| project.json(["show", "spending", "-e", env])["row_count"].clone();
    assert_eq!((spending("prod"), spending("dev")), (2.into(), 3.into()));
    assert_eq!(project.files("lake/prod"), before);
}

#[test]
fn what_is_new_every_time_is_built_by_the_base() {
    let project = published("-- transforms/now.sql --\nselect now() as at\n");
    check(
        &project,
        "dev",
        expect![[r#"
        now: reused 0 of prod
        spending: reused 0 of prod
        ranks: reused 0 of prod
        total: reused 0 of prod
    "#]],
    );
}

#[test]
fn a_protected_environment_is_written_to_on_purpose() {
    let project = published("");
    let targets = |more: &str| {
        let text = "targets:\n  local: {lake: ./lake, state: ./.windlass, threads: 1, env: prod, ";
        project.write("targets.yml", &format!("{text}{more}}}\n"));
    };
    targets("protected: true");
    project.windlass(["run", "total"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0906]: environment `prod` is protected
          hint: build in an environment on top of it, `-e NAME`, and promote that; or say that you mean it: windlass run --yes
        windlass explain E0906
    "#]]);
    project.windlass(["run", "total", "--yes", "-q"]).check(expect![[r#"
        exit 0
    "#]]);
    project.windlass(["run", "+total", "-e", "dev", "-q"]).check(expect![[r#"
        exit 0
    "#]]);
    targets("protected: [stage, dev]");
    project.windlass(["run", "total", "-q"]).check(expect![[r#"
        exit 0
    "#]]);
    project.windlass(["run", "total", "-e", "dev"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0906]: environment `dev` is protected
          hint: build in an environment on top of it, `-e NAME`, and promote that; or say that you mean it: windlass run --yes
        windlass explain E0906
    "#]]);
}

#[test]
fn rows_are_added_to_what_the_base_has() {
    let most = "
-- transforms/most.sql --
{{ config(materialized='incremental', strategy='merge', key='customer') }}
select customer, max(amount) as most from {{ source('raw', 'orders') }} group by customer
";
    let project = published(most);
    let before = project.files("lake/prod");
    project.write("data/orders.csv", "id,customer,amount\n5,ada,20\n6,tim,1\n");
    project.windlass(["plan", "most", "-e", "dev"]).check(expect![[r#"
        exit 0
        -- stdout
        target local, env dev, base prod, planned in [TIME]

          build  most   2 columns  source raw.orders: 1 changed file  last time 3 rows in [TIME]

        1 to build, [TIME] last time, 0 unchanged, 0 views. Names and types fit; not checked: values, divisions by zero, casts of text.
    "#]]);
    project.windlass(["run", "most", "-e", "dev"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ raw.orders  view
          ✓ most                  2 rows  [SIZE]  version 1  [TIME]
        raw.orders 1 check passed
        Published 1 of 1 to dev  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    project.windlass(["run", "most", "-e", "dev"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ raw.orders  view
          ✓ most        unchanged  version 1
        Nothing has changed, 1 table of dev stays  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    let rows = |env: &str| project.json(["show", "most", "-e", env])["rows"].as_array().unwrap().len();
    assert_eq!((rows("prod"), rows("dev")), (3, 4));
    assert_eq!(project.files("lake/prod"), before);
    project.windlass(["env", "promote", "dev", "most"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ most            4 rows  [SIZE]  version 1 of prod  [TIME]
        Promoted 1 of 1 table of dev to prod  [TIME]  run [RUN]
    "#]]);
    assert_eq!(rows("prod"), 4);
    project.windlass(["plan", "most"]).check(expect![[r#"
        exit 0
        -- stdout
        target local, env prod, planned in [TIME]

          reuse  most   2 columns  unchanged, version 1

        0 to build, 1 unchanged, 0 views. Names and types fit; not checked: values, divisions by zero, casts of text.
    "#]]);
}
