//! The plain messages that wait for one session.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::keep::SessionRef;
use crate::limits::Limits;
use crate::mailbox::PlainDelivery;
use crate::packet::QoS;
use crate::retained::{Cursor, Cursors};

/// Packet ids from here on are those of messages at QoS 2 that are kept: they have theirs from the
/// start, so that it is the same after a restart and a client knows the message again. Others take
/// ids below.
pub(crate) const KEPT_ID_MIN: u16 = 0x8000;

/// Messages at QoS 2 that are kept for a session, whatever the queue may hold: half of their ids,
/// so that a free one is found soon.
const KEPT_IDS_MAX: usize = 0x4000;

/// The bounds of all queues, and what is in them together.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    messages_max: usize,
    bytes_max: usize,
    total_bytes_max: usize,
    total_bytes: AtomicUsize,
    messages: AtomicUsize,
}

/// What one session has of them: bytes that are queued, or on their way and not acknowledged.
#[derive(Debug)]
struct Account {
    queues: Arc<Queues>,
    bytes: AtomicUsize,
}

/// The bytes of a delivery, counted for its session and for all of them until it is dropped: the
/// client is done with it, or it was in vain. A copy counts nothing.
#[derive(Debug, Default)]
pub struct Weight(Option<(Arc<Account>, usize)>);

impl Weight {
    fn new(account: &Arc<Account>, bytes: usize) -> Self {
        account.bytes.fetch_add(bytes, Ordering::Relaxed);
        account.queues.total_bytes.fetch_add(bytes, Ordering::Relaxed);
        Self(Some((account.clone(), bytes)))
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        if let Some((account, bytes)) = &self.0 {
            account.bytes.fetch_sub(*bytes, Ordering::Relaxed);
            account.queues.total_bytes.fetch_sub(*bytes, Ordering::Relaxed);
        }
    }
}

impl Clone for Weight {
    fn clone(&self) -> Self {
        Self(None)
    }
}

impl Queues {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            messages_max: limits.queued_messages_max,
            bytes_max: limits.queued_bytes_max,
            total_bytes_max: limits.queued_total_bytes_max,
            ..Self::default()
        }
    }

    /// Messages in all queues, and the bytes of these and of those that are on their way.
    pub(crate) fn content(&self) -> (usize, usize) {
        (self.messages.load(Ordering::Relaxed), self.total_bytes.load(Ordering::Relaxed))
    }
}

/// A queue: first in, first out; when it is full, the newest is dropped.
///
/// A message that has to be kept first holds its place, and those behind it wait for it: nothing
/// overtakes (MQTT 5 §4.6).
#[derive(Debug)]
pub(crate) struct Queue {
    queues: Arc<Queues>,
    /// Made with the first message: who has only chats never has one here.
    account: Option<Arc<Account>>,
    places: VecDeque<Place>,
    next_seq: u64,
    /// The session that messages are kept for.
    keep_for: Option<Arc<SessionRef>>,
    /// Boxed: most sessions have none of it.
    rare: Option<Box<Rare>>,
    last_id: u16,
    /// The session itself is kept, or is about to be.
    pub(crate) recorded: bool,
}

#[derive(Debug, Default)]
struct Rare {
    /// Packet ids of messages at QoS 2 that are kept, queued or in flight.
    ids: BTreeSet<u16>,
    /// Subscriptions that are still being given what is retained.
    cursors: Cursors,
}

#[derive(Debug)]
struct Place {
    delivery: PlainDelivery,
    ready: bool,
}

/// What became of a message that was offered.
#[derive(Debug)]
pub(crate) enum Offered {
    /// It is queued, or not for one who is off line.
    Taken,
    /// The queue is full.
    Dropped,
    /// It is queued once it is kept.
    Keep(Ticket),
}

/// A message that is to be kept.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    pub(crate) of: Arc<SessionRef>,
    pub(crate) delivery: PlainDelivery,
}

impl Queue {
    pub(crate) fn new(queues: Arc<Queues>) -> Self {
        Self {
            queues,
            account: None,
            places: VecDeque::new(),
            next_seq: 1,
            keep_for: None,
            rare: None,
            last_id: u16::MAX,
            recorded: false,
        }
    }

    /// Subscriptions that are still being given what is retained.
    pub(crate) fn cursors_mut(&mut self) -> &mut Cursors {
        &mut self.rare.get_or_insert_default().cursors
    }

    /// The next of them.
    pub(crate) fn next_cursor(&mut self) -> Option<Cursor> {
        let rare = self.rare.as_mut()?;
        let next = rare.cursors.pop_front();
        self.rare.take_if(|rare| rare.cursors.is_empty() && rare.ids.is_empty());
        next
    }

    /// Whether there is one.
    pub(crate) fn has_cursors(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| !rare.cursors.is_empty())
    }

    /// Whether there is one that can be taken.
    pub(crate) fn is_ready(&self) -> bool {
        self.places.front().is_some_and(|place| place.ready)
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether one more message may come. No session may have more than is left for all others, so
    /// that those who do not read cannot use up what one who reads needs for a moment: a dynamic
    /// threshold (Choudhury and Hahne, IEEE/ACM ToN 6, 1998) with the factor 1.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        let queues = &self.queues;
        let had = self.account.as_ref().map_or(0, |had| had.bytes.load(Ordering::Relaxed));
        let own = had + bytes;
        let left =
            queues.total_bytes_max.saturating_sub(queues.total_bytes.load(Ordering::Relaxed));
        self.places.len() < queues.messages_max && own <= queues.bytes_max && own <= left
    }

    pub(crate) fn keep_for(&mut self, of: Option<Arc<SessionRef>>) {
        self.keep_for = of;
    }

    pub(crate) fn kept_for(&self) -> Option<Arc<SessionRef>> {
        self.keep_for.clone()
    }

    /// Queues a message, or says that it has to be kept first: while the session is off line at
    /// QoS 1, always at QoS 2, whose exchange a restart must not forget.
    pub(crate) fn offer(&mut self, mut delivery: PlainDelivery, online: bool) -> Offered {
        // It may come from another queue, or back.
        delivery.weight = Weight::default();
        if !self.has_room(delivery.message.bytes()) {
            return Offered::Dropped;
        }
        self.offer_ahead(delivery, online)
    }

    /// The same whatever there is: for the few retained messages that go ahead of the others.
    pub(crate) fn offer_ahead(&mut self, mut delivery: PlainDelivery, online: bool) -> Offered {
        let keep = match delivery.qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce => self.keep_for.clone().filter(|_| !online),
            QoS::ExactlyOnce => self.keep_for.clone(),
        };
        if keep.is_some() && delivery.qos == QoS::ExactlyOnce {
            let Some(id) = self.take_id() else { return Offered::Dropped };
            delivery.packet_id = id;
        }
        delivery.seq = self.next_seq;
        self.next_seq += 1;
        delivery.kept = keep.is_some();
        let offered = match keep {
            Some(of) => Offered::Keep(Ticket { of, delivery: delivery.clone() }),
            None => Offered::Taken,
        };
        self.push(delivery, matches!(offered, Offered::Taken));
        offered
    }

    /// A message that was kept before the server was restarted; they come rising.
    pub(crate) fn restore(&mut self, delivery: PlainDelivery) {
        self.next_seq = self.next_seq.max(delivery.seq + 1);
        self.use_id(delivery.packet_id);
        self.push(delivery, true);
    }

    /// A packet id that is in use since before the server was restarted.
    pub(crate) fn use_id(&mut self, packet_id: u16) {
        if packet_id >= KEPT_ID_MIN {
            self.rare.get_or_insert_default().ids.insert(packet_id);
            self.last_id = packet_id;
        }
    }

    /// No message is numbered below this.
    pub(crate) fn number_from(&mut self, seq: u64) {
        self.next_seq = self.next_seq.max(seq);
    }

    /// The client is done with a message that had this packet id.
    pub(crate) fn free_id(&mut self, packet_id: u16) {
        if let Some(rare) = &mut self.rare {
            rare.ids.remove(&packet_id);
        }
    }

    pub(crate) fn settle(&mut self, seq: u64, kept: bool) {
        let Ok(at) = self.places.binary_search_by_key(&seq, |place| place.delivery.seq) else {
            // The session has ended meanwhile.
            return;
        };
        if kept {
            self.places[at].ready = true;
        } else if let Some(place) = self.places.remove(at) {
            self.forget(1);
            self.free_id(place.delivery.packet_id);
        }
    }

    /// Takes up to `room` messages that are ready, and no more than the one with which they are
    /// `bytes` long.
    pub(crate) fn take(&mut self, room: usize, bytes: usize) -> VecDeque<PlainDelivery> {
        let mut taken_bytes = 0;
        let fits = |place: &&Place| {
            let fits = place.ready && taken_bytes < bytes;
            taken_bytes += place.delivery.message.bytes();
            fits
        };
        let ready = self.places.iter().take(room).take_while(fits).count();
        let taken: VecDeque<_> = self.places.drain(..ready).map(|place| place.delivery).collect();
        self.forget(taken.len());
        if self.places.is_empty() {
            self.places = VecDeque::new();
        }
        taken
    }

    /// Takes the messages of shares that are ready and that `wanted` wants.
    pub(crate) fn take_shared(
        &mut self,
        mut wanted: impl FnMut(&PlainDelivery) -> bool,
    ) -> Vec<PlainDelivery> {
        let mut taken = Vec::new();
        for place in std::mem::take(&mut self.places) {
            if place.ready && place.delivery.share.is_some() && wanted(&place.delivery) {
                self.forget(1);
                self.free_id(place.delivery.packet_id);
                taken.push(place.delivery);
            } else {
                self.places.push_back(place);
            }
        }
        taken
    }

    /// All that is not kept yet and has to be now that the session is off line.
    pub(crate) fn unkept(&mut self) -> impl Iterator<Item = &mut PlainDelivery> {
        let deliveries = self.places.iter_mut().map(|place| &mut place.delivery);
        deliveries.filter(|delivery| !delivery.kept && delivery.qos != QoS::AtMostOnce)
    }

    pub(crate) fn drop_qos0(&mut self) {
        for place in std::mem::take(&mut self.places) {
            if place.delivery.qos == QoS::AtMostOnce {
                self.forget(1);
            } else {
                self.places.push_back(place);
            }
        }
    }

    /// The session has ended. Numbers go on: what is being kept for it must find nothing.
    pub(crate) fn clear(&mut self) {
        let places = std::mem::take(&mut self.places);
        self.forget(places.len());
        self.keep_for = None;
        self.rare = None;
        self.recorded = false;
    }

    fn push(&mut self, mut delivery: PlainDelivery, ready: bool) {
        let account = self.account.get_or_insert_with(|| {
            Arc::new(Account { queues: self.queues.clone(), bytes: AtomicUsize::new(0) })
        });
        delivery.weight = Weight::new(account, delivery.message.bytes());
        self.queues.messages.fetch_add(1, Ordering::Relaxed);
        self.places.push_back(Place { delivery, ready });
    }

    /// So many messages are not queued any more; their bytes count for as long as they live.
    fn forget(&self, messages: usize) {
        self.queues.messages.fetch_sub(messages, Ordering::Relaxed);
    }

    fn take_id(&mut self) -> Option<u16> {
        let ids = &mut self.rare.get_or_insert_default().ids;
        if ids.len() >= KEPT_IDS_MAX {
            return None;
        }
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(KEPT_ID_MIN);
            if ids.insert(self.last_id) {
                return Some(self.last_id);
            }
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // The messages of all queues are counted together.
        self.clear();
    }
}
