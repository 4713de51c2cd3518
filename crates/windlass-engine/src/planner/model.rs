//! Plans models: those that this run may train by their queries, others as they are registered.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::prelude::SessionContext;
use windlass_error::{Code, Diagnostic};
use windlass_project::{ImportedModel, Input, InputPart, Model, Node, Project};

use super::{Content, Plan, PlannedNode, Reading, Tables};
use crate::fingerprint::Inputs;
use crate::models::{self, KnownModel, ModelShape, planned_shape};
use crate::session::PlanStyle;
use crate::{Engine, Error};

impl Engine {
    /// Plans a model that this run may train: its query, and whether its columns can be learned from.
    pub(super) async fn plan_model(
        &self,
        project: &Project,
        node: &Node,
        model: &Model,
        plan: &Plan,
    ) -> Result<PlannedNode, Error> {
        let context = self.session.context(PlanStyle::Fast);
        let reading = Reading { project, plan, tables: Tables::BySchema };
        self.register_inputs(&context, &model.query.inputs, &reading).await?;
        let (query, checked) = self.plan_text(project, node, &model.query, &context).await?;
        let schema = Arc::clone(checked.schema().inner());
        let shape = planned_shape(node, model, &schema).map_err(|diagnostics| Error::Mistakes { diagnostics })?;
        let content = Content::Model(Arc::new(shape), Some(Arc::new(query)));
        Ok(PlannedNode { schema, rows: None, is_published: false, errors: None, content, incremental: None })
    }

    /// Plans a model whose file this run may import.
    pub(super) async fn plan_imported(&self, node: &Node, imported: &ImportedModel) -> Result<PlannedNode, Error> {
        let file = self.read_import(node, imported).await?;
        let content = Content::Imported(Arc::new(file.shape));
        let schema = Arc::new(datafusion::arrow::datatypes::Schema::empty());
        Ok(PlannedNode { schema, rows: None, is_published: false, errors: None, content, incremental: None })
    }

    /// Plans a model as it is registered: the version that readers get, or the newest where none was promoted.
    pub(super) async fn plan_trained_model(&self, project: &Project, node: &Node) -> Result<PlannedNode, Error> {
        let newest = format!("{}@latest", node.name);
        let record = match self.model_record(&node.name).await {
            Err(Error::UseModel { .. }) => self.model_record(&newest).await,
            other => other,
        };
        let record = match record {
            Err(Error::UseModel { source: windlass_model::Error::UnknownModel { .. }, .. }) => {
                let readers: Vec<&str> = project.graph.children(&node.name).iter().map(String::as_str).collect();
                let message = format!("model `{}` has not been trained yet", node.name);
                let mistake = Diagnostic::error(Code::UNKNOWN_MODEL, message)
                    .at(node.location.clone())
                    .hint(format!("train it too: windlass run +{}", readers.first().copied().unwrap_or(&node.name)))
                    .node(&node.name);
                return Err(Error::Mistakes { diagnostics: vec![mistake] });
            }
            other => other?,
        };
        let content = Content::Model(Arc::new(ModelShape::of_version(&record)), None);
        let schema = Arc::new(datafusion::arrow::datatypes::Schema::empty());
        Ok(PlannedNode { schema, rows: None, is_published: false, errors: None, content, incremental: None })
    }

    /// Makes the models among inputs known to a context. One that this run trains is known by its shape until
    /// then.
    pub(crate) async fn register_models(
        &self,
        context: &SessionContext,
        inputs: &[Input],
        reading: &Reading<'_>,
        read: &mut Inputs,
    ) -> Result<(), Error> {
        let mut known = BTreeMap::new();
        for input in inputs.iter().filter(|input| input.part == InputPart::Model) {
            let Some(planned) = reading.plan.nodes.get(&input.node) else { continue };
            let model = match (&planned.content, reading.tables) {
                (Content::Model(shape, Some(_)) | Content::Imported(shape), Tables::BySchema)
                    if input.reference == input.node =>
                {
                    KnownModel::of_shape(&input.reference, shape)
                }
                _ => {
                    let (model, version) = self.model_input(reading.project, input).await?;
                    read.insert(input.reference.clone(), version);
                    model
                }
            };
            known.insert(input.reference.clone(), model);
        }
        if !known.is_empty() {
            // Views and checks read models in contexts that no function is registered with.
            let caller = inputs.first().map_or("", |input| input.node.as_str());
            self.host_python(context, reading.project, caller);
            models::register(context, known);
        }
        Ok(())
    }
}
