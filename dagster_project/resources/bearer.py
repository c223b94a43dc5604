"""A token as an HTTP header that shows itself nowhere else."""

from __future__ import annotations

import requests
from requests.auth import AuthBase


class Bearer(AuthBase):
    """The token as a header. As an auth object and not a plain header, so that no .netrc replaces it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def __repr__(self) -> str:
        return "Bearer(hidden)"
