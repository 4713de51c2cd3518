//! A model in Python between reading its file and looking up what it reads.
//!
//! Its rows are a query over the one table that it names, so that they are planned, traced and blamed like those of
//! `CREATE MODEL`.

use indexmap::IndexMap;
use windlass_error::Location;

use super::draft::resolve;
use super::model::{Decorated, Parts};
use super::{OnError, PythonCode, PythonModel};
use crate::config::Patch;
use crate::models::{Algorithm, Model, Split};
use crate::names::Names;
use crate::problems::Problems;
use crate::template::SqlTemplates;
use crate::{Input, SourceMap, Transform};

/// The option of `CREATE MODEL` that names the label.
const LABEL_OPTION: &str = "input_label_cols";

/// A model whose input has not been looked up.
#[derive(Debug)]
pub(crate) struct ModelDraft {
    pub(crate) patch: Patch,
    /// The function.
    pub(crate) location: Location,
    parts: Parts,
    code: PythonCode,
}

impl ModelDraft {
    pub(super) fn new(decorated: Decorated, code: PythonCode) -> Self {
        let Decorated { location, mut parts, .. } = decorated;
        Self { patch: std::mem::take(&mut parts.patch), location, parts, code }
    }

    /// Looks up what the model reads; reports what does not exist.
    pub(crate) fn resolve(self, names: &Names, templates: &SqlTemplates, problems: &mut Problems) -> Option<Model> {
        let parts = self.parts;
        let input = match resolve(&parts.input, names) {
            Ok(input) => input,
            Err(problem) => {
                problems.push(*problem);
                return None;
            }
        };
        let select = format!("select * from {}", input.reference);
        let query = match &parts.filter {
            None => {
                let map = SourceMap::default().between(&select, 0, "", &input.location);
                Transform {
                    sql: select,
                    map,
                    inputs: vec![input],
                    vars: IndexMap::new(),
                    incremental: None,
                    on_error: OnError::Null,
                }
            }
            Some(filter) => {
                let rendered = templates.render_query(filter, &input.node, problems)?;
                let (before, after) = (format!("{select} where ("), ")");
                let sql = format!("{before}{}{after}", rendered.sql);
                let map = rendered.map.between(&before, rendered.sql.len(), after, &input.location);
                let is_same = |known: &Input| (&known.node, known.part) == (&input.node, input.part);
                let others: Vec<Input> = rendered.inputs.into_iter().filter(|known| !is_same(known)).collect();
                let inputs = std::iter::once(input).chain(others).collect();
                Transform { sql, map, inputs, vars: rendered.vars, incremental: None, on_error: OnError::Null }
            }
        };
        let mut places: IndexMap<String, Location> =
            parts.places.into_iter().map(|(name, at)| (name.to_owned(), at)).collect();
        places.insert(LABEL_OPTION.to_owned(), parts.label.1);
        places.insert("model_type".to_owned(), self.location);
        let python = PythonModel {
            code: self.code,
            label: parts.label.0,
            features: parts.features,
            columns: parts.columns,
            task: parts.task,
            order_by: parts.order_by,
            seed: parts.seed,
            max_bytes: parts.max_bytes,
            deterministic: parts.deterministic,
            keep: parts.keep,
        };
        Some(Model {
            query,
            seed: parts.seed.unwrap_or_default(),
            algorithm: Algorithm::Python(Box::new(python)),
            // Which rows it keeps for evaluation is the code's own business.
            split: Split::None,
            gates: parts.gates,
            places,
        })
    }
}
