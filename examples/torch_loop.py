"""A weighted PyTorch loop over events streamed from the run's files; negatives are uniform for all rows."""

import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import torch

import scalr
from scalr import adapters
from scalr.cli import main

torch.manual_seed(1)

with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    world = scalr.simulate(n_users=200, n_source_items=60, n_target_items=40, seed=1)
    logs = []  # on your own logs: scalr generate --source feed.parquet --target ads.parquet --out run
    for log in ("source", "target"):
        pq.write_table(getattr(world, log), folder / f"{log}.parquet")
        logs += [f"--{log}", str(folder / f"{log}.parquet")]
    main(["generate", *logs, "--out", str(folder / "run"), "--quiet"])

    data = adapters.to_torch(folder / "run", batch_size=256)
    users, items = torch.nn.Embedding(data.n_users, 8), torch.nn.Embedding(data.n_items, 8)
    optimizer = torch.optim.Adam([*users.parameters(), *items.parameters()], lr=0.05)
    for epoch in range(5):
        data.set_epoch(epoch)
        total = torch.zeros(2)
        for batch in torch.utils.data.DataLoader(data, batch_size=None):
            other = torch.randint(data.n_items, batch["item"].shape)
            score = [(users(batch["user"]) * items(item)).sum(1) for item in (batch["item"], other)]
            loss = torch.nn.functional.softplus(-score[0]) + torch.nn.functional.softplus(score[1])
            weighted = (batch["weight"] * loss).sum()
            optimizer.zero_grad()
            (weighted / batch["weight"].sum()).backward()
            optimizer.step()
            total += torch.stack([weighted.detach(), batch["weight"].sum()])
        print(f"epoch {epoch}: loss {total[0] / total[1]:.3f}")
