import pytest

from mindspore_rec.config import ConfigError
from mindspore_rec.data.slot_schema import SlotSchema
from mindspore_rec.serving.network_inputs import NetworkInputs


def test_a_field_is_an_id_and_its_weight():
    inputs = NetworkInputs.of_fields(["I1", "C1"])
    assert inputs.names == ("I1", "C1")
    assert inputs.chosen(["C1"]) == ((1,), (1,))
    assert (inputs.second, inputs.num_numbers) == ("weights", 2)


def test_slots_and_numbers():
    inputs = NetworkInputs.of_schema(SlotSchema("click", ("1", "2"), (("a", 2), ("b", 1))))
    assert inputs.chosen(()) == ((0, 1), (0, 1, 2))
    assert inputs.chosen(("b", "1")) == ((0,), (2,))


def test_many_names_are_not_all_told():
    with pytest.raises(ConfigError, match=r"slot 'x' is none of the model's, which are 0, 1, .*19, \.\.\.$"):
        NetworkInputs(tuple(map(str, range(300)))).chosen(["x"])
