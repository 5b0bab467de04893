"""The README that lies in every bundle."""

from __future__ import annotations

from typing import Any

from edgekit.target import Target


def readme(manifest: dict[str, Any], target: Target) -> str:
    """Return the README of a bundle with this manifest."""

    def table(tensors: list[dict[str, Any]]) -> str:
        rows = []
        for t in tensors:
            q = t["quantization"]
            scale = f"real = {q['scale']:.9g} * (q - {q['zero_point']})" if q else ""
            rows.append(f"| {t['name']} | {t['dtype']} | {t['shape']} | {scale} |")
        return "\n".join(["| name | dtype | shape | quantization |", "|---|---|---|---|", *rows])

    name = f"{manifest['model']['name']}, recipe {manifest['recipe']['name']}, for {target.name}"
    run = " ".join(manifest["run"])
    on_device = (
        f"""## Run it on the device
Copy this folder there and check it with Python (numpy and ai-edge-litert or tflite-runtime):

    python3 artifact/run.py

or without Python, on raw tensors (each input's little-endian bytes back to back, one sample after another):

    {run}

From the machine with edgekit:

    edgekit run FOLDER --on ssh://user@board
    edgekit profile FOLDER --on ssh://user@board
"""
        if run
        else ""
    )
    return f"""# {name}

{target.description}. Runtime: {manifest["runtime"]}. Made by edgekit {manifest["edgekit"]}.

## Inputs
{table(manifest["inputs"])}

## Outputs
{table(manifest["outputs"])}

{on_device}
## What is here
- `model.tflite`: the network as it was compiled
- `artifact/`: what runs it on the target
- `golden.npz`: inputs and the reference's outputs; `edgekit verify` checks them
- `profile.json`: the estimated latency and energy, with intervals
- `manifest.json`: where all this came from, and the sha256 of every file
"""
