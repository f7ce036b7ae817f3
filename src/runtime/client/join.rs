//! Joining: what a join address and its token say, where the relay is, and the wait for its answer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use elara_core::crypto::handshake::{E2eMode, Membership};
use elara_core::crypto::token::CLOCK_SKEW_S;
use elara_core::crypto::{
    Certificate, ExchangeKey, Identity, JoinAddress, KeyStream, PublicKey, Secret, Subject, Suite,
};
use elara_core::limits::HOLD_MS_MAX;
use elara_core::participant::Participant;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Client;
use super::drive::Driver;
use super::error::{ClientError, TokenTrouble, TurnTried};
use super::options::{ClientOptions, IntoJoinAddress};
use super::reach::{Reach, Via};
use super::route::{Found, Route, Targets};
use super::shared::{Core, Papers, Shared, Stage, calendar};
use crate::keys::OsRandom;

impl Client {
    /// Joins the session that `address` names, and waits until its relay has answered.
    ///
    /// Must be called within a tokio runtime with I/O and time, which also runs the client's task.
    ///
    /// # Errors
    /// See [`ClientError`]: what is wrong, where, and who can do what.
    pub async fn join(
        address: impl IntoJoinAddress,
        options: ClientOptions,
    ) -> Result<Self, ClientError> {
        let begun = std::time::Instant::now();
        let address = address.into_join_address()?;
        let ClientOptions { identity, deadline, suite, local, reach, hold_ms, subscription_frames } =
            options;
        let identity = identity.unwrap_or_else(|| Identity::generate(&mut OsRandom));
        check_token(&address, identity.public()).map_err(ClientError::Token)?;
        let relay = format!("{}:{}", address.host, address.port);
        let server = reach.server().map(ToString::to_string);
        let by_turn = matches!(reach, Reach::Turn(_));

        let mut targets = Targets::new(&address.host, address.port);
        let left = || deadline.saturating_sub(begun.elapsed());
        targets.resolved(look_up(&targets, left()).await?, None);
        let tried = targets.addrs.clone();
        let mut route = Route::new(targets, reach, local);
        let mut resolving = route.look_up_server().map(tokio::spawn);
        if by_turn {
            await_server(&mut route, &mut resolving, left()).await?;
        }
        let (node, session) = (identity.node_id(), address.session);
        let core = participant(&address, identity, suite, hold_ms.min(HOLD_MS_MAX));
        let socket = |source| ClientError::Socket { relay: tried[0], source };
        let way = match route.make(core.now()) {
            Err(_) if route.may_choose() => {
                // There is no way from here to there, as the kernel sees it.
                await_server(&mut route, &mut resolving, left()).await?;
                route.turn_round();
                route.make(core.now()).map_err(socket)?
            }
            made => made.map_err(socket)?,
        };
        let shared = Arc::new(Shared::new(core));
        // Dropped, it leaves: whoever gives up waiting for this leaves nothing behind.
        let client = Self {
            shared: shared.clone(),
            node,
            session,
            relay: relay.clone(),
            subscription_frames,
        };
        let mut stages = shared.stages();
        tokio::spawn(Driver::new(shared, route, way, resolving).run());

        let joined = stages.wait_for(|stage| *stage != Stage::Joining);
        let stage = timeout(left(), joined).await;
        let stage = stage.map(|stage| stage.map_or(Stage::Over, |stage| *stage));
        match stage {
            Ok(Stage::Joined) => Ok(client),
            Ok(Stage::Full) => Err(ClientError::Full),
            Ok(Stage::Removed(reason)) => Err(ClientError::Removed { reason }),
            Ok(Stage::Unreachable(why)) => {
                Err(ClientError::Turn { server: server.unwrap_or_default(), why })
            }
            Ok(Stage::Joining | Stage::Over) => Err(ClientError::Over),
            Err(_) => {
                let core = client.shared.lock();
                let (refused, busy, via) = (core.refused, core.busy, core.via);
                let trouble = core.turn_trouble.clone();
                drop(core);
                if busy {
                    return Err(ClientError::Busy { relay, waited: deadline });
                }
                let by_turn = matches!(via, Via::Turn { .. });
                let asked = by_turn || trouble.is_some();
                let turn =
                    server.filter(|_| asked).map(|server| TurnTried { server, why: trouble });
                Err(ClientError::NoAnswer { relay, tried, waited: deadline, refused, turn })
            }
        }
    }
}

/// The addresses of a host, of which there is one at least.
async fn look_up(host: &Targets, deadline: Duration) -> Result<Vec<SocketAddr>, ClientError> {
    let unresolved = |source| ClientError::Resolve { host: host.host.clone(), source };
    match timeout(deadline, Targets::resolve(&host.host, host.port)).await {
        Ok(Ok(addrs)) if !addrs.is_empty() => Ok(addrs),
        Ok(Ok(_)) => Err(unresolved(None)),
        Ok(Err(source)) => Err(unresolved(Some(source))),
        Err(_) => Err(unresolved(Some(io::ErrorKind::TimedOut.into()))),
    }
}

/// Waits until it is known where the TURN server is.
async fn await_server(
    route: &mut Route,
    resolving: &mut Option<JoinHandle<Found>>,
    deadline: Duration,
) -> Result<(), ClientError> {
    let host = route.server.host.clone();
    let unresolved = |source| ClientError::Resolve { host, source };
    let Some(found) = resolving.take() else { return Err(unresolved(None)) };
    match timeout(deadline, found).await {
        Ok(Ok(Found { server: Some(Ok(addrs)), .. })) if !addrs.is_empty() => {
            route.server.resolved(addrs, None);
            Ok(())
        }
        Ok(Ok(Found { server: Some(Err(source)), .. })) => Err(unresolved(Some(source))),
        Ok(_) => Err(unresolved(None)),
        Err(_) => Err(unresolved(Some(io::ErrorKind::TimedOut.into()))),
    }
}

/// The machine of a client that has not begun.
fn participant(
    address: &JoinAddress,
    identity: Identity,
    suite: Option<Suite>,
    hold_ms: u8,
) -> Core {
    let mut random = KeyStream::new(&Secret::generate(&mut OsRandom));
    let key = ExchangeKey::generate(&mut random);
    let papers = Papers { identity, key: *key.public(), token: address.token };
    let certificate: Certificate = papers.certificate();
    let membership = Membership {
        suite: suite.unwrap_or_else(fastest),
        session: address.session,
        relay: address.relay,
        id: *papers.identity.public(),
        key,
        certificate,
        token: address.token,
        caps: 0,
        mode: E2eMode::PreShared,
    };
    let participant = Participant::new(membership, &address.key);
    Core::new(participant, random, papers, hold_ms)
}

/// AES where the processor has it.
fn fastest() -> Suite {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    let has_aes = std::arch::is_x86_feature_detected!("aes")
        && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    let has_aes = std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    let has_aes = false;
    if has_aes { Suite::AesGcm } else { Suite::ChaChaPoly }
}

/// What the holder of a token can see about it. A relay is silent to tokens it does not accept, so
/// what can be said is said here; only the signature is the relay's to judge.
fn check_token(address: &JoinAddress, id: &PublicKey) -> Result<(), TokenTrouble> {
    let claims = address.token.claims().map_err(|_| TokenTrouble::Unreadable)?;
    if claims.session != address.session {
        return Err(TokenTrouble::Session);
    }
    if let Subject::Bound(to) = claims.subject
        && to != *id
    {
        let (to, shown_by) = (to.node_id(), id.node_id());
        return Err(TokenTrouble::Bound { to, shown_by });
    }
    let now = calendar().seconds();
    if now > claims.expires.saturating_add(CLOCK_SKEW_S) {
        return Err(TokenTrouble::Expired { ago_s: now - claims.expires });
    }
    if now.saturating_add(CLOCK_SKEW_S) < claims.not_before {
        return Err(TokenTrouble::NotYet { in_s: claims.not_before - now });
    }
    Ok(())
}
