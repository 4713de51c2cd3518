//! Models whose scoring is a class of the project: its code and the files that it loads become a version.
//!
//! Planning hashes the files where they stand and holds none of them; they are read when a version is new.

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::DataType;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use sha2::{Digest, Sha256};
use windlass_error::{Code, Diagnostic};
use windlass_model::registry::hash;
use windlass_model::{Column, ColumnType, Format, Label, Signature, Task};
use windlass_project::{ImportedModel, ModelArtifact, ModelClass, ModelColumn, Node};

use super::ModelShape;
use super::import::{Found, ImportedFile, NewImport, label, said};
use super::in_python::{InPython, Loader, code_files};
use super::shape::PythonShape;
use crate::session::PlanStyle;
use crate::storage::Place;
use crate::tables::contract;
use crate::{Engine, Error};

/// The folder of a version that holds what its class loads.
const ARTIFACTS: &str = "artifacts";

/// A file that becomes a part of a version: its place there, and where it stands.
type Waiting = (String, Place);

/// What a model that Python scores reads and answers, as the project declares it.
pub(super) struct Declared {
    pub(super) task: Task,
    pub(super) signature: Signature,
    pub(super) classes: Option<Vec<Label>>,
}

impl Declared {
    /// Returns the shape of the model.
    pub(super) fn shape(&self, label: Option<&str>) -> ModelShape {
        let classes = self.classes.as_ref().map_or(0, Vec::len);
        let shape = ModelShape::new(self.task, &self.signature, self.classes.as_deref(), label);
        shape.in_python(PythonShape::new(self.task, &self.signature, classes))
    }

    /// Puts together what is read and answered: the probabilities of classes, or columns.
    pub(super) fn new(inputs: Vec<Column>, outputs: Vec<Column>, classes: &[String]) -> Self {
        if !classes.is_empty() {
            return Self::of_classes(inputs, classes.iter().map(|class| label(class)).collect());
        }
        let (task, outputs) = match outputs.as_slice() {
            [one] if matches!(one.data_type, ColumnType::Double | ColumnType::Float) => {
                (Task::Regression, vec![Column::new("prediction", ColumnType::Double, true)])
            }
            [one] => (Task::Other, vec![Column::new("prediction", one.data_type.clone(), true)]),
            _ => (Task::Other, outputs),
        };
        Self { task, signature: Signature { inputs, outputs }, classes: None }
    }

    /// Puts together what a classifier reads and answers.
    pub(super) fn of_classes(inputs: Vec<Column>, classes: Vec<Label>) -> Self {
        let outputs = vec![
            Column::new("prediction", Label::type_of(&classes), true),
            Column::new("probabilities", ColumnType::Vector(classes.len()), true),
        ];
        Self { task: Task::Classification, signature: Signature { inputs, outputs }, classes: Some(classes) }
    }
}

impl Engine {
    /// Reads a class that scores, as it is now.
    ///
    /// # Errors
    ///
    /// Mistakes at types that are none and at files that are not there; errors of storage.
    pub(super) async fn read_class(
        &self,
        node: &Node,
        imported: &ImportedModel,
        class: &ModelClass,
    ) -> Result<ImportedFile, Error> {
        let inputs = self.columns_said(node, &imported.columns).await?;
        let mut outputs = self.columns_said(node, &imported.outputs).await?;
        if outputs.is_empty() {
            outputs.push(Column::new("", ColumnType::Double, true));
        }
        let declared = Declared::new(inputs, outputs, &imported.classes);
        let shape = declared.shape(imported.label.as_deref());
        let mut about = InPython::of_code(Loader::Class, &class.code);
        about.columns = format!("{} {:?}", said(imported), declared.signature);
        about.lock = self.lock_of(&node.name, &class.code.environment).await;
        let mut waiting = Vec::new();
        for (name, artifact) in &class.artifacts {
            let (at, found) = self.files_of(node, name, artifact).await?;
            about.artifacts.insert(name.clone(), at);
            for (path, place) in found {
                about.files.insert(path.clone(), hash_of(&place).await?);
                waiting.push((path, place));
            }
        }
        let code = code_files(&class.code, &node.name)?;
        let first = about.to_file();
        let fingerprint = hash(&first.bytes);
        if let Some(known) = self.version_of_training(node, &fingerprint).await? {
            return Ok(ImportedFile { shape, fingerprint, found: Found::Registered(Box::new(known)) });
        }
        let params = BTreeMap::from([("class".to_string(), format!("{}:{}", about.file, about.object))]);
        let Declared { signature, classes, .. } = declared;
        let files = std::iter::once(first).chain(code).collect();
        let new = NewImport { files, waiting, format: Format::Python, signature, classes, params, about: Some(about) };
        Ok(ImportedFile { shape, fingerprint, found: Found::New(Box::new(new)) })
    }

    /// Returns columns with their types understood.
    ///
    /// # Errors
    ///
    /// A mistake at each type that is none, or that is not handed over.
    pub(super) async fn columns_said(&self, node: &Node, said: &[ModelColumn]) -> Result<Vec<Column>, Error> {
        let context = self.session.context(PlanStyle::Fast);
        let (mut columns, mut mistakes) = (Vec::new(), Vec::new());
        for column in said {
            let data_type = contract::parse_type(&context, &column.data_type).await;
            match data_type.as_ref().and_then(ColumnType::of).filter(|_| !data_type.as_ref().is_some_and(is_wide)) {
                Some(data_type) => columns.push(Column::new(&column.name, data_type, true)),
                None => {
                    let message =
                        format!("`{}` is no type of a column that a model reads or answers", column.data_type);
                    let mistake = Diagnostic::error(Code::INVALID_VALUE, message).at(column.location.clone());
                    let hint = "there are boolean, int, bigint, float, double, varchar and timestamp";
                    mistakes.push(mistake.hint(hint).node(&node.name));
                }
            }
        }
        if mistakes.is_empty() { Ok(columns) } else { Err(Error::Mistakes { diagnostics: mistakes }) }
    }

    /// Returns the files of an artifact with their places in the version, and the place that its name stands for.
    async fn files_of(
        &self,
        node: &Node,
        name: &str,
        artifact: &ModelArtifact,
    ) -> Result<(String, Vec<Waiting>), Error> {
        let place = self.storage.open(&artifact.path)?;
        let own = format!("{ARTIFACTS}/{name}");
        let is_folder = place.local().is_some_and(|path| path.is_dir());
        if !is_folder && place.store.head(&place.path).await.is_ok() {
            let at = format!("{own}/{}", place.path.filename().unwrap_or(name));
            return Ok((at.clone(), vec![(at, place)]));
        }
        let listed: Result<Vec<_>, _> = place.store.list(Some(&place.path)).try_collect().await;
        let listed = listed.map_err(|source| Error::List { location: artifact.path.clone(), source })?;
        let mut files: Vec<Waiting> = Vec::new();
        for file in listed {
            let Some(parts) = file.location.prefix_match(&place.path) else { continue };
            let below: Vec<String> = parts.map(|part| part.as_ref().to_string()).collect();
            files.push((format!("{own}/{}", below.join("/")), place.join(&below.join("/"))));
        }
        files.sort_by(|(one, _), (other, _)| one.cmp(other));
        if files.is_empty() {
            let message = format!("artifact `{name}` of `{}` is not there", node.name);
            let mistake = Diagnostic::error(Code::MISSING_FILE, message).at(artifact.location.clone()).node(&node.name);
            let mistake = mistake.note(format!("looked for: {}", artifact.path));
            return Err(Error::Mistakes {
                diagnostics: vec![mistake.hint("name a file, a folder with files, or a URL")],
            });
        }
        Ok((own, files))
    }
}

/// Returns whether a type has values that no column of a signature holds as they are.
fn is_wide(data_type: &DataType) -> bool {
    matches!(data_type, DataType::UInt64 | DataType::Decimal128(..) | DataType::Decimal256(..) | DataType::Float16)
}

/// Returns what a file hashes to; it is not held in memory.
async fn hash_of(place: &Place) -> Result<String, Error> {
    let failed = |source| Error::List { location: place.display(), source };
    let mut bytes = place.store.get(&place.path).await.map_err(failed)?.into_stream();
    let mut hasher = Sha256::new();
    while let Some(part) = bytes.try_next().await.map_err(failed)? {
        hasher.update(&part);
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
