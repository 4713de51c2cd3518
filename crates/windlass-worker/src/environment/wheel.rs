//! Packages that we need ourselves, for the libraries in their wheels: unpacked in the cache, never imported.
//!
//! One folder for each package and version. It is filled beside its place and renamed when it is
//! complete, so that a killed process leaves nothing that looks like a package.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::guard::Guard;
use super::pip::Folders;
use super::says;
use super::uv::{Task, Trouble, Uv};
use crate::{Error, WorkersConfig};

/// Returns the folder that a package's wheel is unpacked in, without the packages that it needs.
///
/// It is fetched with uv where the cache has none; several processes that want it fetch it once.
///
/// # Errors
///
/// [`Error::Uv`] without uv or, offline, without the package; [`Error::Fetch`] where the index has no such
/// wheel for this machine; [`Error::Cache`].
pub async fn fetch_wheel(config: &WorkersConfig, name: &str, version: &str) -> Result<PathBuf, Error> {
    let home = config.cache_dir.join("wheels");
    let folder = home.join(format!("{name}-{version}"));
    if is_there(&folder)? {
        return Ok(folder);
    }
    let uv = Uv::find(config).await?;
    let _guard = Guard::wait(&home.join(format!("{name}-{version}.guard"))).await?;
    if is_there(&folder)? {
        return Ok(folder);
    }
    let arriving = home.join(format!("{name}-{version}.arriving"));
    // What an interrupted fetch left behind.
    remove(&arriving).await?;
    let requirement = format!("{name}=={version}");
    let mut arguments: Vec<OsString> =
        ["pip", "install", "--no-deps", "--only-binary", ":all:", "--target"].map(Into::into).into();
    arguments.extend([arriving.clone().into(), requirement.clone().into()]);
    arguments.extend(config.python.iter().flat_map(|python| ["--python".into(), python.into()]));
    let additions = uv.pip.for_new_lock(Folders::Named);
    let task = Task { folder: &home, arguments, environment: None, additions };
    if let Err(trouble) = uv.run(task).await {
        remove(&arriving).await?;
        return Err(match trouble {
            Trouble::Start(source) => Error::Process { node: requirement, operation: "start uv", source },
            Trouble::Said(said) => Error::Fetch { requirement, output: says::explain(&said) },
        });
    }
    let failed = |source| Error::Cache { operation: "put a package into", path: folder.clone(), source };
    tokio::fs::rename(&arriving, &folder).await.map_err(failed)?;
    (config.notices)(&format!("fetched {name} {version} into the cache"));
    Ok(folder)
}

fn is_there(folder: &Path) -> Result<bool, Error> {
    folder.try_exists().map_err(|source| Error::Cache { operation: "look for", path: folder.to_owned(), source })
}

async fn remove(folder: &Path) -> Result<(), Error> {
    match tokio::fs::remove_dir_all(folder).await {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            Err(Error::Cache { operation: "remove", path: folder.to_owned(), source })
        }
        _ => Ok(()),
    }
}
