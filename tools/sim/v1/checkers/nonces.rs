//! No two different frames leave under one key and number. A control frame's key is that of its
//! receiver's connection; a WELCOME's follows from an ephemeral key, so that stands for it.
//!
//! What is passed on was numbered by its sender: the ledger keeps this law for those.

use elara_core::{NodeId, SessionId};

use super::{Books, Step};
use crate::checkers::Broken;
use crate::v1::frames::{self, Kind, handshake};

/// # Errors
/// The number that was used twice.
pub(crate) fn check(step: &Step<'_>, books: &mut Books) -> Result<(), Broken> {
    for left in &step.sent {
        let Some((session, node)) = frames::names_of(left.bytes) else { continue };
        match left.kind {
            Kind::Control => {
                let name = (SessionId(session), NodeId(node));
                let parity = frames::parity_of(left.bytes);
                let Some(generation) = step.mirror.generation(name, parity) else {
                    return Err(format!(
                        "node {node:016x} is told something, and has no connection"
                    ));
                };
                let seq = frames::seq_of(left.bytes);
                let known = books.numbers.entry((name, generation, seq)).or_insert(left.digest);
                if *known != left.digest {
                    return Err(format!("two control frames to {node:016x} are numbered {seq}"));
                }
            }
            Kind::Handshake if frames::profile_of(left.bytes) == handshake::WELCOME => {
                let ephemeral = left.bytes.get(38..70).and_then(|bytes| bytes.try_into().ok());
                let Some(ephemeral) = ephemeral else {
                    return Err("a WELCOME is too short".to_owned());
                };
                if *books.welcomes.entry(ephemeral).or_insert(left.digest) != left.digest {
                    return Err(format!("two WELCOMEs to {node:016x} share an ephemeral key"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}
