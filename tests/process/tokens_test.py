# What a token opens: a client's reaches the groups that it names and nothing else, on whatever way it is tried.
import os
import subprocess
import unittest

from cluster import BUILD, Cluster

CLIENTS = """
[[client]]
token = "../orders.token"
groups = ["orders", "shared-*"]
"""
KV = "c74016b280a0723a"  # the interface's id, as `capnp compile -ocapnp` shows it


class Tokens(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(tail=CLIENTS)
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.secret("orders.token", "orders-" + os.urandom(12).hex())
        cls.token = os.path.join(cls.cluster.dir, "orders.token")
        cls.cluster.start()
        cls.cluster.pushKv()
        for name in ("orders", "shared-1", "payroll"):
            cls.cluster.create(name)
            cls.cluster.putAll(name, {"k": "v"})

    def asClient(self, *arguments):
        return self.cluster.run(*arguments, "--token", self.token)

    def probe(self, group, incarnation, interface="0", method=0, params="00" * 8):
        done = subprocess.run([os.path.join(BUILD, "tests", "courier-probe"), self.cluster.listen[1], self.token,
                               str(group), str(incarnation), interface, str(method), params],
                              capture_output=True, text=True, timeout=30, check=False)
        return done.stdout.strip()

    def test_calls_reach_the_groups_that_it_names(self):
        for name in ("orders", "shared-1"):
            done = self.asClient("call", name, "put", "key=a", f"value={name}")
            self.assertEqual(0, done.code, done)
            self.assertEqual(name, self.asClient("call", name, "get", "key=a", "--json").json["value"])

    def test_another_group_is_denied_on_every_way(self):
        for words in (("call", "payroll", "put", "key=a", "value=c"), ("call", "payroll", "get", "key=k"),
                      ("group", "show", "payroll"), ("events", "payroll")):
            done = self.asClient(*words)
            self.assertEqual((1, ""), (done.code, done.out), done)
            self.assertRegex(done.err, r"group payroll: this token does not open it|operator", done)
        self.cluster.expectAll("payroll", {"k": "v"})

    def test_a_group_is_not_reached_by_its_id_either(self):
        spec = {one["name"]: one for one in self.cluster.ask("group", "list")["groups"]}
        own, other = spec["orders"], spec["payroll"]
        self.assertRegex(self.probe(own["id"], own["incarnation"]), "^outcomes ")
        self.assertRegex(self.probe(other["id"], other["incarnation"]),
                         rf"^fault denied group id:{other['id']}: this token does not open it$")
        self.assertRegex(self.probe(other["id"], other["incarnation"] + 1), r"^fault unavailable .*not known here")
        self.assertRegex(self.probe(0, 0), r"^fault denied group id:0: the catalog takes operators' words only$")

    def test_nothing_that_a_client_can_send_stops_its_group(self):
        own = next(one for one in self.cluster.ask("group", "list")["groups"] if one["name"] == "shared-1")
        at = (own["id"], own["incarnation"])
        for interface, method in (("0", 0), (KV, 99), (KV, 1), (KV, 65535)):
            self.assertEqual("outcomes noSuchMethod the group's plugin has no such command",
                             self.probe(*at, interface, method))
        for params in ("", "00", "ff" * 8, "ff" * 64, "0000000001000000" + "f1ffffff82000000", "02000000ffffffff"):
            self.assertRegex(self.probe(*at, KV, 0, params), "^(outcomes app|outcomes ok|fault badRequest)")
        self.cluster.expectAll("shared-1", {"k": "v"})
        self.assertEqual(["running"] * 3, [one["machine"] for one in self.cluster.show("shared-1")["members"]])

    def test_what_operators_do_is_not_for_clients(self):
        for words in (("group", "create", "mine", "--plugin", "kv"), ("group", "remove", "orders"),
                      ("group", "transfer", "orders", "--to", "2"), ("status",)):
            done = self.asClient(*words)
            self.assertNotEqual(0, done.code, done)
            self.assertRegex(done.err, r"operator", done)
        names = [one["name"] for one in self.cluster.ask("group", "list")["groups"]]
        self.assertEqual(["orders", "payroll", "shared-1"], sorted(names))


if __name__ == "__main__":
    unittest.main()
