//! Which places of a chat's log are known here.

use serde::{Deserialize, Serialize};

/// Ranges of places whose entries are here, or are known not to be for this user. Both ends belong to a
/// range; ranges rise, and neither overlap nor touch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Covered(Vec<(u64, u64)>);

impl Covered {
    pub(crate) fn add(&mut self, first: u64, last: u64) {
        if first > last {
            return;
        }
        let (mut first, mut last) = (first, last);
        self.0.retain(|&(from, to)| {
            let apart = to.saturating_add(1) < first || last.saturating_add(1) < from;
            if !apart {
                (first, last) = (first.min(from), last.max(to));
            }
            apart
        });
        let at = self.0.partition_point(|&(from, _)| from < first);
        self.0.insert(at, (first, last));
    }

    /// What is before this is not here any more.
    pub(crate) fn forget_before(&mut self, first: u64) {
        self.0.retain_mut(|(from, to)| {
            *from = first.max(*from);
            from <= to
        });
    }

    /// Where the range begins that has this place.
    pub(crate) fn start_of(&self, place: u64) -> Option<u64> {
        self.0.iter().find(|(from, to)| (*from..=*to).contains(&place)).map(|(from, _)| *from)
    }

    /// Where the range ends that has this place.
    pub(crate) fn end_of(&self, place: u64) -> Option<u64> {
        self.0.iter().find(|(from, to)| (*from..=*to).contains(&place)).map(|(_, to)| *to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_set_of_what_was_added() {
        for seed in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut covered, mut set) = (Covered::default(), std::collections::BTreeSet::new());
            for _ in 0..12 {
                let first = random.u64(1..40);
                let last = first + random.u64(0..6);
                covered.add(first, last);
                set.extend(first..=last);
                if random.u8(0..8) == 0 {
                    covered.forget_before(last);
                    set.retain(|place| *place >= last);
                }
            }
            for place in 0..60 {
                assert_eq!(
                    covered.start_of(place).is_some(),
                    set.contains(&place),
                    "seed {seed}: {place}"
                );
                let start = covered.start_of(place);
                assert!(start.is_none_or(|start| !set.contains(&(start - 1))), "seed {seed}");
                let end = covered.end_of(place);
                assert!(end.is_none_or(|end| !set.contains(&(end + 1))), "seed {seed}");
            }
        }
    }
}
