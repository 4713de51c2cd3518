//! Tests.

use proptest::prelude::*;

use super::*;

fn ask(cpus: u32, gpus: u32, place: Place) -> Ask {
    Ask { cpus, gpus, place }
}

/// Plays `script` on a machine: `1:g600` asks for 0.6 GPUs under the name 1, `1:c1000` for a CPU as a
/// further worker, `1:f1000` as a first one, `-1` gives back or takes the ask back. Returns who has what, by name.
fn play(cpus: u32, gpus: usize, script: &str) -> String {
    let mut ledger = Ledger::new(cpus, gpus);
    let mut grants: Vec<(u64, Grant)> = Vec::new();
    for word in script.split_whitespace() {
        if let Some(id) = word.strip_prefix('-') {
            let id = id.parse().unwrap();
            match grants.iter().position(|(other, _)| *other == id) {
                Some(place) => ledger.release(&grants.remove(place).1),
                None => ledger.cancel(id),
            }
        } else {
            let (id, what) = word.split_once(':').unwrap();
            let amount = what[1..].parse().unwrap();
            let ask = match &what[..1] {
                "g" => ask(0, amount, Place::First),
                "c" => ask(amount, 0, Place::Further),
                _ => ask(amount, 0, Place::First),
            };
            ledger.ask(id.parse().unwrap(), ask);
        }
        for id in 0..10 {
            grants.extend(ledger.take(id).map(|grant| (id, grant)));
        }
    }
    grants.sort_by_key(|(id, _)| *id);
    let texts = grants.iter().map(|(id, grant)| match &grant.gpus[..] {
        [] => format!("{id}"),
        gpus => format!("{id}@{}", gpus.iter().map(|(place, _)| place.to_string()).collect::<Vec<_>>().join("+")),
    });
    texts.collect::<Vec<_>>().join(" ")
}

#[test]
fn grants() {
    for (cpus, gpus, script, expected) in [
        // CPUs: in order, and a first worker always.
        (2, 0, "1:c1000 2:c1000 3:c1000", "1 2"),
        (2, 0, "1:c1000 2:c1000 3:c1000 -1", "2 3"),
        (2, 0, "1:c1500 2:c1000 3:c500", "1"),
        (1, 0, "1:f1000 2:f1000 3:c1000", "1 2"),
        (1, 0, "1:f1000 2:f1000 3:c1000 -1", "2"),
        (1, 0, "1:f1000 2:f1000 3:c1000 -1 -2", "3"),
        (1, 0, "1:c1000 2:c1000 3:f1000", "1 3"),
        // Two pipelines, one GPU.
        (4, 1, "1:g1000 2:g1000", "1@0"),
        (4, 1, "1:g1000 2:g1000 -1", "2@0"),
        // Halves share one, 0.6 and 0.6 do not.
        (4, 1, "1:g500 2:g500", "1@0 2@0"),
        (4, 1, "1:g600 2:g600", "1@0"),
        (4, 1, "1:g600 2:g600 -1", "2@0"),
        (4, 2, "1:g600 2:g600", "1@0 2@1"),
        // The fullest one that will do; a worker is never spread over shares.
        (4, 2, "1:g600 2:g300 3:g1000", "1@0 2@0 3@1"),
        (4, 2, "1:g500 2:g600 3:g700", "1@0 2@1"),
        // Whole ones together.
        (4, 3, "1:g2000 2:g1000", "1@0+1 2@2"),
        (4, 2, "1:g500 2:g2000 3:g500", "1@0"),
        (4, 2, "1:g500 2:g2000 3:g500 -1", "2@0+1"),
        (4, 2, "1:g500 2:g2000 3:g500 -2", "1@0 3@0"),
        // Waiting for a GPU holds nobody up who wants CPUs.
        (2, 1, "1:g1000 2:g1000 3:c1000 4:c1000", "1@0 3 4"),
    ] {
        assert_eq!(play(cpus, gpus, script), expected, "{cpus} CPUs, {gpus} GPUs: {script}");
    }
}

proptest! {
    #[test]
    fn gpus_are_never_promised_twice_and_everyone_is_served(
        asks in prop::collection::vec((0..3000_u32, 0..4_u32), 1..40),
    ) {
        let mut ledger = Ledger::new(4, 3);
        let mut running: Vec<(u64, Grant)> = Vec::new();
        let mut served = 0;
        for (id, (cpus, gpus)) in asks.iter().enumerate() {
            let gpus = [0, 300, 700, 2000][*gpus as usize];
            ledger.ask(id as u64, ask(*cpus, gpus, Place::Further));
        }
        // Whoever runs ends some time: then all have had their turn.
        loop {
            for id in 0..asks.len() as u64 {
                running.extend(ledger.take(id).map(|grant| (id, grant)));
            }
            let used: u32 = running.iter().flat_map(|(_, grant)| &grant.gpus).map(|(_, share)| share).sum();
            prop_assert_eq!(ledger.gpus.iter().sum::<u32>() + used, 3000);
            prop_assert!(ledger.cpus >= 0);
            if running.is_empty() {
                break;
            }
            let (_, grant) = running.remove(0);
            ledger.release(&grant);
            served += 1;
        }
        prop_assert_eq!(served, asks.len());
    }
}

#[tokio::test]
async fn permits_come_back_by_themselves() {
    let shared = SharedLedger::new(Ledger::new(1, 0));
    let wake = Arc::new(Notify::new());
    let one = shared.ask(ask(1000, 0, Place::Further), &wake);
    let permit = one.take().unwrap();
    let two = shared.ask(ask(1000, 0, Place::Further), &wake);
    assert!(two.take().is_none() && shared.is_short());
    drop(permit);
    wake.notified().await;
    assert!(two.take().is_some());
    // An ask that was granted and never taken.
    let three = shared.ask(ask(1000, 0, Place::Further), &wake);
    drop(three);
    assert!(!shared.is_short());
    assert_eq!(shared.lock().0.cpus, 1000);
}
