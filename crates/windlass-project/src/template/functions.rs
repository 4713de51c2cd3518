//! What templates may call: `ref`, `source`, `config`, `var`, `env_var` and the project's macros.
//!
//! A call leaves a note in the [`Recorder`]: what it mentions, sets and reads, and what is wrong
//! with it. A mistake does not stop the rendering, so that one pass finds all of them.
//!
//! Must stay true: no other I/O than these, and values of environment variables reach no message.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;
use minijinja::value::{Kwargs, Rest};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, UndefinedBehavior, Value, context};
use windlass_error::Code;

use crate::InputPart;
use crate::names::{NameFault, Names, quoted, unknown_var};

/// Environment variables with this start hold secrets and stay out of SQL.
const SECRET_PREFIX: &str = "WINDLASS_SECRET_";
/// Deep enough for macros that call macros, shallow enough for the stack of a test thread.
const MAX_MACRO_DEPTH: usize = 24;
const RECURSION_LIMIT: usize = 64;

/// What templates may ask for.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    pub(crate) names: Names,
    pub(crate) vars: IndexMap<String, Value>,
    pub(crate) env: BTreeMap<String, String>,
    /// Name and environment of the target, once it is known.
    pub(crate) target: Option<(String, String)>,
}

/// A mention of a node.
#[derive(Debug, Clone)]
pub(crate) struct Mention {
    pub(crate) node: String,
    pub(crate) part: InputPart,
    pub(crate) reference: String,
    pub(crate) function: &'static str,
    pub(crate) literals: Vec<String>,
}

/// A mistake in a call.
#[derive(Debug, Clone)]
pub(crate) struct CallFault {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) label: Option<String>,
    pub(crate) hint: Option<String>,
    pub(crate) function: &'static str,
    /// The arguments that lead to the call in the file.
    pub(crate) literals: Vec<String>,
    /// Which of them is wrong.
    pub(crate) index: usize,
}

/// What one rendering did.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) mentions: Vec<Mention>,
    pub(crate) config: Vec<(String, Value)>,
    pub(crate) vars: IndexMap<String, String>,
    pub(crate) faults: Vec<CallFault>,
    /// Values of environment variables, to keep them out of messages.
    pub(crate) secrets: Vec<String>,
}

/// The scope and the notes, shared by the functions of an environment.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) scope: Scope,
    recorder: Mutex<Recorder>,
    depth: AtomicUsize,
    keeps_rows: AtomicBool,
}

impl Shared {
    pub(crate) fn new(scope: Scope) -> Arc<Self> {
        Arc::new(Self { scope, ..Self::default() })
    }

    pub(crate) fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what `is_incremental()` answers from now on.
    pub(crate) fn keep_rows(&self, keeps_rows: bool) {
        self.keeps_rows.store(keeps_rows, Ordering::Relaxed);
    }

    fn fault(&self, fault: CallFault) {
        let mut recorder = self.recorder();
        if !recorder.faults.iter().any(|known| known.message == fault.message) {
            recorder.faults.push(fault);
        }
    }

    fn refer(&self, name: &str) -> String {
        let literals = vec![name.to_owned()];
        match self.scope.names.resolve_ref(name) {
            Ok((node, part)) => {
                self.mention(Mention { node, part, reference: quoted(name), function: "ref", literals });
            }
            Err(fault) => self.wrong_name(fault, "ref", literals),
        }
        quoted(name)
    }

    fn source(&self, source: &str, table: &str) -> String {
        let reference = format!("{}.{}", quoted(source), quoted(table));
        let literals = vec![source.to_owned(), table.to_owned()];
        match self.scope.names.resolve_source(source, table) {
            Ok(node) => {
                let (part, reference) = (InputPart::Result, reference.clone());
                self.mention(Mention { node, part, reference, function: "source", literals });
            }
            Err(fault) => self.wrong_name(fault, "source", literals),
        }
        reference
    }

    fn wrong_name(&self, fault: NameFault, function: &'static str, literals: Vec<String>) {
        let NameFault { code, message, label, hint, index } = fault;
        self.fault(CallFault { code, message, label, hint, function, literals, index });
    }

    fn mention(&self, mention: Mention) {
        let mut recorder = self.recorder();
        if !recorder.mentions.iter().any(|known| (&known.node, known.part) == (&mention.node, mention.part)) {
            recorder.mentions.push(mention);
        }
    }

    fn var(&self, name: &str, default: Option<Value>) -> Value {
        if let Some(value) = self.scope.vars.get(name).cloned().or(default) {
            self.recorder().vars.insert(name.to_owned(), value.to_string());
            return value;
        }
        let fault = unknown_var(name, self.scope.vars.keys().map(String::as_str));
        self.wrong_name(fault, "var", vec![name.to_owned()]);
        Value::from("")
    }

    fn env_var(&self, name: &str, default: Option<Value>, secrets: Secrets) -> Value {
        let fault = |code, message, hint| CallFault {
            code,
            message,
            label: None,
            hint: Some(hint),
            function: "env_var",
            literals: vec![name.to_owned()],
            index: 0,
        };
        if secrets == Secrets::Refused && name.starts_with(SECRET_PREFIX) {
            let message = format!("the secret `{name}` cannot be used in SQL");
            let hint = "name it in `targets.yml` or `sources.yml`, where it stays out of plans and logs";
            self.fault(fault(Code::TEMPLATE_RENDER, message, hint.to_owned()));
            return Value::from("");
        }
        if let Some(value) = self.scope.env.get(name) {
            self.recorder().secrets.push(value.clone());
            return Value::from(value.as_str());
        }
        default.unwrap_or_else(|| {
            let message = format!("the environment variable `{name}` is not set");
            let hint = format!("set it, or give a default: `env_var('{name}', '...')`");
            self.fault(fault(Code::UNKNOWN_ENV_VAR, message, hint));
            Value::from("")
        })
    }
}

/// Whether `env_var` may read variables that hold secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrets {
    Allowed,
    Refused,
}

/// Returns a strict environment with what both YAML and SQL may call.
pub(crate) fn environment(shared: &Arc<Shared>, secrets: Secrets) -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.set_recursion_limit(RECURSION_LIMIT);
    let here = Arc::clone(shared);
    env.add_function("var", move |name: &str, default: Option<Value>| here.var(name, default));
    let here = Arc::clone(shared);
    env.add_function("env_var", move |name: &str, default: Option<Value>| here.env_var(name, default, secrets));
    if let Some((name, environment)) = &shared.scope.target {
        env.add_global("target", context! { name => name, env => environment });
    }
    env
}

/// Adds what only SQL may call.
pub(crate) fn add_sql_functions(env: &mut Environment<'static>, shared: &Arc<Shared>) {
    let here = Arc::clone(shared);
    env.add_function("ref", move |name: &str| here.refer(name));
    let here = Arc::clone(shared);
    env.add_function("source", move |source: &str, table: &str| here.source(source, table));
    let here = Arc::clone(shared);
    env.add_function("is_incremental", move || here.keeps_rows.load(Ordering::Relaxed));
    let here = Arc::clone(shared);
    env.add_function("config", move |settings: Kwargs| -> Result<&'static str, Error> {
        for key in settings.args() {
            let value: Value = settings.get(key)?;
            here.recorder().config.push((key.to_owned(), value));
        }
        Ok("")
    });
}

/// Makes the macro `name` of the template `file` callable by its plain name.
pub(crate) fn add_macro(env: &mut Environment<'static>, shared: &Arc<Shared>, name: &str, file: &str) {
    let here = Arc::clone(shared);
    let (name, file) = (name.to_owned(), file.to_owned());
    env.add_function(name.clone(), move |state: &mut State<'_, '_>, arguments: Rest<Value>| {
        let depth = here.depth.fetch_add(1, Ordering::Relaxed);
        let result = if depth >= MAX_MACRO_DEPTH {
            Err(Error::new(ErrorKind::InvalidOperation, format!("macro `{name}` calls itself without end")))
        } else {
            call_macro(state, &file, &name, &arguments)
        };
        here.depth.fetch_sub(1, Ordering::Relaxed);
        result
    });
}

fn call_macro(state: &State<'_, '_>, file: &str, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    let failed = |err: Error| Error::new(ErrorKind::BadInclude, format!("macro `{name}` fails")).with_source(err);
    let template = state.env().get_template(file).map_err(failed)?;
    let mut module = template.render_captured(()).map_err(failed)?;
    let text = module.with_state_mut(|state| state.call_macro(name, arguments)).map_err(failed)?;
    Ok(Value::from(text))
}
