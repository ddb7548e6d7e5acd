//! To the client: deliveries, their window and their acknowledgements.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Call, Finished, Session};
use crate::codec::{self, AckKind, PublishHeader};
use crate::host::{Delivery, DeliveryId};
use crate::mailbox::PlainDelivery;
use crate::message::Message;
use crate::packet::{Ack, QoS, Reason, Version};
use crate::queue::KEPT_ID_MIN;

/// Deliveries that the client has not acknowledged, and plain messages that wait for room.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    /// In the order they were first sent: they are sent again in this order (MQTT 5 §4.4, §4.6).
    inflight: VecDeque<Inflight>,
    /// How many of `inflight` were sent in this connection.
    sent: usize,
    queue: VecDeque<PlainDelivery>,
    acked: Vec<DeliveryId>,
    /// Boxed: most clients have none of it.
    rare: Option<Box<Rare>>,
    window: usize,
    last_packet_id: u16,
    /// The host has something to pull.
    news: bool,
    /// Messages to be sent again are being fetched; nothing may overtake them.
    fetching: bool,
}

#[derive(Debug, Default)]
struct Rare {
    /// Kept plain messages that the client is done with.
    finished: Vec<Finished>,
    notices_dropped: u64,
}

#[derive(Debug)]
struct Inflight {
    packet_id: u16,
    qos: QoS,
    step: Step,
    source: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// PUBLISH sent; PUBACK or PUBREC is due.
    Published,
    /// QoS 2, kept: PUBREC came; PUBREL is due once that is kept.
    Releasing,
    /// QoS 2: PUBREC came, PUBREL sent; PUBCOMP is due.
    Released,
}

#[derive(Debug)]
enum Source {
    /// Pulled from the host, who can be asked for it again.
    Host { id: DeliveryId, message: Option<Arc<Message>> },
    /// Of a plain topic: held until it is acknowledged.
    Plain(PlainDelivery),
    /// Of a plain topic, released before the server was restarted: only its number is left.
    Gone(u64),
}

impl Outbound {
    pub(super) fn set_window(&mut self, window: usize) {
        self.window = window;
    }

    pub(super) fn take_notices_dropped(&mut self) -> u64 {
        self.rare.as_mut().map_or(0, |rare| std::mem::take(&mut rare.notices_dropped))
    }

    pub(super) fn inflight(&self) -> usize {
        self.inflight.len()
    }

    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn room_for_plain(&self) -> usize {
        // A few beyond the window, so that QoS 0 flows while the window is full.
        (self.window + 16).saturating_sub(self.queue.len())
    }

    pub(super) fn room_to_pull(&self) -> usize {
        if !self.news || self.fetching || self.sent < self.inflight.len() {
            return 0;
        }
        self.window.saturating_sub(self.inflight.len() + self.queue.len())
    }

    pub(super) fn take_acked(&mut self) -> Vec<DeliveryId> {
        std::mem::take(&mut self.acked)
    }

    pub(super) fn take_finished(&mut self) -> Vec<Finished> {
        self.rare.as_mut().map(|rare| std::mem::take(&mut rare.finished)).unwrap_or_default()
    }

    fn finished(&mut self, finished: Finished) {
        self.rare.get_or_insert_default().finished.push(finished);
    }

    /// A delivery at QoS 2 that was released before the server was restarted.
    pub(super) fn restore_released(&mut self, seq: u64, packet_id: u16) {
        let (qos, step, source) = (QoS::ExactlyOnce, Step::Released, Source::Gone(seq));
        self.inflight.push_back(Inflight { packet_id, qos, step, source });
    }

    /// Plain messages with a number that are not kept, in their order: those in flight, and those
    /// that wait for room.
    pub(super) fn unkept(&mut self) -> impl Iterator<Item = &mut PlainDelivery> {
        let inflight = self.inflight.iter_mut().filter_map(|inflight| match &mut inflight.source {
            Source::Plain(plain) if inflight.step == Step::Published => Some(plain),
            _ => None,
        });
        let all = inflight.chain(&mut self.queue);
        all.filter(|plain| !plain.kept && plain.seq > 0 && plain.qos != QoS::AtMostOnce)
    }

    /// Takes messages of shares that another member may have (MQTT 5 §4.8.2): at QoS 2 only those
    /// that were not sent.
    pub(super) fn take_shared(
        &mut self,
        mut wanted: impl FnMut(&PlainDelivery) -> bool,
    ) -> Vec<PlainDelivery> {
        let mut taken = Vec::new();
        let mut at = 0;
        while let Some(inflight) = self.inflight.get(at) {
            let free = matches!(&inflight.source, Source::Plain(plain) if plain.share.is_some()
                && inflight.qos == QoS::AtLeastOnce && wanted(plain));
            if !free {
                at += 1;
            } else if let Some(Inflight { source: Source::Plain(plain), .. }) = self.remove(at) {
                taken.push(plain);
            }
        }
        for plain in std::mem::take(&mut self.queue) {
            if plain.share.is_some() && !plain.dup && wanted(&plain) {
                taken.push(plain);
            } else {
                self.queue.push_back(plain);
            }
        }
        taken
    }

    /// The connection has ended: no message of the host is held while the session is off line.
    pub(super) fn disconnect(&mut self) {
        for inflight in &mut self.inflight {
            if let Source::Host { message, .. } = &mut inflight.source {
                *message = None;
            }
        }
        self.queue.retain(|delivery| delivery.qos != QoS::AtMostOnce);
        self.queue.shrink_to_fit();
        self.acked = Vec::new();
        self.news = false;
    }

    /// A new connection: everything not acknowledged is to be sent again.
    pub(super) fn rewind(&mut self) {
        self.sent = 0;
        self.fetching = !self.to_fetch().is_empty();
    }

    /// Deliveries that the host must be asked for again.
    pub(super) fn to_fetch(&self) -> Vec<DeliveryId> {
        let ids = self.inflight.iter().filter_map(|inflight| match &inflight.source {
            Source::Host { id, message: None } if inflight.step == Step::Published => Some(*id),
            _ => None,
        });
        ids.collect()
    }

    /// A packet id that is not in use; 0 is none (MQTT 5 §2.2.1).
    fn next_packet_id(&mut self) -> u16 {
        loop {
            // Those above are of messages that keep theirs.
            self.last_packet_id = self.last_packet_id % (KEPT_ID_MIN - 1) + 1;
            let id = self.last_packet_id;
            // The window is far smaller than the number of ids: there always is a free one.
            if !self.inflight.iter().any(|inflight| inflight.packet_id == id) {
                return id;
            }
        }
    }

    fn remove(&mut self, at: usize) -> Option<Inflight> {
        let removed = self.inflight.remove(at);
        if at < self.sent {
            self.sent -= 1;
        }
        if self.inflight.is_empty() {
            self.inflight = VecDeque::new();
        }
        removed
    }

    fn position(&self, packet_id: u16) -> Option<usize> {
        // Acknowledgements come in order: it is the first but for clients that break the rule.
        self.inflight.iter().position(|inflight| inflight.packet_id == packet_id)
    }
}

impl Session {
    /// The host has something to pull.
    pub fn handle_news(&mut self) {
        self.outbound.news = true;
    }

    /// What was pulled from the host for [`super::Call::Pull`] with room for `room` messages.
    pub fn handle_deliveries(&mut self, deliveries: Vec<Delivery>, room: usize) {
        if deliveries.len() < room {
            self.outbound.news = false;
        }
        for delivery in deliveries {
            self.send_host(delivery);
        }
    }

    /// Plain messages from the mailbox.
    pub fn handle_plain(&mut self, deliveries: impl IntoIterator<Item = PlainDelivery>) {
        self.outbound.queue.extend(deliveries);
        self.flush_outbound();
    }

    /// A message of the host for this session alone, if it is subscribed to its topic. One more
    /// than may be queued is dropped: its client publishes and does not acknowledge.
    pub(super) fn handle_notice(&mut self, message: Arc<Message>, qos_max: QoS) {
        if self.outbound.queue.len() >= self.limits.queued_messages_max {
            self.outbound.rare.get_or_insert_default().notices_dropped += 1;
            return;
        }
        let Some(granted) = self.subscriptions.host_qos(message.topic()) else { return };
        let subscription_ids = self.subscriptions.ids_matching(message.topic());
        let qos = granted.min(qos_max);
        let notice = PlainDelivery { subscription_ids, ..PlainDelivery::new(message, qos) };
        self.outbound.queue.push_back(notice);
        self.flush_outbound();
    }

    pub(super) fn handle_fetched(&mut self, found: Vec<(DeliveryId, Option<Arc<Message>>)>) {
        for (id, message) in found {
            let at = self.outbound.inflight.iter().position(
                |inflight| matches!(&inflight.source, Source::Host { id: of, .. } if *of == id),
            );
            let Some(at) = at else { continue };
            let Some(inflight) = self.outbound.inflight.get_mut(at) else { continue };
            match message {
                Some(found) => {
                    if let Source::Host { message, .. } = &mut inflight.source {
                        *message = Some(found);
                    }
                }
                // PUBREC has come meanwhile: it is acknowledged, and PUBREL needs no message.
                None if matches!(inflight.step, Step::Released) => {}
                // The client may have it and wait for the end of the exchange: a message that used
                // its number before would pass for a repeat.
                None if inflight.qos == QoS::ExactlyOnce => {
                    inflight.step = Step::Released;
                    self.outbound.acked.push(id);
                }
                None => {
                    self.outbound.remove(at);
                    self.outbound.acked.push(id);
                }
            }
        }
        self.outbound.fetching = false;
        self.flush_outbound();
    }

    /// Sends what there is room for: first what is to be sent again, then plain messages.
    pub(super) fn flush_outbound(&mut self) {
        if self.outbound.fetching {
            return;
        }
        while self.resends() {
            let at = self.outbound.sent;
            self.outbound.sent += 1;
            self.resend(at);
        }
        if self.outbound.sent < self.outbound.inflight.len() {
            return;
        }
        while let Some(front) = self.outbound.queue.front() {
            if front.qos != QoS::AtMostOnce && self.outbound.inflight.len() >= self.outbound.window
            {
                break;
            }
            let Some(delivery) = self.outbound.queue.pop_front() else { break };
            self.send_plain(delivery);
        }
        if self.outbound.queue.is_empty() {
            self.outbound.queue = VecDeque::new();
        }
    }

    /// Whether there is something to be sent again, and room for it.
    pub(super) fn resends(&self) -> bool {
        let Outbound { sent, inflight, window, fetching, .. } = &self.outbound;
        !fetching && *sent < inflight.len().min(*window) && self.bytes_room() > 0
    }

    fn resend(&mut self, at: usize) {
        let (version, now) = (self.link.version, self.now);
        let Some(inflight) = self.outbound.inflight.get_mut(at) else { return };
        let (packet_id, qos) = (inflight.packet_id, inflight.qos);
        if let (Step::Releasing, Source::Plain(plain)) = (inflight.step, &inflight.source) {
            // The answer to the earlier connection is void.
            self.calls.push_back(Call::Release { seq: plain.seq, packet_id });
            return;
        }
        if inflight.step == Step::Released {
            let success = Reason::SUCCESS;
            codec::write_ack(
                &mut self.transmit,
                version,
                AckKind::PubRel,
                packet_id,
                success,
                None,
            );
            return;
        }
        let (message, retain, ids) = match &mut inflight.source {
            Source::Host { message, .. } => {
                let Some(message) = message.take() else { return };
                let ids = self.subscriptions.ids_matching(message.topic());
                (message, false, ids)
            }
            Source::Plain(plain) => {
                (plain.message.clone(), plain.retain, plain.subscription_ids.clone())
            }
            Source::Gone(_) => return,
        };
        let header = PublishHeader {
            qos,
            dup: true,
            retain,
            packet_id,
            // What was begun is finished: an id that is in use is not left open.
            message_expiry_s: message.left_s(now).map(|seconds| seconds.max(1)),
            subscription_ids: &ids,
            topic_alias: None,
            omit_topic: false,
        };
        if self.takes(&message, &header) {
            codec::write_publish(&mut self.transmit, version, &message.parts(), &header);
        } else {
            self.give_up(at);
        }
    }

    /// Goes on as if a message had arrived that the client does not take any more, now that it
    /// has connected with a smaller maximum (MQTT 5 §3.1.2.11.4).
    fn give_up(&mut self, at: usize) {
        let Some(inflight) = self.outbound.inflight.get_mut(at) else { return };
        if let Source::Host { id, .. } = &inflight.source {
            self.outbound.acked.push(*id);
        }
        if inflight.qos == QoS::ExactlyOnce {
            // It may have arrived before: then the client waits for the end of the exchange.
            inflight.step = Step::Released;
            let (packet_id, success) = (inflight.packet_id, Reason::SUCCESS);
            let version = self.link.version;
            let kind = AckKind::PubRel;
            codec::write_ack(&mut self.transmit, version, kind, packet_id, success, None);
        } else if let Some(Inflight { source: Source::Plain(plain), .. }) = self.outbound.remove(at)
        {
            self.finished(&plain);
        }
    }

    /// Whether the client takes a packet this large.
    fn takes(&self, message: &Message, header: &PublishHeader<'_>) -> bool {
        let max_bytes = self.link.max_packet_bytes;
        max_bytes == usize::MAX
            || codec::publish_len(self.link.version, &message.parts(), header) <= max_bytes
    }

    fn send_host(&mut self, delivery: Delivery) {
        let ids = self.subscriptions.ids_matching(delivery.message.topic());
        let header = DeliveryHeader { qos: delivery.qos, retain: false, dup: false, packet_id: 0 };
        let Some(packet_id) = self.write_delivery(&delivery.message, &header, &ids) else {
            // It does not fit, even without a body: skipped, so that it holds up nothing.
            self.outbound.acked.push(delivery.id);
            return;
        };
        if delivery.qos != QoS::AtMostOnce {
            self.push_inflight(
                packet_id,
                delivery.qos,
                Source::Host { id: delivery.id, message: None },
            );
        }
    }

    fn send_plain(&mut self, delivery: PlainDelivery) {
        // MQTT 5 §3.3.2.3.3: if its delivery has not begun. Where it may have, at QoS 2, the client
        // may wait for the end of the exchange.
        let begun = delivery.dup && delivery.qos == QoS::ExactlyOnce;
        if delivery.message.is_over(self.now) && !begun {
            self.finished(&delivery);
            return;
        }
        let PlainDelivery { qos, retain, dup, packet_id, .. } = delivery;
        let header = DeliveryHeader { qos, retain, dup, packet_id };
        let written = self.write_delivery(&delivery.message, &header, &delivery.subscription_ids);
        let Some(packet_id) = written else {
            // MQTT 5 §3.1.2.11.4: what the client does not take is dropped as if it had been sent.
            self.finished(&delivery);
            return;
        };
        if delivery.qos != QoS::AtMostOnce {
            self.push_inflight(packet_id, delivery.qos, Source::Plain(delivery));
        }
    }

    /// The client is done with a plain message, which need not be kept any more.
    fn finished(&mut self, plain: &PlainDelivery) {
        if plain.kept {
            self.outbound.finished(Finished { seq: plain.seq, packet_id: plain.packet_id });
        }
    }

    /// Writes a PUBLISH; `None`: it is larger than the client takes. At QoS 0 the id is 0.
    fn write_delivery(
        &mut self,
        message: &Message,
        delivery: &DeliveryHeader,
        subscription_ids: &[u32],
    ) -> Option<u16> {
        let version = self.link.version;
        let packet_id = match delivery {
            DeliveryHeader { qos: QoS::AtMostOnce, .. } => 0,
            DeliveryHeader { packet_id: 0, .. } => self.outbound.next_packet_id(),
            DeliveryHeader { packet_id, .. } => *packet_id,
        };
        let alias = self.link.aliases.of(message.topic());
        let mut header = PublishHeader {
            qos: delivery.qos,
            dup: delivery.dup,
            retain: delivery.retain,
            packet_id,
            message_expiry_s: message.left_s(self.now).map(|seconds| seconds.max(1)),
            subscription_ids,
            topic_alias: alias.map(|alias| alias.number),
            omit_topic: alias.is_some_and(|alias| alias.known),
        };
        if !self.takes(message, &header) {
            // A number that the client does not have yet comes on top of the topic.
            header = PublishHeader { topic_alias: None, omit_topic: false, ..header };
            if !self.takes(message, &header) {
                return None;
            }
        }
        codec::write_publish(&mut self.transmit, version, &message.parts(), &header);
        if header.topic_alias.is_some() && !header.omit_topic {
            self.link.aliases.told(message.topic());
        }
        Some(packet_id)
    }

    fn push_inflight(&mut self, packet_id: u16, qos: QoS, source: Source) {
        let inflight = Inflight { packet_id, qos, step: Step::Published, source };
        self.outbound.inflight.push_back(inflight);
        self.outbound.sent += 1;
    }

    pub(super) fn handle_puback(&mut self, ack: Ack) {
        self.finish(ack.packet_id, |inflight| inflight.qos == QoS::AtLeastOnce);
    }

    pub(super) fn handle_pubcomp(&mut self, ack: Ack) {
        self.finish(ack.packet_id, |inflight| inflight.step == Step::Released);
    }

    /// The client is done with a delivery. An id that is not in use is ignored, as MQTT 5 §4.3
    /// has it for the acknowledgements that end an exchange.
    fn finish(&mut self, packet_id: u16, expected: impl Fn(&Inflight) -> bool) {
        let Some(at) = self.outbound.position(packet_id) else { return };
        if !self.outbound.inflight.get(at).is_some_and(expected) {
            return;
        }
        let Some(inflight) = self.outbound.remove(at) else { return };
        match (inflight.source, inflight.step) {
            (Source::Host { id, .. }, Step::Published) => self.outbound.acked.push(id),
            (Source::Plain(plain), _) => self.finished(&plain),
            (Source::Gone(seq), _) => self.outbound.finished(Finished { seq, packet_id }),
            (Source::Host { .. }, _) => {}
        }
        self.flush_outbound();
    }

    pub(super) fn handle_pubrec(&mut self, ack: Ack) {
        let version = self.link.version;
        let found = self.outbound.position(ack.packet_id);
        let at = found.filter(|at| {
            self.outbound.inflight.get(*at).is_some_and(|inflight| inflight.qos == QoS::ExactlyOnce)
        });
        let Some(at) = at else {
            // Also after a restart of the server: lets the client end the exchange.
            let reason = Reason::PACKET_ID_NOT_FOUND;
            let reason = if version == Version::V5 { reason } else { Reason::SUCCESS };
            codec::write_ack(
                &mut self.transmit,
                version,
                AckKind::PubRel,
                ack.packet_id,
                reason,
                None,
            );
            return;
        };
        let Some(inflight) = self.outbound.inflight.get_mut(at) else { return };
        // The client has the message, or has refused it: either way it is not sent again.
        if let (Source::Host { id, .. }, Step::Published) = (&inflight.source, inflight.step) {
            self.outbound.acked.push(*id);
        }
        if ack.reason.is_error() {
            if let Some(Inflight { source: Source::Plain(plain), .. }) = self.outbound.remove(at) {
                self.finished(&plain);
            }
            self.flush_outbound();
            return;
        }
        if let (Step::Published, Source::Plain(plain)) = (inflight.step, &inflight.source)
            && plain.kept
        {
            // A restart must not send the message again to a client that has it.
            inflight.step = Step::Releasing;
            let packet_id = inflight.packet_id;
            self.calls.push_back(Call::Release { seq: plain.seq, packet_id });
            return;
        }
        if inflight.step == Step::Releasing {
            return;
        }
        inflight.step = Step::Released;
        let success = Reason::SUCCESS;
        codec::write_ack(
            &mut self.transmit,
            version,
            AckKind::PubRel,
            ack.packet_id,
            success,
            None,
        );
    }

    /// That the client has a message at QoS 2 is kept: it may forget the packet id.
    pub fn handle_released(&mut self, seq: u64) {
        let found = self.outbound.inflight.iter_mut().find(|inflight| {
            inflight.step == Step::Releasing
                && matches!(&inflight.source, Source::Plain(plain) if plain.seq == seq)
        });
        let Some(inflight) = found else { return };
        inflight.step = Step::Released;
        let (version, packet_id, success) =
            (self.link.version, inflight.packet_id, Reason::SUCCESS);
        codec::write_ack(&mut self.transmit, version, AckKind::PubRel, packet_id, success, None);
    }
}

/// What a delivery has for a PUBLISH of its own.
struct DeliveryHeader {
    qos: QoS,
    retain: bool,
    dup: bool,
    /// 0: any that is free.
    packet_id: u16,
}
