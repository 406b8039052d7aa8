from __future__ import annotations
def test_a(world):
    from tests.security.world import parameters
    print(world.address("participation"), world.address("api_release_file"))
def test_b(world, client):
    world["owner"].user.delete if 0 else None
    r = world["owner"].client().get(world.address("study"))
    assert r.status_code==200
    from hilmix.accounts.models import User
    User.objects.create_user("x")
def test_c(world):
    from hilmix.accounts.models import User
    assert not User.objects.filter(username="x").exists()
