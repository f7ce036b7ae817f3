//! Cutting a send by ourselves, where no device can be asked to.

use elara_core::limits::SLICES_MAX;

use super::Slice;

/// Says for each datagram of which parts it is, when `slices`, one after the other, are cut every `segment`
/// bytes. As when the kernel cuts, no bytes at all are one empty datagram.
pub(super) fn cut(slices: &[Slice], segment: u16, mut send: impl FnMut(&[Slice])) {
    let mut parts = [Slice { buffer: 0, len: 0, start: 0 }; SLICES_MAX];
    let (mut count, mut room) = (0, segment);
    for whole in slices {
        let mut rest = *whole;
        while rest.len > 0 {
            let len = rest.len.min(room);
            // One slice has at most one part in a datagram: the caller has no more slices than this.
            parts[count] = Slice { len, ..rest };
            count += 1;
            room -= len;
            rest = Slice { len: rest.len - len, start: rest.start + u32::from(len), ..rest };
            if room == 0 {
                send(&parts[..count]);
                (count, room) = (0, segment);
            }
        }
    }
    if count > 0 || slices.iter().all(Slice::is_empty) {
        send(&parts[..count]);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::{Ipv4Addr, UdpSocket};

    use elara_core::ClientAddr;

    use super::*;
    use crate::io::{Io, Port, Wait};
    use crate::socket;
    use crate::sys::wait::Bell;

    /// What a back end sends after a device has refused to cut, be it from its own socket or from a relay
    /// socket, arrives as if it had been cut, and is counted as that.
    pub(in crate::io) fn pieces_arrive<I: Io>(
        new: fn(UdpSocket, &Bell) -> std::io::Result<I>,
        refuse: fn(&mut I, Port),
    ) {
        let socket = socket::bind((Ipv4Addr::LOCALHOST, 0).into(), 1).unwrap().remove(0);
        let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        peer.set_nonblocking(true).unwrap();
        let to = ClientAddr::from(peer.local_addr().unwrap());
        let mut io = new(socket, &Bell::new().unwrap()).unwrap();
        let spare = UdpSocket::bind((Ipv4Addr::new(127, 3, 2, 1), 0)).unwrap();
        let local = spare.local_addr().unwrap();
        drop(spare);
        let relay = io.open(local).unwrap();
        for port in [Port::DATA, relay] {
            refuse(&mut io, port);
            let before = io.egress();
            io.enter(Wait::No).unwrap();
            let slices: Vec<Slice> = (0..10u8)
                .flat_map(|n| [vec![n; 4], vec![0x80 | n; if n == 9 { 50 } else { 100 }]])
                .map(|bytes| io.note(&bytes).unwrap())
                .collect();
            let bytes: Vec<u8> = slices.iter().flat_map(|it| io.bytes(*it).to_vec()).collect();
            for segment in [104, 70, 1_500] {
                io.send_from(port, &to, &slices, segment, 3);
            }
            let many = [slices[1]; SLICES_MAX + 1];
            io.send_from(port, &to, &many, 50_000, 4);
            io.send_from(port, &to, &slices, 10, 5);
            io.enter(Wait::No).unwrap();
            while io.receive().is_some() {}
            let mut buffer = [0; 2_000];
            let mut heard = Vec::new();
            while let Ok((len, from)) = peer.recv_from(&mut buffer) {
                assert_eq!(from == local, port != Port::DATA);
                heard.push(buffer[..len].to_vec());
            }
            let expected = [104, 70, 1_500].map(|segment| bytes.chunks(segment)).into_iter();
            assert_eq!(heard, expected.flatten().map(<[u8]>::to_vec).collect::<Vec<_>>());
            let refused: Vec<u32> = std::iter::from_fn(|| io.refused()).map(|it| it.tag).collect();
            assert_eq!(refused, [4, 5], "too many slices, too many datagrams");
            let failed = 1 + bytes.len().div_ceil(10) as u64;
            let egress = io.egress();
            assert_eq!(egress.sent - before.sent, heard.len() as u64);
            assert_eq!((egress.failed - before.failed, egress.busy), (failed, 0));
        }
    }

    const fn slice(buffer: u16, start: u32, len: u16) -> Slice {
        Slice { buffer, len, start }
    }

    fn datagrams(slices: &[Slice], segment: u16) -> Vec<Vec<Slice>> {
        let mut datagrams = Vec::new();
        cut(slices, segment, |parts| datagrams.push(parts.to_vec()));
        datagrams
    }

    #[test]
    fn one_slice_is_cut_where_it_says() {
        assert_eq!(
            datagrams(&[slice(3, 100, 25)], 10),
            [[slice(3, 100, 10)], [slice(3, 110, 10)], [slice(3, 120, 5)]]
        );
    }

    #[test]
    fn where_slices_meet_is_no_place_to_cut() {
        let headers_and_payloads =
            [slice(9, 0, 4), slice(3, 0, 20), slice(9, 4, 4), slice(3, 20, 20), slice(9, 8, 4)];
        assert_eq!(
            datagrams(&headers_and_payloads, 24),
            [
                vec![slice(9, 0, 4), slice(3, 0, 20)],
                vec![slice(9, 4, 4), slice(3, 20, 20)],
                vec![slice(9, 8, 4)],
            ]
        );
        assert_eq!(
            datagrams(&[slice(1, 0, 7), slice(2, 50, 9)], 5),
            [
                vec![slice(1, 0, 5)],
                vec![slice(1, 5, 2), slice(2, 50, 3)],
                vec![slice(2, 53, 5)],
                vec![slice(2, 58, 1)],
            ]
        );
    }

    #[test]
    fn nothing_is_one_empty_datagram() {
        for nothing in [&[][..], &[slice(3, 0, 0)], &[slice(3, 0, 0), slice(4, 9, 0)]] {
            assert_eq!(datagrams(nothing, 10), [Vec::<Slice>::new()]);
        }
        assert_eq!(datagrams(&[slice(3, 0, 0), slice(4, 9, 2)], 10), [[slice(4, 9, 2)]]);
    }

    #[test]
    fn as_many_slices_as_there_may_be_are_one_datagram_or_each_their_own() {
        let slices: Vec<Slice> = (0..SLICES_MAX as u32).map(|n| slice(1, 2 * n, 1)).collect();
        assert_eq!(datagrams(&slices, u16::MAX).concat(), slices);
        assert_eq!(datagrams(&slices, u16::MAX).len(), 1);
        assert_eq!(datagrams(&slices, 1).concat(), slices);
    }
}
