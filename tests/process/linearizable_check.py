# Sees the checker accept histories that could have been and refuse those that could not.
import random
import unittest

from linearizable import UNKNOWN, Operation, check


def put(value, invoked, answered):
    return Operation("put", invoked, answered, value=value)


def get(result, invoked, answered):
    return Operation("get", invoked, answered, result=result)


def swap(expected, value, result, invoked, answered):
    return Operation("compareAndSet", invoked, answered, value=value, expected=expected, result=result)


class Checker(unittest.TestCase):
    def test_orders_that_could_have_been(self):
        self.assertIsNone(check([]))
        self.assertIsNone(check([get(None, 0, 1), put("a", 2, 3), get("a", 4, 5)]))
        self.assertIsNone(check([put("a", 0, 9), get(None, 1, 2), get("a", 3, 4)]))
        self.assertIsNone(check([put("a", 0, 9), put("b", 0, 9), get("b", 10, 11)]))
        self.assertIsNone(check([put("a", 0, 1), swap("a", "b", True, 2, 3), swap("a", "c", False, 4, 5), get("b", 6, 7)]))

    def test_a_stale_read_is_found(self):
        self.assertIsNotNone(check([put("a", 0, 1), put("b", 2, 3), get("a", 4, 5)]))
        self.assertIsNotNone(check([put("a", 0, 1), get(None, 2, 3)]))

    def test_a_read_that_goes_back_is_found(self):
        self.assertIsNotNone(check([put("a", 0, 9), get("a", 1, 2), get(None, 3, 4)]))

    def test_a_value_nobody_wrote_is_found(self):
        self.assertIsNotNone(check([put("a", 0, 1), get("z", 2, 3)]))

    def test_a_command_applied_twice_is_found(self):
        self.assertIsNotNone(check([put("a", 0, 1), swap("a", "b", True, 2, 3), swap("a", "c", True, 4, 5)]))

    def test_an_unknown_outcome_may_have_happened_late_or_never(self):
        unknown = put("a", 0, UNKNOWN)
        self.assertIsNone(check([unknown, get(None, 1, 2)]))
        self.assertIsNone(check([unknown, get(None, 1, 2), get("a", 3, 4)]))
        self.assertIsNone(check([put("b", 0, 1), swap("b", "c", None, 2, UNKNOWN), get("c", 3, 4)]))
        self.assertIsNotNone(check([unknown, get("a", 1, 2), get(None, 3, 4)]))

    def test_histories_of_a_real_register_pass_and_one_changed_answer_does_not(self):
        chance = random.Random(5)
        refused = 0
        for _ in range(60):
            history = self.simulated(chance, 80)
            self.assertIsNone(check(history))
            reads = [one for one in history if one.kind == "get"]
            chance.choice(reads).result = "never written"
            refused += check(history) is not None
        self.assertEqual(60, refused)

    def simulated(self, chance, count):
        """Calls that overlap, each taking effect at one moment between its two ends."""
        calls = []
        for number in range(count):
            invoked = number * 1.0
            calls.append((invoked + chance.uniform(0, 4), invoked, number))
        held, history = None, []
        for moment, invoked, number in sorted(calls):
            answered = moment + chance.uniform(0, 2)
            kind = chance.choice(["put", "get", "compareAndSet"])
            if kind == "put":
                held = f"v{number}"
                history.append(put(held, invoked, answered if chance.random() > 0.1 else UNKNOWN))
            elif kind == "get":
                history.append(get(held, invoked, answered))
            else:
                expected = chance.choice([held, "other"])
                history.append(swap(expected, f"s{number}", expected == held, invoked, answered))
                if expected == held:
                    held = f"s{number}"
        return history


if __name__ == "__main__":
    unittest.main()
