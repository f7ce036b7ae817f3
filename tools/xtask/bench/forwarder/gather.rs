//! Gathering: what came in one turn leaves, for each receiver, in as few sends as the kernel allows.
//!
//! ```text
//!   the turn, one group:     a1 a2 a3 (a train)   b1   a4   c1 (shorter)   c2
//!   for b, one send each:    a1 a2 a3 a4 c1  |  c2
//! ```
//! UDP_SEGMENT cuts a send into datagrams of one size, the last of which may be shorter. Nothing is copied:
//! a piece stays where it was received, and a send is a list of pieces.

use std::ops::Range;

use elara_core::ClientAddr;
use elara_core::limits::{DATAGRAM_MAX, SEGMENTS_MAX};

use super::groups::Groups;

/// Sends put together before they are handed over.
pub(super) const BATCH: usize = 64;

/// Bytes received in a row from one sender: one datagram, or a train of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Its sender.
    pub(super) port: u16,
    /// The buffer it lies in.
    pub(super) slot: u16,
    pub(super) start: u32,
    pub(super) len: u16,
    /// Bytes of each datagram but the last; its length when it is one.
    pub(super) segment: u16,
}

/// What came in one turn, by group.
pub(super) struct Turn {
    pieces: Vec<Vec<Piece>>,
    /// The groups that have some.
    touched: Vec<u32>,
    sends: Sends,
    /// What leaves for everyone who has sent nothing, and for one who has.
    shared: Vec<Cut>,
    own: Vec<Cut>,
}

/// Sends that are ready to go.
#[derive(Default)]
pub(super) struct Sends {
    pieces: Vec<Piece>,
    list: Vec<(ClientAddr, Cut)>,
}

/// Which pieces one send carries, and every how many bytes it is cut.
#[derive(Clone)]
struct Cut {
    pieces: Range<usize>,
    segment: u16,
}

impl Sends {
    /// To whom, what, and cut every how many bytes.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&ClientAddr, &[Piece], u16)> {
        self.list.iter().map(|(to, cut)| (to, &self.pieces[cut.pieces.clone()], cut.segment))
    }
}

impl Turn {
    pub(super) fn new() -> Self {
        Self {
            pieces: Vec::new(),
            touched: Vec::new(),
            sends: Sends::default(),
            shared: Vec::new(),
            own: Vec::new(),
        }
    }

    /// Takes a piece in.
    #[inline]
    pub(super) fn take(&mut self, group: u32, piece: Piece) {
        if self.pieces.len() <= group as usize {
            self.pieces.resize_with(group as usize + 1, Vec::new);
        }
        let pieces = &mut self.pieces[group as usize];
        if pieces.is_empty() {
            self.touched.push(group);
        }
        pieces.push(piece);
    }

    /// Hands everything to `send`, in batches of at most [`BATCH`], and forgets it.
    #[inline]
    pub(super) fn drain(&mut self, groups: &Groups, mut send: impl FnMut(&Sends)) {
        for group in self.touched.drain(..) {
            let pieces = &mut self.pieces[group as usize];
            let sends = &mut self.sends;
            self.shared.clear();
            cut(pieces, None, &mut sends.pieces, &mut self.shared);
            for to in groups.members(group) {
                let spoke = pieces.iter().any(|piece| piece.port == to.port());
                if spoke {
                    self.own.clear();
                    cut(pieces, Some(to.port()), &mut sends.pieces, &mut self.own);
                }
                for cut in if spoke { &self.own } else { &self.shared } {
                    sends.list.push((*to, cut.clone()));
                    if sends.list.len() == BATCH {
                        send(sends);
                        sends.list.clear();
                    }
                }
            }
            pieces.clear();
        }
        if !self.sends.list.is_empty() {
            send(&self.sends);
            self.sends.list.clear();
        }
        self.sends.pieces.clear();
    }
}

/// Puts `pieces` but those of `receiver` behind what is in `taken`, and says how they are cut.
#[inline]
fn cut(pieces: &[Piece], receiver: Option<u16>, taken: &mut Vec<Piece>, cuts: &mut Vec<Cut>) {
    let (mut first, mut segment, mut bytes, mut datagrams) = (taken.len(), 0u16, 0, 0);
    for piece in pieces.iter().filter(|piece| Some(piece.port) != receiver) {
        let more = usize::from(piece.len.div_ceil(piece.segment.max(1)));
        let is_even = segment > 0 && bytes % usize::from(segment) == 0;
        let fits = is_even
            && (piece.segment == segment || more == 1 && piece.len < segment)
            && datagrams + more <= SEGMENTS_MAX
            && bytes + usize::from(piece.len) <= DATAGRAM_MAX;
        if !fits {
            if taken.len() > first {
                cuts.push(Cut { pieces: first..taken.len(), segment });
            }
            (first, segment, bytes, datagrams) = (taken.len(), piece.segment, 0, 0);
        }
        taken.push(*piece);
        bytes += usize::from(piece.len);
        datagrams += more;
    }
    if taken.len() > first {
        cuts.push(Cut { pieces: first..taken.len(), segment });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(port: u16, len: u16) -> Piece {
        Piece { port, slot: 0, start: 0, len, segment: len }
    }

    fn train(port: u16, len: u16, segment: u16) -> Piece {
        Piece { segment, ..one(port, len) }
    }

    /// Lengths and segment of each send.
    fn sends(pieces: &[Piece], receiver: u16) -> Vec<(Vec<u16>, u16)> {
        let (mut taken, mut cuts) = (vec![one(0, 1)], Vec::new());
        cut(pieces, Some(receiver), &mut taken, &mut cuts);
        let lens = |cut: &Cut| taken[cut.pieces.clone()].iter().map(|piece| piece.len).collect();
        cuts.iter().map(|cut| (lens(cut), cut.segment)).collect()
    }

    #[test]
    fn equal_sizes_share_a_send_and_a_shorter_one_ends_it() {
        let turn = [train(1, 300, 100), one(2, 100), one(1, 100), one(3, 40), one(3, 100)];
        assert_eq!(sends(&turn, 2), [(vec![300, 100, 40], 100), (vec![100], 100)]);
        assert_eq!(sends(&turn, 3), [(vec![300, 100, 100], 100)]);
        assert_eq!(sends(&turn[1..2], 2), [], "nobody hears themselves");
    }

    #[test]
    fn what_does_not_go_together_goes_apart() {
        let longer = [one(1, 100), one(1, 101)];
        assert_eq!(sends(&longer, 9), [(vec![100], 100), (vec![101], 101)]);
        let uneven = [train(1, 250, 100), one(1, 100)];
        assert_eq!(sends(&uneven, 9), [(vec![250], 100), (vec![100], 100)]);
        let other = [one(1, 100), train(1, 100, 50)];
        assert_eq!(sends(&other, 9), [(vec![100], 100), (vec![100], 50)]);
    }

    #[test]
    fn a_send_holds_what_the_kernel_takes_and_not_one_more() {
        let many: Vec<Piece> = (0..=SEGMENTS_MAX).map(|_| one(1, 100)).collect();
        let lens: Vec<usize> = sends(&many, 9).iter().map(|(lens, _)| lens.len()).collect();
        assert_eq!(lens, [SEGMENTS_MAX, 1]);
        let long: Vec<Piece> = (0..60).map(|_| one(1, 1_200)).collect();
        let lens: Vec<usize> = sends(&long, 9).iter().map(|(lens, _)| lens.len()).collect();
        assert_eq!(lens, [54, 6], "54 x 1,200 is the most below 65,507");
    }

    #[test]
    fn a_turn_goes_to_its_group_and_is_forgotten() {
        let mut groups = Groups::new();
        let from = |port| ClientAddr::from((std::net::Ipv4Addr::LOCALHOST, port));
        let mut group = |port, session| groups.group(from(port), &[session; 12]).unwrap();
        let (first, second) = (group(1, 7), group(2, 8));
        assert_eq!((group(3, 7), group(4, 8)), (first, second));
        let mut turn = Turn::new();
        turn.take(second, one(4, 50));
        turn.take(first, one(1, 60));
        turn.take(first, one(3, 70));
        let drained = |turn: &mut Turn| {
            let mut sends = Vec::new();
            turn.drain(&groups, |batch| {
                sends.extend(batch.iter().map(|(to, pieces, _)| (to.port(), pieces[0].len)));
            });
            sends
        };
        assert_eq!(drained(&mut turn), [(2, 50), (1, 70), (3, 60)]);
        assert_eq!(drained(&mut turn), []);
    }
}
