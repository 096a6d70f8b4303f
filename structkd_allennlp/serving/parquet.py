"""Sentences in Parquet: rows that go in and out as lines of JSON."""

import io
import json
from typing import Any, BinaryIO, Callable, Iterator, List, Optional, Sequence

from structkd_allennlp.serving.file_systems import open_binary, pyarrow_module
from structkd_allennlp.serving.input_files import InputError, Line

PARQUET = "parquet"

COLUMNS = ("sentence", "words", "language")

_ROWS = 1024
"""As many as are read together."""

_ROWS_PER_GROUP = 16_384


class ParquetFile:
    """
    The rows of a file, each as the line of JSON that the predictor would read: of its columns,
    those that `COLUMNS` names.

    # Parameters

    path : `str`
    name : `str`, optional (default = `path`)
        For people.
    start, end : `int`, optional
        Of the row groups, the first, and that after the last.

    # Raises

    `InputError` where it cannot be opened or read, or has no such columns.
    """

    def __init__(
        self, path: str, name: Optional[str] = None, start: int = 0, end: Optional[int] = None
    ) -> None:
        self.path = path
        self.name = name or path
        self._start = start
        self._end = end

    def lines(self, progress: Callable[[int], None] = lambda done: None) -> Iterator[Line]:
        # What pyarrow raises is a ValueError or an OSError, too.
        try:
            with open_binary(self.path) as raw:
                yield from self._lines(raw, progress)
        except InputError:
            raise
        except (OSError, ValueError) as error:
            raise InputError(f"{self.name}: cannot be read ({error})") from error

    def _lines(self, raw: BinaryIO, progress: Callable[[int], None]) -> Iterator[Line]:
        file = pyarrow_module("parquet").ParquetFile(raw)
        columns = [name for name in COLUMNS if name in file.schema_arrow.names]
        if ("sentence" in columns) == ("words" in columns):
            raise InputError(
                f"{self.name}: its columns are {', '.join(file.schema_arrow.names)}. It needs "
                'either "sentence", text, or "words", lists of strings; "language" may be there'
            )
        sizes = group_sizes(file)
        number = sum(file.metadata.row_group(i).num_rows for i in range(self._start))
        for group in range(self._start, len(sizes) if self._end is None else self._end):
            for batch in file.iter_batches(_ROWS, row_groups=[group], columns=columns):
                for row in batch.to_pylist():
                    number += 1
                    yield Line(number, _encoded(row))
            progress(sum(sizes[: group + 1]))

    def place(self, line: int) -> str:
        return f"{self.name}, row {line}"


def group_sizes(file: Any) -> List[int]:
    """In bytes, packed, of a `pyarrow.parquet.ParquetFile`."""
    groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
    return [
        sum(group.column(i).total_compressed_size for i in range(group.num_columns))
        for group in groups
    ]


def groups_of(path: str) -> List[int]:
    """Their sizes, in bytes, packed."""
    with open_binary(path) as raw:
        return group_sizes(pyarrow_module("parquet").ParquetFile(raw))


def _encoded(row: Any) -> str:
    try:
        return json.dumps(row, ensure_ascii=False)
    except TypeError:
        # Whoever reads the line says what is wrong with it.
        return json.dumps(row, ensure_ascii=False, default=repr)


class ParquetStream:
    """
    A file that is written from lines of JSON, results of a tagger and errors.

    # Parameters

    stream : `BinaryIO`
    labels : `Sequence[str]`, optional
        Of the tagger, where the probability of each is in the results.
    """

    def __init__(self, stream: BinaryIO, labels: Optional[Sequence[str]]) -> None:
        self._schema = _schema(labels)
        self._writer = pyarrow_module("parquet").ParquetWriter(stream, self._schema)
        self._tables: List[Any] = []
        self._rows = 0

    def write(self, lines: bytes) -> None:
        if not lines:
            return
        arrow_json = pyarrow_module("json")
        table = arrow_json.read_json(
            io.BytesIO(lines),
            # A line must not reach into a second block.
            arrow_json.ReadOptions(use_threads=False, block_size=len(lines) + 1),
            arrow_json.ParseOptions(
                explicit_schema=self._schema, unexpected_field_behavior="error"
            ),
        )
        self._tables.append(table)
        self._rows += table.num_rows
        if self._rows >= _ROWS_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._tables:
            table = pyarrow_module("lib").concat_tables(self._tables)
            self._writer.write_table(table, row_group_size=max(self._rows, 1))
            self._tables, self._rows = [], 0

    def close(self) -> None:
        self._flush()
        self._writer.close()


def _schema(labels: Optional[Sequence[str]]) -> Any:
    pa = pyarrow_module("lib")
    text, number, whole = pa.string(), pa.float64(), pa.int64()
    entity = {
        "text": text,
        "label": text,
        "start": whole,
        "end": whole,
        "probability": number,
        "start_char": whole,
        "end_char": whole,
    }
    sequence = {"tags": pa.list_(text), "score": number, "probability": number}
    columns = {
        "words": pa.list_(text),
        "language": text,
        "tags": pa.list_(text),
        "tag_probabilities": pa.list_(number),
        "entities": pa.list_(pa.struct(list(entity.items()))),
        "top_k": pa.list_(pa.struct(list(sequence.items()))),
    }
    if labels is not None:
        columns["marginals"] = pa.list_(pa.struct([(label, number) for label in labels]))
    columns["error"] = text
    return pa.schema(list(columns.items()))
