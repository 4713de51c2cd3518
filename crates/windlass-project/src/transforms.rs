//! SQL transforms out of their files: what they render to, once for each way in which they run.
//!
//! An incremental transform has two texts: the one that computes the table from nothing, and the one
//! that adds to it. Both are rendered before anything runs, so that both are checked.

use std::sync::Arc;

use windlass_error::{Code, Diagnostic, SourceFile};

use crate::assemble::start_of;
use crate::config::{Patch, Subject};
use crate::intervals::has_interval;
use crate::problems::Problems;
use crate::template::{FileScope, SqlTemplates};
use crate::{INTERVAL_END, INTERVAL_START, Incremental, Strategy, Transform};

/// The file of a SQL transform.
pub(crate) struct SqlFile<'a> {
    /// The name of the node.
    pub(crate) name: &'a str,
    /// The file.
    pub(crate) file: &'a Arc<SourceFile>,
    /// What renders it.
    pub(crate) templates: &'a SqlTemplates,
}

impl SqlFile<'_> {
    /// Renders the text that computes the table from nothing; also returns what `config()` sets. `None`
    /// where it has problems.
    pub(crate) fn render(&self, problems: &mut Problems) -> Option<(Transform, Patch)> {
        // Only the settings say whether there are intervals, and these are rendered as well.
        let scope = FileScope { this: None, has_interval: true };
        let rendered = self.templates.render(self.file, scope, problems)?;
        let mut patch = Patch::default();
        for entry in &rendered.config {
            patch.set(Subject::Transform, &entry.key, entry, problems);
        }
        if is_blank(&rendered.sql) {
            let problem = Diagnostic::error(Code::SQL_SYNTAX, "the file holds no query").at(start_of(self.file));
            problems.push(problem.hint("write one `select`"));
        }
        Some((rendered.into(), patch))
    }

    /// Adds the text that adds to the table, where there is such; `None` where that has problems.
    pub(crate) fn with_increments(
        &self,
        mut transform: Transform,
        incremental: Option<&Incremental>,
        problems: &mut Problems,
    ) -> Option<Transform> {
        let has_intervals = matches!(incremental, Some(Incremental { strategy: Strategy::ByInterval(_), .. }));
        if !has_intervals && has_interval(&transform.sql) && !problems.has_errors() {
            // Says where.
            self.templates.render(self.file, FileScope { this: None, has_interval: false }, problems);
            return None;
        }
        if incremental.is_none() {
            return Some(transform);
        }
        let scope = FileScope { this: Some(self.name), has_interval: has_intervals };
        let adding: Transform = self.templates.render(self.file, scope, problems)?.into();
        if let Some(quoted) = [&transform, &adding].into_iter().find_map(in_quotes) {
            problems.push(quoted);
            return None;
        }
        for input in &adding.inputs {
            let is_same = |known: &crate::Input| (known.node.as_str(), known.part) == (input.node.as_str(), input.part);
            if !transform.inputs.iter().any(is_same) {
                transform.inputs.push(input.clone());
            }
        }
        transform.vars.extend(adding.vars.iter().map(|(name, value)| (name.clone(), value.clone())));
        transform.incremental = Some(Box::new(adding));
        Some(transform)
    }
}

/// Returns that a time of an interval stands in quotes, as it does in other tools.
fn in_quotes(transform: &Transform) -> Option<Diagnostic> {
    let ends = [("interval_start", INTERVAL_START), ("interval_end", INTERVAL_END)];
    let (name, start) = ends.into_iter().find_map(|(name, text)| {
        let quoted = format!("'{text}'");
        Some((name, transform.sql.find(&quoted)?))
    })?;
    let message = format!("`{name}` stands in quotes, and is a timestamp already");
    let problem = Diagnostic::error(Code::TEMPLATE_RENDER, message).hint("remove the quotes around it");
    Some(match transform.map.locate(start..start + 1) {
        Some(at) => problem.at(at),
        None => problem,
    })
}

/// Returns whether SQL holds nothing but comments.
fn is_blank(sql: &str) -> bool {
    let mut rest = sql.trim_start_matches(|c: char| c.is_whitespace() || c == ';');
    loop {
        rest = if rest.starts_with("--") {
            rest.split_once('\n').map_or("", |(_, below)| below)
        } else if rest.starts_with("/*") {
            rest.split_once("*/").map_or("", |(_, below)| below)
        } else {
            return rest.is_empty();
        };
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ';');
    }
}
