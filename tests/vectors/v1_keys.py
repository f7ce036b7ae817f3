#!/usr/bin/env python3
"""An independent reading of docs/WIRE.md section 3, held against v1-token, -hop, -seal and -handshake.txt.

Shares no code with elara: Noise, HKDF and every layout are written here again, on the package
`cryptography`. Run: python3 tests/vectors/v1_keys.py
"""
import base64, hashlib, hmac as _hmac, os, struct, subprocess, sys
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HERE = os.path.dirname(os.path.abspath(__file__)) if len(sys.argv) < 2 else sys.argv[1]
checks = 0

def same(ours, theirs, what):
    global checks
    checks += 1
    if ours != theirs: sys.exit(f"{what}: {ours.hex() if isinstance(ours, bytes) else ours} is not {theirs.hex() if isinstance(theirs, bytes) else theirs}")

def hmac(key, *parts): return _hmac.new(key, b"".join(parts), hashlib.sha256).digest()
def sha(*parts): return hashlib.sha256(b"".join(parts)).digest()
def expand(prk, info, n):
    out, last, i = b"", b"", 1
    while len(out) < n:
        last = hmac(prk, last, info, bytes([i])); out += last; i += 1
    return out[:n]
def aead(suite, key): return AESGCM(key) if suite else ChaCha20Poly1305(key)
def xor(a, b): return bytes(x ^ y for x, y in zip(a, b))
def raw(pub): return pub.public_bytes(Encoding.Raw, PublicFormat.Raw)
def xpub(secret): return raw(X25519PrivateKey.from_private_bytes(secret).public_key())
def dh(secret, pub): return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(pub))
def edpub(seed): return raw(Ed25519PrivateKey.from_private_bytes(seed).public_key())
def sign(seed, *parts): return Ed25519PrivateKey.from_private_bytes(seed).sign(b"".join(parts))

class Told(dict):
    def b(self, name): return bytes.fromhex(self[name])
    def n(self, name): return int(self[name])

read = set()

def paragraphs(name):
    read.add(name)
    text = open(os.path.join(HERE, name)).read()
    for paragraph in text.split("\n\n")[1:]:
        what, *lines = paragraph.strip().split("\n")
        yield what, Told(line.split(" ", 1) if " " in line else (line, "") for line in lines)

def token(t):
    body = struct.pack("<BBHQ32sIIIIHH", 1, t.n("kind"), t.n("kid"), int(t["session"].split("x")[-1], 16), t.b("subject"),
        t.n("permissions"), t.n("not_before"), t.n("expires"), t.n("max_kbps"), t.n("max_pps"), t.n("priority"))
    assert len(body) == 64
    return body + sign(t.b("issuer_seed"), b"ELARA1 token\0", body)

def b64(b): return base64.urlsafe_b64encode(b).rstrip(b"=").decode()

for what, t in paragraphs("v1-token.txt"):
    if "token" in what:
        same(edpub(t.b("issuer_seed")), t.b("issuer_pub"), "issuer_pub")
        same(token(t), t.b("token"), what)
    elif "certificate" in what:
        same(xpub(t.b("s_secret")), t.b("s_pub"), "s_pub")
        same(sha(t.b("id_pub"))[:8], struct.pack("<Q", int(t["node"], 16)), "node")
        same(sign(t.b("id_seed"), b"ELARA1 static\0", t.b("s_pub"), struct.pack("<I", t.n("not_after"))), t.b("signature"), what)
    else:
        link = f"elara://{t['host']}:{t['port']}/{t['session']}?k={b64(t.b('relay_pub'))}#t={b64(t.b('token'))}&e={b64(t.b('key'))}"
        same(link, t["link"], what)

def hop_key(h, k, label):
    material = expand(hmac(h, k), label, 44)
    return material[:32], material[32:]
def hop_nonce(iv, frame): return xor(iv, bytes(4) + frame[20:21] + bytes(3) + frame[26:30])

def gcm_tag_over_ciphertext(key, nonce, aad, ciphertext):
    """The tag GCM would give if the ciphertext were this: decrypt without checking, seal again."""
    ctr = Cipher(algorithms.AES(key), modes.CTR(nonce + b"\0\0\0\2")).encryptor()
    plain = ctr.update(ciphertext)
    sealed = AESGCM(key).encrypt(nonce, plain, aad)
    assert sealed[:-16] == ciphertext
    return sealed[-16:]

def hop_tag(suite, key, iv, untagged):
    nonce = hop_nonce(iv, untagged)
    if suite == 0:
        return ChaCha20Poly1305(key).encrypt(nonce, b"", untagged)
    hl = struct.unpack("<H", untagged[2:4])[0]
    return gcm_tag_over_ciphertext(key, nonce, untagged[:hl], untagged[hl:])

def inst_of(h, ki): return expand(hmac(h, ki), b"ELARA1 inst", 16)

for what, t in paragraphs("v1-hop.txt"):
    suite = t.n("suite")
    if "names" in what:
        same(inst_of(t.b("h"), t.b("ki")), t.b("inst"), what)
    elif "data" in what:
        key, iv = hop_key(t.b("h"), t.b("ki"), b"ELARA1 hop up")
        same(t.b("untagged") + hop_tag(suite, key, iv, t.b("untagged")), t.b("frame"), what)
    else:
        key, iv = hop_key(t.b("h"), t.b("kr"), b"ELARA1 hop dn")
        header = t.b("header")
        same(header + aead(suite, key).encrypt(hop_nonce(iv, header), t.b("messages"), header), t.b("frame"), what)

for what, t in paragraphs("v1-seal.txt"):
    suite, head = t.n("suite"), t.b("head")
    same(inst_of(t.b("h"), t.b("ki")), t.b("inst"), "inst")
    s = hmac(b"ELARA1 psk", t.b("session_key"))
    base = expand(s, b"ELARA1 sender" + t.b("id_pub") + t.b("inst"), 32)
    ck = expand(base, b"ELARA1 class" + bytes([t.n("class")]), 32)
    material = expand(ck, b"ELARA1 key", 44)
    aad = head + struct.pack("<HBB", 0, t.n("conn"), 0)
    same(head[26:30], struct.pack("<I", t.n("seq")), "seq"); same(head[1] >> 7, t.n("conn") & 1, "parity")
    nonce = xor(material[32:], bytes(8) + head[26:30])
    untagged = aad + aead(suite, material[:32]).encrypt(nonce, t.b("content"), aad)
    key, iv = hop_key(t.b("h"), t.b("ki"), b"ELARA1 hop up")
    same(untagged + hop_tag(suite, key, iv, untagged), t.b("frame"), what)

class Noise:
    def __init__(self, suite, prologue, rs):
        name = b"Noise_IK_25519_AESGCM_SHA256" if suite else b"Noise_IK_25519_ChaChaPoly_SHA256"
        self.suite, self.h = suite, name.ljust(32, b"\0") if len(name) <= 32 else sha(name)
        self.ck, self.k, self.n = self.h, None, 0
        self.mix(prologue); self.mix(rs)
    def mix(self, data): self.h = sha(self.h, data)
    def key(self, ikm):
        temp = hmac(self.ck, ikm)
        self.ck = hmac(temp, b"\1"); self.k = hmac(temp, self.ck, b"\2"); self.n = 0
    def seal(self, plain):
        nonce = bytes(4) + struct.pack(">Q" if self.suite else "<Q", self.n); self.n += 1
        c = aead(self.suite, self.k).encrypt(nonce, plain, self.h); self.mix(c); return c
    def split(self):
        temp = hmac(self.ck, b""); k1 = hmac(temp, b"\1"); return k1, hmac(temp, k1, b"\2")

for what, t in paragraphs("v1-handshake.txt"):
    suite, relay_pub = t.n("suite"), t.b("relay_pub")
    same(xpub(t.b("relay_secret")), relay_pub, "relay_pub")
    same(sign(t.b("issuer_seed"), b"ELARA1 token\0", t.b("token")[:64]), t.b("token")[64:], "token")
    same(edpub(t.b("id_seed")), t.b("id_pub"), "id_pub")
    session, node = struct.pack("<Q", int(t["session"], 16)), struct.pack("<Q", int(t["node"], 16))
    mac1_key, mac0_key = sha(b"ELARA1 mac1", relay_pub), sha(b"ELARA1 mac0", relay_pub)
    k_cookie, k_reset = expand(t.b("relay_secret"), b"ELARA1 cookie", 32), expand(t.b("relay_secret"), b"ELARA1 reset", 32)
    reset_token = hmac(k_reset, b"ELARA1 reset", session, node)[:16]
    s_pub = xpub(t.b("s_secret"))
    def header(kind): return struct.pack("<BBH8s8sBBiI", 0x10 | suite, 0, 30, session, node, 0xF0, kind, 0, 0)
    def mac0(frame): return frame + hmac(mac0_key, frame)[:16]
    cert = sign(t.b("id_seed"), b"ELARA1 static\0", s_pub, struct.pack("<I", t.n("not_after")))
    def hello(attempt, cookie, e, last_conn, ms):
        front = header(1) + attempt + cookie
        assert len(front) == 62
        payload = (t.b("id_pub") + struct.pack("<I", t.n("not_after")) + cert + struct.pack("<IBB2x", t.n("caps"), last_conn, 0)
            + t.b("token") + struct.pack("<Q", ms)).ljust(338, b"\0")
        noise = Noise(suite, b"ELARA1" + front, relay_pub)
        out = xpub(e); noise.mix(out)
        noise.key(dh(e, relay_pub)); out += noise.seal(s_pub)
        noise.key(dh(t.b("s_secret"), relay_pub)); out += noise.seal(payload)
        frame = front + out
        frame += hmac(mac1_key, frame)[:16]
        assert len(frame) == 512
        return frame, noise
    first, _ = hello(t.b("first_attempt"), bytes(24), t.b("first_e_secret"), 0xFF, t.n("hello_ms"))
    same(first, t.b("first_hello"), "first HELLO")
    secs = struct.pack("<I", t.n("cookie_seconds"))
    cookie = secs + bytes(4) + hmac(k_cookie, b"ELARA1 cookie", secs, t.b("observed_ip"), struct.pack("<H", t.n("observed_port")), session, node)[:16]
    same(mac0(header(2) + t.b("first_attempt") + cookie), t.b("retry"), "RETRY")
    same(mac0(header(5) + t.b("first_attempt") + struct.pack("<I", t.n("retry_ms"))), t.b("busy"), "BUSY")
    second, noise = hello(t.b("attempt"), cookie, t.b("e_secret"), 0xFF, t.n("hello_ms") + 1)
    same(second, t.b("hello"), "HELLO")
    re, e_pub = t.b("relay_e_secret"), xpub(t.b("e_secret"))
    payload = struct.pack("<BxHHHII16sH2xQI16s16x", t.n("conn"), 1232, 600, 1000, 4000, 2000, t.b("observed_ip"), t.n("observed_port"),
        0x0102030405060708, 9, reset_token)
    assert len(payload) == 80
    out = xpub(re); noise.mix(out); noise.key(dh(re, e_pub)); noise.key(dh(re, s_pub)); out += noise.seal(payload)
    same(header(3) + t.b("attempt") + out, t.b("welcome"), "WELCOME")
    ki, kr = noise.split()
    same(inst_of(noise.h, ki), t.b("inst"), "inst")
    same(mac0(header(4) + reset_token), t.b("reset"), "RESET")

# A file without rules here is written by a script of its own: v1-wire.txt by v1_wire.py.
for name in sorted(n for n in os.listdir(HERE) if n.startswith("v1-") and n.endswith(".txt") and n not in read):
    script = os.path.join(HERE, name[:-4].replace("-", "_") + ".py")
    assert os.path.exists(script), f"{name}: no rule reads it and no script writes it"
    same(subprocess.run([sys.executable, script], capture_output=True, check=True).stdout, open(os.path.join(HERE, name), "rb").read(), name)

print(f"{checks} values agree")
