"""The HTML of a mail: Jinja2 to MJML, MJML to HTML, the product's own cell rules inlined."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from digest.errors import ConfigError
from digest.render import lint
from digest.render.locales import Locale, printable
from digest.render.view import View
from digest.resources import templates_folder

if TYPE_CHECKING:
    from css_inline import CSSInliner
    from jinja2 import Environment

DEEPEST_NESTING = 100  # the engine overflows its stack at 20,000 nested tags and kills the process

_TAG = re.compile(r"<(/?)([a-zA-Z][\w-]*)(?:\"[^\"]*\"|[^>\"])*?(/?)>")
_VOID = {"br", "hr", "img", "input", "link", "meta", "wbr"}
_INDENT = re.compile(r"\n\s+")  # an eighth of the bytes that travel
_SEAM = "<![endif]--><!--[if mso | IE]>"
_FOR_OUTLOOK = re.compile(r' class="[\w -]*-outlook"')
_STYLES = re.compile(r"<style[^<]*")
_IDLE_IN_STYLES = re.compile(r"\s*([{};,>!])\s*|(?<=:)\s+")
_POSITION = re.compile(r"position (\d+)")
_FILLED = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}")
_MALFORMED = re.compile(r"<mj-[\w-]++(?:\s++[\w-]++=\"[^\"]*+\")*+\s*+(?!/?>)")
FEWEST_LETTERS = 6  # of a template's line from which one can tell what became of it

_TEMPLATE_ENDINGS = (".mjml", ".txt", ".css")


def html(view: View, locale: Locale, templates: Path | None = None) -> str:
    """Return the mail's HTML.

    Raises:
        ConfigError: a user's template is at fault; names file and line.
    """
    environment = environment_for(templates, markup=True)
    rules, _, _ = _loader(environment).get_source(environment, "cells.css")
    source = mjml(view, locale, templates)
    return _inliner(rules).inline(_lean(_to_html(source, templates)))


def mjml(view: View, locale: Locale, templates: Path | None = None) -> str:
    """Return the mail's MJML, every value filled in.

    Raises:
        ConfigError: a user's template is at fault; names file and line.
    """
    environment = environment_for(templates, markup=True)
    return _INDENT.sub("\n", fill(environment, "digest.mjml", view, locale, templates))


# ----------------------------------------------------------------------------------------- Jinja2


@lru_cache(maxsize=8)
def environment_for(templates: Path | None, *, markup: bool) -> Environment:
    """Return the environment of MJML templates (`markup`) or of text templates.

    A user's folder overrides the built-in templates file by file and runs in a sandbox.
    """
    from jinja2 import Environment, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    if templates is not None:
        _refuse_other_encodings(templates)
    kind = Environment if templates is None else ImmutableSandboxedEnvironment
    return kind(  # nosec - select_autoescape() answers False for .mjml, so it is set by hand
        loader=_files_of(templates),
        bytecode_cache=None if templates is None else _compiled(),
        autoescape=markup,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _files_of(templates: Path | None):  # type: ignore[no-untyped-def] # noqa: ANN202 - jinja2.BaseLoader, imported late
    """Return the loader of a user's folder before our own; a file that appears in it counts at once."""
    from jinja2 import ChoiceLoader, FileSystemLoader

    own = FileSystemLoader(templates_folder())
    if templates is None:
        return own
    folder = templates

    class Overridden(FileSystemLoader):
        def get_source(
            self, environment: Environment, template: str
        ) -> tuple[str, str, Callable[[], bool]]:
            source, name, unchanged = super().get_source(environment, template)
            return source, name, lambda: unchanged() and not (folder / template).exists()

    return ChoiceLoader([FileSystemLoader(folder), Overridden(templates_folder())])


@cache
def _compiled():  # type: ignore[no-untyped-def] # noqa: ANN202 - jinja2.BytecodeCache, imported late
    """Return a memory of compiled templates that outlives an environment: ours are always the same."""
    from jinja2 import BytecodeCache
    from jinja2.bccache import Bucket

    class Compiled(BytecodeCache):
        def __init__(self) -> None:
            self.known: dict[tuple[str, str], bytes] = {}

        def load_bytecode(self, bucket: Bucket) -> None:
            known = self.known.get((bucket.key, bucket.checksum))
            if known is not None:
                bucket.bytecode_from_string(known)

        def dump_bytecode(self, bucket: Bucket) -> None:
            self.known[bucket.key, bucket.checksum] = bucket.bytecode_to_string()

    return Compiled()


def load_engines() -> None:
    """Load what turns MJML into HTML, for a process that forks later."""
    import css_inline  # noqa: F401 - kept by Python
    import mjml  # noqa: F401 - as above


def compile_all(environment: Environment, *endings: str) -> None:
    """Compile every template of an environment, so that later ones of the process need not."""
    for name in environment.list_templates(extensions=list(endings)):
        environment.get_template(name)


def messages_of(templates: Path) -> tuple[str, ...]:
    """Return the words that a user's templates ask to translate; nothing is filled."""
    from jinja2 import TemplateSyntaxError
    from jinja2.ext import extract_from_ast

    environment = environment_for(templates, markup=True)
    found: dict[str, None] = {}
    for path in sorted(templates.rglob("*")):
        if path.suffix in _TEMPLATE_ENDINGS and path.is_file():
            try:
                tree = environment.parse(path.read_text(encoding="utf-8"))
            except TemplateSyntaxError:  # told by whoever fills it, if anybody does
                continue
            for _line, _function, words in extract_from_ast(tree, ("_",)):
                if isinstance(words, str):
                    found[words] = None
    return tuple(found)


def _refuse_other_encodings(templates: Path) -> None:
    """Raise ConfigError for a file of the user's that is not UTF-8; Jinja would not say which."""
    wrong = []
    for path in sorted(templates.rglob("*")):
        if path.suffix in _TEMPLATE_ENDINGS and path.is_file():
            try:
                path.read_text(encoding="utf-8")
            except UnicodeDecodeError as error:
                line = error.object[: error.start].count(b"\n") + 1
                wrong.append(
                    f"{path}, line {line}: found the byte 0x{error.object[error.start]:02x}, which is "
                    "not UTF-8; save the file as UTF-8"
                )
    if wrong:
        raise ConfigError(*wrong)


def _printable(value: object) -> object:
    """Clean what a template prints: one control character would fail the whole mail."""
    from jinja2 import TemplateRuntimeError
    from markupsafe import Markup

    if value is None:
        raise TemplateRuntimeError("a value that is not known was printed; test it with `if` first")
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _loader(environment: Environment):  # type: ignore[no-untyped-def] # noqa: ANN202 - jinja2.BaseLoader, imported late
    return environment.loader


def fill(
    environment: Environment, name: str, view: View, locale: Locale, templates: Path | None
) -> str:
    """Fill a template with a view.

    Raises:
        ConfigError: the mistake is in a user's template; names file and line.
    """
    from jinja2 import TemplateError

    values = {field.name: getattr(view, field.name) for field in fields(view)}
    try:
        return environment.get_template(name).render(_=locale.gettext, **values)
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
        place = _place(error, templates)
        if place is None:
            raise
        raise ConfigError(f"{place}: {_reason(error)}") from error


def _place(error: Exception, templates: Path | None) -> str | None:
    """Return "file, line n" when the innermost template of the failure is a user's, otherwise None."""
    if templates is None:
        return None
    spots = []
    filename = getattr(error, "filename", None)
    if filename:  # a syntax error: the template never ran
        spots.append((filename, getattr(error, "lineno", 0)))
    trace = error.__traceback__
    while trace is not None:
        spots.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    own = str(templates_folder())
    inside = [spot for spot in spots if spot[0].startswith((str(templates), own))]
    if filename:
        inside = inside[:1]
    if not inside or not inside[-1][0].startswith(str(templates)):
        return None
    return f"{inside[-1][0]}, line {inside[-1][1]}"


def _reason(error: Exception) -> str:
    from jinja2 import TemplateNotFound
    from jinja2.exceptions import SecurityError

    if isinstance(error, TemplateNotFound):
        return f"there is no template {error.name!r}, neither beside it nor built in"
    if isinstance(error, SecurityError):
        return f"{error}; templates only print the values they are given"
    return f"{error}; docs/templates.md lists the values a template can print"


# ------------------------------------------------------------------------------------ MJML to HTML


def _to_html(mjml: str, templates: Path | None) -> str:
    from mjml import mjml2html

    if templates is not None:  # ours are known, and values are escaped
        _refuse_deep_nesting(mjml)
    found = lint.mjml_findings(mjml)
    if found:
        raise ConfigError(*(f"{templates or templates_folder()}: {what}" for what in found))
    try:
        # The engine's own fonts would link to a font service: no request may leave a reader's machine.
        return mjml2html(mjml, fonts={}, disable_comments=True)
    except ValueError as error:
        raise _mjml_error(mjml, str(error), templates) from error


def _lean(html: str) -> str:
    """Leave out what no client needs: a seventh of the bytes that travel, and Gmail clips long mails.

    That is two conditional comments in a row, a table's default, class names that only a rule for Outlook
    could use, and the spaces of style sheets.
    """
    bare = html.replace(_SEAM, "").replace('<table border="0"', "<table")
    return _STYLES.sub(
        lambda styles: _IDLE_IN_STYLES.sub(r"\1", styles[0]).replace(";}", "}"),
        _FOR_OUTLOOK.sub("", bare),
    )


def _refuse_deep_nesting(mjml: str) -> None:
    depth = 0
    for closing, name, alone in _TAG.findall(mjml):
        if alone or name.lower() in _VOID:
            continue
        depth += -1 if closing else 1
        if depth > DEEPEST_NESTING:
            raise ConfigError(
                f"templates: tags are nested deeper than {DEEPEST_NESTING}; "
                "an element is probably not closed"
            )


def _mjml_error(mjml: str, reason: str, templates: Path | None) -> Exception:
    """Turn the engine's byte offset into a line; without a user's templates the fault is ours."""
    place = "the rendered MJML"
    position = _POSITION.search(reason)
    line = ""
    at = _suspect(mjml)
    if at is None and position:
        at = len(mjml.encode()[: int(position[1])].decode(errors="ignore"))
    if at is not None:
        number = mjml.count("\n", 0, at)
        line = mjml.splitlines()[number].strip()
        place = f"the rendered MJML, line {number + 1} ({line[:80]!r})"
    if templates is None:
        return RuntimeError(f"{place}: {reason}")
    origin = _origin(line, templates)
    if origin is not None:
        path, number = origin
        return ConfigError(f"{path}, line {number}: {reason}; it became {place}")
    changed = sorted(
        str(path.relative_to(templates)) for path in templates.rglob("*") if path.suffix == ".mjml"
    )
    return ConfigError(
        f"{templates}: {place}: {reason}; look at the templates changed there: {', '.join(changed)}"
    )


def _suspect(mjml: str) -> int | None:
    """Return where the first tag stands that is malformed, not closed or never opened.

    The engine says for most of them only that the document is wrong, or names what comes after.
    """
    malformed = _MALFORMED.search(mjml)
    if malformed:
        return malformed.start()
    opened: list[tuple[str, int]] = []
    for tag in _TAG.finditer(mjml):
        closing, name, alone = tag[1], tag[2], tag[3]
        if alone or name.lower() in _VOID:
            continue
        if not closing:
            opened.append((name, tag.start()))
        elif opened and opened[-1][0] == name:
            opened.pop()
        else:
            unclosed = any(other == name for other, _ in opened)
            return opened[-1][1] if unclosed else tag.start()
    return opened[-1][1] if opened else None


def _origin(line: str, templates: Path) -> tuple[Path, int] | None:
    """Return the line of a user's template that wrote a line of the MJML, None unless it is the only one."""
    found = []
    for path in sorted(templates.rglob("*.mjml")):
        for number, written in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            literal = _FILLED.split(written.strip())
            # A line of nothing but values could have become anything.
            if len("".join(literal).strip()) < FEWEST_LETTERS:
                continue
            if re.fullmatch(".*".join(map(re.escape, literal)), line, re.DOTALL):
                found.append((path, number))
    return found[0] if len(found) == 1 else None


@cache
def _inliner(rules: str) -> CSSInliner:
    """Inline the cell rules only: <style> blocks hold what cannot be inlined, and would triple the size."""
    from css_inline import CSSInliner

    return CSSInliner(
        inline_style_tags=False,
        keep_style_tags=True,
        load_remote_stylesheets=False,
        extra_css=rules,
        minify_css=True,
    )
