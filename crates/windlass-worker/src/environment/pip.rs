//! Settings of pip, translated for uv, which does not read them.
//!
//! A machine behind a mirror often has pip set up and nothing else. What is set for uv itself always
//! wins. A lock that exists says where its packages are: settings of this machine that it does not
//! name are left out, or it would be out of date on every second machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Variables and files that settings are read from.
type Variables = BTreeMap<String, String>;

/// What pip is told about where packages are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PipSettings {
    index: Option<String>,
    extra_indexes: Vec<String>,
    /// Addresses of pages and folders with links to packages.
    links: Vec<String>,
    /// Folders of this machine with packages.
    folders: Vec<String>,
    trusted_hosts: Vec<String>,
    certificates: Option<String>,
    no_index: bool,
}

/// What uv is told in addition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Additions {
    /// Variables to set.
    pub(super) variables: Variables,
    /// Whether packages come from nowhere but folders and links.
    pub(super) no_index: bool,
}

/// Whether folders of this machine may end up in a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Folders {
    /// They may: without them there is no lock at all.
    Named,
    /// They may not.
    Unnamed,
}

impl PipSettings {
    /// Reads pip's files, then its variables, which win. A file that is not there says nothing.
    pub(super) fn read(env: &Variables) -> Self {
        let mut settings = Variables::new();
        for file in files(env) {
            if let Ok(text) = std::fs::read_to_string(file) {
                settings.extend(options(&text));
            }
        }
        settings.extend(env.iter().filter_map(|(name, value)| {
            let name = name.strip_prefix("PIP_")?.to_lowercase().replace('_', "-");
            (!value.trim().is_empty()).then(|| (name, value.clone()))
        }));
        let mut settings = Self::of(&settings, env.get("HOME").map(String::as_str));
        settings.leave_to_uv(env);
        settings
    }

    fn of(settings: &Variables, home: Option<&str>) -> Self {
        let one = |name: &str| settings.get(name).map(|value| value.trim().to_owned());
        let many = |name: &str| -> Vec<String> {
            settings.get(name).map(|value| value.split_whitespace().map(str::to_owned).collect()).unwrap_or_default()
        };
        let (links, folders): (Vec<_>, Vec<_>) =
            many("find-links").into_iter().partition(|place| place.contains("://") && !place.starts_with("file://"));
        let folders = folders.into_iter().map(|folder| match (folder.strip_prefix("~/"), home) {
            (Some(rest), Some(home)) => format!("{home}/{rest}"),
            _ => folder.strip_prefix("file://").map(str::to_owned).unwrap_or(folder),
        });
        Self {
            index: one("index-url"),
            extra_indexes: many("extra-index-url"),
            links,
            folders: folders.filter(|folder| Path::new(folder).is_dir()).collect(),
            trusted_hosts: many("trusted-host"),
            certificates: one("cert"),
            no_index: one("no-index").is_some_and(|value| ["1", "true", "yes", "on"].contains(&&*value.to_lowercase())),
        }
    }

    /// Forgets what uv is told already, by variables or by files of the user and the machine.
    fn leave_to_uv(&mut self, env: &Variables) {
        let is_set = |names: &[&str]| names.iter().any(|name| env.get(*name).is_some_and(|value| !value.is_empty()));
        let of_files = uv_files(env).iter().any(|file| {
            std::fs::read_to_string(file).is_ok_and(|text| text.contains("index") || text.contains("find-links"))
        });
        if of_files || is_set(&["UV_DEFAULT_INDEX", "UV_INDEX_URL"]) {
            self.index = None;
        }
        if of_files || is_set(&["UV_INDEX", "UV_EXTRA_INDEX_URL"]) {
            self.extra_indexes.clear();
        }
        if of_files || is_set(&["UV_FIND_LINKS"]) {
            self.links.clear();
            self.folders.clear();
        }
        if is_set(&["UV_INSECURE_HOST"]) {
            self.trusted_hosts.clear();
        }
        if is_set(&["SSL_CERT_FILE", "SSL_CERT_DIR", "UV_SYSTEM_CERTS", "UV_NATIVE_TLS"]) {
            self.certificates = None;
        }
    }

    /// Returns whether there are folders of this machine with packages.
    pub(super) fn has_folders(&self) -> bool {
        !self.folders.is_empty()
    }

    /// Returns whether packages come from nowhere but folders and links.
    pub(super) fn has_no_index(&self) -> bool {
        self.no_index
    }

    /// Returns what a project of the user's gets: only how to reach the network. Its lock was made
    /// by the user's uv, without pip's settings.
    pub(super) fn for_project(&self) -> Additions {
        let mut variables = Variables::new();
        let mut set = |name: &str, value: Option<String>| variables.extend(value.map(|value| (name.to_owned(), value)));
        set("SSL_CERT_FILE", self.certificates.clone());
        set("UV_INSECURE_HOST", joined(&self.trusted_hosts, " "));
        Additions { variables, no_index: false }
    }

    /// Returns what making a lock takes.
    pub(super) fn for_new_lock(&self, folders: Folders) -> Additions {
        let mut links = self.links.clone();
        if folders == Folders::Named || self.no_index {
            links.extend_from_slice(&self.folders);
        }
        let mut additions = self.for_project();
        let mut set =
            |name: &str, value: Option<String>| additions.variables.extend(value.map(|value| (name.to_owned(), value)));
        set("UV_DEFAULT_INDEX", self.index.clone());
        set("UV_INDEX", joined(&self.extra_indexes, " "));
        set("UV_FIND_LINKS", joined(&links, ","));
        additions.no_index = self.no_index;
        additions
    }

    /// Returns what using a lock takes.
    pub(super) fn for_lock(&self, lock: &str) -> Additions {
        let named = |addresses: &[String]| -> Vec<String> {
            addresses.iter().filter(|address| lock.contains(bare(address).as_str())).cloned().collect()
        };
        let kept = Self {
            index: self.index.clone().filter(|index| lock.contains(bare(index).as_str())),
            extra_indexes: named(&self.extra_indexes),
            links: named(&self.links),
            folders: named(&self.folders),
            no_index: self.no_index && !lock.contains("registry = \"http"),
            ..self.clone()
        };
        kept.for_new_lock(Folders::Named)
    }
}

/// Returns an address as locks hold it: without user and password, without a slash at the end.
fn bare(address: &str) -> String {
    let address = address.trim_end_matches('/');
    match address.split_once("://") {
        Some((scheme, rest)) => {
            let host_end = rest.find('/').unwrap_or(rest.len());
            let host_start = rest[..host_end].rfind('@').map_or(0, |at| at + 1);
            format!("{scheme}://{}", &rest[host_start..])
        }
        None => address.to_owned(),
    }
}

fn joined(all: &[String], separator: &str) -> Option<String> {
    (!all.is_empty()).then(|| all.join(separator))
}

/// Returns pip's files, the ones that win last.
fn files(env: &Variables) -> Vec<PathBuf> {
    if let Some(file) = env.get("PIP_CONFIG_FILE") {
        return if file == "/dev/null" { Vec::new() } else { vec![PathBuf::from(file)] };
    }
    let mut files = vec![PathBuf::from("/etc/pip.conf")];
    if let Some(home) = env.get("HOME").map(PathBuf::from) {
        files.push(home.join(".pip/pip.conf"));
        files.push(home.join("Library/Application Support/pip/pip.conf"));
    }
    files.extend(config_home(env).map(|folder| folder.join("pip/pip.conf")));
    files.extend(env.get("VIRTUAL_ENV").map(|folder| Path::new(folder).join("pip.conf")));
    files
}

fn uv_files(env: &Variables) -> Vec<PathBuf> {
    let mut files = vec![PathBuf::from("/etc/uv/uv.toml")];
    files.extend(config_home(env).map(|folder| folder.join("uv/uv.toml")));
    files.extend(env.get("UV_CONFIG_FILE").map(PathBuf::from));
    files
}

fn config_home(env: &Variables) -> Option<PathBuf> {
    let set = env.get("XDG_CONFIG_HOME").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    set.or_else(|| env.get("HOME").map(|home| Path::new(home).join(".config")))
}

/// Returns the options of a file that concern installing; a value may go on in indented lines.
fn options(text: &str) -> Variables {
    let mut options = Variables::new();
    let mut section = String::new();
    let mut open: Option<String> = None;
    for line in text.lines() {
        let is_more = line.starts_with([' ', '\t']);
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            (section, open) = (name.trim().to_lowercase(), None);
        } else if let (true, Some(name)) = (is_more, &open) {
            let value: &mut String = options.entry(name.clone()).or_default();
            value.push(' ');
            value.push_str(line);
        } else if let (Some((name, value)), "global" | "install") = (line.split_once(['=', ':']), section.as_str()) {
            let name = name.trim().to_lowercase().replace('_', "-");
            options.insert(name.clone(), value.trim().to_owned());
            open = Some(name);
        } else {
            open = None;
        }
    }
    options
}
