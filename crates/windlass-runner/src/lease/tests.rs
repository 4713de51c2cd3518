//! Leases that are held, given back, taken over from the dead, and lost.

use std::process::{Child, Command};

use chrono::TimeZone;
use tempfile::TempDir;
use windlass_error::{Classify, Code, Fault, Retry};

use super::*;
use crate::ManualClock;

struct Bench {
    _folder: TempDir,
    clock: Arc<ManualClock>,
    store: RunStore,
}

impl Bench {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let clock = Arc::new(ManualClock::new(Utc.with_ymd_and_hms(2026, 3, 1, 12, 3, 4).unwrap()));
        let store = RunStore::open_with(folder.path(), Arc::<ManualClock>::clone(&clock)).unwrap();
        Self { _folder: folder, clock, store }
    }

    fn acquire(&self, env: &str) -> Result<LeaseGuard, Error> {
        LeaseGuard::acquire(&self.store, &self.request(env))
    }

    fn request(&self, env: &str) -> LeaseRequest {
        let run_id = RunId::generate(self.clock.now());
        LeaseRequest { lake: "lake".to_owned(), env: env.to_owned(), run_id, command: "run".to_owned() }
    }

    /// Takes the lease in the name of another process.
    fn take_as(&self, process: &ProcessId) -> RunId {
        let request = self.request("dev");
        let mut connection = self.store.connect().unwrap();
        let taken = table::take(&mut connection, &request, process, self.clock.now()).unwrap();
        assert!(matches!(taken, Taken::Token(_)), "{taken:?}");
        request.run_id
    }
}

fn child() -> (Child, ProcessId) {
    let child = Command::new("sleep").arg("1000").spawn().unwrap();
    let process = ProcessId::of(child.id());
    (child, process)
}

#[test]
fn a_held_lease_names_its_holder() {
    let bench = Bench::new();
    let (mut child, process) = child();
    let run_id = bench.take_as(&process);
    bench.clock.advance(Duration::from_secs(2));
    let refused = bench.acquire("dev").err().unwrap();
    let expected = format!(
        "another run is writing to environment `dev` of lake `lake`: pid {} on host {}, run {run_id}, since 12:03:04 UTC",
        process.pid, process.host
    );
    assert_eq!(refused.to_string(), expected);
    assert_eq!(refused.code(), Some(Code::LEASE_HELD));
    assert_eq!((refused.fault(), refused.retry()), (Fault::External, Retry::Backoff));
    let hint = "wait until it ends; if it has crashed, its lease runs out in 28 s";
    assert_eq!(refused.hint().as_deref(), Some(hint));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_killed_holder_loses_the_lease_at_once() {
    let bench = Bench::new();
    let (mut child, process) = child();
    bench.take_as(&process);
    assert!(bench.acquire("dev").is_err());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(bench.acquire("dev").unwrap().is_held());
}

#[test]
fn a_holder_elsewhere_loses_the_lease_when_its_time_is_up() {
    let bench = Bench::new();
    bench.take_as(&ProcessId { scope: "elsewhere".to_owned(), ..ProcessId::current() });
    bench.clock.advance(LEASE_TERM - Duration::from_millis(1));
    assert!(bench.acquire("dev").is_err());
    bench.clock.advance(Duration::from_millis(1));
    assert!(bench.acquire("dev").unwrap().is_held());
}

#[test]
fn dropping_gives_the_lease_back() {
    let bench = Bench::new();
    let guard = bench.acquire("dev").unwrap();
    let watch = guard.watch();
    assert!(watch.is_held());
    assert!(bench.acquire("dev").is_err());
    drop(guard);
    assert!(!watch.is_held());
    assert!(bench.acquire("dev").is_ok());
}

#[test]
fn environments_have_leases_of_their_own() {
    let bench = Bench::new();
    let _dev = bench.acquire("dev").unwrap();
    assert!(bench.acquire("prod").is_ok());
}

#[test]
fn a_lease_that_was_not_renewed_in_time_is_not_held() {
    let bench = Bench::new();
    let guard = bench.acquire("dev").unwrap();
    bench.clock.advance(LEASE_TERM);
    assert!(!guard.is_held());
}

#[test]
fn a_successor_is_not_hurt_by_the_one_before() {
    let bench = Bench::new();
    let slow = bench.acquire("dev").unwrap();
    bench.clock.advance(LEASE_TERM);
    let next = bench.acquire("dev").unwrap();
    drop(slow);
    assert!(next.is_held());
    assert!(bench.acquire("dev").is_err());
}

#[tokio::test]
async fn a_lease_that_was_taken_over_is_noticed() {
    let bench = Bench::new();
    let request = bench.request("dev");
    let guard = LeaseGuard::acquire_with(&bench.store, &request, Duration::from_millis(1)).unwrap();
    let connection = bench.store.connect().unwrap();
    assert!(guard.is_held());
    connection.execute("UPDATE leases SET token = 'of another run'", []).unwrap();
    guard.watch().lost().await;
    assert!(!guard.is_held());
    drop(guard);
    let left: i64 = connection.query_row("SELECT count(*) FROM leases", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 1);
}

#[test]
fn renewing_extends_the_lease() {
    let bench = Bench::new();
    let request = bench.request("dev");
    let mut connection = bench.store.connect().unwrap();
    let now = bench.clock.now();
    let Taken::Token(token) = table::take(&mut connection, &request, &ProcessId::current(), now).unwrap() else {
        panic!("the lease was free");
    };
    let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&bench.clock);
    let expires_at = Arc::new(AtomicI64::new(table::expiry(now).timestamp_millis()));
    let watch = LeaseWatch { clock, expires_at, lost: watch::Sender::new(false) };
    let renewal = Renewal { connection, lake: request.lake, token, watch: watch.clone() };
    bench.clock.advance(RENEW_EVERY);
    assert!(renewal.renew());
    bench.clock.advance(LEASE_TERM - Duration::from_millis(1));
    assert!(watch.is_held());
    assert!(bench.acquire("dev").is_err());
}
