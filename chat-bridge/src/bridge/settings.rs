//! Requests about oneself: whom one has blocked, what one has muted, one's profile, privacy and
//! devices.

use std::sync::Arc;

use bluetick_broker::host::{HostEvent, SessionKey as BrokerKey};
use bluetick_broker::packet::Reason;
use bluetick_protocol::ChatId;
use bluetick_protocol::rpc::{
    self, DeviceInfo, Devices, LastSeen, OfUser, Profile, RpcError, SetPrivacy, SetProfile,
};

use super::looker::{Again, shares_chat};
use super::queries::{Answer, Failed};
use super::rpc::{Call, answer, stranger};
use super::session::Inner;
use crate::engine::{
    ChangeUser, Command, DeviceId, Outcome, Prefer, Preference, RequestKey, SessionKey, User,
    UserChange,
};
use crate::partition::Unavailable;

impl Inner {
    pub(super) fn prefer(
        self: &Arc<Self>,
        call: Call,
        request: RequestKey,
        chat: ChatId,
        preference: Preference,
    ) {
        let peer_exists = match chat.direct_members() {
            Some((a, b)) => {
                let other = if a == self.key.user { b } else { a };
                other != self.key.user && self.shared.directory.exists(&other)
            }
            None => false,
        };
        let command =
            Command::Prefer(Prefer { request, chat: chat.clone(), peer_exists, preference });
        let inner = self.clone();
        let named = chat.clone();
        let reply = move |outcome: Result<Outcome, Unavailable>| match outcome {
            Ok(outcome) => {
                if let (Outcome::Preferred { repeated: false }, Preference::Block(blocked)) =
                    (&outcome, preference)
                {
                    inner.blocked(&named, blocked);
                }
                inner.reply(&call, answer(&named, outcome, false));
            }
            Err(Unavailable) => inner.line.host(HostEvent::Close(Reason::SERVER_UNAVAILABLE)),
        };
        let now = self.shared.now_ms();
        self.shared.of_chat(&chat).submit(command, now, Some(Box::new(reply)));
    }

    /// The other one of a direct chat is told the presence of this user no longer, or again.
    fn blocked(&self, chat: &ChatId, blocked: bool) {
        let me = &self.key.user;
        if let (Some((a, b)), Some(person)) = (chat.direct_members(), self.person.get()) {
            person.set_blocked(if a == *me { &b } else { &a }, blocked);
        }
    }

    /// `users.profile`: of oneself, and of those with whom one shares a chat.
    pub(super) fn profile(&self, of: &OfUser) -> Answer {
        let (me, shared) = (&self.key.user, &self.shared);
        if of.user != *me && !shares_chat(shared, me, &of.user)? {
            return Err(Failed::Refused(stranger()));
        }
        let User { name, about, picture, .. } =
            shared.store().user(shared.of_user(&of.user).no(), &of.user)?;
        Ok(rpc::answer_ok(&Profile { name, about, picture }))
    }

    pub(super) fn set_profile(self: &Arc<Self>, call: Call, request: RequestKey, set: SetProfile) {
        let SetProfile { name, about, picture } = set;
        let change = UserChange::Profile { name, about, picture };
        self.change_user(call, request, change, |_, _| ());
    }

    pub(super) fn set_privacy(self: &Arc<Self>, call: Call, request: RequestKey, set: SetPrivacy) {
        let change = UserChange::Privacy {
            hides_presence: set.last_seen.map(|seen| seen == LastSeen::Nobody),
            hides_reading: set.receipts.map(|receipts| !receipts),
        };
        self.change_user(call, request, change, |inner, user| inner.privacy_changed(user));
    }

    fn privacy_changed(&self, user: &User) {
        for partition in self.shared.pipeline.partitions() {
            partition.set_reads(&self.key.user, !user.hides_reading);
        }
        let Some(person) = self.person.get() else { return };
        for looker in person.set(user) {
            looker.show(&self.shared, Again::Everybody);
        }
    }

    fn change_user(
        self: &Arc<Self>,
        call: Call,
        request: RequestKey,
        change: UserChange,
        then: impl FnOnce(&Arc<Self>, &User) + Send + 'static,
    ) {
        let inner = self.clone();
        let reply = move |outcome: Result<Outcome, Unavailable>| match outcome {
            Ok(Outcome::UserChanged { user, repeated }) => {
                inner.reply(&call, rpc::answer_ok(&rpc::Empty {}));
                if !repeated {
                    then(&inner, &user);
                }
            }
            Ok(_) => {
                let text = "there is no such device";
                inner.reply(&call, RpcError::new(RpcError::NOT_AUTHORIZED, text).to_json());
            }
            Err(Unavailable) => inner.line.host(HostEvent::Close(Reason::SERVER_UNAVAILABLE)),
        };
        let command = Command::ChangeUser(Box::new(ChangeUser { request, change }));
        let now = self.shared.now_ms();
        self.shared.of_user(&self.key.user).submit(command, now, Some(Box::new(reply)));
    }

    /// `devices.list`: those that are connected, and those whose session waits for them.
    pub(super) fn devices(&self) -> Answer {
        let user = &self.key.user;
        let partition = self.shared.of_user(user).no();
        let online = self.person.get().map(|person| person.devices()).unwrap_or_default();
        let mut devices: Vec<DeviceInfo> = online
            .into_iter()
            .map(|device| DeviceInfo {
                device: device.device.to_string(),
                online: true,
                last_seen_ms: None,
                client: Some(device.client.to_string()),
            })
            .collect();
        for (key, session) in self.shared.store().sessions_of(partition, user)? {
            if devices.iter().all(|had| *had.device != *key.device) {
                devices.push(DeviceInfo {
                    device: key.device.to_string(),
                    online: false,
                    last_seen_ms: Some(session.last_seen_ms),
                    client: Some(session.client),
                });
            }
        }
        devices.sort_by(|a, b| a.device.cmp(&b.device));
        Ok(rpc::answer_ok(&Devices { devices }))
    }

    /// `devices.remove`. Reads from the store: blocks.
    pub(super) fn remove_device(
        self: &Arc<Self>,
        call: Call,
        request: RequestKey,
        device: DeviceId,
    ) {
        let shared = &self.shared;
        let key = SessionKey { user: self.key.user.clone(), device: device.clone() };
        let stored = match shared.store().session(shared.of_user(&key.user).no(), &key) {
            Ok(stored) => stored.is_some(),
            Err(error) => {
                tracing::error!(%error, "a request cannot be answered from the store");
                return self.line.host(HostEvent::Close(Reason::SERVER_UNAVAILABLE));
            }
        };
        let online = self.person.get().map(|person| person.devices()).unwrap_or_default();
        let known = stored || online.iter().any(|had| had.device == device);
        let change = UserChange::RemoveDevice { device, known };
        self.change_user(call, request, change, move |inner, _| inner.shared.end_device(&key));
    }
}

impl super::Shared {
    /// Ends the session of a device and forgets where it was in its user's chats.
    fn end_device(&self, key: &SessionKey) {
        let (user, client_id) = (key.user.as_str().into(), key.device.clone());
        if let Some(sessions) = self.sessions.get() {
            sessions.end(&BrokerKey { user, client_id }, Reason::ADMINISTRATIVE_ACTION);
        }
        self.forget_device(key, None);
    }

    /// Forgets the cursors of a session that has ended; without an epoch, of any of the device.
    pub(super) fn forget_device(&self, key: &SessionKey, epoch: Option<u64>) {
        let now = self.now_ms();
        for partition in self.pipeline.partitions() {
            partition.submit(Command::ForgetDevice { key: key.clone(), epoch }, now, None);
        }
    }
}
