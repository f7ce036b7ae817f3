//! The way in of everyone before the load, as fast as the relay lets them: a bounded number at a time.

use elara_core::crypto::Scratch;
use elara_core::limits::V1_FRAME_MAX;
use elara_core::time::{Instant, Span};
use elara_core::wire::v1::Bundle;
use elara_runtime::keys::OsRandom;
use elara_shards::sys::cpu::{calendar, monotonic};

use super::books::{Books, Joins, LastHeard};
use super::guest::{Guest, Told};
use super::party::Party;
use crate::error::LoadError;
use crate::plan::Plan;
use crate::swarm::Swarm;

/// Participants on their way in at a time: enough to keep a relay busy, too few to need its queue.
const UNDER_WAY_MAX: usize = 32;
/// Nobody has come in for this long: whoever is not in stays out.
const PATIENCE: Span = Span::from_secs(5);
/// A relay forgets nobody for this long; when joining took longer, everyone speaks up before the load.
const FRESH: Span = Span::from_secs(10);
/// Pings in a row before those who hear them have a turn.
const PINGS: u32 = 128;
/// Nothing more for this long: news of the joining has been told, and load may begin.
const QUIET: Span = Span::from_millis(250);

/// A participant on its way in.
pub(super) struct Underway {
    pub(super) member: u32,
    /// What its latency is measured from.
    pub(super) since: Instant,
    pub(super) last: LastHeard,
}

impl Underway {
    pub(super) fn new(member: u32, since: Instant) -> Self {
        Self { member, since, last: LastHeard::Nothing }
    }
}

/// Lets everyone in.
///
/// # Errors
/// When nobody could get in, or the kernel refuses.
pub(crate) fn join(plan: &Plan, party: &mut Party, swarm: &mut Swarm) -> Result<Joins, LoadError> {
    let begun = monotonic();
    let (guests, scratch) = party.guests();
    let mut books = Books::new();
    let mut waiting = 0..guests.len() as u32;
    let mut underway: Vec<Underway> = Vec::with_capacity(UNDER_WAY_MAX);
    let (mut joined, mut news) = (0, begun);
    loop {
        let now = monotonic();
        while underway.len() < UNDER_WAY_MAX
            && let Some(member) = waiting.next()
        {
            guests[member as usize].begin(now);
            books.tried += 1;
            underway.push(Underway::new(member, now));
        }
        if underway.is_empty() || now.since(news) > PATIENCE {
            break;
        }
        let mut next = now + QUIET;
        for them in &mut underway {
            next = speak(them, &mut guests[them.member as usize], swarm, &mut books).min(next);
        }
        for index in 0..swarm.wait(next.since(now))? {
            let member = swarm.ready(index);
            let ours = underway.iter().position(|them| them.member == member);
            let guest = &mut guests[member as usize];
            let them = ours.map(|at| &mut underway[at]);
            if hear(them, member, guest, swarm, &mut books, scratch)? {
                underway.swap_remove(ours.expect("only who is on its way comes in"));
                (joined, news) = (joined + 1, monotonic());
            }
        }
    }
    let took = news.since(begun);
    for them in underway {
        books.failed.count(them.last);
        guests[them.member as usize].rest();
    }
    let joins = books.close(took);
    if joined == 0 {
        return Err(LoadError::NobodyIn { target: plan.target, failed: joins.failed });
    }
    settle(party, swarm, begun)?;
    party.warm();
    Ok(joins)
}

/// Sends what is due on someone's way in, and answers when there is more.
pub(super) fn speak(
    them: &mut Underway,
    guest: &mut Guest,
    swarm: &mut Swarm,
    books: &mut Books,
) -> Instant {
    let mut out = [0; V1_FRAME_MAX];
    let now = monotonic();
    while let Some((len, hello)) = guest.poll(now, calendar(), &mut OsRandom, &mut out) {
        books.hellos += u64::from(hello);
        if swarm.send_frame(them.member, &out[..len]).failed > 0 {
            them.last = LastHeard::Refusal;
        }
    }
    guest.due().unwrap_or(now + QUIET)
}

/// Takes what waits at `member`, who may be on its way in. True when it has come in just now.
pub(super) fn hear(
    mut them: Option<&mut Underway>,
    member: u32,
    guest: &mut Guest,
    swarm: &mut Swarm,
    books: &mut Books,
    scratch: &mut Scratch,
) -> Result<bool, LoadError> {
    let received = swarm.receive(member)?;
    let now = monotonic();
    if received.refused
        && let Some(them) = &mut them
    {
        them.last = LastHeard::Refusal;
    }
    let mut came_in = false;
    let mut frame = |guest: &mut Guest, bytes: &[u8]| {
        let told = guest.handle(bytes, now, scratch);
        let Some(them) = &mut them else { return };
        match told {
            Told::Retry => (them.last, books.retries) = (LastHeard::Retry, books.retries + 1),
            Told::Busy => (them.last, books.busy) = (LastHeard::Busy, books.busy + 1),
            Told::Welcome => them.last = LastHeard::Welcome,
            Told::In => {
                books.joined(now.since(them.since));
                came_in = true;
            }
            Told::Nothing | Told::Alert | Told::Kicked | Told::Garbage => {}
        }
    };
    for bytes in received.datagrams() {
        guest.count();
        match Bundle::parse(bytes) {
            Ok(bundle) => bundle.iter().for_each(|bytes| frame(guest, bytes)),
            Err(_) => frame(guest, bytes),
        }
    }
    Ok(came_in)
}

/// Waits until what the relay tells everyone about everyone has come, and keeps everyone fresh.
fn settle(party: &mut Party, swarm: &mut Swarm, begun: Instant) -> Result<(), LoadError> {
    let mut out = [0; V1_FRAME_MAX];
    let members = party.guests().0.len() as u32;
    let all = if monotonic().since(begun) > FRESH { 0..members } else { 0..0 };
    for member in all {
        let len = party.ping(member, monotonic(), &mut out);
        swarm.send_frame(member, &out[..len]);
        if member % PINGS == PINGS - 1 {
            listen(party, swarm, Span::from_millis(2))?;
        }
    }
    let called = monotonic();
    while listen(party, swarm, QUIET)? > 0 && monotonic().since(called) < PATIENCE {}
    Ok(())
}

/// Takes what has come, waiting for it at most `timeout`, and answers how many sockets had something.
fn listen(party: &mut Party, swarm: &mut Swarm, timeout: Span) -> Result<usize, LoadError> {
    let ready = swarm.wait(timeout)?;
    for index in 0..ready {
        let member = swarm.ready(index);
        let received = swarm.receive(member)?;
        let now = monotonic();
        received.datagrams().for_each(|bytes| party.inspect(member, bytes, now, |_| ()));
    }
    Ok(ready)
}
