"""Two gloo ranks, each with its own half of the data: the proximal step leaves them with the same bits."""

import os
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

RANK = """
import sys, torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from engine.groups import input_groups
from engine.penalties import GroupLasso
from engine.proximal import Kept, Proximal

rank, folder = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
torch.manual_seed(0)
net = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten(),
                    nn.Linear(8 * 16, 2))
replica = DistributedDataParallel(net)
optimizer = torch.optim.AdamW(net.parameters(), 1e-2)
proximal = Proximal(optimizer, input_groups(net), GroupLasso(2e-3), Kept(0.05, [net[0].weight]))
generator = torch.Generator().manual_seed(100 + rank)
for _ in range(30):
    proximal.zero_grad()
    replica(torch.randn(4, 3, 8, 8, generator=generator)).square().mean().backward()
    proximal.step()
weights = {name: p.detach().contiguous() for name, p in net.named_parameters()}
save_file({**weights, "norms": torch.cat(proximal.norms)}, f"{folder}/{rank}.safetensors")
torch.distributed.destroy_process_group()
"""


def test_two_ranks_end_with_the_same_bits(tmp_path: Path):
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-W", "ignore", "-c", RANK]
    ranks = [
        subprocess.Popen([*command, str(rank), str(tmp_path)], env=environment, stderr=subprocess.PIPE, text=True)
        for rank in (0, 1)
    ]
    errors = [rank.communicate(timeout=120)[1] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], errors
    one, other = (load_file(tmp_path / f"{rank}.safetensors") for rank in (0, 1))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert 0 < int((one["norms"] == 0).sum()) < len(one["norms"])
