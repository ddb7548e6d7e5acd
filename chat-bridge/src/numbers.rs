//! Maps whose keys are numbers.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

/// A map by a number: a multiplication in place of SipHash, and no key of 16 bytes in each map.
pub(crate) type NumberMap<K, V> = HashMap<K, V, NumberState>;

/// Other ones in each process. The number of a direct chat is made of its name, so a stranger who knew
/// them could look for names that fall into one place.
static SECRETS: LazyLock<[u64; 2]> = LazyLock::new(|| {
    let random = RandomState::new();
    [random.hash_one(0), random.hash_one(1) | 1]
});

/// Makes hashers; takes no room in a map.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NumberState;

impl BuildHasher for NumberState {
    type Hasher = NumberHasher;

    fn build_hasher(&self) -> NumberHasher {
        let [state, factor] = *SECRETS;
        NumberHasher { state, factor }
    }
}

/// A folded multiplication for each number, as in wyhash: both halves of the product count.
#[derive(Debug)]
pub(crate) struct NumberHasher {
    state: u64,
    factor: u64,
}

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.state
    }

    fn write_u64(&mut self, number: u64) {
        let product = u128::from(self.state ^ number) * u128::from(self.factor);
        self.state = (product >> 64) as u64 ^ product as u64;
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
                let mut hasher = NumberHasher { state: 7, factor: 0x9E37_79B9_7F4A_7C15 };
                hasher.write_u64(of(number));
                hasher.finish() % 1024
            });
            hashes.collect::<std::collections::BTreeSet<_>>().len()
        };
        // By chance it would be 632 of 1024.
        assert!(places(&|number| number) > 550);
        assert!(places(&|number| number * 64) > 550);
    }
}
