//! Programs against walks: the same leaves for every value, also on thresholds, beyond them and where it is missing.

use super::*;

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % sides
    }
}

/// Inputs: numbers of many and of few thresholds, one where zero is missing, categories few and many.
const INPUTS: usize = 5;

fn split(dice: &mut Dice, forest: &mut Forest) -> (u32, Test, bool) {
    let feature = dice.roll(INPUTS);
    let test = match feature {
        0 => Test::AtMost(dice.roll(2_000) as f64 / 7.0 - 100.0),
        1 => Test::AtMost([-1.0, 0.0, 0.5, f64::INFINITY][dice.roll(4)]),
        2 => Test::AtMostZeroMissing(dice.roll(9) as f64 - 4.0),
        _ => {
            let words = if feature == 3 { 2 } else { 1 + dice.roll(5) };
            let words: Vec<u32> = (0..words).map(|_| dice.roll(1 << 31) as u32).collect();
            Test::Member { set: forest.add_set(&words), go_left: dice.roll(2) == 0 }
        }
    };
    (feature as u32, test, dice.roll(2) == 0)
}

/// Adds a tree with so many splits, each of which takes the place of a leaf that was there.
fn add_tree(dice: &mut Dice, forest: &mut Forest, output: usize, count: usize) {
    let mut splits: Vec<Split> = Vec::new();
    for at in 0..count {
        let (feature, test, is_nan_left) = split(dice, forest);
        let new = Split { feature, test, is_nan_left, left: !(at as i32), right: !(at as i32 + 1) };
        // Leaf `at + 1` is new, the split takes over another leaf, whose number stays with its left side.
        if at > 0 {
            let taken = dice.roll(at + 1) as i32;
            let parent = splits.iter_mut().find(|split| split.left == !taken || split.right == !taken).unwrap();
            let side = if parent.left == !taken { &mut parent.left } else { &mut parent.right };
            *side = at as i32;
            splits.push(Split { left: !taken, ..new });
        } else {
            splits.push(new);
        }
    }
    let leaves: Vec<f64> = (0..=count).map(|_| dice.roll(1_000) as f64 / 300.0 - 1.0).collect();
    forest.add_tree(output, &splits, &leaves).unwrap();
}

fn inputs(dice: &mut Dice, rows: usize) -> Vec<ScalarBuffer<f64>> {
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1e-36, -0.5, 1e18, 40.0, 160.0];
    let value = |dice: &mut Dice, feature: usize| match (dice.roll(4), feature) {
        (0, _) => odd[dice.roll(odd.len())],
        (_, 0) => dice.roll(2_000) as f64 / 7.0 - 100.0,
        (_, 1) => dice.roll(5) as f64 / 2.0 - 1.0,
        (_, 2) => dice.roll(11) as f64 - 5.0,
        (_, 3) => dice.roll(70) as f64,
        _ => dice.roll(200) as f64,
    };
    (0..INPUTS).map(|feature| (0..rows).map(|_| value(dice, feature)).collect()).collect()
}

/// Returns the sums of all rows, a span at a time.
fn sums(forest: &Forest, inputs: &[ScalarBuffer<f64>], outputs: usize, span: usize) -> Vec<u64> {
    let rows = inputs[0].len();
    let mut sums = vec![0.25; rows * outputs];
    let mut block = forest.block();
    for first in (0..rows).step_by(span) {
        let end = rows.min(first + span);
        forest.add(inputs, first..end, &mut block, (&mut sums[first * outputs..end * outputs], outputs));
    }
    sums.iter().map(|sum| sum.to_bits()).collect()
}

#[test]
fn programs_lead_where_walks_lead() {
    let mut dice = Dice(7);
    for outputs in [1, 3] {
        let mut forest = Forest::default();
        for at in 0..60 {
            let count = [0, 1, 2, 30, 30, 100, 255, 300][at % 8];
            add_tree(&mut dice, &mut forest, at % outputs, count);
        }
        let forest = forest.finish();
        let inputs = inputs(&mut dice, 1_000);
        // Spans of few rows are walked.
        let walked = sums(&forest, &inputs, outputs, FEW_ROWS);
        assert_eq!(sums(&forest, &inputs, outputs, ROWS), walked);
        assert_eq!(sums(&forest, &inputs, outputs, FEW_ROWS + 1), walked);
        let programs = forest.programs.iter().filter(|program| program.is_some()).count();
        assert_eq!(forest.programs.len() - programs, 7, "trees of 300 splits alone are too large");
    }
}

#[test]
fn a_tree_of_many_categories_is_walked() {
    let mut forest = Forest::default();
    let mut words = vec![0; MAX_CATEGORIES / 32];
    words[0] = 1;
    for high in [0, 1] {
        words.push(high);
        let test = Test::Member { set: forest.add_set(&words), go_left: true };
        let split = Split { feature: 0, test, is_nan_left: false, left: !0, right: !1 };
        forest.add_tree(0, &[split], &[1.0, 2.0]).unwrap();
    }
    let forest = forest.finish();
    assert!(forest.programs[0].is_some() && forest.programs[1].is_none());
    let codes = [0.0, 1.0, MAX_CATEGORIES as f64, MAX_CATEGORIES as f64 + 32.0, f64::NAN];
    let inputs = [codes.iter().copied().cycle().take(100).collect()];
    assert_eq!(sums(&forest, &inputs, 1, ROWS), sums(&forest, &inputs, 1, FEW_ROWS));
}
