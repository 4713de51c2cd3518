//! What uv says when it fails: the lines that explain, and the way out.
//!
//! uv tells failures apart in words only. The few phrases that matter stand here and nowhere else.

/// Most lines that are kept; a build that fails prints thousands, and the last ones tell.
const LINES: usize = 24;

/// A failure that calls for more than passing it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The lock does not fit what is asked for.
    Stale,
    /// The lock cannot be read.
    Unreadable,
    /// Anything else.
    Failure,
}

/// Returns what a failure means for the lock.
pub(super) fn meaning(stderr: &str) -> Meaning {
    if stderr.contains("needs to be updated") || stderr.contains("Unable to find lockfile") {
        Meaning::Stale
    } else if stderr.contains("Failed to parse `uv.lock`") || stderr.contains("unsupported schema version") {
        Meaning::Unreadable
    } else {
        Meaning::Failure
    }
}

/// Returns the lines that explain a failure: no colours, no progress, no advice on flags of uv.
pub(super) fn explain(stderr: &str) -> String {
    let text = without_colours(stderr);
    let mut lines: Vec<String> = Vec::new();
    let mut is_kept = false;
    for line in text.lines() {
        let words = line.trim_start();
        if line.starts_with("error:") || words.starts_with('×') {
            is_kept = true;
        } else if line.starts_with("hint:") || line.starts_with("warning:") {
            is_kept = false;
        }
        let words = plain(line);
        if is_kept && !words.trim().is_empty() {
            lines.push(words);
        }
    }
    if lines.is_empty() {
        lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    }
    if lines.is_empty() {
        lines.push("uv gave no reason".to_owned());
    }
    shortened(&lines).join("\n")
}

/// Returns the way out of a failure that uv explained, where one is known.
pub(crate) fn hint(explanation: &str) -> Option<String> {
    const HINTS: &[(&[&str], &str)] = &[
        (
            &["is no requirement", "names no versions of Python"],
            "requirements are written as in `requirements.txt` and PEP 723, one package each",
        ),
        (
            &["No space left on device", "os error 28"],
            "make room on the disk that holds the cache, or move the cache to another one",
        ),
        (
            &["Permission denied", "Read-only file system", "os error 13", "os error 30"],
            "give this user the right to write there, or move the cache to a folder of its own",
        ),
        (
            &["network was disabled", "network is disabled", "but the network", "offline", "found in the cache"],
            "run once without `--offline`, so that the packages get into the cache",
        ),
        (
            &["invalid peer certificate", "UnknownIssuer"],
            "set `SSL_CERT_FILE` to the certificates of your network, or `UV_SYSTEM_CERTS=1`",
        ),
        (&["(404 "], "the index no longer has a file that the lock names: lock anew, or ask for another version"),
        (&["(401 ", "(403 "], "the index wants a user and a password: name them in `UV_DEFAULT_INDEX` or `~/.netrc`"),
        (
            &["dns error", "error sending request", "client error (Connect)", "timed out", "HTTP status"],
            "check the network; behind a mirror of PyPI, set `UV_DEFAULT_INDEX` to its address",
        ),
        (
            &["not found in the package registry"],
            "check the spelling; a package that is not on PyPI needs its index in `UV_INDEX`",
        ),
        (
            &["incompatible with the project's Python"],
            "name an interpreter that `requires-python` allows, or change `requires-python`",
        ),
        (
            &["No interpreter found", "Failed to inspect Python"],
            "install such a Python, or change what the node requires",
        ),
        (
            &["Failed to build", "build backend", "no usable wheels", "no wheels with a matching"],
            "ask for a version of the package that has a wheel for this Python and platform",
        ),
        (&["requirements are unsatisfiable"], "change the requirements so that one version of each package fits all"),
    ];
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| explanation.contains(phrase));
    HINTS.iter().find(|(phrases, _)| says(phrases)).map(|(_, hint)| (*hint).to_owned())
}

/// Returns a line without uv's labels and drawings.
fn plain(line: &str) -> String {
    let line = line.trim_end();
    for label in ["error: ", "  cause: ", "  Caused by: ", "  × ", "  ├─▶ ", "  ╰─▶ ", "  │   ", "         ", "      "]
    {
        if let Some(rest) = line.strip_prefix(label) {
            return rest.to_owned();
        }
    }
    line.to_owned()
}

fn shortened(lines: &[String]) -> Vec<String> {
    if lines.len() <= LINES {
        return lines.to_vec();
    }
    let (head, tail) = (4, LINES - 5);
    let mut kept = lines[..head].to_vec();
    kept.push("...".to_owned());
    kept.extend_from_slice(&lines[lines.len() - tail..]);
    kept
}

fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => {
                let mut escape = rest.by_ref().skip_while(|c| *c == '[');
                escape.find(|c| c.is_ascii_alphabetic());
            }
            '\r' => {}
            _ => plain.push(c),
        }
    }
    plain
}
