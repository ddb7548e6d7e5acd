//! An engine with a chat that goes on for ever, without sessions and threads: what the micro benches time and
//! the budgets count.

use std::sync::Arc;

use bluetick_bridge::engine::{
    Batch, ChatNo, Command, ContentType, Counters, CreateChat, Engine, Entry, Facts, Info, Outcome,
    PartitionNo, Send, Write,
};
use bluetick_bridge::store::{MemoryKv, Store, Supplied};
use bluetick_protocol::{ChatId, MessageId, UserId};
use bytes::Bytes;

pub(crate) const P: PartitionNo = PartitionNo(0);
const NOW_MS: u64 = 1_764_000_000_000;

/// The body of every message.
pub(crate) const BODY: [u8; 100] = [b'x'; 100];

/// A chat and its author, alice.
pub(crate) struct Talk {
    engine: Engine,
    store: Store,
    pub(crate) chat: ChatId,
    sent: u64,
}

impl Talk {
    /// With bob.
    pub(crate) fn direct() -> Self {
        let mut talk = Self::new(ChatId::direct(&user("alice"), &user("bob")));
        talk.one();
        talk
    }

    /// In a group of so many.
    pub(crate) fn group(members: usize) -> Self {
        let mut talk = Self::new(ChatId::try_from("g-000000000001").expect("a group"));
        let create = Command::CreateChat(CreateChat {
            info: Info::default(),
            members_max: 1024,
            over: None,
            chat: talk.chat.clone(),
            id: MessageId::from_bytes([7; 16]).expect("an id"),
            owner: user("alice"),
            members: (1..members).map(|at| user(&format!("member{at}"))).collect(),
        });
        let mut batch = Batch::default();
        let outcome = talk.decide_one(&create, &mut batch);
        assert!(matches!(outcome, Outcome::Created { .. }), "{outcome:?}");
        talk.committed(&mut batch);
        talk
    }

    fn new(chat: ChatId) -> Self {
        let (store, _) = Store::open(Arc::new(MemoryKv::default()), 1).expect("a store");
        Self { engine: Engine::new(P, Counters::default(), 8), store, chat, sent: 0 }
    }

    /// The next sends, with ids of version 7 that rise.
    pub(crate) fn sends(&mut self, messages: usize) -> Vec<Command> {
        (0..messages).map(|_| self.next_send()).collect()
    }

    fn next_send(&mut self) -> Command {
        self.sent += 1;
        let mut id = [0x80; 16];
        id[..8].copy_from_slice(&(self.sent << 16).to_be_bytes());
        id[6] = 0x70;
        Command::Send(Box::new(Send {
            from: user("alice"),
            chat: self.chat.clone(),
            peer_exists: true,
            may_begin: true,
            over: None,
            id: MessageId::from_bytes(id),
            fingerprint: None,
            dup: false,
            origin: 1,
            body: Bytes::copy_from_slice(&BODY),
            content_type: ContentType::Text,
            reply_to: None,
            mentions: Vec::new(),
            ttl_s: None,
            amends: None,
            edit_window_ms: 0,
        }))
    }

    /// Decides a batch of these, and shows it as if it were stored.
    pub(crate) fn decide(&mut self, sends: &[Command]) -> Batch {
        let mut batch = Batch::default();
        for send in sends {
            let outcome = self.decide_one(send, &mut batch);
            assert!(matches!(outcome, Outcome::Sent { duplicate: false, .. }), "{outcome:?}");
        }
        self.committed(&mut batch);
        batch
    }

    /// One message.
    pub(crate) fn one(&mut self) -> Arc<Entry> {
        let sends = self.sends(1);
        let batch = self.decide(&sends);
        entries(&batch).next().expect("an entry").1.clone()
    }

    fn decide_one(&mut self, command: &Command, batch: &mut Batch) -> Outcome {
        let mut facts = Facts::default();
        loop {
            match self.engine.decide(command, &facts, NOW_MS, batch) {
                Ok(outcome) => return outcome,
                Err(need) => match self.store.supply(P, need, &mut facts).expect("readable") {
                    Supplied::Chat(chat) => self.engine.supply_chat(chat),
                    Supplied::Noted => {}
                },
            }
        }
    }

    fn committed(&mut self, batch: &mut Batch) {
        self.engine.close_batch(batch);
        self.engine.handle_committed(batch);
        // What nobody reads along is not kept in memory.
        for (no, entry) in entries(batch) {
            if let Some(chat) = self.engine.chat_mut(no) {
                chat.drop_tail(entry.seq);
            }
        }
    }
}

fn entries(batch: &Batch) -> impl Iterator<Item = (ChatNo, &Arc<Entry>)> {
    batch.writes.iter().filter_map(|write| match write {
        Write::Entry { chat, entry } => Some((*chat, entry)),
        _ => None,
    })
}

pub(crate) fn user(name: &str) -> UserId {
    UserId::try_from(name).expect("a name")
}
