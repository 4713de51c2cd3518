//! Logistic regression by Newton's method: each iteration is one pass, which answers loss, gradient and curvature.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;

use super::encoder::{Center, Encoder, PLACES, fixed, unfixed, wide};
use super::frame::{Frame, Part};
use super::gram::Products;
use super::solve::solve;
use super::summary::Summary;
use super::{Error, Layout, Pass, Rows, Trained};
use crate::metrics::{ClassifierMetrics, Measured, Metrics};
use crate::{Estimator, Label, NativeModel};

/// Times at most that a step which makes things worse is halved.
const MAX_HALVINGS: u32 = 10;

/// What curvatures are summed in units of: class weights may be large, and a few digits less only slow the steps.
const CURVATURE_UNIT: f64 = 1024.0;

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
        let curvature = slope.curvature.matrix();
        // The intercept is the last unknown; it is solved for first, as the last to be left out.
        let order: Vec<usize> = (self.encoder.width..width).chain(0..self.encoder.width).collect();
        let matrix: Vec<Vec<f64>> = order
            .iter()
            .map(|row| {
                order
                    .iter()
                    .map(|column| {
                        CURVATURE_UNIT * curvature[*row][*column] + if row == column { penalty(*row) } else { 0.0 }
                    })
                    .collect()
            })
            .collect();
        let down: Vec<f64> =
            order.iter().map(|at| -(unfixed(slope.gradient[*at]) + penalty(*at) * weights[*at])).collect();
        let mut step = vec![0.0; width];
        order.iter().zip(solve(&matrix, &down)).for_each(|(at, value)| step[*at] = value);
        Ok(Point { weights, loss, step })
    }
}

/// Returns the two classes; fails where there are others than two.
fn classes(layout: &Layout, summary: &Summary, is_balanced: bool) -> Result<Classes, Error> {
    let [(_, low, low_rows), (positive, high, high_rows)] = two_classes(layout, summary, "logistic regression")?;
    let weight = |rows: u64| if is_balanced { summary.rows as f64 / (2.0 * rows as f64) } else { 1.0 };
    Ok(Classes { labels: vec![low, high], positive, weights: [weight(low_rows), weight(high_rows)] })
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

impl Pass for Slope {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let frame = Frame::new(&self.layout, batch)?;
        let weights = Arc::clone(&self.weights);
        let (mut encoded, mut numbers, mut weighted) = (Vec::new(), Vec::new(), Vec::new());
        for row in frame.rows(Part::Training) {
            self.encoder.encode(&frame, row, &mut encoded);
            if self.has_intercept {
                encoded.push((self.encoder.width, 1.0));
            }
            let is_positive = frame.class(row) == self.classes.positive;
            let counts = self.classes.weights[usize::from(is_positive)];
            let margin: f64 = encoded.iter().map(|(at, number)| weights[*at] * number).sum();
            let toward = if is_positive { margin } else { -margin };
            // log(1 + exp(-toward)), without overflow.
            self.loss += wide(counts * ((-toward).max(0.0) + (-toward.abs()).exp().ln_1p()));
            let probability = 1.0 / (1.0 + (-margin).exp());
            let pull = wide(counts * (probability - f64::from(u8::from(is_positive))));
            let bend = counts * probability * (1.0 - probability);
            numbers.clear();
            weighted.clear();
            for (at, number) in &encoded {
                let whole = fixed(*number);
                self.gradient[*at] += pull * i128::from(whole);
                numbers.push((*at, whole));
                weighted.push(wide(bend * number / CURVATURE_UNIT));
            }
            self.curvature.add(&numbers, &weighted);
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.loss += other.loss;
        self.gradient.iter_mut().zip(&other.gradient).for_each(|(sum, more)| *sum += more);
        self.curvature.merge(&other.curvature);
    }
}
