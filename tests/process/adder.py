# A client that does not stop, for tests of ledgers: see tests/plugin/ledger.
import threading

from cluster import waitFor


class Adder:
    """Adds 1 to a new key of a ledger with each call, two a pause while the group answers, until told to end."""

    BURST = 2
    MANY = 10_000  # by then more go slowly: each is read back twice, and a busy machine takes its time

    def __init__(self, cluster, group, name, inFlight=200, pause=0.003):
        self.pipe = cluster.pipe(group, "add", timeoutMs=60000)
        self.name, self.inFlight, self.pause, self.sent = name, inFlight, pause, 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        while not self.ended.is_set():
            self.ended.wait(self.pause if self.sent < self.MANY else 10 * self.pause)
            if self.sent - len(self.pipe.answers) >= self.inFlight:
                continue
            for _ in range(self.BURST):
                self.pipe.send({"key": f"{self.name}-{self.sent}", "by": 1})
                self.sent += 1

    def waitMore(self, count):
        wanted = len(self.pipe.answers) + count
        waitFor(lambda: len(self.pipe.answers) >= wanted, 60, f"{count} more answers of {self.name}")

    def end(self):
        self.ended.set()
        self.thread.join()
        self.pipe.end()
        return self.pipe
