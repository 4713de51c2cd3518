//! Values of decorator arguments, each with the place where it is written.
//!
//! What stands there is a literal, a module-level constant that holds one, or `ref`, `source` or
//! `var` with literal arguments. Anything else would need Python to run, and is refused.

use std::cell::Cell;

use ruff_python_ast::{Expr, ExprCall, ExprName, Number, Operator, UnaryOp};
use ruff_text_size::Ranged;
use serde_json::{Map, Value};
use windlass_error::{Code, Diagnostic, Location, nearest};

use super::constants::Binding;
use super::module::Module;
use crate::problems::Problems;

/// Most values that one decorator may hold: constants in constants multiply.
const MAX_VALUES: usize = 100_000;

/// Most lists and dicts around a value, through constants as well.
const MAX_DEPTH: usize = 64;

/// A value and its place.
#[derive(Debug, Clone)]
pub(super) struct Literal {
    pub(super) value: LiteralValue,
    pub(super) at: Location,
}

#[derive(Debug, Clone)]
pub(super) enum LiteralValue {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(ListKind, Vec<Literal>),
    Dict(Vec<(Literal, Literal)>),
    Reference(Reference),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListKind {
    List,
    Tuple,
    Set,
}

/// `ref("x")` or `source("s", "t")`, not looked up yet.
#[derive(Debug, Clone)]
pub(super) enum Reference {
    Ref { name: String, at: Location },
    Source { source: (String, Location), table: (String, Location) },
}

impl Literal {
    /// Returns what stands there, for a message that says what was expected instead.
    pub(super) fn describe(&self) -> String {
        match &self.value {
            LiteralValue::None => "`None`".to_owned(),
            LiteralValue::Bool(true) => "`True`".to_owned(),
            LiteralValue::Bool(false) => "`False`".to_owned(),
            LiteralValue::Int(number) => format!("`{number}`"),
            LiteralValue::Float(number) => format!("`{number:?}`"),
            LiteralValue::Text(text) => {
                let short: String = text.lines().next().unwrap_or_default().chars().take(40).collect();
                let dots = if short.len() < text.len() { "..." } else { "" };
                format!("`\"{short}{dots}\"`")
            }
            LiteralValue::List(ListKind::List, _) => "a list".to_owned(),
            LiteralValue::List(ListKind::Tuple, _) => "a tuple".to_owned(),
            LiteralValue::List(ListKind::Set, _) => "a set".to_owned(),
            LiteralValue::Dict(_) => "a dict".to_owned(),
            LiteralValue::Reference(Reference::Ref { .. }) => "`ref(...)`".to_owned(),
            LiteralValue::Reference(Reference::Source { .. }) => "`source(...)`".to_owned(),
        }
    }

    /// Returns the diagnostic for a value that does not fit; `key` is the argument's name.
    pub(super) fn expected(&self, expected: &str, key: &str) -> Diagnostic {
        let message = format!("expected {expected} for `{key}`, found {}", self.describe());
        Diagnostic::error(Code::DECORATOR, message).at(self.at.clone())
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.value {
            LiteralValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the value as user code gets it; `key` is the argument that holds it.
    pub(super) fn to_json(&self, key: &str, problems: &mut Problems) -> Option<Value> {
        match &self.value {
            LiteralValue::None => Some(Value::Null),
            LiteralValue::Bool(flag) => Some(Value::Bool(*flag)),
            LiteralValue::Int(number) => Some(Value::from(*number)),
            LiteralValue::Float(number) => serde_json::Number::from_f64(*number).map(Value::Number),
            LiteralValue::Text(text) => Some(Value::String(text.clone())),
            LiteralValue::List(_, items) => {
                items.iter().map(|item| item.to_json(key, problems)).collect::<Option<Vec<_>>>().map(Value::Array)
            }
            LiteralValue::Dict(entries) => {
                let mut map = Map::new();
                for (name, value) in entries {
                    let Some(text) = name.as_text() else {
                        problems.push(name.expected("texts as keys", key));
                        return None;
                    };
                    map.insert(text.to_owned(), value.to_json(key, problems)?);
                }
                Some(Value::Object(map))
            }
            LiteralValue::Reference(_) => {
                problems.push(self.expected("a value", key).hint("tables are named by `input` and `inputs` alone"));
                None
            }
        }
    }

    fn of_json(value: &Value, at: &Location) -> Self {
        let value = match value {
            Value::Null => LiteralValue::None,
            Value::Bool(flag) => LiteralValue::Bool(*flag),
            Value::Number(number) => match number.as_i64() {
                Some(number) => LiteralValue::Int(number),
                None => LiteralValue::Float(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => LiteralValue::Text(text.clone()),
            Value::Array(items) => {
                LiteralValue::List(ListKind::List, items.iter().map(|item| Self::of_json(item, at)).collect())
            }
            Value::Object(map) => {
                let key = |name: &String| Self { value: LiteralValue::Text(name.clone()), at: at.clone() };
                LiteralValue::Dict(map.iter().map(|(name, value)| (key(name), Self::of_json(value, at))).collect())
            }
        };
        Self { value, at: at.clone() }
    }
}

/// Reads expressions of a module as literals.
pub(super) struct Literals<'a> {
    module: &'a Module<'a>,
    vars: &'a Map<String, Value>,
    count: Cell<usize>,
    depth: Cell<usize>,
}

type Read<T> = Result<T, Option<Box<Diagnostic>>>;

impl<'a> Literals<'a> {
    pub(super) fn new(module: &'a Module<'a>, vars: &'a Map<String, Value>) -> Self {
        Self { module, vars, count: Cell::new(0), depth: Cell::new(0) }
    }

    /// Returns the value of an expression, or reports why there is none. A variable that does not
    /// exist is reported where all its mentions are.
    pub(super) fn read(&self, expr: &Expr, problems: &mut Problems) -> Option<Literal> {
        self.depth.set(0);
        match self.value(expr) {
            Ok(literal) => Some(literal),
            Err(problem) => {
                if let Some(problem) = problem {
                    problems.push(*problem);
                }
                None
            }
        }
    }

    fn value(&self, expr: &Expr) -> Read<Literal> {
        self.count.set(self.count.get() + 1);
        if self.count.get() > MAX_VALUES {
            return fail(self.refuse(expr, "the values of this decorator are too many", "read them from a file"));
        }
        let value = match expr {
            Expr::NoneLiteral(_) => LiteralValue::None,
            Expr::BooleanLiteral(flag) => LiteralValue::Bool(flag.value),
            Expr::StringLiteral(text) => LiteralValue::Text(text.value.to_str().to_owned()),
            Expr::NumberLiteral(number) => self.number(&number.value, expr)?,
            Expr::UnaryOp(operation) => match (operation.op, self.value(&operation.operand)?.value) {
                (UnaryOp::USub, LiteralValue::Int(number)) => LiteralValue::Int(number.wrapping_neg()),
                (UnaryOp::USub, LiteralValue::Float(number)) => LiteralValue::Float(-number),
                (UnaryOp::UAdd, number @ (LiteralValue::Int(_) | LiteralValue::Float(_))) => number,
                _ => return fail(self.not_literal(expr)),
            },
            Expr::List(_) | Expr::Tuple(_) | Expr::Set(_) | Expr::Dict(_) => {
                self.depth.set(self.depth.get() + 1);
                if self.depth.get() > MAX_DEPTH {
                    return fail(self.refuse(expr, "this value is nested too deep", "read it from a file"));
                }
                let value = self.container(expr)?;
                self.depth.set(self.depth.get() - 1);
                value
            }
            Expr::BinOp(sum) if sum.op == Operator::Add => {
                match (self.value(&sum.left)?.value, self.value(&sum.right)?.value) {
                    (LiteralValue::List(kind, mut left), LiteralValue::List(other, right))
                        if kind == other && kind != ListKind::Set =>
                    {
                        left.extend(right);
                        LiteralValue::List(kind, left)
                    }
                    (LiteralValue::Text(left), LiteralValue::Text(right)) => LiteralValue::Text(left + &right),
                    _ => return fail(self.not_literal(expr)),
                }
            }
            Expr::Name(name) => return self.constant(name),
            Expr::Call(call) => return self.call(call),
            _ => return fail(self.not_literal(expr)),
        };
        Ok(Literal { value, at: self.module.at(expr) })
    }

    fn container(&self, expr: &Expr) -> Read<LiteralValue> {
        Ok(match expr {
            Expr::List(list) => LiteralValue::List(ListKind::List, self.items(&list.elts)?),
            Expr::Tuple(tuple) => LiteralValue::List(ListKind::Tuple, self.items(&tuple.elts)?),
            Expr::Set(set) => LiteralValue::List(ListKind::Set, self.items(&set.elts)?),
            Expr::Dict(dict) => {
                let mut entries = Vec::with_capacity(dict.items.len());
                for item in &dict.items {
                    let Some(key) = &item.key else { return fail(self.not_literal(&item.value)) };
                    entries.push((self.value(key)?, self.value(&item.value)?));
                }
                LiteralValue::Dict(entries)
            }
            _ => return fail(self.not_literal(expr)),
        })
    }

    fn number(&self, number: &Number, expr: &Expr) -> Read<LiteralValue> {
        match number {
            Number::Int(number) => match number.as_i64() {
                Some(number) => Ok(LiteralValue::Int(number)),
                None => fail(self.refuse(expr, "this number is too large", "numbers have at most 64 bits")),
            },
            Number::Float(number) if number.is_finite() => Ok(LiteralValue::Float(*number)),
            _ => fail(self.not_literal(expr)),
        }
    }

    /// Returns the items of a list; `*NAME` adds those of another one.
    fn items(&self, exprs: &[Expr]) -> Read<Vec<Literal>> {
        let mut items = Vec::with_capacity(exprs.len());
        for expr in exprs {
            match expr {
                Expr::Starred(starred) => match self.value(&starred.value)?.value {
                    LiteralValue::List(_, more) => items.extend(more),
                    _ => return fail(self.not_literal(expr)),
                },
                _ => items.push(self.value(expr)?),
            }
        }
        Ok(items)
    }

    fn constant(&self, name: &ExprName) -> Read<Literal> {
        let here = || self.module.at(name);
        let refuse = |message: String| Diagnostic::error(Code::DECORATOR, message).at(here());
        let hint = "write the value itself, or a name that the file sets once, at module level, to a literal";
        let text = name.id.as_str();
        match self.module.constants.get(text) {
            Some(Binding::Value { value, end }) if end < name.range.start() => self.value(value),
            Some(Binding::Value { .. }) => fail(refuse(format!("`{text}` is set further down only")).hint(hint)),
            Some(Binding::Changed(at)) => {
                let problem = refuse(format!("`{text}` is not a constant: the file sets it more than once"));
                fail(problem.related(self.module.at(&at), "set or changed here").hint(hint))
            }
            Some(Binding::Other("imported")) => {
                let message = format!("`{text}` is imported, and planning does not run Python");
                fail(refuse(message).hint(hint))
            }
            Some(Binding::Other(what)) => {
                fail(refuse(format!("`{text}` is {what}, planning does not run Python")).hint(hint))
            }
            None => {
                let problem = refuse(format!("no module-level constant `{text}`"));
                match nearest(text, self.module.constants.names()) {
                    Some(near) => fail(problem.label(format!("did you mean `{near}`?"))),
                    None => fail(problem.hint(hint)),
                }
            }
        }
    }

    fn call(&self, call: &ExprCall) -> Read<Literal> {
        let at = self.module.at(call);
        match self.module.windlass_name(&call.func) {
            Some("ref") => {
                let [(name, at_name)] = self.texts(call, "ref(\"node\")")?;
                let reference = Reference::Ref { name, at: at_name };
                Ok(Literal { value: LiteralValue::Reference(reference), at })
            }
            Some("source") => {
                let [source, table] = self.texts(call, "source(\"source\", \"table\")")?;
                Ok(Literal { value: LiteralValue::Reference(Reference::Source { source, table }), at })
            }
            Some("var") => {
                // What is wrong with it is reported where all its mentions are.
                let (name, default) = self.var(call).map_err(|_| None)?;
                match (self.vars.get(&name), default) {
                    (Some(value), _) => Ok(Literal::of_json(value, &at)),
                    (None, Some(default)) => Ok(default),
                    (None, None) => Err(None),
                }
            }
            _ => fail(self.not_literal(call)),
        }
    }

    /// Returns the name and the default of a call of `var`.
    pub(super) fn var(&self, call: &ExprCall) -> Read<(String, Option<Literal>)> {
        let usage = "var(\"name\")";
        let arguments = &call.arguments;
        if arguments.args.is_empty() || arguments.len() > 2 {
            return fail(self.refuse(call, &format!("`{usage}` takes a name and a default"), "write the name as text"));
        }
        let name = self.value(&arguments.args[0])?;
        let Some(text) = name.as_text() else { return fail(name.expected("a text", "var")) };
        let default = match (arguments.args.get(1), arguments.keywords.first()) {
            (Some(default), _) => Some(default),
            (None, Some(keyword)) if keyword.arg.as_ref().is_some_and(|name| name == "default") => Some(&keyword.value),
            (None, Some(keyword)) => return fail(self.not_literal(&keyword.value)),
            (None, None) => None,
        };
        let default = default.map(|default| self.value(default)).transpose()?;
        Ok((text.to_owned(), default))
    }

    fn texts<const N: usize>(&self, call: &ExprCall, usage: &str) -> Read<[(String, Location); N]> {
        let mut texts = Vec::with_capacity(N);
        if call.arguments.keywords.is_empty() {
            for argument in &call.arguments.args {
                let literal = self.value(argument)?;
                let Some(text) = literal.as_text() else {
                    return fail(literal.expected("a text", usage.split('(').next().unwrap_or(usage)));
                };
                texts.push((text.to_owned(), literal.at));
            }
        }
        match texts.try_into() {
            Ok(texts) => Ok(texts),
            Err(_) => fail(self.refuse(call, &format!("write `{usage}`"), "names are texts, without keywords")),
        }
    }

    fn not_literal(&self, at: &impl Ranged) -> Diagnostic {
        self.refuse(
            at,
            "an argument must be a literal, planning does not run Python",
            "write the value itself, a module-level constant, or `var(\"name\")` for a value of `windlass.yml`",
        )
    }

    fn refuse(&self, at: &impl Ranged, message: &str, hint: &str) -> Diagnostic {
        Diagnostic::error(Code::DECORATOR, message).at(self.module.at(at)).hint(hint)
    }
}

fn fail<T>(problem: Diagnostic) -> Read<T> {
    Err(Some(Box::new(problem)))
}
