//! A map that is small while it holds little: a trie has many nodes with one entry each.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// Up to this many entries are searched one by one.
const FEW_MAX: usize = 8;

/// A map without order. One allocation of the exact size up to [`FEW_MAX`] entries, a hash map
/// beyond; removing entries gives memory back.
#[derive(Debug)]
pub(super) enum Entries<K, V> {
    /// At most [`FEW_MAX`].
    Few(Vec<(K, V)>),
    /// More than half of [`FEW_MAX`].
    Many(HashMap<K, V>),
}

impl<K: Eq + Hash, V> Entries<K, V> {
    pub(super) const fn new() -> Self {
        Self::Few(Vec::new())
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(list) => list.len(),
            Self::Many(map) => map.len(),
        }
    }

    pub(super) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        match self {
            Self::Few(list) => {
                list.iter().find(|entry| entry.0.borrow() == key).map(|entry| &entry.1)
            }
            Self::Many(map) => map.get(key),
        }
    }

    pub(super) fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        match self {
            Self::Few(list) => {
                list.iter_mut().find(|entry| entry.0.borrow() == key).map(|entry| &mut entry.1)
            }
            Self::Many(map) => map.get_mut(key),
        }
    }

    /// The value of `key`, made by `make` where there is none.
    pub(super) fn get_or_insert_with<Q>(&mut self, key: &Q, make: impl FnOnce() -> V) -> &mut V
    where
        K: Borrow<Q> + for<'a> From<&'a Q>,
        Q: Eq + Hash + ?Sized,
    {
        if self.get(key).is_none() {
            self.insert(K::from(key), make());
        }
        self.get_mut(key).expect("it was there or has been inserted")
    }

    /// Returns what was there under the same key.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Some(there) = self.get_mut(&key) {
            return Some(std::mem::replace(there, value));
        }
        match self {
            Self::Few(list) if list.len() < FEW_MAX => {
                list.reserve_exact(1);
                list.push((key, value));
            }
            Self::Few(list) => {
                let mut map: HashMap<K, V> = list.drain(..).collect();
                map.insert(key, value);
                *self = Self::Many(map);
            }
            Self::Many(map) => {
                map.insert(key, value);
            }
        }
        None
    }

    pub(super) fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        match self {
            Self::Few(list) => {
                let index = list.iter().position(|entry| entry.0.borrow() == key)?;
                let (_, value) = list.swap_remove(index);
                list.shrink_to_fit();
                Some(value)
            }
            Self::Many(map) => {
                let value = map.remove(key)?;
                if map.len() <= FEW_MAX / 2 {
                    *self = Self::Few(map.drain().collect());
                } else if map.len() < map.capacity() / 4 {
                    map.shrink_to(map.len() * 2);
                }
                Some(value)
            }
        }
    }

    pub(super) fn for_each<'a>(&'a self, mut f: impl FnMut(&'a K, &'a V)) {
        match self {
            Self::Few(list) => list.iter().for_each(|(key, value)| f(key, value)),
            Self::Many(map) => map.iter().for_each(|(key, value)| f(key, value)),
        }
    }

    /// Moves all values to `into`.
    pub(super) fn drain_values(&mut self, into: &mut Vec<V>) {
        match std::mem::replace(self, Self::new()) {
            Self::Few(list) => into.extend(list.into_iter().map(|(_, value)| value)),
            Self::Many(map) => into.extend(map.into_values()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{Entries, FEW_MAX};

    #[test]
    fn behaves_like_a_hash_map_while_it_grows_and_shrinks() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut entries = Entries::new();
        let mut model = HashMap::new();
        for step in 0..20_000_u32 {
            let key = rng.u8(..if step / 2_000 % 2 == 0 { 40 } else { 5 });
            if rng.bool() {
                assert_eq!(entries.insert(key, step), model.insert(key, step));
            } else {
                let key = rng.u8(..40);
                assert_eq!(entries.remove(&key), model.remove(&key));
            }
            assert_eq!(entries.len(), model.len());
            assert_eq!(entries.get(&key), model.get(&key));
            let mut sum = 0_u64;
            entries.for_each(|_, &value| sum += u64::from(value));
            assert_eq!(sum, model.values().copied().map(u64::from).sum::<u64>());
        }
    }

    #[test]
    fn gives_memory_back() {
        let mut entries = Entries::new();
        for key in 0..1_000 {
            entries.insert(key, key);
        }
        for key in 0..998 {
            entries.remove(&key);
        }
        let Entries::Few(list) = &mut entries else { panic!("two entries, and still a hash map") };
        assert!(list.capacity() <= FEW_MAX);
        entries.remove(&998);
        entries.remove(&999);
        let Entries::Few(list) = &entries else { panic!("no entry, and a hash map") };
        assert_eq!(list.capacity(), 0);
    }
}
