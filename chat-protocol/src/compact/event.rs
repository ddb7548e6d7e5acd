//! What happened in a group, as a map inside the message's.

use super::cbor::{Reader, Seen, write_map, write_number, write_text, write_users};
use super::error::Error;
use crate::names::UserId;
use crate::payload::Event;

const KIND: u8 = 0;
const MEMBERS: u8 = 1;
const TITLE: u8 = 2;

const CREATED: u64 = 0;
const ADDED: u64 = 1;
const REMOVED: u64 = 2;
const LEFT: u64 = 3;

const KIND_LABEL: &str = "the event's 'kind' (key 0)";
const MEMBERS_LABEL: &str = "the event's 'members' (key 1)";
const TITLE_LABEL: &str = "the event's 'title' (key 2)";

pub(super) fn write_event(out: &mut Vec<u8>, event: &Event) {
    let (kind, members, title) = match event {
        Event::Created { members, title } => (CREATED, Some(members), title.as_deref()),
        Event::Added { members } => (ADDED, Some(members), None),
        Event::Removed { members } => (REMOVED, Some(members), None),
        Event::Left => (LEFT, None, None),
    };
    write_map(out, |map| {
        write_number(map.key(KIND), kind);
        if let Some(members) = members {
            write_users(map.key(MEMBERS), members);
        }
        if let Some(title) = title {
            write_text(map.key(TITLE), title);
        }
    });
}

/// `None` for a kind of which this version has not heard: the entry has its place all the same.
pub(super) fn read_event(reader: &mut Reader<'_>) -> Result<Option<Event>, Error> {
    let entries = reader.map("'event' (key 16)")?;
    let (mut kind, mut members, mut title, mut seen) = (None, None, None, Seen::default());
    for _ in 0..entries {
        let Some(key) = reader.key_or_skip(&mut seen)? else { continue };
        // The kind comes first, as keys rise. One to come may give the other keys other values.
        let is_known = kind.is_none_or(|kind| kind <= LEFT);
        match u8::try_from(key) {
            Ok(KIND) => kind = Some(reader.number(KIND_LABEL)?),
            Ok(MEMBERS) if is_known => members = Some(read_members(reader)?),
            Ok(TITLE) if is_known => title = Some(reader.text(TITLE_LABEL)?.to_owned()),
            _ => reader.skip()?,
        }
    }
    let missing = |what: &str| Error::Missing { what: what.to_owned() };
    let members = members.ok_or_else(|| missing(MEMBERS_LABEL));
    Ok(match kind.ok_or_else(|| missing(KIND_LABEL))? {
        CREATED => Some(Event::Created { members: members?, title }),
        ADDED => Some(Event::Added { members: members? }),
        REMOVED => Some(Event::Removed { members: members? }),
        LEFT => Some(Event::Left),
        _ => None,
    })
}

fn read_members(reader: &mut Reader<'_>) -> Result<Vec<UserId>, Error> {
    let count = reader.array(MEMBERS_LABEL)?;
    (0..count).map(|_| reader.user(MEMBERS_LABEL)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Option<Event>, Error> {
        let mut reader = Reader::new(bytes);
        let event = read_event(&mut reader)?;
        reader.finish().map(|()| event)
    }

    #[test]
    fn come_back() {
        let members: Vec<UserId> =
            ["bob", "carol"].map(|name| UserId::try_from(name).expect("a user")).into();
        let title = Some("Run".to_owned());
        let list = b"\x01\x82\x63bob\x65carol".as_slice();
        for (event, bytes) in [
            (
                Event::Created { members: members.clone(), title },
                [b"\xa3\x00\x00", list, b"\x02\x63Run"].concat(),
            ),
            (
                Event::Created { members: vec![], title: None },
                b"\xa2\x00\x00\x01\x80".as_slice().to_vec(),
            ),
            (Event::Added { members: members.clone() }, [b"\xa2\x00\x01", list].concat()),
            (Event::Removed { members }, [b"\xa2\x00\x02", list].concat()),
            (Event::Left, b"\xa1\x00\x03".to_vec()),
        ] {
            let mut out = Vec::new();
            write_event(&mut out, &event);
            assert_eq!(out, bytes, "{event:?}");
            assert_eq!(read(&bytes), Ok(Some(event)));
        }
    }

    #[test]
    fn an_unknown_kind_is_passed_over_and_a_malformed_one_is_not() {
        assert_eq!(read(b"\xa2\x00\x04\x01\x63bob"), Ok(None), "members that are none");
        assert_eq!(read(b"\xa2\x00\x03\x09\xf5"), Ok(Some(Event::Left)), "a key to come");
        for bad in [&b"\xa0"[..], b"\xa1\x00\x01", b"\xa1\x00\x63add", b"\x03", b"\xbf\x00\x03\xff"]
        {
            assert!(read(bad).is_err(), "{bad:x?}");
        }
        let error = read(b"\xa2\x00\x01\x01\x81\x63Bob").expect_err("upper case").to_string();
        assert!(error.contains("members") && error.contains("a-z"), "{error}");
    }
}
