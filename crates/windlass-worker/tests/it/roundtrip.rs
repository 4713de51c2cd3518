//! Batches there and back.

use windlass_worker::BatchFormat;

use crate::support::{code, floats, numbers, numbers_from, run};

#[test]
fn every_format_sees_and_returns_the_same() {
    run(async {
        for (format, text) in [
            (BatchFormat::Numpy, "def f(batch):\n    return {'y': batch['x'] * 2}"),
            (
                BatchFormat::Pyarrow,
                "import pyarrow.compute as pc\ndef f(batch):\n    return pa.table({'y': pc.multiply(batch['x'], 2)})",
            ),
            (BatchFormat::Pandas, "import pandas as pd\ndef f(batch):\n    return pd.DataFrame({'y': batch['x'] * 2})"),
            (BatchFormat::Polars, "import polars as pl\ndef f(batch):\n    return batch.select(y=pl.col('x') * 2)"),
        ] {
            let code = code("f", text).format(format);
            let pool = code.pool().await;
            for first in [0, 7, 5000] {
                let answer = pool.call(numbers_from(first, 1000)).await.unwrap();
                let expected: Vec<_> = (first..first + 1000).map(|id| id as f64).collect();
                assert_eq!(floats(&answer.rows, 0), expected, "{format:?}");
                assert!(answer.errors.is_empty());
            }
        }
    });
}

#[test]
fn identity_comes_back() {
    run(async {
        let code = code("f", "def f(batch):\n    return batch").same();
        let pool = code.pool().await;
        for rows in [1, 2, 63, 1000, 100_000, 0, 5] {
            let batch = numbers(rows);
            assert_eq!(pool.call(batch.clone()).await.unwrap().rows, batch);
        }
        let sliced = numbers(10_000).slice(77, 500);
        assert_eq!(pool.call(sliced.clone()).await.unwrap().rows, sliced);
    });
}
