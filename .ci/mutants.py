"""Break the code on purpose, one small change at a time, and count which changes the tests notice.

`python .ci/mutants.py [PART ...] [--sample N ...] [--again] [--least PERCENT]`: mutmut changes every
function of a part (comparisons, arithmetic, arguments, constants, branches) and runs that part's own tests
against each change. A part under the least score fails, and so does an entry of `.ci/mutants.toml` that has
become untrue. mutmut leaves alone what stands outside functions and functions with decorators.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
KNOWN = Path(__file__).with_suffix(".toml")
WORK = ROOT / "build" / "mutants"
NEEDED = ("digest", "tests", "templates", "config")
LEFT_OUT = shutil.ignore_patterns("__pycache__")
PLUGINS = ("no:cacheprovider", "no:xdist", "no:pytest_cov")
ALWAYS = (*(word for plugin in PLUGINS for word in ("-p", plugin)), "--hypothesis-seed=0")
SCRATCH = Path(__file__).with_name("scratch")
KILLED, TIMED_OUT = frozenset({1, 3}), frozenset({-24, 24, 36, 152, 255})


@dataclass(frozen=True)
class Change:
    """What one mutant changes: the lines of a function before and after."""

    function: str
    was: str
    becomes: str


@dataclass(frozen=True)
class Result:
    """What became of a part's mutants; `survived` and `equivalent` say which changes went unnoticed."""

    part: str
    killed: int
    timed_out: int
    equivalent: tuple[Change, ...]
    survived: tuple[tuple[str, Change], ...]
    untrue: tuple[Change, ...]

    @property
    def score(self) -> float:
        """Noticed changes in percent of those that change anything."""
        noticed = self.killed + self.timed_out
        tried = noticed + len(self.survived)
        return 100 * noticed / tried if tried else 0.0


def parts() -> dict[str, dict[str, list[str]]]:
    """Return the files and the tests of each part."""
    found: dict[str, dict[str, list[str]]] = tomllib.loads(KNOWN.read_text())["parts"]
    return found


def equivalents(part: str) -> frozenset[Change]:
    """Return the changes of a part that no test can notice; each stands there with its reason."""
    entries = tomllib.loads(KNOWN.read_text()).get(part, [])
    for entry in entries:
        if not entry.get("why"):
            sys.exit(f"{KNOWN.name}: {part}: {entry['in']}: an equivalent mutant needs its reason")
    return frozenset(Change(entry["in"], entry["was"], entry["becomes"]) for entry in entries)


def prepare(place: Path, part: Mapping[str, Sequence[str]], *, anew: bool) -> None:
    """Copy what the tests need, with the settings of mutmut for this part; else only the tests anew."""
    if anew:
        shutil.rmtree(place, ignore_errors=True)
        for name in NEEDED:
            shutil.copytree(ROOT / name, place / name, ignore=LEFT_OUT)
    else:
        for copy in (place, place / "mutants"):
            shutil.copytree(ROOT / "tests", copy / "tests", ignore=LEFT_OUT, dirs_exist_ok=True)
        # Which tests see which function has to be found out anew.
        (place / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)
    settings = {
        # A server that has run no test yet forks for each mutant: nothing is left over in a cache.
        "process_isolation": "forkserver",
        "source_paths": ["digest/"],
        "only_mutate": part["files"],
        "also_copy": ["templates", "config"],
        "pytest_add_cli_args": [*ALWAYS, *part.get("options", ())],
        "pytest_add_cli_args_test_selection": part["tests"],
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    whole = (ROOT / "pyproject.toml").read_text() + "\n[tool.mutmut]\n" + "\n".join(lines) + "\n"
    (place / "pyproject.toml").write_text(whole)


def surroundings() -> dict[str, str]:
    """Return the environment of the tests, whose temporary files are in memory where the system can."""
    given = dict(os.environ)  # noqa: TID251 - an entry point
    asked = subprocess.run([SCRATCH], capture_output=True, text=True, check=True)  # noqa: S603 - our own
    memory = asked.stdout.strip()
    return {**given, "TMPDIR": memory} if memory else given


def run(place: Path, names: Sequence[str]) -> None:
    """Try the named mutants (patterns; all when none is given)."""
    log = place / "mutmut.log"
    with log.open("w") as out:
        done = subprocess.run(  # noqa: S603 - our own tool and options
            [sys.executable, "-m", "mutmut", "run", "--max-children", "1", *names],
            cwd=place,
            env=surroundings(),
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        sys.exit(f"mutmut ended with {done.returncode}:\n{log.read_text()[-3000:]}")


def codes(place: Path, files: Sequence[str]) -> dict[str, int | None]:
    """Return how the tests ended for each mutant, None where it was not tried."""
    found: dict[str, int | None] = {}
    for meta in (place / "mutants").glob("digest/**/*.py.meta"):
        if str(meta.relative_to(place / "mutants")).removesuffix(".meta") in files:
            found.update(json.loads(meta.read_text())["exit_code_by_key"])
    return found


def written(place: Path, files: Sequence[str]) -> dict[str, list[str]]:
    """Return the lines of every version of every function, by module and name."""
    found = {}
    for file in files:
        module = file.removesuffix(".py").replace("/", ".")
        text = (place / "mutants" / file).read_text()
        lines = text.splitlines()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and "__mutmut_" in node.name:
                own = lines[node.lineno - 1 : node.end_lineno]
                found[f"{module}.{node.name}"] = [line.replace(node.name, "") for line in own]
    return found


def change(name: str, versions: dict[str, list[str]]) -> Change:
    """Return what a mutant changes."""
    stem = name.rpartition("__mutmut_")[0]
    before, after = versions[f"{stem}__mutmut_orig"], versions[name]
    lines = [*difflib.ndiff(before, after)]
    was = "\n".join(line[2:].strip() for line in lines if line.startswith("- "))
    becomes = "\n".join(line[2:].strip() for line in lines if line.startswith("+ "))
    function = stem.removeprefix("digest.").replace("xǁ", "").replace("ǁ", ".").replace(".x_", ".")
    return Change(function, was, becomes)


def judge(part: str, place: Path, files: Sequence[str], *, whole: bool) -> Result:
    """Count the mutants of a part that were tried."""
    tried = {name: code for name, code in codes(place, files).items() if code is not None}
    versions = written(place, files)
    alive = [(name, change(name, versions)) for name, code in tried.items() if code not in KILLED]
    alive = [(name, what) for name, what in alive if tried[name] not in TIMED_OUT]
    known = equivalents(part)
    untrue = known - {what for _, what in alive} if whole else frozenset()
    firsts = {
        what: name for name, what in reversed(alive) if what in known
    }  # one entry, one mutant
    return Result(
        part=part,
        killed=sum(code in KILLED for code in tried.values()),
        timed_out=sum(code in TIMED_OUT for code in tried.values()),
        equivalent=tuple(firsts),
        survived=tuple((name, what) for name, what in alive if firsts.get(what) != name),
        untrue=tuple(untrue),
    )


def report(result: Result) -> Iterator[str]:
    """Say which changes nobody noticed, in the words of `.ci/mutants.toml`."""
    for name, what in result.survived:
        yield f"\n# {name}\n[[{result.part}]]\nin = {json.dumps(what.function)}"
        yield f"was = {json.dumps(what.was)}\nbecomes = {json.dumps(what.becomes)}"
    for what in result.untrue:
        yield f"\n{KNOWN.name}: noticed or gone, take it out: {what}"


def main() -> int:
    """Try the parts that were asked for, print the table, and say whether all are good enough."""
    table = parts()
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("part", nargs="*", choices=[*table, []], help="all when none is named")
    options.add_argument("--sample", type=int, nargs="+", help="only these of each function")
    options.add_argument(
        "--again", action="store_true", help="only those that survived the last time"
    )
    options.add_argument(
        "--least", type=float, default=90, help="the score below which a part fails"
    )
    args = options.parse_args()
    asked = args.part or [*table]
    for part in asked:
        equivalents(part)  # an entry without its reason is refused at once
    results = []
    for part in asked:
        files, place = table[part]["files"], WORK / part
        names = [f"*__mutmut_{number}" for number in args.sample or ()]
        if args.again:
            names = [name for name, _ in judge(part, place, files, whole=False).survived]
        prepare(place, table[part], anew=not args.again)
        if names or not args.again:
            run(place, names)
        results.append(judge(part, place, files, whole=args.sample is None))
        print(*report(results[-1]), sep="\n", flush=True)
    print(f"\n{'part':12} mutants  killed  timeout  equivalent  survived   score")
    for one in results:
        same, alive = len(one.equivalent), len(one.survived)
        mutants = one.killed + one.timed_out + same + alive
        row = f"{mutants:7}  {one.killed:6}  {one.timed_out:7}  {same:10}  {alive:8}"
        print(f"{one.part:12} {row}  {one.score:5.1f} %")
    return int(any(one.score < args.least or one.untrue for one in results))


if __name__ == "__main__":
    sys.exit(main())
