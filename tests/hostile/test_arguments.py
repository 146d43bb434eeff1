"""Wrong arguments of the library: each is refused in words of the one who wrote them."""

import numpy as np
import pytest

import fatewalk
from tests.hostile.test_hostile import INTERNAL


@pytest.fixture(scope="module")
def result(chain):
    return fatewalk.load(chain / "results" / "screen" / "main")


OF_RESULT = {
    "a scale that there is not": (lambda r: r.plot.heatmap(scale="x"), "scale: found 'x'; allowed"),
    "that of an overview": (lambda r: r.plot.overview_volcano(scale="x"), "scale: found 'x'; allowed"),
    "no gene": (lambda r: r.plot.heatmap(max_genes=-1), "max_genes: found -1; allowed: a whole"),
    "no gene at the top": (lambda r: r.plot.trajectories(n_top=0), "n_top: found 0; allowed: a whole"),
    "genes as text": (lambda r: r.plot.heatmap(max_genes="x"), "max_genes: found 'x'"),
    "levels as an array": (lambda r: r.effects(np.array(["gene", "guide"])), "allowed: gene, guide"),
    "scales as an array": (lambda r: r.effects(scale=np.array(["fate", "x"])), "allowed: fate, contrast"),
    "no table": (lambda r: r.table(None), "table: found None; allowed: the name of a file"),
    "a list of tables": (lambda r: r.table(["hits.csv"]), "table: found ['hits.csv']"),
    "an empty contrast": (lambda r: r.table("gene_daywise_for_mash.csv", ""), "contrast: found ''; allowed"),
    "contrast 0": (lambda r: r.table("gene_daywise_for_mash.csv", 0), "contrast: found 0; allowed: MES"),
    "saved nowhere": (lambda r: r.save(None), "folder: found None; allowed: the path of a folder"),
    "saved to nothing": (lambda r: r.save(""), "folder: found ''"),
    "saved where no folder can be": (lambda r: r.save("/proc/x"), "/proc/x: this folder cannot be made"),
    "saved by a name too long": (lambda r: r.save("/tmp/" + "x" * 300), "File name too long"),
    "a zero byte in a path": (lambda r: r.save("a\0b"), "folder: found 'a\\x00b'"),
    "loaded from nothing": (lambda r: fatewalk.load(""), "folder: found ''"),
    "loaded from None": (lambda r: fatewalk.load(None), "folder: found None"),
    "loaded from bytes": (lambda r: fatewalk.load(b"x"), "folder: found b'x'"),
    "loaded from a result": (lambda r: fatewalk.load(r), "found an object of type Result"),
    "a file for a folder": (lambda r: fatewalk.load(r.folder / "hits.csv"), "is a file; give the"),
    "the folder of results": (lambda r: fatewalk.load(r.folder.parents[1]), "some: screen/main; name"),
    "the folder above": (lambda r: fatewalk.load(r.folder.parents[2]), "some: results/screen/main;"),
}  # fmt: skip


@pytest.mark.parametrize("name", OF_RESULT)
def test_a_wrong_argument_of_a_result_is_told(name, result):
    call, words = OF_RESULT[name]
    with pytest.raises(fatewalk.FatewalkError) as told:
        call(result)
    assert words in str(told.value)
    assert [word for word in INTERNAL if word in str(told.value)] == []
