//! Real processes, alive and killed.

use std::process::Command;

use super::*;

#[test]
fn stat_lines() {
    let tail = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20 21";
    let cases = [
        (format!("7 (sh) {tail}"), Some(Stat { state: 'S', started: 4242 })),
        (format!("7 (a) b (c)) {tail}"), Some(Stat { state: 'S', started: 4242 })),
        ("7 (sh) S 1 2".to_owned(), None),
        (String::new(), None),
    ];
    for (line, expected) in cases {
        assert_eq!(parse_stat(&line), expected, "{line}");
    }
}

#[test]
fn this_process_lives() {
    assert_eq!(ProcessId::current().is_alive(), Some(true));
}

#[test]
fn killed_child_is_dead() {
    let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
    let process = ProcessId::of(child.id());
    assert_eq!(process.is_alive(), Some(true));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(process.is_alive(), Some(false));
}

#[test]
fn id_in_use_again_is_another_process() {
    let current = ProcessId::current();
    let earlier = ProcessId { started: current.started.map(|started| started - 1), ..current };
    assert_eq!(earlier.is_alive(), Some(false));
}

#[test]
fn processes_of_other_machines_are_unknown() {
    let elsewhere = ProcessId { scope: "another boot".to_owned(), ..ProcessId::current() };
    let nowhere = ProcessId { scope: String::new(), ..ProcessId::current() };
    assert_eq!(elsewhere.is_alive(), None);
    assert_eq!(nowhere.is_alive(), None);
}
