//! Pieces of media frames put together, and gaps between their datagrams counted.
//!
//! ```text
//!   index   7 FIRST   8        9 LAST      | 10 FIRST LAST |      12 ..
//!          '------ one frame, whole -------'  delivered at once    11 is missing: a gap of one
//! ```
//! Frames are delivered when they are whole, in the order they become so; a receiver that wants them
//! in order has their numbers. An index that wraps costs the frame it wraps in.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::refused::Counters;
use crate::crypto::hop::Inst;
use crate::crypto::replay::{MediaWindow, Stale};
use crate::ids::NodeId;
use crate::limits::{
    ASSEMBLY_BYTES_MAX, ASSEMBLY_FRAMES_MAX, ASSEMBLY_PIECE_COST, ASSEMBLY_STREAMS_MAX,
    MEDIA_CONTENT_MAX,
};
use crate::wire::v1::Stream;
use crate::wire::v1::tlv::bits;

/// One author's stream and layer.
pub(super) type Inlet = (NodeId, u16, u8);

/// What is being put together.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    inlets: BTreeMap<Inlet, Course>,
    /// Charged for pieces that wait.
    bytes: usize,
    /// Counts pieces: the clock by which courses and frames age.
    clock: u64,
}

/// How far one inlet has come.
#[derive(Debug)]
struct Course {
    /// The connection that its indexes belong to.
    inst: Inst,
    window: MediaWindow,
    /// The first index seen, and one above the highest.
    span: Option<(u32, u32)>,
    partial: VecDeque<Partial>,
    used: u64,
}

#[derive(Debug)]
struct Partial {
    /// The connection that its pieces came by: all by one, and numbers may begin anew with each.
    inst: Inst,
    frame: u32,
    first: Option<u32>,
    last: Option<u32>,
    pieces: BTreeMap<u32, Vec<u8>>,
    content_len: usize,
    begun: u64,
}

impl Assembly {
    /// Whether a piece that the window of its sender's numbers no longer knows has not been here.
    pub(super) fn is_new(&self, inlet: &Inlet, inst: Inst, index: u32) -> bool {
        match self.inlets.get(inlet) {
            None => true,
            Some(course) => course.inst == inst && course.window.check(index).is_ok(),
        }
    }

    /// Takes in a piece: the frame's content, when it is whole now. `current` says that `inst` is
    /// its author's newest connection.
    pub(super) fn take(
        &mut self,
        inlet: Inlet,
        (inst, current): (Inst, bool),
        stream: &Stream,
        content: &[u8],
        counters: &mut Counters,
    ) -> Option<Vec<u8>> {
        self.clock += 1;
        let clock = self.clock;
        if !self.inlets.contains_key(&inlet) && self.inlets.len() >= ASSEMBLY_STREAMS_MAX {
            self.forget_one(counters);
        }
        let course = self.inlets.entry(inlet).or_insert_with(|| Course::new(inst));
        course.used = clock;
        if course.inst != inst && current {
            (course.inst, course.window, course.span) = (inst, MediaWindow::new(), None);
        }
        if course.inst == inst {
            course.note(stream.index.get(), counters);
        }
        if stream.has(bits::FIRST | bits::LAST) {
            return Some(content.to_vec());
        }
        let cost = content.len() + ASSEMBLY_PIECE_COST;
        let whole = course.piece(inst, stream, content, clock);
        match whole {
            Taken::Waits => {
                self.bytes += cost;
                self.fit(&inlet, counters);
                None
            }
            Taken::Again => None,
            Taken::Whole(partial) => {
                self.bytes -= partial.cost() - cost;
                Some(partial.into_content())
            }
            Taken::TooLarge(partial) => {
                self.bytes -= partial.cost() - cost;
                counters.incomplete += 1;
                None
            }
        }
    }

    /// Makes room: the oldest frame of an inlet that has too many, then the oldest of all.
    fn fit(&mut self, inlet: &Inlet, counters: &mut Counters) {
        if let Some(course) = self.inlets.get_mut(inlet)
            && course.partial.len() > ASSEMBLY_FRAMES_MAX
            && let Some(oldest) = course.partial.pop_front()
        {
            self.bytes -= oldest.cost();
            counters.incomplete += 1;
        }
        while self.bytes > ASSEMBLY_BYTES_MAX {
            let oldest = self
                .inlets
                .values_mut()
                .filter(|course| !course.partial.is_empty())
                .min_by_key(|course| course.partial.front().map(|partial| partial.begun));
            let Some(partial) = oldest.and_then(|course| course.partial.pop_front()) else { break };
            self.bytes -= partial.cost();
            counters.incomplete += 1;
        }
    }

    #[cold]
    fn forget_one(&mut self, counters: &mut Counters) {
        let longest = self.inlets.iter().min_by_key(|(_, course)| course.used);
        let Some(inlet) = longest.map(|(inlet, _)| *inlet) else { return };
        if let Some(course) = self.inlets.remove(&inlet) {
            self.bytes -= course.partial.iter().map(Partial::cost).sum::<usize>();
            counters.incomplete += course.partial.len() as u64;
        }
    }
}

enum Taken {
    Waits,
    /// The same piece again.
    Again,
    Whole(Partial),
    /// More than a media frame may have. What came is given up.
    TooLarge(Partial),
}

impl Course {
    const fn new(inst: Inst) -> Self {
        Self { inst, window: MediaWindow::new(), span: None, partial: VecDeque::new(), used: 0 }
    }

    fn note(&mut self, index: u32, counters: &mut Counters) {
        match self.window.check(index) {
            Ok(fresh) => {
                self.window.set(fresh);
            }
            Err(Stale::Replayed | Stale::TooOld) => return,
        }
        let (first, next) = self.span.unwrap_or((index, index));
        if index >= next {
            counters.gaps += u64::from(index - next);
        } else if index > first {
            counters.gaps = counters.gaps.saturating_sub(1);
        }
        self.span = Some((first, next.max(index.saturating_add(1))));
    }

    fn piece(&mut self, inst: Inst, stream: &Stream, content: &[u8], clock: u64) -> Taken {
        let (frame, index) = (stream.frame.get(), stream.index.get());
        let at =
            self.partial.iter().position(|partial| (partial.inst, partial.frame) == (inst, frame));
        let at = at.unwrap_or_else(|| {
            self.partial.push_back(Partial::new(inst, frame, clock));
            self.partial.len() - 1
        });
        let partial = &mut self.partial[at];
        if partial.pieces.contains_key(&index) {
            return Taken::Again;
        }
        if stream.has(bits::FIRST) {
            partial.first = Some(index);
        }
        if stream.has(bits::LAST) {
            partial.last = Some(index);
        }
        partial.content_len += content.len();
        partial.pieces.insert(index, content.to_vec());
        let (too_large, whole) = (partial.content_len > MEDIA_CONTENT_MAX, partial.is_whole());
        match self.partial.remove(at) {
            Some(partial) if too_large => Taken::TooLarge(partial),
            Some(partial) if whole => Taken::Whole(partial),
            Some(partial) => {
                self.partial.insert(at, partial);
                Taken::Waits
            }
            None => Taken::Again,
        }
    }
}

impl Partial {
    const fn new(inst: Inst, frame: u32, begun: u64) -> Self {
        Self {
            inst,
            frame,
            first: None,
            last: None,
            pieces: BTreeMap::new(),
            content_len: 0,
            begun,
        }
    }

    /// Whether every index from the first piece's to the last one's is here, and no other.
    fn is_whole(&self) -> bool {
        let (Some(first), Some(last)) = (self.first, self.last) else { return false };
        let count = u64::from(last).checked_sub(u64::from(first)).map(|span| span + 1);
        count == Some(self.pieces.len() as u64)
            && self.pieces.first_key_value().is_some_and(|(index, _)| *index == first)
            && self.pieces.last_key_value().is_some_and(|(index, _)| *index == last)
    }

    fn cost(&self) -> usize {
        self.content_len + self.pieces.len() * ASSEMBLY_PIECE_COST
    }

    fn into_content(self) -> Vec<u8> {
        let mut content = Vec::with_capacity(self.content_len);
        self.pieces.values().for_each(|piece| content.extend_from_slice(piece));
        content
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Random, Seeded};
    use alloc::vec;
    use zerocopy::little_endian::{U16, U32};

    const INLET: Inlet = (NodeId(1), 2, 0);
    const INST: Inst = Inst([7; 16]);

    fn piece(frame: u32, index: u32, bits: u8) -> Stream {
        Stream {
            stream: U16::new(2),
            bits,
            layer: 0,
            frame: U32::new(frame),
            index: U32::new(index),
        }
    }

    #[derive(Default)]
    struct Scene {
        assembly: Assembly,
        counters: Counters,
    }

    impl Scene {
        fn take(&mut self, stream: Stream, content: &[u8]) -> Option<Vec<u8>> {
            self.assembly.take(INLET, (INST, true), &stream, content, &mut self.counters)
        }
    }

    #[test]
    fn pieces_come_together_in_any_order() {
        let mut random = Seeded::new(4);
        for _ in 0..50 {
            let mut scene = Scene::default();
            let mut pieces: Vec<u32> = (10..15).collect();
            let mut whole = None;
            while !pieces.is_empty() {
                let index = pieces.swap_remove(random.below(pieces.len() as u64) as usize);
                let bits = match index {
                    10 => bits::FIRST,
                    14 => bits::LAST,
                    _ => 0,
                };
                assert_eq!(whole, None);
                whole = scene.take(piece(3, index, bits), &[index as u8; 2]);
                assert_eq!(scene.take(piece(3, index, bits), b"again").filter(|_| false), None);
            }
            assert_eq!(whole, Some(vec![10, 10, 11, 11, 12, 12, 13, 13, 14, 14]));
        }
    }

    #[test]
    fn gaps_are_counted_and_late_ones_taken_off() {
        let mut scene = Scene::default();
        let whole = bits::FIRST | bits::LAST;
        for (index, gaps) in [(5, 0), (6, 0), (9, 2), (8, 1), (3, 1), (7, 0), (10, 0), (9, 0)] {
            assert!(scene.take(piece(index, index, whole), b"x").is_some());
            assert_eq!(scene.counters.gaps, gaps, "{index}");
        }
        assert!(!scene.assembly.is_new(&INLET, INST, 9));
        assert!(scene.assembly.is_new(&INLET, INST, 4));
        assert!(!scene.assembly.is_new(&INLET, Inst([8; 16]), 4));
    }

    #[test]
    fn frames_that_never_become_whole_make_room() {
        let mut scene = Scene::default();
        for frame in 0..100 {
            assert_eq!(scene.take(piece(frame, 3 * frame, bits::FIRST), &[0; 100]), None);
        }
        assert_eq!(scene.counters.incomplete, 100 - ASSEMBLY_FRAMES_MAX as u64);
        assert_eq!(scene.assembly.bytes, ASSEMBLY_FRAMES_MAX * (100 + ASSEMBLY_PIECE_COST));
        assert_eq!(scene.take(piece(99, 298, bits::LAST), b"").map(|whole| whole.len()), Some(100));
    }

    #[test]
    fn a_frame_without_end_is_bounded() {
        let mut scene = Scene::default();
        for index in 0..20_000 {
            assert_eq!(scene.take(piece(1, index, 0), &[0; 1_000]), None);
            assert!(scene.assembly.bytes <= ASSEMBLY_BYTES_MAX);
        }
        assert!(scene.counters.incomplete > 30);
        for index in 0..100_000 {
            scene.take(piece(2, index, 0), b"");
            assert!(scene.assembly.bytes <= ASSEMBLY_BYTES_MAX);
        }
    }

    #[test]
    fn streams_are_bounded() {
        let mut scene = Scene::default();
        for stream in 0..1_000 {
            let inlet = (NodeId(1), stream, 0);
            let first = piece(1, 1, bits::FIRST);
            scene.assembly.take(inlet, (INST, true), &first, b"x", &mut scene.counters);
        }
        assert_eq!(scene.assembly.inlets.len(), ASSEMBLY_STREAMS_MAX);
        assert_eq!(scene.assembly.bytes, ASSEMBLY_STREAMS_MAX * (1 + ASSEMBLY_PIECE_COST));
    }

    #[test]
    fn whatever_members_seal_the_books_balance() {
        let mut random = Seeded::new(9);
        let mut scene = Scene::default();
        for _ in 0..50_000 {
            let small = random.below(2) == 0;
            let mut number = |most: u64| if small { random.below(most) } else { random.next_u64() };
            let stream = Stream {
                stream: U16::new(number(5) as u16),
                bits: number(16) as u8,
                layer: number(2) as u8,
                frame: U32::new(number(20) as u32),
                index: U32::new(number(60) as u32),
            };
            let (inst, current) = (Inst([number(3) as u8; 16]), number(2) == 0);
            let inlet = (NodeId(number(3)), stream.stream.get(), stream.layer);
            let content = [0; 1_000];
            let content = &content[..random.below(1_000) as usize];
            let Scene { assembly, counters } = &mut scene;
            assembly.take(inlet, (inst, current), &stream, content, counters);
            if random.below(100) == 0 {
                let courses = assembly.inlets.values();
                let waiting = courses.flat_map(|course| course.partial.iter().map(Partial::cost));
                assert_eq!(assembly.bytes, waiting.sum::<usize>());
                assert!(assembly.bytes <= ASSEMBLY_BYTES_MAX);
            }
        }
    }

    #[test]
    fn pieces_of_two_connections_are_of_two_frames() {
        let mut scene = Scene::default();
        assert_eq!(scene.take(piece(0, 0, bits::FIRST), b"old"), None);
        let other = (Inst([8; 16]), true);
        let last = piece(0, 1, bits::LAST);
        let taken = scene.assembly.take(INLET, other, &last, b"new", &mut scene.counters);
        assert_eq!(taken, None);
        let before = (INST, false);
        let taken = scene.assembly.take(INLET, before, &last, b"er", &mut scene.counters);
        assert_eq!(taken, Some(b"older".to_vec()), "late, and whole all the same");
    }

    #[test]
    fn a_sender_that_starts_anew_counts_anew() {
        let mut scene = Scene::default();
        let whole = bits::FIRST | bits::LAST;
        scene.take(piece(1, 5_000, whole), b"x");
        let other = (Inst([8; 16]), true);
        scene.assembly.take(INLET, other, &piece(1, 0, whole), b"x", &mut scene.counters);
        scene.assembly.take(INLET, other, &piece(2, 2, whole), b"x", &mut scene.counters);
        assert_eq!(scene.counters.gaps, 1);
    }
}
