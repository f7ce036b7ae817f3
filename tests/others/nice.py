"""libnice through our relay: two agents with forced relaying, and messages both ways.

    /usr/bin/python3 tests/others/nice.py 127.0.0.1 7840 USER PASSWORD

Needs Debian's python3-gi and gir1.2-nice-0.1. Prints one line; exit status 0 when all of it came.
"""

import sys

import gi

gi.require_version("Nice", "0.1")
from gi.repository import GLib, Nice  # noqa: E402

MESSAGES = 50
PATIENCE = 60


class Agent:
    def __init__(self, loop, controlling, server):
        host, port, user, password = server
        self.loop, self.heard, self.peer, self.ready = loop, [], None, False
        self.agent = Nice.Agent.new(loop.get_context(), Nice.Compatibility.RFC5245)
        for name, value in ("controlling-mode", controlling), ("force-relay", True), ("upnp", False), ("ice-tcp", False):
            self.agent.set_property(name, value)
        self.stream = self.agent.add_stream(1)
        self.agent.set_relay_info(self.stream, 1, host, int(port), user, password, Nice.RelayType.UDP)
        self.agent.connect("candidate-gathering-done", self.gathered)
        self.agent.connect("component-state-changed", self.changed)
        self.agent.attach_recv(self.stream, 1, loop.get_context(), self.received)

    def gather(self):
        assert self.agent.gather_candidates(self.stream), "libnice gathers nothing"

    def gathered(self, *_):
        kinds = {candidate.type for candidate in self.agent.get_local_candidates(self.stream, 1)}
        assert kinds == {Nice.CandidateType.RELAYED}, f"candidates: {kinds}"
        self.done = True
        if self.peer.done:
            for here, there in (self, self.peer), (self.peer, self):
                _, name, password = here.agent.get_local_credentials(here.stream)
                there.agent.set_remote_credentials(there.stream, name, password)
                there.agent.set_remote_candidates(there.stream, 1, here.agent.get_local_candidates(here.stream, 1))

    done = False

    def changed(self, _agent, _stream, _component, state):
        if state == Nice.ComponentState.FAILED:
            sys.exit("libnice: the connection failed")
        if state == Nice.ComponentState.READY and not self.ready:
            self.ready = True
            if self.peer.ready:
                for agent in self, self.peer:
                    for number in range(1, MESSAGES + 1):
                        message = bytes([number]) * (1 + number * 20)
                        agent.agent.send(agent.stream, 1, len(message), message.decode("latin-1"))

    def received(self, _agent, _stream, _component, length, _buffer, *_):
        self.heard.append(length)
        if len(self.heard) >= MESSAGES and len(self.peer.heard) >= MESSAGES:
            self.loop.quit()


def main(server):
    loop = GLib.MainLoop()
    one, other = Agent(loop, True, server), Agent(loop, False, server)
    one.peer, other.peer = other, one
    one.gather()
    other.gather()
    GLib.timeout_add_seconds(PATIENCE, lambda: sys.exit(f"libnice: only {len(one.heard)} and {len(other.heard)} messages"))
    loop.run()
    print(f"libnice: {len(one.heard)} and {len(other.heard)} messages, relayed only")


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(sys.argv[1:])
