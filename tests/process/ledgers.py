# What tests of ledgers ask of a group: see tests/plugin/ledger.
from cluster import waitFor


class Ledgers:
    """Beside a TestCase that has a `cluster`."""

    def members(self, group, via=None):
        return {one["host"]: one for one in self.cluster.show(group, via)["members"]}

    def level(self, group, seconds=40):
        """All run the same and hold the same."""
        seen = []

        def look():
            seen[:] = members = self.members(group).values()
            return all(one["ready"] and one["digest"] for one in members) and \
                len({(one["applied"], one["digest"], one.get("plugin")) for one in members}) == 1
        try:
            waitFor(look, seconds, f"equal digests of {group}")
        except AssertionError as late:
            raise AssertionError(f"{late}; last seen: {seen}") from late

    def once(self, group, *pipes):
        """Every acknowledged add happened, once; of the others none twice."""
        for pipe in pipes:
            keys = self.cluster.pipe(group, "get")
            for request in pipe.asked:
                keys.send({"key": request["key"]})
            for request, answer, held in zip(pipe.asked, pipe.answers, keys.end()):
                self.assertNotIn("error", held, request)
                self.assertLessEqual(int(held["adds"]), 1, request)
                self.assertEqual(int(held["adds"]), int(held["sum"]), request)
                if "error" not in answer:
                    self.assertEqual(1, int(held["sum"]), request)
