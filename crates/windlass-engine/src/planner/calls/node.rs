//! The logical node that computes calls of Python as columns beside those of its input.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::datatypes::Field;
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};

use super::PythonFunction;

/// A call with the column that its results become.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PythonCall {
    /// What is called.
    pub(crate) function: PythonFunction,
    /// With what: expressions over the node's input that call no Python.
    pub(crate) arguments: Vec<Expr>,
    /// The name of the column.
    pub(crate) column: String,
}

/// Keeps the rows and columns of its input and adds a column for each call.
#[derive(Debug, Clone)]
pub(crate) struct PythonCalls {
    /// Whose rows they are made for.
    pub(crate) input: LogicalPlan,
    /// The calls; the functions of all can run in one worker.
    pub(crate) calls: Vec<PythonCall>,
    schema: DFSchemaRef,
}

impl PythonCall {
    /// Returns whether another call with these parts would give the same.
    pub(crate) fn is_same(&self, function: &PythonFunction, arguments: &[Expr]) -> bool {
        self.function == *function && self.arguments == arguments
    }
}

impl PythonCalls {
    /// Returns the node above `input`.
    ///
    /// # Errors
    ///
    /// A column's name that `input` has already.
    pub(crate) fn try_new(input: LogicalPlan, calls: Vec<PythonCall>) -> Result<Self> {
        let kept = input.schema().iter().map(|(table, field)| (table.cloned(), Arc::clone(field)));
        let added =
            calls.iter().map(|call| (None, Arc::new(Field::new(&call.column, call.function.returns().clone(), true))));
        let fields = kept.chain(added).collect();
        let schema = DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?;
        Ok(Self { input, calls, schema: Arc::new(schema) })
    }

    /// Returns the node that a plan is; `None` for any other.
    pub(crate) fn of(plan: &LogicalPlan) -> Option<&Self> {
        match plan {
            LogicalPlan::Extension(Extension { node }) => node.as_any().downcast_ref(),
            _ => None,
        }
    }

    /// Returns the node as a plan.
    pub(crate) fn into_plan(self) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(self) })
    }
}

impl UserDefinedLogicalNodeCore for PythonCalls {
    fn name(&self) -> &str {
        "PythonCalls"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.calls.iter().flat_map(|call| call.arguments.iter().cloned()).collect()
    }

    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        self.calls.iter().map(|call| call.column.clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls: Vec<String> = self.calls.iter().map(ToString::to_string).collect();
        write!(f, "PythonCalls: {}", calls.join(", "))
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let wanted: usize = self.calls.iter().map(|call| call.arguments.len()).sum();
        let (Some(input), true, true) = (inputs.pop(), inputs.is_empty(), exprs.len() == wanted) else {
            return Err(DataFusionError::Internal("calls of Python lost an argument or their input".to_string()));
        };
        let mut exprs = exprs.into_iter();
        let calls = self
            .calls
            .iter()
            .map(|call| PythonCall { arguments: exprs.by_ref().take(call.arguments.len()).collect(), ..call.clone() });
        Self::try_new(input, calls.collect())
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let kept = self.input.schema().fields().len();
        // What the arguments read is added to this.
        Some(vec![output_columns.iter().copied().filter(|column| *column < kept).collect()])
    }

    fn supports_limit_pushdown(&self) -> bool {
        self.calls.iter().all(|call| call.function.is_deterministic())
    }
}

impl fmt::Display for PythonCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arguments: Vec<String> = self.arguments.iter().map(ToString::to_string).collect();
        let text = format!("{}({})", self.function.name(), arguments.join(", "));
        match text.replace(", ", ",") == self.column.replace(", ", ",") {
            true => f.write_str(&text),
            false => write!(f, "{text} AS {}", self.column),
        }
    }
}

impl PartialEq for PythonCalls {
    fn eq(&self, other: &Self) -> bool {
        self.calls == other.calls && self.input == other.input
    }
}

impl Eq for PythonCalls {}

impl Hash for PythonCalls {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.calls.hash(state);
        self.input.hash(state);
    }
}

impl PartialOrd for PythonCalls {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let text = |node: &Self| node.calls.iter().map(ToString::to_string).collect::<Vec<_>>();
        let order = text(self).partial_cmp(&text(other))?.then(self.input.partial_cmp(&other.input)?);
        (order != Ordering::Equal || self == other).then_some(order)
    }
}
