//! Writes marks into a template and reads them back from what it renders to.
//!
//! A mark is one character of the private-use planes; its number leads to a [`Mark`]. Loops, macros
//! and conditions carry the marks along, so the rendered text says itself where it came from.
//!
//! Must stay true: text without its marks equals the plain rendering. Trimming by `-` is done here
//! before a mark is placed, so that no mark ever protects whitespace. The caller compares.

use std::ops::Range;
use std::sync::Arc;

use windlass_error::SourceFile;

use super::lexer::{self, Segment, SegmentKind};
use crate::SourceMap;
use crate::sourcemap::Piece;

const PLANES: [Range<u32>; 2] = [0xF_0000..0xF_FFFE, 0x10_0000..0x10_FFFE];

/// What a mark means, and for which part of which file.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    kind: MarkKind,
    file: usize,
    span: Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MarkKind {
    /// Raw text follows.
    Text,
    /// The result of an expression follows.
    Open,
    /// The result of the expression with that mark ends.
    Close(usize),
}

/// How much of a template carries marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Everything.
    All,
    /// Only what is written straight to the output: nothing that a macro, `set`, `call` or
    /// `filter` block keeps as a value, where a filter such as `trim` might stumble over marks.
    Output,
}

/// Returns the template with marks, or `None` where it cannot be cut or has too many pieces.
pub(crate) fn instrument(source: &str, file: usize, reach: Reach, marks: &mut Vec<Mark>) -> Option<String> {
    if source.chars().any(|c| number(c).is_some()) {
        return None;
    }
    let mut writer =
        Writer { source, file, reach, marks, text: String::with_capacity(source.len() * 2), blocks: vec![] };
    for segment in lexer::segments(source)? {
        writer.segment(&segment)?;
    }
    Some(writer.text)
}

/// Takes the marks out of rendered text; the map leads from the text without them to `files`.
pub(crate) fn strip(rendered: &str, marks: &[Mark], files: &[Arc<SourceFile>]) -> (String, SourceMap) {
    let mut reader = Reader { marks, files, text: String::with_capacity(rendered.len()), pieces: vec![], open: vec![] };
    let mut rest = rendered;
    let mut mark = None;
    loop {
        let next = rest.char_indices().find_map(|(at, c)| number(c).map(|id| (at, c.len_utf8(), id)));
        let Some((at, width, id)) = next else { break };
        reader.run(mark, &rest[..at]);
        rest = &rest[at + width..];
        mark = (id < marks.len()).then_some(id);
    }
    reader.run(mark, rest);
    (reader.text, SourceMap::new(files.to_vec(), reader.pieces))
}

/// A `macro`, `set`, `call` or `filter` block that is still open.
struct Block {
    /// The mark of what it writes, for `call` and `filter`.
    mark: Option<usize>,
    keyword: &'static str,
}

struct Writer<'a> {
    source: &'a str,
    file: usize,
    reach: Reach,
    marks: &'a mut Vec<Mark>,
    text: String,
    blocks: Vec<Block>,
}

impl Writer<'_> {
    fn segment(&mut self, segment: &Segment) -> Option<()> {
        let source = self.source;
        let outer = &source[segment.outer.clone()];
        let visible = self.reach == Reach::All || self.blocks.is_empty();
        match segment.kind {
            SegmentKind::Text => {
                if visible && !segment.inner.is_empty() {
                    self.mark(MarkKind::Text, &segment.inner)?;
                }
                self.text.push_str(&source[segment.inner.clone()]);
            }
            SegmentKind::Raw => {
                if visible {
                    self.mark(MarkKind::Text, &segment.inner)?;
                }
                self.text.push_str(outer);
            }
            SegmentKind::Comment => self.text.push_str(outer),
            SegmentKind::Expression => self.wrapped(segment, visible)?,
            SegmentKind::Block => self.block(segment, visible)?,
        }
        Some(())
    }

    fn wrapped(&mut self, segment: &Segment, visible: bool) -> Option<()> {
        let outer = &self.source[segment.outer.clone()];
        if !visible {
            self.text.push_str(outer);
            return Some(());
        }
        let open = self.mark(MarkKind::Open, &segment.inner)?;
        self.text.push_str(outer);
        self.mark(MarkKind::Close(open), &segment.inner)?;
        Some(())
    }

    fn block(&mut self, segment: &Segment, visible: bool) -> Option<()> {
        let outer = &self.source[segment.outer.clone()];
        let keyword = lexer::keyword(self.source, segment);
        match keyword {
            "include" => return self.wrapped(segment, visible),
            "call" | "filter" => {
                let mark = if visible { Some(self.mark(MarkKind::Open, &segment.inner)?) } else { None };
                let keyword = if keyword == "call" { "call" } else { "filter" };
                self.blocks.push(Block { mark, keyword });
            }
            "macro" => self.blocks.push(Block { mark: None, keyword: "macro" }),
            "set" if lexer::is_opening(keyword, &self.source[segment.inner.clone()]) => {
                self.blocks.push(Block { mark: None, keyword: "set" });
            }
            _ => {}
        }
        self.text.push_str(outer);
        let closes = self.blocks.last().is_some_and(|block| keyword.strip_prefix("end") == Some(block.keyword));
        if closes && let Some(Block { mark: Some(mark), .. }) = self.blocks.pop() {
            self.mark(MarkKind::Close(mark), &segment.inner)?;
        }
        Some(())
    }

    fn mark(&mut self, kind: MarkKind, span: &Range<usize>) -> Option<usize> {
        let id = self.marks.len();
        self.text.push(character(id)?);
        self.marks.push(Mark { kind, file: self.file, span: span.clone() });
        Some(id)
    }
}

struct Reader<'a> {
    marks: &'a [Mark],
    files: &'a [Arc<SourceFile>],
    text: String,
    pieces: Vec<Piece>,
    /// Marks of the expressions around, outermost first.
    open: Vec<usize>,
}

impl Reader<'_> {
    /// Takes the text between a mark and the next one.
    fn run(&mut self, mark: Option<usize>, text: &str) {
        let mut done = 0;
        if let Some(id) = mark {
            match self.marks[id].kind {
                MarkKind::Open => self.open.push(id),
                MarkKind::Close(open) => {
                    if let Some(at) = self.open.iter().rposition(|id| *id == open) {
                        self.open.truncate(at);
                    }
                }
                MarkKind::Text => done = self.raw(id, text),
            }
        }
        let rest = &text[done..];
        if let Some(&open) = self.open.last()
            && !rest.is_empty()
        {
            self.push(open, self.marks[open].span.clone(), false, rest.len());
        }
        self.text.push_str(text);
    }

    /// Maps the part of `text` that really is the file's text; more may follow when the expression
    /// around adds something, as in `m() ~ 'x'`.
    fn raw(&mut self, id: usize, text: &str) -> usize {
        let mark = &self.marks[id];
        let original = &self.files[mark.file].text[mark.span.clone()];
        let same = text.chars().zip(original.chars()).take_while(|(left, right)| left == right);
        let length = same.map(|(c, _)| c.len_utf8()).sum();
        if length > 0 {
            self.push(id, mark.span.start..mark.span.start + length, true, length);
        }
        length
    }

    fn push(&mut self, id: usize, origin: Range<usize>, exact: bool, length: usize) {
        let start = self.pieces.last().map_or(0, |piece| piece.rendered.end).max(self.text.len());
        let call = self.open.first().filter(|open| **open != id).map(|open| {
            let mark = &self.marks[*open];
            (mark.file, mark.span.clone())
        });
        let file = self.marks[id].file;
        self.pieces.push(Piece { rendered: start..start + length, file, origin, exact, call });
    }
}

fn character(id: usize) -> Option<char> {
    let mut id = u32::try_from(id).ok()?;
    for plane in PLANES {
        let length = plane.end - plane.start;
        if id < length {
            return char::from_u32(plane.start + id);
        }
        id -= length;
    }
    None
}

fn number(c: char) -> Option<usize> {
    let mut before = 0;
    for plane in PLANES {
        if plane.contains(&u32::from(c)) {
            return Some((before + u32::from(c) - plane.start) as usize);
        }
        before += plane.end - plane.start;
    }
    None
}

#[cfg(test)]
mod tests;
