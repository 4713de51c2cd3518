//! `run --sample`: rows that join each other are read together, and what comes of them stays in its environment.

use expect_test::expect;

use crate::support::{Answer, Project};

const TARGETS: &str = "
-- targets.yml --
targets:
  local: {lake: ./lake, state: ./.windlass, threads: 1, memory: 512MiB, env: prod, base: prod}
";

/// Orders with their lines, which name them as text, and products.
const SHOP: &str = "
-- sources.yml --
sources:
  shop:
    path: data/{name}.csv
    tables:
      orders: {sample_key: order_id, checks: [{row_count: {min: 400}}]}
      lines: {sample_key: order_id, columns: {order_id: varchar, line: bigint, product: bigint, amount: bigint}}
      products: {}
-- transforms/joined.sql --
select l.order_id, l.line, p.name, l.amount, o.customer
from {{ source('shop', 'lines') }} l
left join {{ source('shop', 'orders') }} o on o.order_id = cast(l.order_id as bigint)
left join {{ source('shop', 'products') }} p on p.product = l.product
-- transforms/spending.sql --
select customer, sum(amount) as spent from {{ ref('joined') }} group by customer
-- transforms/names.sql --
select product, upper(name) as name from {{ source('shop', 'products') }}
";

fn shop(more: &str) -> Project {
    let project = Project::new(SHOP);
    project.add(TARGETS);
    let orders = (0..400).map(|id| format!("{id},c{}\n", id % 7)).collect::<String>();
    project.write("data/orders.csv", &format!("order_id,customer\n{orders}"));
    let line = |at: u32| format!("{},{at},{},{}\n", at / 3, at % 5, at % 11);
    project
        .write("data/lines.csv", &format!("order_id,line,product,amount\n{}", (0..1200).map(line).collect::<String>()));
    project.write("data/products.csv", "product,name\n0,a\n1,b\n2,c\n3,d\n4,e\n");
    project.add(more);
    project
}

#[track_caller]
fn succeed(answer: &Answer) {
    assert_eq!(answer.code, 0, "{answer}");
}

/// Returns the rows of a query over an environment.
fn rows(project: &Project, env: &str, sql: &str) -> String {
    let shown = project.json(["show", "-e", env, "--sql", sql, "-n", "10000"]);
    shown["rows"].as_array().unwrap().iter().map(|row| format!("{row}\n")).collect()
}

#[test]
fn rows_that_join_are_read_together() {
    let project = shop("");
    succeed(&project.windlass(["run", "-q"]));
    let run = project.json(["run", "-e", "dev", "--sample", "20%"]);
    expect![[r#"{"share":"20%","sources":[{"name":"shop.lines","key":["order_id"]},{"name":"shop.orders","key":["order_id"]}],"whole_sources":["shop.products"]}"#]]
        .assert_eq(&run["sample"].to_string());
    let count = "select count(*) as lines, count(distinct order_id) as orders, count(customer) as found, count(name) as named from joined";
    let counts: serde_json::Value = serde_json::from_str(&rows(&project, "dev", count)).unwrap();
    let of = |name: &str| counts[name].as_u64().unwrap();
    assert!((45..=115).contains(&of("orders")), "{counts}");
    // Every line of an order that was read, and with each of them its order and its product.
    assert_eq!([of("lines"), of("found"), of("named")], [3 * of("orders"); 3], "{counts}");
    // What reads no source that is sampled is read from the base.
    let names = run["nodes"].as_array().unwrap().iter().find(|node| node["name"] == "names").unwrap();
    assert_eq!((&names["outcome"], &names["table_env"]), (&"reused".into(), &"prod".into()));
    let whole: serde_json::Value = serde_json::from_str(&rows(&project, "prod", count)).unwrap();
    assert_eq!(whole["lines"], 1200);
    // The same rows as if the sources held no others.
    let kept = rows(&project, "dev", "select distinct cast(order_id as bigint) as id from joined order by 1");
    let kept: Vec<u64> = kept
        .lines()
        .map(|row| serde_json::from_str::<serde_json::Value>(row).unwrap()["id"].as_u64().unwrap())
        .collect();
    let spent = rows(&project, "dev", "select customer, spent from spending order by 1");
    let listed = kept.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let expected = format!(
        "select customer, sum(amount) as spent from joined where cast(order_id as bigint) in ({listed}) group by 1 order by 1"
    );
    assert_eq!(spent, rows(&project, "prod", &expected));
}

#[test]
fn another_sample_builds_anew_and_the_same_one_does_not() {
    let project = shop("");
    succeed(&project.windlass(["run", "-q"]));
    succeed(&project.windlass(["run", "-e", "dev", "--sample", "5%", "-q"]));
    project.windlass(["plan", "-e", "dev", "--sample", "5%"]).check(expect![[r#"
        exit 0
        -- stdout
        target local, env dev, base prod, planned in [TIME]
        sample 5% of shop.lines by order_id and shop.orders by order_id; all rows of shop.products

          reuse  joined     5 columns  unchanged, version 0
          reuse  names      2 columns  unchanged, version 0 of prod
          reuse  spending   2 columns  unchanged, version 0

        0 to build, 3 unchanged, 0 views. Names and types fit; not checked: values, divisions by zero, casts of text.
    "#]]);
    project.windlass(["plan", "-e", "dev", "--sample", "10%"]).check(expect![[r#"
        exit 0
        -- stdout
        target local, env dev, base prod, planned in [TIME]
        sample 10% of shop.lines by order_id and shop.orders by order_id; all rows of shop.products

          build  joined     5 columns  sample: 5% → 10%  last time 60 rows in [TIME]
          reuse  names      2 columns  unchanged, version 0 of prod
          build  spending   2 columns  sample: 5% → 10%  last time 7 rows in [TIME]

        2 to build, [TIME] last time, 1 unchanged, 0 views. Names and types fit; not checked: values, divisions by zero, casts of text.
    "#]]);
    project.windlass(["plan", "-e", "dev"]).check(expect![[r#"
        exit 0
        -- stdout
        target local, env dev, base prod, planned in [TIME]

          build  joined     5 columns  sample: 5% → all rows  last time 60 rows in [TIME]
          reuse  names      2 columns  unchanged, version 0 of prod
          build  spending   2 columns  sample: 5% → all rows  last time 7 rows in [TIME]

        2 to build, [TIME] last time, 1 unchanged, 0 views. Names and types fit; not checked: values, divisions by zero, casts of text.
    "#]]);
    project.windlass(["env", "ls"]).check(expect![[r#"
        exit 0
        -- stdout
        dev   on prod    2 tables  [SIZE]  last run [AT], sample 5%
        prod             3 tables  [SIZE]  last run [AT], this one
    "#]]);
    succeed(&project.windlass(["run", "-e", "dev", "-q"]));
    assert_eq!(rows(&project, "dev", "select count(*) as n from joined"), "{\"n\":1200}\n");
    // The key is part of what was read.
    succeed(&project.windlass(["run", "-e", "dev", "--sample", "10%", "-q"]));
    let sources = std::fs::read_to_string(project.path("sources.yml")).unwrap();
    project.write("sources.yml", &sources.replacen("sample_key: order_id", "sample_key: customer", 1));
    let plan = project.json(["plan", "-e", "dev", "--sample", "10%"]);
    assert_eq!(plan["nodes"][0]["reason"]["text"], "source shop.orders: sample_key changed");
}

#[test]
fn tables_of_another_sample_are_not_read() {
    let project = shop("");
    succeed(&project.windlass(["run", "-q"]));
    project.windlass(["run", "spending", "-e", "dev", "--sample", "5%"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0908]: table `joined` was built from all rows, and this run reads a sample of 5%
         --> transforms/joined.sql:1:1
          |
        1 | select l.order_id, l.line, p.name, l.amount, o.customer
          | ^
          |
          = help: build it too: select `+spending`
        windlass explain E0908
    "#]]);
    succeed(&project.windlass(["run", "+spending", "-e", "dev", "--sample", "5%", "-q"]));
    project.windlass(["run", "spending", "-e", "dev", "--sample", "6%"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0908]: table `joined` was built from a sample of 5%, and this run reads a sample of 6%
         --> transforms/joined.sql:1:1
          |
        1 | select l.order_id, l.line, p.name, l.amount, o.customer
          | ^
          |
          = help: build it too: select `+spending`
        windlass explain E0908
    "#]]);
    project.windlass(["run", "spending", "-e", "dev"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0908]: table `joined` was built from a sample of 5%, and this run reads all rows
         --> transforms/joined.sql:1:1
          |
        1 | select l.order_id, l.line, p.name, l.amount, o.customer
          | ^
          |
          = help: build it too: select `+spending`
        windlass explain E0908
    "#]]);
    // What was built from the same sample is.
    succeed(&project.windlass(["run", "spending", "-e", "dev", "--sample", "5%", "-q"]));
    // Looking is free.
    succeed(&project.windlass(["show", "spending", "-e", "dev", "-q"]));
}

#[test]
fn a_sample_stays_in_its_environment() {
    let project = shop("");
    project.windlass(["run", "--sample", "5%"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0908]: environment `prod` is the one that target `local` names, so no sample is built there
          hint: build it in an environment of its own: windlass run -e NAME --sample 5%
        windlass explain E0908
    "#]]);
    succeed(&project.windlass(["run", "-q"]));
    succeed(&project.windlass(["run", "-e", "dev", "--sample", "5%", "-q"]));
    project.windlass(["env", "promote", "dev"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0907]: cannot promote dev to prod
          joined: built from a sample of 5%, which stays in its environment
          spending: built from a sample of 5%, which stays in its environment
          hint: bring it up to date: windlass run -e dev
        windlass explain E0907
    "#]]);
    project.windlass(["env", "promote", "dev", "--allow-stale"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0907]: cannot promote dev to prod
          joined: built from a sample of 5%, which stays in its environment
          spending: built from a sample of 5%, which stays in its environment
          hint: bring it up to date: windlass run -e dev
        windlass explain E0907
    "#]]);
    assert_eq!(rows(&project, "prod", "select count(*) as n from joined"), "{\"n\":1200}\n");
    project.write(
        "targets.yml",
        "default: local\ntargets:\n  local: {lake: ./lake, state: ./.windlass, threads: 1, env: prod, base: prod, protected: [dev]}\n  \
         above: {extends: local, env: top, base: stage}\n",
    );
    project.windlass(["run", "-e", "dev", "--sample", "5%", "--yes"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0908]: environment `dev` is protected, so no sample is built there
          hint: build it in an environment of its own: windlass run -e NAME --sample 5%
        windlass explain E0908
    "#]]);
    succeed(&project.windlass(["run", "-t", "above", "-q"]));
    project.windlass(["run", "-e", "stage", "--sample", "5%"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0908]: environment `stage` is the base of top, which would read the sample
          hint: name another environment with -e
        windlass explain E0908
    "#]]);
}

#[test]
fn a_sample_needs_a_key_and_a_share() {
    let project = shop("");
    project.windlass(["run", "names", "-e", "dev", "--sample", "5%"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0908]: no source that this run reads has a `sample_key`, so there is nothing to take a sample of
         --> sources.yml:7:7
          |
        7 |       products: {}
          |       ^^^^^^^^
          |
          = help: name the columns that large sources are joined by, as `sample_key` of `shop.products`
        windlass explain E0908
    "#]]);
    project.windlass(["run", "-e", "dev", "--sample", "5"]).check(expect![[r#"
        exit 2
        -- stderr
        error: invalid value '5' for '--sample <SHARE>': `5` is no share of rows: write it as `1%` or `0.1%`, above 0% and below 100%

        For more information, try '--help'.
    "#]]);
    project.write("sources.yml", "sources: {shop: {path: 'data/{name}.csv', sample_key: order_idd, tables: {orders: {}, lines: {}, products: {sample_key: []}}}}\n");
    project.windlass(["run", "-e", "dev"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0102]: `sample_key` of `shop.lines` names column `order_idd`, which it does not have
         --> sources.yml:1:55
          |
        1 | sources: {shop: {path: 'data/{name}.csv', sample_key: order_idd, tables: {orders: {}, lines: {}, products: {sample_key: []}}}}
          |                                                       ^^^^^^^^^
          |
          = note: columns: `order_id`, `line`, `product`, `amount`
          = help: did you mean `order_id`?

        error[E0102]: `sample_key` of `shop.orders` names column `order_idd`, which it does not have
         --> sources.yml:1:55
          |
        1 | sources: {shop: {path: 'data/{name}.csv', sample_key: order_idd, tables: {orders: {}, lines: {}, products: {sample_key: []}}}}
          |                                                       ^^^^^^^^^
          |
          = note: columns: `order_id`, `customer`
          = help: did you mean `order_id`?

        2 mistakes, nothing was done
        windlass explain E0102
    "#]]);
}

#[test]
fn rows_of_a_sample_do_not_stay_in_an_incremental_table() {
    let project = shop(
        "-- transforms/daily.sql --\n{{ config(materialized='incremental', strategy='merge', key='line', \
         on_definition_change='forward') }}\nselect line, order_id from {{ source('shop', 'lines') }}\n",
    );
    succeed(&project.windlass(["run", "daily", "-e", "dev", "--sample", "5%", "-q"]));
    let plan = project.json(["plan", "daily", "-e", "dev"]);
    expect![[r#"{"kind":"sample","text":"sample: 5% → all rows","intervals":null,"continues":null}"#]]
        .assert_eq(&plan["nodes"][0]["reason"].to_string());
    succeed(&project.windlass(["run", "daily", "-e", "dev", "-q"]));
    assert_eq!(rows(&project, "dev", "select count(*) as n from daily"), "{\"n\":1200}\n");
}
