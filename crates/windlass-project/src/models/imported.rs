//! Models that were trained elsewhere: entries of `models/*.yml` with a `path`.

use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use windlass_error::{Code, Diagnostic, Location, SourceFile};

use crate::checks::word;
use crate::decode::{Fields, named};
use crate::location::resolve;
use crate::manifest::parse_file;
use crate::problems::Problems;
use crate::yaml::Yaml;

/// The keys of an import, beside the settings that every model may have.
pub(crate) const IMPORT_KEYS: [&str; 5] = ["path", "format", "label", "inputs", "classes"];

/// A model that was trained elsewhere.
#[derive(Debug, Clone)]
pub struct ImportedModel {
    /// An absolute path, or a URL.
    pub path: String,
    /// What the file is.
    pub format: ModelFormat,
    /// The column that it predicts; its answers are called `predicted_<label>`.
    pub label: Option<String>,
    /// The columns that it reads, in its own order, where its file does not name them as tables do.
    pub inputs: Vec<String>,
    /// The classes of a classifier, where its file has numbers for them.
    pub classes: Vec<String>,
    /// Where the path is written.
    pub location: Location,
}

/// What the file of an imported model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelFormat {
    /// Text of LightGBM.
    Lightgbm,
    /// JSON or UBJSON of XGBoost.
    Xgboost,
    /// ONNX.
    Onnx,
}

const FORMATS: [(&str, ModelFormat); 3] =
    [("lightgbm", ModelFormat::Lightgbm), ("xgboost", ModelFormat::Xgboost), ("onnx", ModelFormat::Onnx)];

/// An import with the file that names it.
pub(crate) struct Import {
    pub(crate) file: Arc<SourceFile>,
    pub(crate) at: Location,
    /// `None` where it cannot be used; its name is known all the same.
    pub(crate) model: Option<ImportedModel>,
}

/// Returns the imports among properties files of models. What else these files say is read elsewhere, and so is
/// what is wrong with them as YAML.
pub(crate) fn read_imports(
    files: &[Arc<SourceFile>],
    root: &Path,
    problems: &mut Problems,
) -> IndexMap<String, Import> {
    let mut found = IndexMap::new();
    for file in files {
        let mut said = Problems::default();
        let Some(Some(yaml)) = parse_file(file, &mut said) else { continue };
        let Some(fields) = Fields::open(&yaml, "", &["models", "version"], &mut said) else { continue };
        let Some(entry) = fields.get("models") else { continue };
        for item in named(&entry.value, "`models`", &mut said).iter().filter(|item| item.has("path")) {
            let mut own = Problems::of_node(&item.name);
            let model = item.body().and_then(|body| read_import(body, root, &mut own));
            problems.absorb(own);
            let import = Import { file: Arc::clone(file), at: item.at.clone(), model };
            found.entry(item.name.clone()).or_insert(import);
        }
    }
    found
}

fn read_import(body: &Yaml, root: &Path, problems: &mut Problems) -> Option<ImportedModel> {
    // Other keys are settings, which are read with the properties.
    let fields = Fields::open(body, "", &[], &mut Problems::default())?;
    let path = fields.text("path", problems)?;
    let location = fields.value("path").map(|value| value.at.clone())?;
    let format = match fields.value("format") {
        Some(value) => word(value, "format", &FORMATS, problems)?,
        None => match path.rsplit_once('.').map(|(_, ending)| ending) {
            Some("txt") => ModelFormat::Lightgbm,
            Some("json" | "ubj") => ModelFormat::Xgboost,
            Some("onnx") => ModelFormat::Onnx,
            _ => {
                let problem =
                    Diagnostic::error(Code::INVALID_VALUE, format!("what `{path}` is does not show in its name"));
                problems.push(problem.at(location).hint("say it: `format: lightgbm`, `xgboost` or `onnx`"));
                return None;
            }
        },
    };
    Some(ImportedModel {
        path: resolve(root, &path),
        format,
        label: fields.text("label", problems),
        inputs: fields.texts("inputs", problems).unwrap_or_default(),
        classes: fields.texts("classes", problems).unwrap_or_default(),
        location,
    })
}
