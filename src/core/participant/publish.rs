//! Sending: content cut into frames, sealed, numbered, and queued until it is polled.
//!
//! A frame is sealed for the connection that data goes by at that moment, and stays good for 3 s
//! after another has taken over. [`Participant::seal_frame`] writes into the caller's buffer and
//! allocates nothing after a stream's first frame; [`Participant::send_media`] queues. Queued frames of
//! class Core are sent again when the relay says that they are missing.

use zerocopy::little_endian::{I32, U16, U32};

use super::line::Line;
use super::outbox::Sealed;
use super::{Participant, SendError};
use crate::ids::{NodeId, SessionId};
use crate::wire::header::{Class, Header};
use crate::wire::v1::split::{self, Pieces};
use crate::wire::v1::tlv::bits;
use crate::wire::v1::{BodyKind, FrameMut, KeyName, Kind, Opened, Shape, State, Stream, Tlvs};

/// What the header of a frame says about its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What it is worth.
    pub class: Class,
    /// See [`profile`](crate::wire::header::profile).
    pub profile: u8,
    /// The author's time: low 32 bits of its state clock in 100 us.
    pub time_hint: i32,
}

/// Which frame of which stream is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaHead {
    /// What the header says.
    pub head: Head,
    /// Our number for the stream.
    pub stream: u16,
    /// Which of its layers.
    pub layer: u8,
    /// Which frame of the stream; a reader tells frames apart by it.
    pub frame: u32,
    /// [`bits::KEY`] and [`bits::DISCARDABLE`]; others are ignored.
    pub bits: u8,
}

/// What of a frame does not change from piece to piece.
struct Frames<'a> {
    line: &'a mut Line,
    names: (SessionId, NodeId),
    head: &'a Head,
}

impl Frames<'_> {
    /// Writes one frame around `content`, ready for the wire: its length.
    fn write(
        &mut self,
        tlvs: &Tlvs<'_>,
        opened: Opened<'_>,
        frame_len: usize,
        out: &mut [u8],
    ) -> Result<Sealed, SendError> {
        let (session, node) = self.names;
        let link = &mut self.line.link;
        let kind = Kind::Data(self.head.class);
        let mut header = Header::v1(link.suite as u8, session, node, kind);
        header.profile = self.head.profile;
        header.time_hint = I32::new(self.head.time_hint);
        let key = KeyName { epoch: U16::ZERO, conn: link.conn, generation: 0 };
        let mut frame = FrameMut::begin(out, &header, tlvs, key, frame_len)?;
        opened.fill(frame.end_to_end().text).map_err(|_| SendError::TooLarge)?;
        let seq = link.sending.data(&self.line.sealer, frame.finish())?;
        let core = (self.head.class == Class::Core).then_some(seq);
        Ok(Sealed { len: frame_len, conn: link.conn, core })
    }

    fn shape(&self, tlvs: &Tlvs<'_>) -> Result<Shape, SendError> {
        let frame_max = usize::from(self.line.terms.max_frame);
        Shape::of(tlvs).within(frame_max).ok_or(SendError::TooLarge)
    }
}

impl Participant {
    /// Publishes one frame of a stream of any size up to
    /// [`MEDIA_CONTENT_MAX`](crate::limits::MEDIA_CONTENT_MAX): cut, sealed and queued.
    ///
    /// # Errors
    /// See [`SendError`]. Nothing is queued, unless the connection's numbers end within the frame.
    pub fn send_media(&mut self, media: &MediaHead, content: &[u8]) -> Result<(), SendError> {
        let Self { lines, outbox, session, node, wishes, .. } = self;
        let line = lines.sending_mut().ok_or(SendError::NotJoined)?;
        let mut frames = Frames { line, names: (*session, *node), head: &media.head };
        let mut stream = media.stream();
        let shape = frames.shape(&Tlvs { stream: Some(&stream), state: None })?;
        let pieces = Pieces::of_media(content, shape).map_err(|_| SendError::TooLarge)?;
        outbox.check_room(pieces.len())?;
        let index = outbox.index((media.stream, media.layer), |stream| wishes.publishes(stream))?;
        stream.index = U32::new(*index);
        *index = index.wrapping_add(pieces.len() as u32);
        for piece in pieces {
            let stream = piece.stream(stream);
            let tlvs = Tlvs { stream: Some(&stream), state: None };
            let opened = Opened { kind: BodyKind::Media, content: piece.content };
            let frame_len = shape.frame_len(piece.content.len()).ok_or(SendError::TooLarge)?;
            outbox.push(|out| frames.write(&tlvs, opened, frame_len, out))?;
        }
        Ok(())
    }

    /// Writes one frame of a stream into `out`, sealed and ready to be sent: its length. What it
    /// takes at most is [`Self::content_max`]. Nothing is queued, and nothing kept to be sent again.
    ///
    /// # Errors
    /// See [`SendError`]; [`SendError::Frame`] also when `out` is too short.
    pub fn seal_frame(
        &mut self,
        media: &MediaHead,
        content: &[u8],
        out: &mut [u8],
    ) -> Result<usize, SendError> {
        let Self { lines, outbox, session, node, wishes, .. } = self;
        let line = lines.sending_mut().ok_or(SendError::NotJoined)?;
        let mut frames = Frames { line, names: (*session, *node), head: &media.head };
        let index = outbox.index((media.stream, media.layer), |stream| wishes.publishes(stream))?;
        let mut stream = media.stream();
        stream.bits |= bits::FIRST | bits::LAST;
        stream.index = U32::new(*index);
        let tlvs = Tlvs { stream: Some(&stream), state: None };
        let frame_len = frames.shape(&tlvs)?.frame_len(content.len());
        let frame_len = frame_len.ok_or(SendError::TooLarge)?;
        let opened = Opened { kind: BodyKind::Media, content };
        let sealed = frames.write(&tlvs, opened, frame_len, out)?;
        *index = index.wrapping_add(1);
        Ok(sealed.len)
    }

    /// Publishes an event that writes a state atom: `content` is the event with its proof, at most
    /// [`EVENT_CONTENT_MAX`](crate::limits::EVENT_CONTENT_MAX) bytes, cut into parts where it
    /// must be. `state` says all but the parts and the connection, which are set here.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send_event(
        &mut self,
        head: &Head,
        state: &State,
        content: &[u8],
    ) -> Result<(), SendError> {
        let Self { lines, outbox, session, node, .. } = self;
        let line = lines.sending_mut().ok_or(SendError::NotJoined)?;
        let state = State { inst: line.link.inst.0, ..*state };
        let mut frames = Frames { line, names: (*session, *node), head };
        let shape = frames.shape(&Tlvs { stream: None, state: Some(&state) })?;
        let parts = Pieces::of_event(content, shape).map_err(|_| SendError::TooLarge)?;
        outbox.check_room(parts.len())?;
        for part in parts {
            let state = part.state(state);
            let tlvs = Tlvs { stream: None, state: Some(&state) };
            let opened = Opened { kind: BodyKind::Event, content: part.content };
            let frame_len = shape.frame_len(part.content.len()).ok_or(SendError::TooLarge)?;
            outbox.push(|out| frames.write(&tlvs, opened, frame_len, out))?;
        }
        Ok(())
    }

    /// The most content that [`Self::seal_frame`] takes; `None` before there is a connection.
    #[must_use]
    pub fn content_max(&self) -> Option<usize> {
        let line = self.lines.sending()?;
        let stream =
            Stream { stream: U16::ZERO, bits: 0, layer: 0, frame: U32::ZERO, index: U32::ZERO };
        let tlvs = Tlvs { stream: Some(&stream), state: None };
        let shape = Shape::of(&tlvs).within(usize::from(line.terms.max_frame))?;
        Some(split::media_max(shape).min(shape.content_max()?))
    }
}

impl MediaHead {
    fn stream(&self) -> Stream {
        Stream {
            stream: U16::new(self.stream),
            bits: self.bits & (bits::KEY | bits::DISCARDABLE),
            layer: self.layer,
            frame: U32::new(self.frame),
            index: U32::ZERO,
        }
    }
}
