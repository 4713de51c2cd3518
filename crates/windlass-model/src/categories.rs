//! The place of each category of a column.
//!
//! Every text of every row is looked up, and a model has a thousand categories at most that nobody adds to: a plain
//! hash is enough, and takes a quarter of the time of the standard one.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Categories by text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Categories(HashMap<String, usize, BuildHasherDefault<PlainHasher>>);

impl Categories {
    /// Returns the places of categories that are listed in order.
    pub(crate) fn new(categories: &[String]) -> Self {
        Self(categories.iter().enumerate().map(|(at, name)| (name.clone(), at)).collect())
    }

    /// Returns the place of a category.
    pub(crate) fn place(&self, category: &str) -> Option<usize> {
        self.0.get(category).copied()
    }
}

/// Folds eight bytes at a time into a product. For keys that nobody chooses to collide.
#[derive(Debug, Default)]
pub(crate) struct PlainHasher(u64);

impl PlainHasher {
    fn fold(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ 0x9e37_79b9_7f4a_7c15) * 0xbf58_476d_1ce4_e5b9;
        self.0 = product as u64 ^ (product >> 64) as u64;
    }
}

impl Hasher for PlainHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.fold(u64::from_le_bytes(word));
        }
    }

    fn write_u32(&mut self, word: u32) {
        self.fold(word.into());
    }

    /// Called with the mark behind a text, which says nothing that its bytes do not.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_category_has_its_place() {
        let names: Vec<String> = (0..1_000).map(|at| format!("{}{at}", "x".repeat(at % 19))).collect();
        let categories = Categories::new(&names);
        assert!(names.iter().enumerate().all(|(at, name)| categories.place(name) == Some(at)));
        assert_eq!(categories.place(""), None);
        assert_eq!(categories.place("x"), None);
    }
}
