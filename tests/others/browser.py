"""Chromium through our relay: a data channel between two peer connections that may use nothing but relayed addresses.

    python3 tests/others/browser.py 127.0.0.1 7840 USER PASSWORD

Serves a page on loopback, opens it in a headless Chromium, and waits for what the page says became of it. Prints one
line; exit status 0 when every message came back and both ends used a relayed candidate.
"""

import http.server
import json
import shutil
import subprocess
import sys
import tempfile
import threading

PATIENCE = 90
MESSAGES = 200

PAGE = """<!doctype html><meta charset=utf-8><title>relay</title><script>
const ice = %s, messages = %d;
const say = result => fetch('/result', { method: 'POST', body: JSON.stringify(result) });
// Of which kind the candidate is that an end has chosen; it may come to know a little later than the data.
const kind = async end => {
  for (;;) {
    const stats = await end.getStats();
    const chosen = [...stats.values()].find(it => it.type === 'transport' && it.selectedCandidatePairId);
    const pair = chosen && stats.get(chosen.selectedCandidatePairId);
    if (pair) return stats.get(pair.localCandidateId).candidateType;
    await new Promise(again => setTimeout(again, 20));
  }
};
(async () => {
  const errors = [];
  const [one, other] = [0, 0].map(() => new RTCPeerConnection(ice));
  const trickle = (from, to) => {
    from.onicecandidate = event => event.candidate && to.addIceCandidate(event.candidate);
    from.onicecandidateerror = event => errors.push(event.errorCode + ' ' + event.errorText);
  };
  trickle(one, other);
  trickle(other, one);
  let heard = 0;
  other.ondatachannel = event => {
    event.channel.binaryType = 'arraybuffer';
    event.channel.onmessage = message => event.channel.send(message.data);
  };
  const channel = one.createDataChannel('echo');
  channel.binaryType = 'arraybuffer';
  channel.onopen = () => {
    for (let length = 1; length <= messages; length++) channel.send(new Uint8Array(length * 20).fill(length));
  };
  channel.onmessage = async ({ data }) => {
    const bytes = new Uint8Array(data);
    heard += bytes.length === (heard + 1) * 20 && bytes[0] === (heard + 1) %% 256;
    if (heard === messages) say({ heard, kinds: [await kind(one), await kind(other)] });
  };
  await one.setLocalDescription(await one.createOffer());
  await other.setRemoteDescription(one.localDescription);
  await other.setLocalDescription(await other.createAnswer());
  await one.setRemoteDescription(other.localDescription);
  setTimeout(() => say({ heard, kinds: [], errors, state: one.iceConnectionState }), %d);
})().catch(error => say({ error: String(error) }));
</script>"""


def serve(page):
    """A server of one page; the second value is filled by what the page says."""
    said, done = {}, threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def do_POST(self):
            said.update(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()
            done.set()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, said, done


def main(host, port, user, password):
    browser = shutil.which("chromium") or sys.exit("there is no chromium: apt-get install chromium")
    urls = f"turn:{host}:{port}?transport=udp"
    ice = {
        "iceServers": [{"urls": urls, "username": user, "credential": password}],
        "iceTransportPolicy": "relay",
    }
    server, said, done = serve(PAGE % (json.dumps(ice), MESSAGES, (PATIENCE - 20) * 1000))
    with tempfile.TemporaryDirectory() as profile:
        # What it would ask the network for by itself has no place in a test.
        quiet = (
            "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync"
            " --disable-background-networking --disable-component-update --disable-dev-shm-usage"
            " --allow-loopback-in-peer-connection"
        )
        command = [browser, *quiet.split(), f"--user-data-dir={profile}"]
        command.append(f"http://127.0.0.1:{server.server_address[1]}/")
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            done.wait(PATIENCE)
        finally:
            process.kill()
            process.wait()
    assert said.get("heard") == MESSAGES, f"the page said {said or 'nothing'}"
    assert said["kinds"] == ["relay", "relay"], f"not everything went through the relay: {said}"
    print(f"chromium: {said['heard']} messages there and back, candidates {said['kinds']}")


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
