//! A tree as a straight line of steps over many rows at once.
//!
//! A walk from the root to a leaf waits for memory and guesses branches at each split. Here every split of a tree
//! is looked at, without a branch: one step replaces two answers by the one that the split chooses, for all rows of a
//! block, until the root's is left: the leaf of each row. A step is a handful of vector instructions for sixteen
//! rows, so 30 splits cost less than the half dozen that a row would meet.
//!
//! Must stay true: the leaf is the one that a walk leads to.

use super::grid::{Cells, ROWS};

/// Leaves at most: they are numbered by bytes.
pub(super) const MAX_LEAVES: usize = 256;
/// Answers that may wait for a step: the side of a split that takes more is made first, so that each further one
/// doubles the leaves.
const MAX_WAITING: usize = 9;

/// A tree: its steps, and the values of its leaves.
#[derive(Debug)]
pub(super) struct Program {
    steps: Vec<Step>,
    leaves: Vec<f64>,
}

/// Chooses between two answers for each row.
#[derive(Debug, Clone, Copy)]
struct Step {
    test: StepTest,
    sides: Sides,
}

/// How a row is tested.
#[derive(Debug, Clone, Copy)]
pub(super) enum StepTest {
    /// Left where the rank in a column is at most this.
    Rank { column: u32, rank: u8 },
    /// Left where a table has 0 for the code.
    Table { codes: u32, table: u32 },
}

/// Where the answers of both sides are.
#[derive(Debug, Clone, Copy)]
enum Sides {
    Leaves(u8, u8),
    LeftLeaf(u8),
    RightLeaf(u8),
    /// Both wait, the right one on top.
    RightOnTop,
    LeftOnTop,
}

/// A split of a tree that becomes a program; children are splits, or leaves as `!leaf`.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProgramSplit {
    pub(super) test: StepTest,
    pub(super) left: i32,
    pub(super) right: i32,
}

/// Room for answers that wait.
#[derive(Debug)]
pub(super) struct Waiting([[u8; ROWS]; MAX_WAITING]);

impl Default for Waiting {
    fn default() -> Self {
        Self([[0; ROWS]; MAX_WAITING])
    }
}

impl Program {
    /// Returns the program of a tree of at most [`MAX_LEAVES`] leaves, each of whose splits is reached once.
    pub(super) fn new(splits: &[ProgramSplit], leaves: &[f64]) -> Self {
        let mut needs = vec![0; splits.len()];
        let mut steps = Vec::with_capacity(splits.len());
        if !splits.is_empty() {
            need(splits, 0, &mut needs);
            emit(splits, 0, &needs, &mut steps);
        }
        Self { steps, leaves: leaves.to_vec() }
    }

    /// Adds the leaf of each row to its sum: every `outputs`th of `sums`, from `output` on.
    pub(super) fn add(
        &self,
        cells: &Cells,
        tables: &[Vec<u8>],
        waiting: &mut Waiting,
        (sums, output, outputs): (&mut [f64], usize, usize),
    ) {
        let leaves = self.run(cells, tables, waiting);
        let value = |leaf: &u8| self.leaves[usize::from(*leaf)];
        if outputs == 1 {
            sums.iter_mut().zip(leaves).for_each(|(sum, leaf)| *sum += value(leaf));
        } else {
            let sums = sums.iter_mut().skip(output).step_by(outputs);
            sums.zip(leaves).for_each(|(sum, leaf)| *sum += value(leaf));
        }
    }

    /// Returns the leaf of each row.
    fn run<'a>(&self, cells: &Cells, tables: &[Vec<u8>], waiting: &'a mut Waiting) -> &'a [u8; ROWS] {
        let mut looked_up = [0; ROWS];
        let mut top = 0;
        if self.steps.is_empty() {
            waiting.0[0] = [0; ROWS];
        }
        for step in &self.steps {
            let (tested, most) = match step.test {
                StepTest::Rank { column, rank } => (&cells.ranks[column as usize], rank),
                StepTest::Table { codes, table } => {
                    let table = tables[table as usize].as_slice();
                    let codes = &cells.codes[codes as usize];
                    looked_up.iter_mut().zip(codes).for_each(|(cell, code)| *cell = table[usize::from(*code)]);
                    (&looked_up, 0)
                }
            };
            match step.sides {
                Sides::Leaves(left, right) => {
                    choose(&mut waiting.0[top], tested, most, |_| left, |_| right);
                    top += 1;
                }
                Sides::LeftLeaf(left) => choose(&mut waiting.0[top - 1], tested, most, |_| left, |answer| answer),
                Sides::RightLeaf(right) => choose(&mut waiting.0[top - 1], tested, most, |answer| answer, |_| right),
                Sides::RightOnTop | Sides::LeftOnTop => {
                    top -= 1;
                    let (below, above) = waiting.0.split_at_mut(top);
                    let (below, above) = (&mut below[top - 1], &above[0]);
                    let stays_left = if matches!(step.sides, Sides::RightOnTop) { 0 } else { u8::MAX };
                    merge(below, above, tested, (most, stays_left));
                }
            }
        }
        &waiting.0[0]
    }
}

/// Replaces each answer by that of the side on which its row is.
#[inline(always)]
fn choose(answers: &mut [u8; ROWS], tested: &[u8; ROWS], most: u8, left: impl Fn(u8) -> u8, right: impl Fn(u8) -> u8) {
    for (answer, cell) in answers.iter_mut().zip(tested) {
        *answer = if *cell <= most { left(*answer) } else { right(*answer) };
    }
}

/// Replaces answers by others on one side of a split: the right one, or the left one where all bits of `flip` are set.
#[inline(always)]
fn merge(answers: &mut [u8; ROWS], others: &[u8; ROWS], tested: &[u8; ROWS], (most, flip): (u8, u8)) {
    for ((answer, other), cell) in answers.iter_mut().zip(others).zip(tested) {
        // In bits, so that both are read whatever the side: a choice of which to read is no vector instruction.
        let stays = u8::from(*cell <= most).wrapping_neg() ^ flip;
        *answer = *other ^ (stays & (*answer ^ *other));
    }
}

/// Returns how many answers wait at most while a split is made; notes it for all splits below.
fn need(splits: &[ProgramSplit], at: usize, needs: &mut [u32]) -> u32 {
    let ProgramSplit { left, right, .. } = splits[at];
    let mut of = |child: i32| if child < 0 { 0 } else { need(splits, child as usize, needs) };
    let (left, right) = (of(left), of(right));
    needs[at] = if left == right { left + 1 } else { left.max(right) };
    needs[at]
}

/// Writes the steps of a split, the side that needs more room first.
fn emit(splits: &[ProgramSplit], at: usize, needs: &[u32], steps: &mut Vec<Step>) {
    let ProgramSplit { test, left, right } = splits[at];
    let leaf = |child: i32| !child as u8;
    let sides = match (left < 0, right < 0) {
        (true, true) => Sides::Leaves(leaf(left), leaf(right)),
        (true, false) => {
            emit(splits, right as usize, needs, steps);
            Sides::LeftLeaf(leaf(left))
        }
        (false, true) => {
            emit(splits, left as usize, needs, steps);
            Sides::RightLeaf(leaf(right))
        }
        (false, false) if needs[left as usize] >= needs[right as usize] => {
            emit(splits, left as usize, needs, steps);
            emit(splits, right as usize, needs, steps);
            Sides::RightOnTop
        }
        (false, false) => {
            emit(splits, right as usize, needs, steps);
            emit(splits, left as usize, needs, steps);
            Sides::LeftOnTop
        }
    };
    steps.push(Step { test, sides });
}
