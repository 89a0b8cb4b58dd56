"""Let the standard library work with gevent or eventlet, if the environment asks for one."""

import os


def patch():
    mode = os.environ.get("ASYNC_MODE")
    if mode == "gevent":
        from gevent import monkey

        monkey.patch_all()
    elif mode == "eventlet":
        import eventlet

        eventlet.monkey_patch()
