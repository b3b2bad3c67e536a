"""Cut the two DejaVu fonts that invoices are set in down to the characters they need.

A full font takes several times longer to load than a page takes to draw, so the
package carries a part of each: Latin, Greek and Cyrillic letters, punctuation and
currency signs, without hints and layout tables (text is set glyph by glyph).
The same fonts give the same files. Run once, by hand, when the set of characters
changes, from the root of the repository and with fontTools installed::

    python tools/subset_fonts.py /usr/share/fonts/truetype/dejavu

The licence lies beside the fonts as ``LICENSE-DejaVu.txt``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

TARGET: Final = Path(__file__).parent.parent / "src/prepaid/invoicing/fonts"
FONTS: Final = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")
RANGES: Final = (
    (0x0020, 0x007E),  # ASCII
    (0x00A0, 0x024F),  # Latin-1, Latin Extended-A and -B
    (0x02B0, 0x036F),  # modifier letters, combining accents
    (0x0370, 0x03FF),  # Greek
    (0x0400, 0x052F),  # Cyrillic
    (0x1E00, 0x1EFF),  # Latin Extended Additional: Vietnamese
    (0x1F00, 0x1FFF),  # Greek Extended
    (0x2000, 0x206F),  # general punctuation, spaces and marks of direction that Babel writes
    (0x2070, 0x209F),  # raised and lowered digits
    (0x20A0, 0x20CF),  # currency signs
    (0x2100, 0x214F),  # letter-like signs: numero, trade mark
    (0x2150, 0x218F),  # fractions, Roman numerals
    (0x2190, 0x2193),  # arrows
    (0x2212, 0x2212),  # minus sign
    (0x25A1, 0x25A1),  # white square
    (0xFB00, 0xFB06),  # Latin ligatures
    (0xFFFD, 0xFFFD),  # replacement character
)


def subset(source: Path, target: Path) -> int:
    """Write the part of ``source`` that covers `RANGES` and give its size in bytes."""
    options = Options()
    options.hinting = False
    options.layout_features = []
    options.drop_tables += ["GDEF", "GPOS", "GSUB", "kern", "FFTM"]
    options.name_IDs = ["*"]  # copyright and licence stay in the file
    options.notdef_outline = True
    options.recalc_timestamp = False
    font = TTFont(source, recalcTimestamp=False)
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=[code for first, last in RANGES for code in range(first, last + 1)])
    subsetter.subset(font)
    font.save(target)
    return target.stat().st_size


def main(directory: str) -> None:
    """Subset every font of ``directory`` that invoices use."""
    for name in FONTS:
        size = subset(Path(directory) / name, TARGET / name)
        sys.stdout.write(f"{name}: {size} bytes\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: subset_fonts.py DIRECTORY_OF_THE_FULL_FONTS")
    main(sys.argv[1])
