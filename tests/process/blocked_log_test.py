# A host whose log nobody reads serves all the same, and its log goes on when somebody reads again.
import os
import subprocess
import unittest

from cluster import HOST, Cluster, waitFor

FILLER = b"." * 4096


class BlockedLog(unittest.TestCase):
    def test_a_host_whose_log_nobody_reads_serves(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        with Cluster(host='log_level = "trace"').start() as cluster:
            cluster.pushKv()
            cluster.create("lines")
            filled = self.restart(cluster, writer)

            # Its commands, its leaderships, and peers that come and go: all with words in the log.
            pairs = {f"key-{i}": f"value-{i}" for i in range(500)}
            for turn in range(5):
                cluster.transfer("lines", 1)
                cluster.putAll("lines", pairs, via=[1])
                cluster.kill(3)
                cluster.restart(3)
            cluster.expectAll("lines", pairs, via=[1])
            self.assertTrue(self.blocked(cluster.children[1].pid), "the log was not blocked to the end")
            self.drain(reader, filled)

    def test_a_host_whose_log_nobody_reads_ends_in_good_order(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        with Cluster().start() as cluster:
            self.restart(cluster, writer)
            self.assertEqual(0, cluster.stop(1))

    def restart(self, cluster, writer):
        """Host 1 again, its log into a pipe that is full; how full."""
        cluster.kill(1)
        filled = self.fill(writer)
        cluster.children[1] = subprocess.Popen(
            [HOST, "--config", cluster.config(1)], stdin=subprocess.DEVNULL, stdout=writer, stderr=writer,
            cwd=cluster.place(1))
        os.close(writer)
        cluster.waitReady(1)
        self.assertTrue(self.blocked(cluster.children[1].pid), "no thread of the host waits to write its log")
        return filled

    def fill(self, writer):
        """Leaves no room in the pipe; how many bytes it took."""
        os.set_blocking(writer, False)
        filled = 0
        try:
            while True:
                filled += os.write(writer, FILLER)
        except BlockingIOError:
            pass
        os.set_blocking(writer, True)
        return filled

    def blocked(self, process):
        """One of its threads is inside a write to the full pipe."""
        def look():
            for task in os.listdir(f"/proc/{process}/task"):
                with open(f"/proc/{process}/task/{task}/wchan", encoding="ascii") as file:
                    if "pipe_write" in file.read():
                        return True
            return False
        return waitFor(look, 10, "a thread that waits for its log's reader")

    def drain(self, reader, filled):
        """Reads the filler, and then what the host had to say."""
        os.set_blocking(reader, False)
        said = bytearray()

        def look():
            try:
                said.extend(os.read(reader, 1 << 16))
            except BlockingIOError:
                pass
            return len(said) > filled and b"peer h3" in said[filled:]
        waitFor(look, 10, "the log to go on")


if __name__ == "__main__":
    unittest.main()
