//! Finds what a file hands to a decorator of Windlass: at module level, in one of three forms.
//!
//! ```python
//! @transform(...)                       # on a function or a class
//! score = transform(...)(Scorer)        # where the class comes from elsewhere
//! transform(...)(Scorer)
//! ```

use ruff_python_ast::{Decorator, Expr, ExprCall, Parameters, Stmt};
use ruff_text_size::{Ranged, TextRange};
use windlass_error::{Code, Diagnostic};

use super::module::Module;
use crate::problems::Problems;

/// One use of a decorator.
pub(super) struct Definition<'a> {
    /// The decorator with its arguments; `None` where it has no parentheses.
    pub(super) call: Option<&'a ExprCall>,
    /// The decorator as it stands there.
    pub(super) at: TextRange,
    /// The name that leads to the function or class in the file.
    pub(super) object: String,
    pub(super) object_at: TextRange,
    pub(super) callable: Callable<'a>,
}

/// What is decorated.
#[derive(Clone, Copy)]
pub(super) enum Callable<'a> {
    Function {
        parameters: &'a Parameters,
        is_async: bool,
    },
    Class {
        has_bases: bool,
        body: &'a [Stmt],
    },
    /// A name from elsewhere.
    Elsewhere,
}

/// Returns all uses of `decorator` at module level, in order.
pub(super) fn find<'a>(module: &Module<'a>, decorator: &str, problems: &mut Problems) -> Vec<Definition<'a>> {
    let mut found = Vec::new();
    for stmt in &module.tree.body {
        match stmt {
            Stmt::FunctionDef(function) => {
                for used in uses(module, &function.decorator_list, decorator) {
                    found.push(definition(used, &function.name, callable(stmt)));
                }
            }
            Stmt::ClassDef(class) => {
                for used in uses(module, &class.decorator_list, decorator) {
                    found.push(definition(used, &class.name, callable(stmt)));
                }
            }
            Stmt::Assign(assign) => {
                let target = assign.targets.first().filter(|_| assign.targets.len() == 1);
                found.extend(call_form(module, &assign.value, target, decorator, problems));
            }
            Stmt::AnnAssign(assign) => {
                let value = assign.value.as_deref();
                found.extend(
                    value.and_then(|value| call_form(module, value, Some(&assign.target), decorator, problems)),
                );
            }
            Stmt::Expr(expr) => found.extend(call_form(module, &expr.value, None, decorator, problems)),
            _ => {}
        }
    }
    found
}

type Use<'a> = (Option<&'a ExprCall>, TextRange);

fn uses<'a>(module: &Module<'a>, decorators: &'a [Decorator], wanted: &str) -> Vec<Use<'a>> {
    let mut uses = Vec::new();
    for decorator in decorators {
        match &decorator.expression {
            Expr::Call(call) if module.windlass_name(&call.func) == Some(wanted) => {
                uses.push((Some(call), decorator.expression.range()));
            }
            expr if module.windlass_name(expr) == Some(wanted) => uses.push((None, expr.range())),
            _ => {}
        }
    }
    uses
}

fn definition<'a>(used: Use<'a>, name: &ruff_python_ast::Identifier, callable: Callable<'a>) -> Definition<'a> {
    let (call, at) = used;
    Definition { call, at, object: name.to_string(), object_at: name.range, callable }
}

/// Reads `transform(...)(Name)`.
fn call_form<'a>(
    module: &Module<'a>,
    value: &'a Expr,
    target: Option<&'a Expr>,
    decorator: &str,
    problems: &mut Problems,
) -> Option<Definition<'a>> {
    let outer = value.as_call_expr()?;
    let inner = outer.func.as_call_expr()?;
    if module.windlass_name(&inner.func) != Some(decorator) {
        return None;
    }
    let callable = match (&*outer.arguments.args, outer.arguments.keywords.is_empty()) {
        ([callable], true) => callable,
        _ => {
            let message = format!("`{decorator}(...)` takes one function or class");
            let problem = Diagnostic::error(Code::DECORATOR, message).at(module.at(value));
            problems.push(problem.hint(format!("write `{decorator}(...)(Name)`")));
            return None;
        }
    };
    let made = |object: &str, object_at, callable| Definition {
        call: Some(inner),
        at: inner.range(),
        object: object.to_owned(),
        object_at,
        callable,
    };
    match (callable, target) {
        (Expr::Name(name), _) => {
            let local = module.tree.body.iter().find(|stmt| name_of(stmt) == Some(name.id.as_str()));
            Some(made(&name.id, name.range, local.map_or(Callable::Elsewhere, self::callable)))
        }
        (Expr::Attribute(_), Some(Expr::Name(target))) => Some(made(&target.id, target.range, Callable::Elsewhere)),
        _ => {
            let message = format!("`{decorator}(...)` is called on something that has no name");
            let problem = Diagnostic::error(Code::DECORATOR, message).at(module.at(callable));
            problems.push(problem.hint(format!("write `name = {decorator}(...)(Name)` with the name of a class")));
            None
        }
    }
}

fn callable(stmt: &Stmt) -> Callable<'_> {
    match stmt {
        Stmt::FunctionDef(function) => {
            Callable::Function { parameters: &function.parameters, is_async: function.is_async }
        }
        Stmt::ClassDef(class) => {
            let has_bases = class.arguments.as_ref().is_some_and(|arguments| !arguments.is_empty());
            Callable::Class { has_bases: has_bases || class.decorator_list.len() > 1, body: &class.body }
        }
        _ => Callable::Elsewhere,
    }
}

/// Returns the name that a definition binds.
pub(super) fn name_of(stmt: &Stmt) -> Option<&str> {
    match stmt {
        Stmt::FunctionDef(function) => Some(&function.name),
        Stmt::ClassDef(class) => Some(&class.name),
        _ => None,
    }
}

/// Returns whether a decorator of this name is used without being imported.
pub(super) fn lacks_import(module: &Module<'_>, decorator: &str) -> bool {
    let decorators = module.tree.body.iter().flat_map(|stmt| match stmt {
        Stmt::FunctionDef(function) => function.decorator_list.as_slice(),
        Stmt::ClassDef(class) => class.decorator_list.as_slice(),
        _ => &[],
    });
    let mut names = decorators.map(|decorator| match &decorator.expression {
        Expr::Call(call) => call.func.as_ref(),
        expr => expr,
    });
    names.any(|expr| match expr {
        Expr::Name(name) => name.id.as_str() == decorator,
        Expr::Attribute(attribute) => {
            attribute.attr.as_str() == decorator
                && attribute.value.as_name_expr().is_some_and(|package| package.id.as_str() == "windlass")
        }
        _ => false,
    })
}
