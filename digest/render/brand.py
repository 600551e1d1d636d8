"""A customer's own look: the logo made fit for a mail, and the colours beside the accent."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from digest.model import Brand, Logo

if TYPE_CHECKING:
    from PIL import Image

LARGEST_LOGO = 1_000_000  # bytes of the file
MOST_PIXELS = 25_000_000
HEIGHT, WIDTH = 28, 200  # CSS pixels, at most
MARGIN = 6
COLOURS = 128
INK, PAPER, BLACK = "#1f2933", "#ffffff", "#000000"
LOGO_CID = "logo@digest"
_BRIGHT = 200  # of 255: a logo of this brightness was made for a dark ground


class LogoError(ValueError):
    """The file is no picture that can stand in a mail; the message says why and what is allowed."""


@dataclass(frozen=True, slots=True)
class Look:
    """The brand as templates print it.

    Attributes:
        accent: ground of the button and the rule above the card. on_accent: text on it, black or white.
        branded: the accent is the customer's own, and dark mode leaves it alone.
        logo_width, logo_height: CSS pixels; 0 without a logo.
    """

    accent: str
    on_accent: str
    branded: bool
    logo_cid: str
    logo_width: int
    logo_height: int


def look(brand: Brand) -> Look:
    """Return what templates need to know of a brand."""
    accent = brand.accent or INK
    logo = brand.logo
    return Look(
        accent=accent,
        on_accent=max((PAPER, BLACK), key=lambda text: contrast(accent, text)),
        branded=brand.accent is not None,
        logo_cid=LOGO_CID,
        logo_width=logo.width if logo else 0,
        logo_height=logo.height if logo else 0,
    )


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two "#rrggbb" colours, 1 to 21 (WCAG 2, 1.4.3)."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(int(colour[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4  # noqa: PLR2004 - WCAG


def fit(content: bytes) -> Logo:
    """Make a logo fit for a mail: at most 200 x 28 CSS pixels at double density, on an opaque ground.

    A transparent logo would vanish in one of light and dark mode; it gets the ground that it was made for.

    Raises:
        LogoError: too large, or no PNG, JPEG or GIF.
    """
    from PIL import Image, UnidentifiedImageError

    if len(content) > LARGEST_LOGO:
        raise LogoError(f"the picture has {len(content):,} bytes; allowed: {LARGEST_LOGO:,}")
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "GIF")) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                size = f"{opened.width:,} x {opened.height:,}"
                raise LogoError(f"the picture has {size} pixels; allowed: {MOST_PIXELS:,} in all")
            picture = opened.convert("RGBA")
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise LogoError(
            "the file is no picture that mails can show; allowed: PNG, JPEG or GIF"
        ) from error
    picture.thumbnail((2 * WIDTH, 2 * HEIGHT), Image.Resampling.LANCZOS)
    opaque = picture.getchannel("A").getextrema()[0] == 255  # noqa: PLR2004 - fully opaque
    margin = 0 if opaque else 2 * MARGIN
    ground = Image.new(
        "RGBA", (picture.width + 2 * margin, picture.height + 2 * margin), _ground(picture)
    )
    ground.alpha_composite(picture, (margin, margin))
    file = io.BytesIO()
    small = ground.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(file, format="PNG", optimize=True)
    return Logo(file.getvalue(), -(-ground.width // 2), -(-ground.height // 2))


def _ground(picture: Image.Image) -> str:
    """Return the colour behind a logo: dark for one that is almost white."""
    from PIL import ImageStat

    seen = ImageStat.Stat(picture.convert("L"), mask=picture.getchannel("A"))
    return INK if seen.count[0] and seen.mean[0] > _BRIGHT else PAPER
