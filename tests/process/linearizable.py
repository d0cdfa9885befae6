# Decides whether the history of one register could have happened one operation at a time.
"""Wing and Gong's search with Lowe's memory of what was tried already.

An operation is invoked and answered at moments of one clock. One whose outcome is unknown may have happened at
any time after its invocation, or never. One that was certainly not executed must not be given.
"""

UNKNOWN = float("inf")  # the moment of an answer that never came
STEPS_MAX = 2_000_000


class Operation:
    """One call: `kind` put, get or compareAndSet; the value is None where there is none."""

    __slots__ = ("kind", "value", "expected", "result", "invoked", "answered")

    def __init__(self, kind, invoked, answered, value=None, expected=None, result=None):
        self.kind, self.value, self.expected, self.result = kind, value, expected, result
        self.invoked, self.answered = invoked, answered

    def __repr__(self):
        until = "?" if self.answered == UNKNOWN else f"{self.answered:.6f}"
        return f"{self.kind}({self.expected!r} -> {self.value!r}) = {self.result!r} [{self.invoked:.6f}, {until}]"


def apply(operation, held):
    """What the register holds after an operation, and whether its answer fits."""
    if operation.kind == "put":
        return operation.value, True
    if operation.kind == "get":
        return held, operation.result == held
    fits = held == operation.expected
    after = operation.value if fits else held
    return after, operation.answered == UNKNOWN or operation.result == fits


def check(operations):
    """None where one order explains every answer; else the longest explained prefix, and what remains."""
    # A read of unknown outcome says nothing.
    left = sorted((one for one in operations if one.answered != UNKNOWN or one.kind != "get"),
                  key=lambda one: one.invoked)
    count = len(left)
    everything = (1 << count) - 1
    optional = sum(1 << i for i, one in enumerate(left) if one.answered == UNKNOWN)
    seen, best, steps = set(), 0, 0
    stack = [(0, None, 0)]  # done as bits, what is held, first operation that is not done
    while stack:
        done, held, first = stack.pop()
        if done | optional == everything:
            return None
        if done.bit_count() > best.bit_count():
            best = done
        steps += 1
        if steps > STEPS_MAX:
            raise AssertionError(f"no decision after {STEPS_MAX} steps; give fewer operations a key")
        while done >> first & 1:
            first += 1
        # What comes next was invoked before the first answer among those that are not done.
        limit = min(one.answered for i, one in enumerate(left[first:], first) if not done >> i & 1)
        for i in range(first, count):
            if done >> i & 1:
                continue
            if left[i].invoked > limit:
                break
            after, fits = apply(left[i], held)
            if fits and (done | 1 << i, after) not in seen:
                seen.add((done | 1 << i, after))
                stack.append((done | 1 << i, after, first))
    return [left[i] for i in range(count) if not best >> i & 1][:5]
