//! A map by two names that is looked up with names of any lifetime (a map by tuples is not).

use std::collections::BTreeMap;

/// Values by a pair of names, in their order.
#[derive(Debug)]
pub(crate) struct Pairs<'h, T>(BTreeMap<&'h str, BTreeMap<&'h str, T>>);

impl<T> Default for Pairs<'_, T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<'h, T> Pairs<'h, T> {
    pub(crate) fn get(&self, first: &str, second: &str) -> Option<&T> {
        self.0.get(first)?.get(second)
    }

    /// The pairs with this first name, as (second name, value).
    pub(crate) fn with_first(&self, first: &str) -> impl Iterator<Item = (&'h str, &T)> {
        self.0.get(first).into_iter().flatten().map(|(second, value)| (*second, value))
    }

    pub(crate) fn with_first_mut(&mut self, first: &str) -> impl Iterator<Item = &mut T> {
        self.0.get_mut(first).into_iter().flat_map(BTreeMap::values_mut)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'h str, &'h str, &T)> {
        self.0.iter().flat_map(|(first, seconds)| {
            seconds.iter().map(|(second, value)| (*first, *second, value))
        })
    }

    pub(crate) fn or_insert(&mut self, first: &'h str, second: &'h str, value: T) -> &mut T {
        self.0.entry(first).or_default().entry(second).or_insert(value)
    }

    pub(crate) fn or_default(&mut self, first: &'h str, second: &'h str) -> &mut T
    where
        T: Default,
    {
        self.0.entry(first).or_default().entry(second).or_default()
    }
}
