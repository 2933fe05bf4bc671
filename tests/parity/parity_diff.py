"""Comparing what two control planes say, field by field.

Resources are normalised first: lists whose elements have names or addresses become maps, so that a difference is found
where it is and not at everything after it; where order matters, the order of what both have is compared as well.
A path is written `listeners>virtualInbound>filter_chains>...`.
"""
import dataclasses
import fnmatch
import json

SEPARATOR = ">"


def _address(value):
    socket = value.get("socket_address")
    if socket:
        return f"{socket.get('address', '')}:{socket.get('port_value', 0)}"
    return value.get("pipe", {}).get("path", json.dumps(value, sort_keys=True))


def _chain(chain):
    match = chain.get("filter_chain_match", {})
    parts = [chain.get("name", "")]
    for key in ("destination_port", "transport_protocol"):
        if key in match:
            parts.append(str(match[key]))
    for key in ("application_protocols", "server_names"):
        if key in match:
            parts.append("+".join(match[key]))
    parts += [f"{r['address_prefix']}/{r.get('prefix_len', 0)}" for r in match.get("prefix_ranges", [])]
    return " ".join(p for p in parts if p)


def _locality(group):
    locality = group.get("locality", {})
    where = "/".join(locality.get(k, "") for k in ("region", "zone", "sub_zone")).strip("/")
    return f"{where or '-'} priority {group.get('priority', 0)}"


# Field -> name of an element. Order matters where the name is in ORDERED.
KEYS = {
    "filter_chains": _chain,
    "filters": lambda f: f["name"],
    "http_filters": lambda f: f["name"],
    "listener_filters": lambda f: f["name"],
    "access_log": lambda f: f["name"],
    "virtual_hosts": lambda h: h["name"],
    "query_parameters": lambda q: q["name"],  # all must match; Istio writes them in the order of a map in Go
    "endpoints": _locality,
    "lb_endpoints": lambda e: _address(e.get("endpoint", {}).get("address", {})),
    "additional_addresses": lambda a: _address(a.get("address", {})),
}
ORDERED = {"filters", "http_filters", "listener_filters"}
# Sets, whatever order they are written in.
SETS = {"domains"}


def _normal(value, field=""):
    if isinstance(value, dict):
        return {k: _normal(v, k) for k, v in value.items()}
    if isinstance(value, list):
        if field in KEYS and all(isinstance(v, dict) for v in value):
            out = {}
            for element in value:
                name = KEYS[field](element)
                while name in out:
                    name += "'"
                out[name] = _normal(element)
            if field in ORDERED:
                out["#order"] = [KEYS[field](e) for e in value]
            return out
        if field in SETS:
            return {v: True for v in value}
        return [_normal(v) for v in value]
    return value


def normal(proxy):
    """{"clusters": [...], ...} -> {"clusters": {name: resource}, ...}"""
    out = {}
    for kind, resources in proxy.items():
        key = "cluster_name" if kind == "endpoints" else "name"
        out[kind] = {r[key]: _normal({k: v for k, v in r.items() if k != "@type"}) for r in resources}
    return out


@dataclasses.dataclass
class Difference:
    path: str
    istio: object
    ours: object

    def __str__(self):
        def short(v):
            text = "(absent)" if v is None else json.dumps(v, sort_keys=True)
            return text if len(text) <= 300 else text[:300] + "..."
        return f"{self.path}\n    Istio: {short(self.istio)}\n    ours:  {short(self.ours)}"


def _same_number(a, b):
    return isinstance(a, (int, float)) and isinstance(b, (int, float)) and not isinstance(a, bool) and abs(a - b) < 1e-9


def differences(istio, ours, path=()):
    if istio == ours or _same_number(istio, ours):
        return
    if isinstance(istio, dict) and isinstance(ours, dict):
        for key in sorted(istio.keys() | ours.keys()):
            if key == "#order":
                common = set(istio.get(key, [])) & set(ours.get(key, []))
                orders = [[n for n in side.get(key, []) if n in common] for side in (istio, ours)]
                if orders[0] != orders[1]:
                    yield Difference(SEPARATOR.join((*path, key)), *orders)
            else:
                yield from differences(istio.get(key), ours.get(key), (*path, key))
    elif isinstance(istio, list) and isinstance(ours, list) and len(istio) == len(ours):
        for i, (a, b) in enumerate(zip(istio, ours)):
            yield from differences(a, b, (*path, str(i)))
    else:
        yield Difference(SEPARATOR.join(path), istio, ours)


class Known:
    """The table of differences that are meant, or not yet removed: a glob over paths (* spans levels), and why."""

    def __init__(self, entries):
        self.entries = entries
        self.used = set()
        for entry in entries:
            assert entry["path"] and entry["why"], entry

    def covers(self, difference, case):
        for i, entry in enumerate(self.entries):
            if entry.get("case", case) != case:
                continue
            pattern = entry["path"].replace("[", "[[]")
            if not fnmatch.fnmatchcase(difference.path, pattern):
                continue
            if entry.get("only") == "istio" and difference.ours is not None:
                continue
            if entry.get("only") == "ours" and difference.istio is not None:
                continue
            self.used.add(i)
            return True
        return False
