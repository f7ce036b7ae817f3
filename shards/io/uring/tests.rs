//! What only shows from inside.

use std::net::Ipv4Addr;

use super::*;
use crate::io::cut::tests::pieces_arrive;

#[test]
fn where_no_device_cuts_the_back_end_does() {
    pieces_arrive(Uring::new, |io, port| {
        let send = Refusal { tag: 0, datagrams: 2, bytes: 0 };
        io.ledger.queue(&send);
        io.ledger.refuse(port, send, Reason::Uncut);
    });
}

#[test]
fn a_back_end_that_is_gone_has_let_go_of_every_address() {
    let host = Ipv4Addr::new(127, 3, 2, 2);
    let own = UdpSocket::bind((host, 0)).unwrap().local_addr().unwrap();
    for _ in 0..20 {
        let socket = UdpSocket::bind(own).expect("the last one has let go of it");
        let mut io = Uring::new(socket, &Bell::new().unwrap()).unwrap();
        for port in 20_000..20_050 {
            io.open((host, port).into()).expect("the last one has let go of it");
        }
        io.enter(Wait::No).unwrap();
    }
}
