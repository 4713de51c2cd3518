//! Physical operators of our own, one file each.

pub(crate) mod check;
pub(crate) mod gather;
pub(crate) mod moving_mean;
mod partition;
pub(crate) mod python;
pub(crate) mod write;
