//! Hashes that name locks, environments and what is known about them.

use sha2::{Digest as _, Sha256};

/// A hash over fields, each with its length, so that no two lists of fields read the same.
pub(super) struct Digest(Sha256);

impl Digest {
    /// Starts a hash. The purpose keeps hashes of different things apart.
    pub(super) fn new(purpose: &str) -> Self {
        Self(Sha256::new()).field(purpose)
    }

    /// Adds a field.
    pub(super) fn field(mut self, field: impl AsRef<[u8]>) -> Self {
        let bytes = field.as_ref();
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// Adds what packages are built for.
    pub(super) fn platform(self) -> Self {
        let libc = if cfg!(target_env = "musl") { "musl" } else { "" };
        self.field(std::env::consts::OS).field(std::env::consts::ARCH).field(libc)
    }

    /// Returns the first digits of the hash, at most 64.
    pub(super) fn hex(self, digits: usize) -> String {
        let mut text: String = self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        text.truncate(digits);
        text
    }
}
