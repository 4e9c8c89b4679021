"""The table of `quantise.py`."""

from collections.abc import Mapping

from isolated import Record
from records import markdown, setting

HEAD = (
    "bits", "steps", "ranges", " seed", " calibrated", " trained", " below float", " ONNX", " same class",
    " level, kB", " ONNX, kB", " ms, 1 image", " ms, 128 images", " training, s",
)  # fmt: skip


def table(records: Mapping[str, Record]) -> str:
    """Return a page: what was reached, and what it needs to be judged."""
    whole = [record | records[f"{name}, ONNX"] for name, record in records.items() if f"{name}, ONNX" in records]
    first = whole[0]
    recipe, sizes = first["recipe"], first["onnx_bytes"]
    how = f"{recipe['epochs']} epochs, batch {recipe['batch']}, distil {recipe['distil']}, {recipe['precision']}"
    return "\n\n".join(
        [
            "# ResNet-20 in few bits",
            f"Top-1 on the {first['images']:,} test images of CIFAR-10, in percent; the float network has "
            f"{first['float']:.2f}. Calibrated on 512 images; then trained with rounding: {how}, the float network as "
            "the teacher, accuracy of the last epoch (`python benchmarks/quantise.py`). ONNX: top-1 of onnxruntime on "
            "the exported file; same class: images to which it gives the class that torch gives. A level's bytes are "
            "those that the file's header tells, and, to the byte, those of a file of that level alone. "
            f"Float: {first['bytes']['told float'] / 1000:.0f} kB, ONNX {sizes['float'] / 1000:.0f} kB. Latency: "
            "onnxruntime, median of 40 runs, float (in brackets) and integers in turn.",
            markdown(HEAD, [row(record) for record in whole]),
            setting(("torch", "onnxruntime"), records.values(), "one thread"),
        ]
    )


def row(record: Record) -> list[str]:
    sizes, taken = record["bytes"], record["milliseconds"]
    if sizes["told"] != sizes["file"]:
        raise ValueError(f"{record['name']}: the header tells {sizes['told']} bytes, the file has {sizes['file']}")
    return [
        record["bits"], record["steps"], record["ranges"], str(record["recipe"]["seed"]),
        f"{record['calibrated']:.2f}", f"{record['trained']:.2f}", f"{record['float'] - record['trained']:.2f}",
        f"{record['onnx']:.2f}", f"{100 * record['agreed'] / record['images']:.2f} %",
        f"{sizes['told'] / 1000:.0f}", f"{record['onnx_bytes']['few'] / 1000:.0f}",
        *(f"{each['few']:.2f} ({each['float']:.2f})" for each in taken.values()), str(record["seconds"]),
    ]  # fmt: skip
