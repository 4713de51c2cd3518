//! Tests.

use super::*;

#[test]
fn verdicts() {
    use StartMode::{Fork, Spawn};
    for (tried, deaths, blame, start, expected) in [
        (Tried::Normal, 1, Blame::Rows, Fork, Verdict::Retry),
        (Tried::Normal, 1, Blame::Batch, Spawn, Verdict::Retry),
        (Tried::Normal, 2, Blame::Rows, Fork, Verdict::Careful),
        (Tried::Normal, 2, Blame::Rows, Spawn, Verdict::Bisect),
        (Tried::Normal, 2, Blame::Batch, Fork, Verdict::ErrorRows),
        (Tried::Normal, 1, Blame::Call, Fork, Verdict::Retry),
        (Tried::Normal, 2, Blame::Call, Spawn, Verdict::Fail),
        (Tried::Careful, 3, Blame::Rows, Fork, Verdict::ErrorRows),
        (Tried::Bisect, 9, Blame::Rows, Spawn, Verdict::SplitPart),
    ] {
        assert_eq!(after_death(tried, deaths, blame, start), expected, "{tried:?} {deaths} {blame:?} {start:?}");
    }
}
