//! The arguments of a decorator: which are known, and what each must be.
//!
//! Every function reports its own problem and returns `None`, so callers read on and find the rest.
//! `None` counts as not given, as with Ray Data.

use std::time::Duration;

use ruff_python_ast::{ArgOrKeyword, Expr, ExprCall};
use serde_json::{Map, Value};
use windlass_error::{Code, Diagnostic, Location, nearest};

use super::literal::{ListKind, Literal, LiteralValue, Literals};
use super::module::Module;
use crate::decode::list;
use crate::problems::Problems;
use crate::targets::bytes;
use crate::yaml::{Entry, Scalar, Value as YamlValue, Yaml};

/// Arguments of Ray Data and of earlier designs, each with what to write.
const KNOWN_ABSENT: [(&str, &str); 5] = [
    ("compute", "write `concurrency=(1, 8)`"),
    ("ray_remote_args", "write `num_cpus`, `num_gpus` and `memory`"),
    ("workers", "write `concurrency`, `num_cpus`, `num_gpus` and `memory`"),
    ("name", "a transform is named after its file"),
    ("checks", "write them under `checks:` of a `.yml` file beside it, or under `@check` in a file of `checks/`"),
];

/// The arguments of one decorator.
pub(super) struct Arguments {
    /// The decorator as messages name it, such as `` `@transform` ``.
    pub(super) what: String,
    /// The whole call.
    pub(super) at: Location,
    entries: Vec<Argument>,
}

struct Argument {
    name: String,
    at: Location,
    /// `None` where it is no literal, which has been reported.
    value: Option<Literal>,
}

/// Which arguments a decorator has.
pub(super) struct Known {
    pub(super) decorator: &'static str,
    /// The one that needs no name.
    pub(super) positional: Option<&'static str>,
    pub(super) names: &'static [&'static [&'static str]],
}

impl Known {
    fn names(&self) -> Vec<&'static str> {
        self.names.iter().flat_map(|names| names.iter().copied()).collect()
    }
}

impl Arguments {
    /// Reads the arguments of a call.
    pub(super) fn read(
        module: &Module<'_>,
        call: &ExprCall,
        known: &Known,
        vars: &Map<String, Value>,
        problems: &mut Problems,
    ) -> Self {
        let literals = Literals::new(module, vars);
        let what = format!("`@{}`", known.decorator);
        let mut arguments = Self { what, at: module.at(call), entries: Vec::new() };
        for argument in call.arguments.iter_source_order() {
            let (name, at, value) = match argument {
                ArgOrKeyword::Keyword(keyword) => match &keyword.arg {
                    Some(name) => (name.as_str(), module.at(name), &keyword.value),
                    None => {
                        problems.push(arguments.spelled_out(module.at(&keyword.value)));
                        continue;
                    }
                },
                ArgOrKeyword::Arg(Expr::Starred(starred)) => {
                    problems.push(arguments.spelled_out(module.at(starred)));
                    continue;
                }
                ArgOrKeyword::Arg(value) => match known.positional {
                    Some(name) if call.arguments.args.first() == Some(value) => (name, module.at(value), value),
                    _ => {
                        problems.push(arguments.unnamed(module.at(value), known));
                        continue;
                    }
                },
            };
            if !known.names().contains(&name) {
                problems.push(arguments.unknown(name, at, known));
            } else if let Some(first) = arguments.entries.iter().find(|first| first.name == name) {
                let message = format!("the argument `{name}` is given twice");
                let problem = Diagnostic::error(Code::DECORATOR, message).at(at).label("again here");
                problems.push(problem.related(first.at.clone(), "first here"));
            } else {
                let value = literals.read(value, problems);
                arguments.entries.push(Argument { name: name.to_owned(), at, value });
            }
        }
        arguments
    }

    fn spelled_out(&self, at: Location) -> Diagnostic {
        Diagnostic::error(Code::DECORATOR, format!("the arguments of {} must be written out", self.what))
            .at(at)
            .hint("planning does not run Python: name each argument and write its value")
    }

    fn unnamed(&self, at: Location, known: &Known) -> Diagnostic {
        let problem = Diagnostic::error(Code::DECORATOR, format!("an argument of {} needs its name", self.what)).at(at);
        problem.hint(match known.positional {
            Some(name) => format!("only `{name}` may stand without a name"),
            None => "write `name=value`".to_owned(),
        })
    }

    fn unknown(&self, name: &str, at: Location, known: &Known) -> Diagnostic {
        let problem = Diagnostic::error(Code::DECORATOR, format!("unknown argument `{name}` of {}", self.what)).at(at);
        if let Some((_, hint)) = KNOWN_ABSENT.iter().find(|(absent, _)| *absent == name) {
            return problem.hint(*hint);
        }
        let mut names = known.names();
        match nearest(name, names.iter().copied()) {
            Some(near) => problem.label(format!("did you mean `{near}`?")),
            None => {
                names.sort_unstable();
                problem.hint(format!("known arguments: {}", list(&names)))
            }
        }
    }

    /// Returns whether an argument stands there, whatever its value.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.name == name)
    }

    /// Returns where the value of an argument stands, or else the decorator.
    pub(super) fn at(&self, name: &str) -> Location {
        self.get(name).map_or_else(|| self.at.clone(), |literal| literal.at.clone())
    }

    /// Returns where the name of an argument stands, or else the decorator.
    pub(super) fn name_at(&self, name: &str) -> Location {
        self.entries.iter().find(|entry| entry.name == name).map_or_else(|| self.at.clone(), |entry| entry.at.clone())
    }

    /// Returns the value of an argument, unless it is `None`.
    pub(super) fn get(&self, name: &str) -> Option<&Literal> {
        let entry = self.entries.iter().find(|entry| entry.name == name)?;
        entry.value.as_ref().filter(|literal| !matches!(literal.value, LiteralValue::None))
    }

    pub(super) fn choice<T: Copy>(&self, name: &str, options: &[(&str, T)], problems: &mut Problems) -> Option<T> {
        let literal = self.get(name)?;
        let found = literal.as_text().and_then(|text| options.iter().find(|(word, _)| *word == text));
        if let Some((_, value)) = found {
            return Some(*value);
        }
        let words: Vec<&str> = options.iter().map(|(word, _)| *word).collect();
        let problem = literal.expected(&one_of(&words), name);
        problems.push(match literal.as_text().and_then(|text| nearest(text, words)) {
            Some(near) => problem.label(format!("did you mean `\"{near}\"`?")),
            None => problem,
        });
        None
    }

    pub(super) fn flag(&self, name: &str, problems: &mut Problems) -> Option<bool> {
        self.decode(name, "`True` or `False`", problems, |literal| match literal.value {
            LiteralValue::Bool(flag) => Some(flag),
            _ => None,
        })
    }

    /// Returns a whole number from `least`.
    pub(super) fn count(&self, name: &str, least: u32, problems: &mut Problems) -> Option<u32> {
        self.decode(name, &format!("a whole number from {least}"), problems, |literal| count(literal, least))
    }

    pub(super) fn number(&self, name: &str, problems: &mut Problems) -> Option<f64> {
        self.decode(name, "a number from 0", problems, |literal| number(literal).filter(|number| *number >= 0.0))
    }

    /// Returns a size in bytes, such as `"2GiB"` or `2147483648`.
    pub(super) fn size(&self, name: &str, problems: &mut Problems) -> Option<u64> {
        self.decode(name, "a size such as `\"2GiB\"`", problems, |literal| match &literal.value {
            LiteralValue::Text(text) => bytes(text),
            LiteralValue::Int(number) => u64::try_from(*number).ok().filter(|bytes| *bytes > 0),
            _ => None,
        })
    }

    /// Returns a time, such as `"30s"` or a number of seconds.
    pub(super) fn duration(&self, name: &str, problems: &mut Problems) -> Option<Duration> {
        let what = "a time such as `\"30s\"`, or seconds";
        self.decode(name, what, problems, |literal| match &literal.value {
            LiteralValue::Text(text) => duration(text),
            _ => number(literal).and_then(seconds),
        })
    }

    /// Returns a share from 0 to 1, such as `"2%"` or `0.02`.
    pub(super) fn rate(&self, name: &str, problems: &mut Problems) -> Option<f64> {
        let what = "a share such as `\"2%\"` or `0.02`";
        let found = self.decode(name, what, problems, |literal| match &literal.value {
            LiteralValue::Text(text) => {
                text.strip_suffix('%').and_then(|text| text.trim().parse::<f64>().ok()).map(|percent| percent / 100.0)
            }
            _ => number(literal),
        })?;
        if (0.0..=1.0).contains(&found) {
            return Some(found);
        }
        problems.extend(self.get(name).map(|literal| literal.expected("a share from `\"0%\"` to `\"100%\"`", name)));
        None
    }

    pub(super) fn text(&self, name: &str, problems: &mut Problems) -> Option<String> {
        self.decode(name, "a text", problems, |literal| literal.as_text().map(str::to_owned))
    }

    /// Returns one or more texts, each with its place; a single one needs no list.
    pub(super) fn texts(&self, name: &str, problems: &mut Problems) -> Option<Vec<(String, Location)>> {
        texts(self.get(name)?, name, problems)
    }

    /// Returns the names of columns; none may stand there twice.
    pub(super) fn columns(&self, name: &str, problems: &mut Problems) -> Option<Vec<String>> {
        let found = self.texts(name, problems)?;
        for (at, (column, place)) in found.iter().enumerate() {
            if found[..at].iter().any(|(known, _)| known == column) {
                let message = format!("`{name}` names column `{column}` twice");
                problems.push(Diagnostic::error(Code::DECORATOR, message).at(place.clone()));
                return None;
            }
        }
        Some(found.into_iter().map(|(column, _)| column).collect())
    }

    /// Returns a list of values that user code gets.
    pub(super) fn values(&self, name: &str, problems: &mut Problems) -> Vec<Value> {
        let Some(literal) = self.get(name) else { return Vec::new() };
        match (&literal.value, literal.to_json(name, problems)) {
            (LiteralValue::List(ListKind::List | ListKind::Tuple, _), Some(Value::Array(values))) => values,
            (LiteralValue::List(ListKind::List | ListKind::Tuple, _), _) => Vec::new(),
            _ => {
                problems.push(literal.expected("a list", name));
                Vec::new()
            }
        }
    }

    /// Returns named values that user code gets.
    pub(super) fn named_values(&self, name: &str, problems: &mut Problems) -> Map<String, Value> {
        let Some(literal) = self.get(name) else { return Map::new() };
        match (&literal.value, literal.to_json(name, problems)) {
            (LiteralValue::Dict(_), Some(Value::Object(map))) => map,
            (LiteralValue::Dict(_), _) => Map::new(),
            _ => {
                problems.push(literal.expected("a dict", name));
                Map::new()
            }
        }
    }

    /// Returns an argument that YAML knows as well, in its form there: a text, some texts or a count.
    pub(super) fn setting(&self, name: &str, shape: SettingShape, problems: &mut Problems) -> Option<Entry> {
        let literal = self.get(name)?;
        let scalar = |text: String, plain: bool, at: &Location| Yaml {
            value: YamlValue::Scalar(Scalar { text, plain, written: None }),
            at: at.clone(),
        };
        let value = match shape {
            SettingShape::Text => scalar(self.text(name, problems)?, false, &literal.at),
            SettingShape::Count => scalar(self.count(name, 0, problems)?.to_string(), true, &literal.at),
            SettingShape::Texts => {
                let texts = self.texts(name, problems)?;
                let items = texts.into_iter().map(|(text, at)| scalar(text, false, &at)).collect();
                Yaml { value: YamlValue::List(items), at: literal.at.clone() }
            }
        };
        Some(Entry { key: name.to_owned(), key_at: self.name_at(name), value })
    }

    fn decode<T>(
        &self,
        name: &str,
        expected: &str,
        problems: &mut Problems,
        decode: impl FnOnce(&Literal) -> Option<T>,
    ) -> Option<T> {
        let literal = self.get(name)?;
        let value = decode(literal);
        if value.is_none() {
            problems.push(literal.expected(expected, name));
        }
        value
    }

    /// Reports an argument that must be there and is not.
    pub(super) fn require(&self, name: &str, example: &str, problems: &mut Problems) {
        if !self.has(name) {
            let message = format!("{} needs the argument `{name}`", self.what);
            problems.push(Diagnostic::error(Code::MISSING_KEY, message).at(self.at.clone()).hint(example));
        } else if self.get(name).is_none()
            && self.entries.iter().any(|entry| entry.name == name && entry.value.is_some())
        {
            let message = format!("`{name}` must not be `None`");
            problems.push(Diagnostic::error(Code::DECORATOR, message).at(self.name_at(name)).hint(example));
        }
    }

    /// Reports arguments that mean nothing here.
    pub(super) fn refuse(&self, names: &[&str], reason: &str, problems: &mut Problems) {
        for name in names.iter().filter(|name| self.get(name).is_some()) {
            let message = format!("`{name}` {reason}");
            problems
                .push(Diagnostic::error(Code::DECORATOR, message).at(self.name_at(name)).hint("remove the argument"));
        }
    }
}

/// What a setting holds that YAML knows as well.
#[derive(Debug, Clone, Copy)]
pub(super) enum SettingShape {
    Text,
    Texts,
    Count,
}

/// Returns one or more texts, each with its place.
pub(super) fn texts(literal: &Literal, name: &str, problems: &mut Problems) -> Option<Vec<(String, Location)>> {
    let items = match &literal.value {
        LiteralValue::Text(text) => return Some(vec![(text.clone(), literal.at.clone())]),
        LiteralValue::List(ListKind::List | ListKind::Tuple, items) => items,
        _ => {
            problems.push(literal.expected("a text or a list of texts", name));
            return None;
        }
    };
    let mut found = Vec::with_capacity(items.len());
    for item in items {
        let Some(text) = item.as_text() else {
            problems.push(item.expected("a text", name));
            return None;
        };
        found.push((text.to_owned(), item.at.clone()));
    }
    Some(found)
}

pub(super) fn count(literal: &Literal, least: u32) -> Option<u32> {
    match literal.value {
        LiteralValue::Int(number) => u32::try_from(number).ok().filter(|number| *number >= least),
        _ => None,
    }
}

fn number(literal: &Literal) -> Option<f64> {
    match literal.value {
        LiteralValue::Int(number) => Some(number as f64),
        LiteralValue::Float(number) => Some(number),
        _ => None,
    }
}

fn seconds(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero())
}

/// Reads `30s`, `1.5m`, `500ms`, `2h` or `1d`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 0.001,
        "s" | "sec" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    let looks_numeric = digits.trim().chars().all(|c| c.is_ascii_digit() || c == '.');
    digits.trim().parse::<f64>().ok().filter(|_| looks_numeric).and_then(|number| seconds(number * unit))
}

/// Returns words as a choice: `"a"`, `"b"` or `"c"`.
fn one_of(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}
