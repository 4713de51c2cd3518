//! Python functions in SQL: from calls by name to operators that hand batches to workers.
//!
//! For names, types and mistakes a function of `functions/*.py` is a scalar function like any other
//! ([`PythonFunction`]), but one that cannot be evaluated here. Once subqueries have become joins
//! and constants are folded, [`ExtractPythonCalls`] takes the calls out of all expressions: a node
//! [`PythonCalls`] below computes them as columns, one trip to the workers for all calls that can
//! share it, and [`PythonQueryPlanner`] turns that node into an operator.
//!
//! A call of a model that Python scores is taken out in the same way: the column has what workers answer for a row, of
//! which the call itself, in the place where it stood, makes what SQL asks for.
//!
//! Must stay true: a call is evaluated for every row that reaches the clause where it stands, behind
//! the joins and the plain conditions of a WHERE, and CASE, COALESCE, AND and OR spare it no row; equal
//! calls of a deterministic function are one call, and one whose arguments are constants is made once
//! for a whole query; names of columns follow from the text of calls alone, so that equal queries
//! have equal plans.

mod extraction;
mod function;
mod node;
mod physical;
mod rule;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::{Optimizer, OptimizerRule};
use windlass_error::Location;
use windlass_project::Transform;

use super::spans::Places;
use crate::models::ModelFunction;
pub(crate) use function::{AskedModel, PythonFunction, Resolved, converts};
pub(crate) use node::{PythonCall, PythonCalls};
pub(crate) use physical::PythonQueryPlanner;
use rule::ExtractPythonCalls;
pub(crate) use rule::{restore, restore_places};

/// The rule before which calls are taken out: all before it bring a query into its plain form, and
/// those from it on move rows and columns about.
const BEFORE: &str = "filter_null_join_keys";

/// A call that cannot be made where it stands; travels through DataFusion as an external error.
#[derive(Debug, thiserror::Error)]
#[error("`{function}` {what}")]
pub(crate) struct CallMistake {
    /// The function.
    pub(crate) function: String,
    /// What is wrong, to follow its name.
    pub(crate) what: String,
    /// What to do.
    pub(crate) way_out: &'static str,
}

impl From<CallMistake> for DataFusionError {
    fn from(mistake: CallMistake) -> Self {
        Self::External(Box::new(mistake))
    }
}

/// Returns DataFusion's rules with ours in its place.
pub(crate) fn optimizer_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = Optimizer::new().rules;
    let place = rules.iter().position(|rule| rule.name() == BEFORE).unwrap_or(rules.len());
    rules.insert(place, Arc::new(ExtractPythonCalls));
    rules
}

/// Returns the Python functions of the project that a query calls, by name. Looks through views and subqueries.
pub(crate) fn functions_in(query: &LogicalPlan) -> BTreeMap<String, PythonFunction> {
    called(query, |function| function.model().is_none())
}

/// Returns what asks workers for the models of a query that Python scores, by reference.
pub(crate) fn models_in(query: &LogicalPlan) -> BTreeMap<String, PythonFunction> {
    called(query, |function| function.model().is_some())
}

fn called(query: &LogicalPlan, is_wanted: impl Fn(&PythonFunction) -> bool) -> BTreeMap<String, PythonFunction> {
    let mut found = BTreeMap::new();
    let mut note = |function: &PythonFunction| {
        if is_wanted(function) {
            found.insert(function.name().to_string(), function.clone());
        }
    };
    let _ = query.apply_with_subqueries(|node| {
        if let Some(calls) = PythonCalls::of(node) {
            calls.calls.iter().for_each(|call| note(&call.function));
        }
        node.apply_expressions(|root| {
            root.apply(|expr| {
                if let Some((function, _)) = python_call(expr) {
                    note(function);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    found
}

/// Returns whether a query calls Python.
pub(crate) fn calls_python(query: &LogicalPlan) -> bool {
    let mut found = false;
    let _ = query.apply_with_subqueries(|node| {
        found = found || PythonCalls::of(node).is_some() || called_in(node).is_some();
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found
}

/// Returns whether an expression calls Python.
pub(crate) fn has_call(expr: &Expr) -> bool {
    expr.exists(|expr| Ok(python_call(expr).is_some())).unwrap_or(false)
}

/// Returns a Python function that the expressions of a node call.
fn called_in(node: &LogicalPlan) -> Option<PythonFunction> {
    let mut found = None;
    let _ = node.apply_expressions(|root| {
        root.apply(|expr| {
            found = python_call(expr).map(|(function, _)| function.clone());
            Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    });
    found
}

/// Returns where a transform's SQL names a function.
pub(crate) fn place_of(transform: &Transform, function: &str) -> Option<Location> {
    Places::new(transform).of_word(function)
}

fn lost_column(name: &str) -> DataFusionError {
    DataFusionError::Internal(format!("calls of Python lost column `{name}`"))
}

/// Returns function and arguments of a call of Python: of a function, or of a model that Python scores.
fn python_call(expr: &Expr) -> Option<(&PythonFunction, &[Expr])> {
    match expr {
        Expr::ScalarFunction(call) => {
            let inner = call.func.inner();
            let function = inner.downcast_ref().or_else(|| inner.downcast_ref::<ModelFunction>()?.asked())?;
            Some((function, &call.args))
        }
        _ => None,
    }
}
