//! Training against scikit-learn 1.9.1 on the same rows, and the same model whatever the order of rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};

use super::*;
use crate::{Encoding, Estimator};

/// Rows in memory: batches that are gone through on several copies of a pass, in the order given.
struct Batches(Vec<Vec<RecordBatch>>);

impl Rows for Batches {
    fn pass<P: Pass>(&self, start: &P) -> Result<P, Error> {
        let mut all = start.clone();
        for part in &self.0 {
            let mut pass = start.clone();
            for batch in part {
                pass.add(batch)?;
            }
            all.merge(pass);
        }
        Ok(all)
    }
}

/// The label of a test.
#[derive(Clone, Copy, PartialEq)]
enum Wanted {
    Nothing,
    Number,
    Class,
}

const ROWS: usize = 600;

/// Returns the rows of the test, each `step` apart, in batches of so many.
fn rows(wanted: Wanted, step: usize, size: usize) -> Batches {
    let order: Vec<usize> = (0..ROWS).map(|at| at * step % ROWS).collect();
    let batches: Vec<RecordBatch> = order.chunks(size).map(|chunk| batch(wanted, chunk)).collect();
    Batches(batches.chunks(3).map(<[RecordBatch]>::to_vec).collect())
}

fn batch(wanted: Wanted, rows: &[usize]) -> RecordBatch {
    let first = |i: usize| (i * 37 % 101) as f64 / 10.0;
    let second = |i: usize| ((i * 53 % 89) as f64 - 44.0) / 7.0;
    let offset = |i: usize| [1.0, 0.0, 5.0][i % 3];
    let noise = |i: usize| ((i * 29 % 17) as f64 - 8.0) / 4.0;
    let number = |i: usize| 2.0 * first(i) - 3.0 * second(i) + offset(i) + noise(i);
    let class = |i: usize| if (number(i) > 10.0) ^ i.is_multiple_of(11) { "true" } else { "false" };
    let x: ArrayRef = Arc::new(rows.iter().map(|i| Some(first(*i))).collect::<Float64Array>());
    let y: ArrayRef =
        Arc::new(rows.iter().map(|i| (!i.is_multiple_of(50)).then(|| second(*i))).collect::<Float64Array>());
    let c: ArrayRef = Arc::new(rows.iter().map(|i| Some(["a", "b", "c"][i % 3])).collect::<StringArray>());
    let mut columns = vec![("x", x), ("y", y), ("c", c)];
    match wanted {
        Wanted::Nothing => {}
        Wanted::Number => {
            let labels: ArrayRef = Arc::new(rows.iter().map(|i| Some(number(*i))).collect::<Float64Array>());
            columns.push(("label", labels));
        }
        Wanted::Class => {
            let labels: ArrayRef = Arc::new(rows.iter().map(|i| Some(class(*i))).collect::<StringArray>());
            columns.push(("label", labels));
        }
    }
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
}

fn layout(wanted: Wanted) -> Layout {
    let input = |name: &str, kind| Input { name: name.to_owned(), kind };
    let labels = match wanted {
        Wanted::Nothing => None,
        Wanted::Number => Some(Labels::Numbers),
        Wanted::Class => Some(Labels::Booleans),
    };
    let inputs = vec![input("x", InputKind::Number), input("y", InputKind::Number), input("c", InputKind::Text)];
    Layout { inputs, labels, evaluation: 0.0 }
}

/// Returns the layout and rows without the texts.
fn numbers_only() -> (Layout, Batches) {
    let mut layout = layout(Wanted::Nothing);
    layout.inputs.truncate(2);
    let plain = |batch: &RecordBatch| batch.project(&[0, 1]).unwrap();
    let Batches(parts) = rows(Wanted::Nothing, 1, 64);
    (layout, Batches(parts.iter().map(|part| part.iter().map(plain).collect()).collect()))
}

fn linear(l2_reg: f64) -> Training {
    Training::Linear(LinearOptions { l2_reg, fit_intercept: true })
}

fn logistic(auto_class_weights: bool) -> Training {
    Training::Logistic(LogisticOptions {
        l2_reg: 2.0,
        fit_intercept: true,
        max_iterations: 20,
        min_rel_progress: 1e-6,
        auto_class_weights,
    })
}

fn kmeans(clusters: usize, seed: u64) -> Training {
    Training::KMeans(KMeansOptions { clusters, max_iterations: 20, min_rel_progress: 1e-4, standardize: true, seed })
}

fn assert_near(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{found:?} {expected:?}");
    let is_near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= tolerance * b.abs().max(1.0));
    assert!(is_near, "found {found:?}, expected {expected:?}");
}

fn metrics(trained: &Trained, names: &[&str]) -> Vec<f64> {
    names.iter().map(|name| trained.metrics[*name]).collect()
}

/// Returns weights in the units of the columns, and the intercept that belongs to them.
fn unscaled(trained: &Trained) -> (f64, Vec<f64>) {
    let Estimator::Linear { mut intercept, mut weights } = trained.model.estimator.clone() else {
        panic!("it is linear")
    };
    for (at, feature) in trained.model.features.iter().enumerate() {
        if let Encoding::Number { mean, scale, .. } = feature.encoding {
            weights[at] /= scale;
            intercept -= weights[at] * mean;
        }
    }
    (intercept, weights)
}

#[test]
fn linear_regression_is_that_of_least_squares() {
    let trained = linear(0.0).run(&layout(Wanted::Number), &rows(Wanted::Number, 1, 64)).unwrap();
    let (intercept, weights) = unscaled(&trained);
    // Of the categories the last follows from the others and the intercept.
    assert_near(&[intercept], &[5.130_355_031_325_451], 1e-9);
    let expected =
        [1.972_859_129_108_214_5, -3.008_463_015_124_285_3, -4.010_789_500_287_066, -5.022_678_318_218_645, 0.0];
    assert_near(&weights, &expected, 1e-9);
    let found = metrics(&trained, &["mean_absolute_error", "mean_squared_error", "r2_score"]);
    assert_near(&found, &[1.224_645_730_060_231_1, 3.799_339_972_997_996, 0.976_482_060_933_186_1], 1e-9);
}

#[test]
fn a_penalty_is_that_of_ridge_regression() {
    let trained = linear(10.0).run(&layout(Wanted::Number), &rows(Wanted::Number, 1, 64)).unwrap();
    let Estimator::Linear { intercept, weights } = &trained.model.estimator else { panic!("it is linear") };
    assert_near(&[*intercept], &[11.940_154_761_904_756], 1e-9);
    let expected = [
        5.662_039_843_883_831,
        -10.858_775_802_328_482,
        -0.951_938_963_312_912_5,
        -1.913_384_407_148_672_3,
        2.865_323_370_461_601_5,
    ];
    assert_near(weights, &expected, 1e-9);
}

#[test]
fn logistic_regression_finds_the_least_loss() {
    let (layout, rows) = (layout(Wanted::Class), rows(Wanted::Class, 1, 64));
    let check = |balanced: bool, expected: [f64; 6]| {
        let trained = logistic(balanced).run(&layout, &rows).unwrap();
        let Estimator::Logistic { intercepts, weights, .. } = &trained.model.estimator else {
            panic!("it is logistic")
        };
        let found: Vec<f64> = intercepts.iter().chain(&weights[0]).copied().collect();
        assert_near(&found, &expected, 1e-6);
        assert_eq!(trained.facts["converged"], "true");
        trained
    };
    let trained = check(
        false,
        [
            0.389_004_539_176_028_9,
            0.976_141_264_885_766_6,
            -1.950_530_776_488_876_4,
            -0.156_665_480_596_291_93,
            -0.324_198_802_247_470_7,
            0.480_864_282_843_761_54,
        ],
    );
    let found = metrics(&trained, &["log_loss", "accuracy", "f1_score"]);
    assert_near(&found, &[0.400_035_540_438_142_43, 0.88, 0.891_891_891_891_891_9], 1e-6);
    // Scores are told apart by twenty bits.
    assert_near(&metrics(&trained, &["roc_auc"]), &[0.905_895_169_532_452_1], 1e-4);
    assert_eq!(trained.classes, Some(vec![Label::Boolean(false), Label::Boolean(true)]));
    check(
        true,
        [
            0.194_714_825_331_892_74,
            0.977_589_623_031_664_6,
            -1.941_277_118_896_516_5,
            -0.156_901_100_655_493_54,
            -0.319_908_458_743_903,
            0.476_809_559_399_397_06,
        ],
    );
}

#[test]
fn components_are_those_of_the_covariance() {
    let (layout, rows) = numbers_only();
    let run = |components, scale| Training::Pca(PcaOptions { components, scale }).run(&layout, &rows).unwrap();
    let check = |trained: &Trained, expected: &[[f64; 2]], ratio: f64| {
        let Estimator::Pca { components, .. } = &trained.model.estimator else { panic!("it is a projection") };
        components.iter().zip(expected).for_each(|(found, expected)| assert_near(found, expected, 1e-8));
        assert_near(&metrics(trained, &["total_explained_variance_ratio"]), &[ratio], 1e-9);
    };
    let (a, b) = (0.952_250_977_853_724_1, 0.305_316_352_619_092_8);
    check(&run(2, true), &[[a, -b], [b, a]], 1.0);
    check(&run(1, true), &[[a, -b]], 0.506_207_877_909_887_3);
    check(&run(1, false), &[[-0.016_293_959_126_655_672, 0.999_867_244_635_996]], 0.608_168_498_818_138_7);
}

#[test]
fn clusters_that_are_apart_are_found() {
    let values: Vec<f64> = (0..300).map(|i| f64::from(i % 3) * 10.0 + f64::from(i % 7) / 10.0).collect();
    let column: ArrayRef = Arc::new(Float64Array::from(values));
    let batch = RecordBatch::try_from_iter([("x", column)]).unwrap();
    let layout =
        Layout { inputs: vec![Input { name: "x".to_owned(), kind: InputKind::Number }], labels: None, evaluation: 0.0 };
    for seed in 0..5 {
        let trained = kmeans(3, seed).run(&layout, &Batches(vec![vec![batch.clone()]])).unwrap();
        let Estimator::KMeans { centroids, .. } = &trained.model.estimator else { panic!("it is k-means") };
        let Encoding::Number { mean, scale, .. } = trained.model.features[0].encoding else { panic!("it is a number") };
        let mut found: Vec<f64> = centroids.iter().map(|centroid| centroid[0] * scale + mean).collect();
        found.sort_by(f64::total_cmp);
        assert_near(&found, &[0.3, 10.3, 20.3], 0.01);
        assert!(trained.metrics["davies_bouldin_index"] < 0.1, "{:?}", trained.metrics);
    }
    let error = kmeans(30, 0).run(&layout, &Batches(vec![vec![batch]])).unwrap_err();
    assert_eq!(error.to_string(), "there are 21 different rows, too few for 30 clusters");
}

#[test]
fn a_model_is_the_same_to_the_bit_whatever_the_order() {
    let same = |training: &Training, wanted: Wanted| {
        let layout = Layout { evaluation: 0.3, ..layout(wanted) };
        let first = training.run(&layout, &rows(wanted, 1, 64)).unwrap();
        let json = |trained: &Trained| trained.model.to_json().unwrap();
        for (step, size) in [(7, 17), (599, 1), (11, 600)] {
            let other = training.run(&layout, &rows(wanted, step, size)).unwrap();
            assert_eq!(json(&first), json(&other), "{training:?}");
            assert_eq!(first.metrics, other.metrics);
        }
    };
    same(&linear(0.5), Wanted::Number);
    same(&logistic(true), Wanted::Class);
    same(&kmeans(4, 3), Wanted::Nothing);
    same(&Training::Pca(PcaOptions { components: 3, scale: true }), Wanted::Nothing);
}

#[test]
fn rows_are_kept_for_evaluation_by_what_they_hold() {
    let kept = |step| {
        let layout = Layout { evaluation: 0.2, ..layout(Wanted::Number) };
        let Batches(parts) = rows(Wanted::Number, step, 50);
        let mut labels: Vec<u64> = Vec::new();
        for batch in parts.iter().flatten() {
            labels.extend(layout.evaluated(batch).unwrap().iter().map(|(_, number, _)| number.to_bits()));
        }
        labels.sort_unstable();
        labels
    };
    assert_eq!(kept(1), kept(7));
    assert!((90..150).contains(&kept(1).len()), "{}", kept(1).len());
}

#[test]
fn rows_that_nothing_can_be_learned_from_are_told() {
    let error =
        |training: &Training, layout: &Layout, rows: &Batches| training.run(layout, rows).unwrap_err().to_string();
    let empty = Batches(Vec::new());
    assert_eq!(error(&linear(0.0), &layout(Wanted::Number), &empty), "there is no row with a label to learn from");
    let texts = Layout { labels: Some(Labels::Texts), ..layout(Wanted::Class) };
    let one = |labels: Vec<&str>| {
        let batch = batch(Wanted::Class, &(0..labels.len()).collect::<Vec<_>>());
        let mut columns = batch.columns().to_vec();
        columns[3] = Arc::new(StringArray::from(labels));
        Batches(vec![vec![RecordBatch::try_new(batch.schema(), columns).unwrap()]])
    };
    let expected = "the label has 1 value, x; logistic regression tells two apart";
    assert_eq!(error(&logistic(false), &texts, &one(vec!["x", "x"])), expected);
    let expected = "the label has 3 values, x, y, z; logistic regression tells two apart";
    assert_eq!(error(&logistic(false), &texts, &one(vec!["x", "y", "z"])), expected);
    let infinite = {
        let batch = batch(Wanted::Number, &[1, 2]);
        let mut columns = batch.columns().to_vec();
        columns[0] = Arc::new(Float64Array::from(vec![1.0, f64::INFINITY]));
        Batches(vec![vec![RecordBatch::try_new(batch.schema(), columns).unwrap()]])
    };
    assert_eq!(error(&linear(0.0), &layout(Wanted::Number), &infinite), "`x` has an infinite value");
    let (plain, rows) = numbers_only();
    let pca = Training::Pca(PcaOptions { components: 3, scale: true });
    assert_eq!(error(&pca, &plain, &rows), "the features become 2 numbers, too few for 3 components");
}

#[test]
fn classes_that_a_line_tells_apart_end_after_the_passes_that_are_allowed() {
    let values: Vec<f64> = (0..100).map(f64::from).collect();
    let labels: Vec<&str> = (0..100).map(|i| if i < 50 { "no" } else { "yes" }).collect();
    let (x, label): (ArrayRef, ArrayRef) = (Arc::new(Float64Array::from(values)), Arc::new(StringArray::from(labels)));
    let batch = RecordBatch::try_from_iter([("x", x), ("label", label)]).unwrap();
    let inputs = vec![Input { name: "x".to_owned(), kind: InputKind::Number }];
    let layout = Layout { inputs, labels: Some(Labels::Texts), evaluation: 0.0 };
    let options = LogisticOptions {
        l2_reg: 0.0,
        fit_intercept: true,
        max_iterations: 15,
        min_rel_progress: 1e-6,
        auto_class_weights: false,
    };
    let trained = Training::Logistic(options).run(&layout, &Batches(vec![vec![batch]])).unwrap();
    assert_eq!(metrics(&trained, &["accuracy", "roc_auc"]), [1.0, 1.0]);
    assert_eq!(trained.facts["iterations"], "15");
}
