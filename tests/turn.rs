//! STUN and TURN as somebody with a socket meets them: a whole node, over both back ends.

mod support;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use elara_core::stun::{Class, Method, TransactionId, Writer, attribute};
use support::caller::PATIENCE;
use support::folder::{Folder, write_private};
use support::process::{Process, elara};
use support::turn::{Heard, Talker, TurnCaller};

const USER: &str = "ada";
const PASSWORD: &str = "lovelace";
const BACK_ENDS: [&str; 2] = ["uring", "syscall"];

/// A node with TURN for one user, who may reach this machine.
struct Relay {
    process: Process,
    addr: SocketAddr,
}

impl Relay {
    fn start(io: &str, name: &str, more: &str) -> Self {
        Self::at(
            io,
            name,
            "127.0.0.1:0",
            "relay = [\"127.0.0.1\"]\nallow_peers = [\"127.0.0.0/8\"]",
            more,
        )
    }

    /// With something to say above the section.
    fn with(io: &str, name: &str, above: &str) -> Self {
        let reach = "relay = [\"127.0.0.1\"]\nallow_peers = [\"127.0.0.0/8\"]";
        Self::saying(io, name, "127.0.0.1:0", above, &format!("{reach}\n"))
    }

    fn at(io: &str, name: &str, listen: &str, reach: &str, more: &str) -> Self {
        Self::saying(io, name, listen, "", &format!("{reach}\n{more}\n"))
    }

    fn saying(io: &str, name: &str, listen: &str, above: &str, turn: &str) -> Self {
        let file = format!("elara-{}-{name}-{io}.toml", std::process::id());
        let config = std::env::temp_dir().join(file);
        let text = format!(
            "listen = \"{listen}\"\nadmin = \"off\"\nio = \"{io}\"\nshards = 1\n\
             {above}\n[turn]\nusers = [\"{USER}:{PASSWORD}\"]\n{turn}"
        );
        write_private(&config, &text);
        let mut process = Process::start(&["serve", "--config", config.to_str().unwrap()]);
        let addr = process.listening_on();
        fs::remove_file(&config).unwrap();
        Self { process, addr }
    }

    fn caller(&self) -> TurnCaller {
        TurnCaller::new(self.addr, USER, PASSWORD)
    }

    /// Ends it; its last words.
    fn stop(self) -> Vec<String> {
        self.process.signal("TERM");
        let ended = self.process.end();
        assert!(ended.status.success(), "{}", ended.stderr);
        ended.lines
    }
}

/// Somebody out there who knows nothing of TURN.
fn peer(ip: IpAddr) -> UdpSocket {
    let socket = UdpSocket::bind((ip, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn hear(peer: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 65_536];
    let (len, from) = peer.recv_from(&mut buffer).expect("the peer hears something");
    (buffer[..len].to_vec(), from)
}

/// What a peer hears next is this, and it comes from there.
fn hears(peer: &UdpSocket, data: &[u8], from: SocketAddr) {
    assert_eq!(hear(peer), (data.to_vec(), from));
}

#[test]
fn whoever_asks_hears_where_they_come_from() {
    for io in BACK_ENDS {
        let relay = Relay::start(io, "binding", "");
        let mut caller = relay.caller();
        let heard = caller.ask(Method::BINDING, |_| {});
        assert_eq!(heard.message().class(), Class::Success);
        assert_eq!(heard.address(attribute::XOR_MAPPED_ADDRESS), caller.addr());
    }
}

#[test]
fn data_goes_to_a_peer_and_comes_back_in_indications_and_on_channels() {
    for io in BACK_ENDS {
        let relay = Relay::start(io, "data", "");
        let (mut caller, peer) = (relay.caller(), peer(HERE));
        let there = peer.local_addr().unwrap();
        let relayed = caller.allocate(None);
        assert_eq!(caller.permit(there), 0);
        for length in [0, 1, 2, 3, 4, 119, 1_200] {
            let data: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
            caller.indicate(there, &data, false);
            hears(&peer, &data, relayed);
            peer.send_to(&data, relayed).unwrap();
            assert_eq!(caller.hear_data(), (there, data), "{io}");
        }
        assert_eq!(caller.bind(0x4000, there), 0);
        for length in [0, 1, 2, 3, 4, 119, 1_200, 9_000] {
            let data: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
            caller.say(0x4000, &data);
            hears(&peer, &data, relayed);
            peer.send_to(&data, relayed).unwrap();
            assert_eq!(caller.hear_channel(), (0x4000, data), "{io}");
        }
    }
}

#[test]
fn a_burst_comes_through_whole_and_in_order_both_ways() {
    for io in BACK_ENDS {
        let relay = Relay::start(io, "burst", "");
        let (mut caller, peer) = (relay.caller(), peer(HERE));
        let there = peer.local_addr().unwrap();
        let relayed = caller.allocate(None);
        assert_eq!(caller.bind(0x4001, there), 0);
        // Equal lengths with others among them: what shares a send, what ends one, and what goes by itself.
        let lengths = (0..300).map(|number| match number % 37 {
            35 => 1_400,
            36 => 700,
            _ => 1_200,
        });
        let data: Vec<Vec<u8>> =
            lengths.enumerate().map(|(number, len)| vec![number as u8; len]).collect();
        for chunk in data.chunks(50) {
            chunk.iter().for_each(|data| caller.say(0x4001, data));
            chunk.iter().for_each(|data| hears(&peer, data, relayed));
            for data in chunk {
                peer.send_to(data, relayed).unwrap();
            }
            for data in chunk {
                assert_eq!(caller.hear_channel(), (0x4001, data.clone()), "{io}");
            }
        }
    }
}

#[test]
fn two_clients_reach_each_other_by_their_relayed_addresses() {
    for io in BACK_ENDS {
        let relay = Relay::start(io, "hairpin", "");
        let (mut ada, mut bob) = (relay.caller(), relay.caller());
        let (from_ada, from_bob) = (ada.allocate(None), bob.allocate(None));
        assert_eq!(ada.permit(from_bob), 0);
        // Bob has not said that Ada's relayed address may: nothing of this arrives.
        ada.indicate(from_bob, b"too early", false);
        assert_eq!(bob.permit(from_ada), 0);
        ada.indicate(from_bob, b"hello", false);
        assert_eq!(bob.hear_data(), (from_ada, b"hello".to_vec()), "{io}");
        assert_eq!(bob.bind(0x4000, from_ada), 0);
        ada.indicate(from_bob, b"again", false);
        assert_eq!(bob.hear_channel(), (0x4000, b"again".to_vec()), "{io}");
        assert_eq!(ada.bind(0x4abc, from_bob), 0);
        bob.say(0x4000, b"hello yourself");
        assert_eq!(ada.hear_channel(), (0x4abc, b"hello yourself".to_vec()), "{io}");
    }
}

#[test]
fn the_other_family_is_relayed_too() {
    for io in BACK_ENDS {
        let reach =
            "relay = [\"127.0.0.1\", \"::1\"]\nallow_peers = [\"127.0.0.0/8\", \"::1/128\"]";
        let relay = Relay::at(io, "family", "[::1]:0", reach, "");
        for (family, ip) in [(1, HERE), (2, "::1".parse().unwrap())] {
            let (mut caller, peer) = (relay.caller(), peer(ip));
            let there = peer.local_addr().unwrap();
            let relayed = caller.allocate(Some(family));
            assert_eq!(relayed.ip(), ip);
            assert_eq!(caller.bind(0x4000, there), 0);
            caller.say(0x4000, b"over there");
            hears(&peer, b"over there", relayed);
            peer.send_to(b"and back", relayed).unwrap();
            assert_eq!(caller.hear_channel(), (0x4000, b"and back".to_vec()), "{io}");
        }
    }
}

#[test]
fn nobody_is_heard_without_permission_and_it_is_counted() {
    for io in BACK_ENDS {
        let relay = Relay::start(io, "strangers", "");
        let (mut caller, friend, stranger) =
            (relay.caller(), peer(HERE), peer("127.0.0.2".parse().unwrap()));
        let relayed = caller.allocate(None);
        assert_eq!(caller.permit(friend.local_addr().unwrap()), 0);
        stranger.send_to(b"you do not know me", relayed).unwrap();
        friend.send_to(b"but me", relayed).unwrap();
        assert_eq!(caller.hear_data(), (friend.local_addr().unwrap(), b"but me".to_vec()), "{io}");
    }
}

#[test]
fn a_peer_that_is_not_there_is_told_of() {
    for io in BACK_ENDS {
        let relay = Relay::start(io, "icmp", "");
        let mut caller = relay.caller();
        let gone = peer(HERE).local_addr().unwrap();
        caller.allocate(None);
        assert_eq!(caller.bind(0x4000, gone), 0);
        caller.say(0x4000, b"anybody?");
        let heard = Heard(caller.hear());
        let message = heard.message();
        assert_eq!((message.class(), message.method()), (Class::Indication, Method::DATA), "{io}");
        let icmp = message.icmp().expect("ICMP").unwrap();
        assert_eq!((icmp.kind, icmp.code), (3, 3), "port unreachable");
        assert_eq!(heard.address(attribute::XOR_PEER_ADDRESS).ip(), HERE);
    }
}

#[test]
fn what_must_not_be_cut_is_sent_like_that() {
    for io in BACK_ENDS {
        let relay = Relay::start(io, "df", "");
        let (mut caller, peer) = (relay.caller(), peer(HERE));
        let relayed = caller.allocate(None);
        assert_eq!(caller.permit(peer.local_addr().unwrap()), 0);
        caller.indicate(peer.local_addr().unwrap(), b"in one piece", true);
        hears(&peer, b"in one piece", relayed);
        caller.indicate(peer.local_addr().unwrap(), b"or not", false);
        hears(&peer, b"or not", relayed);
        // It overtakes nothing.
        for n in 0..60 {
            caller.indicate(peer.local_addr().unwrap(), &[n], n % 3 == 2);
        }
        for n in 0..60 {
            hears(&peer, &[n], relayed);
        }
    }
}

#[test]
fn peers_on_this_machine_and_in_private_networks_are_nobodys_by_default() {
    for io in BACK_ENDS {
        let relay = Relay::at(io, "denied", "127.0.0.1:0", "relay = [\"127.0.0.1\"]", "");
        let mut caller = relay.caller();
        caller.allocate(None);
        for peer in [
            "127.0.0.1:80",
            "10.0.0.1:80",
            "169.254.169.254:80",
            "192.168.1.1:53",
            "0.0.0.0:22",
            "224.0.0.1:5353",
        ] {
            let peer: SocketAddr = peer.parse().unwrap();
            assert_eq!((caller.permit(peer), caller.bind(0x4000, peer)), (403, 403), "{peer} {io}");
        }
    }
}

#[test]
fn what_is_given_back_is_gone_and_can_be_had_again() {
    for io in BACK_ENDS {
        let relay = Relay::start(io, "again", "allocations_per_user = 1");
        let (mut caller, peer) = (relay.caller(), peer(HERE));
        for _ in 0..20 {
            let relayed = caller.allocate(None);
            let mut other = relay.caller();
            let heard = other.request(Method::ALLOCATE, |writer| {
                writer.put(attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
            });
            assert_eq!(heard.error(), 486, "one is all this user may have");
            assert_eq!(caller.bind(0x4000, peer.local_addr().unwrap()), 0);
            caller.say(0x4000, b"here");
            hears(&peer, b"here", relayed);
            assert_eq!(caller.refresh(0), (0, Some(0)), "{io}");
            assert_eq!(caller.bind(0x4000, peer.local_addr().unwrap()), 437);
        }
    }
}

#[test]
fn a_nodes_own_address_is_no_peer_even_where_loopback_is() {
    for io in BACK_ENDS {
        let relay = Relay::start(io, "own", "");
        let mut caller = relay.caller();
        caller.allocate(None);
        assert_eq!(caller.permit(relay.addr), 0, "a permission is for an address, not for a port");
        assert_eq!(caller.bind(0x4000, relay.addr), 403, "{io}");
        caller.indicate(relay.addr, b"loop", false);
        // Nothing came of it: the next thing heard is the answer to this.
        assert_eq!(caller.ask(Method::BINDING, |_| {}).message().class(), Class::Success);
    }
}

/// More than there are buffers for, to more sockets than one, again and again.
#[test]
fn after_a_flood_from_peers_every_allocation_still_hears() {
    for io in BACK_ENDS {
        let relay = Relay::start(io, "flood", "");
        let people: Vec<_> = (0..50)
            .map(|_| {
                let (mut caller, peer) = (relay.caller(), peer(HERE));
                let relayed = caller.allocate(None);
                assert_eq!(caller.bind(0x4000, peer.local_addr().unwrap()), 0);
                (caller, peer, relayed)
            })
            .collect();
        for _ in 0..4_000 {
            for (_, peer, relayed) in &people {
                let _ = peer.send_to(&[0; 120], relayed);
            }
        }
        for (mut caller, peer, relayed) in people {
            // What is not taken away leaves no room for more.
            while caller.has_mail() {
                caller.hear();
            }
            peer.send_to(b"still there?", relayed).unwrap();
            while caller.hear_channel().1 != b"still there?" {}
        }
        relay.stop();
    }
}

#[test]
fn rubbish_and_answers_nobody_asked_for_are_not_answered() {
    for io in BACK_ENDS {
        let relay = Relay::start(io, "rubbish", "");
        let mut caller = relay.caller();
        let mut out = [0; 200];
        for class in [Class::Success, Class::Error, Class::Indication] {
            for method in [Method::BINDING, Method::ALLOCATE, Method(0x0fff)] {
                let len =
                    Writer::new(&mut out, class, method, TransactionId([9; 12])).finish().unwrap();
                caller.send(&out[..len]);
            }
        }
        caller.send(&[0x40, 0x00, 0x00, 0x04, 1, 2, 3, 4]);
        caller.send(&[0x40, 0x00, 0xff, 0xff]);
        caller.send(&[0x40]);
        let heard = caller.ask(Method::BINDING, |_| {});
        assert_eq!(
            heard.message().class(),
            Class::Success,
            "{io}: the first answer is the one to this"
        );
        relay.stop();
    }
}

#[test]
fn without_credentials_there_is_no_turn_and_stun_can_be_closed() {
    for io in BACK_ENDS {
        let mut relay =
            Process::start(&["serve", "--listen", "127.0.0.1:0", "--admin", "off", "--io", io]);
        let mut caller = TurnCaller::new(relay.listening_on(), USER, PASSWORD);
        let mut out = [0; 100];
        let mut writer =
            Writer::new(&mut out, Class::Request, Method::ALLOCATE, TransactionId([1; 12]));
        let len = writer.put(attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0]).finish().unwrap();
        caller.send(&out[..len]);
        let heard = caller.ask(Method::BINDING, |_| {});
        assert_eq!(heard.message().method(), Method::BINDING, "{io}: Allocate was not answered");
    }
    let relay = Relay::with("uring", "closed", "stun = false\n");
    let mut caller = relay.caller();
    caller.send(&Talker::new(USER, PASSWORD).plain(Class::Request, Method::BINDING, |_| {}));
    // The next thing heard is of TURN, which is open.
    caller.allocate(None);
}

#[test]
fn a_hang_up_changes_who_may_come_and_keeps_what_is_there() {
    for io in BACK_ENDS {
        let folder = Folder::new(&format!("turn-reload-{io}"));
        let write = |turn: &str| {
            let text = format!(
                "listen = \"127.0.0.1:0\"\nadmin = \"off\"\nio = \"{io}\"\nshards = 2\n\
                 [turn]\nrelay = [\"127.0.0.1\"]\n{turn}\n"
            );
            write_private(&folder.path("elara.toml"), &text);
        };
        let reach = "allow_peers = [\"127.0.0.0/8\"]";
        write(&format!("users = [\"ada:lovelace\"]\n{reach}"));
        let mut command = elara(&["serve", "--config", "elara.toml"]);
        let mut relay = Process::spawn(command.current_dir(&folder.0));
        let addr = relay.listening_on();
        let peer = peer(HERE);
        let there = peer.local_addr().unwrap();
        let mut ada = TurnCaller::new(addr, "ada", "lovelace");
        let relayed = ada.allocate(None);
        assert_eq!(ada.bind(0x4000, there), 0);

        write(&format!("users = [\"bob:hope\"]\n{reach}"));
        relay.signal("HUP");
        let read = relay.line_after("read elara.toml again: ");
        assert!(read.ends_with(", 0 TURN secrets, 1 TURN user"), "{read}");
        let mut bob = TurnCaller::new(addr, "bob", "hope");
        bob.allocate(None);
        assert_eq!(bob.permit(there), 0);
        ada.say(0x4000, b"as before");
        hears(&peer, b"as before", relayed);
        let refresh = ada.insist(Method::REFRESH, |writer| {
            writer.put_u32(attribute::LIFETIME, 600);
        });
        assert_eq!(refresh.error(), 401, "nor can she prolong it");

        // Whom they reach is read again; how many there may be is not.
        write("users = [\"bob:hope\"]\nallocations = 1");
        relay.signal("HUP");
        while !relay.complaint().contains("what is read again of [turn]") {}
        relay.line_after("read elara.toml again: ");
        assert_eq!(bob.permit(there), 403);

        write("users = []");
        relay.signal("HUP");
        while !relay.complaint().contains("opens or closes TURN: that acts after a restart") {}
        relay.line_after("read elara.toml again: ");
        assert_eq!(bob.refresh(600).0, 0);
        // Nor does it matter that it could not start like that.
        write("users = [\"bob:hope\"]");
        let text = fs::read_to_string(folder.path("elara.toml")).unwrap();
        let elsewhere =
            text.replace("127.0.0.1:0", "127.0.0.2:0").replace("relay = [\"127.0.0.1\"]\n", "");
        write_private(&folder.path("elara.toml"), &elsewhere);
        relay.signal("HUP");
        while !relay.complaint().contains("acts after a restart") {}
        relay.line_after("read elara.toml again: ");
        assert_eq!(bob.refresh(600).0, 0);
        relay.signal("TERM");
        assert_eq!(relay.end().status.code(), Some(0));
    }
}

#[test]
fn a_relay_address_of_another_machine_stops_the_start() {
    let folder = Folder::new("turn-elsewhere");
    let text = "listen = \"127.0.0.1:0\"\nadmin = \"off\"\n[turn]\nrelay = [\"203.0.113.9\"]\n\
                users = [\"ada:lovelace\"]\n";
    write_private(&folder.path("elara.toml"), text);
    let complaint = folder.refused(&["serve", "--config", "elara.toml"]);
    assert!(complaint.contains("203.0.113.9, which is no address of this machine"), "{complaint}");
}
