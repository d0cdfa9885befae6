# A way to a host that can be cut and held: a proxy on loopback that counts what goes to the host.
import socket
import struct
import threading


class Way:
    """Listens on `port` and carries every connection on to `target` (host:port), until closed."""

    PIECE = 256 << 10

    def __init__(self, port, target):
        name, number = target.rsplit(":", 1)
        self.target = (name, int(number))
        self.lock = threading.Lock()
        self.pairs = []  # sockets of connections that stand
        self.bytes = 0  # that went to the host, over all connections
        self.cuts = 0
        self.cutAfter = []  # counts of bytes at which everything is cut, rising
        self.holdAfter = None  # the count of bytes after which nothing more goes to the host
        self.released = threading.Condition(self.lock)
        self.server = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.server.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self.target)
            except OSError:
                self.drop(near)
                continue
            for one in (near, far):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.pairs.append((near, far))
            threading.Thread(target=self.carry, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self.carry, args=(far, near, False), daemon=True).start()

    def carry(self, source, sink, counted):
        try:
            while piece := source.recv(self.PIECE):
                if counted:
                    self.waitWhileHeld()
                sink.sendall(piece)
                if counted and self.count(len(piece)):
                    self.cut()
        except OSError:
            pass
        for one in (source, sink):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def count(self, size):
        with self.lock:
            self.bytes += size
            if not self.cutAfter or self.bytes < self.cutAfter[0]:
                return False
            self.cutAfter.pop(0)
            return True

    def hold(self, after):
        """Once `after` bytes have gone to the host, nothing more does, until release()."""
        with self.lock:
            self.holdAfter = after

    def release(self):
        with self.lock:
            self.holdAfter = None
            self.released.notify_all()

    def waitWhileHeld(self):
        with self.lock:
            self.released.wait_for(lambda: self.holdAfter is None or self.bytes < self.holdAfter)

    def cutEvery(self, size, times):
        """Cuts all connections each time that so many more bytes have gone to the host."""
        with self.lock:
            self.cutAfter = [self.bytes + size * (i + 1) for i in range(times)]

    def cut(self):
        """All connections end at once, both ways, with whatever was under way."""
        with self.lock:
            pairs, self.pairs = self.pairs, []
            self.cuts += 1
        for pair in pairs:
            for one in pair:
                self.drop(one)

    @staticmethod
    def drop(one):
        try:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        one.close()

    def close(self):
        self.server.close()
        self.release()
        self.cut()


def putWay(hosts, n, port):
    """Before the founding: all hosts are to dial host n by way of `port`; gives where it listens itself.

    A host on loopback that is dialled elsewhere than where it listens is refused as a slip of the pen, by the names
    that people write; nobody writes this one.
    """
    behind = hosts.listen[n]
    hosts.listen[n] = f"Localhost:{port}"
    for each in hosts.numbers:
        hosts.writeConfig(each)
    with open(hosts.config(n), "r+", encoding="utf-8") as file:
        text = file.read()
        file.seek(0)
        file.write(text.replace(f'listen = "{hosts.listen[n]}"', f'listen = "{behind}"'))
        file.truncate()
    return behind
