//! Physical operators of our own, one file each.

pub(crate) mod moving_mean;
mod partition;
pub(crate) mod write;
