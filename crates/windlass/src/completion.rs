//! Completes names of nodes and tags in the shell.
//!
//! The script that `windlass completions` prints calls this binary with `COMPLETE` set. Answers come
//! from the project's files alone, within milliseconds; where they cannot be read there are none.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::{CompleteEnv, CompletionCandidate};
use windlass_error::CODES;
use windlass_project::{Node, Project};

use crate::cli::Cli;
use crate::settings::Settings;

/// Answers the shell where it asks; `None` where this is a usual call.
pub(crate) fn answer() -> Option<ExitCode> {
    let current = std::env::current_dir().ok();
    match CompleteEnv::with_factory(Cli::command).try_complete(std::env::args_os(), current.as_deref()) {
        Ok(false) => None,
        Ok(true) => Some(ExitCode::SUCCESS),
        Err(error) => Some(crate::report::usage(&error)),
    }
}

/// Returns selections that go on from what is typed, also behind `+`, `@` and a number.
pub(crate) fn selections(current: &OsStr) -> Vec<CompletionCandidate> {
    let typed = current.to_string_lossy();
    let name_at = typed.find(|c: char| !(c.is_ascii_digit() || "+@(".contains(c))).unwrap_or(typed.len());
    let (signs, start) = typed.split_at(name_at);
    let Some(project) = project() else { return Vec::new() };
    let tags: BTreeSet<String> =
        project.nodes.values().flat_map(|node| node.config.tags.iter().map(|tag| format!("tag:{tag}"))).collect();
    let names = project.nodes.values().map(|node| (node.name.clone(), Some(node.kind_name())));
    let candidates = names.chain(tags.into_iter().map(|tag| (tag, None)));
    candidates
        .filter(|(value, _)| value.starts_with(start))
        .map(|(value, kind)| CompletionCandidate::new(format!("{signs}{value}")).help(kind.map(Into::into)))
        .collect()
}

/// Returns nodes whose name begins with what is typed.
pub(crate) fn nodes(current: &OsStr) -> Vec<CompletionCandidate> {
    nodes_where(current, |_| true)
}

/// Returns Python nodes whose name begins with what is typed.
pub(crate) fn python_nodes(current: &OsStr) -> Vec<CompletionCandidate> {
    nodes_where(current, |node| node.python().is_some())
}

fn nodes_where(current: &OsStr, fits: impl Fn(&Node) -> bool) -> Vec<CompletionCandidate> {
    let start = current.to_string_lossy();
    let Some(project) = project() else { return Vec::new() };
    let nodes = project.nodes.values().filter(|node| fits(node) && node.name.starts_with(start.as_ref()));
    nodes.map(|node| CompletionCandidate::new(&node.name).help(Some(node.kind_name().into()))).collect()
}

/// Returns every error code.
pub(crate) fn codes() -> Vec<CompletionCandidate> {
    let entries = CODES.iter();
    entries.map(|entry| CompletionCandidate::new(entry.code.0).help(Some(entry.title.into()))).collect()
}

/// The flags of the line that is being typed are not known here, so `-p` counts for nothing.
fn project() -> Option<Project> {
    let settings = Settings::of_environment().ok()?;
    crate::open::load(&settings, &[]).ok()?.project
}
