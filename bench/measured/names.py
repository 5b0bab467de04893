"""From the name of a network in a table of measurements to its description."""

from __future__ import annotations

import re
from collections.abc import Callable

from bench.measured import classic, mobile, vision, yolo
from bench.measured.net import Net

DTYPES = {"fp32": "fp32", "fp16": "fp16", "int8": "int8", "uint8": "int8", "float": "fp32", "float32": "fp32",
          "quant": "int8", "quantized": "int8", "non-quantized": "fp32"}  # fmt: skip
_NUMBER = r"(\d+(?:\.\d+)?)"

PLAIN: dict[str, Callable[[], Net]] = {
    "mobilenet": mobile.mobilenet_v1,
    "mobilenet_v2": mobile.mobilenet_v2,
    "mobilenet_v3": mobile.mobilenet_v3,
    "mnasnet": mobile.mnasnet,
    "proxylessnasnet": mobile.proxylessnas,
    "efficientnet_b0": mobile.efficientnet,
    "efficientnetv2_b0": mobile.efficientnet_v2_b0,
    "resnet": lambda: classic.resnet(50),
    "squeezenet": classic.squeezenet,
    "squeezenet_ssd": classic.squeezenet_ssd,
    "squeezenet-ssd": classic.squeezenet_ssd,
    "mobilenet_ssd": classic.ssd_mobilenet_voc,
    "mobilenet-ssd": classic.ssd_mobilenet_voc,
    "mobilenet_yolo": classic.mobilenet_yolo,
    "mobilenet-yolo": classic.mobilenet_yolo,
    "shufflenet": classic.shufflenet,
    "shufflenet_v2": classic.shufflenet_v2,
    "googlenet": classic.googlenet,
    "alexnet": classic.alexnet,
    "vgg16": classic.vgg16,
    "regnety_400m": classic.regnety_400m,
    "blazeface": classic.blazeface,
    "vision_transformer": lambda: vision.vit(768, 12, 12, 384, 32),
    "ssd-small": mobile.ssd_mobilenet_v1,
    "ssd-mobilenet": mobile.ssd_mobilenet_v1,
    "ssd-mobilenet-v1": mobile.ssd_mobilenet_v1,
    "ssd-mobilenet-v2": mobile.ssd_mobilenet_v2,
    "ssd-large": classic.ssd_resnet34,
    "ssd-resnet34": classic.ssd_resnet34,
    "retinanet": classic.retinanet,
    "vit-tiny": vision.vit,
    "vit-small": lambda: vision.vit(384, 6),
    "vit-base": lambda: vision.vit(768, 12),
}
"""Networks whose names say everything."""


def _mobilenet(match: re.Match[str]) -> Net:
    build = {"1": mobile.mobilenet_v1, "2": mobile.mobilenet_v2}[match[1]]
    return build(float(match[2]), int(match[3]))


def _v3(size: str, minimalistic: str | None, resolution: str | None, alpha: str | None) -> Net:
    return mobile.mobilenet_v3(
        size == "large", float(alpha or 1), int(resolution or 224), minimalistic=bool(minimalistic)
    )


def _yolo(match: re.Match[str]) -> Net:
    letters = {"n": (0.33, 0.25), "s": (0.33, 0.5), "m": (0.67, 0.75), "l": (1.0, 1.0)}
    if match["letter"]:
        depth, width = letters[match["letter"]]
    else:
        depth, width = _part(match["depth"]), _part(match["width"])
    return yolo.yolo(match["version"] + (match["kind"] or ""), depth, width, int(match["size"]))


def _part(digits: str) -> float:
    """``33`` is 0.33, ``5`` 0.5, ``1`` 1."""
    return 1.0 if digits == "1" else float(f"0.{digits}")


PATTERNS: tuple[tuple[str, Callable[[re.Match[str]], Net]], ...] = (
    (rf"mobilenet[-_ ]?v([12])[-_ ]{_NUMBER}x?[-_](\d+)", _mobilenet),
    (rf"(?:mobilenet[-_ ]?)?v3[-_ ](large|small)(-minimalistic)?(?:[-_](\d+))?(?:[-_]{_NUMBER}x?)?",
     lambda m: _v3(m[1], m[2], m[3], m[4])),
    (r"efficientnet-lite(\d)", lambda m: mobile.efficientnet_lite(int(m[1]))),
    (r"efficientnet[-_]b(\d)", lambda m: mobile.efficientnet(int(m[1]))),
    (r"efficientdet-lite(\dx?)", lambda m: mobile.efficientdet_lite(m[1])),
    (r"resnet-?(\d+)", lambda m: classic.resnet(int(m[1]))),
    (r"mixnet-([sml])", lambda m: vision.mixnet(m[1])),
    (r"mo(?:bi|vi)levit-(s|xs|xxs)", lambda m: vision.mobilevit(m[1])),
    (r"efficientformer-(l\d)", lambda m: vision.efficientformer(m[1])),
    (r"segforme[rt]-(b\d)", lambda m: vision.segformer(m[1])),
    (r"yolox-(nano|tiny|[smlx])", lambda m: yolo.yolox(m[1])),
    (r"yolo(?P<version>\d)(?P<kind>[sml](?=-))?-?(?:(?P<letter>[nsml])|d(?P<depth>\d+)w(?P<width>\d+))_(?P<size>\d+)",
     _yolo),
    (r"(?:nb201[-:])?(\|.*\|)", lambda m: classic.nb201(m[1])),
)  # fmt: skip


class UnknownNetwork(ValueError):
    """No paper is known for a name."""


def split_dtype(name: str) -> tuple[str, str]:
    """Return a network's name without its dtype, and the dtype (``fp32``, ``fp16``, ``int8``; empty: not said)."""
    plain, dtype = name.strip().removesuffix(".tflite"), ""
    if plain.startswith("nb201") or plain.startswith("|"):
        head, _, tail = plain.rpartition("-")
        return (head, DTYPES[tail]) if tail in DTYPES and head else (plain, "")
    plain = plain.lower().replace("precision_", "")
    for word in sorted(DTYPES, key=len, reverse=True):
        found = re.search(rf"(?:^|[-_]){word}(?=$|[-_])", plain)
        if found:
            plain, dtype = plain[: found.start()] + plain[found.end() :], dtype or DTYPES[word]
    plain = plain.strip("-_")
    if plain.startswith("mobilenet-v3-") or plain.startswith("v3-"):
        return plain, dtype
    return plain, dtype


def describe(name: str) -> Net:
    """Return the description of a network, whatever dtype its name ends with.

    :raises UnknownNetwork: if the name is not one of those that the tables use.
    """
    plain, _ = split_dtype(name)
    if plain in PLAIN:
        return PLAIN[plain]()
    for pattern, build in PATTERNS:
        if match := re.fullmatch(pattern, plain):
            try:
                return build(match)
            except KeyError as error:
                raise UnknownNetwork(f"no variant {error} of {plain}") from error
    raise UnknownNetwork(f"no network is known as {name!r}")
