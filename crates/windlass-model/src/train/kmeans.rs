//! K-means: centres are chosen far from one another, then moved to the middle of the rows that are nearest.
//!
//! The choice is that of k-means++: a row is taken with a probability that grows with its squared distance to the
//! centres so far. Each row draws a lot that follows from the seed and from what it holds, and the first lot
//! wins, so the choice depends neither on the order of rows nor on a clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;

use super::encoder::{Center, Encoder, PLACES, wide};
use super::frame::{Frame, Mix, Part, unit};
use super::summary::Summary;
use super::{Error, Layout, Pass, Rows, Trained};
use crate::{Distance, Encoding, Estimator, NativeModel};

/// Options of k-means.
#[derive(Debug, Clone, PartialEq)]
pub struct KMeansOptions {
    /// How many clusters.
    pub clusters: usize,
    /// Passes at most, after the centres are chosen.
    pub max_iterations: u32,
    /// Training ends where the mean squared distance falls by a smaller share than this.
    pub min_rel_progress: f64,
    /// Whether numbers are brought to mean 0 and deviation 1 first.
    pub standardize: bool,
    /// What the choice of the first centres follows from.
    pub seed: u64,
}

/// The rows, as numbers.
#[derive(Debug, Clone)]
struct Points {
    layout: Layout,
    encoder: Arc<Encoder>,
    centroids: Arc<Vec<Vec<f64>>>,
}

/// Chooses the next centre.
#[derive(Debug, Clone)]
struct Choice {
    points: Points,
    seed: u64,
    /// The lot of the row that is ahead, and its numbers.
    best: Option<(f64, Vec<f64>)>,
}

/// What each centre has for neighbours.
#[derive(Debug, Clone)]
struct Clusters {
    points: Points,
    rows: Vec<u64>,
    sums: Vec<Vec<i128>>,
    /// Distances and squared distances to the own centre.
    distances: Vec<i128>,
    squares: i128,
}

pub(super) fn train(options: &KMeansOptions, layout: &Layout, rows: &impl Rows) -> Result<Trained, Error> {
    let summary = rows.pass(&Summary::new(layout))?;
    summary.check()?;
    let mut encoder = Encoder::new(layout, &summary, Center::Mean)?;
    if !options.standardize {
        encoder.features.iter_mut().for_each(|feature| {
            if let Encoding::Number { mean, scale, .. } = &mut feature.encoding {
                (*mean, *scale) = (0.0, 1.0);
            }
        });
    }
    let encoder = Arc::new(encoder);
    let points = |centroids: Vec<Vec<f64>>| Points {
        layout: layout.clone(),
        encoder: Arc::clone(&encoder),
        centroids: Arc::new(centroids),
    };
    let mut centroids: Vec<Vec<f64>> = Vec::with_capacity(options.clusters);
    while centroids.len() < options.clusters {
        let seed = options.seed.wrapping_mul(0x9e37_79b9).wrapping_add(centroids.len() as u64);
        let chosen = rows.pass(&Choice { points: points(centroids.clone()), seed, best: None })?.best;
        let Some((_, next)) = chosen else {
            let (found, wanted) = (centroids.len(), options.clusters);
            return Err(Error::Rows(format!("there are {found} different rows, too few for {wanted} clusters")));
        };
        centroids.push(next);
    }
    let mut iterations = 0;
    let mut before = f64::INFINITY;
    let measured = loop {
        let found = rows.pass(&Clusters::new(points(centroids.clone())))?;
        iterations += 1;
        let mean = found.mean_squared_distance();
        let is_done = before - mean <= options.min_rel_progress * before && before.is_finite();
        if iterations >= options.max_iterations || is_done {
            break found;
        }
        before = mean;
        centroids = found.centres();
    };
    let metrics = BTreeMap::from([
        ("mean_squared_distance".to_owned(), measured.mean_squared_distance()),
        ("davies_bouldin_index".to_owned(), measured.davies_bouldin_index()),
    ]);
    let estimator = Estimator::KMeans { centroids, distance: Distance::Euclidean };
    let model = NativeModel::try_new(encoder.features.clone(), estimator).map_err(Error::Model)?;
    let facts = BTreeMap::from([
        ("rows".to_owned(), summary.rows.to_string()),
        ("iterations".to_owned(), iterations.to_string()),
    ]);
    Ok(Trained { model, metrics, facts, classes: None })
}

impl Points {
    /// Hands over the numbers of each row, with the nearest centre and the squared distance to it.
    fn each(&self, batch: &RecordBatch, mut take: impl FnMut(&[f64], usize, f64)) -> Result<(), Error> {
        let frame = Frame::new(&self.layout, batch)?;
        let (mut encoded, mut numbers) = (Vec::new(), Vec::new());
        for row in frame.rows(Part::Training) {
            self.encoder.encode(&frame, row, &mut encoded);
            self.encoder.dense(&encoded, &mut numbers);
            let (mut nearest, mut square) = (0, f64::INFINITY);
            for (at, centroid) in self.centroids.iter().enumerate() {
                let found = squared(&numbers, centroid);
                if found < square {
                    (nearest, square) = (at, found);
                }
            }
            take(&numbers, nearest, square);
        }
        Ok(())
    }
}

impl Pass for Choice {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let Self { points, seed, best } = self;
        let is_first = points.centroids.is_empty();
        points.each(batch, |numbers, _, square| {
            let weight = if is_first { 1.0 } else { square };
            if weight > 0.0 {
                let mut hash = Mix::default();
                hash.add(*seed);
                numbers.iter().for_each(|number| hash.number(*number));
                // The smallest of exponential waiting times comes first with a probability of its rate.
                let lot = -(1.0 - unit(hash.finish())).ln() / weight;
                if best.as_ref().is_none_or(|known| comes_first((lot, numbers), known)) {
                    *best = Some((lot, numbers.to_vec()));
                }
            }
        })
    }

    fn merge(&mut self, other: Self) {
        if let Some((lot, numbers)) = other.best
            && self.best.as_ref().is_none_or(|known| comes_first((lot, &numbers), known))
        {
            self.best = Some((lot, numbers));
        }
    }
}

fn comes_first((lot, numbers): (f64, &[f64]), (known, others): &(f64, Vec<f64>)) -> bool {
    let later = || numbers.iter().zip(others).map(|(a, b)| a.total_cmp(b)).find(|order| order.is_ne());
    lot.total_cmp(known).then_with(|| later().unwrap_or(std::cmp::Ordering::Equal)).is_lt()
}

impl Clusters {
    fn new(points: Points) -> Self {
        let (clusters, width) = (points.centroids.len(), points.encoder.width);
        Self {
            points,
            rows: vec![0; clusters],
            sums: vec![vec![0; width]; clusters],
            distances: vec![0; clusters],
            squares: 0,
        }
    }

    fn mean_squared_distance(&self) -> f64 {
        let rows: u64 = self.rows.iter().sum();
        value(self.squares) / rows as f64
    }

    /// Returns the middle of each cluster; one without rows stays where it is.
    fn centres(&self) -> Vec<Vec<f64>> {
        let middle = |at: usize| match self.rows[at] {
            0 => self.points.centroids[at].clone(),
            rows => self.sums[at].iter().map(|sum| value(*sum) / rows as f64).collect(),
        };
        (0..self.rows.len()).map(middle).collect()
    }

    /// Returns how much clusters overlap: the mean over clusters of the worst ratio of spread to distance.
    fn davies_bouldin_index(&self) -> f64 {
        let clusters: Vec<usize> = (0..self.rows.len()).filter(|at| self.rows[*at] > 0).collect();
        let spread = |at: usize| value(self.distances[at]) / self.rows[at] as f64;
        let ratio = |a: usize, b: usize| {
            let between = squared(&self.points.centroids[a], &self.points.centroids[b]).sqrt();
            (spread(a) + spread(b)) / between
        };
        let worst = |a: usize| clusters.iter().filter(|b| **b != a).map(|b| ratio(a, *b)).fold(0.0, f64::max);
        clusters.iter().map(|at| worst(*at)).sum::<f64>() / clusters.len() as f64
    }
}

impl Pass for Clusters {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let Self { points, rows, sums, distances, squares } = self;
        points.each(batch, |numbers, nearest, square| {
            rows[nearest] += 1;
            sums[nearest].iter_mut().zip(numbers).for_each(|(sum, number)| *sum += wide(*number));
            distances[nearest] += wide(square.sqrt());
            *squares += wide(square);
        })
    }

    fn merge(&mut self, other: Self) {
        self.rows.iter_mut().zip(&other.rows).for_each(|(rows, more)| *rows += more);
        for (sums, more) in self.sums.iter_mut().zip(&other.sums) {
            sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        }
        self.distances.iter_mut().zip(&other.distances).for_each(|(sum, more)| *sum += more);
        self.squares += other.squares;
    }
}

fn squared(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// Returns what a sum of [`wide`] numbers stands for.
fn value(sum: i128) -> f64 {
    sum as f64 / (1i64 << PLACES) as f64
}
