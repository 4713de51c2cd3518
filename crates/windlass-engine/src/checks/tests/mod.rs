//! Every kind of check on every kind of column, and on the values that usually go wrong.
//!
//! A case runs a check twice, over one batch and over single rows whose parts are merged, and both
//! must agree.

mod boundaries;
mod diversion;
mod edges;
mod kinds;
mod matrix;
mod stored;
mod support;
