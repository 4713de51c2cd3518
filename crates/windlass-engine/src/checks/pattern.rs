//! Regular expressions, with a short way for those that most checks are made of.
//!
//! `^[a-z0-9]+@[a-z]+\.com$` is runs of characters, one after the other, each of which ends at the first
//! character that is none of its own. There is one way at most to match that, so a loop finds it, faster than an
//! automaton which keeps track of all ways. Everything else is left to the `regex` crate.
//!
//! Must stay true: the answer is that of `regex`.

use regex::bytes::Regex;
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

/// Groups are repeated in the list of runs up to so many times.
const MOST_COPIES: u32 = 16;

/// A regular expression.
#[derive(Clone)]
pub(crate) struct Pattern {
    regex: Regex,
    runs: Option<Runs>,
}

/// Runs of bytes from the beginning of a text on.
#[derive(Clone, Default)]
struct Runs {
    runs: Vec<Run>,
    /// Whether nothing may follow.
    is_to_the_end: bool,
    /// Whether characters of several bytes may match, which is left to `regex`.
    needs_ascii: bool,
}

#[derive(Clone)]
enum Run {
    /// These bytes.
    Text(Vec<u8>),
    /// Bytes of a set, as many as there are.
    Set { set: Box<[bool; 256]>, min: usize, max: usize },
}

impl Pattern {
    /// Returns a regular expression.
    ///
    /// # Errors
    ///
    /// What `regex` says of one that cannot be parsed.
    pub(crate) fn new(text: &str) -> Result<Self, regex::Error> {
        let regex = Regex::new(text)?;
        let parsed = ParserBuilder::new().utf8(false).build().parse(text).ok();
        Ok(Self { regex, runs: parsed.and_then(|parsed| Runs::of(&parsed)) })
    }

    /// Returns whether it is found in a text.
    pub(crate) fn is_match(&self, text: &[u8]) -> bool {
        match &self.runs {
            Some(runs) if !runs.needs_ascii || text.is_ascii() => runs.is_match(text),
            _ => self.regex.is_match(text),
        }
    }
}

impl Runs {
    /// Returns the runs of an expression; `None` where it is something else.
    fn of(expression: &Hir) -> Option<Self> {
        let HirKind::Concat(parts) = expression.kind() else { return None };
        let (start, parts) = parts.split_first()?;
        if !matches!(start.kind(), HirKind::Look(Look::Start)) {
            return None;
        }
        let mut found = Self::default();
        let parts = match parts.split_last() {
            Some((end, parts)) if matches!(end.kind(), HirKind::Look(Look::End)) => {
                found.is_to_the_end = true;
                parts
            }
            _ => parts,
        };
        parts.iter().try_for_each(|part| found.add(part))?;
        found.has_one_way().then_some(found)
    }

    fn add(&mut self, part: &Hir) -> Option<()> {
        match part.kind() {
            HirKind::Empty => {}
            HirKind::Literal(literal) => match self.runs.last_mut() {
                Some(Run::Text(text)) => text.extend_from_slice(&literal.0),
                _ => self.runs.push(Run::Text(literal.0.to_vec())),
            },
            HirKind::Class(class) => self.add_set(class, (1, Some(1))),
            HirKind::Capture(capture) => self.add(&capture.sub)?,
            HirKind::Concat(parts) => parts.iter().try_for_each(|part| self.add(part))?,
            HirKind::Repetition(repetition) => self.add_repetition(repetition)?,
            HirKind::Look(_) | HirKind::Alternation(_) => return None,
        }
        Some(())
    }

    fn add_repetition(&mut self, repetition: &Repetition) -> Option<()> {
        let mut sub = repetition.sub.as_ref();
        while let HirKind::Capture(capture) = sub.kind() {
            sub = capture.sub.as_ref();
        }
        match sub.kind() {
            HirKind::Class(class) => self.add_set(class, (repetition.min, repetition.max)),
            HirKind::Literal(literal) if literal.0.len() == 1 => {
                let mut set = Box::new([false; 256]);
                set[usize::from(literal.0[0])] = true;
                self.push(set, (repetition.min, repetition.max));
            }
            _ if repetition.max == Some(repetition.min) && repetition.min <= MOST_COPIES => {
                (0..repetition.min).try_for_each(|_| self.add(sub))?;
            }
            _ => return None,
        }
        Some(())
    }

    /// Adds the ASCII characters of a class.
    fn add_set(&mut self, class: &Class, times: (u32, Option<u32>)) {
        let mut set = Box::new([false; 256]);
        let mut allow = |first: u32, last: u32| {
            (first..=last.min(0x7f)).for_each(|byte| set[byte as usize] = true);
            self.needs_ascii |= last > 0x7f;
        };
        match class {
            Class::Unicode(class) => {
                class.ranges().iter().for_each(|range| allow(range.start() as u32, range.end() as u32));
            }
            Class::Bytes(class) => {
                class.ranges().iter().for_each(|range| allow(range.start().into(), range.end().into()));
            }
        }
        self.push(set, times);
    }

    fn push(&mut self, set: Box<[bool; 256]>, (min, max): (u32, Option<u32>)) {
        let max = max.map_or(usize::MAX, |max| max as usize);
        self.runs.push(Run::Set { set, min: min as usize, max });
    }

    /// Returns whether no run of a length that is not given could end early for the sake of those behind it.
    fn has_one_way(&self) -> bool {
        self.runs.iter().enumerate().all(|(at, run)| match run {
            Run::Set { set, min, max } if min < max => {
                let next = first_bytes(&self.runs[at + 1..]);
                set.iter().zip(next.iter()).all(|(own, next)| !(*own && *next))
            }
            _ => true,
        })
    }

    fn is_match(&self, text: &[u8]) -> bool {
        let mut rest = text;
        for run in &self.runs {
            let length = match run {
                // Byte by byte: for so few of them comparing memory costs more.
                Run::Text(wanted) if rest.len() >= wanted.len() && wanted.iter().zip(rest).all(|(a, b)| a == b) => {
                    wanted.len()
                }
                Run::Text(_) => return false,
                Run::Set { set, min, max } => {
                    let most = rest.len().min(*max);
                    let length = rest[..most].iter().position(|byte| !set[usize::from(*byte)]).unwrap_or(most);
                    if length < *min {
                        return false;
                    }
                    length
                }
            };
            rest = &rest[length..];
        }
        rest.is_empty() || !self.is_to_the_end
    }
}

/// Returns the bytes with which a text of these runs may begin.
fn first_bytes(runs: &[Run]) -> [bool; 256] {
    let mut found = [false; 256];
    for run in runs {
        match run {
            Run::Text(text) => {
                text.first().into_iter().for_each(|byte| found[usize::from(*byte)] = true);
                return found;
            }
            Run::Set { set, min, .. } => {
                set.iter().zip(&mut found).for_each(|(own, found)| *found |= own);
                if *min > 0 {
                    return found;
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts that are near what the expressions below match.
    const TEXTS: &[&str] = &[
        "",
        "a",
        "ab",
        "abc",
        "abcd",
        "user1@mail.com",
        "user1@mail.com\n",
        "@mail.com",
        "user1@mailXcom",
        "user1@.com",
        "user1@mail.com.com",
        "Üser@mail.com",
        "user@mäil.com",
        "2024-01-31",
        "2024-1-31",
        "２０２４-01-31",
        "12345",
        "AB-123",
        "AB-1234",
        "ab-123",
        "a@b",
        "a@@b",
        "a\nb",
        "x.y.z",
        "0x1F",
        "K",
        "\u{212a}",
        "aaab",
        "aaa",
        "  a",
        "a  ",
        "--",
        "é",
        "127.0.0.1",
        "1.2.3",
        "de-DE",
        "de",
        "123-456-7890",
        "ZZ",
        "zz",
    ];

    fn check(pattern: &str, is_short: bool) {
        let (found, expected) = (Pattern::new(pattern).unwrap(), Regex::new(pattern).unwrap());
        assert_eq!(found.runs.is_some(), is_short, "{pattern}");
        for text in TEXTS {
            assert_eq!(found.is_match(text.as_bytes()), expected.is_match(text.as_bytes()), "{pattern} in {text:?}");
        }
    }

    #[test]
    fn runs_answer_as_the_automaton_does() {
        for pattern in [
            r"^[a-z0-9]+@[a-z]+\.com$",
            r"^[^@]+@[^@]+$",
            r"^\d{4}-\d{2}-\d{2}$",
            r"^[A-Z]{2}-[0-9]{3}$",
            r"^a",
            r"^.+$",
            r"^.*$",
            r"^[a-z]{2}(-[A-Z]{2})$",
            r"^\w+$",
            r"^(?i)k$",
            r"^a{2,3}b?$",
            r"^\s*a\s*$",
            r"^a{3}",
            r"^(?:\d{3}-){2}\d{4}$",
            r"^é$",
            r"^[é-ü]?$",
            r"^0x[0-9A-F]+",
            r"^-{2}$",
            r"^((a)(b))c$",
            r"^[a-z]+[0-9]*",
            r"^(\d{1,3}\.){3}\d{1,3}$",
            r"^\w+[é]$",
        ] {
            check(pattern, true);
        }
    }

    #[test]
    fn what_has_several_ways_is_left_to_the_automaton() {
        for pattern in [
            "a",
            "a$",
            r"^[a-z]+a$",
            r"^a*ab",
            r"^(ab|cd)$",
            r"^(a|bc)$|x",
            r"(?m)^a$",
            r"^[a-z]*[a-z0-9]*$",
            r"^(ab)*c$",
            r"^$x?",
            r"\bde\b",
        ] {
            check(pattern, false);
        }
        assert!(Pattern::new("(").is_err());
    }

    #[test]
    fn bytes_need_not_be_text() {
        for pattern in [r"^[a-z]+$", r"^[^a]+$", r"^.$", r"(?-u)^[\x80-\xff]+$", r"(?-u)^\xff$"] {
            let (found, expected) = (Pattern::new(pattern).unwrap(), Regex::new(pattern).unwrap());
            for text in [&b"\xff"[..], b"ab", b"b\xff", b"\xc3", b"\x80\x81"] {
                assert_eq!(found.is_match(text), expected.is_match(text), "{pattern} in {text:?}");
            }
        }
    }
}
