//! Requests: `rpc/{method}`, answered on `me/replies/{request}`.
//!
//! What changes something is a command to the partition of its chat; what only asks is read from
//! the store, away from the threads that serve connections. The answer follows the PUBACK of the
//! request, which itself says no more than that the request was heard.

use std::sync::Arc;

use bluetick_broker::Message;
use bluetick_broker::host::{HostEvent, HostPublish, Token};
use bluetick_broker::packet::{PublishProperties, Reason};
use bluetick_protocol::rpc::{self, Request, RpcError};
use bluetick_protocol::{
    ChatId, ChatKind, MessageId, RequestId, Role, UserId, parse_response_topic, reply_topic,
};
use bytes::Bytes;
use uuid::Builder;
use xxhash_rust::xxh3::Xxh3;

use super::command::Refused;
use super::session::Inner;
use super::{queries, quotas};
use crate::engine::{
    Change, ChangeChat, Command, CreateChat, Info, Outcome, Preference, Quota, Refused as Refusal,
    RequestKey,
};
use crate::partition::Unavailable;
use crate::store::StoreError;

/// Characters of a group's name after `g-`.
const GROUP_NAME_CHARS: usize = 16;

/// Where an answer goes.
pub(super) struct Call {
    token: Token,
    topic: String,
    correlation: Option<Bytes>,
}

impl Inner {
    /// A request; its answer, or why it has none, is told.
    ///
    /// # Errors
    /// There is no place to answer to.
    pub(super) fn request(
        self: &Arc<Self>,
        publish: &HostPublish,
        method: &str,
        id: Option<RequestId>,
    ) -> Result<(), Refused> {
        let properties = &publish.properties;
        let (id, correlation) = match id {
            Some(id) => (id, None),
            None => {
                let topic = properties.response_topic.as_deref().ok_or_else(|| {
                    let text = "say where the answer is to go: publish to \
                                rpc/{method}/{request}, or give a response topic";
                    Refused(Reason::PAYLOAD_FORMAT_INVALID, text.to_owned())
                })?;
                let id = parse_response_topic(topic)
                    .map_err(|error| Refused(Reason(error.code()), error.to_string()))?;
                (id, properties.correlation_data.clone())
            }
        };
        let call = Call { token: publish.token, topic: reply_topic(&id), correlation };
        let answer = match &call.correlation {
            Some(data) => rpc::check_correlation(data),
            None => Ok(()),
        };
        let request = answer.and_then(|()| Request::parse(method, &publish.payload));
        match request {
            Ok(request) => {
                let named = call
                    .correlation
                    .clone()
                    .unwrap_or_else(|| Bytes::copy_from_slice(id.as_str().as_bytes()));
                self.serve(call, request, &named);
            }
            Err(error) => self.reply(&call, error.to_json()),
        }
        Ok(())
    }

    fn serve(self: &Arc<Self>, call: Call, request: Request, named: &[u8]) {
        let (quotas, now) = (&self.shared.options.quotas, self.shared.now_ms());
        if self.person.get().is_some_and(|person| !person.usage.request(quotas, now)) {
            return self.reply(&call, self.over_quota(Quota::Rate));
        }
        let key = request_key(&self.key.user, request.method().as_str(), named);
        match request {
            Request::GroupsCreate(create) => {
                let inner = self.clone();
                self.shared.reads.run(Box::new(move || inner.create_group(call, create, &key)));
            }
            Request::GroupsAdd(add) => {
                let unknown = |user: &UserId| !self.shared.directory.exists(user);
                if add.members.iter().any(unknown) {
                    return self.reply(&call, stranger().to_json());
                }
                self.change(call, key, add.chat, Change::Add(add.members));
            }
            Request::GroupsRemove(remove) => {
                self.change(call, key, remove.chat, Change::Remove(remove.members));
            }
            Request::GroupsLeave(leave) => self.change(call, key, leave.chat, Change::Leave),
            Request::GroupsSetRole(set) => {
                self.change(call, key, set.chat, Change::SetRole(set.user, set.role));
            }
            Request::GroupsUpdate(update) => {
                let rpc::UpdateGroup { chat, title, description, picture, admins_only } = update;
                let change = Change::Update { title, description, picture, admins_only };
                self.change(call, key, chat, change);
            }
            Request::ChatsSetTtl(set) => {
                self.change(call, key, set.chat, Change::SetTtl(set.ttl_s));
            }
            Request::ChatsInfo(info) => {
                self.query(call, move |inner| queries::info(&inner.shared, &inner.key.user, info));
            }
            Request::ChatsHistory(page) => {
                self.query(call, move |inner| {
                    queries::history(&inner.shared, &inner.key.user, page)
                });
            }
            Request::ChatsList(list) => {
                self.query(call, move |inner| queries::list(&inner.shared, &inner.key.user, list));
            }
            Request::ChatsMute(mute) => {
                self.prefer(call, key, mute.chat, Preference::Mute(mute.until_ms));
            }
            Request::UsersBlock(of) => self.block(call, key, &of.user, true),
            Request::UsersUnblock(of) => self.block(call, key, &of.user, false),
            Request::UsersProfile(of) => self.query(call, move |inner| inner.profile(&of)),
            Request::ProfileSet(set) => self.set_profile(call, key, set),
            Request::PrivacySet(set) => self.set_privacy(call, key, set),
            Request::DevicesList(_) => self.query(call, |inner| inner.devices()),
            Request::DevicesRemove(remove) => {
                let inner = self.clone();
                let job = move || inner.remove_device(call, key, remove.device.into());
                self.shared.reads.run(Box::new(job));
            }
        }
    }

    fn block(self: &Arc<Self>, call: Call, key: RequestKey, user: &UserId, blocks: bool) {
        if *user == self.key.user {
            let text = "'user' has to be somebody else";
            return self.reply(&call, RpcError::new(RpcError::ARGUMENTS, text).to_json());
        }
        let chat = ChatId::direct(&self.key.user, user);
        self.prefer(call, key, chat, Preference::Block(blocks));
    }

    /// What is answered where a quota is reached, which is counted.
    fn over_quota(&self, quota: Quota) -> Vec<u8> {
        self.shared.quota_stats.count(quota);
        RpcError::new(RpcError::QUOTA_EXCEEDED, quotas::explain(quota)).to_json()
    }

    /// Reads from the store: blocks.
    fn create_group(self: &Arc<Self>, call: Call, create: rpc::CreateGroup, key: &RequestKey) {
        // As in a direct chat, whether somebody exists is told to whoever names him, and no more:
        // not which of several does not.
        if create.members.iter().any(|user| !self.shared.directory.exists(user)) {
            return self.reply(&call, stranger().to_json());
        }
        // Name and first entry are made of the request, so that a repeat finds the same group.
        let chat = group_name(key.hash);
        let create = CreateChat {
            chat: chat.clone(),
            id: message_id(key.hash),
            owner: self.key.user.clone(),
            members: create.members,
            info: Info {
                title: Some(create.title),
                description: create.description.filter(|text| !text.is_empty()),
                picture: create.picture.filter(|text| !text.is_empty()),
                admins_only: false,
                ttl_s: 0,
            },
            members_max: self.shared.options.group_members_max,
            over: match self.owns_too_many_groups() {
                Ok(over) => over.then_some(Quota::Groups),
                Err(error) => {
                    tracing::error!(%error, "a request cannot be answered from the store");
                    return self.line.host(HostEvent::Close(Reason::SERVER_UNAVAILABLE));
                }
            },
        };
        self.submit_request(call, &chat, Command::CreateChat(create));
    }

    fn change(self: &Arc<Self>, call: Call, request: RequestKey, chat: ChatId, change: Change) {
        let environment = &self.shared.environment;
        let random = u128::from(environment.random()) << 64 | u128::from(environment.random());
        let command = ChangeChat {
            request,
            chat: chat.clone(),
            id: message_id(random),
            change,
            members_max: self.shared.options.group_members_max,
        };
        self.submit_request(call, &chat, Command::ChangeChat(Box::new(command)));
    }

    fn submit_request(self: &Arc<Self>, call: Call, chat: &ChatId, command: Command) {
        let inner = self.clone();
        let named = chat.clone();
        let names_members = matches!(
            &command,
            Command::ChangeChat(change) if matches!(change.change, Change::Add(_) | Change::Remove(_))
        );
        let reply = move |outcome: Result<Outcome, Unavailable>| match outcome {
            Ok(Outcome::OverQuota(quota)) => inner.reply(&call, inner.over_quota(quota)),
            Ok(outcome) => inner.reply(&call, answer(&named, outcome, names_members)),
            Err(Unavailable) => inner.line.host(HostEvent::Close(Reason::SERVER_UNAVAILABLE)),
        };
        let now = self.shared.now_ms();
        self.shared.of_chat(chat).submit(command, now, Some(Box::new(reply)));
    }

    /// Whether he owns as many groups as one may. Reads all his chats, which is no more than he is
    /// let to make or be drawn into, and only when he makes another one.
    fn owns_too_many_groups(&self) -> Result<bool, StoreError> {
        let max = self.shared.options.quotas.groups_owned_max;
        if max == 0 {
            return Ok(false);
        }
        let (me, store, mut owned) = (&self.key.user, self.shared.store(), 0);
        for partition in self.shared.pipeline.partitions() {
            for no in store.chats_of_user(partition.no(), me)? {
                let Some(chat) = store.chat(partition.no(), no)? else { continue };
                let mut members = chat.members.iter().filter(|member| member.is_active());
                let owns = members.any(|member| member.user == *me && member.role == Role::Owner);
                owned += u32::from(owns && chat.id.kind() == ChatKind::Group);
            }
        }
        Ok(owned >= max)
    }

    /// Answers from the store.
    fn query(
        self: &Arc<Self>,
        call: Call,
        ask: impl FnOnce(&Self) -> queries::Answer + Send + 'static,
    ) {
        let inner = self.clone();
        let job = move || match ask(&inner) {
            Ok(answer) => inner.reply(&call, answer),
            Err(queries::Failed::Refused(error)) => inner.reply(&call, error.to_json()),
            Err(queries::Failed::Store(error)) => {
                tracing::error!(%error, "a request cannot be answered from the store");
                inner.line.host(HostEvent::Close(Reason::SERVER_UNAVAILABLE));
            }
        };
        self.shared.reads.run(Box::new(job));
    }

    pub(super) fn reply(&self, call: &Call, answer: Vec<u8>) {
        let properties = PublishProperties {
            correlation_data: call.correlation.clone(),
            ..PublishProperties::default()
        };
        let message = Message::new(call.topic.as_str().into(), answer.into(), &properties, false);
        self.line.host(HostEvent::Published {
            token: call.token,
            reason: Reason::SUCCESS,
            properties: None,
            notice: Some(Arc::new(message)),
        });
    }
}

pub(super) fn stranger() -> RpcError {
    RpcError::new(RpcError::NOT_AUTHORIZED, "not a member, or there is no such chat or user")
}

pub(super) fn answer(chat: &ChatId, outcome: Outcome, names_members: bool) -> Vec<u8> {
    let refused = match outcome {
        Outcome::Created { .. } => return rpc::answer_ok(&rpc::Created { chat: chat.clone() }),
        Outcome::Changed(members) if names_members => {
            return rpc::answer_ok(&rpc::Changed { members });
        }
        Outcome::Changed(_) | Outcome::Preferred { .. } => {
            return rpc::answer_ok(&rpc::Empty {});
        }
        Outcome::Refused(refused) => refused,
        _ => return stranger().to_json(),
    };
    let (code, text) = match refused {
        Refusal::NotAMember
        | Refusal::Exists
        | Refusal::TooManyEdits
        | Refusal::NoReaction
        | Refusal::NoDevice => {
            return stranger().to_json();
        }
        Refusal::AdminsOnly => (RpcError::NOT_AUTHORIZED, "only an owner or an admin may do this"),
        Refusal::OwnersOnly => (RpcError::NOT_AUTHORIZED, "only an owner may do this"),
        Refusal::Owner => (RpcError::NOT_AUTHORIZED, "an owner cannot be removed"),
        Refusal::LastOwner => {
            (RpcError::NOT_AUTHORIZED, "this is the only owner: make another one first")
        }
        Refusal::Direct => (RpcError::NOT_AUTHORIZED, "a direct chat has its two members for ever"),
        Refusal::TooManyMembers => {
            (RpcError::QUOTA_EXCEEDED, "the group would have more members than it may")
        }
    };
    RpcError::new(code, text).to_json()
}

/// Names a request by what the client calls it. The same name for another method is another one.
fn request_key(user: &UserId, method: &str, named: &[u8]) -> RequestKey {
    let mut hash = Xxh3::new();
    for part in [user.as_str().as_bytes(), method.as_bytes(), named] {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    RequestKey { user: user.clone(), hash: hash.digest128() }
}

fn group_name(mut hash: u128) -> ChatId {
    const ALPHABET: [u8; 36] = *b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut name = "g-".to_owned();
    for _ in 0..GROUP_NAME_CHARS {
        name.push(char::from(ALPHABET[(hash % 36) as usize]));
        hash /= 36;
    }
    ChatId::try_from(name.as_str()).unwrap_or_else(|_| unreachable!("{name} is a group's name"))
}

fn message_id(random: u128) -> MessageId {
    let uuid = Builder::from_random_bytes(random.to_be_bytes()).into_uuid();
    MessageId::from_uuid(uuid).unwrap_or_else(|| unreachable!("a version 4 UUID is not nil"))
}
