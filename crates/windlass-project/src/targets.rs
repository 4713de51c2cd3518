//! `targets.yml`: where a project runs. Only the selected target is rendered and decoded, so that
//! a variable that another one needs may be unset.

use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use windlass_error::{Code, Diagnostic, Location, SourceFile, nearest};

use crate::decode::{Fields, count, entries, expected, list, missing_key, text};
use crate::location::{is_url, resolve, resolve_path};
use crate::manifest::parse_file;
use crate::openlineage;
use crate::problems::Problems;
use crate::template::YamlTemplates;
use crate::yaml::{Entry, Value, Yaml};
use crate::{MemoryLimit, Target};

const KEYS: [&str; 12] = [
    "base",
    "engine",
    "env",
    "extends",
    "lake",
    "memory",
    "openlineage",
    "protected",
    "state",
    "storage",
    "threads",
    "tracking",
];
const ENGINE: &str = "datafusion";
const UNITS: [(&str, u64); 9] = [
    ("TIB", 1 << 40),
    ("GIB", 1 << 30),
    ("MIB", 1 << 20),
    ("KIB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// Which target is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted<'a> {
    pub(crate) target: Option<&'a str>,
    pub(crate) env: Option<&'a str>,
}

/// Returns the target of a project without `targets.yml`.
pub(crate) fn default_target(root: &Path) -> Target {
    Target {
        name: "local".into(),
        lake: resolve(root, "lake"),
        state: root.join(".windlass"),
        env: "prod".into(),
        own_env: "prod".into(),
        base: None,
        protected: Vec::new(),
        memory: MemoryLimit::Fraction(0.7),
        threads: None,
        storage: IndexMap::new(),
        openlineage: None,
        tracking: None,
    }
}

/// Selects, renders and decodes a target; `None` where it cannot be used.
pub(crate) fn read_target(
    file: Option<&Arc<SourceFile>>,
    wanted: Wanted<'_>,
    root: &Path,
    templates: &YamlTemplates,
    problems: &mut Problems,
) -> Option<Target> {
    let mut own = Problems::default();
    let target = match file {
        Some(file) => from_file(file, wanted, root, templates, &mut own),
        None => without_file(wanted, root, &mut own),
    };
    let target = target.and_then(|target| with_env(target, wanted.env, &mut own));
    let usable = !own.has_errors();
    problems.absorb(own);
    target.filter(|_| usable)
}

fn without_file(wanted: Wanted<'_>, root: &Path, problems: &mut Problems) -> Option<Target> {
    match wanted.target {
        None | Some("local") => Some(default_target(root)),
        Some(name) => {
            let problem = Diagnostic::error(Code::UNKNOWN_TARGET, format!("no target `{name}`"));
            problems.push(problem.hint("the project has no `targets.yml`; its only target is `local`"));
            None
        }
    }
}

fn with_env(mut target: Target, env: Option<&str>, problems: &mut Problems) -> Option<Target> {
    if let Some(env) = env {
        if !is_folder_name(env) {
            let message = format!("`{env}` cannot be the name of an environment");
            problems.push(Diagnostic::error(Code::INVALID_VALUE, message).hint(ENV_HINT));
            return None;
        }
        env.clone_into(&mut target.env);
    }
    // `-e prod` under a target on top of `prod` is `prod` itself.
    target.base = target.base.filter(|base| *base != target.env);
    Some(target)
}

const ENV_HINT: &str = "an environment is a folder of the lake: letters, digits, `_`, `-` and `.`";

fn from_file(
    file: &Arc<SourceFile>,
    wanted: Wanted<'_>,
    root: &Path,
    templates: &YamlTemplates,
    problems: &mut Problems,
) -> Option<Target> {
    let Some(yaml) = parse_file(file, problems)? else {
        problems.push(missing_key("targets", "`targets.yml`", &Location::new(file, 0..0)));
        return None;
    };
    let fields = Fields::open(&yaml, "`targets.yml`", &["default", "targets"], problems)?;
    let Some(entry) = fields.get("targets") else {
        problems.push(missing_key("targets", "`targets.yml`", &yaml.at));
        return None;
    };
    let targets = entries(&entry.value, "`targets`", problems)?;
    let (name, at) = selected(fields, targets, wanted.target, problems)?;
    let chain = extended(targets, &name, at.as_ref(), problems)?;
    let merged = templates.render(&merged(&chain, problems), problems);
    decode(&name, &chain[0].key_at, &merged, root, problems)
}

/// Returns the name of the wanted target, and where it is written if the file says so.
fn selected(
    fields: Fields<'_>,
    targets: &[Entry],
    wanted: Option<&str>,
    problems: &mut Problems,
) -> Option<(String, Option<Location>)> {
    if let Some(wanted) = wanted {
        return Some((wanted.to_owned(), None));
    }
    if let Some(value) = fields.value("default") {
        return text(value, "default", problems).map(|name| (name, Some(value.at.clone())));
    }
    match targets {
        [only] => Some((only.key.clone(), None)),
        _ => {
            let names: Vec<&str> = targets.iter().map(|entry| entry.key.as_str()).collect();
            let message = "`targets.yml` has several targets and no `default`";
            let problem = Diagnostic::error(Code::MISSING_KEY, message);
            let problem = match targets.first() {
                Some(first) => problem.at(first.key_at.clone()),
                None => problem,
            };
            problems.push(problem.hint(format!("set `default:` to one of {}, or pass `--target`", list(&names))));
            None
        }
    }
}

/// Returns a target and those that it extends, itself first.
fn extended<'a>(
    targets: &'a [Entry],
    name: &str,
    at: Option<&Location>,
    problems: &mut Problems,
) -> Option<Vec<&'a Entry>> {
    let mut chain: Vec<&Entry> = Vec::new();
    let (mut name, mut at) = (name.to_owned(), at.cloned());
    loop {
        let Some(entry) = targets.iter().find(|entry| entry.key == name) else {
            problems.push(unknown_target(&name, targets, at));
            return None;
        };
        if chain.iter().any(|known| known.key == name) {
            let circle: Vec<&str> = chain.iter().map(|entry| entry.key.as_str()).chain([name.as_str()]).collect();
            let message = format!("targets extend each other: {}", circle.join(" -> "));
            let problem = Diagnostic::error(Code::INVALID_VALUE, message);
            problems.push(problem.at(at.unwrap_or_else(|| entry.key_at.clone())));
            return None;
        }
        chain.push(entry);
        let below = entries(&entry.value, &format!("target `{name}`"), problems)?;
        let Some(parent) = below.iter().find(|entry| entry.key == "extends") else { return Some(chain) };
        at = Some(parent.value.at.clone());
        name = text(&parent.value, "extends", problems)?;
    }
}

fn unknown_target(name: &str, targets: &[Entry], at: Option<Location>) -> Diagnostic {
    let names: Vec<&str> = targets.iter().map(|entry| entry.key.as_str()).collect();
    let mut problem = Diagnostic::error(Code::UNKNOWN_TARGET, format!("no target `{name}`"));
    problem.location = at;
    match nearest(name, names.iter().copied()) {
        Some(near) if problem.location.is_none() => problem.hint(format!("did you mean `{near}`?")),
        Some(near) => problem.label(format!("did you mean `{near}`?")),
        None => problem.hint(format!("targets of `targets.yml`: {}", list(&names))),
    }
}

/// Returns one map of a target's keys and those that it inherits; `storage` is inherited key by key.
fn merged(chain: &[&Entry], problems: &mut Problems) -> Yaml {
    let mut merged: Vec<Entry> = Vec::new();
    for entry in chain {
        for inherited in entries(&entry.value, &format!("target `{}`", entry.key), problems).unwrap_or_default() {
            match merged.iter_mut().find(|known| known.key == inherited.key) {
                None => merged.push(inherited.clone()),
                Some(known) if known.key == "storage" => add_absent(&mut known.value, &inherited.value),
                Some(_) => {}
            }
        }
    }
    Yaml { value: Value::Map(merged), at: chain[0].value.at.clone() }
}

fn add_absent(near: &mut Yaml, far: &Yaml) {
    let (Value::Map(near), Value::Map(far)) = (&mut near.value, &far.value) else { return };
    for entry in far {
        if !near.iter().any(|known| known.key == entry.key) {
            near.push(entry.clone());
        }
    }
}

fn decode(name: &str, at: &Location, yaml: &Yaml, root: &Path, problems: &mut Problems) -> Option<Target> {
    let what = format!("target `{name}`");
    let fields = Fields::open(yaml, &what, &KEYS, problems)?;
    if let Some(value) = fields.value("engine") {
        check_engine(value, problems);
    }
    let mut target = Target { name: name.to_owned(), ..default_target(root) };
    match fields.value("lake") {
        Some(value) => target.lake = resolve(root, &text(value, "lake", problems)?),
        None => {
            problems.push(missing_key("lake", &what, at).hint("the folder or URL for tables, such as `lake: ./lake`"))
        }
    }
    if let Some(value) = fields.value("state") {
        let state = text(value, "state", problems)?;
        if is_url(&state) {
            problems.push(expected("a folder on this machine", "`state`", value));
        }
        target.state = resolve_path(root, &state);
    }
    if let Some(value) = fields.value("env") {
        target.env = env_name(value, "env", problems)?;
        target.own_env.clone_from(&target.env);
    }
    if let Some(value) = fields.value("base") {
        target.base = env_name(value, "base", problems);
    }
    if let Some(value) = fields.value("protected") {
        target.protected = protected(value, &target.env, problems);
    }
    if let Some(value) = fields.value("memory") {
        target.memory = memory(value, problems)?;
    }
    if let Some(value) = fields.value("threads") {
        target.threads = threads(value, problems);
    }
    if let Some(value) = fields.value("storage") {
        target.storage = storage(value, problems);
    }
    if let Some(value) = fields.value("openlineage") {
        target.openlineage = openlineage::decode(value, root, problems);
    }
    if let Some(value) = fields.value("tracking") {
        target.tracking = tracking(value, problems);
    }
    Some(target)
}

/// Decodes the name of an environment.
fn env_name(value: &Yaml, key: &str, problems: &mut Problems) -> Option<String> {
    let name = text(value, key, problems)?;
    if !is_folder_name(&name) {
        problems.push(expected("a name for a folder", &format!("`{key}`"), value).hint(ENV_HINT));
    }
    Some(name)
}

/// Decodes which environments are protected: `true` stands for the target's own.
fn protected(value: &Yaml, own: &str, problems: &mut Problems) -> Vec<String> {
    if let Some(is_protected) = value.scalar().and_then(|scalar| scalar.as_bool()) {
        return if is_protected { vec![own.to_owned()] } else { Vec::new() };
    }
    match &value.value {
        Value::List(names) => names.iter().filter_map(|name| env_name(name, "protected", problems)).collect(),
        _ => {
            problems.push(expected("`true`, `false` or a list of environments", "`protected`", value));
            Vec::new()
        }
    }
}

fn check_engine(value: &Yaml, problems: &mut Problems) {
    match value.scalar().map(|scalar| scalar.text.as_str()) {
        Some(ENGINE) => {}
        Some(_) => {
            let message = format!("the engine {} is not known, only `{ENGINE}`", value.describe());
            let problem = Diagnostic::error(Code::INVALID_VALUE, message).at(value.at.clone());
            problems.push(problem.hint("other engines arrive in a later version of Windlass"));
        }
        None => problems.push(expected(&format!("`{ENGINE}`"), "`engine`", value)),
    }
}

fn threads(value: &Yaml, problems: &mut Problems) -> Option<usize> {
    if value.scalar().is_some_and(|scalar| scalar.text == "auto") {
        return None;
    }
    match value.scalar().and_then(|scalar| scalar.as_int()) {
        Some(1..) => count(value, "threads", problems).and_then(|number| usize::try_from(number).ok()),
        _ => {
            problems.push(expected("a whole number from 1, or `auto`,", "`threads`", value));
            None
        }
    }
}

fn memory(value: &Yaml, problems: &mut Problems) -> Option<MemoryLimit> {
    let limit = value.scalar().and_then(|scalar| parse_memory(&scalar.text));
    if limit.is_none() {
        problems.push(expected("a size such as `70%`, `4GiB` or `500MB`", "`memory`", value));
    }
    limit
}

fn parse_memory(text: &str) -> Option<MemoryLimit> {
    let text = text.trim().to_ascii_uppercase();
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
    if let Some(percent) = text.strip_suffix('%') {
        return number(percent)
            .filter(|percent| *percent <= 100.0)
            .map(|percent| MemoryLimit::Fraction(percent / 100.0));
    }
    size(&text).map(MemoryLimit::Bytes)
}

/// Returns the bytes of a size such as `4GiB`.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    size(&text.trim().to_ascii_uppercase())
}

fn size(text: &str) -> Option<u64> {
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
    let unit = UNITS.iter().find_map(|(unit, bytes)| text.strip_suffix(unit).map(|rest| (rest, *bytes)));
    let (digits, unit) = unit.unwrap_or((text, 1));
    let bytes = number(digits)? * unit as f64;
    (1.0..=u64::MAX as f64).contains(&bytes).then_some(bytes as u64)
}

/// Decodes `storage:`. Its values may be secret, so a problem shows none of them.
fn storage(value: &Yaml, problems: &mut Problems) -> IndexMap<String, String> {
    let mut storage = IndexMap::new();
    for entry in entries(value, "`storage`", problems).unwrap_or_default() {
        match entry.value.scalar() {
            Some(scalar) if !scalar.is_null() => {
                storage.insert(entry.key.clone(), scalar.text.clone());
            }
            Some(_) => {}
            None => {
                let message = format!("expected a text for `{}` of `storage`", entry.key);
                problems.push(Diagnostic::error(Code::INVALID_VALUE, message).at(entry.key_at.clone()));
            }
        }
    }
    storage
}

fn is_folder_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// Returns the address of an MLflow server.
fn tracking(value: &Yaml, problems: &mut Problems) -> Option<String> {
    let uri = text(value, "tracking", problems)?;
    if ["http://", "https://"].iter().any(|scheme| uri.starts_with(scheme)) {
        return Some(uri);
    }
    // What stands there may be secret.
    let problem = Diagnostic::error(Code::INVALID_VALUE, "expected the address of an MLflow server for `tracking`");
    problems.push(
        problem.at(value.at.clone()).hint("write `http://host:5000`: files and databases of MLflow are not read"),
    );
    None
}

#[cfg(test)]
mod tests;
