"""An SSH server for tests/lib/hostile.lua, on its standard input. What it does is what the client
asks for by the command that it runs in a channel."""
import socket
import threading
import time

import paramiko
from paramiko.common import cMSG_CHANNEL_REQUEST, cMSG_CHANNEL_SUCCESS, cMSG_GLOBAL_REQUEST

WINDOW = 40000  # so small that a client soon has to wait


class Server(paramiko.ServerInterface):
    def get_allowed_auths(self, username):
        return "none"

    def check_auth_none(self, username):
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel, command):
        if command == b"shut":  # no answer, but the end
            channel.close()
            time.sleep(1000)
        action = actions[command.decode()]
        threading.Thread(target=action, args=(channel,), daemon=True).start()
        return True


def message(kind, *parts):
    m = paramiko.Message()
    m.add_byte(kind)
    for part in parts:
        {int: m.add_int, bool: m.add_boolean, str: m.add_string}[type(part)](part)
    return m


def send(*parts):
    transport._send_user_message(message(*parts))


def echo(channel):
    """Give back what comes."""
    while True:
        data = channel.recv(4096)
        if not data:
            return channel.close()
        channel.sendall(data)


def mute(_):
    """Read nothing: the window stays closed."""


def rekey(channel):
    """Exchange keys anew when a byte has come, and take a second for it."""
    channel.recv(1)
    read = transport.packetizer.read_message
    until = time.monotonic() + 1

    def read_later():
        time.sleep(max(0, until - time.monotonic()))
        return read()

    transport.packetizer.read_message = read_later
    transport.renegotiate_keys()


def signal(channel):
    """When a byte has come, say that a signal ended the command, with a name that is not there."""
    channel.recv(1)
    m = message(cMSG_CHANNEL_REQUEST, channel.remote_chanid, "exit-signal", False, 1000)
    m.add_bytes(b"KILL")
    transport._send_user_message(m)
    channel.close()


def pile(channel):
    """Send, again and again, an answer that nobody waits for."""
    while True:
        send(cMSG_CHANNEL_SUCCESS, channel.remote_chanid, "x" * 30000)


def names(channel):
    """Say again and again which signal ended the command."""
    while True:
        send(cMSG_CHANNEL_REQUEST, channel.remote_chanid, "exit-signal", False, 30000, 0)


def deaf(_):
    """Ask for answers and read none of them."""
    transport.packetizer.read_message = lambda: time.sleep(1000)
    while True:
        send(cMSG_GLOBAL_REQUEST, "any answer?", True)


actions = {f.__name__: f for f in (echo, mute, rekey, signal, pile, names, deaf)}
transport = paramiko.Transport(
    socket.socket(fileno=0), default_window_size=WINDOW, default_max_packet_size=32768
)
transport.add_server_key(paramiko.ECDSAKey.generate())
transport.start_server(server=Server())
held = []  # a channel that nobody holds closes itself
while transport.is_active():
    held.append(transport.accept(1))
