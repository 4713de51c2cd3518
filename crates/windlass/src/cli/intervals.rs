//! Flags that say which intervals of incremental tables are computed.

use clap::Args;
use windlass_project::parse_time;

/// A span of time.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct IntervalArgs {
    /// Compute intervals from this time of UTC on, done or not; else from the first. Such as 2013-05-01.
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with_all = ["full_refresh", "no_cache"])]
    pub(crate) from: Option<i64>,
    /// Compute intervals up to this time of UTC, which is not part of them; else to the last.
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with_all = ["full_refresh", "no_cache"])]
    pub(crate) to: Option<i64>,
}

fn time(text: &str) -> Result<i64, String> {
    parse_time(text).ok_or_else(|| "expected a time of UTC such as `2013-05-01` or `2013-05-01 06:00`".to_owned())
}
