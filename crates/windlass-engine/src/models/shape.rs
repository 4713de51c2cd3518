//! What is known of a model without its weights: what it reads, and what it answers.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema};
use windlass_error::{Code, Diagnostic, Location, nearest};
use windlass_model::train::{Input, InputKind};
use windlass_model::{ColumnType, Label, ModelVersion, Signature, Task};
use windlass_project::{Algorithm, Model, Node};

use super::LABEL_PARAM;
use crate::planner::Places;
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
}

impl ModelShape {
    /// Returns the shape of a version that is registered.
    pub(crate) fn of_version(version: &ModelVersion) -> Self {
        let label = version.params.get(LABEL_PARAM).map(String::as_str);
        Self::new(version.task, &version.signature, version.classes.as_deref(), label)
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
            Task::Regression | Task::Other => vec![column(&predicted, DataType::Float64)],
        };
        fields.into()
    }

    /// Returns the type of what the model's name answers as a function; `None` where it cannot be called.
    pub(crate) fn value_type(&self) -> Option<DataType> {
        match self.task {
            Task::Regression | Task::Classification | Task::Other => Some(DataType::Float64),
            Task::Clustering => Some(DataType::Int64),
            Task::Projection => None,
        }
    }

    /// Returns the inputs as parameters: `(dep_delay number, carrier text)`.
    pub(crate) fn parameters(&self) -> String {
        let parameter = |input: &Input| format!("{} {}", input.name, kind_word(input.kind));
        format!("({})", self.inputs.iter().map(parameter).collect::<Vec<_>>().join(", "))
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
    let mut inputs = Vec::new();
    for (at, field) in columns.fields().iter().enumerate() {
        if label.as_ref().is_some_and(|(name, _)| name == field.name()) {
            continue;
        }
        match kind_of(field.data_type()) {
            Some(kind) => inputs.push(Input { name: field.name().clone(), kind }),
            None => {
                let data_type = sql_type(field.data_type());
                let message = format!("feature `{}` of `{}` has type {data_type}", field.name(), node.name);
                let hint = "a feature is a number, a boolean or a text: cast it, or compute from it what matters";
                mistakes.push(wrong(Code::TYPE_MISMATCH, message, places.of_output(at)).hint(hint));
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
    };
    let class_type = label.as_ref().map_or(DataType::Float64, |(_, data_type)| data_type.clone());
    if mistakes.is_empty() { Ok(ModelShape { task, inputs, label, class_type, components }) } else { Err(mistakes) }
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
            None => mistake.hint("name it: `input_label_cols = ['column']`; without it, it is `label`"),
        });
    };
    let field = columns.field(found);
    let fits = match (&model.algorithm, field.data_type()) {
        (Algorithm::LinearReg(_), data_type) => {
            handed_over(InputKind::Number, data_type).filter(|_| *data_type != DataType::Null)
        }
        (_, DataType::Boolean) => Some(DataType::Boolean),
        (_, data_type) if data_type.is_integer() => Some(DataType::Int64),
        (_, data_type) => handed_over(InputKind::Text, data_type).filter(|_| *data_type != DataType::Null),
    };
    fits.map(|data_type| (field.name().clone(), data_type)).ok_or_else(|| {
        let data_type = sql_type(field.data_type());
        let message = format!("`{}` cannot predict `{}`, which has type {data_type}", node.name, field.name());
        let hint = match model.algorithm {
            Algorithm::LinearReg(_) => "a linear regression predicts a number",
            _ => "a logistic regression predicts a boolean, a whole number or a text of two values",
        };
        let place = Places::new(&model.query).of_output(found).unwrap_or(at);
        Diagnostic::error(Code::TYPE_MISMATCH, message).at(place).hint(hint).node(&node.name)
    })
}
