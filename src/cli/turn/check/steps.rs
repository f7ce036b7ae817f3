//! The steps of a check, in order; each says what it saw, and what to do where that is not right.

use std::io;
use std::net::{IpAddr, SocketAddr};

use elara_core::stun::Method;
use elara_core::turn::client::{Credentials, Failure, Granted};

use super::report::Report;
use super::scene::{Hearing, Saying, Scene};

const BINDING: &str = "binding";
const DOOR: &str = "without credentials";
const ALLOCATION: &str = "allocation";
const PERMISSION: &str = "permission";
const CHANNEL: &str = "channel";
const TO_PEER: &str = "data to a peer by channel";
const FROM_PEER: &str = "data from a peer by channel";
const INDICATIONS: &str = "data both ways by indications";
const SECOND: &str = "second allocation";
const BETWEEN: &str = "data between two allocations";
const CLOSE: &str = "end of the allocations";

/// All of them, in order.
const ALL: [&str; 11] = [
    BINDING,
    DOOR,
    ALLOCATION,
    PERMISSION,
    INDICATIONS,
    CHANNEL,
    TO_PEER,
    FROM_PEER,
    SECOND,
    BETWEEN,
    CLOSE,
];
/// Those that need a permission for a peer.
const WITH_PEER: [&str; 4] = [INDICATIONS, CHANNEL, TO_PEER, FROM_PEER];

/// A check under way.
pub(super) struct Steps {
    server: SocketAddr,
    credentials: Option<Credentials>,
    scene: Scene,
    /// The peer to be relayed to; it asks for its own address too.
    peer: usize,
}

impl Steps {
    pub(super) async fn new(
        server: SocketAddr,
        credentials: Option<Credentials>,
    ) -> io::Result<Self> {
        let mut scene = Scene::new(server);
        let peer = scene.stand_by().await?;
        Ok(Self { server, credentials, scene, peer })
    }

    /// All of them.
    pub(super) async fn run(mut self, report: &mut Report) {
        let stranger = self.scene.enter(None).await.ok();
        let Some(peer) = self.binding(report, stranger).await else {
            return report.skip(&ALL[1..], "the server does not answer");
        };
        let turn = self.door(report, stranger).await;
        let Some(credentials) = self.credentials.clone() else {
            if turn {
                report.skip(&ALL[2..], "no credentials were given, see --user and --secret");
            }
            return;
        };
        if !turn {
            return report.skip(&ALL[2..], "TURN does not answer");
        }
        let Some((alice, granted)) = self.enter(report, ALLOCATION, &credentials).await else {
            return report.skip(&ALL[3..], "there is no allocation");
        };
        self.peer(report, alice, granted.relayed, peer).await;
        let bob = self.enter(report, SECOND, &credentials).await;
        match bob {
            Some((bob, other)) => self.between(report, (alice, granted), (bob, other)).await,
            None => report.skip(&[BETWEEN], "there is no second allocation"),
        }
        let mut gone = self.scene.close(alice).await;
        if let Some((bob, _)) = bob {
            gone &= self.scene.close(bob).await;
        }
        if gone {
            report.ok(CLOSE, "given back");
        } else {
            report.failed_at(
                CLOSE,
                "the server does not confirm that they are gone",
                Some("they end by themselves in ten minutes".to_owned()),
            );
        }
    }

    /// STUN: where the server sees a socket of this machine. The kernel tells only who is connected that
    /// nothing listens, as the stranger is.
    async fn binding(
        &mut self,
        report: &mut Report,
        stranger: Option<usize>,
    ) -> Option<SocketAddr> {
        match self.scene.reflexive(self.peer, stranger).await {
            Ok(mapped) => {
                report.ok(BINDING, format!("this machine is {mapped} to the server"));
                Some(mapped)
            }
            Err(why) => {
                report.failed_at(BINDING, self.said(&why), None);
                None
            }
        }
    }

    /// Whether the server asks who has no credentials for some. False when it is no TURN server.
    async fn door(&mut self, report: &mut Report, stranger: Option<usize>) -> bool {
        let Some(stranger) = stranger else { return true };
        match self.scene.allocated(stranger).await {
            Err(Failure::CredentialsWanted) => {
                report.ok(DOOR, "refused (401), as it should be");
                true
            }
            Ok(_) => {
                self.scene.close(stranger).await;
                report.failed_at(
                    DOOR,
                    "anyone is given an allocation",
                    Some("require credentials, or anyone sends by this server".to_owned()),
                );
                true
            }
            Err(Failure::NoAnswer) => {
                // STUN has answered, so the way is open.
                let detail = "only STUN answers, TURN does not (elara: it wants a secret or a user under \
                              [turn])";
                match self.credentials {
                    None => report.ok(DOOR, detail),
                    Some(_) => report.failed_at(DOOR, detail, None),
                }
                false
            }
            Err(why) => {
                report.failed_at(DOOR, self.said(&why), None);
                true
            }
        }
    }

    async fn enter(
        &mut self,
        report: &mut Report,
        step: &'static str,
        credentials: &Credentials,
    ) -> Option<(usize, Granted)> {
        let party = match self.scene.enter(Some(credentials.clone())).await {
            Ok(party) => party,
            Err(error) => {
                report.failed_at(step, format!("no socket: {error}"), None);
                return None;
            }
        };
        match self.scene.allocated(party).await {
            Ok(granted) => {
                let Granted { relayed, lifetime, .. } = granted;
                let seconds = lifetime.as_nanos() / 1_000_000_000;
                report.ok(step, format!("relayed address {relayed}, for {seconds} s"));
                Some((party, granted))
            }
            Err(why) => {
                report.failed_at(step, self.said(&why), None);
                None
            }
        }
    }

    /// To and from a socket of this machine that is nobody's client.
    async fn peer(
        &mut self,
        report: &mut Report,
        alice: usize,
        relayed: SocketAddr,
        peer: SocketAddr,
    ) {
        match self.scene.permit(alice, peer.ip()).await {
            Ok(()) => report.ok(PERMISSION, format!("for {}", peer.ip())),
            Err(why) if is_denied(&why) => {
                let detail = format!("the server does not relay to {} (403)", peer.ip());
                report.denied(PERMISSION, detail, allowing(peer.ip()));
                return report.skip(&WITH_PEER, "this machine may not be a peer");
            }
            Err(why) => {
                report.failed_at(PERMISSION, self.said(&why), None);
                return report.skip(&WITH_PEER, "there is no permission");
            }
        }
        self.indications(report, alice, relayed, peer).await;
        match self.scene.bind(alice, peer).await {
            Ok(channel) => report.ok(CHANNEL, format!("{channel:#06x} for {peer}")),
            Err(why) => {
                report.failed_at(CHANNEL, self.said(&why), None);
                return report.skip(&[TO_PEER, FROM_PEER], "there is no channel");
            }
        }
        let said = Saying::Party { from: alice, to: peer, by_channel: true };
        let heard = Hearing::Peer(self.peer);
        let came = self.scene.converse(said, heard, b"elara turn check: there").await;
        tell(report, TO_PEER, came, format!("{relayed} to {peer}"), || blocked(relayed));
        let said = Saying::Peer { from: self.peer, to: relayed };
        let heard = Hearing::Party(alice);
        let came = self.scene.converse(said, heard, b"elara turn check: back").await;
        tell(report, FROM_PEER, came, format!("{peer} to {relayed}"), || blocked(relayed));
    }

    async fn indications(
        &mut self,
        report: &mut Report,
        alice: usize,
        relayed: SocketAddr,
        peer: SocketAddr,
    ) {
        let said = Saying::Party { from: alice, to: peer, by_channel: false };
        let heard = Hearing::Peer(self.peer);
        let there = self.scene.converse(said, heard, b"elara turn check: out").await;
        let said = Saying::Peer { from: self.peer, to: relayed };
        let heard = Hearing::Party(alice);
        let back = self.scene.converse(said, heard, b"elara turn check: in").await;
        let what = match (there, back) {
            (false, false) => "nothing arrives, either way",
            (false, true) => "nothing arrives at the peer",
            (true, false) => "nothing comes back",
            (true, true) => "Send and Data",
        };
        tell(report, INDICATIONS, there && back, what.to_owned(), || blocked(relayed));
    }

    /// From one client of the server to another, both by their allocations.
    async fn between(
        &mut self,
        report: &mut Report,
        (alice, one): (usize, Granted),
        (bob, other): (usize, Granted),
    ) {
        for (party, peer) in [(alice, other.relayed), (bob, one.relayed)] {
            match self.scene.bind(party, peer).await {
                Ok(_) => {}
                Err(why) if is_denied(&why) => {
                    let detail = format!("the server does not relay to {} (403)", peer.ip());
                    return report.denied(BETWEEN, detail, allowing(peer.ip()));
                }
                Err(why) => return report.failed_at(BETWEEN, self.said(&why), None),
            }
        }
        for (from, to, at, whence) in
            [(alice, other.relayed, bob, one.relayed), (bob, one.relayed, alice, other.relayed)]
        {
            let said = Saying::Party { from, to, by_channel: true };
            let heard = Hearing::Party(at);
            if !self.scene.converse(said, heard, b"elara turn check: between").await {
                let detail = format!("nothing comes from {whence} to {to}");
                return report.failed_at(BETWEEN, detail, Some(blocked(to)));
            }
        }
        report.ok(BETWEEN, format!("{} and {}", one.relayed, other.relayed));
    }

    /// A failure reads on from the server's name.
    fn said(&self, why: &Failure) -> String {
        format!("{} {why}", self.server)
    }
}

fn tell(
    report: &mut Report,
    step: &'static str,
    came: bool,
    detail: String,
    remedy: impl FnOnce() -> String,
) {
    if came {
        report.ok(step, detail);
    } else {
        report.failed_at(step, format!("it does not arrive ({detail})"), Some(remedy()));
    }
}

const fn is_denied(why: &Failure) -> bool {
    let Failure::Refused { method, code: 403 } = *why else { return false };
    matches!(method, Method::CREATE_PERMISSION | Method::CHANNEL_BIND)
}

/// What would allow this peer.
fn allowing(ip: IpAddr) -> String {
    let block = match ip {
        IpAddr::V4(ip) => format!("{ip}/32"),
        IpAddr::V6(ip) => format!("{ip}/128"),
    };
    let theirs = if ip.is_loopback() {
        "allow-loopback-peers".to_owned()
    } else {
        format!("allowed-peer-ip={ip}")
    };
    format!("where that is wanted: allow_peers = [\"{block}\"] under [turn] (coturn: {theirs})")
}

fn blocked(relayed: SocketAddr) -> String {
    format!(
        "let UDP through to and from {}, on the whole range of relay ports, and check that this is the \
         server's address as others see it (elara: external_ip)",
        relayed.ip()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_allow_a_peer_is_a_line_to_copy() {
        let line = allowing("10.0.0.7".parse().unwrap());
        assert!(line.contains("allow_peers = [\"10.0.0.7/32\"] under [turn]"), "{line}");
        let line = allowing("fe80::1".parse().unwrap());
        assert!(line.contains("[\"fe80::1/128\"]"), "{line}");
    }

    #[test]
    fn only_a_refusal_of_the_peer_is_by_design() {
        let refused = |method, code| is_denied(&Failure::Refused { method, code });
        assert!(refused(Method::CREATE_PERMISSION, 403) && refused(Method::CHANNEL_BIND, 403));
        assert!(!refused(Method::ALLOCATE, 403) && !refused(Method::CHANNEL_BIND, 400));
        assert!(!is_denied(&Failure::NoAnswer));
    }
}
