//! Writes histories by hand: one call an event, devices as `user/device`, one chat unless said.

use bluetick_checker::{Amends, Event, History, Promise, Scope, check};

pub(crate) const CHAT: &str = "g-1";

/// A history in the making.
#[derive(Clone, Default)]
pub(crate) struct Script {
    pub(crate) history: History,
}

fn split(device: &str) -> (String, String) {
    let (user, name) = device.split_once('/').expect("user/device");
    (user.into(), name.into())
}

impl Script {
    /// Alice and bob are members, a device of each is connected with persistent, complete subscriptions.
    pub(crate) fn two() -> Self {
        Self::default().members(&["alice", "bob"]).online("alice/phone").online("bob/phone")
    }

    pub(crate) fn push(mut self, event: Event) -> Self {
        self.history.push(event);
        self
    }

    pub(crate) fn members(self, users: &[&str]) -> Self {
        users.iter().fold(self, |script, user| {
            script.push(Event::Member { chat: CHAT.into(), user: (*user).into() })
        })
    }

    /// An entry of the log that makes the user a member.
    pub(crate) fn added(self, user: &str, seq: u64) -> Self {
        self.push(Event::Added { chat: CHAT.into(), user: user.into(), seq })
    }

    /// An entry of the log that ends the user's membership.
    pub(crate) fn removed(self, user: &str, seq: u64) -> Self {
        self.push(Event::Removed { chat: CHAT.into(), user: user.into(), seq })
    }

    /// An entry of the log that is no message.
    pub(crate) fn got_event(self, device: &str, seq: u64, after: Option<u64>) -> Self {
        let (id, body) = (format!("event-{seq}"), format!("event {seq}"));
        self.received(device, seq, "alice", Some(&id), Some(&body), after)
    }

    pub(crate) fn excuse(self, user: &str, tag: u64) -> Self {
        self.push(Event::Excused { chat: CHAT.into(), user: user.into(), tag })
    }

    /// A new persistent session with messages and receipts at QoS 1.
    pub(crate) fn online(self, device: &str) -> Self {
        self.connect(device, false, true)
            .subscribe(device, 1, false, false)
            .subscribe(device, 1, true, false)
    }

    pub(crate) fn connect(self, device: &str, session_present: bool, persistent: bool) -> Self {
        let (user, device) = split(device);
        self.push(Event::Connected { user, device, session_present, persistent })
    }

    pub(crate) fn subscribe(self, device: &str, qos: u8, receipts: bool, no_local: bool) -> Self {
        let (user, device) = split(device);
        self.push(Event::Subscribed { user, device, chats: Scope::All, qos, receipts, no_local })
    }

    pub(crate) fn disconnect(self, device: &str) -> Self {
        let (user, device) = split(device);
        self.push(Event::Disconnected { user, device })
    }

    pub(crate) fn end_session(self, device: &str) -> Self {
        let (user, device) = split(device);
        self.push(Event::SessionEnded { user, device })
    }

    /// The connection breaks and the session resumes.
    pub(crate) fn reconnect(self, device: &str) -> Self {
        self.disconnect(device).connect(device, true, true)
    }

    /// An attempt over MQTT 5 with id `id-{tag}` and body `body {tag}`.
    pub(crate) fn send(self, device: &str, tag: u64) -> Self {
        let id = format!("id-{tag}");
        self.attempt(device, tag, Some(&id), 1, 5)
    }

    /// As [`send`](Self::send), to change an earlier entry; a deletion has no body.
    pub(crate) fn amend(mut self, device: &str, tag: u64, how: Amends) -> Self {
        self = self.send(device, tag);
        let mut events = self.history.events().to_vec();
        if let Some(Event::Send { amends, body, .. }) = events.last_mut() {
            *amends = Some(how);
            if matches!(how, Amends::Delete(_)) {
                body.clear();
            }
        }
        self.history = events.into();
        self
    }

    pub(crate) fn attempt(
        self,
        device: &str,
        tag: u64,
        id: Option<&str>,
        session: u64,
        version: u8,
    ) -> Self {
        let (user, device) = split(device);
        let (chat, id, body) = (CHAT.into(), id.map(Into::into), format!("body {tag}"));
        let amends = None;
        self.push(Event::Send { user, device, session, version, chat, id, body, amends, tag })
    }

    pub(crate) fn acked(self, device: &str, tag: u64, seq: u64, duplicate: bool) -> Self {
        self.answered(device, tag, Some(seq), Some(duplicate))
    }

    pub(crate) fn answered(
        self,
        device: &str,
        tag: u64,
        seq: Option<u64>,
        duplicate: Option<bool>,
    ) -> Self {
        let (user, device) = split(device);
        self.push(Event::Acked { user, device, tag, seq, duplicate })
    }

    pub(crate) fn refused(self, device: &str, tag: u64) -> Self {
        let (user, device) = split(device);
        self.push(Event::Refused { user, device, tag, code: 0x87 })
    }

    /// The message of this tag as its author sent it.
    pub(crate) fn got(self, device: &str, seq: u64, from: &str, tag: u64) -> Self {
        self.got_after(device, seq, from, tag, None)
    }

    pub(crate) fn got_after(
        self,
        device: &str,
        seq: u64,
        from: &str,
        tag: u64,
        after: Option<u64>,
    ) -> Self {
        let (id, body) = (format!("id-{tag}"), format!("body {tag}"));
        self.received(device, seq, from, Some(&id), Some(&body), after)
    }

    pub(crate) fn received(
        self,
        device: &str,
        seq: u64,
        from: &str,
        id: Option<&str>,
        body: Option<&str>,
        after: Option<u64>,
    ) -> Self {
        let (user, device) = split(device);
        let (id, body) = (id.map(Into::into), body.map(Into::into));
        self.push(Event::Received {
            user,
            device,
            chat: CHAT.into(),
            seq,
            id,
            from: from.into(),
            body,
            amends: None,
            deleted: false,
            after,
            qos: 1,
        })
    }

    pub(crate) fn ack_back(self, device: &str, seq: u64) -> Self {
        let (user, device) = split(device);
        self.push(Event::AckedBack { user, device, chat: CHAT.into(), seq })
    }

    /// Received and acknowledged back.
    pub(crate) fn delivered(self, device: &str, seq: u64, from: &str, tag: u64) -> Self {
        self.got(device, seq, from, tag).ack_back(device, seq)
    }

    pub(crate) fn read_said(self, device: &str, seq: u64) -> Self {
        let (user, device) = split(device);
        self.push(Event::ReadSaid { user, device, chat: CHAT.into(), seq })
    }

    pub(crate) fn read_acked(self, device: &str, seq: u64) -> Self {
        let (user, device) = split(device);
        self.push(Event::ReadAcked { user, device, chat: CHAT.into(), seq })
    }

    pub(crate) fn receipt(self, device: &str, of: &str, delivered: u64, read: u64) -> Self {
        let (user, device) = split(device);
        self.push(Event::Receipt {
            user,
            device,
            chat: CHAT.into(),
            of: of.into(),
            delivered,
            read,
        })
    }

    /// The server dies, and every connection named with it.
    pub(crate) fn crash(self, devices: &[&str]) -> Self {
        let crashed = self.push(Event::ServerCrashed);
        devices
            .iter()
            .fold(crashed, |script, device| script.disconnect(device))
            .push(Event::ServerStarted)
    }

    pub(crate) fn settled(self) -> Self {
        self.push(Event::Settled {})
    }

    /// Alice sends `tags` from her phone; both phones get them, acknowledge, and she gets the receipts.
    pub(crate) fn exchange(self, tags: std::ops::RangeInclusive<u64>) -> Self {
        tags.fold(self, |script, tag| {
            script
                .send("alice/phone", tag)
                .acked("alice/phone", tag, tag, false)
                .delivered("alice/phone", tag, "alice", tag)
                .delivered("bob/phone", tag, "alice", tag)
                .receipt("alice/phone", "bob", tag, 0)
        })
    }

    #[track_caller]
    pub(crate) fn is_good(&self) {
        assert_eq!(check(&self.history), []);
    }

    /// Exactly this promise broke, once, in words that contain `what`.
    #[track_caller]
    pub(crate) fn breaks(&self, promise: Promise, what: &str) {
        let found = check(&self.history);
        assert!(
            matches!(&found[..], [one] if one.promise == promise && one.what.contains(what)),
            "expected {promise:?} with {what:?}, found {found:#?}"
        );
    }

    /// This promise broke, in words that contain `what`; others may follow from it.
    #[track_caller]
    pub(crate) fn breaks_among_others(&self, promise: Promise, what: &str) {
        let found = check(&self.history);
        assert!(
            found.iter().any(|one| one.promise == promise && one.what.contains(what)),
            "expected {promise:?} with {what:?}, found {found:#?}"
        );
    }
}
