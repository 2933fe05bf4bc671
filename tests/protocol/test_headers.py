"""What the connection manager does to requests and answers: whom it trusts, what it adds and removes, how it writes."""
import json

import pytest

from ports import free_port, own_address
from wire import Origin, Proxy, Raw, cluster, listener, manager

XFF = "type.googleapis.com/envoy.extensions.http.original_ip_detection.xff.v3.XffConfig"
CUSTOM = "type.googleapis.com/envoy.extensions.http.original_ip_detection.custom_header.v3.CustomHeaderConfig"
EARLY = "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
PRESERVE = {"stateful_formatter": {"name": "preserve_case", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig"}}}
LOOPBACK = {"cidr_ranges": [{"address_prefix": "127.0.0.0", "prefix_len": 8}, {"address_prefix": "10.0.0.0", "prefix_len": 8}]}
RESERVED = "x-envoy-retry-on: 5xx\r\nx-envoy-upstream-rq-timeout-ms: 900\r\nx-envoy-internal: true\r\nx-envoy-force-trace: 1\r\n"
EDGE = "x-envoy-decorator-operation: z\r\nx-envoy-original-path: /q\r\nx-envoy-external-address: 9.9.9.9\r\n"

# One listener each, all in one process: name -> fields of the connection manager.
MANAGERS = {
    "plain": {},
    "edge": {"use_remote_address": True},
    "edge behind one": {"use_remote_address": True, "xff_num_trusted_hops": 1, "append_x_forwarded_port": True},
    "edge without append": {"use_remote_address": True, "skip_xff_append": True},
    "one hop": {"xff_num_trusted_hops": 1},
    "internal": {"internal_address_config": LOOPBACK},
    "internal edge": {"use_remote_address": True, "internal_address_config": LOOPBACK},
    "xff": {"original_ip_detection_extensions": [{"name": "xff", "typed_config": {"@type": XFF, "xff_num_trusted_hops": 1}}]},
    "custom": {"original_ip_detection_extensions": [{"name": "c", "typed_config": {
        "@type": CUSTOM, "header_name": "X-Client", "allow_extension_to_set_address_as_trusted": True, "reject_with_status": {"code": "Unauthorized"}}}],
        "internal_address_config": LOOPBACK},
    "normalize": {"normalize_path": True, "merge_slashes": True},
    "slashes reject": {"path_with_escaped_slashes_action": "REJECT_REQUEST"},
    "slashes redirect": {"path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT"},
    "slashes forward": {"path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD", "normalize_path": True},
    "http10": {"http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": "dflt"}},
    "underscores reject": {"common_http_protocol_options": {"headers_with_underscores_action": "REJECT_REQUEST"}},
    "underscores drop": {"common_http_protocol_options": {"headers_with_underscores_action": "DROP_HEADER"}},
    "trailers": {"http_protocol_options": {"enable_trailers": True}},
    "proper": {"http_protocol_options": {"header_key_format": {"proper_case_words": {}}}},
    "preserve": {"http_protocol_options": {"header_key_format": PRESERVE}},
    "ids": {"always_set_request_id_in_response": True, "preserve_external_request_id": True, "use_remote_address": True},
    "no ids": {"generate_request_id": False},
    "via": {"via": "vv", "server_name": "srv", "server_header_transformation": "APPEND_IF_ABSENT"},
    "server": {"server_header_transformation": "PASS_THROUGH"},
    "any port": {"strip_any_host_port": True},
    "matching port": {"strip_matching_host_port": True},
    "dot": {"strip_trailing_host_dot": True},
    "scheme": {"scheme_header_transformation": {"scheme_to_overwrite": "https"}},
    "continue by origin": {"proxy_100_continue": True},
    "early": {"early_header_mutation_extensions": [{"name": "e", "typed_config": {"@type": EARLY, "mutations": [
        {"remove": "x-out"}, {"append": {"header": {"key": "x-in", "value": "%REQ(:PATH)%"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}]}}]},
    "limits": {"max_request_headers_kb": 4, "common_http_protocol_options": {"max_headers_count": 10}},
    "replies": {"local_reply_config": {
        "mappers": [{"filter": {"status_code_filter": {"comparison": {"op": "EQ", "value": {"default_value": 404, "runtime_key": "x"}}}},
                     "status_code": 499, "headers_to_add": [{"header": {"key": "x-mapped", "value": "%RESPONSE_CODE%"}}], "body": {"inline_string": "mapped"}}],
        "body_format": {"json_format": {"code": "%RESPONSE_CODE%", "body": "%LOCAL_REPLY_BODY%", "path": "%REQ(:path)%"}}}},
}
ROUTES = [{"match": {"path": "/nowhere"}, "direct_response": {"status": 404, "body": {"inline_string": "none"}}},
          {"match": {"path": "/sorry"}, "direct_response": {"status": 503, "body": {"inline_string": "sorry"}}},
          {"match": {"prefix": "/cased"}, "route": {"cluster": "cased"}},
          {"match": {"prefix": "/"}, "route": {"cluster": "origin"}}]


def answer(request):
    path = request.line.split(" ")[1]
    if path == "/trailers":
        return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n"
    if path == "/103":
        return b"HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    if path == "/204":
        return b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n"
    if path == "/304":
        return b"HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n"
    if path == "/hops":
        return b"HTTP/1.1 200 OK\r\nconnection: x-hop, keep-alive\r\nx-hop: 1\r\nkeep-alive: timeout=1\r\nproxy-connection: x\r\ncontent-length: 2\r\n\r\nok"
    if path in ("/until-close", "/cut"):
        request.connection.sendall(b"HTTP/1.1 200 OK\r\n%s\r\nabc" % (b"content-length: 10\r\n" if path == "/cut" else b""))
        return None
    head = b"HTTP/1.1 200 OK\r\nX-CaSeD: a\r\nserver: origin\r\ncontent-length: 2\r\n\r\n"
    return head if request.line.startswith("HEAD") else head + b"ok"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    origin = Origin(answer)
    ports = {name: free_port() for name in MANAGERS}
    preserving = cluster("cased", origin.port, typed_extension_protocol_options={"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http_protocol_options": {"header_key_format": PRESERVE, "enable_trailers": True}}}})
    p = Proxy(tmp_path_factory.mktemp("headers"), [listener(name, ports[name], manager(ROUTES, **fields)) for name, fields in MANAGERS.items()],
              [cluster("origin", origin.port), preserving])
    p.ports, p.origin = ports, origin
    yield p
    p.stop()
    origin.close()


@pytest.fixture
def ask(proxy):
    def ask(name, path="/", fields="", method="GET", version="1.1", host="host: a\r\n", body=""):
        proxy.origin.forget()
        with Raw(proxy.ports[name]) as c:
            c.send(f"{method} {path} HTTP/{version}\r\n{host}{fields}\r\n{body}".encode("latin-1"))
            ask.status, ask.fields, ask.body = c.answer(method)
            ask.client = c
        ask.answer = {n: v for n, v in ask.fields}
        return proxy.origin.requests[-1] if proxy.origin.requests else None
    return ask


def test_the_word_of_a_client_on_its_own_treatment_is_not_taken(ask):
    seen = ask("plain", fields=RESERVED + EDGE)
    assert all(seen.get(n) is None for n in ("x-envoy-retry-on", "x-envoy-upstream-rq-timeout-ms", "x-envoy-internal", "x-envoy-force-trace"))
    assert seen.get("x-envoy-expected-rq-timeout-ms") == "15000"
    assert seen.get("x-envoy-decorator-operation") == "z"  # inside the mesh, from the proxy before us
    seen = ask("edge", fields=RESERVED + EDGE + "x-request-id: mine\r\nx-forwarded-proto: https\r\n")
    assert all(seen.get(n) is None for n in ("x-envoy-retry-on", "x-envoy-decorator-operation", "x-envoy-original-path"))
    assert seen.get("x-envoy-external-address") == "127.0.0.1"
    assert seen.get("x-forwarded-proto") == "http" and seen.get("x-request-id") != "mine"


def test_who_is_internal_may_set_its_time_out(ask):
    assert ask("internal edge", fields=RESERVED).get("x-envoy-expected-rq-timeout-ms") == "900"
    assert ask("internal edge").get("x-envoy-internal") == "true"
    assert ask("internal edge", fields="x-forwarded-for: 10.0.0.1\r\n").get("x-envoy-internal") is None  # came through somebody
    assert ask("internal", fields="x-forwarded-for: 10.0.0.1\r\n").get("x-envoy-internal") == "true"
    assert ask("internal", fields="x-forwarded-for: 1.1.1.1, 10.0.0.1\r\n").get("x-envoy-internal") is None
    assert ask("internal").get("x-envoy-internal") is None


@pytest.mark.parametrize("name,sent,expected,external", [
    ("edge", "", "OWN", "127.0.0.1"),
    ("edge", "x-forwarded-for: 1.2.3.4\r\n", "1.2.3.4,OWN", "127.0.0.1"),
    ("edge behind one", "x-forwarded-for: 1.2.3.4, 5.6.7.8\r\n", "1.2.3.4, 5.6.7.8,OWN", "5.6.7.8"),
    ("edge behind one", "x-forwarded-for: 1.2.3.4\r\nx-forwarded-for: 5.6.7.8\r\n", "1.2.3.4,5.6.7.8,OWN", "5.6.7.8"),
    ("edge behind one", "x-forwarded-for: junk\r\n", "junk,OWN", "127.0.0.1"),
    ("edge without append", "x-forwarded-for: 1.2.3.4\r\n", "1.2.3.4", "127.0.0.1"),
    ("one hop", "x-forwarded-for: 1.2.3.4, 10.6.7.8\r\n", "1.2.3.4, 10.6.7.8", None),
])
def test_forwarded_for(ask, name, sent, expected, external):
    seen = ask(name, fields=sent)
    assert (seen.get("x-forwarded-for"), seen.get("x-envoy-external-address")) == (expected.replace("OWN", own_address()), external)


def test_forwarded_port_and_proto_of_a_trusted_hop_stay(ask, proxy):
    seen = ask("edge behind one", fields="x-forwarded-proto: https\r\nx-forwarded-port: 1\r\n")
    assert (seen.get("x-forwarded-proto"), seen.get("x-forwarded-port")) == ("https", "1")
    assert ask("edge behind one").get("x-forwarded-port") == str(proxy.ports["edge behind one"])


def test_the_clients_address_by_extension(ask):
    assert ask("custom", fields="x-client: 10.1.1.1\r\n").get("x-envoy-internal") == "true"
    assert ask("custom", fields="x-client: 4.4.4.4\r\n").get("x-envoy-internal") is None
    assert ask("custom") is None and ask.status == 401
    assert ask("xff", fields="x-forwarded-for: 1.2.3.4, 5.6.7.8\r\n").get("x-forwarded-for") == "1.2.3.4, 5.6.7.8"


@pytest.mark.parametrize("name,path,expected", [
    ("normalize", "//a//b/../c/./d", "/a/c/d"), ("normalize", "/%2e%2e/x", "/x"), ("normalize", "/a%2fb", "/a%2fb"), ("normalize", "/..", "/"),
    ("normalize", "/a\\b", "/a/b"), ("normalize", "/a%zz", "/a%zz"), ("normalize", "/a/b?c//d/../e", "/a/b?c//d/../e"), ("normalize", "/%7e%41", "/~A"),
    ("plain", "//a//b/../c", "//a//b/../c"), ("slashes forward", "/a%2F..%2Fb%5cc", "/b/c"), ("slashes reject", "/a?b=%2f", "/a?b=%2f"),
    ("plain", "http://a/x?y", "/x?y"), ("plain", "http://a", "/"), ("plain", "HTTPS://a?y", "/?y"),
])
def test_paths(ask, name, path, expected):
    assert ask(name, path).line.split(" ")[1] == expected


@pytest.mark.parametrize("name,path,status", [("slashes reject", "/a%2fb", 400), ("slashes reject", "/a%5Cb", 400), ("plain", "/a#b", 400),
                                             ("normalize", "/a%00", 400)])
def test_paths_that_are_refused(ask, name, path, status):
    assert ask(name, path) is None and ask.status == status and ask.answer["connection"] == "close"


def test_escaped_slashes_by_redirect(ask):
    ask("slashes redirect", "/a%2Fb?x")
    assert (ask.status, ask.answer["location"]) == (307, "/a/b?x")


@pytest.mark.parametrize("name,host,expected", [
    ("any port", "a:99", "a"), ("any port", "[::1]:99", "[::1]"), ("any port", "a", "a"), ("matching port", "a:99", "a:99"), ("dot", "a.b.:80", "a.b:80"),
    ("dot", "a.", "a"), ("plain", "A.b.:80", "A.b.:80"), ("plain", "", ""),
])
def test_hosts(ask, name, host, expected):
    assert ask(name, host=f"host: {host}\r\n").get("host") == expected


def test_http_1_0(ask):
    assert ask("plain", version="1.0") is None and (ask.status, ask.body) == (426, b"Upgrade Required")
    seen = ask("http10", version="1.0", host="")
    assert seen.get("host") == "dflt" and seen.line.endswith("HTTP/1.1") and ask.answer["connection"] == "close"
    ask("http10", version="1.0", fields="connection: keep-alive\r\n")
    assert ask.answer["connection"] == "keep-alive"
    ask("http10", "/trailers", version="1.0")
    assert "transfer-encoding" not in ask.answer and ask.body == b"ok"
    ask("http10", "/103", version="1.0")
    assert ask.status == 200


def test_names_with_underscores(ask):
    assert ask("underscores reject", fields="x_y: 1\r\n") is None and ask.status == 400
    assert ask("underscores drop", fields="x_y: 1\r\nx-y: 2\r\n").get("x_y") is None
    assert ask("plain", fields="x_y: 1\r\n").get("x_y") == "1"


def test_trailers_pass_where_both_sides_enable_them(ask):
    chunked = {"fields": "transfer-encoding: chunked\r\n", "method": "POST", "body": "1\r\na\r\n0\r\nx-t: 1\r\n\r\n"}
    assert ask("trailers", "/cased", **chunked).trailers == ["x-t: 1"]
    assert ask("plain", "/cased", **chunked).trailers == [] and ask("trailers", "/", **chunked).trailers == []
    ask("plain", "/trailers")
    assert ask.client.trailers == b"\r\n"


def test_how_names_are_spelled(ask, proxy):
    with Raw(proxy.ports["proper"]) as c:
        c.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert b"\r\nX-Cased: a\r\n" in c.until(b"\r\n\r\n")
    assert "X-cLient" in [n for n, _ in ask("preserve", "/cased", fields="X-cLient: 1\r\n").fields()]
    assert "x-client" in [n for n, _ in ask("plain", "/cased", fields="X-cLient: 1\r\n").fields()]
    with Raw(proxy.ports["plain"]) as c:
        c.send(b"GET /cased HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert b"\r\nX-CaSeD: a\r\n" in c.until(b"\r\n\r\nok") and b"\r\nx-cased: a\r\n" in c.until(b"\r\n\r\nok")


def test_request_ids(ask):
    assert ask("ids", fields="x-request-id: mine\r\n").get("x-request-id") == "mine" and ask.answer["x-request-id"] == "mine"
    made = ask("plain").get("x-request-id")
    assert len(made) == 36 and made[14] == "4" and "x-request-id" not in ask.answer
    assert ask("no ids").get("x-request-id") is None


def test_via_and_server(ask):
    assert ask("via", fields="via: 1.1 q\r\n").get("via") == "1.1 q, vv"
    assert (ask.answer["via"], ask.answer["server"]) == ("vv", "origin")
    ask("via", "/nowhere")
    assert ask.answer["server"] == "srv"
    ask("plain")
    assert ask.answer["server"] == "envoy"
    ask("server")
    assert ask.answer["server"] == "origin"


def test_the_scheme_that_is_written_over(ask):
    assert ask("scheme").get("x-forwarded-proto") == "https"


def test_mutations_before_all_else(ask):
    seen = ask("early", "/p", fields="x-out: 1\r\nx-in: 1\r\n")
    assert seen.get("x-out") is None and seen.get("x-in") == "/p"


def test_limits_of_heads(ask):
    ask("limits", fields="x: " + 5000 * "a" + "\r\n")
    assert (ask.status, ask.body) == (431, b"Request Header Fields Too Large")
    ask("limits", fields=12 * "x: a\r\n")
    assert ask.status == 431
    assert ask("limits", fields="x: " + 3000 * "a" + "\r\n") is not None


def test_answers_of_our_own_are_mapped(ask):
    ask("replies", "/nowhere")
    assert (ask.status, ask.answer["x-mapped"], ask.answer["content-type"]) == (499, "404", "application/json")
    assert json.loads(ask.body) == {"code": 499, "body": "mapped", "path": "/nowhere"}
    ask("replies", "/sorry")
    assert ask.status == 503 and json.loads(ask.body)["body"] == "sorry"
    ask("replies", "/a#b")
    assert json.loads(ask.body)["code"] == 400


def test_answers_without_a_body(ask):
    for path, method, length in (("/204", "GET", None), ("/304", "GET", "7"), ("/", "HEAD", "2"), ("/nowhere", "HEAD", "4")):
        ask("plain", path, method=method)
        assert ask.answer.get("content-length") == length and ask.client.buffer == b"", path


def test_fields_of_one_hop_stay_there(ask):
    ask("plain", "/hops")
    assert not {"connection", "keep-alive", "proxy-connection"} & set(ask.answer)


def test_an_answer_that_ends_with_its_connection(ask):
    ask("plain", "/until-close")
    assert ask.answer["transfer-encoding"] == "chunked" and ask.body == b"abc"


def test_an_answer_that_breaks_off_breaks_off_for_the_client_too(proxy):
    with Raw(proxy.ports["plain"]) as c:
        c.send(b"GET /cut HTTP/1.1\r\nhost: a\r\n\r\n")
        assert c.rest().endswith(b"\r\n\r\nabc")


def test_other_interim_answers_pass(proxy):
    with Raw(proxy.ports["plain"]) as c:
        c.send(b"GET /103 HTTP/1.1\r\nhost: a\r\n\r\n")
        assert [c.answer()[0], c.answer()[0]] == [103, 200]


def test_expecting_to_continue(proxy):
    expecting = b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"
    with Raw(proxy.ports["plain"]) as c:
        c.send(expecting)
        assert c.answer()[0] == 100
        c.send(b"ab")
        assert c.answer()[0] == 200
    assert proxy.origin.requests[-1].get("expect") is None
    with Raw(proxy.ports["plain"]) as c:  # who did not wait needs no answer in between, and gets at most one
        c.send(expecting + b"ab")
        statuses = [c.answer()[0]]
        if statuses[0] == 100:
            statuses.append(c.answer()[0])
        assert statuses[-1] == 200


def test_expecting_to_continue_by_the_origins_word(proxy):
    """The origin here answers after the whole body, so the client hears 100 from nobody."""
    with Raw(proxy.ports["continue by origin"]) as c:
        c.send(b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        c.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            c.answer()
        c.socket.settimeout(5)
        c.send(b"ab")
        assert c.answer()[0] == 200
    assert proxy.origin.requests[-1].get("expect") == "100-continue"


def test_a_connection_is_kept_after_a_body_of_known_length(proxy):
    with Raw(proxy.ports["plain"]) as c:
        for _ in range(3):
            c.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc")
            assert c.answer()[0] == 200
        c.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\n").send(b"abc")
        assert c.answer()[0] == 200 and proxy.origin.requests[-1].body == b"abc"


def test_pipelined_requests_are_answered_in_order(proxy):
    with Raw(proxy.ports["plain"]) as c:
        c.send(b"".join(b"GET %s HTTP/1.1\r\nhost: a\r\n\r\n" % p for p in (b"/1", b"/nowhere", b"/204", b"/2")) + b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert [c.answer()[0] for _ in range(4)] == [200, 404, 204, 200]
        assert c.answer("HEAD")[0] == 200
