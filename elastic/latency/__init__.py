"""Latency: how long networks take on this machine, measured, and predicted for widths that were not."""

from elastic.latency.benching import Benched as Benched
from elastic.latency.benching import bench as bench
from elastic.latency.predicting import Predictor as Predictor
from elastic.latency.profiling import profile as profile
from elastic.latency.runtimes import RUNTIMES as RUNTIMES
from elastic.latency.runtimes import prepare as prepare
from elastic.latency.table import Table as Table
from elastic.latency.table import is_table as is_table
from elastic.latency.table import read_table as read_table
from elastic.measuring import Latency as Latency
from elastic.measuring import measure_latency as measure_latency
