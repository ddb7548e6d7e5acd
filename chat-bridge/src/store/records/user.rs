//! Records of a user: sessions, settings, when he was seen, what his requests were answered.

use bincode::{Decode, Encode};
use bluetick_protocol::UserId;

use super::{decode, encode, user};
use crate::engine::{Answer, Refused, SavedSession, SavedSubscription, Seen, User};
use crate::store::kv::StoreError;

#[derive(Encode, Decode)]
struct AnswerRecord {
    at_ms: u64,
    result: Result<Vec<String>, RefusedRecord>,
}

// As with events: new ones stand at the end.
#[derive(Encode, Decode)]
enum RefusedRecord {
    NotAMember,
    Exists,
    AdminsOnly,
    OwnersOnly,
    Owner,
    LastOwner,
    TooManyMembers,
    Direct,
    TooManyEdits,
    NoReaction,
    NoDevice,
}

#[derive(Encode, Decode)]
struct UserRecord {
    name: Option<String>,
    about: Option<String>,
    picture: Option<String>,
    hides_presence: bool,
    hides_reading: bool,
}

#[derive(Encode, Decode)]
struct SeenRecord {
    at_ms: u64,
    online: bool,
}

#[derive(Encode, Decode)]
struct SessionRecord {
    epoch: u64,
    expiry_s: u32,
    disconnected_at_ms: Option<u64>,
    last_seen_ms: u64,
    client: String,
    subscriptions: Vec<SubscriptionRecord>,
}

#[derive(Encode, Decode)]
struct SubscriptionRecord {
    filter: String,
    qos: u8,
    no_local: bool,
    id: Option<u32>,
    ticks: Vec<u64>,
}

pub(in crate::store) fn encode_answer(answer: &Answer, out: &mut Vec<u8>) {
    let names = |users: &Vec<UserId>| users.iter().map(|user| user.as_str().to_owned()).collect();
    let result = answer.result.as_ref().map(names).map_err(|refused| match refused {
        Refused::NotAMember => RefusedRecord::NotAMember,
        Refused::Exists => RefusedRecord::Exists,
        Refused::AdminsOnly => RefusedRecord::AdminsOnly,
        Refused::OwnersOnly => RefusedRecord::OwnersOnly,
        Refused::Owner => RefusedRecord::Owner,
        Refused::LastOwner => RefusedRecord::LastOwner,
        Refused::TooManyMembers => RefusedRecord::TooManyMembers,
        Refused::Direct => RefusedRecord::Direct,
        Refused::TooManyEdits => RefusedRecord::TooManyEdits,
        Refused::NoReaction => RefusedRecord::NoReaction,
        Refused::NoDevice => RefusedRecord::NoDevice,
    });
    encode(&AnswerRecord { at_ms: answer.at_ms, result }, out);
}

pub(in crate::store) fn decode_answer(bytes: &[u8]) -> Result<Answer, StoreError> {
    let record: AnswerRecord = decode(bytes)?;
    let result = match record.result {
        Ok(names) => Ok(names.iter().map(|name| user(name)).collect::<Result<_, _>>()?),
        Err(RefusedRecord::NotAMember) => Err(Refused::NotAMember),
        Err(RefusedRecord::Exists) => Err(Refused::Exists),
        Err(RefusedRecord::AdminsOnly) => Err(Refused::AdminsOnly),
        Err(RefusedRecord::OwnersOnly) => Err(Refused::OwnersOnly),
        Err(RefusedRecord::Owner) => Err(Refused::Owner),
        Err(RefusedRecord::LastOwner) => Err(Refused::LastOwner),
        Err(RefusedRecord::TooManyMembers) => Err(Refused::TooManyMembers),
        Err(RefusedRecord::Direct) => Err(Refused::Direct),
        Err(RefusedRecord::TooManyEdits) => Err(Refused::TooManyEdits),
        Err(RefusedRecord::NoReaction) => Err(Refused::NoReaction),
        Err(RefusedRecord::NoDevice) => Err(Refused::NoDevice),
    };
    Ok(Answer { at_ms: record.at_ms, result })
}

pub(in crate::store) fn encode_session(session: &SavedSession, out: &mut Vec<u8>) {
    let subscriptions = session.subscriptions.iter().map(|subscription| SubscriptionRecord {
        filter: subscription.filter.to_string(),
        qos: subscription.qos,
        no_local: subscription.no_local,
        id: subscription.id,
        ticks: subscription.ticks.clone(),
    });
    let record = SessionRecord {
        epoch: session.epoch,
        expiry_s: session.expiry_s,
        disconnected_at_ms: session.disconnected_at_ms,
        last_seen_ms: session.last_seen_ms,
        client: session.client.clone(),
        subscriptions: subscriptions.collect(),
    };
    encode(&record, out);
}

pub(in crate::store) fn decode_session(bytes: &[u8]) -> Result<SavedSession, StoreError> {
    let record: SessionRecord = decode(bytes)?;
    let subscriptions = record.subscriptions.into_iter().map(|subscription| SavedSubscription {
        filter: subscription.filter.into(),
        qos: subscription.qos,
        no_local: subscription.no_local,
        id: subscription.id,
        ticks: subscription.ticks,
    });
    Ok(SavedSession {
        epoch: record.epoch,
        expiry_s: record.expiry_s,
        disconnected_at_ms: record.disconnected_at_ms,
        last_seen_ms: record.last_seen_ms,
        client: record.client,
        subscriptions: subscriptions.collect(),
    })
}

pub(in crate::store) fn encode_user(user: &User, out: &mut Vec<u8>) {
    let record = UserRecord {
        name: user.name.clone(),
        about: user.about.clone(),
        picture: user.picture.clone(),
        hides_presence: user.hides_presence,
        hides_reading: user.hides_reading,
    };
    encode(&record, out);
}

pub(in crate::store) fn decode_user(bytes: &[u8]) -> Result<User, StoreError> {
    let UserRecord { name, about, picture, hides_presence, hides_reading } = decode(bytes)?;
    Ok(User { name, about, picture, hides_presence, hides_reading })
}

pub(in crate::store) fn encode_seen(seen: Seen, out: &mut Vec<u8>) {
    encode(&SeenRecord { at_ms: seen.at_ms, online: seen.online }, out);
}

pub(in crate::store) fn decode_seen(bytes: &[u8]) -> Result<Seen, StoreError> {
    let SeenRecord { at_ms, online } = decode(bytes)?;
    Ok(Seen { at_ms, online })
}
