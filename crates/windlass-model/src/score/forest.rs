//! Sums of decision trees, whoever trained them.
//!
//! Trees of both libraries become the same nodes: `x <= threshold` goes left, NaN goes where the node
//! says, and a set of categories sends its members to one side. A tree that is not too large becomes a
//! [`Program`] besides, which blocks of rows pass. Few rows, and large trees, are walked: a leaf leads to itself, so a
//! walk needs no test at each step, and eight rows walk a tree at once: while one waits for memory the others go on.
//!
//! Must stay true: both ways lead to the same leaves, and each row adds them up in the order of the trees.

use std::collections::HashMap;
use std::ops::Range;

use arrow::buffer::ScalarBuffer;

use super::grid::{Cells, Grid, GridPlan, MAX_CATEGORIES, Missing, ROWS, counts_as_zero};
use super::program::{MAX_LEAVES, Program, ProgramSplit, StepTest, Waiting};

/// Rows that walk a tree at once.
const LANES: usize = 8;
/// Steps between two looks at whether all lanes have arrived.
const STRIDE: usize = 4;
/// Rows up to which a walk takes less time than a program, which is made for whole blocks.
const FEW_ROWS: usize = 16;

/// Trees, each of which adds to one output.
#[derive(Debug, Default)]
pub(super) struct Forest {
    nodes: Vec<Node>,
    trees: Vec<Tree>,
    /// Bits of categories, for all nodes.
    bits: Vec<u32>,
    /// Where each set lies in `bits`.
    sets: Vec<(u32, u32)>,
    /// By tree, where it can be one; filled by [`Forest::finish`].
    programs: Vec<Option<Program>>,
    grid: Grid,
    /// For codes of categories, where they go: 0 is left.
    tables: Vec<Vec<u8>>,
}

/// Where a tree begins, how deep it is and what it adds to.
#[derive(Debug, Clone, Copy)]
struct Tree {
    root: u32,
    splits: u32,
    depth: u32,
    output: u32,
}

/// Room for a block of rows.
#[derive(Debug)]
pub(super) struct Block {
    cells: Cells,
    waiting: Waiting,
    /// Row after row, for walks.
    values: Vec<f64>,
}

/// A split or a leaf.
#[derive(Debug, Clone, Copy)]
struct Node {
    /// The highest value that goes left; the value of a leaf.
    threshold: f64,
    feature: u32,
    rule: Rule,
    /// Left and right; a leaf names itself twice.
    children: [u32; 2],
}

/// How a value decides.
#[derive(Debug, Clone, Copy)]
struct Rule {
    kind: Kind,
    /// Whether NaN goes left; what is missing, for [`Kind::ZeroIsMissing`].
    is_nan_left: bool,
    /// Whether members of the set go left.
    are_members_left: bool,
    set: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    ZeroIsMissing,
    Categories,
}

/// A split before it has a place in a forest. Children are splits from 0, or leaves as `!leaf`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Split {
    pub(super) feature: u32,
    pub(super) test: Test,
    pub(super) is_nan_left: bool,
    pub(super) left: i32,
    pub(super) right: i32,
}

/// What a split asks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Test {
    /// Whether a number is at most this.
    AtMost(f64),
    /// The same, where 0 is missing too.
    AtMostZeroMissing(f64),
    /// Whether a category is in a set of the forest; members go left or right.
    Member { set: u32, go_left: bool },
}

impl Forest {
    /// Adds a set of categories as 32 bits a word; returns its number.
    pub(super) fn add_set(&mut self, words: &[u32]) -> u32 {
        self.sets.push((self.bits.len() as u32, words.len() as u32));
        self.bits.extend_from_slice(words);
        self.sets.len() as u32 - 1
    }

    /// Adds a tree; fails with what is wrong with it. A tree without splits is its first leaf.
    pub(super) fn add_tree(&mut self, output: usize, splits: &[Split], leaves: &[f64]) -> Result<(), String> {
        if leaves.len() != splits.len() + 1 {
            return Err(format!("{} leaves and {} splits", leaves.len(), splits.len()));
        }
        let base = self.nodes.len() as u32;
        let place = |child: i32| -> Result<u32, String> {
            let at = if child >= 0 { child as usize } else { splits.len() + !child as usize };
            let is_there = child < splits.len() as i32 && at < splits.len() + leaves.len();
            if is_there { Ok(base + at as u32) } else { Err(format!("a split leads to {child}, where nothing is")) }
        };
        for split in splits {
            let (threshold, kind, are_members_left, set) = match split.test {
                Test::AtMost(threshold) => (threshold, Kind::Number, false, 0),
                Test::AtMostZeroMissing(threshold) => (threshold, Kind::ZeroIsMissing, false, 0),
                Test::Member { set, go_left } => (0.0, Kind::Categories, go_left, set),
            };
            let rule = Rule { kind, is_nan_left: split.is_nan_left, are_members_left, set };
            let children = [place(split.left)?, place(split.right)?];
            self.nodes.push(Node { threshold, feature: split.feature, rule, children });
        }
        let stays = Rule { kind: Kind::Number, is_nan_left: false, are_members_left: false, set: 0 };
        for leaf in leaves {
            let at = self.nodes.len() as u32;
            self.nodes.push(Node { threshold: *leaf, feature: 0, rule: stays, children: [at, at] });
        }
        let depth = self.depth(base, splits.len())?;
        let splits = splits.len() as u32;
        self.trees.push(Tree { root: base, splits, depth, output: output as u32 });
        Ok(())
    }

    /// Returns how many steps lead to the deepest leaf; fails where a split is reached twice.
    fn depth(&self, root: u32, splits: usize) -> Result<u32, String> {
        let mut seen = vec![false; splits];
        let mut deepest = 0;
        let mut open = vec![(root, 0)];
        while let Some((at, depth)) = open.pop() {
            let split = (at - root) as usize;
            if split >= splits {
                deepest = deepest.max(depth);
            } else if std::mem::replace(&mut seen[split], true) {
                return Err("two ways lead to one split".to_owned());
            } else {
                open.extend(self.nodes[at as usize].children.map(|child| (child, depth + 1)));
            }
        }
        Ok(deepest)
    }

    /// Returns how many trees there are.
    pub(super) fn len(&self) -> usize {
        self.trees.len()
    }

    /// Makes programs of all trees that can be one. To be called when all are there.
    pub(super) fn finish(mut self) -> Self {
        let mut plan = GridPlan::default();
        let fit: Vec<bool> = self.trees.iter().map(|tree| self.fits(*tree)).collect();
        for (tree, _) in self.trees.iter().zip(&fit).filter(|(_, fits)| **fits) {
            for node in self.splits(*tree) {
                match node.rule.kind {
                    Kind::Categories => plan.add_categories(node.feature as usize, self.categories(node.rule.set)),
                    _ => plan.add_threshold(node.feature as usize, node.threshold),
                }
            }
        }
        plan.sort();
        let mut tables = HashMap::new();
        let program = |(tree, fits): (&Tree, &bool)| fits.then(|| self.program(*tree, &mut plan, &mut tables));
        self.programs = self.trees.iter().zip(&fit).map(program).collect();
        self.grid = plan.finish();
        self.tables = vec![Vec::new(); tables.len()];
        for (table, at) in tables {
            self.tables[at as usize] = table;
        }
        self
    }

    /// Returns whether a tree can be a program.
    fn fits(&self, tree: Tree) -> bool {
        let can_rank = |node: &Node| match node.rule.kind {
            Kind::Categories => self.categories(node.rule.set) <= MAX_CATEGORIES,
            _ => !node.threshold.is_nan(),
        };
        (tree.splits as usize) < MAX_LEAVES && self.splits(tree).iter().all(can_rank)
    }

    fn splits(&self, tree: Tree) -> &[Node] {
        &self.nodes[tree.root as usize..(tree.root + tree.splits) as usize]
    }

    fn program(&self, tree: Tree, plan: &mut GridPlan, tables: &mut HashMap<Vec<u8>, u32>) -> Program {
        let end = tree.root + tree.splits;
        let child = |at: u32| if at < end { (at - tree.root) as i32 } else { !((at - end) as i32) };
        let split = |node: &Node| {
            let feature = node.feature as usize;
            let Rule { kind, is_nan_left: is_left, .. } = node.rule;
            let test = match kind {
                Kind::Categories => {
                    let (codes, categories) = plan.coded(feature).unwrap_or_default();
                    let next = tables.len() as u32;
                    let table = *tables.entry(self.table(node.rule, categories)).or_insert(next);
                    StepTest::Table { codes: codes as u32, table }
                }
                _ => {
                    let missing = Missing { is_zero: kind == Kind::ZeroIsMissing, is_left };
                    let place = plan.place(feature, node.threshold, missing);
                    StepTest::Rank { column: place.column as u32, rank: place.rank }
                }
            };
            let [left, right] = node.children.map(child);
            ProgramSplit { test, left, right }
        };
        let splits: Vec<ProgramSplit> = self.splits(tree).iter().map(split).collect();
        let leaves: Vec<f64> =
            self.nodes[end as usize..].iter().take(splits.len() + 1).map(|leaf| leaf.threshold).collect();
        Program::new(&splits, &leaves)
    }

    /// Returns how many categories a set tells apart.
    fn categories(&self, set: u32) -> usize {
        let (start, words) = self.sets[set as usize];
        let words = &self.bits[start as usize..(start + words) as usize];
        let highest = words.iter().rposition(|word| *word != 0);
        highest.map_or(0, |at| at * 32 + 32 - words[at].leading_zeros() as usize)
    }

    /// Returns where each code goes: those of categories, of all others, and of NaN.
    fn table(&self, rule: Rule, categories: usize) -> Vec<u8> {
        let side = |is_left: bool| u8::from(!is_left);
        let known = (0..categories).map(|at| side(self.is_member(rule.set, at as f64) == rule.are_members_left));
        known.chain([side(!rule.are_members_left), side(rule.is_nan_left)]).collect()
    }

    /// Returns room for a block of rows.
    pub(super) fn block(&self) -> Block {
        Block { cells: self.grid.cells(), waiting: Waiting::default(), values: Vec::new() }
    }

    /// Adds what the trees say about a span of at most [`ROWS`] rows; `sums` has `outputs` numbers for each of them.
    pub(super) fn add(
        &self,
        inputs: &[ScalarBuffer<f64>],
        span: Range<usize>,
        block: &mut Block,
        (sums, outputs): (&mut [f64], usize),
    ) {
        debug_assert!(span.len() <= ROWS && sums.len() == span.len() * outputs);
        let Block { cells, waiting, values } = block;
        let are_few = span.len() <= FEW_ROWS;
        if !are_few {
            self.grid.fill(inputs, span.clone(), cells);
        }
        let width = inputs.len().max(1);
        if are_few || self.programs.iter().any(Option::is_none) {
            fill_rows(inputs, span, values);
        }
        for (tree, program) in self.trees.iter().zip(&self.programs) {
            match program {
                Some(program) if !are_few => {
                    program.add(cells, &self.tables, waiting, (&mut *sums, tree.output as usize, outputs));
                }
                _ => self.add_walked(*tree, values, width, (&mut *sums, outputs)),
            }
        }
    }

    /// Adds what a tree says about rows. `values` has `width` numbers a row, for a multiple of eight rows.
    fn add_walked(&self, tree: Tree, values: &[f64], width: usize, (sums, outputs): (&mut [f64], usize)) {
        let groups = values.chunks_exact(width * LANES).zip(sums.chunks_mut(outputs * LANES));
        for (values, sums) in groups {
            let leaves = self.walk(tree, values, width);
            for (sum, leaf) in sums.iter_mut().skip(tree.output as usize).step_by(outputs).zip(leaves) {
                *sum += self.nodes[leaf as usize].threshold;
            }
        }
    }

    /// Returns the leaves of eight rows.
    fn walk(&self, tree: Tree, values: &[f64], features: usize) -> [u32; LANES] {
        let mut at = [tree.root; LANES];
        let mut left = tree.depth as usize;
        while left > 0 {
            let steps = left.min(STRIDE);
            for _ in 0..steps {
                for lane in 0..LANES {
                    let node = &self.nodes[at[lane] as usize];
                    let value = values[lane * features + node.feature as usize];
                    at[lane] = node.children[usize::from(!self.goes_left(node, value))];
                }
            }
            left -= steps;
            if at.iter().all(|at| self.nodes[*at as usize].children[0] == *at) {
                break;
            }
        }
        at
    }

    #[inline(always)]
    fn goes_left(&self, node: &Node, value: f64) -> bool {
        let Rule { kind, is_nan_left, are_members_left, set } = node.rule;
        match kind {
            Kind::Number => (value <= node.threshold) | (is_nan_left & value.is_nan()),
            Kind::ZeroIsMissing if value.is_nan() || counts_as_zero(value) => is_nan_left,
            Kind::ZeroIsMissing => value <= node.threshold,
            Kind::Categories if value.is_nan() => is_nan_left,
            Kind::Categories => self.is_member(set, value) == are_members_left,
        }
    }

    fn is_member(&self, set: u32, value: f64) -> bool {
        let (start, words) = self.sets[set as usize];
        let category = value as i64;
        if category < 0 || category >= i64::from(words) * 32 {
            return false;
        }
        let word = self.bits[(start + (category / 32) as u32) as usize];
        (word >> (category % 32)) & 1 == 1
    }
}

/// Writes a span of rows one after the other, and as many more as a multiple of eight needs.
fn fill_rows(inputs: &[ScalarBuffer<f64>], span: Range<usize>, values: &mut Vec<f64>) {
    let width = inputs.len().max(1);
    values.resize(span.len().next_multiple_of(LANES) * width, 0.0);
    for (at, input) in inputs.iter().enumerate() {
        let cells = values.iter_mut().skip(at).step_by(width);
        cells.zip(&input[span.clone()]).for_each(|(cell, value)| *cell = *value);
    }
}

#[cfg(test)]
mod tests;
