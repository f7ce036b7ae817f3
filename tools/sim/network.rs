//! A seeded network: what happens to a datagram on its way between two addresses.
//!
//! A [`Link`] is one direction. It keeps order unless told to reorder, and it decides everything from
//! the random stream it is handed, so a run is repeated exactly.

use elara_core::random::Random;
use elara_core::time::{Instant, Span};

use crate::faults::{Fault, Faults};

/// How far behind its time a reordered datagram or a duplicate may come.
const STRAGGLE_MAX: Span = Span::from_millis(80);

/// Losses that come in bursts (Gilbert-Elliott): a link is well or unwell, and loses while unwell.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bursts {
    /// Chance per datagram to fall unwell, per million.
    pub begin: u32,
    /// Chance per datagram to get well, per million.
    pub end: u32,
    /// Loss while unwell, per million.
    pub loss: u32,
}

/// What a link does to datagrams; rates are per million.
#[derive(Clone, Copy, Debug, Default)]
pub struct Impairment {
    /// Loss, each datagram for itself.
    pub loss: u32,
    /// Loss in bursts.
    pub bursts: Bursts,
    /// Overtaken by later ones.
    pub reorder: u32,
    /// Delivered twice.
    pub duplicate: u32,
    /// Delivered with flipped bits.
    pub flip: u32,
    /// Time on the way at least.
    pub delay: Span,
    /// Time on the way on top of that, at most.
    pub jitter: Span,
}

/// One copy of a datagram that gets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    /// When it arrives.
    pub at: Instant,
    /// Its bits are not those that were sent.
    pub flipped: bool,
}

/// One direction of a path.
#[derive(Clone, Copy, Debug, Default)]
pub struct Link {
    /// What it does.
    pub impairment: Impairment,
    /// Nothing passes before this instant.
    pub cut_until: Instant,
    unwell: bool,
    /// When the last datagram in order arrives.
    last: Instant,
}

impl Link {
    /// A link that only takes its time.
    #[must_use]
    pub fn clear(delay: Span) -> Self {
        Self { impairment: Impairment { delay, ..Impairment::default() }, ..Self::default() }
    }

    /// From here on it only takes its time.
    pub fn heal(&mut self) {
        let Impairment { delay, .. } = self.impairment;
        self.impairment = Impairment { delay, ..Impairment::default() };
        self.unwell = false;
        self.cut_until = Instant::ZERO;
    }

    /// The copies of a datagram sent at `now` that arrive: none, one or two.
    pub fn pass(
        &mut self,
        now: Instant,
        random: &mut impl Random,
        faults: &mut Faults,
    ) -> [Option<Passage>; 2] {
        if let Some(fault) = self.swallows(now, random) {
            faults.count(fault);
            return [None; 2];
        }
        let Impairment { reorder, duplicate, delay, jitter, .. } = self.impairment;
        let due = now + delay + Span::from_nanos(random.below(jitter.as_nanos() + 1));
        let at = if random.chance(reorder) {
            faults.count(Fault::Reordered);
            due + straggle(random)
        } else {
            self.last = self.last.max(due);
            self.last
        };
        let first = self.carry(at, random, faults);
        let second = random.chance(duplicate).then(|| {
            faults.count(Fault::Duplicated);
            self.carry(due + straggle(random), random, faults)
        });
        [Some(first), second]
    }

    fn swallows(&mut self, now: Instant, random: &mut impl Random) -> Option<Fault> {
        if now < self.cut_until {
            return Some(Fault::Cut);
        }
        let Impairment { loss, bursts, .. } = self.impairment;
        let turn = if self.unwell { bursts.end } else { bursts.begin };
        self.unwell ^= random.chance(turn);
        if self.unwell && random.chance(bursts.loss) {
            return Some(Fault::LostInBurst);
        }
        random.chance(loss).then_some(Fault::Lost)
    }

    fn carry(&self, at: Instant, random: &mut impl Random, faults: &mut Faults) -> Passage {
        let flipped = random.chance(self.impairment.flip);
        faults.add(Fault::Flipped, u64::from(flipped));
        Passage { at, flipped }
    }
}

fn straggle(random: &mut impl Random) -> Span {
    Span::from_nanos(random.below(STRAGGLE_MAX.as_nanos()))
}

#[cfg(test)]
mod tests {
    use elara_core::random::Seeded;

    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Span::from_millis(millis)
    }

    fn through(link: &mut Link, datagrams: u64) -> (Vec<Instant>, Faults) {
        let (mut random, mut faults) = (Seeded::new(7), Faults::default());
        let arrivals = (0..datagrams)
            .flat_map(|millis| link.pass(at(millis), &mut random, &mut faults))
            .flatten()
            .map(|passage| passage.at)
            .collect();
        (arrivals, faults)
    }

    #[test]
    fn a_clear_link_only_takes_its_time() {
        let (arrivals, faults) = through(&mut Link::clear(Span::from_millis(5)), 100);
        assert_eq!(arrivals, (5..105).map(at).collect::<Vec<_>>());
        assert_eq!(faults.total(), 0);
    }

    #[test]
    fn jitter_alone_never_reorders() {
        let mut link = Link::clear(Span::from_millis(5));
        link.impairment.jitter = Span::from_millis(50);
        let (arrivals, _) = through(&mut link, 1_000);
        assert!(arrivals.is_sorted() && arrivals.len() == 1_000);
    }

    #[test]
    fn each_impairment_happens_about_as_often_as_it_says() {
        let impairment = Impairment {
            loss: 500_000,
            reorder: 300_000,
            duplicate: 200_000,
            flip: 50_000,
            ..Impairment::default()
        };
        let mut link = Link { impairment, ..Link::default() };
        let (arrivals, faults) = through(&mut link, 10_000);
        let about = |fault, expected: u64| {
            let seen = faults.of(fault);
            assert!(seen.abs_diff(expected) < expected / 5, "{fault:?}: {seen}, not {expected}");
        };
        about(Fault::Lost, 5_000);
        about(Fault::Reordered, 1_500);
        about(Fault::Duplicated, 1_000);
        about(Fault::Flipped, 300);
        assert!(!arrivals.is_sorted());
    }

    #[test]
    fn bursts_lose_neighbours() {
        let mut link = Link::default();
        link.impairment.bursts = Bursts { begin: 10_000, end: 100_000, loss: 1_000_000 };
        let (arrivals, faults) = through(&mut link, 10_000);
        let gaps = arrivals.windows(2).filter(|pair| pair[1].since(pair[0]) > Span::from_millis(1));
        let bursts = gaps.count() as u64;
        let lost = faults.of(Fault::LostInBurst);
        assert!(lost > 5 * bursts && bursts > 20, "{lost} lost in {bursts} bursts");
    }

    #[test]
    fn nothing_passes_a_partition_until_it_heals() {
        let mut link = Link::clear(Span::ZERO);
        link.cut_until = at(50);
        let (arrivals, faults) = through(&mut link, 100);
        assert_eq!((arrivals.len() as u64, faults.of(Fault::Cut)), (50, 50));
        link.cut_until = at(1_000);
        link.heal();
        assert_eq!(through(&mut link, 100).0.len(), 100);
    }
}
