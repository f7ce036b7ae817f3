//! Refresh: an allocation lasts longer, or ends (RFC 8656 section 8.2).

use super::answer::{Failure, Granted, code};
use super::{Asked, Server};
use crate::stun::attribute::{LIFETIME, REQUESTED_ADDRESS_FAMILY};
use crate::time::Span;
use crate::turn::Ports;
use crate::turn::credentials::Identity;
use crate::turn::home::Family;

impl Server {
    pub(super) fn refresh(
        &mut self,
        asked: &Asked<'_>,
        identity: &Identity,
        ports: &mut impl Ports,
    ) -> Result<Granted, Failure> {
        let number = self.owned(asked, identity)?;
        let has = |family: &Family| {
            self.table
                .get(number)
                .is_some_and(|allocation| allocation.leg(*family, asked.now).is_some())
        };
        // Of an allocation with both families, one can be refreshed or ended by itself.
        let only = match asked.message.u8(REQUESTED_ADDRESS_FAMILY) {
            None => None,
            Some(Err(_)) => return Err(Failure::Code(code::BAD_REQUEST)),
            Some(Ok(wanted)) => {
                let family = Family::numbered(wanted).filter(has);
                Some(family.ok_or(Failure::Code(code::PEER_FAMILY))?)
            }
        };
        let lifetime_s = match asked.message.u32(LIFETIME) {
            None => self.lifetime(0),
            Some(Ok(0)) => 0,
            Some(Ok(lifetime_s)) => self.lifetime(lifetime_s),
            Some(Err(_)) => return Err(Failure::Code(code::BAD_REQUEST)),
        };
        let expires = asked.now + Span::from_secs(lifetime_s.into());
        for family in
            Family::ALL.into_iter().filter(|family| only.is_none_or(|only| only == *family))
        {
            if let Some(leg) = self.table.get_mut(number).and_then(|a| a.leg_mut(family, asked.now))
            {
                leg.expires = expires;
            }
        }
        self.settle(number, asked.now, ports);
        self.arm(number, asked.now);
        Ok(Granted::Refreshed(lifetime_s))
    }
}
