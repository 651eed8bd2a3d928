"""Groups of digit pictures made by code, each picture with its answer: what `byhand predict` is measured on.

`on_paper` puts given 28x28 digits (MNIST's) on photographed-looking paper; `strokes` draws digits with a pen of any
width and colour; `typeset` takes them from handwriting-like fonts; `photographed` are thin pen strokes on large sheets,
ruled ones among them, under uneven light; `pages` have several digits each. Everything is drawn from the generator that
is passed in, so the same seed gives the same pictures.
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

# --- paper, light and cameras -----------------------------------------------------------------------------------------


def smooth_noise(shape, cells, rng):
    """A field from -1 to 1 that changes slowly: random numbers on a coarse grid, and curves between them."""
    coarse = Image.fromarray(rng.uniform(-1, 1, (cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize(shape[::-1], Image.Resampling.BICUBIC))


def uneven_light(shape, rng):
    """How bright the light is at each pixel, 1 for full: it falls off to one side, and sometimes there is a shadow."""
    y, x = np.mgrid[-1:1:shape[0] * 1j, -1:1:shape[1] * 1j].astype(np.float32)
    angle, fall = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.25)
    light = 1 - fall * (1 + np.cos(angle) * x + np.sin(angle) * y) / 2 - rng.uniform(0, 0.1) * (x * x + y * y)
    if rng.random() < 0.3:  # of a hand, say: half of the picture, with an edge that is soft
        angle, edge = rng.uniform(0, 2 * np.pi), rng.uniform(-0.6, 0.6)
        across = np.cos(angle) * x + np.sin(angle) * y - edge
        light *= 1 - rng.uniform(0.1, 0.4) / (1 + np.exp(np.clip(-across / rng.uniform(0.03, 0.2), -50, 50)))
    return light


def photograph(ink, rng, *, colours=None, ruled=False):
    """A picture (H, W, 3) of ink (H, W), 0 to 1, on paper: texture, uneven light, blur, noise.

    `colours`: of the ink and of the paper, RGB. By default dark on light or light on dark, as a coin falls.
    """
    pen, paper = colours or inverted_or_not(rng)
    sheet = np.broadcast_to(np.float32(paper), (*ink.shape, 3))
    if ruled:
        every, width = max(8, ink.shape[0] // int(rng.integers(6, 14))), max(1, ink.shape[0] // 300)
        lines = (np.arange(ink.shape[0]) + rng.integers(every)) % every < width
        sheet = np.where(lines[:, None, None], sheet * 0.75 + 0.25 * np.float32([90, 130, 200]), sheet)
    fibres = smooth_noise(ink.shape, 40, rng) * rng.uniform(0, 4) + rng.normal(0, rng.uniform(0, 3), ink.shape)
    picture = (sheet + fibres[..., None]) * (1 - ink[..., None]) + np.float32(pen) * ink[..., None]
    picture = picture * uneven_light(ink.shape, rng)[..., None]
    blurred = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    if min(ink.shape) > 100:
        blurred = blurred.filter(ImageFilter.GaussianBlur(rng.uniform(0, min(ink.shape) / 400)))
    picture = np.asarray(blurred) + rng.normal(0, rng.uniform(0, 8), (*ink.shape, 3))
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def inverted_or_not(rng):
    """Colours of ink and paper, as far from each other as a pen's are from paper; half of the time light on dark."""
    dark, light = rng.uniform(0, 90, 3), rng.uniform(190, 255) - rng.uniform(0, 25, 3)
    return (dark, light) if rng.random() < 0.5 else (light, dark)


def as_jpeg(picture, rng):
    """The bytes of a JPEG file, well or badly compressed."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=int(rng.integers(40, 96)))
    return buffer.getvalue()


def as_png(picture):
    """The bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


# --- the groups: each gives pairs of a file's bytes and the digit in it -----------------------------------------------


def on_paper(images, labels, rng):
    """28x28 digits, uint8, each scaled to 40 to 500 pixels, shifted, dark on light or light on dark, as JPEG files."""
    for image, label in zip(images, labels, strict=True):
        size = int(np.exp(rng.uniform(np.log(40), np.log(500))))
        way = Image.Resampling.BICUBIC if rng.random() < 0.7 else Image.Resampling.BILINEAR
        digit = np.asarray(Image.fromarray(image).resize((size, size), way)) / np.float32(255)
        height, width = (int(size * rng.uniform(1, 2)) for _ in range(2))
        top, left = int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))
        ink = np.pad(digit, ((top, height - size - top), (left, width - size - left)))
        yield as_jpeg(photograph(ink, rng), rng), int(label)


LINES = {  # how a hand goes: points from 0 to 1, right and down; a digit may have several strokes, some several ways
    0: [[[(.5, 0), (.15, .2), (.08, .55), (.25, .9), (.5, 1), (.8, .85), (.92, .5), (.8, .15), (.5, 0)]]],
    1: [[[(.5, 0), (.5, .5), (.5, 1)]], [[(.25, .25), (.42, .12), (.55, 0), (.55, .5), (.55, 1)]]],
    2: [[[(.1, .25), (.3, .03), (.65, .02), (.85, .25), (.7, .5), (.35, .78), (.1, 1)],
         [(.1, 1), (.5, .98), (.92, 1)]]],
    3: [[[(.12, .12), (.4, 0), (.75, .08), (.8, .3), (.6, .45), (.4, .48)],
         [(.4, .48), (.75, .55), (.88, .75), (.7, .95), (.4, 1), (.1, .9)]]],
    4: [[[(.62, 0), (.35, .35), (.05, .68)], [(.05, .68), (.5, .67), (.95, .66)], [(.66, .4), (.64, .7), (.62, 1)]],
        [[(.15, .05), (.12, .3), (.15, .52)], [(.15, .52), (.5, .53), (.85, .5)], [(.82, 0), (.8, .5), (.78, 1)]]],
    5: [[[(.25, .02), (.2, .25), (.16, .45)], [(.16, .45), (.45, .38), (.8, .5), (.86, .75), (.6, .98), (.1, .92)],
         [(.25, .02), (.55, .03), (.88, 0)]]],
    6: [[[(.7, 0), (.4, .2), (.15, .55), (.2, .9), (.5, 1), (.82, .88), (.82, .62), (.55, .5), (.25, .62),
          (.14, .75)]]],
    7: [[[(.08, .05), (.5, .04), (.9, .02)], [(.9, .02), (.65, .4), (.4, 1)]],
        [[(.08, .05), (.5, .04), (.9, .02)], [(.9, .02), (.65, .4), (.4, 1)], [(.3, .5), (.5, .48), (.75, .47)]]],
    8: [[[(.75, .12), (.45, 0), (.2, .15), (.3, .38), (.55, .5), (.8, .7), (.75, .93), (.45, 1), (.18, .88), (.22, .65),
          (.5, .48), (.75, .3), (.75, .12)]]],
    9: [[[(.82, .2), (.55, 0), (.22, .1), (.15, .35), (.4, .52), (.7, .42), (.82, .2)],
         [(.82, .2), (.8, .6), (.75, 1)]],
        [[(.82, .2), (.55, 0), (.22, .1), (.15, .35), (.4, .52), (.7, .42), (.82, .2)],
         [(.82, .2), (.85, .6), (.7, .92), (.4, 1), (.15, .9)]]],
}


def curve(points, steps=12):
    """Points on a smooth line through the given ones (Catmull and Rom 1974)."""
    p = np.asarray(points, float)
    p = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    t = np.linspace(0, 1, steps)[:, None]
    pieces = [0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
              for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False)]
    return np.vstack(pieces)


def drawn(digit, height, width_of_pen, rng, *, wobble=0.025):
    """A digit as ink (H, W) from 0 to 1, drawn by hand: slanted, narrower or wider, not quite twice the same."""
    ways = LINES[digit]
    strokes = ways[rng.integers(len(ways))]
    wide, slant, turn = rng.uniform(0.5, 0.85), rng.uniform(-0.1, 0.3), rng.uniform(-0.12, 0.12)
    shifts = {point: rng.normal(0, wobble, 2) for stroke in strokes for point in stroke}
    lines = [curve([np.add(point, shifts[point]) for point in stroke]) for stroke in strokes]
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) @ [[wide, 0], [-slant, 1]]
    # (x, y) as rows: y moves x to the left by the slant
    lines = [height * (line @ matrix) for line in lines]
    least = np.min([line.min(0) for line in lines], axis=0) - width_of_pen
    size = np.max([line.max(0) for line in lines], axis=0) + width_of_pen - least
    fine = 4 if height < 200 else 2
    canvas = Image.new("L", tuple(int(n) + 1 for n in size * fine))
    pen, radius = ImageDraw.Draw(canvas), width_of_pen * fine / 2
    for line in lines:
        points = [tuple(point) for point in (line - least) * fine]
        pen.line(points, fill=255, width=max(1, round(2 * radius)), joint="curve")
        for x, y in points:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    small = canvas.resize(tuple(max(1, n // fine) for n in canvas.size), Image.Resampling.BOX)
    return np.asarray(small) / np.float32(255)


def placed(ink, rng, *, room=(0.05, 0.8)):
    """Ink with empty margins around it, each a random share of its height."""
    margins = [int(len(ink) * rng.uniform(*room)) for _ in range(4)]
    return np.pad(ink, (margins[:2], margins[2:]))


INKS = [(0, 0, 0), (20, 40, 130), (30, 80, 200), (170, 20, 30), (10, 110, 50), (110, 20, 120), (200, 90, 0),
        (90, 90, 90)]


def strokes(count, rng):
    """Digits drawn with pens of 2 to 14 % of their height, in inks of many colours on clean paper: PNG files."""
    for index in range(count):
        height = int(np.exp(rng.uniform(np.log(40), np.log(600))))
        ink = placed(drawn(index % 10, height, max(1.2, height * rng.uniform(0.02, 0.14)), rng), rng)
        paper = np.float32([(255, 255, 255), (255, 250, 225), (230, 240, 250), (250, 230, 80)][rng.integers(4)])
        pen = np.float32(INKS[rng.integers(len(INKS))])
        if rng.random() < 0.25:  # chalk on a board
            pen, paper = paper, np.float32([(20, 20, 20), (30, 70, 50), (40, 40, 90)][rng.integers(3)])
        yield as_png(np.rint(paper + (pen - paper) * ink[..., None]).astype(np.uint8)), index % 10


def photographed(count, rng):
    """Digits drawn with a thin pen (1 to 4 % of their height) on a sheet, every third one ruled: JPEG files."""
    for index in range(count):
        height = int(rng.integers(150, 500))
        ink = placed(drawn(index % 10, height, max(2.5, height * rng.uniform(0.01, 0.04)), rng), rng, room=(0.3, 1.5))
        colours = (INKS[rng.integers(len(INKS))], rng.uniform(185, 250) - rng.uniform(0, 30, 3))
        yield as_jpeg(photograph(ink, rng, colours=colours, ruled=index // 10 % 3 == 2), rng), index % 10


FONTS = {  # Debian's packages, and the faces in them that are written with a pen or a brush
    "fonts-dkg-handwriting": ["dkg.ttf", "dkgBd.ttf"], "fonts-breip": ["Breip.ttf"],
    "fonts-bwht": ["BecauseWeBuild-Regular.otf", "BecauseWeConnect-Regular.otf", "BecauseWeCreate-Regular.otf",
                   "BecauseWeLearn-Regular.otf", "BecauseWeMentor-Regular.otf", "BecauseWeOrganize-Regular.otf"],
    "fonts-comic-neue": ["ComicNeue-Regular.otf"], "fonts-dancingscript": ["DancingScript-Regular.otf"],
    "fonts-ecolier-court": ["Ecolier-court.ttf"], "fonts-humor-sans": ["Humor-Sans.ttf"],
    "fonts-kaushanscript": ["KaushanScript-Regular.otf"], "fonts-kristi": ["Kristi.ttf"],
    "fonts-leckerli-one": ["LeckerliOne-Regular.ttf"], "fonts-lobster": ["lobster.otf"],
    "fonts-rufscript": ["Rufscript010.ttf"], "fonts-summersby": ["summersby.ttf"],
    "fonts-tomsontalks": ["TomsonTalks.ttf"],
}


def faces():
    """The faces of `FONTS` that are installed, by their file's name."""
    there = {path.name: path for path in Path("/usr/share/fonts").rglob("*.[ot]tf")}
    return {name: there[name] for names in FONTS.values() for name in names if name in there}


def typeset(face, rng, times=1):
    """The ten digits of a face, in 40 to 400 points, dark on light or light on dark, as PNG files."""
    for index in range(10 * times):
        font = ImageFont.truetype(str(face), int(np.exp(rng.uniform(np.log(40), np.log(400)))))
        left, top, right, bottom = font.getbbox(str(index % 10))
        canvas = Image.new("L", (right - left, bottom - top))
        ImageDraw.Draw(canvas).text((-left, -top), str(index % 10), fill=255, font=font)
        ink = placed(np.asarray(canvas) / np.float32(255), rng)
        pen, paper = map(np.float32, inverted_or_not(rng))
        yield as_png(np.rint(paper + (pen - paper) * ink[..., None]).astype(np.uint8)), index % 10


def pages(count, rng):
    """Photographed sheets with one to four lines of one to six digits: PNG files, each with its digits in order."""
    for _ in range(count):
        height = int(rng.integers(50, 140))
        pen = max(2.0, height * rng.uniform(0.03, 0.09))
        lines, wanted = [], []
        for _ in range(rng.integers(1, 5)):
            digits = rng.integers(0, 10, rng.integers(1, 7)).tolist()
            wanted += digits
            line = []
            for digit in digits:
                ink = drawn(digit, int(height * rng.uniform(0.85, 1.15)), pen, rng)
                drop = int(rng.integers(height // 5)) + height // 2
                line.append(np.pad(ink, ((drop, 0), (int(height * rng.uniform(0.15, 0.5)), 0))))
            tallest = max(map(len, line))
            lines.append(np.hstack([np.pad(ink, ((0, tallest - len(ink)), (0, 0))) for ink in line]))
        widest = max(line.shape[1] for line in lines)
        sheet = np.vstack([np.pad(line, ((0, 0), (0, widest - line.shape[1]))) for line in lines])
        sheet = np.pad(sheet, int(rng.integers(10, height)))
        colours = (INKS[rng.integers(len(INKS))], rng.uniform(200, 250) - rng.uniform(0, 20, 3))
        yield as_png(photograph(sheet, rng, colours=colours)), wanted
