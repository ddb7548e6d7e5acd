//! From where to where in a chat's log a user is a member, where that changes.

use std::collections::BTreeMap;

/// The memberships of one user in one chat: first and last entry of each, rising; the last may be open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spans {
    memberships: Vec<(u64, Option<u64>)>,
    joins: usize,
    ends: usize,
}

impl Spans {
    /// What the log's entries make of it: by place, whether he joins there or goes. `from_start`: he was a
    /// member before the first of them.
    pub(crate) fn new(from_start: bool, changes: &BTreeMap<u64, bool>) -> Self {
        // Who goes first was there before, even if nobody said so.
        let goes_first = changes.values().next() == Some(&false);
        let mut open = (from_start || goes_first).then_some(1);
        let mut spans = Vec::new();
        for (&seq, &joins) in changes {
            if joins {
                open.get_or_insert(seq);
            } else if let Some(first) = open.take() {
                spans.push((first, Some(seq)));
            }
        }
        spans.extend(open.map(|first| (first, None)));
        let joins = changes.values().filter(|joins| **joins).count();
        Self { memberships: spans, joins, ends: changes.len() - joins }
    }

    /// How many entries make him a member (`joins`), or end that.
    pub(crate) fn changes(&self, joins: bool) -> usize {
        if joins { self.joins } else { self.ends }
    }

    /// Whether he is entitled to the entry at `seq`.
    pub(crate) fn contains(&self, seq: u64) -> bool {
        self.memberships
            .iter()
            .any(|(first, last)| *first <= seq && last.is_none_or(|last| seq <= last))
    }

    /// Whether he is a member at the end of the log.
    pub(crate) fn is_open(&self) -> bool {
        self.memberships.last().is_some_and(|(_, last)| last.is_none())
    }

    /// The last entry that he is ever entitled to; `None` while he is a member.
    pub(crate) fn last(&self) -> Option<u64> {
        self.memberships.last().and_then(|(_, last)| *last)
    }

    /// The last entry before his first membership.
    pub(crate) fn before(&self) -> u64 {
        self.memberships.first().map_or(0, |(first, _)| first.saturating_sub(1))
    }

    /// The end of the last membership that ended before `seq`.
    pub(crate) fn ended_before(&self, seq: u64) -> Option<u64> {
        self.memberships.iter().filter_map(|(_, last)| *last).rfind(|last| *last < seq)
    }

    /// What he is not entitled to, as inclusive ranges.
    pub(crate) fn gaps(&self) -> impl Iterator<Item = (u64, u64)> {
        let firsts = self.memberships.iter().map(|(first, _)| first.saturating_sub(1));
        let lasts =
            self.memberships.iter().map(|(_, last)| last.map(|last| last.saturating_add(1)));
        let starts = std::iter::once(Some(1)).chain(lasts);
        let ends = firsts.chain([u64::MAX]);
        starts.zip(ends).filter_map(|(start, end)| Some((start?, end)))
    }
}

#[cfg(test)]
mod tests {
    use super::Spans;

    fn spans(from_start: bool, changes: &[(u64, bool)]) -> Spans {
        Spans::new(from_start, &changes.iter().copied().collect())
    }

    #[test]
    fn a_member_may_go_and_come_back() {
        let spans = spans(true, &[(4, false), (7, true), (9, false)]);
        let entitled: Vec<u64> = (1..12).filter(|seq| spans.contains(*seq)).collect();
        assert_eq!(entitled, [1, 2, 3, 4, 7, 8, 9]);
        let gaps: Vec<_> = spans.gaps().filter(|(first, last)| first <= last).collect();
        assert_eq!(gaps, [(5, 6), (10, u64::MAX)]);
        assert!(!spans.is_open());
        assert_eq!((spans.ended_before(6), spans.last()), (Some(4), Some(9)));
    }

    #[test]
    fn a_stranger_may_join() {
        let spans = spans(false, &[(5, true)]);
        assert!(spans.is_open() && spans.contains(5) && !spans.contains(4));
        assert_eq!((spans.before(), spans.ended_before(4)), (4, None));
        let gaps: Vec<_> = spans.gaps().filter(|(first, last)| first <= last).collect();
        assert_eq!(gaps, [(1, 4)]);
    }
}
