//! Module-level names that hold one literal for as long as the file is imported.
//!
//! Must stay true: a name that may hold anything else by the time a decorator reads it is no
//! constant. What functions do when the module calls them is not looked at.

use std::collections::HashMap;

use ruff_python_ast::visitor::{Visitor, walk_expr, walk_stmt};
use ruff_python_ast::{Expr, ExprContext, Stmt};
use ruff_text_size::{Ranged, TextRange, TextSize};

/// Methods that change a list, dict or set in place.
const MUTATORS: [&str; 13] = [
    "add",
    "append",
    "clear",
    "discard",
    "extend",
    "insert",
    "pop",
    "popitem",
    "remove",
    "reverse",
    "setdefault",
    "sort",
    "update",
];

/// What the names of a module are bound to.
pub(super) struct Constants<'a> {
    bindings: HashMap<&'a str, Binding<'a>>,
}

/// What a name is bound to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Binding<'a> {
    /// One value, by one assignment that ends at `end`.
    Value { value: &'a Expr, end: TextSize },
    /// One assignment, and something that changes it at the place.
    Changed(TextRange),
    /// An import, a definition, a loop, a branch.
    Other(&'static str),
}

impl<'a> Constants<'a> {
    /// Reads the statements of a module.
    pub(super) fn of(body: &'a [Stmt]) -> Self {
        let mut binder = Binder { bindings: HashMap::new() };
        for stmt in body {
            binder.top_level(stmt);
        }
        Self { bindings: binder.bindings }
    }

    pub(super) fn get(&self, name: &str) -> Option<Binding<'a>> {
        self.bindings.get(name).copied()
    }

    /// Returns all names that hold one value.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        let values = self.bindings.iter().filter(|(_, binding)| matches!(binding, Binding::Value { .. }));
        values.map(|(name, _)| *name)
    }
}

struct Binder<'a> {
    bindings: HashMap<&'a str, Binding<'a>>,
}

impl<'a> Binder<'a> {
    fn top_level(&mut self, stmt: &'a Stmt) {
        let end = stmt.range().end();
        match stmt {
            Stmt::Assign(assign) if assign.targets.iter().all(Expr::is_name_expr) => {
                self.visit_expr(&assign.value);
                for target in assign.targets.iter().filter_map(Expr::as_name_expr) {
                    self.bind(&target.id, Binding::Value { value: &assign.value, end }, target.range);
                }
            }
            Stmt::AnnAssign(assign) => match (assign.target.as_ref(), &assign.value) {
                (Expr::Name(target), Some(value)) => {
                    self.visit_expr(value);
                    self.bind(&target.id, Binding::Value { value, end }, target.range);
                }
                (_, None) => {}
                _ => self.visit_stmt(stmt),
            },
            _ => self.visit_stmt(stmt),
        }
    }

    fn bind(&mut self, name: &'a str, binding: Binding<'a>, at: TextRange) {
        let binding = if self.bindings.contains_key(name) { Binding::Changed(at) } else { binding };
        self.bindings.insert(name, binding);
    }

    /// Notes that what a name holds is changed in place.
    fn change(&mut self, expr: &'a Expr, at: TextRange) {
        if let Expr::Name(name) = expr
            && let Some(binding) = self.bindings.get_mut(name.id.as_str())
        {
            *binding = Binding::Changed(at);
        }
    }
}

impl<'a> Visitor<'a> for Binder<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::FunctionDef(function) => {
                self.bind(&function.name, Binding::Other("a function"), function.name.range);
                Globals { binder: self }.visit_body(&function.body);
            }
            Stmt::ClassDef(class) => {
                self.bind(&class.name, Binding::Other("a class"), class.name.range);
                Globals { binder: self }.visit_body(&class.body);
            }
            Stmt::Import(import) => {
                for alias in &import.names {
                    let name = alias.asname.as_ref().unwrap_or(&alias.name);
                    let local = name.as_str().split('.').next().unwrap_or_default();
                    self.bind(local, Binding::Other("imported"), alias.range);
                }
            }
            Stmt::ImportFrom(import) => {
                for alias in &import.names {
                    let name = alias.asname.as_ref().unwrap_or(&alias.name);
                    self.bind(name, Binding::Other("imported"), alias.range);
                }
            }
            _ => walk_stmt(self, stmt),
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Name(name) if name.ctx != ExprContext::Load => {
                self.bind(&name.id, Binding::Other("set in a loop, a branch or by unpacking"), name.range);
            }
            Expr::Subscript(item) if item.ctx != ExprContext::Load => self.change(&item.value, item.range),
            Expr::Call(call) => {
                if let Expr::Attribute(method) = call.func.as_ref()
                    && MUTATORS.contains(&method.attr.as_str())
                {
                    self.change(&method.value, method.range);
                }
                walk_expr(self, expr);
            }
            Expr::Lambda(_) => {}
            _ => walk_expr(self, expr),
        }
    }
}

/// Finds names that functions set at module level.
struct Globals<'a, 'b> {
    binder: &'b mut Binder<'a>,
}

impl<'a> Visitor<'a> for Globals<'a, '_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        if let Stmt::Global(global) = stmt {
            for name in &global.names {
                self.binder.bindings.insert(name, Binding::Changed(name.range));
            }
        }
        walk_stmt(self, stmt);
    }

    fn visit_expr(&mut self, _expr: &'a Expr) {}
}
