import unittest

from registry import column, figures

PRINTED = """{"rows":5,"bytes_per_row":900,"figures":[
  {"what":"claim the next row","p50_ms":0.5,"p99_ms":0.9,"worst_ms":2.0},
  {"what":"enqueue, 64 callers at once","per_second":9000}]}"""


class Registry(unittest.TestCase):
    def test_figures_are_found_by_what_was_measured(self) -> None:
        run = figures(PRINTED)
        self.assertEqual(run["claim the next row"]["p99_ms"], 0.9)
        self.assertEqual(column([run, run], "enqueue, 64 callers at once", "per_second"), [9000, 9000])


if __name__ == "__main__":
    unittest.main()
