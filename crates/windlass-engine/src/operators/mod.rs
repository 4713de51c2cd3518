//! Physical operators of our own, one file each.

pub(crate) mod check;
pub(crate) mod content;
pub(crate) mod gather;
mod lookup;
pub(crate) mod meter;
mod moving_mean;
mod partition;
pub(crate) mod python;
mod scattered;
pub(crate) mod unscored;
pub(crate) mod write;

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;

/// What operators of ours may do to a plan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leave {
    /// Bytes that they may hold where the planned operators would spill.
    pub(crate) room: usize,
    /// Whether rows may come in another order than they would.
    pub(crate) may_reorder: bool,
}

/// Replaces operators in a finished plan by those of ours that do the same with less work.
pub(crate) fn specialise(plan: Arc<dyn ExecutionPlan>, leave: Leave) -> Result<Arc<dyn ExecutionPlan>> {
    let plan = match leave.may_reorder {
        true => scattered::specialise(plan, leave.room)?,
        false => plan,
    };
    lookup::specialise(moving_mean::specialise(plan)?)
}
