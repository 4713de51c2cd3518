//! What a file hashes to: its meaning, without comments, layout and docstrings.
//!
//! The syntax tree is hashed as Ruff compares trees, which names every field that Python sees, so
//! quotes, brackets and line breaks do not count and everything else does. Arguments of decorators
//! that only say how work is done are left out as well.
//!
//! Must stay true: two files that may answer differently hash differently. A file that looks at its
//! docstrings keeps them.

use std::hash::{Hash, Hasher};

use ruff_python_ast::comparable::ComparableModModule;
use ruff_python_ast::visitor::transformer::{Transformer, walk_stmt};
use ruff_python_ast::{Decorator, Expr, ExprCall, Stmt};
use sha2::{Digest, Sha256};

use super::module::Module;

/// Arguments that change no row of a result, and no answer of a check, or that count as settings of the node.
const WITHOUT_EFFECT: [&str; 24] = [
    "batch_intervals",
    "batch_size",
    "concurrency",
    "description",
    "end",
    "interval",
    "lookback",
    "materialized",
    "max_error_rate",
    "max_errors",
    "memory",
    "num_cpus",
    "on_definition_change",
    "owner",
    "partition_by",
    "retries",
    "sample_rows",
    "sort_by",
    "start",
    "start_timeout",
    "strategy",
    "tags",
    "time_column",
    "timeout",
];

/// Returns the hash of a file, in hex.
pub(super) fn fingerprint(module: &Module<'_>) -> String {
    let mut tree = module.tree.clone();
    let text = &module.file.text;
    let reads_docstrings = ["__doc__", "getdoc", "getsource", "doctest"].iter().any(|word| text.contains(word));
    if !reads_docstrings {
        remove_docstring(&mut tree.body);
        let cleaner = DocstringRemover;
        for stmt in &mut tree.body {
            cleaner.visit_stmt(stmt);
        }
    }
    for stmt in &mut tree.body {
        remove_arguments(module, stmt);
    }
    let mut hasher = Sha256Hasher(Sha256::new());
    ComparableModModule::from(&tree).hash(&mut hasher);
    hasher.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

struct DocstringRemover;

impl Transformer for DocstringRemover {
    fn visit_stmt(&self, stmt: &mut Stmt) {
        match stmt {
            Stmt::FunctionDef(function) => remove_docstring(&mut function.body),
            Stmt::ClassDef(class) => remove_docstring(&mut class.body),
            _ => {}
        }
        walk_stmt(self, stmt);
    }

    fn visit_expr(&self, _expr: &mut Expr) {}
}

fn remove_docstring(body: &mut ruff_python_ast::Suite) {
    if body.first().is_some_and(|stmt| matches!(stmt, Stmt::Expr(expr) if expr.value.is_string_literal_expr())) {
        body.remove(0);
    }
}

fn remove_arguments(module: &Module<'_>, stmt: &mut Stmt) {
    let clean = |decorators: &mut [Decorator]| {
        for decorator in decorators {
            if let Expr::Call(call) = &mut decorator.expression {
                remove_from(module, call);
            }
        }
    };
    match stmt {
        Stmt::FunctionDef(function) => clean(&mut function.decorator_list),
        Stmt::ClassDef(class) => clean(&mut class.decorator_list),
        Stmt::Assign(assign) => remove_from_call_form(module, &mut assign.value),
        Stmt::Expr(expr) => remove_from_call_form(module, &mut expr.value),
        _ => {}
    }
}

fn remove_from_call_form(module: &Module<'_>, value: &mut Expr) {
    if let Expr::Call(outer) = value
        && let Expr::Call(inner) = outer.func.as_mut()
    {
        remove_from(module, inner);
    }
}

fn remove_from(module: &Module<'_>, call: &mut ExprCall) {
    if !matches!(module.windlass_name(&call.func), Some("transform" | "udf" | "check")) {
        return;
    }
    // Where rows of a batch see each other, its size decides what they see.
    let sees_batch = call.arguments.keywords.iter().any(|keyword| {
        keyword.arg.as_ref().is_some_and(|name| name == "rowwise")
            && !matches!(&keyword.value, Expr::BooleanLiteral(flag) if flag.value)
    });
    call.arguments.keywords.retain(|keyword| match keyword.arg.as_ref().map(|name| name.as_str()) {
        Some("batch_size") => sees_batch,
        Some(name) => !WITHOUT_EFFECT.contains(&name),
        None => true,
    });
}

/// Feeds a tree to SHA-256. Numbers have one width and byte order, so that machines agree.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn write_u16(&mut self, number: u16) {
        self.0.update(number.to_le_bytes());
    }

    fn write_u32(&mut self, number: u32) {
        self.0.update(number.to_le_bytes());
    }

    fn write_u64(&mut self, number: u64) {
        self.0.update(number.to_le_bytes());
    }

    fn write_usize(&mut self, number: usize) {
        self.0.update((number as u64).to_le_bytes());
    }

    fn write_isize(&mut self, number: isize) {
        self.0.update((number as i64).to_le_bytes());
    }

    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests;
