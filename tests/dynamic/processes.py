"""Count in one of several processes: python processes.py STORE RANK PROCESSES; print what was spent in all of them."""

import sys

import torch
from torch import distributed

from elastic.dynamic import in_all, reset, spent
from elastic.dynamic.channel import channel_gated
from elastic.dynamic_gating import channel_gating_of
from tests.dynamic.conftest import EXAMPLE, SEEN, small


def main(store: str, rank: int, processes: int) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if processes > 1:
        distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=processes)
    gating = channel_gating_of("paper", layers=("stem", "middle"))
    network = channel_gated(small(), EXAMPLE.double(), gating, [SEEN])
    images = torch.randn(7, 8, 6, 6).double()
    reset(network)
    network(images.tensor_split(processes)[rank])
    sys.stdout.write(str(in_all(spent(network, of_processes=True))))
    if processes > 1:
        distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
