//! Tests.

use super::*;

const IDLE_VIEW: View = View { is_starting: false, call: None, waits_for_us: false, is_deserted: false };
const BUSY: View = View { call: Some(Pace::Normal), ..IDLE_VIEW };

/// A clock and the time.
struct Played {
    clock: Clock,
    now: Instant,
}

fn played(call: Option<u64>) -> Played {
    let limits = Limits { start: Duration::from_secs(5), call: call.map(Duration::from_millis), memory: None };
    let now = Instant::now();
    Played { clock: Clock::new(limits, now), now }
}

/// A clock of a worker that is ready.
fn ready(call: Option<u64>) -> Played {
    let mut played = played(call);
    played.clock.ready(played.now);
    played
}

impl Played {
    /// Lets time pass and returns what is wrong then.
    fn after(&mut self, millis: u64, view: View) -> Option<String> {
        self.now += Duration::from_millis(millis);
        self.clock.check(view, self.now).map(|cause| format!("{cause:?}"))
    }
}

#[test]
fn starts_have_a_limit() {
    let starting = View { is_starting: true, ..IDLE_VIEW };
    let mut played = played(Some(10));
    assert_eq!(played.after(4999, starting), None);
    assert_eq!(played.after(1, starting).as_deref(), Some("StartTimeout"));
    assert_eq!(played.clock.due(starting), Some(played.now));
}

#[test]
fn calls_have_a_limit() {
    let mut played = ready(Some(300));
    assert_eq!(played.after(900, IDLE_VIEW), None);
    assert_eq!(played.clock.next_turn(played.now), Duration::from_millis(900));
    assert_eq!(played.after(299, BUSY), None);
    assert_eq!(played.after(100, View { waits_for_us: true, ..BUSY }), None);
    assert_eq!(played.after(0, BUSY).as_deref(), Some("CallTimeout"));
    let careful = View { call: Some(Pace::Careful { rows: 8192 }), ..IDLE_VIEW };
    assert_eq!(played.after(60_000, careful), None);
    assert_eq!(played.after(60_000, careful).as_deref(), Some("CallTimeout"));
}

#[test]
fn pings_are_sent_after_a_pause_and_have_to_be_answered() {
    let mut played = ready(Some(300));
    assert_eq!(played.clock.ping(played.now), None, "it has just spoken");
    played.now += IDLE;
    let token = played.clock.ping(played.now).unwrap();
    played.clock.next_turn(played.now);
    // The call's time starts when the worker is known to be there.
    assert_eq!(played.after(1000, BUSY), None);
    played.clock.pong(token + 1, played.now);
    played.clock.pong(token, played.now);
    assert_eq!(played.after(299, BUSY), None);
    assert_eq!(played.after(1, BUSY).as_deref(), Some("CallTimeout"));

    played.clock.next_turn(played.now);
    played.now += IDLE;
    played.clock.ping(played.now).unwrap();
    assert_eq!(played.after(2000, BUSY).as_deref(), Some("Silent"));
}

#[test]
fn nobody_works_for_nobody() {
    let mut played = ready(None);
    let deserted = View { is_deserted: true, ..BUSY };
    assert_eq!(played.after(200, deserted), None);
    assert_eq!(played.after(400, BUSY), None, "somebody came");
    assert_eq!(played.after(200, deserted), None);
    assert_eq!(played.after(600, deserted).as_deref(), Some("Deserted"));
}

#[test]
fn an_idle_worker_is_not_looked_at() {
    let played = ready(Some(10));
    assert_eq!(played.clock.due(IDLE_VIEW), None);
    assert!(played.clock.due(BUSY).is_some());
}

#[test]
fn memory_is_measured() {
    let own = own_memory(std::process::id()).unwrap();
    assert!(own > 100 * 1024, "{own}");
    assert_eq!(own_memory(u32::MAX), None);
}
