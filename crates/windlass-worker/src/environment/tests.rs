//! Environments from a package index of our own: built once, found again, refused with reasons.

mod bench;
mod broken;
mod built;
mod fetched;
mod locked;
mod project;
mod read;
mod wheel;
