//! Tests.

use super::*;

#[test]
fn the_package_is_written_once_and_put_right() {
    let cache = tempfile::tempdir().unwrap();
    let folder = install(cache.path()).unwrap();
    let file = folder.join("windlass/_protocol.py");
    let written = std::fs::read(&file).unwrap();
    assert_eq!(install(cache.path()).unwrap(), folder);
    std::fs::write(&file, "half of it").unwrap();
    std::fs::remove_file(folder.join("windlass/_worker.py")).unwrap();
    assert_eq!(install(cache.path()).unwrap(), folder);
    assert_eq!(std::fs::read(&file).unwrap(), written);
    let names = std::fs::read_dir(folder.join("windlass")).unwrap().map(|entry| entry.unwrap().file_name());
    let names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    assert!(names.iter().all(|name| name.ends_with(".py") || name == "py.typed"), "{names:?}");
    assert!(names.iter().any(|name| name == "_worker.py"));
}

#[test]
fn many_writers_do_not_disturb_each_other() {
    let cache = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| install(cache.path()).unwrap());
        }
    });
}
