"""Flags with sentences about the countries they stand for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mm_envs.data.records import Record, Source

_SHORTER = {"Americas": "america", "Australia and New Zealand": "australasia"}


def flags(root: Path) -> Source:
    """The flags of ``country-flags`` with captions from the table of ``mledoze/countries``.

    Three short captions say region, subregion and whether the country lies by the sea. Nothing of it can be
    read off a flag with certainty, though neighbours have similar flags. Equal flags are one group.

    Args:
        root: The folder that holds ``countries.json`` and ``png250px/``.

    Raises:
        FileNotFoundError: There is no such table.
    """
    path = root / "countries.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: docs/datasets.md says where it can be had")
    countries = json.loads(path.read_text(encoding="utf-8"))
    records = []
    for country in countries:
        flag = root / "png250px" / f"{country['cca2'].lower()}.png"
        if flag.is_file():
            values = _said(country)
            # Several territories fly the flag of another country, file for file.
            flown = hashlib.sha256(flag.read_bytes()).hexdigest()
            columns = {"country": country["name"]["common"], "flag": flown}
            place = f"countries.json, {country['cca2']}"
            records.append(Record(place, {"image": flag}, values, None, columns))
    return Source("flags", root, records, says=f"{len(records)} flags with captions", group="flag")


def _said(country: Mapping[str, Any]) -> dict[str, list[str]]:
    region = _SHORTER.get(country["region"], country["region"].lower())
    subregion = country["subregion"] or region
    part = _SHORTER.get(subregion, subregion.lower().replace("-", " "))
    whole = part if region in part else f"{part} {region}"
    coast = "landlocked" if country["landlocked"] else "coastal"
    return {"captions": [whole, f"{coast} {whole}", f"{coast} {region}"]}
