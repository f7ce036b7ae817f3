//! The bytes on the wire, as typed views: nothing here copies a payload or panics on any input.
//!
//! ```text
//!   0        1       2            4             12          20      21       22          26        30
//!  +--------+-------+------------+-------------+-----------+-------+--------+-----------+---------+
//!  | ver|su | flags | header_len | session_id  |  node_id  | class | profile| time_hint | seq|win | TLVs.. body.. tag 16
//!  +--------+-------+------------+-------------+-----------+-------+--------+-----------+---------+
//! ```
//! Integers are little-endian. [`header`] is the fixed part. `docs/WIRE.md` is the authority.

pub mod header;

pub use header::Header;
