//! What a client is asked to do: how to join, what to publish, what to hear.

use std::net::SocketAddr;
use std::time::Duration;

use elara_core::NodeId;
use elara_core::crypto::join::BadAddress;
use elara_core::crypto::{Identity, JoinAddress, Suite};
use elara_core::participant::Media;
use elara_core::wire::header::{Class, profile};
use elara_core::wire::v1::control::{ALL_NODES, ALL_STREAMS, Wish, stream_kind};

use super::reach::Reach;
use crate::session::StreamKind;

/// How to join. The default is right for most: a fresh identity, ten seconds.
#[derive(Debug)]
pub struct ClientOptions {
    /// Who to be. Default: a fresh identity, which a token that is bound to another does not let in.
    pub identity: Option<Identity>,
    /// How long [`Client::join`](super::Client::join) tries. Default: 10 s. Afterwards, nothing has
    /// a deadline: a connection that is lost is looked for until the client leaves.
    pub deadline: Duration,
    /// The cipher suite of what this client sends. Default: AES where the processor has it.
    pub suite: Option<Suite>,
    /// The local address to send from. Default: any, chosen by the kernel for each network. A port is
    /// kept to by the first socket only; another takes any where the port is still in use.
    pub local: Option<SocketAddr>,
    /// How datagrams get to the relay. Default: from here to there.
    pub reach: Reach,
    /// How long the relay may hold back small frames so that they share a datagram, in ms, 0 to 5.
    /// Default: 0. Larger ones count as 5.
    pub hold_ms: u8,
    /// Frames that wait in one subscription, of 8 MiB together at most. Full: the oldest goes.
    /// Default: 256. At least 1.
    pub subscription_frames: usize,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            identity: None,
            deadline: Duration::from_secs(10),
            suite: None,
            local: None,
            reach: Reach::Direct,
            hold_ms: 0,
            subscription_frames: 256,
        }
    }
}

/// What a join address may be given as: text, or read already.
pub trait IntoJoinAddress {
    /// The address.
    ///
    /// # Errors
    /// What is wrong with the text.
    fn into_join_address(self) -> Result<JoinAddress, BadAddress>;
}

impl IntoJoinAddress for &str {
    fn into_join_address(self) -> Result<JoinAddress, BadAddress> {
        self.trim().parse()
    }
}

impl IntoJoinAddress for &String {
    fn into_join_address(self) -> Result<JoinAddress, BadAddress> {
        self.as_str().into_join_address()
    }
}

impl IntoJoinAddress for JoinAddress {
    fn into_join_address(self) -> Result<JoinAddress, BadAddress> {
        Ok(self)
    }
}

impl IntoJoinAddress for &JoinAddress {
    fn into_join_address(self) -> Result<JoinAddress, BadAddress> {
        Ok(self.clone())
    }
}

/// How a stream is published. The default follows from its kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublishOptions {
    /// The stream's number. Default: the lowest from 1 that is free.
    pub stream: Option<u16>,
    /// What its frames are worth. Default: Core for text, feeds and presence, Perceptual for voice
    /// and pictures.
    pub class: Option<Class>,
    /// See [`profile`]. Default: the usual of its kind.
    pub profile: Option<u8>,
}

/// What a subscription hears: everything, or less.
///
/// ```
/// use elara_core::wire::Class;
/// use elara_runtime::{Selector, StreamKind};
///
/// let everyones_text = Selector::all().kind(StreamKind::Text);
/// let no_extras = Selector::all().classes(&[Class::Core, Class::Perceptual]);
/// # assert_ne!(everyones_text, no_extras);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selector {
    node: Option<NodeId>,
    stream: Option<u16>,
    kind: Option<StreamKind>,
    classes: u8,
    profile_max: u8,
    kbps_max: u16,
}

impl Selector {
    /// Everything of everyone.
    #[must_use]
    pub const fn all() -> Self {
        Self {
            node: None,
            stream: None,
            kind: None,
            classes: 0x1F,
            profile_max: 0xFF,
            kbps_max: u16::MAX,
        }
    }

    /// Of this node only.
    #[must_use]
    pub const fn from(self, node: NodeId) -> Self {
        Self { node: Some(node), ..self }
    }

    /// Only streams with this number.
    #[must_use]
    pub const fn stream(self, stream: u16) -> Self {
        Self { stream: Some(stream), ..self }
    }

    /// Only streams of this kind. The relay does not know kinds and sends others too, unless other
    /// limits keep them out.
    #[must_use]
    pub const fn kind(self, kind: StreamKind) -> Self {
        Self { kind: Some(kind), ..self }
    }

    /// Only frames of these classes.
    #[must_use]
    pub fn classes(self, classes: &[Class]) -> Self {
        Self { classes: classes.iter().fold(0, |mask, class| mask | 1 << *class as u8), ..self }
    }

    /// Nothing above this [`profile`].
    #[must_use]
    pub const fn profile_max(self, profile: u8) -> Self {
        Self { profile_max: profile, ..self }
    }

    /// At most so much, in kbit/s.
    #[must_use]
    pub const fn kbps_max(self, kbps: u16) -> Self {
        Self { kbps_max: kbps, ..self }
    }

    /// What the relay is asked for.
    pub(super) fn wish(&self) -> Wish {
        Wish {
            node: self.node.map_or(ALL_NODES, |node| node.0).into(),
            stream: self.stream.unwrap_or(ALL_STREAMS).into(),
            classes: self.classes,
            profile_max: self.profile_max,
            kbps_max: self.kbps_max.into(),
        }
    }

    /// Whether a frame is heard.
    pub(super) fn covers(&self, media: &Media) -> bool {
        self.node.is_none_or(|node| node == media.node)
            && self.stream.is_none_or(|stream| stream == media.stream)
            && self.kind.is_none_or(|kind| kind_of(media.profile) == Some(kind))
            && self.classes & 1 << media.class as u8 != 0
            && media.profile <= self.profile_max
    }
}

/// What a stream of this kind is like when nobody says otherwise: class and profile.
pub(super) const fn usual(kind: StreamKind) -> (Class, u8) {
    match kind {
        StreamKind::Text => (Class::Core, profile::TEXTUAL),
        StreamKind::Presence => (Class::Core, profile::PRESENCE),
        StreamKind::Feed => (Class::Core, profile::FEED),
        StreamKind::Voice => (Class::Perceptual, profile::VOICE_STANDARD),
        StreamKind::Visual => (Class::Perceptual, profile::VIDEO_STANDARD),
    }
}

/// The kind as STREAMS says it.
pub(super) const fn kind_byte(kind: StreamKind) -> u8 {
    match kind {
        StreamKind::Text => stream_kind::TEXT,
        StreamKind::Voice => stream_kind::VOICE,
        StreamKind::Visual => stream_kind::VISUAL,
        StreamKind::Presence => stream_kind::PRESENCE,
        StreamKind::Feed => stream_kind::FEED,
    }
}

/// The kind that STREAMS says.
pub(super) const fn kind_from(byte: u8) -> Option<StreamKind> {
    match byte {
        stream_kind::TEXT => Some(StreamKind::Text),
        stream_kind::VOICE => Some(StreamKind::Voice),
        stream_kind::VISUAL => Some(StreamKind::Visual),
        stream_kind::PRESENCE => Some(StreamKind::Presence),
        stream_kind::FEED => Some(StreamKind::Feed),
        _ => None,
    }
}

/// The kind that frames with this profile are of; `None` for custom ones.
pub(super) const fn kind_of(profile: u8) -> Option<StreamKind> {
    match profile {
        profile::TEXTUAL => Some(StreamKind::Text),
        profile::PRESENCE => Some(StreamKind::Presence),
        profile::FEED => Some(StreamKind::Feed),
        profile::VOICE_MINIMAL..=profile::VOICE_HIGH => Some(StreamKind::Voice),
        profile::VIDEO_LOW..=profile::VIDEO_HIGH | profile::STREAM_ASYMMETRIC => {
            Some(StreamKind::Visual)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_known_by_what_its_streams_are_usually_like() {
        for kind in [
            StreamKind::Text,
            StreamKind::Voice,
            StreamKind::Visual,
            StreamKind::Presence,
            StreamKind::Feed,
        ] {
            assert_eq!(kind_of(usual(kind).1), Some(kind));
            assert_eq!(kind_from(kind_byte(kind)), Some(kind));
        }
        assert_eq!((kind_of(profile::CUSTOM), kind_from(99)), (None, None));
    }

    #[test]
    fn a_selector_hears_what_it_asks_for() {
        let media = Media {
            node: NodeId(7),
            stream: 2,
            layer: 0,
            frame: 1,
            key: true,
            class: Class::Perceptual,
            profile: profile::VOICE_STANDARD,
            time_hint: 0,
            content: Vec::new(),
        };
        let all = Selector::all();
        for (selector, heard) in [
            (all, true),
            (all.from(NodeId(7)).stream(2).kind(StreamKind::Voice), true),
            (all.from(NodeId(8)), false),
            (all.stream(3), false),
            (all.kind(StreamKind::Text), false),
            (all.classes(&[Class::Core, Class::Repair]), false),
            (all.profile_max(profile::VOICE_MINIMAL), false),
        ] {
            assert_eq!(selector.covers(&media), heard, "{selector:?}");
            let wish = selector.wish();
            if heard {
                assert!(wish.covers(media.node, media.stream, media.class as u8));
            }
        }
        assert_eq!(all.wish(), Wish::EVERYTHING);
    }
}
