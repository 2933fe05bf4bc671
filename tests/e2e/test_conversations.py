"""What people type, answered as a real Kubernetes API server answers it (see conversation.py)."""
import os
import pathlib
import signal
import tempfile

import pytest

import conversation
from test_api import Server

FILES = sorted((pathlib.Path(__file__).parent / "conversations").glob("*.txt"))


@pytest.fixture(scope="module")
def server():
    with tempfile.TemporaryDirectory(prefix="fairlead-api-") as directory:
        server = Server(directory)
        yield server
        server.kill(signal.SIGTERM)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_answers_as_kubernetes_does(server, path):
    folder = os.path.dirname(server.kubectl_path)
    environment = {**os.environ, "PATH": folder + os.pathsep + os.environ["PATH"]}
    wrong = []
    for step, got in conversation.play(path, environment, server.kubeconfig):
        if got != step.answer:
            wrong.append(f"{path.name}:{step.line} $ {step.command}\n--- Kubernetes\n{step.answer}--- ours\n{got}")
    assert not wrong, "\n".join(wrong)
