//! `$SYS`: what the broker counts, under the names that mosquitto gave it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::broker::Shared;
use crate::host::Host;
use crate::mailbox::{Mailbox, PlainDelivery};
use crate::message::Message;
use crate::packet::{FilterRequest, PublishProperties, QoS};
use crate::topic;

/// How often it is published, seconds.
pub(crate) const EVERY_S: u64 = 10;

/// Whether a filter is for `$SYS` and nothing else.
pub(crate) fn is_sys(filter: &str) -> bool {
    filter == "$SYS" || filter.starts_with("$SYS/")
}

impl<H: Host> Shared<H> {
    /// Publishes the figures to those who are subscribed.
    pub(crate) fn publish_sys(&self) {
        for message in self.sys() {
            self.router.publish(None, &message, QoS::AtMostOnce);
        }
    }

    /// Gives the figures of now to one who has subscribed, as if they were retained.
    pub(crate) fn give_sys(&self, request: &FilterRequest, id: Option<u32>, mailbox: &Mailbox) {
        for message in self.sys() {
            if request.retain_handling < 2 && topic::matches(&request.filter, message.topic()) {
                mailbox.offer(PlainDelivery {
                    retain: true,
                    subscription_ids: id.into_iter().collect(),
                    ..PlainDelivery::new(message, QoS::AtMostOnce)
                });
            }
        }
    }

    fn sys(&self) -> Vec<Arc<Message>> {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let stats = &self.stats;
        let (online, offline) = self.registry.counts();
        let (subscriptions, shared) = self.router.counts();
        let ((retained, retained_bytes), (queued, queued_bytes)) = self.plain_content();
        let number = |name: &str, value: u64| (name.to_owned(), value.to_string());
        let version = format!("bluetick version {}", env!("CARGO_PKG_VERSION"));
        let figures = [
            ("version".to_owned(), version),
            ("uptime".to_owned(), format!("{} seconds", self.now() / 1000)),
            number("clients/total", (online + offline) as u64),
            number("clients/connected", online as u64),
            number("clients/disconnected", offline as u64),
            number("clients/maximum", of(&stats.connections_highest)),
            number("clients/expired", of(&stats.sessions_expired)),
            number("messages/received", stats.packets_in.total()),
            number("messages/sent", stats.packets_out.total()),
            number("bytes/received", of(&stats.bytes_in)),
            number("bytes/sent", of(&stats.bytes_out)),
            number("publish/messages/received", of(&stats.plain_in)),
            number("publish/messages/sent", of(&stats.plain_out)),
            number("publish/messages/dropped", of(&stats.plain_dropped)),
            number("publish/bytes/received", of(&stats.plain_bytes_in)),
            number("publish/bytes/sent", of(&stats.plain_bytes_out)),
            number("retained messages/count", retained as u64),
            number("store/messages/count", (retained + queued) as u64),
            number("store/messages/bytes", (retained_bytes + queued_bytes) as u64),
            number("subscriptions/count", subscriptions as u64),
            number("shared_subscriptions/count", shared as u64),
        ];
        let properties = PublishProperties::default();
        let message = |(name, value): (String, String)| {
            let topic = format!("$SYS/broker/{name}").into();
            Arc::new(Message::new(topic, Bytes::from(value), &properties, true))
        };
        figures.into_iter().map(message).collect()
    }
}
