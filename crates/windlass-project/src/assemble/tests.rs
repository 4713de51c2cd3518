//! Whole projects.

use expect_test::expect;

use crate::fixture::{load, problems, project};
use crate::{NodeKind, Project};

const FLIGHTS: &str = r#"
-- windlass.yml --
name: flights
version: 1
requires: ">=0.1"
vars:
  late_minutes: 15
  train_until: "2013-10-01"
transforms:
  +retries: 3
  staging: {+materialized: view, +tags: [staging]}
  features:
    +owner: ml-team@example.com
-- targets.yml --
default: local
targets:
  local:
    engine: datafusion
    lake: ./lake
    threads: auto
    memory: 70%
    env: "dev_{{ env_var('USER', 'me') }}"
  prod:
    lake: "s3://lake/{{ env_var('NOT_SET') }}"
-- sources.yml --
sources:
  nyc:
    description: nycflights13
    path: data/{name}.parquet
    tables:
      flights:
        columns:
          carrier: {type: string}
          origin: string
      weather:
      planes: {path: "s3://x/*.csv.gz", options: {delimiter: ";"}}
-- seeds/carriers.csv --
-- transforms/staging/stg_flights.sql --
-- One row per departure.
select carrier, flight, arr_delay from {{ source('nyc', 'flights') }}
-- transforms/features/feat_flight.sql --
{{ config(sort_by=['origin', 'time_hour desc'], tags=['hourly']) }}

select f.*, w.temp, f.arr_delay > {{ var('late_minutes') }} as is_late
from {{ ref('stg_flights') }} f
left join {{ source('nyc', 'weather') }} w on true
left join {{ ref('carriers') }} c on true
-- transforms/models.yml --
transforms:
  feat_flight:
    description: One row per departed flight.
    columns:
      is_late: boolean
"#;

fn describe(project: &Project) -> String {
    let mut out = format!("{:#?}\n", project.target);
    for (name, node) in &project.nodes {
        out.push_str(&format!("{name}: {} {}\n", node.kind_name(), node.location));
        match &node.kind {
            NodeKind::Source(table) => out.push_str(&format!("  {} {:?}\n", table.path, table.format)),
            NodeKind::Seed(seed) => out.push_str(&format!("  {}\n", seed.path.display())),
            NodeKind::Transform(transform) => {
                for line in transform.sql.lines() {
                    out.push_str(&format!("  | {line}\n"));
                }
                for input in &transform.inputs {
                    out.push_str(&format!("  reads {} as {} at {}\n", input.node, input.reference, input.location));
                }
                out.push_str(&format!("  vars {:?}\n", transform.vars));
            }
            NodeKind::Python(python) => out.push_str(&format!("  {}\n", python.code.object)),
            NodeKind::Imported(model) => out.push_str(&format!("  {:?}\n", model.place)),
            NodeKind::Model(model) => out.push_str(&format!("  {}\n", model.algorithm.name())),
        }
        out.push_str(&format!("  {:?}\n", node.config));
        for column in &node.columns {
            out.push_str(&format!("  column {} {:?} {}\n", column.name, column.data_type, column.location));
        }
    }
    out
}

#[test]
fn example_loads() {
    let text = FLIGHTS.trim_start().to_owned();
    expect![[r#"
        Target {
            name: "local",
            lake: "/p/lake",
            state: "/p/.windlass",
            env: "dev_ana",
            own_env: "dev_ana",
            base: None,
            protected: [],
            memory: Fraction(
                0.7,
            ),
            threads: None,
            storage: [],
            openlineage: None,
            tracking: false,
        }
        carriers: seed seeds/carriers.csv:1:1
          /p/seeds/carriers.csv
          NodeConfig { materialized: Table, partition_by: [], sort_by: [], tags: [], owner: None, description: None, retries: 2, error_limit: Rate(0.01), on_upstream_failure: Skip, on_volatile: Rebuild, incremental: None, origins: {} }
        nyc.flights: source sources.yml:6:7
          /p/data/flights.parquet Parquet
          NodeConfig { materialized: Table, partition_by: [], sort_by: [], tags: [], owner: None, description: None, retries: 2, error_limit: Rate(0.01), on_upstream_failure: Skip, on_volatile: Rebuild, incremental: None, origins: {} }
          column carrier Some("string") sources.yml:8:11
          column origin Some("string") sources.yml:9:11
        nyc.planes: source sources.yml:11:7
          s3://x/*.csv.gz Csv { delimiter: 59, header: true }
          NodeConfig { materialized: Table, partition_by: [], sort_by: [], tags: [], owner: None, description: None, retries: 2, error_limit: Rate(0.01), on_upstream_failure: Skip, on_volatile: Rebuild, incremental: None, origins: {} }
        nyc.weather: source sources.yml:10:7
          /p/data/weather.parquet Parquet
          NodeConfig { materialized: Table, partition_by: [], sort_by: [], tags: [], owner: None, description: None, retries: 2, error_limit: Rate(0.01), on_upstream_failure: Skip, on_volatile: Rebuild, incremental: None, origins: {} }
        stg_flights: view transforms/staging/stg_flights.sql:1:1
          | -- One row per departure.
          | select carrier, flight, arr_delay from nyc.flights
          reads nyc.flights as nyc.flights at transforms/staging/stg_flights.sql:2:57
          vars {}
          NodeConfig { materialized: View, partition_by: [], sort_by: [], tags: ["staging"], owner: None, description: None, retries: 3, error_limit: Rate(0.01), on_upstream_failure: Skip, on_volatile: Rebuild, incremental: None, origins: {"retries": "windlass.yml:8:13", "materialized": "windlass.yml:9:28", "tags": "windlass.yml:9:41"} }
        feat_flight: table transforms/features/feat_flight.sql:1:1
          | 
          | 
          | select f.*, w.temp, f.arr_delay > 15 as is_late
          | from stg_flights f
          | left join nyc.weather w on true
          | left join carriers c on true
          reads stg_flights as stg_flights at transforms/features/feat_flight.sql:4:13
          reads nyc.weather as nyc.weather at transforms/features/feat_flight.sql:5:28
          reads carriers as carriers at transforms/features/feat_flight.sql:6:18
          vars {"late_minutes": "15"}
          NodeConfig { materialized: Table, partition_by: [], sort_by: [SortKey { column: "origin", descending: false }, SortKey { column: "time_hour", descending: true }], tags: ["hourly"], owner: Some("ml-team@example.com"), description: Some("One row per departed flight."), retries: 3, error_limit: Rate(0.01), on_upstream_failure: Skip, on_volatile: Rebuild, incremental: None, origins: {"retries": "windlass.yml:8:13", "owner": "windlass.yml:11:13", "description": "transforms/models.yml:3:18", "sort_by": "transforms/features/feat_flight.sql:1:19", "tags": "transforms/features/feat_flight.sql:1:54"} }
          column is_late Some("boolean") transforms/models.yml:5:7
    "#]].assert_eq(&describe(&project(&text)));
}

#[test]
fn names_of_files() {
    let text = "\
-- transforms/a/x.sql --
select 1
-- transforms/b/x.sql --
select 2
-- seeds/codes.csv --
-- transforms/codes.sql --
select {{ var('nope') }}
-- transforms/my-model.sql --
select 1
-- transforms/2x.sql --
select 1
-- transforms/reader.sql --
select * from {{ ref('x') }} join {{ ref('codes') }} join {{ ref('my-model') }}
";
    expect![[r#"
        error[E0203]: the file name `2x` is not a name for a node
          transforms/2x.sql:1:1
          | select 1
          | ^
          hint: names consist of letters, digits and `_`, and do not start with a digit
          node: 2x
        error[E0205]: duplicate node `x`
          transforms/b/x.sql:1:1
          | select 2
          | ^ again here
          transforms/a/x.sql:1:1
          | select 1
          | - first here
          note: `transforms/a/x.sql` and `transforms/b/x.sql`
          hint: a node is named after its file, whatever its folder; rename one
          node: x
        error[E0205]: duplicate node `codes`
          transforms/codes.sql:1:1
          | select {{ var('nope') }}
          | ^ again here
          seeds/codes.csv:1:1
          | 
          | - first here
          note: `seeds/codes.csv` and `transforms/codes.sql`
          hint: a node is named after its file, whatever its folder; rename one
          node: codes
        error[E0203]: the file name `my-model` is not a name for a node
          transforms/my-model.sql:1:1
          | select 1
          | ^
          hint: names consist of letters, digits and `_`, and do not start with a digit
          node: my-model
        broken: 2x, codes, my-model, x
    "#]]
    .assert_eq(&problems(text));
    let loaded = load(text);
    assert_eq!(loaded.blockers("reader"), ["codes", "my-model", "x"]);
    assert_eq!(loaded.blockers("x"), ["x"]);
}

#[test]
fn files_without_a_query() {
    for sql in
        ["", "\n \n", "-- only a comment", "/* a */ -- b\n;\n", "{% if false %}select 1{% endif %}", "{# note #}"]
    {
        let found = problems(&format!("-- transforms/x.sql --\n{sql}\n"));
        assert!(found.starts_with("error[E0101]: the file holds no query"), "{sql}: {found}");
    }
}

#[test]
fn a_problem_of_one_node_leaves_the_others() {
    let loaded = load("-- transforms/bad.sql --\nselect {{ nope }}\n-- transforms/good.sql --\nselect 1\n");
    assert_eq!(loaded.broken, ["bad"]);
    assert!(loaded.diagnostics.iter().all(|problem| problem.node.as_deref() == Some("bad")));
    assert!(loaded.blockers("good").is_empty());
    assert!(loaded.project.expect("it loads").nodes.contains_key("good"));
}

#[test]
fn many_nodes_load() {
    let mut text = FLIGHTS.trim_start().to_owned();
    for at in 0..200 {
        text.push_str(&format!(
            "-- transforms/t{at}.sql --\nselect {{{{ var('late_minutes') }}}} from {{{{ ref('stg_flights') }}}}\n"
        ));
    }
    assert_eq!(project(&text).nodes.len(), 206);
}
