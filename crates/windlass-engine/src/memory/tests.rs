//! Limits read from made-up control groups.

use super::*;

#[test]
fn the_smallest_limit_on_the_way_up_counts() {
    let root = tempfile::tempdir().unwrap();
    let inner = root.path().join("system.slice/job");
    std::fs::create_dir_all(&inner).unwrap();
    std::fs::write(inner.join("memory.max"), "max\n").unwrap();
    std::fs::write(root.path().join("system.slice/memory.max"), "1048576\n").unwrap();
    std::fs::write(root.path().join("memory.max"), "4194304\n").unwrap();
    assert_eq!(group_limit("0::/system.slice/job\n", root.path()), Some(1_048_576));
    assert_eq!(group_limit("0::/elsewhere\n", root.path()), Some(4_194_304));
    assert_eq!(group_limit("5:cpu,cpuacct:/x\n", root.path()), None);
}

#[test]
fn version_one_groups_are_read_too() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("memory/docker")).unwrap();
    std::fs::write(root.path().join("memory/docker/memory.limit_in_bytes"), "2048\n").unwrap();
    assert_eq!(group_limit("4:memory:/docker\n1:name=systemd:/x\n", root.path()), Some(2048));
}

#[test]
fn fields_are_kibibytes() {
    assert_eq!(field_kib("VmPeak:  9 kB\nVmHWM:\t  123 kB\n", "VmHWM:"), Some(123 * 1024));
    assert_eq!(field_kib("", "VmHWM:"), None);
}
