//! Names of models and aliases, and references to versions.
//!
//! Accepts what MLflow accepts too, so that a registry can move there and back: `latest`, numbers and
//! `v3` mean versions and are never aliases.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// Longest name; with what stands around it a file name stays below 255 bytes.
const LONGEST: usize = 200;

/// Which version of a model is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum VersionRef {
    /// The newest.
    Latest,
    /// This one.
    Number(u64),
    /// The one that an alias points at.
    Alias(String),
}

/// A model and which version of it, such as `late@champion`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ModelRef {
    /// The model.
    pub model: String,
    /// The version.
    pub version: VersionRef,
}

impl FromStr for VersionRef {
    type Err = Error;

    /// Reads `3`, `v3`, `latest` or the name of an alias.
    fn from_str(text: &str) -> Result<Self, Error> {
        if text.eq_ignore_ascii_case("latest") {
            return Ok(Self::Latest);
        }
        match number(text) {
            Some(version) => Ok(Self::Number(version)),
            None => check_alias(text).map(|()| Self::Alias(text.to_owned())),
        }
    }
}

impl FromStr for ModelRef {
    type Err = Error;

    /// Reads `name`, `name@alias`, `name@3` or `name/3`; without a version the newest is meant.
    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.strip_prefix("models:/").unwrap_or(text);
        let (model, version) = match text.split_once(['@', '/']) {
            Some((model, version)) => (model, version.parse()?),
            None => (text, VersionRef::Latest),
        };
        check_model(model)?;
        Ok(Self { model: model.to_owned(), version })
    }
}

impl fmt::Display for VersionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::Number(version) => write!(f, "{version}"),
            Self::Alias(alias) => f.write_str(alias),
        }
    }
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            VersionRef::Latest => f.write_str(&self.model),
            VersionRef::Number(version) => write!(f, "{}/{version}", self.model),
            VersionRef::Alias(alias) => write!(f, "{}@{alias}", self.model),
        }
    }
}

/// Fails where a name cannot be that of a model.
pub(crate) fn check_model(name: &str) -> Result<(), Error> {
    check(name, "a model")
}

/// Fails where a name cannot be that of an alias.
pub(crate) fn check_alias(name: &str) -> Result<(), Error> {
    check(name, "an alias")?;
    if name.eq_ignore_ascii_case("latest") || number(name).is_some() {
        return Err(Error::Name { name: name.to_owned(), what: "an alias", why: "it means a version" });
    }
    Ok(())
}

fn check(name: &str, what: &'static str) -> Result<(), Error> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    let why = if name.is_empty() {
        "it is empty"
    } else if name.len() > LONGEST {
        "it has more than 200 characters"
    } else if !name.chars().all(fits) {
        "it may have letters, digits, `_` and `-`"
    } else if !name.starts_with(|letter: char| letter.is_ascii_alphanumeric()) {
        "it must start with a letter or digit"
    } else {
        return Ok(());
    };
    Err(Error::Name { name: name.to_owned(), what, why })
}

/// Returns the version that `3` or `v3` means.
fn number(text: &str) -> Option<u64> {
    let digits = text.strip_prefix(['v', 'V']).unwrap_or(text);
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_they_are_written() {
        for (text, shown) in [
            ("late", "late"),
            ("late@champion", "late@champion"),
            ("late@latest", "late"),
            ("late/3", "late/3"),
            ("late@v3", "late/3"),
            ("models:/late@champion", "late@champion"),
        ] {
            assert_eq!(text.parse::<ModelRef>().unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn names_that_mean_something_else_are_refused() {
        for (alias, message) in [
            ("v3", "`v3` cannot be the name of an alias: it means a version"),
            ("Latest", "`Latest` cannot be the name of an alias: it means a version"),
            ("", "`` cannot be the name of an alias: it is empty"),
            ("a/b", "`a/b` cannot be the name of an alias: it may have letters, digits, `_` and `-`"),
            ("_a", "`_a` cannot be the name of an alias: it must start with a letter or digit"),
        ] {
            assert_eq!(check_alias(alias).unwrap_err().to_string(), message);
        }
        assert!(check_model("v3").is_ok());
        assert!("late@a b".parse::<ModelRef>().is_err());
    }
}
