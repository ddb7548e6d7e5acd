//! An attached device: what it has subscribed to, and its flows.

use std::collections::VecDeque;
use std::sync::Weak;

use bluetick_protocol::{ChatId, Seq};

use super::flow::Flow;
use super::turn::{Wants, has_news, next_receipt};
use super::{Attach, Form, Options, Outbox};
use crate::engine::{Chat, ChatNo, Engine, Member, SubscriptionKind, SubscriptionStart};
use crate::numbers::NumberMap;

/// One of these in each partition for every device that is there, most of which have nothing to come:
/// what is rare lies in a box that is not there most of the time.
pub(super) struct Device {
    pub(super) attach: Attach,
    pub(super) outbox: Weak<dyn Outbox>,
    pub(super) messages: Scope,
    pub(super) receipts: Scope,
    pub(super) typing: Scope,
    /// While it is not up to date everywhere.
    pub(super) behind: Option<Box<Behind>>,
    /// It wants to know when the members of its user's chats change.
    pub(super) watches_members: bool,
}

/// The chats in which a device is not up to date.
#[derive(Debug, Default)]
pub(super) struct Behind {
    pub(super) flows: NumberMap<ChatNo, Flow>,
    /// Those with something for it, in the order of their turns.
    pub(super) ready: VecDeque<ChatNo>,
}

/// Boxes that are not used at the moment: whoever falls behind by a message has caught up before
/// long, and the next one takes what he leaves, tables and all.
#[derive(Debug, Default)]
#[expect(clippy::vec_box, reason = "the boxes are what is kept, and go back and forth whole")]
pub(super) struct Spare(Vec<Box<Behind>>);

/// How many of them are kept: about 200 KB.
const SPARE_MAX: usize = 256;

/// Tables with room for more chats than this are not kept.
const SPARE_FLOWS_MAX: usize = 8;

impl Spare {
    fn take(&mut self) -> Box<Behind> {
        self.0.pop().unwrap_or_default()
    }

    fn put(&mut self, behind: Box<Behind>) {
        let small = behind.flows.capacity().max(behind.ready.capacity()) <= SPARE_FLOWS_MAX;
        if small && self.0.len() < SPARE_MAX {
            self.0.push(behind);
        }
    }
}

/// The subscriptions of a device of one kind.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// To all chats, by form: most devices have one of these and no other.
    all: [Option<ToAll>; 3],
    single: Option<Box<Single>>,
}

/// Subscriptions to single chats.
#[derive(Debug, Default)]
struct Single {
    chats: Vec<Subscribed>,
}

/// The options of a subscription to all chats, whose form is told by its place.
#[derive(Debug, Clone, Copy)]
struct ToAll {
    qos: u8,
    no_local: bool,
}

/// A subscription to one chat.
#[derive(Debug)]
struct Subscribed {
    no: ChatNo,
    id: ChatId,
    options: Options,
}

impl Scope {
    /// Adds a subscription, or replaces the one for the same in the same form.
    pub(super) fn put(&mut self, chat: Option<(ChatNo, ChatId)>, options: Options) {
        let Options { qos, no_local, form } = options;
        self.remove(chat.as_ref().map(|(_, id)| id), form);
        match chat {
            Some((no, id)) => {
                let single = self.single.get_or_insert_default();
                single.chats.push(Subscribed { no, id, options });
            }
            None => self.all[form as usize] = Some(ToAll { qos, no_local }),
        }
    }

    pub(super) fn remove(&mut self, chat: Option<&ChatId>, form: Form) {
        match chat {
            Some(id) => {
                let Some(single) = &mut self.single else { return };
                single.chats.retain(|had| had.id != *id || had.options.form != form);
                if single.chats.is_empty() {
                    self.single = None;
                }
            }
            None => self.all[form as usize] = None,
        }
    }

    /// The options for a chat: of several subscriptions at once, the higher QoS counts, own
    /// messages come if one of them wants them, and the form is the first of them.
    pub(super) fn options(&self, no: ChatNo) -> Option<Options> {
        let single = self.single.iter().flat_map(|single| &single.chats);
        let of_chat = single.filter(|had| had.no == no).map(|had| had.options);
        let forms = [Form::Json, Form::Compact, Form::Differences];
        let of_all = self.all.into_iter().zip(forms).filter_map(|(all, form)| {
            let ToAll { qos, no_local } = all?;
            Some(Options { qos, no_local, form })
        });
        of_all.chain(of_chat).reduce(|a, b| Options {
            qos: a.qos.max(b.qos),
            no_local: a.no_local && b.no_local,
            form: a.form.min(b.form),
        })
    }

    pub(super) fn options_of_all(&self, starts: &[SubscriptionStart]) -> Vec<Option<Options>> {
        starts.iter().map(|start| self.options(start.chat)).collect()
    }
}

impl Device {
    /// A device without subscriptions.
    pub(super) fn new(attach: Attach, outbox: Weak<dyn Outbox>) -> Self {
        Self {
            attach,
            outbox,
            messages: Scope::default(),
            receipts: Scope::default(),
            typing: Scope::default(),
            behind: None,
            watches_members: false,
        }
    }

    /// Begins a subscription in one chat.
    pub(super) fn start(
        &mut self,
        kind: SubscriptionKind,
        start: &SubscriptionStart,
        inflight: &[(ChatNo, Seq)],
        engine: &mut Engine,
        spare: &mut Spare,
    ) {
        let no = start.chat;
        let Some(chat) = engine.chat_mut(no) else { return };
        let Some(member) = chat.member(start.member) else { return };
        let place = member.place_at(chat.committed);
        let waits = match kind {
            SubscriptionKind::Messages => start.seq != place,
            SubscriptionKind::Receipts => {
                let marks = &member.visible;
                let news = if self.attach.reads { marks.news } else { marks.delivered_news };
                news > start.receipts || marks.read_version > start.receipts
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
        let behind = self.behind.get_or_insert_with(|| spare.take());
        let flow = behind.flows.entry(no).or_insert_with(|| {
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
        behind.queue(no);
    }

    /// There is news in a chat: makes sure of a flow. If there is none, the device has all that is
    /// committed. Gives the number of flows made.
    pub(super) fn ready_in(
        &mut self,
        chat: &Chat,
        index: u32,
        member: &Member,
        spare: &mut Spare,
    ) -> u32 {
        let mut fresh = 0;
        let session = self.attach.session.as_ref();
        let behind = self.behind.get_or_insert_with(|| spare.take());
        behind.flows.entry(chat.no).or_insert_with(|| {
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
        behind.queue(chat.no);
        fresh
    }

    /// Its place in a chat, if it is not up to date there.
    pub(super) fn flow_mut(&mut self, no: ChatNo) -> Option<&mut Flow> {
        self.behind.as_mut()?.flows.get_mut(&no)
    }

    /// Gives back what one that is up to date does not need.
    pub(super) fn rest(&mut self, spare: &mut Spare) {
        if let Some(mut behind) = self.behind.take_if(|behind| behind.flows.is_empty()) {
            behind.ready.clear();
            spare.put(behind);
        }
    }

    pub(super) fn forget_if_done(
        &mut self,
        no: ChatNo,
        receipts_members_max: usize,
        engine: &mut Engine,
    ) {
        let Some(chat) = engine.chat(no) else { return };
        let Some(behind) = &mut self.behind else { return };
        let Some(flow) = behind.flows.get(&no) else { return };
        let until = chat.member(flow.member).and_then(|member| member.until);
        let last = until.map_or(chat.head, |until| until.min(chat.head));
        let head = self.messages.options(no).map(|_| last);
        let wants = Wants::new(&self.attach, chat, receipts_members_max);
        // Who was removed before he was told is told if he is a member again; by then another
        // device of his may have been.
        let untold = self.receipts.options(no).is_some()
            && (next_receipt(chat, flow, wants).is_some()
                || until.is_some() && has_news(chat, flow, wants));
        if !untold && flow.is_done(head) {
            behind.flows.remove(&no);
            release(engine, no);
        }
    }
}

impl Behind {
    /// Gives a chat its turn, if it is not waiting for it already.
    pub(super) fn queue(&mut self, no: ChatNo) {
        if let Some(flow) = self.flows.get_mut(&no)
            && !flow.queued
        {
            flow.queued = true;
            self.ready.push_back(no);
        }
    }
}

pub(super) fn release(engine: &mut Engine, no: ChatNo) {
    if let Some(chat) = engine.chat_mut(no) {
        chat.flows = chat.flows.saturating_sub(1);
    }
}
