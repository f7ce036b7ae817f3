//! A relay of a page on the published 0.2.0 crates: what `cargo xtask bench peers` measures beside ours.
//!
//! What whoever has only those crates would write first: read a frame, remember who speaks in which session,
//! write it anew for everyone else. Tokio, one worker thread, no bounds, and it forgets nobody. Says
//! `listening on ADDRESS` and serves until it is killed.

use std::collections::HashMap;
use std::error::Error;
use std::net::SocketAddr;

use tokio::runtime::Builder;
use v0_core::SessionId;
use v0_transport::UdpTransport;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let transport = runtime.block_on(UdpTransport::bind("127.0.0.1:0".parse()?))?;
    println!("listening on {}", transport.local_addr());
    // On the worker's thread: the main one would hand everything over.
    runtime.block_on(runtime.spawn(serve(transport)))?;
    Ok(())
}

async fn serve(transport: UdpTransport) {
    let mut sessions: HashMap<SessionId, Vec<SocketAddr>> = HashMap::new();
    loop {
        // What is no frame is not forwarded.
        let Ok((frame, from)) = transport.recv_from().await else { continue };
        let members = sessions.entry(frame.header.session_id).or_default();
        if !members.contains(&from) {
            members.push(from);
        }
        for to in members.iter().filter(|to| **to != from) {
            // What the kernel does not take is lost.
            let _ = transport.send_to(&frame, *to).await;
        }
    }
}
