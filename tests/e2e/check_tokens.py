#!/usr/bin/python3
"""Whom an identity provider vouches for: its keys are fetched from a URL, by an issuer that rotates them, hangs and lies.
Tokens are made by PyJWT, which is not ours."""
import contextlib
import http.server
import json
import socket
import subprocess
import sys
import threading
import time
import types

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import tap
from client import Client, Refused, await_true
from whole_mesh import BUILD, Mesh

KINDS = {"ES256": (lambda: ec.generate_private_key(ec.SECP256R1()), jwt.algorithms.ECAlgorithm),
         "RS256": (lambda: rsa.generate_private_key(65537, 2048), jwt.algorithms.RSAAlgorithm),
         "EdDSA": (ed25519.Ed25519PrivateKey.generate, jwt.algorithms.OKPAlgorithm)}


class Key:
    def __init__(self, kid, alg):
        self.kid, self.alg = kid, alg
        make, self.algorithm = KINDS[alg]
        self.private = make()

    def jwk(self):
        return json.loads(self.algorithm.to_jwk(self.private.public_key())) | {"kid": self.kid, "use": "sig", "alg": self.alg}

    def token(self, header=None, **claims):
        now = int(time.time())
        claims = {"iss": "https://issuer.example", "aud": "ordermesh", "sub": "sap", "roles": ["erp"], "iat": now,
                  "exp": now + 600} | claims
        return jwt.encode(claims, self.private, algorithm=self.alg, headers={"kid": self.kid} | (header or {}))


class Issuer(http.server.ThreadingHTTPServer):
    """Answers with its keys, or as it is told to."""
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.keys, self.answer, self.asked = [], None, 0
        self.go_on = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/.well-known/jwks.json"


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # as http.server wants it
        issuer = self.server
        issuer.asked += 1
        if issuer.answer == "hang":
            issuer.go_on.wait(60)
            return
        body = (issuer.answer or json.dumps({"keys": [k.jwk() for k in issuer.keys]})).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def gateway(issuer, *options):
    """One more gateway of the mesh, which believes this issuer; its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    keys, base = MESH.dir / "keys", MESH.base
    names = ("order", "inventory", "payment", "shipping", "notify")
    ports = dict(zip(names, (101, 201, 301, 401, 501)))
    log = open(MESH.dir / "log" / "gateway-2.log", "ab")
    process = subprocess.Popen(
        [BUILD / "gateway" / "gateway", "--listen", f"127.0.0.1:{port}", "--peers",
         ",".join(f"svc-{n}=127.0.0.1:{base + ports[n]}" for n in names), "--tls-ca", keys / "ca.crt", "--tls-cert",
         keys / "gateway.crt", "--tls-key", keys / "gateway.key", "--jwt-keys", issuer, "--jwt-issuer",
         "https://issuer.example", *options], env=MESH.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        code = process.wait(30)
        log.close()
        assert code == 0, f"the gateway ended with {code}\n{MESH.logs()}"


def ask(address, token):
    """Empty if the token was taken, else the reason why not."""
    with Client(types.SimpleNamespace(address=address)) as client:
        try:
            client.call("oms.order.v1.OrderService/ListOrders", {"pageSize": 1}, extra={"authorization": "Bearer " + token})
            return ""
        except Refused as e:
            assert e.code in ("UNAUTHENTICATED", "UNAVAILABLE"), e
            return e.reason or e.code


def tokens_of_another_library_are_taken_in_every_algorithm():
    issuer = Issuer()
    issuer.keys = [Key("e", "ES256"), Key("r", "RS256"), Key("d", "EdDSA")]
    with gateway(issuer.url) as address:
        for key in issuer.keys:
            await_true(f"a token of {key.alg} is taken", lambda k=key: ask(address, k.token()) == "")
            assert ask(address, key.token(exp=1)) == "TOKEN_EXPIRED"
            assert ask(address, key.token(aud="other")) == "TOKEN_FOREIGN"
            assert ask(address, key.token(iss="https://other.example")) == "TOKEN_FOREIGN"
            assert ask(address, key.token({"typ": "logout+jwt"})) == "TOKEN_MALFORMED"
            stranger = Key(key.kid, key.alg)
            assert ask(address, stranger.token()) == "TOKEN_SIGNATURE"
        public = issuer.keys[1].private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        confused = jwt.encode({"sub": "sap"}, public, algorithm="HS256", headers={"kid": "r"})
        assert ask(address, confused) == "TOKEN_MALFORMED"
        assert ask(address, jwt.encode({"sub": "sap"}, None, algorithm="none")) == "TOKEN_MALFORMED"


def keys_that_the_issuer_rotates_are_followed_by_their_kid():
    issuer = Issuer()
    old, new = Key("1", "ES256"), Key("2", "ES256")
    issuer.keys = [old]
    with gateway(issuer.url) as address:
        await_true("the first key is known", lambda: ask(address, old.token()) == "")
        issuer.keys = [old, new]
        assert ask(address, new.token()) in ("TOKEN_KEY_UNKNOWN", "")
        await_true("the new key is known", lambda: ask(address, new.token()) == "")
        assert ask(address, old.token()) == ""
        issuer.keys = [new]
        await_true("the old key is no more", lambda: ask(address, Key("3", "ES256").token()) == "TOKEN_KEY_UNKNOWN"
                   and ask(address, old.token()) == "TOKEN_KEY_UNKNOWN")
        assert ask(address, new.token()) == ""
        assert issuer.asked < 10, f"{issuer.asked} fetches"


def an_issuer_that_hangs_or_lies_changes_nothing():
    issuer = Issuer()
    key, other = Key("1", "RS256"), Key("2", "RS256")
    issuer.keys = [key]
    with gateway(issuer.url, "--jwt-refetch", "50ms") as address:
        await_true("the key is known", lambda: ask(address, key.token()) == "")
        for answer in ("", "<html>", '{"keys":[]}', json.dumps({"keys": [other.jwk() | {"kid": "1"}, key.jwk()]}),
                       json.dumps({"keys": [Key("1", "ES256").jwk() | {"alg": "RS256"}]}), "[" * 100000,
                       json.dumps({"keys": [key.jwk()], "pad": "x" * (2 << 20)}), "hang"):
            issuer.answer, asked = answer or " ", issuer.asked
            await_true("the issuer was asked", lambda n=asked: issuer.asked > n + (answer != "hang"))
            assert ask(address, key.token()) == "", answer[:60]
            assert ask(address, other.token()) == "TOKEN_KEY_UNKNOWN", answer[:60]
        issuer.answer, issuer.keys = None, [other]
        issuer.go_on.set()
        await_true("the issuer is believed again", lambda: ask(address, other.token()) == "")
        assert ask(address, key.token()) == "TOKEN_KEY_UNKNOWN"


def a_gateway_that_starts_before_its_issuer_waits_for_it():
    with Issuer() as later:
        url, port = later.url, later.server_address[1]
        later.shutdown()
    key = Key("1", "EdDSA")
    with gateway(url) as address:
        await_true("it listens", lambda: ask(address, key.token()) == "TOKEN_KEY_UNKNOWN")
        Issuer.allow_reuse_address = True
        issuer = http.server.ThreadingHTTPServer(("127.0.0.1", port), Answer)
        issuer.keys, issuer.answer, issuer.asked = [key], None, 0
        threading.Thread(target=issuer.serve_forever, daemon=True).start()
        await_true("the issuer was found", lambda: ask(address, key.token()) == "")


def a_machine_has_an_api_key_until_its_line_is_gone():
    accounts = MESH.dir / "accounts"
    accounts.write_text("# machines", encoding="ascii")  # without an end of line
    lists = ("oms.order.v1.OrderService/ListOrders", {"pageSize": 1})
    with gateway(MESH.dir / "keys" / "token.pub", "--accounts", accounts) as address:
        key = MESH.ctl("apikey", "create", "sap-1", "--sub", "sap", "--role", "erp", "--from", "127.0.0.0/8", "--expires",
                       "2999-01-31", "--accounts", accounts).strip()
        line = accounts.read_text(encoding="ascii").splitlines()[1]
        assert line.startswith("key sap-1 ") and key.split(".")[1] not in line, line
        with Client(types.SimpleNamespace(address=address)) as client:
            def refused(name="x-api-key", value=key):
                try:
                    client.call(*lists, extra={name: value})
                    return ""
                except Refused as e:
                    return e.reason or e.code
            await_true("the key is known", lambda: refused() == "")
            assert refused("authorization", "ApiKey " + key) == ""
            assert refused(value=key[:-1] + ("A" if key[-1] != "A" else "E")) == "API_KEY_UNKNOWN"
            accounts.write_text("", encoding="ascii")
            await_true("the key is forgotten", lambda: refused() == "API_KEY_UNKNOWN")
    made = MESH.ask("apikey", "create", "crm", "--sub", "crm", "--role", "csr")
    assert made["account"].startswith("key crm ") and made["key"].startswith("omk_crm."), made


with Mesh() as MESH:
    sys.exit(0 if tap.run([
        tokens_of_another_library_are_taken_in_every_algorithm,
        keys_that_the_issuer_rotates_are_followed_by_their_kid,
        an_issuer_that_hangs_or_lies_changes_nothing,
        a_gateway_that_starts_before_its_issuer_waits_for_it,
        a_machine_has_an_api_key_until_its_line_is_gone,
    ]) else 1)
