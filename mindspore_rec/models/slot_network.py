"""What a model.py defines: the settings of a model, and a network over slots whose variables have names."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Mapping, Optional, Tuple

from mindspore import Tensor, nn
from pydantic import Field, field_validator

from mindspore_rec.config import Section
from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.job_config import TableParameters

LOGIT = "logit"
Tables = Mapping[str, TableParameters]  # rules of tables by name


class OptimizerSettings(Section):
    """Of the dense parameters."""

    optimizer_class: Literal["adam", "adagrad", "sgd"] = Field("adam", alias="class", description="which one")
    learning_rate: float = Field(0.001, gt=0, description="learning rate")
    strategy: Literal["sync", "async"] = Field("sync", description="as sync_mode of the runner, which decides")

    @field_validator("optimizer_class", mode="before")
    @classmethod
    def _any_case(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value


class HyperParameters(Section):
    """Base of a model's settings, `hyper_parameters` of a configuration."""

    optimizer: OptimizerSettings = Field(OptimizerSettings(), description="of the dense parameters")
    seed: int = Field(0, ge=0, lt=2**31, description="of first weights")


class SlotNetwork(nn.Cell):
    """Base of the networks a model.py defines, made as ``Network(settings, schema, padding_id, tables)``.

    Args:
        settings: of the model's own section.
        schema: slots of the data; those of fields, where each is one id with a weight.
        padding_id: id that stands for nothing; None where every id is one.
        tables: rules of its tables, by name.

    Inputs:
        ids: int64 [batch, slots], only to be looked up; a slot with several values is pooled by its lookup.
        dense: float32 [batch, numbers]; given where the data has dense slots.
    Outputs:
        logits, float32 [batch, 1].

    Raises:
        ValueError: it cannot be made of these slots and settings; `Model` makes a ConfigError of it.

    Attributes:
        all_vars: names of what `variables` returns, in order; "logit" is among them.
        inference_feed_vars: slots an exported model is given; none: all.
        inference_target_var: the variable it returns.
        train_dump_fields, infer_dump_fields: variables, and "label", written row by row where the runner says so.
        train_dump_params: dense parameters written after each pass, by name.
    """

    all_vars: ClassVar[Tuple[str, ...]] = (LOGIT, "probability")
    inference_feed_vars: ClassVar[Tuple[str, ...]] = ()
    inference_target_var: ClassVar[str] = "probability"
    train_dump_fields: ClassVar[Tuple[str, ...]] = ()
    train_dump_params: ClassVar[Tuple[str, ...]] = ()
    infer_dump_fields: ClassVar[Tuple[str, ...]] = ()

    def __init__(
        self, settings: HyperParameters, schema: SlotSchema, padding_id: Optional[int], tables: Tables
    ) -> None:
        super().__init__()
        if not schema.sparse:
            raise ValueError(f"sparse_slots: {schema.label!r}, expected slots with ids after that of the label")
        self.place_of_logit = self.all_vars.index(LOGIT)

    def variables(self, ids: Tensor, *dense: Tensor) -> Tuple[Tensor, ...]:
        """Return the variables of a batch, each float32 [batch, ...], in the order of `all_vars`."""
        raise NotImplementedError

    def construct(self, *inputs: Tensor) -> Tensor:
        """Return logits."""
        return self.variables(*inputs)[self.place_of_logit]


def expect_slots(schema: SlotSchema, *roles: str) -> None:
    """Check that data have a sparse slot for each role and nothing else, for models that take them by their order.

    Raises:
        ValueError: they have other slots, or numbers.
    """
    expect_no_numbers(schema)
    if len(schema.sparse) != len(roles):
        raise ValueError(
            f"sparse_slots: {' '.join((schema.label, *schema.sparse))[:200]!r}, expected the label's slot and "
            f"{len(roles)} more: {', '.join(roles)}"
        )


def expect_no_numbers(schema: SlotSchema) -> None:
    """Check that data have no dense slots.

    Raises:
        ValueError: they have.
    """
    if schema.dense:
        raise ValueError(f"dense_slots: {schema.dense[0][0]}:{schema.dense[0][1]}, expected none: ids are all it takes")
