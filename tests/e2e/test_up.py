"""fairlead up, down, status: what they leave alone, what they survive, what they say."""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import urllib.request

import pytest

from machine import below, ended, eventually
from ports import free_port

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="prepares a namespace, which needs root")


def host_state():
    def of(*argv):
        return subprocess.run(argv, capture_output=True, text=True).stdout if shutil.which(argv[0]) else ""
    etc = {}
    for path in pathlib.Path("/etc").rglob("*"):
        try:
            status = path.lstat()
        except OSError:
            continue
        etc[str(path)] = (status.st_size, status.st_mtime_ns)
    return {"links": of("ip", "-o", "addr"), "routes": of("ip", "route"), "namespaces": of("ip", "netns"), "rules": of("nft", "list", "ruleset"), "etc": etc,
            "mounts": pathlib.Path("/proc/self/mountinfo").read_text(), "forward": pathlib.Path("/proc/sys/net/ipv4/ip_forward").read_text()}


def test_the_host_stays_as_it_is(machine):
    before = host_state()
    machine.serve()
    machine.run_pod()
    during = host_state()
    assert machine.data.stat().st_mode & 0o077 == 0
    agent = machine.status()["agentPid"]
    processes = below(agent)
    assert "pod-init" in processes.values()
    machine.fairlead("down", check=True)
    assert host_state() == before
    assert during == before
    eventually(lambda: all(ended(pid) for pid in [agent, *processes]))


def test_pods_cannot_write_the_host(machine):
    machine.serve()
    machine.run_pod()
    mark = f"fairlead-{machine.name}"
    folders = "/ /etc /usr /usr/bin /usr/local /var /var/tmp /opt /srv /home /root /tmp /dev /sys /proc/sys/kernel /boot /mnt"
    machine.sh(f"for d in {folders}; do touch $d/{mark}; done; echo x >> /etc/passwd; echo x > /proc/sys/kernel/core_pattern; rm -f /usr/bin/env; mount -o remount,rw /; mknod /tmp/disk b 254 0; true")
    assert [d for d in folders.split() if pathlib.Path(d, mark).exists()] == []
    assert not pathlib.Path("/etc/passwd").read_text().endswith("x\n")
    assert pathlib.Path("/usr/bin/env").exists()
    assert pathlib.Path("/proc/sys/kernel/core_pattern").read_text() != "x\n"
    assert machine.sh("test -b /tmp/disk", check=False).returncode != 0
    # The keys of the mesh lie in its data folder.
    assert machine.sh(f"cat {machine.data}/pki/ca.key", check=False).returncode != 0


def test_pods_reach_each_other_by_address_and_by_service(machine):
    machine.serve()
    machine.run_pod("web", image="kennethreitz/httpbin", command='["gunicorn", "-b", "0.0.0.0:80", "httpbin:app"]', labels="{app: web}")
    machine.run_pod()
    machine.kubectl("expose", "pod", "web", "--port=8000", "--target-port=80")
    ip = machine.kubectl("get", "pod", "web", "-o", "jsonpath={.status.podIP}").stdout
    assert '"Host": "%s"' % ip in machine.sh(f"curl -sS http://{ip}/headers").stdout
    eventually(lambda: "web:8000" in machine.sh("curl -sS http://web:8000/headers").stdout)
    # Its own service: the hairpin.
    assert '"Host": "web.default.svc.cluster.local:8000"' in machine.sh("curl -sS -m 5 http://web.default.svc.cluster.local:8000/headers", pod="web").stdout
    machine.kubectl("delete", "pod", "web", "--now")
    eventually(lambda: machine.sh("curl -sS -m 5 http://web:8000/headers", check=False).returncode == 7)  # refused at once, not timed out
    assert machine.sh("getent hosts no-such-name.default.svc.cluster.local", check=False).returncode == 2


def test_the_console_comes_with_the_mesh(machine):
    port = free_port()
    machine.serve("--with", "console", "--console-port", str(port))

    def page(path):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.read().decode()
    eventually(lambda: "fairlead_console_store_reachable 1" in page("/metrics"))
    # A pod says that it is there, by the address of the node, and is asked for its rules.
    machine.run_pod()
    pod = machine.kubectl("get", "pod", "shell", "-o", "jsonpath={.status.podIP}").stdout
    beat = machine.sh(f"curl -sS 'http://10.244.0.1:{port}/registry/machine?app=shop&ip={pod}&port=8719'").stdout
    assert '"success":true' in beat
    assert 'fairlead_console_machines{app="shop"} 1' in page("/metrics")

    # It comes again when it dies, and after the mesh did.
    process, = (pid for pid, name in below(machine.status()["nodePid"]).items() if name.startswith("fairlead") and
                b"--listen-fd" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(process, signal.SIGKILL)
    eventually(lambda: "fairlead_console_store_reachable 1" in page("/metrics"))
    machine.fairlead("down", check=True)
    machine.serve()
    eventually(lambda: "fairlead_console_store_reachable 1" in page("/metrics"))


def test_node_ports_are_on_loopback_of_the_host(machine):
    machine.serve()
    machine.run_pod("web", image="kennethreitz/httpbin", command='["gunicorn", "-b", "0.0.0.0:80", "httpbin:app"]', labels="{app: web}")
    machine.kubectl("expose", "pod", "web", "--port=80", "--type=NodePort")
    port = machine.kubectl("get", "service", "web", "-o", "jsonpath={.spec.ports[0].nodePort}").stdout

    def answers():
        return subprocess.run(["curl", "-sS", "-m", "5", f"http://127.0.0.1:{port}/status/204", "-o", "/dev/null", "-w", "%{http_code}"], capture_output=True, text=True).stdout
    eventually(lambda: answers() == "204")
    machine.kubectl("delete", "service", "web")

    def closed():
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", int(port))) != 0
    eventually(closed)


def test_load_balancers_are_reached_with_their_own_ports(machine):
    machine.serve()
    machine.kubectl("run", "web", "--image=mccutchen/go-httpbin", "--port=8080")
    port = free_port()
    machine.kubectl("expose", "pod", "web", "--name=high", "--type=LoadBalancer", f"--port={port}", "--target-port=8080")
    machine.kubectl("expose", "pod", "web", "--name=low", "--type=LoadBalancer", "--port=80", "--target-port=8080")
    address = lambda name: machine.kubectl("get", "service", name, "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}").stdout
    assert eventually(lambda: address("high")) == "127.0.0.1"
    eventually(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/status/200", timeout=5).status == 200)
    events = lambda: machine.kubectl("describe", "service", "low").stdout
    if machine.user and int(open("/proc/sys/net/ipv4/ip_unprivileged_port_start").read()) > 80:
        eventually(lambda: "opened by root only" in events())
        assert address("low") == "" and "<pending>" in machine.kubectl("get", "service", "low").stdout
    else:
        # Whoever has port 80 here: an address of its own, or a reason.
        eventually(lambda: "EnsuredLoadBalancer" in events() or "no address of" in events())
        if ip := address("low"):
            eventually(lambda: urllib.request.urlopen(f"http://{ip}/status/200", timeout=5).status == 200)
    machine.kubectl("delete", "service", "high")

    def closed():
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) != 0
    eventually(closed)


def test_names_given_by_outside_are_answered_beyond_the_node(machine):
    machine.serve("--outside", "httpbin.example.net=httpbin")
    machine.run_pod()
    eventually(lambda: '"Host": "httpbin.example.net"' in machine.sh("curl -sS -m 5 http://httpbin.example.net/headers").stdout)


@needs_root
def test_folders_with_mounts_beneath_them_are_composed_of_binds(plain):
    # As in a container engine: /etc/hosts and /usr/local are mounts of their own, which no overlay may uncover.
    host = plain.home / "hosts"
    host.write_text("192.0.2.1 not-for-pods\n")
    prepare = f"mount --bind {host} /etc/hosts && mount --bind /usr/local /usr/local && exec \"$@\""
    plain.serve(before=["unshare", "--mount", "sh", "-c", prepare, "sh"])
    plain.run_pod()
    hosts = plain.sh("cat /etc/hosts").stdout
    assert "shell" in hosts and "not-for-pods" not in hosts
    assert plain.sh("test -x /usr/local/bin/fairlead && ls /etc/passwd /usr/bin/env && cat /etc/resolv.conf").stdout.endswith("options ndots:5\n")
    assert plain.sh("echo x >> /etc/passwd", check=False).returncode != 0
    assert host.read_text() == "192.0.2.1 not-for-pods\n"


def test_other_users_of_a_pod_may_open_their_output_again(machine):
    machine.serve()
    machine.kubectl("apply", "-f", "-", input="""
apiVersion: v1
kind: Pod
metadata: {name: writer}
spec:
  restartPolicy: Never
  securityContext: {runAsUser: 1337}
  containers:
  - {name: main, image: busybox, command: [sh, -c, "echo again > /dev/stdout; id -u >&2"]}
""")
    user = "0" if machine.user else "1337"  # one user id is all that an ordinary user has
    eventually(lambda: machine.kubectl("logs", "writer").stdout == f"again\n{user}\n")


def test_exec_hands_back_the_exit_code_and_a_terminal(machine):
    machine.serve()
    machine.run_pod()
    assert machine.sh("exit 7", check=False).returncode == 7
    assert machine.sh("kill -9 $$", check=False).returncode == 137
    assert machine.kubectl("exec", "-i", "shell", "--", "cat", input="abc").stdout == "abc"
    assert machine.kubectl("exec", "shell", "--", "no-such-program", check=False).returncode != 0
    assert machine.sh("cat /proc/1/comm; hostname").stdout == "pod-init\nshell\n"


def test_a_broken_off_exec_ends_its_process_and_no_other(machine):
    machine.serve()
    machine.run_pod()
    machine.run_pod("bystander")
    mark = "31557600"
    exec_ = subprocess.Popen(machine.argv("kubectl", "--kubeconfig", str(machine.data / "kubeconfig"), "exec", "shell", "--", "sleep", mark), env=machine.environment())
    eventually(lambda: [p for p in pathlib.Path("/proc").glob("[0-9]*/cmdline") if _holds(p, mark)])
    before = {pid for pid, name in below(machine.status()["agentPid"]).items() if name == "pod-init" or name.startswith("fairlead")}
    exec_.kill()
    exec_.wait()
    eventually(lambda: not [p for p in pathlib.Path("/proc").glob("[0-9]*/cmdline") if _holds(p, mark)])
    assert before <= set(below(machine.status()["agentPid"]))


def _holds(cmdline, mark):
    try:
        return cmdline.read_bytes() == b"sleep\0" + mark.encode() + b"\0"
    except OSError:
        return False


@pytest.mark.parametrize("victim", ["agent", "init", "node", "all"])
def test_a_killed_process_leaves_nothing_that_up_does_not_clean(machine, victim):
    machine.serve()
    machine.kubectl("create", "configmap", "kept", "--from-literal=a=b")
    machine.run_pod()
    agent = machine.status()["agentPid"]
    processes = below(agent)
    by_name = {name: pid for pid, name in processes.items()}
    victims = {"agent": [agent], "init": [by_name["fairlead-init"]], "node": [by_name["fairlead-node"]], "all": [agent, *processes]}[victim]
    for pid in victims:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    eventually(lambda: all(ended(pid) for pid in [agent, *processes]))
    assert "not running" in machine.fairlead("status").stdout
    machine.serve()
    assert machine.kubectl("get", "configmap", "kept", "-o", "jsonpath={.data.a}").stdout == "b"
    eventually(lambda: machine.kubectl("get", "pod", "shell", "-o", "jsonpath={.status.containerStatuses[0].ready}").stdout == "true")


def test_a_pod_whose_init_is_killed_comes_back(machine):
    machine.serve()
    machine.kubectl("create", "deployment", "web", "--image=kennethreitz/httpbin")
    eventually(lambda: machine.kubectl("get", "deployment", "web", "-o", "jsonpath={.status.readyReplicas}").stdout == "1")
    for pid, name in below(machine.status()["agentPid"]).items():
        if name == "pod-init":
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: machine.kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].status.containerStatuses[0].restartCount}").stdout not in ("", "0"))
    eventually(lambda: machine.kubectl("get", "deployment", "web", "-o", "jsonpath={.status.readyReplicas}").stdout == "1")


def test_a_second_up_says_that_it_runs(plain):
    plain.serve()
    again = plain.fairlead("up")
    assert again.returncode == 1
    assert "is running already" in again.stderr and f"fairlead down --name {plain.name}" in again.stderr


def test_a_taken_port_is_named_with_a_remedy(plain):
    with socket.socket() as s:
        s.bind(("127.0.0.1", plain.port))
        s.listen()
        done = plain.fairlead("up", "--port", str(plain.port))
    assert done.returncode == 1
    assert f"127.0.0.1:{plain.port}" in done.stderr and f"--port {plain.port + 1}" in done.stderr
    assert "not running" in plain.fairlead("status").stdout


@pytest.mark.parametrize("value, sentence", [
    ("httpbin.org", "HOST=SAMPLE is wanted"),
    ("httpbin.org=httpbn", 'no sample "httpbn"; did you mean "httpbin"?'),
    ("Http_bin=httpbin", "is no host name"),
])
def test_an_outside_that_cannot_be_is_refused_before_anything_starts(plain, value, sentence):
    done = plain.fairlead("up", "--port", "0", "--outside", value)
    assert done.returncode == 1 and sentence in done.stderr, done.stderr
    assert "no log" in plain.fairlead("logs").stderr


def test_a_kubeconfig_that_cannot_be_read_stays_as_it_is(plain):
    config = plain.home / "kubeconfig"
    config.write_text("{{{ no YAML")
    done = plain.fairlead("up", "--port", "0", "--profile", "minimal")
    assert done.returncode == 0 and "was not added" in done.stderr
    assert f"kubectl --kubeconfig {plain.data}/kubeconfig get pods" in done.stdout
    plain.fairlead("down", check=True)
    assert config.read_text() == "{{{ no YAML"


def test_another_profile_for_a_mesh_that_has_one_is_not_pretended(plain):
    plain.fairlead("up", "--port", "0", "--profile", "minimal", check=True)
    plain.fairlead("down", check=True)
    assert "profile minimal stays as it was installed" in plain.fairlead("up", "--profile", "default", check=True).stdout


def test_a_mesh_with_a_name_stands_beside_others_without_a_port_named(plain):
    with contextlib.ExitStack() as stack:
        taken = stack.enter_context(socket.socket())
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):  # somebody else's will do as well
            taken.bind(("127.0.0.1", 6443))
            taken.listen()
        plain.fairlead("up", "--profile", "minimal", check=True)
        port = plain.status()["port"]
        assert 6443 < port < 6543
        plain.fairlead("down", check=True)
        plain.fairlead("up", check=True)
        assert plain.status()["port"] == port


@needs_root
@pytest.mark.parametrize("prepare, sentence", [
    ("echo 0 > /proc/sys/user/max_user_namespaces", "sysctl user.max_user_namespaces"),
    ("mount -t tmpfs none /usr/sbin", "apt-get install iptables"),
    ("mkdir -p $DATA && mount -t tmpfs -o size=4m none $DATA", "disk of"),
])
def test_what_the_host_lacks_is_said_with_a_remedy(plain, prepare, sentence):
    # In a user namespace of its own, so that neither limit nor mount is the host's.
    command = f"DATA={plain.data}; {prepare} && exec \"$@\""
    done = plain.fairlead("up", "--port", str(plain.port), before=["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", command, "sh"])
    assert done.returncode == 1, done.stdout + done.stderr
    assert sentence in done.stderr


def test_an_interrupted_up_ends_what_it_started(plain):
    for _ in range(5):
        up = plain.start()
        assert any("API server" in line for line in up.stdout)
        up.send_signal(signal.SIGSTOP)
        agent = plain.status()["agentPid"]
        processes = below(agent)
        assert len(processes) > 1
        up.send_signal(signal.SIGINT)
        up.send_signal(signal.SIGCONT)
        if up.wait(20) != 0:
            break
        plain.fairlead("down")  # it was ready before it could be interrupted
    assert up.returncode == 130
    eventually(lambda: all(ended(pid) for pid in [agent, *processes]))


def test_an_image_of_the_users_table_runs(machine):
    machine.data.mkdir(parents=True)
    program = machine.home / "shop"
    program.mkdir()
    (program / "run.sh").write_text("echo open for $1 in $MODE; exec sleep 1000\n")
    (machine.data / "images.yaml").write_text(
        f"example.com/shop: {{command: [sh, /srv/shop/run.sh], args: [all], env: {{MODE: test}}, files: {{/srv/shop: {program}}}}}\n")
    if machine.user:
        shutil.chown(machine.data, machine.user)
    machine.serve()
    machine.kubectl("run", "shop", "--image=example.com/shop:1.0")
    eventually(lambda: machine.kubectl("logs", "shop").stdout == "open for all in test\n")
    machine.kubectl("run", "other", "--image=example.com/other:1.0")
    eventually(lambda: "images.yaml" in machine.kubectl("describe", "pod", "other").stdout)


def test_pods_reach_the_api_server_with_their_token(machine):
    machine.serve()
    machine.run_pod()
    answer = machine.sh("cd /var/run/secrets/kubernetes.io/serviceaccount && curl -sS --cacert ca.crt -H \"Authorization: Bearer $(cat token)\" "
                        "https://kubernetes.default.svc/version").stdout
    assert "gitVersion" in answer


def test_other_contexts_stay(plain):
    config = plain.home / "kubeconfig"
    config.write_text("""apiVersion: v1
kind: Config
current-context: work
clusters: [{name: work, cluster: {server: "https://work.example.com"}}]
users: [{name: me, user: {token: secret}}]
contexts: [{name: work, context: {cluster: work, user: me}}]
""")
    plain.serve()
    plain.fairlead("down", check=True)
    text = config.read_text()
    assert "https://work.example.com" in text and "secret" in text and "current-context: work" in text
    assert plain.name not in text


def test_purge_takes_the_state_and_nothing_else(plain):
    plain.serve()
    (plain.data / "mine").write_text("x")
    plain.fairlead("down", "--purge", check=True)
    assert [p.name for p in plain.data.iterdir()] == ["mine"]
    assert "was not running" in plain.fairlead("down").stdout


def test_down_with_purge_leaves_no_file(machine):
    def files():
        return sorted(str(p) for p in machine.home.rglob("*"))
    before = files()
    machine.serve()
    machine.fairlead("down", "--purge", check=True)
    machine.starting[0].wait(20)
    # kubectl keeps a cache of its own.
    assert [f for f in files() if "/.kube" not in f] == before
