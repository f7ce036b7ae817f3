"""libnice through our relay: two agents that may use nothing but relayed addresses, and a stream of bytes both ways.

    /usr/bin/python3 tests/others/nice.py 127.0.0.1 7840 USER PASSWORD

Needs Debian's python3-gi and gir1.2-nice-0.1. The stream is libnice's own (pseudo-TCP over the relayed datagrams).
Prints one line; exit status 0 when every byte came.
"""

import os
import sys
import traceback

import gi

gi.require_version("Nice", "0.1")
from gi.repository import GLib, Nice  # noqa: E402

DATA = bytes(place * 7 % 251 for place in range(100_000))
PATIENCE = 60


class Agent:
    """One end: gathers, trades candidates with its peer, writes all of DATA and reads as much."""

    def __init__(self, loop, controlling, server):
        host, port, user, password = server
        self.loop, self.peer, self.gathered, self.ready = loop, None, False, False
        self.heard = bytearray()
        self.agent = Nice.Agent.new_reliable(loop.get_context(), Nice.Compatibility.RFC5245)
        settings = {"controlling-mode": controlling, "force-relay": True, "upnp": False, "ice-tcp": False}
        for name, value in settings.items():
            self.agent.set_property(name, value)
        # By itself it leaves loopback out.
        here = Nice.Address.new()
        here.set_from_string(host)
        self.agent.add_local_address(here)
        self.stream = self.agent.add_stream(1)
        self.agent.set_relay_info(self.stream, 1, host, int(port), user, password, Nice.RelayType.UDP)
        self.agent.connect("candidate-gathering-done", self.on_gathered)
        self.agent.connect("component-state-changed", self.on_state)

    def gather(self):
        # Its sockets are looked after for as long as somebody reads.
        self.io = self.agent.get_io_stream(self.stream, 1)
        self.read()
        assert self.agent.gather_candidates(self.stream), "libnice gathers nothing"

    def on_gathered(self, *_):
        kinds = {candidate.type for candidate in self.agent.get_local_candidates(self.stream, 1)}
        assert kinds == {Nice.CandidateType.RELAYED}, f"candidates other than relayed: {kinds}"
        self.gathered = True
        if self.peer.gathered:
            self.offer()
            self.peer.offer()

    def offer(self):
        _, name, password = self.agent.get_local_credentials(self.stream)
        peer = self.peer
        peer.agent.set_remote_credentials(peer.stream, name, password)
        peer.agent.set_remote_candidates(peer.stream, 1, self.agent.get_local_candidates(self.stream, 1))

    def on_state(self, _agent, _stream, _component, state):
        if state == Nice.ComponentState.FAILED:
            sys.exit("libnice: the connection failed")
        if state == Nice.ComponentState.READY and not self.ready:
            self.ready = True
            if self.peer.ready:
                self.talk()
                self.peer.talk()

    def talk(self):
        self.left = DATA
        self.write()

    def write(self):
        if self.left:
            output = self.io.get_output_stream()
            output.write_bytes_async(GLib.Bytes.new(self.left[:8_192]), 0, None, self.on_written)

    def on_written(self, output, result):
        self.left = self.left[output.write_bytes_finish(result) :]
        self.write()

    def read(self):
        self.io.get_input_stream().read_bytes_async(65_536, 0, None, self.on_read)

    def on_read(self, source, result):
        self.heard += source.read_bytes_finish(result).get_data()
        if len(self.heard) < len(DATA):
            self.read()
        elif len(self.peer.heard) >= len(DATA):
            self.loop.quit()


def fail(kind, error, trace):
    """Ends the program: an exception inside a callback would only be printed."""
    traceback.print_exception(kind, error, trace)
    os._exit(1)


def main(server):
    sys.excepthook = fail
    loop = GLib.MainLoop()
    one, other = Agent(loop, True, server), Agent(loop, False, server)
    one.peer, other.peer = other, one
    one.gather()
    other.gather()
    too_late = f"libnice: not everything came within {PATIENCE} s"
    GLib.timeout_add_seconds(PATIENCE, lambda: sys.exit(f"{too_late}: {len(one.heard)}, {len(other.heard)} bytes"))
    loop.run()
    assert one.heard == DATA and other.heard == DATA, "libnice: what came is not what was sent"
    print(f"libnice: {len(one.heard)} and {len(other.heard)} bytes, relayed only")


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(sys.argv[1:])
