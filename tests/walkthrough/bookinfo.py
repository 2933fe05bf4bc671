"""Looking at the product page."""
import concurrent.futures
import http.client
import re
import urllib.parse


def stars(page):
    """Colour of the stars on the page: "none", "black", "red"; or "error"."""
    if "Error fetching product reviews" in page or "Ratings service is currently unavailable" in page:
        return "error"
    colors = set(re.findall(r'data-color="(\w+)"', page))
    assert len(colors) <= 1, colors
    return colors.pop() if colors else "none"


def page(mesh, options=""):
    return mesh.sh(f"curl -sS {options} http://$INGRESS_HOST:$INGRESS_PORT/productpage")


def login(mesh, user):
    """A cookie jar with the session of `user`."""
    jar = mesh.home / f"cookies-{user}"
    mesh.sh(f"curl -sS -o /dev/null -c {jar} -d 'username={user}&passwd=x' http://$INGRESS_HOST:$INGRESS_PORT/login")
    return f"-b {jar}"


def many(mesh, path, count, workers=8, headers=None):
    """`count` requests through the ingress gateway on kept connections: a list of (status, body)."""
    host, port = mesh.variables["INGRESS_HOST"], int(mesh.variables["INGRESS_PORT"])

    def some(n):
        connection = http.client.HTTPConnection(host, port, timeout=30)
        out = []
        for _ in range(n):
            connection.request("GET", path, headers=headers or {})
            response = connection.getresponse()
            out.append((response.status, response.read().decode()))
        connection.close()
        return out

    share = [count // workers + (i < count % workers) for i in range(workers)]
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        return [result for part in pool.map(some, share) for result in part]


def ingress_url(mesh, path):
    return urllib.parse.urljoin(f"http://{mesh.variables['INGRESS_HOST']}:{mesh.variables['INGRESS_PORT']}", path)
