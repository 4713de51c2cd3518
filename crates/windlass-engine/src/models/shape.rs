//! What is known of a model without its weights: what it reads, and what it answers.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema};
use windlass_error::{Code, Diagnostic, Location, nearest};
use windlass_model::train::{Input, InputKind};
use windlass_model::{ColumnType, Label, ModelVersion, Signature, Task};
use windlass_project::{Algorithm, Model, Node, PythonKeep, PythonModel, PythonTask};

use super::LABEL_PARAM;
use crate::planner::Places;
use crate::planner::calls::converts;
use crate::tables::contract::listing;
use crate::tables::schema::sql_type;

/// What a model reads and answers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ModelShape {
    /// What it answers.
    pub(crate) task: Task,
    /// What it reads, in its own order.
    pub(crate) inputs: Vec<Input>,
    /// What it predicts: the column and, of a classifier, the type of its classes.
    pub(crate) label: Option<(String, DataType)>,
    /// The type of the classes of a classifier.
    class_type: DataType,
    /// How many components a projection has.
    pub(crate) components: usize,
    /// What is exchanged with workers, of a model that Python scores.
    python: Option<PythonShape>,
}

/// What workers are given, and what they answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PythonShape {
    /// The types of the inputs, in their order.
    pub(super) takes: Vec<DataType>,
    /// The columns of an answer: the probabilities of all classes of a classifier, or whatever the model answers.
    pub(super) answers: Fields,
}

impl PythonShape {
    /// Returns what workers exchange for a model of this signature; of a classifier with so many classes.
    pub(super) fn new(task: Task, signature: &Signature, classes: usize) -> Self {
        let takes = signature.inputs.iter().map(|input| input.data_type.arrow()).collect();
        let answers = match task {
            Task::Classification => {
                let width = i32::try_from(classes).unwrap_or(i32::MAX);
                let item = Arc::new(Field::new("item", DataType::Float64, true));
                vec![Field::new("probabilities", DataType::FixedSizeList(item, width), true)]
            }
            _ => signature.outputs.iter().map(|output| output.field().with_nullable(true)).collect(),
        };
        Self { takes, answers: answers.into() }
    }
}

impl ModelShape {
    /// Returns the shape of a version that is registered.
    pub(crate) fn of_version(version: &ModelVersion) -> Self {
        let label = version.params.get(LABEL_PARAM).map(String::as_str);
        let shape = Self::new(version.task, &version.signature, version.classes.as_deref(), label);
        if version.format.is_native() {
            return shape;
        }
        let classes = version.classes.as_ref().map_or(0, Vec::len);
        shape.in_python(PythonShape::new(version.task, &version.signature, classes))
    }

    /// Returns the shape of a model that Python scores.
    pub(super) fn in_python(self, python: PythonShape) -> Self {
        Self { python: Some(python), ..self }
    }

    /// Returns what workers exchange; `None` for a model that is scored without Python.
    pub(super) fn python(&self) -> Option<&PythonShape> {
        self.python.as_ref()
    }

    /// Returns the shape of a model that predicts a column, by what it says of itself.
    pub(crate) fn new(task: Task, signature: &Signature, classes: Option<&[Label]>, label: Option<&str>) -> Self {
        let input = |column: &windlass_model::Column| Input {
            name: column.name.clone(),
            kind: if column.data_type == ColumnType::String { InputKind::Text } else { InputKind::Number },
        };
        let data_type = classes.map_or(DataType::Float64, |classes| Label::type_of(classes).arrow());
        Self {
            task,
            inputs: signature.inputs.iter().map(input).collect(),
            class_type: data_type.clone(),
            label: label.map(|label| (label.to_string(), data_type)),
            components: signature.outputs.len(),
            python: None,
        }
    }

    /// Returns the type in which an input is handed over.
    pub(crate) fn input_type(&self, at: usize) -> DataType {
        let exact = self.python.as_ref().and_then(|python| python.takes.get(at));
        exact.cloned().unwrap_or_else(|| match self.inputs.get(at).map(|input| input.kind) {
            Some(InputKind::Text) => DataType::Utf8,
            _ => DataType::Float64,
        })
    }

    /// Returns the type that a column is handed over as; `None` where the model cannot use one of this type.
    pub(crate) fn takes(&self, at: usize, given: &DataType) -> Option<DataType> {
        match self.python.as_ref().and_then(|python| python.takes.get(at)) {
            Some(wanted) => converts(given, wanted).then(|| wanted.clone()),
            None => handed_over(self.inputs.get(at)?.kind, given),
        }
    }

    /// Returns what an input is, in words.
    pub(crate) fn input_word(&self, at: usize) -> String {
        match (self.python.as_ref().and_then(|python| python.takes.get(at)), self.inputs.get(at)) {
            (Some(exact), _) => sql_type(exact),
            (None, Some(input)) => kind_word(input.kind).to_string(),
            (None, None) => String::new(),
        }
    }

    /// Returns the columns that it adds to a table.
    pub(crate) fn outputs(&self) -> Fields {
        let column = |name: &str, data_type| Field::new(name, data_type, true);
        let predicted =
            self.label.as_ref().map_or_else(|| "prediction".to_string(), |(name, _)| format!("predicted_{name}"));
        let pairs = |key: &str, key_type: DataType, value: &str| {
            let pair = Fields::from(vec![column(key, key_type), column(value, DataType::Float64)]);
            DataType::List(Arc::new(Field::new("item", DataType::Struct(pair), true)))
        };
        let fields = match self.task {
            Task::Classification => {
                let class = self.class_type.clone();
                let probabilities = pairs("label", class.clone(), "prob");
                vec![column(&predicted, class), column(&format!("{predicted}_probs"), probabilities)]
            }
            Task::Clustering => {
                let distances = pairs("centroid_id", DataType::Int64, "distance");
                vec![column("centroid_id", DataType::Int64), column("nearest_centroids_distance", distances)]
            }
            Task::Projection => (1..=self.components)
                .map(|at| column(&format!("principal_component_{at}"), DataType::Float64))
                .collect(),
            Task::Other if self.python.is_some() => match self.python.as_ref().map(|python| &python.answers) {
                Some(answers) if answers.len() > 1 => answers.iter().map(|field| field.as_ref().clone()).collect(),
                Some(answers) => {
                    answers.iter().map(|field| field.as_ref().clone().with_name(predicted.as_str())).collect()
                }
                None => Vec::new(),
            },
            Task::Regression | Task::Other => vec![column(&predicted, DataType::Float64)],
        };
        fields.into()
    }

    /// Returns the type of what the model's name answers as a function; `None` where it cannot be called.
    pub(crate) fn value_type(&self) -> Option<DataType> {
        match (self.task, self.python.as_ref().map(|python| &python.answers)) {
            (Task::Other, Some(answers)) => match answers.iter().as_slice() {
                [one] => Some(one.data_type().clone()),
                _ => None,
            },
            (task, _) => Self::number_or_cluster(task),
        }
    }

    fn number_or_cluster(task: Task) -> Option<DataType> {
        match task {
            Task::Regression | Task::Classification | Task::Other => Some(DataType::Float64),
            Task::Clustering => Some(DataType::Int64),
            Task::Projection => None,
        }
    }

    /// Returns the inputs as parameters: `(dep_delay number, carrier text)`.
    pub(crate) fn parameters(&self) -> String {
        let parameter = |(at, input): (usize, &Input)| format!("{} {}", input.name, self.input_word(at));
        format!("({})", self.inputs.iter().enumerate().map(parameter).collect::<Vec<_>>().join(", "))
    }
}

/// Returns the type that an input is handed over as; `None` where the model cannot use a column of this type.
pub(crate) fn handed_over(kind: InputKind, data_type: &DataType) -> Option<DataType> {
    let is_text = matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    match (kind, data_type) {
        (_, DataType::Dictionary(_, value)) => handed_over(kind, value),
        (InputKind::Number, DataType::Boolean | DataType::Null) => Some(DataType::Float64),
        (InputKind::Number, other) if other.is_numeric() => Some(DataType::Float64),
        (InputKind::Text, DataType::Null) => Some(DataType::Utf8),
        (InputKind::Text, _) if is_text => Some(DataType::Utf8),
        _ => None,
    }
}

/// Returns the kind of feature that a column is; `None` for types that are no feature.
fn kind_of(data_type: &DataType) -> Option<InputKind> {
    let fits = |kind| handed_over(kind, data_type).is_some();
    [InputKind::Number, InputKind::Text].into_iter().find(|kind| fits(*kind) && *data_type != DataType::Null)
}

pub(crate) fn kind_word(kind: InputKind) -> &'static str {
    match kind {
        InputKind::Number => "number",
        InputKind::Text => "text",
    }
}

/// Returns the shape of a model that is to be trained on rows of these columns.
///
/// # Errors
///
/// Every column that cannot be learned from, and a label that is missing or of another type.
pub(crate) fn planned_shape(node: &Node, model: &Model, columns: &Schema) -> Result<ModelShape, Vec<Diagnostic>> {
    let places = Places::new(&model.query);
    let mut mistakes = Vec::new();
    let wrong = |code, message: String, at: Option<Location>| {
        Diagnostic::error(code, message).at(at.unwrap_or_else(|| node.location.clone())).node(&node.name)
    };
    let label = model.algorithm.label().map(|label| find_label(node, model, label, columns));
    let label = match label {
        Some(Ok(label)) => Some(label),
        Some(Err(mistake)) => {
            mistakes.push(mistake);
            None
        }
        None => None,
    };
    if let Some(python) = model.algorithm.python() {
        mistakes.extend(unknown_columns(node, model, python, columns));
    }
    let mut inputs = Vec::new();
    for name in features(model, label.as_ref().map(|(name, _)| name.as_str()), columns) {
        let Ok(at) = columns.index_of(name) else { continue };
        let data_type = columns.field(at).data_type();
        match kind_of(data_type) {
            Some(kind) => inputs.push(Input { name: name.to_string(), kind }),
            None => {
                let message = format!("feature `{name}` of `{}` has type {}", node.name, sql_type(data_type));
                let hint = match model.algorithm.python() {
                    Some(_) => "name in `features=[...]` the columns that the model reads: numbers, booleans and texts",
                    None => "a feature is a number, a boolean or a text: cast it, or compute from it what matters",
                };
                let at = if model.algorithm.python().is_some() { None } else { places.of_output(at) };
                mistakes.push(
                    wrong(Code::TYPE_MISMATCH, message, at.or_else(|| model.places.get("features").cloned()))
                        .hint(hint),
                );
            }
        }
    }
    if inputs.is_empty() && mistakes.is_empty() {
        let message = format!("`{}` has no feature: its query answers nothing beside the label", node.name);
        mistakes.push(wrong(Code::CREATE_MODEL, message, model.query.map.locate(0..0)));
    }
    let (task, components) = match &model.algorithm {
        Algorithm::LinearReg(_) => (Task::Regression, 1),
        Algorithm::LogisticReg(_) => (Task::Classification, 2),
        Algorithm::KMeans(kmeans) => (Task::Clustering, kmeans.clusters as usize),
        Algorithm::Pca(pca) => (Task::Projection, pca.components as usize),
        Algorithm::Trees(trees) if trees.is_classifier => (Task::Classification, 2),
        Algorithm::Trees(_) => (Task::Regression, 1),
        // The type of the label says it where the code does not.
        Algorithm::Python(_) => match label.as_ref() {
            Some((_, DataType::Float64)) => (Task::Regression, 1),
            _ => (Task::Classification, 2),
        },
    };
    let class_type = label.as_ref().map_or(DataType::Float64, |(_, data_type)| data_type.clone());
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let shape = ModelShape { task, inputs, label, class_type, components, python: None };
    let is_pickled = model.algorithm.python().is_some_and(|python| python.keep == PythonKeep::Pickle);
    Ok(if is_pickled { shape.pickled(components) } else { shape })
}

impl ModelShape {
    /// Returns the shape of a model that is kept as a pickle: it gets numbers and texts, as it did in training.
    pub(super) fn pickled(self, classes: usize) -> Self {
        let input = |(at, input): (usize, &Input)| {
            let data_type = if self.input_type(at) == DataType::Utf8 { ColumnType::String } else { ColumnType::Double };
            windlass_model::Column::new(&input.name, data_type, true)
        };
        let inputs = self.inputs.iter().enumerate().map(input).collect();
        let outputs = vec![windlass_model::Column::new("prediction", ColumnType::Double, true)];
        let python = PythonShape::new(self.task, &Signature { inputs, outputs }, classes);
        self.in_python(python)
    }
}

/// Returns the columns that a model reads, in its order.
fn features<'a>(model: &'a Model, label: Option<&str>, columns: &'a Schema) -> Vec<&'a str> {
    let named = model.algorithm.python().and_then(|python| python.features.as_ref());
    let all = || columns.fields().iter().map(|field| field.name().as_str()).collect();
    let found: Vec<&str> = named.map_or_else(all, |named| named.iter().map(String::as_str).collect());
    found.into_iter().filter(|name| Some(*name) != label).collect()
}

/// Returns the columns that arguments of `@model` name and its rows do not have.
fn unknown_columns(node: &Node, model: &Model, python: &PythonModel, columns: &Schema) -> Vec<Diagnostic> {
    let known: Vec<&str> = columns.fields().iter().map(|field| field.name().as_str()).collect();
    let order = python.order_by.iter().map(|key| ("order_by", key.column.as_str()));
    let listed = [("features", &python.features), ("columns", &python.columns)];
    let named = listed
        .into_iter()
        .flat_map(|(argument, names)| names.iter().flatten().map(move |name| (argument, name.as_str())));
    let unknown = named.chain(order).filter(|(_, name)| !known.contains(name));
    let mistake = |(argument, name): (&str, &str)| {
        let at = model.places.get(argument).unwrap_or(&node.location).clone();
        let message = format!("`{argument}` of `{}` names column `{name}`, which its rows do not have", node.name);
        let mistake = Diagnostic::error(Code::UNKNOWN_COLUMN, message).at(at).node(&node.name);
        match nearest(name, known.iter().copied()) {
            Some(near) => mistake.label(format!("did you mean `{near}`?")),
            None => mistake.note(format!("columns: {}", listing(&known))),
        }
    };
    unknown.map(mistake).collect()
}

/// Returns whether a model predicts a number; `None` where the type of its label decides.
fn predicts_number(algorithm: &Algorithm) -> Option<bool> {
    match algorithm {
        Algorithm::LinearReg(_) => Some(true),
        Algorithm::Trees(trees) => Some(!trees.is_classifier),
        Algorithm::Python(python) => python.task.map(|task| task == PythonTask::Regression),
        Algorithm::LogisticReg(_) | Algorithm::KMeans(_) | Algorithm::Pca(_) => Some(false),
    }
}

/// Returns the label's column and the type of its classes.
fn find_label(node: &Node, model: &Model, label: &str, columns: &Schema) -> Result<(String, DataType), Diagnostic> {
    let at = model.places.get(LABEL_PARAM).or_else(|| model.places.get("model_type"));
    let at = at.cloned().unwrap_or_else(|| node.location.clone());
    let exact = columns.fields().iter().position(|field| field.name() == label);
    let alike = || columns.fields().iter().position(|field| field.name().eq_ignore_ascii_case(label));
    let Some(found) = exact.or_else(alike) else {
        let known: Vec<&str> = columns.fields().iter().map(|field| field.name().as_str()).collect();
        let message = format!("the query of `{}` has no column `{label}` to predict", node.name);
        let mistake = Diagnostic::error(Code::UNKNOWN_COLUMN, message).at(at).node(&node.name);
        let mistake = mistake.note(format!("columns: {}", listing(&known)));
        return Err(match nearest(label, known.iter().copied()) {
            Some(near) => mistake.hint(format!("did you mean `{near}`?")),
            None if model.algorithm.python().is_some() => mistake,
            None => mistake.hint("name it: `input_label_cols = ['column']`; without it, it is `label`"),
        });
    };
    let field = columns.field(found);
    let number = || handed_over(InputKind::Number, field.data_type()).filter(|_| *field.data_type() != DataType::Null);
    let text = || handed_over(InputKind::Text, field.data_type()).filter(|_| *field.data_type() != DataType::Null);
    let wanted = predicts_number(&model.algorithm);
    let fits = match (wanted, field.data_type()) {
        (Some(true), _) => number(),
        (_, DataType::Boolean) => Some(DataType::Boolean),
        (_, data_type) if data_type.is_integer() => Some(DataType::Int64),
        (None, data_type) if data_type.is_numeric() => number(),
        _ => text(),
    };
    fits.map(|data_type| (field.name().clone(), data_type)).ok_or_else(|| {
        let data_type = sql_type(field.data_type());
        let message = format!("`{}` cannot predict `{}`, which has type {data_type}", node.name, field.name());
        let hint = match (&model.algorithm, wanted) {
            (Algorithm::LinearReg(_), _) => "a linear regression predicts a number",
            (_, Some(true)) => "a regression predicts a number",
            (Algorithm::Python(_), _) => "a classifier predicts a boolean, a whole number or a text",
            (Algorithm::Trees(_), _) => "a classifier predicts a boolean, a whole number or a text of two values",
            _ => "a logistic regression predicts a boolean, a whole number or a text of two values",
        };
        let place = Places::new(&model.query).of_output(found).unwrap_or(at);
        Diagnostic::error(Code::TYPE_MISMATCH, message).at(place).hint(hint).node(&node.name)
    })
}
