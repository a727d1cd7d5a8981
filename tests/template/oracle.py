"""Render templates as Ansible's template module does, for tests to compare.

Reads a JSON list of {"template", "context", "files"} and writes a list of
{"text"} or {"error"}, in the same order.
"""
import json
import sys

from ansible import constants
constants.DEFAULT_JINJA2_EXTENSIONS = "jinja2.ext.do,jinja2.ext.loopcontrols"

from ansible.parsing.dataloader import DataLoader
from ansible.template import AnsibleEnvironment, Templar
from ansible.utils.unsafe_proxy import wrap_var
from jinja2 import DictLoader


def render(case):
    templar = Templar(loader=DataLoader(), variables=wrap_var(case["context"]))
    templar = templar.copy_with_new_env(environment_class=AnsibleEnvironment)
    templar.environment.loader = DictLoader(case["files"])
    templar.environment.cache = None
    return templar.do_template(case["template"], preserve_trailing_newlines=True,
                               escape_backslashes=False)


def answer(case):
    try:
        return {"text": str(render(case))}
    except Exception as problem:
        return {"error": "%s: %s" % (type(problem).__name__, problem)}


json.dump([answer(case) for case in json.load(sys.stdin)], sys.stdout)
