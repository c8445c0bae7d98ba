"""From whom an answer is waited for."""

from __future__ import annotations

import pytest

from shared.messages.base import FileRef, FolderRef
from shared.messages.requests import (
    AdoptRequested,
    AllowRequested,
    ConfirmRequested,
    Request,
    RestoreRequested,
    answers_wanted,
)

WATCHERS = {"photos": "nas", "phone": "nas", "attic": "box"}
FILE = FileRef(root="attic", path="a.jpg")


@pytest.mark.parametrize(
    ("request_", "wanted"),
    [
        (RestoreRequested(request_id="1", since=0.0), 2),
        (RestoreRequested(request_id="1", batch_id="b"), 2),
        (RestoreRequested(request_id="1", file=FILE), 1),
        (ConfirmRequested(request_id="1", what="breaker"), 2),
        (ConfirmRequested(request_id="1", what="breaker", root="phone"), 1),
        (AdoptRequested(request_id="1", root="attic"), 1),
        (AllowRequested(request_id="1", folder=FolderRef(root="phone", path="x")), 1),
        (AdoptRequested(request_id="1", root="nobody knows it"), 2),
    ],
)
def test_whoever_is_asked_is_waited_for(request_: Request, wanted: int) -> None:
    assert answers_wanted(request_, WATCHERS) == wanted
    assert answers_wanted(request_, {"photos": "", "attic": ""}) == 1
    assert answers_wanted(request_, {}) == 1
