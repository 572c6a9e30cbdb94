"""A browser's part in one run of a page's script: what Streamlit's server sends to whoever opens the page."""

from typing import Any

import psutil
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

PATIENCE = 300.0  # s for one message: a busy machine


def messages(port: int, origin: str | None = None) -> list[ForwardMsg]:
    """Open the first page at a port of this machine, and return what the server sends until its script has ended."""
    address = f"127.0.0.1:{port}"
    said: list[ForwardMsg] = []
    with connect(
        f"ws://{address}/_stcore/stream",
        origin=origin or f"http://{address}",  # type: ignore[arg-type]
        subprotocols=["streamlit"],  # type: ignore[list-item]
        open_timeout=PATIENCE,
        max_size=None,
    ) as socket:
        asked = BackMsg()
        asked.rerun_script.query_string = ""
        socket.send(asked.SerializeToString())
        while not (said and said[-1].WhichOneof("type") == "script_finished"):
            content: Any = socket.recv(timeout=PATIENCE)
            said.append(ForwardMsg.FromString(content))
    return said


def errors(said: list[ForwardMsg]) -> list[str]:
    """Return the exceptions that a page shows."""
    elements = [message.delta.new_element for message in said if message.WhichOneof("type") == "delta"]
    return [element.exception.message for element in elements if element.WhichOneof("type") == "exception"]


def listening(port: int) -> set[str]:
    """Return the addresses at which this machine answers on a port."""
    return {c.laddr.ip for c in psutil.net_connections("tcp") if c.status == "LISTEN" and c.laddr.port == port}
