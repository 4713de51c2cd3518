//! One Python file as a syntax tree: what it imports, and which of its names are Windlass's.
//!
//! Must stay true: a tree lives only inside of [`with_module`], is at most [`MAX_DEPTH`] deep, and
//! finds a stack there that is large enough to walk it by recursion.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use ruff_python_ast::visitor::source_order::{SourceOrderVisitor, TraversalSignal};
use ruff_python_ast::visitor::{Visitor, walk_stmt};
use ruff_python_ast::{AnyNodeRef, Expr, ModModule, Stmt};
use ruff_python_parser::{Parsed, parse_module};
use ruff_text_size::{Ranged, TextRange};
use windlass_error::{Code, Diagnostic, Location, SourceFile};

use super::constants::Constants;

/// The package that the decorators come from.
const PACKAGE: &str = "windlass";
/// Python itself gives up at a few thousand levels.
const MAX_DEPTH: usize = 5_000;
/// Enough for the deepest tree without optimisation; untouched pages cost nothing.
const STACK: usize = 128 << 20;

/// A parsed file.
pub(super) struct Module<'a> {
    pub(super) file: &'a Arc<SourceFile>,
    pub(super) tree: &'a ModModule,
    pub(super) imports: Vec<Import>,
    pub(super) names: WindlassNames,
    pub(super) constants: Constants<'a>,
}

/// One module of an import statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Import {
    /// `a.b`; empty for `from . import x`.
    pub(super) module: String,
    /// Leading dots.
    pub(super) level: u32,
    /// What `from` takes, each with the name it gets here; `None` for a plain `import`.
    pub(super) taken: Option<Vec<(String, String)>>,
}

/// Which names of a file mean something of the package `windlass`.
#[derive(Debug, Default)]
pub(super) struct WindlassNames {
    functions: HashMap<String, String>,
    packages: HashSet<String>,
    takes_all: bool,
}

/// Parses a file and hands it to `read`.
///
/// # Errors
///
/// A diagnostic with the place where the parser gave up.
pub(super) fn with_module<T>(
    file: &Arc<SourceFile>,
    read: impl FnOnce(&Module<'_>) -> T,
) -> Result<T, Box<Diagnostic>> {
    stacker::maybe_grow(STACK, STACK, || {
        let refuse = |message: String, at: TextRange| {
            let at = Location::new(file, span(file, at));
            Box::new(Diagnostic::error(Code::PYTHON_SYNTAX, message).at(at))
        };
        let parsed = parse_module(&file.text).map_err(|err| {
            let reason = lowercase(&err.error.to_string());
            refuse(format!("the Python file cannot be parsed: {reason}"), err.location)
        })?;
        if let Some(at) = too_deep(parsed.syntax()) {
            // Freeing it would recurse as deep.
            std::mem::forget(parsed);
            return Err(refuse("the Python file is nested too deep".to_owned(), at));
        }
        Ok(read(&Module::new(file, &parsed)))
    })
}

/// Returns the first part of a tree that lies too deep.
fn too_deep(tree: &ModModule) -> Option<TextRange> {
    let mut depth = Depth::default();
    for stmt in &tree.body {
        depth.visit_stmt(stmt);
    }
    depth.exceeded
}

#[derive(Default)]
struct Depth {
    depth: usize,
    exceeded: Option<TextRange>,
}

impl<'a> SourceOrderVisitor<'a> for Depth {
    fn enter_node(&mut self, node: AnyNodeRef<'a>) -> TraversalSignal {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            self.exceeded = self.exceeded.or(Some(node.range()));
        }
        if self.exceeded.is_some() { TraversalSignal::Skip } else { TraversalSignal::Traverse }
    }

    fn leave_node(&mut self, _node: AnyNodeRef<'a>) {
        self.depth -= 1;
    }
}

impl<'a> Module<'a> {
    fn new(file: &'a Arc<SourceFile>, parsed: &'a Parsed<ModModule>) -> Self {
        let tree = parsed.syntax();
        let mut finder = ImportFinder::default();
        finder.visit_body(&tree.body);
        let names = WindlassNames::of(&finder.imports, finder.packages);
        Self { file, tree, imports: finder.imports, names, constants: Constants::of(&tree.body) }
    }

    /// Returns where a part of the tree stands.
    pub(super) fn at(&self, node: &impl Ranged) -> Location {
        Location::new(self.file, span(self.file, node.range()))
    }

    /// Returns what an expression means of the package, such as `transform` for `windlass.transform`.
    pub(super) fn windlass_name<'e>(&'e self, expr: &'e Expr) -> Option<&'e str> {
        match expr {
            Expr::Name(name) => match self.names.functions.get(name.id.as_str()) {
                Some(function) => Some(function),
                None => self.names.takes_all.then_some(name.id.as_str()),
            },
            Expr::Attribute(attribute) => match attribute.value.as_ref() {
                Expr::Name(package) if self.names.packages.contains(package.id.as_str()) => Some(&attribute.attr),
                _ => None,
            },
            _ => None,
        }
    }
}

impl WindlassNames {
    fn of(imports: &[Import], packages: HashSet<String>) -> Self {
        let mut names = Self { packages, ..Self::default() };
        let taken = imports.iter().filter(|import| import.module == PACKAGE && import.level == 0);
        for (name, local) in taken.flat_map(|import| import.taken.iter().flatten()) {
            match name.as_str() {
                "*" => names.takes_all = true,
                _ => {
                    names.functions.insert(local.clone(), name.clone());
                }
            }
        }
        names
    }
}

#[derive(Default)]
struct ImportFinder {
    imports: Vec<Import>,
    /// Names that stand for the package itself.
    packages: HashSet<String>,
}

impl<'a> Visitor<'a> for ImportFinder {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::Import(import) => {
                for alias in &import.names {
                    let module = alias.name.to_string();
                    let local = alias.asname.as_ref();
                    if module == PACKAGE || (local.is_none() && module.starts_with("windlass.")) {
                        self.packages.insert(local.map_or(PACKAGE, |name| name.as_str()).to_owned());
                    }
                    self.imports.push(Import { module, level: 0, taken: None });
                }
            }
            Stmt::ImportFrom(import) => {
                let taken = import.names.iter().map(|alias| {
                    let local = alias.asname.as_ref().unwrap_or(&alias.name);
                    (alias.name.to_string(), local.to_string())
                });
                self.imports.push(Import {
                    module: import.module.as_ref().map(ToString::to_string).unwrap_or_default(),
                    level: import.level,
                    taken: Some(taken.collect()),
                });
            }
            _ => walk_stmt(self, stmt),
        }
    }

    fn visit_expr(&mut self, _expr: &'a Expr) {}
}

/// Returns the bytes of a range, within the text.
fn span(file: &SourceFile, range: TextRange) -> Range<usize> {
    let end = file.text.len();
    range.start().to_usize().min(end)..range.end().to_usize().min(end)
}

/// Returns a message of the parser as ours are written.
fn lowercase(message: &str) -> String {
    let mut chars = message.chars();
    let is_word = message.chars().nth(1).is_some_and(|second| !second.is_uppercase());
    match chars.next() {
        Some(first) if is_word => first.to_lowercase().chain(chars).collect(),
        _ => message.to_owned(),
    }
}
