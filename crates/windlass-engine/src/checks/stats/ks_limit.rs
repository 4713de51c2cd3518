//! P-values of the Kolmogorov-Smirnov test from its limit distribution.
//!
//! The two-sided tail takes, by region, the method that is accurate there (Simard and L'Ecuyer 2011,
//! as SciPy's `kstwo` does): Smirnov's one-sided sum, Marsaglia, Tsang and Wang's matrix power, or
//! Pelz and Good's expansion.

use std::f64::consts::PI;

use super::gamma::ln_gamma;

/// Up to so many values the tail is computed by a matrix power wherever the sum is not exact.
const SMALL: f64 = 140.0;

/// Returns the probability that the one-sample statistic of `n` values exceeds `x`.
pub(super) fn two_sided(n: f64, x: f64) -> f64 {
    if x >= 1.0 {
        return 0.0;
    }
    let t = n * x;
    if x <= 0.0 || t <= 0.5 {
        return 1.0;
    }
    let twice = |one_sided: f64| (2.0 * one_sided).min(1.0);
    if t >= n - 1.0 {
        return twice((1.0 - x).powf(n));
    }
    let nx2 = t * x;
    let by_sum = x >= 0.5 || (n <= SMALL && nx2 > 4.0) || (n > SMALL && nx2 >= 2.2);
    if n > SMALL && nx2 >= 370.0 {
        return 0.0;
    }
    if by_sum {
        return twice(smirnov(n, x));
    }
    let below = if n <= SMALL || (n <= 100_000.0 && n * x.powf(1.5) <= 1.4) {
        matrix_power(n as usize, x)
    } else {
        pelz_good(n, x)
    };
    (1.0 - below).clamp(0.0, 1.0)
}

/// Returns the one-sided tail for two samples (Hodges 1958, equation 5.3).
pub(super) fn one_sided(n1: u64, n2: u64, statistic: f64) -> f64 {
    let (m, n) = (n1.max(n2) as f64, n1.min(n2) as f64);
    let z = (m * n / (m + n)).sqrt() * statistic;
    let correction = 2.0 * z * (m + 2.0 * n) / (m * n * (m + n)).sqrt() / 3.0;
    (-2.0 * z * z - correction).exp().clamp(0.0, 1.0)
}

/// Smirnov's sum for the one-sided tail, by logarithms.
fn smirnov(n: f64, x: f64) -> f64 {
    let terms = (n * (1.0 - x)).floor() as i64;
    let all = ln_gamma(n + 1.0);
    let mut sum = 0.0;
    for j in 0..=terms {
        let j = j as f64;
        let a = x + j / n;
        let b = 1.0 - a;
        if b <= 0.0 {
            if (n - j).abs() < 0.5 {
                sum += ((j - 1.0) * a.ln()).exp();
            }
            continue;
        }
        sum += (all - ln_gamma(j + 1.0) - ln_gamma(n - j + 1.0) + (j - 1.0) * a.ln() + (n - j) * b.ln()).exp();
    }
    (sum * x).clamp(0.0, 1.0)
}

/// A square matrix by rows.
struct Matrix {
    size: usize,
    cells: Vec<f64>,
}

impl Matrix {
    fn times(&self, other: &Self) -> Self {
        let size = self.size;
        let mut cells = vec![0.0; size * size];
        for i in 0..size {
            for k in 0..size {
                let factor = self.cells[i * size + k];
                if factor != 0.0 {
                    for j in 0..size {
                        cells[i * size + j] += factor * other.cells[k * size + j];
                    }
                }
            }
        }
        Self { size, cells }
    }

    fn scale(&mut self, factor: f64) {
        self.cells.iter_mut().for_each(|cell| *cell *= factor);
    }
}

/// Marsaglia, Tsang and Wang (2003): an element of the `n`th power of a small matrix.
fn matrix_power(n: usize, d: f64) -> f64 {
    const BIG: i32 = 128;
    let nd = n as f64 * d;
    if nd <= 0.5 {
        return 0.0;
    }
    let k = nd.ceil() as usize;
    let big = 2f64.powi(BIG);
    let mut base = transition(k, k as f64 - nd);
    let size = base.size;
    let middle = (k - 1) * size + k - 1;
    let unit = (0..size * size).map(|at| f64::from(u8::from(at / size == at % size))).collect();
    let mut power = Matrix { size, cells: unit };
    let (mut exponent, mut base_exponent, mut rest) = (0, 0, n);
    while rest > 0 {
        if rest % 2 == 1 {
            power = power.times(&base);
            exponent += base_exponent;
        }
        base = base.times(&base);
        base_exponent *= 2;
        if base.cells[middle].abs() > big {
            base.scale(1.0 / big);
            base_exponent += BIG;
        }
        rest /= 2;
    }
    let mut result = power.cells[middle];
    for i in 1..=n {
        result = i as f64 * result / n as f64;
        if result.abs() < 1.0 / big {
            result *= big;
            exponent -= BIG;
        }
    }
    result * 2f64.powi(exponent)
}

fn transition(k: usize, h: f64) -> Matrix {
    let size = 2 * k - 1;
    let (mut edge, mut inner) = (vec![0.0; size], vec![0.0; size]);
    let mut factor = 1.0;
    for j in 1..=size {
        inner[j - 1] = factor;
        factor /= j as f64;
        edge[j - 1] = (1.0 - h.powi(j as i32)) * factor;
    }
    let corner = (2.0 * h - 1.0).max(0.0).powi(size as i32) - 2.0 * h.powi(size as i32);
    edge[size - 1] = (1.0 + corner) * factor;
    let mut cells = vec![0.0; size * size];
    for i in 1..size {
        for row in (i - 1)..size {
            cells[row * size + i] = inner[row + 1 - i];
        }
    }
    for row in 0..size {
        cells[row * size] = edge[row];
        cells[(size - 1) * size + row] = edge[size - 1 - row];
    }
    Matrix { size, cells }
}

/// Pelz and Good (1976): four terms of an expansion in `1 / sqrt(n)`.
fn pelz_good(n: f64, x: f64) -> f64 {
    let z = n.sqrt() * x;
    let (z2, z3, z4, z6, z8) = (z * z, z.powi(3), z.powi(4), z.powi(6), z.powi(8));
    let log = -PI * PI / 8.0 / z2;
    if log < -708.0 {
        return 0.0;
    }
    let (p2, p4, p6) = (PI.powi(2), PI.powi(4), PI.powi(6));
    let quadratic = ((6.0 * z6 + 2.0 * z4), (2.0 * z4 - 5.0 * z2) * p2 / 4.0, p4 * (1.0 - 2.0 * z2) / 16.0);
    let cubic = (
        -30.0 * z6 - 90.0 * z8,
        p2 * (135.0 * z4 - 96.0 * z6) / 4.0,
        p4 * (-60.0 * z2 + 212.0 * z4) / 16.0,
        p6 * (5.0 - 30.0 * z2) / 64.0,
    );
    let q = log.exp();
    let terms = (16.0 * z / PI).ceil() as i32;
    let mut sums = [0.0f64; 4];
    for k in (1..=terms).rev() {
        let m = f64::from(2 * k - 1);
        let (m2, m4, m6) = (m.powi(2), m.powi(4), m.powi(6));
        let power = q.powi(8 * k);
        let coefficients = [
            1.0,
            -z2 + p2 / 4.0 * m2,
            quadratic.0 + quadratic.1 * m2 + quadratic.2 * m4,
            cubic.0 + cubic.1 * m2 + cubic.2 * m4 + cubic.3 * m6,
        ];
        for (sum, coefficient) in sums.iter_mut().zip(coefficients) {
            *sum = *sum * power + coefficient;
        }
    }
    let root = (2.0 * PI).sqrt();
    for (sum, divisor) in sums.iter_mut().zip([z, 6.0 * z4, 72.0 * z.powi(7), 6480.0 * z.powi(10)]) {
        *sum *= q * root / divisor;
    }
    let q2 = (-p2 / 2.0 / z2).exp();
    let (mut second, mut third) = (0.0, 0.0);
    for k in (1..=terms).rev() {
        let squared = f64::from(k * k);
        let power = q2.powi(k * k);
        let (root3, step) = (3f64.sqrt() * z, PI * f64::from(k));
        second += squared * power;
        third += (root3 + step) * (root3 - step) * squared * power;
    }
    sums[2] += second * p2 * root / (-36.0 * z3);
    sums[3] += third * p2 * root / (216.0 * z6);
    sums.iter().zip([1.0, n.sqrt(), n, n * n.sqrt()]).map(|(sum, divisor)| sum / divisor).sum()
}
