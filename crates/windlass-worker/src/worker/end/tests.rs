//! Tests.

use super::*;

#[test]
fn deaths_in_words() {
    for (exit, name, how) in [
        (Some(Exit { code: 3, signal: 0 }), "Exit3", "exited with code 3"),
        (Some(Exit { code: 0, signal: 11 }), "SIGSEGV", "killed by SIGSEGV"),
        (Some(Exit { code: 0, signal: 9 }), "SIGKILL", "killed by SIGKILL, as the system does when memory runs out"),
        (Some(Exit { code: 0, signal: 64 }), "signal 64", "killed by signal 64"),
        (None, "Lost", "closed its socket and was killed"),
    ] {
        let death = death(exit, String::new());
        assert_eq!((death.name.as_str(), death.how.as_str()), (name, how));
    }
}
