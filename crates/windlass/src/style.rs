//! The few colours, by meaning.

use anstyle::{AnsiColor, Style};

/// Paints text, or leaves it as it is where colours are not wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    /// Whether to paint at all.
    pub(crate) colors: bool,
}

impl Paint {
    /// Something that went well.
    pub(crate) fn good(self, text: &str) -> String {
        self.with(AnsiColor::Green.on_default(), text)
    }

    /// Something that failed.
    pub(crate) fn bad(self, text: &str) -> String {
        self.with(AnsiColor::BrightRed.on_default().bold(), text)
    }

    /// Something to look at.
    pub(crate) fn odd(self, text: &str) -> String {
        self.with(AnsiColor::Yellow.on_default(), text)
    }

    /// A name or number that stands out.
    pub(crate) fn strong(self, text: &str) -> String {
        self.with(Style::new().bold(), text)
    }

    /// Something less important.
    pub(crate) fn faint(self, text: &str) -> String {
        self.with(Style::new().dimmed(), text)
    }

    /// The word before a way out, as in diagnostics.
    pub(crate) fn help(self, text: &str) -> String {
        self.with(AnsiColor::BrightCyan.on_default().bold(), text)
    }

    fn with(self, style: Style, text: &str) -> String {
        if self.colors { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}
