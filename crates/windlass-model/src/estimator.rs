//! Models of our own: linear and logistic regression, k-means and PCA, as JSON.
//!
//! Training writes [`NativeModel`], scoring reads it. Columns are encoded to numbers first: a number
//! is one, perhaps standardised; a text is one for each category, of which one is 1.

use serde::{Deserialize, Serialize};

use crate::{ColumnType, Error, Label};

/// The format of the file; higher ones are refused.
const LAYOUT: u32 = 1;
const FORMAT: &str = "windlass";

/// A model of our own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NativeModel {
    /// The format of the file.
    #[serde(default = "layout")]
    pub layout: u32,
    /// Its inputs, in order, and how each becomes numbers.
    pub features: Vec<Feature>,
    /// What is computed from the numbers.
    pub estimator: Estimator,
}

/// An input and how it becomes numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// The column.
    pub column: String,
    /// How its values become numbers.
    pub encoding: Encoding,
}

/// How a value becomes numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Encoding {
    /// One number: `(value - mean) / scale`.
    Number {
        /// What stands for NULL and NaN, before it is standardised; without it such a row fails.
        fill: Option<f64>,
        /// What is taken off; 0 where values are taken as they are.
        #[serde(default)]
        mean: f64,
        /// What it is divided by; 1 where values are taken as they are.
        #[serde(default = "one")]
        scale: f64,
    },
    /// A number for each category: 1 for the value's own, 0 for the others. A value that is none of them is all 0.
    OneHot {
        /// The categories, as text.
        categories: Vec<String>,
        /// Whether NULL is a category of its own, after the others; without it NULL is all 0.
        #[serde(default)]
        has_null: bool,
    },
}

/// What is computed from the numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Estimator {
    /// `intercept + weights * x`.
    Linear {
        /// The intercept.
        intercept: f64,
        /// A weight for each number.
        weights: Vec<f64>,
    },
    /// Probabilities of classes.
    Logistic {
        /// The classes.
        classes: Vec<Label>,
        /// An intercept for each row of weights.
        intercepts: Vec<f64>,
        /// One row, whose sigmoid is the probability of the second of two classes; or one row for each
        /// class, whose softmax is theirs.
        weights: Vec<Vec<f64>>,
    },
    /// The nearest of several centres, numbered from 1.
    KMeans {
        /// The centres.
        centroids: Vec<Vec<f64>>,
        /// What near means.
        distance: Distance,
    },
    /// `components * (x - mean)`.
    Pca {
        /// What is taken off each number.
        mean: Vec<f64>,
        /// The components.
        components: Vec<Vec<f64>>,
    },
}

/// What near means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    /// The length of the difference.
    Euclidean,
    /// One less the cosine of the angle.
    Cosine,
}

impl NativeModel {
    /// Returns a model; fails where its parts do not fit together.
    ///
    /// # Errors
    ///
    /// [`Error::Format`].
    pub fn try_new(features: Vec<Feature>, estimator: Estimator) -> Result<Self, Error> {
        let model = Self { layout: LAYOUT, features, estimator };
        model.check()?;
        Ok(model)
    }

    /// Reads a model.
    ///
    /// # Errors
    ///
    /// [`Error::Format`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, Error> {
        let model: Self = serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
        model.check()?;
        Ok(model)
    }

    /// Returns its file.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] where a number of it is not finite.
    pub fn to_json(&self) -> Result<Vec<u8>, Error> {
        self.check()?;
        serde_json::to_vec(self).map_err(|error| malformed(error.to_string()))
    }

    /// Returns how many numbers the features become.
    pub fn width(&self) -> usize {
        self.features.iter().map(|feature| feature.encoding.width()).sum()
    }

    fn check(&self) -> Result<(), Error> {
        if self.layout > LAYOUT {
            return Err(malformed(format!("it has layout {}, this version reads up to {LAYOUT}", self.layout)));
        }
        for feature in &self.features {
            if let Encoding::Number { fill, mean, scale } = feature.encoding
                && (!fill.unwrap_or(0.0).is_finite() || !mean.is_finite() || !scale.is_finite() || scale == 0.0)
            {
                return Err(malformed(format!("`{}` is not scaled by a finite number", feature.column)));
            }
        }
        self.estimator.check(self.width())
    }
}

impl Encoding {
    /// Returns how many numbers it makes.
    pub fn width(&self) -> usize {
        match self {
            Self::Number { .. } => 1,
            Self::OneHot { categories, has_null } => categories.len() + usize::from(*has_null),
        }
    }

    /// Returns the type of its column.
    pub(crate) fn data_type(&self) -> ColumnType {
        match self {
            Self::Number { .. } => ColumnType::Double,
            Self::OneHot { .. } => ColumnType::String,
        }
    }

    /// Returns whether NULL can be scored.
    pub(crate) fn takes_null(&self) -> bool {
        !matches!(self, Self::Number { fill: None, .. })
    }
}

impl Estimator {
    fn check(&self, width: usize) -> Result<(), Error> {
        let rows: Vec<&[f64]> = match self {
            Self::Linear { weights, intercept } => vec![weights, std::slice::from_ref(intercept)],
            Self::Logistic { intercepts, weights, classes } => {
                let wanted = if classes.len() == 2 && weights.len() == 1 { 1 } else { classes.len() };
                if classes.len() < 2 || weights.len() != wanted || intercepts.len() != wanted {
                    let (rows, intercepts) = (weights.len(), intercepts.len());
                    let found = format!("{} classes, {rows} rows of weights, {intercepts} intercepts", classes.len());
                    return Err(malformed(format!("{found}: these do not fit together")));
                }
                weights.iter().map(Vec::as_slice).chain([intercepts.as_slice()]).collect()
            }
            Self::KMeans { centroids, .. } if centroids.is_empty() => return Err(malformed("it has no centroid")),
            Self::KMeans { centroids, .. } => centroids.iter().map(Vec::as_slice).collect(),
            Self::Pca { mean, components } => components.iter().chain([mean]).map(Vec::as_slice).collect(),
        };
        let intercepts = usize::from(matches!(self, Self::Linear { .. } | Self::Logistic { .. }));
        if let Some(row) = rows.iter().take(rows.len() - intercepts).find(|row| row.len() != width) {
            return Err(malformed(format!("{} numbers stand where its features make {width}", row.len())));
        }
        if rows.iter().any(|row| row.iter().any(|number| !number.is_finite())) {
            return Err(malformed("a number of it is not finite"));
        }
        Ok(())
    }
}

fn malformed(message: impl Into<String>) -> Error {
    Error::Format { format: FORMAT, message: message.into() }
}

fn layout() -> u32 {
    LAYOUT
}

fn one() -> f64 {
    1.0
}
