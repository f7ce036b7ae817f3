//! Janus as a forwarder of plain RTP: its VideoRoom, a remote publisher for each session, and a forwarder to
//! each hearer.
//!
//! No WebRTC, no SRTP, so nothing but forwarding is measured. It is told over its HTTP interface, by the
//! requests `create`, `add_remote_publisher` and `rtp_forward` of the plugin's documentation.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::{fmt, fs};

use serde_json::{Value, json};

use super::daemon::Daemon;
use super::seats::Seats;
use super::wired::Wired;
use crate::bench::process::PATIENCE;
use crate::shell::run;

/// Plugins that Debian's package brings and nobody needs here.
const NEEDLESS: [&str; 11] = [
    "audiobridge",
    "duktape",
    "echotest",
    "lua",
    "nosip",
    "recordplay",
    "sip",
    "streaming",
    "textroom",
    "videocall",
    "voicemail",
];
/// Other ways to be told.
const MUTE: [&str; 5] = ["mqtt", "nanomsg", "pfunix", "rabbitmq", "websockets"];

/// Starts the program `janus` for these seats; its files go to `dir`.
///
/// # Errors
/// When it cannot be started, or refuses a request.
pub(super) fn start(janus: &Path, seats: Seats, dir: &Path) -> Result<Wired, String> {
    let http = free_port()?;
    let configuration = dir.join("janus");
    configure(&configuration, http)
        .map_err(|error| format!("{}: {error}", configuration.display()))?;
    let folder = configuration.display().to_string();
    let file = configuration.join("janus.jcfg").display().to_string();
    let command = run(janus.display().to_string(), ["-F", &folder, "-C", &file]);
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, http));
    let create = json!({"janus": "create", "transaction": "elara"});
    let ready = || post(at, "/janus", &create).ok();
    let (daemon, session) = Daemon::start(&command, &dir.join("janus.log"), ready)?;
    let room = Room::enter(at, &session)?;
    let to = (0..seats.sessions).map(|session| room.wire(session, seats));
    let to = to.collect::<Result<_, _>>()?;
    Ok(Wired { daemon, to, first_port: seats.first_port })
}

fn configure(folder: &Path, http: u16) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let list = |prefix: &str, names: &[&str]| {
        let files: Vec<String> = names.iter().map(|name| format!("libjanus_{name}.so")).collect();
        format!("{prefix}: {{\n\tdisable = \"{}\"\n}}\n", files.join(","))
    };
    let main = format!(
        "general: {{\n\tdebug_level = 3\n\tsession_timeout = 0\n\tinterface = \"127.0.0.1\"\n}}\n{}{}",
        list("plugins", &NEEDLESS),
        list("transports", &MUTE)
    );
    fs::write(folder.join("janus.jcfg"), main)?;
    let transport = format!(
        "general: {{\n\tjson = \"compact\"\n\tbase_path = \"/janus\"\n\thttp = true\n\tport = {http}\n\
         \tip = \"127.0.0.1\"\n\thttps = false\n}}\nadmin: {{\n\tadmin_http = false\n}}\n"
    );
    fs::write(folder.join("janus.transport.http.jcfg"), transport)
}

/// A handle of the plugin.
struct Room {
    at: SocketAddr,
    path: String,
}

impl Room {
    /// Attaches to the plugin in the session that `created` answers.
    fn enter(at: SocketAddr, created: &Value) -> Result<Self, String> {
        let session = format!("/janus/{}", number(created, "/data/id")?);
        let attach = json!({
            "janus": "attach", "plugin": "janus.plugin.videoroom", "transaction": "elara",
        });
        let attached = post(at, &session, &attach)?;
        let path = format!("{session}/{}", number(&attached, "/data/id")?);
        Ok(Self { at, path })
    }

    /// Makes a room for `session`, and answers where its sender is heard.
    fn wire(&self, session: u16, seats: Seats) -> Result<SocketAddr, String> {
        let room = u64::from(session) + 1;
        self.ask(&json!({"request": "create", "room": room, "publishers": 1}))?;
        let published = self.ask(&json!({
            "request": "add_remote_publisher", "room": room, "id": 1, "iface": "127.0.0.1",
            "streams": [{"type": "video", "mindex": 0, "mid": "0", "codec": "vp8"}],
        }))?;
        let port = number(&published, "/port")?;
        let port = u16::try_from(port).map_err(|error| format!("janus: port {port}: {error}"))?;
        let streams: Vec<Value> =
            seats.hearers(session).map(|port| json!({"mid": "0", "port": port})).collect();
        self.ask(&json!({
            "request": "rtp_forward", "room": room, "publisher_id": 1, "host": "127.0.0.1",
            "streams": streams,
        }))?;
        Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// What the plugin answers.
    fn ask(&self, body: &Value) -> Result<Value, String> {
        let message = json!({"janus": "message", "transaction": "elara", "body": body});
        let answer = post(self.at, &self.path, &message)?;
        let data = &answer["plugindata"]["data"];
        if data.is_null() || !data["error"].is_null() {
            return Err(format!("janus: {body}: {answer}"));
        }
        Ok(data.clone())
    }
}

fn number(answer: &Value, at: &str) -> Result<u64, String> {
    let number = answer.pointer(at).and_then(Value::as_u64);
    number.ok_or_else(|| format!("janus: no {at} in {answer}"))
}

/// A TCP port that nobody has.
pub(super) fn free_port() -> Result<u16, String> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|bound| bound.local_addr());
    bound.map(|addr| addr.port()).map_err(|error| format!("no free TCP port: {error}"))
}

/// What `at` answers to a request.
fn post(at: SocketAddr, path: &str, body: &Value) -> Result<Value, String> {
    let wrong = |error: &dyn fmt::Display| format!("http://{at}{path}: {error}");
    let body = body.to_string();
    let request = format!(
        "POST {path} HTTP/1.0\r\nHost: janus\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut text = String::new();
    let answer = TcpStream::connect(at).and_then(|mut stream| {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request.as_bytes())?;
        stream.read_to_string(&mut text)
    });
    answer.map_err(|error| wrong(&error))?;
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    serde_json::from_str(body).map_err(|error| wrong(&format!("{error}: {text}")))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::thread;

    use super::*;

    /// Answers each request with the next of `answers`, and says what the requests were.
    fn stand_in(answers: Vec<Value>) -> (SocketAddr, thread::JoinHandle<Vec<(String, Value)>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let serve = move |answer: Value| {
            let mut input = BufReader::new(listener.accept().unwrap().0);
            let line = |input: &mut BufReader<TcpStream>| {
                let mut line = String::new();
                input.read_line(&mut line).unwrap();
                line
            };
            let first = line(&mut input);
            let mut len = 0;
            loop {
                let header = line(&mut input);
                if header.trim().is_empty() {
                    break;
                }
                if let Some(value) = header.strip_prefix("Content-Length: ") {
                    len = value.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; len];
            input.read_exact(&mut body).unwrap();
            let reply = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{answer}");
            input.get_mut().write_all(reply.as_bytes()).unwrap();
            let path = first.split(' ').nth(1).unwrap().to_owned();
            (path, serde_json::from_slice(&body).unwrap())
        };
        (at, thread::spawn(move || answers.into_iter().map(serve).collect()))
    }

    #[test]
    fn a_session_is_a_room_with_a_publisher_and_a_forwarder_for_each_hearer() {
        let data = |data: Value| json!({"janus": "success", "plugindata": {"data": data}});
        let (at, asked) = stand_in(vec![
            json!({"janus": "success", "data": {"id": 7}}),
            data(json!({"videoroom": "created", "room": 3})),
            data(json!({"videoroom": "success", "port": 40_001})),
            data(json!({"videoroom": "success"})),
        ]);
        let room = Room::enter(at, &json!({"data": {"id": 5}})).unwrap();
        let seats = Seats { sessions: 3, participants: 3, first_port: 20_000 };
        assert_eq!(room.wire(2, seats).unwrap(), "127.0.0.1:40001".parse().unwrap());
        let asked = asked.join().unwrap();
        assert_eq!((asked[0].0.as_str(), asked[1].0.as_str()), ("/janus/5", "/janus/5/7"));
        let bodies: Vec<&Value> = asked[1..].iter().map(|(_, asked)| &asked["body"]).collect();
        assert!(bodies.iter().all(|body| body["room"] == 3), "{bodies:?}");
        assert_eq!(
            bodies[2]["streams"],
            json!([{"mid": "0", "port": 20_007}, {"mid": "0", "port": 20_008}])
        );
    }

    #[test]
    fn a_refusal_says_what_was_asked() {
        let refusal = json!({"plugindata": {"data": {"error": "No such room", "error_code": 426}}});
        let (at, _) = stand_in(vec![refusal]);
        let room = Room { at, path: "/janus/1/2".into() };
        let error = room.ask(&json!({"request": "rtp_forward"})).unwrap_err();
        assert!(error.contains("rtp_forward") && error.contains("No such room"), "{error}");
    }
}
