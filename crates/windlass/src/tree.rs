//! Draws what hangs together as lines.

use crate::style::Paint;

/// Something with what hangs below it.
pub(crate) struct Branch {
    /// A line.
    pub(crate) text: String,
    /// What hangs below.
    pub(crate) below: Vec<Branch>,
}

impl Branch {
    /// Returns a line with nothing below.
    pub(crate) fn leaf(text: String) -> Self {
        Self { text, below: Vec::new() }
    }

    /// Adds the line and those below it.
    pub(crate) fn draw(&self, paint: Paint, lines: &mut Vec<String>) {
        lines.push(self.text.clone());
        draw_below(&self.below, "", paint, lines);
    }
}

fn draw_below(branches: &[Branch], before: &str, paint: Paint, lines: &mut Vec<String>) {
    for (at, branch) in branches.iter().enumerate() {
        let (sign, rest) = if at + 1 == branches.len() { ("└── ", "    ") } else { ("├── ", "│   ") };
        lines.push(format!("{}{}", paint.faint(&format!("{before}{sign}")), branch.text));
        draw_below(&branch.below, &format!("{before}{rest}"), paint, lines);
    }
}
