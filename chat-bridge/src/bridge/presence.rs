//! A session's part in who is there: it is there itself, and it may look at others.

use std::sync::Arc;

use bluetick_broker::host::Ended;
use bluetick_broker::packet::Reason;
use bluetick_protocol::UserId;

use super::Shared;
use super::looker::{Again, Looker, shares_chat};
use super::people::{Known, OnlineDevice, Person};
use super::session::Inner;
use crate::engine::{Command, Seen};
use crate::store::StoreError;

impl Shared {
    /// A user, taken into mind if he is not. Reads from the store: blocks.
    pub(super) fn person(&self, user: &UserId) -> Result<Arc<Person>, StoreError> {
        let no = self.of_user(user).no();
        self.people.get_or_read(user, || {
            let store = self.store();
            Ok(Known {
                settings: store.user(no, user)?,
                seen_ms: store.seen(no, user)?.map(|seen| self.seen_ms(no, seen)),
                stored_bytes: store.stored(no, user)?,
            })
        })
    }

    fn store_seen(&self, user: &UserId, seen: Option<Seen>) {
        if let Some(seen) = seen {
            let command = Command::Seen { user: user.clone(), seen };
            self.of_user(user).submit(command, self.now_ms(), None);
        }
    }
}

impl Inner {
    /// The device is there.
    pub(super) fn arrive(&self, person: &Arc<Person>) {
        let device = OnlineDevice { device: self.key.device.clone(), client: self.client.clone() };
        let seen = self.shared.people.arrive(person, device, self.shared.now_ms());
        self.shared.store_seen(&self.key.user, seen);
    }

    /// The device is gone, and looks at nobody any more.
    pub(super) fn depart(&self, ended: Ended) {
        if let Some(person) = self.person.get() {
            let now = self.shared.now_ms();
            let seen = self.shared.people.depart(person, &self.key.device, ended, now);
            self.shared.store_seen(&self.key.user, seen);
        }
        if let Some(looker) = self.looker.get() {
            let (looker, shared) = (looker.clone(), self.shared.clone());
            self.shared.reads.run(Box::new(move || looker.end(&shared)));
        }
    }

    /// Has the session look at a user, or at all with whom its user shares a chat; it is told of
    /// nobody before [`Inner::show`]. A subscription that is new (`fresh`) to one with whom he
    /// shares no chat is refused; one from before waits until he does. Reads from the store: blocks.
    pub(super) fn look(self: &Arc<Self>, user: Option<&UserId>, fresh: bool) -> Result<(), Reason> {
        let shared = &self.shared;
        if let Some(user) = user.filter(|_| fresh) {
            let shares = shares_chat(shared, &self.key.user, user);
            if !shares.map_err(|_| Reason::UNSPECIFIED)? {
                return Err(Reason::NOT_AUTHORIZED);
            }
        }
        let person = self.person.get().ok_or(Reason::UNSPECIFIED)?;
        let looker = self.looker.get_or_init(|| Looker::new(self.line.clone(), person.clone()));
        looker.want(user.cloned(), true);
        for partition in shared.pipeline.partitions() {
            if let Some(device) = self.device(partition.no()) {
                partition.watch_members(device, true);
            }
        }
        Ok(())
    }

    /// Tells the session of those it has begun to look at.
    pub(super) fn show(self: &Arc<Self>, again: Again) {
        if let Some(looker) = self.looker.get() {
            looker.show(&self.shared, again);
        }
    }

    /// The session does not look at a user any more, or at all with whom its user shares a chat.
    pub(super) fn look_away(self: &Arc<Self>, user: Option<UserId>) {
        let Some(looker) = self.looker.get() else { return };
        if !looker.want(user, false) {
            for partition in self.shared.pipeline.partitions() {
                if let Some(device) = self.device(partition.no()) {
                    partition.watch_members(device, false);
                }
            }
        }
        self.show(Again::Nobody);
    }

    /// Somebody has joined or left a chat of its user's, or a direct chat has begun.
    pub(super) fn look_again(self: &Arc<Self>) {
        if self.looker.get().is_some_and(|looker| looker.set_stale()) {
            self.show(Again::Nobody);
        }
    }
}
