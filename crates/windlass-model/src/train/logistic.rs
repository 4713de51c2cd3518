//! Logistic regression by Newton's method: each iteration is one pass, which answers loss, gradient and curvature.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;

use super::encoder::{BLOCK_ROWS, Block, Center, Encoder, NOWHERE, PLACES, fixed, unfixed, wide};
use super::frame::{Frame, Part};
use super::gram::{Products, Wholes, whole};
use super::solve::solve;
use super::summary::Summary;
use super::{Error, Layout, Pass, Rows, Trained};
use crate::metrics::{ClassifierMetrics, Measured, Metrics};
use crate::{Estimator, Label, NativeModel};

/// Times at most that a step which makes things worse is halved.
const MAX_HALVINGS: u32 = 10;

/// Binary places of what curvatures are products of: a few digits less than gradients have only slow the steps, and
/// leave room to add a block up in floating-point numbers without rounding.
const CURVATURE_PLACES: i32 = 18;
/// Standardised numbers up to which that is so: with the root of a curvature, which is half at most, their products over a block
/// stay below 2^(2 * 4 + 9), and with twice 18 binary places within 53 bits.
const USUAL: f64 = 32.0;

/// Options of logistic regression.
#[derive(Debug, Clone, PartialEq)]
pub struct LogisticOptions {
    /// The weight of half the squared length of the coefficients of standardised features, beside the sum of
    /// log losses.
    pub l2_reg: f64,
    /// Whether there is an intercept.
    pub fit_intercept: bool,
    /// Passes at most.
    pub max_iterations: u32,
    /// Training ends where the loss falls by a smaller share than this.
    pub min_rel_progress: f64,
    /// Whether both classes count the same, however many rows they have.
    pub auto_class_weights: bool,
}

/// The two classes, the higher one last, and what a row of each counts.
#[derive(Debug, Clone)]
struct Classes {
    labels: Vec<Label>,
    positive: String,
    weights: [f64; 2],
    /// A power of two that no weight exceeds; gradients and curvatures are summed in units of it.
    unit: f64,
}

/// Where training stands: a weight for each number, then the intercept.
#[derive(Debug, Clone, PartialEq)]
struct Point {
    weights: Vec<f64>,
    loss: f64,
    step: Vec<f64>,
}

/// Loss, gradient and curvature at a point.
#[derive(Debug, Clone)]
struct Slope {
    layout: Layout,
    encoder: Arc<Encoder>,
    classes: Arc<Classes>,
    weights: Arc<Vec<f64>>,
    has_intercept: bool,
    loss: i128,
    gradient: Vec<i128>,
    curvature: Products,
}

pub(super) fn train(options: &LogisticOptions, layout: &Layout, rows: &impl Rows) -> Result<Trained, Error> {
    let summary = rows.pass(&Summary::new(layout))?;
    summary.check()?;
    let classes = Arc::new(classes(layout, &summary, options.auto_class_weights)?);
    let center = if options.fit_intercept { Center::Mean } else { Center::Zero };
    let encoder = Arc::new(Encoder::new(layout, &summary, center)?);
    let descent = Descent { options, layout, encoder: &encoder, classes: &classes };
    let (weights, facts) = descent.run(rows, summary.rows)?;

    let (weights, intercept) = match weights.split_at(encoder.width) {
        (weights, [intercept]) => (weights.to_vec(), *intercept),
        (weights, _) => (weights.to_vec(), 0.0),
    };
    let estimator =
        Estimator::Logistic { classes: classes.labels.clone(), intercepts: vec![intercept], weights: vec![weights] };
    let model = NativeModel::try_new(encoder.features.clone(), estimator).map_err(Error::Model)?;
    let metrics = ClassifierMetrics::new(&classes.positive);
    let measured = rows.pass(&Measured::new(layout, &model, metrics)?)?;
    Ok(Trained { model, metrics: measured.metrics.values(), facts, classes: Some(classes.labels.clone()) })
}

/// Goes down the loss.
struct Descent<'a> {
    options: &'a LogisticOptions,
    layout: &'a Layout,
    encoder: &'a Arc<Encoder>,
    classes: &'a Arc<Classes>,
}

impl Descent<'_> {
    fn run(&self, rows: &impl Rows, count: u64) -> Result<(Vec<f64>, BTreeMap<String, String>), Error> {
        let width = self.encoder.width + usize::from(self.options.fit_intercept);
        let mut point = self.look(rows, vec![0.0; width])?;
        let (mut iterations, mut halvings, mut converged) = (1, 0, false);
        while iterations < self.options.max_iterations && !converged {
            let part = 0.5f64.powi(halvings as i32);
            let next: Vec<f64> =
                point.weights.iter().zip(&point.step).map(|(weight, step)| weight + part * step).collect();
            if next == point.weights {
                converged = true;
                break;
            }
            let found = self.look(rows, next)?;
            iterations += 1;
            if found.loss > point.loss && halvings < MAX_HALVINGS {
                halvings += 1;
                continue;
            }
            halvings = 0;
            converged = point.loss - found.loss <= self.options.min_rel_progress * point.loss;
            if found.loss <= point.loss {
                point = found;
            }
        }
        // The step from here is known and costs no pass; close to the end it doubles the digits.
        if converged {
            point.weights.iter_mut().zip(&point.step).for_each(|(weight, step)| *weight += step);
        }
        let facts = BTreeMap::from([
            ("rows".to_owned(), count.to_string()),
            ("iterations".to_owned(), iterations.to_string()),
            ("converged".to_owned(), converged.to_string()),
            ("training_loss".to_owned(), (point.loss / count as f64).to_string()),
        ]);
        Ok((point.weights, facts))
    }

    /// Goes through the rows at a point, and finds the step from there.
    fn look(&self, rows: &impl Rows, weights: Vec<f64>) -> Result<Point, Error> {
        let width = weights.len();
        let start = Slope {
            layout: self.layout.clone(),
            encoder: Arc::clone(self.encoder),
            classes: Arc::clone(self.classes),
            weights: Arc::new(weights),
            has_intercept: self.options.fit_intercept,
            loss: 0,
            gradient: vec![0; width],
            curvature: Products::new(width),
        };
        let slope = rows.pass(&start)?;
        let weights = slope.weights.as_ref().clone();
        let penalty = |at: usize| if at < self.encoder.width { self.options.l2_reg } else { 0.0 };
        let squares: f64 = weights.iter().enumerate().map(|(at, weight)| penalty(at) * weight * weight).sum();
        let loss = slope.loss as f64 / (1i64 << PLACES) as f64 + squares / 2.0;
        let (curvature, unit) = (slope.curvature.matrix(2 * CURVATURE_PLACES), self.classes.unit);
        // The intercept is the last unknown; it is solved for first, as the last to be left out.
        let order: Vec<usize> = (self.encoder.width..width).chain(0..self.encoder.width).collect();
        let matrix: Vec<Vec<f64>> = order
            .iter()
            .map(|row| {
                order
                    .iter()
                    .map(|column| unit * curvature[*row][*column] + if row == column { penalty(*row) } else { 0.0 })
                    .collect()
            })
            .collect();
        let down: Vec<f64> =
            order.iter().map(|at| -(unit * unfixed(slope.gradient[*at]) + penalty(*at) * weights[*at])).collect();
        let mut step = vec![0.0; width];
        order.iter().zip(solve(&matrix, &down)).for_each(|(at, value)| step[*at] = value);
        Ok(Point { weights, loss, step })
    }
}

/// Returns the two classes; fails where there are others than two.
fn classes(layout: &Layout, summary: &Summary, is_balanced: bool) -> Result<Classes, Error> {
    let [(_, low, low_rows), (positive, high, high_rows)] = two_classes(layout, summary, "logistic regression")?;
    let weight = |rows: u64| if is_balanced { summary.rows as f64 / (2.0 * rows as f64) } else { 1.0 };
    let weights = [weight(low_rows), weight(high_rows)];
    let unit = 2f64.powi(weights[0].max(weights[1]).log2().ceil().max(0.0) as i32);
    Ok(Classes { labels: vec![low, high], positive, weights, unit })
}

/// Returns the two classes, each as text and with its rows; fails where there are others than two.
pub(super) fn two_classes(layout: &Layout, summary: &Summary, who: &str) -> Result<[(String, Label, u64); 2], Error> {
    let labels = layout.labels.ok_or_else(|| Error::Rows("there is no label".to_owned()))?;
    let mut found: Vec<(&String, Label, u64)> =
        summary.classes.iter().map(|(text, rows)| (text, labels.label(text), *rows)).collect();
    found.sort_by(|left, right| match (&left.1, &right.1) {
        (Label::Long(left), Label::Long(right)) => left.cmp(right),
        _ => left.0.cmp(right.0),
    });
    if let [(low, low_label, low_rows), (high, high_label, high_rows)] = found.as_slice() {
        return Ok([((*low).clone(), low_label.clone(), *low_rows), ((*high).clone(), high_label.clone(), *high_rows)]);
    }
    let few: Vec<&str> = found.iter().take(5).map(|(text, ..)| text.as_str()).collect();
    let more = if found.len() > 5 { " and others" } else { "" };
    let values = if found.len() == 1 { "value" } else { "values" };
    let what = format!("the label has {} {values}, {}{more}", found.len(), few.join(", "));
    Err(Error::Rows(format!("{what}; {who} tells two apart")))
}

/// What follows from the margins of a block of rows.
struct Pulls {
    /// The gradient of the loss after the margin.
    pulls: Wholes,
    /// The root of its curvature.
    roots: [f64; BLOCK_ROWS],
}

impl Slope {
    /// Adds a block's rows; `is_positive` says of each whether it is of the positive class.
    fn add_block(&mut self, block: &Block, is_positive: &[bool]) {
        let Pulls { pulls, roots } = self.look(&self.margins(block), is_positive);
        for (place, numbers) in block.places.iter().zip(&block.numbers) {
            let products =
                numbers.iter().zip(&pulls).map(|(number, pull)| i128::from(*pull) * i128::from(fixed(*number)));
            self.gradient[*place] += products.sum::<i128>();
        }
        let one = i128::from(fixed(1.0));
        for categories in &block.categories {
            for (category, pull) in categories.iter().zip(&pulls).filter(|(category, _)| **category != NOWHERE) {
                self.gradient[*category as usize] += i128::from(*pull) * one;
            }
        }
        // The curvature is the product of a matrix with itself, also after rounding: columns that follow from others
        // still do.
        let rooted: Vec<[f64; BLOCK_ROWS]> = block.numbers.iter().map(|numbers| rounded(numbers, &roots)).collect();
        let one_place = 2f64.powi(CURVATURE_PLACES);
        let whole = |numbers: &[f64; BLOCK_ROWS]| whole(numbers, |number| (number * one_place) as i64);
        let are_usual = block.numbers.iter().flatten().fold(true, |are, number| are & (number.abs() <= USUAL));
        if are_usual {
            self.curvature.add_exact(&block.places, &rooted, CURVATURE_PLACES);
        }
        if !are_usual || !block.categories.is_empty() {
            let wholes: Vec<Wholes> = rooted.iter().map(whole).collect();
            if !are_usual {
                self.curvature.add_pairs(&block.places, &wholes);
            }
            let ones = [1.0; BLOCK_ROWS];
            self.curvature.add_categories(block, &wholes, &whole(&rounded(&ones, &roots)));
        }
    }

    fn margins(&self, block: &Block) -> [f64; BLOCK_ROWS] {
        let mut margins = [0.0; BLOCK_ROWS];
        for (place, numbers) in block.places.iter().zip(&block.numbers) {
            let weight = self.weights[*place];
            margins.iter_mut().zip(numbers).for_each(|(margin, number)| *margin += weight * number);
        }
        for categories in &block.categories {
            for (margin, category) in margins.iter_mut().zip(categories).filter(|(_, category)| **category != NOWHERE) {
                *margin += self.weights[*category as usize];
            }
        }
        margins
    }

    /// Adds the losses of rows, and returns what follows from their margins. Rows beyond those there are get 0.
    fn look(&mut self, margins: &[f64; BLOCK_ROWS], is_positive: &[bool]) -> Pulls {
        let Classes { weights, unit, .. } = self.classes.as_ref();
        let mut found = Pulls { pulls: [0; BLOCK_ROWS], roots: [0.0; BLOCK_ROWS] };
        let rows = found.pulls.iter_mut().zip(&mut found.roots).zip(margins).zip(is_positive);
        for (((pull, root), margin), is_positive) in rows {
            let counts = weights[usize::from(*is_positive)];
            // One exponential, of a number below 0, answers all three without overflow.
            let opposed = (-margin.abs()).exp();
            let near = 1.0 / (1.0 + opposed);
            let far = opposed * near;
            let against = if *is_positive { -margin } else { *margin };
            self.loss += wide(counts * (against.max(0.0) + (1.0 + opposed).ln()));
            let probability = if *margin >= 0.0 { near } else { far };
            *pull = fixed(counts / unit * (probability - f64::from(u8::from(*is_positive))));
            *root = (counts / unit * near * far).sqrt();
        }
        found
    }
}

/// Returns numbers times the root of each row's curvature, as multiples of 2^-[`CURVATURE_PLACES`].
fn rounded(numbers: &[f64; BLOCK_ROWS], roots: &[f64; BLOCK_ROWS]) -> [f64; BLOCK_ROWS] {
    // Added and taken off again, it leaves the nearest multiple of a number below 2^33.
    let to_multiple = 1.5 * 2f64.powi(52 - CURVATURE_PLACES);
    let mut rounded = [0.0; BLOCK_ROWS];
    for ((rounded, number), root) in rounded.iter_mut().zip(numbers).zip(roots) {
        *rounded = (number * root + to_multiple) - to_multiple;
    }
    rounded
}

impl Pass for Slope {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let (frame, encoder) = (Frame::new(&self.layout, batch)?, Arc::clone(&self.encoder));
        let mut block = Block::default();
        let mut is_positive = Vec::with_capacity(BLOCK_ROWS);
        for rows in frame.rows(Part::Training).chunks(BLOCK_ROWS) {
            encoder.encode_block(&frame, rows, &mut block);
            if self.has_intercept {
                block.push_constant(encoder.width, 1.0);
            }
            is_positive.clear();
            is_positive.extend(rows.iter().map(|row| frame.class(*row) == self.classes.positive));
            self.add_block(&block, &is_positive);
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.loss += other.loss;
        self.gradient.iter_mut().zip(&other.gradient).for_each(|(sum, more)| *sum += more);
        self.curvature.merge(&other.curvature);
    }
}
