//! What `run` and `plan` ask of incremental tables, out of their flags.

use windlass_engine::{Ask, Refresh};
use windlass_error::Code;
use windlass_project::spell_time;

use crate::choice::Choice;
use crate::cli::IntervalArgs;
use crate::refusal::Refusal;

/// Before and after all intervals.
const ALWAYS: (i64, i64) = (i64::MIN / 2, i64::MAX / 2);

/// Flags that ask for more than what has changed.
pub(crate) struct Flags<'a> {
    /// `--full-refresh`.
    pub(crate) full_refresh: bool,
    /// `--no-cache`.
    pub(crate) no_cache: bool,
    /// `--from` and `--to`.
    pub(crate) intervals: &'a IntervalArgs,
}

/// Returns what is asked of the chosen nodes; refuses a span of time where none of them has intervals.
pub(crate) fn ask(flags: &Flags<'_>, choice: &Choice) -> Result<Ask<'static>, Refusal> {
    let refresh = match (flags.full_refresh, flags.no_cache) {
        (true, _) => Refresh::Whole,
        (false, true) => Refresh::Always,
        (false, false) => Refresh::IfChanged,
    };
    let IntervalArgs { from, to } = *flags.intervals;
    let range = (from.is_some() || to.is_some()).then(|| (from.unwrap_or(ALWAYS.0), to.unwrap_or(ALWAYS.1)));
    let Some((from, to)) = range else { return Ok(Ask { refresh, ..Ask::default() }) };
    if from >= to {
        let message = format!("there is no time from {} to {}", spell_time(from), spell_time(to));
        return Err(Refusal::new(message)
            .code(Code::INVALID_VALUE)
            .hint("`--to` is the first moment that is left out"));
    }
    let mut chosen = choice.nodes.iter().filter_map(|name| choice.project.nodes.get(name));
    if !chosen.any(|node| node.by_interval().is_some()) {
        let refusal = Refusal::new("no selected node has intervals, which `--from` and `--to` are about");
        let hint = "select a transform with `strategy: by_interval`: windlass ls config.strategy:by_interval";
        return Err(refusal.code(Code::EMPTY_SELECTION).hint(hint));
    }
    Ok(Ask { refresh, range, ..Ask::default() })
}
