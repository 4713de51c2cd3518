//! Entries on disk that a server does not have yet.
//!
//! One file an entry, in the order in which they were put. A server that cannot be reached ends the
//! delivery and the rest waits for the next one; an entry that the server refuses for good is put aside, so that
//! it does not stand in the way of the others.

use std::path::{Path, PathBuf};

use windlass_error::{Classify, Retry};

use super::client::Client;
use super::entry::{Entry, Sender};
use crate::{Error, Registry};

/// A folder with entries.
#[derive(Debug, Clone)]
pub struct Queue {
    folder: PathBuf,
}

/// What came of a delivery.
#[derive(Debug, Default)]
pub struct Delivered {
    /// Entries that the server has now.
    pub sent: usize,
    /// Entries that wait for the next delivery.
    pub waiting: usize,
    /// Entries that it refused, each with the reason; they are put aside.
    pub refused: Vec<(String, Error)>,
    /// Why the delivery ended before all were sent.
    pub failure: Option<Error>,
}

impl Queue {
    /// Returns the queue of a folder, which is made when something is put.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Puts an entry; it is on disk when this returns.
    ///
    /// # Errors
    ///
    /// [`Error::Queue`].
    pub fn put(&self, entry: &Entry) -> Result<(), Error> {
        std::fs::create_dir_all(&self.folder).map_err(|source| failed("create", &self.folder, source))?;
        self.write(&self.folder.join(format!("{:020}-{}.json", entry.started_ms.max(0), entry.id)), entry)
    }

    /// Sends what waits, oldest first.
    ///
    /// # Errors
    ///
    /// [`Error::Queue`] where the folder cannot be read. What the server does is no error here.
    pub async fn deliver(&self, client: &Client, registry: &Registry) -> Result<Delivered, Error> {
        let mut delivered = Delivered::default();
        let files = self.files()?;
        delivered.waiting = files.len();
        for file in files {
            let text = std::fs::read(&file).map_err(|source| failed("read", &file, source))?;
            let sent = match serde_json::from_slice::<Entry>(&text) {
                Ok(mut entry) => {
                    let noted = |entry: &Entry| self.write(&file, entry);
                    entry.send(&Sender { client, registry, noted: &noted }).await
                }
                Err(source) => Err(Error::Record { path: file.display().to_string(), source }),
            };
            match sent {
                Ok(()) => {
                    std::fs::remove_file(&file).map_err(|source| failed("remove", &file, source))?;
                    delivered.sent += 1;
                }
                Err(error) if error.retry() == Retry::Backoff => {
                    delivered.failure = Some(error);
                    break;
                }
                Err(error) => {
                    let name = self.put_aside(&file)?;
                    delivered.refused.push((name, error));
                }
            }
            delivered.waiting -= 1;
        }
        Ok(delivered)
    }

    /// Returns how many entries wait.
    ///
    /// # Errors
    ///
    /// [`Error::Queue`].
    pub fn waiting(&self) -> Result<usize, Error> {
        Ok(self.files()?.len())
    }

    fn files(&self) -> Result<Vec<PathBuf>, Error> {
        let listed = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed.map_err(|source| failed("list", &self.folder, source))?,
        };
        let mut files = Vec::new();
        for file in listed {
            let path = file.map_err(|source| failed("list", &self.folder, source))?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    /// Writes beside and renames, so that no half entry is ever read.
    fn write(&self, file: &Path, entry: &Entry) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(entry)
            .map_err(|source| Error::Record { path: file.display().to_string(), source })?;
        let beside = file.with_extension("arriving");
        let written = std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, file));
        written.map_err(|source| failed("write", file, source))
    }

    fn put_aside(&self, file: &Path) -> Result<String, Error> {
        let folder = self.folder.join("refused");
        std::fs::create_dir_all(&folder).map_err(|source| failed("create", &folder, source))?;
        let name = file.file_name().unwrap_or_default();
        std::fs::rename(file, folder.join(name)).map_err(|source| failed("put aside", file, source))?;
        Ok(folder.join(name).display().to_string())
    }
}

fn failed(operation: &'static str, path: &Path, source: std::io::Error) -> Error {
    Error::Queue { operation, path: path.display().to_string(), source }
}
