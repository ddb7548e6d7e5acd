//! Small changes to inputs, for runs without a fuzzing engine.

use fastrand::Rng;

/// Changes one to four places of `bytes`, with pieces of `other` now and then.
pub fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..rng.usize(1..=4) {
        let at = rng.usize(..=bytes.len());
        match rng.u8(..8) {
            0 if at < bytes.len() => bytes[at] = rng.u8(..),
            1 if at < bytes.len() => bytes[at] ^= 1 << rng.u8(..8),
            2 if at < bytes.len() => {
                bytes[at] = bytes[at].wrapping_add(rng.u8(..3)).wrapping_sub(1)
            }
            3 if at < bytes.len() => drop(bytes.remove(at)),
            4 => bytes.truncate(at),
            5 if !other.is_empty() => {
                let from = rng.usize(..other.len());
                let to = rng.usize(from..=other.len().min(from + 16));
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            6 if at < bytes.len() => {
                let end = rng.usize(at..=bytes.len().min(at + 16));
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => bytes.insert(at, rng.u8(..)),
        }
    }
}
