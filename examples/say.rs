//! Joins a session and says something: a message, or every line of standard input.
//! `cargo run --example say -- 'elara://...' hello`

use std::error::Error;
use std::io::{BufRead, stdin};

use elara_runtime::{Client, ClientOptions, PublishOptions, StreamKind};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let Some(address) = args.next() else {
        eprintln!("usage: say 'JOIN-ADDRESS' [MESSAGE ..]   without a message: lines of stdin");
        std::process::exit(2);
    };
    let client = match Client::join(&address, ClientOptions::default()).await {
        Ok(client) => client,
        Err(error) => {
            eprintln!("say: {error}");
            std::process::exit(1);
        }
    };
    let text = client.publish(StreamKind::Text, PublishOptions::default())?;
    let message = args.collect::<Vec<_>>().join(" ");
    if message.is_empty() {
        for line in stdin().lock().lines() {
            text.send(line?.as_bytes())?;
        }
    } else {
        text.send(message.as_bytes())?;
    }
    client.leave().await;
    Ok(())
}
