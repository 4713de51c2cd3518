//! Tests.

use super::*;

/// A budget with a limit.
struct Limit {
    left: AtomicUsize,
}

impl MemoryBudget for Limit {
    fn try_grow(&self, bytes: usize) -> bool {
        self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(bytes)).is_ok()
    }

    fn shrink(&self, bytes: usize) {
        self.left.fetch_add(bytes, Ordering::SeqCst);
    }
}

fn slots(limit: usize) -> (Slots, Arc<Limit>) {
    let limit = Arc::new(Limit { left: AtomicUsize::new(limit) });
    (Slots::new(Memory::new(Arc::clone(&limit) as _), Arc::default()), limit)
}

async fn input(slots: &mut Slots, bytes: usize) -> Slot {
    slots.create(Direction::Input, bytes).await.unwrap().unwrap().0
}

#[test]
fn sizes_are_powers_of_two() {
    for (bytes, size) in [
        (0, Some(SMALLEST)),
        (1, Some(SMALLEST)),
        (SMALLEST + 1, Some(2 * SMALLEST)),
        (LARGEST, Some(LARGEST)),
        (LARGEST + 1, None),
        (usize::MAX, None),
    ] {
        assert_eq!(slot_size(bytes), size, "{bytes}");
    }
}

#[tokio::test]
async fn the_smallest_slot_that_will_do_is_taken() {
    let (mut slots, _limit) = slots(usize::MAX);
    let (small, large) = (input(&mut slots, 1).await, input(&mut slots, 4 * SMALLEST).await);
    let ids = (small.id, large.id);
    slots.put_input(large);
    slots.put_input(small);
    assert!(slots.take(Direction::Input, 5 * SMALLEST).is_none());
    assert_eq!(slots.take(Direction::Input, 10).map(|slot| slot.id), Some(ids.0));
    assert_eq!(slots.take(Direction::Input, 10).map(|slot| slot.id), Some(ids.1));
    assert!(slots.take(Direction::Output, 1).is_none());
}

#[tokio::test]
async fn the_budget_is_asked_and_gets_everything_back() {
    let (mut slots, limit) = slots(3 * SMALLEST);
    let one = input(&mut slots, 1).await;
    let two = input(&mut slots, 2 * SMALLEST).await;
    assert!(slots.create(Direction::Output, 1).await.unwrap().is_none(), "the budget is used up");
    drop(two);
    assert_eq!(limit.left.load(Ordering::SeqCst), 2 * SMALLEST);
    slots.put_input(one);
    assert_eq!(slots.trim_all().len(), 1);
    assert_eq!(limit.left.load(Ordering::SeqCst), 3 * SMALLEST);
    assert_eq!(slots.counts.bytes.load(Ordering::SeqCst), 0);
    assert!(slots.create(Direction::Output, LARGEST + 1).await.is_err());
}

#[tokio::test]
async fn pinned_slots_are_given_up_beyond_a_number() {
    let (mut slots, limit) = slots(usize::MAX);
    let before = limit.left.load(Ordering::SeqCst);
    let mut given_up = Vec::new();
    for _ in 0..PINNED + 3 {
        let slot = input(&mut slots, 1).await;
        given_up.extend(slots.pin(slot));
    }
    assert_eq!(given_up, [0, 1, 2]);
    assert_eq!(before - limit.left.load(Ordering::SeqCst), PINNED * SMALLEST);
    assert_eq!(slots.counts.abandoned.load(Ordering::SeqCst), 3);
    // Released later: given up ones are nobody's, pinned ones are free again.
    slots.release(&[1, 3]).unwrap();
    assert_eq!(slots.take(Direction::Input, 1).map(|slot| slot.id), Some(3));
    assert!(slots.release(&[1]).is_err(), "nothing is released twice");
    assert!(slots.release(&[99]).is_err());
}

#[tokio::test]
async fn lent_slots_come_home_by_themselves() {
    let (mut slots, _limit) = slots(usize::MAX);
    let (slot, _file) = slots.create(Direction::Output, 1).await.unwrap().unwrap();
    let lease = slots.lease(slot);
    let buffer = crate::shm::lend(lease, 0..128).unwrap();
    let part = buffer.slice(64);
    drop(buffer);
    assert!(slots.take(Direction::Output, 1).is_none() && slots.memory.is_lent());
    drop(part);
    assert!(slots.take(Direction::Output, 1).is_some() && !slots.memory.is_lent());
}

#[tokio::test]
async fn answers_are_copied_where_lending_does_not_pay() {
    let (mut slots, _limit) = slots(usize::MAX);
    assert_eq!(slots.taking(100, SMALLEST), Taking::Copy);
    let mut leases = Vec::new();
    for _ in 0..LENT {
        assert_eq!(slots.taking(SMALL + 1, SMALLEST), Taking::Lend);
        let (slot, _file) = slots.create(Direction::Output, 1).await.unwrap().unwrap();
        leases.push(slots.lease(slot));
    }
    assert_eq!(slots.taking(SMALL + 1, SMALLEST), Taking::Copy, "readers hold enough");
}

#[tokio::test]
async fn the_last_of_the_memory_is_not_lent() {
    let (mut slots, _limit) = slots(2 * SMALLEST);
    let (one, _file) = slots.create(Direction::Output, 1).await.unwrap().unwrap();
    assert_eq!(slots.taking(SMALL + 1, SMALLEST), Taking::Lend);
    let (two, _file) = slots.create(Direction::Output, 1).await.unwrap().unwrap();
    assert_eq!(slots.taking(SMALL + 1, SMALLEST), Taking::Copy);
    slots.put_output(two);
    assert_eq!(slots.taking(SMALL + 1, SMALLEST), Taking::Lend);
    drop(one);
}

#[tokio::test]
async fn spare_slots_go() {
    let (mut slots, _limit) = slots(usize::MAX);
    for _ in 0..SPARE + 2 {
        let (slot, _file) = slots.create(Direction::Output, 1).await.unwrap().unwrap();
        slots.put_output(slot);
    }
    assert_eq!(slots.trim(), [0, 1], "the longest unused");
    assert_eq!(slots.trim_all().len(), SPARE);
}

#[tokio::test]
async fn slots_that_nobody_needs_go() {
    let (mut slots, _limit) = slots(usize::MAX);
    let large = input(&mut slots, 8 * SMALLEST).await;
    let small = input(&mut slots, 1).await;
    slots.put_input(large);
    slots.put_input(small);
    for _ in 0..STALE {
        let slot = slots.take(Direction::Input, 1).unwrap();
        slots.put_input(slot);
        assert!(slots.trim().is_empty());
    }
    let slot = slots.take(Direction::Input, 1).unwrap();
    slots.put_input(slot);
    assert_eq!(slots.trim(), [0], "the large one");
    assert!(slots.has_spare());
}
