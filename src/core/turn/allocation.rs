//! One allocation: a client, the relayed addresses it was given, and whom it talks to.

use super::Socket;
use super::bucket::Bucket;
use super::channel::Channels;
use super::credentials::{Identity, Name};
use super::home::{Each, Family};
use super::permission::Permissions;
use super::reservation::Token;
use crate::ClientAddr;
use crate::stun::TransactionId;
use crate::time::Instant;

/// A relayed address of an allocation. Each family lasts on its own (RFC 8656 section 8.2).
#[derive(Clone, Copy, Debug)]
pub(super) struct Leg {
    pub(super) socket: Socket,
    pub(super) port: u16,
    pub(super) expires: Instant,
}

/// What the answer to the Allocate request said, for when it has to be said again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Birth {
    pub(super) transaction: TransactionId,
    pub(super) lifetime_s: u32,
    pub(super) token: Option<Token>,
    /// The family that was asked for too, and why there is none.
    pub(super) missing: Option<(Family, u16)>,
}

/// One allocation.
#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) client: ClientAddr,
    pub(super) legs: Each<Option<Leg>>,
    pub(super) bucket: Bucket,
    pub(super) channels: Channels,
    pub(super) permissions: Permissions,
    pub(super) user: Name,
    pub(super) account: Name,
    pub(super) birth: Birth,
    /// When its timer fires: no later than anything of it ends, once it is armed.
    pub(super) timer: Instant,
}

impl Allocation {
    pub(super) fn new(client: ClientAddr, identity: &Identity, birth: Birth) -> Self {
        Self {
            client,
            legs: Each::default(),
            bucket: Bucket::default(),
            channels: Channels::default(),
            permissions: Permissions::default(),
            user: identity.user,
            account: identity.account,
            birth,
            timer: Instant::from_nanos(u64::MAX),
        }
    }

    /// The relayed address of `family`, if it still lasts.
    #[inline]
    pub(super) fn leg(&self, family: Family, now: Instant) -> Option<&Leg> {
        self.legs.of(family).as_ref().filter(|leg| leg.expires > now)
    }

    pub(super) fn leg_mut(&mut self, family: Family, now: Instant) -> Option<&mut Leg> {
        self.legs.of_mut(family).as_mut().filter(|leg| leg.expires > now)
    }

    /// Whether nothing of it lasts any longer.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        Family::ALL.into_iter().all(|family| self.leg(family, now).is_none())
    }

    /// When the first thing of it ends.
    pub(super) fn earliest(&self) -> Option<Instant> {
        let legs = Family::ALL.into_iter().filter_map(|family| *self.legs.of(family));
        let ends = legs.map(|leg| leg.expires);
        ends.chain(self.permissions.earliest()).chain(self.channels.earliest()).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allocation_is_small() {
        // What an idle allocation of one peer costs: this, a place in the table of clients, and its socket.
        assert!(size_of::<Allocation>() <= 448, "{}", size_of::<Allocation>());
    }
}
