//! Product tests: spawn the binary on small projects and look at what it prints and publishes.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod checks;
mod checks_candidate;
mod checks_duplicates;
mod checks_failures;
mod checks_python;
mod checks_quarantine;
mod checks_upstream;
mod completions;
mod diff;
mod explain;
mod faults;
mod gc;
mod incremental;
mod init;
mod json;
mod kill;
mod lineage;
mod ls;
mod openlineage;
mod plan;
mod profile;
mod python;
mod python_environments;
mod python_errors;
mod python_failures;
mod python_kill;
mod python_mistakes;
mod python_output;
mod python_plan;
mod python_transforms;
mod python_try;
mod python_udf;
mod readers;
mod reuse;
mod reuse_property;
mod run;
mod runs;
mod s3;
mod show;
mod stop;
mod support;
mod system;
mod unit_tests;
mod usage;
