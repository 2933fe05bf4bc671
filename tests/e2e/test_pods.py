"""Pods and Deployments with the real kubectl: what people type when something runs, and when it does not."""
import json
import subprocess
import sys
import time
import urllib.request

from machine import eventually
from ports import free_port

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
      - name: app
        image: kennethreitz/httpbin
        ports: [{name: http, containerPort: 80}]
        readinessProbe: {httpGet: {path: /status/200, port: http}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{name: http, port: 8000, targetPort: http}]
"""


def pods(machine, selector="app=web"):
    items = json.loads(machine.kubectl("get", "pods", "-l", selector, "-o", "json").stdout)["items"]
    return [p for p in items if "deletionTimestamp" not in p["metadata"]]


def events(machine, name):
    items = json.loads(machine.kubectl("get", "events", "--field-selector", f"involvedObject.name={name}", "-o", "json").stdout)["items"]
    return {e["reason"]: e["message"] for e in items}


def test_a_deployment_rolls_back_and_forth(machine):
    machine.serve()
    machine.kubectl("apply", "-f", "-", input=DEPLOYMENT)
    assert "successfully rolled out" in machine.kubectl("rollout", "status", "deploy/web", "--timeout=30s").stdout
    first = {p["metadata"]["name"] for p in pods(machine)}
    machine.kubectl("rollout", "restart", "deploy/web")
    assert "successfully rolled out" in machine.kubectl("rollout", "status", "deploy/web", "--timeout=30s").stdout
    assert not first & {p["metadata"]["name"] for p in pods(machine)}
    assert machine.kubectl("rollout", "history", "deploy/web").stdout.split()[-4:] == ["1", "<none>", "2", "<none>"]
    assert "rolled back" in machine.kubectl("rollout", "undo", "deploy/web").stdout
    machine.kubectl("rollout", "status", "deploy/web", "--timeout=30s")
    assert "kubectl.kubernetes.io/restartedAt" not in pods(machine)[0]["metadata"].get("annotations", {})

    machine.kubectl("set", "image", "deploy/web", "app=nowhere/nothing:1")
    eventually(lambda: any(c["state"].get("waiting", {}).get("reason") in ("ErrImagePull", "ImagePullBackOff")
                           for p in pods(machine) for c in p["status"]["containerStatuses"]))
    ready = [p for p in pods(machine) if all(c["ready"] for c in p["status"]["containerStatuses"])]
    assert len(ready) == 2, "an image that cannot be had takes nothing away"
    machine.kubectl("rollout", "undo", "deploy/web")
    machine.kubectl("rollout", "status", "deploy/web", "--timeout=30s")

    machine.kubectl("scale", "deploy/web", "--replicas=4")
    machine.kubectl("wait", "--for=jsonpath={.status.readyReplicas}=4", "deploy/web", "--timeout=30s")
    slice_ = json.loads(machine.kubectl("get", "endpointslices", "-l", "kubernetes.io/service-name=web", "-o", "json").stdout)["items"][0]
    # Pods of the rollout before may still be ending; they are listed, as in Kubernetes, and not ready.
    assert sum(e["conditions"]["ready"] for e in slice_["endpoints"]) == 4 and slice_["ports"][0]["port"] == 80
    machine.kubectl("scale", "deploy/web", "--replicas=1")
    eventually(lambda: len(pods(machine)) == 1)
    machine.kubectl("delete", "deploy", "web", "--timeout=30s")
    eventually(lambda: not pods(machine))


def test_logs_exec_and_port_forward(machine):
    machine.serve()
    machine.run_pod("talk", command='["sh", "-c", "echo one; echo two >&2; while :; do sleep 0.2; echo more; done"]')
    assert machine.kubectl("logs", "talk", "--limit-bytes=8").stdout == "one\ntwo\n"
    eventually(lambda: machine.kubectl("logs", "talk", "--tail=1").stdout == "more\n")
    with subprocess.Popen(machine.argv("kubectl", "--kubeconfig", str(machine.data / "kubeconfig"), "logs", "-f", "talk", "--tail=1"),
                          env=machine.environment(), stdout=subprocess.PIPE, text=True) as follow:
        assert [follow.stdout.readline() for _ in range(3)] == ["more\n"] * 3
        machine.kubectl("delete", "pod", "talk", "--now")
        assert follow.wait(timeout=20) == 0, "it ends with the container"

    machine.run_pod()
    assert machine.sh("exit 7", check=False).returncode == 7
    assert machine.kubectl("exec", "-i", "shell", "--", "cat", input="to and fro").stdout == "to and fro"
    terminal = ["script", "-qec", f"kubectl --kubeconfig {machine.data}/kubeconfig exec -it shell -- sh -c 'test -t 0 && echo a terminal; exit 5'", "/dev/null"]
    seen = subprocess.run(machine.argv(*terminal), env=machine.environment(), capture_output=True, text=True, timeout=30)
    assert "a terminal" in seen.stdout and seen.returncode == 5
    missing = machine.kubectl("exec", "shell", "--", "no-such-program", check=False)
    assert missing.returncode != 0 and "no-such-program" in missing.stderr

    machine.run_pod("web", image="kennethreitz/httpbin", command='["gunicorn", "-b", "0.0.0.0:80", "httpbin:app"]')
    port = free_port()
    with subprocess.Popen(machine.argv("kubectl", "--kubeconfig", str(machine.data / "kubeconfig"), "port-forward", "web", f"{port}:80"),
                          env=machine.environment(), stdout=subprocess.PIPE, text=True) as forward:
        assert "Forwarding" in forward.stdout.readline()
        for _ in range(3):
            assert urllib.request.urlopen(f"http://127.0.0.1:{port}/get", timeout=10).status == 200
        forward.terminate()


def test_a_container_that_keeps_ending_is_held_back(machine):
    machine.serve()
    machine.kubectl("apply", "-f", "-", input="""
apiVersion: v1
kind: Pod
metadata: {name: crash}
spec:
  containers:
  - name: main
    image: busybox
    command: [sh, -c, "echo goodbye; echo no disk > /dev/termination-log; exit 3"]
""")
    # The first restart is immediate, the second waits.
    def held_back():
        statuses = json.loads(machine.kubectl("get", "pod", "crash", "-o", "json").stdout)["status"]["containerStatuses"]
        return [c for c in statuses if c["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"][0]
    status = eventually(held_back)
    assert status["restartCount"] == 1
    assert status["lastState"]["terminated"]["exitCode"] == 3
    assert status["lastState"]["terminated"]["message"] == "no disk\n"
    assert "CrashLoopBackOff" in machine.kubectl("get", "pod", "crash").stdout
    assert machine.kubectl("logs", "crash", "--previous").stdout == "goodbye\n"
    assert {"Scheduled", "Pulled", "Created", "Started", "BackOff"} <= events(machine, "crash").keys()


def test_an_unknown_image_says_what_to_do(machine):
    machine.serve()
    machine.kubectl("run", "bad", "--image=nowhere/nothing:1")
    told = eventually(lambda: "BackOff" in events(machine, "bad") and events(machine, "bad"))
    assert {"Pulling", "Failed"} <= told.keys()
    describe = machine.kubectl("describe", "pod", "bad").stdout
    assert "nowhere/nothing:1" in describe and "images.yaml" in describe


def test_sidecars_volumes_and_environment(machine):
    machine.serve()
    machine.kubectl("apply", "-f", "-", input="""
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {mode: fast, deep: water}
---
apiVersion: v1
kind: Pod
metadata: {name: full, labels: {app: full}, annotations: {note: kept}}
spec:
  terminationGracePeriodSeconds: 1
  initContainers:
  - {name: prepare, image: busybox, command: [sh, -c, "echo prepared > /scratch/file"], volumeMounts: [{name: scratch, mountPath: /scratch}]}
  - name: helper
    image: busybox
    restartPolicy: Always
    command: [sh, -c, "sleep 0.3; touch /scratch/helping; sleep infinity"]
    startupProbe: {exec: {command: [test, -f, /scratch/helping]}, periodSeconds: 1, failureThreshold: 30}
    volumeMounts: [{name: scratch, mountPath: /scratch}]
  containers:
  - name: main
    image: busybox
    command: [sh, -c, "ls /scratch/helping && exec sleep infinity"]
    env:
    - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: ADDRESS, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: NOTE, valueFrom: {fieldRef: {fieldPath: "metadata.annotations['note']"}}}
    - {name: MODE, valueFrom: {configMapKeyRef: {name: settings, key: mode}}}
    - {name: URL, value: "http://$(NAME)/$(MODE)"}
    volumeMounts:
    - {name: scratch, mountPath: /scratch}
    - {name: conf, mountPath: /conf, readOnly: true}
  volumes:
  - {name: scratch, emptyDir: {}}
  - {name: conf, configMap: {name: settings, items: [{key: deep, path: a/b}]}}
""")
    machine.kubectl("wait", "--for=condition=Ready", "pod/full", "--timeout=30s")
    assert "2/2" in machine.kubectl("get", "pod", "full").stdout
    run = lambda command: machine.kubectl("exec", "full", "-c", "main", "--", "sh", "-c", command).stdout
    assert run("cat /scratch/file /conf/a/b") == "prepared\nwater"
    ip = machine.kubectl("get", "pod", "full", "-o", "jsonpath={.status.podIP}").stdout
    assert run("echo $URL $ADDRESS $NOTE") == f"http://full/fast {ip} kept\n"
    assert run("cat /var/run/secrets/kubernetes.io/serviceaccount/namespace") == "default"
    code = run("curl -s -o /dev/null -w '%{http_code}' --cacert /var/run/secrets/kubernetes.io/serviceaccount/ca.crt "
               "-H \"Authorization: Bearer $(cat /var/run/secrets/kubernetes.io/serviceaccount/token)\" https://kubernetes.default.svc/version")
    assert code == "200"
    machine.kubectl("patch", "configmap", "settings", "-p", '{"data":{"deep":"sea"}}')
    eventually(lambda: run("cat /conf/a/b") == "sea")
    began = time.monotonic()
    machine.kubectl("delete", "pod", "full", "--timeout=30s")
    assert time.monotonic() - began < 15


def test_the_tools_of_small_images_are_there(machine):
    """What Istio's pages type into the curl image: nc ends with its input, time prints three lines."""
    machine.serve()
    machine.kubectl("run", "curl", "--image=curlimages/curl", "--command", "--", "/bin/sleep", "infinity")
    machine.kubectl("run", "echo", "--image=istio/tcp-echo-server:1.3", "--port=9000", "--expose", "--", "9000", "one")
    machine.kubectl("wait", "--for=condition=Ready", "pod/curl", "pod/echo", "--timeout=30s")
    run = lambda *command: machine.kubectl("exec", "curl", "--", *command)
    assert run("sh", "-c", "(echo hello; sleep 0.1) | nc -w 5 echo 9000").stdout == "one hello\n"
    timed = run("time", "curl", "-sS", "-o", "/dev/null", "-k", "https://kubernetes.default/version").stderr
    assert [line.split("\t")[0] for line in timed.splitlines()] == ["real", "user", "sys"]
    service = machine.kubectl("get", "service", "echo", "-o", "jsonpath={.spec.clusterIP}").stdout
    assert service in run("nslookup", "echo.default.svc.cluster.local").stdout


TERMINAL = """
import os, pty, re, select, struct, fcntl, termios, sys, time
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
seen, sent, end = b"", 0, time.monotonic() + 40
# Each line is typed when what it waits for has been printed.
talk = [(b"try pressing enter", b"\\n"), (b"# ", b"until stty size | grep 33; do sleep 0.1; done\\n"), (b"33 101", b"echo $((40+2))\\n"), (b"42", b"exit 3\\n")]
while time.monotonic() < end:
    if sent < len(talk) and talk[sent][0] in seen:
        os.write(fd, talk[sent][1])
        sent += 1
    if select.select([fd], [], [], 0.1)[0]:
        try:
            data = os.read(fd, 65536)
        except OSError:
            break
        if not data:
            break
        seen += data
if time.monotonic() >= end:
    os.kill(pid, 9)
sys.stdout.write(seen.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_pod_for_a_moment_talks_through_its_own_input(machine):
    machine.serve()
    ran = machine.kubectl("run", "once", "--rm", "-i", "--image=busybox", "--restart=Never", "--", "sh", "-c", "tr a-z A-Z; sleep 1", input="hello\n")
    assert ran.stdout.splitlines()[0] == "HELLO"
    argv = machine.argv(sys.executable, "-c", TERMINAL, "kubectl", "--kubeconfig", str(machine.data / "kubeconfig"), "run", "shell", "--rm", "-it",
                        "--image=busybox", "--restart=Never", "--", "sh")
    ran = subprocess.run(argv, env=machine.environment(), capture_output=True, text=True, timeout=60)
    assert "33 101" in ran.stdout and "42" in ran.stdout, ran.stdout + ran.stderr
    assert ran.returncode == 3


LIMITED = """
apiVersion: v1
kind: Pod
metadata: {name: limited}
spec:
  restartPolicy: Never
  containers:
  - name: over
    image: busybox
    command: [python3, -c, "import time; x = [bytearray(1 << 20) or time.sleep(0.002) for _ in range(300)]"]
    resources: {limits: {memory: 50Mi}}
  - name: within
    image: busybox
    command: [python3, -c, "import time; x = bytearray(30 << 20); time.sleep(0.5)"]
    resources: {limits: {memory: 50Mi}}
  - name: bare
    image: busybox
    command: [grep, CapEff, /proc/self/status]
    securityContext: {capabilities: {drop: [ALL]}}
"""


def test_limits_and_capabilities_are_kept(machine):
    machine.serve()
    machine.kubectl("apply", "-f", "-", input=LIMITED)

    def ended():
        pod = json.loads(machine.kubectl("get", "pod", "limited", "-o", "json").stdout)
        return {c["name"]: (c["state"]["terminated"]["reason"], c["state"]["terminated"]["exitCode"]) for c in pod["status"]["containerStatuses"]}

    states = eventually(ended)
    assert states == {"over": ("OOMKilled", 137), "within": ("Completed", 0), "bare": ("Completed", 0)}
    assert machine.kubectl("logs", "limited", "-c", "bare").stdout.split() == ["CapEff:", "0" * 16]
