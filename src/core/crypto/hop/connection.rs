//! Both ends of one direction: who counts, and who remembers.
//!
//! [`Sending`] gives every frame its number, once. [`Receiving`] holds the order *check, verify, set*:
//! a forged frame moves no window, whatever number it carries.

use super::resting::RestingKey;
use super::{HopSecret, Scratch};
use crate::crypto::bounds::{Bounds, COUNTED_CLASSES, Misshapen, stamp};
use crate::crypto::replay::{Fresh, HopWindow, Stale};
use crate::crypto::seal::Sealer;
use crate::limits::{REKEY_FORGERIES, REKEY_FRAMES, TAG_LEN};
use crate::wire::Class;
use crate::wire::v1::header::CLASS_CONTROL;

/// Why a frame cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SendRefused {
    /// It has no room for what sealing adds, or is too long.
    Misshapen,
    /// Its class is not one this call sends.
    Class,
    /// Its first byte names another suite than the connection's.
    Suite,
    /// All 2^32 numbers of its class are used: only a new connection can send more.
    Exhausted,
}

/// Why an arriving frame is not taken. Only [`Self::BadTag`] cost a cipher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// It is no frame of this kind: too short, too long, or `header_len` points nowhere.
    Misshapen,
    /// Its class is not one this call takes.
    Class,
    /// Its first byte names another suite than the connection's.
    Suite,
    /// Its number has been seen.
    Replayed,
    /// Its number is older than anyone remembers.
    TooOld,
    /// Its tag is not the connection's.
    BadTag,
}

/// The sender's end of one direction.
#[derive(Debug)]
pub struct Sending {
    key: RestingKey,
    conn: u8,
    /// The next number of each counted class.
    next: [u64; COUNTED_CLASSES],
}

impl Sending {
    /// The beginning of connection `conn`: every class counts from 0.
    #[must_use]
    pub const fn new(secret: HopSecret, conn: u8) -> Self {
        Self { key: RestingKey::new(secret), conn, next: [0; COUNTED_CLASSES] }
    }

    /// The connection's number.
    #[must_use]
    pub const fn conn(&self) -> u8 {
        self.conn
    }

    /// Makes a data frame ready for the wire, where it stands: gives it its number, seals its
    /// content end to end, tags it. Returns the number.
    /// ```text
    ///   in   | header, TLVs | 4    | padded content | 16       | 16      |
    ///   out  | stamped      | name | ciphertext     | e2e tag  | hop tag |
    /// ```
    /// A retransmission is the same bytes again, not another call.
    ///
    /// # Errors
    /// See [`SendRefused`]; then no number is used and the frame means nothing.
    pub fn data(&mut self, sealer: &Sealer, frame: &mut [u8]) -> Result<u32, SendRefused> {
        let (bounds, counter) = self.admit(frame)?;
        if bounds.class == CLASS_CONTROL {
            return Err(SendRefused::Class);
        }
        if !sealer.fits(&bounds, frame.len()) {
            return Err(SendRefused::Misshapen);
        }
        let seq = self.number(counter)?;
        stamp(frame, seq, self.conn);
        sealer.seal(frame)?;
        self.key.for_data(|key| key.tag(frame))?;
        Ok(seq)
    }

    /// Makes a control frame ready for the wire, where it stands:
    /// `header 30 | messages | 16 bytes for the tag`. Returns its number.
    ///
    /// # Errors
    /// See [`SendRefused`].
    pub fn control(&mut self, frame: &mut [u8]) -> Result<u32, SendRefused> {
        let (bounds, counter) = self.admit(frame)?;
        if bounds.class != CLASS_CONTROL {
            return Err(SendRefused::Class);
        }
        if bounds.header_len + TAG_LEN > frame.len() {
            return Err(SendRefused::Misshapen);
        }
        let seq = self.number(counter)?;
        stamp(frame, seq, self.conn);
        self.key.for_control(|key| key.seal_control(frame))?;
        Ok(seq)
    }

    /// Whether some class has sent so much that a new handshake is due: 2^28 frames, a sixteenth of
    /// what the numbers would allow and what GCM's limits allow (RFC 9001 appendix B.1).
    #[must_use]
    pub fn wants_rekey(&self) -> bool {
        self.next.iter().any(|&next| next >= REKEY_FRAMES)
    }

    /// The number that the next frame of data class `class` will have.
    #[must_use]
    pub fn next_seq(&self, class: u8) -> Option<u64> {
        self.next[..Class::COUNT].get(usize::from(class)).copied()
    }

    /// Forgets what is only there to be fast, some 0.6 KiB; the next data frame brings it back.
    pub fn cool(&mut self) {
        self.key.cool();
    }

    /// Whether there is nothing to forget.
    #[must_use]
    pub const fn is_cold(&self) -> bool {
        self.key.is_cold()
    }

    fn admit(&self, frame: &[u8]) -> Result<(Bounds, usize), SendRefused> {
        let bounds = Bounds::of(frame)?;
        if bounds.first_byte != self.key.suite().first_byte() {
            return Err(SendRefused::Suite);
        }
        let counter = bounds.counter().ok_or(SendRefused::Class)?;
        Ok((bounds, counter))
    }

    fn number(&mut self, counter: usize) -> Result<u32, SendRefused> {
        let seq = u32::try_from(self.next[counter]).map_err(|_| SendRefused::Exhausted)?;
        self.next[counter] += 1;
        Ok(seq)
    }

    #[cfg(test)]
    pub(super) const fn skip_to(&mut self, counter: usize, next: u64) {
        self.next[counter] = next;
    }
}

/// What a verified frame says about its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its number.
    pub seq: u32,
    /// No newer frame of its class has been verified: it may move its sender's address.
    pub newest: bool,
}

/// The receiver's end of one direction.
#[derive(Debug)]
pub struct Receiving {
    key: RestingKey,
    /// Frames whose tag was not ours.
    forgeries: u64,
    windows: [HopWindow; COUNTED_CLASSES],
}

impl Receiving {
    /// The beginning of a connection: nothing has been seen.
    #[must_use]
    pub const fn new(secret: HopSecret) -> Self {
        Self {
            key: RestingKey::new(secret),
            forgeries: 0,
            windows: [HopWindow::new(); COUNTED_CLASSES],
        }
    }

    /// Verifies a data frame, without changing it.
    ///
    /// # Errors
    /// The first thing wrong, cheapest check first; then nothing has moved.
    #[inline]
    pub fn data(&mut self, frame: &[u8], scratch: &mut Scratch) -> Result<Received, Refusal> {
        let (bounds, counter, fresh) = self.admit(frame)?;
        if bounds.class == CLASS_CONTROL {
            return Err(Refusal::Class);
        }
        let verified = self.key.for_data(|key| key.verify_within(&bounds, frame, scratch));
        if let Err(why) = verified {
            return Err(self.count(why));
        }
        Ok(Received { seq: bounds.seq, newest: self.windows[counter].set(fresh) })
    }

    /// Opens a control frame into `scratch` and returns its messages there.
    ///
    /// # Errors
    /// The first thing wrong, cheapest check first; then nothing has moved.
    pub fn control<'s>(
        &mut self,
        frame: &[u8],
        scratch: &'s mut Scratch,
    ) -> Result<(Received, &'s [u8]), Refusal> {
        let (bounds, counter, fresh) = self.admit(frame)?;
        if bounds.class != CLASS_CONTROL {
            return Err(Refusal::Class);
        }
        let messages = match self.key.for_control(|key| key.open_control(frame, scratch)) {
            Ok(messages) => messages,
            Err(why) => return Err(self.count(why)),
        };
        Ok((Received { seq: bounds.seq, newest: self.windows[counter].set(fresh) }, messages))
    }

    /// Of the 32 frames of data class `class` before number `next`, those that have not arrived: bit 0
    /// is `next - 1`. 0 for other classes.
    #[must_use]
    pub fn missing(&self, class: u8, next: u32) -> u32 {
        let windows = &self.windows[..COUNTED_CLASSES - 1];
        windows.get(usize::from(class)).map_or(0, |window| window.missing_before(next))
    }

    /// Frames that named this connection and were not from its other end.
    #[must_use]
    pub const fn forgeries(&self) -> u64 {
        self.forgeries
    }

    /// Whether so much was forged that a new handshake is due: 2^35 frames, half of what
    /// ChaCha20-Poly1305 may be tried with (RFC 9001 section 6.6).
    #[must_use]
    pub const fn wants_rekey(&self) -> bool {
        self.forgeries >= REKEY_FORGERIES
    }

    /// Forgets what is only there to be fast, some 0.6 KiB; the next data frame brings it back.
    pub fn cool(&mut self) {
        self.key.cool();
    }

    /// Whether there is nothing to forget.
    #[must_use]
    pub const fn is_cold(&self) -> bool {
        self.key.is_cold()
    }

    #[cold]
    fn count(&mut self, why: Refusal) -> Refusal {
        self.forgeries += u64::from(why == Refusal::BadTag);
        why
    }

    #[inline]
    fn admit(&self, frame: &[u8]) -> Result<(Bounds, usize, Fresh), Refusal> {
        let bounds = Bounds::of(frame)?;
        if bounds.first_byte != self.key.suite().first_byte() {
            return Err(Refusal::Suite);
        }
        let counter = bounds.counter().ok_or(Refusal::Class)?;
        let fresh = self.windows[counter].check(bounds.seq)?;
        Ok((bounds, counter, fresh))
    }
}

impl From<Misshapen> for SendRefused {
    fn from(Misshapen: Misshapen) -> Self {
        Self::Misshapen
    }
}

impl From<Stale> for Refusal {
    fn from(stale: Stale) -> Self {
        match stale {
            Stale::Replayed => Self::Replayed,
            Stale::TooOld => Self::TooOld,
        }
    }
}
