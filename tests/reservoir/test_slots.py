"""The reservoir's file: a stretch that is on disk stays there until the one that replaces it is, whatever happens."""

import os
from functools import partial
from pathlib import Path
from random import Random

import msgspec
import numpy as np
import pytest

from edge_agent.errors import StoreError
from edge_agent.reservoir.segment_format import SegmentFormat
from edge_agent.reservoir.slot_format import Head, Label, pack_head, pack_slot, unpack_head, unpack_slot
from edge_agent.reservoir.slots import FILE, SlotFile
from edge_agent.reservoir.snapshot import read
from edge_agent.reservoir.time_blocks import PARTS

SHAPE = SegmentFormat(channels=("x", "y"), rate_hz=50, samples=600)
HEAD = Head(shape=SHAPE, places={"calibration": 2, "judging": 3}, slots=8, seed=7, since_s=1.7e9)
PLACES = 5
SECTOR = 512
RANDOM = Random(0)  # noqa: S311  # a seeded draw, no secret


def label(place: int, seq: int) -> Label:
    part = PARTS[place >= HEAD.places["calibration"]]
    return Label(part=part, place=place, stratum=-1, seq=seq, time_s=float(seq), block=seq, weight=1.0)


def samples(seq: int) -> bytes:
    return np.full(SHAPE.array_shape, seq, np.float32).tobytes()


def opened(folder: Path) -> SlotFile:
    file = SlotFile(folder, HEAD)
    for _ in file.resume():
        pass
    return file


def held(folder: Path) -> dict[int, int]:
    """Place → the ``seq`` that is there; its samples and label agree."""
    file = SlotFile(folder, HEAD)
    found = {}
    for said, _, content in file.resume():
        assert bytes(content) == samples(said.seq)
        found[said.place] = said.seq
    file.close()
    return found


def put(file: SlotFile, place: int, seq: int) -> None:
    file.put(label(place, seq), samples(seq))


def test_what_was_put_is_there_after_reopening(tmp_path: Path) -> None:
    file = opened(tmp_path)
    for seq, place in enumerate([0, 1, 2, 3, 4, 1, 1, 0]):
        if file.full:
            file.flush()
        put(file, place, seq)
    file.flush()
    file.close()

    assert held(tmp_path) == {0: 7, 1: 6, 2: 2, 3: 3, 4: 4}


def test_no_more_waits_in_memory_than_there_are_spare_slots(tmp_path: Path) -> None:
    """Not even in a new file, where every slot is free."""
    file = opened(tmp_path)
    for place in range(HEAD.slots - PLACES):
        assert not file.full
        put(file, place, place)

    assert file.full
    file.flush()
    assert not file.full


def test_the_file_never_grows(tmp_path: Path) -> None:
    file, random = opened(tmp_path), RANDOM
    size = (tmp_path / FILE).stat()
    for seq in range(400):
        put(file, random.randrange(PLACES), seq)
        if file.full:
            file.flush()

    after = (tmp_path / FILE).stat()
    assert after.st_size == size.st_size == len(pack_head(HEAD)) + HEAD.slots * HEAD.slot_bytes
    assert after.st_blocks == size.st_blocks  # all of it was taken at the start
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize("before", ["nothing", "a former stretch", "noise"])
def test_a_torn_slot_is_found_wherever_it_is_torn(before: str) -> None:
    """Every byte at which writing may stop, over whatever was in the slot."""
    new = pack_slot(label(3, 9), samples(9), HEAD.digest, HEAD.slot_bytes)
    old = {
        "nothing": bytes(HEAD.slot_bytes),
        "a former stretch": pack_slot(label(1, 4), samples(4), HEAD.digest, HEAD.slot_bytes),
        "noise": RANDOM.randbytes(HEAD.slot_bytes),
    }[before]
    whole = [stop for stop in range(len(new) + 1) if new[:stop] + old[stop:] == new]

    for stop in [*range(200), *range(200, whole[0], 37), *range(whole[0] - 40, len(new) + 1)]:
        content = unpack_slot(new[:stop] + old[stop:], HEAD, HEAD.digest)
        if content is None:
            assert 0 < stop < whole[0] or before != "a former stretch"
        else:
            said = content[0].seq
            assert bytes(content[1]) == samples(said)
            assert said == 9 or (said == 4 and before == "a former stretch")
            assert said == 9 or stop < 10  # only bytes that both have in common were written


def test_every_flipped_byte_is_found() -> None:
    new = pack_slot(label(3, 9), samples(9), HEAD.digest, HEAD.slot_bytes)
    used = 64 + SHAPE.segment_bytes
    for at in [*range(60), *range(64, used, 53), used - 1]:
        broken = new[:at] + bytes([new[at] ^ 0x10]) + new[at + 1 :]
        assert unpack_slot(broken, HEAD, HEAD.digest) is None, at


def test_the_head_is_hashed_once_not_for_every_slot() -> None:
    assert HEAD.digest is HEAD.digest
    assert HEAD.start == len(pack_head(HEAD))


def test_a_slot_of_another_file_on_the_same_disk_blocks_is_not_ours() -> None:
    new = pack_slot(label(3, 9), samples(9), b"another!", HEAD.slot_bytes)

    assert unpack_slot(new, HEAD, HEAD.digest) is None


class Disk:
    """Records what reaches the disk, and in which order it must: between two syncs any sector may come first.

    Of the file in ``folder`` alone, as others are opened meanwhile. ``before_sync`` is called before each sync of it.
    """

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path) -> None:
        self._folder = folder
        self.before_sync = lambda: None
        self.synced: list[tuple[int, bytes]] = []
        self.loose: list[tuple[int, bytes]] = []
        self._pwrite, self._fdatasync = os.pwrite, os.fdatasync
        patch.setattr(os, "pwrite", self.pwrite)
        patch.setattr(os, "fdatasync", self.fdatasync)

    def pwrite(self, descriptor: int, data: bytes, at: int) -> int:
        whole = bytes(data)
        if self._mine(descriptor):
            self.loose += [(at + start, whole[start : start + SECTOR]) for start in range(0, len(whole), SECTOR)]
        return self._pwrite(descriptor, data, at)

    def fdatasync(self, descriptor: int) -> None:
        if self._mine(descriptor):
            self.before_sync()
            self.synced += self.loose
            self.loose = []
        self._fdatasync(descriptor)

    def _mine(self, descriptor: int) -> bool:
        return Path(f"/proc/self/fd/{descriptor}").readlink().parent == self._folder

    def after_power_cut(self, size: int, random: Random) -> bytes:
        """One of the images that may be found: all that was synced, and any sectors of what was not, in any order."""
        image = bytearray(size)
        some = random.sample(self.loose, random.randint(0, len(self.loose)))
        for at, data in [*self.synced, *some]:
            image[at : at + len(data)] = data
        return bytes(image)


def test_a_power_cut_at_any_moment_loses_nothing_that_was_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random, disk = RANDOM, Disk(monkeypatch, tmp_path / "it")
    file = opened(tmp_path / "it")
    disk.synced, disk.loose = disk.synced + disk.loose, []  # the file was made, and that is synced by itself
    durable: dict[int, int] = {}
    put_since: dict[int, set[int]] = {place: set() for place in range(PLACES)}
    size = (tmp_path / "it" / FILE).stat().st_size
    seq = 0

    def cut(number: int) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / FILE).write_bytes(disk.after_power_cut(size, random))
        found = held(folder)
        for place in range(PLACES):
            allowed = put_since[place] | ({durable[place]} if place in durable else {None})
            assert found.get(place) in allowed, (place, found, durable, put_since)

    for number in range(60):
        for place in random.sample(range(PLACES), random.randint(1, 3)):
            put(file, place, seq)
            put_since[place].add(seq)
            seq += 1
        # The cut comes when some of the batch is written, and before or after the sync.
        disk.before_sync = partial(cut, number)
        file.flush()
        durable_next = dict(durable)
        for place, seen in put_since.items():
            if seen:
                durable_next[place] = max(seen)
                seen.clear()
        durable = durable_next
        cut(1000 + number)
    assert held(tmp_path / "1059") == durable


def test_killed_before_the_sync_and_then_cut_off_it_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The successor sees in the page cache what the disk does not have, and must not take it for durable."""
    disk = Disk(monkeypatch, tmp_path / "it")
    file = opened(tmp_path / "it")
    disk.synced, disk.loose = disk.synced + disk.loose, []  # the file was made, and that is synced by itself
    for place in range(PLACES):
        if file.full:
            file.flush()
        put(file, place, place)
    file.flush()
    put(file, 0, 10)

    def killed() -> None:
        raise KeyboardInterrupt

    disk.before_sync = killed
    with pytest.raises(KeyboardInterrupt):
        file.flush()
    file.close()
    disk.before_sync = lambda: None
    file = opened(tmp_path / "it")
    for seq in range(11, 11 + HEAD.slots - PLACES):  # into every free slot, the former one of place 0 too
        put(file, 1 + seq % 3, seq)
    assert file.full
    disk.before_sync = killed
    with pytest.raises(KeyboardInterrupt):
        file.flush()
    size = (tmp_path / "it" / FILE).stat().st_size
    for number in range(30):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / FILE).write_bytes(disk.after_power_cut(size, RANDOM))
        found = held(folder)
        assert found.get(0) in {0, 10}, number
        assert len(found) == PLACES


def test_a_failed_write_is_made_up_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk refuses in the middle of a batch, then takes it: nothing of before is lost, nothing of it is missing."""
    file = opened(tmp_path)
    for place in range(PLACES - 2):
        put(file, place, place)
    file.flush()
    put(file, 0, 10)
    put(file, 4, 11)
    assert not file.full
    calls = 0
    real = os.fdatasync

    def refuse(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", refuse)
    with pytest.raises(OSError, match="Input/output"):
        file.flush()
    assert file.pending == 2
    monkeypatch.setattr(os, "fdatasync", real)
    file.flush()
    file.close()

    assert calls == 1
    assert held(tmp_path) == {0: 10, 1: 1, 2: 2, 4: 11}


def test_one_process_writes(tmp_path: Path) -> None:
    file = opened(tmp_path)
    with pytest.raises(StoreError, match="another process writes") as raised:
        SlotFile(tmp_path, HEAD)
    assert raised.value.code == "locked"
    file.close()
    SlotFile(tmp_path, HEAD).close()


def test_a_broken_head_is_begun_anew(tmp_path: Path) -> None:
    file = opened(tmp_path)
    put(file, 0, 1)
    file.flush()
    file.close()
    whole = (tmp_path / FILE).read_bytes()
    for at in (0, 5, 9, 13, 40):
        (tmp_path / FILE).write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert unpack_head((tmp_path / FILE).read_bytes()) is None
        with pytest.raises(StoreError, match="broken"):
            read(tmp_path)
        assert held(tmp_path) == {}
        assert read(tmp_path).segments == ()


def test_no_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no samples are stored") as raised:
        read(tmp_path)

    assert raised.value.code == "state_unreadable"


def test_a_snapshot_outlives_what_replaces_it_for_a_while(tmp_path: Path) -> None:
    file = opened(tmp_path)
    for place in range(PLACES):
        put(file, place, place)
        if file.full:
            file.flush()
    file.flush()
    with read(tmp_path) as kept:
        seen = {one.seq: one for one in kept.segments}
        put(file, 0, 10)
        file.flush()
        still = kept.load(seen[0])
        assert still is not None
        assert (still == 0).all()
        assert still.shape == SHAPE.array_shape
        for seq in range(11, 11 + HEAD.slots):
            put(file, 1, seq)
            file.flush()
        assert kept.load(seen[0]) is None
        assert kept.load(seen[2]) is not None
    with read(tmp_path) as kept:
        assert sorted(one.seq for one in kept.segments) == [2, 3, 4, 10, 10 + HEAD.slots]


@pytest.mark.parametrize("what", ["a FIFO", "a link", "a head of more slots than there are"])
def test_a_reader_neither_waits_nor_follows_nor_searches_for_ever(tmp_path: Path, what: str) -> None:
    """The folder is the sensor's process's, and drivers read what others send."""
    opened(tmp_path).close()
    path = tmp_path / FILE
    match what:
        case "a FIFO":
            path.unlink()
            os.mkfifo(path)
        case "a link":
            path.rename(tmp_path / "elsewhere")
            path.symlink_to("elsewhere")
        case _:
            path.write_bytes(pack_head(Head(**{**msgspec.structs.asdict(HEAD), "slots": 1 << 60})))

    with pytest.raises(StoreError, match="state_unreadable"):
        read(tmp_path)


@pytest.mark.parametrize("what", ["a FIFO", "a link"])
def test_a_writer_does_not_follow_either(tmp_path: Path, what: str) -> None:
    (tmp_path / "elsewhere").write_bytes(b"of others")
    if what == "a FIFO":
        os.mkfifo(tmp_path / FILE)
    else:
        (tmp_path / FILE).symlink_to("elsewhere")

    with pytest.raises(OSError, match=r"it is not a regular file|it is a link"):
        SlotFile(tmp_path, HEAD)

    assert (tmp_path / "elsewhere").read_bytes() == b"of others"
