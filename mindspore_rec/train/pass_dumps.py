"""What is written of each pass for those who want to see it: variables of its rows, and dense parameters after it.

The model names what, in `train_dump_fields`, `train_dump_params` and `infer_dump_fields`; the runner says whether and
where: ``DIR/DAY/PASS/part-RANK`` for the rows of a rank, ``DIR/DAY/PASS/params`` for parameters.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence

from mindspore import Parameter, nn

from mindspore_rec.config import ConfigError
from mindspore_rec.data.row_dump import RowDump, dump_name, remove_dumps, write_arrays
from mindspore_rec.job_config import OnlineRunner
from mindspore_rec.models.model_file import ModelFile
from mindspore_rec.stream.pass_schedule import PassKey
from mindspore_rec.train.job_model import LABEL
from mindspore_rec.train.loaded_part import LoadedPart
from mindspore_rec.train.place import Place


class _Rows(NamedTuple):
    """Rows that are written: below which folder, and what of them."""

    folder: Path
    fields: Sequence[str]


class PassDumps:
    """What a runner has written of each pass.

    Args:
        runner: what it says.
        model: its model.py, which names what.
        place: this process among those of the job.

    Attributes:
        infer_variables, train_variables: what has to be known of rows that are predicted, and trained; None where
            nothing of them is written.

    Raises:
        ConfigError: something is to be written and the model does not name what, or names no variable.
    """

    def __init__(self, runner: OnlineRunner, model: ModelFile, place: Place) -> None:
        self._model, self._place = model, place
        names = model.network
        infer, train = Path(runner.infer_dump_fields_dir), Path(runner.train_dump_fields_dir)
        self._infer = _Rows(infer, names.infer_dump_fields if runner.need_infer_dump else ())
        self._train = _Rows(train, names.train_dump_fields if runner.need_train_dump else ())
        self._parameters = tuple(names.train_dump_params) if runner.need_train_dump else ()
        if runner.need_infer_dump and not self._infer.fields:
            raise ConfigError(f"need_infer_dump = true: {model.name} names no infer_dump_fields, expected some")
        if runner.need_train_dump and not (self._train.fields or self._parameters):
            raise ConfigError(
                f"need_train_dump = true: {model.name} names no train_dump_fields or train_dump_params, expected some"
            )
        if runner.need_infer_dump and runner.need_train_dump and infer.resolve() == train.resolve():
            raise ConfigError(
                f"infer_dump_fields_dir = {str(infer)!r}: expected another folder than train_dump_fields_dir"
            )
        self.infer_variables = self._variables("infer_dump_fields", self._infer.fields)
        self.train_variables = self._variables("train_dump_fields", self._train.fields)

    def check_parameters(self, network: nn.Cell) -> None:
        """See that the parameters the model names are there.

        Raises:
            ConfigError: one of them is not.
        """
        there = _dense(network)
        for name in self._parameters:
            if name not in there:
                raise ConfigError(
                    f"train_dump_params of {self._model.name}: {name!r} is no dense parameter, expected some of "
                    f"{', '.join(there)}"
                )

    @contextmanager
    def predicted(self, part: LoadedPart) -> Iterator[Optional[RowDump]]:
        """A file for the rows of a pass that is predicted; None where nothing of them is written."""
        with self._opened(self._infer, part) as dump:
            yield dump

    @contextmanager
    def trained(self, part: LoadedPart) -> Iterator[Optional[RowDump]]:
        """A file for the rows of a pass that is trained; None where nothing of them is written."""
        with self._opened(self._train, part) as dump:
            yield dump

    def write_parameters(self, key: PassKey, network: nn.Cell) -> None:
        """Write the parameters as they are after a pass.

        Raises:
            UserError: they cannot be written.
        """
        if self._parameters and self._place.exchange.rank == 0:
            there = _dense(network)
            arrays = {name: there[name].asnumpy() for name in self._parameters}
            write_arrays(_folder(self._train, key) / "params", arrays)

    @contextmanager
    def _opened(self, rows: _Rows, part: LoadedPart) -> Iterator[Optional[RowDump]]:
        if not rows.fields or not self._place.reads:
            yield None
            return
        folder, rank = _folder(rows, part.key), self._place.exchange.rank
        if rank == 0:  # what more ranks have left of a pass that is done again after a crash
            remove_dumps(folder, self._place.workers)
        with RowDump(folder / dump_name(rank), rows.fields, [file.path for file in part.files]) as dump:
            yield dump

    def _variables(self, key: str, fields: Sequence[str]) -> Optional[List[str]]:
        known = self._model.network.all_vars
        for name in fields:
            if name not in known and name != LABEL:
                raise ConfigError(
                    f"{key} of {self._model.name}: {name!r} is no variable, expected some of "
                    f"{', '.join((*known, LABEL))}"
                )
        return [name for name in fields if name in known] if fields else None


def _dense(network: nn.Cell) -> Dict[str, Parameter]:
    parameters = {parameter.name: parameter for parameter in network.get_parameters()}
    return {name: parameter for name, parameter in parameters.items() if not name.endswith("table_stamp")}


def _folder(rows: _Rows, key: PassKey) -> Path:
    return rows.folder / key.day / str(key.number)
