//! The first pass: how many rows there are, how numbers spread, which categories and classes there are.

use std::collections::{BTreeMap, HashMap};

use arrow::array::RecordBatch;

use super::exact::ExactSum;
use super::frame::{Column, Frame, InputKind, Layout, Part};
use super::{Error, MAX_WIDTH, Pass};

/// Classes that are counted at most; more are told by their number alone.
const MAX_CLASSES: usize = 51;

/// Texts of a batch that are compared one after the other.
const FEW_TEXTS: usize = 8;

/// What the first pass has seen of the rows that are learned from.
#[derive(Debug, Clone)]
pub(super) struct Summary {
    layout: Layout,
    /// Rows that are learned from.
    pub(super) rows: u64,
    /// By feature.
    pub(super) features: Vec<Spread>,
    /// Numbers to predict.
    pub(super) label: Moments,
    /// Rows by class.
    pub(super) classes: BTreeMap<String, u64>,
}

/// What is known of a feature's values.
#[derive(Debug, Clone)]
pub(super) enum Spread {
    /// Of numbers.
    Numbers(Box<Moments>),
    /// Of texts: rows by category, and those that are NULL.
    Texts { categories: BTreeMap<String, u64>, missing: u64 },
}

/// Number, sum and sum of squares of values.
#[derive(Debug, Clone, Default)]
pub(super) struct Moments {
    pub(super) count: u64,
    sum: ExactSum,
    squares: ExactSum,
}

impl Moments {
    fn add_all(&mut self, values: &[f64]) {
        self.count += values.len() as u64;
        self.sum.add_all(values);
        self.squares.add_squares(values);
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum.merge(&other.sum);
        self.squares.merge(&other.squares);
    }

    /// Returns the mean; 0 of no values.
    pub(super) fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum.value() / self.count as f64 }
    }

    /// Returns the root of the mean squared distance from `center`; 1 where all values are there.
    pub(super) fn scale(&self, center: f64) -> f64 {
        if self.count == 0 {
            return 1.0;
        }
        let count = self.count as f64;
        // Sum of (x - c)^2 without the loss that large values with a small spread would bring.
        let mut deviations = self.squares.clone();
        let (high, low) = self.sum.parts();
        deviations.add_product(-2.0 * center, high);
        deviations.add_product(-2.0 * center, low);
        let square = center * center;
        deviations.add_product(count, square);
        deviations.add_product(count, center.mul_add(center, -square));
        let variance = deviations.value() / count;
        // Rounding of the center leaves a trace of its last bit where all values are equal.
        let trace = center * f64::EPSILON;
        if variance > 4.0 * trace * trace { variance.sqrt() } else { 1.0 }
    }
}

impl Summary {
    pub(super) fn new(layout: &Layout) -> Self {
        let spread = |kind| match kind {
            InputKind::Number => Spread::Numbers(Box::default()),
            InputKind::Text => Spread::Texts { categories: BTreeMap::new(), missing: 0 },
        };
        Self {
            layout: layout.clone(),
            rows: 0,
            features: layout.inputs.iter().map(|input| spread(input.kind)).collect(),
            label: Moments::default(),
            classes: BTreeMap::new(),
        }
    }

    /// Fails where nothing can be learned from the rows.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.rows == 0 {
            let label = if self.layout.labels.is_some() { " with a label" } else { "" };
            return Err(Error::Rows(format!("there is no row{label} to learn from")));
        }
        for (input, spread) in self.layout.inputs.iter().zip(&self.features) {
            if let Spread::Texts { categories, .. } = spread
                && categories.len() > MAX_WIDTH
            {
                let name = &input.name;
                return Err(Error::Rows(format!("`{name}` has more than {MAX_WIDTH} different texts")));
            }
        }
        Ok(())
    }
}

impl Spread {
    fn add(&mut self, column: &Column<'_>, rows: &[usize], name: &str) -> Result<(), Error> {
        match self {
            Self::Numbers(moments) => {
                let mut numbers = vec![0.0; rows.len()];
                column.numbers(rows, f64::NAN, &mut numbers);
                numbers.retain(|number| !number.is_nan());
                if numbers.iter().any(|number| number.is_infinite()) {
                    return Err(Error::Rows(format!("`{name}` has an infinite value")));
                }
                moments.add_all(&numbers);
            }
            Self::Texts { categories, missing } => {
                for (text, rows) in tally(column.texts(rows)) {
                    match text {
                        Some(text) => count(categories, text, rows, MAX_WIDTH + 1),
                        None => *missing += rows,
                    }
                }
            }
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        match (self, other) {
            (Self::Numbers(moments), Self::Numbers(more)) => moments.merge(&more),
            (Self::Texts { categories, missing }, Self::Texts { categories: more, missing: others }) => {
                more.iter().for_each(|(text, rows)| count(categories, text, *rows, MAX_WIDTH + 1));
                *missing += others;
            }
            _ => {}
        }
    }
}

/// Returns how many rows have each text. Few texts are found without a hash.
fn tally<'a>(texts: impl Iterator<Item = Option<&'a str>>) -> Vec<(Option<&'a str>, u64)> {
    let mut few: Vec<(Option<&str>, u64)> = Vec::with_capacity(FEW_TEXTS);
    let mut many: HashMap<Option<&str>, u64> = HashMap::new();
    for text in texts {
        match few.iter().position(|(known, _)| *known == text) {
            Some(at) => few[at].1 += 1,
            None if few.len() < FEW_TEXTS => few.push((text, 1)),
            None => *many.entry(text).or_default() += 1,
        }
    }
    few.extend(many);
    few
}

/// Counts rows of a text, of at most so many texts.
fn count(known: &mut BTreeMap<String, u64>, text: &str, rows: u64, most: usize) {
    if let Some(counted) = known.get_mut(text) {
        *counted += rows;
    } else if known.len() < most {
        known.insert(text.to_owned(), rows);
    }
}

impl Pass for Summary {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let frame = Frame::new(&self.layout, batch)?;
        let rows = frame.rows(Part::Training);
        self.rows += rows.len() as u64;
        for ((spread, column), input) in self.features.iter_mut().zip(&frame.inputs).zip(&self.layout.inputs) {
            spread.add(column, &rows, &input.name)?;
        }
        match self.layout.labels {
            None => {}
            Some(super::Labels::Numbers) => {
                let numbers: Vec<f64> = rows.iter().map(|row| frame.number(*row)).collect();
                if numbers.iter().any(|number| !number.is_finite()) {
                    return Err(Error::Rows("the label has an infinite value".to_owned()));
                }
                self.label.add_all(&numbers);
            }
            Some(_) => {
                for (class, rows) in tally(rows.iter().map(|row| Some(frame.class(*row)))) {
                    count(&mut self.classes, class.unwrap_or_default(), rows, MAX_CLASSES);
                }
            }
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.rows += other.rows;
        self.label.merge(&other.label);
        self.features.iter_mut().zip(other.features).for_each(|(spread, more)| spread.merge(more));
        other.classes.iter().for_each(|(class, rows)| count(&mut self.classes, class, *rows, MAX_CLASSES));
    }
}
