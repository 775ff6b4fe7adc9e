"""The demo's stores: three chains in a hundred real cities, each store with a weight that says how busy it is."""

import csv
from dataclasses import dataclass
from importlib.resources import files
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

CHAINS: Final = (
    ("playtime", "Playtime", "mall", 1.0),
    ("pixel-and-dice", "Pixel & Dice", "street", 0.6),
    ("kiosk", "Kiosk 9", "station", 0.35),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoStore:
    """A store as it is put into codegen, where its clock stands, and its share of the traffic (any unit)."""

    id: str
    name: str
    chain: str
    region: str
    country: str
    peer_group: str
    zone: ZoneInfo
    weight: float

    def as_request(self) -> dict[str, Any]:
        """The row for `PUT /v1/stores`."""
        names = ("id", "name", "chain", "region", "country", "peer_group")
        return {name: getattr(self, name) for name in names}


def demo_stores(random: Random) -> list[DemoStore]:
    """The same stores for the same seed: 318 of them, those of one city differing in luck as well as in size."""
    with (files("counterfoil.demo") / "places.csv").open(encoding="utf-8") as file:
        places = list(csv.DictReader(file))
    return [
        DemoStore(
            id=f"s-{number:04d}",
            name=f"{chain_name} {place['city']}",
            chain=chain,
            region=place["region"],
            country=place["country"],
            peer_group=peer_group,
            zone=ZoneInfo(place["time_zone"]),
            weight=float(place["weight"]) * size * random.lognormvariate(0, 0.35),
        )
        for number, (place, (chain, chain_name, peer_group, size)) in enumerate(
            ((place, chain) for place in places for chain in CHAINS), start=1
        )
    ]
