//! Nobody is welcomed who may not enter: no WELCOME answers a HELLO whose token or certificate is no good,
//! or whose sender is banned.

use elara_core::{NodeId, SessionId};

use super::{Books, Step};
use crate::checkers::Broken;
use crate::v1::frames::{self, Kind, handshake};

/// # Errors
/// The WELCOME that should not have left.
pub(crate) fn check(step: &Step<'_>, books: &mut Books) -> Result<(), Broken> {
    for left in step.sent.iter().filter(|left| left.kind == Kind::Handshake) {
        if frames::profile_of(left.bytes) != handshake::WELCOME {
            continue;
        }
        let name = frames::names_of(left.bytes).map(|(s, n)| (SessionId(s), NodeId(n)));
        let banned = name.is_some_and(|name| step.ledger.banned.contains(&name));
        if banned && !books.offered.contains(&left.digest) {
            return Err(format!("somebody who is banned is welcomed at {}", left.to));
        }
        let attempt = frames::attempt_of(left.bytes);
        if attempt.is_some_and(|attempt| step.ledger.flawed.contains(&attempt)) {
            return Err(format!("somebody who may not enter is welcomed at {}", left.to));
        }
    }
    Ok(())
}
