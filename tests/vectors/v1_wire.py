#!/usr/bin/env python3
"""Writes the golden vectors of wire v1 from `docs/WIRE.md` section 3, on its own: no line of it
knows the Rust code. `python3 tests/vectors/v1_wire.py > tests/vectors/v1-wire.txt`; the test
`wire_v1_vectors` of elara-core reads every one of them and builds it again."""

from struct import pack

SESSION, NODE = 0x5E55101700000001, 0x0A0B0C0D0E0F1011
INST = bytes(range(0xA0, 0xB0))
KEY = bytes(range(0x20, 0x40))
TAG, HOP = b"\xe2" * 16, b"\x40" * 16

out = []


def show(what, fields, data):
    out.append(f"# {what}\n{fields}\n{data.hex()}\n")


def named(fields):
    """The line of fields and their packed bytes. A field: name, struct code or None, value."""
    line, data = [], b""
    for name, code, value in fields:
        if code is None:
            line.append(f"{name}={value.hex()}")
            data += value
        else:
            line.append(f"{name}={value}")
            data += pack("<" + code, value)
    return line, data


# ---- Control messages ---------------------------------------------------------------------------


def control(kind, name, what, fields, entries=()):
    line, data = named(fields)
    for entry in entries:
        told, packed = named(entry)
        line.append("entry=" + ",".join(told).replace("=", ":"))
        data += packed
    message = pack("<BH", kind, len(data)) + data
    show(f"{kind:02x} {what}", " ".join(["message", name, *line]), message)
    return message


PING = control(0x01, "ping", "PING", [("id", "I", 7), ("t_client_us", "Q", 1_000_001), ("next_core", "I", 42)])
control(0x02, "pong", "PONG: of the Core frames before the ping's next_core, the last and the third last are missing",
        [("id", "I", 7), ("t_client_us", "Q", 1_000_001), ("t_relay_rx_us", "Q", 9_000_000),
         ("t_relay_tx_us", "Q", 9_000_050), ("missing", "I", 0b101)])
control(0x03, "path_challenge", "PATH_CHALLENGE", [("value", None, bytes(range(8)))])
RESPONSE = control(0x04, "path_response", "PATH_RESPONSE", [("value", None, bytes(range(8)))])
control(0x05, "subscribe", "SUBSCRIBE to everything, and to one stream of one node up to 300 kbit/s",
        [("version", "I", 3), ("hold_ms", "B", 5)],
        [[("node", "Q", 0), ("stream", "H", 0xFFFF), ("classes", "B", 0x1F), ("profile_max", "B", 0xFF), ("kbps_max", "H", 0xFFFF)],
         [("node", "Q", NODE), ("stream", "H", 2), ("classes", "B", 0x06), ("profile_max", "B", 0x21), ("kbps_max", "H", 300)]])
control(0x05, "subscribe", "SUBSCRIBE to nothing", [("version", "I", 4), ("hold_ms", "B", 0)])
ENTRY = [("node", "Q", NODE), ("id_pub", None, KEY), ("inst", None, INST), ("conn", "B", 2), ("phase", "B", 1), ("perms", "I", 0x11F)]
control(0x06, "roster", "ROSTER, the second of two pages",
        [("version", "I", 9), ("page", "B", 1), ("pages", "B", 2), ("others", "I", 5_000)],
        [ENTRY, [("node", "Q", 1), ("id_pub", None, KEY[::-1]), ("inst", None, INST), ("conn", "B", 255), ("phase", "B", 2), ("perms", "I", 0x101)]])
control(0x06, "roster", "ROSTER, a delta",
        [("version", "I", 10), ("page", "B", 0), ("pages", "B", 0), ("others", "I", 4_999)], [ENTRY])
control(0x07, "leave", "LEAVE, done", [("reason", "B", 1)])
control(0x08, "alert", "ALERT: draining in 30 s", [("code", "H", 10), ("arg", "I", 30)])
control(0x09, "kick", "KICK by a moderator", [("node", "Q", NODE), ("reason", "B", 2)])
control(0x0A, "move", "MOVE to 192.0.2.1 port 7840",
        [("ip", None, bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 1])), ("port", "H", 7840), ("relay_pub", None, KEY)])
control(0x0B, "get", "GET the roster, version 8 is here", [("what", "B", 1), ("arg", "Q", 8)])
control(0x0C, "streams_mine", "STREAMS_MINE: voice active, video starting",
        [("version", "I", 2)],
        [[("stream", "H", 1), ("kind", "B", 2), ("profile", "B", 0x11), ("phase", "B", 2)],
         [("stream", "H", 2), ("kind", "B", 3), ("profile", "B", 0x21), ("phase", "B", 1)]])
control(0x0D, "ack", "ACK of SUBSCRIBE version 3", [("message", "B", 5), ("version", "I", 3)])
control(0x0E, "streams", "STREAMS, the only page",
        [("version", "I", 6), ("page", "B", 0), ("pages", "B", 1)],
        [[("node", "Q", NODE), ("stream", "H", 1), ("kind", "B", 2), ("profile", "B", 0x11), ("phase", "B", 2)]])
MARK = control(0x0F, "mark", "MARK",
               [("n", "I", 12), ("sent", "Q", 100), ("bytes", "Q", 120_000), ("relay_us", "Q", 9_000_000),
                ("core_digest", "Q", 0x1122334455667788)])
control(0x10, "report", "REPORT: two datagrams of that mark were lost",
        [("n", "I", 12), ("received", "Q", 98), ("arrival_us", "Q", 1_020_000)])
control(0x11, "nack", "NACK of a stream's datagrams 500 and 563",
        [("node", "Q", NODE), ("conn", "B", 2), ("what", "B", 1), ("stream", "H", 2), ("layer", "B", 1),
         ("base", "I", 500), ("bitmap", "Q", 1 << 63 | 1)])
control(0x12, "keyframe_request", "KEYFRAME_REQUEST", [("node", "Q", NODE), ("stream", "H", 2)])
control(0x13, "unknown", "a type nobody knows", [("value", None, b"later")])

# ---- Frames -------------------------------------------------------------------------------------


def header(suite, flags, header_len, kind, profile, time, seq):
    return pack("<BBHQQBBiI", 0x10 | suite, flags, header_len, SESSION, NODE, kind, profile, time, seq)


STREAM = [("stream", "H", 2), ("bits", "B", 3), ("layer", "B", 1), ("frame", "I", 77), ("index", "I", 500)]
STATE = [("state", "Q", 0x0008000000000009), ("rule", "B", 2), ("ttl", "B", 5), ("part", "B", 1), ("parts", "B", 3),
         ("item", "I", 17), ("clock", "Q", 1_700_000_000_000 << 16 | 3), ("inst", None, INST)]
REGISTER = [("state", "Q", 0x00A0000000000001), ("rule", "B", 1), ("ttl", "B", 0), ("part", "B", 0), ("parts", "B", 1),
            ("item", "I", 0), ("clock", "Q", 1 << 16), ("inst", None, INST)]


def frame(what, size, kind=0, profile=0, suite=1, flags=0, time=0, seq=0, stream=None, state=None, conn=2):
    line = ["frame", f"suite={suite}", f"class={kind}", f"profile={profile}", f"flags={flags}", f"time={time}", f"seq={seq}"]
    tlvs = b""
    for name, kind_byte, fields in (("stream", 0x10, stream), ("state", 0x11, state)):
        if fields:
            told, packed = named(fields)
            line.append(f"{name}=" + ",".join(told).replace("=", ":"))
            tlvs += pack("BB", kind_byte, len(packed)) + packed
    line.append(f"epoch=0 conn={conn} gen=0")
    # PARITY is the lowest bit of the connection, EXTENSION says that there are TLVs.
    said = flags | (conn & 1) << 7 | (0x20 if tlvs else 0)
    text = bytes(at & 0xFF for at in range(size - 66 - len(tlvs)))
    line.append(f"text={text.hex()} tag={TAG.hex()} hop={HOP.hex()}")
    data = header(suite, said, 30 + len(tlvs), kind, profile, time, seq) + tlvs
    data += pack("<HBB", 0, conn, 0) + text + TAG + HOP
    assert len(data) == size
    show(what, " ".join(line), data)
    return data


SMALL = frame("a Core frame without TLVs: 66 bytes and what is sealed", 80, time=-5, seq=1)
frame("suite 0, and an odd connection: PARITY", 80, suite=0, conn=3)
VOICE = frame("STREAM: a voice frame", 120, kind=1, profile=0x11, seq=0xFFFFFFFF, stream=STREAM)
frame("STATE: the second part of three of an item of a log", 160, state=STATE, time=123_456)
frame("STREAM and STATE: presence as a register", 160, kind=1, profile=1, stream=STREAM, state=REGISTER, flags=0x10)
frame("the shortest frame a reader takes: nothing sealed", 66)
frame("the longest: 1,232 bytes", 1232, kind=4)


def control_frame(what, messages, suite=1):
    text = b"".join(messages)
    data = header(suite, 0, 30, 0xF1, 0, 0, 9) + text + HOP
    show(what, f"control suite={suite} seq=9 text={text.hex()} tag={HOP.hex()}", data)
    return data


CONTROL = control_frame("a control frame with two messages", [PING, RESPONSE])
control_frame("a control frame without messages", [], suite=0)

# ---- Bundles ------------------------------------------------------------------------------------


def bundle(what, frames):
    data = pack("<BBHQ", 0x13, len(frames), 0, SESSION)
    data += b"".join(pack("<H", len(frame)) for frame in frames) + b"".join(frames)
    show(what, "bundle " + " ".join(f"frame={frame.hex()}" for frame in frames), data)
    return data


bundle("a bundle of a Core frame, a voice frame and a control frame", [SMALL, VOICE, CONTROL])
assert len(bundle("ten frames of 120 bytes fill a bundle: 1,232 bytes", [VOICE] * 10)) == 1232

# ---- Opened bodies and events -------------------------------------------------------------------


def body(what, kind, content, size):
    data = bytes([kind]) + content + b"\x80"
    data += bytes(size - len(data))
    show(what, f"body kind={kind} len={size} content={content.hex()}", data)


body("a media body of 14 bytes, full", 2, b"twelve bytes", 14)
body("an event body whose content ends like padding", 1, b"\x80\x00", 14)
body("a body without content", 2, b"", 14)

VERSION = pack("<QQ", NODE, 3)
DELTA = b"\x03\x02\x00hi"
BLOCK = pack("<BQH", 0x80, 0x0008000000000009, len(VERSION)) + VERSION + pack("<H", len(DELTA)) + DELTA
TOLD = f"kind=128 state={0x0008000000000009} seen={NODE}/3 append={b'hi'.hex()}"
show("an event without proof", f"event {TOLD} proof=", BLOCK + b"\x00")
show("an event with an Ed25519 proof", f"event {TOLD} proof={(KEY * 2).hex()}", BLOCK + b"\x01" + KEY * 2)
_, packed = named(STATE)
TLVS = b"\x11\x28" + packed
show("what the author signs", f"signed id_pub={KEY.hex()} time=-5 tlvs={TLVS.hex()} block={BLOCK.hex()}",
     b"ELARA1 event\x00" + pack("<Q", SESSION) + KEY + pack("<i", -5) + TLVS + BLOCK)

print("""# Wire v1: each thing that stands on the wire, three lines each: what it shows, its fields (numbers
# decimal, bytes hex), its bytes. Session 5e55101700000001 and node 0a0b0c0d0e0f1011 throughout. Tags are
# not computed here. Written by `python3 tests/vectors/v1_wire.py`, from the text of docs/WIRE.md.
""")
print("\n".join(out), end="")
