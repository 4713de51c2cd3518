//! No code: pins features of shared dependencies, so that every selection of crates builds the same.
//!
//! Cargo unites features over the selected crates only. A dependency here has the features that the
//! whole workspace gives it, so that selecting one crate never builds DataFusion a second time.
//!
//! Must stay true: every crate that reaches DataFusion depends on this one. `cargo xtask tidy`
//! compares the selections and prints the lines to add.
