"""`python -m tests.engine.distributed.pair RANK FOLDER`: one of two processes that train every case together."""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from engine.distributed.ranks import Ranks
from tests.engine.distributed.cases import CASES, spec_of, trained

if __name__ == "__main__":
    rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    import time
    for number, case in enumerate(CASES):
        t = time.process_time()
        result = trained(spec_of(case), Ranks(rank, 2))
        print(case, time.process_time() - t, flush=True)
        save_file({name: value.contiguous() for name, value in result.items()}, folder / f"{number}-{rank}.safetensors")
    torch.distributed.destroy_process_group()
