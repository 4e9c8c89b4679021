import pytest

VERBS = [
    "prune",
    "sensitivity",
    "rebuild",
    "deploy",
    "export",
    "info",
    "verify",
    "report",
    "doctor",
    "compare",
    "eval",
    "demo",
    "train",
    "fine-tune",
    "nest",
    "soft-prune",
    "quantise",
    "gate channels",
    "gate weights",
    "gate adaptive",
    "attention",
    "dynamic channel",
    "dynamic precision",
    "dynamic skip",
    "bench",
    "profile",
]


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_has_an_example_that_names_it(elastic, verb):
    done = elastic(f"{verb} --help")
    assert done.code == 0
    assert f"Example: elastic {verb}" in " ".join(done.out.split())


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_of_a_verb_is_explained(elastic, verb):
    lines = elastic(f"{verb} --help").out.partition("Options:")[2].splitlines()
    options = [line.split("  ") for line in lines if line.startswith("  -")]
    assert options
    # The explanation follows after two spaces, or on the next line where the option is long.
    for number, line in enumerate(lines):
        if line.startswith("  -"):
            assert len(line.strip().split("  ")) > 1 or lines[number + 1].startswith("      ")


def test_the_program_lists_its_verbs(elastic):
    done = elastic("--help")
    assert done.code == 0
    assert all(f"  {verb.split()[0]} " in done.out for verb in VERBS)


def test_without_arguments_the_program_shows_its_help(elastic):
    assert elastic("").out == elastic("--help").out
