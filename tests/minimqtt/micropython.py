"""What MiniMQTT wants of MicroPython."""


def const(value):
    return value
