//! Publishing: one stream of ours.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use elara_core::limits::MEDIA_CONTENT_MAX;
use elara_core::participant::{Head, MediaHead, SendError};
use elara_core::wire::header::Class;
use elara_core::wire::v1::tlv::bits;

use super::error::PublishError;
use super::shared::Shared;
use crate::session::StreamKind;

/// One stream that this client publishes. Dropping it ends the stream.
pub struct Publisher {
    shared: Arc<Shared>,
    stream: u16,
    kind: StreamKind,
    class: Class,
    profile: u8,
    frame: AtomicU32,
}

impl Publisher {
    pub(super) const fn new(
        shared: Arc<Shared>,
        stream: u16,
        kind: StreamKind,
        (class, profile): (Class, u8),
        first_frame: u32,
    ) -> Self {
        Self { shared, stream, kind, class, profile, frame: AtomicU32::new(first_frame) }
    }

    /// The stream's number.
    #[must_use]
    pub const fn stream(&self) -> u16 {
        self.stream
    }

    /// What it carries.
    #[must_use]
    pub const fn kind(&self) -> StreamKind {
        self.kind
    }

    /// Publishes one frame of at most 512 KiB. Does not wait: it is sealed and queued here, and
    /// leaves as soon as the socket takes it. Of pictures, it is one that needs earlier ones; of
    /// everything else, one that stands alone.
    ///
    /// # Errors
    /// See [`PublishError`]; then the frame is dropped.
    pub fn send(&self, content: &[u8]) -> Result<(), PublishError> {
        let alone = !matches!(self.kind, StreamKind::Visual);
        self.send_as(if alone { bits::KEY } else { 0 }, content)
    }

    /// Publishes a frame that needs no earlier one: of pictures, what a newcomer can begin with.
    ///
    /// # Errors
    /// See [`PublishError`]; then the frame is dropped.
    pub fn send_key(&self, content: &[u8]) -> Result<(), PublishError> {
        self.send_as(bits::KEY, content)
    }

    /// Publishes a frame that no later one needs: the first to go where not all fits.
    ///
    /// # Errors
    /// See [`PublishError`]; then the frame is dropped.
    pub fn send_discardable(&self, content: &[u8]) -> Result<(), PublishError> {
        self.send_as(bits::DISCARDABLE, content)
    }

    fn send_as(&self, bits: u8, content: &[u8]) -> Result<(), PublishError> {
        let frame = self.frame.fetch_add(1, Ordering::Relaxed);
        let mut core = self.shared.lock();
        let head = Head { class: self.class, profile: self.profile, time_hint: core.time_hint() };
        let media = MediaHead { head, stream: self.stream, layer: 0, frame, bits };
        let sent = core.participant.send_media(&media, content);
        let over = core.participant.is_over();
        drop(core);
        self.shared.wake();
        sent.map_err(|why| match why {
            _ if over => PublishError::Over,
            SendError::TooLarge => {
                PublishError::TooLarge { len: content.len(), most: MEDIA_CONTENT_MAX }
            }
            SendError::Full => PublishError::Full,
            SendError::TooManyStreams => PublishError::TooManyStreams,
            _ => PublishError::NotConnected,
        })
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.shared.unpublish(self.stream, *self.frame.get_mut());
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Publisher({:?} {})", self.kind, self.stream)
    }
}
