"""A web server for tests/lib/web.lua: web.py DIR https|http. It prints its port."""
import hashlib
import http.server
import os
import ssl
import sys
import threading
import time

root = sys.argv[1]
arrived, arrival = 0, threading.Condition()


def wait_for(count):
    """Until so many have come to wait here; not for ever."""
    global arrived
    with arrival:
        arrived += 1
        arrival.notify_all()
        arrival.wait_for(lambda: arrived >= count, timeout=20)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def note(self, name, first, status):
        with open(root + "/log", "a") as log:
            log.write("%s %s %d\n" % (name, "%d-" % first if first else "-", status))

    def empty(self, name, first, status, **headers):
        self.note(name, first, status)
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        name = self.path.lstrip("/")
        how = {}
        try:
            with open("%s/%s.how" % (root, name)) as told:
                how = dict((w.split("=", 1) + [""])[:2] for w in told.read().split())
        except FileNotFoundError:
            pass
        first = 0
        if self.headers.get("Range") and "no-ranges" not in how:
            first = int(self.headers["Range"][len("bytes="):].rstrip("-"))
        if "together" in how:
            wait_for(int(how["together"]))
        if "status" in how:
            return self.empty(name, first, int(how["status"]))
        if "to" in how:
            return self.empty(name, first, 302, Location=how["to"])
        if not os.path.isfile(root + "/www/" + name):
            return self.empty(name, first, 404)
        with open(root + "/www/" + name, "rb") as file:
            content = file.read()
        if first and first >= len(content):
            return self.empty(name, first, 416)
        self.note(name, first, 206 if first else 200)
        self.send_response(206 if first else 200)
        if "no-etag" not in how:
            self.send_header("ETag", '"%s"' % hashlib.sha256(content).hexdigest()[:16])
        if first:
            self.send_header("Content-Range",
                             "bytes %d-%d/%d" % (first, len(content) - 1, len(content)))
        self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        rest = content[first:]
        if "cut" in how and len(rest) > int(how["cut"]):
            self.wfile.write(rest[:int(how["cut"])])
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
        elif "stall" in how and len(rest) > int(how["stall"]):
            self.wfile.write(rest[:int(how["stall"])])
            self.wfile.flush()
            time.sleep(60)
        else:
            self.wfile.write(rest)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
if sys.argv[2] == "https":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(root + "/web.pem", root + "/web.key")
    server.socket = context.wrap_socket(server.socket, server_side=True,
                                        do_handshake_on_connect=False)
print("%d" % server.server_address[1], flush=True)
server.serve_forever()
