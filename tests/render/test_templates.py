"""A user's own templates: override file by file, in a sandbox, with mistakes named by file and line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest

from digest.errors import ConfigError
from digest.model import Brand
from digest.render import render
from digest.render.confined import write_confined
from digest.render.view import View
from digest.render.writing import Wish
from digest.resources import templates_folder
from tests.render.editions import edition

Own = Callable[..., Path]


@pytest.fixture
def own(tmp_path: Path) -> Own:
    def write(**files: str) -> Path:
        for name, text in files.items():
            file = tmp_path / name.replace("__", "/").replace("_mjml", ".mjml").replace(
                "_txt", ".txt"
            ).replace("_css", ".css")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        return tmp_path

    return write


def test_one_overridden_part_leaves_the_others_as_they_are(own: Own) -> None:
    part = '<mj-section><mj-column><mj-text css-class="t">Our own button</mj-text></mj-column></mj-section>'
    folder = own(parts__masthead_mjml=part)

    message = render(edition(), templates=folder, chart=False)

    assert "Our own button" in message.html
    assert "June stands at 55 of 140" in message.html


def test_colours_can_be_overridden_alone(own: Own) -> None:
    rules = (templates_folder() / "cells.css").read_text().replace("#d1f0dc", "#abcdef")

    message = render(edition(), templates=own(cells_css=rules), chart=False)

    assert "background:#abcdef" in message.html


def test_the_subject_can_be_overridden(own: Own, tmp_path: Path) -> None:
    (tmp_path / "digest.subject.txt").write_text("{{ month }}: {{ pill.word }}\n")

    assert render(edition(), templates=own(), chart=False).subject == "June 2026: At risk"


@pytest.mark.failure("R1")
@pytest.mark.parametrize(
    ("template", "line", "reason"),
    [
        ("one\n{{ goall }}\n", 2, "'goall' is undefined"),
        ("{% if %}\n", 1, "Expected an expression"),
        ("a\nb\n{{ figures.x.y }}\n", 3, "has no attribute 'x'"),
        ("\n{% include 'parts/none.txt' %}", 2, "there is no template 'parts/none.txt'"),
        ("{{ ''.__class__.__mro__ }}", 1, "unsafe"),
        ("{{ _.__globals__ }}", 1, "unsafe"),
        ("{{ figures.append(1) }}", 1, "append"),
        ("{{ none }}", 1, "not known was printed"),
        ("{{ 1 / 0 }}", 1, "division by zero"),
    ],
)
def test_a_mistake_is_named_with_file_and_line(
    template: str, line: int, reason: str, own: Own
) -> None:
    folder = own(digest_txt=template)

    with pytest.raises(ConfigError) as raised:
        render(edition(), templates=folder, chart=False)

    assert f"digest.txt, line {line}: " in str(raised.value)
    assert reason in str(raised.value)


def test_a_mistake_inside_a_part_names_the_part(own: Own) -> None:
    folder = own(parts__chart_mjml="", parts__footer_mjml="\n\n{{ nope }}")

    with pytest.raises(ConfigError, match=r"parts/footer\.mjml, line 3: 'nope' is undefined"):
        render(edition(), templates=folder, chart=False)


@pytest.mark.failure("R1")
def test_mjml_that_does_not_parse_names_the_line(own: Own) -> None:
    folder = own(parts__masthead_mjml="<mj-section><mj-column>\n</mj-section>")

    with pytest.raises(ConfigError, match="the rendered MJML") as raised:
        render(edition(), templates=folder, chart=False)

    assert "parts/masthead.mjml" in str(raised.value)


def test_a_script_in_an_own_template_is_refused(own: Own) -> None:
    folder = own(parts__masthead_mjml="<mj-raw><script>1</script></mj-raw>")

    with pytest.raises(ConfigError, match="the HTML has a script"):
        render(edition(), templates=folder, chart=False)


def test_an_mj_include_is_refused(own: Own) -> None:
    folder = own(parts__masthead_mjml='<mj-include path="/etc/passwd" />')

    with pytest.raises(ConfigError):
        render(edition(), templates=folder, chart=False)


def test_a_single_quoted_attribute_is_refused(own: Own) -> None:
    folder = own(
        parts__masthead_mjml="<mj-section css-class='side'><mj-column></mj-column></mj-section>"
    )

    with pytest.raises(ConfigError, match="double quotes"):
        render(edition(), templates=folder, chart=False)


def test_deep_nesting_is_refused_before_it_kills_the_process(own: Own) -> None:
    folder = own(parts__masthead_mjml="<mj-wrapper>" * 101 + "</mj-wrapper>" * 101)

    with pytest.raises(ConfigError, match="nested deeper than 100"):
        render(edition(), templates=folder, chart=False)


def test_a_template_cannot_leave_its_folder(own: Own, tmp_path: Path) -> None:
    secret = tmp_path.parent / "secret.txt"
    secret.write_text("s3cret")
    folder = own(digest_txt="{% include '../secret.txt' %}")

    with pytest.raises(ConfigError, match="there is no template"):
        render(edition(), templates=folder, chart=False)


def test_the_documentation_names_every_value_and_every_file() -> None:
    documented = (Path(__file__).parent.parent.parent / "docs" / "templates.md").read_text()

    values = {field.name for field in fields(View)}
    files = {
        path.name
        for path in templates_folder().rglob("*")
        if path.suffix in (".mjml", ".css") and path.parent.name != "preview"
    }
    assert [name for name in sorted(values) if f"`{name}`" not in documented] == []
    assert [name for name in sorted(files) if name not in documented] == []


def test_a_template_that_is_not_utf_8_is_named_with_its_line(own: Own) -> None:
    folder = own(parts__masthead_mjml="")
    (folder / "parts/masthead.mjml").write_bytes(b"<mj-section>\nGr\xfcezi</mj-section>")

    with pytest.raises(ConfigError, match=r"masthead\.mjml, line 2: found the byte 0xfc"):
        render(edition(), templates=folder, chart=False)


# ------------------------------------------------------------------- what the sandbox does not stop


@pytest.mark.failure("R1")
@pytest.mark.parametrize(
    ("template", "seconds", "reason"),
    [
        ("{{ 'a' * 10 ** 10 }}", 10, "needed more than 1 GB of memory"),
        (
            "{% set g = namespace(a='a') %}{% for n in range(60) %}{% set g.a = g.a ~ g.a %}{% endfor %}",
            10,
            "needed more than 1 GB of memory",
        ),
        (
            "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            2,
            "took longer than 2 seconds",
        ),
    ],
)
def test_a_template_without_end_is_stopped_and_named(
    own: Own, template: str, seconds: int, reason: str
) -> None:
    folder = own()
    (folder / "digest.subject.txt").write_text(template)

    with pytest.raises(ConfigError) as caught:
        write_confined(Wish(edition(), "en", (), Brand(), folder, chart=False), seconds=seconds)

    assert reason in str(caught.value)
    assert "digest.subject.txt" in str(caught.value)


def test_a_confined_mail_is_the_same_as_one_written_here(own: Own) -> None:
    folder = own(parts__masthead_mjml=(templates_folder() / "parts/masthead.mjml").read_text())

    assert render(edition(), templates=folder) == render(edition())


def test_a_bug_in_the_child_is_told_as_a_bug(own: Own) -> None:
    broken = replace(edition(), scorecard=None)  # type: ignore[arg-type] # what no edition can be

    with pytest.raises(RuntimeError, match="rendering ended with 1"):
        write_confined(Wish(broken, "en", (), Brand(), own(), chart=False))


@pytest.mark.parametrize(
    "planted",
    [
        "<mj-text>{{ title }}<b></mj-text>",
        '<mj-text color="red" padding=>x</mj-text>',
        "</mj-hero>",
        "<mj-column",
    ],
)
def test_a_mistake_in_the_mjml_is_traced_to_the_templates_line(
    tmp_path: Path, planted: str
) -> None:
    own = tmp_path / "parts" / "verdict.mjml"
    own.parent.mkdir()
    built_in = (templates_folder() / "parts" / "verdict.mjml").read_text(encoding="utf-8")
    lines = built_in.replace("</mj-column>", f"{planted}\n</mj-column>").split("\n")
    own.write_text("\n".join(lines), encoding="utf-8")
    number = next(n for n, line in enumerate(lines, 1) if line.strip() == planted)

    with pytest.raises(ConfigError, match=rf"verdict\.mjml, line {number}: "):
        render(edition(), templates=tmp_path, chart=False)
