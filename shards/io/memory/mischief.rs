//! How unkind the network in memory is: everything a kernel may do and seldom does.

use elara_core::ClientAddr;

/// Knobs; rates are per million. The default is a kind kernel that glues trains.
#[derive(Clone, Debug)]
pub struct Mischief {
    /// `enter` brings nothing although something waits.
    pub idle: u32,
    /// Messages one `enter` brings at most: small, and one burst spans cycles.
    pub batch: usize,
    /// Datagrams of a train at most; 1: nothing is glued.
    pub train: usize,
    /// A train is cut short of that, anywhere.
    pub split: u32,
    /// A message is cut in its middle and marked `truncated`.
    pub truncate: u32,
    /// Receive buffers in use at most, of those there are.
    pub buffers: usize,
    /// Bytes the receive queue holds at most, of those it can.
    pub queue_bytes: usize,
    /// A send finds the socket's buffer full.
    pub busy: u32,
    /// Every so many sends one does; 0: none for this reason.
    pub busy_every: u64,
    /// Where no route leads: sends there fail.
    pub unreachable: Vec<ClientAddr>,
    /// Where nobody listens: what a relay port sends there leaves, and ICMP says so.
    pub deaf: Vec<ClientAddr>,
    /// The longest datagram, in bytes, that leaves in one piece: sends of longer ones that may not be cut
    /// into fragments fail, and ICMP names the MTU.
    pub unfragmented_max: usize,
}

impl Default for Mischief {
    fn default() -> Self {
        Self {
            idle: 0,
            batch: usize::MAX,
            train: 64, // UDP_GRO_CNT_MAX
            split: 0,
            truncate: 0,
            buffers: usize::MAX,
            queue_bytes: usize::MAX,
            busy: 0,
            busy_every: 0,
            unreachable: Vec::new(),
            deaf: Vec::new(),
            unfragmented_max: usize::MAX,
        }
    }
}
