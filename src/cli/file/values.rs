//! What stands behind the keys of a configuration file, each with a sentence for what it cannot be.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use elara_core::{Cidr, NodeId};
use elara_runtime::V0Compat;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};

use super::{ADMIN, NO_ADDRESS};

/// A whole number of any size: its bounds are checked where they are known.
pub(super) struct Whole(pub(super) i128);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits;
        impl Visitor<'_> for Digits {
            type Value = Whole;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }
            fn visit_i64<E>(self, number: i64) -> Result<Whole, E> {
                Ok(Whole(number.into()))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Whole, E> {
                Ok(Whole(number.into()))
            }
            fn visit_i128<E>(self, number: i128) -> Result<Whole, E> {
                Ok(Whole(number))
            }
        }
        deserializer.deserialize_i64(Digits)
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Io {
    Auto,
    Uring,
    Syscall,
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Listen(pub(super) SocketAddr);

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| format!("\"{text}\" is {NO_ADDRESS}"))
    }
}

/// Where the admin listener is, if anywhere: an address, or `off`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Admin(pub(crate) Option<SocketAddr>);

impl FromStr for Admin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self(None));
        }
        let addr = text.parse().map_err(|_| {
            format!("\"{text}\" is neither off nor an address with a port, such as {ADMIN}")
        })?;
        Ok(Self(Some(addr)))
    }
}

impl TryFrom<String> for Admin {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Id(pub(super) NodeId);

impl TryFrom<String> for Id {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match u64::from_str_radix(&text, 16) {
            Ok(id) if digits => Ok(Self(NodeId(id))),
            _ => Err(format!("\"{text}\" is not 16 hexadecimal digits")),
        }
    }
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Block(pub(super) Cidr);

impl TryFrom<String> for Block {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|error| format!("\"{text}\" is not a block of addresses: {error}"))
    }
}

/// `"off"`, or a table of whom it is open for.
pub(super) struct V0(pub(super) V0Compat);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenForm {
    open: Vec<Block>,
    #[serde(default)]
    open_public: bool,
}

impl<'de> Deserialize<'de> for V0 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OffOrOpen;
        impl<'de> Visitor<'de> for OffOrOpen {
            type Value = V0;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"off\" or { open = [\"10.0.0.0/8\"] }")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<V0, E> {
                match text {
                    "off" => Ok(V0(V0Compat::Off)),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V0, A::Error> {
                let form = OpenForm::deserialize(MapAccessDeserializer::new(map))?;
                let cidrs = form.open.into_iter().map(|block| block.0).collect();
                Ok(V0(V0Compat::Open { cidrs, open_public: form.open_public }))
            }
        }
        deserializer.deserialize_any(OffOrOpen)
    }
}
