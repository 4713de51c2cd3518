//! Whether a Python transform can be computed bit by bit the way its settings say.
//!
//! The settings may stand in the decorator, beside the file or in a folder, so this is looked at once all of them are
//! known.

use windlass_error::{Code, Diagnostic, Location};

use super::{OnError, PythonMode, PythonTransform};
use crate::problems::Problems;
use crate::{NodeConfig, Strategy};

/// Reports what stands in the way of computing a transform bit by bit; `at` is its function or class.
pub(crate) fn refuse_increments(python: &PythonTransform, config: &NodeConfig, at: &Location, problems: &mut Problems) {
    let Some(incremental) = &config.incremental else { return };
    let wrong = |message: String| {
        let problem = Diagnostic::error(Code::INVALID_VALUE, message).at(at.clone());
        match config.origins.get("materialized") {
            Some(origin) => problem.note(format!("`materialized: incremental` is set at {origin}")),
            None => problem,
        }
    };
    if let PythonMode::Table { .. } = python.mode {
        let problem =
            wrong("`mode=\"table\"` needs whole tables, and an incremental transform gets some rows".to_owned());
        problems.push(problem.hint("take batches, or let it read an incremental table and be a `table` itself"));
    }
    if let Strategy::ByInterval(by_interval) = &incremental.strategy
        && python.on_error == OnError::Null
        && !python.key.contains(&by_interval.time_column)
    {
        let column = &by_interval.time_column;
        let problem = wrong(format!("rows that fail lose their `{column}`, which says to which interval they belong"));
        problems.push(problem.hint(format!(
            "with `on_error=\"null\"` rows keep their key: add `{column}` to `key`, or use `on_error=\"quarantine\"`"
        )));
    }
}
