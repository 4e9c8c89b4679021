import pytest

from elastic.errors import InvalidRecipe
from elastic.recipes import Recipe, recipe_of


def test_options_that_are_not_given_are_the_usual_ones():
    assert recipe_of(epochs=3) == Recipe(epochs=3)
    assert recipe_of(epochs=3).batch == Recipe().batch


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"epoch": 3}, "a recipe has no option 'epoch'; known: epochs, batch"),
        ({"epochs": 0}, "epochs=0 can't be followed: Input should be greater than or equal to 1"),
        ({"learning_rate": 0.0}, "learning_rate=0.0 can't be followed"),
        ({"schedule": "linear"}, "schedule='linear' can't be followed: Input should be 'one-cycle'"),
        ({"drops": (0.5, 2.0)}, "drops.1=2.0 can't be followed"),
    ],
    ids=["no such option", "no epochs", "no rate", "no such schedule", "a drop after the end"],
)
def test_what_can_not_be_followed_is_refused(options, reason):
    with pytest.raises(InvalidRecipe, match=reason):
        recipe_of(**options)


def test_a_recipe_is_the_same_after_it_was_written():
    recipe = recipe_of(mix="cutmix", drops=(0.1, 0.9), average=0.99)
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
