//! What the command line itself has to refuse: a flag that makes no sense, a missing project.

use windlass_error::{Classify, Code, Fault, Retry};

/// Something asked for that cannot be done, and the way out.
#[derive(Debug)]
pub(crate) struct Refusal {
    message: String,
    code: Option<Code>,
    hint: Option<String>,
    fault: Fault,
}

impl Refusal {
    /// Returns a refusal that is the user's to solve.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: None, hint: None, fault: Fault::User }
    }

    /// Sets the code.
    #[must_use]
    pub(crate) fn code(mut self, code: Code) -> Self {
        self.code = Some(code);
        self
    }

    /// Sets the way out.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Blames the world outside.
    #[must_use]
    pub(crate) fn external(mut self) -> Self {
        self.fault = Fault::External;
        self
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

impl Classify for Refusal {
    fn fault(&self) -> Fault {
        self.fault
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }

    fn code(&self) -> Option<Code> {
        self.code
    }

    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}
