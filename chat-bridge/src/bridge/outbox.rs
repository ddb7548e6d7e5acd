//! What partitions tell a session: there is news, or the session has lost its place.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bluetick_broker::host::HostEvent;
use bluetick_broker::packet::Reason;

use super::encode;
use super::session::Inner;
use crate::delivery::{IsTyping, Outbox};
use crate::engine::PartitionNo;

impl Inner {
    /// Takes note that a partition is being pulled from; tells whether it had news.
    pub(super) fn take_news(&self, partition: PartitionNo) -> bool {
        let bit = 1 << partition.0;
        self.news.fetch_and(!bit, Ordering::AcqRel) & bit != 0
    }
}

impl Outbox for Inner {
    fn news(&self, partition: PartitionNo) {
        self.news.fetch_or(1 << partition.0, Ordering::AcqRel);
        self.line.host(HostEvent::News);
    }

    fn typing(&self, typing: IsTyping) {
        self.line.host(HostEvent::Notice(encode::typing(typing, &self.key.user)));
    }

    fn members_changed(self: Arc<Self>) {
        self.look_again();
    }

    fn lost(&self) {
        self.line.host(HostEvent::Close(Reason::SERVER_UNAVAILABLE));
    }
}
