"""A headless Chromium, driven by the W3C WebDriver protocol over HTTP: no package is needed for so little."""

import base64
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def why_not() -> str | None:
    """Return why no browser can be started here, or None."""
    for names in (("chromium", "chromium-browser", "google-chrome"), ("chromedriver",)):
        if not any(map(shutil.which, names)):
            return f"{names[0]} is not installed (Debian: apt-get install chromium chromium-driver)"
    return None


class Chromium:
    """A browser with an empty profile in `folder`."""

    def __init__(self, folder: Path, port: int, width: int = 2200, height: int = 1200) -> None:
        driver = shutil.which("chromedriver")
        browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
        self._driver = subprocess.Popen(
            [str(driver), f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._base = f"http://127.0.0.1:{port}"
        flags = [*_FLAGS, f"--user-data-dir={folder}", f"--window-size={width},{height}"]
        options = {"binary": browser, "args": flags}
        self._wait_for_driver()
        answer = self._send("POST", "/session", {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}})
        self._base += f"/session/{answer['sessionId']}"

    def close(self) -> None:
        try:
            self._send("DELETE", "")
        finally:
            self._driver.terminate()
            self._driver.wait(10)

    def open(self, address: str) -> None:
        self._send("POST", "/url", {"url": address})

    def run(self, script: str) -> Any:
        """Return what a JavaScript function body returns."""
        return self._send("POST", "/execute/sync", {"script": script, "args": []})

    def wait(self, script: str, seconds: float = 60) -> Any:
        """Return what `script` returns as soon as that is true; an AssertionError with the page's text if never."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            if found := self.run(script):
                return found
            time.sleep(0.3)
        raise AssertionError(
            f"never true: {script}; the page says: {self.run('return document.body.innerText')[:2000]}"
        )

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._send("GET", "/screenshot")))

    def _wait_for_driver(self) -> None:
        for _ in range(150):
            try:
                if self._send("GET", "/status")["ready"]:
                    return
            except OSError:
                time.sleep(0.2)
        raise RuntimeError("chromedriver did not start")

    def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = json.dumps(body if body is not None else {}).encode() if method == "POST" else None
        request = Request(self._base + path, data, {"Content-Type": "application/json"}, method=method)
        with urlopen(request, timeout=90) as answer:
            return json.load(answer)["value"]
