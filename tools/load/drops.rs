//! What the kernel threw away because a socket's receive buffer was full: the last column of
//! `/proc/net/udp` and `/proc/net/udp6`.

use std::fs;

use elara_shards::sys::message::Family;

/// Datagrams dropped so far at sockets of `family` on any of `ports`; `None` when /proc does not say.
pub(crate) fn dropped(family: Family, ports: &[u16]) -> Option<u64> {
    let table = match family {
        Family::V4 => "/proc/net/udp",
        Family::V6 => "/proc/net/udp6",
    };
    let mut ours = vec![false; 1 << 16];
    for port in ports {
        ours[usize::from(*port)] = true;
    }
    Some(sum(&fs::read_to_string(table).ok()?, &ours))
}

fn sum(table: &str, ours: &[bool]) -> u64 {
    let row = |line: &str| {
        let mut columns = line.split_ascii_whitespace();
        let (_, port) = columns.nth(1)?.rsplit_once(':')?;
        let port = usize::from_str_radix(port, 16).ok()?;
        if *ours.get(port)? { columns.next_back()?.parse::<u64>().ok() } else { None }
    };
    table.lines().skip(1).filter_map(row).sum()
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    const TABLE: &str = "\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  299: 0100007F:1EA0 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 7401 2 00000000a1b2c3d4 17
  300: 0100007F:1EA1 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 7402 2 00000000a1b2c3d5 5
  301: 00000000000000000000000001000000:1EA2 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 7403 2 00000000a1b2c3d5 3
not a row
";

    #[test]
    fn only_our_ports_are_summed() {
        let of = |ports: &[usize]| {
            let mut ours = vec![false; 1 << 16];
            ports.iter().for_each(|port| ours[*port] = true);
            sum(TABLE, &ours)
        };
        assert_eq!(of(&[0x1EA0]), 17);
        assert_eq!(of(&[0x1EA0, 0x1EA2]), 20);
        assert_eq!(of(&[80]), 0);
        assert_eq!(sum("", &[]), 0);
    }

    #[test]
    fn the_kernel_counts_what_does_not_fit() {
        let full = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = full.local_addr().unwrap().port();
        assert_eq!(dropped(Family::V4, &[port]), Some(0));
        elara_shards::sys::options::set_buffers(std::os::fd::AsFd::as_fd(&full), 4_096);
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..100 {
            sender.send_to(&[0; 1_000], ("127.0.0.1", port)).unwrap();
        }
        full.set_nonblocking(true).unwrap();
        let mut kept = 0;
        while full.recv(&mut [0; 1_000]).is_ok() {
            kept += 1;
        }
        assert_eq!(dropped(Family::V4, &[port]), Some(100 - kept));
    }
}
