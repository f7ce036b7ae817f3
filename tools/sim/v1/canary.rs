//! Canaries: bytes that stand in everything that is sealed, and must stand in nothing that is not.
//!
//! Contents carry a marker of the world; HELLO and ROSTER carry identities; HELLO carries tokens.
//! If any of them is seen on a wire, something was not sealed.

/// Bytes of a canary.
pub(crate) const LEN: usize = 16;

/// All canaries of a world.
pub(crate) struct Canaries {
    needles: Vec<([u8; LEN], &'static str)>,
    /// Bit n: some canary begins with the two bytes n.
    begins: Box<[u64; 1_024]>,
}

impl Canaries {
    pub(crate) fn new() -> Self {
        Self { needles: Vec::new(), begins: Box::new([0; 1_024]) }
    }

    /// The first bytes of `secret` are a canary from here on.
    pub(crate) fn add(&mut self, secret: &[u8], what: &'static str) {
        let Some(needle) = secret.first_chunk::<LEN>() else { return };
        let begin = usize::from(u16::from_le_bytes([needle[0], needle[1]]));
        self.begins[begin / 64] |= 1 << (begin % 64);
        self.needles.push((*needle, what));
    }

    /// The canary that can be seen in `bytes`.
    pub(crate) fn find(&self, bytes: &[u8]) -> Option<&'static str> {
        bytes.windows(LEN).find_map(|window| {
            let begin = usize::from(u16::from_le_bytes([window[0], window[1]]));
            if self.begins[begin / 64] >> (begin % 64) & 1 == 0 {
                return None;
            }
            self.needles.iter().find(|(needle, _)| needle == window).map(|(_, what)| *what)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_is_seen_wherever_it_sits_and_only_whole() {
        let mut canaries = Canaries::new();
        let secret: Vec<u8> = (100..140).collect();
        canaries.add(&secret, "a secret");
        for at in 0..50 {
            let mut bytes = vec![0; 100];
            bytes[at..at + LEN].copy_from_slice(&secret[..LEN]);
            assert_eq!(canaries.find(&bytes), Some("a secret"));
            bytes[at + LEN - 1] ^= 1;
            assert_eq!(canaries.find(&bytes), None);
        }
        assert_eq!(canaries.find(&[]), None);
    }
}
