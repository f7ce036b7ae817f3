//! Conversations between participants and a small relay, over a network that loses, delays and
//! overtakes. No clock, no socket; a failure names its seed.

#[path = "participant/connections.rs"]
mod connections;
#[path = "participant/hostile.rs"]
mod hostile;
#[path = "participant/media.rs"]
mod media;
#[path = "participant/relay.rs"]
mod relay;
#[path = "participant/world.rs"]
mod world;
