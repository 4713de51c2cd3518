//! A model in memory that scores batches, whatever its format.
//!
//! Each thread has a [`Scorer`] of its own; [`Scorer::fork`] makes another that shares what can be shared.
//!
//! Must stay true: the result has a row for every row of the batch, in order. A row that cannot be
//! scored is NULL in every column and has a [`RowFailure`]; it never fails the others.

mod answer;
mod inputs;
mod native;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};

use self::answer::Raw;
use self::native::Native;
use crate::{Column, Error, Format, Label, NativeModel, Signature, Task};

/// A model that is ready to score.
#[derive(Debug)]
pub struct Scorer {
    format: Format,
    model: Model,
    signature: Signature,
    classes: Option<Vec<Label>>,
    threshold: f64,
}

/// What differs between formats.
#[derive(Debug, Clone)]
enum Model {
    Native(Arc<Native>),
}

/// What a model answers for a batch.
#[derive(Debug, Clone)]
pub struct Scores {
    /// The outputs of the signature, in order, with a row for each row of the batch.
    pub columns: Vec<ArrayRef>,
    /// Rows that could not be scored, in order; they are NULL in all columns.
    pub failures: Vec<RowFailure>,
}

/// A row that could not be scored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowFailure {
    /// Its place in the batch.
    pub row: usize,
    /// Why.
    pub message: String,
}

impl Scorer {
    /// Reads a model's main file.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] where it cannot be read, [`Error::Unsupported`] where it uses what is not scored
    /// natively, [`Error::NotNative`] where its format is scored in Python.
    pub fn load(format: Format, bytes: &[u8]) -> Result<Self, Error> {
        let model = match format {
            Format::Windlass => Model::Native(Arc::new(Native::new(NativeModel::from_json(bytes)?))),
            _ => return Err(Error::NotNative { format: format.name() }),
        };
        let (inputs, classes) = match &model {
            Model::Native(native) => (native.inputs(), native.classes()),
        };
        let mut scorer =
            Self { format, model, signature: Signature { inputs, outputs: Vec::new() }, classes, threshold: 0.5 };
        scorer.signature.outputs = scorer.outputs();
        Ok(scorer)
    }

    /// Returns the same model for another thread.
    ///
    /// # Errors
    ///
    /// None today; formats with a session of their own may fail to open it.
    pub fn fork(&self) -> Result<Self, Error> {
        Ok(Self {
            format: self.format,
            model: self.model.clone(),
            signature: self.signature.clone(),
            classes: self.classes.clone(),
            threshold: self.threshold,
        })
    }

    /// Returns the model with the classes of its training data, where its file has numbers for them.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] where it has another number of classes, or none.
    pub fn with_classes(mut self, classes: Vec<Label>) -> Result<Self, Error> {
        let found = self.classes.as_ref().map_or(0, Vec::len);
        if found != classes.len() {
            let message = format!("it has {found} classes, {} are given", classes.len());
            return Err(Error::Format { format: self.format.name(), message });
        }
        self.classes = Some(classes);
        self.signature.outputs = self.outputs();
        Ok(self)
    }

    /// Returns the model with another threshold: of two classes the second is predicted where its probability
    /// is at least this. It is 0.5 otherwise.
    pub fn with_threshold(mut self, threshold: f64) -> Self {
        self.threshold = threshold;
        self
    }

    /// Returns what it reads and writes.
    ///
    /// A classifier writes `prediction` and `probabilities`, in the order of [`Scorer::classes`]; a regression
    /// `prediction`; a clustering `cluster`, from 1, and `distances`; a projection `component_1` and so on.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Returns the classes of a classifier.
    pub fn classes(&self) -> Option<&[Label]> {
        self.classes.as_deref()
    }

    /// Returns what it answers.
    pub fn task(&self) -> Task {
        match &self.model {
            Model::Native(native) => native.task(),
        }
    }

    /// Scores a batch. Inputs are found by name, first as written, then whatever their letter case.
    ///
    /// # Errors
    ///
    /// [`Error::MissingInput`] and [`Error::InputType`] where the batch does not fit; rows that cannot be scored
    /// are no error.
    pub fn score(&mut self, batch: &RecordBatch) -> Result<Scores, Error> {
        let mut raw = match &self.model {
            Model::Native(native) => native.score(batch)?,
        };
        raw.take_failures();
        let columns = self.columns(&raw)?;
        Ok(Scores { columns, failures: raw.failures })
    }

    fn outputs(&self) -> Vec<Column> {
        let width = match &self.model {
            Model::Native(native) => native.width(),
        };
        answer::outputs(self.task(), width, self.classes.as_deref())
    }

    fn columns(&self, raw: &Raw) -> Result<Vec<ArrayRef>, Error> {
        match self.task() {
            Task::Classification => raw.classification(self.classes.as_deref().unwrap_or_default(), self.threshold),
            Task::Clustering => raw.clustering(),
            _ => Ok(raw.numbers()),
        }
    }
}

#[cfg(test)]
mod tests;
