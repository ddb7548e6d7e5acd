//! A set of `seq` numbers, stored as ranges: a claimed gap of a trillion costs no more than one of two.

use std::collections::BTreeMap;

/// A set of `u64` as disjoint inclusive ranges, by their first number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    /// Adds `first..=last`; nothing if it is empty.
    pub(crate) fn insert(&mut self, first: u64, last: u64) {
        if first > last {
            return;
        }
        let (mut first, mut last) = (first, last);
        // Whatever overlaps or touches is swallowed; it starts at or before one past `last`.
        while let Some((&start, &end)) = self.0.range(..=last.saturating_add(1)).next_back() {
            if end.saturating_add(1) < first {
                break;
            }
            self.0.remove(&start);
            first = first.min(start);
            last = last.max(end);
        }
        self.0.insert(first, last);
    }

    pub(crate) fn extend(&mut self, other: &Self) {
        for (&first, &last) in &other.0 {
            self.insert(first, last);
        }
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        self.0.range(..=number).next_back().is_some_and(|(_, &end)| end >= number)
    }

    /// The last number of the unbroken run that follows `base`; `base` itself if there is none.
    pub(crate) fn run_after(&self, base: u64) -> u64 {
        let next = base.saturating_add(1);
        match self.0.range(..=next).next_back() {
            Some((_, &end)) if end >= next => end,
            _ => base,
        }
    }

    /// The numbers of `first..=last` that are not in the set, rising.
    pub(crate) fn missing(&self, first: u64, last: u64) -> impl Iterator<Item = u64> + '_ {
        let mut from = Some(first);
        std::iter::from_fn(move || {
            let from_now = from?;
            let found = match self.0.range(..=from_now).next_back() {
                Some((_, &end)) if end >= from_now => end.checked_add(1)?,
                _ => from_now,
            };
            from = found.checked_add(1);
            (found <= last).then_some(found)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Ranges;

    #[test]
    fn agrees_with_a_plain_set() {
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..200 {
            let (mut ranges, mut plain) = (Ranges::default(), BTreeSet::new());
            for _ in 0..rng.usize(1..12) {
                let first = rng.u64(1..40);
                let last = first + rng.u64(0..6);
                ranges.insert(first, last);
                plain.extend(first..=last);
            }
            let missing: Vec<u64> = (1..=50).filter(|n| !plain.contains(n)).collect();
            assert_eq!(ranges.missing(1, 50).collect::<Vec<_>>(), missing);
            let run = (1..).take_while(|n| plain.contains(n)).last().unwrap_or(0);
            assert_eq!(ranges.run_after(0), run);
            assert!((0..=50).all(|n| ranges.contains(n) == plain.contains(&n)));
        }
    }

    #[test]
    fn the_ends_of_the_numbers_do_not_overflow() {
        let mut ranges = Ranges::default();
        ranges.insert(1, u64::MAX);
        ranges.insert(5, 3);
        assert_eq!(ranges.run_after(0), u64::MAX);
        assert_eq!(ranges.missing(1, u64::MAX).next(), None);
        assert_eq!(
            Ranges::default().missing(u64::MAX, u64::MAX).collect::<Vec<_>>(),
            vec![u64::MAX]
        );
    }
}
