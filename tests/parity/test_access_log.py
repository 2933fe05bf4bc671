"""Every command operator of Envoy's access log, and its filters: the same bootstrap and requests through Envoy and through us,
one line of JSON for each request, compared operator by operator."""
import json
import re
import socket
import ssl
import subprocess
import time

import pytest

from files import whole_lines
from parity_istio import FAIRLEAD
from parity_pair import HCM, ROUTER, H1Origin, H2Origin, address, both, cluster, h2_cluster

PLAIN = """
    LOCAL_REPLY_BODY ACCESS_LOG_TYPE GRPC_STATUS GRPC_STATUS_NUMBER REQUEST_HEADERS_BYTES RESPONSE_HEADERS_BYTES RESPONSE_TRAILERS_BYTES TRACE_ID SPAN_ID
    QUERY_PARAMS PATH REQUEST_DURATION REQUEST_TX_DURATION RESPONSE_DURATION RESPONSE_TX_DURATION DOWNSTREAM_HANDSHAKE_DURATION ROUNDTRIP_DURATION
    BYTES_RECEIVED BYTES_RETRANSMITTED PACKETS_RETRANSMITTED UPSTREAM_WIRE_BYTES_RECEIVED UPSTREAM_HEADER_BYTES_RECEIVED
    UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED DOWNSTREAM_WIRE_BYTES_RECEIVED DOWNSTREAM_HEADER_BYTES_RECEIVED
    DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED PROTOCOL UPSTREAM_PROTOCOL RESPONSE_CODE RESPONSE_CODE_DETAILS
    RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES) CONNECTION_TERMINATION_DETAILS BYTES_SENT UPSTREAM_WIRE_BYTES_SENT UPSTREAM_HEADER_BYTES_SENT
    UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT DOWNSTREAM_WIRE_BYTES_SENT DOWNSTREAM_HEADER_BYTES_SENT DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT
    DURATION CUSTOM_FLAGS RESPONSE_FLAGS RESPONSE_FLAGS_LONG UPSTREAM_HOST_NAME UPSTREAM_HOST_NAME_WITHOUT_PORT UPSTREAM_HOST
    UPSTREAM_CONNECTION_ID UPSTREAM_CLUSTER UPSTREAM_CLUSTER_RAW UPSTREAM_LOCAL_ADDRESS UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT UPSTREAM_LOCAL_PORT
    UPSTREAM_REMOTE_ADDRESS UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT UPSTREAM_REMOTE_PORT UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID
    UPSTREAM_REQUEST_ATTEMPT_COUNT UPSTREAM_TLS_CIPHER UPSTREAM_TLS_VERSION UPSTREAM_TLS_SESSION_ID UPSTREAM_TLS_GROUP UPSTREAM_SERVER_NAME
    UPSTREAM_PEER_ISSUER UPSTREAM_PEER_CERT UPSTREAM_PEER_SUBJECT UPSTREAM_PEER_URI_SAN UPSTREAM_PEER_DNS_SAN UPSTREAM_PEER_IP_SAN
    UPSTREAM_LOCAL_URI_SAN UPSTREAM_LOCAL_DNS_SAN UPSTREAM_LOCAL_IP_SAN UPSTREAM_PEER_CERT_V_START UPSTREAM_PEER_CERT_V_END
    UPSTREAM_DETECTED_CLOSE_TYPE UPSTREAM_LOCAL_CLOSE_REASON UPSTREAM_HOSTS_ATTEMPTED UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT
    UPSTREAM_HOST_NAMES_ATTEMPTED UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT UPSTREAM_CONNECTION_IDS_ATTEMPTED
    UPSTREAM_CONNECTION_POOL_READY_DURATION UPSTREAM_TRANSPORT_FAILURE_REASON DOWNSTREAM_LOCAL_ADDRESS DOWNSTREAM_DIRECT_LOCAL_ADDRESS
    DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT DOWNSTREAM_LOCAL_PORT DOWNSTREAM_DIRECT_LOCAL_PORT
    DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID DOWNSTREAM_REMOTE_ADDRESS
    DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT DOWNSTREAM_REMOTE_PORT DOWNSTREAM_DIRECT_REMOTE_ADDRESS
    DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT DOWNSTREAM_DIRECT_REMOTE_PORT DOWNSTREAM_CX_RTT DOWNSTREAM_DETECTED_CLOSE_TYPE
    DOWNSTREAM_LOCAL_CLOSE_REASON CONNECTION_ID REQUESTED_SERVER_NAME ROUTE_NAME DOWNSTREAM_PEER_URI_SAN DOWNSTREAM_PEER_DNS_SAN
    DOWNSTREAM_PEER_IP_SAN DOWNSTREAM_PEER_EMAIL_SAN DOWNSTREAM_PEER_OTHERNAME_SAN DOWNSTREAM_LOCAL_URI_SAN DOWNSTREAM_LOCAL_DNS_SAN
    DOWNSTREAM_LOCAL_IP_SAN DOWNSTREAM_LOCAL_EMAIL_SAN DOWNSTREAM_LOCAL_OTHERNAME_SAN DOWNSTREAM_PEER_SUBJECT DOWNSTREAM_LOCAL_SUBJECT
    DOWNSTREAM_TLS_SESSION_ID DOWNSTREAM_TLS_CIPHER DOWNSTREAM_TLS_VERSION DOWNSTREAM_TLS_GROUP DOWNSTREAM_PEER_FINGERPRINT_256
    DOWNSTREAM_PEER_FINGERPRINT_1 DOWNSTREAM_PEER_SERIAL DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256 DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1
    DOWNSTREAM_PEER_CHAIN_SERIALS DOWNSTREAM_PEER_ISSUER DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256 DOWNSTREAM_PEER_ISSUER_SERIAL
    DOWNSTREAM_PEER_CERT DOWNSTREAM_TRANSPORT_FAILURE_REASON HOSTNAME FILTER_CHAIN_NAME LISTENER_NAME VIRTUAL_CLUSTER_NAME
    TLS_JA3_FINGERPRINT TLS_JA4_FINGERPRINT UNIQUE_ID STREAM_ID START_TIME START_TIME_LOCAL EMIT_TIME EMIT_TIME_LOCAL
    DOWNSTREAM_PEER_CERT_V_START DOWNSTREAM_PEER_CERT_V_END DOWNSTREAM_PEER_CERT_V_END(%s) ROUTE_RESOLUTION_COUNT ROUTE_RESOLUTION_TIME_US
    REQ(:METHOD) REQ(X-EMPTY) REQ(X-CASE) REQUEST_HEADER(X-CASE) REQUEST_HEADER(X-NONE?USER-AGENT):3 RESP(SERVER) RESP(:STATUS) RESPONSE_HEADER(X-ORIGIN)
    TRAILER(GRPC-STATUS) RESPONSE_TRAILER(GRPC-MESSAGE) STREAM_INFO_REQ(X-CASE) STREAM_INFO_REQ(USER-AGENT) GRPC_STATUS(CAMEL_STRING)
    GRPC_STATUS(SNAKE_STRING) GRPC_STATUS(NUMBER) PATH(WQ) PATH(NQ) PATH(WQ:ORIG) PATH(NQ:PATH) PATH(NQ:ORIG_OR_PATH) QUERY_PARAM(a)
    QUERY_PARAM(missing) QUERY_PARAM(b):2 QUERY_PARAMS(ORIG) DYNAMIC_METADATA(some.filter) DYNAMIC_METADATA(some.filter:key):4 CLUSTER_METADATA(names:team)
    CLUSTER_METADATA(names) CLUSTER_METADATA(names:deep:er) CLUSTER_METADATA(other) UPSTREAM_METADATA(names:zone) UPSTREAM_METADATA(none:zone)
    FILTER_STATE(some.key) FILTER_STATE(some.key:PLAIN):3 UPSTREAM_FILTER_STATE(some.key) ENVIRONMENT(HOME) ENVIRONMENT(NOT_SET_AT_ALL)
    COMMON_DURATION(DS_RX_BEG:DS_TX_END) COMMON_DURATION(DS_RX_BEG:DS_RX_END:us) COMMON_DURATION(US_CX_BEG:US_CX_END:ns)
    COMMON_DURATION(US_TX_BEG:US_TX_END:us) COMMON_DURATION(US_RX_BEG:US_RX_END:us) COMMON_DURATION(DS_TX_BEG:DS_TX_END:us)
    COMMON_DURATION(US_HS_END:US_TX_BEG:us) COMMON_DURATION(DS_RX_BEG:US_RX_BODY_BEG:us) COMMON_DURATION(none:nothing)
    COMMON_DURATION(DS_RX_BEG:US_CX_END:us) COMMON_DURATION(DS_RX_BEG:DS_RX_HDR_END:us)
""".split()

# What is different with each run: compared by kind (a number, a text, nothing).
VOLATILE = re.compile(r"TIME|DURATION|_ID|_IDS_|_PORT$|LOCAL_ADDRESS$|REMOTE_ADDRESS$|RTT|JA3|JA4|SESSION_ID|HOSTNAME$")
# Where we differ, and why.
KNOWN = {
    r"DYNAMIC_METADATA.*|FILTER_STATE.*|UPSTREAM_FILTER_STATE.*": "no filter that writes any is built in",
    r"VIRTUAL_CLUSTER_NAME": "virtual clusters are not known",
    r"ROUTE_RESOLUTION_TIME_US": "not measured",
    r"(UP|DOWN)STREAM_DETECTED_CLOSE_TYPE": "a reset is not told from an end",
    r"(UP|DOWN)STREAM_TLS_SESSION_ID": "OpenSSL names sessions of TLS 1.3, BoringSSL does not",
    r"REQUESTED_SERVER_NAME": "known from the handshake, too, without tls_inspector",
}
# The same of single cases: request, operator, why.
KNOWN_CASES = [
    (r"http2|h2|grpc", r"(UP|DOWN)STREAM_(WIRE|HEADER)_BYTES_SENT", "header fields are packed differently, END_STREAM stands on the last frame"),
    (r"/chunked", r"DOWNSTREAM_WIRE_BYTES_SENT", "the last chunk counts"),
    (r"/nobody", r"BYTES_SENT|DOWNSTREAM_.*BYTES_SENT|RESPONSE_HEADERS_BYTES", "the body says why connecting failed"),
    (r"/nobody.*grpc", r"BYTES_RECEIVED|DOWNSTREAM_WIRE_BYTES_RECEIVED|REQUEST_DURATION|COMMON_DURATION.*", "connecting fails before the body came"),
    (r"/status/503", r"COMMON_DURATION.*|UPSTREAM_(WIRE|DECOMPRESSED_HEADER)_BYTES_RECEIVED", "a retry takes the connection that is there; the answer that nobody wants is not counted to its end"),
    (r"/reset", r"UPSTREAM_.*BYTES_SENT|UPSTREAM_REQUEST_ATTEMPT_COUNT|COMMON_DURATION.*", "a kept connection that was closed is tried again"),
]


def log_to(path, commands, **more):
    form = {name: f"%{name}%" for name in commands}
    form["case"] = "%REQ(X-CASE)%"
    return {"name": "file", **more, "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": str(path), "log_format": {
            "json_format": form}}}


def routes():
    return {"name": "table", "validate_clusters": False, "virtual_hosts": [{
        "name": "all", "domains": ["*"], "response_headers_to_remove": ["x-envoy-upstream-service-time"], "routes": [
        {"match": {"prefix": "/direct"}, "name": "told", "direct_response": {"status": 403, "body": {"inline_string": "tea pot"}}},
        {"match": {"prefix": "/redirect"}, "redirect": {"path_redirect": "/there"}},
        {"match": {"prefix": "/nobody"}, "route": {"cluster": "nobody"}},
        {"match": {"prefix": "/missing"}, "route": {"cluster": "missing"}},
        {"match": {"prefix": "/h2"}, "route": {"cluster": "h2"}},
        {"match": {"prefix": "/grpc"}, "route": {"cluster": "h2"}},
        {"match": {"prefix": "/tls"}, "route": {"cluster": "tls"}},
        {"match": {"prefix": "/slow"}, "route": {"cluster": "h1", "timeout": "0.1s"}},
        {"match": {"prefix": "/rewrite"}, "name": "rewritten", "route": {"cluster": "h1", "prefix_rewrite": "/re"}},
        {"match": {"prefix": "/status/503"}, "route": {"cluster": "h1", "retry_policy": {
            "retry_on": "5xx", "num_retries": 2, "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.002s"}}}},
        {"match": {"prefix": "/route-only"}, "route": {"cluster": "named"}},
        {"match": {"prefix": "/"}, "name": "rest", "route": {"cluster": "h1"}}]}]}


def manager(logs):
    return {"name": "hcm", "typed_config": {"@type": HCM, "stat_prefix": "test", "http_filters": [ROUTER], "route_config": routes(), "access_log": logs}}


def listener(name, port, filters, **chain):
    return {"name": name, "address": address(port), "filter_chains": [{"name": f"{name}-chain", "filters": filters, **chain}]}


@pytest.fixture(scope="module")
def origins():
    return H1Origin(), H2Origin()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A folder with a CA, a server's and a client's certificate."""
    folder = tmp_path_factory.mktemp("certificates")
    run = lambda *a: subprocess.run(["openssl", *a], cwd=folder, check=True, capture_output=True)  # noqa: E731
    run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=ca")
    for name, san in (("server", "DNS:localhost,IP:127.0.0.1"), ("client", "URI:spiffe://a/ns/b/sa/c,DNS:client.example,email:a@b.c")):
        (folder / "ext").write_text(f"subjectAltName={san}\n")
        run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/O=org/CN={name}")
        run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", f"{name}.pem", "-days", "2", "-extfile", "ext")
    return folder


@pytest.fixture(scope="module")
def pair(envoy, tmp_path_factory, origins, certificates):
    h1, h2 = origins
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    behind_tls = H1Origin(context)

    def tls(kind, **more):
        return {"name": "envoy.transport_sockets.tls", "typed_config": {
            "@type": f"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{kind}TlsContext", **more}}

    def keys(name):
        return {"tls_certificates": [{"certificate_chain": {"filename": str(certificates / f"{name}.pem")}, "private_key": {"filename": str(certificates / f"{name}.key")}}]}

    def bootstrap(r):
        log = log_to(r.lines, PLAIN)
        tcp = {"name": "tcp", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
                                               "stat_prefix": "tcp", "cluster": "h1", "access_log": [log]}}
        secure = tls("Downstream", require_client_certificate=True, common_tls_context={
            **keys("server"), "alpn_protocols": ["http/1.1"], "validation_context": {"trusted_ca": {"filename": str(certificates / "ca.pem")}}})
        named = cluster("named", h1.port)
        named["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["hostname"] = "one.example"
        told = cluster("h1", h1.port, metadata={"filter_metadata": {"names": {"team": "core", "deep": {"er": 7}}}})
        told["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["metadata"] = {"filter_metadata": {"names": {"zone": "z"}}}
        filters = [("status", {"status_code_filter": {"comparison": {"op": "GE", "value": {"default_value": 500, "runtime_key": "none"}}}}),
                   ("duration", {"duration_filter": {"comparison": {"op": "GE", "value": {"default_value": 90, "runtime_key": "none"}}}}),
                   ("flags", {"response_flag_filter": {"flags": ["UF", "UT"]}}), ("any-flag", {"response_flag_filter": {}}),
                   ("grpc", {"grpc_status_filter": {"statuses": ["INVALID_ARGUMENT", "NOT_FOUND"]}}),
                   ("not-grpc", {"grpc_status_filter": {"statuses": ["OK", "UNKNOWN"], "exclude": True}}),
                   ("type", {"log_type_filter": {"types": ["DownstreamEnd"]}}), ("other-type", {"log_type_filter": {"types": ["DownstreamEnd"], "exclude": True}}),
                   ("header", {"header_filter": {"header": {"name": "x-some", "string_match": {"exact": "1"}}}}),
                   ("traceable", {"traceable_filter": {}}), ("healthy", {"not_health_check_filter": {}}),
                   ("half", {"runtime_filter": {"runtime_key": "none", "percent_sampled": {"numerator": 50}}}),
                   ("some", {"runtime_filter": {"runtime_key": "none", "percent_sampled": {"numerator": 300000, "denominator": "MILLION"}}}),
                   ("never", {"runtime_filter": {"runtime_key": "none", "percent_sampled": {"numerator": 0}, "use_independent_randomness": True}}),
                   ("always", {"runtime_filter": {"runtime_key": "none", "percent_sampled": {"numerator": 100}, "use_independent_randomness": True}}),
                   ("metadata", {"metadata_filter": {"matcher": {"filter": "f", "path": [{"key": "k"}], "value": {"bool_match": True}}, "match_if_key_not_found": False}}),
                   ("no-metadata", {"metadata_filter": {"matcher": {"filter": "f", "path": [{"key": "k"}], "value": {"bool_match": True}}}}),
                   ("and", {"and_filter": {"filters": [{"response_flag_filter": {}}, {"header_filter": {"header": {"name": "x-some"}}}]}}),
                   ("or", {"or_filter": {"filters": [{"response_flag_filter": {}}, {"header_filter": {"header": {"name": "x-some"}}}]}})]
        r.filters = [name for name, _ in filters]
        return {"static_resources": {
            "listeners": [listener("plain", r.port("plain"), [manager([log])]), listener("secure", r.port("secure"), [manager([log])], transport_socket=secure),
                          listener("tcp", r.port("tcp"), [tcp]),
                          listener("filtered", r.port("filtered"), [manager([log_to(r.folder / name, ["RESPONSE_CODE"], filter=f) for name, f in filters])])],
            "clusters": [told, h2_cluster("h2", h2.port), cluster("nobody", 1), named,
                         cluster("tls", behind_tls.port, transport_socket=tls("Upstream", sni="localhost", common_tls_context={**keys("client"), "tls_params": {"tls_maximum_protocol_version": "TLSv1_3"}}))]}}
    running = both(envoy, tmp_path_factory.mktemp("pair"), bootstrap)
    yield running
    for r in running:
        r.stop()


GRPC = ["--http2-prior-knowledge", "-H", "content-type: application/grpc", "-d", "x"]
CASES = [("plain", path, args) for path, args in (
    ("/x?a=1&b=two", []), ("/x", ["-d", "hello"]), ("/x", ["-d", "hello", "-H", "transfer-encoding: chunked"]), ("/chunked", []), ("/x", ["-I"]), ("/direct", []),
    ("/redirect", []), ("/nobody", []), ("/missing", []), ("/status/404", []), ("/status/503", []), ("/status/204", []), ("/h2", []), ("/h2", ["-d", "hello"]),
    ("/x?a=1", ["--http2-prior-knowledge"]), ("/x", ["--http2-prior-knowledge", "-d", "hello"]), ("/direct", ["--http2-prior-knowledge"]), ("/grpc/0", GRPC), ("/grpc/3", GRPC),
    ("/grpc/5/only", GRPC), ("/grpc/99", GRPC), ("/nobody", GRPC), ("/rewrite?a=1&q=2", []), ("/reset", []), ("/slow", []), ("/tls", []), ("/route-only", []),
    ("/x", ["-H", "x-empty;"]), ("/x", ["-H", "x-request-id: 12345678-1234-4234-8234-123456789012"]))]
CASES += [("secure", "/x", []), ("secure", "/tls", ["-d", "more"]), ("secure", "/direct", [])]


def ask(r, number, listener, path, args, certificates):
    secure = ["--cacert", certificates / "ca.pem", "--cert", certificates / "client.pem", "--key", certificates / "client.key", "--resolve",
              f"localhost:{r.port('secure')}:127.0.0.1"] if listener == "secure" else []
    base = f"https://localhost:{r.port('secure')}" if secure else f"http://127.0.0.1:{r.port(listener)}"
    subprocess.run(["curl", "-s", "-o", "/dev/null", "-m", "5", "-H", f"x-case: {number}", "-H", "user-agent: agent", *secure, *args, base + path], check=False)


def kind(value):
    return "number" if isinstance(value, (int, float)) else "text" if isinstance(value, str) and value not in ("", "-") else value


def compare(theirs, ours):
    """Operators that say otherwise: (name, what)."""
    found = []
    for name in sorted(theirs.keys() | ours.keys()):
        a, b = theirs.get(name), ours.get(name)
        if VOLATILE.search(name.split("(")[0]) or name.startswith("COMMON_"):
            a, b = kind(a), kind(b)
        if a != b and not any(re.fullmatch(k, name) for k in KNOWN):
            found.append((name, f"{name}: Envoy {a!r}, ours {b!r}"))
    return found


def test_every_operator(pair, certificates):
    lines = []
    for r in pair:
        for number, (listener, path, args) in enumerate(CASES):
            ask(r, number, listener, path, args, certificates)
        lines.append({line["case"]: line for line in r.logged(len(CASES))})
    problems = []
    for number, case in enumerate(CASES):
        theirs, ours = (side.get(str(number), {}) for side in lines)
        for name, found in compare(theirs, ours):
            if not any(re.search(where, f"{case[0]} {case[1]} {' '.join(case[2])}") and re.fullmatch(what, name) for where, what, _ in KNOWN_CASES):
                problems.append(f"{case}: {found}")
    assert not problems, f"{len(problems)} differences\n" + "\n".join(problems)


def test_tcp_connections(pair):
    lines = []
    for r in pair:
        before = len(r.logged(0))
        with socket.create_connection(("127.0.0.1", r.port("tcp"))) as s:
            s.sendall(b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n")
            while b"ok" not in s.recv(4096):
                pass
        lines.append(r.logged(before + 1)[-1])
    problems = [found for _, found in compare(*lines)]
    assert not problems, "\n".join(problems)


def test_filters(pair):
    """The same requests leave lines behind the same filters; a share of requests is taken by their ids."""
    sent = [("/x", []), ("/status/404", []), ("/status/503", []), ("/slow", []), ("/nobody", []), ("/x", ["-H", "x-some: 1"]), ("/grpc/3", GRPC), ("/grpc/5/only", GRPC), ("/grpc/0", GRPC)]
    sent += [("/x", ["-H", f"x-request-id: {i:08x}-1234-{digit}234-8234-123456789012"]) for i, digit in zip(range(1, 4000000000, 99999989), "49ab" * 10)]
    for r in pair:
        for number, (path, args) in enumerate(sent):
            ask(r, number, "filtered", path, args, None)
        r.wait(lambda: len(whole_lines(r.folder / "always")) == len(sent))
    ids = {str(n) for n, (_, args) in enumerate(sent) if any("x-request-id" in a for a in args)}

    def taken(r, name):
        file = r.folder / name
        cases = set(re.findall(r'"case":"(\d+)"', file.read_text() if file.exists() else ""))
        return sorted(cases & ids if name in ("half", "some") else cases)  # by the id that came; others have one of chance

    # Each file is written in its own time.
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and any(taken(pair[0], name) != taken(pair[1], name) for name in pair[0].filters):
        time.sleep(0.05)
    for name in pair[0].filters:
        assert taken(pair[0], name) == taken(pair[1], name), name


def test_empty_values_left_out(envoy, tmp_path):
    none, some = "%REQ(X-NONE)%", "%RESPONSE_CODE%"
    form = {"a": none, "code": some, "text": f"x{none}y", "both": none + none, "deep": {"none": none, "some": some}, "gone": {"none": none},
            "list": [none, some, {"none": none}], "left": [none], "z": none}

    def bootstrap(r):
        log = log_to(r.lines, [])
        log["typed_config"]["log_format"] = {"json_format": form, "omit_empty_values": True}
        return {"static_resources": {"listeners": [listener("l", r.port("l"), [manager([log])])]}}
    lines = []
    running = both(envoy, tmp_path, bootstrap)
    try:
        for r in running:
            subprocess.run(["curl", "-s", "-o", "/dev/null", f"http://127.0.0.1:{r.port('l')}/direct"], check=True)
            lines += r.logged(1)
    finally:
        for r in running:
            r.stop()
    assert lines[0] == lines[1] == {"code": 403, "text": "xy", "both": "", "deep": {"some": 403}, "list": [403], "left": []}


def test_refusals(envoy, tmp_path):
    """What Envoy does not know is not known here either, and something near is offered."""
    for command, near in (("UPSTREAM_CX_RTT", "DOWNSTREAM_CX_RTT"), ("REQUEST_TRAILER(X)", ""), ("GRPC_STATUS(OTHER)", "CAMEL_STRING"), ("COMMON_DURATION(A)", "DS_RX_BEG")):
        config = {"static_resources": {"listeners": [listener("l", 0, [manager([log_to("/dev/null", [command])])])]}}
        said = []
        for argv in ([envoy, "-l", "error"], [FAIRLEAD, "proxy"]):
            path = tmp_path / "refused.json"
            path.write_text(json.dumps(config))
            done = subprocess.run([*argv, "--mode", "validate", "-c", path], capture_output=True, text=True)
            assert done.returncode != 0, (command, argv)
            said.append(done.stdout + done.stderr)
        assert near in said[1], said[1]
