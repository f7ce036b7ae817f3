//! A receiver's keys for everyone else: derived when first needed, kept once they have proven good.
//!
//! A key is filed under (identity, connection, epoch, class, suite). Nothing a stranger sends moves
//! anything here: a key is filed, a window moves and an entry counts as used only after a tag has
//! verified. Full, the entry that has not been used for longest makes room, with its window: so
//! the bound should be well above five times the senders that are heard at once.

use alloc::collections::BTreeMap;

use super::{ClassKey, EpochSecret, key_name};
use crate::crypto::bounds::Bounds;
use crate::crypto::hop::{Inst, Scratch};
use crate::crypto::identity::PublicKey;
use crate::crypto::replay::{MediaWindow, Stale};
use crate::crypto::suite::Suite;
use crate::wire::Class;

/// Who sealed a frame, as the roster or the frame's own STATE says: a claim that the tag proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Author {
    /// The identity; the caller has checked that the frame's node is its label.
    pub id: PublicKey,
    /// The connection.
    pub inst: Inst,
}

/// Why a frame is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpenRefused {
    /// It is no data frame with a sealed body.
    Misshapen,
    /// Its first byte names no suite.
    Suite,
    /// It is sealed under an epoch that this secret is not of.
    Epoch,
    /// It names a generation, which this mode does not have.
    Generation,
    /// Its number has been seen.
    Replayed,
    /// Its number is older than the window remembers.
    TooOld,
    /// Its tag does not belong to it: not by this author, or changed on the way.
    BadTag,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    author: Author,
    epoch: u16,
    class: u8,
    suite: Suite,
}

struct Entry {
    key: ClassKey,
    window: MediaWindow,
    used: u64,
}

/// The keys of a receiver, at most as many as it says.
pub struct Openers {
    entries: BTreeMap<Name, Entry>,
    capacity: usize,
    /// Counts the frames opened: the clock by which entries age.
    clock: u64,
}

impl core::fmt::Debug for Openers {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Openers({} of {}, ..)", self.entries.len(), self.capacity)
    }
}

impl Openers {
    /// No keys yet, and never more than `capacity`.
    ///
    /// # Panics
    /// When `capacity` is 0.
    #[must_use]
    pub const fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "a receiver keeps at least one key");
        Self { entries: BTreeMap::new(), capacity, clock: 0 }
    }

    /// Opens a frame of media, each number once: the padded content, in `scratch`.
    ///
    /// # Errors
    /// The first thing wrong; then nothing has moved.
    pub fn open_media<'s>(
        &mut self,
        secret: &EpochSecret,
        author: &Author,
        frame: &[u8],
        scratch: &'s mut Scratch,
    ) -> Result<&'s [u8], OpenRefused> {
        self.open(secret, author, frame, scratch, true)
    }

    /// Opens a frame that may rightly come again, late and from a relay's memory: an atom's, or one
    /// of a key frame's. Whether it is new is for the caller to say, by what the frame is about.
    ///
    /// # Errors
    /// The first thing wrong; then nothing has moved. Never [`OpenRefused::Replayed`] or
    /// [`OpenRefused::TooOld`].
    pub fn open_kept<'s>(
        &mut self,
        secret: &EpochSecret,
        author: &Author,
        frame: &[u8],
        scratch: &'s mut Scratch,
    ) -> Result<&'s [u8], OpenRefused> {
        self.open(secret, author, frame, scratch, false)
    }

    /// Forgets the keys of one connection, for instance when its roster line is replaced and its
    /// last frames are through.
    pub fn forget(&mut self, author: &Author) {
        self.entries.retain(|name, _| name.author != *author);
    }

    /// How many keys are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no key is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn open<'s>(
        &mut self,
        secret: &EpochSecret,
        author: &Author,
        frame: &[u8],
        scratch: &'s mut Scratch,
        once: bool,
    ) -> Result<&'s [u8], OpenRefused> {
        let bounds = Bounds::of(frame)?;
        let suite = suite_of(bounds.first_byte)?;
        Class::from_byte(bounds.class).ok_or(OpenRefused::Misshapen)?;
        let named = key_name(frame).ok_or(OpenRefused::Misshapen)?;
        let epoch = named.epoch.get();
        if epoch != secret.epoch() {
            return Err(OpenRefused::Epoch);
        }
        if named.generation != 0 {
            return Err(OpenRefused::Generation);
        }
        let name = Name { author: *author, epoch, class: bounds.class, suite };
        if let Some(entry) = self.entries.get_mut(&name) {
            let fresh = if once { Some(entry.window.check(bounds.seq)?) } else { None };
            let content = entry.key.open(&bounds, frame, scratch)?;
            fresh.map(|fresh| entry.window.set(fresh));
            self.clock += 1;
            entry.used = self.clock;
            return Ok(content);
        }
        let key = ClassKey::derive(suite, secret, &author.id, &author.inst, bounds.class);
        let content = key.open(&bounds, frame, scratch)?;
        let mut window = MediaWindow::new();
        if once {
            let fresh = window.check(bounds.seq)?;
            window.set(fresh);
        }
        self.file(name, key, window);
        Ok(content)
    }

    fn file(&mut self, name: Name, key: ClassKey, window: MediaWindow) {
        if self.entries.len() >= self.capacity {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used);
            if let Some(oldest) = oldest.map(|(name, _)| *name) {
                self.entries.remove(&oldest);
            }
        }
        self.clock += 1;
        self.entries.insert(name, Entry { key, window, used: self.clock });
    }
}

fn suite_of(first_byte: u8) -> Result<Suite, OpenRefused> {
    let suite = Suite::from_nibble(first_byte & 0x0F).ok_or(OpenRefused::Suite)?;
    if suite.first_byte() == first_byte { Ok(suite) } else { Err(OpenRefused::Suite) }
}

impl From<Stale> for OpenRefused {
    fn from(stale: Stale) -> Self {
        match stale {
            Stale::Replayed => Self::Replayed,
            Stale::TooOld => Self::TooOld,
        }
    }
}
