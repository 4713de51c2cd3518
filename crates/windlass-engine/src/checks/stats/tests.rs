//! Replays the reference cases of `tests/validation_cases.json`, whose encoding and tolerances the
//! file itself explains. Expected values come from SciPy, checked against exact arithmetic.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

use super::bins::{Binning, counts};
use super::distance::ZeroBins;
use super::ks::{Alternative, KsMethod};
use super::points::{of_floats, of_integers, quantile};
use super::skew::KeySkew;
use super::summary::Moments;
use super::*;

const CASES: &str = include_str!("../../../tests/validation_cases.json");

/// Fields that describe how the expected value was made.
const NOT_COMPARED: [&str; 5] = ["p_value_exact_rational", "d_times_lcm", "method_used", "categories", "edges"];

type Answer = Result<BTreeMap<&'static str, Value>, NotEvaluable>;

#[test]
fn all_reference_cases_pass() {
    let document = read(serde_json::from_str(CASES).unwrap());
    let cases = document["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 127);
    let failures: Vec<String> = cases.iter().flat_map(failures).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Returns JSON with every float as it is written: `serde_json` may miss the last bit.
fn read(raw: &RawValue) -> Value {
    let text = raw.get();
    match text.as_bytes()[0] {
        b'{' => {
            let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text).unwrap();
            Value::Object(fields.into_iter().map(|(name, value)| (name, read(value))).collect())
        }
        b'[' => Value::Array(serde_json::from_str::<Vec<&RawValue>>(text).unwrap().into_iter().map(read).collect()),
        b'-' | b'0'..=b'9' if text.contains(['.', 'e', 'E']) => text.parse::<f64>().unwrap().into(),
        _ => serde_json::from_str(text).unwrap(),
    }
}

fn failures(case: &Value) -> Vec<String> {
    let id = case["id"].as_str().unwrap();
    match (answer(case), case["status"].as_str()) {
        (Err(reason), Some("not_evaluable")) if case["reason"] == reason.name() => Vec::new(),
        (Ok(found), Some("ok")) => {
            let expected = case["expected"].as_object().unwrap();
            let compared = expected.iter().filter(|(field, _)| !NOT_COMPARED.contains(&field.as_str()));
            compared.filter_map(|(field, wanted)| difference(case, field, found.get(field.as_str()), wanted)).collect()
        }
        (found, status) => vec![format!("{id}: {found:?}, expected {status:?} {}", case["reason"])],
    }
}

fn difference(case: &Value, field: &str, found: Option<&Value>, wanted: &Value) -> Option<String> {
    let id = case["id"].as_str().unwrap();
    let Some(found) = found else { return Some(format!("{id}.{field}: no answer")) };
    let same = match (found, wanted) {
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len()
                && found.iter().zip(wanted).all(|(found, wanted)| close(case, field, found, wanted))
        }
        _ => close(case, field, found, wanted),
    };
    (!same).then(|| format!("{id}.{field}: {found}, expected {wanted}"))
}

fn close(case: &Value, field: &str, found: &Value, wanted: &Value) -> bool {
    let (Some(found), Some(wanted)) = (float(found), float(wanted)) else { return found == wanted };
    let tolerances = &case["tol"];
    let tolerance = tolerances.get(field).or(tolerances.get("default"));
    let part = |key: &str, usual: f64| tolerance.and_then(|known| known[key].as_f64()).unwrap_or(usual);
    let allowed = part("abs", 1e-14).max(part("rel", 1e-12) * wanted.abs());
    found == wanted || (found.is_nan() && wanted.is_nan()) || (found - wanted).abs() <= allowed
}

/// Reads a number; the outer `None` stands for null and for what is no number.
fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

fn json(value: f64) -> Value {
    match value {
        value if value.is_nan() => "NaN".into(),
        value if value.is_infinite() => if value > 0.0 { "Infinity" } else { "-Infinity" }.into(),
        value => value.into(),
    }
}

fn numbers(values: &[f64]) -> Value {
    values.iter().map(|value| json(*value)).collect::<Vec<_>>().into()
}

/// Returns the values of an input, SQL NULL as `None`.
fn sample(input: &Value) -> Vec<Option<f64>> {
    if let Some(values) = input.as_array() {
        return values.iter().map(float).collect();
    }
    let of = |key: &str, usual: f64| input.get(key).and_then(Value::as_f64).unwrap_or(usual);
    let count = of("n", 0.0) as usize;
    let mut state = of("seed", 1.0) as u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state) / 4_294_967_296.0
    };
    (0..count)
        .map(|_| {
            Some(match input["gen"].as_str().unwrap() {
                "lcg_uniform" => of("lo", 0.0) + next() * (of("hi", 1.0) - of("lo", 0.0)),
                "lcg_int" => (next() * of("m", 1.0)).floor(),
                "lcg_sum12" => {
                    let mut sum = 0.0;
                    for _ in 0..12 {
                        sum += next();
                    }
                    (sum - 6.0) * of("scale", 1.0) + of("shift", 0.0)
                }
                other => panic!("unknown generator {other}"),
            })
        })
        .collect()
}

fn floats(input: &Value) -> Vec<f64> {
    sample(input).into_iter().flatten().filter(|value| !value.is_nan()).collect()
}

fn plain(input: &Value) -> Vec<f64> {
    input.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

fn answer(case: &Value) -> Answer {
    let (inputs, params) = (&case["inputs"], &case["params"]);
    let counts = || (plain(&inputs["reference_counts"]), plain(&inputs["current_counts"]));
    match case["test"].as_str().unwrap() {
        "ks_2samp" => ks(inputs, params),
        "chi2_contingency" => {
            let (reference, current) = counts();
            let test = chi_square::homogeneity(&reference, &current, params["correction"].as_bool().unwrap())?;
            Ok(BTreeMap::from([
                ("statistic", json(test.statistic)),
                ("p_value", json(test.p_value)),
                ("dof", test.degrees.into()),
                ("cramers_v", json(test.cramers_v)),
                ("min_expected", json(test.smallest_expected)),
                ("share_expected_below_5", json(test.share_expected_below_5)),
            ]))
        }
        "chi2_gof" => {
            let (reference, current) = counts();
            let test = chi_square::fit(&reference, &current, params["scale_reference_to_current"].as_bool().unwrap())?;
            let known =
                [("statistic", json(test.statistic)), ("p_value", json(test.p_value)), ("dof", test.degrees.into())];
            Ok(BTreeMap::from(known))
        }
        "psi_counts" => {
            let (reference, current) = counts();
            Ok(BTreeMap::from([("psi", json(distance::psi(&reference, &current, zero_bins(params))?))]))
        }
        "js_distance_counts" => {
            let (reference, current) = counts();
            let divergence = distance::jensen_shannon(&reference, &current, params["base"].as_f64())?;
            Ok(BTreeMap::from([("js_distance", json(divergence.sqrt())), ("js_divergence", json(divergence))]))
        }
        "psi_numeric" | "js_numeric" => binned(case),
        "wasserstein_1d" => {
            let (reference, current) = (floats(&inputs["reference"]), floats(&inputs["current"]));
            let raw = wasserstein::distance(&of_floats(reference.clone()), &of_floats(current))?;
            let deviation = Moments::of(&reference).population_deviation().unwrap_or(f64::NAN);
            let normed = if deviation.is_nan() { f64::NAN } else { raw / deviation.max(0.001) };
            Ok(BTreeMap::from([
                ("distance", json(raw)),
                ("reference_std_ddof0", json(deviation)),
                ("distance_normed_evidently", json(normed)),
            ]))
        }
        "summary" => Ok(summary(inputs, params)),
        "metric_anomaly" => anomalies(inputs, params),
        "key_skew" => key_skew(inputs, params),
        "benjamini_hochberg" => {
            let adjusted = multiple::benjamini_hochberg(&plain(&inputs["p_values"]));
            let rejected: Vec<bool> = adjusted.iter().map(|p| *p <= params["alpha"].as_f64().unwrap()).collect();
            Ok(BTreeMap::from([("adjusted", numbers(&adjusted)), ("rejected_at_0.05", rejected.into())]))
        }
        other => panic!("unknown test {other}"),
    }
}

fn ks(inputs: &Value, params: &Value) -> Answer {
    let method = match params["method"].as_str().unwrap() {
        "auto" => KsMethod::Auto,
        "exact" => KsMethod::Exact,
        _ => KsMethod::Limit,
    };
    let alternative = match params["alternative"].as_str().unwrap() {
        "less" => Alternative::Less,
        "greater" => Alternative::Greater,
        _ => Alternative::TwoSided,
    };
    let (n1, n2, statistic, p_value, location, sign);
    if inputs.get("dtype").is_some() {
        let of =
            |key: &str| inputs[key].as_array().unwrap().iter().map(|value| value.as_i64().unwrap()).collect::<Vec<_>>();
        let (reference, current) = (of_integers(of("reference")), of_integers(of("current")));
        (n1, n2) = (points::total(&reference), points::total(&current));
        let test = ks::two_samples(&reference, &current, method, alternative)?;
        (statistic, p_value, location, sign) = (test.statistic, test.p_value, Value::from(test.location), test.sign);
    } else {
        let (reference, current) = (of_floats(floats(&inputs["reference"])), of_floats(floats(&inputs["current"])));
        (n1, n2) = (points::total(&reference), points::total(&current));
        let test = ks::two_samples(&reference, &current, method, alternative)?;
        (statistic, p_value, location, sign) = (test.statistic, test.p_value, json(test.location), test.sign);
    }
    Ok(BTreeMap::from([
        ("statistic", json(statistic)),
        ("p_value", json(p_value)),
        ("statistic_location", location),
        ("statistic_sign", sign.into()),
        ("n_reference", n1.into()),
        ("n_current", n2.into()),
    ]))
}

fn zero_bins(params: &Value) -> ZeroBins {
    match params["zero_bins"].as_str().unwrap() {
        "none" => ZeroBins::Infinite,
        "laplace_0.5" => ZeroBins::Laplace,
        "evidently" => ZeroBins::Evidently,
        _ => ZeroBins::Floor,
    }
}

fn binned(case: &Value) -> Answer {
    let (inputs, params) = (&case["inputs"], &case["params"]);
    let bins = params["n_bins"].as_u64().unwrap() as usize;
    let binning = match params["bins"].as_str().unwrap() {
        "auto" => Binning::Auto { bins },
        "explicit" => Binning::Edges(plain(&params["edges"])),
        _ => Binning::Quantiles { bins },
    };
    let missing = |key: &str| (sample(&inputs[key]).len() - floats(&inputs[key]).len()) as f64;
    let points = |key: &str| of_floats(floats(&inputs[key]));
    let (mut reference, mut current) = counts(&points("reference"), &points("current"), &binning);
    if missing("reference") + missing("current") > 0.0 {
        reference.push(missing("reference"));
        current.push(missing("current"));
    }
    let mut found = BTreeMap::new();
    if case["test"] == "psi_numeric" {
        found.insert("psi", json(distance::psi(&reference, &current, zero_bins(params))?));
    } else {
        let divergence = distance::jensen_shannon(&reference, &current, params["base"].as_f64())?;
        found.insert("js_distance", json(divergence.sqrt()));
    }
    found.insert("reference_counts", numbers(&reference));
    found.insert("current_counts", numbers(&current));
    Ok(found)
}

fn summary(inputs: &Value, params: &Value) -> BTreeMap<&'static str, Value> {
    let all = sample(&inputs["values"]);
    let known = floats(&inputs["values"]);
    let or_null = |value: Option<f64>| value.map_or(Value::Null, json);
    // In pieces, so that merging is what is compared.
    let mut moments = Moments::default();
    known.chunks(7).for_each(|chunk| moments.merge(&Moments::of(chunk)));
    let points = of_floats(known.clone());
    let quantiles: Vec<f64> = plain(&params["quantile_probs"]).iter().filter_map(|at| quantile(&points, *at)).collect();
    BTreeMap::from([
        ("rows", all.len().into()),
        ("missing", (all.len() - known.len()).into()),
        ("mean", or_null(moments.mean())),
        ("std_ddof1", or_null(moments.sample_deviation())),
        ("min", json(moments.min)),
        ("max", json(moments.max)),
        ("sum", or_null(moments.sum())),
        ("skewness", or_null(moments.skewness())),
        ("kurtosis_excess", or_null(moments.excess_kurtosis())),
        ("quantiles", numbers(&quantiles)),
    ])
}

fn anomalies(inputs: &Value, params: &Value) -> Answer {
    let found = anomaly::standing(&floats(&inputs["history"]), inputs["value"].as_f64().unwrap())?;
    let sensitivity = params["sensitivity"].as_f64().unwrap();
    let is_far = |score: Option<f64>| score.is_some_and(|score| score.abs() > sensitivity);
    let or_null = |score: Option<f64>| score.map_or(Value::Null, json);
    Ok(BTreeMap::from([
        ("zscore", or_null(found.z_score)),
        ("robust_z", or_null(found.robust_z)),
        ("mad_scaled", json(found.mad)),
        ("iqr_low", json(found.iqr_low)),
        ("iqr_high", json(found.iqr_high)),
        ("anomalous_zscore", is_far(found.z_score).into()),
        ("anomalous_mad", is_far(found.robust_z).into()),
    ]))
}

fn key_skew(inputs: &Value, params: &Value) -> Answer {
    let keys = inputs["keys"].as_array().unwrap();
    let mut rows: BTreeMap<&str, u64> = BTreeMap::new();
    keys.iter().filter_map(Value::as_str).for_each(|key| *rows.entry(key).or_default() += 1);
    let largest = rows.iter().fold(("", 0), |best, (key, count)| if *count > best.1 { (*key, *count) } else { best });
    let found = KeySkew::new(rows.len() as u64, rows.values().sum(), largest.1)?;
    Ok(BTreeMap::from([
        ("keys", found.keys.into()),
        ("rows", found.rows.into()),
        ("null_keys", (keys.len() as u64 - found.rows).into()),
        ("mean_rows_per_key", json(found.mean)),
        ("max_rows_per_key", found.largest.into()),
        ("max_over_mean", json(found.ratio())),
        ("top_key", largest.0.into()),
        ("top_key_share", json(found.largest as f64 / found.rows as f64)),
        ("alert", (found.ratio() > params["max_over_mean"].as_f64().unwrap()).into()),
    ]))
}

#[test]
fn nothing_panics_or_answers_nan() {
    let odd = [0.0, -0.0, 1.0, f64::MAX, f64::MIN, f64::MIN_POSITIVE, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
    for left in 0..(1 << odd.len()) {
        let pick =
            |bits: usize| of_floats(odd.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1).map(|(_, v)| *v));
        for right in [0, 1, 3, 0b1_1100_0101, 0b11_1111_1111] {
            let (a, b) = (pick(left), pick(right));
            for alternative in [Alternative::TwoSided, Alternative::Less, Alternative::Greater] {
                for method in [KsMethod::Exact, KsMethod::Limit] {
                    if let Ok(test) = ks::two_samples(&a, &b, method, alternative) {
                        assert!(
                            (0.0..=1.0).contains(&test.statistic) && (0.0..=1.0).contains(&test.p_value),
                            "{test:?}"
                        );
                    }
                }
            }
            assert!(wasserstein::distance(&a, &b).is_none_or_number());
            let (r, c) = counts(&a, &b, &Binning::Auto { bins: 10 });
            for rule in [ZeroBins::Floor, ZeroBins::Laplace, ZeroBins::Evidently, ZeroBins::Infinite] {
                assert!(distance::psi(&r, &c, rule).is_none_or_number());
            }
            assert!(distance::jensen_shannon(&r, &c, Some(2.0)).is_none_or_number());
            assert!(
                chi_square::homogeneity(&r, &c, true).map(|test| test.p_value + test.cramers_v).is_none_or_number()
            );
        }
    }
}

trait NoneOrNumber {
    fn is_none_or_number(&self) -> bool;
}

impl NoneOrNumber for Result<f64, NotEvaluable> {
    fn is_none_or_number(&self) -> bool {
        self.as_ref().map_or(true, |value| !value.is_nan())
    }
}

#[test]
fn one_sided_shares_add_up() {
    // Few values, so that all paths can be counted: 3 against 2, the reference wholly before.
    let before = ks::two_samples(&of_integers([1, 2, 3]), &of_integers([4, 5]), KsMethod::Exact, Alternative::Greater);
    assert!((before.unwrap().p_value - 0.1).abs() < 1e-15);
    let after = ks::two_samples(&of_integers([4, 5]), &of_integers([1, 2, 3]), KsMethod::Exact, Alternative::Less);
    assert!((after.unwrap().p_value - 0.1).abs() < 1e-15);
}

#[test]
fn merging_does_not_depend_on_the_pieces() {
    let values: Vec<f64> = (0..1000).map(|at| 1e9 + f64::from(at * 7919 % 1000) / 7.0).collect();
    let whole = Moments::of(&values);
    for size in [1, 2, 3, 10, 333, 999] {
        let mut merged = Moments::default();
        values.chunks(size).for_each(|chunk| merged.merge(&Moments::of(chunk)));
        let close = |a: Option<f64>, b: Option<f64>| (a.unwrap() - b.unwrap()).abs() < 1e-9 * b.unwrap().abs().max(1.0);
        assert!(close(merged.mean(), whole.mean()) && close(merged.sum(), whole.sum()));
        assert!(close(merged.sample_deviation(), whole.sample_deviation()));
        assert!(close(merged.skewness(), whole.skewness()) && close(merged.excess_kurtosis(), whole.excess_kurtosis()));
    }
}

#[test]
fn infinities_have_a_mean_and_no_deviation() {
    let mut moments = Moments::of(&[1.0, f64::INFINITY]);
    assert_eq!(
        (moments.mean(), moments.sum(), moments.sample_deviation()),
        (Some(f64::INFINITY), Some(f64::INFINITY), None)
    );
    moments.merge(&Moments::of(&[f64::NEG_INFINITY]));
    assert_eq!(
        (moments.mean(), moments.values(), moments.min, moments.max),
        (None, 3, f64::NEG_INFINITY, f64::INFINITY)
    );
    assert_eq!(Moments::of(&[f64::MAX, f64::MAX]).mean(), Some(f64::MAX));
}
