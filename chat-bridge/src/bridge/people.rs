//! Users whom the server has in mind: who is on line, and who is looked at by somebody who is.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bluetick_broker::host::{Ended, HostEvent};
use bluetick_protocol::{Presence, UserId};
use parking_lot::Mutex;

use super::encode;
use super::looker::Looker;
use super::quotas::Usage;
use crate::engine::{DeviceId, Millis, Seen, User};
use crate::store::StoreError;

/// How long a lost connection may take to come back before anybody is told, milliseconds.
const FLAP_MS: u64 = 5_000;

/// All of them.
#[derive(Default)]
pub(super) struct People {
    known: Mutex<HashMap<UserId, Arc<Person>>>,
    /// Who has lost his last connection, and until when he may come back untold; in that order.
    leaving: Mutex<VecDeque<(Millis, Arc<Person>)>>,
    /// Who may be forgotten, if nothing has come in between: all others need not be looked at.
    forgettable: Mutex<HashSet<UserId>>,
    online: AtomicUsize,
}

/// A user on line or looked at.
pub(super) struct Person {
    pub(super) user: UserId,
    hides_presence: AtomicBool,
    hides_reading: AtomicBool,
    pub(super) usage: Usage,
    state: Mutex<State>,
}

/// What the store knows of a user.
pub(super) struct Known {
    pub(super) settings: User,
    pub(super) seen_ms: Option<Millis>,
    pub(super) stored_bytes: i64,
}

struct State {
    seen_ms: Option<Millis>,
    devices: Vec<OnlineDevice>,
    /// His last connection is lost: until then he counts as on line.
    leaves_at: Option<Millis>,
    /// Who looks at whom. Boxed: of most users there is nobody.
    looks: Option<Box<Looks>>,
}

#[derive(Default)]
struct Looks {
    /// Who looks at him.
    watchers: Vec<Watcher>,
    /// His own sessions that look at others.
    lookers: Vec<Arc<Looker>>,
}

/// A device that is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OnlineDevice {
    pub(super) device: DeviceId,
    /// What it says that it is.
    pub(super) client: Arc<str>,
}

/// Who looks at a person.
struct Watcher {
    looker: Arc<Looker>,
    /// Whether the person has blocked him; `None`: not known yet, and until then he is told
    /// nothing.
    blocked: Option<bool>,
}

impl People {
    /// A user who is in mind.
    pub(super) fn get(&self, user: &UserId) -> Option<Arc<Person>> {
        self.known.lock().get(user).cloned()
    }

    /// A user, taken into mind with what `read` knows of him, if he is not there yet.
    pub(super) fn get_or_read(
        &self,
        user: &UserId,
        read: impl FnOnce() -> Result<Known, StoreError>,
    ) -> Result<Arc<Person>, StoreError> {
        if let Some(person) = self.get(user) {
            return Ok(person);
        }
        let known = read()?;
        self.may_forget(user);
        let fresh = || Arc::new(Person::new(user.clone(), &known));
        Ok(self.known.lock().entry(user.clone()).or_insert_with(fresh).clone())
    }

    /// A device has connected; gives what is to be stored of it, if it is its user's first.
    pub(super) fn arrive(
        &self,
        person: &Person,
        device: OnlineDevice,
        now: Millis,
    ) -> Option<Seen> {
        let mut state = person.state.lock();
        let was_online = state.is_online();
        let first = state.devices.is_empty();
        state.devices.retain(|had| had.device != device.device);
        // Most have one, and a vector takes room for four at once.
        if state.devices.is_empty() {
            state.devices.reserve_exact(1);
        }
        state.devices.push(device);
        state.leaves_at = None;
        if !was_online {
            person.tell(&state);
        }
        if first {
            self.online.fetch_add(1, Ordering::AcqRel);
            // Until his last device is gone he need not be looked at.
            self.forgettable.lock().remove(&person.user);
        }
        first.then_some(Seen { at_ms: now, online: true })
    }

    /// A device's connection has ended; gives what is to be stored, if it was its user's last.
    pub(super) fn depart(
        &self,
        person: &Arc<Person>,
        device: &DeviceId,
        ended: Ended,
        now: Millis,
    ) -> Option<Seen> {
        let mut state = person.state.lock();
        let before = state.devices.len();
        state.devices.retain(|had| had.device != *device);
        if state.devices.len() == before {
            return None;
        }
        let heard_ms = if ended.goodbye { now } else { now.saturating_sub(ended.silent_ms) };
        let seen_ms = state.seen_ms.unwrap_or_default().max(heard_ms);
        state.seen_ms = Some(seen_ms);
        if !state.devices.is_empty() {
            return None;
        }
        self.online.fetch_sub(1, Ordering::AcqRel);
        self.may_forget(&person.user);
        if ended.goodbye {
            person.tell(&state);
        } else {
            let at = now + FLAP_MS;
            state.leaves_at = Some(at);
            self.leaving.lock().push_back((at, person.clone()));
        }
        Some(Seen { at_ms: seen_ms, online: false })
    }

    /// Tells of those who have not come back in time.
    pub(super) fn tell_who_left(&self, now: Millis) {
        loop {
            let person = {
                let mut leaving = self.leaving.lock();
                match leaving.front() {
                    Some((at, _)) if *at <= now => leaving.pop_front(),
                    _ => None,
                }
            };
            let Some((_, person)) = person else { return };
            let mut state = person.state.lock();
            if state.leaves_at.is_some_and(|at| at <= now) {
                state.leaves_at = None;
                person.tell(&state);
            }
        }
    }

    /// Somebody does not look at a user any more.
    pub(super) fn unwatch(&self, user: &UserId, looker: &Arc<Looker>) {
        if let Some(person) = self.get(user) {
            person.unwatch(looker);
            self.may_forget(user);
        }
    }

    fn may_forget(&self, user: &UserId) {
        self.forgettable.lock().insert(user.clone());
    }

    /// Forgets those who are neither on line nor looked at, and who have used none of their quotas
    /// of late. To be called now and then.
    pub(super) fn forget_idle(&self, now: Millis) {
        let candidates = std::mem::take(&mut *self.forgettable.lock());
        for user in candidates {
            // One lock each: commits and publishes wait for it.
            let mut known = self.known.lock();
            let Some(person) = known.get(&user) else { continue };
            if !person.state.lock().is_idle() {
                // He is back in here when that ends.
                continue;
            }
            // A reference elsewhere is somebody who is about to do something with him.
            if person.usage.forget_idle(now) && Arc::strong_count(person) == 1 {
                known.remove(&user);
            } else {
                drop(known);
                self.may_forget(&user);
            }
        }
    }

    /// How many users are on line.
    pub(super) fn online(&self) -> usize {
        self.online.load(Ordering::Acquire)
    }
}

impl Person {
    fn new(user: UserId, known: &Known) -> Self {
        Self {
            user,
            hides_presence: AtomicBool::new(known.settings.hides_presence),
            hides_reading: AtomicBool::new(known.settings.hides_reading),
            usage: Usage::new(known.stored_bytes),
            state: Mutex::new(State {
                seen_ms: known.seen_ms,
                devices: Vec::new(),
                leaves_at: None,
                looks: None,
            }),
        }
    }

    /// Whether nobody is told what he has read.
    pub(super) fn hides_reading(&self) -> bool {
        self.hides_reading.load(Ordering::Acquire)
    }

    /// His settings have changed. Gives the sessions of his that may see others now, or no longer.
    pub(super) fn set(&self, settings: &User) -> Vec<Arc<Looker>> {
        self.hides_reading.store(settings.hides_reading, Ordering::Release);
        let state = self.state.lock();
        if self.hides_presence.swap(settings.hides_presence, Ordering::AcqRel)
            == settings.hides_presence
        {
            return Vec::new();
        }
        for watcher in state.watchers().filter(|watcher| watcher.may_know()) {
            self.tell_one(&state, watcher);
        }
        state.looks.as_ref().map(|looks| looks.lookers.clone()).unwrap_or_default()
    }

    /// The devices that are connected.
    pub(super) fn devices(&self) -> Vec<OnlineDevice> {
        self.state.lock().devices.clone()
    }

    /// A session of his looks at others, or no longer.
    pub(super) fn looks(&self, looker: &Arc<Looker>, looks: bool) {
        let mut state = self.state.lock();
        state.change_looks(|all| {
            all.lookers.retain(|had| !Arc::ptr_eq(had, looker));
            if looks {
                all.lookers.push(looker.clone());
            }
        });
    }

    /// Somebody looks at him. He is told nothing before [`Person::watched`].
    pub(super) fn watch(&self, looker: &Arc<Looker>) {
        let mut state = self.state.lock();
        if !state.watchers().any(|had| Arc::ptr_eq(&had.looker, looker)) {
            let watcher = Watcher { looker: looker.clone(), blocked: None };
            state.change_looks(|looks| looks.watchers.push(watcher));
        }
    }

    /// It was found out whether he has blocked who looks at him; what became known otherwise
    /// meanwhile is newer. Tells how it is.
    pub(super) fn watched(&self, looker: &Arc<Looker>, blocked: bool) {
        let mut state = self.state.lock();
        let found = state.watchers_mut().find(|had| Arc::ptr_eq(&had.looker, looker));
        if let Some(watcher) = found {
            watcher.blocked.get_or_insert(blocked);
        }
        self.tell_looker(&state, looker);
    }

    /// Tells one who looks at him how it is.
    pub(super) fn tell_again(&self, looker: &Arc<Looker>) {
        self.tell_looker(&self.state.lock(), looker);
    }

    fn unwatch(&self, looker: &Arc<Looker>) {
        self.state.lock().change_looks(|looks| {
            looks.watchers.retain(|had| !Arc::ptr_eq(&had.looker, looker));
        });
    }

    /// He has blocked a user, or no longer.
    pub(super) fn set_blocked(&self, user: &UserId, blocked: bool) {
        let mut state = self.state.lock();
        let mut changed = Vec::new();
        for watcher in state.watchers_mut().filter(|had| had.looker.me.user == *user) {
            if watcher.blocked != Some(blocked) {
                watcher.blocked = Some(blocked);
                changed.push(watcher.looker.clone());
            }
        }
        // Who hides looks the same to all.
        for looker in changed.iter().filter(|looker| self.sees() && looker.me.sees()) {
            self.tell_looker(&state, looker);
        }
    }

    fn tell_looker(&self, state: &State, looker: &Arc<Looker>) {
        let found = state.watchers().find(|had| Arc::ptr_eq(&had.looker, looker));
        if let Some(watcher) = found.filter(|watcher| watcher.blocked.is_some()) {
            self.tell_one(state, watcher);
        }
    }

    /// Tells all who look at him and may know.
    fn tell(&self, state: &State) {
        for watcher in state.watchers().filter(|watcher| self.shows(watcher)) {
            self.tell_one(state, watcher);
        }
    }

    /// What one may not know looks like somebody who was never here.
    fn tell_one(&self, state: &State, watcher: &Watcher) {
        if !watcher.looker.is_fresh() {
            return;
        }
        let shown = self.shows(watcher);
        let online = shown && state.is_online();
        let presence = Presence {
            user: self.user.clone(),
            online,
            last_seen_ms: state.seen_ms.filter(|_| shown && !online),
        };
        watcher.looker.line.host(HostEvent::Notice(encode::presence(&presence)));
    }

    fn shows(&self, watcher: &Watcher) -> bool {
        self.sees() && watcher.may_know()
    }

    /// Whether he is seen and sees others: who hides is not and does not.
    fn sees(&self) -> bool {
        !self.hides_presence.load(Ordering::Acquire)
    }
}

impl Watcher {
    /// Whether he is told how it is, if the person hides from nobody.
    fn may_know(&self) -> bool {
        self.blocked == Some(false) && self.looker.me.sees()
    }
}

impl State {
    fn is_online(&self) -> bool {
        !self.devices.is_empty() || self.leaves_at.is_some()
    }

    fn is_idle(&self) -> bool {
        !self.is_online() && self.looks.is_none()
    }

    fn watchers(&self) -> impl Iterator<Item = &Watcher> {
        self.looks.iter().flat_map(|looks| &looks.watchers)
    }

    fn watchers_mut(&mut self) -> impl Iterator<Item = &mut Watcher> {
        self.looks.iter_mut().flat_map(|looks| &mut looks.watchers)
    }

    /// Changes who looks at whom, and gives the box back if nobody is left.
    fn change_looks(&mut self, change: impl FnOnce(&mut Looks)) {
        let looks = self.looks.get_or_insert_default();
        change(looks);
        if looks.watchers.is_empty() && looks.lookers.is_empty() {
            self.looks = None;
        }
    }
}
