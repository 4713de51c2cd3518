//! Tables: files that others wrote, Delta tables that runs publish, and what tidies up after them.

pub(crate) mod candidate;
pub(crate) mod contract;
pub(crate) mod copy;
pub(crate) mod error_layout;
pub(crate) mod error_rows;
pub(crate) mod files;
pub(crate) mod gc;
pub(crate) mod pieced;
pub(crate) mod pieces;
pub(crate) mod publish;
pub(crate) mod published;
pub(crate) mod ranges;
pub(crate) mod resolved;
pub(crate) mod schema;
pub(crate) mod source;
pub(crate) mod staged;
pub(crate) mod statistics;
