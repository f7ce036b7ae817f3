//! Whose data an allocation takes: IP addresses, each for five minutes (RFC 8656 section 9).

use hashbrown::HashTable;

use super::small::Small;
use crate::keyed::Keyed;
use crate::limits::TURN_INDEXED_FROM;
use crate::time::Instant;

/// Permissions that lie in the allocation itself.
const FEW: usize = 4;

/// One IP address, IPv4 mapped, and until when.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Permission {
    pub(super) ip: [u8; 16],
    pub(super) until: Instant,
}

/// The permissions of one allocation.
#[derive(Debug, Default)]
pub(super) struct Permissions {
    list: Small<Permission, FEW>,
    /// Places in `list`, from [`TURN_INDEXED_FROM`] on.
    index: Option<HashTable<u16>>,
}

impl Permissions {
    /// Permissions there are, expired ones included until they are swept.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// When the permission of `ip` ends; `None` when there is none.
    #[inline]
    pub(super) fn until(&self, ip: &[u8; 16], keyed: Keyed) -> Option<Instant> {
        let place = self.place(ip, keyed)?;
        self.list.get(place).map(|permission| permission.until)
    }

    /// Installs or refreshes the permission of `ip`. Whoever calls has made sure that there is room.
    pub(super) fn install(&mut self, ip: [u8; 16], until: Instant, keyed: Keyed) {
        if let Some(place) = self.place(&ip, keyed) {
            if let Some(permission) = self.list.get_mut(place) {
                permission.until = until;
            }
            return;
        }
        self.list.push(Permission { ip, until });
        self.reindex(keyed);
    }

    /// Forgets what has ended at `now`.
    pub(super) fn sweep(&mut self, now: Instant, keyed: Keyed) {
        self.retain(keyed, |permission| permission.until > now);
    }

    /// Keeps those that `stays` says.
    pub(super) fn retain(&mut self, keyed: Keyed, stays: impl Fn(&Permission) -> bool) {
        if !self.list.iter().all(&stays) {
            self.list.retain(stays);
            self.index = None;
            self.reindex(keyed);
        }
    }

    /// When the first of them ends.
    pub(super) fn earliest(&self) -> Option<Instant> {
        self.list.iter().map(|permission| permission.until).min()
    }

    #[inline]
    fn place(&self, ip: &[u8; 16], keyed: Keyed) -> Option<usize> {
        let Some(index) = &self.index else {
            return self.list.iter().position(|permission| permission.ip == *ip);
        };
        let is = |place: &u16| self.list.get(usize::from(*place)).is_some_and(|p| p.ip == *ip);
        index.find(keyed.hash(ip), is).map(|place| usize::from(*place))
    }

    /// Indexes the last one, or all of them when they begin to be many.
    fn reindex(&mut self, keyed: Keyed) {
        let Self { list, index } = self;
        if list.len() < TURN_INDEXED_FROM {
            return;
        }
        let hash = |place: &u16| list.get(usize::from(*place)).map_or(0, |p| keyed.hash(&p.ip));
        let index = index.get_or_insert_default();
        for place in index.len()..list.len() {
            let place = place as u16;
            index.insert_unique(hash(&place), place, hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;

    const KEYED: Keyed = Keyed(1, 2);

    fn ip(n: u16) -> [u8; 16] {
        let mut ip = [0; 16];
        ip[14..].copy_from_slice(&n.to_be_bytes());
        ip
    }

    fn at(secs: u64) -> Instant {
        Instant::ZERO + Span::from_secs(secs)
    }

    #[test]
    fn each_is_found_again_however_many_there_are() {
        let mut permissions = Permissions::default();
        for n in 0..300 {
            permissions.install(ip(n), at(300 + u64::from(n)), KEYED);
            permissions.install(ip(n / 2), at(1_000), KEYED);
            assert_eq!(permissions.len(), usize::from(n) + 1);
            assert_eq!(permissions.until(&ip(n + 1), KEYED), None);
        }
        assert_eq!(permissions.until(&ip(100), KEYED), Some(at(1_000)));
        assert_eq!(permissions.until(&ip(299), KEYED), Some(at(599)));
        assert_eq!(permissions.earliest(), Some(at(450)));
    }

    #[test]
    fn what_has_ended_is_swept_and_the_rest_is_still_found() {
        let mut permissions = Permissions::default();
        (0..100).for_each(|n| permissions.install(ip(n), at(u64::from(n)), KEYED));
        for now in [0, 1, 50, 93, 98] {
            permissions.sweep(at(now), KEYED);
            assert_eq!(permissions.len() as u64, 99 - now);
            for n in 0..100 {
                let until = at(u64::from(n));
                assert_eq!(permissions.until(&ip(n), KEYED), (until > at(now)).then_some(until));
            }
        }
    }

    #[test]
    fn few_permissions_have_no_memory_of_their_own() {
        let mut permissions = Permissions::default();
        (0..FEW as u16).for_each(|n| permissions.install(ip(n), at(1), KEYED));
        assert!(permissions.index.is_none());
        assert!(size_of::<Permissions>() <= 176, "{}", size_of::<Permissions>());
    }
}
