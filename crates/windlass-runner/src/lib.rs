//! Decides what runs, when and again, and keeps the run store.
