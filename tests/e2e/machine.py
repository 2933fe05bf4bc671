"""Meshes that tests of `fairlead up` start themselves, in folders and with ports of their own."""
import json
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile
import time
import uuid

from ports import free_port

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FAIRLEAD = pathlib.Path(os.environ.get("FAIRLEAD", ROOT / "build" / "fairlead"))


def eventually(check, timeout=20, every=0.1):
    """Calls `check` until it neither raises nor returns something false; returns what it returned."""
    end = time.monotonic() + timeout
    while True:
        problem = None
        try:
            if result := check():
                return result
        except (AssertionError, LookupError, ValueError, OSError, subprocess.SubprocessError) as error:
            problem = error
        if time.monotonic() > end:
            raise problem or AssertionError(f"did not come true within {timeout} s")
        time.sleep(every)


def ended(pid):
    """True when there is no such process, or only its shell is left for the parent to collect."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def below(pid):
    """All processes below one, as the kernel knows them now."""
    parents = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        parents[int(stat.parent.name)] = (int(text.rsplit(")", 1)[1].split()[1]), text[text.index("(") + 1:text.rindex(")")])
    found, todo = {}, [pid]
    while todo:
        up = todo.pop()
        for child, (parent, name) in parents.items():
            if parent == up:
                found[child] = name
                todo.append(child)
    return found


class Machine:
    """One mesh, not yet started."""

    def __init__(self, user):
        self.user = user
        self.name = "e2e-" + uuid.uuid4().hex[:6]
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="fairlead-e2e-"))
        self.home.chmod(0o755)
        if user:
            os.chown(self.home, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        self.data = self.home / "data"
        self.port = free_port()
        self.starting = []

    def argv(self, *argv):
        if not self.user:
            return list(argv)
        entry = pwd.getpwnam(self.user)
        return ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups", "--no-new-privs", *argv]

    def environment(self):
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "KUBECONFIG": str(self.home / "kubeconfig"), "LANG": "C.UTF-8"}

    def fairlead(self, *args, before=(), timeout=60, check=False):
        argv = self.argv(*before, str(FAIRLEAD), args[0], "--name", self.name, "--data-dir", str(self.data), *args[1:])
        return subprocess.run(argv, env=self.environment(), capture_output=True, text=True, timeout=timeout, check=check)

    def kubectl(self, *args, input=None, check=True, timeout=60):
        argv = self.argv("kubectl", "--kubeconfig", str(self.data / "kubeconfig"), *args)
        return subprocess.run(argv, env=self.environment(), capture_output=True, text=True, timeout=timeout, check=check, input=input)

    def start(self, *flags, before=()):
        argv = self.argv(*before, str(FAIRLEAD), "up", "--name", self.name, "--data-dir", str(self.data), "--port", str(self.port), "--profile", "minimal", *flags)
        self.starting.append(subprocess.Popen(argv, env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
        return self.starting[-1]

    def serve(self, *flags, before=()):
        """Starts it and waits for the API server: most tests here need no control plane."""
        self.start(*flags, before=before)
        eventually(lambda: self.kubectl("get", "--raw", "/readyz").stdout == "ok")

    def status(self):
        return json.loads(self.fairlead("status", "-o", "json").stdout)

    def run_pod(self, name="shell", image="busybox", command='["sleep", "infinity"]', labels="{}"):
        self.kubectl("apply", "-f", "-", input=f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {labels}}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {{name: main, image: {image}, command: {command}}}
""")
        self.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=30s")

    def sh(self, command, pod="shell", check=True):
        return self.kubectl("exec", pod, "--", "sh", "-c", command, check=check)

    def clean(self):
        self.fairlead("down", "--purge")
        for process in self.starting:
            process.wait(20)
            process.stdout.close()
        shutil.rmtree(self.home, ignore_errors=True)
