"""Runs inside a pod's network namespace: origins that tell what they got, and a client. JSON lines on stdin and stdout.

Origins answer with what reached them, as JSON. Headers of a request steer them: x-origin-status, x-origin-delay
(seconds), x-origin-fail with x-origin-key (the first so many requests with that key get 503), x-origin-header (name=value).
"""
import collections
import concurrent.futures
import http.client
import http.server
import json
import socket
import sys
import threading
import time

failures = collections.Counter()
seen = []
lock = threading.Lock()


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        status = int(self.headers.get("x-origin-status", 200))
        if wanted := int(self.headers.get("x-origin-fail", 0)):
            with lock:
                failures[self.headers["x-origin-key"]] += 1
                if failures[self.headers["x-origin-key"]] <= wanted:
                    status = 503
        time.sleep(float(self.headers.get("x-origin-delay", 0)))
        local = self.connection.getsockname()
        got = {"endpoint": f"{local[0]}:{local[1]}", "method": self.command, "path": self.path,
               "headers": [[k.lower(), v] for k, v in self.headers.items()], "body": body.decode("latin-1"),
               "peer": self.connection.getpeername()[0]}
        with lock:
            seen.append(got)
        text = json.dumps(got).encode()
        self.send_response(status)
        if status not in (204, 304):
            self.send_header("content-length", str(len(text)))
        self.send_header("content-type", "application/json")
        if pair := self.headers.get("x-origin-header"):
            self.send_header(*pair.split("=", 1))
        self.end_headers()
        if self.command != "HEAD" and status not in (204, 304):
            self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = do_PATCH = answer

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        pass


def echo(address):
    """A TCP server that says which it is, and then repeats what it hears."""
    listener = socket.create_server(tuple(address))

    def serve(connection):
        with connection:
            connection.sendall(f"{address[0]}:{address[1]}\n".encode())
            while data := connection.recv(65536):
                connection.sendall(data)

    def accept():
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()


def start(request):
    for address in request.get("http", []):
        threading.Thread(target=Server(tuple(address), Origin).serve_forever, daemon=True).start()
    for address in request.get("tcp", []):
        echo(address)
    return {}


def fetch(request):
    begun = time.monotonic()
    connection = http.client.HTTPConnection(*request["to"], timeout=request.get("timeout", 15),
                                            source_address=(request["source"], 0) if "source" in request else None)
    try:
        connection.putrequest(request.get("method", "GET"), request.get("path", "/"), skip_host=True, skip_accept_encoding=True)
        for name, value in request.get("headers", []):
            connection.putheader(name, value)
        body = request.get("body", "").encode()
        if body:
            connection.putheader("content-length", str(len(body)))
        connection.endheaders(body or None)
        answer = connection.getresponse()
        text = answer.read()
        return {"status": answer.status, "headers": [[k.lower(), v] for k, v in answer.getheaders()],
                "body": text.decode("latin-1"), "seconds": time.monotonic() - begun}
    except (OSError, http.client.HTTPException) as error:
        return {"failed": f"{type(error).__name__}: {error}", "seconds": time.monotonic() - begun}
    finally:
        connection.close()


def many(request):
    with concurrent.futures.ThreadPoolExecutor(request.get("at_once", 8)) as pool:
        return {"answers": list(pool.map(fetch, request["requests"]))}


def talk(request):
    try:
        with socket.create_connection(tuple(request["to"]), timeout=request.get("timeout", 10)) as connection:
            connection.sendall(request.get("say", "").encode())
            heard = b""
            connection.settimeout(request.get("quiet", 0.5))
            try:
                while data := connection.recv(65536):
                    heard += data
            except TimeoutError:
                pass
            return {"heard": heard.decode("latin-1")}
    except OSError as error:
        return {"failed": f"{type(error).__name__}: {error}"}


def what_was_seen(_):
    with lock:
        out = list(seen)
        seen.clear()
    return {"seen": out}


OPS = {"start": start, "fetch": fetch, "many": many, "talk": talk, "seen": what_was_seen}
for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps(OPS[request["op"]](request)), flush=True)
