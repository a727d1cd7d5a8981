"""Time Jinja2, configured as Ansible's template module does, on stdin's template.

Prints the milliseconds of one rendering with the template compiled before, of
one compilation and rendering, and what was rendered, as JSON. Each time is the
least of many, so that what else the machine does counts little.
"""
import json
import sys
import time

from jinja2 import Environment, StrictUndefined


def least(run, rounds=300):
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times) * 1000


case = json.load(sys.stdin)
env = Environment(trim_blocks=True, keep_trailing_newline=True, undefined=StrictUndefined)
compiled = env.from_string(case["template"])
print(json.dumps({
    "render": least(lambda: compiled.render(case["context"])),
    "whole": least(lambda: env.from_string(case["template"]).render(case["context"])),
    "text": compiled.render(case["context"]),
}))
