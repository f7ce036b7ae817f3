//! The numbers of attributes, by the names IANA registered.
//!
//! Below 0x8000 a receiver must understand an attribute or refuse the request; from there on it may skip
//! it (RFC 8489 section 14).

/// Whether who does not know an attribute of this kind must refuse the request.
#[must_use]
pub const fn is_required(kind: u16) -> bool {
    kind < 0x8000
}

/// Whether an address of this kind stands in the open; all others are XORed with cookie and transaction.
pub(super) const fn is_open_address(kind: u16) -> bool {
    matches!(kind, MAPPED_ADDRESS | ALTERNATE_SERVER | RESPONSE_ORIGIN | OTHER_ADDRESS)
}

macro_rules! attributes {
    ($($name:ident = $kind:literal $doc:literal)*) => {
        $(
            #[doc = $doc]
            pub const $name: u16 = $kind;
        )*
    };
}

attributes! {
    MAPPED_ADDRESS = 0x0001 "The reflexive address, in the open: for clients of RFC 3489."
    CHANGE_REQUEST = 0x0003 "Answer from elsewhere, RFC 5780."
    USERNAME = 0x0006 "Who asks."
    MESSAGE_INTEGRITY = 0x0008 "HMAC-SHA1 of what stands before."
    ERROR_CODE = 0x0009 "Why not."
    UNKNOWN_ATTRIBUTES = 0x000A "What a 420 is about."
    CHANNEL_NUMBER = 0x000C "TURN: the channel."
    LIFETIME = 0x000D "TURN: seconds until the allocation ends."
    XOR_PEER_ADDRESS = 0x0012 "TURN: the peer."
    DATA = 0x0013 "TURN: what the peer sent or is to get."
    REALM = 0x0014 "Whose credentials are asked for."
    NONCE = 0x0015 "The server's word, to be repeated."
    XOR_RELAYED_ADDRESS = 0x0016 "TURN: the address that peers see."
    REQUESTED_ADDRESS_FAMILY = 0x0017 "TURN: of which family it is to be."
    EVEN_PORT = 0x0018 "TURN: with an even port, perhaps the next one reserved."
    REQUESTED_TRANSPORT = 0x0019 "TURN: what peers speak."
    DONT_FRAGMENT = 0x001A "TURN: with the DF bit."
    ACCESS_TOKEN = 0x001B "Credentials by a third party, RFC 7635."
    MESSAGE_INTEGRITY_SHA256 = 0x001C "HMAC-SHA256 of what stands before, perhaps cut short."
    PASSWORD_ALGORITHM = 0x001D "How the client derived its key."
    USERHASH = 0x001E "Who asks, hashed."
    XOR_MAPPED_ADDRESS = 0x0020 "The reflexive address."
    RESERVATION_TOKEN = 0x0022 "TURN: the port that EVEN-PORT reserved."
    PRIORITY = 0x0024 "ICE: how good a candidate is."
    USE_CANDIDATE = 0x0025 "ICE: this pair."
    PADDING = 0x0026 "To be answered as long as asked, RFC 5780."
    RESPONSE_PORT = 0x0027 "Answer to another port, RFC 5780."
    CONNECTION_ID = 0x002A "TURN over TCP, RFC 6062."
    ADDITIONAL_ADDRESS_FAMILY = 0x8000 "TURN: and one of this family too."
    ADDRESS_ERROR_CODE = 0x8001 "TURN: why there is none of that family."
    PASSWORD_ALGORITHMS = 0x8002 "How a key may be derived."
    ALTERNATE_DOMAIN = 0x8003 "The name that the server at ALTERNATE-SERVER proves."
    ICMP = 0x8004 "TURN: what became of data for a peer."
    SOFTWARE = 0x8022 "Who made it."
    ALTERNATE_SERVER = 0x8023 "Ask there instead."
    FINGERPRINT = 0x8028 "CRC-32: this is STUN."
    ICE_CONTROLLED = 0x8029 "ICE: the other decides."
    ICE_CONTROLLING = 0x802A "ICE: I decide."
    RESPONSE_ORIGIN = 0x802B "Where the answer came from, RFC 5780."
    OTHER_ADDRESS = 0x802C "Where it could come from too, RFC 5780."
    MOBILITY_TICKET = 0x8030 "An allocation that moves, RFC 8016."
}
