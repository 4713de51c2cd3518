//! Why rows failed, for people: a block for each cause.

use windlass_engine::ErrorCause;

use crate::human;
use crate::output::harmless;
use crate::style::Paint;

/// Characters of an example row that are shown.
const ROW_WIDTH: usize = 160;
/// Characters of a message that are shown.
const MESSAGE_WIDTH: usize = 200;

/// How much is said of a cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Rows, cause and an example.
    Example,
    /// The stack as well.
    Traceback,
}

/// Returns causes one below the other.
pub(crate) fn text(causes: &[ErrorCause], detail: Detail, paint: Paint) -> String {
    let rows_width = causes.iter().map(|cause| human::count(cause.rows).len()).max().unwrap_or_default();
    let stage_width = causes.iter().map(|cause| cause.stage.len()).max().unwrap_or_default();
    let indent = " ".repeat(2 + rows_width + 2 + stage_width + 2);
    let mut lines = Vec::new();
    for cause in causes {
        let rows = format!("{:>rows_width$}", human::count(cause.rows));
        let stage = format!("{:stage_width$}", cause.stage);
        lines.push(format!("  {}  {stage}  {}", paint.strong(&rows), title(cause)));
        if let Some(example) = example(cause) {
            lines.push(format!("{indent}{}", paint.faint(&example)));
        }
        if detail == Detail::Traceback {
            lines.extend(cause.traceback.trim_end().lines().map(|line| format!("{indent}{}", harmless(line))));
        }
    }
    lines.join("\n")
}

/// Returns a cause in one line, as `windlass run` tells it.
pub(crate) fn title(cause: &ErrorCause) -> String {
    let message = cause.message.lines().next().unwrap_or_default();
    let message = shortened(message, MESSAGE_WIDTH);
    match cause.stage.as_str() {
        "requires" | "reject" | "check" | "model" => message,
        _ if cause.error_type.is_empty() => message,
        _ => format!("{}: {message}", harmless(&cause.error_type)),
    }
}

fn example(cause: &ErrorCause) -> Option<String> {
    let parts = [cause.key.as_str(), cause.row.as_str()];
    let parts: Vec<String> =
        parts.into_iter().filter(|part| !part.is_empty()).map(|part| shortened(part, ROW_WIDTH)).collect();
    (!parts.is_empty()).then(|| format!("such as {}", parts.join("  ")))
}

/// Returns the beginning of a text, harmless on a terminal.
fn shortened(text: &str, width: usize) -> String {
    let short: String = text.chars().take(width).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("{}{dots}", harmless(&short))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn cause(rows: u64, stage: &str, error_type: &str, message: &str) -> ErrorCause {
        ErrorCause {
            rows,
            stage: stage.to_owned(),
            error_type: error_type.to_owned(),
            message: message.to_owned(),
            traceback: String::new(),
            key: "id=7".to_owned(),
            row: r#"{"id":7,"x":null}"#.to_owned(),
        }
    }

    #[test]
    fn causes_stand_below_each_other() {
        let raised = ErrorCause {
            traceback: "Traceback\n  File \"a.py\", line 3, in f\nValueError: bad\u{1b}[2J\n".to_owned(),
            row: format!("{{\"x\":\"{}\"}}", "y".repeat(200)),
            ..cause(12, "python", "ValueError", "bad\u{1b}[2J\nsecond line")
        };
        let causes = [cause(3_686, "requires", "", "`x` is null"), raised];
        expect![[r#"
            failed
              3,686  requires  `x` is null
                               such as id=7  {"id":7,"x":null}
                 12  python    ValueError: bad\x1b[2J
                               such as id=7  {"x":"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy…
                               Traceback
                                 File "a.py", line 3, in f
                               ValueError: bad\x1b[2J"#]]
        .assert_eq(&format!("failed\n{}", text(&causes, Detail::Traceback, Paint { colors: false })));
    }
}
