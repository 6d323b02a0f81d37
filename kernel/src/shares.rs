//! Stable shares of all people, by a hash (`onefold.language.scalars.shares`).

use sha2::{Digest, Sha256};

const USER: &str = "user_id:";

/// Whether a person with these identifiers is in this part of a hundred.
#[must_use]
pub fn in_share(identifiers: &[(Box<str>, i64)], salt: &str, percent: f64) -> bool {
    let names = identifiers.iter().map(|(name, _)| &**name);
    let counts = names.min_by_key(|name| (!name.starts_with(USER), *name)).unwrap_or("");
    let mut hash = Sha256::new();
    hash.update(salt);
    hash.update("\n");
    hash.update(counts);
    let digest = hash.finalize();
    let first = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    f64::from(first) * 100.0 < percent * 4_294_967_296.0
}
