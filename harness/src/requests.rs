//! What a device asks for beside its messages, and what has become of it.

use bluetick_checker::{Amends, Ask, Event, Past};
use fastrand::Rng;
use serde_json::{Value, json};

/// Requests that a device has open at most.
pub(crate) const OPEN_MAX: usize = 3;

/// What a device asks for now and then, with `rpc/{method}/{request}`.
#[derive(Debug, Clone)]
pub enum Wish {
    /// Who is in a group.
    Members {
        /// The group.
        chat: String,
        /// Who may be added, removed and given a role.
        guests: Vec<String>,
        /// Leaves it, too.
        leaves: bool,
    },
    /// To get nothing of the other one of a direct chat, and to get it again.
    Block {
        /// The chat.
        chat: String,
        /// The other one.
        user: String,
    },
    /// That nobody is told what he reads, and that all are.
    Reading,
    /// Pages of the log.
    History {
        /// Of which chats.
        chats: Vec<String>,
    },
}

/// A request that is asked until it is answered.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) no: u64,
    pub(crate) method: &'static str,
    pub(crate) arguments: Value,
    /// Empty if it is about none.
    pub(crate) chat: String,
    /// What the history is told of it; nothing of what changes nothing.
    pub(crate) ask: Option<Ask>,
}

/// What is asked, and what was.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    pub(crate) open: Vec<Request>,
    /// Answered, and may be asked again.
    answered: Vec<Request>,
}

impl Requests {
    /// A new request, if there is to be one; whatever has the same effect is asked one after the other, so
    /// that somebody knows what came last.
    pub(crate) fn wish(&mut self, wish: &Wish, user: &str, no: u64, random: &mut Rng) {
        let request = match wish {
            Wish::Members { chat, guests, leaves } => members(chat, guests, *leaves, user, random),
            Wish::Block { chat, user } => {
                let blocks = random.bool();
                let method = if blocks { "users.block" } else { "users.unblock" };
                let ask = Ask::Block { chat: chat.clone(), blocks };
                (method, json!({ "user": user }), chat.clone(), Some(ask))
            }
            Wish::Reading => {
                let told = random.bool();
                let ask = Ask::Reading { told };
                ("privacy.set", json!({ "receipts": told }), String::new(), Some(ask))
            }
            Wish::History { chats } => {
                let chat = chats[random.usize(..chats.len())].clone();
                let mut arguments = json!({ "chat": chat, "limit": random.u8(1..=30) });
                let page = ["after", "before", ""][random.usize(..3)];
                if !page.is_empty() {
                    arguments[page] = json!(random.u8(..100));
                }
                ("chats.history", arguments, chat, None)
            }
        };
        let (method, arguments, chat, ask) = request;
        let request = Request { no, method, arguments, chat, ask };
        let same = |open: &Request| open.ask.is_some() && open.chat == request.chat;
        if matches!(wish, Wish::Members { .. }) || !self.open.iter().any(same) {
            self.open.push(request);
        }
    }

    /// Opens one again that was answered.
    pub(crate) fn repeat(&mut self, random: &mut Rng) -> bool {
        let any = !self.answered.is_empty();
        if any {
            let again = self.answered[random.usize(..self.answered.len())].clone();
            self.open.push(again);
        }
        any
    }

    /// Takes the answer to request `no`; gives what is to be written down.
    pub(crate) fn answered(
        &mut self,
        no: u64,
        user: &str,
        device: &str,
        answer: &Value,
    ) -> Vec<Event> {
        let Some(at) = self.open.iter().position(|open| open.no == no) else { return Vec::new() };
        let request = self.open.remove(at);
        let chat = request.chat.clone();
        let ok = answer.get("ok");
        let texts = |values: &Value| {
            let values = values.as_array().into_iter().flatten();
            values.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        if request.ask.is_some() {
            let users = ok.map(|ok| ok.get("members").map(texts).unwrap_or_default());
            if self.answered.iter().all(|answered| answered.no != no) {
                self.answered.push(request);
            }
            return vec![Event::Answered { chat, request: no, users }];
        }
        let Some(messages) = ok.and_then(|ok| ok.get("messages")).and_then(Value::as_array) else {
            return Vec::new();
        };
        let entries = messages.iter().map(past).collect();
        let (user, device) = (user.to_owned(), device.to_owned());
        vec![Event::History { user, device, chat, entries }]
    }
}

fn members(
    chat: &str,
    guests: &[String],
    leaves: bool,
    user: &str,
    random: &mut Rng,
) -> (&'static str, Value, String, Option<Ask>) {
    let mut some = guests.to_vec();
    random.shuffle(&mut some);
    some.truncate(random.usize(1..=2));
    let (mut adds, mut removes) = (Vec::new(), Vec::new());
    let (method, arguments) = match random.u8(..8) {
        0 if leaves => {
            removes.push(user.to_owned());
            ("groups.leave", json!({ "chat": chat }))
        }
        0..=3 => {
            adds.clone_from(&some);
            ("groups.add", json!({ "chat": chat, "members": some }))
        }
        4..=5 => {
            removes.clone_from(&some);
            ("groups.remove", json!({ "chat": chat, "members": some }))
        }
        _ => {
            let role = if random.bool() { "admin" } else { "member" };
            ("groups.set_role", json!({ "chat": chat, "user": some.first(), "role": role }))
        }
    };
    let chat = chat.to_owned();
    (method, arguments, chat.clone(), Some(Ask::Members { chat, adds, removes }))
}

fn past(json: &Value) -> Past {
    let text = |name: &str| json.get(name).and_then(Value::as_str).map(str::to_owned);
    Past {
        seq: json.get("seq").and_then(Value::as_u64).unwrap_or_default(),
        id: text("id").unwrap_or_default(),
        from: text("from").unwrap_or_default(),
        body: json.get("event").map(Value::to_string).or_else(|| text("body")),
        amends: amends(json),
    }
}

/// What the entry changes.
pub(crate) fn amends(json: &Value) -> Option<Amends> {
    let number = |name: &str| json.get(name).and_then(Value::as_u64);
    let edit = number("edit_of").map(Amends::Edit);
    let delete = || number("delete_of").map(Amends::Delete);
    edit.or_else(delete).or_else(|| number("react_to").map(Amends::React))
}
