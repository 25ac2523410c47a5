"""Names, tags and their history through the synchronous Python client. Prints OK at the end."""
import uuid

from e2b import NotFoundException, Sandbox, SandboxException, Template, TemplateException
from e2b.api.client.api.tags import (
    get_templates_template_id_tags_count as count,
    get_templates_template_id_tags_exists as exists,
    get_templates_template_id_tags_groups as groups,
    get_templates_template_id_tags_tag_assignments as assignments,
)
from e2b.api.client_sync import get_api_client
from e2b.connection_config import ConnectionConfig

name = f"python-{uuid.uuid4().hex[:8]}"
assert Template.exists("base")
assert not Template.exists(name)

sandbox = Sandbox.create()
first = sandbox.create_snapshot(name=f"{name}:v1")
assert Template.exists(name)
assigned = Template.assign_tags(f"{name}:v1", ["stable", "old"])
assert sorted(assigned.tags) == ["old", "stable"], assigned
sandbox.create_snapshot(name=f"{name}:v2")
moved = Template.assign_tags(f"{name}:v2", "stable")
tags = {each.tag: each.build_id for each in Template.get_tags(name)}
assert tags == {"v1": assigned.build_id, "old": assigned.build_id, "v2": moved.build_id, "stable": moved.build_id}, tags

# The client has these calls without a word for them of its own.
client = get_api_client(ConnectionConfig())
assert count.sync(name, client=client).total == 4
assert exists.sync(name, client=client, tag=" Stable").exists
history = assignments.sync(name, "stable", client=client)
assert [str(each.build_id) for each in history.data] == [moved.build_id, assigned.build_id]
assert history.next_cursor is None
page = groups.sync(name, client=client, tags_limit=3, assignment_limit=1)
assert [group.tag for group in page.tags][0] == "stable"
assert page.tags[0].has_more and len(page.tags[0].assignments) == 1
rest = groups.sync(name, client=client, tags_limit=3, tags_cursor=page.next_cursor)
assert len(rest.tags) == 1 and rest.next_cursor is None

Template.remove_tags(name, ["stable", "old"])
assert sorted(each.tag for each in Template.get_tags(name)) == ["v1", "v2"]
for refused in (lambda: Template.remove_tags(name, "default"), lambda: Template.assign_tags(f"{name}:none", "x")):
    try:
        refused()
        raise AssertionError("a refusal was expected")
    except (TemplateException, NotFoundException, SandboxException):
        pass

sandbox.kill()
assert Sandbox.delete_snapshot(first.snapshot_id) is True
assert not Template.exists(name)
print("OK")
