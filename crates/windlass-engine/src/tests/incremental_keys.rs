//! Incremental tables by key, and those that only grow.

use super::support::World;

/// Orders by key, from a source of events that only grow.
fn orders(strategy: &str, filter: &str, events: &str) -> World {
    World::new(&format!(
        "-- sources.yml --\nsources: {{raw: {{path: 'data/{{name}}.csv', tables: {{events: {{columns: \
         {{seq: bigint, id: bigint, state: varchar}}}}}}}}}}\n-- data/events.csv --\nseq,id,state\n{events}\
         -- transforms/orders.sql --\n{{{{ config(materialized='incremental', {strategy}) }}}}\n\
         select id, seq, state from {{{{ source('raw', 'events') }}}}\n\
         {{% if is_incremental() %}}where seq > (select coalesce(max(seq), 0) from {{{{ this }}}}){{% endif %}}\n{filter}\n",
    ))
}

const LAST: &str = "qualify row_number() over (partition by id order by seq desc) = 1";

async fn run(world: &mut World) -> Result<(u64, u64), crate::Error> {
    world.run += 1;
    again(world).await
}

async fn again(world: &World) -> Result<(u64, u64), crate::Error> {
    let plan = world.plan().await;
    assert!(plan.diagnostics.is_empty(), "{}", super::support::plain(&plan.diagnostics));
    let built = Box::pin(world.build("orders", &plan)).await?.unwrap();
    Ok((built.version, built.rows))
}

fn edit(world: &mut World, events: &str) {
    world.edit(&format!("-- data/events.csv --\nseq,id,state\n{events}"));
}

async fn rows(world: &World) -> Vec<String> {
    let text = world.sql("select id, seq, state from orders order by 1, 2").await;
    let lines = text.lines().skip(3).filter(|line| line.starts_with('|'));
    lines.map(|line| line.replace(' ', "").trim_matches('|').replace('|', " ")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_replaces_the_one_with_its_key() {
    let first = "1,1,new\n2,2,new\n3,3,new\n";
    let mut world = orders("strategy='merge', key='id'", LAST, first);
    assert_eq!(run(&mut world).await.unwrap(), (0, 3));
    assert_eq!(run(&mut world).await.unwrap(), (0, 0), "no row is new");
    edit(&mut world, &format!("{first}4,2,paid\n5,4,new\n6,2,sent\n"));
    assert_eq!(run(&mut world).await.unwrap(), (1, 2));
    assert_eq!(again(&world).await.unwrap(), (1, 0), "a repeated attempt");
    assert_eq!(rows(&world).await, ["1 1 new", "2 6 sent", "3 3 new", "4 5 new"]);
    // Rows of files that hold none of the keys stay where they are.
    let files = world.files("orders");
    edit(&mut world, &format!("{first}4,2,paid\n5,4,new\n6,2,sent\n7,9,new\n"));
    assert_eq!(run(&mut world).await.unwrap(), (2, 1));
    let kept = files.iter().filter(|file| file.ends_with(".parquet"));
    assert!(kept.clone().count() > 0 && kept.clone().all(|file| world.files("orders").contains(file)));
    assert_eq!(rows(&world).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_new_rows_are_there_and_differ() {
    let mut world = orders("strategy='merge', key=['id', 'state']", "", "1,1,new\n");
    run(&mut world).await.unwrap();
    edit(&mut world, "1,1,new\n2,2,new\n3,2,new\n");
    let error = run(&mut world).await.unwrap_err();
    let expected = "rows of `orders` cannot be merged: several new rows have the key id=2, state=new";
    assert_eq!(error.to_string(), expected);
    edit(&mut world, "1,1,new\n2,,new\n");
    let error = run(&mut world).await.unwrap_err();
    let expected = "rows of `orders` cannot be merged: a new row has no key, id=null, state=new";
    assert_eq!(error.to_string(), expected);
    assert_eq!(rows(&world).await, ["1 1 new"]);
    let mut world = orders("strategy='merge', key='id'", "", "1,1,new\n2,1,paid\n");
    let error = run(&mut world).await.unwrap_err();
    assert_eq!(error.to_string(), "rows of `orders` cannot be merged: several new rows have the key id=1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_only_grows() {
    let mut world = orders("strategy='append'", "", "1,1,new\n");
    assert_eq!(run(&mut world).await.unwrap(), (0, 1));
    edit(&mut world, "1,1,new\n2,1,paid\n");
    assert_eq!(run(&mut world).await.unwrap(), (1, 1));
    assert_eq!(again(&world).await.unwrap(), (1, 0), "a repeated attempt");
    assert_eq!(run(&mut world).await.unwrap(), (1, 0), "nothing has changed");
    assert_eq!(rows(&world).await, ["1 1 new", "1 2 paid"]);
}
