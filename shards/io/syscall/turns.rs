//! Whose turn it is to be read, among the sockets that have something.

use std::collections::VecDeque;

use crate::io::Port;

/// Ports in a row, each once.
pub(super) struct Turns {
    row: VecDeque<Port>,
    /// By port: whether it stands in the row.
    stands: Vec<bool>,
}

impl Turns {
    /// Nobody's turn; there is the shard's own socket.
    pub(super) fn new() -> Self {
        Self { row: VecDeque::with_capacity(1), stands: vec![false] }
    }

    /// There is such a port. Whatever comes later finds its room.
    pub(super) fn meet(&mut self, port: Port) {
        let all = self.stands.len().max(usize::from(port.0) + 1);
        self.stands.resize(all, false);
        self.row.reserve(all - self.row.len());
    }

    /// It has something, and waits for its turn, behind those that wait already.
    #[inline]
    pub(super) fn join(&mut self, port: Port) {
        if let Some(stands) = self.stands.get_mut(usize::from(port.0))
            && !*stands
        {
            *stands = true;
            self.row.push_back(port);
        }
    }

    /// Whose turn it is.
    #[inline]
    pub(super) fn first(&self) -> Option<Port> {
        self.row.front().copied()
    }

    /// Whoever's turn it was may have more, and goes to the end of the row.
    #[inline]
    pub(super) fn next(&mut self) {
        if self.row.len() > 1 {
            self.row.rotate_left(1);
        }
    }

    /// Whoever's turn it was has nothing more.
    #[inline]
    pub(super) fn leave(&mut self) {
        if let Some(port) = self.row.pop_front() {
            self.stands[usize::from(port.0)] = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_turn_and_no_two() {
        let mut turns = Turns::new();
        turns.meet(Port(2));
        for port in [Port::DATA, Port(2), Port::DATA, Port(1), Port(2), Port(9)] {
            turns.join(port);
        }
        let mut read = Vec::new();
        for more in [true, true, false, false, true, false] {
            read.push(turns.first().unwrap().0);
            if more { turns.next() } else { turns.leave() }
        }
        assert_eq!(read, [0, 2, 1, 0, 2, 2], "nobody has met 9");
        assert_eq!(turns.first(), None);
        turns.leave();
        turns.join(Port(2));
        assert_eq!(turns.first(), Some(Port(2)));
    }
}
