//! A session that looks at who is there: at users it names, or at all with whom its user shares a
//! chat.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use bluetick_broker::host::HostEvent;
use bluetick_broker::mailbox::Line;
use bluetick_broker::packet::Reason;
use bluetick_protocol::{ChatId, UserId};
use parking_lot::Mutex;

use super::Shared;
use super::people::Person;
use crate::store::StoreError;

/// A session that looks at others.
pub(super) struct Looker {
    pub(super) line: Line,
    /// Whose session it is.
    pub(super) me: Arc<Person>,
    wanted: Mutex<Wanted>,
    /// At whom it looks. Held while that is changed: by one reader at a time.
    watched: Mutex<BTreeSet<UserId>>,
    /// How often its user's chats have changed.
    changes: AtomicU32,
    /// How many of those changes it was found out for who is in them; behind, it is told of nobody.
    looked_into: AtomicU32,
    /// Something happened meanwhile that it may have to be told.
    missed: AtomicBool,
}

/// Of whom it is told although it was before.
pub(super) enum Again {
    /// Of nobody.
    Nobody,
    /// Of everybody.
    Everybody,
    /// Of one.
    One(UserId),
}

impl Again {
    fn is_for(&self, user: &UserId) -> bool {
        match self {
            Self::Nobody => false,
            Self::Everybody => true,
            Self::One(one) => one == user,
        }
    }
}

/// What it has subscribed to.
#[derive(Default)]
struct Wanted {
    all: bool,
    named: BTreeSet<UserId>,
}

impl Looker {
    pub(super) fn new(line: Line, me: Arc<Person>) -> Arc<Self> {
        Arc::new(Self {
            line,
            me,
            wanted: Mutex::default(),
            watched: Mutex::default(),
            changes: AtomicU32::new(0),
            looked_into: AtomicU32::new(0),
            missed: AtomicBool::new(false),
        })
    }

    /// It wants to look at a user, or at all (`None`), or no longer. Gives whether it looks at
    /// anybody.
    pub(super) fn want(&self, user: Option<UserId>, wants: bool) -> bool {
        let mut wanted = self.wanted.lock();
        match user {
            None => wanted.all = wants,
            Some(user) if wants => {
                wanted.named.insert(user);
            }
            Some(user) => {
                wanted.named.remove(&user);
            }
        }
        wanted.all || !wanted.named.is_empty()
    }

    /// Notes that its user's chats have changed; `true`: nobody else looks into it yet.
    pub(super) fn set_stale(&self) -> bool {
        let before = self.changes.fetch_add(1, Ordering::SeqCst);
        before == self.looked_into.load(Ordering::SeqCst)
    }

    /// Whether it may be told of whom it looks at. If not, who that may still be is being found out,
    /// and it is told after.
    pub(super) fn is_fresh(&self) -> bool {
        if !self.has_looked_into_all() {
            self.missed.store(true, Ordering::SeqCst);
            // It may have been found out right now, before that was noted.
            return self.has_looked_into_all();
        }
        true
    }

    fn has_looked_into_all(&self) -> bool {
        self.looked_into.load(Ordering::SeqCst) == self.changes.load(Ordering::SeqCst)
    }

    /// Has [`Looker::refresh`] done where blocking is allowed.
    pub(super) fn show(self: &Arc<Self>, shared: &Arc<Shared>, again: Again) {
        let (looker, of) = (self.clone(), shared.clone());
        shared.reads.run(Box::new(move || {
            if let Err(error) = looker.refresh(&of, again) {
                tracing::error!(%error, "the store cannot be read");
                // Whom it may look at is not known any more: it is to connect anew.
                looker.line.host(HostEvent::Close(Reason::SERVER_UNAVAILABLE));
            }
        }));
    }

    /// Looks at whom it may, of those it wants to, and is told of who is new among them; also of
    /// those it looked at already, if they are asked for again. Reads from the store: blocks.
    fn refresh(self: &Arc<Self>, shared: &Shared, again: Again) -> Result<(), StoreError> {
        let mut watched = self.watched.lock();
        let mut again = again;
        loop {
            self.look_into(shared, again, &mut watched)?;
            // What has changed meanwhile nobody else looks into.
            if self.has_looked_into_all() {
                break;
            }
            again = Again::Nobody;
        }
        self.me.looks(self, !watched.is_empty());
        Ok(())
    }

    fn look_into(
        self: &Arc<Self>,
        shared: &Shared,
        again: Again,
        watched: &mut BTreeSet<UserId>,
    ) -> Result<(), StoreError> {
        let changes = self.changes.load(Ordering::SeqCst);
        let (all, named) = {
            let wanted = self.wanted.lock();
            (wanted.all, wanted.named.clone())
        };
        let mut may = if all { contacts(shared, &self.me.user)? } else { BTreeSet::new() };
        for user in named {
            if may.contains(&user) || shares_chat(shared, &self.me.user, &user)? {
                may.insert(user);
            }
        }
        watched.retain(|user| {
            let keeps = may.contains(user);
            if !keeps {
                shared.people.unwatch(user, self);
            }
            keeps
        });
        // Not before: what those do who have left is not to be seen any more.
        self.looked_into.store(changes, Ordering::SeqCst);
        let missed = self.missed.swap(false, Ordering::SeqCst);
        let again = if missed { Again::Everybody } else { again };
        for user in may {
            if watched.contains(&user) {
                if again.is_for(&user)
                    && let Some(person) = shared.people.get(&user)
                {
                    person.tell_again(self);
                }
            } else {
                let person = shared.person(&user)?;
                person.watch(self);
                let blocked = has_blocked(shared, &user, &self.me.user)?;
                person.watched(self, blocked);
                watched.insert(user);
            }
        }
        Ok(())
    }

    /// The session ends. May wait for a reader that is just looking into it.
    pub(super) fn end(self: &Arc<Self>, shared: &Shared) {
        *self.wanted.lock() = Wanted::default();
        for user in std::mem::take(&mut *self.watched.lock()) {
            shared.people.unwatch(&user, self);
        }
        self.me.looks(self, false);
    }
}

/// All with whom a user shares a chat.
fn contacts(shared: &Shared, user: &UserId) -> Result<BTreeSet<UserId>, StoreError> {
    let mut contacts = BTreeSet::new();
    let store = shared.store();
    for partition in shared.pipeline.partitions() {
        for no in store.chats_of_user(partition.no(), user)? {
            let Some(chat) = store.chat(partition.no(), no)? else { continue };
            if !chat.has_begun() || chat.active_index(user).is_none() {
                continue;
            }
            let others = chat.members.into_iter().filter(|member| member.is_active());
            contacts.extend(others.map(|member| member.user).filter(|other| other != user));
        }
    }
    Ok(contacts)
}

/// Whether two users are members of one chat.
pub(super) fn shares_chat(shared: &Shared, a: &UserId, b: &UserId) -> Result<bool, StoreError> {
    let store = shared.store();
    for partition in shared.pipeline.partitions() {
        let no = partition.no();
        let of_a: BTreeSet<_> = store.chats_of_user(no, a)?.into_iter().collect();
        for chat in store.chats_of_user(no, b)?.into_iter().filter(|chat| of_a.contains(chat)) {
            let Some(chat) = store.chat(no, chat)? else { continue };
            let both = [a, b].iter().all(|user| chat.active_index(user).is_some());
            if both && chat.has_begun() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether `by` has blocked `user`.
fn has_blocked(shared: &Shared, by: &UserId, user: &UserId) -> Result<bool, StoreError> {
    let id = ChatId::direct(by, user);
    let chat = shared.store().chat_by_name(shared.of_chat(&id).no(), &id)?;
    Ok(chat.is_some_and(|chat| {
        chat.members.iter().any(|member| member.user == *by && member.blocks.is_some())
    }))
}
