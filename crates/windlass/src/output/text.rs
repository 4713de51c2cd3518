//! Text of users on a screen: what would steer a terminal is spelt out.

use std::borrow::Cow;
use std::fmt::Write;

/// Returns text in which control characters other than tabs are spelt out: `\x1b[2J`, `\r`.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    let steers = |c: char| c.is_control() && c != '\t';
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut spelt = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\r' => spelt.push_str("\\r"),
            '\n' => spelt.push_str("\\n"),
            c if steers(c) => {
                // Writing to a string cannot fail.
                let _ = write!(spelt, "\\x{:02x}", u32::from(c));
            }
            c => spelt.push(c),
        }
    }
    Cow::Owned(spelt)
}

/// Returns what a carriage return leaves of a line on a terminal: its last turn. Progress bars such as
/// tqdm's draw a line over and over.
pub(super) fn last_turn(line: &str) -> &str {
    let line = line.trim_end_matches('\r');
    line.rsplit('\r').next().unwrap_or(line)
}
