import pytest

from capsexp.compose import compose
from capsexp.errors import ConfigError


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("load.reuse=maybe", "load.reuse: 'maybe' cannot be used here; give true or false"),
        ("load.reuse=null", "load.reuse: null cannot be used here; give true or false"),
        ("load.timeout=null", "load.timeout: null cannot be used here; give a number"),
        ("report.ci_width=abc", "report.ci_width: 'abc' cannot be used here; give a number"),
        ("report.max_rows=abc", "report.max_rows: 'abc' cannot be used here; give a whole number"),
        ("report.max_rows='a\nb'", "report.max_rows: 'a\\nb' cannot be used here; give a whole number"),
        ("monitor.probes=5", "monitor.probes: a single value cannot be used here; give a list, as in [1,2]"),
        ("thresholds.tiers=3", "thresholds.tiers: a single value cannot be used here; give a mapping, as in {name: 1}"),
        ("load.users=3", "load.users: unknown key; it needs load=dictation"),
        ("engine.rtf=0.1", "engine.rtf: unknown key; it needs engine=null"),
        ("engine.rft=0.1", "engine.rft: unknown key; did you mean 'engine.rtf'?"),
    ],
)
def test_a_value_that_does_not_fit_is_told_with_what_does(override: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose([override])
    assert str(caught.value) == said
