//! Filters, names and the trie, against definitions that are slow and short.

use std::collections::BTreeMap;

use bluetick_broker::topic::{Trie, depth, is_valid_filter, is_valid_name, matches, split_share};

use crate::input::Input;

/// What texts are made of: a byte is one of these, or itself.
const PIECES: &[&str] = &["/", "+", "#", "$", "a", "b", "\0", "é", "$share/", "g"];

/// How many pieces a text has at most.
const PIECES_MAX: usize = 12;

pub(crate) fn run(data: &[u8]) {
    let mut input = Input(data);
    let mut trie = Trie::new();
    let mut model: BTreeMap<(String, u8), u8> = BTreeMap::new();
    while let Some(what) = input.u8() {
        let text = text(&mut input, usize::from(what >> 2) % PIECES_MAX + 1);
        let (is_filter, is_name) = (is_valid_filter(&text), is_valid_name(&text));
        assert_eq!(is_filter, filter_by_definition(&text), "{text:?}");
        assert_eq!(is_name, name_by_definition(&text), "{text:?}");
        assert_eq!(depth(&text), text.split('/').count());
        // What a shared subscription filters by; the trie is given that.
        let filter = split_share(&text).map_or(&*text, |(_, filter)| filter);
        let key = what >> 5;
        match what & 3 {
            0 | 1 if is_filter => {
                let expected = model.insert((filter.to_owned(), key), what);
                assert_eq!(trie.insert(filter, key, what), expected, "{filter:?}");
            }
            2 if is_filter => {
                let expected = model.remove(&(filter.to_owned(), key));
                assert_eq!(trie.remove(filter, &key), expected, "{filter:?}");
            }
            _ if is_name => agree(&trie, &model, &text),
            _ => {}
        }
        assert_eq!(trie.len(), model.len());
    }
}

fn text(input: &mut Input<'_>, pieces: usize) -> String {
    let piece = |byte: &u8| match PIECES.get(usize::from(*byte)) {
        Some(piece) => (*piece).to_owned(),
        None => char::from(*byte).to_string(),
    };
    input.take(pieces).iter().map(piece).collect()
}

fn agree(trie: &Trie<u8, u8>, model: &BTreeMap<(String, u8), u8>, topic: &str) {
    let mut found = Vec::new();
    trie.for_each_match(topic, |key, value| found.push((*key, *value)));
    let mut expected = Vec::new();
    for ((filter, key), value) in model {
        let matching = matches_by_definition(filter, topic);
        assert_eq!(matches(filter, topic), matching, "{filter:?} {topic:?}");
        expected.extend(matching.then_some((*key, *value)));
    }
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "{topic:?}");
}

/// MQTT 5 §4.7: by levels, one after the other.
fn matches_by_definition(filter: &str, topic: &str) -> bool {
    fn levels(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            (["#"], _) | ([], []) => true,
            (["+", filter @ ..], [_, topic @ ..]) => levels(filter, topic),
            ([wanted, filter @ ..], [level, topic @ ..]) => {
                wanted == level && levels(filter, topic)
            }
            _ => false,
        }
    }
    let (filter, topic): (Vec<_>, Vec<_>) =
        (filter.split('/').collect(), topic.split('/').collect());
    let hidden = topic[0].starts_with('$') && ["+", "#"].contains(&filter[0]);
    !hidden && levels(&filter, &topic)
}

/// MQTT 5 §4.7.1, §4.7.3, §4.8.2.
fn filter_by_definition(filter: &str) -> bool {
    if let Some(shared) = filter.strip_prefix("$share/") {
        let Some(slash) = shared.find('/') else { return false };
        let (name, filter) = (&shared[..slash], &shared[slash + 1..]);
        let named = !name.is_empty() && name.chars().all(|it| !['+', '#', '\0'].contains(&it));
        return named && levels_by_definition(filter);
    }
    levels_by_definition(filter)
}

fn levels_by_definition(filter: &str) -> bool {
    let chars: Vec<char> = filter.chars().collect();
    let alone = |at: usize| {
        let before = at.checked_sub(1).is_none_or(|before| chars[before] == '/');
        before && chars.get(at + 1).is_none_or(|after| *after == '/')
    };
    let valid = |at: usize| match chars[at] {
        '\0' => false,
        '+' => alone(at),
        '#' => alone(at) && at + 1 == chars.len(),
        _ => true,
    };
    !chars.is_empty() && (0..chars.len()).all(valid)
}

fn name_by_definition(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|it| !['+', '#', '\0'].contains(&it))
}
