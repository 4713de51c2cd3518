//! `cargo xtask ci`: everything that is checked, in order, each command printed before it runs.
//!
//! Stops at the first failure.

use anyhow::{Context, Result};

use crate::{cargo, tidy};

enum Step {
    Cargo(&'static [&'static str]),
    Tidy,
}

/// Cheap first. The last line is the README's test command.
const STEPS: &[Step] = &[
    Step::Cargo(&["fmt", "--all", "--check"]),
    Step::Cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    Step::Tidy,
    Step::Cargo(&["test", "--workspace"]),
];

/// Runs all steps; returns whether every one passed.
pub(crate) fn run() -> Result<bool> {
    for step in STEPS {
        let passed = match step {
            Step::Cargo(arguments) => run_cargo(arguments)?,
            Step::Tidy => {
                println!("$ cargo xtask tidy");
                tidy::run()?
            }
        };
        if !passed {
            return Ok(false);
        }
    }
    Ok(true)
}

fn run_cargo(arguments: &[&str]) -> Result<bool> {
    println!("$ cargo {}", arguments.join(" "));
    let status = cargo::command()?.args(arguments).status().context("cannot start cargo")?;
    Ok(status.success())
}
