//! Why a run could not happen, as sentences.

use std::net::SocketAddr;
use std::{fmt, io};

use crate::plan::PlanError;
use crate::v1::JoinFailures;

/// Why there is no report.
#[derive(Debug)]
pub enum LoadError {
    /// The plan is at fault.
    Plan(PlanError),
    /// The kernel refused.
    Kernel {
        /// What we were doing.
        doing: &'static str,
        /// What it said.
        error: io::Error,
    },
    /// Not one member was heard by another.
    Silence {
        /// The relay that should have forwarded.
        target: SocketAddr,
        /// The network says that nobody listens there.
        refused: bool,
    },
    /// Wire v1: not one participant came in.
    NobodyIn {
        /// The relay that should have let them in.
        target: SocketAddr,
        /// What they heard instead.
        failed: JoinFailures,
    },
}

/// For `map_err`: what we were doing when the kernel refused.
pub(crate) fn kernel(doing: &'static str) -> impl FnOnce(io::Error) -> LoadError {
    move |error| LoadError::Kernel { doing, error }
}

impl From<PlanError> for LoadError {
    fn from(error: PlanError) -> Self {
        Self::Plan(error)
    }
}

impl std::error::Error for LoadError {}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plan(error) => error.fmt(f),
            Self::Kernel { doing, error } => write!(f, "the kernel refused {doing}: {error}"),
            Self::Silence { target, refused: true } => write!(
                f,
                "nobody listens at {target}: start the relay first, or correct the address"
            ),
            Self::Silence { target, refused: false } => write!(
                f,
                "nothing came back from {target}: no member heard another one; check that a relay \
                 listens there, that it accepts wire v0 from this address (elara: compat.v0), and \
                 that no firewall is in between"
            ),
            Self::NobodyIn { target, failed } if failed.refused > 0 => write!(
                f,
                "nobody listens at {target}: start the relay first, or correct the address"
            ),
            Self::NobodyIn { target, failed } if failed.total() == failed.no_answer => write!(
                f,
                "the relay at {target} lets nobody in, and does not say why: to whoever does not \
                 name its own key it answers nothing, nor to a token of an issuer it does not know. \
                 Check --relay-key against the line `relay public key` of elara serve, --issuer-key \
                 and --kid against its issuers, and that wire v1 is open there at all"
            ),
            Self::NobodyIn { target, failed } => {
                write!(f, "the relay at {target} let nobody in: of those who tried, {failed}")
            }
        }
    }
}
