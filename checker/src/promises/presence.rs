//! Who is there, as it is told: no promise of its own, but *Receipts* (5) asks for truth and *Private* (6) for
//! silence.
//!
//! - Only those are told of who are ever members of one chat with whom they are told of.
//! - Of one who has certainly blocked him, a user is told what looks like somebody who was never there.
//! - When everything has settled, what a connected device was told last in its connection is true of everybody
//!   with whom its user certainly shares a chat: whether he has a connected device (no, if he has blocked the
//!   user). And the device was told of him.
//!
//! Settle no sooner than a lost connection counts as gone.

use std::collections::BTreeMap;

use super::{Check, Moment};
use crate::requests::Switch;
use crate::spans::Spans;
use crate::{Ask, Event, Promise, Violation};

/// What the devices that look were told last, of whom, in this connection; by user and client id.
#[derive(Default)]
pub(super) struct Presence<'h> {
    told: BTreeMap<(&'h str, &'h str), BTreeMap<&'h str, bool>>,
}

impl<'h> Check<'h> for Presence<'h> {
    fn observe(&mut self, moment: Moment<'_, 'h>, event: &'h Event, found: &mut Vec<Violation>) {
        match event {
            Event::Looks { user, device } => {
                self.told.entry((user, device)).or_default();
            }
            Event::Connected { user, device, session_present, .. } => {
                let key = (user.as_str(), device.as_str());
                if !session_present {
                    self.told.remove(&key);
                } else if let Some(told) = self.told.get_mut(&key) {
                    told.clear();
                }
            }
            Event::SessionEnded { user, device } => {
                self.told.remove(&(user.as_str(), device.as_str()));
            }
            Event::Presence { user, device, of, online, last_seen } => {
                let mut broken = |what: &str| {
                    let what =
                        format!("{user}/{device} was told that {of} is there or not, {what}");
                    found.push(moment.broken(Promise::Private, what));
                };
                if !shares_ever(moment, user, of) {
                    broken("with whom he never shares a chat");
                }
                let device = (user.as_str(), device.as_str());
                let state = moment.world.device(device.0, device.1);
                let since = state.map_or(0, |state| state.fresh_since());
                let hidden = blocked(moment, user, of, since) == Some(true);
                if hidden && (*online || last_seen.is_some()) {
                    broken("who has blocked him");
                }
                // A subscription's first news may come before it is granted.
                self.told.entry(device).or_default().insert(of, *online);
            }
            Event::Settled {} => self.settled(moment, found),
            _ => {}
        }
    }
}

impl Presence<'_> {
    fn settled(&self, moment: Moment<'_, '_>, found: &mut Vec<Violation>) {
        let online = |user: &str| moment.world.connected().any(|(owner, ..)| owner == user);
        let connected = |user: &str, device: &str| {
            let mut devices = moment.world.connected();
            devices.any(|(owner, name, _)| (owner, name) == (user, device))
        };
        let looking = self.told.iter().filter(|((user, device), _)| connected(user, device));
        for ((user, device), told) in looking {
            for (chat, of, _) in moment.world.members().filter(|(_, of, _)| of != user) {
                if !is_member(moment, chat, user) || !is_member(moment, chat, of) {
                    continue;
                }
                let Some(blocked) = blocked(moment, user, of, moment.at) else { continue };
                let expected = online(of) && !blocked;
                if told.get(of) != Some(&expected) {
                    let last = told.get(of).map_or("nothing", |online| match online {
                        true => "that he is there",
                        false => "that he is not there",
                    });
                    let what = format!("{user}/{device} was told {last} of {of}, last of all");
                    if found.iter().all(|one| one.what != what) {
                        found.push(moment.broken(Promise::Receipts, what));
                    }
                }
            }
        }
    }
}

/// Whether both are ever members of one chat.
fn shares_ever(moment: Moment<'_, '_>, user: &str, of: &str) -> bool {
    let index = moment.index;
    let mut chats = moment.world.members().map(|(chat, ..)| chat);
    chats.any(|chat| index.is_ever_member(chat, user) && index.is_ever_member(chat, of))
}

/// Whether he certainly is a member now, of a chat that somebody has written in.
fn is_member(moment: Moment<'_, '_>, chat: &str, user: &str) -> bool {
    let is_open = moment.index.spans(chat, user).is_none_or(Spans::is_open);
    moment.world.head(chat) > 0 && moment.world.membership(chat, user).is_some() && is_open
}

/// Whether `of` has blocked the user since event `since`; `None`: nobody knows.
fn blocked(moment: Moment<'_, '_>, user: &str, of: &str, since: usize) -> Option<bool> {
    let requests = &moment.index.requests;
    let chats = requests.all().filter_map(|request| match request.ask {
        Ask::Block { chat, .. } if request.user == of => Some(chat.as_str()),
        _ => None,
    });
    let between = chats.filter(|chat| moment.index.is_ever_member(chat, user)).min();
    let Some(chat) = between else { return Some(false) };
    requests.is_on(of, Switch::Block { chat }, since, moment.at)
}
