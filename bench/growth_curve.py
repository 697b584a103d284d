"""Draws what bench/growth has measured: a line for each row, both axes logarithmic, as SVG."""

import math

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 480, 70, 250, 30, 50
COLOURS = ("#1b6ca8", "#c1440e", "#2e7d32", "#7b4397", "#8d6e00", "#00838f")


def _decades(low, high):
    return range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)


def draw(path, marks, rows):
    """rows: (what, unit, a value per mark)."""
    values = [v for _, _, row in rows for v in row]
    y_low, y_high = _decades(min(values), max(values))[0], _decades(min(values), max(values))[-1]
    x_low, x_high = math.log10(marks[0]), math.log10(max(marks[-1], marks[0] * 10))

    def x(mark):
        return LEFT + (math.log10(mark) - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)

    def y(value):
        return TOP + (y_high - math.log10(value)) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for decade in range(y_low, y_high + 1):
        at = y(10 ** decade)
        out += [f'<line x1="{LEFT}" y1="{at:.1f}" x2="{WIDTH - RIGHT}" y2="{at:.1f}" stroke="#ddd"/>',
                f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{10 ** decade:,} µs</text>']
    for mark in marks:
        out += [f'<line x1="{x(mark):.1f}" y1="{TOP}" x2="{x(mark):.1f}" y2="{HEIGHT - BOTTOM}" stroke="#ddd"/>',
                f'<text x="{x(mark):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{mark:,}</text>']
    out.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">orders in the store</text>')

    # Names beside the ends of their lines, but not on each other.
    ends, least = sorted((y(row[-1]), i) for i, (_, _, row) in enumerate(rows)), -math.inf
    for end, i in ends:
        what, unit, row = rows[i]
        least = max(end, least + 17)
        points = " ".join(f"{x(mark):.1f},{y(value):.1f}" for mark, value in zip(marks, row))
        out += [f'<polyline points="{points}" fill="none" stroke="{COLOURS[i % len(COLOURS)]}" stroke-width="2"/>']
        out += [f'<circle cx="{x(mark):.1f}" cy="{y(value):.1f}" r="3" fill="{COLOURS[i % len(COLOURS)]}"/>'
                for mark, value in zip(marks, row)]
        out.append(f'<text x="{WIDTH - RIGHT + 10}" y="{least + 4:.1f}" fill="{COLOURS[i % len(COLOURS)]}">{what}, {unit}: '
                   f'{row[0]:,.0f} → {row[-1]:,.0f}</text>')
    path.write_text("\n".join((*out, "</svg>", "")), encoding="utf-8")
