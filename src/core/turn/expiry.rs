//! What ends: allocations, permissions, channels, ports set aside.
//!
//! One timer per allocation, for the first thing of it that ends. What was refreshed meanwhile moves no
//! timer: it fires, finds nothing over, and is set anew. Data looks at the time itself, so that what is
//! late here is late for memory only.

use super::home::Family;
use super::{Ports, Server};
use crate::time::Instant;

impl Server {
    /// When [`Self::expire`] is worth calling; `None` while there is nothing that could end.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Instant> {
        self.wheel.next_tick().into_iter().chain(self.reservations.earliest()).min()
    }

    /// Ends what is over, and closes its sockets; at most `budget` allocations and ports set aside are
    /// looked at. The rest waits for the next call. Says how many it has looked at.
    pub fn expire(&mut self, now: Instant, budget: usize, ports: &mut impl Ports) -> usize {
        let mut looked = 0;
        while looked < budget
            && let Some(held) = self.reservations.expire(now)
        {
            ports.close(held.socket);
            looked += 1;
        }
        while looked < budget
            && let Some(number) = self.wheel.expire(now)
        {
            looked += 1;
            self.settle(number, now, ports);
            self.sweep(number, now);
            self.rearm(number, now);
        }
        looked
    }

    /// Ends everything at once: the shard stops, or is told to relay no more.
    pub fn end_all(&mut self, ports: &mut impl Ports) {
        while let Some(held) = self.reservations.expire(Instant::from_nanos(u64::MAX)) {
            ports.close(held.socket);
        }
        for number in 0..self.table.end() {
            self.end(number, ports);
        }
    }

    /// Closes what is over of an allocation, and ends it when nothing is left.
    pub(super) fn settle(&mut self, number: u32, now: Instant, ports: &mut impl Ports) {
        for family in Family::ALL {
            if self
                .table
                .get(number)
                .is_some_and(|allocation| allocation.leg(family, now).is_none())
            {
                self.close(number, family, ports);
            }
        }
        if self.table.get(number).is_some_and(|allocation| allocation.is_over(now)) {
            self.end(number, ports);
        }
    }

    /// Forgets permissions and channels that are over.
    pub(super) fn sweep(&mut self, number: u32, now: Instant) {
        let Some(allocation) = self.table.get_mut(number) else { return };
        let (permissions, channels) = (&mut allocation.permissions, &mut allocation.channels);
        let before = (permissions.len(), channels.len());
        permissions.sweep(now, self.keyed);
        channels.sweep(now, self.keyed);
        self.counts.permissions -= before.0 - permissions.len();
        self.counts.channels -= before.1 - channels.len();
    }

    /// Sees to it that the timer fires no later than the first thing ends.
    pub(super) fn arm(&mut self, number: u32, now: Instant) {
        let Some(allocation) = self.table.get(number) else { return };
        if allocation.earliest().is_some_and(|earliest| earliest < allocation.timer) {
            self.rearm(number, now);
        }
    }

    fn rearm(&mut self, number: u32, now: Instant) {
        let Some(allocation) = self.table.get_mut(number) else { return };
        let Some(earliest) = allocation.earliest() else { return };
        allocation.timer = earliest;
        self.wheel.skip_to(now);
        self.wheel.arm(number, earliest);
    }

    /// Takes a relayed address away.
    fn close(&mut self, number: u32, family: Family, ports: &mut impl Ports) {
        if let Some(leg) = self.table.detach(number, family) {
            ports.close(leg.socket);
        }
    }

    fn end(&mut self, number: u32, ports: &mut impl Ports) {
        Family::ALL.into_iter().for_each(|family| self.close(number, family, ports));
        let Some(allocation) = self.table.remove(number) else { return };
        self.wheel.cancel(number);
        self.quota.give_back(&allocation.account);
        self.counts.permissions -= allocation.permissions.len();
        self.counts.channels -= allocation.channels.len();
    }
}
