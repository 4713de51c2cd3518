//! Reads the text that LightGBM saves models as.
//!
//! Version 4 of the text, as LightGBM writes it since 4.0, and the older ones where they say the same.
//! Rules of its `tree.h`: NaN is 0 where a split knows no missing values; a category that is missing goes
//! right; sums are made in 64 bits.

use std::collections::HashMap;

use serde_json::Value;

use super::forest::{Forest, Split, Test};
use super::trees::{Codes, Link, TreeInput, TreeModel, Unseen, Values};
use crate::Error;

const FORMAT: &str = "lightgbm";

/// Bits of a split's `decision_type`.
const CATEGORICAL: u8 = 1;
const DEFAULT_LEFT: u8 = 2;

/// `key=value` lines of a part of the text.
type Lines<'a> = HashMap<&'a str, &'a str>;

pub(super) fn read(bytes: &[u8]) -> Result<TreeModel, Error> {
    let text = std::str::from_utf8(bytes).map_err(|_| malformed("it is no text"))?.replace("\r\n", "\n");
    let (trees, rest) = text.split_once("\nend of trees").ok_or_else(|| malformed("it has no `end of trees`"))?;
    let mut parts = trees.split("\nTree=");
    let header = parts.next().unwrap_or_default();
    if !header.trim_start().starts_with("tree") {
        return Err(malformed("it does not begin with `tree`"));
    }
    let average = header.lines().any(|line| line == "average_output");
    let header = lines(header);
    let outputs = number::<usize>(&header, "num_tree_per_iteration")?.max(1);
    let inputs = inputs(&header, rest)?;
    let mut forest = Forest::default();
    for (at, part) in parts.enumerate() {
        add_tree(&mut forest, at, outputs, &lines(part), inputs.len())?;
    }
    let iterations = forest.len() / outputs;
    let link = link(header.get("objective").copied().unwrap_or_default(), outputs)?;
    let divisor = if average { iterations.max(1) as f64 } else { 1.0 };
    Ok(TreeModel { inputs, forest: forest.finish(), start: vec![0.0; outputs], divisor, link, is_single: false })
}

fn add_tree(forest: &mut Forest, at: usize, outputs: usize, tree: &Lines<'_>, features: usize) -> Result<(), Error> {
    let wrong = |message: String| malformed(format!("tree {at}: {message}"));
    if tree.get("is_linear").is_some_and(|value| value.trim() != "0") {
        return Err(Error::Unsupported { format: FORMAT, feature: "linear trees (`linear_tree`)".to_owned() });
    }
    let leaves: Vec<f64> = numbers(tree, "leaf_value").map_err(wrong)?;
    let feature: Vec<u32> = numbers(tree, "split_feature").map_err(wrong)?;
    let threshold: Vec<f64> = numbers(tree, "threshold").map_err(wrong)?;
    let decision: Vec<u8> = numbers(tree, "decision_type").map_err(wrong)?;
    let left: Vec<i32> = numbers(tree, "left_child").map_err(wrong)?;
    let right: Vec<i32> = numbers(tree, "right_child").map_err(wrong)?;
    let boundaries: Vec<usize> = numbers(tree, "cat_boundaries").map_err(wrong)?;
    let words: Vec<u32> = numbers(tree, "cat_threshold").map_err(wrong)?;
    let count = feature.len();
    if [threshold.len(), decision.len(), left.len(), right.len()].iter().any(|length| *length != count) {
        return Err(wrong("its lists have different lengths".to_owned()));
    }
    if let Some(feature) = feature.iter().find(|feature| **feature as usize >= features) {
        return Err(wrong(format!("it asks for input {feature} of {features}")));
    }
    let mut splits = Vec::with_capacity(count);
    for split in 0..count {
        let (threshold, decision) = (threshold[split], decision[split]);
        let is_default_left = decision & DEFAULT_LEFT != 0;
        let (test, is_nan_left) = match (decision & CATEGORICAL != 0, (decision >> 2) & 3) {
            (true, _) => {
                let set = threshold as usize;
                let span = boundaries.get(set).zip(boundaries.get(set + 1));
                let words = span.and_then(|(from, to)| words.get(*from..*to));
                let words = words.ok_or_else(|| wrong(format!("it has no set {set} of categories")))?;
                (Test::Member { set: forest.add_set(words), go_left: true }, false)
            }
            (false, 0) => (Test::AtMost(threshold), 0.0 <= threshold),
            (false, 1) => (Test::AtMostZeroMissing(threshold), is_default_left),
            (false, _) => (Test::AtMost(threshold), is_default_left),
        };
        splits.push(Split { feature: feature[split], test, is_nan_left, left: left[split], right: right[split] });
    }
    forest.add_tree(at % outputs, &splits, &leaves).map_err(wrong)
}

/// Returns the inputs; those with categories of pandas map values to codes.
fn inputs(header: &Lines<'_>, rest: &str) -> Result<Vec<TreeInput>, Error> {
    let names = header.get("feature_names").ok_or_else(|| malformed("it has no `feature_names`"))?;
    let names: Vec<&str> = names.split_whitespace().collect();
    let lists = rest.lines().find_map(|line| line.strip_prefix("pandas_categorical:"));
    let lists: Option<Vec<Vec<Value>>> = lists.and_then(|lists| serde_json::from_str(lists).ok()).flatten();
    let lists = lists.unwrap_or_default();
    let mut inputs: Vec<TreeInput> =
        names.iter().map(|name| TreeInput { name: (*name).to_owned(), values: Values::Numbers }).collect();
    if lists.is_empty() {
        return Ok(inputs);
    }
    let places = categorical(header, rest);
    if places.len() != lists.len() || places.iter().any(|at| *at >= inputs.len()) {
        let feature = format!("categories of {} columns and does not say which", lists.len());
        return Err(Error::Unsupported { format: FORMAT, feature });
    }
    for (at, list) in places.into_iter().zip(&lists) {
        let codes = Codes::of(list)
            .ok_or_else(|| malformed(format!("the categories of `{}` are neither text nor numbers", names[at])))?;
        inputs[at].values = Values::Categories { codes, unseen: Unseen::Missing };
    }
    Ok(inputs)
}

/// Returns the places of categorical inputs: what the parameters say, else those whose values are a list.
fn categorical(header: &Lines<'_>, rest: &str) -> Vec<usize> {
    let said = rest.lines().find_map(|line| line.strip_prefix("[categorical_feature: ")?.strip_suffix(']'));
    let mut places: Vec<usize> =
        said.unwrap_or_default().split(',').filter_map(|place| place.trim().parse().ok()).collect();
    if places.is_empty() {
        let infos = header.get("feature_infos").copied().unwrap_or_default().split_whitespace().enumerate();
        places = infos.filter(|(_, info)| !info.starts_with('[') && *info != "none").map(|(at, _)| at).collect();
    }
    places.sort_unstable();
    places
}

fn link(objective: &str, outputs: usize) -> Result<Link, Error> {
    let mut words = objective.split_whitespace();
    let name = words.next().unwrap_or_default();
    let options: Vec<&str> = words.collect();
    let slope = || {
        let said = options.iter().find_map(|option| option.strip_prefix("sigmoid:"));
        said.map_or(Ok(1.0), |slope| slope.parse().map_err(|_| malformed(format!("its objective is `{objective}`"))))
    };
    let link = match name {
        "binary" => Link::Binary(slope()?),
        "multiclass" => Link::Softmax,
        "multiclassova" => Link::OneAgainstAll(slope()?),
        "poisson" | "gamma" | "tweedie" => Link::Exponential,
        "cross_entropy" => Link::Sigmoid,
        "cross_entropy_lambda" => Link::Softplus,
        _ if options.contains(&"sqrt") => Link::SignedSquare,
        "" | "custom" | "none" | "regression" | "regression_l1" | "huber" | "fair" | "quantile" | "mape"
        | "lambdarank" | "rank_xendcg" => Link::Identity,
        other => return Err(Error::Unsupported { format: FORMAT, feature: format!("the objective `{other}`") }),
    };
    if outputs > 1 && !matches!(link, Link::Softmax | Link::OneAgainstAll(_)) {
        return Err(Error::Unsupported { format: FORMAT, feature: format!("{outputs} outputs of `{name}`") });
    }
    Ok(link)
}

fn lines(part: &str) -> Lines<'_> {
    part.lines().filter_map(|line| line.split_once('=')).collect()
}

fn number<T: std::str::FromStr>(lines: &Lines<'_>, key: &str) -> Result<T, Error> {
    let value = lines.get(key).ok_or_else(|| malformed(format!("it has no `{key}`")))?;
    value.trim().parse().map_err(|_| malformed(format!("`{key}` is `{value}`")))
}

/// Returns the numbers of a line; none where there is no such line.
fn numbers<T: std::str::FromStr>(lines: &Lines<'_>, key: &str) -> Result<Vec<T>, String> {
    let words = lines.get(key).copied().unwrap_or_default().split_whitespace();
    words.map(|word| word.parse().map_err(|_| format!("`{key}` has `{word}`"))).collect()
}

fn malformed(message: impl Into<String>) -> Error {
    Error::Format { format: FORMAT, message: message.into() }
}
