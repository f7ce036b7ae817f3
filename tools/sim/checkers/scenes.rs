//! Small scenes for the laws' own tests: Alice and Bob share a session.

use std::sync::LazyLock;

use elara_core::time::Instant;
use elara_core::{ClientAddr, NodeId, SessionId};
use elara_shards::io::memory::Outcome;
use elara_shards::shard::V0Policy;
use elara_shards::{Counters, Verdict};

use super::{Copied, Heard, Step};
use crate::digest;
use crate::model::{Member, Model, Ruling, Session};

pub(crate) const SESSION: SessionId = SessionId(1);
pub(crate) const BOB_ID: NodeId = NodeId(2);
pub(crate) const ALICE: ClientAddr = addr(1);
const BOB: ClientAddr = addr(2);
const FRAMES: [&[u8]; 2] = [b"the first frame", b"the second frame"];
static MODEL: LazyLock<Model> = LazyLock::new(model);

pub(crate) const fn addr(port: u16) -> ClientAddr {
    ClientAddr::new([0; 16], port, 0)
}

/// Alice and Bob, both heard at the beginning.
pub(crate) fn model() -> Model {
    let mut model = Model::new(0, 1, 10, Some(V0Policy { open: Vec::new(), per_ip: 10 }));
    let member = |addr| Member { addr, heard: Instant::ZERO };
    let members = [(NodeId(1), member(ALICE)), (BOB_ID, member(BOB))].into();
    let session = Session { opened: Instant::ZERO, frames: 0, alone_since: Instant::ZERO, members };
    model.sessions.insert(SESSION, session);
    model
}

/// A cycle in which nothing happened.
pub(crate) fn quiet() -> Step<'static> {
    let there = Counters { sessions: 1, participants: 2, joined: 2, ..Counters::default() };
    Step {
        at: Instant::ZERO,
        before: Instant::ZERO,
        heard: Vec::new(),
        trains: 0,
        sent: Vec::new(),
        counted: there,
        counters: Counters { cycles: 1, ..there },
        model: &MODEL,
    }
}

/// A cycle in which Alice said two things and Bob was sent both.
pub(crate) fn two_frames_to_bob() -> Step<'static> {
    let mut step = quiet();
    for (index, bytes) in FRAMES.into_iter().enumerate() {
        let digest = digest::of(bytes);
        let ruling = Ruling { verdict: Verdict::Forwarded, receivers: vec![BOB] };
        step.trains += 1;
        step.heard.push(Heard { from: ALICE, bytes, digest, ruling, speaker: 0 });
        let source = Some(index);
        step.sent.push(Copied { to: BOB, bytes, digest, outcome: Outcome::Sent, source });
        let counters = &mut step.counters;
        counters.count(Verdict::Forwarded);
        counters.datagrams += 1;
        counters.trains += 1;
        counters.copies += 1;
        counters.bytes += bytes.len() as u64;
        counters.egress.sent += 1;
        counters.egress.bytes += bytes.len() as u64;
    }
    step
}

pub(crate) const fn again<'a>(copy: &Copied<'a>) -> Copied<'a> {
    Copied { ..*copy }
}
