//! Models and the registry against the programs that others use: libraries that train, MLflow's server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod mlflow;
mod parity;
mod python;
