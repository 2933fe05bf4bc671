"""Stores of rules under faults. In each: what was acknowledged is there afterwards, and each refusal says what to do."""
import random
import sqlite3
import subprocess
import threading
import time

import pytest
from kazoo.security import make_digest_acl
from store_tool import Refused, Store, append, eventually, has
from zookeeper import Server, Wire, ensemble

SEED = 20  # of each test's own dice: ports are drawn from the common ones


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("zookeeper")) as running:
        yield running


@pytest.fixture
def root(request):
    return "/" + request.node.name.replace("[", "-").replace("]", "")


def zk(server, **options):
    options.setdefault("session", 2000)
    options.setdefault("timeout", 3000)
    return Store(f"zk:{server.address}", **options)


def written(store, acknowledged):
    """Every acknowledged token is there, once, and in its order."""
    tokens = store.read()[0].split(",")[:-1]
    assert len(set(tokens)) == len(tokens)
    assert [t for t in tokens if t in set(acknowledged)] == acknowledged
    return tokens


# ZooKeeper


def test_a_zookeeper_that_comes_later(tmp_path):
    server = Server(tmp_path)
    with zk(server, timeout=500) as store:
        assert not store.health()["reachable"] and "start it" in store.health()["detail"]
        assert server.address in store.refused("read").message
        # Away for longer than the time-out: nobody waits for it again and again.
        begun = time.monotonic()
        for _ in range(20):
            assert store.refused("write", text="[]", expected="").code == "Unavailable"
        assert time.monotonic() - begun < 2
        store.ask("watch")
        with server:
            eventually(store.healthy)
            store.hears("*")
            version = store.write("[1]")
            store.hears("shop/flow_rule")
            assert store.read() == ("[1]", version)


def test_killed_and_started_again_while_writing(tmp_path):
    dice = random.Random(SEED)
    server = Server(tmp_path).start()
    acknowledged = []
    done = threading.Event()

    def disturb():
        for _ in range(4):
            time.sleep(dice.uniform(0.05, 0.4))
            server.kill()
            server.start(wait=False)
            eventually(server.mode, 30)
        done.set()

    with zk(server, session=4000, timeout=8000) as store, zk(server, session=4000) as watcher:
        watcher.ask("watch")
        thread = threading.Thread(target=disturb)
        thread.start()
        number = 0
        while not done.is_set() and number < 5000:
            number += 1
            if append(store, number):
                acknowledged.append(str(number))
        thread.join()
        assert len(acknowledged) > 20
        eventually(store.healthy)
        written(store, acknowledged)
        # The other, whose connection was lost as often, still hears.
        eventually(watcher.healthy)
        watcher.told.clear()
        store.write("[]", app="later")
        watcher.hears("later/flow_rule")
        written(watcher, acknowledged)
    server.kill()


def test_session_expired_in_the_middle_of_a_write(server, root):
    with zk(server, root=root, session=400, timeout=8000) as store, zk(server, root=root) as other:
        store.ask("watch")
        version = store.write("[0]")
        eventually(lambda: store.told)
        for number in range(3):
            store.send("write", text=f"[{number + 1}]", expected=version)
            store.stop()
            time.sleep(1.2)  # of the server's clock: the session's time-out and a few of its ticks
            store.told.clear()
            store.go_on()
            version = store._answer()["version"]
            assert other.read() == (f"[{number + 1}]", version)
            store.hears("*")
            eventually(store.healthy)
        # The new session watches again.
        store.told.clear()
        other.write("[]", app="other")
        store.hears("other/flow_rule")


def test_an_edit_while_the_session_was_away_is_told_and_conflicts(server, root):
    with zk(server, root=root, session=400, timeout=8000) as store, zk(server, root=root) as other:
        store.ask("watch")
        version = store.write("[1]")
        store.stop()
        time.sleep(1.2)
        new = other.write("[2]", version)
        store.told.clear()
        store.go_on()
        store.hears("*")
        refusal = store.refused("write", text="[3]", expected=version)
        assert refusal.code == "Conflict" and new in refusal.message
        assert store.read() == ("[2]", new)


def test_a_node_made_anew_is_another_version(server, root):
    with zk(server, root=root) as store, zk(server, root=root) as other:
        version = store.write("[]")
        other.ask("remove", expected=version)
        other.write("[]")
        assert store.refused("write", text="[1]", expected=version).code == "Conflict"
        assert store.refused("remove", expected=version).code == "Conflict"


def test_one_of_three_killed_and_then_the_majority(tmp_path):
    servers = ensemble(tmp_path)
    try:
        for each in servers:
            each.start(wait=False)
        for each in servers:
            eventually(lambda each=each: each.mode() in ("leader", "follower"), 40)
        where = "zk:" + ",".join(each.address for each in servers)
        acknowledged = []
        with Store(where, session=4000, timeout=10000) as store, Store(where, session=4000, timeout=10000) as watcher:
            watcher.ask("watch")
            leader = next(each for each in servers if each.mode() == "leader")
            for number in range(60):
                if number == 30:
                    leader.kill()
                if append(store, number):
                    acknowledged.append(str(number))
            assert len(acknowledged) >= 50
            written(watcher, acknowledged)
            second = next(each for each in servers if each.process)
            second.kill()
            # One server of three is left: it shows what there is, and says that it takes nothing.
            def read_only():
                health = store.health()
                return health["reachable"] and not health["writable"] and "read-only" in health["detail"]

            eventually(read_only, 30)
            assert "most of its servers are away" in store.health()["detail"]
            written(store, acknowledged)
            refusal = store.refused("write", text="[]", expected=store.read()[1])
            assert refusal.code == "PermissionDenied" and "start them again" in refusal.message
            watcher.told.clear()
            for each in (second, leader):
                each.start(wait=False)
            eventually(store.healthy, 40)
            eventually(lambda: append(store, "last"), 40)
            watcher.hears("shop/flow_rule", 30)
            written(watcher, [*acknowledged, "last"])
    finally:
        for each in servers:
            each.kill()


def test_wrong_acl(server, root):
    with zk(server, root=root, digest="rules:secret") as owner:
        version = owner.write("[1]")
        assert "secret" not in owner.ask("name")["name"]
        for stranger in ({}, {"digest": "rules:wrong"}):
            with zk(server, root=root, **stranger) as store:
                assert store.read() == ("[1]", version)  # Sentinel's clients have no identity
                for refusal in (store.refused("write", text="[2]", expected=version), store.refused("write", text="[2]", expected="", app="new"),
                                store.refused("remove", expected=version)):
                    assert refusal.code == "PermissionDenied" and "digest" in refusal.message and "setAcl" in refusal.message
                    assert "secret" not in refusal.message and "rules:" not in refusal.message
                assert not store.health()["writable"] and "ACL" in store.health()["detail"]
        assert owner.write("[3]", version)
    client = server.client()
    client.ensure_path(f"{root}-closed/shop")
    client.create(f"{root}-closed/shop/flow_rule", b"[]", acl=[make_digest_acl("a", "b", all=True)])
    with zk(server, root=f"{root}-closed") as store:
        refusal = store.refused("read")
        assert refusal.code == "PermissionDenied" and f"{root}-closed/shop/flow_rule" in refusal.message
    client.stop()


def test_a_chroot_that_is_not_there(server):
    with Store(f"zk:{server.address}/team/prod", timeout=3000) as store:
        for refusal in (store.refused("read"), store.refused("list"), store.refused("write", text="[]", expected="")):
            assert refusal.code == "FailedPrecondition" and "create /team/prod" in refusal.message
        eventually(lambda: "create /team/prod" in store.health()["detail"])
        store.ask("watch")
        client = server.client()
        client.create("/team/prod", makepath=True)
        client.create("/team/prod/sentinel_rule_config/shop/flow_rule", b"[7]", makepath=True)
        store.hears("shop/flow_rule")
        eventually(store.healthy)
        assert store.read()[0] == "[7]"
        client.stop()


def test_garbage_in_nodes(server, root):
    client = server.client()
    client.create(f"{root}/shop/flow_rule", b"\x00\xff{", makepath=True)
    client.create(f"{root}/shop/notes/deep", b"x", makepath=True)
    client.create(f"{root}/shop/degrade_rule", b"[]")
    client.create(f"{root}/flat", b"[{}]")
    client.create(f"{root}/%41/flow_rule", b"[]", makepath=True)  # not how "A" is written
    with zk(server, root=root) as store:
        assert store.ask("list")["keys"] == "shop/flow_rule\nshop/degrade_rule\n"
        version = store.read(kind="degrade_rule")[1]
        # Never overwritten by somebody who has not seen it.
        assert store.refused("write", text="[]", expected="").code == "Conflict"
        client.create(f"{root}/shop/degrade_rule/child", b"")
        refusal = store.refused("remove", kind="degrade_rule", expected=version)
        assert refusal.code == "FailedPrecondition" and "children" in refusal.message
        assert client.get(f"{root}/shop/flow_rule")[0] == b"\x00\xff{"
    client.stop()


def test_a_foreign_writer_and_a_root_that_comes_and_goes(server, root):
    client = server.client()
    with zk(server, root=root) as store:
        store.ask("watch")
        for _ in range(2):
            store.told.clear()
            client.create(f"{root}/shop/flow_rule", b"[1]", makepath=True)
            store.hears("shop/flow_rule")
            store.told.clear()
            client.set(f"{root}/shop/flow_rule", b"[2]")
            store.hears("shop/flow_rule")
            assert store.read()[0] == "[2]"
            store.told.clear()
            client.delete(root, recursive=True)
            store.hears("shop/flow_rule")
            assert store.read() == ("", "")
    client.stop()


def test_more_nodes_than_one_packet_of_watches_holds(server, root):
    client = server.client()
    client.ensure_path(root)
    apps = [f"{number}-{'x' * 200}" for number in range(2600)]
    for first in range(0, len(apps), 650):
        batch = client.transaction()
        for app in apps[first:first + 650]:
            batch.create(f"{root}/{app}")
            batch.create(f"{root}/{app}/flow_rule", b"[]")
        assert not any(isinstance(each, Exception) for each in batch.commit())
    with zk(server, root=root, session=4000, timeout=10000) as store:
        store.ask("watch")
        # A client that comes back names all its watches at once, and the server closes the connection of whoever says too much.
        server.kill()
        server.start()
        eventually(store.healthy, 20)
        # A look at everything that the loss began tells "*" of what changes meanwhile; a change that is told by its name came after it.

        def told_by_name():
            store.write("[]", store.read(app="after")[1], app="after")
            time.sleep(0.1)
            return "after/flow_rule" in store.told

        eventually(told_by_name)
        store.told.clear()
        client.set(f"{root}/{apps[0]}/flow_rule", b"[0]")
        client.set(f"{root}/{apps[-1]}/flow_rule", b"[1]")
        client.create(f"{root}/{apps[-1]}/degrade_rule", b"[]")
        for app, kind in ((apps[0], "flow_rule"), (apps[-1], "flow_rule"), (apps[-1], "degrade_rule")):
            store.hears(f"{app}/{kind}")
    client.stop()


def test_values_near_the_limit(server, root):
    with zk(server, root=root) as store:
        fits = "x" * (0xFFFFF - 400)
        version = store.write(fits)
        assert store.read() == (fits, version)
        refusal = store.refused("write", text="x" * 0x100000, expected=version)
        assert refusal.code == "ResourceExhausted" and "jute.maxbuffer" in refusal.message
        # It was not sent: the connection is as it was.
        assert store.healthy() and store.read()[1] == version


def test_a_server_that_stands_still(server, root):
    with zk(server, root=root, session=6000, timeout=400) as store:
        store.ask("watch")
        version = store.write("[0]")
        server.freeze()
        try:
            begun = time.monotonic()
            refusals = [store.refused("read"), store.refused("write", text="[1]", expected=version)]
            assert time.monotonic() - begun < 3
            for refusal in refusals:
                assert refusal.code == "Unavailable" and "look after" in refusal.message
            assert not store.health()["reachable"]
        finally:
            server.thaw()
        eventually(store.healthy)
        text, now = eventually(lambda: try_read(store))
        assert (text == "[0]") == (now == version)
        assert store.write("[2]", now)


def try_read(store):
    try:
        return store.read()
    except Refused:
        return None


def change(store, what, version):
    """The three writes, each from a version."""
    return store.ask("remove", expected=version) if what == "remove" else store.write("[mine]", version)


@pytest.mark.parametrize("what", ["create", "set", "remove"])
@pytest.mark.parametrize("lose", ["request", "answer"])
def test_a_write_whose_fate_is_unknown(server, root, what, lose):
    wire = Wire(server)
    with zk(wire, root=root, session=4000, timeout=8000) as store, zk(server, root=root) as other:
        version = "" if what == "create" else store.write("[old]")
        other.write("[]", kind="system_rule")  # so that the node above is there
        wire.lose = lose
        done = change(store, what, version)
        assert wire.lost == 1
        assert other.read() == (("", "") if what == "remove" else ("[mine]", done["version"] if isinstance(done, dict) else done))
    wire.close()


@pytest.mark.parametrize("what", ["create", "set", "remove"])
@pytest.mark.parametrize("lose", ["request", "answer"])
def test_a_write_whose_fate_is_unknown_and_another_after_it(server, root, what, lose):
    wire = Wire(server)
    with zk(wire, root=root, session=4000, timeout=8000) as store, zk(server, root=root) as other:
        version = "" if what == "create" else store.write("[old]")
        other.write("[]", kind="system_rule")
        new = []

        def between():
            if not new:
                new.append(other.write("[theirs]", other.read()[1]))

        wire.between = between
        wire.lose = lose
        refusal = None
        try:
            change(store, what, version)
        except Refused as refused:
            refusal = refused
        assert wire.lost == 1 and other.read() == ("[theirs]", new[0])
        # Ours was not there if theirs followed what we had read; else nobody can tell, and nobody says that it is stored.
        assert refusal and refusal.code == ("Conflict" if lose == "request" else "Unavailable"), refusal
    wire.close()


def test_frozen_for_a_moment_in_the_middle_of_writes(server, root):
    dice = random.Random(SEED)
    acknowledged = []
    with zk(server, root=root, session=4000, timeout=6000) as store:
        for number in range(60):
            freeze = number % 20 == 10
            if freeze:
                server.freeze()
                threading.Timer(dice.uniform(0.1, 0.4), server.thaw).start()
            if append(store, number):
                acknowledged.append(str(number))
        assert len(acknowledged) == 60
        written(store, acknowledged)


@pytest.mark.parametrize("where", ["zk:127.0.0.1:99999", "zk:", "zk:a b:2181", "zk:127.0.0.1:2181/a//b", "zk:127.0.0.1:2181/../b", "zk:user:pw@host:2181"])
def test_addresses_that_are_none(where):
    with pytest.raises(Refused) as refused:
        Store(where)
    assert refused.value.code == "InvalidArgument"


def test_a_host_without_address():
    with Store("zk:no-such-host.invalid:2181", timeout=300) as store:
        assert store.refused("read").code == "Unavailable"
        assert "correct its addresses" in store.health()["detail"]


# SQLite and folders


def place(kind, folder):
    return f"sqlite:{folder}/rules.db" if kind == "sqlite" else f"dir:{folder}"


@pytest.mark.parametrize("kind", ["sqlite", "dir"])
def test_a_process_killed_in_the_middle_of_writes(kind, tmp_path):
    dice = random.Random(SEED)
    where = place(kind, tmp_path / "rules")
    acknowledged = []
    number = 0
    with Store(where) as watcher:
        watcher.ask("watch")
        for _ in range(8):
            with Store(where) as store:
                timer = threading.Timer(dice.uniform(0.01, 0.15), store.process.kill)
                timer.start()
                try:
                    for _ in range(1000):
                        number += 1
                        if append(store, number):
                            acknowledged.append(str(number))
                except (EOFError, BrokenPipeError):
                    pass
                timer.join()
            watcher.hears("shop/flow_rule")
            watcher.told.clear()
        assert len(acknowledged) > 20
        written(watcher, acknowledged)
        assert watcher.write("[]", watcher.read()[1])
    with Store(where) as store:
        assert store.read()[0] == "[]"


@pytest.mark.parametrize("kind", ["sqlite", "dir"])
def test_two_processes_at_once(kind, tmp_path):
    where = place(kind, tmp_path / "rules")
    tokens = {}

    def write(name):
        tokens[name] = []
        with Store(where) as store:
            for number in range(40):
                while not append(store, f"{name}{number}"):
                    pass
                tokens[name].append(f"{name}{number}")

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    with Store(where) as store:
        for name in "ab":
            written(store, tokens[name])
        assert len(store.read()[0].split(",")) == 81


# A small disk of its own, made in a namespace where this user may mount.
INSIDE = 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"'


@pytest.fixture
def small_disk(tmp_path):
    if not has("unshare") or subprocess.run(["unshare", "-Urm", "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount in a namespace of his own")
    return tmp_path, ["unshare", "-Urm", "sh", "-c", INSIDE, str(tmp_path)]


def inside(store, *command):
    subprocess.run(["nsenter", "-t", str(store.process.pid), "-U", "--preserve-credentials", "-m", *command], check=True, capture_output=True)


@pytest.mark.parametrize("kind", ["sqlite", "dir"])
def test_a_full_disk(kind, small_disk):
    folder, before = small_disk
    with Store(place(kind, folder), before=before) as store:
        version = store.write("[1]")
        subprocess.run(["nsenter", "-t", str(store.process.pid), "-U", "--preserve-credentials", "-m", "sh", "-c", f"cat /dev/zero > {folder}/fill"],
                       capture_output=True)
        refusal = store.refused("write", text="y" * 300_000, expected=version)
        assert refusal.code == "ResourceExhausted" and "free some space" in refusal.message
        assert not store.health()["writable"] and "full" in store.health()["detail"]
        assert store.read() == ("[1]", version)
        inside(store, "rm", f"{folder}/fill")
        assert store.write("[2]", version)
        assert store.healthy()


def test_a_folder_that_becomes_read_only(small_disk):
    folder, before = small_disk
    with Store(place("dir", folder), before=before) as store:
        version = store.write("[1]")
        inside(store, "mount", "-o", "remount,ro", str(folder))
        assert not store.health()["writable"]
        refusal = store.refused("write", text="[2]", expected=version)
        assert refusal.code == "PermissionDenied" and "read-only" in refusal.message
        assert store.read() == ("[1]", version)
        assert store.health()["reachable"] and not store.health()["writable"]
        inside(store, "mount", "-o", "remount,rw", str(folder))
        assert store.write("[2]", version)
        assert store.healthy()


def test_a_database_on_a_read_only_disk(small_disk):
    # The kernel keeps a mount writable as long as SQLite has its files open: it is who comes then that is refused.
    folder, _ = small_disk
    with pytest.raises(Refused) as refused:
        Store(place("sqlite", folder), before=["unshare", "-Urm", "sh", "-c", INSIDE.replace("size=1m", "ro"), str(folder)])
    assert refused.value.code == "PermissionDenied" and "must be writable" in refused.value.message


def test_a_database_of_others_and_a_locked_one(tmp_path):
    where = f"sqlite:{tmp_path}/rules.db"
    with Store(where, timeout=300) as store:
        version = store.write("[1]")
        other = sqlite3.connect(tmp_path / "rules.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        refusal = store.refused("write", text="[2]", expected=version)
        assert refusal.code == "Unavailable" and "another process" in refusal.message
        assert store.read() == ("[1]", version)
        other.execute("ROLLBACK")
        # By hand, with no thought of versions.
        store.ask("watch")
        other.execute("UPDATE rule_documents SET text = '[3]' WHERE app = 'shop'")
        store.hears("*")
        text, now = store.read()
        assert text == "[3]" and now != version
        other.close()
        assert store.write("[4]", now)


def test_the_file_becomes_garbage(tmp_path):
    where = f"sqlite:{tmp_path}/rules.db"
    with Store(where) as store:
        store.write("[1]")
        store.finish()  # so that nothing of it is left in the log beside it
    path = tmp_path / "rules.db"
    good = path.read_bytes()
    path.write_bytes(b"garbage" + good[7:])
    with pytest.raises(Refused) as refused:
        Store(where)
    assert refused.value.code == "FailedPrecondition" and "restore it from a copy" in refused.value.message
    assert path.read_bytes() == b"garbage" + good[7:]
    path.write_bytes(good)
    with Store(where) as store:
        assert store.read()[0] == "[1]"
