//! What happened in a group, as a map inside the message's.

use super::cbor::{
    MapWriter, Reader, Seen, write_bool, write_map, write_number, write_text, write_users,
};
use super::error::Error;
use crate::names::UserId;
use crate::payload::Event;
use crate::role::Role;

const KIND: u8 = 0;
const MEMBERS: u8 = 1;
const TITLE: u8 = 2;
const DESCRIPTION: u8 = 3;
const PICTURE: u8 = 4;
const ADMINS_ONLY: u8 = 5;
const TTL_S: u8 = 6;
const USER: u8 = 7;
const ROLE: u8 = 8;

const CREATED: u64 = 0;
const ADDED: u64 = 1;
const REMOVED: u64 = 2;
const LEFT: u64 = 3;
const ROLE_SET: u64 = 4;
const UPDATED: u64 = 5;

/// Their places are their numbers.
const ROLES: [Role; 3] = [Role::Owner, Role::Admin, Role::Member];

const KIND_LABEL: &str = "the event's 'kind' (key 0)";
const MEMBERS_LABEL: &str = "the event's 'members' (key 1)";
const TITLE_LABEL: &str = "the event's 'title' (key 2)";
const DESCRIPTION_LABEL: &str = "the event's 'description' (key 3)";
const PICTURE_LABEL: &str = "the event's 'picture' (key 4)";
const ADMINS_ONLY_LABEL: &str = "the event's 'admins_only' (key 5)";
const TTL_LABEL: &str = "the event's 'ttl_s' (key 6)";
const USER_LABEL: &str = "the event's 'user' (key 7)";
const ROLE_LABEL: &str = "the event's 'role' (key 8)";

pub(super) fn write_event(out: &mut Vec<u8>, event: &Event) {
    write_map(out, |map| match event {
        Event::Created { members, title } => {
            write_number(map.key(KIND), CREATED);
            write_users(map.key(MEMBERS), members);
            write_maybe_text(map, TITLE, title.as_deref());
        }
        Event::Added { members } => {
            write_number(map.key(KIND), ADDED);
            write_users(map.key(MEMBERS), members);
        }
        Event::Removed { members } => {
            write_number(map.key(KIND), REMOVED);
            write_users(map.key(MEMBERS), members);
        }
        Event::Left => write_number(map.key(KIND), LEFT),
        Event::Role { user, role } => {
            write_number(map.key(KIND), ROLE_SET);
            write_text(map.key(USER), user.as_str());
            let number = ROLES.iter().zip(0..).find(|(had, _)| *had == role);
            write_number(map.key(ROLE), number.map_or(0, |(_, number)| number));
        }
        Event::Updated { title, description, picture, admins_only, ttl_s } => {
            write_number(map.key(KIND), UPDATED);
            write_maybe_text(map, TITLE, title.as_deref());
            write_maybe_text(map, DESCRIPTION, description.as_deref());
            write_maybe_text(map, PICTURE, picture.as_deref());
            if let Some(admins_only) = admins_only {
                write_bool(map.key(ADMINS_ONLY), *admins_only);
            }
            if let Some(ttl_s) = ttl_s {
                write_number(map.key(TTL_S), u64::from(*ttl_s));
            }
        }
    });
}

fn write_maybe_text(map: &mut MapWriter<'_>, key: u8, text: Option<&str>) {
    if let Some(text) = text {
        write_text(map.key(key), text);
    }
}

/// What the map had, whatever its kind needs.
#[derive(Default)]
struct Fields {
    members: Option<Vec<UserId>>,
    title: Option<String>,
    description: Option<String>,
    picture: Option<String>,
    admins_only: Option<bool>,
    ttl_s: Option<u32>,
    user: Option<UserId>,
    role: Option<Role>,
}

/// `None` for a kind of which this version has not heard: the entry has its place all the same.
pub(super) fn read_event(reader: &mut Reader<'_>) -> Result<Option<Event>, Error> {
    let entries = reader.map("'event' (key 16)")?;
    let (mut kind, mut fields, mut seen) = (None, Fields::default(), Seen::default());
    for _ in 0..entries {
        let Some(key) = reader.key_or_skip(&mut seen)? else { continue };
        // The kind comes first, as keys rise. One to come may give the other keys other values.
        let is_known = kind.is_none_or(|kind| kind <= UPDATED);
        match u8::try_from(key) {
            Ok(KIND) => kind = Some(reader.number(KIND_LABEL)?),
            Ok(key) if is_known => fields.read(key, reader)?,
            _ => reader.skip()?,
        }
    }
    let missing = |what: &str| Error::Missing { what: what.to_owned() };
    let members = fields.members.ok_or_else(|| missing(MEMBERS_LABEL));
    Ok(match kind.ok_or_else(|| missing(KIND_LABEL))? {
        CREATED => Some(Event::Created { members: members?, title: fields.title }),
        ADDED => Some(Event::Added { members: members? }),
        REMOVED => Some(Event::Removed { members: members? }),
        LEFT => Some(Event::Left),
        ROLE_SET => Some(Event::Role {
            user: fields.user.ok_or_else(|| missing(USER_LABEL))?,
            role: fields.role.ok_or_else(|| missing(ROLE_LABEL))?,
        }),
        UPDATED => Some(Event::Updated {
            title: fields.title,
            description: fields.description,
            picture: fields.picture,
            admins_only: fields.admins_only,
            ttl_s: fields.ttl_s,
        }),
        _ => None,
    })
}

impl Fields {
    fn read(&mut self, key: u8, reader: &mut Reader<'_>) -> Result<(), Error> {
        let text = |reader: &mut Reader<'_>, label| reader.text(label).map(|t| Some(t.to_owned()));
        match key {
            MEMBERS => self.members = Some(read_members(reader)?),
            TITLE => self.title = text(reader, TITLE_LABEL)?,
            DESCRIPTION => self.description = text(reader, DESCRIPTION_LABEL)?,
            PICTURE => self.picture = text(reader, PICTURE_LABEL)?,
            ADMINS_ONLY => self.admins_only = Some(reader.bool(ADMINS_ONLY_LABEL)?),
            TTL_S => {
                let ttl_s = reader.number(TTL_LABEL)?;
                self.ttl_s = Some(u32::try_from(ttl_s).unwrap_or(u32::MAX));
            }
            USER => self.user = Some(reader.user(USER_LABEL)?),
            ROLE => {
                let number = reader.number(ROLE_LABEL)?;
                let role = usize::try_from(number).ok().and_then(|number| ROLES.get(number));
                // One of which this version has not heard is at least a member.
                self.role = Some(role.copied().unwrap_or(Role::Member));
            }
            _ => reader.skip()?,
        }
        Ok(())
    }
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
            (
                Event::Role { user: UserId::try_from("bob").expect("a user"), role: Role::Admin },
                b"\xa3\x00\x04\x07\x63bob\x08\x01".to_vec(),
            ),
            (
                Event::Updated {
                    title: Some("Run".to_owned()),
                    description: None,
                    picture: None,
                    admins_only: Some(true),
                    ttl_s: Some(300),
                },
                b"\xa4\x00\x05\x02\x63Run\x05\xf5\x06\x19\x01\x2c".to_vec(),
            ),
        ] {
            let mut out = Vec::new();
            write_event(&mut out, &event);
            assert_eq!(out, bytes, "{event:?}");
            assert_eq!(read(&bytes), Ok(Some(event)));
        }
    }

    #[test]
    fn an_unknown_kind_is_passed_over_and_a_malformed_one_is_not() {
        assert_eq!(read(b"\xa2\x00\x06\x01\x63bob"), Ok(None), "members that are none");
        assert_eq!(read(b"\xa2\x00\x03\x09\xf5"), Ok(Some(Event::Left)), "a key to come");
        for bad in [&b"\xa0"[..], b"\xa1\x00\x01", b"\xa1\x00\x63add", b"\x03", b"\xbf\x00\x03\xff"]
        {
            assert!(read(bad).is_err(), "{bad:x?}");
        }
        let error = read(b"\xa2\x00\x01\x01\x81\x63Bob").expect_err("upper case").to_string();
        assert!(error.contains("members") && error.contains("a-z"), "{error}");
    }
}
