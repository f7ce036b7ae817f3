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
mod tests {
    use super::*;

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
        assert_eq!(datagrams(&slices, u16::MAX), [slices.clone()]);
        assert_eq!(datagrams(&slices, 1).concat(), slices);
    }
}
