//! Incremental tables: what a run computes of them, what stays, and what goes wrong half-way.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use expect_test::{Expect, expect};
use windlass_error::{Classify, Code};
use windlass_project::parse_time;

use super::support::{Willing, World, plain};
use crate::{Ask, BuildProgress, Decision, Error, Phase, Refresh};

/// Sums of each day, from a source of events; `settings` are added to its own.
fn daily(settings: &str, events: &str) -> World {
    let mut world = World::new(&format!(
        "-- sources.yml --\nsources: {{raw: {{path: 'data/{{name}}.csv', tables: {{events: {{columns: \
         {{at: timestamp, n: bigint}}}}}}}}}}\n-- data/events.csv --\nat,n\n{events}\n-- transforms/daily.sql --\n\
         {{{{ config(materialized='incremental', strategy='by_interval', time_column='day', interval='day', \
         start='2013-05-01'{settings}) }}}}\nselect cast(at as date) as day, sum(n) as n, 100 / min(n) as share\n\
         from {{{{ source('raw', 'events') }}}}\nwhere at >= {{{{ interval_start }}}} and at < {{{{ interval_end }}}}\n\
         group by 1\n",
    ));
    at(&mut world, "2013-05-04 06:00");
    world
}

fn at(world: &mut World, now: &str) {
    world.now_us = parse_time(now).unwrap();
}

/// An event a day: `events(1..4)` are those of 1 to 3 May.
fn events(days: std::ops::Range<u32>) -> String {
    days.map(|day| format!("2013-05-{day:02}T12:00:00,{day}\n")).collect()
}

fn edit(world: &mut World, events: &str) {
    world.edit(&format!("-- data/events.csv --\nat,n\n{events}"));
}

async fn why(world: &World, node: &str) -> String {
    let plan = world.plan().await;
    assert!(plan.diagnostics.is_empty(), "{}", plain(&plan.diagnostics));
    let ask = Ask { now_us: world.now_us, ..world.ask };
    let node = &world.project.nodes[node];
    match world.engine.decide(&world.project, &plan, node, (&BTreeSet::new(), &ask)).await.unwrap() {
        Decision::Build(reason) => format!("{}: {}", reason.kind.as_str(), reason.text),
        Decision::Check(..) => "check".to_string(),
        Decision::Fail(reason) => format!("fail: {}", reason.text),
        Decision::Reuse(standing) => format!("reuse version {}", standing.version),
    }
}

/// Builds one table as a run of its own; returns its version and the rows that were computed.
async fn run(world: &mut World, node: &str) -> Result<(u64, u64), Error> {
    world.run += 1;
    again(world, node).await
}

/// The same once more in the same run, as an attempt is repeated whose answer was lost.
async fn again(world: &World, node: &str) -> Result<(u64, u64), Error> {
    let plan = world.plan().await;
    assert!(plan.diagnostics.is_empty(), "{}", plain(&plan.diagnostics));
    let built = Box::pin(world.build(node, &plan)).await?.unwrap();
    Ok((built.version, built.rows))
}

async fn check(world: &World, table: &str, expected: Expect) {
    expected.assert_eq(&world.sql(&format!("select * from {table} order by 1")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn days_are_computed_when_they_are_over() {
    let mut world = daily("", &events(1..5));
    assert_eq!(why(&world, "daily").await, "missing: not published yet; 3 days: 2013-05-01 to 2013-05-03");
    assert_eq!(run(&mut world, "daily").await.unwrap(), (0, 3));
    assert_eq!(why(&world, "daily").await, "reuse version 0");
    let first = world.files("daily");

    at(&mut world, "2013-05-06");
    edit(&mut world, &events(1..7));
    assert_eq!(why(&world, "daily").await, "interval: 2 of 5 days to do: 2013-05-04 to 2013-05-05");
    assert_eq!(run(&mut world, "daily").await.unwrap(), (1, 2));
    assert_eq!(why(&world, "daily").await, "reuse version 1");
    assert!(first.iter().all(|file| world.files("daily").contains(file)));
    check(
        &world,
        "daily",
        expect![[r#"
            +------------+---+-------+
            | day        | n | share |
            +------------+---+-------+
            | 2013-05-01 | 1 | 100   |
            | 2013-05-02 | 2 | 50    |
            | 2013-05-03 | 3 | 33    |
            | 2013-05-04 | 4 | 25    |
            | 2013-05-05 | 5 | 20    |
            +------------+---+-------+"#]],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_starts_earlier_and_ends() {
    let mut world = daily(", end='2013-05-03'", &events(1..9));
    run(&mut world, "daily").await.unwrap();
    assert_eq!(
        world.sql("select count(*) as n, max(day) as last from daily").await.lines().nth(3).unwrap().trim(),
        "| 2 | 2013-05-02 |"
    );
    let text = std::fs::read_to_string(world.root().join("transforms/daily.sql")).unwrap();
    world.edit(&format!("-- transforms/daily.sql --\n{}", text.replace("start='2013-05-01'", "start='2013-04-30'")));
    assert_eq!(why(&world, "daily").await, "interval: 1 of 3 days to do: 2013-04-30");
    assert_eq!(run(&mut world, "daily").await.unwrap(), (1, 0));
    world.edit(&format!("-- transforms/daily.sql --\n{}", text.replace("start='2013-05-01'", "start='2013-05-02'")));
    assert_eq!(why(&world, "daily").await, "setting: start is later than before; 1 day: 2013-05-02");
    assert_eq!(run(&mut world, "daily").await.unwrap(), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn late_rows_are_found_as_far_back_as_is_looked() {
    let mut world = daily(", lookback=1", &events(1..4));
    run(&mut world, "daily").await.unwrap();
    let late = "2013-05-01T13:00:00,50\n2013-05-02T13:00:00,50\n2013-05-03T13:00:00,50\n";
    edit(&mut world, &(events(1..4) + late));
    let expected = "interval: 2 days again, for late rows: 2013-05-02 to 2013-05-03";
    assert_eq!(why(&world, "daily").await, expected);
    assert_eq!(run(&mut world, "daily").await.unwrap(), (1, 2));
    assert_eq!(why(&world, "daily").await, "reuse version 1");
    at(&mut world, "2013-05-05");
    edit(&mut world, &(events(1..5) + late));
    let expected = "interval: 1 of 4 days to do: 2013-05-04; 1 again, for late rows: 2013-05-03";
    assert_eq!(why(&world, "daily").await, expected);
    assert_eq!(run(&mut world, "daily").await.unwrap(), (2, 2));
    check(
        &world,
        "daily",
        expect![[r#"
            +------------+----+-------+
            | day        | n  | share |
            +------------+----+-------+
            | 2013-05-01 | 1  | 100   |
            | 2013-05-02 | 52 | 50    |
            | 2013-05-03 | 53 | 33    |
            | 2013-05-04 | 4  | 25    |
            +------------+----+-------+"#]],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_computes_what_it_names_and_nothing_else() {
    let mut world = daily("", &events(1..4));
    run(&mut world, "daily").await.unwrap();
    edit(&mut world, &events(1..4).replace(",1\n", ",10\n").replace(",2\n", ",20\n").replace(",3\n", ",25\n"));
    assert_eq!(why(&world, "daily").await, "reuse version 0");
    world.ask.range = Some((parse_time("2013-05-02").unwrap(), parse_time("2013-05-03").unwrap()));
    assert_eq!(why(&world, "daily").await, "interval: 1 day again, asked for: 2013-05-02");
    assert_eq!(run(&mut world, "daily").await.unwrap(), (1, 1));
    // A repeated attempt finds that its own run has done it.
    assert_eq!(again(&world, "daily").await.unwrap(), (1, 0));
    let rows = world.sql("select n from daily order by day").await;
    assert!(rows.contains("| 1  |\n| 20 |\n| 3  |"), "{rows}");
}

#[tokio::test(flavor = "multi_thread")]
async fn gaps_are_found() {
    let mut world = daily("", &events(1..9));
    at(&mut world, "2013-05-09");
    world.ask.range = Some((parse_time("2013-05-02").unwrap(), parse_time("2013-05-04").unwrap()));
    assert_eq!(run(&mut world, "daily").await.unwrap(), (0, 2));
    world.ask.range = Some((parse_time("2013-05-06").unwrap(), parse_time("2013-05-07").unwrap()));
    assert_eq!(run(&mut world, "daily").await.unwrap(), (1, 1));
    world.ask.range = None;
    let expected = "interval: 5 of 8 days to do: 2013-05-01, 2013-05-04 to 2013-05-05, 2013-05-07 to 2013-05-08";
    assert_eq!(why(&world, "daily").await, expected);
    // One commit for each gap.
    assert_eq!(run(&mut world, "daily").await.unwrap(), (4, 5));
    let sums = world.sql("select count(*) as days, sum(n) as n from daily").await;
    assert!(sums.contains("| 8    | 36 |"), "{sums}");
}

/// Clocks go forward on 10 March and back on 3 November: days of UTC have 24 hours all the same.
#[tokio::test(flavor = "multi_thread")]
async fn days_on_which_clocks_change_are_ordinary() {
    for (day, next) in [("2013-03-10", "2013-03-11"), ("2013-11-03", "2013-11-04")] {
        let hours: String = (0..24).map(|hour| format!("{day}T{hour:02}:30:00Z,1\n")).collect();
        let mut world = World::new(&format!(
            "-- sources.yml --\nsources: {{raw: {{path: 'data/{{name}}.csv', tables: {{events: {{columns: \
             {{at: timestamp with time zone, n: bigint}}}}}}}}}}\n-- data/events.csv --\nat,n\n{hours}{next}T00:00:00Z,7\n\
             -- transforms/hourly.sql --\n{{{{ config(materialized='incremental', strategy='by_interval', \
             time_column='at', interval='day', start='{day}', end='{next}') }}}}\nselect at, n from \
             {{{{ source('raw', 'events') }}}} where at >= {{{{ interval_start }}}} and at < {{{{ interval_end }}}}\n",
        ));
        assert_eq!(run(&mut world, "hourly").await.unwrap(), (0, 24));
        world.ask.refresh = Refresh::Always;
        assert_eq!(run(&mut world, "hourly").await.unwrap(), (1, 24));
        let sums = world.sql("select count(*) as hours, sum(n) as n from hourly").await;
        assert!(sums.contains("| 24    | 24 |"), "{sums}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn intervals_before_one_that_fails_are_done() {
    let mut world = daily(", batch_intervals=1", &events(1..4).replace(",3\n", ",0\n"));
    let error = run(&mut world, "daily").await.unwrap_err();
    assert_eq!(error.code(), Some(Code::DIVISION_BY_ZERO));
    assert_eq!(world.engine.published("daily").await.unwrap().unwrap().version, 1);
    assert_eq!(why(&world, "daily").await, "interval: 1 of 3 days to do: 2013-05-03");
    edit(&mut world, &events(1..4));
    assert_eq!(run(&mut world, "daily").await.unwrap(), (2, 1));
}

/// The first of several parts is published, and then the answer is lost: the attempt is repeated.
#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_goes_on_where_the_one_before_has_ended() {
    let mut world = daily(", batch_intervals=1", &events(1..4));
    run(&mut world, "daily").await.unwrap();
    edit(&mut world, &events(1..4).replace(",1\n", ",7\n").replace(",2\n", ",8\n").replace(",3\n", ",0\n"));
    world.ask.range = Some((parse_time("2013-05-01").unwrap(), parse_time("2013-05-04").unwrap()));
    assert!(run(&mut world, "daily").await.is_err());
    assert_eq!(world.engine.published("daily").await.unwrap().unwrap().version, 4);
    edit(&mut world, &events(1..4).replace(",1\n", ",70\n").replace(",2\n", ",80\n").replace(",3\n", ",9\n"));
    assert_eq!(again(&world, "daily").await.unwrap(), (5, 1));
    let rows = world.sql("select n from daily order by day").await;
    assert!(rows.contains("| 7 |\n| 8 |\n| 9 |"), "{rows}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_gone_is_computed_anew() {
    let mut world = daily("", &events(1..4));
    run(&mut world, "daily").await.unwrap();
    std::fs::remove_dir_all(world.root().join("lake/prod/daily")).unwrap();
    assert_eq!(why(&world, "daily").await, "missing: not published yet; 3 days: 2013-05-01 to 2013-05-03");
    assert_eq!(run(&mut world, "daily").await.unwrap(), (0, 3));
}

/// Does something once while another build is about to publish.
struct Meanwhile(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl BuildProgress for Meanwhile {
    fn phase(&self, phase: Phase) {
        if phase == Phase::Staged
            && let Some(act) = self.0.lock().unwrap().take()
        {
            act();
        }
    }
    fn expected_rows(&self, rows: u64) {
        Willing.expected_rows(rows);
    }
    fn rows_read(&self, _: u64) {}
    fn rows_written(&self, _: u64) {}
    fn rows_failed(&self, _: u64) {}
    fn begin_commit(&self) -> bool {
        true
    }
    fn begin_step(&self) -> bool {
        true
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_runs_at_once_one_publishes() {
    let mut world = daily("", &events(1..6));
    run(&mut world, "daily").await.unwrap();
    at(&mut world, "2013-05-05");
    world.run += 1;
    let (project, engine, now_us) = (world.root(), world.engine_of("prod"), world.now_us);
    let act = move || async move {
        let loaded = windlass_project::load(&windlass_project::LoadOptions {
            root: project,
            version: "0.1.0".to_string(),
            ..Default::default()
        });
        let project = loaded.project.unwrap();
        let all = project.nodes.keys().cloned().collect();
        let plan = engine.plan(&project, &all).await;
        let request = crate::BuildRequest {
            project: &project,
            plan: &plan,
            node: &project.nodes["daily"],
            run_id: "00000000-0000-7000-8000-999999999999",
            sequence: 99,
            started_us: now_us,
            ask: Ask::default(),
            progress: Arc::new(Willing),
        };
        assert_eq!(engine.build(&request).await.unwrap().unwrap().version, 1);
    };
    let other = move || {
        let thread = std::thread::spawn(move || tokio::runtime::Runtime::new().unwrap().block_on(Box::pin(act())));
        thread.join().unwrap();
    };
    let plan = world.plan().await;
    let progress = Arc::new(Meanwhile(Mutex::new(Some(Box::new(other)))));
    let error = Box::pin(world.build_watched("daily", &plan, progress)).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::COMMIT_CONFLICT));
    assert_eq!(why(&world, "daily").await, "reuse version 1");
    let sums = world.sql("select count(*) as days, sum(n) as n from daily").await;
    assert!(sums.contains("| 4    | 10 |"), "{sums}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_definition_is_computed_anew_or_from_now_on() {
    let mut world = daily("", &events(1..4));
    run(&mut world, "daily").await.unwrap();
    let text = std::fs::read_to_string(world.root().join("transforms/daily.sql")).unwrap();
    let changed = text.replace("sum(n) as n", "sum(n) * 10 as n");
    world.edit(&format!("-- transforms/daily.sql --\n{changed}"));
    assert_eq!(why(&world, "daily").await, "sql: sql changed: line 2; 3 days: 2013-05-01 to 2013-05-03");
    assert_eq!(run(&mut world, "daily").await.unwrap(), (1, 3));

    let forward =
        text.replace("start=", "on_definition_change='forward', start=").replace("sum(n) as n", "-sum(n) as n");
    world.edit(&format!("-- transforms/daily.sql --\n{forward}"));
    assert_eq!(why(&world, "daily").await, "reuse version 1");
    at(&mut world, "2013-05-05");
    edit(&mut world, &events(1..5));
    assert_eq!(run(&mut world, "daily").await.unwrap(), (2, 1));
    let rows = world.sql("select n from daily order by day").await;
    assert!(rows.contains("| 10 |\n| 20 |\n| 30 |\n| -4 |"), "{rows}");

    let wider = forward.replace(" as share\n", " as share, 1 as one\n");
    world.edit(&format!("-- transforms/daily.sql --\n{wider}"));
    at(&mut world, "2013-05-06");
    world.run += 1;
    let error = again(&world, "daily").await.unwrap_err();
    assert_eq!(error.to_string(), "the columns of `daily` have changed, and its rows are to stay: column one is new");
    world.ask.refresh = Refresh::Whole;
    assert_eq!(again(&world, "daily").await.unwrap(), (3, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_of_rows_see_new_rows_and_others_see_the_table() {
    let mut world = daily("", &events(1..4));
    let checks = |most: u32| {
        format!(
            "-- transforms/t.yml --\ntransforms: {{daily: {{checks: [row_count: {{max: {most}}}], columns: {{n: {{checks: \
             [range: {{min: 1}}]}}, day: {{checks: [unique]}}}}}}}}\n"
        )
    };
    world.edit(&checks(4));
    run(&mut world, "daily").await.unwrap();
    at(&mut world, "2013-05-05");
    edit(&mut world, &events(1..5));
    run(&mut world, "daily").await.unwrap();
    assert_eq!(why(&world, "daily").await, "reuse version 1");
    at(&mut world, "2013-05-06");
    edit(&mut world, &events(1..6));
    let error = run(&mut world, "daily").await.unwrap_err();
    assert!(error.to_string().contains("row_count"), "{error}");
    assert_eq!(why(&world, "daily").await, "interval: 1 of 5 days to do: 2013-05-05");
    let kept = world.sql("select n from \"daily@candidate\"").await;
    assert!(kept.contains("| 5 |"), "{kept}");
    // A check that is new looks at rows that are there already.
    world.edit(&checks(5).replace("min: 1", "min: 2"));
    let error = run(&mut world, "daily").await.unwrap_err();
    assert!(error.to_string().contains("range"), "{error}");
    world.edit(&checks(5));
    assert_eq!(run(&mut world, "daily").await.unwrap(), (2, 1));
}

/// Many small parts, computed side by side and published in order, as far as the run may.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_told_to_stop_ends_after_a_part() {
    struct Stopping(std::sync::atomic::AtomicU32);
    impl BuildProgress for Stopping {
        fn phase(&self, _: Phase) {}
        fn expected_rows(&self, _: u64) {}
        fn rows_read(&self, _: u64) {}
        fn rows_written(&self, _: u64) {}
        fn rows_failed(&self, _: u64) {}
        fn begin_commit(&self) -> bool {
            true
        }
        fn begin_step(&self) -> bool {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 3
        }
    }
    let mut world = daily(", batch_intervals=1", &events(1..11));
    at(&mut world, "2013-05-11");
    let plan = world.plan().await;
    world.run += 1;
    let built = Box::pin(world.build_watched("daily", &plan, Arc::new(Stopping(Default::default())))).await;
    assert_eq!(built.unwrap().map(|built| (built.version, built.rows)), Some((3, 4)));
    assert_eq!(why(&world, "daily").await, "interval: 6 of 10 days to do: 2013-05-05 to 2013-05-10");
    let files = |world: &World| world.files("daily").iter().filter(|file| file.ends_with(".parquet")).count();
    let (kept, at_most) = (files(&world), 4 * 2);
    assert!(kept <= at_most, "{kept} files: what was staged and not published is gone");
    assert_eq!(run(&mut world, "daily").await.unwrap(), (9, 6));
    let sums = world.sql("select count(*) as days, sum(n) as n from daily").await;
    assert!(sums.contains("| 10   | 55 |"), "{sums}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_name_no_fitting_column() {
    let check = |settings: &str, sql: &str, expected: Expect| {
        let world = World::new(&format!(
            "-- transforms/a.sql --\n{{{{ config(materialized='incremental', {settings}) }}}}\n{sql}\n"
        ));
        async move { expected.assert_eq(&plain(&world.plan().await.diagnostics)) }
    };
    let by_interval = "strategy='by_interval', interval='hour', start='2013-01-01', time_column='dya'";
    check(
        by_interval,
        "select 1 as id, date '2013-01-01' as day",
        expect![[r#"
            error[E0102]: `time_column` of `a` names column `dya`, which the result does not have
              --> transforms/a.sql:1:112 `'`
              note: columns: `id`, `day`
              hint: did you mean `day`?
        "#]],
    )
    .await;
    check(
        &by_interval.replace("dya", "day"),
        "select 1 as id, date '2013-01-01' as day",
        expect![[r#"
            error[E0105]: `time_column` of `a` names column `day` of type date
              --> transforms/a.sql:1:112 `'`
              hint: cast it to timestamp: a date does not say which hour it belongs to
        "#]],
    )
    .await;
    check(
        "strategy='merge', key=['id', 'ids']",
        "select 1 as id, [1] as ids",
        expect![[r#"
            error[E0105]: `key` of `a` names column `ids` of type array<bigint>
              --> transforms/a.sql:1:61 `[`
              hint: name a column of numbers, text or times
        "#]],
    )
    .await;
    check(
        "strategy='by_interval', interval='day', start='2013-01-01', time_column='day'",
        "select cast(at as date) as day from (select arrow_cast(timestamp '2013-01-01', 'Timestamp(Microsecond, \
         Some(\"America/New_York\"))') as at) where at >= {{ interval_start }}",
        expect![[r#"
            error[E0105]: `a` compares intervals, which are UTC, with times of the zone America/New_York
              --> transforms/a.sql:1:1 ``
              hint: cast them first: `at time zone 'UTC'` behind the column
        "#]],
    )
    .await;
    check(
        "strategy='append'",
        "select 1 as id{% if is_incremental() %}, 2 as more from {{ this }}{% endif %}",
        expect![[r#"
            error[E0105]: `a` has other columns where `is_incremental()` holds
              --> transforms/a.sql:1:1 ``
              note: without: id bigint
              note: with: id bigint, more bigint
              hint: rows that are added go into the same table: let both ways of the template select the same columns
        "#]],
    )
    .await;
}
