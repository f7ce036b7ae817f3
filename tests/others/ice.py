"""aioice through our relay: two ICE agents that may use nothing but relayed addresses.

    python3 tests/others/ice.py 127.0.0.1 7840 USER PASSWORD

Gathers, checks that there are relayed candidates and no others, connects, and sends messages of many lengths
both ways. Prints one line; exit status 0 when all of it came.
"""

import asyncio
import sys

import aioice
from aioice.ice import TransportPolicy

LENGTHS = [1, 2, 3, 4, 5, 100, 119, 120, 121, 1000, 1200]
ROUNDS = 20


async def main(host, port, user, password):
    def agent(controlling):
        return aioice.Connection(
            ice_controlling=controlling,
            turn_server=(host, port),
            turn_username=user,
            turn_password=password,
            transport_policy=TransportPolicy.RELAY,
            use_ipv6=False,
        )

    one, other = agent(True), agent(False)
    for here, there in (one, other), (other, one):
        await here.gather_candidates()
        kinds = {candidate.type for candidate in here.local_candidates}
        assert kinds == {"relay"}, f"candidates other than relayed: {kinds}"
        for candidate in here.local_candidates:
            await there.add_remote_candidate(candidate)
        await there.add_remote_candidate(None)
        there.remote_username, there.remote_password = here.local_username, here.local_password
    await asyncio.gather(one.connect(), other.connect())
    count = 0
    for turn in range(ROUNDS):
        for length in LENGTHS:
            message = bytes((turn + place) % 251 for place in range(length))
            for here, there in (one, other), (other, one):
                await here.send(message)
                heard = await there.recv()
                assert heard == message, f"{length} bytes came out as {len(heard)}"
                count += 1
    relayed = one.local_candidates[0]
    await asyncio.gather(one.close(), other.close())
    print(f"aioice {aioice.__version__}: {count} messages through {relayed.host}:{relayed.port}")


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    asyncio.run(asyncio.wait_for(main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:]), 60))
