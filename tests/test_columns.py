"""Columns of tracks: sparse in memory, and like a tuple to read."""

import pickle
import sys

import pytest

from samodal.columns import Column, present


@pytest.fixture
def column() -> Column:
    return Column(5, {3: "b", 1: "a", 2: None, 7: "beyond"})


def test_a_column_reads_as_the_tuple_of_its_values(column):
    assert tuple(column) == (None, "a", None, "b", None) == column
    assert (column[1], column[-2], column[0], len(column)) == ("a", "b", None, 5)
    assert column[1:4] == ("a", None, "b") and column[::-1][1] == "b"
    assert hash(column) == hash(tuple(column))
    with pytest.raises(IndexError):
        column[5]


def test_columns_differ_by_length_and_by_value(column):
    assert column == Column(5, {1: "a", 3: "b"})
    assert column != Column(6, {1: "a", 3: "b"}) and column != Column(5, {1: "a"}) and column != (None,) * 5


def test_what_is_present_is_the_same_of_a_column_and_of_a_tuple(column):
    assert dict(present(column)) == dict(present(tuple(column))) == {1: "a", 3: "b"}
    assert dict(present(Column(3))) == {}


def test_a_column_goes_to_another_process(column):
    assert pickle.loads(pickle.dumps(column)) == column


def test_a_long_column_of_few_values_is_small():
    assert sys.getsizeof(Column(10**9, {5: "a"})._values) < 1000
