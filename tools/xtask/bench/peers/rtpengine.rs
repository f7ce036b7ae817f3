//! rtpengine in user space: what each session's sender publishes, and a subscription for each hearer.
//!
//! It is told over its control protocol `ng`: a cookie and a bencoded dictionary in a datagram, answered by
//! the same cookie and another one. The requests are `publish`, `subscribe request` and `subscribe answer`.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use elara_core::limits::DATAGRAM_MAX;
use serde_json::Value;

use super::bencode;
use super::bencode::Entry::{self, Text, Texts};
use super::daemon::Daemon;
use super::seats::{PEERS_PORTS, Seats};
use super::wired::Wired;
use crate::bench::process::PATIENCE;
use crate::shell::run;

/// How long it has for an answer while it comes up.
const SOON: Duration = Duration::from_millis(100);

/// Starts the program `rtpengine` for these seats; what it says goes to `dir`.
///
/// # Errors
/// When it cannot be started, or refuses a request.
pub(super) fn start(rtpengine: &Path, seats: Seats, dir: &Path) -> Result<Wired, String> {
    let control = free_port()?;
    let listen = format!("--listen-ng=127.0.0.1:{control}");
    let (least, most) = (PEERS_PORTS.start, PEERS_PORTS.end - 1);
    let (least, most) = (format!("--port-min={least}"), format!("--port-max={most}"));
    let command = run(
        rtpengine.display().to_string(),
        [
            "--config-file=none",
            "--foreground",
            "--log-stderr",
            "--log-level=4",
            // In user space: the kernel's part is a module of its own.
            "--table=-1",
            "--interface=127.0.0.1",
            &listen,
            &least,
            &most,
            "--num-threads=1",
            "--timeout=3600",
        ],
    );
    let mut wire = Control::connect(control)?;
    let ready = || wire.ask(SOON, &[("command", Text("ping"))]).ok().map(|_| ());
    let (daemon, ()) = Daemon::start(&command, &dir.join("rtpengine.log"), ready)?;
    // Those questions may have been answered late, and more than once.
    let mut wire = Control::connect(control)?;
    let to = (0..seats.sessions).map(|session| wire.wire(session, seats));
    let to = to.collect::<Result<_, _>>()?;
    Ok(Wired { daemon, to, first_port: seats.first_port })
}

/// A UDP port that nobody has.
fn free_port() -> Result<u16, String> {
    let bound = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|bound| bound.local_addr());
    bound.map(|addr| addr.port()).map_err(|error| format!("no free UDP port: {error}"))
}

/// The control protocol.
struct Control {
    socket: UdpSocket,
    /// No cookie of an earlier connection may come again: it would get that one's answer, from memory.
    name: u16,
    asked: u32,
}

impl Control {
    fn connect(port: u16) -> Result<Self, String> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
        let socket = socket.and_then(|socket| {
            socket.connect((Ipv4Addr::LOCALHOST, port))?;
            Ok(Self { name: socket.local_addr()?.port(), socket, asked: 0 })
        });
        socket.map_err(|error| format!("UDP: {error}"))
    }

    /// Publishes what the sender of `session` sends, subscribes its hearers, and answers where it is
    /// heard.
    fn wire(&mut self, session: u16, seats: Seats) -> Result<SocketAddr, String> {
        let call = format!("session-{session}");
        let mut tell = |command, more: &[(&str, Entry<'_>)]| {
            let names = [("call-id", Text(&call)), ("from-tag", Text("sender"))];
            self.ask(PATIENCE, &[&[("command", Text(command))], &names[..], more].concat())
        };
        let offer = sdp(seats.sender(session), "sendonly");
        // It transcodes no video, and otherwise passes on only what it could transcode.
        let any = ("flags", Texts(&["codec-accept-any"]));
        let published = tell("publish", &[("sdp", Text(&offer)), any])?;
        for port in seats.hearers(session) {
            let hearer = format!("hearer-{port}");
            let to_tag = ("to-tag", Text(&hearer));
            tell("subscribe request", &[to_tag, any])?;
            let answer = sdp(port, "recvonly");
            tell("subscribe answer", &[to_tag, any, ("sdp", Text(&answer))])?;
        }
        let answer = published["sdp"].as_str().unwrap_or_default();
        let port = media_port(answer).ok_or_else(|| format!("rtpengine: no port in {answer}"))?;
        Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// What it answers.
    fn ask(&mut self, patience: Duration, entries: &[(&str, Entry<'_>)]) -> Result<Value, String> {
        self.asked += 1;
        let cookie = format!("{}-{} ", self.name, self.asked);
        let request = cookie.clone() + &bencode::dictionary(entries);
        let mut answer = vec![0; DATAGRAM_MAX];
        let received = self.socket.set_read_timeout(Some(patience)).and_then(|()| {
            self.socket.send(request.as_bytes())?;
            self.socket.recv(&mut answer)
        });
        let len = received.map_err(|error| format!("rtpengine: {entries:?}: {error}"))?;
        let said = answer[..len].strip_prefix(cookie.as_bytes()).and_then(bencode::read);
        let said = said.unwrap_or_default();
        match said["result"].as_str() {
            Some("ok" | "pong") => Ok(said),
            _ => Err(format!("rtpengine: {entries:?}: {said}")),
        }
    }
}

/// One stream of video at `port`.
fn sdp(port: u16, direction: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
         m=video {port} RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\na=rtcp-mux\r\na={direction}\r\n"
    )
}

/// The port of the first stream.
fn media_port(sdp: &str) -> Option<u16> {
    sdp.lines().find_map(|line| line.strip_prefix("m="))?.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// Answers each request with the next of `answers` behind its cookie, and says what the requests were.
    fn stand_in(answers: Vec<String>) -> (Control, thread::JoinHandle<Vec<Value>>) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let control = Control::connect(socket.local_addr().unwrap().port()).unwrap();
        let serve = move |answer: String| {
            let mut request = [0; 2_048];
            let (len, from) = socket.recv_from(&mut request).unwrap();
            let at = request.iter().position(|byte| *byte == b' ').unwrap() + 1;
            let reply = [&request[..at], answer.as_bytes()].concat();
            socket.send_to(&reply, from).unwrap();
            bencode::read(&request[at..len]).unwrap()
        };
        (control, thread::spawn(move || answers.into_iter().map(serve).collect()))
    }

    #[test]
    fn a_session_is_published_once_and_subscribed_to_by_each_hearer() {
        let ok = |more: &[_]| bencode::dictionary(&[&[("result", Text("ok"))], more].concat());
        let (mut control, asked) = stand_in(vec![
            ok(&[("sdp", Text(&sdp(30_010, "recvonly")))]),
            ok(&[]),
            ok(&[]),
            ok(&[]),
            ok(&[]),
        ]);
        let seats = Seats { sessions: 3, participants: 3, first_port: 20_000 };
        assert_eq!(control.wire(2, seats).unwrap(), "127.0.0.1:30010".parse().unwrap());
        let asked = asked.join().unwrap();
        assert!(asked.iter().all(|asked| asked["call-id"] == "session-2"), "{asked:?}");
        let answered: Vec<_> = asked
            .iter()
            .filter(|asked| asked["command"] == "subscribe answer")
            .map(|asked| (asked["to-tag"].as_str(), media_port(asked["sdp"].as_str().unwrap())))
            .collect();
        let hearers = [(Some("hearer-20007"), Some(20_007)), (Some("hearer-20008"), Some(20_008))];
        assert_eq!(answered, hearers);
    }

    #[test]
    fn a_refusal_says_what_was_asked() {
        let error = [("result", Text("error")), ("error-reason", Text("Unknown call-id"))];
        let (mut control, _) = stand_in(vec![bencode::dictionary(&error)]);
        let error = control.ask(PATIENCE, &[("command", Text("publish"))]).unwrap_err();
        assert!(error.contains("publish") && error.contains("Unknown call-id"), "{error}");
    }
}
