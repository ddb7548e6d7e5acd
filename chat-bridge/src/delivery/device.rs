//! An attached device: what it has subscribed to, and its flows.

use std::collections::{HashMap, VecDeque};

use bluetick_protocol::{ChatId, Seq};

use super::flow::Flow;
use super::turn::{Wants, has_news, next_receipt};
use super::{Attach, Form, Options};
use crate::engine::{Chat, ChatNo, Engine, Member, SubscriptionKind, SubscriptionStart};

#[derive(Debug)]
pub(super) struct Device {
    pub(super) attach: Attach,
    pub(super) messages: Scope,
    pub(super) receipts: Scope,
    pub(super) typing: Scope,
    pub(super) flows: HashMap<ChatNo, Flow>,
    pub(super) ready: VecDeque<ChatNo>,
    /// It wants to know when the members of its user's chats change.
    pub(super) watches_members: bool,
}

/// The subscriptions of a device of one kind.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// To all chats, by form: most devices have one of these and no other.
    all: [Option<ToAll>; 3],
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
            Some((no, id)) => self.chats.push(Subscribed { no, id, options }),
            None => self.all[form as usize] = Some(ToAll { qos, no_local }),
        }
    }

    pub(super) fn remove(&mut self, chat: Option<&ChatId>, form: Form) {
        match chat {
            Some(id) => self.chats.retain(|had| had.id != *id || had.options.form != form),
            None => self.all[form as usize] = None,
        }
    }

    /// The options for a chat: of several subscriptions at once, the higher QoS counts, own
    /// messages come if one of them wants them, and the form is the first of them.
    pub(super) fn options(&self, no: ChatNo) -> Option<Options> {
        let of_chat = self.chats.iter().filter(|had| had.no == no).map(|had| had.options);
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
    pub(super) fn new(attach: Attach) -> Self {
        Self {
            attach,
            messages: Scope::default(),
            receipts: Scope::default(),
            typing: Scope::default(),
            flows: HashMap::new(),
            ready: VecDeque::new(),
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

    pub(super) fn forget_if_done(
        &mut self,
        no: ChatNo,
        receipts_members_max: usize,
        engine: &mut Engine,
    ) {
        let Some(chat) = engine.chat(no) else { return };
        let Some(flow) = self.flows.get(&no) else { return };
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
