"""The flat layout of Sentinel's sample in a real ZooKeeper becomes a node for each kind of rule."""
import json

from store_tool import Store
from zookeeper import Server

FLOW = {"resource": "/hello", "limitApp": "default", "grade": 1, "count": 5.0, "strategy": 0, "controlBehavior": 0, "clusterMode": False}
DEGRADE = {"resource": "/hello", "grade": 0, "count": 200, "timeWindow": 10, "slowRatioThreshold": 0.5}


def test_flat_rules_are_moved(tmp_path):
    with Server(tmp_path) as server, Store(f"zk:{server.address}") as store:
        client = server.client()
        old = json.dumps([FLOW, DEGRADE, {"resource": "/odd"}]).encode()
        client.create("/sentinel_rule_config/shop", old, makepath=True)
        client.create("/sentinel_rule_config/plain", json.dumps([FLOW]).encode())
        client.create("/sentinel_rule_config/plain/system_rule", b"[]")
        client.create("/sentinel_rule_config/new", b"127.0.1.1")  # as Curator makes a parent
        client.create("/sentinel_rule_config/new/flow_rule", b"[]")
        before = store.ask("list")["keys"]
        plan = store.ask("migrate")
        assert plan["anything"] and "shop:\n" in plan["plan"] and "stays: rule 3" in plan["plan"] and "new" not in plan["plan"]
        assert store.ask("list")["keys"] == before  # nothing but a plan

        store.ask("watch")
        assert store.ask("migrate", carry_out=True, clear_old=True)["plan"] == plan["plan"]
        store.hears("shop/flow_rule")
        store.hears("shop/degrade_rule")
        node = lambda path: client.get("/sentinel_rule_config/" + path)[0]  # noqa: E731
        assert json.loads(node("shop/flow_rule")) == [FLOW]
        assert json.loads(node("shop/degrade_rule")) == [DEGRADE]
        assert json.loads(node("plain/flow_rule")) == [FLOW]
        assert node("plain/system_rule") == b"[]"
        assert node("shop") == old  # a rule of it is left
        assert node("plain") == b""
        assert node("new") == b"127.0.1.1"
        assert not store.ask("migrate")["anything"]
        client.stop()
