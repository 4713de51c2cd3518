//! Physical operators of our own, one file each.

mod partition;
pub(crate) mod write;
