//! Rows that differ, as a table for people: what became of each row, and both values of a changed cell.

use anyhow::Context;
use arrow::array::{Array, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::output::harmless;
use crate::style::Paint;

/// Characters of a value that are shown.
const WIDTH: usize = 60;

/// A row.
pub(crate) struct Line {
    /// What became of it, in a word.
    pub(crate) mark: String,
    /// Its values.
    pub(crate) cells: Vec<Cell>,
}

/// A value.
pub(crate) enum Cell {
    /// One that both sides have, or that only one side has.
    Same(String),
    /// What was there, and what is there now.
    Changed(String, String),
}

impl Cell {
    fn text(&self) -> String {
        match self {
            Self::Same(value) => value.clone(),
            Self::Changed(before, after) => format!("{before} → {after}"),
        }
    }
}

/// Returns a value of a batch.
pub(crate) fn spelled(rows: &RecordBatch, column: usize, row: usize) -> anyhow::Result<String> {
    let values = rows.column(column);
    if values.is_null(row) {
        return Ok("NULL".to_owned());
    }
    let formatter = ArrayFormatter::try_new(values.as_ref(), &FormatOptions::default());
    let text = formatter.context("cannot print a value")?.value(row).to_string();
    let short: String = text.chars().take(WIDTH).collect();
    let text = if short.len() < text.len() { format!("{short}...") } else { short };
    Ok(harmless(&text).into_owned())
}

/// Returns rows below their columns.
pub(crate) fn table(columns: &[&str], lines: &[Line], paint: Paint) -> String {
    let head = std::iter::once("").chain(columns.iter().copied()).map(str::to_owned).collect::<Vec<_>>();
    let of_line = |line: &Line| std::iter::once(line.mark.clone()).chain(line.cells.iter().map(Cell::text)).collect();
    let texts: Vec<Vec<String>> = lines.iter().map(of_line).collect();
    let width = |at: usize| {
        let all = std::iter::once(&head).chain(&texts);
        all.filter_map(|line| line.get(at)).map(|text| text.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let rule = widths.iter().map(|width| "-".repeat(width + 2)).collect::<Vec<_>>().join("+");
    let padded = |text: &str, at: usize| format!("{text}{}", " ".repeat(widths[at] - text.chars().count()));
    let head: Vec<String> = head.iter().enumerate().map(|(at, text)| padded(text, at)).collect();
    let mut all = vec![format!("+{rule}+"), format!("| {} |", head.join(" | ")), format!("+{rule}+")];
    for (line, texts) in lines.iter().zip(&texts) {
        let cells = texts.iter().enumerate().map(|(at, text)| {
            let text = padded(text, at);
            match at.checked_sub(1).map(|at| &line.cells[at]) {
                None => paint.strong(&text),
                Some(Cell::Changed(..)) => paint.bad(&text),
                Some(Cell::Same(_)) => text,
            }
        });
        all.push(format!("| {} |", cells.collect::<Vec<_>>().join(" | ")));
    }
    all.push(format!("+{rule}+"));
    all.join("\n")
}
