//! How versions of tables are written among inputs: `version 3`, and `prod version 3` for one of the base.
//!
//! Version numbers of two environments say nothing of each other, so a commit must not compare them.
//! Pure: texts in, texts out. Files of sources and texts of seeds are the same in every environment.

use super::record::{InputVersion, Inputs};

/// Returns the word for a Delta version among inputs.
pub(crate) fn version_text(version: u64) -> String {
    format!("version {version}")
}

/// Returns the word for a version of the base.
pub(crate) fn base_text(base: &str, version: &str) -> String {
    format!("{base} {version}")
}

/// Returns inputs that a commit of the base names in the words of an environment on top of it.
pub(crate) fn seen_from_above(inputs: &Inputs, base: &str) -> Inputs {
    with_identities(inputs, |identity| match is_own_version(identity) {
        true => Some(base_text(base, identity)),
        false => Some(identity.to_string()),
    })
    .unwrap_or_default()
}

/// Returns inputs of an environment in the words of its base; `None` where one of them is a table of the
/// environment's own, for which the base has no word.
pub(crate) fn seen_from_base(inputs: &Inputs, base: &str) -> Option<Inputs> {
    let below = |identity: &str| {
        let version = identity.strip_prefix(base).and_then(|rest| rest.strip_prefix(' '));
        version.filter(|version| is_own_version(version)).map(str::to_string)
    };
    with_identities(inputs, |identity| match below(identity) {
        Some(version) => Some(version),
        None => (!is_own_version(identity)).then(|| identity.to_string()),
    })
}

fn with_identities(inputs: &Inputs, identity: impl Fn(&str) -> Option<String>) -> Option<Inputs> {
    let one = |(name, version): (&String, &InputVersion)| {
        Some((name.clone(), InputVersion { identity: identity(&version.identity)?, ..version.clone() }))
    };
    inputs.iter().map(one).collect()
}

/// Returns whether an input is a version of a table of the environment whose commit names it.
pub(crate) fn is_own_version(identity: &str) -> bool {
    identity.strip_prefix("version ").is_some_and(|number| number.parse::<u64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(texts: &[&str]) -> Inputs {
        let one = |(at, text): (usize, &&str)| (format!("t{at}"), InputVersion::of_identity(*text));
        texts.iter().enumerate().map(one).collect()
    }

    #[test]
    fn versions_of_the_base_carry_its_name() {
        let check = |below: &[&str], above: &[&str]| {
            assert_eq!(seen_from_above(&inputs(below), "prod"), inputs(above));
            assert_eq!(seen_from_base(&inputs(above), "prod"), Some(inputs(below)));
        };
        check(&["version 3", "version 0"], &["prod version 3", "prod version 0"]);
        check(&["data/version 1.csv 12 tag", "0f3a"], &["data/version 1.csv 12 tag", "0f3a"]);
        check(&["delta s3://b/t version 7"], &["delta s3://b/t version 7"]);
    }

    #[test]
    fn the_base_has_no_word_for_tables_above_it() {
        assert_eq!(seen_from_base(&inputs(&["prod version 3", "version 0"]), "prod"), None);
        assert_eq!(seen_from_base(&inputs(&["stage version 3"]), "prod"), Some(inputs(&["stage version 3"])));
    }
}
