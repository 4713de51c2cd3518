//! Tests.

use std::os::unix::fs::FileExt;

use super::*;

/// Holds a region, as leases do.
struct Owner(Region);

impl AsRef<Region> for Owner {
    fn as_ref(&self) -> &Region {
        &self.0
    }
}

const SIZE: usize = 1 << 18;

#[test]
fn both_kinds_carry_bytes_both_ways() {
    for backing in [Backing::Memfd, Backing::File] {
        let (mut input, file) = Region::create_in(backing, SIZE, Direction::Input).unwrap();
        input.write(&[Buffer::from(b"ab"), Buffer::from(b""), Buffer::from(b"cd")]);
        let mut seen = [0; 5];
        File::from(file).read_exact_at(&mut seen, 0).unwrap();
        assert_eq!(&seen, b"abcd\0", "{backing:?}");

        let (output, file) = Region::create_in(backing, SIZE, Direction::Output).unwrap();
        File::from(file).write_all_at(b"hello", 64).unwrap();
        assert_eq!(output.copy(64..69).unwrap().as_slice(), b"hello");
        let lent = lend(Arc::new(Owner(output)), 64..69).unwrap();
        assert_eq!(lent.as_slice(), b"hello");
    }
}

#[test]
fn spans_outside_are_refused() {
    let (region, _file) = Region::create(SIZE, Direction::Output).unwrap();
    #[expect(clippy::reversed_empty_ranges, reason = "a span that makes no sense")]
    for span in [0..SIZE + 1, SIZE..SIZE + 1, 5..4, usize::MAX..usize::MAX] {
        assert!(region.copy(span.clone()).is_none(), "{span:?}");
    }
    assert!(region.copy(SIZE..SIZE).is_some_and(|empty| empty.is_empty()));
}

#[test]
fn nobody_changes_a_region_behind_our_back() {
    let (_input, file) = Region::create(SIZE, Direction::Input).unwrap();
    let file = File::from(file);
    assert!(file.set_len(10).is_err(), "it cannot be cut short");
    assert!(file.set_len(2 * SIZE as u64).is_err(), "nor made longer");
    assert!(file.write_at(b"x", 0).is_err(), "an input cannot be written to");
    let (_output, file) = Region::create(SIZE, Direction::Output).unwrap();
    let file = File::from(file);
    assert!(file.set_len(10).is_err());
    assert!(file.write_at(b"x", 0).is_ok(), "an output can");
}

#[test]
fn what_cannot_be_had_is_an_error() {
    assert!(Region::create(0, Direction::Input).is_err());
    assert!(Region::create(usize::MAX, Direction::Input).is_err());
}

#[test]
fn nothing_has_a_name() {
    let (_region, _file) = Region::create_in(Backing::File, SIZE, Direction::Input).unwrap();
    let own = format!("windlass-{}-", std::process::id());
    for folder in ["/dev/shm", "/tmp"] {
        let names = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
        assert_eq!(names.filter(|name| name.to_string_lossy().starts_with(&own)).count(), 0);
    }
}
