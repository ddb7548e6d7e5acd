//! A session that is off line.

use std::sync::Arc;

use super::inbound::Inbound;
use super::outbound::Outbound;
use super::subscriptions::Subscriptions;
use crate::host::DeliveryId;
use crate::keep::{KeptAll, KeptPlace};
use crate::mailbox::PlainDelivery;

/// What of a session outlives its connection.
#[derive(Debug)]
pub struct Parked {
    pub(super) epoch: u64,
    pub(super) expiry_s: u32,
    pub(super) subscriptions: Subscriptions,
    pub(super) inbound: Inbound,
    pub(super) outbound: Outbound,
    pub(super) next_token: u64,
    /// It was kept over a restart and has not been on line since: the host has its own part.
    pub(super) restored: bool,
}

impl Parked {
    /// A session as it was kept over a restart.
    #[must_use]
    pub fn restored(all: KeptAll) -> Self {
        let mut parked = Self {
            epoch: all.of.epoch,
            expiry_s: all.session.expiry_s,
            subscriptions: Subscriptions::default(),
            inbound: Inbound::default(),
            outbound: Outbound::default(),
            next_token: 1,
            restored: true,
        };
        parked.subscriptions.restore_plain(all.subscriptions);
        parked.inbound.restore(all.received);
        for (seq, place) in all.queue {
            if let KeptPlace::Released(packet_id) = place {
                parked.outbound.restore_released(seq, packet_id);
            }
        }
        parked
    }

    /// It was kept over a restart, and the host does not know yet that the broker has a part of it.
    #[must_use]
    pub fn is_restored(&self) -> bool {
        self.restored
    }

    /// Whether it still is so: it was not let in.
    pub(crate) fn set_restored(&mut self, restored: bool) {
        self.restored = restored;
    }

    /// Plain messages that have to be kept now that the session is off line and are not yet.
    pub fn unkept(&mut self) -> impl Iterator<Item = &mut PlainDelivery> {
        self.outbound.unkept()
    }

    /// As [`super::Session::take_shared`].
    pub fn take_shared(
        &mut self,
        wanted: impl FnMut(&PlainDelivery) -> bool,
    ) -> Vec<PlainDelivery> {
        self.outbound.take_shared(wanted)
    }

    /// Tells the session from earlier and later ones of the same key.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Seconds that it lives on.
    #[must_use]
    pub fn expiry_s(&self) -> u32 {
        self.expiry_s
    }

    /// Deliveries of the host that the client has not acknowledged.
    #[must_use]
    pub fn inflight(&self) -> Vec<DeliveryId> {
        self.outbound.to_fetch()
    }

    /// The filters of plain topics it is subscribed to.
    #[must_use]
    pub fn plain_filters(&self) -> Vec<Arc<str>> {
        self.subscriptions.plain_filters()
    }
}
