"""Text colours by hue that stay readable: at least 4.5:1 against their background (WCAG 2, AA)."""

from __future__ import annotations

from colorsys import hls_to_rgb

LIGHT = "#ffffff"
DARK = "#1b1b1b"
ENOUGH = 4.5


def readable(hue: float, background: str) -> str:
    """The colour of `hue` (0..1) nearest to medium lightness with enough contrast on `background`."""
    darker = luminance(background) > 0.5
    for step in range(50):
        lightness = 0.5 - step / 100 if darker else 0.5 + step / 100
        colour = _hex(hls_to_rgb(hue, lightness, 0.65))
        if contrast(colour, background) >= ENOUGH:
            return colour
    return "#000000" if darker else "#ffffff"


def contrast(one: str, other: str) -> float:
    """The WCAG contrast ratio of two `#rrggbb` colours, 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    """The WCAG relative luminance of a `#rrggbb` colour, 0 to 1."""
    red, green, blue = (_linear(int(colour[i : i + 2], 16) / 255) for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    """One sRGB channel without its gamma."""
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)


def _hex(rgb: tuple[float, float, float]) -> str:
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in rgb)
