//! Checks and chores of this repository: `cargo xtask <task>`.
//!
//! Must stay true: a task does here exactly what it does in CI, and needs no tool besides cargo and git.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what a chore is for")]

mod cargo;
mod ci;
mod rust_text;
mod tidy;
mod tree;

use std::process::ExitCode;

const HELP: &str = "\
usage: cargo xtask <task>

  ci      format, clippy, tidy and all tests, in order: what must be green before a commit
  tidy    the fast checks over the tree: layers, house rules, words, links, feature pins
  help    this text
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["ci"] => ci::run(),
        ["tidy"] => tidy::run(),
        ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(true)
        }
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(err) => {
            eprintln!("error: {err:#}");
            ExitCode::from(2)
        }
    }
}
