//! Exact p-values of the Kolmogorov-Smirnov test, by counting lattice paths.
//!
//! A pair of samples without ties is a path from `(0, 0)` to `(n1, n2)`. The p-value is the share of
//! paths that leave the band `|i / n1 - j / n2| < steps / lcm`. Shares are carried instead of counts,
//! which overflow (Hodges 1958).

/// Returns the greatest common divisor.
pub(crate) fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Returns the share of paths that leave the band on either side.
pub(super) fn two_sided(n1: u64, n2: u64, steps: u128) -> f64 {
    let Some(steps) = u64::try_from(steps).ok().filter(|steps| *steps > 0) else { return 1.0 };
    let share = if n1 == n2 { square(n1, steps) } else { outside_band(n1.min(n2), n1.max(n2), steps) };
    share.clamp(0.0, 1.0)
}

/// Returns the share of paths that leave the band on one side.
pub(super) fn one_sided(n1: u64, n2: u64, steps: u128) -> f64 {
    let Some(steps) = u64::try_from(steps).ok().filter(|steps| *steps > 0) else { return 1.0 };
    let share = if n1 == n2 {
        (0..steps).fold(1.0, |share, j| share * (n1 as f64 - j as f64) / (n1 as f64 + j as f64 + 1.0))
    } else {
        beyond_line(n1, n2, steps)
    };
    share.clamp(0.0, 1.0)
}

/// Equal sample sizes have a closed form by reflection.
fn square(n: u64, steps: u64) -> f64 {
    let (n, h) = (n as i64, steps as i64);
    let mut share = 0.0;
    for k in (0..=n / h).rev() {
        let mut product = 1.0;
        for j in 0..h {
            product = (n - k * h - j) as f64 * product / (n + k * h + j + 1) as f64;
        }
        share = product * (1.0 - share);
    }
    2.0 * share
}

/// Sweeps columns `i` and keeps, for the cells inside the band, the share of paths to them that were
/// outside before. Requires `m < n`.
fn outside_band(m: u64, n: u64, steps: u64) -> f64 {
    let divisor = gcd(m, n) as i64;
    let (m, n, h) = (m as i64, n as i64, steps as i64);
    let (mg, ng) = (m / divisor, n / divisor);
    let ceil_div = |a: i64, b: i64| a.div_euclid(b) + i64::from(a.rem_euclid(b) != 0);
    let mut min_j = 0;
    let mut max_j = ceil_div(h, mg).min(n + 1);
    let mut length = max_j - min_j;
    let mut shares = vec![1.0; n as usize + 1];
    shares[..max_j as usize].fill(0.0);
    for i in 1..=m {
        let (last_min, last_length) = (min_j, length);
        min_j = ((ng * i - h).div_euclid(mg) + 1).clamp(0, n);
        max_j = ceil_div(ng * i + h, mg).min(n + 1);
        if max_j <= min_j {
            return 1.0;
        }
        let mut below = if min_j == 0 { 0.0 } else { 1.0 };
        for at in 0..(max_j - min_j) {
            let j = at + min_j;
            below = (shares[(j - last_min) as usize] * i as f64 + below * j as f64) / (i + j) as f64;
            shares[at as usize] = below;
        }
        length = max_j - min_j;
        if last_length > length {
            shares[length as usize..last_length as usize].fill(1.0);
        }
    }
    shares[(max_j - min_j - 1) as usize]
}

/// Sweeps all cells; those on the far side of the line count as outside.
fn beyond_line(n1: u64, n2: u64, steps: u64) -> f64 {
    let divisor = gcd(n1, n2);
    let (step1, step2) = ((n2 / divisor) as i64, (n1 / divisor) as i64);
    let (m, n, h) = (n1 as i64, n2 as i64, steps as i64);
    let is_outside = |i: i64, j: i64| step1 * i - step2 * j >= h;
    let mut shares = vec![0.0; n as usize + 1];
    for i in 1..=m {
        for j in 0..=n {
            let at = j as usize;
            shares[at] = if is_outside(i, j) {
                1.0
            } else {
                let before = if j == 0 { 0.0 } else { shares[at - 1] };
                (shares[at] * i as f64 + before * j as f64) / (i + j) as f64
            };
        }
    }
    shares[n as usize]
}
