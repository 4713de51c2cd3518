//! Splits work on rows among threads.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::logical_expr::EmitTo;
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;

/// Rows that are not worth a second thread; in tests all are.
const FEW_ROWS: usize = if cfg!(test) { 2 } else { 65_536 };

/// Returns in how many shares so many rows are worked on with so many threads.
pub(super) fn shares(rows: usize, threads: usize) -> usize {
    if rows < FEW_ROWS { 1 } else { threads.max(1) }
}

/// Splits items into at most so many runs of about as many rows. `starts` has the first row of each item, and the
/// end.
pub(super) fn split(starts: &[usize], shares: usize) -> Vec<Range<usize>> {
    let items = starts.len().saturating_sub(1);
    let rows = starts.last().copied().unwrap_or_default();
    let mut runs = Vec::with_capacity(shares);
    let mut from = 0;
    for share in 1..=shares {
        let wanted = rows / shares * share;
        let to =
            if share == shares { items } else { starts.partition_point(|start| *start < wanted).clamp(from, items) };
        if to > from {
            runs.push(from..to);
            from = to;
        }
    }
    runs
}

/// Calls `work` with each item, side by side, and waits for all. Returns the answers in the order of the items.
pub(super) fn side_by_side<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> Result<R> + Sync) -> Result<Vec<R>> {
    if items.len() < 2 {
        return items.into_iter().map(work).collect();
    }
    let work = &work;
    std::thread::scope(|scope| {
        let running: Vec<_> = items.into_iter().map(|item| scope.spawn(move || work(item))).collect();
        let answer = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        running.into_iter().map(answer).collect()
    })
}

/// The rows of many batches, each with the number of its key.
pub(super) struct Numbered {
    pub(super) numbers: Vec<u32>,
    /// The keys, by number.
    pub(super) known: Box<dyn GroupValues>,
}

/// Numbers the different keys of rows, from 0 up. `keys` returns those of a batch, `starts` has the first row of each
/// batch, and the end. `None` where there are more than `most` keys.
pub(super) fn number(
    schema: &SchemaRef,
    starts: &[usize],
    (shares, most): (usize, usize),
    keys: impl Fn(usize) -> Result<Vec<ArrayRef>> + Sync,
) -> Result<Option<Numbered>> {
    let none = || new_group_values(Arc::clone(schema), &GroupOrdering::None);
    let numbered = side_by_side(split(starts, shares), |batches| {
        let mut known = none()?;
        let mut numbers = Vec::with_capacity(starts[batches.end] - starts[batches.start]);
        let mut groups = Vec::new();
        for batch in batches {
            known.intern(&keys(batch)?, &mut groups)?;
            if known.len() > most {
                return Ok(None);
            }
            numbers.extend(groups.iter().map(|group| *group as u32));
        }
        Ok(Some(Numbered { numbers, known }))
    })?;
    let Some(numbered) = numbered.into_iter().collect::<Option<Vec<_>>>() else { return Ok(None) };
    let mut numbered = numbered.into_iter();
    let Some(mut all) = numbered.next() else { return Ok(Some(Numbered { numbers: Vec::new(), known: none()? })) };
    for mut others in numbered {
        let mut groups = Vec::new();
        all.known.intern(&others.known.emit(EmitTo::All)?, &mut groups)?;
        all.numbers.extend(others.numbers.into_iter().map(|number| groups[number as usize] as u32));
    }
    Ok(Some(all).filter(|all| all.known.len() <= most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_have_all_items_and_about_as_many_rows() {
        for (starts, shares, ends) in [
            (vec![0, 5, 10, 15, 20], 2, vec![2, 4]),
            (vec![0, 18, 19, 20], 2, vec![1, 3]),
            (vec![0, 1, 2, 20], 2, vec![3]),
            (vec![0, 1], 4, vec![1]),
            (vec![0, 0, 0], 3, vec![2]),
            (vec![0], 2, vec![]),
            (vec![0, 4, 8, 12], 5, vec![1, 2, 3]),
        ] {
            let runs = split(&starts, shares);
            assert_eq!(runs.iter().map(|run| run.end).collect::<Vec<_>>(), ends, "{starts:?} in {shares}");
            let begins: Vec<usize> = std::iter::once(0).chain(ends).take(runs.len()).collect();
            assert_eq!(runs.iter().map(|run| run.start).collect::<Vec<_>>(), begins, "none is left out or twice");
        }
    }
}
