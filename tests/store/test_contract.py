"""The contract of src/store/rules/rule_store_test.cc against a real ZooKeeper."""
import os
import subprocess

from store_tool import program
from zookeeper import Server


def test_zookeeper_keeps_the_contract(tmp_path):
    with Server(tmp_path) as server:
        ran = subprocess.run([program("store_test"), "--gtest_filter=*RuleStoreContract*zk"], capture_output=True, text=True, timeout=60,
                             env={**os.environ, "FAIRLEAD_TEST_ZOOKEEPER": server.address})
    assert ran.returncode == 0, ran.stdout[-4000:]
    assert "OfTwoEditsOneWins/zk" in ran.stdout
