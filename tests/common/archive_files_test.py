"""An archive is unpacked when it is whole and harmless, and else nothing is written."""

import errno
import io
import os
import shutil
import tarfile
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from allennlp.common.checks import ConfigurationError
from allennlp.models import archival
from allennlp.models.archival import load_archive

import structkd_allennlp.registrables  # noqa: F401
from structkd_allennlp.common import archive_files
from structkd_allennlp.common.archive_files import check_weights, unpacked
from tests.distillation.taggers import LABELS, archived

TEACHER = Path("fixtures/teachers/en.tar.gz")


def files_of(directory):
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in Path(directory).rglob("*")
        if path.is_file()
    }


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """A function that fails to unpack a file, and returns the message."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    written = []
    extractall = tarfile.TarFile.extractall
    monkeypatch.setattr(
        tarfile.TarFile,
        "extractall",
        lambda tar, *args, **kwargs: (written.append(1), extractall(tar, *args, **kwargs)),
    )

    def run(path, before_writing=True):
        written.clear()
        with pytest.raises(ConfigurationError) as error, unpacked(str(path)):
            pass
        assert not (before_writing and written)
        assert not list(temporary.iterdir())
        return error.value.message

    return run


def test_an_archive_is_unpacked(tmp_path):
    with tarfile.open(TEACHER) as tar:
        tar.extractall(tmp_path, filter="data")
    with unpacked(str(TEACHER)) as directory:
        assert files_of(directory) == files_of(tmp_path)
    assert not directory.exists()
    with unpacked(str(tmp_path)) as directory:
        assert directory == tmp_path
    assert directory.exists()


def member(name, type_=tarfile.REGTYPE, linkname="", content=b"content"):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = type_, linkname
    info.size = len(content) if type_ == tarfile.REGTYPE else 0
    return info, io.BytesIO(content)


def with_members(path, *members):
    """A whole teacher, and then these."""
    with tarfile.open(TEACHER) as own, tarfile.open(path, "w:gz") as tar:
        for info in own:
            tar.addfile(info, own.extractfile(info))
        for info, content in members:
            tar.addfile(info, content)
    return path


@pytest.mark.parametrize(
    ("hostile", "problem"),
    [
        pytest.param(member("../outside"), "outside of it, '../outside'", id="above"),
        pytest.param(member("vocabulary/../../x"), "outside of it", id="above by a detour"),
        pytest.param(member("/tmp/outside"), "outside of it, '/tmp/outside'", id="absolute"),
        pytest.param(member("l", tarfile.SYMTYPE, "/etc/passwd"), "a link, 'l'", id="symlink"),
        pytest.param(member("l", tarfile.SYMTYPE, "config.json"), "a link", id="symlink inside"),
        pytest.param(member("l", tarfile.LNKTYPE, "config.json"), "a link", id="hard link"),
        pytest.param(member("pipe", tarfile.FIFOTYPE), "a named pipe, 'pipe'", id="FIFO"),
        pytest.param(member("null", tarfile.CHRTYPE), "a device", id="character device"),
        pytest.param(member("disk", tarfile.BLKTYPE), "a device", id="block device"),
        pytest.param(member("x" * 500, tarfile.FIFOTYPE), "x" * 100 + "':", id="long name"),
    ],
)
def test_members_that_could_do_harm(refused, tmp_path, hostile, problem):
    message = refused(with_members(tmp_path / "model.tar.gz", hostile))
    assert problem in message
    assert "from somebody you trust" in message


def test_bombs(refused, tmp_path, monkeypatch):
    monkeypatch.setattr(archive_files, "_ALWAYS_ALLOWED", 1_000_000)
    bomb = member("zeros", content=bytes(20_000_000))
    path = with_members(tmp_path / "model.tar.gz", bomb)
    assert 50 * path.stat().st_size < 20_000_000
    message = refused(path)
    assert "unpacks to more than" in message
    assert "unpack it yourself and name the directory" in message


def test_bombs_in_headers(refused, tmp_path, monkeypatch):
    """`tarfile` reads what a header says of a long name into memory, and believes any size."""
    claims = [(tarfile.GNUTYPE_LONGNAME, 1 << 33), (tarfile.XHDTYPE, 1 << 33)]
    claims += [(tarfile.REGTYPE, 1 << 60), (tarfile.REGTYPE, -(1 << 20))]
    for i, (type_, size) in enumerate(claims):
        info = tarfile.TarInfo("config.json")
        info.type, info.size = type_, size
        with tarfile.open(tmp_path / f"{i}.tar.gz", "w:gz") as tar:
            tar.fileobj.write(info.tobuf(tarfile.GNU_FORMAT))
            tar.fileobj.write(bytes(1 << 16))
        assert "impossible size" in (m := refused(tmp_path / f"{i}.tar.gz")) or "unpacks to" in m
    monkeypatch.setattr(archive_files, "_MOST_MEMBERS", 20)
    many = with_members(tmp_path / "many.tar.gz", *[member(f"{i}") for i in range(20)])
    assert "more than 20 members" in refused(many)


def test_damage(refused, tmp_path):
    """In every part of the file, down to the checksum at its end."""
    whole = TEACHER.read_bytes()
    path = tmp_path / "model.tar.gz"
    # What is before is the name and the time of the file, which nobody reads.
    for i in [*range(20, len(whole), len(whole) // 40), *range(len(whole) - 12, len(whole))]:
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1 :])
        assert "damaged" in refused(path)
    for missing in (1, 4, 8, 9, 20, 600, len(whole) // 2, len(whole)):
        path.write_bytes(whole[:-missing])
        message = refused(path)
        assert "damaged" in message
        assert "copy it again" in message
    path.write_bytes(whole + b"and more")
    assert "damaged" in refused(path)


@pytest.mark.parametrize("content", [b"", b"no archive at all", b"\x1f\x8b\x08\x00"])
def test_files_that_are_no_archive(refused, tmp_path, content):
    path = tmp_path / "model.tar.gz"
    path.write_bytes(content)
    assert "is not a tar.gz file" in refused(path)


def test_files_that_are_not_regular(refused, tmp_path):
    """A named pipe that nobody writes to would be waited for without end."""
    path = tmp_path / "model.tar.gz"
    os.mkfifo(path)
    assert refused(path) == "it is neither a regular file nor a directory"
    shutil.unpack_archive(TEACHER, tmp_path / "run")
    for name in ("config.json", "weights.th", "vocabulary/labels.txt"):
        own = tmp_path / "run" / name
        content = own.read_bytes()
        own.unlink()
        os.mkfifo(own)
        assert f"its {own.name} is not a regular file" in refused(tmp_path / "run")
        own.unlink()
        own.write_bytes(content)
    with unpacked(str(tmp_path / "run")):
        pass


def test_directories_that_are_no_model(refused, tmp_path):
    shutil.unpack_archive(TEACHER, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "vocabulary")
    assert "it has no vocabulary" in refused(tmp_path / "run")
    (tmp_path / "run" / "weights.th").unlink()
    assert "it has no weights, as there is no best.th in it" in refused(tmp_path / "run")
    (tmp_path / "run" / "config.json").unlink()
    assert "it has no configuration, as there is no config.json" in refused(tmp_path / "run")


def test_an_archive_that_is_no_model(refused, tmp_path):
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        tar.addfile(*member("x"))
    message = refused(tmp_path / "model.tar.gz", before_writing=False)
    assert message.startswith("it has no configuration")


@pytest.fixture
def student(tmp_path):
    """The archive of a small tagger."""
    return Path(archived(tmp_path / "student", LABELS)[0])


def loaded(archive):
    """All that predictions depend on."""
    model, config, *_ = load_archive(archive)
    weights = {name: tensor.tolist() for name, tensor in model.state_dict().items()}
    return weights, dict(model.vocab._index_to_token), config.as_dict(quiet=True)


def test_allennlp_loads_no_damaged_archive(student, tmp_path):
    """As all its commands load them: whatever loads is what was archived."""
    whole, expected = student.read_bytes(), loaded(student)
    path, same = tmp_path / "damaged.tar.gz", []
    for i in range(0, len(whole), 17):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1 :])
        with suppress(ConfigurationError):
            assert loaded(path) == expected
            same.append(i)
    # The name of the tar file, and what two ways to compress the same differ in.
    assert len(same) < len(whole) / 17 / 10
    for missing in (1, 8, 20, 600, len(whole) // 2, len(whole)):
        path.write_bytes(whole[:-missing])
        with pytest.raises(ConfigurationError, match="damaged"):
            load_archive(path)


def test_allennlp_writes_nothing_outside_of_an_archive(tmp_path):
    path = with_members(tmp_path / "model.tar.gz", member(f"../{tmp_path.name}-outside"))
    with pytest.raises(ConfigurationError, match="written outside of it"):
        load_archive(path)
    assert not list(Path(tempfile.gettempdir()).glob("*-outside"))


def test_allennlp_waits_for_no_named_pipe(tmp_path):
    os.mkfifo(tmp_path / "model.tar.gz")
    with pytest.raises(ConfigurationError, match="neither a regular file nor a directory"):
        load_archive(tmp_path / "model.tar.gz")


def test_a_full_disk_is_no_damage(refused, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "extractall", fail)
    with pytest.raises(OSError, match="No space left"), unpacked(str(TEACHER)):
        pass


def test_allennlp_finds_its_function_in_ours(student):
    with archival.extracted_archive(student, cleanup=False) as directory:
        pass
    assert files_of(directory).keys() >= {"config.json", "weights.th", "vocabulary/labels.txt"}
    shutil.rmtree(directory)
    with archival.extracted_archive(str(student)) as directory:
        assert os.path.isdir(directory)
    assert not os.path.exists(directory)


def change_weights(path):
    weight = torch.load(path)["tag_projection_layer._module.weight"]
    content = bytearray(path.read_bytes())
    content[content.index(weight.numpy().tobytes())] ^= 1
    path.write_bytes(content)


def test_damaged_weights_in_a_directory(student, tmp_path):
    """Which AllenNLP loads as it is. Those that it is told to load instead are checked too."""
    other = shutil.copy(student.parent / "best.th", tmp_path / "other.th")
    load_archive(student, weights_file=str(other))
    change_weights(other)
    with pytest.raises(ConfigurationError, match=r"weights other.th are damaged"):
        load_archive(student, weights_file=str(other))
    load_archive(student.parent)
    change_weights(student.parent / "best.th")
    with pytest.raises(ConfigurationError, match=r"weights best.th are damaged"):
        load_archive(student.parent)


def test_weights(tmp_path):
    """Every record has a checksum, which PyTorch does not read."""
    path = tmp_path / "weights.th"
    torch.save({"weight": torch.arange(3000.0)}, path)
    check_weights(path)
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    path.write_bytes(damaged)
    assert not torch.equal(torch.load(path)["weight"], torch.arange(3000.0))
    for content in (damaged, whole[:-1], whole[100:], b""):
        path.write_bytes(content)
        with pytest.raises(ConfigurationError, match=r"weights.th are damaged.*again"):
            check_weights(path)


def test_weights_of_old(tmp_path):
    path = tmp_path / "weights.th"
    torch.save({"weight": torch.ones(3)}, path, _use_new_zipfile_serialization=False)
    check_weights(path)


def test_weights_that_are_a_bomb(tmp_path):
    path = tmp_path / "weights.th"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data/0", bytes(1_000_000))
    with pytest.raises(ConfigurationError, match="larger than the file"):
        check_weights(path)
