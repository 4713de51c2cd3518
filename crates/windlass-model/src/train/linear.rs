//! Linear regression by the normal equations: one pass for the spread of the columns, one for their products.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::encoder::{Center, Encoder};
use super::gram::Gram;
use super::solve::solve;
use super::summary::Summary;
use super::{Error, Layout, Rows, Trained};
use crate::metrics::{Measured, Metrics, RegressionMetrics};
use crate::{Estimator, NativeModel};

/// Options of linear regression.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearOptions {
    /// The weight of the squared length of the coefficients of standardised features, beside the sum of squared
    /// errors.
    pub l2_reg: f64,
    /// Whether there is an intercept.
    pub fit_intercept: bool,
}

pub(super) fn train(options: &LinearOptions, layout: &Layout, rows: &impl Rows) -> Result<Trained, Error> {
    let summary = rows.pass(&Summary::new(layout))?;
    summary.check()?;
    let center = if options.fit_intercept { Center::Mean } else { Center::Zero };
    let encoder = Arc::new(Encoder::new(layout, &summary, center)?);
    let mean = if options.fit_intercept { summary.label.mean() } else { 0.0 };
    let scale = summary.label.scale(mean);
    let gram = rows.pass(&Gram::new(layout, &encoder, Some((mean, scale))))?.matrix();

    // The intercept first: of columns that say the same, it is the last to be left out.
    let width = encoder.width;
    let mut order: Vec<usize> = (0..width).collect();
    if options.fit_intercept {
        order.insert(0, width);
    }
    let mut matrix: Vec<Vec<f64>> =
        order.iter().map(|row| order.iter().map(|column| gram[*row][*column]).collect()).collect();
    for (at, place) in order.iter().enumerate().filter(|(_, place)| **place < width) {
        debug_assert!(*place < width);
        matrix[at][at] += options.l2_reg;
    }
    let right: Vec<f64> = order.iter().map(|row| gram[*row][width + 1]).collect();
    let solution = solve(&matrix, &right);
    let mut weights = vec![0.0; width];
    let mut intercept = mean;
    for (place, value) in order.iter().zip(solution) {
        match weights.get_mut(*place) {
            Some(weight) => *weight = value * scale,
            None => intercept += value * scale,
        }
    }
    let estimator = Estimator::Linear { intercept, weights };
    let model = NativeModel::try_new(encoder.features.clone(), estimator).map_err(Error::Model)?;
    let measured = rows.pass(&Measured::new(layout, &model, RegressionMetrics::default())?)?;
    let facts = BTreeMap::from([("rows".to_owned(), summary.rows.to_string())]);
    Ok(Trained { model, metrics: measured.metrics.values(), facts, classes: None })
}
