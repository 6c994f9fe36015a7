"""The frames of a run with hindsight: results that come late, each with its frame, which is read a second time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from samodal.errors import InputError
from samodal.method.camera import View
from samodal.method.hindsight import Hindsight
from samodal.parts import Frame, Video
from samodal.results.frames import FramesWriter
from samodal.tracks import FrameResult


class LateFrames:
    """Takes results of the causal pass, and writes those that wait for nothing any more.

    All of it follows from the causal results: a run that goes on gives them again, and what stands in the file already
    is held against it. Pictures are not kept while a result waits.

    Args:
        hindsight: new.
        writer: of frames.jsonl.
        video: whose frames the results are.
    """

    def __init__(self, hindsight: Hindsight, writer: FramesWriter, video: Video):
        self._hindsight, self._writer, self._name = hindsight, writer, video.name
        self._frames = iter(video)

    def add(self, result: FrameResult, view: View | None) -> Iterator[tuple[Frame, FrameResult]]:
        """Take a causal result with the view of its frame; gives frames with their results, when they are written."""
        return self._written(self._hindsight.add(replace(result, image=None), view))

    def rest(self) -> Iterator[tuple[Frame, FrameResult]]:
        """What still waits, at the end of the video."""
        return self._written(self._hindsight.rest())

    def _written(self, results: Iterable[FrameResult]) -> Iterator[tuple[Frame, FrameResult]]:
        for result in results:
            frame = next(self._frames, None)
            if frame is None:
                raise InputError(f"{self._name}: ends before frame {result.t} when it is read for the second time")
            self._writer.write(result, frame.name)
            yield replace(frame, t=result.t), result
