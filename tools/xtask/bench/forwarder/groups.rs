//! Who hears whom, by source port. The load comes from one host, so a port is an identity.

use std::collections::HashMap;

use elara_core::ClientAddr;

/// The groups: one for each session.
pub(super) struct Groups {
    /// For each port, its group; `STRANGER` when it has not been heard yet.
    group_of: Box<[u32]>,
    members: Vec<Vec<ClientAddr>>,
    by_session: HashMap<[u8; 8], u32>,
}

const STRANGER: u32 = u32::MAX;

impl Groups {
    pub(super) fn new() -> Self {
        Self {
            group_of: vec![STRANGER; 1 << 16].into(),
            members: Vec::new(),
            by_session: HashMap::new(),
        }
    }

    /// The group of `from`: the one that the session in its first datagram names, for good. `None` when
    /// that was too short to name one.
    #[inline]
    pub(super) fn group(&mut self, from: ClientAddr, datagram: &[u8]) -> Option<u32> {
        let mut group = self.group_of[usize::from(from.port())];
        if group == STRANGER {
            group = self.learn(from, datagram);
        }
        (group != STRANGER).then_some(group)
    }

    /// Everyone in `group`.
    #[inline]
    pub(super) fn members(&self, group: u32) -> &[ClientAddr] {
        &self.members[group as usize]
    }

    /// Everyone a datagram from `from` goes to.
    #[inline]
    pub(super) fn others<'a>(
        &'a mut self,
        from: ClientAddr,
        datagram: &[u8],
    ) -> impl Iterator<Item = &'a ClientAddr> + use<'a> {
        let group = self.group(from, datagram);
        let members = group.map_or(&[][..], |group| self.members(group));
        members.iter().filter(move |member| member.port() != from.port())
    }

    #[cold]
    fn learn(&mut self, from: ClientAddr, datagram: &[u8]) -> u32 {
        let Some(session) = datagram.get(4..12) else { return STRANGER };
        let session = session.try_into().expect("4..12 are eight bytes");
        let group = *self.by_session.entry(session).or_insert_with(|| {
            self.members.push(Vec::new());
            self.members.len() as u32 - 1
        });
        self.members[group as usize].push(from);
        self.group_of[usize::from(from.port())] = group;
        group
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(session: u8) -> [u8; 46] {
        let mut frame = [0; 46];
        frame[4] = session;
        frame
    }

    #[test]
    fn a_port_stays_in_the_group_it_was_first_heard_for() {
        let mut groups = Groups::new();
        let from = |port| ClientAddr::from((std::net::Ipv4Addr::LOCALHOST, port));
        let mut ports = |port, session| -> Vec<u16> {
            groups.others(from(port), &frame(session)).map(ClientAddr::port).collect()
        };
        assert!(ports(1, 7).is_empty());
        assert_eq!(ports(2, 7), [1]);
        assert!(ports(3, 8).is_empty());
        assert_eq!(ports(1, 8), [2], "already learned: the bytes are not looked at");
        assert_eq!(groups.others(from(9), &[0; 11]).count(), 0, "too short to name a session");
    }
}
