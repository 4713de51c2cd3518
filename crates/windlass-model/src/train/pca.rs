//! Principal components: the eigenvectors of the covariances, which are sums of products over one pass.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::encoder::{Center, Encoder};
use super::gram::Gram;
use super::solve::eigen;
use super::summary::Summary;
use super::{Error, Layout, Rows, Trained};
use crate::{Encoding, Estimator, NativeModel};

/// Numbers at most that components are found of: the time grows with the third power.
const MAX_PCA_WIDTH: usize = 300;

/// Options of principal component analysis.
#[derive(Debug, Clone, PartialEq)]
pub struct PcaOptions {
    /// How many components.
    pub components: usize,
    /// Whether numbers are brought to deviation 1 first.
    pub scale: bool,
}

pub(super) fn train(options: &PcaOptions, layout: &Layout, rows: &impl Rows) -> Result<Trained, Error> {
    let summary = rows.pass(&Summary::new(layout))?;
    summary.check()?;
    let mut encoder = Encoder::new(layout, &summary, Center::Mean)?;
    let width = encoder.width;
    if width > MAX_PCA_WIDTH {
        return Err(Error::Rows(format!("the features become {width} numbers; `pca` takes {MAX_PCA_WIDTH} at most")));
    }
    if options.components > width {
        let what = format!("the features become {width} numbers");
        return Err(Error::Rows(format!("{what}, too few for {} components", options.components)));
    }
    let gram = rows.pass(&Gram::new(layout, &Arc::new(encoder.clone()), None))?.matrix();
    let count = summary.rows as f64;
    let mean: Vec<f64> = (0..width).map(|at| gram[at][width] / count).collect();
    let scales = scales(&encoder, options.scale);
    let covariance: Vec<Vec<f64>> = (0..width)
        .map(|row| {
            let of =
                |column: usize| (gram[row][column] / count - mean[row] * mean[column]) * scales[row] * scales[column];
            (0..width).map(of).collect()
        })
        .collect();
    let found = eigen(covariance);
    let all: f64 = found.iter().map(|(variance, _)| variance.max(0.0)).sum();
    let kept: f64 = found.iter().take(options.components).map(|(variance, _)| variance.max(0.0)).sum();
    let components: Vec<Vec<f64>> = found.into_iter().take(options.components).map(|(_, vector)| vector).collect();
    if !options.scale {
        encoder.features.iter_mut().for_each(|feature| {
            if let Encoding::Number { scale, .. } = &mut feature.encoding {
                *scale = 1.0;
            }
        });
    }
    let mean: Vec<f64> = mean.iter().zip(&scales).map(|(mean, scale)| mean * scale).collect();
    let estimator = Estimator::Pca { mean, components };
    let model = NativeModel::try_new(encoder.features, estimator).map_err(Error::Model)?;
    let ratio = if all > 0.0 { kept / all } else { 1.0 };
    let metrics = BTreeMap::from([("total_explained_variance_ratio".to_owned(), ratio)]);
    let facts = BTreeMap::from([("rows".to_owned(), summary.rows.to_string())]);
    Ok(Trained { model, metrics, facts, classes: None })
}

/// Returns what each number is to be multiplied with to have its own deviation, where that is wanted.
fn scales(encoder: &Encoder, is_scaled: bool) -> Vec<f64> {
    let of = |encoding: &Encoding| match encoding {
        Encoding::Number { scale, .. } if !is_scaled => vec![*scale],
        other => vec![1.0; other.width()],
    };
    encoder.features.iter().flat_map(|feature| of(&feature.encoding)).collect()
}
