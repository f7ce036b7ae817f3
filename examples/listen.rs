//! Joins a session and prints what is heard: text as text, everything else by its size.
//! `cargo run --example listen -- 'elara://...'`

use std::error::Error;

use elara_runtime::{Client, ClientOptions, Selector, StreamKind};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Some(address) = std::env::args().nth(1) else {
        eprintln!("usage: listen 'JOIN-ADDRESS'");
        std::process::exit(2);
    };
    let client = match Client::join(&address, ClientOptions::default()).await {
        Ok(client) => client,
        Err(error) => {
            eprintln!("listen: {error}");
            std::process::exit(1);
        }
    };
    let mut notices = client.notices();
    let mut heard = client.subscribe(Selector::all())?;
    eprintln!("listening in {} as {}", client.session_id(), client.node_id());
    loop {
        tokio::select! {
            Some(frame) = heard.recv() => match frame.kind() {
                Some(StreamKind::Text) => {
                    println!("{}: {}", frame.node, String::from_utf8_lossy(&frame.content));
                }
                kind => println!("{}: {kind:?}, {} bytes", frame.node, frame.content.len()),
            },
            Some(notice) = notices.recv() => eprintln!("({notice:?})"),
            else => return Ok(()),
        }
    }
}
