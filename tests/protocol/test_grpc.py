"""gRPC as the proxy sees it: its statistics, and health checks against a server of the gRPC library."""
import json
from concurrent import futures

import pytest

from ports import free_port
from wire import ROUTER, h2_cluster, listener, manager, wait_for

grpc = pytest.importorskip("grpc", reason="python3-grpcio is not installed")

EXTENSION = "type.googleapis.com/envoy.extensions."


class Server:
    """Upper-cases what it is sent, and says of its health what `serving` is (grpc.health.v1, by hand)."""

    def __init__(self):
        self.serving = True
        self.asked = []
        outer = self

        def upper(request, context):
            if request == b"fail":
                context.abort(grpc.StatusCode.INTERNAL, "told to")
            return request.upper()

        def echo(requests, _):
            yield from requests

        def who(*_):
            return b"%d" % outer.port

        def check(request, _):
            outer.asked.append(request)
            return b"\x08\x01" if outer.serving else b"\x08\x02"

        class Handler(grpc.GenericRpcHandler):
            def service(self, details):
                return {"/shop.v1.Cart/Upper": grpc.unary_unary_rpc_method_handler(upper), "/shop.v1.Cart/Echo": grpc.stream_stream_rpc_method_handler(echo),
                        "/shop.v1.Cart/Who": grpc.unary_unary_rpc_method_handler(who),
                        "/grpc.health.v1.Health/Check": grpc.unary_unary_rpc_method_handler(check)}.get(details.method)

        self.server = grpc.server(futures.ThreadPoolExecutor(8))
        self.server.add_generic_rpc_handlers((Handler(),))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()


@pytest.fixture
def serve():
    made = []

    def make():
        made.append(Server())
        return made[-1]
    yield make
    for s in made:
        s.server.stop(None)


def stats_filter(**fields):
    return {"name": "envoy.filters.http.grpc_stats", "typed_config": {"@type": EXTENSION + "filters.http.grpc_stats.v3.FilterConfig", **fields}}


@pytest.mark.parametrize("fields, prefix", [({"stats_for_all_methods": True}, "cluster.origin.grpc.shop.v1.Cart.Upper"), ({}, "cluster.origin.grpc"),
                                            ({"stats_for_all_methods": True, "replace_dots_in_grpc_service_name": True}, "cluster.origin.grpc.shop_v1_Cart.Upper")])
def test_calls_are_counted_by_method_or_by_cluster(start, serve, fields, prefix):
    server, port = serve(), free_port()
    # The types of extensions that carry nothing we need are known all the same.
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "origin", "retry_policy": {"retry_on": "connect-failure", "num_retries": 1, "retry_host_predicate": [
        {"name": "previous", "typed_config": {"@type": EXTENSION + "retry.host.previous_hosts.v3.PreviousHostsPredicate"}},
        {"name": "omit", "typed_config": {"@type": EXTENSION + "retry.host.omit_host_metadata.v3.OmitHostMetadataConfig"}}]}}}]
    hcm = manager(routes, request_id_extension={"typed_config": {"@type": EXTENSION + "request_id.uuid.v3.UuidRequestIdConfig", "pack_trace_reason": False}},
                  http_filters=[stats_filter(**fields), ROUTER])
    proxy = start.proxy([listener("l", port, hcm)], [h2_cluster("origin", server.port)])
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for _ in range(3):
            assert channel.unary_unary("/shop.v1.Cart/Upper")(b"a", timeout=10) == b"A"
        with pytest.raises(grpc.RpcError):
            channel.unary_unary("/shop.v1.Cart/Upper")(b"fail", timeout=10)
        echoed = list(channel.stream_stream("/shop.v1.Cart/Echo")(iter([b"a", b"", 70000 * b"b"]), timeout=10))
        assert [len(e) for e in echoed] == [1, 0, 70000]
    echo = 0 if "Upper" in prefix else 1
    want = {"success": 3 + echo, "failure": 1, "total": 4 + echo, "0": 3 + echo, "13": 1, "request_message_count": 4 + 3 * echo, "response_message_count": 3 + 3 * echo}
    assert {name: proxy.stat(f"{prefix}.{name}") for name in want} == want
    if not echo:
        other = prefix.replace("Upper", "Echo")
        assert [proxy.stat(f"{other}.{n}") for n in ("success", "request_message_count", "response_message_count")] == [1, 3, 3]


def test_a_server_that_says_it_does_not_serve_gets_no_requests(start, serve):
    good, bad = serve(), serve()
    bad.serving = False
    port = free_port()
    both = h2_cluster("origin", good.port, health_checks=[{"timeout": "1s", "interval": "0.1s", "no_traffic_interval": "0.1s", "unhealthy_threshold": 1,
                                                           "healthy_threshold": 1, "grpc_health_check": {"service_name": "cart"}}])
    endpoints = both["load_assignment"]["endpoints"][0]["lb_endpoints"]
    endpoints.append(json.loads(json.dumps(endpoints[0]).replace(f": {good.port}", f": {bad.port}")))
    proxy = start.proxy([listener("l", port, manager())], [both])

    def healthy():
        return proxy.stat("cluster.origin.membership_healthy")

    def served():
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            return [channel.unary_unary("/shop.v1.Cart/Who")(b"", timeout=10) for _ in range(6)]
    assert wait_for(lambda: good.asked and bad.asked and healthy() == 1)
    assert set(bad.asked) == {b"\x0a\x04cart"}, "the service is asked for by its name"
    assert set(served()) == {b"%d" % good.port}
    bad.serving = True
    assert wait_for(lambda: healthy() == 2)
    assert set(served()) == {b"%d" % good.port, b"%d" % bad.port}
    good.server.stop(None)
    assert wait_for(lambda: healthy() == 1), "nobody answers there"
    assert set(served()) == {b"%d" % bad.port}
