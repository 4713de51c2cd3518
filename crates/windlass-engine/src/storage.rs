//! Folders and object stores: from a location as the user wrote it to something that lists and reads.
//!
//! A location is an absolute path, a `file://` URL or an `s3://bucket/key` URL. Stores are made once
//! per bucket and shared; credentials come from the target's `storage:` settings and from the
//! environment variables handed in, never from anywhere else, and are never printed.

use std::collections::BTreeMap;
use std::path::Path as FilePath;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnv;
use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use indexmap::IndexMap;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt, RetryConfig};
use url::Url;

use crate::Error;

/// How often a request to an object store is repeated. A node is tried again as a whole, so this only
/// has to outlast a hiccup; by default `object_store` waits for three minutes.
const MAX_RETRIES: usize = 5;
/// No request is repeated later than this after it was first sent. One that gets no answer takes
/// `timeout` of the target's `storage:`, 30 s by default.
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);

/// A store and a place in it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The store of the whole disk or bucket.
    pub(crate) store: Arc<dyn ObjectStore>,
    /// Its name for DataFusion: `file://` or `s3://bucket`.
    pub(crate) store_url: ObjectStoreUrl,
    /// The place within the store.
    pub(crate) path: Path,
    /// The whole location.
    pub(crate) url: Url,
}

impl Place {
    /// Returns the place of a child.
    pub(crate) fn join(&self, name: &str) -> Self {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(name.split('/'));
        }
        let path = name.split('/').fold(self.path.clone(), |path, segment| path.join(segment));
        Self { store: Arc::clone(&self.store), store_url: self.store_url.clone(), path, url }
    }

    /// Returns the place as a local path, where it is one.
    pub(crate) fn local(&self) -> Option<std::path::PathBuf> {
        (self.url.scheme() == "file").then(|| self.url.to_file_path().ok()).flatten()
    }

    /// Returns a store whose root is this place.
    pub(crate) fn prefixed(&self) -> Arc<dyn ObjectStore> {
        Arc::new(PrefixStore::new(Arc::clone(&self.store), self.path.clone()))
    }

    /// Returns the Delta log of a table that stands here.
    pub(crate) fn log_store(&self) -> LogStoreRef {
        default_logstore(self.prefixed(), Arc::clone(&self.store), &self.url, &StorageConfig::default())
    }

    /// Fails where nothing can be written below this place. Makes a local folder that is missing;
    /// writes and removes one small object elsewhere.
    pub(crate) async fn ensure_writable(&self) -> Result<(), Error> {
        let not_writable = |source| Error::LakeNotWritable { location: self.display(), source };
        if let Some(folder) = self.local() {
            std::fs::create_dir_all(&folder).map_err(|source| {
                not_writable(object_store::Error::Generic { store: "local", source: source.into() })
            })?;
        }
        let probe = self.path.clone().join(format!("_windlass_probe_{}", uuid::Uuid::new_v4()));
        self.store.put(&probe, bytes::Bytes::from_static(b"w").into()).await.map_err(not_writable)?;
        self.store.delete(&probe).await.map_err(not_writable)
    }

    /// Returns the location for people: a path where it is local.
    pub(crate) fn display(&self) -> String {
        self.local().map_or_else(|| self.url.to_string(), |path| path.display().to_string())
    }
}

/// Opens locations; keeps one store per bucket.
#[derive(Debug)]
pub(crate) struct Storage {
    runtime: Arc<RuntimeEnv>,
    settings: IndexMap<String, String>,
    environment: BTreeMap<String, String>,
    stores: Mutex<BTreeMap<String, Arc<dyn ObjectStore>>>,
}

impl Storage {
    /// Returns an opener. `settings` are the target's, `environment` holds `AWS_*` variables.
    pub(crate) fn new(
        runtime: Arc<RuntimeEnv>,
        settings: IndexMap<String, String>,
        environment: BTreeMap<String, String>,
    ) -> Self {
        Self { runtime, settings, environment, stores: Mutex::default() }
    }

    /// Returns the place of a location; the store is known to DataFusion from then on.
    pub(crate) fn open(&self, location: &str) -> Result<Place, Error> {
        let url = parse_location(location)?;
        let root = match url.host_str() {
            Some(host) => format!("{}://{host}", url.scheme()),
            None => format!("{}://", url.scheme()),
        };
        let store_url = ObjectStoreUrl::parse(&root).map_err(|_| Error::Location { location: location.to_string() })?;
        let path = Path::from_url_path(url.path()).map_err(|_| Error::Location { location: location.to_string() })?;
        let store = self.store(&root, &url, location)?;
        Ok(Place { store, store_url, path, url })
    }

    fn store(&self, root: &str, url: &Url, location: &str) -> Result<Arc<dyn ObjectStore>, Error> {
        let mut stores = self.stores.lock().expect("no thread panics while it holds the list of stores");
        if let Some(store) = stores.get(root) {
            return Ok(Arc::clone(store));
        }
        let store: Arc<dyn ObjectStore> = match url.scheme() {
            "file" => Arc::new(LocalFileSystem::new()),
            "s3" | "s3a" => {
                Arc::new(self.s3(url).map_err(|source| Error::OpenStorage { location: location.to_string(), source })?)
            }
            _ => return Err(Error::Location { location: location.to_string() }),
        };
        let root_url = Url::parse(root).map_err(|_| Error::Location { location: location.to_string() })?;
        self.runtime.register_object_store(&root_url, Arc::clone(&store));
        stores.insert(root.to_string(), Arc::clone(&store));
        Ok(store)
    }

    fn s3(&self, url: &Url) -> Result<object_store::aws::AmazonS3, object_store::Error> {
        let retry = RetryConfig { max_retries: MAX_RETRIES, retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::new().with_url(url.to_string()).with_retry(retry);
        let environment = self.environment.iter().filter(|(name, _)| name.starts_with("AWS_"));
        for (name, value) in environment
            .map(|(name, value)| (name.to_lowercase(), value))
            .chain(self.settings.iter().map(|(name, value)| (name.to_lowercase(), value)))
        {
            if let Ok(key) = name.parse::<AmazonS3ConfigKey>() {
                builder = builder.with_config(key, value);
            }
        }
        let plain_http = ["endpoint", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"].iter().any(|name| {
            let value = self.settings.get(*name).or_else(|| self.environment.get(*name));
            value.is_some_and(|endpoint| endpoint.starts_with("http://"))
        });
        if plain_http {
            builder = builder.with_allow_http(true);
        }
        builder.build()
    }
}

/// Returns the URL of a location; a relative path is refused, since the project resolves those.
pub(crate) fn parse_location(location: &str) -> Result<Url, Error> {
    let bad = || Error::Location { location: location.to_string() };
    if location.contains("://") {
        return Url::parse(location).map_err(|_| bad());
    }
    Url::from_file_path(FilePath::new(location)).map_err(|()| bad())
}

/// Returns whether a setting of `storage:` is known.
pub fn is_storage_setting(name: &str) -> bool {
    name.to_lowercase().parse::<AmazonS3ConfigKey>().is_ok()
}
