//! The known extensions as values: read in one walk, written in ascending order and ended with FF.

use core::convert::Infallible;

use super::{Fragment, SwarmRole, Tlv, Tlvs, kind};
use crate::wire::writer::{NoRoom, Writer};

/// The known extensions, to be written.
///
/// `Extensions::from(tlvs)` keeps what a region says in known types; unknown TLVs, odd lengths,
/// repetitions and the opaque tail stay behind. Whoever must keep those passes the region on as
/// bytes ([`FrameWriter::with_tlv_bytes`](crate::wire::FrameWriter::with_tlv_bytes)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions<'a> {
    /// [`kind::RATCHET`].
    pub ratchet: Option<u32>,
    /// [`kind::KEY_EPOCH`].
    pub key_epoch: Option<u16>,
    /// [`kind::SWARM_ROLE`].
    pub swarm_role: Option<SwarmRole>,
    /// [`kind::RELAY_HOP`].
    pub relay_hop: Option<u8>,
    /// [`kind::INTEREST`].
    pub interest: Option<u64>,
    /// [`kind::REDUNDANCY_GROUP`].
    pub redundancy_group: Option<u16>,
    /// [`kind::COMPRESSION`].
    pub compression: Option<u8>,
    /// [`kind::FRAGMENT`].
    pub fragment: Option<Fragment>,
    /// [`kind::PATH`].
    pub path: Option<u16>,
    /// [`kind::PRIORITY`].
    pub priority: Option<u8>,
    /// [`kind::CAUSALITY`], at most 255 bytes.
    pub causality: Option<&'a [u8]>,
}

impl Extensions<'_> {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Bytes that [`Self::encode`] writes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        if self.is_empty() {
            return 0;
        }
        let mut len = 1;
        let Ok(()) = self.try_each::<Infallible>(|_, value| {
            len += 2 + value.len();
            Ok(())
        });
        len
    }

    /// Writes the region, end marker included, and returns its length.
    /// No extensions at all are no bytes at all, not a lone end marker.
    ///
    /// # Errors
    /// [`NoRoom`] when `out` is too short or the causality reference longer than 255 bytes.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let mut writer = Writer::new(out);
        self.write(&mut writer)?;
        Ok(writer.len())
    }

    pub(in crate::wire) fn write(&self, writer: &mut Writer<'_>) -> Result<(), NoRoom> {
        if self.is_empty() {
            return Ok(());
        }
        self.try_each(|kind, value| {
            let len = u8::try_from(value.len()).map_err(|_| NoRoom)?;
            writer.put(&[kind, len])?;
            writer.put(value)
        })?;
        writer.put(&[kind::END])
    }

    /// Shows `f` the extensions that are there, in wire order.
    fn try_each<E>(&self, mut f: impl FnMut(u8, &[u8]) -> Result<(), E>) -> Result<(), E> {
        if let Some(ratchet) = self.ratchet {
            f(kind::RATCHET, &ratchet.to_le_bytes())?;
        }
        if let Some(epoch) = self.key_epoch {
            f(kind::KEY_EPOCH, &epoch.to_le_bytes())?;
        }
        if let Some(role) = self.swarm_role {
            f(kind::SWARM_ROLE, &[role as u8])?;
        }
        if let Some(hop) = self.relay_hop {
            f(kind::RELAY_HOP, &[hop])?;
        }
        if let Some(mask) = self.interest {
            f(kind::INTEREST, &mask.to_le_bytes())?;
        }
        if let Some(group) = self.redundancy_group {
            f(kind::REDUNDANCY_GROUP, &group.to_le_bytes())?;
        }
        if let Some(algorithm) = self.compression {
            f(kind::COMPRESSION, &[algorithm])?;
        }
        if let Some(fragment) = self.fragment {
            f(kind::FRAGMENT, &fragment.to_bytes())?;
        }
        if let Some(path) = self.path {
            f(kind::PATH, &path.to_le_bytes())?;
        }
        if let Some(priority) = self.priority {
            f(kind::PRIORITY, &[priority])?;
        }
        if let Some(reference) = self.causality {
            f(kind::CAUSALITY, reference)?;
        }
        Ok(())
    }
}

impl<'a> From<Tlvs<'a>> for Extensions<'a> {
    /// One walk, where the accessors of [`Tlvs`] take one each.
    fn from(tlvs: Tlvs<'a>) -> Self {
        let mut all = Self::default();
        for Tlv { kind, value } in tlvs {
            match kind {
                kind::RATCHET => set(&mut all.ratchet, value, u32::from_le_bytes),
                kind::KEY_EPOCH => set(&mut all.key_epoch, value, u16::from_le_bytes),
                kind::SWARM_ROLE => {
                    if let [byte] = *value {
                        all.swarm_role = SwarmRole::from_byte(byte);
                    }
                }
                kind::RELAY_HOP => set(&mut all.relay_hop, value, u8::from_le_bytes),
                kind::INTEREST => set(&mut all.interest, value, u64::from_le_bytes),
                kind::REDUNDANCY_GROUP => {
                    set(&mut all.redundancy_group, value, u16::from_le_bytes);
                }
                kind::COMPRESSION => set(&mut all.compression, value, u8::from_le_bytes),
                kind::FRAGMENT => set(&mut all.fragment, value, Fragment::from_bytes),
                kind::PATH => set(&mut all.path, value, u16::from_le_bytes),
                kind::PRIORITY => set(&mut all.priority, value, u8::from_le_bytes),
                kind::CAUSALITY => all.causality = Some(value),
                _ => {}
            }
        }
        all
    }
}

/// Sets `slot` to what `value` says, if it has the right length.
fn set<T, const N: usize>(slot: &mut Option<T>, value: &[u8], read: impl Fn([u8; N]) -> T) {
    if let Ok(bytes) = value.try_into() {
        *slot = Some(read(bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_written_in_ascending_order_and_ended() {
        let all = Extensions {
            ratchet: Some(0x0403_0201),
            key_epoch: Some(0x0201),
            swarm_role: Some(SwarmRole::Source),
            relay_hop: Some(5),
            interest: Some(0x0807_0605_0403_0201),
            redundancy_group: Some(0x0201),
            compression: Some(7),
            fragment: Some(Fragment { index: 1, total: 2 }),
            path: Some(0x0201),
            priority: Some(3),
            causality: Some(&[0xAA, 0xBB]),
        };
        let expected = [
            1, 4, 1, 2, 3, 4, 2, 2, 1, 2, 3, 1, 4, 4, 1, 5, 5, 8, 1, 2, 3, 4, 5, 6, 7, 8, 6, 2, 1,
            2, 7, 1, 7, 8, 4, 1, 0, 2, 0, 9, 2, 1, 2, 10, 1, 3, 11, 2, 0xAA, 0xBB, 0xFF,
        ];
        let mut out = [0; 64];
        let len = all.encode(&mut out).unwrap();
        assert_eq!(out[..len], expected);
        assert_eq!(all.encoded_len(), len);
        assert_eq!(Extensions::from(Tlvs::parse(&expected).unwrap()), all);
        for short in 0..len {
            assert_eq!(all.encode(&mut out[..short]), Err(NoRoom));
        }
    }

    #[test]
    fn nothing_is_written_as_nothing_and_a_long_reference_not_at_all() {
        assert_eq!(Extensions::default().encode(&mut []), Ok(0));
        let long = [0; 256];
        let mut out = [0; 300];
        let too_long = Extensions { causality: Some(&long), ..Extensions::default() };
        assert_eq!(too_long.encode(&mut out), Err(NoRoom));
        let just = Extensions { causality: Some(&long[1..]), ..Extensions::default() };
        assert_eq!(just.encode(&mut out), Ok(258));
    }
}
