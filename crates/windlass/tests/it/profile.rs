//! `windlass profile`.

use expect_test::expect;

use crate::support::{Project, pretty};

/// A table with a column of each kind, and the values that usually go wrong.
const ODD: &str = "
-- transforms/odd.sql --
select
  value as id,
  case when value % 10 = 0 then null else value * 0.5 end as amount,
  case value when 1 then 'NaN' when 2 then 'inf' when 3 then '-inf' else cast(value as varchar) end::double as \"Odd\",
  case when value % 3 = 0 then 'x' when value % 3 = 1 then '' else chr(27) || 'é' end as word,
  value % 2 = 0 as flag,
  cast(null as varchar) as nothing,
  arrow_cast(cast(19723 + value as int), 'Date32') as day,
  cast(value % 7 as decimal(20, 2)) as price,
  9007199254740993 + value as big,
  [value] as list
from range(0, 100)
-- transforms/seen.sql --
{{ config(materialized='view') }}
select id from {{ ref('odd') }} where id > 10
-- sources.yml --
sources: {raw: {path: 'data/{name}.csv', tables: {empty: , orders: }}}
-- data/empty.csv --
id,odd Name.
-- data/orders.csv --
id,amount
1,2.5
2,
";

#[test]
fn columns_of_every_kind() {
    let project = Project::new(ODD);
    project.windlass(["profile", "odd"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0103]: table `odd` has not been published yet
          hint: publish it first: windlass run odd
        windlass explain E0103
    "#]]);
    assert_eq!(project.windlass(["run", "-q"]).code, 0);
    project.windlass(["profile", "odd"]).check(expect![[r#"
        exit 0
        -- stdout
        odd  version 0, 100 rows, 10 columns

        id  bigint
          no NULL, 100 different
          min 0  p25 24.75  median 49.5  p75 74.25  max 99  mean 49.5  stddev 29.0115
          0▕████████████████████▏99

        amount  double
          10 NULL (10.00%), 90 different
          min 0.5  p25 12.625  median 25  p75 37.375  max 49.5  mean 25  stddev 14.5001
          0.5▕█▇█▇█▇█▇█▇▇█▇█▇█▇█▇█▏49.5

        Odd  double
          no NULL, 1 NaN (1.00%), 100 different
          min -infinity  p25 26.5  median 51  p75 75.5  max infinity
          0▕▄███████████████████▏99

        word  varchar
          no NULL, 3 different
          min ''  max x  0 to 2 characters
          x 34.00%, '' 33.00%, �é 33.00%

        flag  boolean
          no NULL, 2 different
          false 50.00%, true 50.00%

        nothing  varchar
          100 NULL (100.00%), 0 different

        day  date
          no NULL, 100 different
          min [DATE]  p25 [DATE]  median [DATE]  p75 [DATE]  max [DATE]
          2024-01-01▕████████████████████▏2024-04-09

        price  decimal(20, 2)
          no NULL, 7 different
          min 0  p25 1  median 3  p75 5  max 6  mean 2.95  stddev 2.02198
          0▕█  █  █   █  █  █  █▏6
          0 15.00%, 1 15.00%, 2 14.00%, 3 14.00%, 4 14.00%

        big  bigint
          no NULL, 100 different
          min 9007199254740993  p25 9.00720e15  median 9.00720e15  p75 9.00720e15  max 9007199254741092  mean 9.00720e15  stddev 29.0376
          9.00720e15▕▃█▅▆▅█▆▅█▅▆▅▅█▆▅▅█▅█▏9.00720e15

        list  array<bigint>
          no NULL
        -- stderr
        No profile is stored; --accept makes this one the baseline of drift
    "#]]);
    project.windlass(["profile", "seen"]).check(expect![[r#"
        exit 0
        -- stdout
        seen  89 rows, 1 column

        id  bigint
          no NULL, 89 different
          min 11  p25 33  median 55  p75 77  max 99  mean 55  stddev 25.836
          11▕█▇█▇▇█▇█▇▇█▇█▇▇█▇█▇█▏99
        -- stderr
        No profile is stored; --accept makes this one the baseline of drift
    "#]]);
    project.windlass(["profile", "raw.empty"]).check(expect![[r#"
        exit 0
        -- stdout
        raw.empty  0 rows, 2 columns

        id  varchar
          no NULL, 0 different

        odd Name.  varchar
          no NULL, 0 different
        -- stderr
        No profile is stored; --accept makes this one the baseline of drift
    "#]]);
    project.windlass(["profile", "raw.empty", "--accept"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0203]: `raw.empty` has no rows, so nothing can be measured from it
          hint: accept a profile of a table with rows
        windlass explain E0203
    "#]]);
    project.windlass(["profile", "odd", "--version", "7"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0103]: table `odd` has no version 7
          hint: the newest is version 0
        windlass explain E0103
    "#]]);
    project.windlass(["profile", "seen", "--version", "0"]).check(expect![[r#"
        exit 2
        -- stderr
        error: `seen` is a view and has no versions
          hint: leave out --version: it is looked at as it is now
    "#]]);
    project.windlass(["profile", "od"]).check(expect![[r#"
        exit 2
        -- stderr
        error: no node `od`
          hint: did you mean `odd`?
    "#]]);
    expect![[r#"
        {
          "node": "raw.orders",
          "table_version": null,
          "rows": 2,
          "columns": [
            {
              "name": "id",
              "type": "bigint",
              "nulls": 0,
              "nans": 0,
              "distinct": 2,
              "distinct_is_exact": true,
              "min": 1,
              "max": 2,
              "mean": 1.5,
              "stddev": 0.7071067811865476,
              "quantiles": [
                {
                  "p": 0.01,
                  "value": 1.01
                },
                {
                  "p": 0.05,
                  "value": 1.05
                },
                {
                  "p": 0.25,
                  "value": 1.25
                },
                {
                  "p": 0.5,
                  "value": 1.5
                },
                {
                  "p": 0.75,
                  "value": 1.75
                },
                {
                  "p": 0.95,
                  "value": 1.95
                },
                {
                  "p": 0.99,
                  "value": 1.99
                }
              ],
              "min_length": null,
              "max_length": null,
              "top": [],
              "histogram": [
                {
                  "from": 1.0,
                  "to": 1.0,
                  "rows": 1
                },
                {
                  "from": 2.0,
                  "to": 2.0,
                  "rows": 1
                }
              ]
            },
            {
              "name": "amount",
              "type": "double",
              "nulls": 1,
              "nans": 0,
              "distinct": 1,
              "distinct_is_exact": true,
              "min": 2.5,
              "max": 2.5,
              "mean": 2.5,
              "stddev": null,
              "quantiles": [
                {
                  "p": 0.01,
                  "value": 2.5
                },
                {
                  "p": 0.05,
                  "value": 2.5
                },
                {
                  "p": 0.25,
                  "value": 2.5
                },
                {
                  "p": 0.5,
                  "value": 2.5
                },
                {
                  "p": 0.75,
                  "value": 2.5
                },
                {
                  "p": 0.95,
                  "value": 2.5
                },
                {
                  "p": 0.99,
                  "value": 2.5
                }
              ],
              "min_length": null,
              "max_length": null,
              "top": [],
              "histogram": [
                {
                  "from": 2.5,
                  "to": 2.5,
                  "rows": 1
                }
              ]
            }
          ],
          "accepted": false,
          "baseline": null
        }"#]]
    .assert_eq(&pretty(project.json(["profile", "raw.orders"])));
}

#[test]
fn an_accepted_profile_is_the_baseline_of_drift() {
    let project = Project::new(ODD);
    project.write(
        "sources.yml",
        "sources: {raw: {path: 'data/{name}.csv', tables: {orders: {columns: {amount: {checks: \
         [{drift: {baseline: stored}}]}}}, empty: }}}\n",
    );
    project.windlass(["check", "raw.orders"]).check(expect![[r#"
        exit 0
        -- stdout
        raw.orders 0 checks passed, 1 cannot be evaluated
          not_evaluable drift_amount: cannot be evaluated: there is nothing to compare with yet (sources.yml:1:89)
        -- stderr
        Looked at 1 node
    "#]]);
    project.windlass(["profile", "raw.orders", "--accept"]).check(expect![[r#"
        exit 0
        -- stdout
        raw.orders  2 rows, 2 columns

        id  bigint
          no NULL, 2 different
          min 1  p25 1.25  median 1.5  p75 1.75  max 2  mean 1.5  stddev 0.707107
          1▕██▏2

        amount  double
          1 NULL (50.00%), 1 different
          min 2.5  p25 2.5  median 2.5  p75 2.5  max 2.5  mean 2.5
        -- stderr
        Accepted: `baseline: stored` is these rows from now on
    "#]]);
    project.windlass(["check", "raw.orders"]).check(expect![[r#"
        exit 0
        -- stdout
        raw.orders 1 check passed
        -- stderr
        Looked at 1 node
    "#]]);
    project.write("data/orders.csv", "id,amount\n1,700\n2,800\n");
    project.windlass(["check", "raw.orders"]).check(expect![[r#"
        exit 1
        -- stdout
        raw.orders 0 checks passed, 1 failed
          fail drift_amount: jensen_shannon 1, below 0.2 (sources.yml:1:89)
        -- stderr
        Looked at 1 node
    "#]]);
    let told = project.windlass(["profile", "raw.orders"]);
    assert!(told.stderr.contains("`baseline: stored` is these rows, accepted ["), "{told}");
}

#[test]
fn wide_tables() {
    let columns: Vec<String> = (0..1000).map(|at| format!("value * {at} as c{at}")).collect();
    let project =
        Project::new(&format!("-- transforms/wide.sql --\nselect {} from range(0, 5000)\n", columns.join(", ")));
    assert_eq!(project.windlass(["run", "-q"]).code, 0);
    let profile = project.json(["profile", "wide", "--accept"]);
    let columns = profile["columns"].as_array().unwrap();
    assert_eq!((columns.len(), &columns[999]["max"]), (1000, &(4999 * 999).into()));
    assert_eq!((&profile["accepted"], &profile["rows"]), (&true.into(), &5000.into()));
}
