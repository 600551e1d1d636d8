from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from digest.errors import ConfigError
from digest.model import Brand, MailHeaders, Recipient
from digest.render import render
from digest.render.brand import HEIGHT, LARGEST_LOGO, MARGIN, WIDTH, LogoError, contrast, fit, look
from digest.render.mime import pack
from digest.settings import load
from tests.render.editions import edition
from tests.test_settings import swapped

ACCENT = "#7a1fa2"
ENVIRONMENT = {"DB_PASSWORD": "planted", "SMTP_PASSWORD": "planted"}


def picture(
    size: tuple[int, int] = (400, 100), colour: str = "#1a4f8b", *, transparent: bool = False
) -> bytes:
    image = Image.new("RGBA", size, (0, 0, 0, 0) if transparent else colour)
    ImageDraw.Draw(image).rectangle((size[0] // 4, 0, size[0] // 2, size[1]), fill=colour)
    file = io.BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("RGBA")


# ------------------------------------------------------------------------------------- the logo


@pytest.mark.parametrize("size", [(400, 100), (4000, 40), (40, 4000), (10, 10), (1, 1)])
def test_a_logo_of_any_shape_fits_at_double_density(size: tuple[int, int]) -> None:
    logo = fit(picture(size))
    image = opened(logo.png)

    assert (logo.width, logo.height) == (-(-image.width // 2), -(-image.height // 2))
    assert logo.width <= WIDTH
    assert logo.height <= HEIGHT


@pytest.mark.parametrize(("colour", "ground"), [("#1a4f8b", 255), ("#fefefe", 0x1F)])
def test_a_transparent_logo_gets_the_ground_it_was_made_for(colour: str, ground: int) -> None:
    logo = fit(picture(colour=colour, transparent=True))
    image = opened(logo.png)

    assert image.getchannel("A").getextrema() == (255, 255)
    assert image.getpixel((0, 0))[0] == ground  # type: ignore[index] # RGBA
    assert logo.height <= HEIGHT + 2 * MARGIN


def test_the_same_logo_is_the_same_bytes() -> None:
    assert fit(picture()) == fit(picture())


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "no picture that mails can show; allowed: PNG, JPEG or GIF"),
        (b"<svg/>", "no picture that mails can show"),
        (picture()[:200], "no picture that mails can show"),
        (b"\0" * (LARGEST_LOGO + 1), "1,000,001 bytes; allowed: 1,000,000"),
        (picture((9000, 3000)), "9,000 x 3,000 pixels; allowed: 25,000,000"),
    ],
)
def test_what_is_no_logo_is_refused_with_the_reason(content: bytes, sentence: str) -> None:
    with pytest.raises(LogoError, match=sentence):
        fit(content)


# ----------------------------------------------------------------------------------- the accent


@given(st.integers(0, 0xFFFFFF))
def test_the_text_on_any_accent_is_legible(colour: int) -> None:
    accent = f"#{colour:06x}"

    assert contrast(accent, look(Brand(accent)).on_accent) >= 4.5


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == 21
    assert contrast("#777777", "#ffffff") == pytest.approx(4.478, abs=0.001)


# ------------------------------------------------------------------------------------- the mail


def test_a_branded_mail_shows_logo_and_accent_and_a_plain_one_neither() -> None:
    branded = render(edition(), brand=Brand(ACCENT, fit(picture())), chart=False)
    plain = render(edition(), chart=False)

    assert [image.cid for image in branded.images] == ["logo@digest"]
    assert 'src="cid:logo@digest" alt=""' in branded.html
    assert branded.html.count(ACCENT) >= 2
    assert "logo@digest" not in plain.html
    assert ACCENT not in plain.html


def test_dark_mode_leaves_the_customers_accent_alone() -> None:
    rule = ".button a{"

    assert rule in render(edition(), chart=False).html
    assert rule not in render(edition(), brand=Brand(ACCENT), chart=False).html


def test_logo_and_chart_travel_in_one_mail() -> None:
    message = render(edition(), brand=Brand(ACCENT, fit(picture())))

    mail = pack(
        message,
        recipient=Recipient("ana@team.example"),
        headers=MailHeaders(sender="Leads digest <digest@company.example>"),
        key="emea/2026-06-15/smtp/ana@team.example",
        sent_at=edition().as_of,
    )

    assert mail.count(b"Content-Type: image/png") == 2
    assert len(mail) < 150_000


# --------------------------------------------------------------------------------- the settings


def branded(folder: Path, table: str) -> Path:
    path = folder / "digest.toml"
    path.write_text(f"{swapped('[channels.smtp]', table + chr(10) + '[channels.smtp]')}")
    return path


def test_the_settings_bring_accent_and_logo(tmp_path: Path) -> None:
    (tmp_path / "logo.png").write_bytes(picture())

    settings = load(
        branded(tmp_path, '[brand]\naccent = "#7A1FA2"\nlogo = "logo.png"'),
        environment=ENVIRONMENT,
    )

    assert settings.brand == Brand(ACCENT, fit(picture()))


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ('accent = "blue"', "brand.accent: found 'blue'; allowed: a colour such as \"#1a4f8b\""),
        ('accent = "#12345"', "brand.accent: found '#12345'; allowed: a colour"),
        ('logo = "absent.png"', "absent.png does not exist"),
        ('logo = "."', "is a folder, not a file"),
        ('logo = "digest.toml"', "digest.toml: the file is no picture that mails can show"),
        ('acent = "#123456"', "did you mean 'accent'?"),
    ],
)
def test_a_mistake_in_the_brand_is_named(tmp_path: Path, table: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(branded(tmp_path, f"[brand]\n{table}"), environment=ENVIRONMENT)

    assert sentence in str(caught.value)
