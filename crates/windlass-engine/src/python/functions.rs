//! Functions of `functions/*.py`: made known to SQL by name, and turned into work for the operator.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result as PlanResult};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, ScalarUDF};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use serde_json::Map;
use windlass_error::{Code, Diagnostic, Location};
use windlass_project::{Function, Node, OnError, Project};
use windlass_worker::{
    Call, CallArgument, CallErrors, Environment, EnvironmentRequest, Failure, Nulls, PoolSettings, Program, Role,
    Workers,
};

use super::{batch_format, code_hash, diagnose, environment_request, lib_folders, pool_settings};
use crate::estimates::exact_rows;
use crate::operators::python::{Limit, PythonError, Shape, Work, WorkersHandle};
use crate::planner::calls::{PythonCalls, PythonFunction, Resolved, functions_in, models_in, place_of};
use crate::tables::{contract, schema};
use crate::{Engine, Error};

/// What planning calls of Python takes; found in the session's extensions.
pub(crate) struct FunctionHost {
    workers: Arc<Workers>,
    root: PathBuf,
    lib: Vec<PathBuf>,
    threads: usize,
    node: String,
}

/// The SQL whose functions a context is to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'a> {
    /// The node, for messages.
    pub(crate) node: &'a str,
    /// Its SQL; empty where only its inputs call functions.
    pub(crate) sql: &'a str,
}

impl Engine {
    /// Makes the functions that some SQL names known to its context. One with a mistake is left out:
    /// [`Self::function_mistakes`] reports it.
    pub(crate) async fn register_functions(&self, context: &SessionContext, project: &Project, caller: Caller<'_>) {
        let sql = caller.sql.to_lowercase();
        for function in project.functions.values().filter(|function| sql.contains(&function.name)) {
            if let Ok(function) = resolve(context, function).await {
                context.register_udf(ScalarUDF::new_from_impl(function));
            }
        }
        let host = self.host(project, caller.node);
        let state = context.state_ref();
        let mut state = state.write();
        state.config_mut().set_extension(Arc::new(host));
        state.config_mut().set_extension(Arc::new(WorkersHandle(Arc::clone(&self.workers))));
    }

    /// Lets a context ask workers, where it cannot yet.
    pub(crate) fn host_python(&self, context: &SessionContext, project: &Project, node: &str) {
        let state = context.state_ref();
        let mut state = state.write();
        if state.config().get_extension::<FunctionHost>().is_none() {
            state.config_mut().set_extension(Arc::new(self.host(project, node)));
            state.config_mut().set_extension(Arc::new(WorkersHandle(Arc::clone(&self.workers))));
        }
    }

    fn host(&self, project: &Project, node: &str) -> FunctionHost {
        FunctionHost {
            workers: Arc::clone(&self.workers),
            root: project.root.clone(),
            lib: lib_folders(project),
            threads: self.session.settings().threads,
            node: node.to_string(),
        }
    }

    /// Returns what stands in the way of calling a project's functions from SQL.
    pub(crate) async fn function_mistakes(&self, project: &Project) -> Vec<Diagnostic> {
        let mut mistakes = Vec::new();
        if project.functions.is_empty() {
            return mistakes;
        }
        let context = self.session.context(crate::session::PlanStyle::Fast);
        for function in project.functions.values() {
            mistakes.extend(resolve(&context, function).await.err().into_iter().flatten());
        }
        mistakes
    }

    /// Prepares the environments of the functions that queries call.
    pub(crate) async fn prepare_functions(
        &self,
        project: &Project,
        node: &Node,
        queries: &[LogicalPlan],
    ) -> Result<(), Error> {
        let mut called: BTreeMap<String, PythonFunction> = queries.iter().flat_map(functions_in).collect();
        called.extend(queries.iter().flat_map(models_in));
        for function in called.values() {
            let request = request(function, &project.root);
            self.workers.environment(&request).await.map_err(|error| {
                let error = PythonError::from(error);
                let blame = Some(Box::new(diagnose(project, node, &error)));
                Error::Compute { node: node.name.clone(), blame, source: error.into() }
            })?;
        }
        Ok(())
    }
}

/// Returns how a function is called, as text; part of the fingerprint beside its file, variables and
/// packages.
pub(crate) fn definition(function: &Function) -> String {
    let Function { name, code, parameters, returns, deterministic: _, sees_nulls, on_error, location: _ } = function;
    format!("{name} {} {:?} {parameters:?} {returns} {sees_nulls} {on_error:?}", code.object, code.batch_format)
}

/// Returns the function that a failure went through or speaks of, and where a node's SQL calls it; no
/// place where a view does.
pub(super) fn called<'a>(
    project: &'a Project,
    node: &Node,
    failure: &Failure,
) -> Option<(&'a Function, Option<Location>)> {
    let stack = format!("{}\n{}", failure.file.as_deref().unwrap_or_default(), failure.traceback);
    let on_stack = |function: &&Function| stack.contains(&*function.code.path.to_string_lossy());
    let by_name = |function: &Function| {
        failure.function.as_deref() == Some(&function.name) || stack.contains(&format!("in {}\n", function.name))
    };
    let candidates: Vec<&Function> = project.functions.values().filter(on_stack).collect();
    let named = candidates.iter().find(|function| by_name(function)).or(candidates.first()).copied();
    let spoken_of = |function: &&Function| failure.message.contains(&format!("function `{}`", function.name));
    let function = match (named, node.python()) {
        (Some(function), _) => function,
        // A wrong result has no stack.
        (None, None) => project.functions.values().find(spoken_of)?,
        (None, Some(_)) => return None,
    };
    Some((function, node.transform().and_then(|transform| place_of(transform, &function.name))))
}

/// Returns where a node's SQL calls a function first.
pub(super) fn first_call(project: &Project, node: &Node) -> Option<Location> {
    let transform = node.transform()?;
    project.functions.keys().find_map(|name| place_of(transform, name))
}

/// Returns what to ask for the packages of a function. Environments belong to files, so the file
/// gives the name.
pub(super) fn request(function: &PythonFunction, root: &std::path::Path) -> EnvironmentRequest {
    let code = &function.definition().code;
    if function.model().is_some() {
        return environment_request(function.name(), &code.environment);
    }
    let file = code.path.strip_prefix(root).unwrap_or(&code.path);
    environment_request(&file.display().to_string(), &code.environment)
}

/// Returns a function with its types understood.
async fn resolve(context: &SessionContext, function: &Function) -> Result<PythonFunction, Vec<Diagnostic>> {
    let mut mistakes = Vec::new();
    if is_of_sql(context, &function.name) {
        let message = format!("`{}` is a function of SQL already", function.name);
        let mistake = Diagnostic::error(Code::FUNCTION, message).at(function.location.clone());
        mistakes.push(mistake.hint("give it another name; SQL functions are those of Apache DataFusion 55"));
    }
    let mut types = Vec::with_capacity(function.parameters.len());
    for parameter in &function.parameters {
        types.push(match &parameter.data_type {
            None => None,
            Some(text) => {
                let what = format!("parameter `{}`", parameter.name);
                match parse(context, function, &what, text).await {
                    Ok(data_type) => Some(data_type),
                    Err(mistake) => {
                        mistakes.push(mistake);
                        None
                    }
                }
            }
        });
    }
    let returns = match parse(context, function, "the result", &function.returns).await {
        Ok(data_type) => handed_over(&data_type),
        Err(mistake) => {
            mistakes.push(mistake);
            None
        }
    };
    match (returns, mistakes.is_empty()) {
        (Some(returns), true) => {
            let function = function.clone();
            Ok(PythonFunction::new(Resolved { function, returns, parameters: types, model: None }))
        }
        _ => Err(mistakes),
    }
}

fn is_of_sql(context: &SessionContext, name: &str) -> bool {
    let state = context.state_ref();
    let state = state.read();
    let scalar = state.scalar_functions().get(name);
    let is_ours = scalar.is_some_and(|function| function.inner().is::<PythonFunction>());
    let is_other = state.aggregate_functions().contains_key(name) || state.window_functions().contains_key(name);
    (scalar.is_some() && !is_ours) || is_other
}

/// Returns the type of a parameter or of the result; the mistake where Python cannot be given it.
async fn parse(context: &SessionContext, function: &Function, what: &str, text: &str) -> Result<DataType, Diagnostic> {
    let Some(data_type) = contract::parse_type(context, text).await else {
        let note = format!("it is the type of {what} of `{}`", function.name);
        return Err(contract::not_a_type(text, &function.location).note(note));
    };
    match handed_over(&data_type) {
        Some(_) => Ok(data_type),
        None => {
            let message = format!("{what} of `{}` has type {text}, which Python is not given", function.name);
            let mistake = Diagnostic::error(Code::FUNCTION, message).at(function.location.clone());
            Err(mistake.hint("use another type, such as varchar, double or timestamp"))
        }
    }
}

/// Returns the type in which values are exchanged with Python.
fn handed_over(data_type: &DataType) -> Option<DataType> {
    let plain = schema::published("", &Schema::new(vec![Field::new("value", data_type.clone(), true)])).ok()?;
    Some(plain.field(0).data_type().clone())
}

/// What the calls of a node are given: each column and each constant once.
#[derive(Default)]
struct Arguments {
    columns: Vec<Expr>,
    constants: Vec<ScalarValue>,
}

impl Arguments {
    fn place(&mut self, argument: &Expr) -> CallArgument {
        match argument {
            Expr::Literal(value, _) => CallArgument::Constant(place(&mut self.constants, value)),
            column => CallArgument::Column(place(&mut self.columns, column)),
        }
    }

    /// Returns the columns that are handed over.
    fn schema(&self, node: &PythonCalls) -> PlanResult<SchemaRef> {
        let columns = node.input.schema();
        let field = |expr: &Expr| Ok(Field::new(expr.schema_name().to_string(), expr.get_type(columns)?, true));
        plain(self.columns.iter().map(field).collect::<PlanResult<_>>()?)
    }

    /// Returns the constants as one row.
    fn row(&self) -> PlanResult<Option<RecordBatch>> {
        if self.constants.is_empty() {
            return Ok(None);
        }
        let field = |value: &ScalarValue| Field::new("constant", value.data_type(), true);
        let schema = plain(self.constants.iter().map(field).collect())?;
        let arrays = self
            .constants
            .iter()
            .zip(schema.fields())
            .map(|(value, field)| value.cast_to(field.data_type())?.to_array_of_size(1));
        Ok(Some(RecordBatch::try_new(Arc::clone(&schema), arrays.collect::<PlanResult<Vec<ArrayRef>>>()?)?))
    }
}

fn place<T: PartialEq + Clone>(known: &mut Vec<T>, wanted: &T) -> usize {
    known.iter().position(|value| value == wanted).unwrap_or_else(|| {
        known.push(wanted.clone());
        known.len() - 1
    })
}

fn plain(fields: Vec<Field>) -> PlanResult<SchemaRef> {
    let refused = |error: Error| DataFusionError::Plan(error.to_string());
    schema::published("a Python function", &Schema::new(fields)).map_err(refused)
}

impl FunctionHost {
    /// Returns what workers do for calls over the rows of `input`. Prepares the environment, starts
    /// no worker.
    pub(crate) async fn work(
        &self,
        node: &PythonCalls,
        input: &Arc<dyn ExecutionPlan>,
        compiled: impl Fn(&Expr) -> PlanResult<Arc<dyn PhysicalExpr>>,
    ) -> PlanResult<Work> {
        let Some(first) = node.calls.first().map(|call| &call.function) else {
            return Err(DataFusionError::Internal("no call of Python in its node".to_string()));
        };
        let mut arguments = Arguments::default();
        let calls: Vec<Call> = node
            .calls
            .iter()
            .map(|call| {
                let places = call.arguments.iter().map(|argument| arguments.place(argument)).collect();
                worker_call(&call.function, places)
            })
            .collect();
        let handed = arguments.schema(node)?;
        let expressions = arguments.columns.iter().map(&compiled).collect::<PlanResult<Vec<_>>>()?;
        let role = Role::Functions { calls, constants: arguments.row()? };
        let environment = self.workers.environment(&request(first, &self.root)).await.map_err(PythonError::from)?;
        let settings = pool_settings(&first.definition().code.workers, self.threads);
        let program = self.program(node, (role, handed), (environment, settings));
        Ok(Work {
            program,
            arguments: expressions,
            requires: Vec::new(),
            batch_rows: None,
            shape: Shape::Append,
            limit: Limit::None,
            expected_rows: exact_rows(input),
        })
    }

    fn program(
        &self,
        node: &PythonCalls,
        (role, input): (Role, SchemaRef),
        (environment, settings): (Environment, PoolSettings),
    ) -> Program {
        let output: Vec<Field> =
            node.calls.iter().map(|call| Field::new(&call.column, call.function.returns().clone(), true)).collect();
        let mut vars = Map::new();
        let mut hashes = Vec::new();
        for call in &node.calls {
            let code = &call.function.definition().code;
            vars.extend(code.vars.clone());
            let hash = code_hash(code);
            if !hashes.contains(&hash) {
                hashes.push(hash);
            }
        }
        Program {
            node: self.node.clone(),
            environment,
            role,
            input,
            output: Arc::new(Schema::new(output)),
            root: self.root.clone(),
            lib: node
                .calls
                .iter()
                .find_map(|call| call.function.model()?.lib.clone())
                .unwrap_or_else(|| self.lib.clone()),
            code_hash: hashes.join(";"),
            vars,
            // Rows that kill workers are told apart where no call would fail the node for one that raises.
            isolate: node.calls.iter().all(|call| call.function.definition().on_error == OnError::Null),
            settings,
        }
    }
}

fn worker_call(function: &PythonFunction, arguments: Vec<CallArgument>) -> Call {
    let model = function.model().map(|model| model.settings.clone());
    let function = function.definition();
    Call {
        file: function.code.path.clone(),
        object: function.code.object.clone(),
        arguments,
        batch_format: batch_format(function.code.batch_format),
        nulls: if function.sees_nulls { Nulls::Pass } else { Nulls::Skip },
        on_error: match function.on_error {
            OnError::Null => CallErrors::Null,
            OnError::Fail | OnError::Quarantine => CallErrors::Fail,
        },
        model,
    }
}
