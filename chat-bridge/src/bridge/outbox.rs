//! What partitions tell a session: there is news, or the session has lost its place.

use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};

use bluetick_broker::host::HostEvent;
use bluetick_broker::mailbox::Line;
use bluetick_broker::packet::Reason;
use bluetick_protocol::UserId;

use super::encode;
use super::session::Inner;
use crate::delivery::IsTyping;
use crate::engine::PartitionNo;
use crate::partition::Outbox;

/// The way from partitions to a session.
pub(super) struct SessionOutbox {
    line: Line,
    /// Whose session it is.
    user: UserId,
    /// The session, for what takes more than a word.
    session: Weak<Inner>,
    /// Partitions with something to pull, a bit each: a server has at most 64.
    news: AtomicU64,
}

impl SessionOutbox {
    pub(super) fn new(line: Line, user: UserId, session: Weak<Inner>) -> Self {
        Self { line, user, session, news: AtomicU64::new(0) }
    }

    /// Takes note that a partition is being pulled from; tells whether it had news.
    pub(super) fn take(&self, partition: PartitionNo) -> bool {
        let bit = 1 << partition.0;
        self.news.fetch_and(!bit, Ordering::AcqRel) & bit != 0
    }
}

impl Outbox for SessionOutbox {
    fn news(&self, partition: PartitionNo) {
        self.news.fetch_or(1 << partition.0, Ordering::AcqRel);
        self.line.host(HostEvent::News);
    }

    fn typing(&self, typing: IsTyping) {
        self.line.host(HostEvent::Notice(encode::typing(typing, &self.user)));
    }

    fn members_changed(&self) {
        if let Some(session) = self.session.upgrade() {
            session.members_changed();
        }
    }

    fn lost(&self) {
        self.line.host(HostEvent::Close(Reason::SERVER_UNAVAILABLE));
    }
}
