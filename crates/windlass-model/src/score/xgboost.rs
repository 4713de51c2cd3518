//! Reads the JSON and UBJSON that XGBoost saves models as.
//!
//! Values are compared in 32 bits, `x < condition` goes left; the categories of a split go right, all others
//! left. Where training stopped early, trees after the best iteration are left out, as the scikit-learn
//! interface of XGBoost does.

use serde::Deserialize;
use serde_json::Value;

use super::forest::{Forest, Split, Test};
use super::trees::{Codes, Link, TreeInput, TreeModel, Unseen, Values};
use super::ubjson;
use crate::Error;

const FORMAT: &str = "xgboost";

#[derive(Deserialize)]
struct File {
    learner: Learner,
}

#[derive(Deserialize)]
struct Learner {
    #[serde(default)]
    attributes: serde_json::Map<String, Value>,
    #[serde(default)]
    feature_names: Vec<String>,
    gradient_booster: Booster,
    learner_model_param: ModelParam,
    objective: Objective,
}

#[derive(Deserialize)]
struct Booster {
    #[serde(default)]
    name: String,
    model: Option<Model>,
    /// The trees of DART.
    gbtree: Option<Inner>,
    #[serde(default)]
    weight_drop: Vec<f32>,
}

#[derive(Deserialize)]
struct Inner {
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    #[serde(default)]
    cats: Cats,
    #[serde(default)]
    iteration_indptr: Vec<usize>,
    tree_info: Vec<usize>,
    trees: Vec<Tree>,
}

/// Categories of inputs, since XGBoost 3.1.
#[derive(Deserialize, Default)]
struct Cats {
    #[serde(default)]
    enc: Vec<Encoding>,
}

/// The categories of an input: texts in one string with offsets, or numbers.
#[derive(Deserialize)]
struct Encoding {
    #[serde(default)]
    offsets: Option<Vec<usize>>,
    #[serde(default)]
    values: Vec<f64>,
}

#[derive(Deserialize)]
struct Tree {
    left_children: Vec<i32>,
    right_children: Vec<i32>,
    split_indices: Vec<u32>,
    split_conditions: Vec<f32>,
    default_left: Vec<u8>,
    #[serde(default)]
    split_type: Vec<u8>,
    #[serde(default)]
    categories: Vec<u32>,
    #[serde(default)]
    categories_nodes: Vec<usize>,
    #[serde(default)]
    categories_segments: Vec<usize>,
    #[serde(default)]
    categories_sizes: Vec<usize>,
    tree_param: TreeParam,
}

#[derive(Deserialize)]
struct TreeParam {
    #[serde(default)]
    size_leaf_vector: String,
}

#[derive(Deserialize)]
struct ModelParam {
    base_score: String,
    num_class: String,
    num_feature: String,
    #[serde(default)]
    num_target: String,
}

#[derive(Deserialize)]
struct Objective {
    name: String,
}

pub(super) fn read(bytes: &[u8]) -> Result<TreeModel, Error> {
    let wrong = |error: serde_json::Error| malformed(error.to_string());
    let file: File = if ubjson::is_ubjson(bytes) {
        serde_json::from_value(ubjson::read(bytes).map_err(malformed)?).map_err(wrong)?
    } else {
        serde_json::from_slice(bytes).map_err(wrong)?
    };
    let Learner { attributes, feature_names, gradient_booster, learner_model_param: param, objective } = file.learner;
    let (model, weights) = match (gradient_booster.model, gradient_booster.gbtree) {
        (Some(model), _) => (model, Vec::new()),
        (None, Some(inner)) => (inner.model, gradient_booster.weight_drop),
        (None, None) => return Err(unsupported(format!("the booster `{}`", gradient_booster.name))),
    };
    if !["", "0", "1"].contains(&param.num_target.as_str()) {
        return Err(unsupported(format!("{} targets", param.num_target)));
    }
    let outputs = whole(&param.num_class, "num_class")?.max(1);
    let (link, start) = link(&objective.name, &param.base_score, outputs)?;
    let inputs = inputs(&feature_names, whole(&param.num_feature, "num_feature")?, &model.cats)?;
    let trees = kept(&attributes, &model);
    let mut forest = Forest::default();
    for (at, tree) in model.trees.iter().take(trees).enumerate() {
        let output = model.tree_info.get(at).copied().unwrap_or(0);
        if output >= outputs {
            return Err(malformed(format!("tree {at} adds to class {output} of {outputs}")));
        }
        let weight = weights.get(at).copied().unwrap_or(1.0);
        let wrong = |message| match message {
            Wrong::Malformed(message) => malformed(format!("tree {at}: {message}")),
            Wrong::Unsupported(feature) => unsupported(feature),
        };
        add_tree(&mut forest, output, tree, weight, inputs.len()).map_err(wrong)?;
    }
    Ok(TreeModel { inputs, forest: forest.finish(), start, divisor: 1.0, link, is_single: true })
}

/// Returns how many trees count.
fn kept(attributes: &serde_json::Map<String, Value>, model: &Model) -> usize {
    let best = attributes.get("best_iteration").and_then(Value::as_str).and_then(|best| best.parse::<usize>().ok());
    let until = best.and_then(|best| model.iteration_indptr.get(best + 1).copied());
    until.unwrap_or(model.trees.len())
}

/// What is the matter with a tree.
enum Wrong {
    Malformed(String),
    Unsupported(String),
}

impl From<String> for Wrong {
    fn from(message: String) -> Self {
        Self::Malformed(message)
    }
}

fn add_tree(forest: &mut Forest, output: usize, tree: &Tree, weight: f32, features: usize) -> Result<(), Wrong> {
    if !["", "0", "1"].contains(&tree.tree_param.size_leaf_vector.as_str()) {
        return Err(Wrong::Unsupported("trees whose leaves are vectors".to_owned()));
    }
    let nodes = tree.left_children.len();
    let lengths = [tree.right_children.len(), tree.split_indices.len(), tree.split_conditions.len()];
    if lengths.iter().any(|length| *length != nodes) || tree.default_left.len() != nodes {
        return Err("its lists have different lengths".to_owned().into());
    }
    // Nodes that pruning took out are still listed, so only what is reached from the root counts.
    let mut order = vec![0_usize];
    let (mut places, mut leaves) = (vec![0_i32; nodes], Vec::new());
    let mut splits = Vec::new();
    let mut next = 0;
    while next < order.len() {
        let node = order[next];
        next += 1;
        let (left, right) = (tree.left_children[node], tree.right_children[node]);
        if left < 0 {
            places[node] = !(leaves.len() as i32);
            leaves.push(f64::from(tree.split_conditions[node] * weight));
            continue;
        }
        if left as usize >= nodes || right < 0 || right as usize >= nodes || order.len() > nodes {
            return Err(format!("node {node} leads to where nothing is").into());
        }
        places[node] = splits.len() as i32;
        splits.push(node);
        order.extend([left as usize, right as usize]);
    }
    let mut made = Vec::with_capacity(splits.len());
    for node in splits {
        let feature = tree.split_indices[node];
        if feature as usize >= features {
            return Err(format!("it asks for input {feature} of {features}").into());
        }
        let test = match tree.split_type.get(node) {
            Some(1) => Test::Member { set: forest.add_set(&set(tree, node)?), go_left: false },
            // Below a number of 32 bits is at most the one before it.
            _ => Test::AtMost(tree.split_conditions[node].next_down().into()),
        };
        let child = |children: &[i32]| places[children[node] as usize];
        let (left, right) = (child(&tree.left_children), child(&tree.right_children));
        made.push(Split { feature, test, is_nan_left: tree.default_left[node] != 0, left, right });
    }
    Ok(forest.add_tree(output, &made, &leaves)?)
}

/// Returns the categories of a split as bits.
fn set(tree: &Tree, node: usize) -> Result<Vec<u32>, String> {
    let categories = (|| {
        let at = tree.categories_nodes.iter().position(|listed| *listed == node)?;
        let from = *tree.categories_segments.get(at)?;
        tree.categories.get(from..from + tree.categories_sizes.get(at)?)
    })();
    let categories = categories.ok_or_else(|| format!("node {node} has no categories"))?;
    let highest = categories.iter().copied().max().unwrap_or(0);
    if highest > 1 << 24 {
        return Err(format!("node {node} has a category {highest}"));
    }
    let mut words = vec![0_u32; highest as usize / 32 + 1];
    categories.iter().for_each(|category| words[*category as usize / 32] |= 1 << (category % 32));
    Ok(words)
}

fn inputs(names: &[String], count: usize, cats: &Cats) -> Result<Vec<TreeInput>, Error> {
    let name = |at: usize| names.get(at).cloned().unwrap_or_else(|| format!("f{at}"));
    let values = |at: usize| match cats.enc.get(at) {
        Some(encoding) if !encoding.values.is_empty() => {
            let codes =
                encoding.codes().ok_or_else(|| malformed(format!("it has broken categories of `{}`", name(at))))?;
            Ok(Values::Categories { codes, unseen: Unseen::Failed })
        }
        _ => Ok(Values::Numbers),
    };
    (0..count.max(names.len())).map(|at| Ok(TreeInput { name: name(at), values: values(at)? })).collect()
}

impl Encoding {
    fn codes(&self) -> Option<Codes> {
        let Some(offsets) = &self.offsets else {
            let numbers: Vec<Value> = self.values.iter().map(|value| Value::from(*value)).collect();
            return Codes::of(&numbers);
        };
        let bytes: Vec<u8> = self.values.iter().map(|value| (*value as i64) as u8).collect();
        let text = |span: &[usize]| String::from_utf8(bytes.get(span[0]..span[1])?.to_vec()).ok();
        let texts = offsets.windows(2).map(|span| text(span).map(Value::from));
        let texts: Vec<Value> = texts.collect::<Option<_>>()?;
        // Never numbers, even where texts look like some.
        Some(Codes::Texts(
            texts.iter().enumerate().filter_map(|(at, text)| Some((text.as_str()?.to_owned(), at as f64))).collect(),
        ))
    }
}

/// Returns how sums become answers, and what they start from.
fn link(objective: &str, base_score: &str, outputs: usize) -> Result<(Link, Vec<f64>), Error> {
    let bad = || malformed(format!("`base_score` is `{base_score}`"));
    let scores = base_score.trim_matches(['[', ']']).split(',').map(|score| score.trim().parse::<f32>());
    let scores: Vec<f64> = scores.map(|score| score.map(f64::from)).collect::<Result<_, _>>().map_err(|_| bad())?;
    let scores = match scores.len() {
        1 => vec![scores[0]; outputs],
        length if length == outputs => scores,
        _ => return Err(bad()),
    };
    let logit = |score: &f64| -(1.0 / score - 1.0).ln();
    let (link, start): (Link, Vec<f64>) = match objective {
        "binary:logistic" => (Link::Binary(1.0), scores.iter().map(logit).collect()),
        "reg:logistic" => (Link::Sigmoid, scores.iter().map(logit).collect()),
        "binary:logitraw" => (Link::Identity, scores.iter().map(logit).collect()),
        "count:poisson" | "reg:gamma" | "reg:tweedie" | "survival:cox" => {
            (Link::Exponential, scores.iter().map(|score| score.ln()).collect())
        }
        "multi:softprob" | "multi:softmax" => (Link::Softmax, scores),
        "reg:squarederror"
        | "reg:linear"
        | "reg:squaredlogerror"
        | "reg:absoluteerror"
        | "reg:pseudohubererror"
        | "rank:ndcg"
        | "rank:map"
        | "rank:pairwise" => (Link::Identity, scores),
        other => return Err(unsupported(format!("the objective `{other}`"))),
    };
    if (outputs > 1) != (link == Link::Softmax) {
        return Err(unsupported(format!("{outputs} classes with `{objective}`")));
    }
    Ok((link, start))
}

fn whole(text: &str, key: &str) -> Result<usize, Error> {
    text.trim().parse().map_err(|_| malformed(format!("`{key}` is `{text}`")))
}

fn malformed(message: impl Into<String>) -> Error {
    Error::Format { format: FORMAT, message: message.into() }
}

fn unsupported(feature: String) -> Error {
    Error::Unsupported { format: FORMAT, feature }
}
