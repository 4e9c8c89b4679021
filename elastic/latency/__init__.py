"""Latency: how long networks take on this machine, measured, and predicted for widths that were not."""

from elastic.latency.measuring import Latency as Latency
from elastic.latency.measuring import measure_latency as measure_latency
from elastic.latency.predicting import Predictor as Predictor
from elastic.latency.profiling import profile as profile
from elastic.latency.runtimes import RUNTIMES as RUNTIMES
from elastic.latency.runtimes import prepare as prepare
from elastic.latency.table import Table as Table
from elastic.latency.table import is_table as is_table
from elastic.latency.table import read_table as read_table
