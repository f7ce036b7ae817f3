//! Key files: made once, kept from others, read at the start.
//!
//! A key file is one line of text, so that it can be copied, diffed in length and recognised:
//! ```text
//!   elara-relay-key-v1 <43 letters of base64url: 32 secret bytes>
//! ```
//! The first word says what the key is for (`relay`, `issuer`, `node`, `turn`), so that one is never used
//! as another. Files are made with mode 0600 and refused when anyone but their owner may touch them;
//! nothing here prints a key, and what is read is wiped.

mod turn;

use std::error::Error;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use elara_core::crypto::{ExchangeKey, Identity, PublicKey, Secret, base64url};
use elara_core::limits::{TURN_SECRET_LEN_MAX, TURN_SECRET_LEN_MIN};
use elara_core::random::{Random, SecureRandom};
use zeroize::Zeroizing;

pub use self::turn::TurnSecret;

/// Longest key file that is read, in bytes: the line and some white space.
const FILE_MAX: usize = 512;
/// Everything but the owner's bits.
const OTHERS: u32 = 0o077;

/// The operating system's randomness, good enough for keys.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    /// # Panics
    /// When the operating system has no randomness to give (Linux: never after boot).
    fn next_u64(&mut self) -> u64 {
        getrandom::u64().expect("the operating system gives random bytes")
    }
}

impl SecureRandom for OsRandom {}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// A relay's static X25519 key: whoever holds it is the relay of its join addresses.
    Relay,
    /// An issuer's Ed25519 key: whoever holds it decides who may enter.
    Issuer,
    /// A participant's Ed25519 key: whoever holds it is that node.
    Node,
    /// A shared secret: whoever holds it decides who may use a relay's TURN.
    Turn,
}

impl KeyKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Relay, Self::Issuer, Self::Node, Self::Turn];

    /// Its name in commands.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Issuer => "issuer",
            Self::Node => "node",
            Self::Turn => "turn",
        }
    }

    /// The first word of its files.
    const fn label(self) -> &'static str {
        match self {
            Self::Relay => "elara-relay-key-v1",
            Self::Issuer => "elara-issuer-key-v1",
            Self::Node => "elara-node-key-v1",
            Self::Turn => "elara-turn-secret-v1",
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A key out of its file.
#[derive(Debug)]
pub enum Key {
    /// A relay's.
    Relay(ExchangeKey),
    /// An issuer's.
    Issuer(Identity),
    /// A node's.
    Node(Identity),
    /// What TURN credentials are signed with.
    Turn(TurnSecret),
}

impl Key {
    /// The key of that kind with these secret bytes.
    #[must_use]
    pub fn new(kind: KeyKind, secret: &Secret<32>) -> Self {
        match kind {
            KeyKind::Relay => Self::Relay(ExchangeKey::from_secret(secret.clone())),
            KeyKind::Issuer => Self::Issuer(Identity::from_seed(secret)),
            KeyKind::Node => Self::Node(Identity::from_seed(secret)),
            KeyKind::Turn => Self::Turn(TurnSecret::of_bytes(secret)),
        }
    }

    /// What it is for.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        match self {
            Self::Relay(_) => KeyKind::Relay,
            Self::Issuer(_) => KeyKind::Issuer,
            Self::Node(_) => KeyKind::Node,
            Self::Turn(_) => KeyKind::Turn,
        }
    }

    /// The public half, as text; `None` of a secret that is shared, and has none.
    #[must_use]
    pub fn public_text(&self) -> Option<String> {
        let mut text = String::new();
        let public = match self {
            Self::Relay(key) => key.public().as_bytes(),
            Self::Issuer(identity) | Self::Node(identity) => identity.public().as_bytes(),
            Self::Turn(_) => return None,
        };
        base64url::write(&mut text, public);
        Some(text)
    }
}

/// The number an issuer's key goes by unless its operator chooses another: it follows from the key,
/// so that two keys of one operator rarely meet, and is not 0, which looks like an omission.
#[must_use]
pub fn suggested_kid(issuer: &PublicKey) -> u16 {
    (issuer.node_id().0 as u16).max(1)
}

/// Why there is no key, and who must do what.
#[derive(Debug)]
pub enum KeyFileError {
    /// The operating system refused a step.
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried: "read", "write".
        what: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
    /// There is a file already, and it may be the only copy of a key.
    Exists(PathBuf),
    /// It is a folder, a pipe, a device: nothing whose owner and mode protect a key.
    NoFile(PathBuf),
    /// Others than the owner may read or change it.
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It holds a key of another kind.
    OtherKind {
        /// The file.
        path: PathBuf,
        /// What it holds.
        found: KeyKind,
        /// What was wanted.
        wanted: KeyKind,
    },
    /// Its text is not that of a key file.
    Damaged(PathBuf),
    /// Its text is no secret for TURN.
    NoTurnSecret(PathBuf),
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, what, source } => {
                write!(f, "cannot {what} key file {}: {source}", path.display())
            }
            Self::Exists(path) => write!(
                f,
                "{} exists and may hold the only copy of a key: choose another name, or \
                 replace it with --force",
                path.display()
            ),
            Self::NoFile(path) => {
                write!(f, "{} is not a regular file, so it cannot hold a key", path.display())
            }
            Self::Exposed { path, mode } => write!(
                f,
                "key file {path} is open to others (mode {mode:04o}): chmod 600 {path}",
                path = path.display()
            ),
            Self::OtherKind { path, found, wanted } => write!(
                f,
                "{} holds a key of kind {found}, not of kind {wanted}: see elara keygen --help",
                path.display()
            ),
            Self::Damaged(path) => write!(
                f,
                "{} is not a whole key file: it must be one line, such as \"elara-relay-key-v1 \" \
                 and 43 letters",
                path.display()
            ),
            Self::NoTurnSecret(path) => write!(
                f,
                "{} holds no secret for TURN: it must be one line, as elara keygen turn makes it, or the \
                 shared secret of another server alone, {TURN_SECRET_LEN_MIN} to {TURN_SECRET_LEN_MAX} bytes",
                path.display()
            ),
        }
    }
}

impl Error for KeyFileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Makes a fresh key and its file. A file that exists is replaced only if `replace` says so, and
/// then in one step: there is never half a file under that name.
///
/// # Errors
/// [`KeyFileError::Exists`] and [`KeyFileError::Io`].
pub fn create(path: &Path, kind: KeyKind, replace: bool) -> Result<Key, KeyFileError> {
    let secret = Secret::generate(&mut OsRandom);
    let mut text = Zeroizing::new(String::with_capacity(FILE_MAX));
    text.push_str(kind.label());
    text.push(' ');
    base64url::write(&mut text, secret.expose());
    text.push('\n');
    let written = if replace { write_over(path, &text) } else { write_new(path, &text) };
    written.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists if !replace => KeyFileError::Exists(path.to_owned()),
        _ => KeyFileError::Io { path: path.to_owned(), what: "write", source },
    })?;
    Ok(Key::new(kind, &secret))
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

/// Writes beside the old file, then takes its name.
fn write_over(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    write_new(&beside, text)?;
    let renamed = fs::rename(&beside, path);
    if renamed.is_err() {
        let _ = fs::remove_file(&beside);
    }
    renamed
}

/// Reads the key in a file, of whatever kind it is.
///
/// # Errors
/// Every [`KeyFileError`] that reading can meet.
pub fn load(path: &Path) -> Result<Key, KeyFileError> {
    let (kind, secret) = read(path)?;
    Ok(Key::new(kind, &secret))
}

/// Reads a relay's static key.
///
/// # Errors
/// As [`load`], and [`KeyFileError::OtherKind`].
pub fn load_relay(path: &Path) -> Result<ExchangeKey, KeyFileError> {
    read_kind(path, KeyKind::Relay).map(ExchangeKey::from_secret)
}

/// Reads an issuer's key.
///
/// # Errors
/// As [`load`], and [`KeyFileError::OtherKind`].
pub fn load_issuer(path: &Path) -> Result<Identity, KeyFileError> {
    read_kind(path, KeyKind::Issuer).map(|seed| Identity::from_seed(&seed))
}

/// Reads a node's key.
///
/// # Errors
/// As [`load`], and [`KeyFileError::OtherKind`].
pub fn load_node(path: &Path) -> Result<Identity, KeyFileError> {
    read_kind(path, KeyKind::Node).map(|seed| Identity::from_seed(&seed))
}

/// Reads what TURN credentials are signed with: a key file, or any one line of text (see [`TurnSecret`]).
///
/// # Errors
/// As [`load`], [`KeyFileError::OtherKind`], and [`KeyFileError::NoTurnSecret`].
pub fn load_turn(path: &Path) -> Result<TurnSecret, KeyFileError> {
    let bytes = contents(path)?;
    match parse(&bytes) {
        Some((KeyKind::Turn, secret)) => Ok(TurnSecret::of_bytes(&secret)),
        Some((found, _)) => {
            Err(KeyFileError::OtherKind { path: path.to_owned(), found, wanted: KeyKind::Turn })
        }
        None => {
            TurnSecret::of_line(&bytes).ok_or_else(|| KeyFileError::NoTurnSecret(path.to_owned()))
        }
    }
}

fn read_kind(path: &Path, wanted: KeyKind) -> Result<Secret<32>, KeyFileError> {
    let (found, secret) = read(path)?;
    if found == wanted {
        Ok(secret)
    } else {
        Err(KeyFileError::OtherKind { path: path.to_owned(), found, wanted })
    }
}

fn read(path: &Path) -> Result<(KeyKind, Secret<32>), KeyFileError> {
    parse(&contents(path)?).ok_or_else(|| KeyFileError::Damaged(path.to_owned()))
}

/// What stands in a file that only its owner may touch; of one that is too long, more than
/// [`FILE_MAX`] bytes.
fn contents(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let refuse = |source| KeyFileError::Io { path: path.to_owned(), what: "read", source };
    let file = File::open(path).map_err(refuse)?;
    // What is asked is the open file, not the name: nobody can swap it in between.
    let about = file.metadata().map_err(refuse)?;
    if !about.is_file() {
        return Err(KeyFileError::NoFile(path.to_owned()));
    }
    if about.mode() & OTHERS != 0 {
        let mode = about.mode() & 0o7777;
        return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
    }
    // Room for all of it, so that no shorter copy is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * FILE_MAX));
    file.take(FILE_MAX as u64 + 1).read_to_end(&mut bytes).map_err(refuse)?;
    Ok(bytes)
}

/// `LABEL SECRET`, with white space at the end forgiven.
fn parse(bytes: &[u8]) -> Option<(KeyKind, Secret<32>)> {
    if bytes.len() > FILE_MAX {
        return None;
    }
    let (label, secret) = std::str::from_utf8(bytes).ok()?.trim_ascii_end().split_once(' ')?;
    let kind = KeyKind::ALL.into_iter().find(|kind| kind.label() == label)?;
    Some((kind, Secret::new(base64url::read(secret)?)))
}

#[cfg(test)]
mod tests;
