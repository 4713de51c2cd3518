//! Real workers: Python, shared memory, and everything that user code can do wrong.
//!
//! One binary. All tests share a runtime and, unless they need other settings, one set of workers, so
//! that the packages are imported once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

mod death;
mod engine;
mod hang;
mod isolation;
mod lifetime;
mod pool;
mod resource;
mod roundtrip;
mod types;
