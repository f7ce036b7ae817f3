//! The receive queue of the socket: bounded, in order, glueing what the kernel's GRO would glue.

use std::collections::VecDeque;

use elara_core::ClientAddr;

use super::ports::Named;

/// Datagrams that have arrived and wait for a buffer.
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: VecDeque<u8>,
    datagrams_max: usize,
    bytes_max: usize,
}

#[derive(Clone, Copy)]
struct Waiting {
    to: Named,
    from: ClientAddr,
    len: u16,
}

/// A message as a receive completes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) to: Named,
    pub(super) from: ClientAddr,
    pub(super) len: u16,
    pub(super) segment: u16,
    pub(super) truncated: bool,
}

impl Queue {
    pub(super) fn new(datagrams_max: usize, bytes_max: usize) -> Self {
        Self {
            waiting: VecDeque::with_capacity(datagrams_max),
            bytes: VecDeque::with_capacity(bytes_max),
            datagrams_max,
            bytes_max,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// False, and nothing queued, when there is no room within what there is or within `bytes_limit`.
    pub(super) fn push(
        &mut self,
        to: Named,
        from: &ClientAddr,
        datagram: &[u8],
        bytes_limit: usize,
    ) -> bool {
        let room = self.bytes_max.min(bytes_limit).saturating_sub(self.bytes.len());
        let Ok(len) = u16::try_from(datagram.len()) else { return false };
        if datagram.len() > room || self.waiting.len() == self.datagrams_max {
            return false;
        }
        self.waiting.push_back(Waiting { to, from: *from, len });
        self.bytes.extend(datagram);
        true
    }

    /// Moves the oldest datagram into `buffer`, and behind it those the kernel would have glued to it:
    /// of the same source to the same port, none empty, as long as the first, only the last shorter;
    /// `longest` in all.
    pub(super) fn take_train(&mut self, buffer: &mut [u8], longest: usize) -> Option<Message> {
        let first = self.waiting.pop_front()?;
        let size = usize::from(first.len);
        let mut filled = size.min(buffer.len());
        self.take_bytes(size, &mut buffer[..filled]);
        let truncated = size > filled;
        let mut datagrams = 1;
        let mut last = size;
        while datagrams < longest && last == size && !truncated {
            let Some(next) = self.waiting.front() else { break };
            let len = usize::from(next.len);
            let fits = (1..=size).contains(&len) && filled + len <= buffer.len().min(0xFFFF);
            if (next.from, next.to) != (first.from, first.to) || !fits {
                break;
            }
            self.waiting.pop_front();
            self.take_bytes(len, &mut buffer[filled..filled + len]);
            filled += len;
            last = len;
            datagrams += 1;
        }
        Some(Message {
            to: first.to,
            from: first.from,
            len: filled as u16,
            segment: if datagrams > 1 { first.len } else { 0 },
            truncated,
        })
    }

    /// Takes `count` bytes out, keeping as many as `target` is long.
    fn take_bytes(&mut self, count: usize, target: &mut [u8]) {
        let (front, back) = self.bytes.as_slices();
        let split = front.len().min(target.len());
        let (left, right) = target.split_at_mut(split);
        left.copy_from_slice(&front[..split]);
        right.copy_from_slice(&back[..right.len()]);
        self.bytes.drain(..count);
    }
}

#[cfg(test)]
mod tests {
    use super::super::ports::Ports;
    use super::*;
    use crate::io::Port;

    fn addr(port: u16) -> ClientAddr {
        ClientAddr::from((std::net::Ipv4Addr::LOCALHOST, port))
    }

    /// The shard's own port.
    fn data() -> Named {
        Ports::new().name(Port::DATA).unwrap()
    }

    fn queue(arrivals: &[(u16, &[u8])]) -> Queue {
        let mut queue = Queue::new(16, 256);
        for (port, datagram) in arrivals {
            assert!(queue.push(data(), &addr(*port), datagram, usize::MAX));
        }
        queue
    }

    fn take(queue: &mut Queue, longest: usize, room: usize) -> Option<(u16, Vec<u8>, u16, bool)> {
        let mut buffer = vec![0; room];
        let message = queue.take_train(&mut buffer, longest)?;
        buffer.truncate(usize::from(message.len));
        Some((message.from.port(), buffer, message.segment, message.truncated))
    }

    #[test]
    fn equal_neighbours_of_one_source_are_glued_and_a_shorter_one_ends_the_train() {
        let mut queue = queue(&[(1, b"aa"), (1, b"bb"), (1, b"c"), (1, b"dd"), (2, b"ee")]);
        assert_eq!(take(&mut queue, 64, 64), Some((1, b"aabbc".to_vec(), 2, false)));
        assert_eq!(take(&mut queue, 64, 64), Some((1, b"dd".to_vec(), 0, false)));
        assert_eq!(take(&mut queue, 64, 64), Some((2, b"ee".to_vec(), 0, false)));
        assert_eq!(take(&mut queue, 64, 64), None);
    }

    #[test]
    fn a_longer_or_an_empty_datagram_begins_anew() {
        let mut queue = queue(&[(1, b"a"), (1, b"bb"), (1, b""), (1, b""), (1, b"c")]);
        for expected in [&b"a"[..], b"bb", b"", b"", b"c"] {
            assert_eq!(take(&mut queue, 64, 64), Some((1, expected.to_vec(), 0, false)));
        }
    }

    #[test]
    fn a_train_stops_at_its_length_and_at_the_end_of_the_buffer() {
        let mut queue = queue(&[(1, b"aa"), (1, b"bb"), (1, b"cc"), (1, b"dd"), (1, b"ee")]);
        assert_eq!(take(&mut queue, 2, 64), Some((1, b"aabb".to_vec(), 2, false)));
        assert_eq!(take(&mut queue, 64, 5), Some((1, b"ccdd".to_vec(), 2, false)));
        assert_eq!(take(&mut queue, 64, 1), Some((1, b"e".to_vec(), 0, true)), "cut, and marked");
        assert!(queue.is_empty() && queue.bytes.is_empty());
    }

    #[test]
    fn what_is_for_another_port_is_not_glued() {
        let mut ports = Ports::new();
        let port = ports.open("127.0.0.1:5000".parse().unwrap()).unwrap();
        let relay = ports.name(port).unwrap();
        let mut queue = Queue::new(16, 256);
        for to in [data(), relay, relay, data()] {
            assert!(queue.push(to, &addr(1), b"aa", usize::MAX));
        }
        let mut buffer = [0; 64];
        let mut take =
            || queue.take_train(&mut buffer, 64).map(|message| (message.to, message.len));
        assert_eq!(
            [take(), take(), take()],
            [Some((data(), 2)), Some((relay, 4)), Some((data(), 2))]
        );
    }

    #[test]
    fn a_full_queue_drops_what_comes() {
        let mut queue = Queue::new(2, 4);
        assert!(!queue.push(data(), &addr(1), b"aaaaa", usize::MAX), "five bytes, room for four");
        assert!(queue.push(data(), &addr(1), b"aaa", usize::MAX));
        assert!(!queue.push(data(), &addr(1), b"b", 3), "the limit is lower than the room");
        assert!(queue.push(data(), &addr(1), b"b", usize::MAX));
        assert!(!queue.push(data(), &addr(1), b"", usize::MAX), "two datagrams, room for two");
    }
}
