//! Phases, counts, and the race between cancelling and committing.

use super::*;

#[test]
fn phases_only_move_on() {
    let progress = NodeProgress::new();
    progress.begin_staging();
    progress.begin_reading();
    assert_eq!(progress.snapshot().phase, Phase::Staging);
}

#[test]
fn cancelled_attempt_never_commits() {
    let progress = NodeProgress::new();
    progress.begin_staging();
    assert!(progress.cancel());
    assert!(!progress.begin_commit());
    assert_eq!(progress.snapshot().phase, Phase::Staging);
}

#[test]
fn committing_attempt_is_not_cancelled() {
    let progress = NodeProgress::new();
    assert!(progress.begin_commit());
    assert!(!progress.cancel());
    assert!(!progress.is_cancelled());
}

#[test]
fn parts_end_where_it_was_told_to_stop() {
    let progress = NodeProgress::new();
    assert!(progress.begin_commit() && progress.begin_part());
    assert_eq!(progress.snapshot().phase, Phase::Staging);
    assert!(progress.begin_commit());
    assert!(!progress.cancel(), "it publishes");
    assert_eq!(progress.snapshot().phase, Phase::Committing);
    assert!(!progress.begin_part());

    let progress = NodeProgress::new();
    assert!(progress.begin_commit() && progress.begin_part() && progress.cancel());
    assert!(!progress.begin_commit());
}

#[test]
fn exactly_one_of_cancel_and_commit_wins_a_race() {
    for _ in 0..200 {
        let progress = NodeProgress::new();
        let (committed, cancelled) = std::thread::scope(|scope| {
            let commit = scope.spawn(|| progress.begin_commit());
            let cancel = scope.spawn(|| progress.cancel());
            (commit.join().unwrap(), cancel.join().unwrap())
        });
        assert_ne!(committed, cancelled);
    }
}

#[test]
fn snapshot_counts() {
    let progress = NodeProgress::new();
    assert_eq!(progress.snapshot().expected_rows, None);
    progress.expect_rows(10);
    progress.add_read(3, 300);
    progress.add_read(1, 100);
    progress.add_written(2);
    progress.add_failed(1);
    let expected = ProgressSnapshot {
        phase: Phase::Planning,
        rows_read: 4,
        bytes_read: 400,
        rows_written: 2,
        rows_error: 1,
        expected_rows: Some(10),
    };
    assert_eq!(progress.snapshot(), expected);
}
