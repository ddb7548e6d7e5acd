//! Who is in a chat, and what is said of it. Every change is an entry of the log.

use std::sync::Arc;

use bluetick_protocol::{ChatKind, Event, MessageId, Role, Seq, UserId};

use super::batch::{Batch, Facts, Need, Write};
use super::chat::{Chat, ChatNo, Info, Member};
use super::command::{Answer, Change, ChangeChat, CreateChat, Outcome, Refused, RequestKey};
use super::entry::{ContentType, Derived, Entry};
use super::send::append_entry;
use super::{Engine, Millis};

/// Where something is done to a chat, by whom, under which id, and when.
#[derive(Clone, Copy)]
struct Act {
    no: ChatNo,
    /// The member's place.
    by: u32,
    /// Of the entry that tells the members.
    id: MessageId,
    now: Millis,
}

impl Engine {
    /// Makes a group with its `created` event. One that is there already is the same one if its
    /// first entry has the same id: the request is a repeat.
    pub(super) fn decide_create(
        &mut self,
        create: &CreateChat,
        facts: &Facts,
        now: Millis,
        batch: &mut Batch,
    ) -> Result<Outcome, Need> {
        if create.chat.kind() != ChatKind::Group {
            return Ok(Outcome::Refused(Refused::Direct));
        }
        if let Some(no) = self.find(&create.chat, facts)? {
            let first = self.entry(no, Seq(1), facts)?;
            let same = first.is_some_and(|entry| entry.id == create.id);
            return Ok(match same {
                true => Outcome::Created { chat: no },
                false => Outcome::Refused(Refused::Exists),
            });
        }
        if let Some(quota) = create.over {
            return Ok(Outcome::OverQuota(quota));
        }
        let mut users = vec![create.owner.clone()];
        for user in &create.members {
            if !users.contains(user) {
                users.push(user.clone());
            }
        }
        if users.len() > create.members_max as usize {
            return Ok(Outcome::Refused(Refused::TooManyMembers));
        }
        let no = self.create(&create.chat, &users, facts, batch);
        let event = Event::Created { members: users, title: create.info.title.clone() };
        self.set_info(no, create.info.clone(), batch);
        self.tell(Act { no, by: 0, id: create.id, now }, event, batch);
        Ok(Outcome::Created { chat: no })
    }

    pub(super) fn decide_change(
        &mut self,
        change: &ChangeChat,
        facts: &Facts,
        now: Millis,
        batch: &mut Batch,
    ) -> Result<Outcome, Need> {
        let stranger = Ok(Outcome::Refused(Refused::NotAMember));
        let by = &change.request.user;
        let Some(no) = self.find(&change.chat, facts)? else { return stranger };
        let chat = self.chats.get(no).ok_or(Need::ChatNo(no))?;
        // Who was never a member is told nothing, not even from an answer of his own; who is one
        // no longer still learns what became of his request.
        let Some(index) = chat.member_index(by) else { return stranger };
        if let Some(answer) = self.answered(&change.request, facts)? {
            return Ok(answer.outcome());
        }
        let result = match chat.active_index(by) {
            // Noted like any other answer: a repeat is refused even if he is a member again.
            None => Err(Refused::NotAMember),
            Some(_) => self.change(change, Act { no, by: index, id: change.id, now }, batch),
        };
        let answer = Answer { at_ms: now, result };
        let outcome = answer.outcome();
        self.answer(&change.request, answer, batch);
        Ok(outcome)
    }

    fn change(
        &mut self,
        change: &ChangeChat,
        act: Act,
        batch: &mut Batch,
    ) -> Result<Vec<UserId>, Refused> {
        let Some(chat) = self.chats.get(act.no) else { return Err(Refused::NotAMember) };
        let role = chat.member(act.by).map_or(Role::Member, |member| member.role);
        let direct = chat.id.kind() == ChatKind::Direct;
        if direct && !matches!(change.change, Change::SetTtl(_)) {
            return Err(Refused::Direct);
        }
        let needs_admin = !direct && !matches!(change.change, Change::Leave);
        if needs_admin && role == Role::Member {
            return Err(Refused::AdminsOnly);
        }
        match &change.change {
            Change::Add(users) => {
                let fresh = added(chat, users, change.members_max)?;
                self.add(act, fresh, batch)
            }
            Change::Remove(users) => {
                let going = removed(chat, users, role)?;
                self.remove(act, going, batch)
            }
            Change::Leave => Ok(self.leave(act, batch)),
            Change::SetRole(user, role_wanted) => {
                let at = new_role(chat, user, role, *role_wanted)?;
                Ok(self.set_role(act, at, *role_wanted, batch))
            }
            Change::Update { title, description, picture, admins_only } => {
                let said = |new: &Option<String>, now: &Option<String>| {
                    let new = new.as_ref().filter(|new| Some(*new) != now.as_ref());
                    new.filter(|new| !(new.is_empty() && now.is_none())).cloned()
                };
                let info = &chat.info;
                let event = Event::Updated {
                    title: said(title, &info.title),
                    description: said(description, &info.description),
                    picture: said(picture, &info.picture),
                    admins_only: admins_only.filter(|new| *new != info.admins_only),
                    ttl_s: None,
                };
                Ok(self.update(act, event, batch))
            }
            Change::SetTtl(ttl_s) => {
                let event = Event::Updated {
                    title: None,
                    description: None,
                    picture: None,
                    admins_only: None,
                    ttl_s: Some(*ttl_s).filter(|new| *new != chat.info.ttl_s),
                };
                Ok(self.update(act, event, batch))
            }
        }
    }

    fn add(
        &mut self,
        act: Act,
        users: Vec<UserId>,
        batch: &mut Batch,
    ) -> Result<Vec<UserId>, Refused> {
        if users.is_empty() {
            return Ok(users);
        }
        let tick = self.next_tick(batch);
        self.touch(act.no, batch);
        let Some(chat) = self.chats.get_mut(act.no) else { return Err(Refused::NotAMember) };
        let since = chat.head.next();
        for user in &users {
            let at = match chat.member_index(user) {
                Some(at) => {
                    if let Some(member) = chat.member_mut(at) {
                        member.rejoin(since, tick);
                    }
                    at
                }
                None => {
                    chat.members.push(Member::new(user.clone(), Role::Member, since, tick));
                    batch.push(Write::ChatOfUser { user: user.clone(), no: act.no });
                    u32::try_from(chat.members.len() - 1).unwrap_or(u32::MAX)
                }
            };
            chat.mark_dirty(at);
        }
        chat.count_members();
        self.tell(act, Event::Added { members: users.clone() }, batch);
        Ok(users)
    }

    fn remove(
        &mut self,
        act: Act,
        users: Vec<UserId>,
        batch: &mut Batch,
    ) -> Result<Vec<UserId>, Refused> {
        if users.is_empty() {
            return Ok(users);
        }
        let Some(chat) = self.chats.get_mut(act.no) else { return Err(Refused::NotAMember) };
        // The event is the last thing they get.
        let until = chat.head.next();
        for user in &users {
            end_membership(chat, user, until);
        }
        self.tell(act, Event::Removed { members: users.clone() }, batch);
        Ok(users)
    }

    fn leave(&mut self, act: Act, batch: &mut Batch) -> Vec<UserId> {
        let Some(chat) = self.chats.get(act.no) else { return Vec::new() };
        let Some(user) = chat.member(act.by).map(|member| member.user.clone()) else {
            return Vec::new();
        };
        if let Some(heir) = heir(chat, act.by) {
            // Its own id, made of the leaver's: the log has one id per entry.
            self.set_role(Act { id: derived_id(act.id), ..act }, heir, Role::Owner, batch);
        }
        if let Some(chat) = self.chats.get_mut(act.no) {
            let until = chat.head.next();
            end_membership(chat, &user, until);
        }
        self.tell(act, Event::Left, batch);
        vec![user]
    }

    fn set_role(&mut self, act: Act, at: u32, role: Role, batch: &mut Batch) -> Vec<UserId> {
        let Some(chat) = self.chats.get_mut(act.no) else { return Vec::new() };
        let Some(member) = chat.member_mut(at).filter(|member| member.role != role) else {
            return Vec::new();
        };
        member.role = role;
        let user = member.user.clone();
        chat.mark_dirty(at);
        self.tell(act, Event::Role { user: user.clone(), role }, batch);
        vec![user]
    }

    /// Says what the event says; nothing if that is nothing.
    fn update(&mut self, act: Act, event: Event, batch: &mut Batch) -> Vec<UserId> {
        let Some(chat) = self.chats.get(act.no) else { return Vec::new() };
        let mut info = chat.info.clone();
        let Event::Updated { title, description, picture, admins_only, ttl_s } = &event else {
            return Vec::new();
        };
        for (said, new) in [
            (&mut info.title, title),
            (&mut info.description, description),
            (&mut info.picture, picture),
        ] {
            if let Some(new) = new {
                *said = Some(new.clone()).filter(|new| !new.is_empty());
            }
        }
        info.admins_only = admins_only.unwrap_or(info.admins_only);
        info.ttl_s = ttl_s.unwrap_or(info.ttl_s);
        if info != chat.info {
            self.set_info(act.no, info, batch);
            self.tell(act, event, batch);
        }
        Vec::new()
    }

    fn set_info(&mut self, no: ChatNo, info: Info, batch: &mut Batch) {
        self.touch(no, batch);
        if let Some(chat) = self.chats.get_mut(no) {
            chat.info = info.clone();
            batch.push(Write::ChatInfo { no, info });
        }
    }

    /// Appends an event to the log.
    fn tell(&mut self, act: Act, event: Event, batch: &mut Batch) {
        self.touch(act.no, batch);
        let Some(chat) = self.chats.get_mut(act.no) else { return };
        let entry = Arc::new(Entry {
            seq: chat.head.next(),
            id: act.id,
            author: act.by,
            previous: Seq::ZERO,
            previous_named: Seq::ZERO,
            at_ms: act.now.max(chat.last_at_ms),
            content_type: ContentType::Text,
            body: bytes::Bytes::new(),
            reply_to: None,
            mentions: Vec::new(),
            expires_at_ms: None,
            fingerprint: None,
            event: Some(event),
            amends: None,
            deleted: false,
            hidden: false,
            origin: 0,
            derived: Derived::default(),
        });
        append_entry(chat, entry, batch);
    }

    pub(super) fn answered(&self, key: &RequestKey, facts: &Facts) -> Result<Option<Answer>, Need> {
        match self.uncommitted_answers.get(key) {
            Some(answer) => Ok(Some(answer.clone())),
            None => facts.answers.get(key).cloned().ok_or_else(|| Need::Answer(key.clone())),
        }
    }

    pub(super) fn answer(&mut self, key: &RequestKey, answer: Answer, batch: &mut Batch) {
        batch.push(Write::Answer { key: key.clone(), answer: Some(answer.clone()) });
        batch.requests.push(key.clone());
        self.uncommitted_answers.insert(key.clone(), answer);
    }
}

/// Those of `users` who are not members yet, each once.
fn added(chat: &Chat, users: &[UserId], members_max: u32) -> Result<Vec<UserId>, Refused> {
    let mut fresh: Vec<UserId> = Vec::new();
    for user in users {
        if chat.active_index(user).is_none() && !fresh.contains(user) {
            fresh.push(user.clone());
        }
    }
    if chat.active_members() + fresh.len() > members_max as usize {
        return Err(Refused::TooManyMembers);
    }
    Ok(fresh)
}

/// Those of `users` who are members. An admin removes members, an owner everybody but owners.
fn removed(chat: &Chat, users: &[UserId], role: Role) -> Result<Vec<UserId>, Refused> {
    let mut going: Vec<UserId> = Vec::new();
    for user in users {
        let Some(member) = chat.active_index(user).and_then(|at| chat.member(at)) else { continue };
        match (member.role, role) {
            (Role::Owner, _) => return Err(Refused::Owner),
            (Role::Admin, Role::Admin) => return Err(Refused::OwnersOnly),
            _ if going.contains(user) => {}
            _ => going.push(user.clone()),
        }
    }
    Ok(going)
}

/// The place of the member who is to get another role.
fn new_role(chat: &Chat, user: &UserId, by: Role, wanted: Role) -> Result<u32, Refused> {
    if by != Role::Owner {
        return Err(Refused::OwnersOnly);
    }
    let at = chat.active_index(user).ok_or(Refused::NotAMember)?;
    let is_owner = |member: &&Member| member.is_active() && member.role == Role::Owner;
    let owners = chat.members.iter().filter(is_owner).count();
    let was = chat.member(at).map(|member| member.role);
    if was == Some(Role::Owner) && wanted != Role::Owner && owners == 1 {
        return Err(Refused::LastOwner);
    }
    Ok(at)
}

/// Who is owner after the last one has left: the admin of longest standing, else the member.
fn heir(chat: &Chat, leaver: u32) -> Option<u32> {
    let others = || {
        let members = chat.members.iter().zip(0..);
        members.filter(move |(member, at)| *at != leaver && member.is_active())
    };
    let is_owner = chat.member(leaver).is_some_and(|member| member.role == Role::Owner);
    if !is_owner || others().any(|(member, _)| member.role == Role::Owner) {
        return None;
    }
    let standing = |(member, at): &(&Member, u32)| (member.role, member.joined_tick, *at);
    // Roles are ordered from owner to member.
    others().min_by_key(standing).map(|(_, at)| at)
}

fn end_membership(chat: &mut Chat, user: &UserId, until: Seq) {
    let Some(at) = chat.active_index(user) else { return };
    if let Some(member) = chat.member_mut(at) {
        member.until = Some(until);
    }
    chat.count_members();
    chat.mark_dirty(at);
}

/// An id for the entry that goes before the one with the id `id`.
fn derived_id(id: MessageId) -> MessageId {
    let mut bytes = *id.as_bytes();
    bytes[15] ^= 0xFF;
    MessageId::from_uuid(uuid::Uuid::from_bytes(bytes)).unwrap_or(id)
}
