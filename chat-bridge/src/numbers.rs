//! Maps whose keys are numbers that the server itself has given out.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map by a number of our own. No stranger chooses such a number, so there is nothing to defend
/// against: no key of 16 bytes in each map, and a multiplication in place of SipHash.
pub(crate) type NumberMap<K, V> = HashMap<K, V, BuildHasherDefault<NumberHasher>>;

/// An odd number without a pattern: 2^64 divided by the golden ratio (Knuth, TAOCP 3, 6.4).
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// Multiplicative hashing of one number.
#[derive(Debug, Default)]
pub(crate) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        // The table takes its place from the lower bits, which the product mixes least.
        self.0.rotate_left(26)
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(GOLDEN);
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_a_row_fall_into_different_places() {
        let places = |of: &dyn Fn(u64) -> u64| {
            let hashes = (0..1024).map(|number| {
                let mut hasher = NumberHasher::default();
                hasher.write_u64(of(number));
                hasher.finish() % 1024
            });
            hashes.collect::<std::collections::BTreeSet<_>>().len()
        };
        // By chance it would be 632 of 1024.
        assert!(places(&|number| number) > 600);
        assert!(places(&|number| number * 64) > 600);
    }
}
