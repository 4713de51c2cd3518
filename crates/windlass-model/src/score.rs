//! A model in memory that scores batches, whatever its format.
//!
//! Each thread has a [`Scorer`] of its own; [`Scorer::fork`] makes another that shares what can be shared.
//!
//! Must stay true: the result has a row for every row of the batch, in order. A row that cannot be
//! scored is NULL in every column and has a [`RowFailure`]; it never fails the others.

mod answer;
mod forest;
mod grid;
mod inputs;
mod lightgbm;
mod native;
mod onnx;
mod program;
mod trees;
mod ubjson;
mod unanswered;
mod xgboost;

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema};

use self::answer::Raw;
use self::native::Native;
use self::onnx::Onnx;
use self::trees::TreeModel;
use crate::{Column, Error, Format, Label, NativeModel, Signature, Task};

/// A model that is ready to score.
#[derive(Debug)]
pub struct Scorer {
    format: Format,
    model: Model,
    signature: Signature,
    classes: Option<Vec<Label>>,
    threshold: f64,
    /// The inputs as the file names them, where tables name them otherwise.
    own_names: Option<Vec<String>>,
}

/// What differs between formats.
#[derive(Debug)]
enum Model {
    Native(Arc<Native>),
    Trees(Arc<TreeModel>),
    Onnx(Box<Onnx>),
}

/// What a model answers for a batch.
#[derive(Debug, Clone)]
pub struct Scores {
    /// The outputs of the signature, in order, with a row for each row of the batch.
    pub columns: Vec<ArrayRef>,
    /// Rows that could not be scored, in order; they are NULL in all columns.
    pub failures: Vec<RowFailure>,
}

impl Scores {
    /// Returns what a model answers that is scored elsewhere; a row for which it answers NaN has failed.
    ///
    /// # Errors
    ///
    /// [`Error::Output`] where a column cannot be NULL.
    pub fn of_answers(columns: Vec<ArrayRef>, failures: Vec<RowFailure>) -> Result<Self, Error> {
        unanswered::without_nan(Self { columns, failures })
    }

    /// Returns the predicted class and the probabilities of all, where the first column has the latter.
    ///
    /// # Errors
    ///
    /// [`Error::Output`].
    pub fn classified(self, classes: &[Label], threshold: f64) -> Result<Self, Error> {
        onnx::classified(self, 0, classes, threshold)
    }

    /// Returns the one column that a model's name stands for: the probability of the last class where the second column
    /// has the probabilities of all, and the first column otherwise.
    pub fn value(&self, task: Task) -> Option<ArrayRef> {
        let vectors = self.columns.get(1).and_then(|column| column.as_fixed_size_list_opt());
        match vectors.filter(|_| task == Task::Classification) {
            Some(vectors) => Some(answer::last_of(vectors)),
            None => self.columns.first().map(Arc::clone),
        }
    }
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
    /// Reads a model's main file. ONNX needs [`crate::onnx::use_library`] first.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] where it cannot be read, [`Error::Unsupported`] where it uses what is not scored
    /// natively, [`Error::NotNative`] where its format is scored in Python, [`Error::OnnxRuntime`].
    pub fn load(format: Format, bytes: &[u8]) -> Result<Self, Error> {
        let model = match format {
            Format::Windlass => Model::Native(Arc::new(Native::new(NativeModel::from_json(bytes)?))),
            Format::Lightgbm => Model::Trees(Arc::new(lightgbm::read(bytes)?)),
            Format::Xgboost => Model::Trees(Arc::new(xgboost::read(bytes)?)),
            Format::Onnx => Model::Onnx(Box::new(Onnx::open(bytes.into())?)),
            Format::Sklearn | Format::Pyfunc | Format::Python | Format::Pickle => {
                return Err(Error::NotNative { format: format.name() });
            }
        };
        let (inputs, classes) = match &model {
            Model::Native(native) => (native.inputs(), native.classes()),
            Model::Trees(trees) => (trees.inputs(), trees.classes()),
            Model::Onnx(onnx) => (onnx.inputs(), None),
        };
        let signature = Signature { inputs, outputs: Vec::new() };
        let mut scorer = Self { format, model, signature, classes, threshold: 0.5, own_names: None };
        scorer.signature.outputs = scorer.outputs();
        Ok(scorer)
    }

    /// Returns the same model for another thread.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] where ONNX Runtime does not open another session.
    pub fn fork(&self) -> Result<Self, Error> {
        let model = match &self.model {
            Model::Native(native) => Model::Native(Arc::clone(native)),
            Model::Trees(trees) => Model::Trees(Arc::clone(trees)),
            Model::Onnx(onnx) => Model::Onnx(Box::new(onnx.fork()?)),
        };
        Ok(Self {
            format: self.format,
            model,
            signature: self.signature.clone(),
            classes: self.classes.clone(),
            threshold: self.threshold,
            own_names: self.own_names.clone(),
        })
    }

    /// Returns the model with the classes of its training data, where its file has numbers for them or, as ONNX,
    /// does not list them.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] where it has another number of classes, or none.
    pub fn with_classes(mut self, classes: Vec<Label>) -> Result<Self, Error> {
        let found = match &self.model {
            Model::Onnx(onnx) => onnx.probabilities().map_or(0, |(_, width)| width),
            _ => self.classes.as_ref().map_or(0, Vec::len),
        };
        if found != classes.len() {
            let message = format!("it has {found} classes, {} are given", classes.len());
            return Err(Error::Format { format: self.format.name(), message });
        }
        self.classes = Some(classes);
        self.signature.outputs = self.outputs();
        Ok(self)
    }

    /// Returns the model with other names for its inputs, in its own order: a model that was trained on a matrix
    /// knows no names of columns.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] where it has another number of inputs.
    pub fn with_inputs(mut self, names: &[String]) -> Result<Self, Error> {
        let found = self.signature.inputs.len();
        if names.len() != found {
            let message = format!("it has {found} inputs, {} names are given", names.len());
            return Err(Error::Format { format: self.format.name(), message });
        }
        let own = self.signature.inputs.iter().map(|input| input.name.clone()).collect();
        self.own_names.get_or_insert(own);
        self.signature.inputs.iter_mut().zip(names).for_each(|(input, name)| input.name.clone_from(name));
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
    /// ONNX writes its own outputs, until it is told its classes.
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
            Model::Trees(trees) => trees.task(),
            Model::Onnx(_) if self.classes.is_some() => Task::Classification,
            Model::Onnx(_) => Task::Other,
        }
    }

    /// Scores a batch. Inputs are found by name, first as written, then whatever their letter case.
    ///
    /// # Errors
    ///
    /// [`Error::MissingInput`] and [`Error::InputType`] where the batch does not fit; rows that cannot be scored
    /// are no error.
    pub fn score(&mut self, batch: &RecordBatch) -> Result<Scores, Error> {
        let renamed = self.renamed(batch)?;
        let batch = renamed.as_ref().unwrap_or(batch);
        let raw = match &mut self.model {
            Model::Native(native) => native.score(batch)?,
            Model::Trees(trees) => trees.score(batch)?,
            Model::Onnx(onnx) => {
                let scores = onnx.score(batch)?;
                // Before a class is chosen, which a NaN would choose as well.
                let scores = unanswered::without_nan(scores)?;
                return match (&self.classes, onnx.probabilities()) {
                    (Some(classes), Some((at, _))) => onnx::classified(scores, at, classes, self.threshold),
                    _ => Ok(scores),
                };
            }
        };
        unanswered::without_nan(Scores { columns: self.columns(&raw)?, failures: raw.failures() })
    }

    /// Scores a batch and returns one column: the predicted number, the probability of the last class, the nearest
    /// cluster or the first component; and the rows that could not be scored, which are NULL.
    ///
    /// # Errors
    ///
    /// As [`Scorer::score`].
    pub fn value(&mut self, batch: &RecordBatch) -> Result<(ArrayRef, Vec<RowFailure>), Error> {
        let scores = match (&self.model, self.task()) {
            // Without the classes and the list of all probabilities, which nobody looks at.
            (Model::Native(_) | Model::Trees(_), Task::Classification) => {
                let raw = self.raw(batch)?;
                unanswered::without_nan(Scores { columns: vec![raw.last()], failures: raw.failures() })?
            }
            _ => self.score(batch)?,
        };
        let value = scores.value(self.task());
        Ok((value.ok_or_else(|| self.without_answer())?, scores.failures))
    }

    /// Returns the numbers of a model that is scored here, not by ONNX Runtime.
    fn raw(&self, batch: &RecordBatch) -> Result<Raw, Error> {
        let renamed = self.renamed(batch)?;
        let batch = renamed.as_ref().unwrap_or(batch);
        match &self.model {
            Model::Native(native) => native.score(batch),
            Model::Trees(trees) => trees.score(batch),
            Model::Onnx(_) => Err(self.without_answer()),
        }
    }

    fn without_answer(&self) -> Error {
        Error::Format { format: self.format.name(), message: "it answers nothing".to_owned() }
    }

    /// Returns the inputs under the names that the file has for them, where these differ from the table's.
    fn renamed(&self, batch: &RecordBatch) -> Result<Option<RecordBatch>, Error> {
        let Some(own) = &self.own_names else { return Ok(None) };
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        for (input, own) in self.signature.inputs.iter().zip(own) {
            let column = inputs::column(batch, &input.name)?;
            fields.push(Field::new(own, column.data_type().clone(), true));
            columns.push(Arc::clone(column));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let renamed = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options);
        renamed.map(Some).map_err(|source| Error::Output { source })
    }

    fn outputs(&self) -> Vec<Column> {
        let width = match &self.model {
            Model::Native(native) => native.width(),
            Model::Trees(trees) => trees.width(),
            Model::Onnx(onnx) => match onnx.probabilities() {
                Some((_, width)) if self.classes.is_some() => width,
                _ => return onnx.outputs().to_vec(),
            },
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
