//! `functions/**/*.py`: functions that SQL calls by name, each decorated with `@udf`.

use ruff_python_ast::Parameters;
use serde_json::{Map, Value};
use windlass_error::{Code, Diagnostic, Location, nearest};

use super::arguments::{Arguments, Known};
use super::definitions::{Callable, Definition, find, lacks_import};
use super::literal::LiteralValue;
use super::module::Module;
use super::settings::{SHARED, batch_format, workers};
use super::{OnError, Parameter, PythonBatchFormat, WorkerSettings};
use crate::decode::list;
use crate::names::quoted;
use crate::problems::Problems;

const EXAMPLE: &str = "write `@udf(returns=\"double\")` above the function";

const KNOWN: Known = Known { decorator: "udf", positional: None, names: &[SHARED, &["args", "nulls", "returns"]] };

/// What a decorator says about a function.
#[derive(Debug)]
pub(super) struct Decorated {
    pub(super) name: String,
    pub(super) location: Location,
    pub(super) parameters: Vec<Parameter>,
    pub(super) returns: String,
    pub(super) deterministic: Option<bool>,
    pub(super) sees_nulls: bool,
    pub(super) on_error: OnError,
    pub(super) batch_format: PythonBatchFormat,
    pub(super) workers: WorkerSettings,
}

/// Reads the functions of a file.
pub(super) fn read(module: &Module<'_>, vars: &Map<String, Value>, problems: &mut Problems) -> Vec<Decorated> {
    let definitions = find(module, "udf", problems);
    if definitions.is_empty() {
        problems.push(none(module));
    }
    definitions.iter().filter_map(|definition| function(module, definition, vars, problems)).collect()
}

fn none(module: &Module<'_>) -> Diagnostic {
    let message = format!("`{}` defines no function for SQL", module.file.path.display());
    let problem = Diagnostic::warning(Code::FUNCTION, message).at(Location::new(module.file, 0..0));
    if lacks_import(module, "udf") {
        return problem.hint("import the decorator: `from windlass import udf`");
    }
    if !find(module, "transform", &mut Problems::default()).is_empty() {
        return problem.hint("transforms belong into a file of `transforms/`");
    }
    problem.hint("decorate a function at module level with `@udf(returns=\"double\")`; shared code belongs into `lib/`")
}

fn function(
    module: &Module<'_>,
    definition: &Definition<'_>,
    vars: &Map<String, Value>,
    problems: &mut Problems,
) -> Option<Decorated> {
    let name = definition.object.clone();
    let location = module.at(&definition.object_at);
    let wrong = |message: String| Diagnostic::error(Code::FUNCTION, message).at(location.clone());
    let Some(call) = definition.call else {
        let problem = Diagnostic::error(Code::MISSING_KEY, "`@udf` needs the argument `returns`");
        problems.push(problem.at(module.at(&definition.at)).hint(EXAMPLE));
        return None;
    };
    let Callable::Function { parameters, is_async } = definition.callable else {
        let hint = "write a function of arrays; a class that is loaded once belongs into a `@transform`";
        problems.push(wrong(format!("`{name}` is not a function of this file")).hint(hint));
        return None;
    };
    if is_async {
        problems.push(wrong(format!("`{name}` is an async function")).hint("write `def`: workers call it and wait"));
    }
    if quoted(&name) != name {
        let hint = format!("SQL writes names in lower case: rename it to `{}`", name.to_lowercase());
        problems.push(wrong(format!("`{name}` is not a name that SQL can call")).hint(hint));
    }
    let arguments = Arguments::read(module, call, &KNOWN, vars, problems);
    arguments.require("returns", EXAMPLE, problems);
    let mut parameters = signature(module, &name, parameters, problems);
    if parameters.is_empty() {
        let hint = "the rows of its arguments say how many results there are";
        problems.push(wrong(format!("`{name}` takes no argument")).hint(hint));
    }
    types(&arguments, &mut parameters, problems);
    let returns = arguments.text("returns", problems);
    if returns.as_ref().is_some_and(|returns| returns.trim().is_empty()) {
        problems
            .push(Diagnostic::error(Code::DECORATOR, "`returns` is empty").at(arguments.at("returns")).hint(EXAMPLE));
    }
    Some(Decorated {
        parameters,
        returns: returns.unwrap_or_default(),
        deterministic: arguments.flag("deterministic", problems),
        sees_nulls: arguments.choice("nulls", &[("skip", false), ("pass", true)], problems).unwrap_or(false),
        on_error: on_error(&arguments, problems),
        batch_format: batch_format(&arguments, problems),
        workers: workers(&arguments, problems),
        name,
        location,
    })
}

fn signature(module: &Module<'_>, name: &str, parameters: &Parameters, problems: &mut Problems) -> Vec<Parameter> {
    let hint = "SQL gives every argument by place: name each one, without defaults";
    let mut refuse = |at: Location, what: &str| {
        let message = format!("`{name}` has {what}, which SQL cannot give");
        problems.push(Diagnostic::error(Code::FUNCTION, message).at(at).hint(hint));
    };
    let mut found = Vec::new();
    for parameter in parameters.posonlyargs.iter().chain(&parameters.args) {
        if parameter.default.is_some() {
            refuse(module.at(parameter), "a parameter with a default");
        }
        found.push(Parameter { name: parameter.parameter.name.to_string(), data_type: None });
    }
    if let Some(rest) = &parameters.vararg {
        refuse(module.at(rest.as_ref()), "a parameter for any number of arguments");
    }
    for parameter in &parameters.kwonlyargs {
        refuse(module.at(parameter), "a parameter that needs its name");
    }
    if let Some(rest) = &parameters.kwarg {
        refuse(module.at(rest.as_ref()), "a parameter for named arguments");
    }
    found
}

/// Reads `args`, the types of parameters.
fn types(arguments: &Arguments, parameters: &mut [Parameter], problems: &mut Problems) {
    let Some(literal) = arguments.get("args") else { return };
    let LiteralValue::Dict(entries) = &literal.value else {
        problems.push(literal.expected("a dict of types by parameter", "args"));
        return;
    };
    for (name, data_type) in entries {
        let Some(written) = data_type.as_text().filter(|written| !written.trim().is_empty()) else {
            problems.push(data_type.expected("a SQL type", "args"));
            continue;
        };
        let names: Vec<String> = parameters.iter().map(|parameter| parameter.name.clone()).collect();
        match parameters.iter_mut().find(|parameter| name.as_text() == Some(parameter.name.as_str())) {
            Some(parameter) => parameter.data_type = Some(written.to_owned()),
            None => {
                let problem = name.expected("the name of a parameter", "args");
                let text = name.as_text().unwrap_or_default();
                problems.push(match nearest(text, names.iter().map(String::as_str)) {
                    Some(near) => problem.label(format!("did you mean `{near}`?")),
                    None => problem.hint(format!("parameters are {}", list(&names))),
                });
            }
        }
    }
}

fn on_error(arguments: &Arguments, problems: &mut Problems) -> OnError {
    if let Some(literal) = arguments.get("on_error")
        && literal.as_text() == Some("quarantine")
    {
        let message = "`on_error=\"quarantine\"` is for transforms: rows of a SELECT have no error table";
        let problem = Diagnostic::error(Code::DECORATOR, message).at(literal.at.clone());
        problems.push(problem.hint("use `\"fail\"` or `\"null\"`, or call the code in a Python transform"));
        return OnError::Fail;
    }
    let options = [("fail", OnError::Fail), ("null", OnError::Null)];
    arguments.choice("on_error", &options, problems).unwrap_or(OnError::Fail)
}

#[cfg(test)]
mod tests;
