//! Version vectors: how many events of each node an author had seen.
//!
//! ```text
//!  n x | node u64 | count u64 |
//! ```
//! [`Versions`] is the view over bytes as they arrived: any order, repetitions (the last one counts,
//! as in 0.2.0) and zeros. [`VersionVector`] is the value: ascending by node, each once.
//! A node that is absent has count 0, so vectors that differ only in zeros are equal.
//!
//! Vectors are partially ordered, and `partial_cmp` is the whole truth: `Less` happened before,
//! `Greater` after, `None` is concurrent.

use alloc::vec::Vec;
use core::cmp::Ordering;

use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::ids::NodeId;
use crate::wire::header::Malformed;

/// One entry, sixteen bytes.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct VersionEntry {
    node: U64,
    count: U64,
}

impl VersionEntry {
    /// `count` events of `node`.
    #[must_use]
    pub const fn new(node: NodeId, count: u64) -> Self {
        Self { node: U64::new(node.0), count: U64::new(count) }
    }

    /// Whose events.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        NodeId(self.node.get())
    }

    /// How many of them.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count.get()
    }
}

/// A version vector as it stands in a datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Versions<'a> {
    entries: &'a [VersionEntry],
}

impl<'a> Versions<'a> {
    /// Nothing seen.
    pub const EMPTY: Self = Self { entries: &[] };

    /// The vector that `bytes` are, in place.
    ///
    /// # Errors
    /// [`Malformed::VersionVector`] when the length is not a multiple of sixteen.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let entries = <[VersionEntry]>::ref_from_bytes(bytes);
        entries.map(|entries| Self { entries }).map_err(|_| Malformed::VersionVector)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.entries.as_bytes()
    }

    /// The entries in the order they stand.
    #[must_use]
    pub const fn entries(&self) -> &'a [VersionEntry] {
        self.entries
    }

    /// The count of `node`; 0 when absent. Looks at every entry.
    #[must_use]
    pub fn count_of(&self, node: NodeId) -> u64 {
        let last = self.entries.iter().rev().find(|entry| entry.node() == node);
        last.map_or(0, VersionEntry::count)
    }
}

/// A version vector as a value: ascending by node, each node once.
///
/// Two vectors are equal when every node has the same count in both. It grows by one entry per
/// node; who builds it from strangers' words bounds how many of those it keeps.
#[derive(Clone, Debug, Default)]
pub struct VersionVector {
    entries: Vec<VersionEntry>,
}

impl VersionVector {
    /// Nothing seen.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// The vector as it stands on the wire: ascending, zeros that were set included.
    #[must_use]
    pub fn as_versions(&self) -> Versions<'_> {
        Versions { entries: &self.entries }
    }

    /// The count of `node`; 0 when absent.
    #[must_use]
    pub fn count_of(&self, node: NodeId) -> u64 {
        self.position(node).map_or(0, |at| self.entries[at].count())
    }

    /// Sets the count of `node`.
    pub fn set(&mut self, node: NodeId, count: u64) {
        let entry = VersionEntry::new(node, count);
        match self.position(node) {
            Ok(at) => self.entries[at] = entry,
            Err(at) => self.entries.insert(at, entry),
        }
    }

    /// Counts one more event of `node`; the count stays at its greatest value once there.
    pub fn increment(&mut self, node: NodeId) {
        self.set(node, self.count_of(node).saturating_add(1));
    }

    /// The least vector that has seen what either has: the greater count, node by node.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        let pairs = Pairs { a: &self.entries, b: &other.entries };
        Self { entries: pairs.map(|(node, a, b)| VersionEntry::new(node, a.max(b))).collect() }
    }

    /// Whether everything seen here is seen in `other`, and something more.
    #[must_use]
    pub fn happens_before(&self, other: &Self) -> bool {
        self < other
    }

    /// Whether each has seen something the other has not.
    #[must_use]
    pub fn concurrent(&self, other: &Self) -> bool {
        self.partial_cmp(other).is_none()
    }

    fn position(&self, node: NodeId) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&node, VersionEntry::node)
    }
}

impl From<Versions<'_>> for VersionVector {
    /// Sorts and keeps the last of each node's entries.
    fn from(versions: Versions<'_>) -> Self {
        let mut entries = versions.entries.to_vec();
        // Reversed and sorted stably, the last of a node's entries comes first and survives.
        entries.reverse();
        entries.sort_by_key(VersionEntry::node);
        entries.dedup_by_key(|entry| entry.node());
        Self { entries }
    }
}

impl FromIterator<(NodeId, u64)> for VersionVector {
    fn from_iter<I: IntoIterator<Item = (NodeId, u64)>>(pairs: I) -> Self {
        let entries: Vec<_> =
            pairs.into_iter().map(|(node, count)| VersionEntry::new(node, count)).collect();
        Self::from(Versions { entries: &entries })
    }
}

impl PartialOrd for VersionVector {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Pairs { a: &self.entries, b: &other.entries }.try_fold(
            Ordering::Equal,
            |so_far, (_, a, b)| match (so_far, a.cmp(&b)) {
                (order, Ordering::Equal) | (Ordering::Equal, order) => Some(order),
                (before, now) => (before == now).then_some(now),
            },
        )
    }
}

impl PartialEq for VersionVector {
    fn eq(&self, other: &Self) -> bool {
        Pairs { a: &self.entries, b: &other.entries }.all(|(_, a, b)| a == b)
    }
}

impl Eq for VersionVector {}

/// Every node of either vector with its count in both, ascending.
struct Pairs<'a> {
    a: &'a [VersionEntry],
    b: &'a [VersionEntry],
}

impl Iterator for Pairs<'_> {
    type Item = (NodeId, u64, u64);

    fn next(&mut self) -> Option<Self::Item> {
        let node = match (self.a.first(), self.b.first()) {
            (Some(a), Some(b)) => a.node().min(b.node()),
            (Some(only), None) | (None, Some(only)) => only.node(),
            (None, None) => return None,
        };
        let take = |side: &mut &[VersionEntry]| match *side {
            [entry, rest @ ..] if entry.node() == node => {
                *side = rest;
                entry.count()
            }
            _ => 0,
        };
        Some((node, take(&mut self.a), take(&mut self.b)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(pairs: &[(u64, u64)]) -> VersionVector {
        pairs.iter().map(|&(node, count)| (NodeId(node), count)).collect()
    }

    #[test]
    fn entries_are_sixteen_little_endian_bytes_in_ascending_order() {
        let vector = vector(&[(2, 0x0102), (1, 7)]);
        let expected =
            [1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2, 1];
        assert_eq!(vector.as_versions().as_bytes()[..26], expected);
    }

    #[test]
    fn a_length_that_is_no_multiple_of_sixteen_is_malformed() {
        let bytes = [0; 33];
        for len in 0..=bytes.len() {
            let parsed = Versions::parse(&bytes[..len]);
            assert_eq!(parsed.is_ok(), len % 16 == 0, "{len}");
        }
    }

    #[test]
    fn of_a_repeated_node_the_last_entry_counts() {
        let entries = [(5, 1), (3, 9), (5, 2)].map(|(n, c)| VersionEntry::new(NodeId(n), c));
        let seen = Versions { entries: &entries };
        assert_eq!((seen.count_of(NodeId(5)), seen.count_of(NodeId(4))), (2, 0));
        assert_eq!(VersionVector::from(seen).entries, vector(&[(3, 9), (5, 2)]).entries);
    }

    #[test]
    fn order_is_partial() {
        let one = vector(&[(1, 1)]);
        let two = vector(&[(1, 2)]);
        let other = vector(&[(2, 1)]);
        assert!(VersionVector::new().happens_before(&one) && one.happens_before(&two));
        assert!(!two.happens_before(&one) && !one.happens_before(&one));
        assert!(two.concurrent(&other) && other.concurrent(&two));
        assert!(!one.concurrent(&one) && !one.concurrent(&two));
        assert!(one.happens_before(&one.merge(&other)) && other < one.merge(&other));
    }

    #[test]
    fn a_zero_says_nothing() {
        let zeros = vector(&[(1, 0), (9, 0)]);
        assert_eq!(zeros, VersionVector::new());
        assert!(!zeros.happens_before(&VersionVector::new()) && !zeros.concurrent(&vector(&[])));
        assert!(zeros < vector(&[(5, 1)]));
    }

    #[test]
    fn a_count_at_its_greatest_stays_there() {
        let mut vector = vector(&[(1, u64::MAX)]);
        vector.increment(NodeId(1));
        vector.increment(NodeId(2));
        assert_eq!((vector.count_of(NodeId(1)), vector.count_of(NodeId(2))), (u64::MAX, 1));
    }
}
