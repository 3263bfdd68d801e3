"""Damaged files: a command gives what it would have given, or says one line.

Every file of a study, of its data, cache and exports is cut short or has bits flipped at random,
and every command that reads it is tried. `--long` makes 3,000 damages of it, and `SRVAE_FUZZ` any
number.
"""

import collections
import os
import shutil

import fuzzed
import numpy as np
import pytest

from srvae_plugin.data.storage import manifest

KINDS = ("cut", "one bit", "thirty bits")


@pytest.fixture(scope="module")
def base(request, tmp_path_factory):
    """The folder to damage, and a copy to put back: what is recorded of places stays true."""
    folder = tmp_path_factory.mktemp("base")
    exports = [*fuzzed.EXPORTS] if request.config.getoption("--long") else ["npz", "torchscript"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SRVAE_CACHE", str(folder / "here/cache"))
        (folder / "here").mkdir()
        fuzzed.make(folder / "here", exports)
        shutil.copytree(folder / "here", folder / "whole")
        yield folder / "here", folder / "whole", expected_of(folder / "here", folder / "whole")


def expected_of(here, whole):
    """What each command makes of the whole folder."""
    names = [name for name in fuzzed.COMMANDS if is_possible(name, here)]
    expected = {}
    for name in names:
        expected[name] = fuzzed.COMMANDS[name](here)
        put_back(here, whole)
    return expected


def is_possible(name, here):
    place, _, of_export = name.partition("_")
    return of_export != "scored" or (here / "exports" / place).is_dir()


def put_back(here, whole):
    shutil.rmtree(here)
    shutil.copytree(whole, here)


def tries(base, capsys, count, without_digests=False):
    """Outcomes of `count` damages, by command, and those that are no good."""
    here, whole, expected = base
    files = sorted(str(p.relative_to(whole)) for p in whole.rglob("*") if p.is_file())
    files = [file for file in files if (whole / file).stat().st_size]
    pairs = [(file, name) for file in files for name in fuzzed.commands_for(file)]
    random = np.random.RandomState(int(os.environ.get("SRVAE_FUZZ_SEED", "0")))
    order = random.permutation(len(pairs))
    counts, bad = collections.defaultdict(collections.Counter), []
    for number in range(count):
        file, name = pairs[order[number % len(pairs)]]
        kind = KINDS[random.randint(3)]
        content = (here / file).read_bytes()
        for path in here.rglob(manifest.MANIFEST) if without_digests else ():
            path.unlink()
        (here / file).write_bytes(fuzzed.damage(content, kind, random))
        found = fuzzed.outcome(name, here, expected, capsys)
        capsys.readouterr()
        counts[name][found.partition(":")[0]] += 1
        if found not in ("right", "one line", *(["wrong"] if without_digests else [])):
            bad.append((file, name, kind, found[:300]))
        put_back(here, whole)
    total = sum(counts.values(), collections.Counter())
    with capsys.disabled():
        print(f"\n{len(pairs)} pairs of file and command, {count} damages: {dict(total)}")
        for name, each in sorted(counts.items()):
            print(f"  {name}: {dict(each)}")
    return total, bad


def number_of(request, usual):
    many = 3000 if request.config.getoption("--long") else usual
    return int(os.environ.get("SRVAE_FUZZ", many))


def test_every_damage_is_said_or_harmless(base, capsys, request):
    count = number_of(request, 120)
    total, bad = tries(base, capsys, count)
    assert not bad, "\n".join(map(str, bad))
    assert total["right"] > count // 10 < total["one line"]


def test_runs_without_digests_end_in_no_traceback(base, capsys, request):
    """Those of older versions: damage that leaves a file of the right form is not found."""
    total, bad = tries(base, capsys, number_of(request, 40), without_digests=True)
    assert not bad, "\n".join(map(str, bad))
    assert total["one line"]
