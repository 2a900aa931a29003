#!/usr/bin/env python3
"""A line between two TUN devices: delay, random loss, a rate, and a finite queue in front of it.

Some kernels have no netem; this program carries the packets itself. A packet that arrives is lost with a given
probability, from a seed; else it joins a drop-tail queue in front of a line of a given rate, and comes out on the other
side a fixed time after the line has sent it. Both directions are alike and know nothing of each other.

    emulator.py --near near0 --far far0 --far-pid PID --delay 0.025 --rate 200e6 --loss 0.001 --seed 1

makes `near0` here and `far0` in the network namespace of the process PID, prints "ready" and carries packets until it is
told to end (SIGTERM or SIGINT); then it prints what it did as one JSON object. Addresses and routes are the caller's
business, as soon as it has said "ready".
"""

import argparse
import collections
import fcntl
import gc
import json
import os
import random
import resource
import select
import signal
import struct
import subprocess
import sys
import time


class Lane:
    """One direction. Pure: the time of arrival is handed in, and when the packet comes out, or that it never does, is
    the answer."""

    def __init__(self, *, rate, delay, loss, queue, seed):
        """`rate` in bytes per second, `delay` in seconds one way, `loss` as a probability, `queue` in seconds of the
        line's rate."""
        self.seconds_per_byte = 1 / rate
        self.delay = delay
        self.loss = loss
        self.queue = queue
        self.chance = random.Random(seed).random
        self.free_at = 0.0
        self.packets = self.bytes = self.lost = self.dropped = 0
        self.longest_queue = 0.0

    def offer(self, now, size):
        """When a packet of `size` bytes that arrives at `now` comes out on the other side; None when it does not."""
        self.packets += 1
        if self.loss and self.chance() < self.loss:
            self.lost += 1
            return None
        start = max(now, self.free_at)
        waits = start - now
        if waits > self.queue:
            self.dropped += 1
            return None
        self.longest_queue = max(self.longest_queue, waits)
        self.bytes += size
        self.free_at = start + size * self.seconds_per_byte
        return self.free_at + self.delay

    def report(self):
        return {
            "packets": self.packets,
            "carried_bytes": self.bytes,
            "lost": self.lost,
            "dropped": self.dropped,
            "longest_queue_ms": round(self.longest_queue * 1000, 1),
        }


class Way:
    """A lane between two devices, with the packets that are on it."""

    def __init__(self, lane, source, sink):
        self.lane, self.source, self.sink = lane, source, sink
        self.under_way = collections.deque()
        self.refused = self.payload = 0

    def take(self):
        """Takes whatever has arrived."""
        read, source, offer, put = os.read, self.source, self.lane.offer, self.under_way.append
        clock = time.monotonic
        try:
            while True:
                packet = read(source, LARGEST)
                due = offer(clock(), len(packet))
                if due is not None:
                    put((due, packet))
                    self.payload += payload(packet)
        except BlockingIOError:
            pass
        except OSError as error:
            # The other namespace is gone, and its device with it.
            raise Ended from error

    def give(self):
        """Hands over what is due."""
        under_way, now = self.under_way, time.monotonic()
        while under_way and under_way[0][0] <= now:
            try:
                os.write(self.sink, under_way.popleft()[1])
            except OSError:
                # The other side is gone, or has no room: to it, the packet is lost.
                self.refused += 1


    def report(self):
        return self.lane.report() | {"payload_bytes": self.payload, "refused": self.refused}


def payload(packet):
    """What a TCP segment in an IPv4 packet carries, in bytes; 0 for any other packet."""
    if len(packet) < 40 or packet[0] >> 4 != 4 or packet[9] != TCP:
        return 0
    head = (packet[0] & 15) * 4
    return max(0, int.from_bytes(packet[2:4], "big") - head - (packet[head + 12] >> 4) * 4)


def carry(ways):
    """Carries packets until `Ended` is raised."""
    sources = [way.source for way in ways]
    while True:
        for way in ways:
            way.take()
            way.give()
        if any(way.under_way for way in ways):
            # Many packets a wake-up: what is lost in precision is a hundredth of the delay, what is saved is the CPU.
            time.sleep(WAKE_UP)
        else:
            select.select(sources, [], [])


def tun(name):
    """A new TUN device."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return device


class Ended(Exception):
    """Somebody asked for the end."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--near", required=True, help="name of the device here")
    parser.add_argument("--far", required=True, help="name of the device on the other side")
    parser.add_argument("--far-pid", required=True, help="a process in the network namespace of the other side")
    parser.add_argument("--delay", type=float, required=True, help="seconds one way")
    parser.add_argument("--rate", type=float, required=True, help="bits per second in each direction")
    parser.add_argument("--loss", type=float, default=0.0, help="share of packets lost in each direction, such as 0.001")
    parser.add_argument("--queue", type=float, default=0.1, help="seconds of the rate that the queue holds")
    parser.add_argument("--seed", type=int, default=1, help="of the losses")
    asked = parser.parse_args()

    near, far = tun(asked.near), tun(asked.far)
    subprocess.run(["ip", "link", "set", asked.far, "netns", asked.far_pid], check=True)
    lane = {"rate": asked.rate / 8, "delay": asked.delay, "loss": asked.loss, "queue": asked.queue}
    to_near = Way(Lane(**lane, seed=2 * asked.seed), far, near)
    to_far = Way(Lane(**lane, seed=2 * asked.seed + 1), near, far)

    def end(_signal, _frame):
        raise Ended

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    # Nothing here forms a cycle, and a collection would show as delay.
    gc.disable()
    print("ready", flush=True)
    began = time.monotonic()
    try:
        carry([to_near, to_far])
    except Ended:
        pass
    used = resource.getrusage(resource.RUSAGE_SELF)
    report = {
        "to_near": to_near.report(),
        "to_far": to_far.report(),
        "seconds": round(time.monotonic() - began, 3),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 3),
    }
    print(json.dumps(report), flush=True)


TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
TCP = 6
# Longer than a packet can be.
LARGEST = 65536
# Seconds between two looks while packets are under way.
WAKE_UP = 0.0005

if __name__ == "__main__":
    sys.exit(main())
