//! Who hears whom. Mostly by source port: the load comes from one host, so a port is an identity. Where a
//! crowd speaks from more addresses than there are ports, by the whole address, as any forwarder would.

use std::collections::HashMap;

use elara_core::ClientAddr;

/// The groups: one for each session.
pub(super) struct Groups {
    group_of: Keys,
    members: Vec<Vec<ClientAddr>>,
    by_session: HashMap<[u8; 8], u32>,
}

/// By what senders are told apart.
enum Keys {
    /// For each port, its group; `STRANGER` when it has not been heard yet.
    Port(Box<[u32]>),
    /// For each address that has been heard, its group.
    Address(HashMap<ClientAddr, u32>),
}

const STRANGER: u32 = u32::MAX;

impl Groups {
    /// One look-up in an array, by port.
    pub(super) fn new() -> Self {
        Self::keyed(Keys::Port(vec![STRANGER; 1 << 16].into()))
    }

    /// One look-up in a hash table, by the whole address.
    pub(super) fn by_address() -> Self {
        Self::keyed(Keys::Address(HashMap::new()))
    }

    fn keyed(group_of: Keys) -> Self {
        Self { group_of, members: Vec::new(), by_session: HashMap::new() }
    }

    /// The group of `from`: the one that the session in its first datagram names, for good. `None` when
    /// that was too short to name one.
    #[inline]
    pub(super) fn group(&mut self, from: ClientAddr, datagram: &[u8]) -> Option<u32> {
        let mut group = match &self.group_of {
            Keys::Port(groups) => groups[usize::from(from.port())],
            Keys::Address(groups) => groups.get(&from).copied().unwrap_or(STRANGER),
        };
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
        members.iter().filter(move |member| member.port() != from.port() || **member != from)
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
        match &mut self.group_of {
            Keys::Port(groups) => groups[usize::from(from.port())] = group,
            Keys::Address(groups) => drop(groups.insert(from, group)),
        }
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

    #[test]
    fn by_address_two_behind_one_port_are_two() {
        let mut groups = Groups::by_address();
        let from = |host| ClientAddr::from((std::net::Ipv4Addr::new(127, 0, 0, host), 1));
        assert_eq!(groups.others(from(1), &frame(7)).count(), 0);
        let others: Vec<_> = groups.others(from(2), &frame(7)).copied().collect();
        assert_eq!(others, [from(1)]);
        assert_eq!(groups.others(from(3), &frame(8)).count(), 0);
        assert_eq!(groups.others(from(1), &[0; 11]).count(), 1, "already learned");
    }
}
