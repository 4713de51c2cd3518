//! What a lock pins, for those who only want to know whether it has changed.
//!
//! Must stay true: nothing is resolved, built or written, and no process is started.

use std::collections::BTreeMap;

use toml::de::DeTable;

use super::LockedPackages;
use super::demand::Snapshot;
use super::digest::Digest;

/// Digits of the digest.
const DIGITS: usize = 32;

/// Returns what the files of a demand pin.
pub(super) fn locked(snapshot: &Snapshot) -> LockedPackages {
    let digest = Digest::new("lock 1").field(snapshot.requirements()).field(&snapshot.lock).hex(DIGITS);
    LockedPackages { digest, packages: packages(&snapshot.lock) }
}

/// Returns the packages of a `uv.lock`, without the project that it is for. What is no lock has none.
fn packages(lock: &str) -> BTreeMap<String, String> {
    let Ok(lock) = DeTable::parse(lock) else { return BTreeMap::new() };
    let listed = lock.get_ref().get("package").and_then(|packages| packages.get_ref().as_array());
    let tables = listed.into_iter().flatten().filter_map(|package| package.get_ref().as_table());
    tables.filter(|package| !is_project(package)).filter_map(name_and_version).collect()
}

fn name_and_version(package: &DeTable<'_>) -> Option<(String, String)> {
    let text = |key: &str| package.get(key)?.get_ref().as_str().map(str::to_owned);
    Some((text("name")?, text("version")?))
}

fn is_project(package: &DeTable<'_>) -> bool {
    let source = package.get("source").and_then(|source| source.get_ref().as_table());
    source.is_some_and(|source| source.contains_key("virtual") || source.contains_key("editable"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_those_that_are_installed() {
        let lock = r#"
version = 1
[[package]]
name = "numpy"
version = "2.4.0"
source = { registry = "https://index.example/simple" }
[[package]]
name = "windlass-environment"
version = "0"
source = { virtual = "." }
[[package]]
name = "scikit-learn"
version = "1.9.1"
source = { registry = "https://index.example/simple" }
"#;
        let found: Vec<String> = packages(lock).iter().map(|(name, version)| format!("{name} {version}")).collect();
        assert_eq!(found, ["numpy 2.4.0", "scikit-learn 1.9.1"]);
        assert_eq!(packages("<<<<<<< ours"), BTreeMap::new());
    }
}
