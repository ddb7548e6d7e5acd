//! All subscriptions, found by the topics that match them.

use std::hash::Hash;

use super::entries::Entries;

/// Subscriptions by topic filter.
///
/// An entry is a filter and a key (who subscribes); its value is whatever the subscriber asked
/// for. To insert or remove costs the filter's own levels; to match costs the nodes that match,
/// however many filters there are. Removal frees every node that is no longer on the way to an
/// entry. Nothing recurses: the depth of a filter is the peer's choice.
///
/// Filters are taken as valid ([`super::is_valid_filter`]); of a shared subscription, the part
/// after the share name. A filter that is not valid is kept, and matches nothing it should not.
#[derive(Debug)]
pub struct Trie<K, V> {
    root: Node<K, V>,
    len: usize,
}

/// Boxed, so that a table of children stays small and moves little.
type Child<K, V> = Box<Node<K, V>>;

/// What is known below one level. `#` is no node: a filter that ends with it is an entry of the
/// node before, as it matches that level, too.
#[derive(Debug)]
struct Node<K, V> {
    literal: Entries<Box<str>, Child<K, V>>,
    plus: Option<Child<K, V>>,
    exact: Entries<K, V>,
    hash: Entries<K, V>,
}

impl<K: Eq + Hash + Clone, V> Trie<K, V> {
    /// An empty trie; allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { root: Node::new(), len: 0 }
    }

    /// The number of entries: pairs of filter and key.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Subscribes `key` to `filter`; returns the value it replaces.
    pub fn insert(&mut self, filter: &str, key: K, value: V) -> Option<V> {
        let (path, is_hash) = split_hash(filter);
        let mut node = &mut self.root;
        for level in levels(path) {
            node = node.child_or_insert(level);
        }
        let replaced = node.entries_mut(is_hash).insert(key, value);
        if replaced.is_none() {
            self.len += 1;
        }
        replaced
    }

    /// Ends the subscription of `key` to `filter`; returns its value.
    pub fn remove(&mut self, filter: &str, key: &K) -> Option<V> {
        let (path, is_hash) = split_hash(filter);
        let kept = self.levels_kept_without(path, is_hash, key)?;

        let mut node = &mut self.root;
        let mut path = levels(path);
        for level in path.by_ref().take(kept) {
            node = node.child_mut(level)?;
        }
        let value = match path.next() {
            None => node.entries_mut(is_hash).remove(key),
            Some(level) => {
                // From here on every node has one child, the next one: take the chain apart from
                // its top, so that dropping it does not recurse.
                let mut last = node.take_child(level)?;
                for level in path {
                    last = last.take_child(level)?;
                }
                last.entries_mut(is_hash).remove(key)
            }
        }?;
        self.len -= 1;
        Some(value)
    }

    /// The value of `key` at `filter`.
    #[must_use]
    pub fn get(&self, filter: &str, key: &K) -> Option<&V> {
        let (path, is_hash) = split_hash(filter);
        let mut node = &self.root;
        for level in levels(path) {
            node = node.child(level)?;
        }
        node.entries(is_hash).get(key)
    }

    /// Calls `f` for every entry whose filter matches `topic`, in no particular order; a key with
    /// several such filters comes as often. Wildcards on the first level do not match a topic
    /// that starts with `$`.
    pub fn for_each_match(&self, topic: &str, mut f: impl FnMut(&K, &V)) {
        // The nodes still to be visited, each with what is left of the topic.
        let mut waiting: Vec<(&Node<K, V>, Option<&str>)> = Vec::new();
        let mut next = Some((&self.root, Some(topic)));
        let mut wildcards = !topic.starts_with('$');
        while let Some((node, rest)) = next {
            if wildcards {
                node.hash.for_each(&mut f);
            }
            next = match rest {
                None => {
                    node.exact.for_each(&mut f);
                    None
                }
                Some(rest) => {
                    let (level, rest) = match rest.split_once('/') {
                        Some((level, rest)) => (level, Some(rest)),
                        None => (rest, None),
                    };
                    let plus = node.plus.as_deref().filter(|_| wildcards).map(|it| (it, rest));
                    let literal = node.literal.get(level).map(|child| (&**child, rest));
                    // Most topics go one way at each level: then nothing waits.
                    if literal.is_some() {
                        waiting.extend(plus);
                    }
                    literal.or(plus)
                }
            };
            next = next.or_else(|| waiting.pop());
            wildcards = true;
        }
    }

    /// Calls `f` for every entry with its filter, in no particular order.
    pub fn for_each(&self, mut f: impl FnMut(&str, &K, &V)) {
        // The nodes still to be visited: how deep, how long the path of the node before is, and
        // the level that comes after it.
        let mut waiting: Vec<(usize, usize, &str, &Node<K, V>)> = vec![(0, 0, "", &self.root)];
        let mut path = String::new();
        while let Some((depth, before, level, node)) = waiting.pop() {
            path.truncate(before);
            if depth > 1 {
                path.push('/');
            }
            path.push_str(level);
            node.exact.for_each(|key, value| f(&path, key, value));
            let length = path.len();
            if node.hash.len() > 0 {
                path.push_str(if depth > 0 { "/#" } else { "#" });
                node.hash.for_each(|key, value| f(&path, key, value));
            }
            if let Some(plus) = node.plus.as_deref() {
                waiting.push((depth + 1, length, "+", plus));
            }
            let children = &mut |level, child| waiting.push((depth + 1, length, level, child));
            node.literal.for_each(|level, child| children(level, child));
        }
    }

    /// How many levels of `path` have nodes that must stay when the entry of `key` at its end
    /// goes; `None` if there is no such entry.
    fn levels_kept_without(&self, path: Option<&str>, is_hash: bool, key: &K) -> Option<usize> {
        let mut node = &self.root;
        let mut kept = 0;
        let mut depth = 0;
        for level in levels(path) {
            if node.uses() > 1 {
                kept = depth;
            }
            node = node.child(level)?;
            depth += 1;
        }
        node.entries(is_hash).get(key)?;
        Some(if node.uses() > 1 { depth } else { kept })
    }
}

impl<K: Eq + Hash + Clone, V> Default for Trie<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> Drop for Trie<K, V> {
    /// Node by node: the derived drop would recurse as deep as the deepest filter.
    fn drop(&mut self) {
        let mut waiting = Vec::new();
        self.root.drain_children(&mut waiting);
        while let Some(mut node) = waiting.pop() {
            node.drain_children(&mut waiting);
        }
    }
}

impl<K, V> Node<K, V> {
    const fn new() -> Self {
        Self {
            literal: Entries::Few(Vec::new()),
            plus: None,
            exact: Entries::Few(Vec::new()),
            hash: Entries::Few(Vec::new()),
        }
    }

    fn drain_children(&mut self, into: &mut Vec<Child<K, V>>) {
        self.literal.drain_values(into);
        into.extend(self.plus.take());
    }

    fn child(&self, level: &str) -> Option<&Self> {
        if level == "+" {
            self.plus.as_deref()
        } else {
            self.literal.get(level).map(|child| &**child)
        }
    }

    fn child_mut(&mut self, level: &str) -> Option<&mut Self> {
        if level == "+" {
            self.plus.as_deref_mut()
        } else {
            self.literal.get_mut(level).map(|child| &mut **child)
        }
    }

    fn take_child(&mut self, level: &str) -> Option<Child<K, V>> {
        if level == "+" { self.plus.take() } else { self.literal.remove(level) }
    }
}

impl<K: Eq + Hash, V> Node<K, V> {
    fn child_or_insert(&mut self, level: &str) -> &mut Self {
        if level == "+" {
            return self.plus.get_or_insert_with(|| Box::new(Self::new()));
        }
        self.literal.get_or_insert_with(level, || Box::new(Self::new()))
    }

    fn entries(&self, is_hash: bool) -> &Entries<K, V> {
        if is_hash { &self.hash } else { &self.exact }
    }

    fn entries_mut(&mut self, is_hash: bool) -> &mut Entries<K, V> {
        if is_hash { &mut self.hash } else { &mut self.exact }
    }

    /// How many children and entries keep this node.
    fn uses(&self) -> usize {
        self.literal.len() + usize::from(self.plus.is_some()) + self.exact.len() + self.hash.len()
    }
}

/// The filter without a `#` as its last level, and whether there was one. `None`: no level is
/// left, the filter was `#`.
fn split_hash(filter: &str) -> (Option<&str>, bool) {
    if filter == "#" {
        return (None, true);
    }
    match filter.strip_suffix("/#") {
        Some(path) => (Some(path), true),
        None => (Some(filter), false),
    }
}

fn levels(path: Option<&str>) -> impl Iterator<Item = &str> {
    path.into_iter().flat_map(|path| path.split('/'))
}

#[cfg(test)]
mod tests {
    use super::Trie;

    fn found(trie: &Trie<u32, char>, topic: &str) -> String {
        let mut found = Vec::new();
        trie.for_each_match(topic, |_, &value| found.push(value));
        found.sort_unstable();
        found.into_iter().collect()
    }

    #[test]
    fn finds_what_matches() {
        let mut trie = Trie::new();
        let filters =
            [("a/b", 'A'), ("a/+", 'B'), ("a/#", 'C'), ("#", 'D'), ("+/b", 'E'), ("$SYS/#", 'F')];
        for (key, (filter, value)) in (0..).zip(filters) {
            assert_eq!(trie.insert(filter, key, value), None);
        }
        assert_eq!(trie.len(), 6);
        assert_eq!(found(&trie, "a/b"), "ABCDE");
        assert_eq!(found(&trie, "a"), "CD");
        assert_eq!(found(&trie, "a/"), "BCD");
        assert_eq!(found(&trie, "/b"), "DE");
        assert_eq!(found(&trie, "$SYS"), "F");
        assert_eq!(found(&trie, "$SYS/b"), "F");
    }

    #[test]
    fn gives_back_every_filter() {
        let mut trie = Trie::new();
        let mut filters = vec![
            "", "/", "//", "a", "a/", "/a", "a/b", "+", "#", "/#", "+/#", "a/#", "a/+/b", "a//b",
        ];
        for (key, filter) in (0..).zip(&filters) {
            trie.insert(filter, key, 'x');
            trie.insert(filter, key + 100, 'y');
        }
        let mut found = Vec::new();
        trie.for_each(|filter, &key, _| found.push((filter.to_owned(), key)));
        found.retain(|(filter, key)| filters[*key as usize % 100] == filter);
        assert_eq!(found.len(), filters.len() * 2);
        let mut all: Vec<_> = found.into_iter().map(|(filter, _)| filter).collect();
        all.sort_unstable();
        all.dedup();
        filters.sort_unstable();
        assert_eq!(all, filters);
    }

    #[test]
    fn an_entry_is_a_filter_and_a_key() {
        let mut trie = Trie::new();
        assert_eq!(trie.insert("a/#", 1, 'x'), None);
        assert_eq!(trie.insert("a/#", 2, 'y'), None);
        assert_eq!(trie.insert("a/#", 1, 'z'), Some('x'));
        assert_eq!(trie.len(), 2);
        assert_eq!(trie.remove("a", &1), None);
        assert_eq!(trie.remove("a/#", &3), None);
        assert_eq!(trie.remove("b/#", &1), None);
        assert_eq!(trie.remove("a/#", &1), Some('z'));
        assert_eq!(found(&trie, "a"), "y");
    }

    /// The longest filter has 65,536 levels; neither its removal nor the drop may recurse.
    #[test]
    fn depth_does_not_use_the_stack() {
        let slashes = "/".repeat(65_535);
        let pluses = "+/".repeat(32_767);
        let mut trie = Trie::new();
        trie.insert(&slashes, 1, 'a');
        trie.insert(&pluses, 2, 'b');
        assert_eq!(found(&trie, &slashes), "a");
        assert_eq!(found(&trie, &"x/".repeat(32_767)), "b");
        assert_eq!(trie.remove(&slashes, &1), Some('a'));
        assert_eq!(trie.remove(&pluses, &2), Some('b'));
        assert_eq!(trie.root.uses(), 0);

        trie.insert(&slashes, 1, 'a');
        trie.insert(&pluses, 2, 'b');
        drop(trie);
    }

    #[test]
    fn removal_frees_the_nodes() {
        let mut rng = fastrand::Rng::with_seed(11);
        let mut trie = Trie::new();
        let mut present = Vec::new();
        for _ in 0..5_000 {
            let levels = (0..rng.usize(1..6))
                .map(|_| *rng.choice(&["", "a", "b", "c", "+"]).unwrap_or(&"a"));
            let mut filter = levels.collect::<Vec<_>>().join("/");
            if rng.u8(..4) == 0 {
                filter.push_str("/#");
            }
            let key = rng.u32(..20);
            if trie.insert(&filter, key, 'x').is_none() {
                present.push((filter, key));
            }
        }
        rng.shuffle(&mut present);
        for (index, (filter, key)) in present.iter().enumerate() {
            assert_eq!(trie.len(), present.len() - index);
            assert_eq!(trie.remove(filter, key), Some('x'), "{filter} {key}");
            assert_eq!(trie.remove(filter, key), None, "{filter} {key}");
        }
        assert!(trie.is_empty());
        assert_eq!(trie.root.uses(), 0);
    }
}
