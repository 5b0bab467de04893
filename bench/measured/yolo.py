"""YOLO v3 to v8 at any depth, width and resolution, and YOLOX.

Sources: Redmon & Farhadi 2018 (1804.02767), Wang et al. 2021 (2011.08036), Ultralytics' YOLOv5 and v8, Li et al. 2022
(2209.02976), Wang et al. 2022 (2207.02696), Ge et al. 2021 (2107.08430). YOLOBench (2307.13901) gives all of them the
head of YOLOv8; its classes are those of VOC.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.measured.net import Net, Value, divisible


@dataclass(frozen=True)
class Scale:
    """A network under construction, with its depth and width."""

    net: Net
    depth: float
    width: float
    act: str = "silu"

    def wide(self, channels: int) -> int:
        """Channels at this width."""
        return divisible(channels * self.width)

    def times(self, repeats: int) -> int:
        """Repeats at this depth."""
        return max(1, round(repeats * self.depth)) if repeats > 1 else repeats

    def conv(self, x: Value, channels: int, kernel: int = 1, stride: int = 1) -> Value:
        """Convolution with this network's activation; channels are counted after scaling."""
        return self.net.conv(x, channels, kernel, stride, self.act)

    def up(self, x: Value) -> Value:
        """Twice the height and width."""
        return self.net.resize(x, 2 * x.shape[0], 2 * x.shape[1])

    def bottleneck(
        self, x: Value, channels: int, *, shortcut: bool = True, ratio: float = 1.0, first: int = 1
    ) -> Value:
        """Two convolutions with a shortcut."""
        y = self.conv(self.conv(x, int(channels * ratio), first), channels, 3)
        return self.net.add(x, y) if shortcut and x.channels == channels else y

    def c3(self, x: Value, channels: int, repeats: int, *, shortcut: bool = True) -> Value:
        """YOLOv5's CSP block."""
        half = channels // 2
        y, other = self.conv(x, half), self.conv(x, half)
        for _ in range(repeats):
            y = self.bottleneck(y, half, shortcut=shortcut)
        return self.conv(self.net.concat(y, other), channels)

    def csp(self, x: Value, channels: int, repeats: int, *, shortcut: bool = True) -> Value:
        """YOLOv4's CSP block: the convolutions before the join have no activation."""
        half = channels // 2
        y, other = self.conv(x, half), self.net.conv(x, half, norm=False)
        for _ in range(repeats):
            y = self.bottleneck(y, half, shortcut=shortcut)
        joined = self.net.act(self.net.concat(self.net.conv(y, half, norm=False), other), self.act)
        return self.conv(joined, channels)

    def c2f(self, x: Value, channels: int, repeats: int, *, shortcut: bool = True) -> Value:
        """YOLOv8's block: every bottleneck's output is joined."""
        half = channels // 2
        y = self.conv(x, channels)
        parts = [self.net.split(y, 0, half), self.net.split(y, half, half)]
        for _ in range(repeats):
            parts.append(self.bottleneck(parts[-1], half, shortcut=shortcut, first=3))
        return self.conv(self.net.concat(*parts), channels)

    def sppf(self, x: Value, channels: int) -> Value:
        """Three poolings in a row, joined."""
        y = self.conv(x, x.channels // 2)
        parts = [y]
        for _ in range(3):
            parts.append(self.net.pool(parts[-1], 5, 1))
        return self.conv(self.net.concat(*parts), channels)

    def rep(self, x: Value, channels: int, repeats: int) -> Value:
        """RepVGG convolutions as they are deployed: plain 3x3."""
        for _ in range(repeats):
            x = self.net.conv(x, channels, 3, act="relu")
        return x

    def rep_csp(self, x: Value, channels: int, repeats: int, ratio: float) -> Value:
        """YOLOv6's CSP block of pairs of RepVGG convolutions."""
        inner = int(channels * ratio)
        y, other = self.net.conv(x, inner, act="relu"), self.net.conv(x, inner, act="relu")
        for _ in range(max(1, repeats // 2)):
            y = self.net.add(y, self.rep(y, inner, 2))
        return self.net.conv(self.net.concat(y, other), channels, act="relu")

    def elan(self, x: Value, inner: int, channels: int, convs: int = 4, every: int = 2) -> Value:
        """YOLOv7's block: the outputs of a chain of convolutions, joined."""
        parts = [self.conv(x, inner), self.conv(x, inner)]
        y = parts[-1]
        for i in range(convs):
            y = self.conv(y, inner if every == 2 else inner // 2, 3)
            if i % every == every - 1:
                parts.append(y)
        return self.conv(self.net.concat(*reversed(parts)), channels)

    def shrink(self, x: Value, channels: int) -> Value:
        """YOLOv7's downsampling: pooling beside a convolution."""
        return self.net.concat(
            self.conv(self.net.pool(x, 2, 2), channels), self.conv(self.conv(x, channels), channels, 3, 2)
        )


def _detect(s: Scale, maps: list[Value], classes: int) -> Net:
    """YOLOv8's head: boxes as distributions over 16 bins, and scores."""
    box = max(16, maps[0].channels // 4, 64)
    score = max(maps[0].channels, min(classes, 100))
    for x in maps:
        for inner, out in ((box, 64), (score, classes)):
            y = s.conv(s.conv(x, inner, 3), inner, 3)
            y = s.net.conv(y, out, norm=False, act="sigmoid" if out == classes else "")
            s.net.output(s.net.reshape(y, x.shape[0] * x.shape[1], out))
    return s.net


Block = Callable[[Scale, Value, int, int, bool], Value]


def _pan(s: Scale, c3: Value, c4: Value, c5: Value, block: Block, *, lateral: bool) -> list[Value]:
    """Top down and bottom up; ``lateral``: with 1x1 convolutions before the upsampling (YOLOv5)."""
    w = s.wide
    a = s.conv(c5, w(512)) if lateral else c5
    b = block(s, s.net.concat(s.up(a), c4), w(512), 3, False)
    b = s.conv(b, w(256)) if lateral else b
    p3 = block(s, s.net.concat(s.up(b), c3), w(256), 3, False)
    p4 = block(s, s.net.concat(s.conv(p3, w(256), 3, 2), b), w(512), 3, False)
    p5 = block(s, s.net.concat(s.conv(p4, w(512), 3, 2), a), w(1024), 3, False)
    return [p3, p4, p5]


def _v5_block(s: Scale, x: Value, channels: int, repeats: int, shortcut: bool) -> Value:
    return s.c3(x, channels, s.times(repeats), shortcut=shortcut)


def _v8_block(s: Scale, x: Value, channels: int, repeats: int, shortcut: bool) -> Value:
    return s.c2f(x, channels, s.times(repeats), shortcut=shortcut)


def _csp_yolo(s: Scale, block: Block, repeats: tuple[int, ...], stem: int, *, lateral: bool) -> list[Value]:
    x = s.conv(s.net.input, s.wide(64), stem, 2)
    found = []
    for channels, count in zip((128, 256, 512, 1024), repeats, strict=True):
        x = block(s, s.conv(x, s.wide(channels), 3, 2), s.wide(channels), count, True)
        found.append(x)
    found[-1] = s.sppf(found[-1], s.wide(1024))
    return _pan(s, found[1], found[2], found[3], block, lateral=lateral)


def _yolo3(s: Scale) -> list[Value]:
    w, x, found = s.wide, s.conv(s.net.input, s.wide(32), 3), []
    for channels, repeats in ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)):
        x = s.conv(x, w(channels), 3, 2)
        for _ in range(s.times(repeats)):
            x = s.bottleneck(x, w(channels), ratio=0.5)
        found.append(x)
    x = s.bottleneck(x, w(1024), shortcut=False, ratio=0.5)
    a = s.conv(s.conv(s.conv(x, w(512)), w(1024), 3), w(512))
    p5 = s.conv(a, w(1024), 3)
    x = s.net.concat(s.up(s.conv(a, w(256))), found[3])
    x = s.bottleneck(s.bottleneck(x, w(512), shortcut=False, ratio=0.5), w(512), shortcut=False, ratio=0.5)
    b = s.conv(x, w(256))
    p4 = s.conv(b, w(512), 3)
    x = s.net.concat(s.up(s.conv(b, w(128))), found[2])
    for _ in range(1 + s.times(2)):
        x = s.bottleneck(x, w(256), shortcut=False, ratio=0.5)
    return [x, p4, p5]


def _yolo4(s: Scale) -> list[Value]:
    w, x, found = s.wide, s.conv(s.net.input, s.wide(32), 3), []
    for channels, repeats in ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)):
        x = s.conv(x, w(channels), 3, 2)
        x = s.bottleneck(x, w(64), ratio=0.5) if channels == 64 else s.csp(x, w(channels), s.times(repeats))
        found.append(x)
    y = s.conv(s.conv(s.conv(x, w(512)), w(512), 3), w(512))
    pools = [s.net.pool(y, k, 1) for k in (5, 9, 13)]
    y = s.conv(s.conv(s.net.concat(y, *pools), w(512)), w(512), 3)
    a = s.conv(s.net.concat(y, s.conv(x, w(512))), w(512))
    b = s.csp(s.net.concat(s.conv(found[3], w(256)), s.up(s.conv(a, w(256)))), w(256), s.times(2), shortcut=False)
    c = s.csp(s.net.concat(s.conv(found[2], w(128)), s.up(s.conv(b, w(128)))), w(128), s.times(2), shortcut=False)
    d = s.csp(s.net.concat(s.conv(c, w(256), 3, 2), b), w(256), s.times(2), shortcut=False)
    e = s.csp(s.net.concat(s.conv(d, w(512), 3, 2), a), w(512), s.times(2), shortcut=False)
    return [s.conv(c, w(256), 3), s.conv(d, w(512), 3), s.conv(e, w(1024), 3)]


def _yolo6(s: Scale, kind: str) -> list[Value]:
    w, ratio = s.wide, {"m": 2 / 3, "l": 0.5}.get(kind, 0.0)

    def block(x: Value, channels: int, repeats: int) -> Value:
        return s.rep_csp(x, channels, repeats, ratio) if ratio else s.rep(x, channels, repeats)

    x, found = s.net.conv(s.net.input, w(64), 3, 2, "relu"), []
    for channels, repeats in ((128, 6), (256, 12), (512, 18), (1024, 6)):
        x = block(s.net.conv(x, w(channels), 3, 2, "relu"), w(channels), s.times(repeats))
        found.append(x)
    s = Scale(s.net, s.depth, s.width, "relu")
    found[-1] = s.sppf(x, w(1024))
    a = s.conv(found[3], w(256))
    b = block(s.net.concat(s.up(a), found[2]), w(256), s.times(12))
    b = s.conv(b, w(128))
    p3 = block(s.net.concat(s.up(b), found[1]), w(128), s.times(12))
    p4 = block(s.net.concat(s.conv(p3, w(128), 3, 2), b), w(256), s.times(12))
    p5 = block(s.net.concat(s.conv(p4, w(256), 3, 2), a), w(512), s.times(12))
    return [p3, p4, p5]


def _yolo7(s: Scale) -> list[Value]:
    w = s.wide
    x = s.conv(s.conv(s.conv(s.net.input, w(32), 3), w(64), 3, 2), w(64), 3)
    x = s.elan(s.conv(x, w(128), 3, 2), w(64), w(256))
    c3 = s.elan(s.shrink(x, w(128)), w(128), w(512))
    c4 = s.elan(s.shrink(c3, w(256)), w(256), w(1024))
    x = s.elan(s.shrink(c4, w(512)), w(256), w(1024))
    y = s.conv(s.conv(s.conv(x, w(512)), w(512), 3), w(512))
    y = s.conv(s.conv(s.net.concat(y, *(s.net.pool(y, k, 1) for k in (5, 9, 13))), w(512)), w(512), 3)
    a = s.conv(s.net.concat(y, s.conv(x, w(512))), w(512))
    b = s.elan(s.net.concat(s.conv(c4, w(256)), s.up(s.conv(a, w(256)))), w(256), w(256), 4, 1)
    c = s.elan(s.net.concat(s.conv(c3, w(128)), s.up(s.conv(b, w(128)))), w(128), w(128), 4, 1)
    d = s.elan(s.net.concat(s.shrink(c, w(128)), b), w(256), w(256), 4, 1)
    e = s.elan(s.net.concat(s.shrink(d, w(256)), a), w(512), w(512), 4, 1)
    return [s.conv(c, w(256), 3), s.conv(d, w(512), 3), s.conv(e, w(1024), 3)]


def yolo(version: str, depth: float, width: float, size: int, classes: int = 20) -> Net:
    """YOLOBench's networks. ``version``: 3, 4, 5, 6s, 6m, 6l, 7 or 8."""
    s = Scale(Net(size, size, 3), depth, width)
    if version == "3":
        maps = _yolo3(s)
    elif version == "4":
        maps = _yolo4(s)
    elif version == "5":
        maps = _csp_yolo(s, _v5_block, (3, 6, 9, 3), 6, lateral=True)
    elif version[0] == "6":
        maps = _yolo6(s, version[1:])
    elif version == "7":
        maps = _yolo7(s)
    else:
        maps = _csp_yolo(s, _v8_block, (3, 6, 6, 3), 3, lateral=False)
    return _detect(s, maps, classes)


YOLOX = {"nano": (0.33, 0.25, 416), "tiny": (0.33, 0.375, 416), "s": (0.33, 0.5, 640), "m": (0.67, 0.75, 640),
         "l": (1.0, 1.0, 640), "x": (1.33, 1.25, 640)}  # fmt: skip


def yolox(name: str, size: int = 0, classes: int = 4) -> Net:
    """YOLOX: the input is rearranged to half its size first, the head has separate branches."""
    depth, width, usual = YOLOX[name]
    s = Scale(Net(size or usual, size or usual, 3), depth, width)
    net, w = s.net, s.wide
    h, _, c = net.input.shape
    x = net.reshape(
        net.transpose(net.reshape(net.input, h // 2, 2, h // 2, 2, c), 0, 2, 1, 3, 4), h // 2, h // 2, 4 * c
    )
    x, found = s.conv(x, w(64), 3), []
    for channels, repeats in ((128, 3), (256, 9), (512, 9), (1024, 3)):
        x = s.conv(x, w(channels), 3, 2)
        if channels == 1024:
            y = s.conv(x, w(512))
            x = s.conv(net.concat(y, *(net.pool(y, k, 1) for k in (5, 9, 13))), w(1024))
        x = s.c3(x, w(channels), s.times(repeats), shortcut=channels < 1024)
        found.append(x)
    for x in _pan(s, found[1], found[2], found[3], _v5_block, lateral=True):
        x = s.conv(x, w(256))
        a = s.conv(s.conv(x, w(256), 3), w(256), 3)
        b = s.conv(s.conv(x, w(256), 3), w(256), 3)
        scores = net.conv(a, classes, act="sigmoid", norm=False)
        boxes, known = net.conv(b, 4, norm=False), net.conv(b, 1, act="sigmoid", norm=False)
        y = net.concat(boxes, known, scores)
        net.output(net.reshape(y, y.shape[0] * y.shape[1], y.channels))
    return net
