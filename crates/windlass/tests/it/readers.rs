//! Tables as other Delta readers see them, and tables of other writers as Windlass sees them.
//!
//! The readers are the `deltalake` package, and DuckDB's own Parquet reader over the files that the
//! log lists (its Delta extension cannot be fetched where there is no network).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::python;
use crate::support::{Answer, Project, parsed};

/// Compares what `sql` answers here and in other readers of a folder of tables; returns the rows.
#[track_caller]
fn same(project: &Project, folder: &str, sql: &str) -> Vec<Value> {
    let ours = project.json(["show", "--sql", sql, "-n", "1000000"])["rows"].take();
    let folder = project.path(folder);
    let theirs = parsed(&python::script("query_tables.py", &[folder.to_str().unwrap(), sql]));
    let theirs = theirs.as_object().unwrap();
    assert_eq!(theirs.keys().collect::<Vec<_>>(), ["deltalake", "duckdb"]);
    let lines = |rows: &Value| rows.as_array().unwrap().iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    for (reader, rows) in theirs {
        assert_eq!(lines(rows), lines(&ours), "`{sql}`: left is {reader}, right is windlass");
    }
    ours.as_array().unwrap().clone()
}

/// Copies the example.
fn flights() -> Project {
    // It brings the lock of its Python files; uv is found as a user's is.
    let project = Project::unlocked("");
    copy(&python::root().join("examples/flights"), &project.path(""));
    project
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, to) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        let generated = [".windlass", "lake"].map(std::ffi::OsStr::new);
        if path.file_name().is_some_and(|name| generated.contains(&name)) {
            continue;
        }
        if path.is_dir() {
            copy(&path, &to);
        } else {
            std::fs::copy(&path, &to).unwrap();
        }
    }
}

#[track_caller]
fn succeed(answer: &Answer) {
    assert_eq!(answer.code, 0, "{answer}");
}

/// The numbers were worked out on the same data with other tools, see `README.md` of the example.
#[test]
fn the_flights_example() {
    let project = flights();
    succeed(&project.windlass(["run"]));
    let facts = |sql: &str| {
        let rows = same(&project, "lake/prod", sql);
        assert_eq!(rows.len(), 1);
        rows[0].as_object().unwrap().values().map(Value::to_string).collect::<Vec<_>>().join(" ")
    };

    // One row for each flight that departed: no join lost or doubled one.
    let departed = "select count(*) as n, sum(dep_delay) as delay from nyc.flights where dep_time is not null";
    let departed = project.rows(departed);
    assert_eq!(departed, r#"{"n":328521,"delay":4152200}"#);
    let flights = "select count(*) as n, count(distinct flight_id) as ids, cast(sum(dep_delay) as bigint) as delay, \
                   min(dep_delay) as earliest, max(dep_delay) as latest from feat_flight";
    assert_eq!(facts(flights), "328521 328521 4152200 -43 1301");

    // 0.47 % have no weather, 16.35 % no age of the plane, and no row of airports knows four islands.
    let joined = "select count(visib) as weather, count(age_years) as age, count(dest_lat) as dest, \
                  count(*) filter (where is_holiday) as holidays, count(is_late) as arrived from feat_flight";
    assert_eq!(facts(joined), "326993 274796 320960 8508 327346");
    let islands = "select dest, count(*) as n from feat_flight where dest_lat is null group by dest order by dest";
    let islands = same(&project, "lake/prod", islands);
    assert_eq!(
        islands.iter().map(|row| row["dest"].as_str().unwrap()).collect::<Vec<_>>(),
        ["BQN", "PSE", "SJU", "STT"]
    );

    // Hashing a double's digits would ask too much of two engines; thousandths are whole numbers.
    let windows = "select count(plane_prev_delay) as known, cast(sum(plane_prev_delay) as bigint) as plane, \
                   count(carrier_delay_100) as carriers, \
                   cast(sum(cast(floor(carrier_delay_100 * 1000) as bigint)) as bigint) as carrier_delay, \
                   cast(sum(cast(floor(temp_6h * 1000) as bigint)) as bigint) as temp, \
                   count(route_late_rate_1d) as routes, min(time_hour) as first, max(time_hour) as last \
                   from feat_flight";
    let windows = facts(windows);
    assert!(windows.ends_with(r#" 324835 "2013-01-01T10:00:00Z" "2014-01-01T04:00:00Z""#), "{windows}");

    let daily =
        "select count(*) as n, cast(sum(flights) as bigint) as flights, min(day) as first from feat_route_daily";
    assert_eq!(facts(daily), r#"63236 328521 "2013-01-01""#);
    assert_eq!(facts("select count(*) as n, count(distinct tailnum) as planes from feat_plane"), "3322 3322");
    assert_eq!(facts("select count(*) as n, count(temp_6h) as temps from feat_weather_hourly"), "26115 26115");
    let carriers = same(
        &project,
        "lake/prod",
        "select carrier, airline, flights, planes from carrier_summary order by flights desc",
    );
    assert_eq!(carriers.len(), 16);
    assert_eq!(
        carriers[0].to_string(),
        r#"{"carrier":"UA","airline":"United Air Lines Inc.","flights":58665,"planes":620}"#
    );
    assert_eq!(same(&project, "lake/prod", "select * from holidays order by 1").len(), 10);
    // Every flight has a score, also one whose features are not all known.
    let scored = "select count(*) as n, count(distinct flight_id) as ids, count(p_late) as scores, \
                  count(*) filter (where predicted_is_late <> (p_late >= 0.5)) as odd from flight_risk";
    assert_eq!(facts(scored), "328521 328521 328521 0");
}

/// After each step of a table, whatever was removed, written anew or added for it.
#[test]
fn incremental_tables_after_every_step() {
    let events = |days: std::ops::Range<u32>| -> String {
        let lines = days.flat_map(|day| (0..3).map(move |id| format!("2013-05-{day:02}T0{id}:00:00,{id},{day}\n")));
        format!("day,id,n\n{}", lines.collect::<String>())
    };
    let text = |end: u32, settings: &str| {
        format!(
            "-- sources.yml --\nsources: {{raw: {{path: 'data/{{name}}.csv', tables: {{events: {{columns: {{day: timestamp, \
             id: bigint, n: bigint}}}}}}}}}}\n-- data/events.csv --\n{}-- transforms/daily.sql --\n\
             {{{{ config(materialized='incremental', strategy='by_interval', time_column='day', interval='day', \
             start='2013-05-01', end='2013-05-{end:02}', lookback=1{settings}) }}}}\nselect day, id, n from \
             {{{{ source('raw', 'events') }}}}\n-- transforms/latest.sql --\n{{{{ config(materialized='incremental', \
             strategy='merge', key='id') }}}}\nselect id, day, n from {{{{ source('raw', 'events') }}}}\n\
             {{% if is_incremental() %}}where id = {end} % 3{{% endif %}}\n\
             qualify row_number() over (partition by id order by day desc) = 1\n",
            events(1..end)
        )
    };
    for settings in ["", ", partition_by='id'"] {
        let project = Project::new(&text(4, settings));
        succeed(&project.windlass(["run"]));
        for end in [5, 6, 8] {
            project.add(&text(end, settings));
            succeed(&project.windlass(["run"]));
            assert_eq!(same(&project, "lake/prod", "select * from daily order by 1, 2").len(), 3 * (end as usize - 1));
            assert_eq!(same(&project, "lake/prod", "select * from latest order by 1").len(), 3);
        }
        succeed(&project.windlass(["run", "daily", "--from", "2013-05-02", "--to", "2013-05-04"]));
        assert_eq!(same(&project, "lake/prod", "select * from daily order by 1, 2").len(), 21);
        let removed =
            same(&project, "lake/prod", "select count(*) as n from daily where day >= timestamp '2013-05-03'");
        assert_eq!(removed[0]["n"], 15);
        // Another writer merges files of several days, which changes no row and makes nothing undone.
        let replaced = python::script("compact_table.py", &[project.path("lake/prod/daily").to_str().unwrap()]);
        assert!(replaced.trim().parse::<u32>().unwrap() > 1, "{replaced}");
        assert_eq!(project.json(["plan", "daily"])["nodes"][0]["action"], "reuse");
        project.add(&text(9, settings));
        succeed(&project.windlass(["run"]));
        assert_eq!(same(&project, "lake/prod", "select * from daily order by 1, 2").len(), 24);
        assert_eq!(same(&project, "lake/prod", "select * from latest order by 1").len(), 3);
    }
}

const PLACES: &str = r#"
-- transforms/places.sql --
{{ config(partition_by=['place', 'day']) }}
select place, id, day, amount from (values
  (1, 'plain', date '2024-01-01', 1.5),
  (2, 'two words', date '2024-01-02', 2.5),
  (3, 'a/b', date '2024-01-01', 3.5),
  (4, 'Zürich Ω 東京 🛫', date '0001-01-01', 4.5),
  (5, null, null, 5.5),
  (6, '100%', date '9999-12-31', 6.5),
  (7, '%2F', null, 7.5),
  (8, 'k=v&w', null, 8.5),
  (9, '#?*[x]{y}', null, 9.5),
  (10, ' spaces ', null, 10.5),
  (11, '..', null, 11.5),
  (12, '"quoted" ''text''', null, 12.5),
  (13, 'back\slash', null, 13.5),
  (14, 'a+b:c;d,e|f', null, 14.5),
  (15, 'plain', null, 15.5),
  (16, 'NULL', null, null),
  (17, 'UPPER', null, 17.5),
  (18, 'upper', null, 18.5)
) t(id, place, day, amount)
"#;

#[test]
fn partition_values_that_folders_must_escape() {
    let project = Project::new(PLACES);
    succeed(&project.windlass(["run"]));
    let rows = same(&project, "lake/prod", "select * from places order by id");
    assert_eq!(rows.len(), 18);
    assert_eq!(rows[3].to_string(), r#"{"place":"Zürich Ω 東京 🛫","id":4,"day":"0001-01-01","amount":4.5}"#);
    for value in ["a/b", "%2F", "100%", " spaces ", "\"quoted\" 'text'", "back\\slash"] {
        let sql = format!("select count(*) as n from places where place = '{}'", value.replace('\'', "''"));
        assert_eq!(same(&project, "lake/prod", &sql)[0]["n"], 1, "{value}");
    }
    assert_eq!(same(&project, "lake/prod", "select id from places where place is null")[0]["id"], 5);
    let folders: BTreeSet<PathBuf> = project
        .files("lake/prod/places")
        .iter()
        .map(|file| Path::new(file).parent().unwrap().to_path_buf())
        .filter(|folder| !folder.starts_with("_delta_log"))
        .collect();
    assert!(folders.iter().all(|folder| folder.iter().count() == 2), "a value never makes a folder more: {folders:?}");
}

/// One row of ordinary values, edges of types, NULLs, and what strings must keep.
const TYPES: &str = r#"
-- transforms/types.sql --
select
  column1 as id,
  cast(column2 as timestamp) as local_time,
  cast(column2 as timestamp) at time zone 'America/New_York' as zoned,
  arrow_cast(arrow_cast(column2, 'Timestamp(Nanosecond, None)'), 'Timestamp(Nanosecond, Some("UTC"))') as utc,
  cast(column2 as date) as day,
  cast(column3 as decimal(38, 10)) as large,
  cast(column3 as decimal(9, 2)) as small,
  cast(column4 as tinyint) as tiny, cast(column4 as smallint) as short,
  cast(column4 as int) as whole, cast(column4 as bigint) as long, cast(column4 as int unsigned) as positive,
  cast(column4 as float) as single, cast(column4 as double) as twice,
  column5 as text, arrow_cast(column5, 'Binary') as bytes, column4 > 3 as yes,
  [column4, null, 3] as numbers,
  [[column5], []] as nested,
  named_struct('name', column5, 'inner', named_struct('at', cast(column2 as timestamp), 'n', column4)) as record,
  [named_struct('k', column5, 'v', column4)] as records
from (values
  (1, '2024-02-29T23:59:59.123456', '12345.67', 100, 'plain'),
  (2, '1969-12-31T23:59:59.999999', '-0.25', 0, 'Zürich 東京 🛫'),
  (3, '1677-09-22T00:00:00', '-7', 7, ''),
  (4, null, null, null, null),
  (5, '2262-04-11T00:00:00', '9999999.99', 127, E'tab\t"q" \\ new\nline')
) t
-- transforms/nothing.sql --
select * from {{ ref('types') }} where false
-- transforms/nothing_by_day.sql --
{{ config(partition_by=['day', 'tiny']) }}
select * from {{ ref('types') }} where false
"#;

/// Types by which a table can be split. `deltalake` 1.6.6 itself cannot read decimals between -1 and 0
/// here: it writes `-0.25` into its filters as `0.-25`. Those rows are left out.
const PARTITION_TYPES: [&str; 12] =
    ["local_time", "zoned", "utc", "day", "large", "small", "tiny", "short", "whole", "long", "yes", "twice"];

#[test]
fn every_type() {
    let project = Project::new(TYPES);
    for column in PARTITION_TYPES {
        project.write(
            &format!("transforms/by_{column}.sql"),
            &format!(
                "{{{{ config(partition_by=['{column}']) }}}}\n\
                 select id, {column}, record from {{{{ ref('types') }}}} where id <> 2 or '{column}' not in ('large', 'small')\n"
            ),
        );
    }
    succeed(&project.windlass(["run"]));
    let rows = same(&project, "lake/prod", "select * from types order by id");
    assert_eq!(rows.len(), 5);
    assert_eq!(rows[0]["zoned"], "2024-03-01T04:59:59.123456Z");
    assert_eq!(rows[1]["large"], -0.25);
    assert_eq!(rows[2]["text"], "");
    assert!(rows[3]["record"]["inner"]["at"].is_null());
    // As numbers in JSON, long decimals would lose digits.
    let digits = same(&project, "lake/prod", "select id, cast(large as varchar) as large from types order by id");
    assert_eq!(digits[4]["large"], "9999999.9900000000");
    for column in PARTITION_TYPES {
        let rows = same(&project, "lake/prod", &format!("select * from by_{column} order by id"));
        assert_eq!(rows.len(), if ["large", "small"].contains(&column) { 4 } else { 5 }, "{column}");
        let whole = same(&project, "lake/prod", &format!("select {column} from types where id = 1"));
        assert_eq!(rows[0][column], whole[0][column], "{column}");
        let files = project.files(&format!("lake/prod/by_{column}"));
        assert!(files.iter().any(|file| file.starts_with(&format!("{column}="))), "{files:?}");
    }
    for table in ["nothing", "nothing_by_day"] {
        assert_eq!(same(&project, "lake/prod", &format!("select * from {table}")), Vec::<Value>::new());
        assert_eq!(same(&project, "lake/prod", &format!("select count(*) as n from {table}"))[0]["n"], 0);
        let described =
            python::script("check_delta_readers.py", &[project.path("lake/prod").join(table).to_str().unwrap()]);
        assert_eq!(parsed(&described)["readers"]["deltalake"]["schema"].as_object().unwrap().len(), 21);
    }
}

/// Statistics make readers skip files. What they do not say must not be taken for a bound.
const FILTERED: &str = "
-- transforms/t.sql --
select value as id,
  1.5 as x, case when value > 5 then 1.5 end as xn, case when value = 7 then double 'NaN' else 1.5 end as xnan,
  cast(value as decimal(9, 2)) as d, case when value > 5 then cast(value as decimal(9, 2)) end as dn,
  value > 5 as b, case when value > 5 then value > 7 end as bn,
  arrow_cast(concat('a', value), 'Binary') as bin, concat('a', value) as s, case when value > 5 then 'z' end as sn,
  case when value > 3 then [value] end as list, case when value > 3 then named_struct('a', value) end as record,
  cast(null as double) as never, cast(null as varchar) as nothing
from generate_series(1, 10) t(value)
-- transforms/groups.sql --
select value as id, case when value > 600000 then value end as late from generate_series(1, 700000) t(value)
";

/// Conditions and the rows that meet them.
const FILTERS: [(&str, &str, u64); 35] = [
    ("t", "x > 1", 10),
    ("t", "x < 5", 10),
    ("t", "x is null", 0),
    ("t", "xn > 1", 5),
    ("t", "xn <> 3", 5),
    ("t", "xn is null", 5),
    ("t", "xn is not null", 5),
    ("t", "xnan > 5", 1),
    ("t", "xnan <> 1.5", 1),
    ("t", "isnan(xnan)", 1),
    ("t", "d > 5", 5),
    ("t", "d = 3", 1),
    ("t", "d is null", 0),
    ("t", "dn > 5", 5),
    ("t", "dn < 5", 0),
    ("t", "dn is null", 5),
    ("t", "b", 5),
    ("t", "not b", 5),
    ("t", "bn", 3),
    ("t", "bn is null", 5),
    ("t", "bin is null", 0),
    ("t", "s = 'a7'", 1),
    ("t", "s > 'b'", 0),
    ("t", "sn = 'z'", 5),
    ("t", "sn is null", 5),
    ("t", "list is null", 3),
    ("t", "record is null", 3),
    ("t", "record is not null", 7),
    ("t", "never is null", 10),
    ("t", "never > 0", 0),
    ("t", "nothing is null", 10),
    ("t", "nothing = 'x'", 0),
    ("groups", "late > 650000", 50_000),
    ("groups", "late is null", 600_000),
    ("groups", "late < 600002", 1),
];

#[test]
fn filters_of_other_readers() {
    let project = Project::new(FILTERED);
    succeed(&project.windlass(["run"]));
    let counts = FILTERS.iter().enumerate().map(|(index, (table, condition, _))| {
        format!("select {index} as condition, count(*) as n from {table} where {condition}")
    });
    let sql = format!("select * from ({}) order by condition", counts.collect::<Vec<_>>().join(" union all "));
    for (row, (table, condition, expected)) in same(&project, "lake/prod", &sql).iter().zip(FILTERS) {
        assert_eq!(row["n"], expected, "rows of `{table}` where {condition}");
    }
}

/// Each version replaces the one before, also where columns and partitions change.
#[test]
fn old_and_new_versions() {
    let project = Project::new(
        "-- transforms/t.sql --\nselect value as id, 'old' as kind from generate_series(1, 10) t(value)\n",
    );
    succeed(&project.windlass(["run"]));
    project.write(
        "transforms/t.sql",
        "{{ config(partition_by=['kind']) }}\n\
         select cast(value as varchar) as id, concat('new ', value % 2) as kind, timestamp '2024-01-01' as at\n\
         from generate_series(1, 4) t(value)\n",
    );
    succeed(&project.windlass(["run"]));
    let rows = same(&project, "lake/prod", "select * from t order by id");
    assert_eq!(rows.len(), 4);
    assert_eq!(rows[0].to_string(), r#"{"id":"1","kind":"new 1","at":"2024-01-01T00:00:00"}"#);
    // Back to a table without timestamps that lack a zone: readers have kept up with the protocol.
    project.write("transforms/t.sql", "select 1 as id\n");
    succeed(&project.windlass(["run"]));
    assert_eq!(same(&project, "lake/prod", "select * from t").len(), 1);
    succeed(&project.windlass(["gc", "--keep-versions-for", "0s"]));
    assert_eq!(same(&project, "lake/prod", "select * from t").len(), 1);
}

const OTHERS: &str = "
-- sources.yml --
sources:
  other:
    path: data/{name}
    tables:
      events: {format: delta}
      places: {format: delta}
      empty: {format: delta}
-- transforms/events.sql --
select * from {{ source('other', 'events') }}
-- transforms/places.sql --
select * from {{ source('other', 'places') }}
-- transforms/empty.sql --
select * from {{ source('other', 'empty') }}
";

#[test]
fn tables_of_other_writers() {
    let project = Project::new(OTHERS);
    let data = project.path("data");
    std::fs::create_dir(&data).unwrap();
    python::script("write_tables.py", &[data.to_str().unwrap()]);
    assert!(!data.join("events/_delta_log/00000000000000000000.json").is_file(), "only the checkpoint knows the start");
    succeed(&project.windlass(["run"]));

    // 2,100 written; a fifth of the first 2,000 deleted, then the last ten.
    let counted = "select count(*) as n, sum(id) as ids, count(kind) as kinds, count(added) as added, \
                   count(*) filter (where kind = 'changed') as changed from other.events";
    assert_eq!(project.rows(counted), r#"{"n":1690,"ids":1784005,"kinds":1127,"added":90,"changed":1}"#);
    for (table, rows) in [("events", 1690), ("places", 6), ("empty", 0)] {
        let sql = format!("select * from {table} order by id");
        // The source itself in the readers that wrote it, and our copy of it.
        assert_eq!(same(&project, "data", &sql).len(), rows, "{table}");
        assert_eq!(same(&project, "lake/prod", &sql).len(), rows, "{table}");
    }
    assert_eq!(project.rows("select id from other.places where place = 'a/b' and level = 3"), r#"{"id":2}"#);
    assert_eq!(project.rows("select id from other.places where place is null"), r#"{"id":4}"#);
}
