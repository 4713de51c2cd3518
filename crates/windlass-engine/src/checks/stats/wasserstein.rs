//! The Wasserstein distance of two samples: the area between their distribution functions.

use super::NotEvaluable;
use super::points::{Ordered, Point, total, walk};

/// Returns the distance, in units of the values. It is infinite where one side alone has infinities.
pub(crate) fn distance<T: Ordered>(reference: &[Point<T>], current: &[Point<T>]) -> Result<f64, NotEvaluable> {
    let (n1, n2) = (total(reference), total(current));
    if n1 == 0 {
        return Err(NotEvaluable::EmptyReference);
    }
    if n2 == 0 {
        return Err(NotEvaluable::EmptyCurrent);
    }
    let has_infinities = |points: &[Point<T>]| points.iter().any(|(value, _)| value.to_f64().is_infinite());
    match (has_infinities(reference), has_infinities(current)) {
        (true, true) => return Err(NotEvaluable::InfiniteValues),
        (true, false) | (false, true) => return Ok(f64::INFINITY),
        (false, false) => {}
    }
    let mut area = 0.0;
    let mut previous: Option<f64> = None;
    let (mut seen1, mut seen2) = (0, 0);
    walk(reference, current, |value, in_reference, in_current| {
        let value = value.to_f64();
        if let Some(previous) = previous {
            let height = (seen1 as f64 / n1 as f64 - seen2 as f64 / n2 as f64).abs();
            if height > 0.0 {
                // Two halves, since the width of values far apart may be no number of this type.
                area += height * (value / 2.0 - previous / 2.0) * 2.0;
            }
        }
        previous = Some(value);
        seen1 += in_reference;
        seen2 += in_current;
    });
    Ok(area)
}
