//! The workloads with a TURN client: one allocation, one channel, over the network in memory.
//!
//! As in `forward`, the functions of the memory network are left out of what is counted.

use elara_core::ClientAddr;
use elara_core::time::Span;
use elara_shards::{Io, Verdict};

use crate::support::hall::{CLIENT, Hall, PEER};
use crate::support::ports::Relayed;
use crate::support::room::{InMemory, Place};
use crate::support::turn::channel_data_of;
use crate::{MOST, Operation};

/// One operation is one cycle with a few datagrams in.
struct Relaying {
    hall: Hall<InMemory>,
    relayed: Relayed,
    from: ClientAddr,
    up: bool,
    datagram: Vec<u8>,
    each: usize,
    before: u64,
}

/// A client sends `each` datagrams of `len` bytes of data in a cycle, or its peer does.
pub(crate) fn relay(up: bool, each: usize, len: usize) -> Box<dyn Operation> {
    let mut hall = Hall::<InMemory>::new(None);
    let relayed = hall.open();
    let from = hall.room.place.addr(if up { CLIENT } else { PEER });
    let data = vec![7; len];
    let datagram = if up { channel_data_of(0x4000, &data) } else { data };
    let before = hall.room.settle().of(Verdict::Relayed);
    hall.room.shard.io().clear_sent();
    Box::new(Relaying { hall, relayed, from, up, datagram, each, before })
}

impl Operation for Relaying {
    fn perform(&mut self) {
        let shard = &mut self.hall.room.shard;
        for _ in 0..self.each {
            let io = shard.io();
            let there = if self.up {
                io.deliver(&self.from, &self.datagram)
            } else {
                io.deliver_to(self.relayed.port, &self.from, &self.datagram)
            };
            assert!(there);
        }
        // All operations together take less time than a channel lasts.
        let now = shard.io().now() + Span::from_millis(1);
        shard.io().set_now(now);
        shard.cycle().expect("memory does not fail");
        shard.io().settle();
        shard.io().clear_sent();
    }

    fn check(&mut self, done: usize) {
        assert!(done <= MOST);
        let counters = self.hall.room.settle();
        assert!(counters.balanced());
        let relayed = counters.of(Verdict::Relayed) - self.before;
        assert_eq!(relayed, (done * self.each) as u64);
    }
}
