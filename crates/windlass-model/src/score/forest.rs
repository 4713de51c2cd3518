//! Sums of decision trees, whoever trained them.
//!
//! Trees of both libraries become the same nodes: `x <= threshold` goes left, NaN goes where the node
//! says, and a set of categories sends its members to one side. A leaf leads to itself, so a walk needs no
//! test at each step, and eight rows walk a tree at once: while one waits for memory the others go on.

/// Rows that walk a tree at once.
const LANES: usize = 8;
/// Rows whose values lie together while all trees pass over them.
pub(super) const ROWS: usize = 128;
/// Steps between two looks at whether all lanes have arrived.
const STRIDE: usize = 4;

/// Trees, each of which adds to one output.
#[derive(Debug, Default)]
pub(super) struct Forest {
    nodes: Vec<Node>,
    trees: Vec<Tree>,
    /// Bits of categories, for all nodes.
    bits: Vec<u32>,
    /// Where each set lies in `bits`.
    sets: Vec<(u32, u32)>,
}

/// Where a tree begins, how deep it is and what it adds to.
#[derive(Debug, Clone, Copy)]
struct Tree {
    root: u32,
    depth: u32,
    output: u32,
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
        self.trees.push(Tree { root: base, depth, output: output as u32 });
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

    /// Adds what the trees say about rows. `values` has `features` numbers a row, for a multiple of eight rows
    /// of which the first are asked for; `sums` has `outputs` numbers for each of those.
    pub(super) fn add(&self, values: &[f64], features: usize, sums: &mut [f64], outputs: usize) {
        let features = features.max(1);
        for tree in &self.trees {
            let groups = values.chunks_exact(features * LANES).zip(sums.chunks_mut(outputs * LANES));
            for (values, sums) in groups {
                let leaves = self.walk(*tree, values, features);
                for (sum, leaf) in sums.iter_mut().skip(tree.output as usize).step_by(outputs).zip(leaves) {
                    *sum += self.nodes[leaf as usize].threshold;
                }
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
            // LightGBM's own bound for zero.
            Kind::ZeroIsMissing if value.is_nan() || value.abs() <= 1e-35_f32.into() => is_nan_left,
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
