"""A file, and what ``check`` says of it."""

import pytest

from pavics_affinity.proxy.check import check


@pytest.fixture
def found(tmp_path):
    """Check a text; give the findings of a rule, or all of them."""

    def found(text, rule=None, *, name="site.conf", **options):
        path = tmp_path / name
        path.write_text(text)
        return [each for each in check(path, **options) if rule in (None, each.rule)]

    return found
