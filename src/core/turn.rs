//! TURN (RFC 8656): data for those who have no way of their own.
//!
//! | module | owns |
//! |---|---|
//! | [`client`] | one allocation at somebody's server, and STUN discovery |

pub mod client;
