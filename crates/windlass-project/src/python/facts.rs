//! What one file contributes to a node, whatever it defines: its hash, its imports, and the
//! variables that it reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use ruff_python_ast::visitor::{Visitor, walk_expr};
use ruff_python_ast::{Expr, ExprCall, Stmt};
use serde_json::{Map, Value};
use windlass_error::{Diagnostic, SourceFile};

use super::definitions::name_of;
use super::fingerprint::fingerprint;
use super::literal::Literals;
use super::module::{Import, Module, with_module};
use super::volatile;
use crate::names::unknown_var;
use crate::problems::Problems;

/// What a file contributes.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) hash: String,
    pub(super) imports: Vec<Import>,
    /// Whether a module is imported whose name only a run knows.
    pub(super) imports_anything: bool,
    pub(super) vars: Map<String, Value>,
    /// A call that answers anew every time.
    pub(super) volatile: Option<String>,
    /// Functions and classes at module level, with whether it is a class.
    pub(super) definitions: BTreeMap<String, bool>,
}

impl Facts {
    /// Reads a file on its own.
    ///
    /// # Errors
    ///
    /// A diagnostic where it cannot be parsed.
    pub(super) fn read(
        file: &Arc<SourceFile>,
        vars: &Map<String, Value>,
        problems: &mut Problems,
    ) -> Result<Self, Box<Diagnostic>> {
        with_module(file, |module| Self::of(module, vars, problems))
    }

    /// Reads a parsed file.
    pub(super) fn of(module: &Module<'_>, vars: &Map<String, Value>, problems: &mut Problems) -> Self {
        let mut calls = CallFinder { module, literals: Literals::new(module, vars), vars, found: Found::default() };
        calls.visit_body(&module.tree.body);
        let found = calls.found;
        problems.extend(found.problems);
        let definitions = module.tree.body.iter().filter_map(|stmt| {
            let is_class = matches!(stmt, Stmt::ClassDef(_));
            name_of(stmt).map(|name| (name.to_owned(), is_class))
        });
        let dynamic = found.modules.into_iter().map(|module| Import { module, level: 0, taken: None });
        Self {
            hash: fingerprint(module),
            imports: module.imports.iter().cloned().chain(dynamic).collect(),
            imports_anything: found.imports_anything,
            vars: found.values,
            volatile: volatile::find(&module.tree.body),
            definitions: definitions.collect(),
        }
    }
}

#[derive(Default)]
struct Found {
    values: Map<String, Value>,
    modules: Vec<String>,
    imports_anything: bool,
    problems: Vec<Diagnostic>,
}

struct CallFinder<'a, 'm> {
    module: &'m Module<'a>,
    literals: Literals<'m>,
    vars: &'m Map<String, Value>,
    found: Found,
}

impl<'a> Visitor<'a> for CallFinder<'_, '_> {
    fn visit_expr(&mut self, expr: &'a Expr) {
        if let Expr::Call(call) = expr {
            if self.module.windlass_name(&call.func) == Some("var") {
                self.variable(call);
            } else if is_import(&call.func) {
                match call.arguments.args.first() {
                    Some(Expr::StringLiteral(name)) => self.found.modules.push(name.value.to_str().to_owned()),
                    _ => self.found.imports_anything = true,
                }
            }
        }
        walk_expr(self, expr);
    }
}

impl CallFinder<'_, '_> {
    fn variable(&mut self, call: &ExprCall) {
        let (name, default) = match self.literals.var(call) {
            Ok(found) => found,
            Err(problem) => {
                self.found.problems.extend(problem.map(|problem| *problem));
                return;
            }
        };
        if let Some(value) = self.vars.get(&name) {
            self.found.values.insert(name, value.clone());
        } else if let Some(default) = default {
            let mut problems = Problems::default();
            let value = default.to_json("var", &mut problems);
            self.found.problems.extend(problems.list);
            self.found.values.extend(value.map(|value| (name, value)));
        } else {
            let fault = unknown_var(&name, self.vars.keys().map(String::as_str));
            self.found.problems.push(fault.at(self.module.at(&call.arguments.args[0])));
        }
    }
}

/// Returns whether a call imports the module that its argument names.
fn is_import(function: &Expr) -> bool {
    match function {
        Expr::Name(name) => matches!(name.id.as_str(), "__import__" | "import_module"),
        Expr::Attribute(attribute) => attribute.attr.as_str() == "import_module",
        _ => false,
    }
}
