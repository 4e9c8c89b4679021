"""Precision: who asks for what the processor can't do fast is told so."""

import pytest
import torch

from elastic.precision import warn_if_slow


@pytest.mark.parametrize(
    ("precision", "has_instructions", "told"), [("bfloat16", False, 1), ("bfloat16", True, 0), ("float32", False, 0)]
)
def test_a_slow_precision_is_told(monkeypatch, caplog, precision, has_instructions, told):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: has_instructions)
    warn_if_slow(precision, torch.device("cpu"))
    assert len(caplog.records) == told
