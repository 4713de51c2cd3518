//! Small dense systems: symmetric equations, and eigenvectors.

/// The share of a column's square that must be left when the columns before it are taken off; below it the
/// column says what they say.
const INDEPENDENT: f64 = 1e-9;
/// Sweeps of Jacobi's method at most; a handful is enough.
const MAX_SWEEPS: usize = 60;

/// Solves `matrix * x = right` for a symmetric matrix that is not negative. An unknown whose column follows
/// from those before it is 0.
pub(super) fn solve(matrix: &[Vec<f64>], right: &[f64]) -> Vec<f64> {
    let width = right.len();
    let mut lower = vec![vec![0.0; width]; width];
    let mut is_used = vec![false; width];
    for row in 0..width {
        for column in 0..row {
            if is_used[column] {
                let known: f64 = (0..column).map(|at| lower[row][at] * lower[column][at]).sum();
                lower[row][column] = (matrix[row][column] - known) / lower[column][column];
            }
        }
        let left = matrix[row][row] - lower[row][..row].iter().map(|value| value * value).sum::<f64>();
        is_used[row] = left > INDEPENDENT * matrix[row][row] && left > 0.0;
        lower[row][row] = if is_used[row] { left.sqrt() } else { 0.0 };
    }
    let mut solution = vec![0.0; width];
    for row in (0..width).filter(|row| is_used[*row]) {
        let known: f64 = (0..row).map(|at| lower[row][at] * solution[at]).sum();
        solution[row] = (right[row] - known) / lower[row][row];
    }
    for row in (0..width).rev().filter(|row| is_used[*row]) {
        let known: f64 = (row + 1..width).filter(|at| is_used[*at]).map(|at| lower[at][row] * solution[at]).sum();
        solution[row] = (solution[row] - known) / lower[row][row];
    }
    solution
}

/// Returns eigenvalues, the largest first, each with its vector of length 1 whose largest element is positive.
pub(super) fn eigen(mut matrix: Vec<Vec<f64>>) -> Vec<(f64, Vec<f64>)> {
    let width = matrix.len();
    let mut vectors: Vec<Vec<f64>> =
        (0..width).map(|at| (0..width).map(|row| f64::from(u8::from(at == row))).collect()).collect();
    for _ in 0..MAX_SWEEPS {
        let off: f64 = (0..width).flat_map(|row| matrix[row][row + 1..].iter()).map(|value| value * value).sum();
        let all: f64 = matrix.iter().flatten().map(|value| value * value).sum();
        if off <= all * 1e-30 {
            break;
        }
        for row in 0..width {
            for column in row + 1..width {
                rotate(&mut matrix, &mut vectors, row, column);
            }
        }
    }
    let mut found: Vec<(f64, Vec<f64>)> =
        vectors.into_iter().enumerate().map(|(at, vector)| (matrix[at][at], signed(vector))).collect();
    found.sort_by(|left, right| right.0.total_cmp(&left.0));
    found
}

/// Turns two axes so that the matrix is 0 where they meet. `vectors` holds one vector a row.
fn rotate(matrix: &mut [Vec<f64>], vectors: &mut [Vec<f64>], row: usize, column: usize) {
    let meeting = matrix[row][column];
    if meeting == 0.0 {
        return;
    }
    let theta = (matrix[column][column] - matrix[row][row]) / (2.0 * meeting);
    let tangent = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let tangent = if theta == 0.0 { 1.0 } else { tangent };
    let cosine = 1.0 / tangent.hypot(1.0);
    let sine = tangent * cosine;
    for line in matrix.iter_mut() {
        let (a, b) = (line[row], line[column]);
        line[row] = cosine * a - sine * b;
        line[column] = sine * a + cosine * b;
    }
    for rows in [&mut *matrix, &mut *vectors] {
        for at in 0..rows[row].len() {
            let (a, b) = (rows[row][at], rows[column][at]);
            rows[row][at] = cosine * a - sine * b;
            rows[column][at] = sine * a + cosine * b;
        }
    }
}

/// Turns a vector round where its largest element is negative.
fn signed(mut vector: Vec<f64>) -> Vec<f64> {
    let largest =
        vector.iter().copied().fold(0.0f64, |so_far, value| if value.abs() > so_far.abs() { value } else { so_far });
    if largest < 0.0 {
        vector.iter_mut().for_each(|value| *value = -*value);
    }
    vector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equations_are_solved() {
        let matrix = vec![vec![4.0, 2.0, 0.0], vec![2.0, 3.0, 1.0], vec![0.0, 1.0, 2.0]];
        let found = solve(&matrix, &[8.0, 11.0, 8.0]);
        let expected = [1.0, 2.0, 3.0];
        assert!(found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12), "{found:?}");
    }

    #[test]
    fn a_column_that_others_say_gets_nothing() {
        // The third is the sum of the first two.
        let matrix = vec![vec![1.0, 0.0, 1.0], vec![0.0, 1.0, 1.0], vec![1.0, 1.0, 2.0]];
        assert_eq!(solve(&matrix, &[3.0, 4.0, 7.0]), [3.0, 4.0, 0.0]);
        assert_eq!(solve(&[vec![0.0, 0.0], vec![0.0, 4.0]], &[0.0, 8.0]), [0.0, 2.0]);
    }

    #[test]
    fn axes_are_found() {
        let found = eigen(vec![vec![2.0, 1.0, 0.0], vec![1.0, 2.0, 0.0], vec![0.0, 0.0, 5.0]]);
        let values: Vec<f64> = found.iter().map(|(value, _)| (value * 1e9).round() / 1e9).collect();
        assert_eq!(values, [5.0, 3.0, 1.0]);
        let half = 0.5f64.sqrt();
        let near = |found: &[f64], expected: &[f64]| found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(near(&found[0].1, &[0.0, 0.0, 1.0]) && near(&found[1].1, &[half, half, 0.0]), "{found:?}");
    }
}
