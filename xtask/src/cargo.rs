//! What cargo knows about the workspace: its members, and the features that a selection resolves to.
//!
//! Reads only; never touches the network or the build folder, so it also works while cargo builds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// A crate of this workspace.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// The package's name.
    pub name: String,
    /// Its manifest, relative to the repository root.
    pub manifest: String,
    /// What it depends on, ours and others'.
    pub dependencies: Vec<Dependency>,
}

/// One line of a dependency table.
#[derive(Debug, Clone)]
pub(crate) struct Dependency {
    /// The package's name.
    pub name: String,
    /// Whether it is a dev-dependency.
    pub dev: bool,
}

#[cfg(test)]
impl Member {
    /// Returns a member that uses the named packages.
    pub(crate) fn using(name: &str, packages: &[&str]) -> Self {
        let dependency = |name: &&str| Dependency { name: name.to_string(), dev: false };
        let dependencies = packages.iter().map(dependency).collect();
        Self { name: name.to_string(), manifest: "Cargo.toml".to_string(), dependencies }
    }
}

/// Feature sets by package and version, such as `rustix v1.1.6` to `alloc,fs,std`. A package that
/// is built twice, for the target and for build scripts, may have two.
pub(crate) type Features = BTreeMap<String, Vec<String>>;

/// Returns a cargo command that runs at the repository root.
pub(crate) fn command() -> Result<Command> {
    let mut command = Command::new("cargo");
    command.current_dir(root()?);
    Ok(command)
}

/// Returns the root of the repository that we stand in. Not the folder that this program was built
/// from: checkouts that share a target directory share the program too.
pub(crate) fn root() -> Result<PathBuf> {
    let here = std::env::current_dir().context("cannot tell the current folder")?;
    for folder in here.ancestors() {
        if folder.join("xtask/Cargo.toml").try_exists().with_context(|| format!("cannot read {}", folder.display()))? {
            return Ok(folder.to_path_buf());
        }
    }
    bail!("{} is in no checkout of Windlass", here.display())
}

/// Returns the members of the workspace.
pub(crate) fn members() -> Result<Vec<Member>> {
    let text = output(&["metadata", "--format-version", "1", "--no-deps", "--offline"])?;
    let metadata: Value = serde_json::from_str(&text).context("cannot read the output of `cargo metadata`")?;
    let packages = metadata["packages"].as_array().context("`cargo metadata` lists no packages")?;
    let root = root()?;
    Ok(packages.iter().map(|package| member(package, &root)).collect())
}

fn member(package: &Value, root: &Path) -> Member {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let manifest = text(&package["manifest_path"]);
    let manifest = Path::new(&manifest).strip_prefix(root).unwrap_or(Path::new(&manifest)).display().to_string();
    let dependencies = package["dependencies"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| Dependency { name: text(&entry["name"]), dev: entry["kind"] == "dev" })
        .collect();
    Member { name: text(&package["name"]), manifest, dependencies }
}

/// Returns the features that outside packages get when cargo selects `selection`, such as
/// `["-p", "windlass"]`, following the edges that `edges` names.
pub(crate) fn features(selection: &[&str], edges: &str) -> Result<Features> {
    let mut arguments = vec!["tree", "--offline", "--prefix", "none", "-f", "{p} [{f}]", "-e", edges];
    arguments.extend(selection);
    Ok(parse_tree(&output(&arguments)?))
}

/// Reads lines such as `rustix v1.1.6 [alloc,fs,std] (*)`. Members are left out: they carry a path.
pub(crate) fn parse_tree(text: &str) -> Features {
    let mut features = Features::new();
    for line in text.lines() {
        let Some((package, rest)) = line.split_once(" [") else { continue };
        let Some((set, _)) = rest.split_once(']') else { continue };
        let package = package.trim_end_matches(" (proc-macro)");
        if package.ends_with(')') {
            continue;
        }
        let sets = features.entry(package.to_string()).or_default();
        if !sets.iter().any(|known| known == set) {
            sets.push(set.to_string());
        }
    }
    features
}

fn output(arguments: &[&str]) -> Result<String> {
    let output = command()?.args(arguments).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("`cargo {}` failed: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).context("cargo printed bytes that are not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_keeps_every_feature_set_once_and_no_members() {
        let features = parse_tree(
            "windlass v0.1.0 (/somewhere/crates/windlass) []\n\
             memchr v2.8.0 [alloc,std]\nserde_derive v1.0.0 (proc-macro) [default]\n\
             memchr v2.8.0 [alloc,std] (*)\nmemchr v2.8.0 [std]\n\n",
        );
        let found: Vec<_> = features.iter().map(|(package, sets)| (package.as_str(), sets.join(" "))).collect();
        assert_eq!(
            found,
            [("memchr v2.8.0", "alloc,std std".to_string()), ("serde_derive v1.0.0", "default".to_string())]
        );
    }
}
