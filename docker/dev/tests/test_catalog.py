"""Tests of the prices."""

import pytest

from shop.catalog import GOODS, Good, price, total


@pytest.mark.parametrize(
    ("cents", "expected"),
    [(0, "0.00"), (5, "0.05"), (495, "4.95"), (12950, "129.50")],
)
def test_prices_have_two_decimal_places(cents: int, expected: str) -> None:
    assert price(cents) == expected


def test_a_total_is_the_sum_of_its_goods() -> None:
    assert total([]) == 0
    assert total([Good("a", 1), Good("b", 2)]) == 3


def test_no_good_is_free() -> None:
    assert all(good.cents > 0 for good in GOODS)
