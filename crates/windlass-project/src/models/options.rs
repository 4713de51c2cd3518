//! The options of `CREATE MODEL`, with BigQuery's names.
//!
//! What an algorithm does not have is refused: an option that is silently without effect is a mistake that
//! nobody finds.

use indexmap::IndexMap;
use windlass_error::{Code, Diagnostic, Location, nearest};

use super::trees::TREE_OPTIONS;
use super::{Algorithm, Gate, KMeans, Pca, Regression, Split};
use crate::checks::{parse_threshold, share, word};
use crate::decode::{count, expected, flag, list, text, texts};
use crate::problems::Problems;
use crate::yaml::{Entry, Yaml};

const MAX_CLUSTERS: u32 = 100;
const DEFAULT_EVAL_FRACTION: f64 = 0.2;

/// Options that every model may have.
const COMMON: [&str; 5] = ["model_type", "data_split_method", "data_split_eval_fraction", "gates", "seed"];

/// What `model_type` may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    LinearReg,
    LogisticReg,
    KMeans,
    Pca,
    TreeClassifier,
    TreeRegressor,
}

const KINDS: [(&str, Kind); 6] = [
    ("boosted_tree_classifier", Kind::TreeClassifier),
    ("boosted_tree_regressor", Kind::TreeRegressor),
    ("linear_reg", Kind::LinearReg),
    ("logistic_reg", Kind::LogisticReg),
    ("kmeans", Kind::KMeans),
    ("pca", Kind::Pca),
];

/// Everything that `OPTIONS` says.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) algorithm: Algorithm,
    pub(super) split: Split,
    pub(super) gates: Vec<Gate>,
    pub(super) seed: u64,
    pub(super) places: IndexMap<String, Location>,
}

/// The options as written.
pub(super) struct Options<'a> {
    entries: &'a [Entry],
    model_type: &'a str,
}

/// Decodes options; `at` is the statement, for those that are missing. `None` where one cannot be used.
pub(super) fn decode(entries: &[Entry], at: &Location, problems: &mut Problems) -> Option<Decoded> {
    let Some(entry) = entries.iter().find(|entry| entry.key == "model_type") else {
        let names: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
        let problem = Diagnostic::error(Code::CREATE_MODEL, "the model has no `model_type`").at(at.clone());
        problems.push(problem.hint(format!("name one among its options: {}", list(&names))));
        return None;
    };
    let kind = word(&entry.value, "model_type", &KINDS, problems)?;
    let model_type = KINDS.iter().find(|(_, known)| *known == kind).map_or("", |(name, _)| name);
    let options = Options { entries, model_type };
    let mut own = Problems::default();
    options.refuse_others(kind, &mut own);
    let algorithm = match kind {
        Kind::LinearReg => options.regression(&mut own).map(Algorithm::LinearReg),
        Kind::LogisticReg => options.regression(&mut own).map(Algorithm::LogisticReg),
        Kind::KMeans => options.kmeans(&mut own).map(Algorithm::KMeans),
        Kind::Pca => options.pca(at, &mut own).map(Algorithm::Pca),
        Kind::TreeClassifier => options.trees(true, &mut own).map(Algorithm::Trees),
        Kind::TreeRegressor => options.trees(false, &mut own).map(Algorithm::Trees),
    };
    let split = options.split(kind, &mut own);
    let gates = algorithm.as_ref().map(|algorithm| options.gates(algorithm, &mut own)).unwrap_or_default();
    let seed = options.get("seed").and_then(|value| count(value, "seed", &mut own)).unwrap_or_default();
    let is_usable = !own.has_errors();
    problems.extend(own.list);
    let places = entries.iter().map(|entry| (entry.key.clone(), entry.value.at.clone())).collect();
    let algorithm = algorithm.filter(|_| is_usable)?;
    Some(Decoded { algorithm, split: split?, gates, seed: u64::from(seed), places })
}

impl Kind {
    /// Returns the options that only some models have.
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::LinearReg => &["fit_intercept", "input_label_cols", "l2_reg"],
            Self::LogisticReg => &[
                "auto_class_weights",
                "fit_intercept",
                "input_label_cols",
                "l2_reg",
                "max_iterations",
                "min_rel_progress",
            ],
            Self::KMeans => &["max_iterations", "min_rel_progress", "num_clusters", "standardize_features"],
            Self::Pca => &["num_principal_components", "scale_features"],
            Self::TreeClassifier => &TREE_OPTIONS,
            Self::TreeRegressor => &TREE_OPTIONS[1..],
        }
    }
}

impl Options<'_> {
    pub(super) fn get(&self, key: &str) -> Option<&Yaml> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// Reports options that the model does not have.
    fn refuse_others(&self, kind: Kind, problems: &mut Problems) {
        let known: Vec<&str> = COMMON.iter().chain(kind.options()).copied().collect();
        for entry in self.entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let message = format!("`{}` has no option `{}`", self.model_type, entry.key);
            let problem = Diagnostic::error(Code::CREATE_MODEL, message).at(entry.key_at.clone());
            problems.push(match nearest(&entry.key, known.iter().copied()) {
                Some(near) => problem.label(format!("did you mean `{near}`?")),
                None => problem.hint(format!("it has {}", list(&known))),
            });
        }
    }

    fn regression(&self, problems: &mut Problems) -> Option<Regression> {
        // All are looked at before any is missed, so that every mistake is told.
        let label = self.label(problems);
        let l2_reg = self.number("l2_reg", 0.0, problems);
        let fit_intercept = self.flag("fit_intercept", true, problems);
        let max_iterations = self.at_least_one("max_iterations", 20, problems);
        let min_rel_progress = self.number("min_rel_progress", 1e-6, problems);
        let auto_class_weights = self.flag("auto_class_weights", false, problems);
        Some(Regression {
            label: label?,
            l2_reg: l2_reg?,
            fit_intercept: fit_intercept?,
            max_iterations: max_iterations?,
            min_rel_progress: min_rel_progress?,
            auto_class_weights: auto_class_weights?,
        })
    }

    pub(super) fn label(&self, problems: &mut Problems) -> Option<String> {
        let Some(value) = self.get("input_label_cols") else { return Some("label".to_owned()) };
        match texts(value, "input_label_cols", problems)?.as_slice() {
            [label] => Some(label.clone()),
            several => {
                let message = format!("`input_label_cols` names {} columns, a model predicts one", several.len());
                problems.push(Diagnostic::error(Code::CREATE_MODEL, message).at(value.at.clone()));
                None
            }
        }
    }

    fn kmeans(&self, problems: &mut Problems) -> Option<KMeans> {
        let clusters = self.at_least_one("num_clusters", 5, problems)?;
        if let Some(value) = self.get("num_clusters").filter(|_| !(2..=MAX_CLUSTERS).contains(&clusters)) {
            problems.push(expected(&format!("a number from 2 to {MAX_CLUSTERS}"), "`num_clusters`", value));
            return None;
        }
        Some(KMeans {
            clusters,
            max_iterations: self.at_least_one("max_iterations", 20, problems)?,
            min_rel_progress: self.number("min_rel_progress", 1e-4, problems)?,
            standardize: self.flag("standardize_features", true, problems)?,
        })
    }

    fn pca(&self, at: &Location, problems: &mut Problems) -> Option<Pca> {
        if self.get("num_principal_components").is_none() {
            let message = "`pca` needs the option `num_principal_components`";
            problems.push(Diagnostic::error(Code::CREATE_MODEL, message).at(at.clone()));
            return None;
        }
        Some(Pca {
            components: self.at_least_one("num_principal_components", 1, problems)?,
            scale: self.flag("scale_features", true, problems)?,
        })
    }

    fn split(&self, kind: Kind, problems: &mut Problems) -> Option<Split> {
        let fraction = match self.get("data_split_eval_fraction") {
            Some(value) => share(value, "data_split_eval_fraction", problems)?,
            None => DEFAULT_EVAL_FRACTION,
        };
        let ways = [("auto_split", Split::Auto), ("random", Split::Random(fraction)), ("no_split", Split::None)];
        match self.get("data_split_method") {
            Some(value) => word(value, "data_split_method", &ways, problems),
            None if self.get("data_split_eval_fraction").is_some() => Some(Split::Random(fraction)),
            // Nothing is predicted, so nothing is learned by heart.
            None if matches!(kind, Kind::KMeans | Kind::Pca) => Some(Split::None),
            None => Some(Split::Auto),
        }
    }

    fn gates(&self, algorithm: &Algorithm, problems: &mut Problems) -> Vec<Gate> {
        let Some(value) = self.get("gates") else { return Vec::new() };
        let items: Vec<&Yaml> = match &value.value {
            crate::yaml::Value::List(items) => items.iter().collect(),
            _ => vec![value],
        };
        items.into_iter().filter_map(|item| self.gate(item, algorithm, problems)).collect()
    }

    fn gate(&self, value: &Yaml, algorithm: &Algorithm, problems: &mut Problems) -> Option<Gate> {
        let rule = text(value, "gates", problems)?;
        let split = rule.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rule.len());
        let (metric, bound) = rule.split_at(split);
        let Some(bound) = parse_threshold(bound) else {
            problems.push(expected("a rule such as `roc_auc >= 0.85`", "`gates`", value));
            return None;
        };
        let metric = metric.to_lowercase();
        let known = algorithm.metrics();
        let Some((name, _)) = known.iter().find(|(name, short)| *name == metric || *short == metric) else {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            let message = format!("`{}` has no metric `{metric}`", self.model_type);
            let problem = Diagnostic::error(Code::CREATE_MODEL, message).at(value.at.clone());
            problems.push(match nearest(&metric, names.iter().copied()) {
                Some(near) => problem.label(format!("did you mean `{near}`?")),
                None => problem.hint(format!("its metrics are {}", list(&names))),
            });
            return None;
        };
        Some(Gate { metric: (*name).to_owned(), bound, rule, location: value.at.clone() })
    }

    pub(super) fn flag(&self, key: &str, default: bool, problems: &mut Problems) -> Option<bool> {
        self.get(key).map_or(Some(default), |value| flag(value, key, problems))
    }

    pub(super) fn at_least_one(&self, key: &str, default: u32, problems: &mut Problems) -> Option<u32> {
        let Some(value) = self.get(key) else { return Some(default) };
        let found = value.scalar().and_then(|scalar| scalar.as_int()).and_then(|found| u32::try_from(found).ok());
        let found = found.filter(|found| *found > 0);
        if found.is_none() {
            problems.push(expected("a whole number from 1", &format!("`{key}`"), value));
        }
        found
    }

    /// Returns a number from 0.
    pub(super) fn number(&self, key: &str, default: f64, problems: &mut Problems) -> Option<f64> {
        let Some(value) = self.get(key) else { return Some(default) };
        let found = value.scalar().and_then(|scalar| scalar.as_float()).filter(|found| *found >= 0.0);
        if found.is_none() {
            problems.push(expected("a number from 0", &format!("`{key}`"), value));
        }
        found
    }
}
