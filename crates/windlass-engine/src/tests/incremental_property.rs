//! Whatever arrives, and in whatever steps: incremental tables equal tables that are computed from nothing.

use datafusion::arrow::util::pretty::pretty_format_batches;
use windlass_project::{parse_time, spell_time};

use super::support::{World, plain};
use crate::{Ask, Engine, Refresh};

const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;
const SEQUENCES: u64 = 3;
const STEPS: usize = 9;
/// Of the table of days.
const LOOKBACK: i64 = 2;
/// How the table of days lies in files.
const LAYOUTS: [&str; SEQUENCES as usize] = ["", ", partition_by='day'", ", partition_by='id', sort_by='day'"];
const TABLES: [&str; 4] = ["days", "hours", "last", "all"];

/// Numbers that look random and are the same every time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((self.0 >> 33) % limit.unsigned_abs()).unwrap()
    }
}

/// What may be edited.
struct Knobs {
    events: String,
    count: i64,
    factor: i64,
    batch: i64,
    layout: &'static str,
}

impl Knobs {
    fn add(&mut self, numbers: &mut Numbers, (from_us, to_us): (i64, i64)) {
        let at = spell_time(from_us + numbers.below((to_us - from_us) / 1_000_000) * 1_000_000);
        self.count += 1;
        self.events.push_str(&format!("{},{at},{},{}\n", self.count, numbers.below(9), numbers.below(100)));
    }

    fn files(&self) -> String {
        let Self { events, factor, batch, layout, .. } = self;
        let source = "{{ source('raw', 'events') }}";
        let new = "{% if is_incremental() %}where seq > (select coalesce(max(seq), 0) from {{ this }}){% endif %}";
        let within = "where at >= {{ interval_start }} and at < {{ interval_end }}";
        let by = |column: &str, more: &str| {
            format!(
                "materialized='incremental', strategy='by_interval', start='2013-03-08', time_column='{column}'{more}"
            )
        };
        format!(
            "-- sources.yml --\nsources: {{raw: {{path: 'data/{{name}}.csv', tables: {{events: {{columns: {{seq: bigint, \
             at: timestamp with time zone, id: bigint, n: bigint}}}}}}}}}}\n-- data/events.csv --\nseq,at,id,n\n{events}\
             -- transforms/days.sql --\n{{{{ config({}) }}}}\nselect cast(at as date) as day, id, sum(n) * {factor} as n, \
             count(*) as times from {source} {within} group by 1, 2\n\
             -- transforms/hours.sql --\n{{{{ config({}) }}}}\nselect date_trunc('hour', at) as hour, sum(n) as n \
             from {source} group by 1\n\
             -- transforms/last.sql --\n{{{{ config(materialized='incremental', strategy='merge', key='id') }}}}\n\
             select id, seq, n * {factor} as n from {source} {new} qualify row_number() over (partition by id order by \
             seq desc) = 1\n\
             -- transforms/all.sql --\n{{{{ config(materialized='incremental', strategy='append') }}}}\n\
             select seq, id, n from {source} {new}\n",
            by("day", &format!(", interval='day', lookback={LOOKBACK}, batch_intervals={batch}{layout}")),
            by("hour", ", interval='hour', lookback=96"),
        )
    }
}

async fn rows(world: &World, engine: &Engine, table: &str) -> String {
    let sql = format!("select * from \"{table}\" order by 1, 2");
    let shown = engine.show_sql(&world.project, &sql, 100_000).await.unwrap();
    pretty_format_batches(&shown.batches).unwrap().to_string()
}

async fn run(world: &mut World) {
    world.run += 1;
    let plan = world.plan().await;
    assert!(plan.diagnostics.is_empty(), "{}", plain(&plan.diagnostics));
    for table in TABLES {
        if world.ask.range.is_none() || world.project.nodes[table].by_interval().is_some() {
            Box::pin(world.build(table, &plan)).await.unwrap();
        }
    }
}

/// Returns what the commit of a table says that its rows hash to.
async fn content(engine: &Engine, table: &str) -> Option<String> {
    engine.open_table(table).await.unwrap().unwrap().input_version().await.content
}

/// Compares with tables that are computed from nothing.
async fn compare(world: &mut World, full: &Engine, told: &[String]) {
    world.run += 1;
    let all = world.project.nodes.keys().cloned().collect();
    let plan = full.plan(&world.project, &all).await;
    for table in TABLES {
        let request = crate::BuildRequest {
            project: &world.project,
            plan: &plan,
            node: &world.project.nodes[table],
            run_id: &format!("00000000-0000-7000-8000-{:012}", world.run),
            sequence: world.run,
            started_us: world.now_us,
            ask: Ask { refresh: Refresh::Whole, ..Ask::default() },
            progress: std::sync::Arc::new(super::support::Willing),
        };
        Box::pin(full.build(&request)).await.unwrap();
        let (step, whole) = (rows(world, &world.engine, table).await, rows(world, full, table).await);
        assert_eq!(step, whole, "`{table}` after {told:#?}");
        let (step, whole) = (content(&world.engine, table).await, content(full, table).await);
        assert!(step.is_some() && step == whole, "`{table}` hashes to another number after {told:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_equal_those_that_are_computed_from_nothing() {
    for sequence in 0..SEQUENCES {
        let mut numbers = Numbers(sequence * 977 + 3);
        let mut knobs =
            Knobs { events: String::new(), count: 0, factor: 1, batch: 2, layout: LAYOUTS[sequence as usize] };
        let mut now_us = parse_time("2013-03-10 04:00").unwrap();
        let first_us = parse_time("2013-03-08").unwrap();
        (0..20).for_each(|_| knobs.add(&mut numbers, (first_us - DAY_US, now_us)));
        let mut world = World::new(&knobs.files());
        let full = world.engine_of("full");
        let mut told = Vec::new();
        for _ in 0..STEPS {
            let what = numbers.below(8);
            match what {
                0 => knobs.factor += 1,
                1 => knobs.batch = 1 + numbers.below(4),
                2 => std::fs::remove_dir_all(world.root().join("lake/prod/days")).unwrap_or_default(),
                _ => now_us += numbers.below(60) * HOUR_US,
            }
            // Late rows, as far back as is looked, and those of now.
            let today = now_us - now_us.rem_euclid(DAY_US);
            let late = (today - (1 + LOOKBACK) * DAY_US).max(first_us);
            (0..numbers.below(6)).for_each(|_| knobs.add(&mut numbers, (late, now_us)));
            if what == 3 {
                // Very late rows, and a run that is told where.
                let from_us = first_us + numbers.below(3) * DAY_US;
                let range = (from_us, from_us + DAY_US);
                (0..4).for_each(|_| knobs.add(&mut numbers, range));
                world.edit(&knobs.files());
                world.now_us = now_us;
                world.ask.range = Some(range);
                run(&mut world).await;
                world.ask.range = None;
            }
            told.push(format!("{what} at {}", spell_time(now_us)));
            world.edit(&knobs.files());
            world.now_us = now_us;
            run(&mut world).await;
            compare(&mut world, &full, &told).await;
        }
    }
}
