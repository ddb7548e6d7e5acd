//! An attached device: what it has subscribed to, and its flows.

use std::collections::{HashMap, VecDeque};

use bluetick_protocol::{ChatId, Seq};

use super::flow::Flow;
use super::turn::next_receipt;
use super::{Attach, Options};
use crate::engine::{Chat, ChatNo, Engine, Member, SubscriptionKind, SubscriptionStart};

#[derive(Debug)]
pub(super) struct Device {
    pub(super) attach: Attach,
    pub(super) messages: Scope,
    pub(super) receipts: Scope,
    pub(super) flows: HashMap<ChatNo, Flow>,
    pub(super) ready: VecDeque<ChatNo>,
}

/// The subscriptions of a device of one kind.
#[derive(Debug, Default)]
pub(super) struct Scope {
    pub(super) all: Option<Options>,
    pub(super) chats: Vec<(ChatNo, ChatId, Options)>,
}

impl Scope {
    /// The options for a chat: of both subscriptions at once, the higher QoS counts.
    pub(super) fn options(&self, no: ChatNo) -> Option<Options> {
        let one = self.chats.iter().find(|one| one.0 == no).map(|one| one.2);
        match (self.all, one) {
            (Some(all), Some(one)) => {
                Some(Options { qos: all.qos.max(one.qos), no_local: all.no_local && one.no_local })
            }
            (all, one) => all.or(one),
        }
    }
}

impl Scope {
    pub(super) fn options_of_all(&self, starts: &[SubscriptionStart]) -> Vec<Option<Options>> {
        starts.iter().map(|start| self.options(start.chat)).collect()
    }
}

impl Device {
    /// A device without subscriptions.
    pub(super) fn new(attach: Attach) -> Self {
        Self {
            attach,
            messages: Scope::default(),
            receipts: Scope::default(),
            flows: HashMap::new(),
            ready: VecDeque::new(),
        }
    }

    /// Begins a subscription in one chat.
    pub(super) fn start(
        &mut self,
        kind: SubscriptionKind,
        start: &SubscriptionStart,
        inflight: &[(ChatNo, Seq)],
        engine: &mut Engine,
    ) {
        let no = start.chat;
        let Some(chat) = engine.chat_mut(no) else { return };
        let Some(member) = chat.member(start.member) else { return };
        let place = member.place_at(chat.committed);
        let waits = match kind {
            SubscriptionKind::Messages => start.seq != place,
            SubscriptionKind::Receipts => {
                let marks = &member.visible;
                marks.news > start.receipts || marks.read_version > start.receipts
            }
        };
        let mine = inflight.iter().filter(|(of, _)| *of == no).map(|(_, seq)| *seq);
        let mine: Vec<Seq> =
            if kind == SubscriptionKind::Messages { mine.collect() } else { vec![] };
        if !waits && mine.is_empty() {
            return;
        }
        let visible = chat.visible_version;
        let mut fresh = 0;
        let flow = self.flows.entry(no).or_insert_with(|| {
            fresh = 1;
            Flow::new(start.member, place, visible)
        });
        match kind {
            SubscriptionKind::Messages => {
                let receipts = flow.receipts_given;
                let had = std::mem::replace(flow, Flow::new(start.member, start.seq, receipts));
                flow.queued = had.queued;
                for seq in mine {
                    flow.was_given(seq);
                }
            }
            SubscriptionKind::Receipts => flow.receipts_given = start.receipts,
        }
        chat.flows += fresh;
        self.queue(no);
    }

    /// There is news in a chat: makes sure of a flow. If there is none, the device has all that is
    /// committed. Gives the number of flows made.
    pub(super) fn ready_in(&mut self, chat: &Chat, index: u32, member: &Member) -> u32 {
        let mut fresh = 0;
        let session = self.attach.session.as_ref();
        self.flows.entry(chat.no).or_insert_with(|| {
            fresh = 1;
            // Who is about to be a member has not been told of receipts since he last was one.
            let receipts = match member.since > chat.committed {
                true => session
                    .and_then(|(device, epoch)| member.cursor(device, *epoch)?.receipts)
                    .unwrap_or(member.receipts_told),
                false => chat.visible_version,
            };
            Flow::new(index, member.place_at(chat.committed), receipts)
        });
        self.queue(chat.no);
        fresh
    }

    pub(super) fn queue(&mut self, no: ChatNo) {
        if let Some(flow) = self.flows.get_mut(&no)
            && !flow.queued
        {
            flow.queued = true;
            self.ready.push_back(no);
        }
    }

    pub(super) fn forget_if_done(&mut self, no: ChatNo, engine: &mut Engine) {
        let Some(chat) = engine.chat(no) else { return };
        let Some(flow) = self.flows.get(&no) else { return };
        let until = chat.member(flow.member).and_then(|member| member.until);
        let last = until.map_or(chat.head, |until| until.min(chat.head));
        let head = self.messages.options(no).map(|_| last);
        let untold = self.receipts.options(no).is_some() && next_receipt(chat, flow).is_some();
        if !untold && flow.is_done(head) {
            self.flows.remove(&no);
            release(engine, no);
            if self.flows.is_empty() {
                self.flows = HashMap::new();
            }
        }
    }
}

pub(super) fn release(engine: &mut Engine, no: ChatNo) {
    if let Some(chat) = engine.chat_mut(no) {
        chat.flows = chat.flows.saturating_sub(1);
    }
}
