"""Conversations with kubectl: files of commands, each followed by the answer that a real Kubernetes API server gave.

    # a note
    $ kubectl get cm a          a command, for bash; lines that begin with "> " continue it
    the answer                  standard output and error, as they come
    [1]                         the exit code, when it is not 0

What differs from run to run (times, uids, addresses) is replaced before answers are recorded and compared; so is our
did-you-mean, which Kubernetes does not have. To record again: point KUBECONFIG at a real API server and run

    python3 tests/e2e/conversation.py tests/e2e/conversations/*.txt
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

NORMAL = [(re.compile(pattern, re.M), replacement) for pattern, replacement in [
    (r' \(did you mean "[^"]*"\?\)', ""),
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "<uid>"),
    (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "<time>"),
    (r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", "<time>"),
    (r'(resourceVersion"?:\s*)"\d+"', r'\1"<version>"'),
    (r"(Resource Version:\s*)\d+", r"\1<version>"),
    (r"(?<=\s)(\d+(ms|s|m|h|d))+(?=\s|$)", "<age>"),
    (r"<age> +", "<age> "),
    (r"\b10\.96\.\d+\.\d+\b( +(?=\S))?", "<ip> "),
    (r"(CLUSTER-IP|<none>|None) {2,}", r"\1 "),
    (r":3\d{4}/", ":<port>/"),
    (r"(nodePort: |NodePort: +\S+ +)3\d{4}", r"\1<port>"),
    (r"https://127\.0\.0\.1:\d+", "https://<server>"),
    (r"kube-api-access-\w{5}", "kube-api-access-<any>"),
    (r"[ \t]+$", ""),
]]


def normal(text):
    for pattern, replacement in NORMAL:
        text = pattern.sub(replacement, text)
    return text


class Step:
    def __init__(self, command, line):
        self.command, self.line, self.answer = command, line, ""


def parse(text):
    notes, steps = "", []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("$ "):
            steps.append(Step(line[2:], number))
        elif not steps:
            notes += line + "\n"
        elif line.startswith("> ") and not steps[-1].answer:
            steps[-1].command += "\n" + line[2:]
        else:
            steps[-1].answer += line + "\n"
    return notes, steps


def answer(command, environment, folder):
    done = subprocess.run(["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment, cwd=folder, timeout=60)
    out = normal(done.stdout.decode(errors="replace"))
    if out and not out.endswith("\n"):
        out += "\n"
    return out + (f"[{done.returncode}]\n" if done.returncode else "")


def play(path, environment, kubeconfig):
    """Holds the conversation of a file in a namespace of its own; yields each step with the answer it got."""
    name = pathlib.Path(path).stem
    with tempfile.TemporaryDirectory(prefix="fairlead-conversation-") as folder:
        own = pathlib.Path(folder) / "kubeconfig"
        own.write_text(pathlib.Path(kubeconfig).read_text())
        own.chmod(0o600)
        environment = {**environment, "KUBECONFIG": str(own), "HOME": folder, "NS": name}
        answer(f"kubectl create namespace {name}; kubectl config set-context --current --namespace={name}", environment, folder)
        answer(f"for i in $(seq 50); do kubectl get sa default -n {name} 2>/dev/null && break; sleep 0.1; done", environment, folder)
        for step in parse(pathlib.Path(path).read_text())[1]:
            yield step, answer(step.command, environment, folder)
        answer(f"kubectl delete namespace {name} --wait=false", environment, folder)


def record(path):
    notes, _ = parse(pathlib.Path(path).read_text())
    text = notes
    for step, got in play(path, dict(os.environ), os.environ["KUBECONFIG"]):
        text += "$ " + step.command.replace("\n", "\n> ") + "\n" + got
    pathlib.Path(path).write_text(text)


if __name__ == "__main__":
    for each in sys.argv[1:]:
        record(each)
