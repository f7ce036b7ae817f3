//! What only shows from inside.

use super::*;
use crate::io::cut::tests::pieces_arrive;

#[test]
fn where_no_device_cuts_the_back_end_does() {
    pieces_arrive(Syscall::new, |io, port| {
        let send = Refusal { tag: 0, datagrams: 2, bytes: 0 };
        io.ledger.queue(&send);
        io.ledger.refuse(port, send, Reason::Uncut);
    });
}
