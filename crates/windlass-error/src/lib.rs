//! What can go wrong: whose fault it is, whether to try again, and the way out.
//!
//! The bottom of the workspace. Every error enum of every crate implements [`Classify`]; retries,
//! exit codes and log levels are derived from its answers and from nowhere else. A mistake in the
//! user's own files is a [`Diagnostic`], which knows its place in the text.
//!
//! Must stay true: nothing here knows a file format, an engine or a clock.

mod code;
mod diagnostic;
mod fault;

pub use code::{CODES, Code, CodeEntry};
pub use diagnostic::{Diagnostic, Location, Severity, SourceFile, nearest};
pub use fault::{Classify, Fault, Retry};
