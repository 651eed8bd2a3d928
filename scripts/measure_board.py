"""Measure how long a small board thinks about a digit, with weights in floating point and in eight bits.

    python scripts/measure_board.py             # ten seconds; needs avr-gcc with avr-libc, and simavr

The board is an ATmega2560 at 16 MHz, which has no unit for floating point. It is simulated, cycle by cycle, so the
figures are the same on every machine. A network of 784-8-10 learns the digits of mini, becomes C as it would for
anybody, and reads the first test digit while a timer of the board counts. What came out goes into docs/formats.md.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from write_tables import between

import byhand as bh
from byhand import nn

PAGE = Path(__file__).resolve().parents[1] / "docs" / "formats.md"
BEGIN, END = "<!-- board:begin -->", "<!-- board:end -->"
COLUMNS = ["784-8-10 on an ATmega2560", "a digit takes"]
CHIP, HERTZ = "atmega2560", 16_000_000
PROGRAM = """
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
#include <stdio.h>
#include "network.c"
static const uint8_t picture[BYHAND_INPUTS] = {
#include "picture.h"
};
static volatile uint16_t rounds;
ISR(TIMER1_OVF_vect) { rounds++; }
static int put(char c, FILE *file) { (void)file; UDR0 = c; return 0; }
int main(void)
{
    static FILE out = FDEV_SETUP_STREAM(put, NULL, _FDEV_SETUP_WRITE);
    UCSR0B = 1 << TXEN0;
    TIMSK1 = 1 << TOIE1;
    TCCR1B = 1 << CS10;                     /* counts cycles */
    sei();
    int found = byhand_classify(picture);
    uint16_t rest = TCNT1;
    cli();
    fprintf(&out, "class %d after %lu cycles\\n", found, ((unsigned long)rounds << 16) + rest);
    sleep_mode();                           /* which ends the simulation */
    return 0;
}
"""


def network() -> bh.files.SavedModel:
    """A network small enough for 256 KB of flash in floating point."""
    rng, digits = np.random.default_rng(0), bh.data.load("mini")
    scale = bh.data.Normalize.fit(digits.train)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 8, rng), nn.ReLU(), nn.Linear(8, 10, rng))
    bh.fit(model, digits.train, loss=bh.losses.cross_entropy, optimizer=bh.optim.Adam(model.parameters(), lr=0.002),
           rng=rng, epochs=5, normalize=scale)
    return bh.files.SavedModel(model, (1, 28, 28), scale, digits.classes)


def thinking(saved: bh.files.SavedModel, picture: np.ndarray, int8: bool) -> tuple[int, float]:
    """The class of a picture, uint8 (1, 28, 28), as the board finds it, and the seconds that it takes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bh.files.c.save(saved, folder / "network.c", int8=int8)
        (folder / "picture.h").write_text(", ".join(map(str, picture.ravel())))
        (folder / "main.c").write_text(PROGRAM)
        subprocess.run(["avr-gcc", "-std=gnu99", "-O2", f"-mmcu={CHIP}", "main.c", "-o", "main.elf", "-lm"],
                       cwd=folder, check=True)
        said = subprocess.run(["simavr", "-m", CHIP, "-f", str(HERTZ), "main.elf"], cwd=folder, check=True, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120).stdout
    found = re.search(r"class (\d+) after (\d+) cycles", said)
    if not found:
        sys.exit(f"the simulated board did not answer: {said}")
    return int(found[1]), int(found[2]) / HERTZ


def rows() -> list[list[str]]:
    """The cells of the table."""
    saved, picture = network(), bh.data.load("mini").test.inputs[0]
    return [[weights, f"{1000 * thinking(saved, picture, int8)[1]:.0f} ms"]
            for weights, int8 in (("weights in floating point", False), ("weights in eight bits", True))]


def with_table(page: str, cells: list[list[str]]) -> str:
    """The page with these rows in its table."""
    lines = [COLUMNS, ["---"] * len(COLUMNS), *cells]
    return between(page, BEGIN, END, "\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n")


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), rows()), encoding="utf-8")
