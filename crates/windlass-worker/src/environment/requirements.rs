//! A set of requirements, in one spelling, and the name of its lock.
//!
//! Must stay true: sets that ask for the same have the same stem, whatever their order, spacing and
//! case; sets that may ask for different things never share one.

use std::collections::BTreeSet;

use super::digest::Digest;

/// What is required of Python where nothing is said.
const REQUIRES_PYTHON: &str = ">=3.11";

/// The name of the project that a set is dressed up as for uv.
pub(super) const PROJECT: &str = "windlass-environment";

/// A package that every environment has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BasePackage {
    /// Its name, normalised.
    pub(super) name: &'static str,
    /// The oldest major version that will do, where it matters.
    pub(super) minimum: Option<u32>,
}

impl BasePackage {
    /// Returns it as a requirement.
    pub(super) fn requirement(&self) -> String {
        match self.minimum {
            Some(minimum) => format!("{}>={minimum}", self.name),
            None => self.name.to_owned(),
        }
    }
}

/// Requirements, sorted, each once, and the versions of Python that will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RequirementSet {
    requires_python: String,
    requirements: BTreeSet<String>,
}

impl RequirementSet {
    /// Reads requirements and adds the base packages that they do not name. Answers why one of them
    /// cannot be read.
    pub(super) fn try_new(
        requires_python: Option<&str>,
        dependencies: &[String],
        base: &[BasePackage],
    ) -> Result<Self, String> {
        let requires_python = match requires_python {
            Some(text) => comparisons(text).ok_or_else(|| {
                format!("`{}` names no versions of Python: expected comparisons, such as `>=3.11`", one_line(text))
            })?,
            None => REQUIRES_PYTHON.to_owned(),
        };
        let mut names = BTreeSet::new();
        let mut requirements = BTreeSet::new();
        for text in dependencies {
            let (name, requirement) = requirement(text).ok_or_else(|| {
                format!("`{}` is no requirement: expected a package and versions, such as `numpy>=2`", one_line(text))
            })?;
            names.insert(name);
            requirements.insert(requirement);
        }
        requirements.extend(base.iter().filter(|one| !names.contains(one.name)).map(BasePackage::requirement));
        Ok(Self { requires_python, requirements })
    }

    /// Returns the name of its lock, without an ending.
    pub(super) fn stem(&self) -> String {
        let start = Digest::new("requirements 1").field(&self.requires_python);
        self.requirements.iter().fold(start, Digest::field).hex(12)
    }

    /// Returns the project file that uv sees.
    pub(super) fn pyproject(&self) -> String {
        let requirements: Vec<String> =
            self.requirements.iter().map(|text| format!("    {},\n", quoted(text))).collect();
        format!(
            "[project]\nname = \"{PROJECT}\"\nversion = \"0\"\nrequires-python = {}\ndependencies = [\n{}]\n\n\
             [tool.uv]\npackage = false\n\n[tool.uv.workspace]\n",
            quoted(&self.requires_python),
            requirements.concat(),
        )
    }

    /// Returns what to say when uv cannot read a requirement: our own reading leaves markers and
    /// addresses to it.
    pub(super) fn doubt(&self) -> String {
        let doubtful = self.requirements.iter().filter(|text| text.contains(['@', ';']));
        let shown = |text: &String| format!("`{text}`");
        let doubtful: Vec<String> = doubtful.map(shown).collect();
        if doubtful.is_empty() {
            let all: Vec<String> = self.requirements.iter().map(shown).collect();
            return format!("{} is no requirement: its version cannot be read", all.join(" or "));
        }
        format!("{} is no requirement: its address or its marker cannot be read", doubtful.join(" or "))
    }

    /// Returns the comment at the top of its lock.
    pub(super) fn heading(&self) -> String {
        let requirements: Vec<String> = self.requirements.iter().map(|text| format!("#   {text}\n")).collect();
        format!("# Locked by Windlass for Python {} with\n{}", self.requires_python, requirements.concat())
    }
}

/// Returns a package's name in the spelling that all its spellings share (PEP 503).
pub(super) fn normalised(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").to_lowercase()
}

/// Returns the package and the requirement in one spelling.
fn requirement(text: &str) -> Option<(String, String)> {
    let text = one_line(text);
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.ends_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let name = normalised(name);
    let (extras, rest) = match rest.trim_start().strip_prefix('[') {
        Some(rest) => {
            let (inside, rest) = rest.split_once(']')?;
            (extras(inside), rest)
        }
        None => (String::new(), rest),
    };
    let rest = rest.trim();
    if let Some(address) = rest.strip_prefix('@') {
        let address = address.trim_start();
        return (!address.is_empty()).then(|| (name.clone(), format!("{name}{extras} @ {address}")));
    }
    let (versions, marker) = match rest.split_once(';') {
        Some((versions, marker)) => (versions.trim(), format!("; {}", marker.trim())),
        None => (rest, String::new()),
    };
    let versions = versions.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')).unwrap_or(versions);
    let versions = if versions.is_empty() { String::new() } else { comparisons(versions)? };
    Some((name.clone(), format!("{name}{extras}{versions}{marker}")))
}

fn extras(inside: &str) -> String {
    let names: BTreeSet<String> = inside.split(',').map(|name| normalised(name.trim())).collect();
    let names: Vec<String> = names.into_iter().filter(|name| !name.is_empty()).collect();
    if names.is_empty() { String::new() } else { format!("[{}]", names.join(",")) }
}

/// Returns comparisons with versions (PEP 440), sorted and without spaces.
fn comparisons(text: &str) -> Option<String> {
    const OPERATORS: &[&str] = &["===", "~=", "==", "!=", "<=", ">=", "<", ">"];
    let mut found = BTreeSet::new();
    for part in text.trim_end().trim_end_matches(',').split(',') {
        let part = part.trim();
        let operator = OPERATORS.iter().find(|operator| part.starts_with(**operator))?;
        let version = part[operator.len()..].trim_start();
        let is_version = version.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit());
        if version.contains(char::is_whitespace) || !is_version && *operator != "===" {
            return None;
        }
        found.insert(format!("{operator}{version}"));
    }
    Some(found.into_iter().collect::<Vec<_>>().join(","))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns a string as TOML writes it; JSON's escapes are a part of TOML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
