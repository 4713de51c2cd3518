//! Trains boosted trees of `CREATE MODEL`: a library grows them in a worker, the engine measures and scores them.

use datafusion::arrow::datatypes::Schema;
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};
use serde_json::{Map, Value, json};
use windlass_model::train::{TreeRows, measure, tree_rows};
use windlass_model::{Scorer, Task};
use windlass_project::{BoostedTrees, Model, PythonEnvironment, PythonOrigin};
use windlass_worker::{PoolSettings, StartMode, TrainingCode};

use super::held::hold;
use super::register::Learned;
use super::train::{TrainingQuery, layout, untrained};
use super::trainer::Trainer;
use crate::build::{BuildRequest, Phase};
use crate::operators::{Leave, specialise};
use crate::session::PlanStyle;
use crate::{Engine, Error};

/// Longest time for a worker to get ready: it only imports the library.
const START_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(300);

impl Engine {
    /// Grows trees on the rows of the query, in the order of what they hold.
    pub(super) async fn grow_trees(
        &self,
        request: &BuildRequest<'_>,
        model: &Model,
        trees: &BoostedTrees,
        training: &TrainingQuery,
    ) -> Result<Learned, Error> {
        let node = request.node;
        let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
        let state = training.context.state();
        request.progress.phase(Phase::Staging);
        let columns: Vec<Expr> =
            training.columns.schema().iter().map(|column| Expr::Column(Column::from(column))).collect();
        // Equal rows may change places, and no others: the same rows are the same training.
        let order = columns.into_iter().map(|column| column.sort(true, true));
        let sorted = LogicalPlanBuilder::from(training.columns.clone()).sort(order).and_then(|plan| plan.build());
        let sorted = sorted.map_err(failed)?;
        let plain = std::sync::Arc::new(Schema::new(sorted.schema().fields().clone()));
        let held = async {
            let plan = state.create_physical_plan(&sorted).await?;
            let leave = Leave { room: self.session.room(PlanStyle::Fast), may_reorder: false };
            let plan = specialise(plan, leave)?;
            let limit = (node.name.as_str(), trees.max_bytes);
            hold(plan, state.task_ctx(), &plain, limit, |rows| request.progress.rows_read(rows)).await
        };
        let held = match held.await {
            Ok(held) => held,
            Err(source) => return Err(self.blame_training(request, training, &state, source).await),
        };
        let layout = layout(model, &training.shape, held.batch.num_rows() as u64);
        let rows = tree_rows(&layout, &held.batch).map_err(|error| untrained(node, model, error))?;
        let environment = environment(trees);
        let trainer = self.tree_trainer(model, trees, &rows, &environment);
        let answer = self.ask_trainer(request, trainer, rows.batch.clone()).await?;
        let Some((format, file)) = answer.file else { return Err(Error::NotPublished { table: node.name.clone() }) };

        let unusable = |source| Error::UseModel { model: node.name.clone(), source };
        let names: Vec<String> = layout.inputs.iter().map(|input| input.name.clone()).collect();
        let mut scorer =
            Scorer::load(format, &file.bytes).and_then(|scorer| scorer.with_inputs(&names)).map_err(unusable)?;
        if let Some(classes) = &rows.classes {
            scorer = scorer.with_classes(classes.clone()).map_err(unusable)?;
        }
        let metrics = measure(&layout, &scorer, &held.batch).map_err(|error| untrained(node, model, error))?;
        let mut params = answer.params;
        params.insert("rows".to_string(), rows.rows.to_string());
        params.insert("evaluation_share".to_string(), layout.evaluation.to_string());
        Ok(Learned {
            format,
            files: vec![file],
            task: if rows.classes.is_some() { Task::Classification } else { Task::Regression },
            outputs: scorer.signature().outputs.clone(),
            classes: rows.classes,
            metrics,
            params,
            tags: std::collections::BTreeMap::new(),
        })
    }

    fn tree_trainer<'a>(
        &self,
        model: &Model,
        trees: &BoostedTrees,
        rows: &TreeRows,
        environment: &'a PythonEnvironment,
    ) -> Trainer<'a> {
        let threads = self.session.settings().threads.max(1);
        Trainer {
            environment,
            code: TrainingCode { function: None, settings: told(model, trees, rows, threads) },
            code_hash: String::new(),
            vars: Map::new(),
            settings: PoolSettings {
                concurrency: (1, 1),
                num_cpus: threads as f64,
                num_gpus: 0.0,
                timeout: None,
                start_timeout: START_TIMEOUT,
                memory: None,
                start: StartMode::Fork,
            },
        }
    }
}

/// Returns the packages that grow trees.
pub(crate) fn environment(trees: &BoostedTrees) -> PythonEnvironment {
    PythonEnvironment {
        origin: PythonOrigin::Script,
        requires_python: None,
        dependencies: vec![trees.library.requirement().to_string()],
    }
}

/// Returns what the code that grows trees is told; see `_trees.py`.
fn told(model: &Model, trees: &BoostedTrees, rows: &TreeRows, threads: usize) -> Map<String, Value> {
    let BoostedTrees {
        label: _,
        is_classifier,
        library,
        booster,
        max_iterations,
        num_parallel_tree,
        max_tree_depth,
        learn_rate,
        min_tree_child_weight,
        min_split_loss,
        subsample,
        colsample_bytree,
        colsample_bylevel,
        colsample_bynode,
        l1_reg,
        l2_reg,
        early_stop,
        min_rel_progress,
        auto_class_weights,
        max_bytes: _,
    } = trees;
    let told = json!({
        "task": if *is_classifier { "classification" } else { "regression" },
        "categories": rows.categories,
        "library": library.name(),
        "booster_type": booster.name(),
        "max_iterations": max_iterations,
        "num_parallel_tree": num_parallel_tree,
        "max_tree_depth": max_tree_depth,
        "learn_rate": learn_rate,
        "min_tree_child_weight": min_tree_child_weight,
        "min_split_loss": min_split_loss,
        "subsample": subsample,
        "colsample_bytree": colsample_bytree,
        "colsample_bylevel": colsample_bylevel,
        "colsample_bynode": colsample_bynode,
        "l1_reg": l1_reg,
        "l2_reg": l2_reg,
        "early_stop": early_stop,
        "min_rel_progress": min_rel_progress,
        "auto_class_weights": auto_class_weights,
        "seed": model.seed,
        "threads": threads,
    });
    match told {
        Value::Object(told) => told,
        _ => Map::new(),
    }
}

/// Returns what trees are grown with, by name.
pub(super) fn params(model: &Model, trees: &BoostedTrees) -> Vec<(&'static str, String)> {
    vec![
        (super::LABEL_PARAM, trees.label.clone()),
        ("library", trees.library.requirement().to_string()),
        ("booster_type", trees.booster.name().to_string()),
        ("max_iterations", trees.max_iterations.to_string()),
        ("num_parallel_tree", trees.num_parallel_tree.to_string()),
        ("max_tree_depth", trees.max_tree_depth.to_string()),
        ("learn_rate", trees.learn_rate.to_string()),
        ("min_tree_child_weight", trees.min_tree_child_weight.to_string()),
        ("min_split_loss", trees.min_split_loss.to_string()),
        ("subsample", trees.subsample.to_string()),
        ("colsample_bytree", trees.colsample_bytree.to_string()),
        ("colsample_bylevel", trees.colsample_bylevel.to_string()),
        ("colsample_bynode", trees.colsample_bynode.to_string()),
        ("l1_reg", trees.l1_reg.to_string()),
        ("l2_reg", trees.l2_reg.to_string()),
        ("early_stop", trees.early_stop.to_string()),
        ("min_rel_progress", trees.min_rel_progress.to_string()),
        ("auto_class_weights", trees.auto_class_weights.to_string()),
        ("seed", model.seed.to_string()),
    ]
}
