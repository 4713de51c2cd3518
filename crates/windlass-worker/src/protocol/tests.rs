//! Frames as bytes; `python/tests/test_protocol.py` holds the same ones.

use proptest::prelude::*;

use super::*;
use crate::FailureKind;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn zygotes_hear_these_bytes() {
    let options = SpawnOptions { preload: vec!["pandas".to_owned()], cpus: 1, ..SpawnOptions::default() };
    let spawn = ToZygote::Spawn { worker: 3, start: StartMode::Spawn, options };
    let mut expected = bytes("01 01 0000 03000000 0000000000000000 0000000000000000");
    expected.extend_from_slice(br#"{"env":{},"preload":["pandas"],"cpus":1}"#);
    assert_eq!(spawn.encode(), expected);
    let kill = ToZygote::Kill { worker: 3, signal: 9 };
    assert_eq!(kill.encode(), bytes("02 00 0000 03000000 0900000000000000 0000000000000000"));
    assert_eq!(ToZygote::Stop.encode(), bytes("03 00 0000 00000000 0000000000000000 0000000000000000"));
}

#[test]
fn zygotes_say_these_bytes() {
    let started = bytes("11 00 0000 03000000 9210000000000000 0000000000000000");
    assert_eq!(FromZygote::decode(&started), Ok(FromZygote::Started { worker: 3, pid: 4242 }));
    let exited = bytes("12 00 0000 03000000 0000000000000000 0b00000000000000");
    let exit = Exit { code: 0, signal: 11 };
    assert_eq!(FromZygote::decode(&exited), Ok(FromZygote::Exited { worker: 3, exit }));
    let mut ready = bytes("10 00 0000 00000000 0100000000000000 0000000000000000");
    ready.extend_from_slice(br#"{"pid":7,"python":"3.11.7","packages":{"pyarrow":"26.0.1","pandas":null}}"#);
    let packages = BTreeMap::from([("pandas".to_owned(), None), ("pyarrow".to_owned(), Some("26.0.1".to_owned()))]);
    let about = ZygoteAbout { pid: 7, python: "3.11.7".to_owned(), packages };
    assert_eq!(FromZygote::decode(&ready), Ok(FromZygote::Ready { version: 1, about }));
}

#[test]
fn workers_hear_these_bytes() {
    let run = Run {
        input: 7,
        bytes: 4096,
        seq: 42,
        output: 8,
        first: 100,
        rows: ALL_ROWS,
        mode: RunMode::Careful,
        probe_timeout_ms: 5000,
    };
    for (frame, hex) in [
        (ToWorker::Hello { json: 10, schema: 20 }, "01 00 0000 01000000 0a00000000000000 1400000000000000"),
        (
            ToWorker::Map { slot: 7, size: 1 << 18, direction: Direction::Output },
            "02 00 0000 07000000 0000040000000000 0100000000000000",
        ),
        (
            ToWorker::Run(run),
            "03 00 0000 07000000 0010000000000000 2a00000000000000
             08000000 64000000 ffffffff 01000000 8813000000000000",
        ),
        (ToWorker::Grown { slot: 9 }, "04 00 0000 09000000 0000000000000000 0000000000000000"),
        (ToWorker::Forget { slot: 9 }, "05 00 0000 09000000 0000000000000000 0000000000000000"),
        (ToWorker::Ping { token: 5 }, "07 00 0000 00000000 0000000000000000 0500000000000000"),
        (ToWorker::Stop, "08 00 0000 00000000 0000000000000000 0000000000000000"),
    ] {
        assert_eq!(frame.encode(), bytes(hex), "{frame:?}");
    }
}

#[test]
fn workers_say_these_bytes() {
    let done = bytes(
        "22 01 0200 07000000 2801000000000000 2a00000000000000
         64000000 00000000 c8000000 00010000 28000000 1b000000 0200
         0000 ffff 05000000 06000000",
    );
    let expected = Done {
        slot: 7,
        input_released: true,
        recycle: false,
        used: 296,
        seq: 42,
        rows: 100,
        result: Span { offset: 0, bytes: 200 },
        errors: Span { offset: 256, bytes: 40 },
        calls: 27,
        columns: vec![Column::Input(0), Column::Fresh],
        released: vec![5, 6],
    };
    assert_eq!(FromWorker::decode(&done), Ok(FromWorker::Done(expected)));
    let need = bytes("23 00 0000 07000000 0000100000000000 2a00000000000000");
    assert_eq!(FromWorker::decode(&need), Ok(FromWorker::Need { slot: 7, bytes: 1 << 20, seq: 42 }));
    let mut failed = bytes("24 03 0100 07000000 0000000000000000 2a00000000000000 05000000");
    failed.extend_from_slice(
        br#"{"kind":"exception","type":"ValueError","message":"no","traceback":"","file":"/p/t.py","line":3,"function":"f"}"#,
    );
    let failure = Failure {
        kind: FailureKind::Exception,
        error_type: "ValueError".to_owned(),
        message: "no".to_owned(),
        traceback: String::new(),
        file: Some("/p/t.py".to_owned()),
        line: Some(3),
        function: Some("f".to_owned()),
        way_out: None,
    };
    let expected = Failed { slot: 7, input_released: true, recycle: true, seq: 42, released: vec![5], failure };
    assert_eq!(FromWorker::decode(&failed), Ok(FromWorker::Failed(expected)));
    let pong = bytes("25 00 0100 00000000 0000000000000000 0500000000000000 09000000");
    assert_eq!(FromWorker::decode(&pong), Ok(FromWorker::Pong { token: 5, released: vec![9] }));
}

#[test]
fn broken_frames_are_errors() {
    for (hex, why) in [
        ("", "a frame is too short"),
        ("22 01", "a frame is too short"),
        ("63 00 0000 00000000 0000000000000000 0000000000000000", "unknown frame 99"),
        ("22 01 0200 07000000 2801000000000000 2a00000000000000 64000000", "a frame is too short"),
        ("25 00 0100 00000000 0000000000000000 0500000000000000 090000", "a frame has 3 bytes too many"),
    ] {
        assert_eq!(FromWorker::decode(&bytes(hex)), Err(why.to_owned()));
    }
    let not_json = bytes("21 00 0000 00000000 0000000000000000 0000000000000000 7b");
    assert!(FromWorker::decode(&not_json).unwrap_err().contains("JSON"));
}

proptest! {
    #[test]
    fn no_frame_panics(op in 16..40_u8, flags: u8, n in 0..9_u16, tail: Vec<u8>) {
        let frame = Header { op, flags, n, slot: 1, a: u64::MAX, b: 2 }.with(&tail);
        let _ = FromWorker::decode(&frame);
        let _ = FromZygote::decode(&frame);
    }
}
