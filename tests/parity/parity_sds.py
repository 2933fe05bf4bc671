"""Runs inside a pod's network namespace, in an agent's place: gives the proxy its certificate and the mesh's root by SDS.
usage: parity_sds.py PORT FOLDER (where the certificates are made)"""
import pathlib
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from xds_server import TYPES, XdsServer

port, folder = int(sys.argv[1]), sys.argv[2]


def openssl(*argv):
    subprocess.run(["openssl", *argv], cwd=folder, check=True, capture_output=True)


EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-x509", "-days", "2")
openssl("req", *EC, "-subj", "/O=cluster.local", "-keyout", "ca.key", "-out", "ca.pem")
openssl("req", *EC, "-subj", "/", "-addext", "subjectAltName=critical,URI:spiffe://cluster.local/ns/default/sa/default", "-addext", "basicConstraints=CA:FALSE",
        "-CA", "ca.pem", "-CAkey", "ca.key", "-keyout", "leaf.key", "-out", "leaf.pem")
server = XdsServer(port)


def secret(name):
    """Also of files that a pod would have mounted: file-cert:..., file-root:..."""
    if name == "ROOTCA" or name.startswith("file-root:"):
        return {"name": name, "validation_context": {"trusted_ca": {"filename": f"{folder}/ca.pem"}}}
    return {"name": name, "tls_certificate": {"certificate_chain": {"filename": f"{folder}/leaf.pem"}, "private_key": {"filename": f"{folder}/leaf.key"}}}


server.made_up[TYPES["sds"]] = secret
server.set("sds")
threading.Event().wait()
