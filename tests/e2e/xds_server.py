"""An xDS server for tests: state of the world, by ADS and by a stream for each type. Its resources are JSON as Envoy reads it."""
import os
import subprocess
import tempfile
import threading
from concurrent import futures
from pathlib import Path

import pytest

grpc = pytest.importorskip("grpc", reason="python3-grpcio is not installed")
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

ROOT = Path(__file__).resolve().parents[2]
PROTOS = ROOT / ".cache/protos/deps"
TYPES = {"cds": "envoy.config.cluster.v3.Cluster", "lds": "envoy.config.listener.v3.Listener", "rds": "envoy.config.route.v3.RouteConfiguration",
         "eds": "envoy.config.endpoint.v3.ClusterLoadAssignment", "sds": "envoy.extensions.transport_sockets.tls.v3.Secret"}
METHODS = ("envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources", "envoy.service.cluster.v3.ClusterDiscoveryService/StreamClusters",
           "envoy.service.listener.v3.ListenerDiscoveryService/StreamListeners", "envoy.service.route.v3.RouteDiscoveryService/StreamRoutes",
           "envoy.service.endpoint.v3.EndpointDiscoveryService/StreamEndpoints", "envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets")
FILES = ("envoy/service/discovery/v3/discovery.proto", "envoy/config/cluster/v3/cluster.proto", "envoy/config/listener/v3/listener.proto",
         "envoy/config/route/v3/route.proto", "envoy/config/endpoint/v3/endpoint.proto", "envoy/extensions/transport_sockets/tls/v3/tls.proto",
         "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto", "envoy/extensions/filters/http/router/v3/router.proto",
         "envoy/extensions/upstreams/http/v3/http_protocol_options.proto")


class Messages:
    """The message classes, made of the .proto files that the build has fetched."""

    def __init__(self):
        assert PROTOS.exists(), "the .proto files are fetched by the build: make build"
        cached = PROTOS.parent / "tests.pb"
        if not cached.exists() or cached.stat().st_mtime < max(Path(__file__).stat().st_mtime, PROTOS.stat().st_mtime):
            handle, made = tempfile.mkstemp(dir=cached.parent)
            os.close(handle)
            includes = [f"-I{d}" for d in (ROOT / "src/xds/proto", PROTOS / "envoy-api", PROTOS / "xds", PROTOS / "googleapis")]
            subprocess.run(["protoc", *includes, "--include_imports", f"--descriptor_set_out={made}", *FILES], check=True)
            os.rename(made, cached)
        files = descriptor_pb2.FileDescriptorSet.FromString(cached.read_bytes())
        self.pool = descriptor_pool.DescriptorPool()
        for f in files.file:
            self.pool.Add(f)
        self.factory = message_factory.MessageFactory(self.pool)

    def type(self, name):
        return self.factory.GetPrototype(self.pool.FindMessageTypeByName(name))

    def make(self, name, fields):
        return json_format.ParseDict(fields, self.type(name)(), descriptor_pool=self.pool)


class XdsServer:
    messages = None

    def __init__(self, port=0):
        XdsServer.messages = XdsServer.messages or Messages()
        self.request, self.response = (self.messages.type(f"envoy.service.discovery.v3.Discovery{k}") for k in ("Request", "Response"))
        self.changed = threading.Condition()
        self.resources, self.versions = {}, {}
        self.acks, self.nacks, self.streams = [], [], []
        self.made_up = {}  # type -> function: the resource for a name that set() was not told of, or None
        self.stopped = False
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=32), options=[("grpc.so_reuseport", 0)])
        handler = grpc.stream_stream_rpc_method_handler(self.stream, request_deserializer=self.request.FromString,
                                                        response_serializer=lambda m: m.SerializeToString())

        class All(grpc.GenericRpcHandler):
            def service(_, call):
                return handler if call.method.lstrip("/") in METHODS else None

        self.server.add_generic_rpc_handlers((All(),))
        self.port = self.server.add_insecure_port(f"127.0.0.1:{port}")
        assert self.port
        self.server.start()

    def set(self, kind, *resources):
        """All resources of a type, each with its name."""
        name = TYPES[kind]
        made = {}
        for fields in resources:
            m = self.messages.make(name, fields)
            made[m.cluster_name if kind == "eds" else m.name] = m.SerializeToString()
        with self.changed:
            self.resources[name] = made
            self.versions[name] = self.versions.get(name, 0) + 1
            self.changed.notify_all()

    def stop(self):
        with self.changed:
            self.stopped = True
            self.changed.notify_all()
        self.server.stop(0).wait()

    def stream(self, requests, context):
        self.streams.append(context)
        wanted, sent = {}, {}  # type -> names; version
        lock = self.changed

        def read():
            try:
                for r in requests:
                    name = r.type_url.rpartition("/")[2]
                    with lock:
                        if r.response_nonce:
                            (self.nacks if r.HasField("error_detail") else self.acks).append((name, r.version_info, r.error_detail.message))
                        names = set(r.resource_names)
                        if wanted.get(name) != names:
                            wanted[name] = names
                            sent.pop(name, None)
                        lock.notify_all()
            except grpc.RpcError:
                pass
            with lock:
                gone.append(True)
                lock.notify_all()

        gone = []
        threading.Thread(target=read, daemon=True).start()
        # Envoy's order: clusters before endpoints, listeners before routes.
        order = list(TYPES.values())
        while True:
            with lock:
                due = None
                while not (gone or self.stopped or due):
                    due = next((t for t in sorted(wanted, key=lambda t: order.index(t) if t in order else 9)
                                if t in self.versions and sent.get(t) != self.versions[t]), None)
                    if not due:
                        lock.wait()
                if gone or self.stopped:
                    return
                sent[due] = self.versions[due]
                names, all_of_it = wanted[due], due in (TYPES["cds"], TYPES["lds"])
                answer = self.response(version_info=str(sent[due]), type_url="type.googleapis.com/" + due, nonce=f"{due}/{sent[due]}")
                found = {k: v for k, v in self.resources[due].items() if k in names or (all_of_it and not names)}
                if make := self.made_up.get(due):
                    found |= {n: self.messages.make(due, made).SerializeToString() for n in names - set(found) if (made := make(n))}
                for value in found.values():
                    answer.resources.add(type_url="type.googleapis.com/" + due, value=value)
            yield answer
