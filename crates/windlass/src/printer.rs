//! The only place that prints. Results go to stdout, everything else to stderr.
//!
//! Must stay true: what goes to stderr gets out of the way of moving lines, whoever prints it.

use std::io::{IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};
use indicatif::{MultiProgress, ProgressDrawTarget};
use serde::Serialize;

use crate::cli::{ColorWhen, GlobalArgs};
use crate::settings;
use crate::style::Paint;
use crate::wire::Envelope;

/// Prints.
#[derive(Debug, Clone)]
pub(crate) struct Printer {
    stdout: ColorChoice,
    stderr: ColorChoice,
    is_quiet: bool,
    /// Moving lines, where they make sense: stderr is a terminal and nobody is against it.
    bars: Option<MultiProgress>,
}

impl Printer {
    /// Returns a printer as the flags want it.
    pub(crate) fn new(flags: &GlobalArgs) -> Self {
        let wanted = match flags.color {
            ColorWhen::Always => ColorChoice::Always,
            ColorWhen::Never => ColorChoice::Never,
            ColorWhen::Auto if settings::no_color() => ColorChoice::Never,
            ColorWhen::Auto => ColorChoice::Auto,
        };
        let settle = |auto: ColorChoice| if wanted == ColorChoice::Auto { auto } else { wanted };
        // Log lines would tear moving lines apart.
        let has_bars = !flags.no_progress && !flags.quiet && flags.verbose == 0 && std::io::stderr().is_terminal();
        Self {
            stdout: settle(AutoStream::choice(&std::io::stdout())),
            stderr: settle(AutoStream::choice(&std::io::stderr())),
            is_quiet: flags.quiet,
            bars: has_bars.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr())),
        }
    }

    /// Returns the paint for stdout.
    pub(crate) fn data_paint(&self) -> Paint {
        Paint { colors: self.stdout != ColorChoice::Never }
    }

    /// Returns the paint for stderr.
    pub(crate) fn paint(&self) -> Paint {
        Paint { colors: self.stderr != ColorChoice::Never }
    }

    /// Returns whether notes are printed.
    pub(crate) fn is_quiet(&self) -> bool {
        self.is_quiet
    }

    /// Returns where moving lines are drawn; `None` where nothing may move.
    pub(crate) fn bars(&self) -> Option<&MultiProgress> {
        self.bars.as_ref()
    }

    /// Prints a result and ends the line.
    ///
    /// # Errors
    ///
    /// Whatever stdout answers, a closed pipe as well.
    pub(crate) fn data(&self, text: &str) -> std::io::Result<()> {
        let mut stdout = AutoStream::new(std::io::stdout(), self.stdout).lock();
        stdout.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            stdout.write_all(b"\n")?;
        }
        stdout.flush()
    }

    /// Prints a result as one JSON object with its schema's name.
    pub(crate) fn json<T: Serialize>(&self, command: &str, data: &T) -> anyhow::Result<()> {
        Ok(self.data(&serde_json::to_string(&Envelope::new(command, data))?)?)
    }

    /// Prints something worth knowing, unless asked to be quiet.
    pub(crate) fn note(&self, text: &str) {
        if !self.is_quiet {
            self.problem(text);
        }
    }

    /// Prints something that must be seen. There is nowhere to report that stderr is closed.
    pub(crate) fn problem(&self, text: &str) {
        match &self.bars {
            Some(bars) => bars.suspend(|| self.write(text)),
            None => self.write(text),
        }
    }

    /// Asks whether to go on; `None` where nobody is there to answer.
    pub(crate) fn confirm(&self, question: &str) -> Option<bool> {
        let answer = self.ask(&format!("{question} [y/N]"))?;
        Some(["y", "yes"].contains(&answer.to_lowercase().as_str()))
    }

    /// Asks whether to go on, which only the name of the thing says; `None` where nobody is there to answer.
    pub(crate) fn confirm_by_name(&self, question: &str, name: &str) -> Option<bool> {
        self.ask(&format!("{question} To go on, type its name:")).map(|answer| answer == name)
    }

    /// Returns the line that a person answers; `None` where nobody is there.
    fn ask(&self, question: &str) -> Option<String> {
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return None;
        }
        self.problem(question);
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).ok()?;
        Some(answer.trim().to_owned())
    }

    fn write(&self, text: &str) {
        let mut stderr = AutoStream::new(std::io::stderr(), self.stderr).lock();
        let _ = stderr.write_all(text.as_bytes());
        if !text.ends_with('\n') {
            let _ = stderr.write_all(b"\n");
        }
    }
}
