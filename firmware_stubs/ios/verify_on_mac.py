"""Run the package in Core ML itself, on a Mac: how far its outputs are from the reference's, and what runs where.

    python3 -m pip install coremltools numpy
    python3 artifact/verify_on_mac.py

Ends with 5 where an output is further off than twice what edgekit's own evaluation of the package was (its figure is in
manifest.json), at least 2 steps or 0.01 of the largest magnitude. Needs nothing of edgekit.
"""

import json
import sys
from collections import Counter
from pathlib import Path

try:
    import numpy as np
except ImportError:
    sys.exit("verify_on_mac.py: numpy is missing: python3 -m pip install coremltools numpy")

HERE = Path(__file__).resolve().parent
UNITS = ("CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE", "ALL")
RELATIVE, STEPS = 1e-2, 2
FAILED = 5


def entered(values, about):
    """One sample of the network's input as the package takes it: real numbers, or int32."""
    if about["scale"] is not None:
        return ((values.astype(np.float64) - about["zero_point"]) * about["scale"]).astype(np.float32)
    return values.astype(about["dtype"])


def distance(found, wanted, about, parity):
    """How far an output is off: steps for integers with a scale, else relative to the largest magnitude; and whether
    that is too far.

    :param parity: of manifest.json, what edgekit's evaluation found.
    """
    if about["scale"] is not None:
        steps = np.rint(found / about["scale"]) + about["zero_point"]
        far = float(np.abs(steps - wanted).max())
        return f"{far:.0f} steps", not far <= max(STEPS, 2 * (parity.get("max_abs_lsb") or 0))  # NaN is far, too
    far = float(np.abs(found.astype(np.float64) - wanted).max() / max(np.abs(wanted).max(), 1e-6))
    return f"{far:.2g} relative", not far <= max(RELATIVE, 2 * parity.get("max_relative", 0))


def check(predict, about, golden, parity):
    """Compare all golden samples; return one line an output, and whether all are near enough.

    :param predict: from a dictionary of inputs to one of outputs, as Core ML's ``predict``.
    """
    count = len(golden["input0"])
    given = [
        {a["name"]: entered(golden[f"input{i}"][n], a) for i, a in enumerate(about["inputs"])} for n in range(count)
    ]
    found = [predict(one) for one in given]
    lines, good = [], True
    for i, output in enumerate(about["outputs"]):
        values = np.stack([np.asarray(one[output["name"]]).reshape(output["shape"]) for one in found])
        words, bad = distance(values, golden[f"output{i}"], output, parity)
        lines.append(f"{output['name']}: {words} on {count} samples" + (", too far" if bad else ""))
        good = good and not bad
    return lines, good


def main():
    if sys.platform != "darwin":
        sys.exit(
            "verify_on_mac.py: Core ML is on Macs only: copy the bundle to one (here: edgekit verify FOLDER --on mil)"
        )
    try:
        import coremltools as ct
    except ImportError:
        sys.exit("verify_on_mac.py: coremltools is missing: python3 -m pip install coremltools numpy")

    about = json.loads((HERE / "network.json").read_text())
    parity = json.loads((HERE.parent / "manifest.json").read_text()).get("parity") or {}
    with np.load(HERE.parent / "golden.npz", allow_pickle=False) as archive:
        golden = dict(archive)
    good = True
    for name in UNITS:
        unit = getattr(ct.ComputeUnit, name)
        model = ct.models.MLModel(str(HERE / "network.mlpackage"), compute_units=unit)
        lines, near = check(model.predict, about, golden, parity)
        good = good and near
        print(f"{name}: " + "; ".join(lines))
        print("  runs on " + ", ".join(f"{device} {count}" for device, count in placed(ct, model, unit).items()))
    return 0 if good else FAILED


def placed(ct, model, unit):
    """How many operations Core ML means to run on which processor."""
    from coremltools.models.compute_plan import MLComputePlan

    plan = MLComputePlan.load_from_path(path=model.get_compiled_model_path(), compute_units=unit)
    found = Counter()
    for operation in plan.model_structure.program.functions["main"].block.operations:
        usage = plan.get_compute_device_usage_for_mlprogram_operation(operation)
        if usage is not None:
            kind = type(usage.preferred_compute_device).__name__
            found[kind.removeprefix("ML").removesuffix("ComputeDevice")] += 1
    return found


if __name__ == "__main__":
    sys.exit(main())
