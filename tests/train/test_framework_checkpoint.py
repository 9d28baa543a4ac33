import mindspore as ms
import pytest
from mindspore import nn
from mindspore.train import CheckpointConfig, ModelCheckpoint

from mindspore_rec import RecModel, load_checkpoint
from mindspore_rec.checkpoint.errors import CheckpointError
from mindspore_rec.train.framework_checkpoint import TablesMissingError
from mindspore_rec.train.losses import LogLoss
from tests.train.small_networks import OneTable, dataset, rows


def new_model():
    network = OneTable()
    return RecModel(network, LogLoss(), nn.Adam(network.trainable_params(), 0.01))


@pytest.fixture
def saved(tmp_path):
    """A trained model, its checkpoint, and a batch."""
    model = new_model()
    saver = ModelCheckpoint("m", str(tmp_path), CheckpointConfig(save_checkpoint_steps=3))
    model.online_train(dataset([rows(32, seed=k) for k in range(3)]), callbacks=saver)
    return model, tmp_path / "m-1_3.ckpt", rows(8, seed=0)


def predict(model, batch):
    return model.predict(ms.Tensor(batch[0]), ms.Tensor(batch[1])).asnumpy().tolist()


def test_parameters_and_tables_come_back(saved):
    model, path, batch = saved
    other = new_model()
    load_checkpoint(path, other.train_network)
    assert predict(other, batch) == predict(model, batch)
    assert len(other.train_network.network.deep.table) == len(model.train_network.network.deep.table)


def test_a_checkpoint_without_its_tables_is_refused(saved):
    _, path, _ = saved
    path.with_name(path.name + ".tables").unlink()
    with pytest.raises(TablesMissingError, match=r"m-1_3.ckpt.tables is missing"):
        load_checkpoint(path, new_model().train_network)


def test_loading_past_the_tables_is_noticed(saved):
    _, path, batch = saved
    other = new_model()
    ms.load_param_into_net(other.train_network, ms.load_checkpoint(str(path)))
    with pytest.raises(TablesMissingError, match=r"mindspore_rec.load_checkpoint"):
        predict(other, batch)
    with pytest.raises(TablesMissingError):
        other.online_train(dataset([rows(32)]))


def test_tables_of_another_checkpoint_are_noticed(saved, tmp_path):
    model, path, _ = saved
    tables = path.with_name(path.name + ".tables")
    kept = tables.read_bytes()
    model.online_train(dataset([rows(32, seed=9)]))
    folder = tmp_path / "more"
    saver = ModelCheckpoint("m", str(folder), CheckpointConfig(save_checkpoint_steps=1))
    model.online_train(dataset([rows(32, seed=10)]), callbacks=saver)
    later = next(folder.glob("*.ckpt.tables"))
    later.write_bytes(kept)
    with pytest.raises(TablesMissingError, match="load both"):
        load_checkpoint(str(later)[: -len(".tables")], new_model().train_network)
    later.write_bytes(b"no tables at all")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_checkpoint(str(later)[: -len(".tables")], new_model().train_network)
