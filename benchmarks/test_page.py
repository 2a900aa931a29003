import unittest

from cases import CASES, load
from main import PAGE
from report import BLOCK


class Page(unittest.TestCase):
    def test_every_case_has_one_place_on_the_page(self) -> None:
        load()
        places = [block["name"] for block in BLOCK.finditer(PAGE.read_text())]
        self.assertEqual(sorted(places), sorted(CASES))


if __name__ == "__main__":
    unittest.main()
