//! What lies between a contestant and its clients: loopback, a pair of virtual cards, a card that segments.
//!
//! ```text
//!   lo      contestant <-- lo --> load
//!
//!   veth    namespace A, cpu 0                      namespace B, cpu 1
//!           contestant 127.77.0.1 <-- veth pair --> 127.77.0.2 load
//!
//!   ifb     the same until everyone is known; then what A sends to B leaves by an ifb device, which drops it
//!           behind the queueing discipline, super-packets whole
//! ```
//! Addresses are of 127/8, let out of loopback by route_localnet: to a relay everyone is of this machine, and
//! what it allows a single address of elsewhere does not stand in the way.
//!
//! Namespaces are named after this process and gone when it is, however it ends: a shell waits for that
//! at the other end of a pipe.

use std::fmt;
use std::process::{Child, ChildStdin, Stdio};

use clap::ValueEnum;

use crate::shell::{Run, run as program};

/// What lies between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Path {
    /// Loopback: the sender pays for the receiver's half of the kernel too.
    Lo,
    /// Two namespaces and a pair of virtual cards.
    Veth,
    /// A card that takes whole super-packets: what is sent is dropped behind the queueing discipline.
    Ifb,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Lo => "lo",
            Self::Veth => "veth",
            Self::Ifb => "ifb",
        })
    }
}

/// A path, set up.
pub(super) struct Lab {
    pub(super) path: Path,
    nets: Option<Nets>,
}

struct Nets {
    relay: String,
    load: String,
    guard: Child,
    /// While this is open, the guard leaves the namespaces where they are.
    open: Option<ChildStdin>,
}

const RELAY: &str = "127.77.0.1";
const LOAD: &str = "127.77.0.2";
const RELAY_CARD: &str = "02:00:00:00:00:01";
const LOAD_CARD: &str = "02:00:00:00:00:02";

/// Removes the namespaces `$@`, and what still runs in them, when its stdin ends.
const GUARD: &str = "trap '' INT TERM HUP; read -r line; for name; do \
                     for pid in $(ip netns pids \"$name\"); do kill -KILL \"$pid\"; done; \
                     ip netns del \"$name\"; done";

impl Lab {
    /// Loopback needs nothing.
    pub(super) const fn loopback() -> Self {
        Self { path: Path::Lo, nets: None }
    }

    /// Sets `path` up.
    ///
    /// # Errors
    /// When namespaces or devices cannot be had: which, and what to do.
    pub(super) fn open(path: Path) -> Result<Self, String> {
        if path == Path::Lo {
            return Ok(Self::loopback());
        }
        let name = |end| format!("elara-bench-{}-{path}-{end}", std::process::id());
        let (relay, load) = (name("relay"), name("load"));
        let mut guard = program("sh", ["-c", GUARD, "guard", &relay, &load])
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("sh: {error}"))?;
        let open = guard.stdin.take();
        let lab = Self { path, nets: Some(Nets { relay, load, guard, open }) };
        lab.build().map_err(|error| {
            format!(
                "{error}\n--path {path} makes network namespaces with veth and ifb devices, and needs \
                 root and iproute2 for it: run it with sudo, or without --path for loopback alone"
            )
        })?;
        Ok(lab)
    }

    fn build(&self) -> Result<(), String> {
        let Some(Nets { relay, load, .. }) = &self.nets else { return Ok(()) };
        for name in [relay, load] {
            ip(["netns", "add", name])?;
        }
        ip([
            "-n", relay, "link", "add", "toward", "address", RELAY_CARD, "type", "veth", "peer",
            "name", "toward", "address", LOAD_CARD, "netns", load,
        ])?;
        for (name, own, other, card) in
            [(relay, RELAY, LOAD, LOAD_CARD), (load, LOAD, RELAY, RELAY_CARD)]
        {
            ip(["-n", name, "link", "set", "lo", "up"])?;
            // Of 127/8 loopback keeps one address here: the others are on the cards.
            ip(["-n", name, "addr", "del", "127.0.0.1/8", "dev", "lo"])?;
            ip(["-n", name, "addr", "add", "127.0.0.1/32", "dev", "lo"])?;
            set(name, "net/ipv4/conf/all/route_localnet", "1")?;
            for device in ["all", "toward"] {
                set(name, &format!("net/ipv4/conf/{device}/rp_filter"), "0")?;
            }
            ip(["-n", name, "link", "set", "toward", "up"])?;
            ip(["-n", name, "addr", "add", &format!("{own}/32"), "dev", "toward"])?;
            self.route(name, other, own, "toward")?;
            ip([
                "-n",
                name,
                "neigh",
                "add",
                other,
                "lladdr",
                card,
                "dev",
                "toward",
                "nud",
                "permanent",
            ])?;
        }
        if self.path == Path::Ifb {
            ip(["-n", relay, "link", "add", "away", "type", "ifb"])?;
            ip(["-n", relay, "link", "set", "away", "up"])?;
        }
        Ok(())
    }

    fn route(&self, name: &str, to: &str, from: &str, device: &str) -> Result<(), String> {
        ip(["-n", name, "route", "replace", &format!("{to}/32"), "dev", device, "src", from])
    }

    /// `run`, where the contestant is.
    pub(super) fn at_relay(&self, run: Run) -> Run {
        match &self.nets {
            Some(nets) => run.under("ip", ["netns", "exec", &nets.relay]),
            None => run,
        }
    }

    /// `run`, where the load is.
    pub(super) fn at_load(&self, run: Run) -> Run {
        match &self.nets {
            Some(nets) => run.under("ip", ["netns", "exec", &nets.load]),
            None => run,
        }
    }

    /// Whether contestants are in a namespace of their own.
    pub(super) const fn is_elsewhere(&self) -> bool {
        self.nets.is_some()
    }

    /// Where a contestant listens; it takes a free port.
    pub(super) const fn listen(&self) -> &'static str {
        match self.nets {
            Some(_) => "127.77.0.1:0",
            None => "127.0.0.1:0",
        }
    }

    /// From here on what the contestant sends leaves by the ifb device, until this is dropped.
    ///
    /// # Errors
    /// When the route cannot be changed.
    pub(super) fn divert(&self) -> Result<Diverted<'_>, String> {
        let Some(nets) = &self.nets else { return Err("loopback leads nowhere else".into()) };
        let diverted = Diverted { lab: self, relay: &nets.relay };
        self.route(&nets.relay, LOAD, RELAY, "away")?;
        Ok(diverted)
    }
}

impl Drop for Nets {
    fn drop(&mut self) {
        drop(self.open.take());
        let _ = self.guard.wait();
    }
}

/// While there is one, nothing comes back.
pub(super) struct Diverted<'lab> {
    lab: &'lab Lab,
    relay: &'lab str,
}

impl Diverted<'_> {
    /// Packets the ifb device has seen so far; a super-packet is one.
    ///
    /// # Errors
    /// When it does not say.
    pub(super) fn packets(&self) -> Result<u64, String> {
        let file = "/sys/class/net/away/statistics/rx_packets";
        let text = program("ip", ["netns", "exec", self.relay, "cat", file]).read()?;
        text.trim().parse().map_err(|_| format!("{file}: {text}"))
    }
}

impl Drop for Diverted<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.lab.route(self.relay, LOAD, RELAY, "toward") {
            eprintln!("{error}");
        }
    }
}

fn ip<const N: usize>(args: [&str; N]) -> Result<(), String> {
    program("ip", args).read().map(|_| ())
}

/// Sets a kernel parameter in a namespace.
fn set(name: &str, parameter: &str, value: &str) -> Result<(), String> {
    let script = "echo \"$1\" > \"/proc/sys/$2\"";
    ip(["netns", "exec", name, "sh", "-c", script, "set", value, parameter])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_needs_nothing() {
        let lab = Lab::open(Path::Lo).unwrap();
        assert_eq!(lab.at_relay(program("true", [""; 0])).to_string(), "true");
        assert_eq!(lab.listen(), "127.0.0.1:0");
        assert!(lab.divert().is_err());
    }

    /// Needs root; says so where it was not run.
    #[test]
    fn a_path_comes_and_goes_with_its_lab() {
        let names = || program("ip", ["netns", "list"]).read().unwrap_or_default();
        let ours = format!("elara-bench-{}-ifb-", std::process::id());
        let lab = match Lab::open(Path::Ifb) {
            Ok(lab) => lab,
            Err(error) => {
                assert!(error.contains("sudo"), "{error}");
                assert!(!names().contains(&ours));
                return eprintln!("NOT RUN, no namespaces here: {error}");
            }
        };
        assert_eq!(names().matches(&ours).count(), 2);
        let reaches = || {
            let sh = "exec 3<>/dev/udp/127.77.0.2/9 && echo here >&3";
            lab.at_relay(program("bash", ["-c", sh])).read().is_ok()
        };
        assert!(reaches());
        {
            let diverted = lab.divert().unwrap();
            let before = diverted.packets().unwrap();
            assert!(reaches());
            assert_eq!(diverted.packets().unwrap(), before + 1);
        }
        let said = lab.at_load(program("cat", ["/sys/class/net/toward/address"])).read().unwrap();
        assert_eq!(said.trim(), LOAD_CARD);
        drop(lab);
        assert!(!names().contains(&ours));
    }
}
