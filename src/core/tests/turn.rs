//! Conversations of clients and peers with the TURN server of one shard. No clock, no socket; what is random
//! comes from a seed, and a failure names it.

#[path = "turn/allocate.rs"]
mod allocate;
#[path = "turn/channels.rs"]
mod channels;
#[path = "turn/credentials.rs"]
mod credentials;
#[path = "turn/data.rs"]
mod data;
#[path = "turn/families.rs"]
mod families;
#[path = "turn/incidents.rs"]
mod incidents;
#[path = "turn/model.rs"]
mod model;
#[path = "turn/permissions.rs"]
mod permissions;
#[path = "turn/refresh.rs"]
mod refresh;
#[path = "turn/world.rs"]
mod world;
