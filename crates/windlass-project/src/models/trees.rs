//! Boosted trees: the options of `boosted_tree_classifier` and `boosted_tree_regressor`, with BigQuery's names.

use super::options::Options;
use crate::checks::word;
use crate::decode::expected;
use crate::problems::Problems;
use crate::targets::bytes;

/// The options of boosted trees; the first is for classifiers alone.
pub(super) const TREE_OPTIONS: [&str; 19] = [
    "auto_class_weights",
    "booster_type",
    "colsample_bylevel",
    "colsample_bynode",
    "colsample_bytree",
    "early_stop",
    "input_label_cols",
    "l1_reg",
    "l2_reg",
    "learn_rate",
    "library",
    "max_bytes",
    "max_iterations",
    "max_tree_depth",
    "min_rel_progress",
    "min_split_loss",
    "min_tree_child_weight",
    "num_parallel_tree",
    "subsample",
];

/// Deeper trees than this have more leaves than can be counted.
const MAX_DEPTH: u32 = 30;
/// What the rows may take in memory unless it is said.
const MAX_BYTES: u64 = 1 << 30;

/// Trees, each of which mends what those before it got wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct BoostedTrees {
    /// The column to predict.
    pub label: String,
    /// Whether it predicts one of two classes, or a number.
    pub is_classifier: bool,
    /// What grows the trees.
    pub library: TreeLibrary,
    /// How trees are added up.
    pub booster: Booster,
    /// Iterations at most, each of which adds a tree.
    pub max_iterations: u32,
    /// Trees that an iteration adds; of XGBoost.
    pub num_parallel_tree: u32,
    /// Splits between the root of a tree and a leaf, at most.
    pub max_tree_depth: u32,
    /// How much of what a tree says is added.
    pub learn_rate: f64,
    /// The least sum of second derivatives of the rows of a leaf.
    pub min_tree_child_weight: f64,
    /// What a split must gain.
    pub min_split_loss: f64,
    /// The share of rows that a tree sees.
    pub subsample: f64,
    /// The share of features that a tree sees.
    pub colsample_bytree: f64,
    /// The share of features that each level of a tree sees; of XGBoost.
    pub colsample_bylevel: f64,
    /// The share of features that each split sees.
    pub colsample_bynode: f64,
    /// The weight of the absolute values of leaves.
    pub l1_reg: f64,
    /// The weight of the squares of leaves.
    pub l2_reg: f64,
    /// Whether training ends at the first iteration that gains too little.
    pub early_stop: bool,
    /// The share of the loss that an iteration must gain for that.
    pub min_rel_progress: f64,
    /// Whether both classes count the same, however many rows they have.
    pub auto_class_weights: bool,
    /// What the rows may take in memory.
    pub max_bytes: u64,
}

/// What grows trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeLibrary {
    /// LightGBM.
    LightGbm,
    /// XGBoost.
    XgBoost,
}

/// How trees are added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Booster {
    /// One after the other.
    Gbtree,
    /// Leaving out some of those before at random.
    Dart,
}

impl TreeLibrary {
    /// Returns its name in the option `library`.
    pub fn name(self) -> &'static str {
        match self {
            Self::LightGbm => "lightgbm",
            Self::XgBoost => "xgboost",
        }
    }

    /// Returns the package that has it, as a requirement. Other versions may grow other trees of the same rows.
    pub fn requirement(self) -> &'static str {
        match self {
            Self::LightGbm => "lightgbm==4.7.0",
            Self::XgBoost => "xgboost-cpu==3.2.0",
        }
    }
}

impl Booster {
    /// Returns its name in the option `booster_type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gbtree => "gbtree",
            Self::Dart => "dart",
        }
    }
}

impl Options<'_> {
    /// Reads the options of boosted trees.
    pub(super) fn trees(&self, is_classifier: bool, problems: &mut Problems) -> Option<BoostedTrees> {
        let libraries = [("lightgbm", TreeLibrary::LightGbm), ("xgboost", TreeLibrary::XgBoost)];
        let library = self.choice("library", &libraries, TreeLibrary::LightGbm, problems);
        let boosters = [("gbtree", Booster::Gbtree), ("dart", Booster::Dart)];
        // All are looked at before any is missed, so that every mistake is told.
        let label = self.label(problems);
        let booster = self.choice("booster_type", &boosters, Booster::Gbtree, problems);
        let max_iterations = self.at_least_one("max_iterations", 20, problems);
        let num_parallel_tree = self.at_least_one("num_parallel_tree", 1, problems);
        let max_tree_depth = self.depth(problems);
        let learn_rate = self.share("learn_rate", 0.3, problems);
        let min_tree_child_weight = self.number("min_tree_child_weight", 1.0, problems);
        let min_split_loss = self.number("min_split_loss", 0.0, problems);
        let subsample = self.share("subsample", 1.0, problems);
        let colsample_bytree = self.share("colsample_bytree", 1.0, problems);
        let colsample_bylevel = self.share("colsample_bylevel", 1.0, problems);
        let colsample_bynode = self.share("colsample_bynode", 1.0, problems);
        let l1_reg = self.number("l1_reg", 0.0, problems);
        let l2_reg = self.number("l2_reg", 1.0, problems);
        let early_stop = self.flag("early_stop", true, problems);
        let min_rel_progress = self.number("min_rel_progress", 0.01, problems);
        let auto_class_weights = self.flag("auto_class_weights", false, problems);
        let max_bytes = self.bytes(problems);
        let library = library?;
        self.refuse_of_library(library, problems);
        Some(BoostedTrees {
            label: label?,
            is_classifier,
            library,
            booster: booster?,
            max_iterations: max_iterations?,
            num_parallel_tree: num_parallel_tree?,
            max_tree_depth: max_tree_depth?,
            learn_rate: learn_rate?,
            min_tree_child_weight: min_tree_child_weight?,
            min_split_loss: min_split_loss?,
            subsample: subsample?,
            colsample_bytree: colsample_bytree?,
            colsample_bylevel: colsample_bylevel?,
            colsample_bynode: colsample_bynode?,
            l1_reg: l1_reg?,
            l2_reg: l2_reg?,
            early_stop: early_stop?,
            min_rel_progress: min_rel_progress?,
            auto_class_weights: auto_class_weights?,
            max_bytes: max_bytes?,
        })
    }

    fn choice<T: Copy>(&self, key: &str, options: &[(&str, T)], default: T, problems: &mut Problems) -> Option<T> {
        self.get(key).map_or(Some(default), |value| word(value, key, options, problems))
    }

    /// Returns a number above 0 and up to 1.
    fn share(&self, key: &str, default: f64, problems: &mut Problems) -> Option<f64> {
        let Some(value) = self.get(key) else { return Some(default) };
        let found = value.scalar().and_then(|scalar| scalar.as_float()).filter(|found| *found > 0.0 && *found <= 1.0);
        if found.is_none() {
            problems.push(expected("a number above 0 and up to 1", &format!("`{key}`"), value));
        }
        found
    }

    fn depth(&self, problems: &mut Problems) -> Option<u32> {
        let depth = self.at_least_one("max_tree_depth", 6, problems)?;
        if let Some(value) = self.get("max_tree_depth").filter(|_| depth > MAX_DEPTH) {
            problems.push(expected(&format!("a number from 1 to {MAX_DEPTH}"), "`max_tree_depth`", value));
            return None;
        }
        Some(depth)
    }

    fn bytes(&self, problems: &mut Problems) -> Option<u64> {
        let Some(value) = self.get("max_bytes") else { return Some(MAX_BYTES) };
        let found = value.scalar().and_then(|scalar| bytes(&scalar.text));
        if found.is_none() {
            problems.push(expected("a size such as `'2GiB'`", "`max_bytes`", value));
        }
        found
    }

    /// Reports options that LightGBM does not have.
    fn refuse_of_library(&self, library: TreeLibrary, problems: &mut Problems) {
        for key in ["num_parallel_tree", "colsample_bylevel"].iter().filter(|_| library == TreeLibrary::LightGbm) {
            let Some(value) = self.get(key) else { continue };
            if value.scalar().is_some_and(|scalar| scalar.as_float() != Some(1.0)) {
                let problem = expected("1", &format!("`{key}` of LightGBM"), value);
                problems.push(problem.hint("XGBoost has it: `library = 'xgboost'`"));
            }
        }
    }
}
