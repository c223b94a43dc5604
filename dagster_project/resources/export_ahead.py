"""Works on many files at a time and hands over their pieces in the order of the files, in bounded memory."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from types import TracebackType
from typing import Final, Generic, TypeVar

Item = TypeVar("Item")
Piece = TypeVar("Piece")

# Files that are done before their turn. Small ones come by the thousands; large ones are held back by `room`.
_FILES_AHEAD: Final = 100
_PATIENCE_S: Final = 5.0  # that the end waits for threads which are in the middle of a piece


def processors() -> int:
    """Those that this process may use, which in a container can be fewer than the machine has."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone
    return len(affinity(0)) if affinity else os.cpu_count() or 1


class Ahead(Generic[Item, Piece]):
    """The pieces that ``work`` makes of each item, made by threads while earlier ones are used.

    Iterate inside ``with``: each item in order, with an iterator of its pieces. What ``work`` raises comes out
    of that iterator after the pieces before it. Pieces that nobody has taken yet weigh at most ``room``
    together, or are one for the item whose turn it is, so a large file never waits for ever. Leaving ``with``
    ends the threads.
    """

    def __init__(
        self,
        items: Sequence[Item],
        work: Callable[[Item], Generator[Piece, None, None]],
        *,
        threads: int,
        room: int,
        weight: Callable[[Piece], int],
    ) -> None:
        self._items = items
        self._work = work
        self._room = room
        self._weight = weight
        self._changed = threading.Condition()
        self._taken = 0  # items that a thread has begun
        self._turn = 0  # the item whose pieces are used now
        self._held = 0  # weight of all pieces that wait
        self._waiting: dict[int, deque[Piece]] = {}
        self._ended: dict[int, BaseException | None] = {}
        self._stopped = False
        self._threads = [
            threading.Thread(target=self._run, name=f"landing-{number}", daemon=True)
            for number in range(min(threads, len(items)))
        ]

    def __enter__(self) -> Ahead[Item, Piece]:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(_PATIENCE_S)

    def __iter__(self) -> Iterator[tuple[Item, Iterator[Piece]]]:
        for number, item in enumerate(self._items):
            with self._changed:
                self._turn = number
                self._changed.notify_all()
            yield item, self._pieces(number)

    def _pieces(self, number: int) -> Iterator[Piece]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting.get(number) or number in self._ended)
                if not self._waiting[number]:
                    error = self._ended[number]
                    if error is not None:
                        raise error
                    return
                piece = self._waiting[number].popleft()
                self._held -= self._weight(piece)
                self._changed.notify_all()
            yield piece

    # In the threads.

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._may_begin)
                if self._stopped or self._taken == len(self._items):
                    return
                number = self._taken
                self._taken += 1
                self._waiting[number] = deque()
            error: BaseException | None = None
            pieces = self._work(self._items[number])
            try:
                for piece in pieces:
                    if not self._put(number, piece):
                        break
            except BaseException as raised:  # whatever it is, it belongs to whoever uses the pieces
                error = raised
            finally:
                pieces.close()
            with self._changed:
                self._ended[number] = error
                self._changed.notify_all()

    def _may_begin(self) -> bool:
        done = self._stopped or self._taken == len(self._items)
        return done or self._taken <= self._turn + _FILES_AHEAD

    def _put(self, number: int, piece: Piece) -> bool:
        """Hand a piece over when there is room for it; False when nobody wants it any more."""
        weight = self._weight(piece)

        def fits() -> bool:
            next_one = number == self._turn and not self._waiting[number]
            return self._stopped or next_one or self._held + weight <= self._room

        with self._changed:
            self._changed.wait_for(fits)
            if self._stopped:
                return False
            self._waiting[number].append(piece)
            self._held += weight
            self._changed.notify_all()
        return True
