import unittest

from pairs import Figure, alone, compared
from report import number, spliced, table

PAGE = """before
<!-- results: begin one -->
old
<!-- results: end -->
between
<!-- results: begin two -->
kept
<!-- results: end -->
"""


class Report(unittest.TestCase):
    def test_a_table_says_who_what_and_how_far_from_the_aim(self) -> None:
        rate = Figure("rate", "requests", "/s", more_is_better=True, aim=1.0, floor=0.9)
        rounds = [{"a": {"rate": 95000}, "b": {"rate": 100000}}]
        said = table(compared("64 KiB", rounds, [rate], "a", "b"), ["A note."])
        self.assertIn("| 64 KiB | requests | a: 95 000 /s | b: 100 000 /s | 0.95 (0.95..0.95) | ≥ 1.00 (0.90): floor |", said)
        self.assertTrue(said.endswith("\n\nA note."))

    def test_a_figure_alone_shows_its_range(self) -> None:
        row = alone("idle", Figure("rss", "memory", "MiB", aim=12), "a", [10, 11, 12])
        self.assertIn("| idle | memory | a: 11.0 MiB (10.0..12.0) |  |  | ≤ 12.0 MiB: aim |", table([row]))

    def test_numbers_have_three_digits(self) -> None:
        for figure, expected in [
            (0, "0.00"),
            (0.0123, "0.0123"),
            (0.5, "0.50"),
            (4.567, "4.57"),
            (45.67, "45.7"),
            (456.7, "457"),
            (145678, "145 678"),
        ]:
            self.assertEqual(number(figure), expected)

    def test_only_measured_blocks_of_the_page_change(self) -> None:
        page = spliced(PAGE, {"one": "new"})
        self.assertIn("<!-- results: begin one -->\n\nnew\n\n<!-- results: end -->\nbetween", page)
        self.assertNotIn("old", page)
        self.assertIn("kept", page)
        self.assertEqual(spliced(page, {"one": "new"}), page)

    def test_a_case_without_a_block_is_named(self) -> None:
        with self.assertRaisesRegex(KeyError, "three"):
            spliced(PAGE, {"three": ""})


if __name__ == "__main__":
    unittest.main()
