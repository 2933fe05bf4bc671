"""URI templates of routes: the same patterns and paths through Envoy and through us, and what both refuse."""
import http.client
import json
import subprocess

import pytest

from envoy_program import envoy_program
from parity_istio import FAIRLEAD
from parity_pair import HCM, ROUTER, Origin, address, both, cluster, read_request

MATCH = "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig"
REWRITE = "type.googleapis.com/envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig"


class Echo(Origin):
    """Answers with what it was asked."""

    def _serve(self, peer):
        try:
            file = peer.makefile("rb")
            while request := read_request(file):
                body = f"{request[1]} {dict(request[2]).get('x-envoy-original-path')}".encode()
                peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        except OSError:
            pass
        finally:
            peer.close()


def match(template):
    return {"path_match_policy": {"name": "m", "typed_config": {"@type": MATCH, "path_template": template}}}


def rewrite(template):
    return {"path_rewrite_policy": {"name": "r", "typed_config": {"@type": REWRITE, "path_template_rewrite": template}}}


# Not among them: "/***", which Envoy takes, and which matches nothing there.
VALID = [(match(t), {}) for t in (
    "/", "/a", "/a/", "/a/{b}/c", "/*", "/*/", "/**", "/a/**", "/**/z", "/*=x", "/a=b", "/a/{b=c=d}", "/{a=**}/b", "/*.html", "/**.html", "/{a}.js", "/{a}.js/c", "/a{b}", "/a*", "/a+(b)$",
    "/*a*", "/{a=b/*}/c", "/{a=b/**}", "/{abcdefghijklmnop}", "/{a}/{b}/{c}/{d}/{e}", "/{a=b/*}y", "/{a=b/*}.js/c", "/x{a=b}y", "/{a=*/b}z", "/{a=**}x/y", "/a*{b}c", "/{a=b*}", "/{a=b.c/*}")]
VALID += [(match("/a/{b}/{c=**}"), action) for action in (
    rewrite("/{b}"), rewrite("/{c}/{b}"), rewrite("/"), rewrite("/{b}{c}"), rewrite("/{b}=1"), rewrite("/x*"), rewrite("/x/{c}"),
    {"regex_rewrite": {"pattern": {"regex": "a"}, "substitution": "b"}})]
VALID += [({**match("/A/{b}"), "case_sensitive": False}, {}), ({**match("/a/{b}"), "headers": [{"name": "x-none", "present_match": True}]}, {}),
          ({**match("/a/{b}"), "query_parameters": [{"name": "q", "present_match": True}]}, rewrite("/q/{b}")), (match("/v{n}.x/{r=**}"), rewrite("/{r}/{n}"))]
REFUSED = [(match(t), {}) for t in (
    "", "a", "/a//b", "/{}", "/{a}{b}", "/**/*", "/{a=**}/{b}", "/{abcdefghijklmnopq}", "/{a}/{a}", "/{a}/{b}/{c}/{d}/{e}/{f}", "/a b", "/a?b", "/a[b", "/{a=}", "/{a=b/}", "/{1a}", "/**.x/y",
    "/a/é", "/{a=/b}", "/{a", "/{a/b", "/**/**", "/a}b", "/{a=*b}", "/{a=***}", "/x{a=b/*}y", "/{a=*}-{", "/{a=b.c/*.d}", "/x{a", "/x{a/b}", "/{a}x{b}", "/*{a}", "/**{a}", "/**/x{a}", "/x}{y", "/x}/{y}", "/x{y}}", "/{a=b/*}{c}", "/" + "x" * 256)]
REFUSED += [(match("/a/{b}/{c=**}"), rewrite(t)) for t in ("x", "/x//y", "/{d}", "", "/{b", "/x?{b}", "/{b=c}", "/{}", "/a b")]
REFUSED += [({"prefix": "/"}, rewrite("/x")), ({"path": "/"}, rewrite("/x")), (match("/a"), {"prefix_rewrite": "/b", **rewrite("/x")}), (match("/a"), {"prefix_rewrite": "/b"}),
            ({"path_match_policy": {"name": "m"}}, {}), ({"path_match_policy": {"name": "m", "typed_config": {"@type": REWRITE, "path_template_rewrite": "/a"}}}, {}),
            (match("/a"), {"path_rewrite_policy": {"name": "r", "typed_config": {"@type": MATCH, "path_template": "/a"}}})]
PATHS = ["/", "/a", "/a/", "/a/b", "/a/b/", "/a/b/c", "/a/b/c/d", "/A/b", "/a/b/c?q=1", "/a/b?q=1", "/a/b;x=y/c", "/a=b", "/a/c=d", "/x.html", "/x/y.html", "/xhtml", "/a.js", "/b.js/c", "/abc", "/a*", "/a*b",
         "/a+(b)$", "/aa+(b)$", "/*", "/**", "/***", "/xax", "/xa*", "/a/b/z", "/b/c/c", "/b/c/d", "/b/", "/xb/cy", "/1/2/3/4/5", "/a/b%20c", "/a/b[c]", "/a/b|c", "/a/b\"c", "/a//b", "/a/{b}", "/a/~!$&'()+,;:@",
         "/b*", "/b.c/x.d", "/bxc/x.d", "/v1.x/y/z", "/v1.2.x/", "/q", "/z", "/a/b/z/", "/%2f", "/a/^", "/a/\\"]


def routes(cases):
    return [{"name": f"v{n}", "domains": [f"t{n}.example"], "routes": [{"match": m, "route": {"cluster": "origin", **action}}]} for n, (m, action) in enumerate(cases)]


def config(hosts, port, log=None, ports=(0,)):
    manager = {"@type": HCM, "stat_prefix": "in", "http_filters": [ROUTER], "route_config": {"virtual_hosts": hosts}}
    if log:
        manager["access_log"] = log
    return {"static_resources": {"listeners": [{"name": "l", "address": address(port), "filter_chains": [{"filters": [{"name": "h", "typed_config": manager}]}]}],
                                 "clusters": [cluster("origin", *ports)]}}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    origin = Echo()
    # With a host of many routes, where an index looks for the candidates.
    many = {"name": "many", "domains": ["many.example"], "routes": [{"match": m, "route": {"cluster": "origin", "prefix_rewrite": f"/{n}" if "prefix" in m else ""}} for n, (m, _) in enumerate(VALID)]}
    running = both(envoy_program(), tmp_path_factory.mktemp("templates"), lambda r: config([*routes(VALID), many], r.port("in"), ports=(origin.port,)))
    yield running
    for r in running:
        r.stop()


def ask(proxy, hosts):
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port("in"), timeout=10)
    out = []
    for host in hosts:
        for path in PATHS:
            connection.request("GET", path, headers={"host": host})
            answer = connection.getresponse()
            out.append((host, path, answer.status, answer.read().decode()))
    connection.close()
    return out


def test_the_same_paths_match_and_become_the_same(pair):
    hosts = [*(f"t{n}.example" for n in range(len(VALID))), "many.example"]
    theirs, ours = (ask(proxy, hosts) for proxy in pair)
    problems = [f"{VALID[int(a[0][1:].split('.')[0])] if a[0] != 'many.example' else ''} {a} {b}" for a, b in zip(theirs, ours) if a != b]
    assert not problems, "\n".join(problems)
    assert sum(a[2] == 200 for a in ours) > 250 and sum(a[2] == 404 for a in ours) > 300


@pytest.mark.parametrize("taken", [True, False])
def test_the_same_templates_are_refused(tmp_path, taken):
    envoy = envoy_program()
    file = tmp_path / "b.json"
    problems = []
    for case in VALID if taken else REFUSED:
        file.write_text(json.dumps(config(routes([case]), 0)))
        codes = []
        for argv in ([envoy, "-l", "off"], [FAIRLEAD, "proxy"]):
            done = subprocess.run([*argv, "--mode", "validate", "-c", file], capture_output=True, text=True)
            codes.append((done.returncode, done.stderr[-300:]))
        if any((code == 0) != taken for code, _ in codes):
            problems.append(f"{case}: {codes}")
    assert not problems, "\n".join(problems)
