"""Damaged and mistyped workbooks give a plan or one clear error: no traceback, no hang."""

from __future__ import annotations

import random
import re
import time
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from digest.errors import ConfigError
from digest.sla import Plan
from digest.worksheet import check, load_plan, write_new
from digest.worksheet.package import Edit, Package
from tests.worksheet.build import regions

Mutation = Callable[[bytes, random.Random, Path], bytes]
LONGEST_SECONDS = 10.0

ODD: tuple[str | float, ...] = (
    "", " ", "=1/0", "#REF!", "#DIV/0!", "60", 60, 4, 1, -1, 0, 1e308, 1e-308, 2.5, "1.234", "1,234",
    "12/11/2026", "31.02.2026", 99_999_999, -5, "NaN", "inf", "\u202e", "😀" * 400, "x" * 40_000, "CHF",
    "XXX", "DACH", "dach ", "Total", "Valid from", "Marketing share", "'", "{}", "%s%n", "٣", "١٢٪", "1e5",
    "1e999", "0x10", "TRUE", "½", "\u22124%",
)  # fmt: skip


def flip(data: bytes, chance: random.Random, _: Path) -> bytes:
    changed = bytearray(data)
    for _index in range(chance.choice((1, 1, 3, 20))):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def truncate(data: bytes, chance: random.Random, _: Path) -> bytes:
    return data[: chance.randrange(len(data))]


def parts(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(found: dict[str, bytes]) -> bytes:
    target = BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in found.items():
            archive.writestr(name, content)
    return target.getvalue()


def edit_xml(data: bytes, chance: random.Random, _: Path) -> bytes:
    found = parts(data)
    name = chance.choice([n for n in found if "sheet" in n or n.startswith("xl/") or ".rels" in n])
    text = found[name].decode()
    tags = [match.span() for match in re.finditer(r"<[^>]+>", text)]
    start, end = chance.choice(tags)
    digits = [match.span() for match in re.finditer(r"\d+", text)] or [(0, 1)]
    low, high = chance.choice(digits)
    number = str(chance.choice((0, -1, 7, 10**6, 10**19)))
    way = chance.randrange(5)
    if way == 0:
        text = text[:start] + text[end:]
    elif way == 1:
        text = text[:end] + text[start:end] + text[end:]
    elif way == 2:
        text = text[:low] + number + text[high:]
    elif way == 3:
        text = text[: chance.randrange(len(text))]
    else:
        del found[name]
    if way != 4:
        found[name] = text.encode()
    return packed(found)


def type_values(data: bytes, chance: random.Random, folder: Path) -> bytes:
    package = Package(folder / "x.xlsx", data)
    for sheet in chance.sample(["Monthly revenue goals", "SLA", "Rates", "Actual", "Calendar"], 2):
        cells = {
            (chance.randrange(1, 40), chance.randrange(1, 22)): Edit(chance.choice(ODD))
            for _ in range(chance.choice((1, 2, 15)))
        }
        package.edit(sheet, cells)
    package.save(folder / "typed.xlsx")
    return (folder / "typed.xlsx").read_bytes()


MUTATIONS: tuple[Mutation, ...] = (flip, truncate, edit_xml, type_values)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("original") / "sla.xlsx"
    whole = regions()
    plan = Plan(
        "CHF",
        whole.currencies[:2],
        tuple(goal for goal in whole.revenue_goals if goal.segment in {"DACH", "Benelux"}),
        whole.terms[:2],
        whole.rates,
    )
    write_new(path, language="en", currency="CHF", year=2026, plan=plan)
    return path.read_bytes()


def mistakes_in(path: Path) -> tuple[str, ...]:
    try:
        load_plan(path)
    except ConfigError as error:
        return error.mistakes
    return ()


def survive(original: bytes, folder: Path, seeds: range) -> tuple[int, int]:
    """Read every mutation; return how many gave a plan and how many an error."""
    plans = 0
    path = folder / "mutated.xlsx"
    for seed in seeds:
        chance = random.Random(seed)  # noqa: S311 - no secret
        path.write_bytes(MUTATIONS[seed % len(MUTATIONS)](original, chance, folder))
        begun = time.monotonic()
        mistakes = mistakes_in(path)
        plans += not mistakes
        assert all(0 < len(mistake) < 2000 for mistake in mistakes), seed
        if seed % 7 == 0:
            assert check(path), seed
        assert time.monotonic() - begun < LONGEST_SECONDS, seed
    return plans, len(seeds) - plans


@pytest.mark.no_cover
def test_eighty_mutations_give_a_plan_or_a_clear_error(original: bytes, tmp_path: Path) -> None:
    plans, errors = survive(original, tmp_path, range(80))
    assert plans > 5
    assert errors > 30


@pytest.mark.long
@pytest.mark.fuzz
@pytest.mark.parametrize("part", range(40))
def test_twenty_thousand_mutations_give_a_plan_or_a_clear_error(
    original: bytes, tmp_path: Path, part: int
) -> None:
    survive(original, tmp_path, range(10_000 + part * 500, 10_000 + (part + 1) * 500))
