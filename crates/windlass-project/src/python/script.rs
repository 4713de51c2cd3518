//! Finds the `# /// script` block of a file (PEP 723), with a way back to its places.

use std::ops::Range;
use std::sync::Arc;

use windlass_error::{Code, Diagnostic, Location, SourceFile};

use crate::problems::Problems;

const START: &str = "# /// script";
const END: &str = "# ///";

/// The TOML of a block.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) text: String,
    file: Arc<SourceFile>,
    /// For each line, where it starts in `text` and in the file.
    lines: Vec<(usize, usize)>,
}

impl Block {
    /// Returns where a part of the TOML stands in the file, at most to the end of its first line.
    pub(super) fn at(&self, span: Range<usize>) -> Location {
        let line = self.lines.partition_point(|(start, _)| *start <= span.start).saturating_sub(1);
        let Some((start, in_file)) = self.lines.get(line) else { return Location::new(&self.file, 0..0) };
        let length = self.text[*start..].lines().next().unwrap_or_default().len();
        let place = |offset: usize| in_file + (offset - start).min(length);
        Location::new(&self.file, place(span.start)..place(span.end.max(span.start)))
    }
}

/// Returns the block of a file; reports one that has no end, and a second one.
pub(super) fn find_block(file: &Arc<SourceFile>, problems: &mut Problems) -> Option<Block> {
    let mut found: Option<(Block, Range<usize>)> = None;
    let lines = lines(&file.text);
    let mut at = 0;
    while at < lines.len() {
        let (start, text) = lines[at];
        at += 1;
        if text != START {
            continue;
        }
        let here = start..start + text.len();
        let comment = lines[at..].iter().take_while(|(_, line)| *line == "#" || line.starts_with("# ")).count();
        let body = &lines[at..at + comment];
        // The last end of a run of comments counts, so that the text may hold `///` itself.
        let Some(length) = body.iter().rposition(|(_, line)| *line == END) else {
            let problem = Diagnostic::error(Code::ENVIRONMENT, "this block is never closed");
            problems.push(problem.at(Location::new(file, here)).hint("end it with a line `# ///`"));
            continue;
        };
        at += length + 1;
        match &found {
            Some((_, first)) => {
                let problem = Diagnostic::error(Code::ENVIRONMENT, "a file has one `script` block");
                let problem = problem.at(Location::new(file, here)).label("again here");
                problems.push(problem.related(Location::new(file, first.clone()), "first here"));
            }
            None => found = Some((block(file, &body[..length]), here)),
        }
    }
    found.map(|(block, _)| block)
}

fn block(file: &Arc<SourceFile>, body: &[(usize, &str)]) -> Block {
    let mut block = Block { text: String::new(), file: Arc::clone(file), lines: Vec::new() };
    for (start, line) in body {
        let prefix = line.len().min(2);
        block.lines.push((block.text.len(), start + prefix));
        block.text.push_str(&line[prefix..]);
        block.text.push('\n');
    }
    block
}

/// Returns the lines of a text with where they start, without their ends.
fn lines(text: &str) -> Vec<(usize, &str)> {
    let mut offset = 0;
    let mut found = Vec::new();
    for line in text.split_inclusive('\n') {
        found.push((offset, line.trim_end()));
        offset += line.len();
    }
    found
}
