//! The registry on a folder, with several writers at once.

use std::collections::BTreeMap;

use futures::future::join_all;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;

use super::*;
use crate::{Format, Gate, InputVersion, Signature, Task, Verdict};

fn registry() -> Registry {
    Registry::new(Arc::new(InMemory::new()), Path::from("prod/_windlass/models"))
}

fn trained(fingerprint: &str) -> NewVersion {
    let record = ModelVersion {
        model: "late".to_owned(),
        version: 0,
        created: "2026-11-27T12:00:00Z".to_owned(),
        task: Task::Classification,
        format: Format::Lightgbm,
        artifacts: Vec::new(),
        metrics: BTreeMap::from([("auc".to_owned(), 0.74), ("bad".to_owned(), f64::NAN)]),
        params: BTreeMap::new(),
        gates: Vec::new(),
        fingerprint: fingerprint.to_owned(),
        inputs: vec![InputVersion { table: "flights".to_owned(), version: "3".to_owned() }],
        signature: Signature::default(),
        classes: None,
        run_id: None,
        tags: BTreeMap::new(),
    };
    let file = ModelFile { path: "model.txt".to_owned(), bytes: Bytes::from(fingerprint.to_owned()) };
    NewVersion { record, files: vec![file] }
}

fn change(alias: &str, version: u64, expected: Expected) -> AliasChange {
    AliasChange {
        alias: alias.to_owned(),
        version: Some(version),
        expected,
        gating: Gating::Held,
        at: "2026-11-27T12:00:00Z".to_owned(),
        by: "test".to_owned(),
    }
}

#[tokio::test]
async fn versions_are_numbered_and_the_same_training_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap());
    let registry = Registry::new(store, Path::from("prod/_windlass/models"));
    let first = registry.register(trained("a")).await.unwrap();
    let second = registry.register(trained("b")).await.unwrap();
    let again = registry.register(trained("a")).await.unwrap();
    assert_eq!((first.version().version, second.version().version), (1, 2));
    assert!(matches!(again, Registered::Existing(ref version) if version.version == 1));
    assert_eq!(registry.models().await.unwrap(), ["late"]);
    let versions = registry.versions("late").await.unwrap();
    assert_eq!(versions.len(), 2);
    assert!(versions[0].metrics["bad"].is_nan());
    assert_eq!(registry.artifact(&versions[1], "model.txt").await.unwrap(), "b");
}

#[tokio::test]
async fn many_writers_get_a_number_each() {
    let registry = registry();
    let all = join_all((0..20).map(|at| registry.register(trained(&(at % 10).to_string())))).await;
    let mut numbers: Vec<u64> = all.into_iter().map(|one| one.unwrap().version().version).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers, (1..=10).collect::<Vec<u64>>());
    let mut fingerprints: Vec<String> =
        registry.versions("late").await.unwrap().into_iter().map(|version| version.fingerprint).collect();
    fingerprints.sort();
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), 10);
}

#[tokio::test]
async fn a_change_of_an_alias_is_never_lost() {
    let registry = registry();
    for name in ["a", "b", "c"] {
        registry.register(trained(name)).await.unwrap();
    }
    let aliases: Vec<String> = (0..8).map(|at| format!("alias-{at}")).collect();
    let changes: Vec<AliasChange> = aliases.iter().map(|alias| change(alias, 2, Expected::Anything)).collect();
    for done in join_all(changes.iter().map(|change| registry.set_alias("late", change))).await {
        done.unwrap().unwrap();
    }
    let found = registry.aliases("late").await.unwrap();
    assert_eq!(found.targets.len(), 8);
    assert_eq!(found.history.len(), 8);
    let expected: Vec<AliasChange> =
        [1, 3].iter().map(|version| change("alias-0", *version, Expected::Exactly(Some(2)))).collect();
    let done = join_all(expected.iter().map(|change| registry.set_alias("late", change))).await;
    let errors: Vec<String> = done.into_iter().filter_map(|done| done.err().map(|error| error.to_string())).collect();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].ends_with(", not at version 2"), "{errors:?}");
}

#[tokio::test]
async fn an_alias_goes_back_and_leads_to_its_version() {
    let registry = registry();
    for name in ["a", "b"] {
        registry.register(trained(name)).await.unwrap();
    }
    registry.set_alias("late", &change("champion", 1, Expected::Exactly(None))).await.unwrap();
    registry.set_alias("late", &change("champion", 2, Expected::Anything)).await.unwrap();
    assert_eq!(registry.set_alias("late", &change("champion", 2, Expected::Anything)).await.unwrap(), None);
    let champion = VersionRef::Alias("champion".to_owned());
    assert_eq!(registry.get("late", &champion).await.unwrap().version, 2);
    let entry = registry.roll_back("late", "champion", "2026-11-27T12:00:00Z", "test").await.unwrap();
    assert_eq!((entry.version, entry.previous, entry.is_rollback), (Some(1), Some(2), true));
    assert_eq!(registry.get("late", &champion).await.unwrap().version, 1);
    let error = registry.roll_back("late", "champion", "", "test").await.unwrap_err();
    assert_eq!(error.to_string(), "alias `champion` of model `late` has no earlier version to go back to");
    assert_eq!(registry.get("late", &VersionRef::Latest).await.unwrap().version, 2);
}

#[tokio::test]
async fn a_version_that_missed_a_gate_is_kept_and_not_promoted() {
    let registry = registry();
    let mut new = trained("a");
    new.record.gates = vec![Gate { rule: "auc >= 0.8".to_owned(), observed: Some(0.74), verdict: Verdict::Fail }];
    registry.register(new).await.unwrap();
    let mut wanted = change("champion", 1, Expected::Anything);
    let error = registry.set_alias("late", &wanted).await.unwrap_err();
    assert_eq!(error.to_string(), "version 1 of model `late` missed a gate: auc >= 0.8, found 0.74");
    wanted.gating = Gating::Ignored;
    assert!(registry.set_alias("late", &wanted).await.unwrap().unwrap().is_forced);
}

#[tokio::test]
async fn a_file_that_was_changed_is_not_handed_out() {
    let registry = registry();
    let version = registry.register(trained("a")).await.unwrap().version().clone();
    let at = Path::from(format!("prod/_windlass/models/late/artifacts/{}", version.artifacts[0].sha256));
    registry.store.put(&at, Bytes::from_static(b"evil").into()).await.unwrap();
    let error = registry.artifact(&version, "model.txt").await.unwrap_err();
    assert_eq!(error.to_string(), "`model.txt` of version 1 of model `late` is not what was registered");
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let registry = registry();
    registry.register(trained("a")).await.unwrap();
    let hint = |error: &Error| windlass_error::Classify::hint(error);
    let error = registry.get("lat", &VersionRef::Latest).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no model `lat`");
    assert_eq!(hint(&error).unwrap(), "did you mean `late`?");
    registry.set_alias("late", &change("champion", 1, Expected::Anything)).await.unwrap();
    let error = registry.get("late", &VersionRef::Alias("champoin".to_owned())).await.unwrap_err();
    assert_eq!(error.to_string(), "model `late` has no version or alias `champoin`");
    assert_eq!(hint(&error).unwrap(), "did you mean `champion`?");
    let error = registry.set_alias("late", &change("champion", 9, Expected::Anything)).await.unwrap_err();
    assert_eq!(error.to_string(), "model `late` has no version or alias `9`");
}

#[tokio::test]
async fn what_is_trained_anew_is_new_where_its_files_are() {
    let registry = registry();
    registry.register(trained("a")).await.unwrap();
    let same = registry.register_again(trained("a")).await.unwrap();
    assert!(matches!(same, Registered::Existing(ref version) if version.version == 1));
    let mut other = trained("a");
    other.files[0].bytes = Bytes::from("other");
    let other = registry.register_again(other).await.unwrap();
    assert!(matches!(other, Registered::New(ref version) if version.version == 2));
}
