"""Sources of labels: (model, example) -> Plan. The only place that knows torch_pruning."""

from elastic.tracing.tracer import trace
from elastic.tracing.twin import Example

__all__ = ["Example", "trace"]
