import unittest

from pairs import Figure, Spread, alone, compared, order, percentile, ratios, spread

RATE = Figure("rate", "requests", "/s", more_is_better=True, aim=1.0, floor=0.9)
CPU = Figure("cpu", "server CPU", "µs", aim=1.0)


class Pairs(unittest.TestCase):
    def test_sides_take_turns_in_going_first(self) -> None:
        self.assertEqual(order(["a", "b"], 3), [["a", "b"], ["b", "a"], ["a", "b"]])
        self.assertEqual(order(["a", "b", "c"], 2), [["a", "b", "c"], ["c", "b", "a"]])

    def test_a_ratio_is_taken_inside_a_round(self) -> None:
        # The machine is twice as fast in the second round; the ratio does not notice.
        rounds = [{"ours": {"rate": 10}, "theirs": {"rate": 5}}, {"ours": {"rate": 20}, "theirs": {"rate": 10}}]
        self.assertEqual(ratios(rounds, "ours", "theirs", "rate"), [2, 2])

    def test_a_spread_is_the_median_and_the_range(self) -> None:
        self.assertEqual(spread([3, 1, 2]), Spread(2, 1, 3))
        self.assertEqual(spread([1, 2]), Spread(1.5, 1, 2))
        with self.assertRaises(ValueError):
            spread([])

    def test_a_verdict_knows_which_way_is_better(self) -> None:
        for ours, expected in [(100, "aim"), (95, "floor"), (80, "missed")]:
            rounds = [{"ours": {"rate": ours, "cpu": 100 / ours}, "theirs": {"rate": 100, "cpu": 1}}]
            rate, cpu = compared("what", rounds, [RATE, CPU], "ours", "theirs")
            self.assertEqual(rate.verdict(), expected)
            self.assertEqual(cpu.verdict(), "aim" if ours == 100 else "missed")

    def test_a_figure_alone_is_judged_by_itself(self) -> None:
        row = alone("idle", Figure("rss", "memory", "MiB", aim=12, floor=20), "ours", [13, 12, 15])
        self.assertEqual((row.value, row.ratio, row.verdict()), (Spread(13, 12, 15), None, "floor"))

    def test_what_nobody_aims_for_has_no_verdict(self) -> None:
        self.assertEqual(alone("idle", Figure("rss", "memory", "MiB"), "ours", [1]).verdict(), "")

    def test_percentiles_are_values_that_were_measured(self) -> None:
        hundred = list(range(1, 101))
        self.assertEqual(percentile(hundred, 0.5), 50)
        self.assertEqual(percentile(hundred, 0.99), 99)
        self.assertEqual(percentile([7], 0.99), 7)
        self.assertEqual(percentile([1, 2], 1), 2)


if __name__ == "__main__":
    unittest.main()
