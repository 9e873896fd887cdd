"""Training by several: what each shares, what is put together again, who may go on with it."""

import copy
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from latent_shards import write_shards  # noqa: E402
from visavis.errors import InputError, MissingExtra  # noqa: E402
from visavis.train.team import Team, found_team, restore  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of sharding on a CPU


class Sharding:
    """Stands in for an ``accelerate.Accelerator`` with FSDP, which needs GPUs: one process."""

    process_index, device = 0, "cpu"

    def prepare(self, net, optimiser):
        from torch.distributed.fsdp import fully_shard

        rows = [group["lr"] for group in optimiser.param_groups]
        fully_shard(net)
        return net, SimpleNamespace(optimizer=torch.optim.AdamW(net.parameters(), rows[0]))


@pytest.fixture
def process_group(tmp_path):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1
    )
    yield
    torch.distributed.destroy_process_group()


def small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.GroupNorm(2, 4), nn.Linear(4, 2))


def stepped(net, optimiser, count: int = 2) -> None:
    for i in range(count):
        optimiser.zero_grad()
        net(torch.full((2, 3), 1.0 + i)).square().sum().backward()
        optimiser.step()


@pytest.mark.usefixtures("process_group", "one_thread")
def test_pieces_are_put_together_and_average_and_weights_do_not_mix():
    alone, begun = small(), small()
    average = copy.deepcopy(alone)
    own = torch.optim.AdamW(alone.parameters(), 0.1)
    team = Team(Sharding())
    net, optimiser = team.join(begun, torch.optim.AdamW(begun.parameters(), 0.1))
    for _ in range(2):
        stepped(alone, own, 1)
        stepped(net, optimiser.optimizer, 1)
        with torch.no_grad():
            for slow, fast in zip(average.parameters(), alone.parameters(), strict=True):
                slow.lerp_(fast, 0.25)
        team.follow(net, 0.75)
    for _ in range(2):  # gathering changes nothing
        found = team.gather(net, optimiser)
        for name, module in (("net", alone), ("average", average)):
            assert found[name].keys() == module.state_dict().keys()
            for key, value in module.state_dict().items():
                torch.testing.assert_close(found[name][key], value)
    assert not torch.equal(found["net"]["0.weight"], found["average"]["0.weight"])


@pytest.mark.usefixtures("process_group", "one_thread")
def test_one_alone_goes_on_with_what_a_team_left_and_a_team_with_that():
    begun, alone = small(), small()
    team = Team(Sharding())
    net, optimiser = team.join(begun, torch.optim.AdamW(begun.parameters(), 0.1))
    stepped(net, optimiser.optimizer)
    state = copy.deepcopy(team.gather(net, optimiser))
    own = torch.optim.AdamW(alone.parameters(), 0.1)
    restore(alone, own, copy.deepcopy(state))
    other, others = Team(Sharding()).join(small(), own)
    restore(other, others, copy.deepcopy(state))
    for each, its in ((net, optimiser.optimizer), (alone, own), (other, others.optimizer)):
        stepped(each, its)
    expected = team.gather(net, optimiser)["net"]
    for key, value in expected.items():
        torch.testing.assert_close(alone.state_dict()[key], value)
        torch.testing.assert_close(other.state_dict()[key].full_tensor(), value)


def test_one_process_is_no_team(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert found_team() is None
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(MissingExtra, match="pip install accelerate"):
        found_team()
    lonely = SimpleNamespace(
        Accelerator=lambda **_: SimpleNamespace(num_processes=1),
        DistributedDataParallelKwargs=lambda **_: None,
    )
    monkeypatch.setitem(sys.modules, "accelerate", lonely)
    with pytest.raises(InputError, match="FSDP needs"):
        found_team()


@pytest.mark.slow
def test_two_processes_train_one_network_and_go_on(tmp_path):
    pytest.importorskip("accelerate")
    shards = write_shards(tmp_path / "shards")
    task = ["-m", "visavis.train.tasks.video", "--data", str(shards), "--out", str(tmp_path)]
    task += ["--preset", "test", "--steps", "3", "--batch", "20", "--save-every", "2"]
    launch = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    launch += ["--main_process_port", "0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def train(*given: str) -> list[int]:
        subprocess.run([sys.executable, *given], env=environment, check=True, timeout=300)
        return [json.loads(r)["step"] for r in (tmp_path / "log.jsonl").read_text().splitlines()]

    assert train(*launch, *task, "--minutes", "0.000001") == [1]
    assert train(*launch, *task, "--resume") == [1, 2, 3]
    assert train(*task[:-4], "--steps", "4", "--save-every", "2", "--resume") == [1, 2, 3, 4]
