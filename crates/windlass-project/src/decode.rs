//! Decodes YAML values and says what was expected where one does not fit.
//!
//! Every function reports its own problem and returns `None`, so callers read on and find the rest.

use windlass_error::{Code, Diagnostic, Location, nearest};

use crate::config::name_here;
use crate::problems::Problems;
use crate::yaml::{Entry, Value, Yaml, duplicate};

/// A map whose keys are known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    entries: &'a [Entry],
}

/// A thing with a name, from `- name: x` or from `x:`.
#[derive(Debug)]
pub(crate) struct Named<'a> {
    pub(crate) name: String,
    pub(crate) at: Location,
    body: Option<&'a Yaml>,
    in_list: bool,
}

impl<'a> Fields<'a> {
    /// Opens a map and refuses keys that are not `known`; `what` names the map in messages.
    pub(crate) fn open(yaml: &'a Yaml, what: &str, known: &[&str], problems: &mut Problems) -> Option<Self> {
        let entries = entries(yaml, what, problems)?;
        for entry in entries {
            if !known.contains(&entry.key.as_str()) {
                problems.push(unknown_key(&entry.key, &entry.key_at, what, known));
            }
        }
        Some(Self { entries })
    }

    /// Returns the entry of a key, unless its value is empty.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| entry.key == key && !entry.value.is_null())
    }

    pub(crate) fn value(&self, key: &str) -> Option<&'a Yaml> {
        self.get(key).map(|entry| &entry.value)
    }

    pub(crate) fn text(&self, key: &str, problems: &mut Problems) -> Option<String> {
        self.value(key).and_then(|value| text(value, key, problems))
    }

    pub(crate) fn texts(&self, key: &str, problems: &mut Problems) -> Option<Vec<String>> {
        self.value(key).and_then(|value| texts(value, key, problems))
    }

    pub(crate) fn entries(&self) -> &'a [Entry] {
        self.entries
    }
}

impl<'a> Named<'a> {
    /// Opens the settings below the name.
    pub(crate) fn fields(&self, what: &str, known: &[&str], problems: &mut Problems) -> Option<Fields<'a>> {
        let Some(body) = self.body else { return Some(Fields { entries: &[] }) };
        if self.in_list {
            let with_name: Vec<&str> = known.iter().copied().chain(["name"]).collect();
            Fields::open(body, what, &with_name, problems)
        } else {
            Fields::open(body, what, known, problems)
        }
    }

    /// Returns whether a key stands below the name.
    pub(crate) fn has(&self, key: &str) -> bool {
        match self.body.map(|body| &body.value) {
            Some(Value::Map(entries)) => entries.iter().any(|entry| entry.key == key),
            _ => false,
        }
    }

    pub(crate) fn body(&self) -> Option<&'a Yaml> {
        self.body
    }

    /// Returns the same name over another body, such as a rendered one.
    pub(crate) fn with_body<'b>(&self, body: Option<&'b Yaml>) -> Named<'b> {
        Named { name: self.name.clone(), at: self.at.clone(), body, in_list: self.in_list }
    }
}

/// Returns the entries of a map; an empty value is an empty map.
pub(crate) fn entries<'a>(yaml: &'a Yaml, what: &str, problems: &mut Problems) -> Option<&'a [Entry]> {
    match &yaml.value {
        Value::Map(entries) => Some(entries),
        _ if yaml.is_null() => Some(&[]),
        _ => {
            problems.push(expected("a map", what, yaml));
            None
        }
    }
}

/// Returns the items of a list of `- name:` entries or of a map by name.
pub(crate) fn named<'a>(yaml: &'a Yaml, what: &str, problems: &mut Problems) -> Vec<Named<'a>> {
    let items = match &yaml.value {
        Value::Map(entries) => return entries.iter().map(named_entry).collect(),
        Value::List(items) => items,
        _ if yaml.is_null() => return Vec::new(),
        _ => {
            problems.push(expected("a map by name or a list of `- name:`", what, yaml));
            return Vec::new();
        }
    };
    let mut found: Vec<Named<'a>> = Vec::with_capacity(items.len());
    for item in items {
        let Some(named) = named_item(item, what, problems) else { continue };
        match found.iter().find(|known| known.name == named.name) {
            Some(first) => problems.push(duplicate(&format!("name `{}`", named.name), &first.at, &named.at)),
            None => found.push(named),
        }
    }
    found
}

fn named_entry(entry: &Entry) -> Named<'_> {
    let body = (!entry.value.is_null()).then_some(&entry.value);
    Named { name: entry.key.clone(), at: entry.key_at.clone(), body, in_list: false }
}

fn named_item<'a>(item: &'a Yaml, what: &str, problems: &mut Problems) -> Option<Named<'a>> {
    if let Some(scalar) = item.scalar().filter(|scalar| !scalar.is_null()) {
        return Some(Named { name: scalar.text.clone(), at: item.at.clone(), body: None, in_list: true });
    }
    let entries = entries(item, &format!("an item of {what}"), problems)?;
    let Some(entry) = entries.iter().find(|entry| entry.key == "name" && !entry.value.is_null()) else {
        problems.push(missing_key("name", &format!("an item of {what}"), &item.at));
        return None;
    };
    let name = text(&entry.value, "name", problems)?;
    Some(Named { name, at: entry.value.at.clone(), body: Some(item), in_list: true })
}

/// Returns a text; numbers and the like count as they are written.
pub(crate) fn text(yaml: &Yaml, key: &str, problems: &mut Problems) -> Option<String> {
    match yaml.scalar() {
        Some(scalar) if !scalar.is_null() => Some(scalar.text.clone()),
        _ => {
            problems.push(expected("a text", &format!("`{key}`"), yaml));
            None
        }
    }
}

/// Returns one or more texts; a single one needs no list.
pub(crate) fn texts(yaml: &Yaml, key: &str, problems: &mut Problems) -> Option<Vec<String>> {
    match &yaml.value {
        Value::List(items) => items.iter().map(|item| text(item, key, problems)).collect(),
        Value::Scalar(_) => text(yaml, key, problems).map(|text| vec![text]),
        Value::Map(_) => {
            problems.push(expected("a text or a list of texts", &format!("`{key}`"), yaml));
            None
        }
    }
}

/// Returns a whole number from 0.
pub(crate) fn count(yaml: &Yaml, key: &str, problems: &mut Problems) -> Option<u32> {
    let number = yaml.scalar().and_then(|scalar| scalar.as_int()).and_then(|number| u32::try_from(number).ok());
    if number.is_none() {
        problems.push(expected("a whole number from 0", &format!("`{key}`"), yaml));
    }
    number
}

/// Returns `true` or `false`.
pub(crate) fn flag(yaml: &Yaml, key: &str, problems: &mut Problems) -> Option<bool> {
    let flag = yaml.scalar().and_then(|scalar| scalar.as_bool());
    if flag.is_none() {
        problems.push(expected("`true` or `false`", &format!("`{key}`"), yaml));
    }
    flag
}

/// Returns one ASCII character, also written `tab` or `\t`.
pub(crate) fn delimiter(yaml: &Yaml, problems: &mut Problems) -> Option<u8> {
    let byte = yaml.scalar().and_then(|scalar| match scalar.text.as_str() {
        "tab" | "\\t" => Some(b'\t'),
        text => <[u8; 1]>::try_from(text.as_bytes()).ok().map(|[byte]| byte).filter(u8::is_ascii),
    });
    if byte.is_none() {
        problems.push(expected("one ASCII character or `tab`", "`delimiter`", yaml));
    }
    byte
}

/// Returns the diagnostic for a value that does not fit; `key` comes with its backticks.
pub(crate) fn expected(expected: &str, key: &str, found: &Yaml) -> Diagnostic {
    let message = format!("expected {expected} for {key}, found {}", found.describe());
    Diagnostic::error(Code::INVALID_VALUE, message).at(found.at.clone())
}

/// Returns the diagnostic for a key that must be there.
pub(crate) fn missing_key(key: &str, what: &str, at: &Location) -> Diagnostic {
    Diagnostic::error(Code::MISSING_KEY, format!("{what} needs the key `{key}`")).at(at.clone())
}

/// Returns the diagnostic for a key that is not known.
pub(crate) fn unknown_key(key: &str, at: &Location, what: &str, known: &[&str]) -> Diagnostic {
    let problem = Diagnostic::error(Code::UNKNOWN_KEY, format!("unknown key `{key}` in {what}")).at(at.clone());
    let other = name_here(key).filter(|here| known.iter().any(|known| here.split(':').next() == Some(*known)));
    match other.or_else(|| nearest(key, known.iter().copied())) {
        Some(near) => problem.label(format!("did you mean `{near}`?")),
        None => problem.hint(format!("known keys: {}", list(known))),
    }
}

/// Returns names in backticks with commas.
pub(crate) fn list<T: AsRef<str>>(names: &[T]) -> String {
    names.iter().map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(", ")
}

/// Returns whether a name can stand in SQL and in a path without quotes or escapes.
pub(crate) fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}
