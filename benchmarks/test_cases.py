import os
import time
import unittest

from cases import CASES, load, select
from processes import cpu_seconds, run, tree


class Cases(unittest.TestCase):
    def test_a_case_is_chosen_by_its_name_or_the_start_of_it(self) -> None:
        names = ["whole-file", "ranges-64k", "ranges-1b", "memory"]
        self.assertEqual(select(names, []), names)
        self.assertEqual(select(names, ["memory", "ranges"]), ["ranges-64k", "ranges-1b", "memory"])
        self.assertEqual(select(names, ["ranges-1b"]), ["ranges-1b"])
        for unknown in ("range", "file", "nothing"):
            with self.assertRaisesRegex(ValueError, unknown):
                select(names, [unknown])

    def test_every_module_registers_its_cases(self) -> None:
        load()
        self.assertIn("whole-file", CASES)


class Processes(unittest.TestCase):
    def test_the_clock_of_a_process_counts_what_it_worked(self) -> None:
        before = cpu_seconds(os.getpid())
        began = time.process_time()
        while time.process_time() - began < 0.05:
            pass
        self.assertGreaterEqual(cpu_seconds(os.getpid()) - before, 0.05)

    def test_a_process_that_is_gone_costs_nothing(self) -> None:
        self.assertEqual(cpu_seconds(2**22 - 1), 0)

    def test_a_program_is_accounted_for_with_what_it_waited_for(self) -> None:
        finished = run(["python3", "-c", "print('said'); sum(range(10**6))"])
        self.assertEqual((finished.code, finished.output), (0, "said\n"))
        self.assertGreater(finished.cpu, 0)

    def test_a_tree_starts_with_its_root(self) -> None:
        self.assertEqual(tree(os.getpid())[0], os.getpid())


if __name__ == "__main__":
    unittest.main()
