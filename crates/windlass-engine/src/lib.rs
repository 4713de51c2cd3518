//! Plans and executes SQL on DataFusion and publishes Delta tables.
