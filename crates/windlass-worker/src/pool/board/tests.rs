//! Tests.

use super::*;

/// Seats as `load/calls`, with `!` where a suspect is; waiting batches as `p` and `s`. Returns the picks in order.
fn check(seats: &str, waiting: &str, expected: &str) {
    let mut seats: Vec<Seat> = seats
        .split_whitespace()
        .zip(1..)
        .map(|(text, id)| {
            let (load, calls) = text.trim_end_matches('!').split_once('/').unwrap();
            let (load, calls) = (load.parse().unwrap(), calls.parse().unwrap());
            Seat { id, load, calls, has_suspect: text.ends_with('!') }
        })
        .collect();
    let mut waiting: Vec<(usize, Waiting)> =
        waiting.chars().map(|c| if c == 's' { Waiting::Suspect } else { Waiting::Plain }).enumerate().collect();
    let mut picks = Vec::new();
    while let Some((place, id)) = choose(waiting.iter().map(|(_, waiting)| *waiting), &seats) {
        let (name, kind) = waiting.remove(place);
        let seat = seats.iter_mut().find(|seat| seat.id == id).unwrap();
        seat.load += 1;
        seat.calls += 1;
        seat.has_suspect |= kind == Waiting::Suspect;
        picks.push(format!("{name}>{id}"));
    }
    assert_eq!(picks.join(" "), expected);
}

#[test]
fn picks() {
    check("0/5 0/5", "pppppp", "0>1 1>2 2>1 3>2");
    check("1/5 0/5", "pp", "0>2 1>1");
    check("2/5", "p", "");
    check("", "p", "");
    // A suspect batch gets a new worker to itself; others pass it.
    check("0/5", "sp", "1>1");
    check("0/5 0/0", "sppp", "0>2 1>1 2>1");
    check("0/0", "ps", "0>1");
    check("1/1!", "p", "");
    check("0/0 0/0", "ss", "0>1 1>2");
}
