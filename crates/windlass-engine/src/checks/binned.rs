//! Numbers counted into the bins of a stored profile as they come.
//!
//! A profile knows a column by bins, each by its largest value, and what is compared with it counts by its bin
//! alone. So no value has to be kept, and none to be sorted. What lies below or above all bins is counted value by
//! value, as without a profile; where nothing has drifted that is next to nothing.
//!
//! Must stay true: a value is in the first bin whose largest value it does not exceed, exactly; NULL and NaN are
//! missing, and in no bin.

use std::sync::Arc;

use arrow::buffer::BooleanBuffer;

use super::columns::{Values, View};
use super::distribution::{Distribution, Floats};
use super::rules::decimal;
use super::stats::points::Point;

/// A range of values is cut into so many cells of one width, each of which knows where its bins begin.
const CELLS: usize = 4_096;

/// The bins of a profile, laid out to find that of a value fast.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Grid {
    /// The largest value of each bin, in order, and infinity behind them.
    bounds: Vec<f64>,
    /// How many bounds lie before each cell, and how many there are.
    starts: Vec<u16>,
    /// Where the first cell begins. What lies before is in it too, and what lies behind the last one in that.
    first: f64,
    /// Cells in a unit of value; 0 where there is one cell for all.
    scale: f64,
}

/// What of a column is in each bin.
#[derive(Debug, Clone)]
pub(crate) struct Binned {
    grid: Arc<Grid>,
    counts: Vec<u64>,
    below: Distribution,
    above: Distribution,
    /// NULL and NaN.
    pub(crate) missing: u64,
}

impl Grid {
    /// Returns the bins of a profile; `None` where they are none that values can be counted into.
    pub(crate) fn new(bins: &[Point<f64>]) -> Option<Self> {
        let mut bounds: Vec<f64> = bins.iter().map(|(largest, _)| *largest).collect();
        let is_in_order = bounds.windows(2).all(|pair| pair[0] < pair[1]);
        if bounds.is_empty() || bounds.len() >= usize::from(u16::MAX) || !is_in_order || bounds[0].is_nan() {
            return None;
        }
        // The outermost bins may be wide: one value far away would leave all others in one cell.
        let (first, last) = (bounds[1.min(bounds.len() - 1)], bounds[bounds.len().saturating_sub(2)]);
        let scale = Some(CELLS as f64 / (last - first)).filter(|scale| scale.is_finite() && *scale > 0.0);
        let mut grid = Self { bounds: Vec::new(), starts: vec![0; CELLS + 1], first, scale: scale.unwrap_or(0.0) };
        for bound in &bounds {
            let cell = grid.cell(*bound);
            grid.starts[cell + 1] += 1;
        }
        for cell in 0..CELLS {
            grid.starts[cell + 1] += grid.starts[cell];
        }
        bounds.push(f64::INFINITY);
        Some(Self { bounds, ..grid })
    }

    fn bins(&self) -> usize {
        self.bounds.len() - 1
    }

    /// Returns the cell of a value; never one before that of a smaller value, however numbers are rounded.
    #[inline]
    fn cell(&self, value: f64) -> usize {
        // Such a cast stops at the bounds of its type, and not a number is 0.
        (((value - self.first) * self.scale) as i32).clamp(0, CELLS as i32 - 1) as usize
    }

    /// Returns the bin of a value that lies between the first bound and the last.
    #[inline]
    fn bin(&self, value: f64) -> usize {
        let cell = self.cell(value);
        let (from, to) = (usize::from(self.starts[cell]), usize::from(self.starts[cell + 1]));
        match to - from {
            // Where the cell has no bound, the next one lies in a later cell, and so above the value.
            0 | 1 => from + usize::from(self.bounds[from] < value),
            _ => from + self.bounds[from..to].partition_point(|bound| *bound < value),
        }
    }
}

impl Binned {
    /// Returns bins without values.
    pub(crate) fn new(grid: &Arc<Grid>) -> Self {
        let counts = vec![0; grid.bins()];
        let (below, above) = Default::default();
        Self { grid: Arc::clone(grid), counts, below, above, missing: 0 }
    }

    /// Adds the selected rows of a batch.
    pub(crate) fn add(&mut self, view: &View<'_>, selection: Option<&BooleanBuffer>) {
        let valid = view.valid(selection);
        let looked_at = selection.map_or(view.rows, BooleanBuffer::count_set_bits);
        let known = valid.as_ref().map_or(view.rows, BooleanBuffer::count_set_bits);
        self.missing += (looked_at - known) as u64;
        match (&view.values, &valid) {
            (Values::Integer(values), None) => self.count(values.iter().map(|value| *value as f64)),
            (Values::Integer(values), Some(valid)) => {
                self.count(valid.set_indices().map(|row| values[row] as f64));
            }
            (Values::Float(values), None) => self.count(values.iter().copied()),
            (Values::Float(values), Some(valid)) => self.count(valid.set_indices().map(|row| values[row])),
            (Values::Decimal(values, scale), None) => {
                self.count(values.iter().map(|value| decimal(*value, *scale)));
            }
            (Values::Decimal(values, scale), Some(valid)) => {
                self.count(valid.set_indices().map(|row| decimal(values[row], *scale)));
            }
            _ => {}
        }
    }

    fn count(&mut self, values: impl Iterator<Item = f64>) {
        let grid = Arc::clone(&self.grid);
        let (first, last) = (grid.bounds[0], grid.bounds[grid.bins() - 1]);
        for value in values {
            if first <= value && value <= last {
                self.counts[grid.bin(value)] += 1;
            } else if value.is_nan() {
                self.missing += 1;
            } else if value < first {
                self.below.add_floats(&[value]);
            } else {
                self.above.add_floats(&[value]);
            }
        }
    }

    /// Adds another part of the table, which was counted into the same bins.
    pub(crate) fn merge(&mut self, other: &Self) {
        debug_assert_eq!(self.grid, other.grid);
        self.counts.iter_mut().zip(&other.counts).for_each(|(mine, theirs)| *mine += theirs);
        self.below.merge(&other.below);
        self.above.merge(&other.above);
        self.missing += other.missing;
    }

    /// Returns the values as a comparison with the same bins takes them: each at the largest of its bin.
    pub(crate) fn floats(&self) -> Floats {
        let bounds = &self.grid.bounds[..self.grid.bins()];
        // Where many values share a counter it stands at the middle of theirs, which may be over the edge.
        let (most, least) = (bounds[0].next_down(), bounds[bounds.len() - 1].next_up());
        let outside = |side: &Distribution| side.points().into_floats().points.into_iter();
        let inside = bounds.iter().zip(&self.counts).filter(|(_, count)| **count > 0);
        let below = outside(&self.below).map(|(value, count)| (value.min(most), count));
        let above = outside(&self.above).map(|(value, count)| (value.max(least), count));
        Floats { points: below.chain(inside.map(|(bound, count)| (*bound, *count))).chain(above).collect(), shift: 0 }
    }

    /// Returns the bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.counts.len() * size_of::<u64>() + self.below.bytes() + self.above.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::super::stats::points::total;
    use super::*;

    fn grid(bounds: &[f64]) -> Grid {
        Grid::new(&bounds.iter().map(|bound| (*bound, 1)).collect::<Vec<_>>()).expect("bounds are in order")
    }

    #[test]
    fn every_value_is_in_the_first_bin_that_holds_it() {
        let spread: Vec<f64> = (0..200).map(|at| f64::from(at - 100).powi(3) / 7.0).collect();
        let close: Vec<f64> = (0..150).map(|at| 1e9 + f64::from(at) * 1e-6).collect();
        let far = vec![f64::NEG_INFINITY, f64::MIN, -1.0, -5e-324, 0.0, 5e-324, 1e-300, 1.0, f64::MAX, f64::INFINITY];
        for bounds in [spread, close, far, vec![0.0], vec![-1.0, 1.0], vec![2.0, 2.0f64.next_up(), 1e300]] {
            let grid = grid(&bounds);
            let around = |bound: &f64| [bound.next_down(), *bound, bound.next_up(), *bound * 0.999, *bound + 0.37];
            let between = |value: &f64| bounds[0] <= *value && *value <= bounds[bounds.len() - 1];
            for value in bounds.iter().flat_map(around).filter(between) {
                assert_eq!(grid.bin(value), bounds.partition_point(|bound| *bound < value), "{value} of {bounds:?}");
            }
        }
    }

    #[test]
    fn no_value_is_lost_and_parts_merge() {
        let grid = Arc::new(grid(&[-1.0, 0.0, 0.5, 3.0]));
        let odd = [f64::NAN, f64::NEG_INFINITY, -7.0, -1.0, -0.0, 0.0, 0.5, 0.6, 3.0, 3.1, f64::INFINITY];
        let mut whole = Binned::new(&grid);
        whole.count(odd.into_iter());
        let expected = vec![(f64::NEG_INFINITY, 1), (-7.0, 1), (-1.0, 1), (0.0, 2), (0.5, 1), (3.0, 2), (3.1, 1)];
        let expected = [expected, vec![(f64::INFINITY, 1)]].concat();
        assert_eq!((whole.floats().points, whole.missing), (expected, 1));
        let (mut left, mut right) = (Binned::new(&grid), Binned::new(&grid));
        left.count(odd[6..].iter().copied());
        right.count(odd[..6].iter().copied());
        left.merge(&right);
        assert_eq!((left.floats(), left.missing), (whole.floats(), 1));
    }

    #[test]
    fn many_values_outside_stay_outside() {
        let mut all = Binned::new(&Arc::new(grid(&[1e9, 1e9 + 1.0])));
        let outside: Vec<f64> = (1..200_000).map(|at| f64::from(at) * 1e-4).collect();
        all.count(outside.iter().map(|value| 1e9 - value).chain(outside.iter().map(|value| 1e9 + 1.0 + value)));
        let points = all.floats().points;
        assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0) && total(&points) == 2 * 199_999);
        let below = points.iter().filter(|(value, _)| *value < 1e9).map(|(_, count)| count).sum::<u64>();
        assert_eq!(below, 199_999);
    }

    #[test]
    fn bins_out_of_order_are_none() {
        for bounds in [vec![], vec![f64::NAN], vec![1.0, 1.0], vec![2.0, 1.0], vec![1.0, f64::NAN]] {
            assert_eq!(Grid::new(&bounds.iter().map(|bound| (*bound, 1)).collect::<Vec<_>>()), None, "{bounds:?}");
        }
    }
}
