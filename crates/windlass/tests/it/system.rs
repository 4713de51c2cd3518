//! The history of checks and runs as tables.

use expect_test::expect;

use crate::support::Project;

const ORDERS: &str = "
-- seeds/raw_orders.csv --
id,amount
1,10.5
2,7
-- transforms/orders.sql --
select * from {{ ref('raw_orders') }}
-- transforms/p.yml --
transforms:
  orders:
    checks:
      - row_count: {min: 1}
      - anomaly: row_count
        severity: warn
    columns:
      id: {checks: [unique]}
      amount: {checks: [{range: {min: 1}}]}
";

const FOUND: &str = "select node, table_version, check_name, column_name, status, observed, failing, rows, reason \
                     from system.checks order by checked_at, check_name";

#[test]
fn what_checks_have_found_is_kept() {
    let project = Project::new(ORDERS);
    assert_eq!(project.rows("select * from system.checks"), "");
    assert_eq!(project.windlass(["run", "-q"]).code, 0);
    project.write("seeds/raw_orders.csv", "id,amount\n1,10.5\n2,0.5\n");
    assert_eq!(project.windlass(["run", "-q"]).code, 1);
    project.windlass(["show", "--sql", FOUND, "-n", "100"]).check(expect![[r#"
        exit 0
        -- stdout
        +--------+---------------+--------------+-------------+---------------+----------+---------+------+---------------+
        | node   | table_version | check_name   | column_name | status        | observed | failing | rows | reason        |
        +--------+---------------+--------------+-------------+---------------+----------+---------+------+---------------+
        | orders | 0             | anomaly      |             | not_evaluable | 2.0      |         | 2    | short_history |
        | orders | 0             | range_amount | amount      | pass          | 0.0      | 0       | 2    |               |
        | orders | 0             | row_count    |             | pass          | 2.0      |         | 2    |               |
        | orders | 0             | unique_id    | id          | pass          | 0.0      | 0       | 2    |               |
        | orders |               | anomaly      |             | not_evaluable | 2.0      |         | 2    | short_history |
        | orders |               | range_amount | amount      | fail          | 1.0      | 1       | 2    |               |
        | orders |               | row_count    |             | pass          | 2.0      |         | 2    |               |
        | orders |               | unique_id    | id          | pass          | 0.0      | 0       | 2    |               |
        +--------+---------------+--------------+-------------+---------------+----------+---------+------+---------------+
        -- stderr
        8 rows
    "#]]);
    expect![[r#"{"kind":"range","severity":"error","blocks":true,"bound":"error if <> 0","detail":"1 of 2 rows (50.0 %)","figures":null,"is_dated":true,"id":36}"#]].assert_eq(&project.rows(
        "select kind, severity, blocks, bound, detail, figures, checked_at > timestamp '2020-01-01' as is_dated, \
         length(run_id) as id from system.checks where status = 'fail'",
    ));
    // They are tables of the lake, and no garbage of it.
    assert_eq!(project.windlass(["gc", "--keep-versions-for", "0s"]).code, 0);
    assert_eq!(project.rows("select count(*) as n from system.checks"), "{\"n\":8}");
    assert_eq!(project.rows("select count(distinct run_id) as n from system.checks"), "{\"n\":2}");
}

#[test]
fn what_a_look_has_found_is_kept_too() {
    let project = Project::new(ORDERS);
    assert_eq!(project.windlass(["run", "-q"]).code, 0);
    assert_eq!(project.windlass(["run", "-q", "--no-cache"]).code, 0);
    assert_eq!(project.windlass(["check", "orders"]).code, 0);
    project.write("seeds/raw_orders.csv", "id,amount\n1,10.5\n2,0.5\n");
    assert_eq!(project.windlass(["run", "-q"]).code, 1);
    assert_eq!(project.windlass(["check", "--candidate", "orders"]).code, 1);
    assert_eq!(project.windlass(["check", "raw_orders"]).code, 0);
    expect![[r#"
        {"table_version":0,"least":"not_evaluable","n":4,"of_runs":4}
        {"table_version":1,"least":"not_evaluable","n":4,"of_runs":4}
        {"table_version":1,"least":"not_evaluable","n":4,"of_runs":0}
        {"table_version":null,"least":"fail","n":4,"of_runs":4}
        {"table_version":null,"least":"fail","n":4,"of_runs":0}"#]]
    .assert_eq(&project.rows(
        "select c.table_version, min(c.status) as least, count(*) as n, count(r.run_id) as of_runs \
         from system.checks c left join system.runs r using (run_id) group by c.run_id, c.table_version, c.checked_at \
         order by c.checked_at",
    ));
}

#[test]
fn a_history_that_cannot_be_written_fails_no_run() {
    let project = Project::new(ORDERS);
    project.write("lake/prod/_windlass", "in the way");
    let answer = project.windlass(["run"]);
    let told = "what the checks have found is missing from `system.checks`: ";
    assert!(answer.code == 0 && answer.stderr.contains(told), "{answer}");
    let answer = project.windlass(["check"]);
    assert!(answer.code == 0 && answer.stderr.contains(told), "{answer}");
    assert_eq!(project.rows("select count(*) as n from orders"), "{\"n\":2}");
}

#[test]
fn runs_and_their_nodes_are_tables() {
    let project = Project::new(ORDERS);
    assert_eq!(project.rows("select * from system.runs"), "");
    assert_eq!(project.windlass(["run", "-q"]).code, 0);
    assert_eq!(project.windlass(["run", "-q", "--no-cache", "orders"]).code, 0);
    expect![[r#"
        {"selection":null,"outcome":"success","node":"raw_orders","attempt":1,"kind":"published","rows":2,"table_version":0}
        {"selection":null,"outcome":"success","node":"orders","attempt":1,"kind":"published","rows":2,"table_version":0}
        {"selection":"orders","outcome":"success","node":"orders","attempt":1,"kind":"published","rows":2,"table_version":1}"#]].assert_eq(&project.rows(
        "select r.selection, r.outcome, n.node, n.attempt, n.kind, n.rows, n.table_version \
         from system.runs r join system.node_runs n using (run_id) \
         where n.elapsed_ms < 600000 and r.finished_at >= n.started_at order by n.started_at, n.node",
    ));
    project.windlass(["show", "--sql", "select * from system.checkss"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0103]: no table `system.checkss` here
         --> query:1:15
          |
        1 | select * from system.checkss
          |               ^^^^^^^^^^^^^^
          |
          = help: inputs are named with {{ ref('node') }} or {{ source('source', 'table') }}
        windlass explain E0103
    "#]]);
}

#[test]
fn no_node_takes_the_place_of_the_history() {
    let project = Project::new("-- transforms/_windlass.sql --\nselect 1 as x\n");
    project.windlass(["run"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0203]: no node may be called `_windlass`: that folder of the lake holds the history of checks
         --> transforms/_windlass.sql:1:1
          |
        1 | select 1 as x
          | ^
          |
          = help: rename the file
        windlass explain E0203
    "#]]);
}
