//! Who is measured: floors, coturn, elara; each started anew for a run, on the relay's cpu.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};

use elara_core::ClientAddr;

use super::super::contest::Sinks;
use super::super::path::Lab;
use super::super::process::{DevRelay, Running};
use super::super::workload::Io;
use super::client::{PASSWORD, USER, software};
use super::floor::{RELAYING, Technique};
use super::generator::Generator;
use super::scene::{CLIENTS, Scene, Traffic};
use super::side::Side;
use crate::needs::on_path;
use crate::shell::{Places, Run, run as program};

/// What elara is told. Peers are on this machine, which no server would do unasked; channels are numbered as
/// RFC 5766 has it, as there are more clients than numbers in RFC 8656's range.
fn configuration() -> String {
    format!(
        "[turn]\nenabled = true\nrealm = \"elara\"\nusers = [\"{USER}:{PASSWORD}\"]\n\
         relay = [\"127.0.0.1\"]\nports = \"49152-65535\"\nallow_peers = [\"127.0.0.0/8\"]\n\
         channel_range = \"rfc5766\"\nallocations = 16384\nallocations_per_user = 16384\n"
    )
}

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contestant {
    /// A forwarder without logic, with one relay socket.
    Floor(Technique),
    /// The same with a relay socket for each allocation.
    Each(Technique),
    /// `turnserver`, as Debian has it.
    Coturn,
    /// `elara serve`.
    Elara(Io),
}

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&match self {
            Self::Floor(technique) => format!("floor {}", technique.name()),
            Self::Each(technique) => format!("floor {}, a socket each", technique.name()),
            Self::Coturn => "coturn".to_owned(),
            Self::Elara(io) => format!("elara {io}"),
        })
    }
}

/// A contestant that runs, and ends with this.
pub(super) enum Started {
    Process(Running),
    Elara(DevRelay),
}

impl Started {
    pub(super) fn pid(&self) -> u32 {
        self.running().pid()
    }

    /// Where it listens.
    pub(super) fn addr(&self) -> ClientAddr {
        ClientAddr::from(self.running().addr)
    }

    const fn running(&self) -> &Running {
        match self {
            Self::Process(running) => running,
            Self::Elara(relay) => &relay.running,
        }
    }
}

impl Contestant {
    /// Who is measured in `scene`, the floor that stands beside all others first. Where there is one
    /// allocation a server may send what came in a row in one send, so there the floor does.
    pub(super) fn line_up(scene: Scene, servers: &[Self]) -> Vec<Self> {
        let mut line_up = match (scene.allocations, scene.traffic) {
            (1, _) => vec![Self::Floor(Technique::MmsgGso), Self::Floor(Technique::Mmsg)],
            // There is no relay socket on the way.
            (_, Traffic::ClientToClient) => vec![Self::Floor(Technique::Mmsg)],
            _ => vec![Self::Floor(Technique::Mmsg), Self::Each(Technique::Mmsg)],
        };
        line_up.extend(servers);
        line_up
    }

    /// Starts it, and has it relay for everybody of the scene.
    ///
    /// # Errors
    /// When it cannot be started, does not answer or refuses.
    pub(super) fn face(
        self,
        scene: Scene,
        generator: &mut Generator,
        places: &Places,
    ) -> Result<Started, String> {
        if let Self::Floor(technique) | Self::Each(technique) = self {
            let relays = if let Self::Each(_) = self { scene.allocations } else { 1 };
            let running = floor(technique, relays, scene, generator, places)?;
            let ports = relaying(&running.lines)?;
            let relayed = |n: u32| match &ports[..] {
                [] => ClientAddr::from((Ipv4Addr::LOCALHOST, 0)),
                ports => ClientAddr::from((Ipv4Addr::LOCALHOST, ports[n as usize % ports.len()])),
            };
            let relayed = (0..scene.allocations).map(relayed).collect();
            generator.face(ClientAddr::from(running.addr), relayed);
            return Ok(Started::Process(running));
        }
        let started = self.start(places)?;
        generator.ask(started.addr()).map_err(|error| format!("{self}: {error}"))?;
        Ok(started)
    }

    /// Starts a TURN server, which listens when this is done.
    ///
    /// # Errors
    /// When it cannot be started, or does not answer.
    pub(super) fn start(self, places: &Places) -> Result<Started, String> {
        match self {
            Self::Coturn => coturn(places).map(|(running, _)| Started::Process(running)),
            Self::Elara(io) => DevRelay::configured(&Lab::loopback(), io, &configuration(), places)
                .map(Started::Elara),
            Self::Floor(_) | Self::Each(_) => Err("a floor is no TURN server".into()),
        }
    }
}

fn floor(
    technique: Technique,
    relays: u32,
    scene: Scene,
    generator: &Generator,
    places: &Places,
) -> Result<Running, String> {
    let mut args: Vec<String> =
        ["turn-floor", "--technique", technique.name()].map(str::to_owned).to_vec();
    for (flag, value) in [
        ("--allocations", scene.allocations),
        ("--relays", relays),
        ("--clients", generator.clients.port().into()),
        ("--peers", generator.peers.port().into()),
    ] {
        args.extend([flag.to_owned(), value.to_string()]);
    }
    if scene.traffic == Traffic::ClientToClient {
        args.push("--hairpin".to_owned());
    }
    Running::start(&program(places.binary("xtask"), args), RELAYING)
}

/// The ports in a floor's last line.
fn relaying(lines: &[String]) -> Result<Vec<u16>, String> {
    let ports = lines.iter().find_map(|line| line.strip_prefix(RELAYING));
    let ports = ports.map(|ports| ports.split_whitespace().map(str::parse).collect());
    match ports {
        Some(Ok(ports)) => Ok(ports),
        _ => Err(format!("the floor said\n{}", lines.join("\n"))),
    }
}

/// coturn's program.
const TURNSERVER: &str = "turnserver";

/// Starts coturn, and answers what it calls itself.
fn coturn(places: &Places) -> Result<(Running, String), String> {
    let wrong = |error: std::io::Error| format!("coturn: {error}");
    // It cannot be told to take a free one.
    let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
    let port = free.map_err(wrong)?.port();
    let addr = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    let running = Running::start_silent(&turnserver(port, places), SocketAddr::V4(addr))?;
    let mut asking = Side::open(CLIENTS, 1, Sinks::Plain).map_err(wrong)?;
    let software = software(addr, &mut asking).map_err(|error| {
        format!("{error}, where coturn should be: {}", turnserver(port, places))
    })?;
    Ok((running, software))
}

/// Without what it does not need here (TLS, a console, a log), and allowed to reach peers on this machine.
fn turnserver(port: u16, places: &Places) -> Run {
    let port = port.to_string();
    let user = format!("{USER}:{PASSWORD}");
    let pid = places.target.join("bench-coturn.pid").display().to_string();
    let mut args = vec!["-n", "-L", "127.0.0.1", "-E", "127.0.0.1", "-p", &port];
    args.extend(["--min-port=20000", "--max-port=60000", "-r", "elara", "-a", "-u", &user]);
    args.extend(["--relay-threads=1", "--no-tls", "--no-dtls", "--no-cli", "--no-rfc5780"]);
    args.extend(["--allow-loopback-peers", "-l", "/dev/null", "--simple-log", "--no-stdout-log"]);
    args.extend(["--pidfile", &pid]);
    program(TURNSERVER, args)
}

/// The TURN servers that can be measured here.
pub(super) struct Servers {
    pub(super) there: Vec<Contestant>,
    /// What coturn calls itself.
    pub(super) coturn: Option<String>,
    /// Who is not there, and why: for the page.
    pub(super) absent: Vec<String>,
}

/// What to type where there is no coturn.
const NO_COTURN: &str = "coturn was not there";
const INSTALL: &str = "`apt-get install coturn` brings its `turnserver` (4.6.1 in Debian 12)";

impl Servers {
    /// Tries each of them once.
    pub(super) fn find(ios: &[Io], places: &Places) -> Self {
        let mut servers = Self { there: Vec::new(), coturn: None, absent: Vec::new() };
        if on_path(TURNSERVER).is_none() {
            servers.lacks(NO_COTURN, INSTALL);
        } else {
            match coturn(places) {
                Ok((_, software)) => {
                    servers.there.push(Contestant::Coturn);
                    servers.coturn = Some(software);
                }
                Err(error) => servers.lacks("coturn did not start", &error),
            }
        }
        for io in ios {
            let elara = Contestant::Elara(*io);
            match elara.start(places) {
                Ok(_) => servers.there.push(elara),
                Err(error) => {
                    servers.lacks(&format!("{elara} did not start with `[turn]`"), &error)
                }
            }
        }
        servers
    }

    /// Says so at once: what is missing costs the whole run its point.
    fn lacks(&mut self, what: &str, why: &str) {
        eprintln!("! {what}, and the bench runs without: {why}");
        self.absent.push(what.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene(traffic: Traffic, allocations: u32) -> Scene {
        Scene { traffic, size: 120, allocations, sinks: Sinks::Plain }
    }

    #[test]
    fn the_floor_of_a_scene_comes_first() {
        let names = |traffic, allocations| -> Vec<String> {
            let line_up = Contestant::line_up(scene(traffic, allocations), &[Contestant::Coturn]);
            line_up.iter().map(ToString::to_string).collect()
        };
        assert_eq!(names(Traffic::Up, 50), ["floor mmsg", "floor mmsg, a socket each", "coturn"]);
        assert_eq!(names(Traffic::ClientToClient, 50), ["floor mmsg", "coturn"]);
        assert_eq!(names(Traffic::TrainsDown, 1), ["floor mmsg_gso", "floor mmsg", "coturn"]);
    }

    #[test]
    fn the_ports_of_a_floor_are_read() {
        let lines = |last: &str| vec!["listening on 127.0.0.1:1".to_owned(), last.to_owned()];
        assert_eq!(relaying(&lines("relaying at 7 8")), Ok(vec![7, 8]));
        assert_eq!(relaying(&lines("relaying at ")), Ok(Vec::new()));
        assert!(relaying(&lines("relaying at home")).is_err());
        assert!(relaying(&lines("")).is_err());
    }

    #[test]
    fn what_elara_is_told_is_toml() {
        let table: toml::Table = configuration().parse().unwrap();
        assert_eq!(table["turn"]["users"][0].as_str(), Some("u:p"));
    }

    #[test]
    fn coturn_is_told_where_and_whom() {
        let places = Places { root: ".".into(), target: "target".into() };
        let typed = turnserver(3_478, &places).to_string();
        assert!(typed.starts_with("turnserver -n -L 127.0.0.1 -E 127.0.0.1 -p 3478 "), "{typed}");
        assert!(typed.contains(" -u u:p --relay-threads=1 "), "{typed}");
    }
}
