"""One thread, bounded memory, and the hypothesis profile: what every test runs under."""

import resource

import torch
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)

GIB = 2**30
MEMORY = 8 * GIB  # of private data; an address-space limit would also count what CUDA libraries only reserve
soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
if hard == resource.RLIM_INFINITY or hard > MEMORY:
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, hard))

settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    print_blob=True,
    database=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci")
