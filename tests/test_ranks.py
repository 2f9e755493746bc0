"""How learner ranks find each other."""

from cluster.ranks import meeting_place

NODES = [
    {"NodeID": "head", "NodeManagerAddress": "10.0.0.1"},
    {"NodeID": "far", "NodeManagerAddress": "10.0.0.2"},
]


def test_ranks_of_one_node_meet_on_loopback_and_others_at_rank_zeros_node() -> None:
    assert meeting_place(["far"], NODES) == "127.0.0.1"
    assert meeting_place(["head", "head"], NODES) == "127.0.0.1"
    assert meeting_place(["far", "head"], NODES) == "10.0.0.2"
    assert meeting_place(["head", "far", "far"], NODES) == "10.0.0.1"
