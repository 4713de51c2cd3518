//! Tests.

use super::*;

fn lines(chunks: &[&[u8]]) -> Vec<String> {
    let mut lines = Lines::default();
    let mut seen = Vec::new();
    let mut emit = |line: &[u8]| seen.push(readable(line));
    for chunk in chunks {
        lines.push(chunk, &mut emit);
    }
    lines.end(&mut emit);
    seen
}

#[test]
fn bytes_become_lines() {
    for (chunks, expected) in [
        (&[b"a\nb".as_slice(), b"c\n\nd"][..], &["a", "bc", "", "d"][..]),
        (&[b""], &[]),
        (&[b"windows\r\nline\r\n"], &["windows", "line"]),
        (&[b"10%\r50%\r100%\n"], &["100%"]),
        (&[b"bell\x07 tab\t \x1b[31mred\x1b[0m\n"], &["bell tab\t \u{1b}[31mred\u{1b}[0m"]),
        (&[b"\xff\xfe text\n"], &["\u{fffd}\u{fffd} text"]),
        (&[b"caf\xc3", b"\xa9\n"], &["café"]),
    ] {
        assert_eq!(lines(chunks), expected);
    }
}

#[test]
fn long_lines_are_cut() {
    let text = vec![b'x'; 2 * LONGEST_LINE + 5];
    let lengths: Vec<_> = lines(&[&text, b"\nend\n"]).iter().map(String::len).collect();
    assert_eq!(lengths, [LONGEST_LINE, LONGEST_LINE, 5, 3]);
}

#[test]
fn a_batch_has_an_allowance() {
    let meter = Meter::default();
    assert!(meter.reset().is_none());
    let passed = (0..3000).filter(|_| meter.pass(1024)).count();
    assert_eq!(passed, 1024);
    assert_eq!(meter.reset(), Some(3000 * 1024 - MOST_BYTES));
    assert!(meter.pass(10));
    assert_eq!(meter.reset(), None);
}

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl WorkerOutput for Heard {
    fn line(&self, _node: &str, _worker: u32, stream: OutputStream, text: &str) {
        self.0.lock().unwrap().push(format!("{stream:?}: {text}"));
    }
}

#[tokio::test]
async fn pipes_are_read_and_their_last_lines_kept() {
    let heard = Arc::<Heard>::default();
    let speaker = Speaker { node: "n".to_owned(), worker: 1, sink: Arc::clone(&heard) as _ };
    let (mut output, stdout, stderr) = Output::open(speaker).unwrap();
    let write = |fd: &OwnedFd, text: &str| nix::unistd::write(fd, text.as_bytes()).unwrap();
    write(&stdout, "before\n");
    while output.mark() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mark = output.mark();
    write(&stderr, "stack\nof it");
    // Somebody else holds standard output open.
    drop(stderr);
    output.finish().await;
    assert_eq!(output.since(mark), "stack\nof it");
    assert_eq!(output.since(0), "before\nstack\nof it");
    assert_eq!(*heard.0.lock().unwrap(), ["Stdout: before", "Stderr: stack", "Stderr: of it"]);
    drop(stdout);
}

#[test]
fn the_tail_is_bounded() {
    let tail = Tail::default();
    for number in 0..100 {
        tail.push(&format!("{number} {}", "é".repeat(1000)));
    }
    let lines = tail.lock();
    assert_eq!((lines.lines.len(), lines.count), (TAIL_LINES, 100));
    assert!(lines.lines.iter().all(|line| line.len() <= TAIL_LINE));
}
