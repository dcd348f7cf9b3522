"""The goods and their prices. Prices are whole cents, so nothing is rounded."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Good:
    """An item that the shop sells."""

    name: str
    cents: int


GOODS = (
    Good("Anvil", 4999),
    Good("Rocket skates", 12950),
    Good("Bird seed", 495),
)


def price(cents: int) -> str:
    """Returns the price in decimal notation, such as `49.99`."""
    return f"{cents // 100}.{cents % 100:02}"


def total(goods: list[Good]) -> int:
    """Returns the total price of the goods in cents."""
    return sum(good.cents for good in goods)
