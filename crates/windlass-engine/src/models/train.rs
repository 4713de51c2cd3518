//! Trains a model: its query is staged once, then `windlass_model::train` makes its passes. Trees and models in Python
//! are trained in a worker.

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast};
use datafusion::physical_plan::execute_stream_partitioned;
use datafusion::prelude::SessionContext;
use tokio::task::JoinSet;
use windlass_error::{Code, Diagnostic};
use windlass_model::train::{
    Error as TrainError, InputKind, KMeansOptions, Labels, Layout, LinearOptions, LogisticOptions, PcaOptions, Trained,
    Training,
};
use windlass_project::{Algorithm, KMeans, Model, Node, Regression, Split};

use super::register::Learned;
use super::stage::StagedRows;
use super::{ModelShape, logical_plan, planned_shape};
use crate::build::{BuildRequest, Built, Phase};
use crate::fingerprint::{Inputs, fingerprint};
use crate::incremental::Refresh;
use crate::operators::{Leave, specialise};
use crate::planner::{Reading, Tables, blame};
use crate::python::{self, functions::Caller};
use crate::session::PlanStyle;
use crate::{Engine, Error};

/// Rows below which none are kept for evaluation.
const FEW_ROWS: u64 = 500;
/// Rows up to which a fifth is kept; of more, [`KEPT_ROWS`].
const SOME_ROWS: u64 = 50_000;
const KEPT_ROWS: f64 = 10_000.0;
const KEPT_SHARE: f64 = 0.2;

/// A training query over the tables as they stand in the lake.
pub(super) struct TrainingQuery {
    pub(super) context: SessionContext,
    /// As the user wrote it.
    pub(super) query: LogicalPlan,
    /// Features as doubles and texts, then the label.
    pub(super) columns: LogicalPlan,
    pub(super) shape: ModelShape,
    read: Inputs,
}

impl Engine {
    /// Trains a model and registers the version. `None` when the progress forbids to; nothing is registered then.
    ///
    /// # Errors
    ///
    /// [`Error::Gates`] where the version missed a gate: it is registered, and readers keep the one before;
    /// [`Error::Compute`] with the user's line where the query fails or nothing can be learned from its rows.
    pub(crate) async fn train(&self, request: &BuildRequest<'_>, model: &Model) -> Result<Option<Built>, Error> {
        let node = request.node;
        if let Some(python) = model.algorithm.python() {
            // Its lock is part of the definition, and there may be none yet.
            self.environment(request.project, node, &python.code.environment).await?;
        }
        let training = self.training_query(request, model).await?;
        let definition = self.definition(request.project, request.plan, node).await?;
        let fingerprint = fingerprint(&definition, &training.read);
        // Who asks for it trains what has been trained before as well.
        let anew = request.ask.refresh != Refresh::IfChanged;
        let known = if anew { None } else { self.version_of_training(node, &fingerprint).await? };
        let learned = match known {
            Some(_) => None,
            None => Some(self.learn(request, model, &training).await?),
        };
        request.progress.phase(Phase::Staged);
        if !request.progress.begin_commit() {
            return Ok(None);
        }
        let version = match (known, learned) {
            (Some(known), _) => known,
            (None, Some(learned)) => {
                let made = super::register::Made {
                    learned,
                    shape: &training.shape,
                    definition: &definition,
                    read: &training.read,
                    fingerprint: &fingerprint,
                    anew,
                };
                self.register_version(request, model, made).await?
            }
            (None, None) => return Err(Error::NotPublished { table: node.name.clone() }),
        };
        self.promote(request, &version).await?;
        request.progress.phase(Phase::Committed);
        let missed: Vec<String> = version
            .gates
            .iter()
            .filter(|gate| gate.verdict != windlass_model::Verdict::Pass)
            .map(windlass_model::Gate::describe)
            .collect();
        if !missed.is_empty() {
            return Err(Error::Gates { model: node.name.clone(), version: version.version, missed });
        }
        let rows = version.params.get("rows").and_then(|rows| rows.parse().ok()).unwrap_or_default();
        let bytes = version.artifacts.iter().map(|artifact| artifact.bytes).sum();
        Ok(Some(Built {
            version: version.version,
            rows,
            bytes,
            files: version.artifacts.len() as u64,
            fingerprint,
            failures: None,
            nulls: None,
            checks: Vec::new(),
        }))
    }

    async fn training_query(&self, request: &BuildRequest<'_>, model: &Model) -> Result<TrainingQuery, Error> {
        let node = request.node;
        let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
        let context = self.session.context(PlanStyle::Fast);
        let reading = Reading { project: request.project, plan: request.plan, tables: Tables::InLake };
        let caller = Caller { node: &node.name, sql: &model.query.sql };
        self.register_functions(&context, request.project, caller).await;
        let read = self.register_inputs(&context, &model.query.inputs, &reading).await?;
        let query = logical_plan(&context.state(), &model.query.sql).await.map_err(failed)?;
        self.prepare_functions(request.project, node, std::slice::from_ref(&query)).await?;
        let shape = planned_shape(node, model, query.schema().as_arrow())
            .map_err(|diagnostics| Error::Mistakes { diagnostics })?;
        let columns = columns(&query, &shape).map_err(failed)?;
        Ok(TrainingQuery { context, query, columns, shape, read })
    }

    /// Computes the query and trains on its rows, where that kind of model is trained.
    async fn learn(
        &self,
        request: &BuildRequest<'_>,
        model: &Model,
        training: &TrainingQuery,
    ) -> Result<Learned, Error> {
        let work = match &model.algorithm {
            Algorithm::Trees(trees) => return self.grow_trees(request, model, trees, training).await,
            Algorithm::Python(python) => return self.train_in_python(request, model, python, training).await,
            Algorithm::LinearReg(options) => linear(options),
            Algorithm::LogisticReg(options) => logistic(options),
            Algorithm::KMeans(options) => kmeans(options, model.seed),
            Algorithm::Pca(options) => {
                Training::Pca(PcaOptions { components: options.components as usize, scale: options.scale })
            }
        };
        let (trained, layout) = self.pass_over(request, model, training, work).await?;
        Learned::of_ours(trained, &layout)
            .map_err(|source| Error::UseModel { model: request.node.name.clone(), source })
    }

    /// Trains a model of our own in passes over the rows.
    async fn pass_over(
        &self,
        request: &BuildRequest<'_>,
        model: &Model,
        training: &TrainingQuery,
        work: Training,
    ) -> Result<(Trained, Layout), Error> {
        let node = request.node;
        let state = training.context.state();
        request.progress.phase(Phase::Staging);
        let staged = async {
            let plan = state.create_physical_plan(&training.columns).await?;
            let leave = Leave { room: self.session.room(PlanStyle::Fast), may_reorder: true };
            let plan = specialise(plan, leave)?;
            let partitions = execute_stream_partitioned(plan, state.task_ctx())?;
            let (folder, threads) = (&self.session.settings().spill, self.session.settings().threads);
            StagedRows::write(partitions, folder, threads, |rows| request.progress.rows_read(rows)).await
        };
        let (rows, guard) = match staged.await {
            Ok(staged) => staged,
            Err(source) => return Err(self.blame_training(request, training, &state, source).await),
        };
        let layout = layout(model, &training.shape, rows.rows);
        let mut passes = JoinSet::new();
        let for_passes = layout.clone();
        passes.spawn_blocking(move || work.run(&for_passes, &rows));
        let trained = match passes.join_next().await {
            Some(Ok(trained)) => trained.map_err(|error| untrained(node, model, error))?,
            Some(Err(panic)) => {
                let source = DataFusionError::Internal(panic.to_string());
                return Err(Error::Compute { node: node.name.clone(), blame: None, source });
            }
            None => return Err(Error::NotPublished { table: node.name.clone() }),
        };
        drop(guard);
        Ok((trained, layout))
    }

    pub(super) async fn blame_training(
        &self,
        request: &BuildRequest<'_>,
        training: &TrainingQuery,
        state: &datafusion::execution::SessionState,
        source: DataFusionError,
    ) -> Error {
        let (project, node) = (request.project, request.node);
        let blame = match python::python_error(&source) {
            Some(error) => Some(python::diagnose(project, node, error)),
            None => blame::find(project, node, &training.query, state, &source).await,
        };
        Error::Compute { node: node.name.clone(), blame: blame.map(Box::new), source }
    }
}

/// Returns the query's columns as training takes them.
fn columns(query: &LogicalPlan, shape: &ModelShape) -> Result<LogicalPlan, DataFusionError> {
    let schema = query.schema();
    let column = |name: &str, data_type: DataType| {
        let found = schema.iter().find(|(_, field)| field.name() == name);
        let found =
            found.map_or_else(|| Column::from_name(name), |(qualifier, field)| Column::from((qualifier, field)));
        cast(Expr::Column(found), data_type).alias(name)
    };
    let mut all: Vec<Expr> = shape
        .inputs
        .iter()
        .map(|input| match input.kind {
            InputKind::Number => column(&input.name, DataType::Float64),
            InputKind::Text => column(&input.name, DataType::Utf8),
        })
        .collect();
    if let Some((label, _)) = &shape.label {
        let is_class = shape.task == windlass_model::Task::Classification;
        all.push(column(label, if is_class { DataType::Utf8 } else { DataType::Float64 }));
    }
    LogicalPlanBuilder::from(query.clone()).project(all)?.build()
}

/// Returns the layout of so many staged rows.
pub(super) fn layout(model: &Model, shape: &ModelShape, rows: u64) -> Layout {
    let labels = shape.label.as_ref().map(|(_, data_type)| match (shape.task, data_type) {
        (windlass_model::Task::Classification, DataType::Boolean) => Labels::Booleans,
        (windlass_model::Task::Classification, DataType::Int64) => Labels::Longs,
        (windlass_model::Task::Classification, _) => Labels::Texts,
        _ => Labels::Numbers,
    });
    let evaluation = match model.split {
        Split::None => 0.0,
        Split::Random(share) => share,
        Split::Auto if rows < FEW_ROWS => 0.0,
        Split::Auto if rows <= SOME_ROWS => KEPT_SHARE,
        Split::Auto => KEPT_ROWS / rows as f64,
    };
    Layout { inputs: shape.inputs.clone(), labels, evaluation }
}

fn linear(options: &Regression) -> Training {
    Training::Linear(LinearOptions { l2_reg: options.l2_reg, fit_intercept: options.fit_intercept })
}

fn logistic(options: &Regression) -> Training {
    Training::Logistic(LogisticOptions {
        l2_reg: options.l2_reg,
        fit_intercept: options.fit_intercept,
        max_iterations: options.max_iterations,
        min_rel_progress: options.min_rel_progress,
        auto_class_weights: options.auto_class_weights,
    })
}

fn kmeans(options: &KMeans, seed: u64) -> Training {
    Training::KMeans(KMeansOptions {
        clusters: options.clusters as usize,
        max_iterations: options.max_iterations,
        min_rel_progress: options.min_rel_progress,
        standardize: options.standardize,
        seed,
    })
}

/// Returns what a model was trained with, by name.
pub(super) fn params(model: &Model) -> BTreeMap<String, String> {
    let mut params = BTreeMap::from([("model_type".to_string(), model.algorithm.name().to_string())]);
    let mut add = |name: &str, value: String| {
        params.insert(name.to_string(), value);
    };
    match &model.algorithm {
        Algorithm::LinearReg(options) | Algorithm::LogisticReg(options) => {
            add(super::LABEL_PARAM, options.label.clone());
            add("l2_reg", options.l2_reg.to_string());
            add("fit_intercept", options.fit_intercept.to_string());
            if let Algorithm::LogisticReg(_) = model.algorithm {
                add("max_iterations", options.max_iterations.to_string());
                add("min_rel_progress", options.min_rel_progress.to_string());
                add("auto_class_weights", options.auto_class_weights.to_string());
            }
        }
        Algorithm::KMeans(options) => {
            add("num_clusters", options.clusters.to_string());
            add("max_iterations", options.max_iterations.to_string());
            add("min_rel_progress", options.min_rel_progress.to_string());
            add("standardize_features", options.standardize.to_string());
            add("seed", model.seed.to_string());
        }
        Algorithm::Pca(options) => {
            add("num_principal_components", options.components.to_string());
            add("scale_features", options.scale.to_string());
        }
        Algorithm::Trees(trees) => {
            super::trees::params(model, trees).into_iter().for_each(|(name, value)| add(name, value));
        }
        Algorithm::Python(python) => add("function", python.code.object.clone()),
    }
    params
}

/// Returns the mistake in the user's file that keeps a model from being trained.
pub(super) fn untrained(node: &Node, model: &Model, error: TrainError) -> Error {
    let blame = match &error {
        TrainError::Rows(what) => {
            let at = model.places.get("model_type").cloned().unwrap_or_else(|| node.location.clone());
            let message = format!("`{}` cannot be trained: {what}", node.name);
            Some(Box::new(Diagnostic::error(Code::TRAINING, message).at(at).node(&node.name)))
        }
        TrainError::Read(_) | TrainError::Model(_) => None,
    };
    Error::Compute { node: node.name.clone(), blame, source: DataFusionError::External(Box::new(error)) }
}
