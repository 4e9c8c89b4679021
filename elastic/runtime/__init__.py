"""Run time: a live network that changes its size in place."""

from elastic.runtime.model import ElasticModel as ElasticModel
from elastic.runtime.model import load as load
from elastic.runtime.timing import Timing as Timing
