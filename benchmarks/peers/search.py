"""Rate at a target PSNR: search a codec's knob, then interpolate between the two nearest measured points."""
import math
from dataclasses import dataclass

WITHIN = 0.05     # dB: the search goes on until a measured point is this close
BRACKET = 1.0     # dB: and another one lies this close on the other side, so that the local slope is measured
DB_PER_BIT = 20 * math.log10(2)


@dataclass
class Point:
    knob: float
    size: int
    psnr: float
    error: float  # largest absolute error


class Curve:
    """Measured points of one codec on one field."""

    def __init__(self, codec, field):
        self.codec, self.field, self.points = codec, field, {}

    def at(self, knob):
        if knob not in self.points:
            size, decoded = self.codec.run(self.field, knob)
            self.points[knob] = Point(knob, size, *self.field.distortion(decoded))
        return self.points[knob]

    def neighbours(self, target):
        below = max((p for p in self.points.values() if p.psnr < target), key=lambda p: p.psnr, default=None)
        above = min((p for p in self.points.values() if p.psnr >= target), key=lambda p: p.psnr, default=None)
        return below, above

    def search(self, target):
        if self.codec.discrete:
            self.search_levels(target)
        else:
            self.search_knob(target)
            if self.codec.scanned:
                self.scan(target)
        return self.estimate(target)

    def search_levels(self, target):
        """Knob 2^level: finds two neighbouring levels on either side."""
        top = math.ceil(math.log2(self.field.range)) + 4
        low, high = top - 36, top  # the smaller the level, the better
        while high - low > 1:
            middle = (low + high) // 2
            if self.at(2.0 ** middle).psnr >= target:
                low = middle
            else:
                high = middle
        self.at(2.0 ** low)
        self.at(2.0 ** high)

    def search_knob(self, target, limit=14):
        for attempt in range(limit):
            below, above = self.neighbours(target)
            sides = [p for p in (below, above) if p]
            if not sides:
                self.at(self.field.range * 10 ** (-target / 20))
                continue
            nearest = min(sides, key=lambda p: abs(p.psnr - target))
            close = abs(nearest.psnr - target) <= WITHIN
            if below and above:
                gap = above.psnr - below.psnr
                if close and gap <= BRACKET:
                    return
                if below.knob <= above.knob * (1 + 1e-6):  # a jump, or not monotone: no better knob here
                    return
                where = (target - below.psnr) / gap
                if attempt >= 6 or attempt % 3 == 2:  # against curved brackets
                    where = 0.5
                elif close:  # bracket it tightly from the other side
                    where += (0.04 if nearest is below else -0.04) / gap
                where = min(max(where, 0.02), 0.98)
                knob = math.exp(math.log(below.knob) + where * math.log(above.knob / below.knob))
            else:
                beyond = 0.03 if close else 0.0 if abs(nearest.psnr - target) > 3 else 0.02
                aim = target + (beyond if nearest is below else -beyond)
                step = (nearest.psnr - aim) * (1.0 if attempt < 3 else 1.6)
                knob = nearest.knob * 10 ** (max(-30.0, min(30.0, step)) / 20)
            if knob in self.points:
                knob *= 1.0007
            self.at(knob)

    def scan(self, target, steps=10):
        """A codec that tunes itself has jumps: where no point is close, tries knobs on both sides of the jump."""
        below, above = self.neighbours(target)
        near = [p for p in (below, above) if p and abs(p.psnr - target) <= WITHIN]
        if len(near) == 2 or (near and below and above and above.psnr - below.psnr <= BRACKET):
            return
        for middle in {p.knob for p in (below, above) if p}:
            for i in range(-steps // 2, steps // 2 + 1):
                self.at(middle * 1.03 ** i)

    def slope(self, target):
        """Bits per value per dB around the target, from the nearest two points at least 0.3 dB apart."""
        bits = lambda p: self.field.bits(p.size)
        pairs = [(a, b) for b in self.points.values() for a in self.points.values()
                 if b.psnr <= target <= a.psnr and 0.3 <= a.psnr - b.psnr <= 8 and bits(a) > bits(b)]
        if not pairs:
            return 1 / DB_PER_BIT
        a, b = min(pairs, key=lambda p: p[0].psnr - p[1].psnr)
        return (bits(a) - bits(b)) / (a.psnr - b.psnr)

    def estimate(self, target):
        """Bits per value at the target: interpolated in dB, or what a point at or above the target really needs."""
        bits = lambda p: self.field.bits(p.size)
        below, above = self.neighbours(target)
        options = []
        if below and above and above.psnr - below.psnr <= 8:
            gap = above.psnr - below.psnr
            exact = min(below, above, key=lambda p: abs(p.psnr - target))
            options.append((bits(below) + (bits(above) - bits(below)) * (target - below.psnr) / gap, exact,
                            "interpolated" if gap > BRACKET else "measured"))
        elif below or above:
            near = min((p for p in (below, above) if p), key=lambda p: abs(p.psnr - target))
            if abs(near.psnr - target) <= WITHIN:  # beyond that the correction would mean nothing at low rates
                options.append((bits(near) + (target - near.psnr) * min(1 / DB_PER_BIT, bits(near)), near, "6.02 dB/bit"))
        reached = [p for p in self.points.values() if p.psnr >= target]
        if reached:
            best = min(reached, key=lambda p: p.size)
            options.append((bits(best), best, "at or above"))
        if not options:
            return None
        value, point, how = min(options, key=lambda o: o[0])
        return dict(bits_per_value=value, bytes=value * self.field.values / 8, psnr=point.psnr, knob=point.knob,
                    max_error_over_range=point.error / self.field.range, bits_per_db=self.slope(target), how=how)
