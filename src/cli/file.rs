//! The configuration file: strict TOML, in which nothing is ignored.
//!
//! A key that is not known is an error, with the line it stands on and the key it was probably meant to
//! be: a relay that starts with half of its configuration is worse than one that does not start.

mod turn;
mod v1;
mod values;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::Path;

use elara_core::limits::CONFIG_FILE_MAX;
use elara_runtime::{Choice, ConfigError, NodeConfig};
use serde::Deserialize;
use toml::Spanned;

pub(crate) use self::values::Admin;
use self::values::{Id, Io, Listen, V0, Whole};

/// What is wrong with an address.
pub(crate) const NO_ADDRESS: &str =
    "not an address with a port, such as 127.0.0.1:7840 or [::]:7840";

/// Where a relay answers `elara status`, Prometheus and supervisors unless told otherwise.
pub(crate) const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7841);

/// What a relay is when nobody says more.
pub(crate) fn defaults() -> NodeConfig {
    NodeConfig { admin: Some(ADMIN), ..NodeConfig::default() }
}

/// Reads a configuration file, and the key files it names. What the file leaves out has its default; an
/// address to listen on that was given elsewhere wins over the file's.
pub(crate) fn read(path: &Path, listen: Option<SocketAddr>) -> Result<NodeConfig, String> {
    let shown = path.display();
    let refuse = |error: &dyn fmt::Display| format!("cannot read {shown}: {error}");
    let file = File::open(path).map_err(|error| refuse(&error))?;
    // What is asked is the open file, not the name: nobody can swap it in between.
    let about = file.metadata().map_err(|error| refuse(&error))?;
    let mut text = String::new();
    file.take(CONFIG_FILE_MAX as u64 + 1)
        .read_to_string(&mut text)
        .map_err(|error| refuse(&error))?;
    if text.len() > CONFIG_FILE_MAX {
        return Err(refuse(&format_args!("it is longer than {CONFIG_FILE_MAX} bytes")));
    }
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let config = parse(&text, folder, listen)
        .map_err(|Wrong { line, sentence }| format!("{shown}:{line}: {sentence}"))?;
    turn::exposed(&config.turn, &about, &shown).map_or(Ok(config), Err)
}

/// What is wrong with a file, and where.
#[derive(Debug, PartialEq, Eq)]
struct Wrong {
    line: usize,
    sentence: String,
}

fn parse(text: &str, folder: &Path, listen: Option<SocketAddr>) -> Result<NodeConfig, Wrong> {
    let form: Form = toml::from_str(text).map_err(|error| Wrong {
        line: line_of(text, error.span().unwrap_or_default()),
        sentence: explain(text, &error),
    })?;
    form.fill(folder, listen)
        .map_err(|(sentence, span)| Wrong { line: line_of(text, span), sentence })
}

/// The file as it may be written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Form {
    listen: Option<Listen>,
    io: Option<Io>,
    shards: Number,
    node_id: Option<Spanned<Id>>,
    max_peers: Number,
    event_buffer_size: Number,
    prediction_entropy: Number,
    degradation_config: LadderForm,
    admin: Option<Spanned<Admin>>,
    v1: v1::Form,
    stun: Option<bool>,
    turn: turn::Form,
    compat: CompatForm,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LadderForm {
    floor_level: Number,
    loss_down_permille: Number,
    loss_up_permille: Number,
    delay_down_ms: Number,
    hold_up_ms: Number,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CompatForm {
    v0: Option<Spanned<V0>>,
    v0_per_ip: Number,
}

/// What is wrong, and the bytes it stands in.
type Located = (String, Range<usize>);

impl Form {
    fn fill(&self, folder: &Path, listen: Option<SocketAddr>) -> Result<NodeConfig, Located> {
        let mut config = defaults();
        if let Some(listen) = listen.or_else(|| self.listen.as_ref().map(|Listen(listen)| *listen))
        {
            config.bind_addr = listen;
        }
        if let Some(io) = self.io {
            config.io = match io {
                Io::Auto => Choice::Auto,
                Io::Uring => Choice::Uring,
                Io::Syscall => Choice::Syscall,
            };
        }
        if let Some(Id(node_id)) = self.node_id.as_ref().map(Spanned::get_ref) {
            config.node_id = *node_id;
        }
        // The casts are safe: every bound fits its field.
        self.shards.fill("shards", |n| config.shards = n as usize)?;
        self.max_peers.fill("max_peers", |n| config.max_peers = n as usize)?;
        self.event_buffer_size
            .fill("event_buffer_size", |n| config.event_buffer_size = n as usize)?;
        self.prediction_entropy.fill("prediction_entropy", |n| config.prediction_entropy = n)?;
        let (form, ladder) = (&self.degradation_config, &mut config.degradation_config);
        form.floor_level
            .fill("degradation_config.floor_level", |n| ladder.floor_level = n as u8)?;
        form.loss_down_permille.fill("degradation_config.loss_down_permille", |n| {
            ladder.loss_down_permille = n as u16;
        })?;
        form.loss_up_permille.fill("degradation_config.loss_up_permille", |n| {
            ladder.loss_up_permille = n as u16;
        })?;
        form.delay_down_ms
            .fill("degradation_config.delay_down_ms", |n| ladder.delay_down_ms = n as u32)?;
        form.hold_up_ms.fill("degradation_config.hold_up_ms", |n| ladder.hold_up_ms = n as u32)?;
        let (form, compat) = (&self.compat, &mut config.compat);
        form.v0_per_ip.fill("compat.v0_per_ip", |n| compat.v0_per_ip = n as usize)?;
        if let Some(V0(v0)) = form.v0.as_ref().map(Spanned::get_ref) {
            compat.v0 = v0.clone();
        }
        if let Some(Admin(admin)) = self.admin.as_ref().map(Spanned::get_ref) {
            config.admin = *admin;
        }
        config.v1 = self.v1.fill(folder)?;
        config.stun = self.stun.unwrap_or(config.stun);
        config.turn = self.turn.fill(folder)?;
        match config.validate() {
            Ok(()) => Ok(config),
            Err(error) => Err((error.to_string(), self.place_of(&error))),
        }
    }

    /// Where the setting stands that an error of the whole is about.
    fn place_of(&self, error: &ConfigError) -> Range<usize> {
        let ladder = &self.degradation_config;
        let place = match error {
            ConfigError::NodeIdZero => self.node_id.as_ref().map(Spanned::span),
            ConfigError::LadderUpsideDown { .. } => {
                ladder.loss_up_permille.place().or_else(|| ladder.loss_down_permille.place())
            }
            ConfigError::V0Blocks { .. } | ConfigError::V0Public { .. } => {
                self.compat.v0.as_ref().map(Spanned::span)
            }
            ConfigError::AdminPublic { .. } => self.admin.as_ref().map(Spanned::span),
            ConfigError::OutOfRange { .. } => None, // Caught where it stands.
            ConfigError::Turn(error) => self.turn.place_of(error),
            of_v1 => self.v1.place_of(of_v1),
        };
        place.unwrap_or_default()
    }
}

/// A whole number that may be left out, of any size until its bounds are known.
#[derive(Default, Deserialize)]
#[serde(transparent)]
struct Number(Option<Spanned<Whole>>);

impl Number {
    /// Hands the number on if it is there and within the bounds of `key`.
    fn fill(&self, key: &'static str, set: impl FnOnce(u64)) -> Result<(), Located> {
        if let Some(number) = &self.0 {
            set(NodeConfig::check(key, number.get_ref().0)
                .map_err(|error| (error.to_string(), number.span()))?);
        }
        Ok(())
    }

    fn place(&self) -> Option<Range<usize>> {
        self.0.as_ref().map(Spanned::span)
    }
}

/// The line, from 1, on which a span begins.
fn line_of(text: &str, span: Range<usize>) -> usize {
    let before = &text.as_bytes()[..span.start.min(text.len())];
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

/// The parser's message as a sentence for whoever wrote the file.
fn explain(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().trim().replace('\n', ", ");
    // serde's words: "unknown field `a`, expected one of `b`, `c`", and the same of a variant.
    let mut quoted = message.split('`').skip(1).step_by(2);
    if message.starts_with("unknown field") {
        let key = quoted.next().unwrap_or_default();
        return format!("unknown key {key}; {}", suggestion(key, &quoted.collect::<Vec<_>>()));
    }
    let line = text.lines().nth(line_of(text, error.span().unwrap_or_default()) - 1);
    let key = line.and_then(|line| line.split_once('=')).map_or("", |(key, _)| key.trim());
    // What is no key may be half of a secret that has an = in it.
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let key = if key.chars().all(letter) { key } else { "" };
    if message.starts_with("unknown variant") {
        let value = quoted.next().unwrap_or_default();
        let known = suggestion(value, &quoted.collect::<Vec<_>>());
        return format!("{key} cannot be \"{value}\"; {known}");
    }
    if key.is_empty() { message } else { format!("{key}: {message}") }
}

/// The nearest of what is known, or all of it when nothing is near.
fn suggestion(written: &str, known: &[&str]) -> String {
    const NEAR: f64 = 0.75;
    known
        .iter()
        .map(|known| (strsim::jaro_winkler(written, known), known))
        .filter(|(likeness, _)| *likeness >= NEAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map_or_else(
            || format!("known here: {}", known.join(", ")),
            |(_, known)| format!("did you mean {known}?"),
        )
}

#[cfg(test)]
mod tests;
