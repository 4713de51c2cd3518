//! The engine on small projects that stand in the test as text.

mod checks;
mod functions;
mod incremental;
mod incremental_keys;
mod incremental_property;
mod joins;
mod lineage;
mod mistakes;
mod models;
mod publishing;
mod reading;
mod runtime;
mod sampling;
mod shared_views;
mod support;
mod unscored;
mod windows;
