"""Certificates of a listener in other wrappings: encrypted keys and PKCS #12."""
import json
import subprocess

import pytest

from ports import free_port
from wire import FAIRLEAD, downstream_tls, listener, manager


@pytest.fixture(scope="module")
def files(certificate, tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    cert, key = certificate

    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
    openssl("pkcs8", "-topk8", "-in", key, "-out", folder / "pkcs8.pem", "-passout", "pass:secret")
    openssl("ec", "-in", key, "-out", folder / "traditional.pem", "-aes128", "-passout", "pass:secret")
    openssl("pkcs12", "-export", "-in", cert, "-inkey", key, "-out", folder / "both.p12", "-passout", "pass:secret")
    openssl("pkcs12", "-export", "-in", cert, "-inkey", key, "-out", folder / "open.p12", "-passout", "pass:")
    return folder


def listening(port, **certificate):
    tls = downstream_tls("x", "y")
    tls["typed_config"]["common_tls_context"]["tls_certificates"] = [certificate]
    return listener("l", port, manager([{"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "ok"}}}]), tls=tls)


SECRET = {"password": {"inline_string": "secret"}}
FORMS = {"PKCS #8": lambda f, c: {"certificate_chain": {"filename": str(c)}, "private_key": {"filename": str(f / "pkcs8.pem")}, **SECRET},
         "traditional": lambda f, c: {"certificate_chain": {"filename": str(c)}, "private_key": {"filename": str(f / "traditional.pem")}, **SECRET},
         "PKCS #12": lambda f, c: {"pkcs12": {"filename": str(f / "both.p12")}, **SECRET},
         "PKCS #12 without a password": lambda f, c: {"pkcs12": {"filename": str(f / "open.p12")}}}


@pytest.mark.parametrize("form", FORMS)
def test_served(start, files, certificate, form):
    port = free_port()
    start.proxy([listening(port, **FORMS[form](files, certificate[0]))], [])
    done = subprocess.run(["curl", "-sS", "--cacert", str(certificate[0]), f"https://localhost:{port}/", "--resolve", f"localhost:{port}:127.0.0.1"],
                          capture_output=True, text=True, timeout=20)
    assert done.stdout == "ok", done.stderr


WRONG = {"the private key can't be opened with this password": lambda f, c: FORMS["PKCS #8"](f, c) | {"password": {"inline_string": "other"}},
         "the private key is encrypted; give its password": lambda f, c: {"certificate_chain": {"filename": str(c)}, "private_key": {"filename": str(f / "pkcs8.pem")}},
         "the PKCS #12 file can't be opened with this password": lambda f, c: {"pkcs12": {"filename": str(f / "both.p12")}},
         "the bytes are not a PKCS #12 file": lambda f, c: {"pkcs12": {"filename": str(c)}}}


@pytest.mark.parametrize("said", WRONG)
def test_what_can_not_be_opened_is_said(files, certificate, tmp_path, said):
    """And nobody is asked on the terminal."""
    path = tmp_path / "b.json"
    path.write_text(json.dumps({"static_resources": {"listeners": [listening(free_port(), **WRONG[said](files, certificate[0]))]}}))
    done = subprocess.run([FAIRLEAD, "proxy", "--mode", "validate", "-c", path], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and said in done.stderr, done.stderr
