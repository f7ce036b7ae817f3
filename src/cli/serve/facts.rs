//! What `elara serve` says: what runs, for whom it is open, and at the end what became of everything.

use std::fmt::{Display, Write};
use std::net::SocketAddr;

use elara_core::Cidr;
use elara_runtime::keys::Key;
use elara_runtime::{Backend, Compat, Counters, Node, NodeConfig, TurnConfig, V1Config, Verdict};

use super::super::say;

/// What runs, one fact a line.
pub(super) fn of(node: &Node) -> Vec<String> {
    let io = match (node.backend(), node.fallback()) {
        (Backend::Uring, _) => String::from("io_uring"),
        (Backend::Syscall, None) => String::from("system calls"),
        (Backend::Syscall, Some(reason)) => {
            format!("system calls, because io_uring is not available: {reason}")
        }
    };
    let cpus = node.cpus();
    let cpus_named = list(cpus);
    let mut facts = vec![
        format!("listening on {}", say::strong(node.local_addr())),
        format!("io: {io}"),
        match cpus.len() {
            1 => format!("1 shard on cpu {cpus_named}"),
            shards => format!("{shards} shards on cpus {cpus_named}"),
        },
    ];
    if let Some(admin) = node.admin_addr() {
        facts.push(format!("admin: http://{admin}/metrics, http://{admin}/livez, elara status"));
    }
    facts.extend(open(node.config(), node.local_addr()));
    if node.config().stun {
        facts.push("stun: whoever asks is told which address it speaks from".to_owned());
    }
    facts
}

/// Whom the node that listens on `listen` serves, a line for each wire; when that is nobody, how to change
/// it.
fn open(config: &NodeConfig, listen: SocketAddr) -> Vec<String> {
    let elara = v1(&config.v1).into_iter().chain(v0(&config.compat));
    let doors: Vec<String> = elara.chain(turn(&config.turn, listen)).collect();
    if !doors.is_empty() {
        return doors;
    }
    vec![String::from(
        "open: nothing, so nothing will be relayed; --dev opens the relay for this machine, and in a \
         --config file [v1] opens it for whoever has a token, [turn] for whoever has a TURN credential, \
         [compat] v0 for whole networks",
    )]
}

fn v1(v1: &V1Config) -> Option<String> {
    let keys: Vec<String> =
        v1.relay_keys.iter().filter_map(|key| Key::Relay(key.clone()).public_text()).collect();
    let (issuers, kids) = match &v1.issuers[..] {
        [(kid, _)] => ("issuer", kid.to_string()),
        many => ("issuers", list(&many.iter().map(|(kid, _)| kid).collect::<Vec<_>>())),
    };
    let (current, before) = keys.split_first()?;
    let before = before.first().map_or_else(String::new, |key| format!(", before that {key}"));
    Some(format!(
        "open: wire v1 for whoever has a token of {issuers} {kids}; relay public key: {current}{before}"
    ))
}

fn turn(turn: &TurnConfig, listen: SocketAddr) -> Option<String> {
    let count =
        |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let relays = turn.relays(listen);
    let places = relays.iter().map(|relay| match relay.external {
        Some(external) => format!("{} (known as {external})", relay.listen),
        None => relay.listen.to_string(),
    });
    turn.is_open().then(|| {
        format!(
            "open: TURN for whoever has a credential of realm {} ({}, {}); relays from {}, ports {} to {}",
            turn.realm,
            count(turn.secrets.len(), "secret"),
            count(turn.users.len(), "user"),
            list(&places.collect::<Vec<_>>()),
            turn.ports.start(),
            turn.ports.end(),
        )
    })
}

fn v0(compat: &Compat) -> Option<String> {
    let blocks = compat.v0.blocks();
    if blocks.is_empty() {
        return None;
    }
    let whom = if blocks == Cidr::LOOPBACK {
        format!("this machine only ({})", list(blocks))
    } else {
        let per_ip = compat.v0_per_ip;
        format!("{}, at most {per_ip} participants per IP address and shard", list(blocks))
    };
    Some(format!("open: wire v0 for {whom}"))
}

/// What became of everything, one fact a line.
pub(super) fn summary(total: &Counters) -> Vec<String> {
    let lost = total.egress.busy + total.egress.failed;
    let mut facts = vec![
        format!(
            "datagrams in: {} (forwarded {}, alone {}, refused {})",
            say::number(total.datagrams),
            say::number(total.of(Verdict::Forwarded)),
            say::number(total.of(Verdict::Alone)),
            say::number(total.refused()),
        ),
        format!("copies out: {} (dropped {})", say::number(total.egress.sent), say::number(lost)),
    ];
    if total.relayed > 0 {
        let (relayed, bytes) = (say::number(total.relayed), say::number(total.relayed_bytes));
        facts.push(format!("relayed by TURN: {relayed} ({bytes} bytes)"));
    }
    for verdict in Verdict::ALL.iter().filter(|verdict| verdict.is_refusal()) {
        let count = total.of(*verdict);
        if count > 0 {
            facts.push(format!(
                "refused {}: {} ({})",
                verdict.label(),
                say::number(count),
                verdict.sentence()
            ));
        }
    }
    facts
}

fn list<T: Display>(items: &[T]) -> String {
    let mut text = String::new();
    for (index, item) in items.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let _ = write!(text, "{comma}{item}");
    }
    text
}

#[cfg(test)]
mod tests {
    use elara_core::crypto::{ExchangeKey, PublicKey, Secret};
    use elara_runtime::keys::TurnSecret;
    use elara_runtime::{TurnUser, V0Compat};

    use super::*;

    fn doors(config: &NodeConfig) -> Vec<String> {
        open(config, "192.0.2.1:7840".parse().unwrap())
    }

    #[test]
    fn a_closed_node_says_how_to_open_it() {
        let doors = doors(&NodeConfig::default());
        let ways = ["nothing will be relayed", "--dev", "[v1]", "[turn]", "[compat] v0"];
        assert!(doors.len() == 1 && ways.iter().all(|way| doors[0].contains(way)), "{doors:?}");
    }

    #[test]
    fn a_door_for_v1_names_what_those_outside_need_to_know() {
        let key = |number| ExchangeKey::from_secret(Secret::new([number; 32]));
        let mut config = NodeConfig::default();
        config.v1.relay_keys = vec![key(1)];
        config.v1.issuers = vec![(7, PublicKey([0; 32]))];
        let current = "pOCSkrZRwni5dyxWn1-puxPZBrRqtoyd-dwrRAn4ogk";
        let one = format!(
            "open: wire v1 for whoever has a token of issuer 7; relay public key: {current}"
        );
        assert_eq!(doors(&config), [one.as_str()]);
        config.v1.relay_keys.push(key(2));
        config.v1.issuers.push((9, PublicKey([0; 32])));
        config.compat.v0 = V0Compat::loopback();
        let doors = doors(&config);
        assert!(doors[0].contains("issuers 7, 9;") && doors[0].contains(", before that "));
        assert_eq!(doors[1], "open: wire v0 for this machine only (127.0.0.0/8, ::1/128)");
    }

    #[test]
    fn a_door_for_turn_says_how_many_have_the_key_and_where_it_leads() {
        let mut config = NodeConfig::default();
        config.turn.secrets = vec![TurnSecret::new("another server's secret").unwrap()];
        let beginning = "open: TURN for whoever has a credential of realm elara";
        let one =
            format!("{beginning} (1 secret, 0 users); relays from 192.0.2.1, ports 49152 to 65535");
        assert_eq!(doors(&config), [one]);
        config.turn.users =
            ["a", "b"].map(|name| TurnUser::new(name, "elara", "pw").unwrap()).to_vec();
        config.turn.relay = vec!["10.0.0.5".parse().unwrap(), "2001:db8::5".parse().unwrap()];
        config.turn.external_ip = vec!["203.0.113.7".parse().unwrap()];
        let two = format!(
            "{beginning} (1 secret, 2 users); relays from 10.0.0.5 (known as 203.0.113.7), 2001:db8::5, \
             ports 49152 to 65535"
        );
        assert_eq!(doors(&config), [two]);
        config.turn.enabled = Some(false);
        assert!(doors(&config)[0].starts_with("open: nothing"));
    }

    #[test]
    fn the_summary_names_each_reason_once_and_only_if_it_happened() {
        let mut total = Counters { datagrams: 3, ..Counters::default() };
        total.count(Verdict::Forwarded);
        total.count(Verdict::Runt);
        total.count(Verdict::Runt);
        assert_eq!(
            summary(&total),
            [
                "datagrams in: 3 (forwarded 1, alone 0, refused 2)",
                "copies out: 0 (dropped 0)",
                "refused runt: 2 (shorter than any frame)",
            ]
        );
        let relayed = summary(&Counters { relayed: 1_000, relayed_bytes: 120_000, ..total });
        assert_eq!(relayed[2], "relayed by TURN: 1,000 (120,000 bytes)");
    }
}
