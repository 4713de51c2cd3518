//! Checks: rules on a table, evaluated in one pass over its batches.
//!
//! `compile` turns definitions into a program for a table's columns, `part` runs it over batches,
//! and `evaluate` holds what was gathered against the bounds. `stats` holds the mathematics, without
//! Arrow; `columns`, `literal` and `hash` know Arrow's layouts, and `rules`, `numbers`,
//! `binned`, `distribution`, `distinct`, `keys`, `order` and `texts` each gather one thing.
//!
//! Must stay true: a check that has no answer says so and never passes; parts of a table merge in any
//! order to the same answer.

mod binned;
pub(crate) mod columns;
pub(crate) mod compile;
pub(crate) mod distinct;
pub(crate) mod distribution;
pub(crate) mod drift;
pub(crate) mod evaluate;
pub(crate) mod facts;
pub(crate) mod hash;
pub(crate) mod integers;
pub(crate) mod key_counts;
pub(crate) mod keys;
pub(crate) mod literal;
pub(crate) mod mask;
pub(crate) mod numbers;
pub(crate) mod order;
pub(crate) mod outcome;
mod pages;
pub(crate) mod part;
pub(crate) mod pattern;
pub(crate) mod profile;
pub(crate) mod program;
pub(crate) mod rules;
#[allow(dead_code, reason = "reference cases cover more variants than checks offer")]
pub(crate) mod stats;
pub(crate) mod suspects;
pub(crate) mod tally;
pub(crate) mod text;
pub(crate) mod texts;

#[cfg(test)]
mod tests;
