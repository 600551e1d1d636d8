"""What is worth mending in a mail: each check has a sample that it finds and one that it leaves alone."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from digest.model import Image
from digest.render import cascade, render
from digest.render.clients import APPLE, GMAIL, LACKING, OUTLOOK, UNITS
from digest.render.files import EXAMPLE_HEADERS, NOBODY
from digest.render.locales import languages
from digest.render.mime import pack
from digest.render.review import Finished, Remark, finished, review, untranslated
from digest.render.traced import Loose
from digest.scenarios import SCENARIOS

PICTURE = Image("picture@digest", "picture.png", b"png", "a picture")


@cache
def clean() -> Finished:
    edition = SCENARIOS["on-track"]().edition
    message = render(edition, chart=False)
    content = pack(
        message, recipient=NOBODY, headers=EXAMPLE_HEADERS, key="k", sent_at=edition.as_of
    )
    return finished(message, content)


def with_html(piece: str) -> Finished:
    return replace(clean(), html=clean().html.replace("</body>", f"{piece}</body>"))


def with_style(css: str, piece: str) -> Finished:
    found = with_html(piece)
    return replace(found, html=found.html.replace("</head>", f"<style>{css}</style></head>"))


def found(mail: Finished) -> list[Remark]:
    return [remark for remark in review(mail) if remark.level != "note"]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_our_own_mails_leave_nothing_to_mend(scenario: str) -> None:
    edition = SCENARIOS[scenario]().edition
    for language in languages():
        message = render(edition, language=language, chart=scenario == "on-track")
        content = pack(
            message, recipient=NOBODY, headers=EXAMPLE_HEADERS, key="k", sent_at=edition.as_of
        )

        assert [str(remark) for remark in found(finished(message, content))] == [], language


LOST = "\ufffd"
DARK = "@media (prefers-color-scheme: dark)"
SAMPLES: tuple[tuple[str, str, Finished, Finished], ...] = (
    ("replacement", "error", with_html(f"<p>M{LOST}ller</p>"), with_html("<p>Müller ?</p>")),
    ("no-text", "error", replace(clean(), text=" \n"), replace(clean(), text="x\n")),
    (
        "text-line",
        "warning",
        replace(clean(), text="two words" * 9),
        replace(clean(), text=f"https://a.example/{'x' * 90}\n{'w' * 72}"),
    ),
    (
        "untranslated",
        "error",
        replace(clean(), untranslated=("Good morning",)),
        replace(clean(), untranslated=()),
    ),
    (
        "header",
        "error",
        replace(clean(), content="Subject: Zürich\r\n\r\nx".encode()),
        replace(clean(), content="Subject: Z\r\n\r\nZürich".encode()),
    ),
    ("subject-empty", "error", replace(clean(), subject=" "), replace(clean(), subject="1")),
    (
        "subject-long",
        "error",
        replace(clean(), subject="1 " * 61),
        replace(clean(), subject="1" * 120),
    ),
    (
        "subject-cut",
        "warning",
        replace(clean(), subject=f"{'word ' * 14}14 of 20"),
        replace(clean(), subject=f"14 of 20 {'word ' * 14}"),
    ),
    (
        "preheader",
        "warning",
        replace(clean(), preheader="x" * 29),
        replace(clean(), preheader="x" * 30),
    ),
    (
        "preheader",
        "warning",
        replace(clean(), preheader="x" * 121),
        replace(clean(), preheader="x" * 120),
    ),
    (
        "alt",
        "error",
        replace(with_html('<img src="cid:picture@digest">'), images=(PICTURE,)),
        replace(with_html('<img src="cid:picture@digest" alt="">'), images=(PICTURE,)),
    ),
    (
        "cid-missing",
        "error",
        with_html('<img src="cid:picture@digest" alt="x">'),
        replace(with_html('<img src="cid:picture@digest" alt="x">'), images=(PICTURE,)),
    ),
    (
        "cid-unused",
        "warning",
        replace(clean(), images=(PICTURE,)),
        replace(with_html('<img alt="x" src="cid:picture@digest">'), images=(PICTURE,)),
    ),
    (
        "link-words",
        "warning",
        with_html('<a href="https://a.example"><b>Click</b> here…</a>'),
        with_html('<a href="https://a.example">Here are the leads</a>'),
    ),
    (
        "contrast",
        "warning",
        with_html('<p style="color:#777777;background:#ffffff">grey</p>'),  # 4.48
        with_html('<p style="color:#767676;background:#ffffff">grey</p>'),  # 4.54
    ),
    (
        "contrast",
        "warning",
        with_html('<p style="color:#959595;background:#fff;font-size:24px">large</p>'),  # 2.98
        with_html('<p style="color:#949494;background:#fff;font-size:24px">large</p>'),  # 3.03
    ),
    (
        "contrast-dark",
        "warning",
        with_style(
            f"{DARK}{{.x{{background:#222222!important}}}}",
            '<p class="x" style="color:#111111;background:#ffffff">dark</p>',
        ),
        with_style(
            f"{DARK}{{.x{{background:#222222!important;color:#eeeeee!important}}}}",
            '<p class="x" style="color:#111111">dark</p>',
        ),
    ),
    (
        "width",
        "warning",
        with_html('<div style="max-width:641px">x</div>'),
        with_html('<div style="max-width:640px">x</div>'),
    ),
    (
        "overflow",
        "warning",
        with_html('<div style="width:400px">x</div>'),
        with_html(
            '<div style="width:100%;max-width:400px">x</div><div style="width:320px">x</div>'
        ),
    ),
    (
        "overflow",
        "warning",
        with_html('<table style="min-width:321px"></table>'),
        with_html('<table style="width:640px"></table>'),
    ),
    (
        "overflow",
        "warning",
        with_html(f'<p style="white-space:nowrap">{"x" * 41}</p>'),
        with_html(f'<p style="white-space:nowrap">{"x" * 40}</p><p>{"x" * 41}</p>'),
    ),
    (
        "no-figure",
        "error",
        replace(clean(), loose=(Loose("4,711", "html", 3),)),
        clean(),
    ),
    (
        "css",
        "warning",
        with_html('<div style="display:flex">x</div>'),
        with_html('<div style="display:block;border-radius:3px">x</div>'),
    ),
    (
        "css",
        "warning",
        with_style(".x{position:absolute}", ""),
        with_style("@media screen and (max-width:480px){.x{position:absolute}}", ""),
    ),
    (
        "css",
        "warning",
        with_html('<p style="font-size:2rem">x</p>'),
        with_html('<p style="font-family:Rem2rem">x</p>'),
    ),
    (
        "html-large",
        "warning",
        with_html(f"<p>{'word ' * 11_500}</p>"),
        with_html(f"<p>{'word ' * 6_000}</p>"),
    ),
    (
        "message-large",
        "warning",
        replace(clean(), content=b"x" * 150_001),
        replace(clean(), content=b"x" * 150_000),
    ),
)


@pytest.mark.parametrize(
    ("name", "level", "spoiled", "harmless"),
    SAMPLES,
    ids=[f"{name}-{n}" for n, (name, *_) in enumerate(SAMPLES)],
)
def test_each_check_bites_and_leaves_alone_what_only_looks_bad(
    name: str, level: str, spoiled: Finished, harmless: Finished
) -> None:
    assert (name, level) in {(remark.id, remark.level) for remark in review(spoiled)}
    assert name not in {remark.id for remark in review(harmless)}


def test_every_check_has_a_sample() -> None:
    source = Path(cascade.__file__).with_name("review.py").read_text(encoding="utf-8")
    ids = {
        line.strip().strip('",')
        for before, line in zip(source.split("\n"), source.split("\n")[1:], strict=False)
        if before.strip() == "yield Remark("
    }

    notes = {"sizes", "link"}
    assert {name for name, *_ in SAMPLES} == {
        one for each in ids for one in (each.split('" if')[0],) if one not in notes
    } | {"contrast"}


def test_a_place_is_the_line_of_the_html() -> None:
    mail = with_html('<p>\n</p>\n<p style="display:flex">\nx</p>')
    (remark,) = found(mail)

    assert remark.line is not None
    assert "display:flex" in mail.html.split("\n")[remark.line - 1]


def test_one_pair_of_colours_is_told_once() -> None:
    grey = '<p style="color:#999999;background:#ffffff">grey</p>'

    assert [remark.id for remark in found(with_html(grey * 5))] == [
        "contrast",
        "contrast-dark",
    ]


def test_notes_tell_sizes_and_links() -> None:
    mail = with_html('<a href="https://a.example/x">The leads of DACH</a>')
    notes = [str(remark) for remark in review(mail) if remark.level == "note"]

    assert any("bytes of HTML" in note for note in notes)
    assert any("https://a.example/x" in note for note in notes)


def test_only_the_chosen_mail_programs_are_asked_about() -> None:
    flex = with_html('<div style="display:flex">x</div>')

    assert found(replace(flex, clients=(GMAIL, APPLE))) == []
    assert "Outlook for Windows" in str(found(replace(flex, clients=(OUTLOOK,)))[0])


def test_words_of_a_users_template_without_translation_are_named(tmp_path: Path) -> None:
    (tmp_path / "digest.txt").write_text(
        '{{ _("Good morning") }} {{ _("Since the last edition") }}'
    )

    assert untranslated(tmp_path, "de-CH") == ("Good morning",)
    assert untranslated(tmp_path, "en") == ()
    assert untranslated(None, "de") == ()


# --------------------------------------------------------------------------------------- colours


def contrasts(html: str, *, dark: bool = False) -> list[float | None]:
    root, styles = cascade.read(html)
    return [
        None if shown.contrast is None else round(shown.contrast, 2)
        for shown in cascade.shown(root, styles, dark=dark)
    ]


def test_colours_are_inherited_and_grounds_shine_through() -> None:
    html = '<div style="background:#000"><p style="color:#fff">a <b>b</b></p></div><p>c</p>'

    assert contrasts(html) == [21.0, 21.0, 21.0]


def test_rules_lose_to_inline_styles_unless_they_are_important() -> None:
    css = "<style>p{color:#fff}.x{color:#777!important}</style>"

    assert contrasts(f'{css}<p style="color:#000">a</p>') == [21.0]
    assert contrasts(f'{css}<p class="x" style="color:#000">a</p>') == [4.48]
    assert contrasts(f'{css}<p class="x" style="color:#000!important">a</p>') == [21.0]


def test_selectors_are_read_as_a_browser_reads_them() -> None:
    css = "<style>.a > p, div .b span, #c{color:#fff}a:hover{color:#fff}</style>"

    assert contrasts(f'{css}<div class="a"><p>x</p><b><p>y</p></b></div>') == [1.0, 21.0]
    assert contrasts(f'{css}<div><i class="b"><u><span>x</span></u></i></div>') == [1.0]
    assert contrasts(f'{css}<i id="c">x</i><a>y</a>') == [1.0, 21.0]


def test_what_nobody_sees_has_no_contrast() -> None:
    html = '<div style="display:none;color:#fff">a</div><p style="font-size:0;color:#fff">b</p>'

    assert contrasts(html.replace("font-size:0", "font-size:0px")) == []


def test_a_ground_that_is_a_picture_is_not_judged() -> None:
    assert contrasts('<p style="background:url(cid:x) #fff">a</p>') == [None]


def test_half_transparent_colours_are_mixed() -> None:
    assert contrasts('<p style="color:rgba(0,0,0,0.5);background:#fff">a</p>') == contrasts(
        '<p style="color:#7f7f7f;background:#fff">a</p>'
    )


def test_dark_styles_count_on_dark_screens_only() -> None:
    html = f"<style>{DARK}{{p{{color:#fff!important}}body{{background:#000!important}}}}</style>"
    page = f'{html}<body style="background:#fff"><p style="color:#000">a</p></body>'

    assert contrasts(page) == [21.0]
    assert contrasts(page, dark=True) == [21.0]
    assert contrasts(page.replace("color:#fff", "color:#333"), dark=True) == [1.66]


def test_the_table_of_lacking_css_is_sorted_and_names_known_programs() -> None:
    names = [name for name, _ in LACKING]

    assert names == sorted(set(names))
    assert {client for _, without in (*LACKING, *UNITS) for client in without} <= {GMAIL, OUTLOOK}
