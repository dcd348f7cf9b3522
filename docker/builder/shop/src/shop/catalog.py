"""The goods and what they cost. Prices are whole cents: no fraction of one is ever rounded."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Good:
    """One thing that the shop sells."""

    name: str
    cents: int


GOODS = (
    Good("Anvil", 4999),
    Good("Rocket skates", 12950),
    Good("Bird seed", 495),
)


def price(cents: int) -> str:
    """The price as people write it: `49.99`."""
    return f"{cents // 100}.{cents % 100:02}"


def total(goods: list[Good]) -> int:
    """What the goods cost together, in cents."""
    return sum(good.cents for good in goods)
