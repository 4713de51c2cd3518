//! Tests.

use proptest::prelude::*;

use super::*;

const DEMAND: Demand = Demand {
    fewest: 1,
    most: 16,
    waiting: 32,
    remaining: None,
    call_seconds: Some(1.0),
    spent_seconds: 0.0,
    start_seconds: Some(60.0),
};

#[test]
fn workers_follow_the_work_that_is_left() {
    let known = |remaining, call, start| Demand {
        remaining: Some(remaining),
        call_seconds: Some(call),
        start_seconds: Some(start),
        ..DEMAND
    };
    for (demand, wanted) in [
        // Work of a minute and a start of a minute are worth four of sixteen.
        (known(28, 1.0, 60.0), 4),
        (known(0, 0.15, 5.0), 4),
        (known(968, 1.0, 5.0), 16),
        (known(0, 0.001, 60.0), 1),
        // Nothing is known yet: a pilot.
        (Demand { call_seconds: None, ..DEMAND }, 1),
        (Demand { start_seconds: None, fewest: 2, ..DEMAND }, 2),
        // The end is not known: as much as was done.
        (Demand { spent_seconds: 600.0, ..DEMAND }, 13),
        (Demand { spent_seconds: 0.0, ..DEMAND }, 3),
        // Not more than there are batches, not fewer than asked for.
        (Demand { waiting: 2, spent_seconds: 600.0, ..DEMAND }, 2),
        (Demand { waiting: 1, fewest: 3, ..DEMAND }, 3),
        (Demand { start_seconds: Some(0.0), ..DEMAND }, 16),
    ] {
        assert_eq!(workers_wanted(demand), wanted, "{demand:?}");
    }
}

proptest! {
    #[test]
    fn bounds_are_kept(most in 1..100_u32, waiting: u64, remaining: Option<u32>, call in 0.0..1e9, start in 0.0..1e9) {
        let remaining = remaining.map(u64::from);
        let waiting = waiting >> 1;
        let demand = Demand { most, waiting, remaining, call_seconds: Some(call), start_seconds: Some(start), ..DEMAND };
        prop_assert!((1..=most).contains(&workers_wanted(demand)));
    }
}

/// Lets a sizer see calls whose rows take as many bytes and whose length is `seconds` of their rows.
fn settle(bytes: usize, seconds: impl Fn(usize, usize) -> f64) -> usize {
    let mut sizer = BatchSizer::new();
    for call in 0..60 {
        let rows = sizer.rows();
        sizer.observe(rows, || rows * bytes, Duration::from_secs_f64(seconds(rows, call)));
    }
    sizer.rows()
}

#[test]
fn batches_grow_until_calls_are_long_or_batches_large() {
    let mostly_fixed = |seconds: f64| move |_: usize, _: usize| seconds;
    assert_eq!(settle(100, mostly_fixed(0.001)), 65_536, "eight megabytes");
    assert_eq!(settle(1, mostly_fixed(0.001)), MOST_ROWS);
    assert_eq!(settle(1, mostly_fixed(0.06)), FIRST_ROWS, "twice as many might take twice as long");
    let mut sizer = BatchSizer::new();
    (0..9).for_each(|_| sizer.observe(10, || 10, Duration::ZERO));
    assert_eq!(sizer.rows(), FIRST_ROWS, "small batches say nothing");
}

#[test]
fn batches_grow_while_rows_get_cheaper() {
    let with_fixed_cost = |fixed: f64| move |rows: usize, _: usize| fixed + rows as f64 * 1e-7;
    assert_eq!(settle(1, with_fixed_cost(2e-4)), 262_144, "of 20 % at first, less than 1 % is left");
    let past_the_cache = |rows: usize, _: usize| 1e-4 + rows as f64 * if rows > 20_000 { 2e-7 } else { 1e-7 };
    assert_eq!(settle(1, past_the_cache), 16_384);
}

#[test]
fn short_calls_grow_while_rows_get_no_dearer() {
    let same = |rows: usize, _: usize| rows as f64 * 1e-6;
    assert_eq!(settle(1, same), 32_768, "calls of 33 ms");
    let dearer = |rows: usize, _: usize| (rows as f64).powf(1.03) * 1e-7;
    assert_eq!(settle(1, dearer), FIRST_ROWS, "a little each time is too much in the end");
}

#[test]
fn slow_calls_between_others_do_not_count() {
    let first_loads = |rows: usize, call: usize| if call == 0 { 2.0 } else { 1e-4 + rows as f64 * 1e-7 };
    let some_are_slow = |rows: usize, call: usize| (1e-4 + rows as f64 * 1e-7) * if call % 3 == 1 { 9.0 } else { 1.0 };
    assert_eq!(settle(1, first_loads), settle(1, some_are_slow));
    assert!(settle(1, first_loads) > FIRST_ROWS);
}
