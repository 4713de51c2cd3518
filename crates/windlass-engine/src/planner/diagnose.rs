//! From a planning error of DataFusion to a diagnostic in the user's own file.
//!
//! DataFusion says most by type (`SchemaError`, spans); where it has only text, the text's fixed
//! beginning is matched here and nowhere else, and an unknown text is passed on as it is.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, SchemaError};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::BinaryExpr;
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use windlass_error::{Code, Diagnostic, Location, nearest};
use windlass_project::{Node, Project, Transform};

use super::calls::CallMistake;
use super::spans::Places;
use crate::models::{self, ModelMistake};
use crate::tables::contract::listing;
use crate::tables::schema::sql_type;

/// Returns the diagnostic for an error from planning a transform.
pub(crate) fn planning(
    project: &Project,
    node: &Node,
    transform: &Transform,
    state: &SessionState,
    error: &DataFusionError,
) -> Diagnostic {
    let places = Places::new(transform);
    let context = Context { project, node, transform, state, places: &places };
    let location = error.diagnostic().and_then(|diagnostic| diagnostic.span).and_then(|span| places.of_span(span));
    let diagnostic = match error.find_root() {
        DataFusionError::SQL(parser_error, _) => context.syntax(&parser_error.to_string(), location),
        DataFusionError::SchemaError(schema_error, _) => context.schema(schema_error, location),
        DataFusionError::NotImplemented(text) => {
            context.at(Diagnostic::error(Code::INVALID_SQL, format!("not supported: {}", first_line(text))), location)
        }
        DataFusionError::External(cause) if let Some(mistake) = cause.downcast_ref::<CallMistake>() => {
            let what = Diagnostic::error(Code::FUNCTION, mistake.to_string()).hint(mistake.way_out);
            context.of_call(what, &mistake.function, location)
        }
        DataFusionError::External(cause) if let Some(mistake) = cause.downcast_ref::<ModelMistake>() => {
            let what = Diagnostic::error(Code::MODEL_INPUT, mistake.to_string());
            let what = match &mistake.way_out {
                Some(way_out) => what.hint(way_out),
                None => what,
            };
            context.at(what, location.or_else(|| places.of_word(&mistake.reference)))
        }
        root => context.text(&root.strip_backtrace(), location),
    };
    diagnostic.node(&node.name)
}

/// Returns the diagnostic for a file that holds anything but one query. SQL that cannot be parsed is
/// left to the planner, which says why.
pub(crate) fn shape(node: &Node, transform: &Transform) -> Option<Diagnostic> {
    use datafusion::sql::sqlparser::ast::{Spanned, Statement};

    let statements = models::parse(&transform.sql).ok()?;
    let places = Places::new(transform);
    let (message, offending) = match statements.as_slice() {
        [Statement::Query(_)] => return None,
        [] => (format!("`{}` holds no query", node.name), None),
        [statement] => {
            let text = statement.to_string();
            let verb = text.split_whitespace().next().unwrap_or_default().to_uppercase();
            (format!("`{}` must be one SELECT, not {verb}", node.name), Some(statement.span()))
        }
        [_, second, ..] => (format!("`{}` holds more than one statement", node.name), Some(second.span())),
    };
    let location = offending.and_then(|span| places.of_start(span)).or_else(|| transform.map.locate(0..1));
    let mistake = Diagnostic::error(Code::INVALID_SQL, message)
        .at(location.unwrap_or_else(|| node.location.clone()))
        .hint("write one query; Windlass creates and fills the table")
        .node(&node.name);
    Some(mistake)
}

/// Returns the function that a query names and that nobody knows.
pub(crate) fn unknown_function(error: &DataFusionError) -> Option<String> {
    let text = error.find_root().strip_backtrace();
    let text = text.strip_prefix("Error during planning: ").unwrap_or(&text);
    quoted(text, UNKNOWN_FUNCTION).map(str::to_string)
}

/// How DataFusion begins to say that it has no such function.
const UNKNOWN_FUNCTION: &str = "Invalid function '";

/// Returns what follows a fixed beginning, up to the closing quote.
fn quoted<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    text.strip_prefix(start).and_then(|rest| rest.split('\'').next())
}

struct Context<'a> {
    project: &'a Project,
    node: &'a Node,
    transform: &'a Transform,
    state: &'a SessionState,
    places: &'a Places<'a>,
}

impl Context<'_> {
    fn at(&self, diagnostic: Diagnostic, location: Option<Location>) -> Diagnostic {
        diagnostic.at(location.unwrap_or_else(|| self.node.location.clone()))
    }

    fn syntax(&self, text: &str, location: Option<Location>) -> Diagnostic {
        let text = text.strip_prefix("sql parser error: ").unwrap_or(text);
        let (message, point) = split_position(text);
        let location = match (location, point) {
            (Some(location), _) => Some(location),
            (None, Some((line, column))) => self.places.of_point(line, column),
            (None, None) => self.places.of_end(),
        };
        let message = match message.strip_prefix("Expected: ").and_then(|rest| rest.split_once(", found: ")) {
            Some((expected, "EOF")) => format!("the SQL ends too early: expected {}", lower_first(expected)),
            Some((expected, found)) => format!("expected {}, found `{}`", lower_first(expected), found.trim()),
            None => lower_first(message),
        };
        self.at(Diagnostic::error(Code::SQL_SYNTAX, message), location)
    }

    fn schema(&self, error: &SchemaError, location: Option<Location>) -> Diagnostic {
        match error {
            SchemaError::FieldNotFound { field, valid_fields } => self.unknown_column(field, valid_fields, location),
            SchemaError::AmbiguousReference { field } => {
                let message = format!("column `{}` is in more than one table", field.name);
                let location = location.or_else(|| self.places.of_word(&field.name));
                let diagnostic = Diagnostic::error(Code::AMBIGUOUS_COLUMN, message);
                self.at(diagnostic.hint(format!("say which: `table.{}`", field.name)), location)
            }
            SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => {
                let message = format!("`{}` has two columns `{name}`", self.node.name);
                let diagnostic = Diagnostic::error(Code::DUPLICATE_COLUMN, message);
                self.at(diagnostic.hint("rename one with `as`, or leave it out"), location)
            }
        }
    }

    fn unknown_column(&self, field: &Column, valid: &[Column], location: Option<Location>) -> Diagnostic {
        let (known, table): (Vec<&str>, Option<String>) = match &field.relation {
            Some(relation) => {
                let of_table = valid.iter().filter(|column| column.relation.as_ref() == Some(relation));
                (of_table.map(|column| column.name.as_str()).collect(), Some(self.table_behind(relation.table())))
            }
            None => (valid.iter().map(|column| column.name.as_str()).collect(), None),
        };
        let location = location.or_else(|| self.places.of_word(&field.name));
        if let (Some(relation), true) = (&field.relation, known.is_empty()) {
            let mut aliases: Vec<&str> =
                valid.iter().filter_map(|column| column.relation.as_ref()).map(|relation| relation.table()).collect();
            aliases.dedup();
            let message = format!("no table `{relation}` in this part of the query");
            let diagnostic =
                Diagnostic::error(Code::UNKNOWN_TABLE, message).note(format!("tables: {}", listing(&aliases)));
            return self.at(diagnostic, location);
        }
        let message = match table {
            Some(table) => format!("no column `{}` in `{table}`", field.name),
            None => format!("no column `{}`", field.name),
        };
        let mut diagnostic =
            Diagnostic::error(Code::UNKNOWN_COLUMN, message).note(format!("columns: {}", listing(&known)));
        if let Some(near) = nearest(&field.name, known.iter().copied()) {
            let qualifier =
                field.relation.as_ref().map(|relation| format!("{}.", relation.table())).unwrap_or_default();
            diagnostic = diagnostic.label(format!("did you mean `{qualifier}{near}`?"));
        }
        if known.iter().any(|name| name.eq_ignore_ascii_case(&field.name)) {
            diagnostic = diagnostic.hint(format!("names are case-sensitive in double quotes: `\"{}\"`", field.name));
        }
        self.at(diagnostic, location)
    }

    /// Returns the node that an alias of the query stands for, or the alias.
    fn table_behind(&self, alias: &str) -> String {
        use datafusion::sql::sqlparser::ast::{ObjectName, TableFactor, Visit, Visitor};
        use std::ops::ControlFlow;

        struct Finder<'a>(&'a str, Option<ObjectName>);
        impl Visitor for Finder<'_> {
            type Break = ();
            fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
                if let TableFactor::Table { name, alias: Some(alias), .. } = factor
                    && alias.name.value.eq_ignore_ascii_case(self.0)
                {
                    self.1 = Some(name.clone());
                }
                ControlFlow::Continue(())
            }
        }
        let dialect = datafusion::sql::sqlparser::dialect::GenericDialect {};
        let mut finder = Finder(alias, None);
        if let Ok(statements) = datafusion::sql::sqlparser::parser::Parser::parse_sql(&dialect, &self.transform.sql) {
            let _ = statements.visit(&mut finder);
        }
        finder.1.map_or_else(|| alias.to_string(), |name| name.to_string())
    }

    fn text(&self, text: &str, location: Option<Location>) -> Diagnostic {
        let text = text.strip_prefix("Error during planning: ").unwrap_or(text);
        let text = text.strip_prefix("Internal error: ").unwrap_or(text);
        if text.starts_with("Projections require unique expression names") {
            return self.same_name_twice(text, location);
        }
        if text.contains("failed to match any signature") {
            return self.wrong_arguments(text, location);
        }
        if let Some(mistaken) = self.wrong_python_arguments(text, &location) {
            return mistaken;
        }
        if let Some(table) = quoted(text, "table '") {
            return self.unknown_table(table, location);
        }
        if let Some(function) = quoted(text, UNKNOWN_FUNCTION) {
            return self.unknown_function(function, location);
        }
        if let Some(rest) = text.strip_prefix("Column in SELECT must be in GROUP BY or an aggregate function: ") {
            let column = rest.split('"').nth(1).unwrap_or(rest);
            let message = format!("{} must stand in GROUP BY or in an aggregate function", code_span(column));
            return self.at(Diagnostic::error(Code::INVALID_SQL, message), location.or_else(|| self.word_of(column)));
        }
        let is_type_error =
            ["Cannot infer common", "Cannot coerce", "Incompatible inputs for Union", "Failed to coerce"]
                .iter()
                .any(|start| text.contains(start));
        if is_type_error {
            return self.type_mismatch(text, location);
        }
        if text.contains("UNION queries have different number of columns")
            || text.starts_with("Union schemas have different")
        {
            let message = "the queries of a UNION have different numbers of columns";
            return self.at(Diagnostic::error(Code::TYPE_MISMATCH, message), location);
        }
        let code =
            if text.contains("coercion") || text.contains("cast") { Code::TYPE_MISMATCH } else { Code::INVALID_SQL };
        self.at(Diagnostic::error(code, lower_first(first_line(text))), location)
    }

    /// "... the expression "a AS x" at position 1 and "b AS x" at position 2 have the same name ..."
    fn same_name_twice(&self, text: &str, location: Option<Location>) -> Diagnostic {
        let positions: Vec<usize> =
            text.split("at position ").skip(1).filter_map(|rest| rest.split(' ').next()?.parse().ok()).collect();
        let expression = text.split('"').nth(1).unwrap_or_default();
        let name = expression.rsplit(" AS ").next().unwrap_or(expression);
        let message = format!("`{}` has two columns `{}`", self.node.name, name.rsplit('.').next().unwrap_or(name));
        let mut diagnostic = Diagnostic::error(Code::DUPLICATE_COLUMN, message)
            .hint("rename one with `as`, or leave it out; letter case does not tell columns apart");
        if let Some(first) = positions.first().and_then(|&index| self.places.of_output(index)) {
            diagnostic = diagnostic.related(first, "first here");
        }
        let second = positions.get(1).and_then(|&index| self.places.of_output(index));
        self.at(diagnostic, location.or(second))
    }

    /// "Function 'sum' failed to match any signature, errors: ... received String (DataType: Utf8View)..."
    fn wrong_arguments(&self, text: &str, location: Option<Location>) -> Diagnostic {
        let function = text.split('\'').nth(1).unwrap_or("?");
        let received = text.split("(DataType: ").nth(1).and_then(|rest| rest.split(')').next());
        let message = match received {
            Some(data_type) => format!("function `{function}` does not take {}", sql_words(data_type)),
            None => format!("function `{function}` does not take these arguments"),
        };
        let diagnostic =
            Diagnostic::error(Code::TYPE_MISMATCH, message).hint("cast the argument, for example `cast(x as double)`");
        self.at(diagnostic, location.or_else(|| self.places.of_word(function)))
    }

    /// "Function 'score' user-defined coercion failed with: Error during planning: takes (x double), not
    /// (varchar). No function matches ..."
    fn wrong_python_arguments(&self, text: &str, location: &Option<Location>) -> Option<Diagnostic> {
        let (start, cause) = text.split_once(" user-defined coercion failed with: Error during planning: ")?;
        let name = start.split('\'').nth(1)?;
        let cause = cause.split_once(". No function matches").map_or(cause, |(cause, _)| cause);
        let what = format!("`{name}` {}", first_line(cause));
        let model = name.split('@').next().and_then(|name| self.project.nodes.get(name)?.model());
        if model.is_some() {
            let mistake = Diagnostic::error(Code::MODEL_INPUT, what);
            let mistake = mistake.hint("arguments stand in the order of the features; `ml.predict` finds them by name");
            return Some(self.at(mistake, location.clone().or_else(|| self.places.of_word(name))));
        }
        let mistake = Diagnostic::error(Code::FUNCTION, what);
        let mistake = mistake.hint("cast the argument, for example `cast(x as double)`, or change the function");
        self.project.functions.contains_key(name).then(|| self.of_call(mistake, name, location.clone()))
    }

    /// Returns a mistake in the call of a Python function, with the function's place beside the call's.
    fn of_call(&self, mistake: Diagnostic, name: &str, location: Option<Location>) -> Diagnostic {
        let location = location.or_else(|| self.places.of_word(name));
        let mistake = self.at(mistake, location);
        match self.project.functions.get(name) {
            Some(function) => mistake.related(function.location.clone(), "the function"),
            None => mistake,
        }
    }

    fn word_of(&self, column: &str) -> Option<Location> {
        self.places.of_word(column.rsplit('.').next().unwrap_or(column))
    }

    fn unknown_table(&self, table: &str, location: Option<Location>) -> Diagnostic {
        let table = table.strip_prefix("datafusion.").unwrap_or(table);
        let table = table.strip_prefix("public.").unwrap_or(table);
        let location = location.or_else(|| self.word_of(table));
        let diagnostic = Diagnostic::error(Code::UNKNOWN_TABLE, format!("no table `{table}` here"));
        let diagnostic = match self.project.nodes.get(table).map(|node| (node.kind_name(), table.split_once('.'))) {
            Some(("source", Some((source, name)))) => {
                diagnostic.hint(format!("name it as an input: {{{{ source('{source}', '{name}') }}}}"))
            }
            Some(_) => diagnostic.hint(format!("name it as an input: {{{{ ref('{table}') }}}}")),
            None => match nearest(table, self.project.nodes.keys().map(String::as_str)) {
                Some(near) => diagnostic.label(format!("did you mean {{{{ ref('{near}') }}}}?")),
                None => diagnostic.hint("inputs are named with {{ ref('node') }} or {{ source('source', 'table') }}"),
            },
        };
        self.at(diagnostic, location)
    }

    fn unknown_function(&self, function: &str, location: Option<Location>) -> Diagnostic {
        let location = location.or_else(|| self.places.of_word(function));
        let scalars = self.state.scalar_functions().keys();
        let known = scalars.chain(self.state.aggregate_functions().keys()).chain(self.state.window_functions().keys());
        // Those that this SQL does not name are not registered for it.
        let known = known.chain(self.project.functions.keys());
        let diagnostic = Diagnostic::error(Code::UNKNOWN_FUNCTION, format!("no function `{function}`"));
        if let Some(mistaken) = self.project.functions.get(function) {
            let diagnostic = diagnostic.related(mistaken.location.clone(), "it has a mistake of its own");
            return self.at(diagnostic, location);
        }
        let diagnostic = match nearest(function, known.map(String::as_str)) {
            Some(near) => diagnostic.label(format!("did you mean `{near}`?")),
            None => diagnostic.hint("SQL functions are those of Apache DataFusion 55"),
        };
        self.at(diagnostic, location)
    }

    fn type_mismatch(&self, text: &str, location: Option<Location>) -> Diagnostic {
        let found = self.unchecked_plan().and_then(|plan| first_mismatch(&plan));
        let diagnostic = match &found {
            Some(found) => {
                let message = format!("`{}` has types that do not fit: {} and {}", found.text, found.left, found.right);
                Diagnostic::error(Code::TYPE_MISMATCH, message).hint("cast one side, for example `cast(x as bigint)`")
            }
            None if text.contains("Union") => {
                let message = "the queries of a UNION have columns whose types do not fit";
                let cause = first_line(text).split("Incompatible inputs for Union: ").last().unwrap_or_default();
                Diagnostic::error(Code::TYPE_MISMATCH, message)
                    .note(sql_words(&lower_first(cause.trim_end_matches('.'))))
                    .hint("cast the column to one type in every query of the UNION")
            }
            None => {
                let cause = text.rsplit("caused by").next().unwrap_or(text);
                let cause = cause.trim().trim_start_matches("Error during planning: ");
                Diagnostic::error(Code::TYPE_MISMATCH, sql_words(&lower_first(first_line(cause))))
                    .hint("cast one side, for example `cast(x as bigint)`")
            }
        };
        let union_column = text.split("on column '").nth(1).and_then(|rest| rest.split('\'').next());
        let location = location
            .or_else(|| found.and_then(|found| self.places.of_expression(&found.text)))
            .or_else(|| self.places.of_last_word(union_column?));
        self.at(diagnostic, location)
    }

    /// Plans the query again up to the point before types are checked.
    fn unchecked_plan(&self) -> Option<LogicalPlan> {
        let plan = models::logical_plan(self.state, &self.transform.sql);
        // Planning from in-memory tables never waits.
        futures::FutureExt::now_or_never(plan)?.ok()
    }
}

/// An operator whose two sides do not fit.
struct Mismatch {
    text: String,
    left: String,
    right: String,
}

fn first_mismatch(plan: &LogicalPlan) -> Option<Mismatch> {
    let mut found = None;
    let _ = plan.apply_with_subqueries(|node| {
        let mut schema = DFSchema::empty();
        for input in node.inputs() {
            schema.merge(input.schema());
        }
        let mut look = |expr: &Expr| {
            if let Expr::BinaryExpr(binary) = expr
                && let Some(mismatch) = mismatch(binary, &schema)
            {
                // The innermost comes last, since children are visited after their parents.
                found = Some(mismatch);
            }
            Ok(TreeNodeRecursion::Continue)
        };
        for expr in node.expressions() {
            expr.apply(&mut look)?;
        }
        if let LogicalPlan::Join(join) = node {
            for (left, right) in &join.on {
                let equal = datafusion::logical_expr::binary_expr(
                    left.clone(),
                    datafusion::logical_expr::Operator::Eq,
                    right.clone(),
                );
                equal.apply(&mut look)?;
            }
        }
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found
}

fn mismatch(binary: &BinaryExpr, schema: &DFSchema) -> Option<Mismatch> {
    let left = binary.left.get_type(schema).ok()?;
    let right = binary.right.get_type(schema).ok()?;
    BinaryTypeCoercer::new(&left, &binary.op, &right).get_input_types().is_err().then(|| Mismatch {
        text: binary.to_string(),
        left: sql_type(&left),
        right: sql_type(&right),
    })
}

/// Splits ` at Line: 3, Column: 8` off a parser's message.
fn split_position(text: &str) -> (&str, Option<(u64, u64)>) {
    let Some((message, position)) = text.rsplit_once(" at Line: ") else { return (text, None) };
    let mut numbers = position.split(", Column: ").map(|number| number.trim().parse::<u64>());
    match (numbers.next(), numbers.next()) {
        (Some(Ok(line)), Some(Ok(column))) => (message, Some((line, column))),
        _ => (text, None),
    }
}

/// Returns a library's sentence with SQL's names of types in place of Arrow's.
pub(crate) fn sql_words(text: &str) -> String {
    const NAMES: &[(&str, &str)] = &[
        ("LargeUtf8", "varchar"),
        ("Utf8View", "varchar"),
        ("Utf8", "varchar"),
        ("Boolean", "boolean"),
        ("UInt64", "bigint unsigned"),
        ("Int64", "bigint"),
        ("Int32", "int"),
        ("Int16", "smallint"),
        ("Int8", "tinyint"),
        ("Float64", "double"),
        ("Float32", "float"),
        ("Date32", "date"),
    ];
    let mut text = text.to_string();
    for (arrow, sql) in NAMES {
        text = text.replace(arrow, sql);
    }
    text
}

fn code_span(text: &str) -> String {
    format!("`{text}`")
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or(text)
}

/// Returns a library's sentence in our form: lower-case first letter, no full stop.
pub(crate) fn lower_first(text: &str) -> String {
    let text = text.trim().trim_end_matches('.');
    let mut letters = text.chars();
    match letters.next() {
        Some(first) if letters.clone().next().is_none_or(|second| !second.is_uppercase()) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_string(),
    }
}
