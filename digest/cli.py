"""The commands: read the clock and the environment, print errors, set the exit code."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from digest import __version__
from digest.errors import ConfigError, DeliveryError, DigestError
from digest.journal import KNOWN, Journal

if TYPE_CHECKING:
    import subprocess

    from digest.coming import Coming
    from digest.dispatch import Now, Report
    from digest.model import Edition, Finding
    from digest.settings import Settings

LANGUAGES = ("en", "de", "de-CH", "fr", "it")
_AGAIN_SECONDS = 5.0
EVERYWHERE = ("--quiet", "-q", "--verbose", "-v", "--json-logs")
ORDER = (
    *("demo", "init", "check", "show", "render", "preview", "send", "schedule", "history"),
    *("resolve", "worksheet", "enqueue", "worker", "fleet"),
)


@dataclass(frozen=True)
class World:
    """What only an entry point may know: the clock, the environment, how much to say."""

    clock: Callable[[], datetime] = lambda: datetime.now(UTC)  # noqa: TID251 - an entry point
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)  # noqa: TID251 - an entry point
    quiet: bool = False
    verbose: bool = False
    json_logs: bool = False
    grace_seconds: float = 30  # from SIGTERM to the end of whatever still waits for an answer

    @property
    def journal(self) -> Journal:
        """Where steps, warnings and errors are written."""
        import socket

        return Journal(
            write=lambda line: click.echo(line, err=True),
            clock=self.clock,
            host=socket.gethostname(),
            pid=os.getpid(),
            steps=self.verbose or self.json_logs,
            as_json=self.json_logs,
        )


class Commands(click.Group):
    """A group whose failures are one paragraph on stderr and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which a newcomer meets them."""
        del ctx
        return sorted(self.commands, key=lambda name: (*ORDER, name).index(name))

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - as click declares it
        """Run the command; a DigestError becomes its message and its exit code."""
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            if error.option_name not in EVERYWHERE:
                raise
            raise click.UsageError(
                f"{error.message} It goes before the command: digest {error.option_name} ...",
                error.ctx,
            ) from error
        except DigestError as error:
            complain(ctx.obj, error)
            ctx.exit(error.exit_code)


def complain(world: World, error: DigestError, *, about: str = "") -> None:
    """Print a failure to stderr, one line per mistake, control characters and secrets removed."""
    with suppress(OSError):  # nobody listens: the exit code still tells
        for line in KNOWN(str(error)).splitlines():
            if world.json_logs:
                world.journal.message("error", f"{about}{line}")
                continue
            click.secho("error: ", fg="red", bold=True, nl=False, err=True)
            click.echo(printable(f"{about}{line}"), err=True)


def as_typed() -> str:
    """Return how this person calls the program: by name, or by its path in a virtual environment."""
    from shutil import which

    called = Path(sys.argv[0])
    if which("digest") or called.name not in ("digest", "digest.exe"):
        return "digest"
    try:
        return str(called.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(called)


def printable(text: str) -> str:
    """Return text from a file or a CRM without what could steer a terminal."""
    return "".join(c if c == "\n" or c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def say(world: World, text: str) -> None:
    """Print something a person may want to know, unless --quiet."""
    if world.quiet:
        return
    if world.json_logs:
        warning = text.startswith("warning: ")
        world.journal.message("warning" if warning else "info", text.removeprefix("warning: "))
        return
    with suppress(OSError):
        click.echo(printable(KNOWN(text)), err=True)


def plain(world: World) -> bool:
    """Whether the person asked for no colours (no-color.org), or the terminal knows none."""
    return bool(world.environment.get("NO_COLOR")) or world.environment.get("TERM") == "dumb"


def in_colour(world: World) -> bool:
    """Whether results are printed in colour: on a terminal that has them."""
    return sys.stdout.isatty() and not plain(world)


def as_json(value: object) -> str:
    """Return JSON that the output can carry: escaped where it is not UTF-8."""
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").casefold().replace("-", "")
    return json.dumps(value, ensure_ascii=not encoding.startswith("utf"), indent=2)


@contextmanager
def working(text: str) -> Iterator[None]:
    """Show that something is going on, on a terminal only."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(text):
        yield


class Day(click.ParamType[date]):
    """A date as YYYY-MM-DD."""

    name = "YYYY-MM-DD"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> date:
        """Return the date, or say what was found."""
        if isinstance(value, date):
            return value
        try:
            found = date.fromisoformat(str(value))
        except ValueError:
            found = None
        # Python also reads 20260615 and 2026-W25-1, which only a slip of the hand would write.
        if found is None or found.isoformat() != value:
            self.fail(f"{value!r} is not a date like 2026-06-15", param, ctx)
        return found


class Age(click.ParamType[timedelta]):
    """A length of time as 26h or 90m."""

    name = "AGE"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Return the length, or say what was found."""
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"([1-9][0-9]{0,4}) ?([hm])", str(value))
        if found is None:
            self.fail(f"{value!r} is not a length of time like 26h or 90m", param, ctx)
        count = int(found[1])
        return timedelta(hours=count) if found[2] == "h" else timedelta(minutes=count)


CONFIG = click.argument("config", type=click.Path(path_type=Path))
CONFIGS = click.argument("config", nargs=-1, required=True, type=click.Path(path_type=Path))
DATE = click.option("--date", "day", type=Day(), help="Business date; default today.")
LANGUAGE = click.option("--language", type=click.Choice(LANGUAGES), help="Default: the digest's.")


def examples(text: str) -> str:
    """Return the part of a command's help that shows how it is used, kept as it is written."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in text.strip().splitlines())


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "digest demo                 see it work, without credentials\n"
        "digest init                 set up your own\n"
        "digest check digest.toml    would a send work?\n"
        "digest send digest.toml     what cron calls; sends once"
    ),
)
@click.version_option(__version__, prog_name="digest")
@click.option("--quiet", "-q", is_flag=True, help="Print only results and errors.")
@click.option("--verbose", "-v", is_flag=True, help="Print queries and each step.")
@click.option("--json-logs", is_flag=True, help="Log each step as a line of JSON on stderr.")
@click.pass_context
def cli(ctx: click.Context, *, quiet: bool, verbose: bool, json_logs: bool) -> None:
    """Every workday, one email: where the month stands against the leads promised to sales."""
    from digest.journal import listen_to_libraries

    world = ctx.obj or World()
    ctx.obj = replace(world, quiet=quiet, verbose=verbose, json_logs=json_logs)
    listen_to_libraries(ctx.obj.journal)
    if plain(ctx.obj):
        ctx.color = False


# ------------------------------------------------------------------------------------------ demo


@cli.command(
    short_help="See it work, without credentials.",
    epilog=examples(
        "digest demo\ndigest demo --serve                 and look at it in a browser\n"
        "digest demo my-folder --language de-CH\ndigest demo --date 2026-05-04"
    ),
)
@click.argument("folder", default="digest-demo", type=click.Path(path_type=Path, file_okay=False))
@DATE
@LANGUAGE
@click.option("--serve", is_flag=True, help="Then open it in a browser, until Ctrl-C.")
@click.option("--no-browser", is_flag=True, help="With --serve: only print the address.")
@click.pass_obj
def demo(
    world: World,
    *,
    folder: Path,
    day: date | None,
    language: str | None,
    serve: bool,
    no_browser: bool,
) -> None:
    """Build a sample CRM, worksheet and config in FOLDER and send today's digest to a local inbox.

    Needs no credentials and no network. FOLDER is rewritten when it holds an earlier demo.
    """
    from digest.demo import run, serving

    wanted = day or world.clock().astimezone(ZoneInfo("Europe/Zurich")).date()
    with working("building the sample company and sending its digest"):
        shown = run(
            folder,
            wanted=wanted,
            language=language or "en",
            colour=in_colour(world),
            command=as_typed(),
        )
    click.echo(shown)
    if serve:
        with serving(folder):
            show_in_browser(world, [folder / "digest.toml"], no_browser=no_browser)


# ---------------------------------------------------------------------------- reading an edition


def settings_of(world: World, config: Path) -> Settings:
    """Load one config and print its warnings."""
    from digest.settings import load

    settings = load(config, environment=world.environment)
    _hide_secrets(settings)
    for warning in settings.warnings:
        say(world, f"warning: {warning}")
    return settings


def _load_all(world: World, config: Sequence[Path]) -> tuple[list[Settings], list[ConfigError]]:
    """Load every config; what is wrong with one is printed and stops no other."""
    from digest.settings import load_many

    loaded, errors = load_many(config, environment=world.environment)
    for error in errors:
        complain(world, error)
    for settings in loaded:
        _hide_secrets(settings)
    return loaded, errors


def _hide_secrets(settings: Settings) -> None:
    """Tell the last net what must not be printed, whoever prints it."""
    from digest.journal import secrets_in

    KNOWN.learn(secrets_in(settings))


@contextmanager
def naming_the_line(settings: Settings) -> Iterator[None]:
    """Let a mistake that only the source could find name its line of the settings as any other does."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(*map(settings.located, error.mistakes)) from error


def edition_of(world: World, settings: Settings, day: date | None) -> Edition:
    """Return the edition to look at: of `day`, or the latest one due by today."""
    from digest.compose import latest_business_date
    from digest.dispatch import edition_to_show
    from digest.due import today_of

    today = today_of(settings, world.clock())
    business_date = day or latest_business_date(settings, today)
    if business_date != today and day is None:
        say(world, f"no edition today ({today}); this is the edition of {business_date}")
    with naming_the_line(settings), working(f"reading the leads up to {business_date}"):
        return edition_to_show(settings, business_date, world.clock())


@cli.command(
    epilog=examples(
        "digest show digest.toml\n"
        "digest show digest.toml --date 2026-06-15 --format json | jq .total.gap"
    )
)
@CONFIG
@DATE
@LANGUAGE
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
@click.pass_obj
def show(world: World, config: Path, day: date | None, language: str | None, form: str) -> None:
    """Show the edition in the terminal. Sends nothing, records nothing."""
    settings = settings_of(world, config)
    edition = edition_of(world, settings, day)
    if form == "json":
        from digest.render.scorecard import scorecard_json

        scorecard = scorecard_json(edition, language or edition.language)
        click.echo(as_json(scorecard))
        return
    from digest.render.text import render_terminal

    click.echo(render_terminal(edition, language=language, colour=in_colour(world)))
    if world.verbose:
        say(world, f"\nquery: {edition.origin.query}")


@cli.command(
    short_help="Write the edition's files to a folder.",
    epilog=examples("digest render digest.toml --out edition/"),
)
@CONFIG
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@DATE
@LANGUAGE
@click.pass_obj
def render(world: World, config: Path, out: Path, day: date | None, language: str | None) -> None:
    """Write the edition's files to a folder: HTML, text, mail, chart, Slack message, scorecard.

    Sends nothing, records nothing.
    """
    from digest.dispatch import write_edition

    settings = settings_of(world, config)
    edition = edition_of(world, settings, day)
    for path in write_edition(settings, edition, out, language=language, now=world.clock()):
        click.echo(str(path))


@cli.command(
    short_help="Open the edition in a browser before anybody gets it.",
    epilog=examples(
        "digest preview digest.toml\n"
        "digest preview /etc/digest/           every digest of a folder\n"
        "digest preview                        made-up scenarios, without settings\n"
        "digest preview digest.toml --export pages/   all of it as files, without recipients"
    ),
)
@click.argument("config", nargs=-1, type=click.Path(path_type=Path))
@click.option("--port", type=click.IntRange(1, 65535), help="Default: the first free from 8765.")
@click.option("--offline", is_flag=True, help="Never ask the source; show what was sent.")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.option(
    "--export",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write every page as files to this folder instead.",
)
@click.option(
    "--date", "days", multiple=True, type=Day(), help="With --export: these editions; repeatable."
)
@click.option("--with-history", is_flag=True, help="With --export: what was sent, too.")
@click.option("--png", is_flag=True, help="With --export: pictures too; needs Playwright.")
@click.pass_obj
def preview(
    world: World,
    *,
    config: Sequence[Path],
    port: int | None,
    offline: bool,
    no_browser: bool,
    folder: Path | None,
    days: Sequence[date],
    with_history: bool,
    png: bool,
) -> None:
    """Open the edition in a browser on this computer, with where each number comes from.

    Sends nothing to recipients and writes no file but those of --export. Ends with Ctrl-C.
    """
    if folder is None and (days or with_history or png):
        raise click.UsageError("--date, --with-history and --png say what --export writes")
    if folder is not None:
        from digest.preview import Wanted, write_pages

        wanted = Wanted(
            config=config,
            environment=world.environment,
            clock=world.clock,
            offline=offline,
        )
        with working("writing the pages"):
            count = write_pages(wanted, folder, dates=days, history=with_history, png=png)
        click.echo(f"wrote {count} files; open {folder / 'index.html'}")
        return
    show_in_browser(world, config, port=port, offline=offline, no_browser=no_browser)


def show_in_browser(
    world: World,
    config: Sequence[Path],
    *,
    port: int | None = None,
    offline: bool = False,
    no_browser: bool = False,
) -> None:
    """Answer a browser on this computer until Ctrl-C."""
    from digest.preview import Wanted, serve

    serve(
        Wanted(
            config=config,
            environment=world.environment,
            clock=world.clock,
            port=port,
            offline=offline,
            tell=click.echo,
            open_browser=None if no_browser else open_browser,
        )
    )


def open_browser(address: str) -> None:
    """Open an address in the person's browser, where there is one."""
    import webbrowser

    with suppress(webbrowser.Error):
        webbrowser.open(address)


# ---------------------------------------------------------------------------------------- sending


@cli.command(
    epilog=examples(
        "digest send digest.toml                     what cron calls, as often as it likes\n"
        "digest send /etc/digest/                    every digest of a folder\n"
        "digest send digest.toml --to me@firm.example   a test, marked [TEST]\n"
        "digest send digest.toml --date 2026-06-15   this edition, whatever the time\n"
        "digest send digest.toml --correct --reason 'Two forms were not counted.'"
    )
)
@CONFIGS
@DATE
@click.option("--to", "test_to", multiple=True, metavar="ADDRESS", help="Send a test here only.")
@click.option("--accept-drop", is_flag=True, help="Send although the month's leads fell.")
@click.option(
    "--correct", is_flag=True, help="Tell the readers of a sent edition what has changed."
)
@click.option("--reason", metavar="TEXT", help="With --correct: why, in words for the readers.")
@click.pass_obj
def send(
    world: World,
    config: Sequence[Path],
    day: date | None,
    test_to: Sequence[str],
    *,
    accept_drop: bool,
    correct: bool,
    reason: str | None,
) -> None:
    """Send what is due and not yet sent. Calling it twice, or twice at once, sends once.

    Without --date it sends today's edition between send_at and send_until of the settings, and exits 0
    with a reason at other times. With several digests the exit code is the highest of theirs.

    --correct counts a sent edition's date again (the last one's, or --date) and tells those who got it what
    has changed; when nothing has, it sends nothing.
    """
    from digest.dispatch import in_turn

    act = _asked(world, day, test_to, accept_drop=accept_drop, correct=correct, reason=reason)
    loaded, errors = _load_all(world, config)
    now = waiting(world)
    codes = [error.exit_code for error in errors]

    def serve(settings: Settings, now: Now) -> list[Report] | None:
        about = f"{settings.id}: "
        try:
            if now.stop():
                stopped = "not started, the run was stopped"
                raise DeliveryError(settings.id, stopped, permanent=False)
            sending = working(f"{about}composing and sending")
            with telling_of_the_end(settings), naming_the_line(settings), sending:
                return act(settings, now)
        except DigestError as error:
            complain(world, error, about="" if str(error).startswith(about) else about)
            codes.append(error.exit_code)
            return None

    for settings, reports in in_turn(loaded, now, serve):
        for report in reports:
            codes.append(report.exit_code)
            if report.happened or not world.quiet:
                # A reader that went away must not keep the next digest from being sent.
                with suppress(OSError):
                    text = "\n".join(f"{settings.id}: {line}" for line in report.lines)
                    click.echo(printable(KNOWN(text)))
    if any(codes):
        raise click.exceptions.Exit(max(codes))


def _asked(
    world: World,
    day: date | None,
    test_to: Sequence[str],
    *,
    accept_drop: bool,
    correct: bool,
    reason: str | None,
) -> Callable[[Settings, Now], list[Report]]:
    """Return what `send` does for each digest, after a look at what goes together."""
    from digest import corrections
    from digest.dispatch import send_test
    from digest.model import Recipient
    from digest.operation import operate, operate_correction
    from digest.settings.recipients import address_problem

    if problems := [problem for address in test_to if (problem := address_problem(address))]:
        raise ConfigError(*(f"--to: {problem}" for problem in problems))
    if correct and (test_to or accept_drop):
        raise click.UsageError("--correct goes with --date and --reason only")
    if reason is not None and not correct:
        raise click.UsageError("--reason says why a sent edition is corrected; it needs --correct")
    if correct:
        said = " ".join(printable(reason or "").split()) or None
        return lambda settings, now: [
            operate_correction(
                settings,
                now,
                world.journal,
                lambda now: corrections.correct(settings, now, day=day, reason=said),
                day=day,
                environment=world.environment,
            )
        ]
    if test_to:
        return lambda settings, now: [
            send_test(settings, now, Recipient(address), day) for address in test_to
        ]
    return lambda settings, now: [
        operate(
            settings,
            now,
            world.journal,
            day=day,
            accept_drop=accept_drop,
            environment=world.environment,
        )
    ]


class TimeIsUpError(BaseException):
    """Whoever asked this process to end will kill it soon; nothing may catch this and go on waiting."""


@contextmanager
def telling_of_the_end(settings: Settings) -> Iterator[None]:
    """Turn the end of the time after SIGTERM into a failure with its exit code."""
    try:
        yield
    except TimeIsUpError:
        left = "stopped while it waited for an answer; the next call goes on from there"
        raise DeliveryError(settings.id, left, permanent=False) from None


def waiting(world: World, *, hurry: bool = True) -> Now:
    """Return the clock to send by; SIGTERM and Ctrl-C end the run after the message on its way.

    A message that is cut off between its last byte and the answer has an outcome that nobody knows, so
    only a second Ctrl-C stops at once. After SIGTERM the answer has the time that a service manager
    leaves: TimeIsUpError is then raised wherever the process waits, again every few seconds; not without
    `hurry`, for who waits for processes that hurry themselves.
    """
    import signal
    import time

    from digest.dispatch import Now

    stopped: list[int] = []

    def stop(number: int, _frame: object) -> None:
        if stopped and number == signal.SIGINT:
            raise KeyboardInterrupt
        stopped.append(number)
        if hurry and number == signal.SIGTERM and hasattr(signal, "setitimer"):
            signal.signal(signal.SIGALRM, time_is_up)
            signal.setitimer(signal.ITIMER_REAL, world.grace_seconds, _AGAIN_SECONDS)
        if number == signal.SIGINT:
            with suppress(RuntimeError):  # it came while something was being printed
                say(world, "stopping after the message on its way; Ctrl-C again stops at once")

    def time_is_up(_number: int, _frame: object) -> None:
        raise TimeIsUpError

    def no_alarm() -> None:
        if stopped and hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)

    signal.signal(signal.SIGTERM, stop)
    click.get_current_context().call_on_close(no_alarm)
    before = signal.getsignal(signal.SIGINT)
    if before != signal.SIG_IGN:  # as the shell sets it for what runs in the background
        signal.signal(signal.SIGINT, stop)
        click.get_current_context().call_on_close(lambda: signal.signal(signal.SIGINT, before))
    return Now(
        clock=world.clock,
        sleep=lambda seconds: _sleep(seconds, time.sleep, lambda: bool(stopped)),
        stop=lambda: bool(stopped),
        tell=lambda text: say(world, text),
    )


def _sleep(seconds: float, sleep: Callable[[float], None], stopped: Callable[[], bool]) -> None:
    """Wait in small steps, so that a request to end is heard within a second."""
    left = seconds
    while left > 0 and not stopped():
        sleep(min(1.0, left))
        left -= 1.0


@cli.command(
    short_help="Keep running and send what is due.",
    epilog=examples(
        "digest schedule /etc/digest/                for hosts without cron; SIGTERM or Ctrl-C ends it\n"
        "digest schedule /etc/digest/ --next 10      when editions leave, and why days are skipped\n"
        "digest schedule digest.toml --next 60 --format json"
    ),
)
@CONFIGS
@click.option("--jobs", type=click.IntRange(1), help="Sending processes at once; default: cores.")
@click.option(
    "--next",
    "count",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Only show the next N editions.",
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), help="Of --next.")
@click.pass_obj
def schedule(
    world: World, config: Sequence[Path], jobs: int | None, count: int | None, form: str | None
) -> None:
    """Keep running and send each digest of the files or folders CONFIG when it is due.

    Starts `digest send` in processes of its own and reads settings again when a file changes. With --next
    it only shows when the next editions leave: no network, nothing is sent or written.
    """
    if count is not None:
        show_next(world, config, count, form or "text")
        return
    if form is not None:
        raise click.UsageError("--format goes with --next")
    import time

    from digest.schedule import Host, run
    from digest.settings.watch import Watch

    if missing := [str(path) for path in config if not path.exists()]:
        raise ConfigError(*(f"{path}: there is no such file or folder" for path in missing))
    now = waiting(world, hurry=False)
    say(world, f"looking after {', '.join(map(str, config))}; Ctrl-C or SIGTERM ends it")
    host = Host(
        clock=world.clock,
        monotonic=time.monotonic,
        sleep=time.sleep,
        stop=now.stop,
        spawn=lambda paths: start_sending(world, paths),
        tell=lambda text: _told_by_the_schedule(world, text),
    )
    run(Watch(config, world.environment), host, jobs=jobs or os.cpu_count() or 1)


def _told_by_the_schedule(world: World, text: str) -> None:
    if world.json_logs:
        world.journal.message("info", f"schedule: {text}")
    else:
        click.echo(printable(f"schedule: {text}"), err=True)


def start_sending(world: World, paths: Sequence[Path]) -> subprocess.Popen[bytes]:
    """Start `digest send` for some files in a process of its own."""
    return start_ours(world, ["send", *map(str, paths)])


def start_ours(world: World, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start one of our commands in a process of its own."""
    import subprocess

    asked = {"--quiet": world.quiet, "--verbose": world.verbose, "--json-logs": world.json_logs}
    flags = [flag for flag, wanted in asked.items() if wanted]
    return subprocess.Popen(  # noqa: S603 - this program itself
        # -P: a folder here that is called digest is the customer's, not the program.
        [sys.executable, "-P", "-m", "digest", *flags, *arguments],
        env=dict(world.environment),
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for us; we pass it on once
    )


def show_next(world: World, config: Sequence[Path], count: int, form: str) -> None:
    """Print the next editions of some digests."""
    from digest.coming import coming, facts, table
    from digest.settings import load_many

    loaded, errors = load_many(config, environment=world.environment)
    failed: list[DigestError] = list(errors)
    found = []
    for settings in loaded:
        editions: list[Coming] = []
        try:
            for edition in coming(settings, world.clock(), count):
                editions.append(edition)  # noqa: PERF402 - what is known before the calendar ends
        except DigestError as error:
            failed.append(error)
        found.append((settings, editions))
    if form == "json":
        click.echo(as_json([facts(settings, editions) for settings, editions in found]))
    else:
        for number, (settings, editions) in enumerate(found):
            click.secho(f"\n{settings.id}" if number else settings.id, bold=True, nl=False)
            click.echo(f"  {settings.timezone}, {settings.calendar.label}")
            for text, aside in table(settings, editions):
                click.secho(printable(text), dim=aside)
    for failure in failed:
        complain(world, failure)
    if failed:
        raise click.exceptions.Exit(max(failure.exit_code for failure in failed))


@cli.command(
    short_help="Show what was sent, to whom and when.",
    epilog=examples(
        "digest history digest.toml\n"
        "digest history digest.toml --date 2026-06-15      every recipient and attempt\n"
        "digest history digest.toml --date 2026-06-15 --export sent/   the very bytes\n"
        "digest history digest.toml --format json\n"
        "digest history digest.toml --format prometheus    figures of the whole ledger\n"
        "digest history digest.toml --purge                remove what [retention] lets go\n"
        "digest history /etc/digest/ --max-age 26h          exit 4 when a digest had no success lately"
    ),
)
@CONFIG
@click.option("--date", "day", type=Day(), help="Only this edition, with every recipient.")
@click.option(
    "--last", type=click.IntRange(1), default=30, show_default=True, help="How many editions."
)
@click.option("--format", "form", type=click.Choice(["text", "json", "prometheus"]), default="text")
@click.option(
    "--export",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write the edition of --date and each message as they were stored.",
)
@click.option("--purge", is_flag=True, help="Remove what is settled and older than [retention].")
@click.option(
    "--max-age",
    type=Age(),
    help="Only say whether a message was taken, or a free day noted, within this time (26h, 90m).",
)
@click.pass_obj
def history(
    world: World,
    config: Path,
    *,
    day: date | None,
    last: int,
    form: str,
    folder: Path | None,
    purge: bool,
    max_age: timedelta | None,
) -> None:
    """Show what was sent, to whom and when; addresses are masked in the table. Open outcomes first.

    With --max-age it takes a folder of digests as well, and exits 4 when one of them has had no success.
    """
    if max_age is not None:
        raise click.exceptions.Exit(_silent_since(world, config, max_age))
    from digest.history import export, facts, removed, table
    from digest.ledger import read_ledger

    if folder is not None and day is None:
        raise click.UsageError("--export needs the --date whose content to write")
    settings = settings_of(world, config)
    if form == "prometheus":
        from digest.operation import metrics_of

        click.echo(metrics_of(settings, world.clock()), nl=False)
        return
    reader = read_ledger(settings.ledger)
    if reader is None:
        click.echo(f"nothing sent yet: there is no ledger {settings.ledger}")
        return
    if purge:
        click.echo(removed(settings, clock=world.clock))
        return
    if folder is not None and day is not None:
        for line in export(reader, settings, day, folder):
            click.echo(printable(line))
        return
    found = facts(reader, settings, day=day, last=last)
    click.echo(as_json(found) if form == "json" else printable(table(found)))


def _silent_since(world: World, config: Path, max_age: timedelta) -> int:
    """Say of each digest when it last had success; return the exit code."""
    from digest.history import freshness

    loaded, errors = _load_all(world, (config,))
    codes = [error.exit_code for error in errors]
    for settings in loaded:
        try:
            line, fresh = freshness(settings, world.clock(), max_age)
        except DigestError as error:
            complain(world, error, about=f"{settings.id}: ")
            codes.append(error.exit_code)
        else:
            codes.append(0 if fresh else DeliveryError.exit_code)
            if not (fresh and world.quiet):
                click.echo(f"{settings.id}: {line}")
    return max(codes, default=0)


@cli.command(
    short_help="Settle a delivery whose outcome is unknown.",
    epilog=examples(
        "digest resolve demo/2026-06-15/smtp/ana@firm.example --sent\n"
        "digest resolve --after-restore         what would be done with a restored ledger\n"
        "digest resolve --after-restore --yes   do it"
    ),
)
@click.argument("key", required=False)
@click.option("--sent", "decision", flag_value="sent", help="It arrived: never send it again.")
@click.option("--resend", "decision", flag_value="resend", help="It did not: send the same bytes.")
@click.option("--cancel", "decision", flag_value="cancel", help="Give it up.")
@click.option("--after-restore", is_flag=True, help="Go on with a ledger restored from a backup.")
@click.option("--yes", is_flag=True, help="With --after-restore: do it, do not only say it.")
@click.option(
    "--config",
    default="digest.toml",
    show_default=True,
    type=click.Path(path_type=Path),
    help="The digest whose ledger holds it.",
)
@click.pass_obj
def resolve(
    world: World,
    key: str | None,
    *,
    decision: str | None,
    config: Path,
    after_restore: bool,
    yes: bool,
) -> None:
    """Settle a delivery whose outcome is unknown; `digest history` lists the keys."""
    from digest.dispatch import pin_of
    from digest.heartbeat import run_id
    from digest.history import about_restored
    from digest.ledger import Decision, accept_restored, open_ledger, read_ledger

    if after_restore:
        if key is not None or decision is not None:
            raise click.UsageError("--after-restore is about the whole ledger; leave out the rest")
    elif key is None:
        raise click.UsageError("name the delivery; `digest history` lists the keys")
    elif decision is None:
        raise click.UsageError("say what became of it: --sent, --resend or --cancel")
    settings = settings_of(world, config)
    if read_ledger(settings.ledger) is None:
        raise ConfigError(f"{settings.ledger}: there is no ledger yet, so nothing to settle")
    pin = pin_of(settings)
    if key is None or decision is None:
        restored = accept_restored(settings.ledger, clock=world.clock, pin=pin, do=yes)
        click.echo(printable(about_restored(restored, done=yes)))
        return
    ledger = open_ledger(settings.ledger, clock=world.clock, pin=pin)
    settled = ledger.resolve(key, Decision(decision))
    run = str(run_id(settled.digest, settled.business_date))
    world.journal.of(settled.digest, settled.business_date, run).step("resolved", settled)
    click.echo(printable(f"{settled.key}: {settled.state} ({settled.note})"))


# ---------------------------------------------------------------------------------- many digests


@cli.command(
    short_help="Put what is due into the fleet's queue.",
    epilog=examples(
        "digest enqueue /etc/digest/     what cron calls each minute where no worker plans"
    ),
)
@CONFIGS
@click.pass_obj
def enqueue(world: World, config: Sequence[Path]) -> None:
    """Put each due edition of the folders CONFIG into the queue once, for `digest worker` to send.

    Any number of hosts may call it at any time. A broken file is named and stops no other. Needs a
    PostgreSQL ledger and the extra `fleet`; one host needs neither, see `digest schedule`.
    """
    from digest.fleet import commands

    lines, errors = commands.enqueue(config, world.environment, world.clock)
    for error in errors:
        complain(world, error)
    for line in lines:
        say(world, line)
    if errors:
        raise click.exceptions.Exit(2)


@cli.command(
    short_help="Send what is in the fleet's queue.",
    epilog=examples(
        "digest worker /etc/digest/                     a process per core, and one that plans\n"
        "digest worker /etc/digest/ --processes 2 --concurrency 8\n"
        "digest worker /etc/digest/ --no-plan           a host that only sends"
    ),
)
@CONFIGS
@click.option("--processes", type=click.IntRange(1), help="That send; default: cores.")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 64),
    default=8,
    show_default=True,
    help="Editions at once in a process.",
)
@click.option(
    "--memory-mb",
    type=click.IntRange(100),
    default=300,
    show_default=True,
    help="A process that grows larger is started anew.",
)
@click.option("--plan/--no-plan", default=True, help="Plan and keep house here as well.")
@click.option("--metrics-port", type=click.IntRange(1, 65535), help="Serve figures for Prometheus.")
@click.option("--metrics-host", default="127.0.0.1", show_default=True, help="On this address.")
@click.option("--role", type=click.Choice(["deliver", "plan"]), hidden=True)
@click.pass_obj
def worker(
    world: World,
    config: Sequence[Path],
    *,
    processes: int | None,
    concurrency: int,
    memory_mb: int,
    plan: bool,
    metrics_port: int | None,
    metrics_host: str,
    role: str | None,
) -> None:
    """Keep running and send the editions in the queue, on as many processes and hosts as there are.

    Every host needs the same folders CONFIG at the same path. A process that dies loses nothing: others
    take its editions up again, and nothing is sent twice. SIGTERM or Ctrl-C ends it after the messages on
    their way.
    """
    import time

    from digest.fleet import commands

    if role is not None:
        code = commands.work(
            config,
            world.environment,
            world.clock,
            world.journal,
            role=role,
            concurrency=concurrency,
            memory_mb=memory_mb,
        )
        raise click.exceptions.Exit(code)
    now = waiting(world, hurry=False)
    options = ["--concurrency", str(concurrency), "--memory-mb", str(memory_mb)]
    commands.supervise(
        config,
        world.environment,
        world.clock,
        processes=processes or os.cpu_count() or 1,
        plan=plan,
        metrics=None if metrics_port is None else (metrics_host, metrics_port),
        spawn=lambda role: start_ours(
            world, ["worker", *map(str, config), *options, "--role", role]
        ),
        stop=now.stop,
        sleep=time.sleep,
        tell=lambda text: say(world, f"worker: {text}"),
    )


@cli.group(
    short_help="The fleet: status, pause, resume.",
    epilog=examples(
        "digest fleet status /etc/digest/\n"
        "digest fleet pause anna --until 2026-12-31 --reason 'on holiday'\n"
        "digest fleet resume anna"
    ),
)
def fleet() -> None:
    """Thousands of digests on one PostgreSQL: how they stand, and who is left out for a while."""


FLEET_CONFIG = click.option(
    "--config",
    default=".",
    show_default=True,
    type=click.Path(path_type=Path),
    help="A folder or file of the fleet.",
)


@fleet.command(
    "status",
    short_help="Show due, done, held, unknown and late.",
    epilog=examples(
        "digest fleet status /etc/digest/              totals, and who needs a look\n"
        "digest fleet status /etc/digest/ --every      every client\n"
        "digest fleet status /etc/digest/ --only held --only late\n"
        "digest fleet status /etc/digest/ --format json | jq .totals"
    ),
)
@click.argument("config", default=".", type=click.Path(path_type=Path))
@click.option("--every", is_flag=True, help="Show every client.")
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(
        ["unknown", "late", "broken", "held", "due", "paused", "early", "free", "done", "gone"]
    ),
    help="Show these clients; repeatable.",
)
@click.option("--format", "form", type=click.Choice(["text", "json", "prometheus"]), default="text")
@click.pass_obj
def fleet_status(
    world: World, config: Path, *, every: bool, only: Sequence[str], form: str
) -> None:
    """Show how every client stands: due, done, held, unknown and late, in total and one by one."""
    from digest.fleet import commands
    from digest.fleet.status import Stand, as_facts, exposition, table

    found = commands.facts(config, world.environment, world.clock)
    if form == "json":
        click.echo(as_json(as_facts(found)))
    elif form == "prometheus":
        click.echo(exposition(found), nl=False)
    else:
        click.echo(printable(table(found, every=every, only=map(Stand, only))))


@fleet.command(
    "pause",
    short_help="Leave a client out for a while.",
    epilog=examples("digest fleet pause anna --until 2026-12-31 --reason 'on holiday'"),
)
@click.argument("client")
@click.option(
    "--until", type=Day(), help="The last day without an edition; default: until resumed."
)
@click.option("--reason", default="paused", metavar="TEXT", help="Shown in the status.")
@FLEET_CONFIG
@click.pass_obj
def fleet_pause(world: World, client: str, until: date | None, reason: str, config: Path) -> None:
    """Send CLIENT no editions until it is resumed, or up to a date. Its monitor keeps getting its sign."""
    from digest.fleet import commands

    said = " ".join(printable(reason).split()) or "paused"
    click.echo(
        commands.pause(config, world.environment, world.clock, client, until=until, reason=said)
    )


@fleet.command(
    "resume",
    short_help="End a client's pause.",
    epilog=examples("digest fleet resume anna"),
)
@click.argument("client")
@FLEET_CONFIG
@click.pass_obj
def fleet_resume(world: World, client: str, config: Path) -> None:
    """Send CLIENT its editions again, today's too while there is time."""
    from digest.fleet import commands

    click.echo(commands.resume(config, world.environment, world.clock, client))


@fleet.command(
    "upgrade",
    short_help="Bring the queue's tables to the installed version.",
    epilog=examples("digest fleet upgrade      with every worker stopped"),
)
@FLEET_CONFIG
@click.pass_obj
def fleet_upgrade(world: World, config: Path) -> None:
    """Bring the queue's tables to the installed version of Procrastinate, all or nothing."""
    from digest.fleet import commands

    for line in commands.upgrade(config, world.environment, world.clock):
        click.echo(line)


# ------------------------------------------------------------------------------ setting up a digest


@cli.command(
    short_help="Set up a digest by answering a few questions.",
    epilog=examples("digest init\ndigest init my-digest/"),
)
@click.argument("folder", default=".", type=click.Path(path_type=Path, file_okay=False))
@click.pass_obj
def init(world: World, folder: Path) -> None:
    """Ask a few questions and write a commented digest.toml and the worksheet to FOLDER.

    Never asks for a secret, only where it lives. Overwrites nothing.
    """
    from digest.init import ask_and_write

    try:
        written = ask_and_write(folder, ask=click.prompt, today=world.clock().date())
    except click.Abort:
        if sys.stdin.isatty():  # Ctrl-C or Ctrl-D by a person, who knows
            raise
        raise ConfigError(
            "init: the input ended before the last question, so nothing was written; "
            "run digest init in a terminal, or copy the documentation's example.toml"
        ) from None
    for path in written:
        click.echo(f"wrote {path}")
    click.echo(f"next: fill in the worksheet, then `digest check {folder / 'digest.toml'}`")


@cli.command(epilog=examples("digest check digest.toml\ndigest check /etc/digest/*.toml"))
@CONFIGS
@click.pass_obj
def check(world: World, config: Sequence[Path]) -> None:
    """Would a send work, and if not, what to change. Sends nothing, records nothing."""
    from digest.check import run
    from digest.due import today_of

    loaded, errors = _load_all(world, config)
    failed = bool(errors)
    for settings in loaded:
        if len(loaded) > 1:
            click.secho(settings.id, bold=True)
        today = today_of(settings, world.clock())
        findings = run(settings, now=world.clock(), business_date=today)
        failed = show_findings(findings) or failed
    if failed:
        raise click.exceptions.Exit(2)


MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "error": ("✗", "red")}


@cli.command(
    short_help="Print what completes commands in your shell.",
    epilog=examples(
        "digest completion bash >> ~/.bashrc\ndigest completion zsh >> ~/.zshrc\n"
        "digest completion fish > ~/.config/fish/completions/digest.fish"
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the line or script that completes `digest` commands in your shell."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is None:
        raise ConfigError(f"click has no completion for {shell!r}; allowed: bash, zsh, fish")
    click.echo(found(cli, {}, "digest", "_DIGEST_COMPLETE").source())


# ---------------------------------------------------------------------------------- the worksheet


@cli.group(
    short_help="The six-step Excel worksheet: new, check, fill.",
    epilog=examples(
        "digest worksheet new sla.xlsx --segment DACH --segment Benelux --currency CHF\n"
        "digest worksheet check sla.xlsx\n"
        "digest worksheet fill digest.toml"
    ),
)
def worksheet() -> None:
    """The six-step Excel worksheet that marketing and sales agree on."""


@worksheet.command(
    "new",
    short_help="Write a new worksheet.",
    epilog=examples(
        "digest worksheet new sla.xlsx --segment DACH --segment Benelux=EUR --currency CHF\n"
        "digest worksheet new sla.xlsx --language de-CH --kind persona --year 2027"
    ),
)
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--language", type=click.Choice(LANGUAGES), default="en", show_default=True)
@click.option("--segment", "segments", multiple=True, metavar="NAME[=CURRENCY]", help="Repeatable.")
@click.option("--currency", default="CHF", show_default=True, help="The plan currency.")
@click.option("--kind", type=click.Choice(["region", "persona", "channel"]), default="region")
@click.option("--year", type=int, help="Of the first month; default this year.")
@click.option("--start-month", type=click.IntRange(1, 12), default=1, show_default=True)
@click.pass_obj
def worksheet_new(
    world: World,
    *,
    path: Path,
    language: str,
    segments: Sequence[str],
    currency: str,
    kind: str,
    year: int | None,
    start_month: int,
) -> None:
    """Write a new worksheet to PATH: a filled example and sheets of your own. Overwrites nothing."""
    from digest.worksheet import write_new

    named = [
        segment.rpartition("=") if "=" in segment else (segment, "", "") for segment in segments
    ]
    for given, (name, _, _) in zip(segments, named, strict=True):
        if not name.strip():
            raise ConfigError(f"--segment: found {given!r}; allowed: NAME or NAME=CURRENCY")
    write_new(
        path,
        language=language,
        segments=[name for name, _, _ in named],
        currency=currency.upper(),
        currencies={name: own.upper() for name, _, own in named if own},
        segment_kind=kind,
        year=world.clock().year if year is None else year,
        start_month=start_month,
    )
    click.echo(f"wrote {path}; fill in the coloured cells, then `digest worksheet check {path}`")


@worksheet.command(
    "check",
    short_help="Verify a worksheet by cell.",
    epilog=examples("digest worksheet check sla.xlsx"),
)
@click.argument("path", type=click.Path(path_type=Path))
def worksheet_check(path: Path) -> None:
    """Verify a worksheet by cell: inputs, and every computed cell against our own calculation."""
    from digest.worksheet import check as findings

    if show_findings(findings(path)):
        raise click.exceptions.Exit(2)


@worksheet.command(
    "fill",
    short_help="Fill in close rates, deal sizes and actuals.",
    epilog=examples(
        "digest worksheet fill digest.toml\ndigest worksheet fill digest.toml --from 2027-01"
    ),
)
@CONFIG
@DATE
@click.option(
    "--from",
    "valid_from",
    metavar="YYYY-MM",
    help="Write measured rates and sizes as terms valid from this month.",
)
@click.pass_obj
def worksheet_fill(world: World, config: Path, day: date | None, valid_from: str | None) -> None:
    """Fill close rates, deal sizes and actuals from the source into the config's worksheet.

    Keeps everything else in the file; the previous file stays as name.bak.xlsx.
    """
    from digest.dispatch import fill_worksheet
    from digest.due import today_of

    settings = settings_of(world, config)
    this_day = today_of(settings, world.clock())
    today = day or this_day
    if today > this_day:
        raise ConfigError(f"--date: {today} has not come yet; today is {this_day}")
    with naming_the_line(settings), working("reading leads and deals"):
        findings = fill_worksheet(settings, today=today, now=world.clock(), valid_from=valid_from)
    show_findings(findings)


def show_findings(findings: Sequence[Finding]) -> bool:
    """Print findings, one a line; return whether one is an error."""
    for finding in findings:
        sign, colour = MARKS[finding.level]
        said = finding.subject and not finding.text.startswith(finding.subject)
        click.secho(f"{sign} {f'{finding.subject}: ' if said else ''}", fg=colour, nl=False)
        click.echo(printable(finding.text))
    return any(finding.level == "error" for finding in findings)
