//! How many allocations each user has (RFC 8656 section 7.2: by who asks, not by where from).

use hashbrown::HashMap;

use super::credentials::Name;
use crate::keyed::Keyed;

/// Users with allocations; those without take no memory.
#[derive(Debug)]
pub(super) struct Quota(HashMap<Name, u32, Keyed>);

impl Quota {
    pub(super) fn new(keyed: Keyed) -> Self {
        Self(HashMap::with_hasher(keyed))
    }

    /// Allocations of `account`.
    pub(super) fn of(&self, account: &Name) -> usize {
        self.0.get(account).map_or(0, |count| *count as usize)
    }

    /// One more.
    pub(super) fn take(&mut self, account: Name) {
        *self.0.entry(account).or_default() += 1;
    }

    /// One less.
    pub(super) fn give_back(&mut self, account: &Name) {
        if let Some(count) = self.0.get_mut(account) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.0.remove(account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_none_takes_no_memory() {
        let mut quota = Quota::new(Keyed(1, 2));
        let (anna, berta) = (Name::of("anna"), Name::of("berta"));
        quota.take(anna);
        quota.take(anna);
        quota.take(berta);
        assert_eq!((quota.of(&anna), quota.of(&berta)), (2, 1));
        quota.give_back(&anna);
        quota.give_back(&berta);
        quota.give_back(&berta);
        assert_eq!((quota.of(&anna), quota.of(&berta), quota.0.len()), (1, 0, 1));
    }
}
