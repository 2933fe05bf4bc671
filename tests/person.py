"""People who use the console, by its HTTP API."""
import json
import urllib.parse

KINDS = ("flow", "degrade", "param-flow", "system", "authority", "gateway-flow", "gateway-api")


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json()["error"]["code"]

    @property
    def message(self):
        return self.json()["error"]["message"]


class Person:
    """Somebody with a session, or nobody yet. Methods that are not `raw` insist on a good answer."""

    def __init__(self, console, name=None, password=None):
        self.console, self.cookie = console, None
        if name:
            answer = self.raw("POST", "/api/session", {"username": name, "password": password})
            assert answer.status == 200, answer.body

    def raw(self, method, path, body=None, headers=None, form=None, text=None):
        sent = dict(headers or {})
        data = text.encode() if isinstance(text, str) else text
        if body is not None:
            data = json.dumps(body).encode()
            sent.setdefault("content-type", "application/json")
        if form is not None:
            data = urllib.parse.urlencode(form).encode()
            sent["content-type"] = "application/x-www-form-urlencoded"
        if self.cookie:
            sent.setdefault("cookie", self.cookie)
        connection = self.console.connect()
        try:
            connection.request(method, path, data, sent)
            answer = connection.getresponse()
            answer = Answer(answer.status, answer.headers, answer.read().decode("utf-8", "replace"))
        finally:
            connection.close()
        if cookie := answer.headers.get("set-cookie"):
            self.cookie = cookie.split(";")[0]
        return answer

    def good(self, method, path, body=None, **more):
        answer = self.raw(method, path, body, **more)
        assert answer.status in (200, 201), f"{method} {path}: {answer.status} {answer.body[:500]}"
        return answer.json()

    def get(self, path, **more):
        return self.good("GET", path, **more)

    def rules(self, app, kind):
        return self.get(f"/api/apps/{quote(app)}/rules/{kind}")

    def write(self, app, kind, rules, expected=None, **more):
        """The whole list, as the rules' page writes it."""
        if expected is None:
            expected = self.rules(app, kind)["version"]
        return self.good("PUT", f"/api/apps/{quote(app)}/rules/{kind}", {"expected": expected, "rules": rules, **more})

    def add(self, app, kind, rule):
        """One more rule, as the buttons of the resource tree do it: read the list, add, write."""
        stored = self.rules(app, kind)
        return self.write(app, kind, [*stored["rules"], {"enabled": True, **rule}], stored["version"])

    def machines(self, app):
        return self.get(f"/api/apps/{quote(app)}/machines")

    def state(self, app, machine):
        return next((m["state"] for m in self.machines(app) if m["id"] == machine), dict.fromkeys(KINDS, "not here"))

    def has(self, app, machine, kind, count):
        """Whether the console has seen as many rules there, and that they are the stored ones."""
        return any(m["id"] == machine and m["state"][kind] == "same" and m["loaded"][kind] == count for m in self.machines(app))

    def loaded(self, app, machine, kind):
        return self.get(f"/api/apps/{quote(app)}/machines/{machine}/rules/{kind}")


def quote(text):
    return urllib.parse.quote(text, safe="")
