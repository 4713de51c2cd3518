//! Packages that we need ourselves: fetched once, whole or not at all.

use super::bench::Bench;
use crate::environment::fetch_wheel;

#[tokio::test]
async fn a_wheel_is_fetched_once_and_without_what_it_needs() {
    let bench = Bench::new().await;
    let arriving = bench.path("cache/wheels/other-1.0.arriving");
    std::fs::create_dir_all(&arriving).unwrap();
    std::fs::write(arriving.join("half.py"), "").unwrap();
    let folder = fetch_wheel(&bench.config, "other", "1.0").await.unwrap();
    assert_eq!(std::fs::read_to_string(folder.join("other.py")).unwrap(), "VERSION = '1.0'\n");
    assert!(!folder.join("half.py").is_file() && !folder.join("tiny.py").is_file());
    assert_eq!(bench.notices(), "fetched other 1.0 into the cache\n");
    bench.calls();
    assert_eq!(fetch_wheel(&bench.config, "other", "1.0").await.unwrap(), folder);
    assert_eq!((bench.calls(), bench.notices()), (String::new(), String::new()));
}

#[tokio::test]
async fn a_wheel_that_is_not_to_be_had_leaves_nothing() {
    let bench = Bench::new().await;
    let error = fetch_wheel(&bench.config, "other", "9.9").await.unwrap_err();
    let told = bench.told(&error);
    assert!(told.starts_with("E0502 cannot fetch `other==9.9` into the cache: "), "{told}");
    let is_there = |name: &str| bench.path("cache/wheels").join(name).is_dir();
    assert!(!is_there("other-9.9") && !is_there("other-9.9.arriving"));
}
