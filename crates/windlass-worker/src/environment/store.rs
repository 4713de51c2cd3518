//! Answers requests for environments: finds what is there, and has the rest made once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

use super::build::{Build, Built};
use super::complete::{Environments, Temporary};
use super::demand::{Demand, Origin, Snapshot};
use super::guard::{self, Guard};
use super::lock::{self, Locksmith};
use super::locked::locked;
use super::requirements::BasePackage;
use super::uv::Uv;
use super::{Environment, EnvironmentRequest, LockedPackages};
use crate::{Error, LockMode, WorkersConfig};

/// Packages that the workers' side of Windlass needs, or gives to code that asks for nothing else.
const BASE: &[BasePackage] =
    &[BasePackage { name: "pyarrow", minimum: Some(16) }, BasePackage { name: "numpy", minimum: None }];

/// How long something may take before it is talked about.
const PATIENCE: Duration = Duration::from_secs(3);

/// Finds environments, and makes those that are missing. Callers in this and other processes that
/// want the same one share one build.
pub(crate) struct EnvironmentStore {
    config: WorkersConfig,
    environments: Environments,
    base: &'static [BasePackage],
    uv: OnceCell<Uv>,
}

/// What waiting for a turn came to.
enum Turn {
    /// Somebody else made the environment.
    Found(Environment),
    /// It is for us to make, as long as we hold this.
    Ours(Guard),
}

impl EnvironmentStore {
    /// Returns a store. Starts nothing.
    pub(crate) fn new(config: &WorkersConfig) -> Self {
        Self::with_base(config, BASE)
    }

    /// Returns a store whose environments have other packages that are not asked for.
    pub(super) fn with_base(config: &WorkersConfig, base: &'static [BasePackage]) -> Self {
        let environments = Environments::of(&config.cache_dir);
        Self { config: config.clone(), environments, base, uv: OnceCell::new() }
    }

    /// Returns a request's environment. When it is there, that takes milliseconds; when not, its
    /// lock is made or checked, and it is built. Giving up on the answer stops the work.
    pub(crate) async fn prepare(&self, request: &EnvironmentRequest) -> Result<Environment, Error> {
        let demand = Arc::new(Demand::try_new(request, &self.config, self.base)?);
        let environment = match self.find(&demand).await?.1 {
            Some(environment) => environment,
            None => self.obtain(&demand).await?,
        };
        self.check_packages(&demand, &environment)?;
        Ok(environment)
    }

    /// Fails where a lock that may not be written is missing or does not fit its requirements. Builds
    /// nothing; uv is asked only about locks that no environment was built from.
    pub(crate) async fn check_lock(&self, request: &EnvironmentRequest) -> Result<(), Error> {
        if self.config.lock_mode != LockMode::Locked {
            return Ok(());
        }
        let demand = Arc::new(Demand::try_new(request, &self.config, self.base)?);
        if self.find(&demand).await?.1.is_some() {
            return Ok(());
        }
        if !is_there(&demand).await {
            return Err(lock::missing(&demand));
        }
        match self.turn(&demand).await? {
            Turn::Found(_) => Ok(()),
            Turn::Ours(_guard) => self.settle(&demand).await.map(drop),
        }
    }

    /// Returns what a request's lock pins; `None` where it has no lock yet. Makes nothing.
    pub(crate) async fn locked(&self, request: &EnvironmentRequest) -> Result<Option<LockedPackages>, Error> {
        let demand = Demand::try_new(request, &self.config, self.base)?;
        let read = move || Ok(demand.snapshot()?.as_ref().map(locked));
        tokio::task::spawn_blocking(read).await.expect("reading files does not panic")
    }

    /// Reads the demand's files and looks for the environment that they lead to.
    async fn find(&self, demand: &Arc<Demand>) -> Result<(Option<Snapshot>, Option<Environment>), Error> {
        let (demand, environments) = (Arc::clone(demand), self.environments.clone());
        let look = move || {
            let snapshot = demand.snapshot()?;
            let found = snapshot.as_ref().and_then(|snapshot| environments.find(&snapshot.index_key()));
            Ok((snapshot, found))
        };
        tokio::task::spawn_blocking(look).await.expect("reading files does not panic")
    }

    async fn obtain(&self, demand: &Arc<Demand>) -> Result<Environment, Error> {
        let is_project = matches!(demand.origin, Origin::Project { .. });
        if (is_project || self.config.lock_mode == LockMode::Locked) && !is_there(demand).await {
            return Err(lock::missing(demand));
        }
        let _guard = match self.turn(demand).await? {
            Turn::Found(environment) => return Ok(environment),
            Turn::Ours(guard) => guard,
        };
        let work = self.make(demand);
        tokio::pin!(work);
        let start = Instant::now();
        let built = match tokio::time::timeout(PATIENCE, &mut work).await {
            Ok(built) => built?,
            Err(_) => {
                self.say(&format!("still building the environment of `{}`", demand.node));
                work.await?
            }
        };
        let count = built.environment.packages.len();
        let plural = if count == 1 { "" } else { "s" };
        let (node, python, seconds) = (&demand.node, &built.python, start.elapsed().as_secs_f64());
        self.say(&format!(
            "built the environment of `{node}`: {count} package{plural} for Python {python} in {seconds:.1} s"
        ));
        Ok(built.environment)
    }

    async fn turn(&self, demand: &Arc<Demand>) -> Result<Turn, Error> {
        let path = self.environments.guard(&demand.name());
        let start = Instant::now();
        let mut is_said = false;
        loop {
            let guard = Guard::take(&path)?;
            if let (_, Some(environment)) = self.find(demand).await? {
                return Ok(Turn::Found(environment));
            }
            if let Some(guard) = guard {
                return Ok(Turn::Ours(guard));
            }
            if !is_said && start.elapsed() > PATIENCE {
                self.say(&format!("waiting for another build of the environment of `{}`", demand.node));
                is_said = true;
            }
            guard::pause().await;
        }
    }

    async fn make(&self, demand: &Arc<Demand>) -> Result<Built, Error> {
        let temporary = self.settle(demand).await?;
        let uv = self.uv().await?;
        let Some(snapshot) = self.find(demand).await?.0 else { return Err(lock::missing(demand)) };
        if let Origin::Set { set, .. } = &demand.origin {
            lock::lay_out(&temporary, set, Some(&snapshot.lock)).await?;
        }
        let build = Build { uv, demand, snapshot: &snapshot, temporary, environments: &self.environments };
        let built = build.run().await?;
        self.environments.note(&snapshot.index_key(), &built.folder)?;
        Ok(built)
    }

    /// Returns the folder to build in once the lock is there and fits. Takes the holder of the demand's guard.
    async fn settle(&self, demand: &Arc<Demand>) -> Result<Temporary, Error> {
        let uv = self.uv().await?;
        let (environments, name) = (self.environments.clone(), demand.name());
        let temporary = tokio::task::spawn_blocking(move || environments.temporary(&name))
            .await
            .expect("making a folder does not panic")?;
        let notices = self.config.notices.as_ref();
        let locksmith = Locksmith { uv, demand, mode: self.config.lock_mode, temporary: &temporary, notices };
        locksmith.settle().await?;
        Ok(temporary)
    }

    async fn uv(&self) -> Result<&Uv, Error> {
        self.uv.get_or_try_init(|| Uv::find(&self.config)).await
    }

    fn check_packages(&self, demand: &Demand, environment: &Environment) -> Result<(), Error> {
        let node = &demand.node;
        for (package, minimum) in self.base.iter().filter_map(|one| Some((one.name, one.minimum?))) {
            let found = environment.packages.get(package);
            let major = found.and_then(|version| version.split('.').next()?.parse::<u32>().ok());
            if major.is_some_and(|major| major >= minimum) {
                continue;
            }
            let message = match found {
                Some(version) => {
                    format!("the environment of `{node}` has {package} {version}, not `{package}>={minimum}`")
                }
                None => format!("the environment of `{node}` has no `{package}>={minimum}`"),
            };
            return Err(Error::Package { node: node.clone(), message });
        }
        Ok(())
    }

    fn say(&self, text: &str) {
        (self.config.notices)(text);
    }
}

async fn is_there(demand: &Demand) -> bool {
    tokio::fs::try_exists(demand.lock_file()).await.unwrap_or(true)
}
