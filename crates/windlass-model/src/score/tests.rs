//! Models of our own against values computed by hand.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::Float64Type;

use super::*;
use crate::{ColumnType, Distance, Encoding, Estimator, Feature};

fn number(column: &str, fill: Option<f64>, mean: f64, scale: f64) -> Feature {
    Feature { column: column.to_owned(), encoding: Encoding::Number { fill, mean, scale } }
}

fn one_hot(column: &str, categories: &[&str], has_null: bool) -> Feature {
    let categories = categories.iter().map(|name| (*name).to_owned()).collect();
    Feature { column: column.to_owned(), encoding: Encoding::OneHot { categories, has_null } }
}

fn load(features: Vec<Feature>, estimator: Estimator) -> Scorer {
    let json = NativeModel::try_new(features, estimator).unwrap().to_json().unwrap();
    Scorer::load(Format::Windlass, &json).unwrap()
}

fn batch() -> RecordBatch {
    let x: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), Some(3.0), None, Some(f64::NAN)]));
    let n: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), Some(2), Some(3), None]));
    let c: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("b"), None, Some("unseen")]));
    RecordBatch::try_from_iter([("X", x), ("n", n), ("c", c)]).unwrap()
}

fn doubles(array: &ArrayRef) -> Vec<Option<f64>> {
    array.as_primitive::<Float64Type>().iter().collect()
}

fn vectors(array: &ArrayRef) -> Vec<f64> {
    array.as_fixed_size_list().values().as_primitive::<Float64Type>().values().to_vec()
}

fn assert_near(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{found:?} {expected:?}");
    let is_near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12);
    assert!(is_near, "found {found:?}, expected {expected:?}");
}

#[test]
fn a_row_that_nothing_fills_fails_alone() {
    let features = vec![number("x", None, 1.0, 2.0), one_hot("c", &["a", "b"], true)];
    let estimator = Estimator::Linear { intercept: 10.0, weights: vec![4.0, 0.5, 0.25, 7.0] };
    let mut scorer = load(features, estimator);
    let scores = scorer.score(&batch()).unwrap();
    assert_eq!(doubles(&scores.columns[0]), [Some(10.5), Some(14.25), None, None]);
    let failure = |row| RowFailure { row, message: "input `x` is NULL".to_owned() };
    assert_eq!(scores.failures, [failure(2), failure(3)]);
    assert!(!scorer.signature().inputs[0].nullable);
    assert_eq!(scorer.signature().inputs[1], Column::new("c", ColumnType::String, true));
}

#[test]
fn null_is_filled_and_categories_that_are_not_known_add_nothing() {
    let features = vec![number("x", Some(5.0), 1.0, 2.0), one_hot("c", &["a", "b"], false)];
    let estimator = Estimator::Linear { intercept: 10.0, weights: vec![4.0, 0.5, 0.25] };
    let scores = load(features, estimator).score(&batch()).unwrap();
    assert_eq!(doubles(&scores.columns[0]), [Some(10.5), Some(14.25), Some(18.0), Some(18.0)]);
    assert_eq!(scores.failures, []);
}

#[test]
fn two_classes_are_split_at_the_threshold() {
    let classes = vec![Label::String("no".to_owned()), Label::String("yes".to_owned())];
    let estimator =
        || Estimator::Logistic { classes: classes.clone(), intercepts: vec![-2.0], weights: vec![vec![1.0]] };
    let features = || vec![number("x", Some(2.0), 0.0, 1.0)];
    let scores = load(features(), estimator()).score(&batch()).unwrap();
    let labels = |scores: &Scores| scores.columns[0].as_string::<i32>().iter().flatten().collect::<Vec<_>>().join(" ");
    assert_eq!(labels(&scores), "no yes yes yes");
    let p = 1.0 / (1.0 + 1f64.exp());
    assert_near(&vectors(&scores.columns[1]), &[1.0 - p, p, p, 1.0 - p, 0.5, 0.5, 0.5, 0.5]);
    let scores = load(features(), estimator()).with_threshold(0.6).score(&batch()).unwrap();
    assert_eq!(labels(&scores), "no yes no no");
}

#[test]
fn one_value_is_that_of_all_columns() {
    let classes = vec![Label::Boolean(false), Label::Boolean(true)];
    let estimator = Estimator::Logistic { classes, intercepts: vec![-2.0], weights: vec![vec![1.0]] };
    let mut scorer = load(vec![number("x", None, 0.5, 2.0)], estimator);
    let scores = scorer.score(&batch()).unwrap();
    let second: Vec<f64> = vectors(&scores.columns[1]).into_iter().skip(1).step_by(2).collect();
    assert_eq!(doubles(&scorer.value(&batch()).unwrap().0), [Some(second[0]), Some(second[1]), None, None]);
    let features = vec![number("n", Some(0.0), 0.0, 1.0)];
    let mut scorer =
        load(features, Estimator::KMeans { centroids: vec![vec![1.0], vec![3.0]], distance: Distance::Euclidean });
    assert_eq!(&scorer.value(&batch()).unwrap().0, &scorer.score(&batch()).unwrap().columns[0]);
}

#[test]
fn margins_far_out_have_probabilities() {
    for (margin, expected) in [(800.0, [0.0, 1.0]), (-800.0, [1.0, 0.0]), (0.0, [0.5, 0.5])] {
        assert_eq!(native::both_classes(margin), expected, "{margin}");
    }
    let [first, second] = native::both_classes(40.0);
    assert!(second == 1.0 && (first / (-40f64).exp() - 1.0).abs() < 1e-15, "{first}");
}

#[test]
fn several_classes_share_one() {
    let classes = vec![Label::Long(7), Label::Long(8), Label::Long(9)];
    let weights = vec![vec![0.0], vec![1.0], vec![2.0]];
    let estimator = Estimator::Logistic { classes, intercepts: vec![0.0, 0.0, -3.0], weights };
    let mut scorer = load(vec![number("n", None, 0.0, 1.0)], estimator);
    let scores = scorer.score(&batch()).unwrap();
    let labels: Vec<Option<i64>> = scores.columns[0].as_primitive::<arrow::datatypes::Int64Type>().iter().collect();
    assert_eq!(labels, [Some(8), Some(8), Some(8), None]);
    let e = |x: f64| x.exp();
    let sum = e(0.0) + e(1.0) + e(-1.0);
    assert_near(&vectors(&scores.columns[1])[..3], &[e(0.0) / sum, e(1.0) / sum, e(-1.0) / sum]);
    assert!(scores.columns[1].is_null(3));
    assert_eq!(scorer.signature().outputs[0].data_type, ColumnType::Long);
}

#[test]
fn the_nearest_centre_is_found() {
    let features = || vec![number("n", Some(0.0), 0.0, 1.0), one_hot("c", &["a", "b"], false)];
    let centroids = || vec![vec![1.0, 1.0, 0.0], vec![3.0, 0.0, 1.0]];
    let estimator = Estimator::KMeans { centroids: centroids(), distance: Distance::Euclidean };
    let scores = load(features(), estimator).score(&batch()).unwrap();
    let clusters: Vec<Option<i64>> = scores.columns[0].as_primitive::<arrow::datatypes::Int64Type>().iter().collect();
    assert_eq!(clusters, [Some(1), Some(2), Some(2), Some(1)]);
    let root = |x: f64| x.sqrt();
    let expected = [0.0, root(6.0), root(3.0), 1.0, root(5.0), 1.0, root(2.0), root(10.0)];
    assert_near(&vectors(&scores.columns[1]), &expected);
    let estimator = Estimator::KMeans { centroids: centroids(), distance: Distance::Cosine };
    let scores = load(features(), estimator).score(&batch()).unwrap();
    let cosine = |dot: f64, a: f64, b: f64| 1.0 - dot / (root(a) * root(b));
    assert_near(
        &vectors(&scores.columns[1])[..4],
        &[0.0, cosine(3.0, 2.0, 10.0), cosine(2.0, 5.0, 2.0), cosine(7.0, 5.0, 10.0)],
    );
}

#[test]
fn a_projection_takes_the_mean_off() {
    let features = vec![number("x", Some(0.0), 0.0, 1.0), number("n", Some(0.0), 0.0, 1.0)];
    let estimator = Estimator::Pca { mean: vec![1.0, 2.0], components: vec![vec![0.6, 0.8], vec![-0.8, 0.6]] };
    let mut scorer = load(features, estimator);
    let scores = scorer.score(&batch()).unwrap();
    let first: Vec<f64> = doubles(&scores.columns[0]).into_iter().flatten().collect();
    assert_near(&first, &[-0.8, 1.2, 0.2, -2.2]);
    let names: Vec<&str> = scorer.signature().outputs.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["component_1", "component_2"]);
}

#[test]
fn a_table_that_does_not_fit_is_named() {
    let linear = |column: &str| {
        load(vec![number(column, None, 0.0, 1.0)], Estimator::Linear { intercept: 0.0, weights: vec![1.0] })
    };
    let error = linear("nn").score(&batch()).unwrap_err();
    assert_eq!(error.to_string(), "the model has an input `nn`, the table does not");
    assert_eq!(windlass_error::Classify::hint(&error).unwrap(), "did you mean `n`?");
    let error = linear("c").score(&batch()).unwrap_err();
    assert_eq!(error.to_string(), "the model expects a number in its input `c`, the table has Utf8");
}

#[test]
fn a_file_whose_parts_do_not_fit_is_refused() {
    let file = r#"{"features":[{"column":"x","encoding":{"kind":"number","fill":null}}],
        "estimator":{"kind":"linear","intercept":1,"weights":[1,2]}}"#;
    let error = Scorer::load(Format::Windlass, file.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the windlass model: 2 numbers stand where its features make 1");
    let error = Scorer::load(Format::Sklearn, b"pickle").unwrap_err();
    assert_eq!(error.to_string(), "a model of format `sklearn` is scored in Python workers, not natively");
}

/// A tree of one split on a category, and one on a number.
const XGBOOST: &str = r#"{"learner": {"attributes": {}, "feature_names": ["c", "x"],
    "gradient_booster": {"name": "gbtree", "model": {
        "cats": {"enc": [{"offsets": [0, 1, 3], "values": [97, 98, 98]}, {"offsets": [], "values": []}]},
        "tree_info": [0, 0], "trees": [
            {"left_children": [1, -1, -1], "right_children": [2, -1, -1], "split_indices": [0, 0, 0],
             "split_conditions": [0.0, 1.0, 2.0], "default_left": [1, 0, 0], "split_type": [1, 0, 0],
             "categories": [1], "categories_nodes": [0], "categories_segments": [0], "categories_sizes": [1],
             "tree_param": {"size_leaf_vector": "1"}},
            {"left_children": [1, -1, -1], "right_children": [2, -1, -1], "split_indices": [1, 0, 0],
             "split_conditions": [0.1, 10.0, 20.0], "default_left": [0, 0, 0], "split_type": [0, 0, 0],
             "tree_param": {"size_leaf_vector": "1"}}]}},
    "learner_model_param": {"base_score": "[1E2]", "num_class": "0", "num_feature": "2", "num_target": "1"},
    "objective": {"name": "reg:squarederror"}}, "version": [3, 2, 0]}"#;

#[test]
fn a_category_that_training_did_not_see_fails_its_row_alone() {
    let mut scorer = Scorer::load(Format::Xgboost, XGBOOST.as_bytes()).unwrap();
    let c: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("bb"), None, Some("q"), Some("a")]));
    // A number of 64 bits just below one of 32 bits is that one, which is not below itself.
    let x: ArrayRef = Arc::new(Float64Array::from(vec![0.0, 0.1, f64::NAN, 0.0, f64::from(0.1_f32.next_down())]));
    let scores = scorer.score(&RecordBatch::try_from_iter([("c", c), ("x", x)]).unwrap()).unwrap();
    assert_eq!(doubles(&scores.columns[0]), [Some(111.0), Some(122.0), Some(121.0), None, Some(111.0)]);
    let message = "input `c` is `q`, which the model was not trained on".to_owned();
    assert_eq!(scores.failures, [RowFailure { row: 3, message }]);
}

#[test]
fn trees_that_are_broken_or_of_another_kind_are_refused() {
    let text = |tree: &str| {
        format!(
            "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nfeature_names=a\nfeature_infos=[0:1]\n\
             objective=regression\n\nTree=0\n{tree}\n\nend of trees\n\npandas_categorical:null\n"
        )
    };
    let split = "split_feature=0\nthreshold=0.5\ndecision_type=2\nleft_child=-1\nright_child=-2\nleaf_value=1 2\n";
    let refused = |format, text: &str| Scorer::load(format, text.as_bytes()).unwrap_err().to_string();
    assert!(Scorer::load(Format::Lightgbm, text(split).as_bytes()).is_ok());
    for (tree, message) in [
        (
            format!("{split}is_linear=1\n"),
            "the lightgbm model uses linear trees (`linear_tree`), which is not scored natively",
        ),
        (
            split.replace("leaf_value=1 2", "leaf_value=1"),
            "cannot read the lightgbm model: tree 0: 1 leaves and 1 splits",
        ),
        (
            split.replace("right_child=-2", "right_child=0"),
            "cannot read the lightgbm model: tree 0: two ways lead to one split",
        ),
        (
            split.replace("right_child=-2", "right_child=-9"),
            "cannot read the lightgbm model: tree 0: a split leads to -9, where nothing is",
        ),
        (
            split.replace("split_feature=0", "split_feature=3"),
            "cannot read the lightgbm model: tree 0: it asks for input 3 of 1",
        ),
    ] {
        assert_eq!(refused(Format::Lightgbm, &text(&tree)), message);
    }
    assert_eq!(
        refused(Format::Xgboost, &XGBOOST.replace("reg:squarederror", "binary:hinge")),
        "the xgboost model uses the objective `binary:hinge`, which is not scored natively"
    );
    assert_eq!(refused(Format::Onnx, ""), "cannot use ONNX Runtime from `libonnxruntime.so`: it has not been loaded");
}
