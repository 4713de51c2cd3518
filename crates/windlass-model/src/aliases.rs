//! Aliases of a model: what each points at, and everything they ever pointed at.
//!
//! A log of numbered files. Each holds one change and what all aliases point at after it, so the last
//! file is the present and the others are the history. Pure: [`crate::Registry`] reads and writes them.
//!
//! Must stay true: a file is written only where none of its number is, so of two writers one comes
//! after the other and has seen what the first one did.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Error;

/// What the aliases of a model point at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aliases {
    /// Version by alias.
    pub targets: BTreeMap<String, u64>,
    /// Every change, oldest first.
    pub history: Vec<AliasEntry>,
}

/// A change that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasEntry {
    /// Its number, from 1.
    pub sequence: u64,
    /// The alias.
    pub alias: String,
    /// Where it points since; `None` where it was removed.
    pub version: Option<u64>,
    /// Where it pointed before.
    pub previous: Option<u64>,
    /// When, in UTC as RFC 3339.
    pub at: String,
    /// Who: a run or a person.
    pub by: String,
    /// Whether it went back to an earlier version.
    #[serde(default)]
    pub is_rollback: bool,
    /// Whether the version had missed a gate.
    #[serde(default)]
    pub is_forced: bool,
    /// What all aliases point at since.
    pub targets: BTreeMap<String, u64>,
}

/// A change to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliasChange {
    /// The alias.
    pub alias: String,
    /// Where it shall point; `None` removes it.
    pub version: Option<u64>,
    /// Where it must point now.
    pub expected: Expected,
    /// Whether a version that missed a gate may get it.
    pub gating: Gating,
    /// When, in UTC as RFC 3339.
    pub at: String,
    /// Who: a run or a person.
    pub by: String,
}

/// Where an alias must point for a change to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Anywhere.
    Anything,
    /// At this version, or nowhere.
    Exactly(Option<u64>),
}

/// What a missed gate means for a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gating {
    /// The change is refused.
    Held,
    /// The change is made, and the history says so.
    Ignored,
}

impl Aliases {
    /// Returns the version that an alias points at.
    pub fn get(&self, alias: &str) -> Option<u64> {
        self.targets.get(alias).copied()
    }

    /// Returns the aliases of a version.
    pub fn of(&self, version: u64) -> Vec<&str> {
        self.targets.iter().filter(|(_, target)| **target == version).map(|(alias, _)| alias.as_str()).collect()
    }

    /// Returns the version that an alias goes back to: the one before the change that is still in
    /// force. Going back twice goes back two changes, not forth again.
    pub fn earlier(&self, alias: &str) -> Option<u64> {
        let mut versions: Vec<Option<u64>> = Vec::new();
        for entry in self.history.iter().filter(|entry| entry.alias == alias) {
            if entry.is_rollback {
                versions.pop();
            } else {
                versions.push(entry.version);
            }
        }
        versions.pop();
        versions.into_iter().rev().flatten().next()
    }

    /// Returns the file to write for a change; `None` where everything is as wanted already.
    pub(crate) fn entry(
        &self,
        model: &str,
        change: &AliasChange,
        is_rollback: bool,
        is_forced: bool,
    ) -> Result<Option<AliasEntry>, Error> {
        let previous = self.get(&change.alias);
        if let Expected::Exactly(expected) = change.expected
            && expected != previous
        {
            let place = |version: Option<u64>| {
                version.map_or_else(|| "nowhere".to_owned(), |version| format!("at version {version}"))
            };
            return Err(Error::AliasConflict {
                model: model.to_owned(),
                alias: change.alias.clone(),
                expected: place(expected),
                found: place(previous),
            });
        }
        if previous == change.version {
            return Ok(None);
        }
        let mut targets = self.targets.clone();
        match change.version {
            Some(version) => targets.insert(change.alias.clone(), version),
            None => targets.remove(&change.alias),
        };
        Ok(Some(AliasEntry {
            sequence: self.history.last().map_or(0, |last| last.sequence) + 1,
            alias: change.alias.clone(),
            version: change.version,
            previous,
            at: change.at.clone(),
            by: change.by.clone(),
            is_rollback,
            is_forced,
            targets,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(changes: &[(Option<u64>, bool)]) -> Aliases {
        let mut aliases = Aliases::default();
        for (version, is_rollback) in changes {
            let change = AliasChange {
                alias: "champion".to_owned(),
                version: *version,
                expected: Expected::Anything,
                gating: Gating::Held,
                at: String::new(),
                by: String::new(),
            };
            let entry = aliases.entry("m", &change, *is_rollback, false).unwrap().unwrap();
            aliases.targets = entry.targets.clone();
            aliases.history.push(entry);
        }
        aliases
    }

    #[test]
    fn going_back_goes_on_going_back() {
        let up = |version| (Some(version), false);
        let back = |version| (Some(version), true);
        for (changes, earlier) in [
            (vec![], None),
            (vec![up(1)], None),
            (vec![up(1), up(2), up(3)], Some(2)),
            (vec![up(1), up(2), up(3), back(2)], Some(1)),
            (vec![up(1), up(2), up(3), back(2), back(1)], None),
            (vec![up(1), up(2), back(1), up(4)], Some(1)),
            (vec![up(1), (None, false)], Some(1)),
            (vec![up(1), (None, false), up(2)], Some(1)),
        ] {
            assert_eq!(history(&changes).earlier("champion"), earlier, "{changes:?}");
        }
    }
}
