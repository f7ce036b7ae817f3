//! Which ports of a node's own addresses are relayed addresses of somebody, on whatever shard.
//!
//! Written when an address is given or taken away; read for data to an address of this node that is not
//! this shard's. Nothing else is behind it, so no order is kept.

use core::sync::atomic::{AtomicU64, Ordering};

use super::home::{Each, Family};

const WORDS: usize = (u16::MAX as usize + 1) / 64;

/// A bit for each port of each family.
#[derive(Debug, Default)]
pub(super) struct Relayed(Each<Ports>);

#[derive(Debug)]
struct Ports([AtomicU64; WORDS]);

impl Default for Ports {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; WORDS])
    }
}

impl Relayed {
    /// Whether it is somebody's.
    pub(super) fn has(&self, family: Family, port: u16) -> bool {
        self.word(family, port).load(Ordering::Relaxed) & bit(port) != 0
    }

    /// It is somebody's from here on.
    pub(super) fn give(&self, family: Family, port: u16) {
        self.word(family, port).fetch_or(bit(port), Ordering::Relaxed);
    }

    /// It is nobody's any longer.
    pub(super) fn take(&self, family: Family, port: u16) {
        self.word(family, port).fetch_and(!bit(port), Ordering::Relaxed);
    }

    fn word(&self, family: Family, port: u16) -> &AtomicU64 {
        &self.0.of(family).0[usize::from(port) / 64]
    }
}

const fn bit(port: u16) -> u64 {
    1 << (port % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_of_each_family_is_its_own() {
        let relayed = Relayed::default();
        for port in [0, 63, 64, 49_152, u16::MAX] {
            assert!(!relayed.has(Family::V4, port));
            relayed.give(Family::V4, port);
            assert!(relayed.has(Family::V4, port) && !relayed.has(Family::V6, port));
        }
        relayed.take(Family::V4, 63);
        assert!(!relayed.has(Family::V4, 63) && relayed.has(Family::V4, 64));
    }
}
