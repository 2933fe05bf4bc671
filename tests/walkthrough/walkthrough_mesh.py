"""A mesh for the walkthrough and a shell beside it.

The commands in the tests are those of the tutorial, run by bash in the repository's root with the user's own kubectl.
"""
import os
import pathlib
import pty
import pwd
import select
import shutil
import subprocess
import tempfile
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FAIRLEAD = pathlib.Path(os.environ.get("FAIRLEAD", ROOT / "build" / "fairlead"))


def eventually(check, timeout=60, every=0.2):
    """Calls `check` until it neither raises nor returns False; returns what it returned."""
    end = time.monotonic() + timeout
    while True:
        try:
            result = check()
            if result is not False:
                return result
            problem = None
        except (AssertionError, subprocess.SubprocessError, LookupError, ValueError) as error:
            problem = error
        if time.monotonic() > end:
            if problem:
                raise problem
            raise AssertionError(f"{check} did not come true within {timeout} s")
        time.sleep(every)


def host_state():
    """What a mesh might leave on its host: interfaces, namespaces, rules, files of /etc."""
    def of(*argv):
        if not shutil.which(argv[0]):
            return ""
        return subprocess.run(argv, capture_output=True, text=True).stdout
    links = sorted(line.split(": ")[1].split("@")[0] for line in of("ip", "-o", "link").splitlines())
    files = {}
    for path in sorted(pathlib.Path("/etc").rglob("*")):
        try:
            status = path.lstat()
        except OSError:
            continue
        files[str(path)] = (status.st_size, status.st_mtime_ns)
    return {"links": links, "namespaces": of("ip", "netns"), "rules": of("nft", "list", "ruleset"), "etc": files}


class CommandFailed(AssertionError):
    pass


class Mesh:
    """A running mesh and a shell beside it."""

    def __init__(self, user):
        self.user = user  # None: as we are
        self.name = "wt-" + uuid.uuid4().hex[:6]
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="fairlead-walk-"))
        self.kubeconfig = self.home / "kubeconfig"
        self.variables = {}
        self.host_before = host_state()
        if user:
            os.chown(self.home, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        kubectl = subprocess.run([ROOT / "tools/ensure-kubectl"], capture_output=True, text=True, check=True).stdout.strip()
        links = self.home / "bin"
        links.mkdir()
        # By their own names, whatever the build calls its files.
        (links / "kubectl").symlink_to(kubectl)
        (links / "fairlead").symlink_to(FAIRLEAD)
        (links / "istioctl").symlink_to(FAIRLEAD)
        self.environment = {
            "PATH": f"{links}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.home),
            "KUBECONFIG": str(self.kubeconfig),
            "LANG": "C.UTF-8",
            "TERM": "xterm",
        }

    def _argv(self, argv):
        if not self.user:
            return argv
        return ["setpriv", f"--reuid={self.user}", f"--regid={pwd.getpwnam(self.user).pw_gid}", "--clear-groups", *argv]

    def up(self):
        command = (f"fairlead up --name {self.name} --profile minimal --data-dir {self.home}/data "
                   f"--kubeconfig {self.kubeconfig} --port 0 --outside httpbin.org=httpbin")
        self.sh(command, timeout=120)

    def down(self):
        try:
            self.sh(f"fairlead down --name {self.name} --data-dir {self.home}/data --purge", check=False, timeout=60)
        finally:
            shutil.rmtree(self.home, ignore_errors=True)

    def run(self, command, input=None, timeout=120):
        """The whole outcome: returncode, stdout, stderr."""
        return subprocess.run(self._argv(["bash", "-c", command]), cwd=ROOT, env={**self.environment, **self.variables},
                              input=input, capture_output=True, text=True, timeout=timeout)

    def sh(self, command, check=True, input=None, timeout=120):
        """What the command prints. A failure tells all of it."""
        done = self.run(command, input, timeout)
        if check and done.returncode != 0:
            raise CommandFailed(f"$ {command}\nexit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def start(self, command):
        """The command in the background; the caller ends it."""
        return subprocess.Popen(self._argv(["bash", "-c", command]), cwd=ROOT, env={**self.environment, **self.variables},
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def tty(self, command, timeout=120):
        """The command in a terminal of its own, as a person runs it: (exit code, all that appeared)."""
        master, slave = pty.openpty()
        process = subprocess.Popen(self._argv(["bash", "-c", command]), cwd=ROOT, env={**self.environment, **self.variables},
                                   stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        out, end = b"", time.monotonic() + timeout
        try:
            while time.monotonic() < end:
                ready, _, _ = select.select([master], [], [], 0.2)
                if ready:
                    try:
                        piece = os.read(master, 65536)
                    except OSError:  # the other side is closed
                        break
                    if not piece:
                        break
                    out += piece
                elif process.poll() is not None:
                    break
            code = process.wait(max(0.1, end - time.monotonic()))
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            os.close(master)
        return code, out.decode(errors="replace").replace("\r\n", "\n")

    def let(self, name, command):
        """export NAME=$(command), for the commands that follow."""
        value = self.sh(command).strip()
        self.variables[name] = value
        return value

    def apply(self, yaml):
        """kubectl apply -f - <<EOF ..."""
        return self.sh("kubectl apply -f -", input=yaml)

    def rows(self, command):
        """A table as a list of rows of words, without its head."""
        return [line.split() for line in self.sh(command).splitlines()[1:]]

    def pods_ready(self, selector="", namespace="default", each="2/2"):
        """Waits until every pod is Running with `each` containers; returns the rows."""
        def check():
            label = f"-l '{selector}'" if selector else ""
            rows = self.rows(f"kubectl get pods -n {namespace} {label}")
            assert rows, "no pods"
            bad = [row for row in rows if row[1:3] != [each, "Running"]]
            assert not bad, bad
            return rows
        return eventually(check, timeout=90)
