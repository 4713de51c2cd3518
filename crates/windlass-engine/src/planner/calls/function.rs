//! A Python function as SQL sees it: a name, parameters, a type.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use windlass_project::Function;

use crate::tables::schema::{published, sql_type};

/// A function of the project with its types understood.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// As the project defines it.
    pub(crate) function: Function,
    /// The type of its result, as workers give it.
    pub(crate) returns: DataType,
    /// The types of its parameters; `None` takes any.
    pub(crate) parameters: Vec<Option<DataType>>,
    /// The model that is asked in place of a function.
    pub(crate) model: Option<AskedModel>,
}

/// What asks a model in workers; what is called besides says which packages and workers that takes.
#[derive(Debug)]
pub(crate) struct AskedModel {
    /// What workers are told; see `_models.py`.
    pub(crate) settings: serde_json::Map<String, serde_json::Value>,
    /// The modules of its version, where those of the project are others by now.
    pub(crate) lib: Option<Vec<std::path::PathBuf>>,
}

/// A function of `functions/*.py`; equal to another where both give equal results.
#[derive(Clone)]
pub(crate) struct PythonFunction {
    resolved: Arc<Resolved>,
    signature: Arc<Signature>,
    identity: Arc<str>,
}

impl PythonFunction {
    /// Returns a function that SQL can call.
    pub(crate) fn new(resolved: Resolved) -> Self {
        let Function { name, code, parameters, returns, deterministic, sees_nulls, on_error, location: _ } =
            &resolved.function;
        let mut identity =
            format!("{name} {code:?} {parameters:?} {returns} {deterministic:?} {sees_nulls} {on_error:?}");
        if let Some(model) = &resolved.model {
            identity.push_str(&format!(" {:?}", model.settings));
        }
        let volatility = if deterministic.unwrap_or(true) { Volatility::Immutable } else { Volatility::Volatile };
        let names: Vec<&str> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        let signature = Signature::user_defined(volatility);
        let signature = signature.clone().with_parameter_names(names).unwrap_or(signature);
        Self { resolved: Arc::new(resolved), signature: Arc::new(signature), identity: identity.into() }
    }

    /// Returns the project's definition.
    pub(crate) fn definition(&self) -> &Function {
        &self.resolved.function
    }

    /// Returns the name.
    pub(crate) fn name(&self) -> &str {
        &self.resolved.function.name
    }

    /// Returns the model that it asks; `None` for a function of the project.
    pub(crate) fn model(&self) -> Option<&AskedModel> {
        self.resolved.model.as_ref()
    }

    /// Returns the type of results.
    pub(crate) fn returns(&self) -> &DataType {
        &self.resolved.returns
    }

    /// Returns whether equal arguments give equal results.
    pub(crate) fn is_deterministic(&self) -> bool {
        self.resolved.function.deterministic.unwrap_or(true)
    }

    /// Returns whether one worker can run both functions.
    pub(crate) fn shares_workers(&self, other: &Self) -> bool {
        if self.model().is_some() || other.model().is_some() {
            return self == other;
        }
        let (this, other) = (&self.definition().code, &other.definition().code);
        this.environment == other.environment && this.workers == other.workers
    }

    /// Returns the parameters as written, such as `(x double, label)`.
    fn parameters(&self) -> String {
        let parameter = |parameter: &windlass_project::Parameter| match &parameter.data_type {
            Some(data_type) => format!("{} {data_type}", parameter.name),
            None => parameter.name.clone(),
        };
        let parameters: Vec<String> = self.definition().parameters.iter().map(parameter).collect();
        format!("({})", parameters.join(", "))
    }

    /// Returns the type that an argument is handed over as; `None` where it cannot be.
    fn accepts(&self, parameter: Option<&DataType>, argument: &DataType) -> Option<DataType> {
        match parameter {
            Some(wanted) if converts(argument, wanted) => Some(wanted.clone()),
            Some(_) => None,
            None => is_handed_over(argument).then(|| argument.clone()),
        }
    }
}

/// Returns whether values become those of a parameter's type without being asked to. A value that
/// does not fit fails the query; none is rounded.
pub(crate) fn converts(from: &DataType, to: &DataType) -> bool {
    let is_text = |of: &DataType| matches!(of, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let is_moment = |of: &DataType| matches!(of, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64);
    match from {
        _ if from == to || sql_type(from) == sql_type(to) => true,
        DataType::Null => true,
        DataType::Dictionary(_, value) => converts(value, to),
        _ if from.is_integer() => to.is_numeric(),
        _ if from.is_numeric() => to.is_numeric() && !to.is_integer(),
        _ if is_text(from) => is_moment(to),
        _ if is_moment(from) => matches!(to, DataType::Timestamp(..)),
        _ => false,
    }
}

/// Returns whether values of a type can be given to Python.
fn is_handed_over(data_type: &DataType) -> bool {
    published("", &Schema::new(vec![Field::new("argument", data_type.clone(), true)])).is_ok()
}

impl ScalarUDFImpl for PythonFunction {
    fn name(&self) -> &str {
        Self::name(self)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.resolved.returns.clone())
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let parameters = &self.resolved.parameters;
        let taken =
            parameters.iter().zip(arguments).map(|(parameter, argument)| self.accepts(parameter.as_ref(), argument));
        match taken.collect::<Option<Vec<_>>>() {
            Some(taken) if parameters.len() == arguments.len() => Ok(taken),
            _ => {
                let given: Vec<String> = arguments.iter().map(sql_type).collect();
                let message = format!("takes {}, not ({})", self.parameters(), given.join(", "));
                Err(DataFusionError::Plan(message))
            }
        }
    }

    /// Only the folding of constants comes here, which leaves alone what cannot be evaluated.
    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(DataFusionError::Internal(format!("`{}` is a Python function and runs in workers", self.name())))
    }
}

impl fmt::Debug for PythonFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PythonFunction({})", self.name())
    }
}

impl PartialEq for PythonFunction {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}

impl Eq for PythonFunction {}

impl Hash for PythonFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity.hash(state);
    }
}
