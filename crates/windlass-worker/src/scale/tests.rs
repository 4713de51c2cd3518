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

#[test]
fn batches_grow_until_calls_are_long_or_batches_large() {
    let grow = |bytes: usize, millis: u64| {
        let mut sizer = BatchSizer::new();
        for _ in 0..20 {
            let rows = sizer.rows();
            sizer.observe(rows, || rows * bytes, Duration::from_millis(millis));
        }
        sizer.rows()
    };
    assert_eq!(grow(100, 1), 16_384, "two megabytes");
    assert_eq!(grow(1, 1), MOST_ROWS);
    assert_eq!(grow(1, 60), FIRST_ROWS);
    let mut sizer = BatchSizer::new();
    sizer.observe(10, || 10, Duration::ZERO);
    assert_eq!(sizer.rows(), FIRST_ROWS, "a small batch says nothing");
}
